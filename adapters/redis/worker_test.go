package redis_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	redigo "github.com/gomodule/redigo/redis"
	"go.uber.org/goleak"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// A process of this test that has these variables is a worker: it receives
// what there is, says so, and holds it until it is killed.
const (
	workerURL    = "TEST_WORKER_REDIS_URL"
	workerPrefix = "TEST_WORKER_PREFIX"
)

// heartbeat is short, and yet longer than a busy machine stalls a process.
const heartbeat = 1500 * time.Millisecond

func holdForEver(url, prefix string) {
	pool, err := redis.Open(context.Background(), redis.Config{URL: url, Prefix: prefix})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	queue := redis.NewQueue(pool, redis.QueueConfig{Heartbeat: heartbeat})
	deliveries, err := queue.Receive(context.Background(), 1000, time.Minute)
	fmt.Println("holding", len(deliveries), err)
	select {}
}

// startWorker starts a process that holds what is in the queue.
func startWorker(t *testing.T, url, prefix string) *exec.Cmd {
	t.Helper()
	worker := exec.Command(os.Args[0])
	worker.Env = append(os.Environ(), workerURL+"="+url, workerPrefix+"="+prefix)
	output, err := worker.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = worker.Process.Kill()
		_ = worker.Wait()
	})
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "holding ") {
		t.Fatalf("the worker says %q, %v", line, err)
	}
	return worker
}

func TestWhatAKilledWorkerHeldIsHandedOutAgain(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
		t.Run(signal.String(), func(t *testing.T) {
			url := servers.SharedRedis(t).URL()
			pool := open(t, redis.Config{URL: url})
			queue := redis.NewQueue(pool, redis.QueueConfig{Heartbeat: heartbeat})
			prefix := fmt.Sprintf("test:%d", prefixes.Load())
			must(t, queue.Enqueue(t.Context(), batchOf(1, 2)))
			must(t, queue.Enqueue(t.Context(), batchOf(2, 2)))
			worker := startWorker(t, url, prefix)

			// It shows itself: what it holds stays in its hands.
			for end := time.Now().Add(2 * heartbeat); time.Now().Before(end); {
				if got := receive(t, queue, 100*time.Millisecond); len(got) > 0 {
					t.Fatalf("received %v while the worker lives", got)
				}
			}
			must(t, worker.Process.Signal(signal))
			start := time.Now()
			got := receive(t, queue, 20*time.Second)
			if len(got) != 2 || got[batchOf(1, 0).ID] != 2 || got[batchOf(2, 0).ID] != 2 {
				t.Errorf("received %v, want batches 1 and 2 for the second time", got)
			}
			if took := time.Since(start); took > 3*heartbeat {
				t.Errorf("after %v, with a heartbeat of %v", took, heartbeat)
			}
		})
	}
}

// By default what a worker held that is killed is free three seconds later.
func TestADeadWorkerIsMissedSoon(t *testing.T) {
	server, prefix := servers.Redis(t), newPrefix()
	console := newConsole(t, server.URL())
	worker := redis.NewQueue(open(t, redis.Config{URL: server.URL(), Prefix: prefix}), redis.QueueConfig{})
	must(t, worker.Enqueue(t.Context(), batchOf(1, 1)))
	receive(t, worker, 0)
	left, err := redigo.Int(console.do("EVAL", "return redis.call('ZSCORE', KEYS[1], ARGV[1]) - redis.call('TIME')[1] * 1000",
		1, prefix+":workers", worker.WorkerName()), nil)
	if err != nil || left > 4_000 { // the server's time is in whole seconds here
		t.Errorf("it counts as alive for %d ms, %v", left, err)
	}
}

// What a dead worker held is handed out although it showed itself at a time that
// the server's clock, which was set back since, has not reached yet.
func TestAServerClockSetBackKeepsNoBatchInDeadHands(t *testing.T) {
	server := servers.SharedRedis(t)
	prefix := newPrefix()
	dead := redis.NewQueue(open(t, redis.Config{URL: server.URL(), Prefix: prefix}), redis.QueueConfig{Heartbeat: time.Minute})
	other := redis.NewQueue(open(t, redis.Config{URL: server.URL(), Prefix: prefix}), redis.QueueConfig{})
	console := newConsole(t, server.URL())
	must(t, dead.Enqueue(t.Context(), batchOf(1, 1)))
	receive(t, dead, 0)
	if got := receive(t, other, 0); len(got) != 0 {
		t.Fatalf("received %v while the worker lives", got)
	}
	console.do("ZADD", prefix+":workers", time.Now().Add(2*time.Hour).UnixMilli(), dead.WorkerName())
	if got := receive(t, other, 0); len(got) != 1 {
		t.Errorf("received %v, want what the dead worker held", got)
	}
}

// A worker that was cut off for longer than its heartbeat has lost what it held
// to another. What it does about it then must do no harm.
func TestAWorkerThatComesBackTooLate(t *testing.T) {
	server := servers.SharedRedis(t)
	prefix := newPrefix()
	late := redis.NewQueue(open(t, redis.Config{URL: server.URL(), Prefix: prefix}), redis.QueueConfig{})
	other := redis.NewQueue(open(t, redis.Config{URL: server.URL(), Prefix: prefix}), redis.QueueConfig{})
	console := newConsole(t, server.URL())
	for i := range 4 {
		must(t, late.Enqueue(t.Context(), batchOf(i+1, 1)))
	}
	receive(t, late, 0)
	console.do("ZREM", prefix+":workers", late.WorkerName())
	if got := receive(t, other, 0); len(got) != 4 {
		t.Fatalf("received %v", got)
	}

	must(t, late.Return(t.Context(), batchOf(1, 0).ID))
	if got := receive(t, late, 0); len(got) > 0 {
		t.Errorf("took back %v, which another holds", got)
	}
	// The late worker has stored this one after all: nobody need do it again.
	must(t, late.Acknowledge(t.Context(), batchOf(2, 0).ID))
	must(t, late.Bury(t.Context(), batchOf(3, 0).ID, "refused"))
	must(t, other.Acknowledge(t.Context(), batchOf(1, 0).ID, batchOf(2, 0).ID, batchOf(3, 0).ID))
	depth, err := other.Depth(t.Context())
	if err != nil || depth.Batches != 1 || depth.Events != 1 || depth.DeadLetters != 1 {
		t.Errorf("%+v, %v", depth, err)
	}
}

// Attempts begin anew with a new group, so they alone do not tell holders apart.
func TestNobodyReturnsWhatAnotherHolds(t *testing.T) {
	server := servers.SharedRedis(t)
	prefix := newPrefix()
	one := redis.NewQueue(open(t, redis.Config{URL: server.URL(), Prefix: prefix}), redis.QueueConfig{})
	other := redis.NewQueue(open(t, redis.Config{URL: server.URL(), Prefix: prefix}), redis.QueueConfig{})
	must(t, one.Enqueue(t.Context(), batchOf(1, 1)))
	receive(t, one, 0)
	newConsole(t, server.URL()).do("XGROUP", "DESTROY", prefix, "workers")
	receive(t, other, 0)
	must(t, one.Return(t.Context(), batchOf(1, 0).ID))
	if got := receive(t, one, 0); len(got) > 0 {
		t.Errorf("received %v, which another holds", got)
	}
}

// A call that was given up may reach the server yet.
func TestAReturnThatArrivesLate(t *testing.T) {
	q, console, prefix := bench(t, 0)
	must(t, q.Enqueue(t.Context(), batchOf(1, 1)))
	receive(t, q, 0)
	entry := console.do("XPENDING", prefix, "workers", "-", "+", 1).([]any)[0].([]any)[0]
	must(t, q.Return(t.Context(), batchOf(1, 0).ID))
	receive(t, q, 0)
	_, err := redis.ReturnScript.Do(console.conn, prefix, prefix+":arrivals", q.WorkerName(), entry, 1)
	must(t, err)
	if got := receive(t, redis.NewQueue(open(t, redis.Config{URL: servers.SharedRedis(t).URL(), Prefix: prefix}),
		redis.QueueConfig{}), 0); len(got) > 0 {
		t.Errorf("received %v, which another holds", got)
	}
}

// Nothing but an announcement can wake these workers in time.
func TestWhatWakesAWorker(t *testing.T) {
	for name, c := range map[string]struct {
		arrive func(q *redis.Queue, pool *redis.Pool) error
		want   int
	}{
		"Enqueue": {func(q *redis.Queue, _ *redis.Pool) error { return q.Enqueue(t.Context(), batchOf(2, 1)) }, 2},
		"Return":  {func(q *redis.Queue, _ *redis.Pool) error { return q.Return(t.Context(), batchOf(1, 1).ID) }, 1},
		"Replay":  {func(q *redis.Queue, _ *redis.Pool) error { return q.Replay(t.Context(), batchOf(3, 1).ID) }, 3},
		"Close":   {func(_ *redis.Queue, pool *redis.Pool) error { return pool.Close() }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			url, prefix := servers.SharedRedis(t).URL(), newPrefix()
			patient := redis.QueueConfig{Heartbeat: 10 * time.Minute}
			waiter := redis.NewQueue(open(t, redis.Config{URL: url, Prefix: prefix}), patient)
			pool := open(t, redis.Config{URL: url, Prefix: prefix})
			q := redis.NewQueue(pool, patient)
			must(t, q.Enqueue(t.Context(), batchOf(1, 1)))
			must(t, q.Enqueue(t.Context(), batchOf(3, 1)))
			receive(t, q, 0)
			must(t, q.Bury(t.Context(), batchOf(3, 1).ID, "refused"))
			got := make(chan map[domain.BatchID]int, 1)
			go func() { got <- receive(t, waiter, 10*time.Second) }()
			console := newConsole(t, url)
			eventually(t, "the worker waits", func() bool {
				return blocked(console) == 1 && console.number("LLEN", prefix+":arrivals") == 0
			})
			start := time.Now()
			must(t, c.arrive(q, pool))
			if received := <-got; received[batchOf(c.want, 0).ID] == 0 || time.Since(start) > 5*time.Second {
				t.Errorf("received %v after %v", received, time.Since(start))
			}
		})
	}
}

// One worker is woken at a time; what it leaves wakes the next.
func TestAWorkerWakesTheNext(t *testing.T) {
	for name, strange := range map[string]bool{"new batches": false, "batches of a dead worker": true} {
		t.Run(name, func(t *testing.T) {
			url, prefix := servers.SharedRedis(t).URL(), newPrefix()
			console := newConsole(t, url)
			console.do("XGROUP", "CREATE", prefix, "workers", "0", "MKSTREAM")
			var waiters sync.WaitGroup
			for range 3 {
				q := redis.NewQueue(open(t, redis.Config{URL: url, Prefix: prefix}), redis.QueueConfig{Heartbeat: 10 * time.Minute})
				waiters.Go(func() {
					if got, err := q.Receive(t.Context(), 2, 10*time.Second); err != nil || len(got) != 1 {
						t.Errorf("received %v, %v", got, err)
					}
				})
			}
			eventually(t, "the workers wait", func() bool { return blocked(console) == 3 })
			for i := range 3 {
				b := batchOf(i+1, 2)
				console.do("XADD", prefix, "*", "id", string(b.ID), "n", 2, "t", 1, "b", domain.EncodeEvents(b.Events))
			}
			if strange {
				strangerTakes(console, prefix)
			}
			start := time.Now()
			console.do("LPUSH", prefix+":arrivals", "1")
			waiters.Wait()
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// blocked is how many clients wait for an arrival.
func blocked(c console) int {
	return strings.Count(string(c.do("CLIENT", "LIST").([]byte)), "cmd=blpop")
}

func TestAWorkerThatLeavesGivesBackWhatItHeld(t *testing.T) {
	url, prefix := servers.SharedRedis(t).URL(), newPrefix()
	pool, err := redis.Open(t.Context(), redis.Config{URL: url, Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	leaver := redis.NewQueue(pool, redis.QueueConfig{})
	stayer := redis.NewQueue(open(t, redis.Config{URL: url, Prefix: prefix}), redis.QueueConfig{})
	must(t, leaver.Enqueue(t.Context(), batchOf(1, 1)))
	receive(t, leaver, 0)
	got := make(chan int)
	go func() { got <- receive(t, stayer, 20*time.Second)[batchOf(1, 0).ID] }()
	must(t, pool.Close())
	if attempt := <-got; attempt != 2 {
		t.Errorf("attempt %d, want 2", attempt)
	}
	console := newConsole(t, url)
	if n := console.number("ZCARD", prefix+":workers"); n != 1 {
		t.Errorf("%d workers are known", n)
	}
	checkCode(t, leaver.Enqueue(t.Context(), batchOf(2, 1)), "service_unavailable")
}

func TestDeadWorkersAreForgotten(t *testing.T) {
	url, prefix := servers.SharedRedis(t).URL(), newPrefix()
	console := newConsole(t, url)
	pool := open(t, redis.Config{URL: url, Prefix: prefix})
	for range 5 {
		must(t, redis.NewQueue(pool, redis.QueueConfig{}).Enqueue(t.Context(), batchOf(1, 1)))
		dead := redis.NewQueue(pool, redis.QueueConfig{Heartbeat: 10 * time.Minute})
		receive(t, dead, 0)
		console.do("ZREM", prefix+":workers", dead.WorkerName())
	}
	live := redis.NewQueue(pool, redis.QueueConfig{Heartbeat: 300 * time.Millisecond})
	var attempts []int
	for _, attempt := range receive(t, live, 0) {
		attempts = append(attempts, attempt)
	}
	eventually(t, "only the living are consumers", func() bool {
		return len(console.do("XINFO", "CONSUMERS", prefix, "workers").([]any)) == 1
	})
	if len(attempts) != 1 {
		t.Errorf("received %v", attempts)
	}
	// The dead one that still holds something is kept until that is taken.
	holder := redis.NewQueue(pool, redis.QueueConfig{Heartbeat: 10 * time.Minute})
	must(t, holder.Enqueue(t.Context(), batchOf(9, 1)))
	receive(t, holder, 0)
	console.do("ZREM", prefix+":workers", holder.WorkerName())
	eventually(t, "the living one has shown itself", func() bool {
		return console.number("ZCARD", prefix+":workers") > 0
	})
	if got := receive(t, live, 0); got[batchOf(9, 0).ID] != 2 {
		t.Errorf("received %v", got)
	}
}

func TestCloseLeavesNothingRunning(t *testing.T) {
	server := servers.Redis(t)
	ignored := goleak.IgnoreCurrent()
	pool, err := redis.Open(t.Context(), redis.Config{URL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	queue := redis.NewQueue(pool, redis.QueueConfig{})
	receive(t, queue, 10*time.Millisecond)
	server.Kill() // leaves an outage behind, too
	checkCode(t, queue.Enqueue(t.Context(), batchOf(1, 1)), "service_unavailable")
	start := time.Now()
	must(t, pool.Close())
	must(t, pool.Close())
	if took := time.Since(start); took > time.Second {
		t.Errorf("closing took %v", took)
	}
	goleak.VerifyNone(t, ignored)
}

// What two workers acknowledge counts once, also among others.
func TestAnAcknowledgedBatchIsCountedOnce(t *testing.T) {
	server := servers.SharedRedis(t)
	prefix := newPrefix()
	late := redis.NewQueue(open(t, redis.Config{URL: server.URL(), Prefix: prefix}), redis.QueueConfig{})
	other := redis.NewQueue(open(t, redis.Config{URL: server.URL(), Prefix: prefix}), redis.QueueConfig{})
	for i := range 10 {
		must(t, late.Enqueue(t.Context(), batchOf(i+1, 1)))
	}
	receive(t, late, 0)
	newConsole(t, server.URL()).do("ZREM", prefix+":workers", late.WorkerName())
	receive(t, other, 0)
	must(t, late.Acknowledge(t.Context(), batchOf(1, 0).ID))
	must(t, other.Acknowledge(t.Context(), batchOf(1, 0).ID, batchOf(2, 0).ID))
	checkHeld(t, other, 8, 8)
}

// More entries than one command is about are handed out and acknowledged in order.
func TestManyEntriesAtOnce(t *testing.T) {
	const entries = 2_500
	q := redis.NewQueue(open(t, redis.Config{URL: servers.SharedRedis(t).URL()}), redis.QueueConfig{})
	for i := range entries {
		must(t, q.Enqueue(t.Context(), batchOf(i+1, 1)))
	}
	deliveries, err := q.Receive(t.Context(), entries-1, 0)
	must(t, err)
	if len(deliveries) != entries-1 {
		t.Fatalf("received %d", len(deliveries))
	}
	ids := make([]domain.BatchID, len(deliveries))
	for i, d := range deliveries {
		if ids[i] = d.Batch.ID; d.Attempt != 1 || ids[i] != batchOf(i+1, 0).ID {
			t.Fatalf("batch %d is %s, attempt %d", i, ids[i], d.Attempt)
		}
	}
	must(t, q.Return(t.Context(), ids[0]))
	must(t, q.Acknowledge(t.Context(), ids[1:]...))
	if got := receive(t, q, 0); len(got) != 2 || got[ids[0]] != 2 {
		t.Errorf("received %v, want the batch that was returned and the last", got)
	}
	checkHeld(t, q, 2, 2)
}
