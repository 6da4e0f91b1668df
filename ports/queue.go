package ports

import (
	"context"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// EventQueue is the way in: it holds accepted batches until they are stored.
type EventQueue interface {
	// Enqueue holds the whole batch, durably, or nothing of it. The queue is
	// bounded in events and in bytes, as the adapter encodes batches and with
	// domain.BatchOverhead for each. A batch that would not fit is refused with
	// domain.CodeQueueFull; the check and the adding are one step, so the bound
	// holds for any number of callers.
	// A queue that cannot be reached or written gives domain.CodeUnavailable,
	// and then the batch may or may not be held. So does a call whose ctx ends while
	// it waits: EnqueueOnce makes it safe to repeat. Where too many calls wait, the
	// queue refuses with domain.CodeUnavailable at once and holds nothing.
	Enqueue(ctx context.Context, batch domain.Batch) error

	// EnqueueOnce is Enqueue for a request with an idempotency key. When no
	// receipt is held under the key it holds batch and receipt in one step and
	// returns receipt. Otherwise, full queue or not, it holds nothing: for the
	// same body it returns the earlier receipt as domain.EncodeReceipt keeps it,
	// for another one domain.CodeIdempotencyKeyReused.
	//
	// A receipt is held for domain.IdempotencyLifetime. Receipts are bounded in
	// number and in bytes, domain.ReceiptOverhead for each included: when there
	// are more, the oldest go first. Those whose time is over are deleted when
	// the next one is held, and without one within an hour of a worker's life. Key
	// and body are never stored, only keyed hashes of them.
	EnqueueOnce(ctx context.Context, request domain.KeyedRequest, batch domain.Batch, receipt domain.Receipt) (domain.Receipt, error)

	// Receipt looks up what EnqueueOnce holds under the request's key, and
	// changes nothing: the earlier receipt and true for the same body, false
	// when there is none, and domain.CodeIdempotencyKeyReused for another body.
	// Neither a full queue nor a suspended intake matters to it. A queue that
	// cannot be reached or read gives domain.CodeUnavailable.
	Receipt(ctx context.Context, request domain.KeyedRequest) (domain.Receipt, bool, error)
}

// BoundedQueue is an EventQueue that ends its calls by itself in time. A queue on a
// disk, where a system call may hang, is none.
type BoundedQueue interface {
	EventQueue

	// CallTimeout is how long a call takes at most.
	CallTimeout() time.Duration
}

// Delivery is a batch in a worker's hands.
type Delivery struct {
	Batch domain.Batch
	// Attempt counts how often the batch was handed out, this time included.
	Attempt int
}

// Deliveries is the way out of the queue. Every batch is handed to one worker
// at a time, oldest first, and again until it is acknowledged or buried: at
// least once. Making that exactly once is the store's part.
type Deliveries interface {
	// Receive hands out the oldest batches that nobody holds, as many whole
	// ones as have at most maxEvents events together, but at least one if
	// there is any. With none it waits up to wait for one, and then returns
	// none and no error. An entry that cannot be read is buried on the way and
	// not returned. What a crashed worker held is handed out again.
	Receive(ctx context.Context, maxEvents int, wait time.Duration) ([]Delivery, error)

	// Acknowledge forgets batches for good. Ids that the queue does not hold
	// are no error.
	Acknowledge(ctx context.Context, ids ...domain.BatchID) error

	// Return gives batches back, to be handed out again at once and in their
	// old place. Ids that nobody holds are no error and stay as they are.
	Return(ctx context.Context, ids ...domain.BatchID) error

	// Bury moves a batch to the dead letters together with the reason, which
	// names no submitted value. An id that the queue does not hold is no error.
	// Dead letters are bounded in number and in bytes: when there are more, those
	// that were buried first are deleted for good, which is logged as an error.
	Bury(ctx context.Context, id domain.BatchID, reason string) error
}

// QueueDepth tells how much the queue holds.
type QueueDepth struct {
	// Batches and Events count everything not yet acknowledged or buried, and
	// Bytes what it takes.
	Batches, Events, Bytes int
	// DeadLetters counts buried batches.
	DeadLetters int
	// Receipts counts what is held under idempotency keys, and ReceiptBytes what
	// that takes.
	Receipts, ReceiptBytes int
	// Oldest is when the oldest batch was received; zero when there is none.
	Oldest time.Time
	// OldestAge is how long the oldest batch has been in the queue, by one clock
	// of the queue's own; never negative.
	OldestAge time.Duration
	// MaxEvents and MaxBytes are the bounds on Events and Bytes.
	MaxEvents, MaxBytes int
	// Waiting is for how long there have been batches and none was acknowledged
	// or buried, by one clock of the queue's own: a backlog that shrinks has
	// waited for as long as the last batch took. Zero when the queue is empty.
	Waiting time.Duration
	// Suspended reports whether [Intake.Suspend] is in effect.
	Suspended bool
}

// Intake closes the way into the queue for every process that shares it.
type Intake interface {
	// Suspend has the queue refuse batches with domain.CodeDiskFull for the
	// lifetime, counted from the last call, or until Resume. What the queue
	// holds stays and is handed out.
	Suspend(ctx context.Context, lifetime time.Duration) error

	// Resume has the queue take batches again. It is no error when it does.
	Resume(ctx context.Context) error
}

// QueueMeter measures the queue.
type QueueMeter interface {
	// Depth is cheap: it may be asked for with every health check.
	Depth(ctx context.Context) (QueueDepth, error)
}
