package redis_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

var bothWays = redis.ProbeConfig{In: true, Out: true}

// probe checks once, without the memory of earlier checks.
func probe(t *testing.T, pool *redis.Pool, config redis.ProbeConfig) error {
	t.Helper()
	return redis.NewProbe(pool, config).Check(t.Context())
}

func TestProbeLeavesNothing(t *testing.T) {
	server := servers.SharedRedis(t)
	console := newConsole(t, server.URL())
	prefix := newPrefix()
	pool := open(t, redis.Config{URL: server.URL(), Prefix: prefix})
	q := redis.NewQueue(pool, redis.QueueConfig{})
	must(t, q.Enqueue(t.Context(), batchOf(1, 3)))
	count := func() int {
		t.Helper()
		keys, err := redigo.Strings(console.do("KEYS", prefix+"*"), nil)
		must(t, err)
		return len(keys)
	}
	before := count()
	p := redis.NewProbe(pool, bothWays)
	if p.Name() != "queue" {
		t.Errorf("the check is called %q", p.Name())
	}
	for range 3 {
		must(t, p.Check(t.Context()))
		must(t, probe(t, pool, bothWays))
	}
	console.do("DEL", prefix+":health") // which expires by itself
	if after := count(); after != before {
		t.Errorf("%d keys before the checks, %d after: %v", before, after, console.do("KEYS", prefix+"*"))
	}
	checkHeld(t, q, 1, 3)
}

// TestProbeMissesNoRight takes every command of every script away from the
// user. Where an API or a worker cannot work without it, the check says so.
func TestProbeMissesNoRight(t *testing.T) {
	server := servers.Redis(t)
	console := newConsole(t, server.URL())
	console.do("ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all")
	url := "redis://app:secret@" + server.Address()
	failed := map[string]bool{}
	for _, command := range append(redis.ScriptCommands(), "EVAL", "EVALSHA", "BLPOP", "DEL") {
		pool := open(t, redis.Config{URL: url})
		q := redis.NewQueue(pool, redis.QueueConfig{})
		console.do("SCRIPT", "FLUSH")
		console.do("ACL", "SETUSER", "app", "-"+strings.ToLower(command))
		in, out := in(t, q), out(t, q)
		for way, c := range map[string]struct {
			err    error
			config redis.ProbeConfig
		}{
			"in": {in, redis.ProbeConfig{In: true}}, "out": {out, redis.ProbeConfig{Out: true}},
		} {
			if c.err == nil {
				continue
			}
			failed[command] = true
			checkCode(t, c.err, domain.CodeUnavailable)
			err := probe(t, pool, c.config)
			if domain.CodeOf(err) != domain.CodeUnavailable || !strings.Contains(domain.MessageOf(err), "lacks a right") {
				t.Errorf("without %s the way %s fails with %v, and the check says %v", command, way, c.err, err)
			}
		}
		console.do("ACL", "SETUSER", "app", "+@all")
		must(t, probe(t, pool, bothWays))
	}
	for _, command := range []string{"XADD", "EVAL", "SET", "XCLAIM", "XACK", "XDEL"} {
		if !failed[command] {
			t.Errorf("nothing fails without %s: this test tests nothing", command)
		}
	}
}

func TestProbeRunsEveryScriptOfAnAPI(t *testing.T) {
	server := servers.Redis(t)
	console := newConsole(t, server.URL())
	pool := open(t, redis.Config{URL: server.URL()})
	console.do("SCRIPT", "FLUSH")
	must(t, probe(t, pool, redis.ProbeConfig{In: true}))
	for name, script := range redis.ScriptsOfAnAPI() {
		if known, err := redigo.Ints(console.do("SCRIPT", "EXISTS", script.Hash()), nil); err != nil || known[0] != 1 {
			t.Errorf("the check did not run %s: %v, %v", name, known, err)
		}
	}
}

// in does what an API does.
func in(t *testing.T, q *redis.Queue) error {
	t.Helper()
	_, err := q.EnqueueOnce(t.Context(), domain.KeyedRequest{Key: "key"}, batchOf(1, 1), domain.Receipt{AcceptedAt: time.Now(), Accepted: 1})
	_, _, lookErr := q.Receipt(t.Context(), domain.KeyedRequest{Key: "key"})
	return errors.Join(err, lookErr, q.Enqueue(t.Context(), batchOf(2, 1)))
}

// out does what a worker does.
func out(t *testing.T, q *redis.Queue) error {
	t.Helper()
	deliveries, err := q.Receive(t.Context(), 1, time.Millisecond)
	errs := []error{err}
	for _, d := range deliveries {
		errs = append(errs, q.Return(t.Context(), d.Batch.ID))
	}
	deliveries, err = q.Receive(t.Context(), 10, time.Millisecond)
	errs = append(errs, err)
	for i, d := range deliveries {
		if i == 0 {
			errs = append(errs, q.Bury(t.Context(), d.Batch.ID, "refused"))
		} else {
			errs = append(errs, q.Acknowledge(t.Context(), d.Batch.ID))
		}
	}
	return errors.Join(errs...)
}

// TestProbeOfServersThatCannotTakeABatch changes a server under a pool.
func TestProbeOfServersThatCannotTakeABatch(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		directives []string
		spoil      func(t *testing.T, s *servers.RedisServer, c console)
		message    string
		fine       bool
	}{
		"scripts forgotten": {nil, func(_ *testing.T, _ *servers.RedisServer, c console) { c.do("SCRIPT", "FLUSH") }, "", true},
		"memory full": {
			nil, func(_ *testing.T, _ *servers.RedisServer, c console) { c.do("CONFIG", "SET", "maxmemory", "100") },
			"the queue's memory is full", false,
		},
		"replica": {
			nil, func(t *testing.T, _ *servers.RedisServer, c console) {
				t.Helper()
				c.do("REPLICAOF", "127.0.0.1", strconv.Itoa(servers.FreePort(t)))
			}, "the queue is read-only", false,
		},
		"too few replicas": {
			nil, func(_ *testing.T, _ *servers.RedisServer, c console) {
				c.do("CONFIG", "SET", "min-replicas-to-write", "1")
			},
			"the queue cannot be written", false,
		},
		"keys forbidden": {
			nil, func(_ *testing.T, _ *servers.RedisServer, c console) {
				c.do("ACL", "SETUSER", "default", "resetkeys", "~other*")
			}, "lacks a right", false,
		},
		"paused": {nil, func(_ *testing.T, s *servers.RedisServer, _ console) { s.Pause() }, "does not answer in time", false},
		"gone":   {nil, func(_ *testing.T, s *servers.RedisServer, _ console) { s.Kill() }, "the queue cannot be reached", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := servers.Redis(t, c.directives...)
			pool := open(t, redis.Config{URL: server.URL()})
			must(t, probe(t, pool, bothWays))
			c.spoil(t, server, newConsole(t, server.URL()))
			err := probe(t, pool, bothWays)
			server.Resume()
			if (err == nil) != c.fine || !c.fine && !strings.Contains(err.Error(), c.message) {
				t.Errorf("the check says %v, want %q", err, c.message)
			}
			if !c.fine {
				checkCode(t, err, domain.CodeUnavailable)
			}
		})
	}
}

func TestProbeIsRemembered(t *testing.T) {
	server := servers.Redis(t)
	p := redis.NewProbe(open(t, redis.Config{URL: server.URL()}), bothWays)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	checkCode(t, p.Check(cancelled), domain.CodeUnavailable)
	must(t, p.Check(t.Context())) // what a call that was given up says is not
	newConsole(t, server.URL()).do("CONFIG", "SET", "maxmemory", "100")
	eventually(t, "the check is done again", func() bool {
		return domain.CodeOf(ports.HealthCheck(p).Check(t.Context())) == domain.CodeUnavailable
	})
}
