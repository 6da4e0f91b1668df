package app

import (
	"context"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// Ingest accepts batches.
type Ingest struct {
	validator *domain.Validator
	queue     ports.EventQueue
	ids       ports.BatchIDs
	clock     ports.Clock
}

// NewIngest returns the use case.
func NewIngest(v *domain.Validator, q ports.EventQueue, ids ports.BatchIDs, c ports.Clock) *Ingest {
	return &Ingest{validator: v, queue: q, ids: ids, clock: c}
}

// Submission is what a client sends.
type Submission struct {
	// Body is the JSON of a batch.
	Body []byte
	// Strict accepts all events or none.
	Strict bool
	// IdempotencyKey makes a repeat of the same body answer the same; empty for
	// none. Another body under it is refused with
	// domain.CodeIdempotencyKeyReused.
	IdempotencyKey string
	// Admit is asked, once the batch is judged and before anything is held,
	// whether a batch of so many events may go on; its error is returned.
	// Nil admits all.
	Admit func(ctx context.Context, events int) error
}

// Submit judges the batch and queues what is accepted of it. When it returns a
// receipt the queue holds the accepted events; when it returns an error with
// domain.CodeInvalid nothing is held and the error lists why.
func (u *Ingest) Submit(ctx context.Context, s Submission) (domain.Receipt, error) {
	if err := domain.CheckIdempotencyKey(s.IdempotencyKey); err != nil {
		return domain.Receipt{}, err
	}
	now := u.clock.Now().UTC()
	judgement, err := u.validator.Batch(s.Body, now)
	if err != nil {
		return domain.Receipt{}, err
	}
	if s.Admit != nil {
		if err := s.Admit(ctx, judgement.Submitted); err != nil {
			return domain.Receipt{}, err
		}
	}
	if err := judgement.Refusal(s.Strict); err != nil {
		return domain.Receipt{}, err
	}
	receipt := domain.Receipt{
		AcceptedAt: now,
		Accepted:   len(judgement.Events),
		Refused:    judgement.Refused(),
		Violations: judgement.Violations,
		Omitted:    judgement.Omitted,
	}
	batch := domain.Batch{ID: u.ids.NewBatchID(), ReceivedAt: now, Events: judgement.Events}
	if s.IdempotencyKey != "" {
		return u.queue.EnqueueOnce(ctx, domain.KeyedRequest{Key: s.IdempotencyKey, Body: s.Body}, batch, receipt)
	}
	return receipt, u.queue.Enqueue(ctx, batch)
}
