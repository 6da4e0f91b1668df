package memory

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var (
	_ ports.EventQueue  = (*Queue)(nil)
	_ ports.Deliveries  = (*Queue)(nil)
	_ ports.QueueMeter  = (*Queue)(nil)
	_ ports.DeadLetters = (*Queue)(nil)
	_ ports.Intake      = (*Queue)(nil)
)

// QueueConfig tunes a queue. Zero values mean the defaults.
type QueueConfig struct {
	// MaxEvents and MaxBytes bound what the queue holds. Defaults those of
	// package domain.
	MaxEvents, MaxBytes int
	// MaxDeadLetters and MaxDeadLetterBytes bound what was buried. Defaults those
	// of package domain.
	MaxDeadLetters, MaxDeadLetterBytes int
	// MaxReceipts and MaxReceiptBytes bound what is kept for idempotency keys.
	// Defaults those of package domain.
	MaxReceipts, MaxReceiptBytes int
	// Clock tells when idempotency keys expire, and dates dead letters.
	// Default the system's clock.
	Clock ports.Clock
}

// Queue is a queue in memory.
type Queue struct {
	config QueueConfig
	secret []byte // of the hashes of idempotency keys

	mu       sync.Mutex
	entries  []*entry // oldest first
	receipts receipts
	buried   []ports.DeadLetter // oldest burial first
	arrival  chan struct{}      // closed, and replaced, when there may be a batch to hand out
	settled  time.Duration      // when a batch was last acknowledged or buried, on the clock's Elapsed
	resumed  time.Duration      // when batches are taken again, on the same
}

type entry struct {
	batch    domain.Batch
	attempts int
	held     bool
}

// copyOf keeps what is kept from changing when a caller changes what it gave or
// got.
func copyOf(b domain.Batch) domain.Batch {
	b.Events = slices.Clone(b.Events)
	return b
}

// NewQueue returns an empty queue.
func NewQueue(config QueueConfig) *Queue {
	config.MaxEvents = cmp.Or(config.MaxEvents, domain.DefaultMaxQueueEvents)
	config.MaxBytes = cmp.Or(config.MaxBytes, domain.DefaultMaxQueueBytes)
	config.MaxDeadLetters = cmp.Or(config.MaxDeadLetters, domain.DefaultMaxDeadLetters)
	config.MaxDeadLetterBytes = cmp.Or(config.MaxDeadLetterBytes, domain.DefaultMaxDeadLetterBytes)
	if config.Clock == nil {
		config.Clock = systemClock{}
	}
	q := &Queue{
		config:   config,
		secret:   make([]byte, sha256.Size),
		receipts: newReceipts(config.MaxReceipts, config.MaxReceiptBytes),
		arrival:  make(chan struct{}),
	}
	_, _ = rand.Read(q.secret) // documented never to fail
	q.settled = q.config.Clock.Elapsed()
	q.resumed = q.settled
	return q
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

// started holds a reading of the machine's monotonic clock.
var started = time.Now()

func (systemClock) Elapsed() time.Duration { return time.Since(started) }

// Enqueue holds the batch, as ports.EventQueue promises.
func (q *Queue) Enqueue(ctx context.Context, batch domain.Batch) error {
	if err := alive(ctx); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.add(batch)
}

// EnqueueOnce holds the batch once for each key, as ports.EventQueue promises.
func (q *Queue) EnqueueOnce(
	ctx context.Context, request domain.KeyedRequest, batch domain.Batch, r domain.Receipt,
) (domain.Receipt, error) {
	if err := alive(ctx); err != nil {
		return domain.Receipt{}, err
	}
	key, fingerprint := request.Hashes(q.secret)

	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.config.Clock.Now()
	if earlier, ok := q.receipts.get(key, now); ok {
		return domain.RecallReceipt(earlier, fingerprint)
	}
	if err := q.add(batch); err != nil {
		return domain.Receipt{}, err
	}
	q.receipts.expire(now)
	q.receipts.add(key, domain.EncodeReceipt(fingerprint, r), now.Add(domain.IdempotencyLifetime))
	return r, nil
}

// Receipt looks a receipt up, as ports.EventQueue promises.
func (q *Queue) Receipt(ctx context.Context, request domain.KeyedRequest) (domain.Receipt, bool, error) {
	if err := alive(ctx); err != nil {
		return domain.Receipt{}, false, err
	}
	key, fingerprint := request.Hashes(q.secret)

	q.mu.Lock()
	defer q.mu.Unlock()
	earlier, ok := q.receipts.get(key, q.config.Clock.Now())
	if !ok {
		return domain.Receipt{}, false, nil
	}
	r, err := domain.RecallReceipt(earlier, fingerprint)
	return r, err == nil, err
}

func (q *Queue) add(batch domain.Batch) error {
	if q.config.Clock.Elapsed() < q.resumed {
		return domain.NewError(domain.CodeDiskFull, nil, "the disk has no room: try again later")
	}
	_, events, bytes := q.size()
	if events+len(batch.Events) > q.config.MaxEvents || bytes+sizeOf(batch) > q.config.MaxBytes {
		return domain.NewError(domain.CodeQueueFull, nil, "the queue is full: try again later")
	}
	q.entries = append(q.entries, &entry{batch: copyOf(batch)})
	q.announce()
	return nil
}

func (q *Queue) size() (batches, events, bytes int) {
	for _, e := range q.entries {
		events += len(e.batch.Events)
		bytes += sizeOf(e.batch)
	}
	return len(q.entries), events, bytes
}

// sizeOf is about what a batch takes.
func sizeOf(b domain.Batch) int {
	size := domain.BatchOverhead + len(b.Events)*int(unsafe.Sizeof(domain.Event{}))
	for i := range b.Events {
		e := &b.Events[i]
		size += len(e.Version) + len(e.ErrorType) + len(e.Parameters) + len(e.SessionID) // the others are shared
	}
	return size
}

func (q *Queue) announce() {
	close(q.arrival)
	q.arrival = make(chan struct{})
}

// Receive hands out batches, as ports.Deliveries promises.
func (q *Queue) Receive(ctx context.Context, maxEvents int, wait time.Duration) ([]ports.Delivery, error) {
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for {
		if err := alive(ctx); err != nil {
			return nil, err
		}
		deliveries, arrival := q.take(maxEvents)
		if len(deliveries) > 0 {
			return deliveries, nil
		}
		select {
		case <-arrival:
		case <-timeout.C:
			return nil, nil
		case <-ctx.Done():
		}
	}
}

// take deletes expired receipts, and returns what there is to hand out and, for when that is nothing, what
// tells that it may be worth looking again.
func (q *Queue) take(maxEvents int) ([]ports.Delivery, <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.receipts.expire(q.config.Clock.Now())
	var deliveries []ports.Delivery
	events := 0
	for _, e := range q.entries {
		if e.held {
			continue
		}
		events += len(e.batch.Events)
		if len(deliveries) > 0 && events > maxEvents {
			break
		}
		e.held = true
		e.attempts++
		deliveries = append(deliveries, ports.Delivery{Batch: copyOf(e.batch), Attempt: e.attempts})
	}
	return deliveries, q.arrival
}

// Acknowledge forgets batches, as ports.Deliveries promises.
func (q *Queue) Acknowledge(ctx context.Context, ids ...domain.BatchID) error {
	if err := alive(ctx); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	before := len(q.entries)
	q.entries = slices.DeleteFunc(q.entries, func(e *entry) bool { return slices.Contains(ids, e.batch.ID) })
	if len(q.entries) < before {
		q.settled = q.config.Clock.Elapsed()
	}
	return nil
}

// Return gives batches back, as ports.Deliveries promises.
func (q *Queue) Return(ctx context.Context, ids ...domain.BatchID) error {
	if err := alive(ctx); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.entries {
		if slices.Contains(ids, e.batch.ID) {
			e.held = false
		}
	}
	q.announce()
	return nil
}

// Bury moves a batch to the dead letters, as ports.Deliveries promises.
func (q *Queue) Bury(ctx context.Context, id domain.BatchID, reason string) error {
	if err := alive(ctx); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.entries = slices.DeleteFunc(q.entries, func(e *entry) bool {
		if e.batch.ID != id {
			return false
		}
		q.buried = append(q.buried, ports.DeadLetter{
			ID: id, Batch: e.batch, Reason: reason, Attempts: e.attempts, BuriedAt: q.config.Clock.Now(),
		})
		q.settled = q.config.Clock.Elapsed()
		return true
	})
	q.boundDeadLetters()
	return nil
}

// boundDeadLetters deletes the oldest of too many.
func (q *Queue) boundDeadLetters() {
	bytes := 0
	for kept := range len(q.buried) {
		letter := q.buried[len(q.buried)-1-kept]
		bytes += sizeOf(letter.Batch) + len(letter.Reason)
		if kept == q.config.MaxDeadLetters || bytes > q.config.MaxDeadLetterBytes {
			q.buried = slices.Clone(q.buried[len(q.buried)-kept:])
			return
		}
	}
}

// Depth measures the queue, as ports.QueueMeter promises.
func (q *Queue) Depth(ctx context.Context) (ports.QueueDepth, error) {
	if err := alive(ctx); err != nil {
		return ports.QueueDepth{}, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	depth := ports.QueueDepth{DeadLetters: len(q.buried), Receipts: q.receipts.order.Len(), ReceiptBytes: q.receipts.bytes}
	depth.Batches, depth.Events, depth.Bytes = q.size()
	depth.MaxEvents, depth.MaxBytes, depth.Suspended = q.config.MaxEvents, q.config.MaxBytes, q.config.Clock.Elapsed() < q.resumed
	if len(q.entries) > 0 {
		depth.Oldest = q.entries[0].batch.ReceivedAt
		depth.OldestAge = max(0, q.config.Clock.Now().Sub(depth.Oldest))
		depth.Waiting = max(0, min(depth.OldestAge, q.config.Clock.Elapsed()-q.settled))
	}
	return depth, nil
}

// Suspend closes the way in, as ports.Intake promises.
func (q *Queue) Suspend(ctx context.Context, lifetime time.Duration) error {
	if err := alive(ctx); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.resumed = q.config.Clock.Elapsed() + lifetime
	return nil
}

// Resume opens the way in, as ports.Intake promises.
func (q *Queue) Resume(ctx context.Context) error { return q.Suspend(ctx, 0) }

// alive ends a call whose context has ended.
func alive(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return domain.NewError(domain.CodeUnavailable, err, "the call was given up")
	}
	return nil
}
