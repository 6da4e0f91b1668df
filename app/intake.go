package app

import (
	"context"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// AcceptTimeout bounds how long a queue may take to hold a batch. It leaves time
// to answer within [HealthTimeout].
const AcceptTimeout = 1500 * time.Millisecond

// GuardedQueue is the way into a queue that refuses what the disk has no room
// for, and whose caller waits for no longer than [AcceptTimeout].
type GuardedQueue struct {
	ports.EventQueue // its receipts need no room on the disk

	reserve *Reserve
}

var _ ports.EventQueue = (*GuardedQueue)(nil)

// NewGuardedQueue returns the guarded way into q.
func NewGuardedQueue(q ports.EventQueue, r *Reserve) *GuardedQueue {
	if b, ok := q.(ports.BoundedQueue); !ok || b.CallTimeout() > AcceptTimeout {
		q = watchedQueue{q}
	}
	return &GuardedQueue{q, r}
}

// Enqueue holds the batch, as ports.EventQueue promises.
func (g *GuardedQueue) Enqueue(ctx context.Context, batch domain.Batch) error {
	if err := g.reserve.Check(ctx); err != nil {
		return err
	}
	return g.EventQueue.Enqueue(ctx, batch)
}

// EnqueueOnce holds the batch once for each key, as ports.EventQueue promises.
func (g *GuardedQueue) EnqueueOnce(
	ctx context.Context, request domain.KeyedRequest, batch domain.Batch, r domain.Receipt,
) (domain.Receipt, error) {
	if err := g.reserve.Check(ctx); err != nil {
		return domain.Receipt{}, err
	}
	return g.EventQueue.EnqueueOnce(ctx, request, batch, r)
}

// watchedQueue calls a queue that may not end its calls in time: each has a goroutine
// of its own, and its caller waits no longer than [AcceptTimeout].
type watchedQueue struct{ queue ports.EventQueue }

func (w watchedQueue) Enqueue(ctx context.Context, batch domain.Batch) error {
	_, err := within(ctx, AcceptTimeout, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, w.queue.Enqueue(ctx, batch)
	})
	return err
}

func (w watchedQueue) EnqueueOnce(
	ctx context.Context, request domain.KeyedRequest, batch domain.Batch, r domain.Receipt,
) (domain.Receipt, error) {
	// The request's body is its caller's again when this gives up.
	request.Body = append([]byte(nil), request.Body...)
	return within(ctx, AcceptTimeout, func(ctx context.Context) (domain.Receipt, error) {
		return w.queue.EnqueueOnce(ctx, request, batch, r)
	})
}

func (w watchedQueue) Receipt(ctx context.Context, request domain.KeyedRequest) (domain.Receipt, bool, error) {
	request.Body = append([]byte(nil), request.Body...)
	type found struct {
		receipt domain.Receipt
		known   bool
	}
	f, err := within(ctx, AcceptTimeout, func(ctx context.Context) (found, error) {
		receipt, known, err := w.queue.Receipt(ctx, request)
		return found{receipt, known}, err
	})
	return f.receipt, f.known, err
}

// within runs work for at most that long, also where it does not heed its ctx:
// a system call on a disk that hangs does not. It goes on unobserved then.
func within[T any](ctx context.Context, longest time.Duration, work func(ctx context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		defer cancel()
		value, err := withoutPanic(func() (T, error) { return work(ctx) })
		done <- outcome{value, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
	}
	select {
	case o := <-done: // it ended ctx itself
		return o.value, o.err
	default:
		var none T
		return none, domain.NewError(domain.CodeUnavailable, ctx.Err(), "no answer in time")
	}
}
