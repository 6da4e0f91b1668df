package redis_test

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// newAnswers shares answers over a cache in Redis, as one process does.
func newAnswers(t *testing.T, config redis.Config, lease time.Duration) *app.Answers {
	t.Helper()
	cache := redis.NewCache(open(t, config), redis.CacheConfig{})
	answers := app.NewAnswers(cache, systemClock{}, slog.New(slog.DiscardHandler),
		app.AnswersConfig{Fresh: time.Minute, Stale: time.Hour, Lease: lease})
	t.Cleanup(func() { must(t, answers.Close(context.WithoutCancel(t.Context()))) })
	return answers
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

var started = time.Now()

func (systemClock) Elapsed() time.Duration { return time.Since(started) }

// gather lets n readers ask at the same time. The computation takes until all
// have come, and a little longer.
func gather(t *testing.T, n int, question string, processes ...*app.Answers) (computations int64) {
	t.Helper()
	var (
		readers      sync.WaitGroup
		asking, done atomic.Int64
	)
	compute := func(context.Context) (app.Content, error) {
		for tick := time.Tick(time.Millisecond); asking.Load() < int64(n); {
			<-tick
		}
		time.Sleep(100 * time.Millisecond)
		done.Add(1)
		return app.NewContent([]byte("answer"), ""), nil
	}
	for i := range n {
		readers.Go(func() {
			asking.Add(1)
			answer, err := processes[i%len(processes)].Get(t.Context(), question, compute)
			if err != nil || string(answer.Plain) != "answer" {
				t.Errorf("answer is %q, %v", answer.Plain, err)
			}
		})
	}
	readers.Wait()
	return done.Load()
}

func TestTwoProcessesComputeAnAnswerOnce(t *testing.T) {
	config := redis.Config{URL: servers.SharedRedis(t).URL(), Prefix: newPrefix()}
	one, two := newAnswers(t, config, 0), newAnswers(t, config, 0)
	for _, question := range []string{"first", "second", "third"} {
		if n := gather(t, 200, question, one, two); n != 1 {
			t.Errorf("%s: %d computations, want 1", question, n)
		}
	}
	a, b := one.Counts(), two.Counts()
	if a.Computations+b.Computations != 3 || a.CacheErrors+b.CacheErrors != 0 {
		t.Errorf("counts %+v and %+v", a, b)
	}
}

func TestAClaimOutlivesItsProcessForAMoment(t *testing.T) {
	const lease = 300 * time.Millisecond
	server := servers.SharedRedis(t)
	config := redis.Config{URL: server.URL(), Prefix: newPrefix()}
	begun, block := make(chan struct{}), make(chan struct{})
	line := newRelay(t, server.Address())
	dying := newAnswers(t, redis.Config{URL: server.URLAt(line.Address()), Prefix: config.Prefix}, lease)
	go func() {
		_, _ = dying.Get(context.WithoutCancel(t.Context()), "question", func(context.Context) (app.Content, error) {
			close(begun)
			<-block
			return app.NewContent([]byte("too late"), ""), nil
		})
	}()
	<-begun
	line.Cut() // nothing of it is heard again
	start := time.Now()
	if n := gather(t, 50, "question", newAnswers(t, config, lease)); n != 1 {
		t.Errorf("%d computations, want 1", n)
	}
	if took := time.Since(start); took < lease/3 || took > 20*lease {
		t.Errorf("took %v with a lease of %v", took, lease)
	}
	close(block)
}

// An outage costs the first to notice it at most a call's time, and the others
// nothing.
func TestAnswersGoOnWithoutRedis(t *testing.T) {
	server := servers.SharedRedis(t)
	line := newRelay(t, server.Address())
	answers := newAnswers(t, redis.Config{URL: server.URLAt(line.Address())}, 0)
	if n := gather(t, 10, "question", answers); n != 1 {
		t.Fatalf("%d computations, want 1", n)
	}
	line.Cut()
	compute := func(context.Context) (app.Content, error) { return app.NewContent([]byte("answer"), ""), nil }
	asked := 0
	another := func() string { asked++; return strconv.Itoa(asked) } // question, which the process cannot answer
	eventually(t, "the outage is noticed", func() bool {
		_, err := answers.Get(t.Context(), another(), compute)
		must(t, err)
		return answers.Counts().CacheErrors > 0
	})
	if n := gather(t, 100, another(), answers); n != 1 {
		t.Errorf("%d computations for readers of one moment, want 1", n)
	}
	start := time.Now()
	for range 200 {
		_, err := answers.Get(t.Context(), another(), compute)
		must(t, err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("200 answers took %v", took)
	}
}

func TestNothingOfAQuestionStaysForEver(t *testing.T) {
	server := servers.SharedRedis(t)
	s := newConsole(t, server.URL())
	prefix := newPrefix()
	answers := newAnswers(t, redis.Config{URL: server.URL(), Prefix: prefix}, 0)
	if n := gather(t, 1, "tool=get_canary", answers); n != 1 {
		t.Fatalf("%d computations", n)
	}
	keys, err := redigo.Strings(s.do("KEYS", prefix+":*"), nil)
	must(t, err)
	kept := 0
	for _, key := range keys {
		switch {
		case hasAll(key, ":claim:"):
			t.Errorf("the claim %s was not released", key)
		case hasAll(key, ":cache:answer:"):
			kept++
			if left := s.number("TTL", key); left <= 0 || left > 3661 {
				t.Errorf("%s ends in %d s", key, left)
			}
		}
		if hasAll(key, "canary") {
			t.Errorf("key %s tells what was asked", key)
		}
	}
	if kept != 1 {
		t.Errorf("%d answers are kept among %q", kept, keys)
	}
}
