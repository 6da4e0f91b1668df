package app

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// ProcessConfig tunes a worker. Zero values mean the defaults.
type ProcessConfig struct {
	// BatchSize is how many events a transaction holds at most, if more than
	// one batch. Default 5000.
	BatchSize int
	// PollInterval is how long one look at an empty queue waits. Default 1 s.
	PollInterval time.Duration
	// MaxTries is how often a batch that the store refuses for its own sake is
	// handed out before it is buried. Default 3.
	MaxTries int
	// BackoffMin and BackoffMax bound the wait while queue or store are away.
	// Defaults 100 ms and 30 s.
	BackoffMin, BackoffMax time.Duration
	// Guard closes the queue's intake while the store has no room. Default none.
	Guard *Guard
	// Merge keeps the journal of the store short, and stops the worker while it
	// is full. Default none.
	Merge *Merge
}

func (c ProcessConfig) withDefaults() ProcessConfig {
	setDefault(&c.BatchSize, 5000)
	setDefault(&c.PollInterval, time.Second)
	setDefault(&c.MaxTries, 3)
	setDefault(&c.BackoffMin, 100*time.Millisecond)
	setDefault(&c.BackoffMax, 30*time.Second)
	return c
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// Process moves batches from the queue into the store: a worker.
type Process struct {
	queue  ports.Deliveries
	store  ports.EventStore
	log    *slog.Logger
	config ProcessConfig

	mu       sync.Mutex
	failures int   // of steps, one after the other
	cause    error // of the last of these
}

var _ ports.HealthCheck = (*Process)(nil)

// NewProcess returns the use case.
func NewProcess(q ports.Deliveries, s ports.EventStore, log *slog.Logger, config ProcessConfig) *Process {
	return &Process{queue: q, store: s, log: log, config: config.withDefaults()}
}

// Name is "worker".
func (*Process) Name() string { return "worker" }

// maxFailures is how many steps in a row may fail before that counts as bad
// health. They are tried again within a second.
const maxFailures = 2

// Check fails while the worker cannot get batches, or cannot store them.
func (u *Process) Check(context.Context) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.failures <= maxFailures {
		return nil
	}
	return domain.NewError(domain.CodeUnavailable, u.cause, "the worker cannot store: "+domain.MessageOf(u.cause))
}

// note remembers the outcome of a step, for health and for the intake.
func (u *Process) note(ctx context.Context, outcome error) {
	u.config.Guard.watch(ctx, outcome)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.cause = outcome
	if u.failures++; outcome == nil {
		u.failures = 0
	}
}

// Run works until ctx ends, and then finishes what it has in hand; work bounds
// that: when work ends, what is in hand is left to be delivered again.
func (u *Process) Run(ctx, work context.Context) {
	for ctx.Err() == nil {
		err := u.drain(ctx, work)
		if ctx.Err() != nil {
			return
		}
		u.note(ctx, err)
		if err == nil {
			continue
		}
		wait := u.backoff()
		u.log.Warn("worker waits", "code", domain.CodeOf(err), "error", err, "wait_ms", wait.Milliseconds())
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// backoff is the wait after the steps that failed in a row: twice as long with each
// of them, up to the bound. The random part keeps workers from returning at once.
func (u *Process) backoff() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	wait := u.config.BackoffMin
	for i := 1; i < u.failures && wait < u.config.BackoffMax; i++ {
		wait *= 2
	}
	wait = min(wait, u.config.BackoffMax)
	return wait/2 + rand.N(wait/2+1) //nolint:gosec // no secret
}

// drain is [Process.Step] until the queue is empty. While a transaction is stored the
// next one is received: queue and store then work side by side.
func (u *Process) drain(ctx, work context.Context) error {
	deliveries, err := u.receive(ctx)
	for err == nil && len(deliveries) > 0 {
		storing := make(chan error, 1)
		go func() { storing <- u.finish(work, deliveries) }()
		next, receiveErr := u.receiveNext(ctx)
		if err := <-storing; err != nil {
			return errors.Join(err, u.giveBack(work, next))
		}
		if ctx.Err() == nil {
			u.note(ctx, nil)
		}
		deliveries, err = next, receiveErr
	}
	return err
}

// Step takes what one transaction may hold, stores it and acknowledges it, once
// the store's journal has room. It returns an error when queue or store are away;
// everything unfinished is then back in the queue, or will be.
func (u *Process) Step(ctx, work context.Context) error {
	deliveries, err := u.receive(ctx)
	if err != nil || len(deliveries) == 0 {
		return err
	}
	return u.finish(work, deliveries)
}

// receive waits until the journal has room, and then for batches.
func (u *Process) receive(ctx context.Context) ([]ports.Delivery, error) {
	if err := u.config.Merge.Room(ctx); err != nil {
		return nil, err
	}
	return u.queue.Receive(ctx, u.config.BatchSize, u.config.PollInterval)
}

// receiveNext is receive that waits for nothing.
func (u *Process) receiveNext(ctx context.Context) ([]ports.Delivery, error) {
	if !u.config.Merge.hasRoom() {
		return nil, nil
	}
	return u.queue.Receive(ctx, u.config.BatchSize, 0)
}

func (u *Process) giveBack(ctx context.Context, deliveries []ports.Delivery) error {
	if len(deliveries) == 0 {
		return nil
	}
	return u.queue.Return(ctx, idsOf(deliveries)...)
}

// finish stores the batches and acknowledges them. After an error what is unfinished
// is back in the queue, or will be.
func (u *Process) finish(work context.Context, deliveries []ports.Delivery) error {
	err := u.settle(work, deliveries)
	if domain.CodeOf(err) == domain.CodePoison {
		err = u.settleEach(work, deliveries, err)
	}
	if err != nil {
		// What is settled is held no more, and returning it changes nothing. A
		// queue that cannot take the rest back hands it out again by itself.
		err = errors.Join(err, u.giveBack(work, deliveries))
	}
	return err
}

// settle stores the batches together and acknowledges them.
func (u *Process) settle(ctx context.Context, deliveries []ports.Delivery) error {
	batches := make([]domain.Batch, len(deliveries))
	for i, d := range deliveries {
		batches[i] = d.Batch
	}
	stored, err := u.store.Store(ctx, batches)
	if err != nil {
		return err
	}
	u.config.Merge.Note(stored.Entries)
	u.log.Debug("batches stored", "batches", stored.Batches, "events", stored.Events, "repeated", stored.Repeated)
	return u.queue.Acknowledge(ctx, idsOf(deliveries)...)
}

// settleEach separates what can never be stored from its neighbours. refusal is
// why they cannot be stored together.
func (u *Process) settleEach(ctx context.Context, deliveries []ports.Delivery, refusal error) error {
	for _, d := range deliveries {
		err := refusal
		if len(deliveries) > 1 {
			err = u.settle(ctx, []ports.Delivery{d})
		}
		if domain.CodeOf(err) == domain.CodePoison {
			err = u.refuse(ctx, d, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// refuse gives back a batch that cannot be stored, and buries it when that was
// its last try.
func (u *Process) refuse(ctx context.Context, d ports.Delivery, reason error) error {
	if d.Attempt < u.config.MaxTries {
		u.log.Warn("batch refused", "batch", d.Batch.ID, "attempt", d.Attempt, "error", reason)
		return u.queue.Return(ctx, d.Batch.ID)
	}
	if err := u.queue.Bury(ctx, d.Batch.ID, reason.Error()); err != nil {
		return err
	}
	u.log.Error("batch buried", "batch", d.Batch.ID, "events", len(d.Batch.Events), "attempt", d.Attempt, "error", reason)
	return nil
}

func idsOf(deliveries []ports.Delivery) []domain.BatchID {
	ids := make([]domain.BatchID, len(deliveries))
	for i, d := range deliveries {
		ids[i] = d.Batch.ID
	}
	return ids
}
