package contract

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// keyed is a request under a key whose body is always the same.
func keyed(key string) domain.KeyedRequest { return keyedBody(key, "a body") }

func keyedBody(key, body string) domain.KeyedRequest {
	return domain.KeyedRequest{Key: key, Body: []byte(body)}
}

// once posts a batch of one event under a key and returns the receipt.
func once(t *testing.T, q ports.EventQueue, request domain.KeyedRequest, number int) (domain.Receipt, error) {
	t.Helper()
	return q.EnqueueOnce(t.Context(), request, batchOf(number, 1), receiptOf(number))
}

// checkForgotten demands that the key is new to the queue.
func checkForgotten(t *testing.T, q ports.EventQueue, key string, number int) {
	t.Helper()
	checkReceipt(t, receiptOf(number))(once(t, q, keyed(key), number))
}

func checkReceipts(t *testing.T, q ports.QueueMeter, number, bytes int) {
	t.Helper()
	depth, err := q.Depth(t.Context())
	if err != nil || depth.Receipts != number || depth.ReceiptBytes != bytes {
		t.Errorf("%d receipts of %d bytes, %v; want %d of %d", depth.Receipts, depth.ReceiptBytes, err, number, bytes)
	}
}

// sizeOf is what a receipt counts towards the bound.
func sizeOf(r domain.Receipt) int {
	return len(domain.EncodeReceipt(domain.Fingerprint{}, r)) + domain.ReceiptOverhead
}

func testOtherBody(t *testing.T, open OpenQueue) {
	h := open(t, QueueBounds{Events: 2})
	checkReceipt(t, receiptOf(1))(once(t, h.Queue, keyedBody("key", "a"), 1))
	for range 2 {
		_, err := once(t, h.Queue, keyedBody("key", "b"), 2)
		checkCode(t, err, domain.CodeIdempotencyKeyReused)
	}
	checkReceipt(t, receiptOf(1))(once(t, h.Queue, keyedBody("key", "a"), 3))
	checkReceipt(t, receiptOf(4))(once(t, h.Queue, keyedBody("other", "b"), 4))
	// The queue is full, which changes nothing.
	_, err := once(t, h.Queue, keyedBody("key", "b"), 5)
	checkCode(t, err, domain.CodeIdempotencyKeyReused)
	checkReceived(t, receive(t, h.Queue, 10), deliveriesOf(1, batchOf(1, 1), batchOf(4, 1))...)
	must(t, h.Queue.Acknowledge(t.Context(), batchOf(1, 1).ID, batchOf(4, 1).ID))
	// A key is free again when its time is over.
	h.Advance(domain.IdempotencyLifetime)
	checkReceipt(t, receiptOf(6))(once(t, h.Queue, keyedBody("key", "b"), 6))
}

func checkKnown(t *testing.T, q ports.EventQueue, request domain.KeyedRequest, want domain.Receipt) {
	t.Helper()
	got, known, err := q.Receipt(t.Context(), request)
	if err != nil || !known {
		t.Errorf("a receipt that is held: known %v, %v", known, err)
		return
	}
	checkReceipt(t, want)(got, nil)
}

// checkUnknown demands the code, or none, of a look-up that finds nothing.
func checkUnknown(t *testing.T, q ports.EventQueue, request domain.KeyedRequest, want domain.Code) {
	t.Helper()
	got, known, err := q.Receipt(t.Context(), request)
	if known || domain.CodeOf(err) != want || (err == nil) != (want == "") || !reflect.DeepEqual(got, domain.Receipt{}) {
		t.Errorf("found %+v, known %v, %v; want none and code %q", got, known, err, want)
	}
}

func testReceipt(t *testing.T, open OpenQueue) {
	h := open(t, QueueBounds{Events: 1})
	checkUnknown(t, h.Queue, keyedBody("key", "a"), "")
	checkReceipt(t, receiptOf(1))(once(t, h.Queue, keyedBody("key", "a"), 1)) // which fills the queue
	for range 2 {
		checkKnown(t, h.Queue, keyedBody("key", "a"), receiptOf(1))
		checkUnknown(t, h.Queue, keyedBody("key", "b"), domain.CodeIdempotencyKeyReused)
		checkUnknown(t, h.Queue, keyedBody("key", ""), domain.CodeIdempotencyKeyReused)
		checkUnknown(t, h.Queue, keyedBody("Key", "a"), "")
	}
	// A batch that was refused leaves no receipt.
	_, err := once(t, h.Queue, keyedBody("other", "a"), 2)
	checkCode(t, err, domain.CodeQueueFull)
	checkUnknown(t, h.Queue, keyedBody("other", "a"), "")
	// Looking up adds and deletes nothing.
	checkReceipts(t, h.Queue, 1, sizeOf(receiptOf(1)))
	checkReceived(t, receive(t, h.Queue, 10), deliveriesOf(1, batchOf(1, 1))...)
	must(t, h.Queue.Acknowledge(t.Context(), batchOf(1, 1).ID))
	checkKnown(t, h.Queue, keyedBody("key", "a"), receiptOf(1))

	h.Advance(domain.IdempotencyLifetime - time.Second)
	checkKnown(t, h.Queue, keyedBody("key", "a"), receiptOf(1))
	h.Advance(time.Second)
	checkUnknown(t, h.Queue, keyedBody("key", "a"), "")
	checkUnknown(t, h.Queue, keyedBody("key", "b"), "")
	checkReceipt(t, receiptOf(3))(once(t, h.Queue, keyedBody("key", "b"), 3))
	checkKnown(t, h.Queue, keyedBody("key", "b"), receiptOf(3))
	// A receipt that a wrong clock has dated too far ahead is unknown as well.
	h.Advance(-domain.ReceiptTolerance - time.Second)
	checkUnknown(t, h.Queue, keyedBody("key", "b"), "")
}

func testReceiptsInNumber(t *testing.T, open OpenQueue) {
	q := open(t, QueueBounds{Events: 100, Receipts: 3}).Queue
	for n := 1; n <= 5; n++ {
		checkReceipt(t, receiptOf(n))(once(t, q, keyed(fmt.Sprint("key ", n)), n))
	}
	checkReceipts(t, q, 3, sizeOf(receiptOf(3))+sizeOf(receiptOf(4))+sizeOf(receiptOf(5)))
	for n := 3; n <= 5; n++ {
		checkReceipt(t, receiptOf(n))(once(t, q, keyed(fmt.Sprint("key ", n)), 10+n))
	}
	checkForgotten(t, q, "key 1", 21)
	checkForgotten(t, q, "key 3", 23) // to which the first one was preferred
	checkReceipt(t, receiptOf(5))(once(t, q, keyed("key 5"), 25))
}

func testReceiptsInBytes(t *testing.T, open OpenQueue) {
	size := sizeOf(receiptOf(1))
	q := open(t, QueueBounds{Events: 100, ReceiptBytes: 3*size + size/2}).Queue
	for n := 1; n <= 4; n++ {
		checkReceipt(t, receiptOf(n))(once(t, q, keyed(fmt.Sprint("key ", n)), n))
	}
	checkReceipts(t, q, 3, 3*size)
	checkForgotten(t, q, "key 1", 11)
	// A large one pushes out as many as it needs room of.
	large := domain.Receipt{AcceptedAt: Now, Accepted: 1, Refused: 50}
	for i := range 50 {
		large.Violations = append(large.Violations, domain.Violation{Index: i, Code: domain.ViolationType, Message: fmt.Sprint("reason ", i*i)})
	}
	if sizeOf(large) < size || sizeOf(large) > 3*size {
		t.Fatalf("a receipt of %d bytes, beside some of %d", sizeOf(large), size)
	}
	checkReceipt(t, large)(q.EnqueueOnce(t.Context(), keyed("large"), batchOf(12, 1), large))
	checkReceipt(t, large)(q.EnqueueOnce(t.Context(), keyed("large"), batchOf(13, 1), large))
	depth, err := q.Depth(t.Context())
	must(t, err)
	if depth.ReceiptBytes > 3*size+size/2 || depth.ReceiptBytes < sizeOf(large) {
		t.Errorf("receipts take %d bytes, of which the last has %d", depth.ReceiptBytes, sizeOf(large))
	}
}

func testReceiptsExpire(t *testing.T, open OpenQueue) {
	h := open(t, QueueBounds{Events: 100})
	checkReceipt(t, receiptOf(1))(once(t, h.Queue, keyed("first"), 1))
	h.Advance(time.Hour)
	checkReceipt(t, receiptOf(2))(once(t, h.Queue, keyed("second"), 2))
	h.Advance(domain.IdempotencyLifetime - time.Hour - time.Second)
	h.Expire(t)
	checkReceipts(t, h.Queue, 2, sizeOf(receiptOf(1))+sizeOf(receiptOf(2)))
	h.Advance(time.Second)
	h.Expire(t)
	checkReceipts(t, h.Queue, 1, sizeOf(receiptOf(2)))
	h.Advance(time.Hour)
	h.Expire(t)
	checkReceipts(t, h.Queue, 0, 0)
	checkForgotten(t, h.Queue, "second", 3)
	checkReceipts(t, h.Queue, 1, sizeOf(receiptOf(3)))
}

func testReceiptsOfAWrongClock(t *testing.T, open OpenQueue) {
	h := open(t, QueueBounds{Events: 100})
	checkReceipt(t, receiptOf(1))(once(t, h.Queue, keyed("key"), 1))
	h.Advance(-domain.ReceiptTolerance)
	h.Expire(t)
	checkReceipt(t, receiptOf(1))(once(t, h.Queue, keyed("key"), 2))
	h.Advance(-time.Second)
	checkForgotten(t, h.Queue, "key", 3)
	checkReceipts(t, h.Queue, 1, sizeOf(receiptOf(3)))
	h.Advance(-365 * 24 * time.Hour)
	h.Expire(t)
	checkReceipts(t, h.Queue, 0, 0)
}

// testSameReceipts does the same to the queue and to one in memory.
func testSameReceipts(t *testing.T, open OpenQueue) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { sameReceipts(t, open, seed) })
	}
}

func sameReceipts(t *testing.T, open OpenQueue, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 12))
	bounds := QueueBounds{Events: 40, Receipts: 4 + r.IntN(4), ReceiptBytes: 1500 + r.IntN(2000)}
	h := open(t, bounds)
	clock := memory.NewClock(Now)
	twin := memory.NewQueue(memory.QueueConfig{
		MaxEvents: bounds.Events, MaxReceipts: bounds.Receipts, MaxReceiptBytes: bounds.ReceiptBytes, Clock: clock,
	})
	for step := range 250 {
		switch r.IntN(10) {
		case 0:
			d := time.Duration(r.IntN(40_000)) * time.Second
			h.Advance(d)
			clock.Advance(d)
		case 1:
			h.Expire(t)
			_, err := twin.Receive(t.Context(), 0, 0)
			must(t, err)
			must(t, twin.Return(t.Context(), idsHeld(step)...))
		case 2:
			must(t, h.Queue.Acknowledge(t.Context(), idsHeld(step)...))
			must(t, twin.Acknowledge(t.Context(), idsHeld(step)...))
		default:
			request := keyedBody(fmt.Sprint("key ", r.IntN(12)), fmt.Sprint("body ", r.IntN(8)/7))
			batch, receipt := batchOf(step, 1+r.IntN(3)), anyReceipt(r)
			earlier, known, lookErr := h.Queue.Receipt(t.Context(), request)
			got, gotErr := h.Queue.EnqueueOnce(t.Context(), request, batch, receipt)
			want, wantErr := twin.EnqueueOnce(t.Context(), request, batch, receipt)
			if domain.CodeOf(gotErr) != domain.CodeOf(wantErr) || !reflect.DeepEqual(got, want) {
				t.Fatalf("step %d: %+v, %v\nin memory %+v, %v", step, got, gotErr, want, wantErr)
			}
			reused := domain.CodeOf(gotErr) == domain.CodeIdempotencyKeyReused
			if known && !reflect.DeepEqual(earlier, got) || reused != (domain.CodeOf(lookErr) == domain.CodeIdempotencyKeyReused) {
				t.Fatalf("step %d: looked up %+v, known %v, %v; then %+v, %v", step, earlier, known, lookErr, got, gotErr)
			}
			earlier, known, lookErr = h.Queue.Receipt(t.Context(), request)
			if known != (gotErr == nil) || known && !reflect.DeepEqual(earlier, got) || reused == (lookErr == nil) {
				t.Fatalf("step %d: %+v, %v; then looked up %+v, known %v, %v", step, got, gotErr, earlier, known, lookErr)
			}
		}
		got, err := h.Queue.Depth(t.Context())
		must(t, err)
		want, err := twin.Depth(t.Context())
		must(t, err)
		if got.Receipts != want.Receipts || got.ReceiptBytes != want.ReceiptBytes || got.Events != want.Events {
			t.Fatalf("step %d: %+v\nin memory %+v", step, got, want)
		}
	}
}

// idsHeld are the ids of all batches before the step.
func idsHeld(step int) []domain.BatchID {
	ids := make([]domain.BatchID, step)
	for i := range ids {
		ids[i] = batchOf(i, 0).ID
	}
	return ids
}

func anyReceipt(r *rand.Rand) domain.Receipt {
	receipt := domain.Receipt{
		AcceptedAt: Now.Add(time.Duration(r.IntN(1e9)) * time.Microsecond),
		Accepted:   1 + r.IntN(100), Refused: r.IntN(100), Omitted: r.IntN(3) * r.IntN(2000),
	}
	for i := range r.IntN(30) * r.IntN(2) {
		receipt.Violations = append(receipt.Violations, domain.Violation{
			Index: i, Field: pick(r, "version", "", "parameters.email"),
			Code:    pick(r, domain.ViolationPII, domain.ViolationType, domain.ViolationRange),
			Message: pick(r, "version must be a string", "", "  a é “word”  ", fmt.Sprint("must not exceed ", r.IntN(1000))),
		})
	}
	return receipt
}
