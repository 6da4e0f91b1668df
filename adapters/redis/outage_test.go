package redis_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/logs"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// atOnce is how long a call may take that is known to be in vain. Really it is
// microseconds.
const atOnce = 100 * time.Millisecond

// callTimeout is longer than a busy machine needs for a call.
const callTimeout = 800 * time.Millisecond

// checkFast expects every call to fail at once.
func checkFast(t *testing.T, pool *redis.Pool, q *redis.Queue) {
	t.Helper()
	for name, call := range map[string]func() error{
		"Enqueue": func() error { return q.Enqueue(t.Context(), batchOf(99, 1)) },
		"Receive": func() error {
			_, err := q.Receive(t.Context(), 1, time.Minute)
			return err
		},
		"Check": func() error { return pool.Check(t.Context()) },
	} {
		start := time.Now()
		checkCode(t, call(), domain.CodeUnavailable)
		if took := time.Since(start); took > atOnce {
			t.Errorf("%s took %v", name, took)
		}
	}
}

func recovers(t *testing.T, pool *redis.Pool) {
	t.Helper()
	eventually(t, "Redis is back", func() bool { return pool.Check(t.Context()) == nil })
}

func TestAPausedServer(t *testing.T) {
	server := servers.Redis(t)
	pool := open(t, redis.Config{URL: server.URL(), CallTimeout: callTimeout})
	q := redis.NewQueue(pool, redis.QueueConfig{})
	must(t, q.Enqueue(t.Context(), batchOf(1, 1)))
	server.Pause()
	start := time.Now()
	err := q.Enqueue(t.Context(), batchOf(2, 1))
	checkCode(t, err, domain.CodeUnavailable)
	if took := time.Since(start); took < callTimeout/2 || took > 3*callTimeout {
		t.Errorf("gave up after %v", took)
	}
	if got := domain.MessageOf(err); got != "the queue does not answer in time" {
		t.Errorf("message %q", got)
	}
	checkFast(t, pool, q)
	server.Resume()
	recovers(t, pool)
	must(t, q.Enqueue(t.Context(), batchOf(3, 1)))
	// The second one may have arrived, now or later; its sender was told so.
	got := receive(t, q, 0)
	if got[batchOf(1, 0).ID] != 1 || got[batchOf(3, 0).ID] != 1 {
		t.Errorf("received %v", got)
	}
}

func TestAServerThatIsGone(t *testing.T) {
	server := servers.Redis(t, "appendonly yes", "appendfsync always")
	log := new(logs.Buffer)
	pool := open(t, redis.Config{URL: server.URL(), Log: log.Logger()})
	q := redis.NewQueue(pool, redis.QueueConfig{})
	must(t, q.Enqueue(t.Context(), batchOf(1, 1)))
	waiting := make(chan error)
	receive(t, q, 0)
	go func() {
		_, err := q.Receive(t.Context(), 1, time.Minute)
		waiting <- err
	}()
	server.Kill()
	checkCode(t, <-waiting, domain.CodeUnavailable)
	eventually(t, "the outage is noticed", func() bool { return q.Enqueue(t.Context(), batchOf(2, 1)) != nil })
	checkFast(t, pool, q)
	if got := domain.MessageOf(q.Enqueue(t.Context(), batchOf(2, 1))); got != "the queue cannot be reached" {
		t.Errorf("message %q", got)
	}
	server.Start(t)
	recovers(t, pool)
	checkHeld(t, q, 1, 1)
	if text := log.String(); strings.Count(text, "Redis is away") != 1 || strings.Count(text, "Redis is back") != 1 {
		t.Errorf("logged:\n%s", text)
	}
}

// A restart between two calls costs no client an error.
func TestAServerThatWasRestartedMeanwhile(t *testing.T) {
	server := servers.Redis(t, "appendonly yes", "appendfsync always")
	pool := open(t, redis.Config{URL: server.URL()})
	q := redis.NewQueue(pool, redis.QueueConfig{})
	must(t, q.Enqueue(t.Context(), batchOf(1, 1)))
	server.Restart(t)
	time.Sleep(1100 * time.Millisecond) // from then on an idle connection is tested first
	must(t, q.Enqueue(t.Context(), batchOf(2, 1)))
	if got := receive(t, q, 0); len(got) != 2 {
		t.Errorf("received %v", got)
	}
}

// A connection that breaks costs the call that it breaks in, and no other.
func TestBrokenConnections(t *testing.T) {
	server := servers.Redis(t)
	console := newConsole(t, server.URL())
	pool := open(t, redis.Config{URL: server.URL()})
	q := redis.NewQueue(pool, redis.QueueConfig{})
	connectSeveral(t, console, q)
	console.do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	for failures := 0; ; failures++ {
		if failures > 1 {
			t.Fatal("more than one call failed")
		}
		if q.Enqueue(t.Context(), batchOf(9, 1)) == nil {
			break
		}
	}
	for range 8 {
		must(t, pool.Check(t.Context()))
	}
}

func TestAKilledServerKeepsWhatItAccepted(t *testing.T) {
	const senders, kills = 4, 3
	// Always, because with everysec a killed server loses what it accepted
	// while it waits for its disk.
	server := servers.Redis(t, "appendonly yes", "appendfsync always")
	prefix := newPrefix()
	q := redis.NewQueue(open(t, redis.Config{URL: server.URL(), Prefix: prefix}), redis.QueueConfig{MaxEvents: 1_000_000})
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	accepted, failed := make(map[domain.BatchID]bool), 0
	var group sync.WaitGroup
	for i := range senders {
		group.Go(func() {
			for n := i; ctx.Err() == nil; n += senders {
				b := batchOf(n, 1+n%5)
				err := q.Enqueue(context.WithoutCancel(ctx), b)
				mu.Lock()
				if err == nil {
					accepted[b.ID] = true
				} else {
					failed++
				}
				mu.Unlock()
			}
		})
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(accepted)
	}
	for range kills {
		before := count()
		eventually(t, "there is load", func() bool { return count() > before+200 })
		server.Restart(t)
	}
	before := count()
	eventually(t, "there is load again", func() bool { return count() > before+50 })
	stop()
	group.Wait()
	if failed == 0 {
		t.Error("no call failed: nothing was killed under load")
	}

	worker := redis.NewQueue(open(t, redis.Config{URL: server.URL(), Prefix: prefix}), redis.QueueConfig{})
	received := make(map[domain.BatchID]bool)
	for {
		got := receive(t, worker, 0)
		if len(got) == 0 {
			break
		}
		for id := range got {
			if received[id] {
				t.Errorf("%s was handed out twice", id)
			}
			received[id] = true
		}
		acknowledgeAll(t, worker, got)
	}
	for id := range accepted {
		if !received[id] {
			t.Errorf("%s was accepted and is gone", id)
		}
	}
	t.Logf("%d accepted, %d failed, %d received", len(accepted), failed, len(received))
	checkHeld(t, worker, 0, 0)
}

// The worst time for a connection to break is after the server has done what
// it was asked for and before it has said so.
func TestAnswersThatAreLost(t *testing.T) {
	for name, c := range map[string]struct {
		call func(ctx context.Context, q *redis.Queue) error
		// want is what can be received afterwards, in what attempt.
		want map[int]int
	}{
		"Enqueue": {
			func(ctx context.Context, q *redis.Queue) error { return q.Enqueue(ctx, batchOf(5, 1)) },
			map[int]int{2: 1, 5: 1},
		},
		"Receive": {
			func(ctx context.Context, q *redis.Queue) error {
				_, err := q.Receive(ctx, 1, 0)
				return err
			},
			map[int]int{2: 2},
		},
		"Acknowledge": {
			func(ctx context.Context, q *redis.Queue) error { return q.Acknowledge(ctx, batchOf(1, 1).ID) },
			map[int]int{2: 1},
		},
		"Return": {
			func(ctx context.Context, q *redis.Queue) error { return q.Return(ctx, batchOf(1, 1).ID) },
			map[int]int{1: 2, 2: 1},
		},
		"Bury": {
			func(ctx context.Context, q *redis.Queue) error { return q.Bury(ctx, batchOf(1, 1).ID, "refused") },
			map[int]int{2: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := servers.SharedRedis(t)
			relay := newRelay(t, server.Address())
			pool := open(t, redis.Config{URL: server.URLAt(relay.Address()), CallTimeout: callTimeout})
			q := redis.NewQueue(pool, redis.QueueConfig{})
			must(t, q.Enqueue(t.Context(), batchOf(1, 1)))
			must(t, q.Enqueue(t.Context(), batchOf(2, 1)))
			if first, err := q.Receive(t.Context(), 1, 0); err != nil || len(first) != 1 {
				t.Fatalf("received %v, %v", first, err)
			}
			// A script that the server does not know yet would be sent twice.
			must(t, q.Acknowledge(t.Context(), "unknown"))
			must(t, q.Return(t.Context(), "unknown"))
			must(t, q.Bury(t.Context(), "unknown", "refused"))
			relay.Mute()
			checkCode(t, c.call(t.Context(), q), domain.CodeUnavailable)
			relay.Restore()
			recovers(t, pool)
			got := receive(t, q, 0)
			if len(got) != len(c.want) {
				t.Errorf("received %v, want %v", got, c.want)
			}
			for number, attempt := range c.want {
				if got[batchOf(number, 0).ID] != attempt {
					t.Errorf("received %v, want %v", got, c.want)
				}
			}
		})
	}
}

// When requests are lost, what was in our hands must come back too.
func TestRequestsThatAreLost(t *testing.T) {
	for name, call := range map[string]func(ctx context.Context, q *redis.Queue) error{
		"Acknowledge": func(ctx context.Context, q *redis.Queue) error { return q.Acknowledge(ctx, batchOf(1, 0).ID) },
		"Return":      func(ctx context.Context, q *redis.Queue) error { return q.Return(ctx, batchOf(1, 0).ID) },
		"Bury":        func(ctx context.Context, q *redis.Queue) error { return q.Bury(ctx, batchOf(1, 0).ID, "refused") },
	} {
		t.Run(name, func(t *testing.T) {
			q, _, _ := bench(t, 0)
			must(t, q.Enqueue(t.Context(), batchOf(1, 1)))
			receive(t, q, 0)
			cancelled, cancel := context.WithCancel(t.Context())
			cancel()
			checkCode(t, call(cancelled, q), domain.CodeUnavailable)
			if got := receive(t, q, 0); got[batchOf(1, 0).ID] != 2 {
				t.Errorf("received %v, want batch 1 for the second time", got)
			}
		})
	}
}

func TestAServerThatBecomesAReplica(t *testing.T) {
	primary, server := servers.Redis(t), servers.Redis(t)
	pool := open(t, redis.Config{URL: server.URL()})
	q := redis.NewQueue(pool, redis.QueueConfig{})
	must(t, q.Enqueue(t.Context(), batchOf(1, 1)))
	console := newConsole(t, server.URL())
	console.do("REPLICAOF", "127.0.0.1", primary.Port())
	err := q.Enqueue(t.Context(), batchOf(2, 1))
	checkCode(t, err, domain.CodeUnavailable)
	if !hasAll(err.Error(), "the queue is read-only", "primary", "REDIS_URL") {
		t.Errorf("error %q", err)
	}
	// No other call asks a server that is known to be the wrong one.
	if err := q.Enqueue(t.Context(), batchOf(2, 1)); !hasAll(fmt.Sprint(err), "away since", "the queue is read-only") {
		t.Errorf("error %q", err)
	}
	checkFast(t, pool, q)
	console.do("REPLICAOF", "NO", "ONE")
	recovers(t, pool)
	must(t, q.Enqueue(t.Context(), batchOf(3, 1)))
}

func TestAFullMemoryCanBeDrained(t *testing.T) {
	server := servers.Redis(t, "maxmemory-policy noeviction")
	console := newConsole(t, server.URL())
	pool := open(t, redis.Config{URL: server.URL()})
	q := redis.NewQueue(pool, redis.QueueConfig{})
	cache := redis.NewCache(pool, redis.CacheConfig{})
	for i := range 3 {
		must(t, q.Enqueue(t.Context(), batchOf(i+1, 1)))
	}
	must(t, pool.Check(t.Context()))
	console.do("CONFIG", "SET", "maxmemory", "100")

	err := q.Enqueue(t.Context(), batchOf(4, 1))
	checkCode(t, err, domain.CodeUnavailable)
	if !hasAll(err.Error(), "the queue's memory is full", "maxmemory") {
		t.Errorf("error %q", err)
	}
	checkCode(t, pool.Check(t.Context()), domain.CodeUnavailable)
	checkCode(t, cache.Set(t.Context(), "key", []byte("value"), time.Minute), domain.CodeUnavailable)
	if got := receive(t, q, 10*time.Millisecond); len(got) != 3 {
		t.Errorf("received %v", got)
	}
	must(t, q.Return(t.Context(), batchOf(1, 0).ID, batchOf(2, 0).ID))
	must(t, q.Bury(t.Context(), batchOf(3, 0).ID, "refused"))
	if got := receive(t, q, 0); len(got) != 2 {
		t.Errorf("received %v", got)
	}
	must(t, q.Acknowledge(t.Context(), batchOf(1, 0).ID, batchOf(2, 0).ID))
	checkHeld(t, q, 0, 0)
	must(t, q.Replay(t.Context(), batchOf(3, 0).ID))

	console.do("CONFIG", "SET", "maxmemory", "0")
	must(t, q.Enqueue(t.Context(), batchOf(4, 1)))
	must(t, pool.Check(t.Context()))
}

// After a failover the old primary may still be there, with our connections to
// it open.
func TestAServerWhoseNameMovesOn(t *testing.T) {
	old, next := servers.Redis(t), servers.Redis(t)
	relay := newRelay(t, old.Address())
	pool := open(t, redis.Config{URL: old.URLAt(relay.Address())})
	q := redis.NewQueue(pool, redis.QueueConfig{})
	console := newConsole(t, old.URL())
	connectSeveral(t, console, q)
	relay.target.Store(next.Address())
	console.do("REPLICAOF", "127.0.0.1", next.Port())
	checkCode(t, q.Enqueue(t.Context(), batchOf(8, 1)), domain.CodeUnavailable)
	recovers(t, pool)
	for range 8 {
		must(t, q.Enqueue(t.Context(), batchOf(9, 1)))
	}
	checkHeld(t, q, 8, 8)
}

// Calls that began before an outage may fail when it is long over.
func TestALateFailureIsNoNewOutage(t *testing.T) {
	server := servers.SharedRedis(t)
	relay := newRelay(t, server.Address())
	log := new(logs.Buffer)
	pool := open(t, redis.Config{URL: server.URLAt(relay.Address()), CallTimeout: callTimeout, Log: log.Logger()})
	q := redis.NewQueue(pool, redis.QueueConfig{Heartbeat: 4 * time.Second})
	waiting := make(chan error)
	go func() {
		_, err := q.Receive(t.Context(), 1, time.Minute)
		waiting <- err
	}()
	console := newConsole(t, server.URL())
	eventually(t, "the worker waits", func() bool { return blocked(console) == 1 })
	must(t, pool.Check(t.Context()))
	relay.MuteOld()
	checkCode(t, pool.Check(t.Context()), domain.CodeUnavailable)
	recovers(t, pool)
	checkCode(t, <-waiting, domain.CodeUnavailable)
	must(t, pool.Check(t.Context()))
	if text := log.String(); strings.Count(text, "Redis is away") != 1 {
		t.Errorf("logged:\n%s", text)
	}
}

// connectSeveral has the queue's pool make several connections.
func connectSeveral(t *testing.T, c console, q *redis.Queue) {
	t.Helper()
	eventually(t, "there are several connections", func() bool {
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				_, err := q.Depth(t.Context())
				must(t, err)
			})
		}
		group.Wait()
		return connections(c) > 3
	})
}

// connections is how many there are beside the console's own.
func connections(c console) int {
	return strings.Count(string(c.do("CLIENT", "LIST").([]byte)), "\n") - 1
}

// openOneConnection returns a queue with one batch, the pool behind it, which has one
// connection for calls, and a console of its server.
func openOneConnection(t *testing.T) (console, *redis.Pool, *redis.Queue) {
	t.Helper()
	server := servers.Redis(t)
	pool := open(t, redis.Config{URL: server.URL(), MaxConnections: 1, CallTimeout: time.Minute})
	q := redis.NewQueue(pool, redis.QueueConfig{})
	must(t, q.Enqueue(t.Context(), batchOf(1, 1)))
	return newConsole(t, server.URL()), pool, q
}

// A caller that went away costs no connection: what it asked for is done.
func TestACancelledCallKeepsItsConnection(t *testing.T) {
	console, _, q := openOneConnection(t)
	before := made(t, console)
	console.do("CLIENT", "PAUSE", 300, "WRITE")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- q.Enqueue(ctx, batchOf(2, 1)) }()
	eventually(t, "the call is under way", func() bool {
		return strings.Contains(string(console.do("INFO", "clients").([]byte)), "blocked_clients:1")
	})
	cancel()
	must(t, <-done)
	checkHeld(t, q, 2, 2)
	if after := made(t, console); after != before {
		t.Errorf("%d connections were made", after-before)
	}
}

// An answer that comes too late is never taken for that of the next call.
func TestALateAnswer(t *testing.T) {
	console, pool, q := openOneConnection(t)
	console.do("CLIENT", "PAUSE", 500, "WRITE")
	hurried, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	checkCode(t, q.Enqueue(hurried, batchOf(2, 1)), domain.CodeUnavailable)
	for range 3 {
		at, err := redis.NewClock(pool).Time(t.Context())
		if err != nil || at.At.IsZero() {
			t.Errorf("the clock shows %v, %v", at.At, err)
		}
	}
	got := receive(t, q, 0)
	if len(got) == 0 || got[batchOf(1, 0).ID] != 1 {
		t.Errorf("received %v", got)
	}
}

// made is how many connections the server has accepted.
func made(t *testing.T, c console) int { return statistic(t, c, "total_connections_received") }

// A server that answers late serves as many as it can; the others are refused in time,
// and take neither connections nor goroutines with them.
func TestASlowServer(t *testing.T) {
	server := servers.Redis(t)
	relay := newRelay(t, server.Address())
	pool := open(t, redis.Config{URL: server.URLAt(relay.Address()), MaxConnections: 2, CallTimeout: callTimeout})
	q := redis.NewQueue(pool, redis.QueueConfig{})
	console := newConsole(t, server.URL())
	must(t, q.Enqueue(t.Context(), batchOf(1, 1)))
	relay.late.Store(int64(callTimeout / 3))
	goroutines := runtime.NumGoroutine()
	var group sync.WaitGroup
	var held atomic.Int64
	for i := range 60 {
		group.Go(func() {
			start := time.Now()
			err := q.Enqueue(t.Context(), batchOf(i+2, 1))
			if took := time.Since(start); took > 3*callTimeout {
				t.Errorf("a call took %v", took)
			}
			if err == nil {
				held.Add(1)
				return
			}
			checkCode(t, err, domain.CodeUnavailable)
		})
	}
	group.Wait()
	if n := held.Load(); n == 0 || n > 10 {
		t.Errorf("%d batches are held: nothing is shown by this", n)
	}
	relay.late.Store(0)
	recovers(t, pool)
	must(t, q.Enqueue(t.Context(), batchOf(99, 1)))
	eventually(t, "no connection is left beside the two", func() bool { return connections(console) <= 2 })
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines+8 })
}

func TestABusyPool(t *testing.T) {
	server := servers.Redis(t)
	relay := newRelay(t, server.Address())
	pool := open(t, redis.Config{
		URL: server.URLAt(relay.Address()), MaxConnections: 2, CallTimeout: 2 * time.Second,
	})
	q := redis.NewQueue(pool, redis.QueueConfig{})
	console := newConsole(t, server.URL())
	must(t, q.Enqueue(t.Context(), batchOf(1, 1)))
	relay.Mute()
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for i := range 6 {
		group.Go(func() { checkCode(t, q.Enqueue(ctx, batchOf(i+2, 1)), domain.CodeUnavailable) })
	}
	eventually(t, "all connections are made", func() bool { return connections(console) == 2 })
	for end := time.Now().Add(100 * time.Millisecond); time.Now().Before(end); {
		if n := connections(console); n > 2 {
			t.Fatalf("%d connections", n)
		}
	}
	cancel()
	group.Wait()
	relay.Restore()
	// A caller who gives up early says nothing about the server, whether it is
	// cancelled or has too little time.
	relay.Mute()
	hurried, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	checkCode(t, q.Enqueue(hurried, batchOf(9, 1)), domain.CodeUnavailable)
	relay.Restore()
	must(t, q.Enqueue(t.Context(), batchOf(9, 1)))
}
