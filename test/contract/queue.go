package contract

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// QueuePorts is what a queue adapter implements.
type QueuePorts interface {
	ports.EventQueue
	ports.Deliveries
	ports.QueueMeter
	ports.Intake
}

// DeadLetter is a buried batch with the reason of its burial.
type DeadLetter struct {
	Batch  domain.Batch
	Reason string
}

// QueueHarness lends the suite what it cannot reach through the ports. The
// later functions are nil where an adapter has nothing of the kind.
type QueueHarness struct {
	Queue QueuePorts
	// Advance makes time pass for the expiry of receipts.
	Advance func(d time.Duration)
	// Expire does once what a worker's process does from time to time to delete
	// expired receipts.
	Expire func(t *testing.T)
	// DeadLetters lists the buried batches, oldest burial first.
	DeadLetters func(t *testing.T) []DeadLetter

	// Crash ends whoever received batches without giving it a chance to say
	// so, and returns the queue as its successor sees it. Nil for a queue that
	// dies with its process.
	Crash func(t *testing.T) QueuePorts
	// Damage makes the queue's entry for a batch unreadable. Nil for a queue
	// that keeps no bytes.
	Damage func(t *testing.T, id domain.BatchID)
	// Break takes away what the queue writes to. Nil for a queue that needs
	// nothing.
	Break func(t *testing.T)
	// Written returns every byte that the queue keeps outside the process. Nil
	// for a queue that keeps none.
	Written func(t *testing.T) []byte
}

// QueueBounds are how much a queue may hold. Zero values mean its defaults.
type QueueBounds struct {
	Events, Bytes                int
	Receipts, ReceiptBytes       int
	DeadLetters, DeadLetterBytes int
}

// OpenQueue returns an empty queue with these bounds, and cleans up after the
// test.
type OpenQueue func(t *testing.T, bounds QueueBounds) QueueHarness

// Queue tests an adapter against the promises of ports.EventQueue,
// ports.Deliveries and ports.QueueMeter.
func Queue(t *testing.T, open OpenQueue) {
	for name, test := range map[string]func(*testing.T, OpenQueue){
		"an empty queue hands out nothing":                testEmptyQueue,
		"batches come out in the order of entry":          testOrder,
		"every field survives":                            testQueueRoundTrip,
		"a delivery has at most maxEvents events":         testPacking,
		"a batch is in one worker's hands at a time":      testOneHolder,
		"acknowledged batches are forgotten":              testAcknowledge,
		"returned batches come again in their place":      testReturn,
		"batches returned beside a receiver come again":   testReturnBesideReceive,
		"buried batches are kept with their reason":       testBury,
		"unknown ids are no error":                        testUnknownIDs,
		"a batch that does not fit is refused whole":      testBound,
		"the bound holds for concurrent callers":          testConcurrentBound,
		"the queue is bounded in bytes":                   testBytes,
		"the bound in bytes holds for concurrent callers": testConcurrentBytes,
		"dead letters are bounded in number":              testDeadLettersInNumber,
		"dead letters are bounded in bytes":               testDeadLettersInBytes,
		"a key holds one batch":                           testOnce,
		"a key holds one batch for concurrent callers":    testConcurrentOnce,
		"a key is remembered for its lifetime":            testKeyLifetime,
		"a key is remembered when the queue is full":      testKeyWhenFull,
		"a refused batch does not use up its key":         testKeyAfterRefusal,
		"a key is never written":                          testKeyIsSecret,
		"a key stands for one body":                       testOtherBody,
		"a receipt can be looked up":                      testReceipt,
		"receipts are bounded in number":                  testReceiptsInNumber,
		"receipts are bounded in bytes":                   testReceiptsInBytes,
		"expired receipts go without another request":     testReceiptsExpire,
		"a clock set back leaves no receipts behind":      testReceiptsOfAWrongClock,
		"receipts are held as in memory":                  testSameReceipts,
		"receiving waits for a batch":                     testReceiveWaits,
		"receiving gives up after its wait":               testReceiveGivesUp,
		"a cancelled call ends":                           testQueueCancelled,
		"concurrent workers share the batches":            testWorkers,
		"depth counts what is held":                       testDepth,
		"a crash loses nothing":                           testCrash,
		"an unreadable entry is buried":                   testDamage,
		"a broken queue says that it is unavailable":      testBrokenQueue,
		"a batch from the future is not old":              testOldestAge,
		"a backlog waits while none of it is settled":     testWaiting,
		"a suspended intake takes no batch":               testSuspend,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

func testEmptyQueue(t *testing.T, open OpenQueue) {
	q := open(t, QueueBounds{Events: 100}).Queue
	checkReceived(t, receive(t, q, 100))
	checkDepth(t, q, ports.QueueDepth{})
}

func testOrder(t *testing.T, open OpenQueue) {
	q := open(t, QueueBounds{Events: 100}).Queue
	// Numbers run against the order of entry: it is entry that counts.
	batches := []domain.Batch{batchOf(3, 2), batchOf(2, 1), batchOf(1, 3)}
	enqueue(t, q, batches...)
	checkReceived(t, receive(t, q, 100), deliveriesOf(1, batches...)...)
	checkReceived(t, receive(t, q, 100))
}

func testQueueRoundTrip(t *testing.T, open OpenQueue) {
	q := open(t, QueueBounds{Events: 1000}).Queue
	roundTrip := func(t rapidOrTesting, b domain.Batch) {
		t.Helper()
		if err := q.Enqueue(context.Background(), b); err != nil {
			t.Fatalf("enqueue: %v", err)
		}
		got, err := q.Receive(context.Background(), 1, 0)
		if err != nil || len(got) != 1 {
			t.Fatalf("received %d batches: %v", len(got), err)
		}
		if !reflect.DeepEqual(got[0].Batch, b) {
			t.Fatalf("received %+v\nwant %+v", got[0].Batch, b)
		}
		if err := q.Acknowledge(context.Background(), b.ID); err != nil {
			t.Fatalf("acknowledge: %v", err)
		}
	}
	for _, e := range extremeEvents() {
		roundTrip(t, NewBatch(1, e, e))
	}
	rapid.Check(t, func(t *rapid.T) {
		event := rapid.Custom(func(t *rapid.T) domain.Event { return DrawEvent(t, Now, 1000) })
		roundTrip(t, NewBatch(1, rapid.SliceOfN(event, 1, 5).Draw(t, "events")...))
	})
}

// rapidOrTesting is what *rapid.T and *testing.T have in common.
type rapidOrTesting interface {
	Helper()
	Fatalf(format string, args ...any)
}

// extremeEvents are at the ends of what can be: fields absent, zero, longest.
func extremeEvents() []domain.Event {
	bare := domain.Event{
		Version: "1", Tool: "get_alerts", Status: domain.StatusSuccess,
		Hour: domain.Hourly.Floor(Now), Level: domain.LevelMinimal,
	}
	zero := bare
	zero.Level = domain.LevelDetailed
	zero.ResponseTimeMS, zero.RetryCount, zero.SequenceNumber = domain.Some[int32](0), domain.Some[int32](0), domain.Some[int32](0)
	zero.CacheHit = domain.Some(false)
	zero.Parameters = "{}"
	full := zero
	full.Version = strings.Repeat("9", domain.MaxVersionLength)
	full.Status, full.ErrorType = domain.StatusError, strings.Repeat("e", domain.MaxErrorTypeLength)
	full.ResponseTimeMS = domain.Some[int32](domain.MaxResponseTimeMS)
	full.RetryCount = domain.Some[int32](domain.MaxRetryCount)
	full.SequenceNumber = domain.Some[int32](domain.MaxSequenceNumber)
	full.CacheHit = domain.Some(true)
	full.Service, full.Country, full.SessionID = "openmeteo", "NP", "ffffffffffffffff"
	full.Parameters = `{"long":"` + strings.Repeat("ä\u2028€😀\\u0000\\\"", 1000) + `","small":5e-324,"off":false}`
	return []domain.Event{bare, zero, full}
}

func testPacking(t *testing.T, open OpenQueue) {
	for _, c := range []struct {
		name      string
		sizes     []int
		maxEvents int
		want      []int // batches in each delivery
	}{
		{"all fit", []int{2, 3}, 5, []int{2}},
		{"whole batches only", []int{2, 3, 1}, 4, []int{1, 2}},
		{"a later batch never overtakes", []int{3, 3, 1}, 4, []int{1, 2}},
		{"at least one", []int{9, 9}, 1, []int{1, 1}},
		{"at least one even of none", []int{1, 1}, 0, []int{1, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := open(t, QueueBounds{Events: 100}).Queue
			var batches []domain.Batch
			for i, size := range c.sizes {
				batches = append(batches, batchOf(i+1, size))
			}
			enqueue(t, q, batches...)
			for _, n := range c.want {
				checkReceived(t, receive(t, q, c.maxEvents), deliveriesOf(1, batches[:n]...)...)
				batches = batches[n:]
			}
			checkReceived(t, receive(t, q, c.maxEvents))
		})
	}
}

func testOneHolder(t *testing.T, open OpenQueue) {
	q := open(t, QueueBounds{Events: 100}).Queue
	first, second := batchOf(1, 1), batchOf(2, 1)
	enqueue(t, q, first)
	checkReceived(t, receive(t, q, 10), deliveriesOf(1, first)...)
	enqueue(t, q, second)
	checkReceived(t, receive(t, q, 10), deliveriesOf(1, second)...)
	checkReceived(t, receive(t, q, 10))
}

func testAcknowledge(t *testing.T, open OpenQueue) {
	q := open(t, QueueBounds{Events: 100}).Queue
	batches := []domain.Batch{batchOf(1, 1), batchOf(2, 1), batchOf(3, 1)}
	enqueue(t, q, batches...)
	receive(t, q, 10)
	must(t, q.Acknowledge(t.Context(), batches[0].ID, batches[2].ID))
	must(t, q.Return(t.Context(), batches[0].ID, batches[1].ID, batches[2].ID))
	checkReceived(t, receive(t, q, 10), deliveriesOf(2, batches[1])...)
	must(t, q.Acknowledge(t.Context(), batches[1].ID))
	checkDepth(t, q, ports.QueueDepth{})
}

func testReturn(t *testing.T, open OpenQueue) {
	q := open(t, QueueBounds{Events: 100}).Queue
	first, second, third := batchOf(1, 1), batchOf(2, 1), batchOf(3, 1)
	enqueue(t, q, first, second, third)
	receive(t, q, 2)
	must(t, q.Return(t.Context(), second.ID, first.ID))
	want := append(deliveriesOf(2, first, second), deliveriesOf(1, third)...)
	checkReceived(t, receive(t, q, 10), want...)
	must(t, q.Return(t.Context(), second.ID))
	checkReceived(t, receive(t, q, 10), deliveriesOf(3, second)...)
}

// testReturnBesideReceive has one worker give back what it holds while another receives:
// whatever of it the other does not get comes with the next call.
func testReturnBesideReceive(t *testing.T, open OpenQueue) {
	const rounds, batches = 60, 40
	q := open(t, QueueBounds{Events: 100}).Queue
	for number := range batches {
		enqueue(t, q, batchOf(number+1, 1))
	}
	for round := range rounds {
		first := receive(t, q, batches/2)
		var beside []ports.Delivery
		var returning, receiving error
		inParallel(2, func(worker int) {
			if worker == 0 {
				returning = q.Return(t.Context(), idsOf(first)...)
			} else {
				beside, receiving = q.Receive(t.Context(), batches/2, 0)
			}
		})
		must(t, returning)
		must(t, receiving)
		rest := receive(t, q, batches)
		if n := len(beside) + len(rest); n != batches {
			t.Fatalf("round %d: %d and %d of %d batches are handed out", round, len(beside), len(rest), batches)
		}
		must(t, q.Return(t.Context(), idsOf(append(beside, rest...))...))
	}
}

func testBury(t *testing.T, open OpenQueue) {
	h := open(t, QueueBounds{Events: 4})
	first, second := batchOf(1, 2), batchOf(2, 2)
	enqueue(t, h.Queue, first, second)
	receive(t, h.Queue, 10)
	must(t, h.Queue.Bury(t.Context(), second.ID, "the store refused it"))
	must(t, h.Queue.Return(t.Context(), first.ID, second.ID))
	checkReceived(t, receive(t, h.Queue, 10), deliveriesOf(2, first)...)
	checkDeadLetters(t, h, DeadLetter{second, "the store refused it"})
	checkDepth(t, h.Queue, ports.QueueDepth{Batches: 1, Events: 2, DeadLetters: 1, Oldest: first.ReceivedAt})
	// What is buried takes no room.
	enqueue(t, h.Queue, batchOf(3, 2))
}

func testUnknownIDs(t *testing.T, open OpenQueue) {
	h := open(t, QueueBounds{Events: 100})
	known, unknown := batchOf(1, 1), batchOf(2, 1)
	enqueue(t, h.Queue, known)
	must(t, h.Queue.Acknowledge(t.Context(), unknown.ID))
	must(t, h.Queue.Acknowledge(t.Context()))
	must(t, h.Queue.Return(t.Context(), unknown.ID, known.ID)) // which nobody holds
	must(t, h.Queue.Return(t.Context()))
	must(t, h.Queue.Bury(t.Context(), unknown.ID, "no reason"))
	checkDeadLetters(t, h)
	checkReceived(t, receive(t, h.Queue, 10), deliveriesOf(1, known)...)
}

func testBound(t *testing.T, open OpenQueue) {
	q := open(t, QueueBounds{Events: 5}).Queue
	first, second := batchOf(1, 3), batchOf(2, 2)
	enqueue(t, q, first)
	checkCode(t, q.Enqueue(t.Context(), batchOf(3, 3)), domain.CodeQueueFull)
	enqueue(t, q, second) // exactly full
	checkCode(t, q.Enqueue(t.Context(), batchOf(4, 1)), domain.CodeQueueFull)
	checkReceived(t, receive(t, q, 10), deliveriesOf(1, first, second)...)
	// What is handed out still takes its room, until it is acknowledged.
	checkCode(t, q.Enqueue(t.Context(), batchOf(4, 1)), domain.CodeQueueFull)
	must(t, q.Acknowledge(t.Context(), first.ID))
	enqueue(t, q, batchOf(5, 3))
	checkCode(t, q.Enqueue(t.Context(), batchOf(6, 1)), domain.CodeQueueFull)
}

func testConcurrentBound(t *testing.T, open OpenQueue) {
	const callers, size, room = 24, 3, 20
	q := open(t, QueueBounds{Events: room}).Queue
	errs := make([]error, callers)
	inParallel(callers, func(i int) { errs[i] = q.Enqueue(t.Context(), batchOf(i+1, size)) })
	accepted := 0
	for _, err := range errs {
		if err == nil {
			accepted++
			continue
		}
		checkCode(t, err, domain.CodeQueueFull)
	}
	if accepted != room/size {
		t.Errorf("accepted %d batches of %d into room for %d", accepted, size, room)
	}
	if got := receive(t, q, callers*size); len(got) != accepted {
		t.Errorf("holds %d batches, accepted %d", len(got), accepted)
	}
}

func receiptOf(accepted int) domain.Receipt {
	return domain.Receipt{
		AcceptedAt: Now.Add(time.Duration(accepted) * time.Hour),
		Accepted:   accepted,
		Refused:    1,
		Omitted:    3,
		Violations: []domain.Violation{
			{Index: 1, Field: "tool", Code: domain.ViolationUnknown, Message: "tool \"…\" must be in the catalogue"},
			{Index: domain.WholeBody, Code: domain.ViolationBatch},
		},
	}
}

func testOnce(t *testing.T, open OpenQueue) {
	q := open(t, QueueBounds{Events: 100}).Queue
	first, other := batchOf(1, 1), batchOf(3, 1)
	checkReceipt(t, receiptOf(1))(q.EnqueueOnce(t.Context(), keyed("key"), first, receiptOf(1)))
	checkReceipt(t, receiptOf(1))(q.EnqueueOnce(t.Context(), keyed("key"), batchOf(2, 2), receiptOf(2)))
	bare := domain.Receipt{AcceptedAt: Now, Accepted: 1}
	checkReceipt(t, bare)(q.EnqueueOnce(t.Context(), keyed("Key"), other, bare))
	checkReceived(t, receive(t, q, 10), deliveriesOf(1, first, other)...)
	must(t, q.Acknowledge(t.Context(), first.ID, other.ID))
	checkReceipt(t, receiptOf(1))(q.EnqueueOnce(t.Context(), keyed("key"), first, receiptOf(1)))
	checkReceipt(t, bare)(q.EnqueueOnce(t.Context(), keyed("Key"), first, receiptOf(1)))
	checkDepth(t, q, ports.QueueDepth{})
}

func testConcurrentOnce(t *testing.T, open OpenQueue) {
	const callers = 16
	q := open(t, QueueBounds{Events: 100}).Queue
	receipts, errs := make([]domain.Receipt, callers), make([]error, callers)
	inParallel(callers, func(i int) {
		receipts[i], errs[i] = q.EnqueueOnce(t.Context(), keyed("key"), batchOf(i+1, 1), receiptOf(i+1))
	})
	held := receive(t, q, 100)
	if len(held) != 1 {
		t.Fatalf("holds %d batches under one key", len(held))
	}
	for i := range callers {
		must(t, errs[i])
		checkReceipt(t, receipts[0])(receipts[i], nil)
	}
	if want := batchOf(receipts[0].Accepted, 1).ID; held[0].Batch.ID != want {
		t.Errorf("holds %s, but the receipt is that of %s", held[0].Batch.ID, want)
	}
}

func testKeyLifetime(t *testing.T, open OpenQueue) {
	h := open(t, QueueBounds{Events: 100})
	checkReceipt(t, receiptOf(1))(h.Queue.EnqueueOnce(t.Context(), keyed("key"), batchOf(1, 1), receiptOf(1)))
	h.Advance(domain.IdempotencyLifetime - time.Second)
	checkReceipt(t, receiptOf(1))(h.Queue.EnqueueOnce(t.Context(), keyed("key"), batchOf(2, 1), receiptOf(2)))
	h.Advance(2 * time.Second)
	checkReceipt(t, receiptOf(3))(h.Queue.EnqueueOnce(t.Context(), keyed("key"), batchOf(3, 1), receiptOf(3)))
	h.Advance(domain.IdempotencyLifetime - time.Second)
	checkReceipt(t, receiptOf(3))(h.Queue.EnqueueOnce(t.Context(), keyed("key"), batchOf(4, 1), receiptOf(4)))
	checkReceived(t, receive(t, h.Queue, 10), deliveriesOf(1, batchOf(1, 1), batchOf(3, 1))...)
}

func testKeyWhenFull(t *testing.T, open OpenQueue) {
	q := open(t, QueueBounds{Events: 1}).Queue
	checkReceipt(t, receiptOf(1))(q.EnqueueOnce(t.Context(), keyed("key"), batchOf(1, 1), receiptOf(1)))
	checkCode(t, q.Enqueue(t.Context(), batchOf(2, 1)), domain.CodeQueueFull)
	checkReceipt(t, receiptOf(1))(q.EnqueueOnce(t.Context(), keyed("key"), batchOf(1, 1), receiptOf(1)))
}

func testKeyAfterRefusal(t *testing.T, open OpenQueue) {
	q := open(t, QueueBounds{Events: 1}).Queue
	_, err := q.EnqueueOnce(t.Context(), keyed("key"), batchOf(1, 2), receiptOf(2))
	checkCode(t, err, domain.CodeQueueFull)
	checkReceipt(t, receiptOf(1))(q.EnqueueOnce(t.Context(), keyed("key"), batchOf(2, 1), receiptOf(1)))
	checkReceived(t, receive(t, q, 10), deliveriesOf(1, batchOf(2, 1))...)
}

func testKeyIsSecret(t *testing.T, open OpenQueue) {
	h := open(t, QueueBounds{Events: 100})
	if h.Written == nil {
		t.Skip("nothing is written")
	}
	key := "canary-7f3a9c"
	checkReceipt(t, receiptOf(1))(h.Queue.EnqueueOnce(t.Context(), keyed(key), batchOf(1, 1), receiptOf(1)))
	written := h.Written(t)
	if !bytes.Contains(written, []byte(batchOf(1, 1).ID)) {
		t.Fatal("the batch's id is not in what was written: this test sees nothing")
	}
	if bytes.Contains(written, []byte(key)) {
		t.Error("the key is in what was written")
	}
	if unkeyed := sha256.Sum256(keyed(key).Body); bytes.Contains(written, unkeyed[:16]) || bytes.Contains(written, keyed(key).Body) {
		t.Error("the body, or a hash without a key, is in what was written")
	}
}

func testReceiveWaits(t *testing.T, open OpenQueue) {
	h := open(t, QueueBounds{Events: 100})
	b := batchOf(1, 1)
	arrivals := map[string]func() error{
		"Enqueue": func() error { return h.Queue.Enqueue(t.Context(), b) },
		"Return":  func() error { return h.Queue.Return(t.Context(), b.ID) },
		"EnqueueOnce": func() error {
			_, err := h.Queue.EnqueueOnce(t.Context(), keyed("key"), batchOf(2, 1), receiptOf(1))
			return err
		},
	}
	type outcome struct {
		deliveries []ports.Delivery
		err        error
	}
	for _, name := range []string{"Enqueue", "Return", "EnqueueOnce"} {
		received := make(chan outcome, 1)
		go func() {
			deliveries, err := h.Queue.Receive(t.Context(), 10, time.Minute)
			received <- outcome{deliveries, err}
		}()
		// Usually Receive waits by now; it must see the batch in either case.
		time.Sleep(20 * time.Millisecond)
		must(t, arrivals[name]())
		select {
		case got := <-received:
			if got.err != nil || len(got.deliveries) != 1 {
				t.Errorf("%s woke Receive with %d deliveries: %v", name, len(got.deliveries), got.err)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("%s did not wake Receive", name)
		}
	}
}

func testReceiveGivesUp(t *testing.T, open OpenQueue) {
	q := open(t, QueueBounds{Events: 100}).Queue
	const wait = 60 * time.Millisecond
	start := time.Now()
	deliveries, err := q.Receive(t.Context(), 10, wait)
	if took := time.Since(start); len(deliveries) > 0 || err != nil || took < wait {
		t.Errorf("after %v: %d deliveries, %v", took, len(deliveries), err)
	}
}

func testQueueCancelled(t *testing.T, open OpenQueue) {
	h := open(t, QueueBounds{Events: 100})
	enqueue(t, h.Queue, batchOf(1, 1))
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range queueCalls(h.Queue) {
		checkGivenUp(t, name, call(cancelled), context.Canceled)
	}
	checkDeadLetters(t, h)
	checkReceived(t, receive(t, h.Queue, 10), deliveriesOf(1, batchOf(1, 1))...)

	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err := h.Queue.Receive(ctx, 10, time.Minute)
	checkGivenUp(t, "Receive while it waits", err, context.Canceled)
}

// checkGivenUp demands the error of a call whose context has ended.
func checkGivenUp(t *testing.T, call string, err, cause error) {
	t.Helper()
	if !errors.Is(err, cause) || domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("%s: %v of code %q, want one because of %v", call, err, domain.CodeOf(err), cause)
	}
}

// queueCalls is one call of everything there is, with batch 1 for its object.
func queueCalls(q QueuePorts) map[string]func(context.Context) error {
	b := batchOf(1, 1)
	return map[string]func(context.Context) error{
		"Enqueue": func(ctx context.Context) error { return q.Enqueue(ctx, batchOf(9, 1)) },
		"EnqueueOnce": func(ctx context.Context) error {
			_, err := q.EnqueueOnce(ctx, keyed("key"), batchOf(8, 1), receiptOf(1))
			return err
		},
		"Receipt": func(ctx context.Context) error {
			_, _, err := q.Receipt(ctx, keyed("key"))
			return err
		},
		"Receive": func(ctx context.Context) error {
			_, err := q.Receive(ctx, 10, 0)
			return err
		},
		"Acknowledge": func(ctx context.Context) error { return q.Acknowledge(ctx, b.ID) },
		"Return":      func(ctx context.Context) error { return q.Return(ctx, b.ID) },
		"Bury":        func(ctx context.Context) error { return q.Bury(ctx, b.ID, "no reason") },
		"Depth": func(ctx context.Context) error {
			_, err := q.Depth(ctx)
			return err
		},
	}
}

func testWorkers(t *testing.T, open OpenQueue) {
	const batches, producers, workers = 60, 3, 4
	q := open(t, QueueBounds{Events: 10 * batches}).Queue
	var mu sync.Mutex
	seen := make(map[domain.BatchID]int)
	var acknowledged atomic.Int64
	inParallel(producers+workers, func(i int) {
		if i < producers {
			for n := i; n < batches; n += producers {
				must(t, q.Enqueue(t.Context(), batchOf(n+1, 1+n%3)))
			}
			return
		}
		deadline := time.Now().Add(30 * time.Second)
		for acknowledged.Load() < batches && time.Now().Before(deadline) && !t.Failed() {
			deliveries := receiveFor(t, q, 7, 50*time.Millisecond)
			mu.Lock()
			for _, d := range deliveries {
				seen[d.Batch.ID]++
			}
			mu.Unlock()
			must(t, q.Acknowledge(t.Context(), idsOf(deliveries)...))
			acknowledged.Add(int64(len(deliveries)))
		}
	})
	for n := range batches {
		if times := seen[batchOf(n+1, 1).ID]; times != 1 {
			t.Errorf("batch %d was handed out %d times", n+1, times)
		}
	}
	checkDepth(t, q, ports.QueueDepth{})
}

func testDepth(t *testing.T, open OpenQueue) {
	q := open(t, QueueBounds{Events: 100}).Queue
	first, second := batchOf(7, 2), batchOf(8, 3)
	enqueue(t, q, first, second)
	full := ports.QueueDepth{Batches: 2, Events: 5, Oldest: first.ReceivedAt}
	checkDepth(t, q, full)
	receive(t, q, 2)
	checkDepth(t, q, full)
	must(t, q.Return(t.Context(), first.ID))
	checkDepth(t, q, full)
	must(t, q.Acknowledge(t.Context(), first.ID))
	checkDepth(t, q, ports.QueueDepth{Batches: 1, Events: 3, Oldest: second.ReceivedAt})
}

func testCrash(t *testing.T, open OpenQueue) {
	h := open(t, QueueBounds{Events: 5})
	if h.Crash == nil {
		t.Skip("dies with its process")
	}
	held, buried, waiting := batchOf(1, 1), batchOf(2, 2), batchOf(3, 1)
	checkReceipt(t, receiptOf(1))(h.Queue.EnqueueOnce(t.Context(), keyed("key"), held, receiptOf(1)))
	enqueue(t, h.Queue, buried)
	receive(t, h.Queue, 10)
	must(t, h.Queue.Bury(t.Context(), buried.ID, "reason"))
	enqueue(t, h.Queue, waiting)
	h.Queue = h.Crash(t)
	checkDepth(t, h.Queue, ports.QueueDepth{Batches: 2, Events: 2, DeadLetters: 1, Oldest: held.ReceivedAt})
	checkKnown(t, h.Queue, keyed("key"), receiptOf(1))
	checkReceived(t, receive(t, h.Queue, 10), append(deliveriesOf(2, held), deliveriesOf(1, waiting)...)...)
	checkDeadLetters(t, h, DeadLetter{buried, "reason"})
	checkReceipt(t, receiptOf(1))(h.Queue.EnqueueOnce(t.Context(), keyed("key"), batchOf(4, 1), receiptOf(4)))
	checkCode(t, h.Queue.Enqueue(t.Context(), batchOf(5, 4)), domain.CodeQueueFull)
}

func testDamage(t *testing.T, open OpenQueue) {
	h := open(t, QueueBounds{Events: 6})
	if h.Damage == nil {
		t.Skip("keeps no bytes")
	}
	first, damaged, last := batchOf(1, 2), batchOf(2, 2), batchOf(3, 2)
	enqueue(t, h.Queue, first, damaged, last)
	h.Damage(t, damaged.ID)
	checkReceived(t, receive(t, h.Queue, 10), deliveriesOf(1, first, last)...)
	checkDepth(t, h.Queue, ports.QueueDepth{Batches: 2, Events: 4, DeadLetters: 1, Oldest: first.ReceivedAt})
	// Nothing but what cannot be read is nothing.
	enqueue(t, h.Queue, batchOf(4, 2))
	h.Damage(t, batchOf(4, 2).ID)
	checkReceived(t, receiveFor(t, h.Queue, 10, 30*time.Millisecond))
	enqueue(t, h.Queue, batchOf(5, 2))
	checkReceived(t, receive(t, h.Queue, 10), deliveriesOf(1, batchOf(5, 2))...)
	checkDepth(t, h.Queue, ports.QueueDepth{Batches: 3, Events: 6, DeadLetters: 2, Oldest: first.ReceivedAt})
}

func testBrokenQueue(t *testing.T, open OpenQueue) {
	h := open(t, QueueBounds{Events: 100})
	if h.Break == nil {
		t.Skip("cannot break")
	}
	enqueue(t, h.Queue, batchOf(1, 1))
	calls := queueCalls(h.Queue)
	delete(calls, "Return") // may be no more than a note in memory
	h.Break(t)
	for name, call := range calls {
		if got := domain.CodeOf(call(t.Context())); got != domain.CodeUnavailable {
			t.Errorf("%s: code %q, want %q", name, got, domain.CodeUnavailable)
		}
	}
}

func batchOf(number, events int) domain.Batch {
	return NewBatch(number, Events(uint64(number), events)...)
}

func deliveriesOf(attempt int, batches ...domain.Batch) []ports.Delivery {
	deliveries := make([]ports.Delivery, len(batches))
	for i, b := range batches {
		deliveries[i] = ports.Delivery{Batch: b, Attempt: attempt}
	}
	return deliveries
}

func idsOf(deliveries []ports.Delivery) []domain.BatchID {
	ids := make([]domain.BatchID, len(deliveries))
	for i, d := range deliveries {
		ids[i] = d.Batch.ID
	}
	return ids
}

func enqueue(t *testing.T, q ports.EventQueue, batches ...domain.Batch) {
	t.Helper()
	for _, b := range batches {
		must(t, q.Enqueue(t.Context(), b))
	}
}

func receive(t *testing.T, q ports.Deliveries, maxEvents int) []ports.Delivery {
	t.Helper()
	return receiveFor(t, q, maxEvents, 0)
}

func receiveFor(t *testing.T, q ports.Deliveries, maxEvents int, wait time.Duration) []ports.Delivery {
	t.Helper()
	deliveries, err := q.Receive(t.Context(), maxEvents, wait)
	must(t, err)
	return deliveries
}

func checkReceived(t *testing.T, got []ports.Delivery, want ...ports.Delivery) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("received %d batches %v, want %d %v", len(got), idsOf(got), len(want), idsOf(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("delivery %d is %+v\nwant %+v", i, got[i], want[i])
		}
	}
}

func checkReceipt(t *testing.T, want domain.Receipt) func(domain.Receipt, error) {
	t.Helper()
	return func(got domain.Receipt, err error) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("receipt %+v, %v\nwant %+v", got, err, want)
		}
	}
}

func checkDepth(t *testing.T, q ports.QueueMeter, want ports.QueueDepth) {
	t.Helper()
	got, err := q.Depth(t.Context())
	if got.MaxEvents == 0 || got.MaxBytes == 0 {
		t.Error("the depth has no bounds beside it")
	}
	if got.OldestAge < 0 || got.OldestAge < got.Waiting || got.Batches == 0 && got.OldestAge != 0 {
		t.Errorf("the oldest of %d batches is %v old", got.Batches, got.OldestAge)
	}
	got.MaxEvents, got.MaxBytes, got.Waiting, got.OldestAge = 0, 0, 0, 0 // for testWaiting and testOldestAge
	if (got.Bytes > got.Batches*domain.BatchOverhead) != (got.Batches > 0) {
		t.Errorf("%d batches take %d bytes", got.Batches, got.Bytes)
	}
	got.Bytes, got.Receipts, got.ReceiptBytes = 0, 0, 0 // other tests are about these
	if err != nil || got != want {
		t.Errorf("depth %+v, %v\nwant %+v", got, err, want)
	}
}

func checkDeadLetters(t *testing.T, h QueueHarness, want ...DeadLetter) {
	t.Helper()
	if got := h.DeadLetters(t); !slices.EqualFunc(got, want, equalDeadLetters) {
		t.Errorf("dead letters %+v\nwant %+v", got, want)
	}
}

func equalDeadLetters(a, b DeadLetter) bool { return reflect.DeepEqual(a, b) }

func checkCode(t *testing.T, err error, want domain.Code) {
	t.Helper()
	if got := domain.CodeOf(err); got != want {
		t.Errorf("code %q of %v, want %q", got, err, want)
	}
}

// must may be called from any goroutine.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(fmt.Errorf("unexpected: %w", err))
	}
}

// inParallel runs n functions at once and waits for all.
func inParallel(n int, f func(i int)) {
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { f(i) })
	}
	group.Wait()
}
