package redis_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/logs"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// checkNotOpen expects one clear sentence that has all parts, and no password.
func checkNotOpen(t *testing.T, config redis.Config, parts ...string) {
	t.Helper()
	pool, err := redis.Open(t.Context(), config)
	if err == nil {
		must(t, pool.Close())
		t.Fatal("opened")
	}
	if text := err.Error(); !hasAll(text, parts...) || strings.Contains(text, "hunter2") || strings.Contains(text, "\n") {
		t.Errorf("error %q, want one with %q", text, parts)
	}
}

func TestAURLThatIsNone(t *testing.T) {
	for _, url := range []string{
		"", "localhost:6379", "http://:hunter2@localhost", "redis://", "redis:hunter2", "redis://:hunter2@host:port",
		"redis://:hunter2@localhost/name", "redis://:hunter2@localhost/1/2", "redis://:hunter2%zz@localhost",
	} {
		t.Run(url, func(t *testing.T) {
			checkNotOpen(t, redis.Config{URL: url}, "REDIS_URL ", "must have the form redis://")
		})
	}
}

func TestWrongCredentials(t *testing.T) {
	closed := servers.Redis(t, "requirepass correct")
	unguarded := servers.SharedRedis(t)
	at := func(s *servers.RedisServer, user string) redis.Config {
		return redis.Config{URL: "redis://" + user + s.Address()}
	}
	for name, c := range map[string]struct {
		config redis.Config
		want   string
	}{
		"none":     {at(closed, ""), "wants a password"},
		"wrong":    {at(closed, ":hunter2@"), "does not take the user or password"},
		"user":     {at(closed, "somebody:hunter2@"), "does not take the user or password"},
		"unwanted": {at(unguarded, ":hunter2@"), "does not take the user or password"},
	} {
		t.Run(name, func(t *testing.T) {
			checkNotOpen(t, c.config, c.want, "REDIS_URL", "127.0.0.1:")
		})
	}
	pool := open(t, redis.Config{URL: closed.URL() + "/3"})
	must(t, redis.NewQueue(pool, redis.QueueConfig{}).Enqueue(t.Context(), batchOf(1, 1)))
	console := newConsole(t, closed.URL())
	if keyspace := string(console.do("INFO", "keyspace").([]byte)); !strings.Contains(keyspace, "db3:") {
		t.Errorf("not in database 3: %s", keyspace)
	}
}

func TestServersThatCannotBeUsed(t *testing.T) {
	t.Run("replica", func(t *testing.T) {
		primary := servers.Redis(t)
		replica := servers.Redis(t, "replicaof 127.0.0.1 "+strconv.Itoa(primary.Port()))
		checkNotOpen(t, redis.Config{URL: replica.URL()}, "is a replica", "let REDIS_URL name the primary", primary.Address())
	})
	t.Run("cluster", func(t *testing.T) {
		server := servers.Redis(t, "cluster-enabled yes")
		checkNotOpen(t, redis.Config{URL: server.URL()}, "a Redis cluster cannot be used")
		// One that has everything is still a cluster.
		console := newConsole(t, server.URL())
		console.do("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
		eventually(t, "the cluster works", func() bool {
			return strings.Contains(string(console.do("CLUSTER", "INFO").([]byte)), "cluster_state:ok")
		})
		checkNotOpen(t, redis.Config{URL: server.URL()}, "a Redis cluster cannot be used")
	})
	t.Run("old", func(t *testing.T) {
		for _, version := range []string{"6.0.16", "5.0", "", "new"} {
			relay := newRelay(t, servers.SharedRedis(t).Address())
			relay.Answer(bulk("redis_version:" + version + "\r\nrole:master"))
			checkNotOpen(t, redis.Config{URL: "redis://" + relay.Address()}, version+" is too old", "6.2")
		}
	})
	t.Run("key of another program", func(t *testing.T) {
		server := servers.SharedRedis(t)
		prefix := newPrefix()
		newConsole(t, server.URL()).do("LPUSH", prefix, "event")
		checkNotOpen(t, redis.Config{URL: server.URL(), Prefix: prefix}, "holds something else", "QUEUE_KEY", "is a list")
	})
	t.Run("gone", func(t *testing.T) {
		server := servers.Redis(t)
		server.Kill()
		checkNotOpen(t, redis.Config{URL: server.URL()}, "cannot be reached", server.Address())
	})
	t.Run("silent", func(t *testing.T) {
		server := servers.Redis(t)
		server.Pause()
		checkNotOpen(t, redis.Config{URL: server.URL(), CallTimeout: 50 * time.Millisecond}, "does not answer in time")
	})
	t.Run("hangs up", func(t *testing.T) {
		nowhere := newRelay(t, "127.0.0.1:"+strconv.Itoa(servers.FreePort(t)))
		checkNotOpen(t, redis.Config{URL: "redis://" + nowhere.Address()}, "cannot be reached")
	})
}

func bulk(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }

func TestAServerIsWaitedFor(t *testing.T) {
	server := servers.Redis(t)
	server.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	log := new(logs.Buffer)
	opened := make(chan error)
	go func() {
		pool, err := redis.Open(ctx, redis.Config{URL: server.URL(), Log: log.Logger()})
		if err == nil {
			err = pool.Close()
		}
		opened <- err
	}()
	eventually(t, "it waits", func() bool { return strings.Contains(log.String(), "waiting for Redis") })
	server.Start(t)
	must(t, <-opened)

	// A wrong password does not become right.
	guarded := servers.Redis(t, "requirepass correct")
	start := time.Now()
	_, err := redis.Open(ctx, redis.Config{URL: "redis://" + guarded.Address()})
	checkCode(t, err, domain.CodeUnavailable)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("waited %v", took)
	}

	// Whenever the time is up, the error tells why it was needed.
	server.Kill()
	var group sync.WaitGroup
	for i := range 30 {
		group.Go(func() {
			short, cancel := context.WithTimeout(t.Context(), time.Duration(100+3*i)*time.Millisecond)
			defer cancel()
			_, err := redis.Open(short, redis.Config{URL: server.URL()})
			if got := domain.MessageOf(err); got != "the queue cannot be reached" {
				t.Errorf("message %q of %v", got, err)
			}
		})
	}
	group.Wait()
}

func TestWarnings(t *testing.T) {
	const evicts, forgets, nothing, snapshot, everysec, never = "may delete accepted batches",
		"may forget idempotency keys", "keeps nothing on disk", "last snapshot", "last two seconds", "last half minute"
	for _, c := range []struct {
		name       string
		directives []string
		want       []string
	}{
		{"as it should be", []string{"appendonly yes", "appendfsync always"}, nil},
		{"every second", []string{"appendonly yes"}, []string{everysec}},
		{"when the system likes", []string{"appendonly yes", "appendfsync no"}, []string{never}},
		{"in memory", nil, []string{nothing}},
		{"snapshots", []string{"save 60 1"}, []string{snapshot}},
		{"evicting", []string{"maxmemory-policy allkeys-lru", "appendonly yes", "appendfsync always"}, []string{evicts}},
		{"both", []string{"maxmemory-policy volatile-ttl"}, []string{forgets, nothing}},
		{
			"too little memory",
			[]string{"maxmemory 63mb", "appendonly yes", "appendfsync always"},
			[]string{"maxmemory_mb=63 needed_mb=64"},
		},
		{"enough memory", []string{"maxmemory 64mb", "appendonly yes", "appendfsync always"}, nil},
		{
			"settings are secret",
			[]string{"rename-command CONFIG nothing", "appendonly yes"},
			nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := new(logs.Buffer)
			open(t, redis.Config{URL: servers.Redis(t, c.directives...).URL(), Log: log.Logger(), Need: 64 << 20})
			text := log.String()
			if got := strings.Count(text, "level=WARN"); got != len(c.want) || !hasAll(text, c.want...) {
				t.Errorf("logged %d warnings, want %q:\n%s", got, c.want, text)
			}
		})
	}
}

const (
	lacksRight   = "the queue's user lacks a right that the service needs"
	lacksCommand = "the queue lacks a command that the service needs"
)

func TestAnswersOfRefusal(t *testing.T) {
	for _, c := range []struct{ answer, message, advice string }{
		{"NOAUTH Authentication required.", "the queue refuses the connection", "REDIS_URL"},
		{"NOPERM this user has no permissions", lacksRight, "grant it"},
		// The forms of 6.2, 7.0 and 7.4 inside a script.
		{
			"ERR Error running script (call to f_0): @user_script:90: @user_script: 90: " +
				"The user executing the script can't run this command or subcommand", lacksRight, "grant it",
		},
		{"ERR The user executing the script can't run this command or subcommand script: 0, on @user_script:90.", lacksRight, "grant it"},
		{
			"ERR The user executing the script can't access at least one of the keys mentioned in the command arguments script: 0",
			lacksRight, "grant it",
		},
		{"NOPERM ACL failure in script: User default has no permissions to run the 'xadd' command script: 0", lacksRight, "grant it"},
		{"ERR unknown command 'EVALSHA', with args beginning with:", lacksCommand, "rename-command"},
		{"ERR Unknown Redis command called from script script: 0, on @user_script:90.", lacksCommand, "rename-command"},
		{"UNKILLABLE Sorry the script already executed write commands", "the queue is busy", "script"},
		{"NOSCRIPT No matching script. Please use EVAL.", "the queue is not available", "passes"},
		{"UNBLOCKED force unblock from blocking operation", "the queue is not available", "primary"},
		{"CLUSTERDOWN The cluster is down", "the queue is not available", "cluster"},
		{"ASK 3999 127.0.0.1:6381", "the queue is not available", "cluster"},
		{"WRONGPASS invalid username-password pair", "the queue refuses the connection", "REDIS_URL"},
		{"READONLY You can't write against a read only replica.", "the queue is read-only", "primary"},
		{"LOADING Redis is loading the dataset in memory", "the queue is starting", "soon"},
		{"OOM command not allowed when used memory > 'maxmemory'.", "the queue's memory is full", "raise it"},
		{
			"ERR Error running script (call to f_0): @user_script:40: @user_script: 40: -OOM command not allowed",
			"the queue's memory is full", "raise it",
		},
		{"MISCONF Redis is configured to save RDB snapshots", "the queue cannot be written", "disk"},
		{"NOREPLICAS Not enough good replicas to write.", "the queue cannot be written", "min-replicas-to-write"},
		{"MASTERDOWN Link with MASTER is down", "the queue is not available", "primary"},
		{"MOVED 3999 127.0.0.1:6381", "the queue is not available", "cluster"},
		{"BUSY Redis is busy running a script.", "the queue is busy", "script"},
	} {
		t.Run(c.answer, func(t *testing.T) {
			relay := newRelay(t, servers.SharedRedis(t).Address())
			pool := open(t, redis.Config{URL: "redis://" + relay.Address()})
			relay.Answer("-" + c.answer + "\r\n")
			err := redis.NewQueue(pool, redis.QueueConfig{}).Enqueue(t.Context(), batchOf(1, 1))
			checkCode(t, err, domain.CodeUnavailable)
			if domain.MessageOf(err) != c.message || !hasAll(err.Error(), c.advice, "queue.enqueue") {
				t.Errorf("error %q", err)
			}
		})
	}
	t.Run("unknown", func(t *testing.T) {
		relay := newRelay(t, servers.SharedRedis(t).Address())
		pool := open(t, redis.Config{URL: "redis://" + relay.Address()})
		relay.Answer("-ERR syntax error\r\n")
		checkCode(t, pool.Check(t.Context()), domain.CodeInternal)
	})
}

func TestTLS(t *testing.T) {
	server := servers.SharedRedis(t)
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certified.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	relay := relayAt(t, listener, server.Address())
	url := "rediss://" + relay.Address()

	checkNotOpen(t, redis.Config{URL: url}, "certificate")
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	pool := open(t, redis.Config{URL: url, TLS: &tls.Config{RootCAs: roots}})
	must(t, pool.Check(t.Context()))
}

// What no waiting can cure ends the start at once.
func TestMistakesAreNotWaitedFor(t *testing.T) {
	server := servers.SharedRedis(t)
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	config := &tls.Config{Certificates: certified.TLS.Certificates}
	demanding := config.Clone()
	demanding.ClientAuth = tls.RequireAnyClientCert
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	trusting := &tls.Config{RootCAs: roots}
	relayed := func(config *tls.Config) string {
		listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
		if err != nil {
			t.Fatal(err)
		}
		return "rediss://" + relayAt(t, listener, server.Address()).Address()
	}
	talker := newRelay(t, server.Address())
	talker.Answer("HTTP/1.1 400 Bad Request\r\n\r\n")
	plain := httptest.NewServer(nil)
	defer plain.Close()
	for name, c := range map[string]struct {
		config redis.Config
		want   string
	}{
		"database":     {redis.Config{URL: server.URL() + "/99"}, "has no database of this number: correct it in REDIS_URL"},
		"TLS":          {redis.Config{URL: "rediss://" + server.Address()}, "let REDIS_URL begin with redis://"},
		"TLS answered": {redis.Config{URL: "rediss://" + strings.TrimPrefix(plain.URL, "http://")}, "let REDIS_URL begin with redis://"},
		"certificate":  {redis.Config{URL: relayed(config)}, "the certificate of Redis is not trusted: let REDIS_URL"},
		"refused":      {redis.Config{URL: relayed(demanding), TLS: trusting}, "cannot agree on TLS: let REDIS_URL"},
		"no Redis":     {redis.Config{URL: "redis://" + talker.Address()}, "what answers is not Redis: correct host and port in REDIS_URL"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			start := time.Now()
			pool, err := redis.Open(ctx, c.config)
			if err == nil {
				_ = pool.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			checkCode(t, err, domain.CodeUnavailable)
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// No key with a name of its own may hold something of another program.
func TestEveryKeyIsLookedAt(t *testing.T) {
	server := servers.SharedRedis(t)
	console := newConsole(t, server.URL())
	for _, key := range []string{"", ":size", ":arrivals", ":workers", ":dead", ":dead:names", ":dead:size", ":secret", ":receipts", ":receipts:order"} {
		prefix := newPrefix()
		config := redis.Config{URL: server.URL(), Prefix: prefix}
		pool := open(t, config)
		must(t, pool.Check(t.Context()))
		console.do("GEOADD", prefix+":other", 1, 1, "x")
		if key == ":workers" || key == ":receipts:order" {
			console.do("SET", prefix+key, "x")
		} else {
			console.do("RENAME", prefix+":other", prefix+key)
		}
		checkNotOpen(t, config, "QUEUE_KEY", prefix+key+" is a ")
		checkCode(t, pool.Check(t.Context()), domain.CodeUnavailable)
	}
}
