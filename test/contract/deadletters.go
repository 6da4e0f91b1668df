package contract

import (
	"context"
	"errors"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// DeadLetterPorts is what an adapter with dead letters implements: they come
// from its queue and go back there.
type DeadLetterPorts interface {
	QueuePorts
	ports.DeadLetters
}

// DeadLettersHarness lends the suite what it cannot reach through the ports.
// The later functions are nil where an adapter has nothing of the kind.
type DeadLettersHarness struct {
	Queue DeadLetterPorts
	// Advance moves the clock that dates burials. It starts at [Now].
	Advance func(d time.Duration)

	// Crash ends whoever used the queue without giving it a chance to say so,
	// and returns the queue as its successor sees it. Nil for a queue that
	// dies with its process.
	Crash func(t *testing.T) DeadLetterPorts
	// Damage makes the queue's entry for a batch unreadable. Nil for a queue
	// that keeps no bytes.
	Damage func(t *testing.T, id domain.BatchID)
	// Break takes away what the queue writes to. Nil for a queue that needs
	// nothing.
	Break func(t *testing.T)
}

// OpenDeadLetters returns an empty queue with room for that many events and no
// dead letters, and cleans up after the test.
type OpenDeadLetters func(t *testing.T, maxEvents int) DeadLettersHarness

// DeadLetters tests an adapter against the promises of ports.DeadLetters.
func DeadLetters(t *testing.T, open OpenDeadLetters) {
	for name, test := range map[string]func(*testing.T, OpenDeadLetters){
		"there are none at first":                    testNoLetters,
		"a letter tells everything":                  testLetter,
		"letters are listed by burial":               testListOrder,
		"letters are listed in pages":                testListPages,
		"letters are the keeper's own":               testLettersOwned,
		"a replayed letter is at the queue's end":    testReplay,
		"a replayed letter can be buried again":      testReplayAgain,
		"a letter that does not fit stays":           testReplayWhenFull,
		"a letter is replayed once":                  testConcurrentReplay,
		"the bound holds for concurrent replays":     testConcurrentReplayBound,
		"an unreadable letter is kept and stays":     testUnreadableLetter,
		"purged letters are gone":                    testPurge,
		"unknown letters are not found":              testUnknownLetters,
		"a crash loses no letter":                    testLettersAfterCrash,
		"a cancelled call ends and changes nothing":  testLettersCancelled,
		"broken dead letters say they are not there": testBrokenLetters,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

// Buried lists dead letters the way [QueueHarness] wants it.
func Buried(letters ports.DeadLetters) func(t *testing.T) []DeadLetter {
	return func(t *testing.T) []DeadLetter {
		t.Helper()
		var buried []DeadLetter
		for _, l := range listLetters(t, letters, "", 1000) {
			buried = append(buried, DeadLetter{Batch: l.Batch, Reason: l.Reason})
		}
		return buried
	}
}

// bury takes batches through the queue into their graves, in this order.
func bury(t *testing.T, q DeadLetterPorts, batches ...domain.Batch) {
	t.Helper()
	enqueue(t, q, batches...)
	receive(t, q, 1000)
	for _, b := range batches {
		must(t, q.Bury(t.Context(), b.ID, reasonOf(b)))
	}
}

func reasonOf(b domain.Batch) string { return "the store refused " + string(b.ID) }

func letterOf(b domain.Batch, attempts int, at time.Time) ports.DeadLetter {
	return ports.DeadLetter{ID: b.ID, Batch: b, Reason: reasonOf(b), Attempts: attempts, BuriedAt: at}
}

func listLetters(t *testing.T, letters ports.DeadLetters, after domain.BatchID, limit int) []ports.DeadLetter {
	t.Helper()
	list, err := letters.List(t.Context(), after, limit)
	must(t, err)
	return list
}

func checkLetters(t *testing.T, got []ports.DeadLetter, want ...ports.DeadLetter) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d dead letters %+v, want %d", len(got), got, len(want))
	}
	for i := range want {
		if !sameLetter(got[i], want[i]) {
			t.Errorf("dead letter %d is %+v\nwant %+v", i, got[i], want[i])
		}
	}
}

func sameLetter(a, b ports.DeadLetter) bool {
	same := a.BuriedAt.Equal(b.BuriedAt)
	a.BuriedAt, b.BuriedAt = time.Time{}, time.Time{}
	return same && reflect.DeepEqual(a, b)
}

func testNoLetters(t *testing.T, open OpenDeadLetters) {
	q := open(t, 10).Queue
	checkLetters(t, listLetters(t, q, "", 10))
	bury(t, q, batchOf(1, 1))
	checkLetters(t, listLetters(t, q, "", 0))
}

func testLetter(t *testing.T, open OpenDeadLetters) {
	h := open(t, 10)
	b := batchOf(1, 3)
	enqueue(t, h.Queue, b)
	receive(t, h.Queue, 10)
	must(t, h.Queue.Return(t.Context(), b.ID))
	receive(t, h.Queue, 10)
	h.Advance(90 * time.Minute)
	must(t, h.Queue.Bury(t.Context(), b.ID, reasonOf(b)))
	want := letterOf(b, 2, Now.Add(90*time.Minute))
	checkLetters(t, listLetters(t, h.Queue, "", 10), want)
	got, err := h.Queue.Get(t.Context(), b.ID)
	must(t, err)
	checkLetters(t, []ports.DeadLetter{got}, want)
}

func testListOrder(t *testing.T, open OpenDeadLetters) {
	h := open(t, 10)
	first, second, third := batchOf(3, 1), batchOf(1, 1), batchOf(2, 1)
	bury(t, h.Queue, first)
	// Neither the order of ids nor the clock counts.
	h.Advance(-time.Hour)
	bury(t, h.Queue, second, third)
	early := Now.Add(-time.Hour)
	checkLetters(t, listLetters(t, h.Queue, "", 10),
		letterOf(first, 1, Now), letterOf(second, 1, early), letterOf(third, 1, early))
}

func testListPages(t *testing.T, open OpenDeadLetters) {
	q := open(t, 10).Queue
	var batches []domain.Batch
	for i := range 5 {
		batches = append(batches, batchOf(5-i, 1))
	}
	bury(t, q, batches...)
	var after domain.BatchID
	for _, want := range [][]domain.Batch{batches[:2], batches[2:4], batches[4:], nil} {
		page := listLetters(t, q, after, 2)
		if len(page) != len(want) {
			t.Fatalf("%d dead letters after %q, want %d", len(page), after, len(want))
		}
		for i := range want {
			if page[i].ID != want[i].ID {
				t.Errorf("after %q comes %s, want %s", after, page[i].ID, want[i].ID)
			}
			after = page[i].ID
		}
	}
}

func testLettersOwned(t *testing.T, open OpenDeadLetters) {
	q := open(t, 10).Queue
	bury(t, q, batchOf(1, 1))
	listLetters(t, q, "", 10)[0].Batch.Events[0].Tool = "changed"
	got, err := q.Get(t.Context(), batchOf(1, 1).ID)
	must(t, err)
	got.Batch.Events[0].Tool = "changed"
	checkLetters(t, listLetters(t, q, "", 10), letterOf(batchOf(1, 1), 1, Now))
}

func testReplay(t *testing.T, open OpenDeadLetters) {
	q := open(t, 10).Queue
	dead, kept, waiting := batchOf(1, 2), batchOf(2, 1), batchOf(3, 1)
	bury(t, q, dead, kept)
	enqueue(t, q, waiting)
	must(t, q.Replay(t.Context(), dead.ID))
	checkDepth(t, q, ports.QueueDepth{Batches: 2, Events: 3, DeadLetters: 1, Oldest: waiting.ReceivedAt})
	checkLetters(t, listLetters(t, q, "", 10), letterOf(kept, 1, Now))
	if got := receive(t, q, 10); len(got) != 2 || !reflect.DeepEqual(got[1].Batch, dead) {
		t.Errorf("received %+v, want %+v at the end", got, dead)
	}
}

func testReplayAgain(t *testing.T, open OpenDeadLetters) {
	h := open(t, 10)
	b := batchOf(1, 2)
	bury(t, h.Queue, b)
	must(t, h.Queue.Replay(t.Context(), b.ID))
	receive(t, h.Queue, 10)
	h.Advance(time.Hour)
	must(t, h.Queue.Bury(t.Context(), b.ID, reasonOf(b)))
	got, err := h.Queue.Get(t.Context(), b.ID)
	must(t, err)
	if !reflect.DeepEqual(got.Batch, b) || !got.BuriedAt.Equal(Now.Add(time.Hour)) {
		t.Errorf("dead letter %+v", got)
	}
	if list := listLetters(t, h.Queue, "", 10); len(list) != 1 {
		t.Errorf("%d dead letters", len(list))
	}
}

func testReplayWhenFull(t *testing.T, open OpenDeadLetters) {
	q := open(t, 4).Queue
	dead, waiting := batchOf(1, 3), batchOf(2, 2)
	bury(t, q, dead)
	enqueue(t, q, waiting)
	checkCode(t, q.Replay(t.Context(), dead.ID), domain.CodeQueueFull)
	checkLetters(t, listLetters(t, q, "", 10), letterOf(dead, 1, Now))
	checkReceived(t, receive(t, q, 10), deliveriesOf(1, waiting)...)
	must(t, q.Acknowledge(t.Context(), waiting.ID))
	must(t, q.Replay(t.Context(), dead.ID))
}

func testConcurrentReplay(t *testing.T, open OpenDeadLetters) {
	const callers = 8
	q := open(t, 100).Queue
	b := batchOf(1, 1)
	bury(t, q, b)
	var replayed atomic.Int64
	inParallel(callers, func(int) {
		err := q.Replay(t.Context(), b.ID)
		if err == nil {
			replayed.Add(1)
			return
		}
		checkCode(t, err, domain.CodeNotFound)
	})
	if got := receive(t, q, 100); replayed.Load() != 1 || len(got) != 1 {
		t.Errorf("%d replays made %d batches of one", replayed.Load(), len(got))
	}
}

func testConcurrentReplayBound(t *testing.T, open OpenDeadLetters) {
	const letters, room = 8, 5
	q := open(t, room).Queue
	for i := range letters {
		bury(t, q, batchOf(i+1, 2))
	}
	inParallel(letters, func(i int) {
		if err := q.Replay(t.Context(), batchOf(i+1, 2).ID); err != nil {
			checkCode(t, err, domain.CodeQueueFull)
		}
	})
	depth, err := q.Depth(t.Context())
	must(t, err)
	if depth.Events != room/2*2 || depth.DeadLetters != letters-room/2 {
		t.Errorf("%+v with room for %d events", depth, room)
	}
}

func testUnreadableLetter(t *testing.T, open OpenDeadLetters) {
	h := open(t, 10)
	if h.Damage == nil {
		t.Skip("keeps no bytes")
	}
	b := batchOf(1, 2)
	enqueue(t, h.Queue, b)
	h.Damage(t, b.ID)
	checkReceived(t, receive(t, h.Queue, 10))
	got, err := h.Queue.Get(t.Context(), b.ID)
	must(t, err)
	if got.ID != b.ID || len(got.Batch.Events) > 0 || got.Reason == "" || got.Attempts != 1 || !got.BuriedAt.Equal(Now) {
		t.Errorf("dead letter %+v", got)
	}
	checkCode(t, h.Queue.Replay(t.Context(), b.ID), domain.CodeInvalid)
	checkLetters(t, listLetters(t, h.Queue, "", 10), got)
	checkDepth(t, h.Queue, ports.QueueDepth{DeadLetters: 1})
}

func testPurge(t *testing.T, open OpenDeadLetters) {
	q := open(t, 100).Queue
	batches := []domain.Batch{batchOf(1, 1), batchOf(2, 1), batchOf(3, 1)}
	bury(t, q, batches...)
	checkPurged(t, q, 0)
	checkPurged(t, q, 2, batches[0].ID, batchOf(9, 1).ID, batches[2].ID)
	checkLetters(t, listLetters(t, q, "", 10), letterOf(batches[1], 1, Now))
	checkPurged(t, q, 1, batches[0].ID, batches[1].ID, batches[1].ID)
	checkPurged(t, q, 0, batches[0].ID)
	checkReceived(t, receive(t, q, 10))
	checkDepth(t, q, ports.QueueDepth{})
}

func checkPurged(t *testing.T, q ports.DeadLetters, want int, ids ...domain.BatchID) {
	t.Helper()
	if got, err := q.Purge(t.Context(), ids...); got != want || err != nil {
		t.Errorf("purged %d, %v, want %d", got, err, want)
	}
}

func testUnknownLetters(t *testing.T, open OpenDeadLetters) {
	q := open(t, 10).Queue
	bury(t, q, batchOf(1, 1))
	// What waits in the queue is no dead letter.
	enqueue(t, q, batchOf(2, 1))
	_, err := q.Get(t.Context(), batchOf(2, 1).ID)
	checkCode(t, err, domain.CodeNotFound)
	checkCode(t, q.Replay(t.Context(), batchOf(2, 1).ID), domain.CodeNotFound)
	checkPurged(t, q, 0, batchOf(2, 1).ID)
	checkReceived(t, receive(t, q, 10), deliveriesOf(1, batchOf(2, 1))...)
}

func testLettersAfterCrash(t *testing.T, open OpenDeadLetters) {
	h := open(t, 10)
	if h.Crash == nil {
		t.Skip("dies with its process")
	}
	first, second := batchOf(1, 1), batchOf(2, 1)
	bury(t, h.Queue, first, second)
	must(t, h.Queue.Replay(t.Context(), first.ID))
	q := h.Crash(t)
	checkLetters(t, listLetters(t, q, "", 10), letterOf(second, 1, Now))
	checkReceived(t, receive(t, q, 10), deliveriesOf(1, first)...)
}

// letterCalls is one call of everything there is, with batch 1 for its object.
func letterCalls(q ports.DeadLetters) map[string]func(context.Context) error {
	id := batchOf(1, 1).ID
	return map[string]func(context.Context) error{
		"List": func(ctx context.Context) error {
			_, err := q.List(ctx, "", 10)
			return err
		},
		"Get": func(ctx context.Context) error {
			_, err := q.Get(ctx, id)
			return err
		},
		"Replay": func(ctx context.Context) error { return q.Replay(ctx, id) },
		"Purge": func(ctx context.Context) error {
			_, err := q.Purge(ctx, id)
			return err
		},
	}
}

func testLettersCancelled(t *testing.T, open OpenDeadLetters) {
	q := open(t, 10).Queue
	b := batchOf(1, 1)
	bury(t, q, b)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range letterCalls(q) {
		if err := call(cancelled); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want one of context.Canceled", name, err)
		}
	}
	checkLetters(t, listLetters(t, q, "", 10), letterOf(b, 1, Now))
	checkReceived(t, receive(t, q, 10))
}

func testBrokenLetters(t *testing.T, open OpenDeadLetters) {
	h := open(t, 10)
	if h.Break == nil {
		t.Skip("cannot break")
	}
	bury(t, h.Queue, batchOf(1, 1))
	h.Break(t)
	for name, call := range letterCalls(h.Queue) {
		if got := domain.CodeOf(call(t.Context())); got != domain.CodeUnavailable {
			t.Errorf("%s: code %q, want %q", name, got, domain.CodeUnavailable)
		}
	}
}
