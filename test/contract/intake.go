package contract

import (
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// waiting is how long the queue says that it has waited.
func waiting(t *testing.T, q ports.QueueMeter) time.Duration {
	t.Helper()
	depth, err := q.Depth(t.Context())
	must(t, err)
	return depth.Waiting
}

// A batch's age is no difference of two machines' clocks.
func testOldestAge(t *testing.T, open OpenQueue) {
	h := open(t, QueueBounds{Events: 100})
	ahead := batchOf(1, 1)
	ahead.ReceivedAt = Now.Add(800 * 24 * time.Hour)
	must(t, h.Queue.Enqueue(t.Context(), ahead))
	checkDepth(t, h.Queue, ports.QueueDepth{Batches: 1, Events: 1, Oldest: ahead.ReceivedAt})
	depth, err := h.Queue.Depth(t.Context())
	if err != nil || depth.OldestAge < 0 || depth.OldestAge > time.Minute {
		t.Errorf("%+v, %v", depth, err)
	}
	must(t, h.Queue.Acknowledge(t.Context(), receive(t, h.Queue, 10)[0].Batch.ID))
	checkDepth(t, h.Queue, ports.QueueDepth{})
}

// awaitWaiting makes time pass until the queue has waited for long enough. A
// queue may go by a clock that the harness cannot move.
func awaitWaiting(t *testing.T, h QueueHarness, least time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); waiting(t, h.Queue) < least; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the queue has waited for %v, want %v", waiting(t, h.Queue), least)
		}
		h.Advance(time.Millisecond)
	}
}

func testWaiting(t *testing.T, open OpenQueue) {
	const long = 50 * time.Millisecond
	h := open(t, QueueBounds{Events: 100})
	h.Advance(long)
	at := Now.Add(long)
	advance := h.Advance
	h.Advance = func(d time.Duration) { at = at.Add(d); advance(d) }
	received := func(number int) domain.Batch { b := batchOf(number, 1); b.ReceivedAt = at; return b }
	first, second, third := received(1), received(2), received(3)
	checkWaits := func(after time.Time) {
		t.Helper()
		// A millisecond is the finest that a queue tells.
		if got := waiting(t, h.Queue); got > time.Since(after)+2*time.Millisecond {
			t.Errorf("the queue has waited for %v, %v after a batch was settled", got, time.Since(after))
		}
	}
	if got := waiting(t, h.Queue); got != 0 {
		t.Errorf("an empty queue has waited for %v", got)
	}
	enqueue(t, h.Queue, first, second, third)
	awaitWaiting(t, h, long)

	// To be handed out settles nothing, nor does coming back.
	receive(t, h.Queue, 100)
	must(t, h.Queue.Return(t.Context(), first.ID, second.ID, third.ID))
	if got := waiting(t, h.Queue); got < long {
		t.Errorf("after it was handed out the queue has waited for %v, want %v", got, long)
	}
	receive(t, h.Queue, 100)
	start := time.Now()
	must(t, h.Queue.Acknowledge(t.Context(), first.ID))
	checkWaits(start)
	awaitWaiting(t, h, long)
	start = time.Now()
	must(t, h.Queue.Bury(t.Context(), second.ID, "refused"))
	checkWaits(start)
	awaitWaiting(t, h, long)
	must(t, h.Queue.Acknowledge(t.Context(), third.ID))
	if got := waiting(t, h.Queue); got != 0 {
		t.Errorf("a drained queue has waited for %v", got)
	}
	h.Advance(time.Hour)
	start = time.Now()
	enqueue(t, h.Queue, received(4))
	checkWaits(start) // and not for the time in which it was empty
}

func testSuspend(t *testing.T, open OpenQueue) {
	h := open(t, QueueBounds{Events: 100})
	q := h.Queue
	suspended := func() bool {
		t.Helper()
		depth, err := q.Depth(t.Context())
		must(t, err)
		return depth.Suspended
	}
	once := func(number int) error {
		_, err := q.EnqueueOnce(t.Context(), domain.KeyedRequest{Key: "key"}, batchOf(number, 1), domain.Receipt{Accepted: 1})
		return err
	}
	enqueue(t, q, batchOf(1, 1))
	must(t, once(2))
	must(t, q.Suspend(t.Context(), time.Hour))
	if !suspended() {
		t.Error("the intake is not suspended")
	}
	checkCode(t, q.Enqueue(t.Context(), batchOf(3, 1)), domain.CodeDiskFull)
	must(t, once(4)) // which has a receipt already
	if _, known, err := q.Receipt(t.Context(), domain.KeyedRequest{Key: "key"}); err != nil || !known {
		t.Errorf("a receipt that is held: known %v, %v", known, err)
	}
	if _, err := q.EnqueueOnce(t.Context(), domain.KeyedRequest{Key: "other"}, batchOf(5, 1), domain.Receipt{}); domain.CodeOf(err) != domain.CodeDiskFull {
		t.Errorf("a request with a key: %v", err)
	}
	if got := receive(t, q, 100); len(got) != 2 {
		t.Errorf("received %d batches of the 2 that are held", len(got))
	}
	must(t, q.Acknowledge(t.Context(), batchOf(1, 1).ID))
	must(t, q.Resume(t.Context()))
	must(t, q.Resume(t.Context()))
	if suspended() {
		t.Error("the intake is suspended after Resume")
	}
	enqueue(t, q, batchOf(6, 1))

	must(t, q.Suspend(t.Context(), 20*time.Millisecond))
	for deadline := time.Now().Add(10 * time.Second); suspended(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the suspension has no end")
		}
		h.Advance(time.Millisecond)
	}
	enqueue(t, q, batchOf(7, 1))
}
