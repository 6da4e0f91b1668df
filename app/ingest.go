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
	// IdempotencyKey makes a repeat of the same body answer the same, whatever
	// Strict says and however the body would be judged by now; empty for none.
	// Another body under it is refused with domain.CodeIdempotencyKeyReused.
	IdempotencyKey string
	// Admit is asked, once the batch is judged or known to be a repeat and before
	// anything is held, whether a batch of so many events may go on; its error is
	// returned. Nil admits all.
	Admit func(ctx context.Context, events int) error
}

// Submit judges the batch and queues what is accepted of it. When it returns a
// receipt the queue holds the accepted events, or held them for the request that
// this one repeats; when it returns an error with domain.CodeInvalid nothing is
// held and the error lists why.
func (u *Ingest) Submit(ctx context.Context, s Submission) (domain.Receipt, error) {
	if err := domain.CheckIdempotencyKey(s.IdempotencyKey); err != nil {
		return domain.Receipt{}, err
	}
	if s.IdempotencyKey == "" {
		receipt, batch, err := u.judge(ctx, s)
		if err != nil {
			return domain.Receipt{}, err
		}
		return receipt, u.queue.Enqueue(ctx, batch)
	}

	// Looking up and holding may take no longer together than holding alone.
	queueCtx, cancel := context.WithTimeout(ctx, AcceptTimeout)
	defer cancel()
	request := domain.KeyedRequest{Key: s.IdempotencyKey, Body: s.Body}
	// A repeat is not judged: what was accepted may be too old by now.
	earlier, known, err := u.queue.Receipt(queueCtx, request)
	if err != nil {
		return domain.Receipt{}, err
	}
	if known {
		if err := s.admit(ctx, earlier.Accepted+earlier.Refused); err != nil {
			return domain.Receipt{}, err
		}
		return earlier, nil
	}
	receipt, batch, err := u.judge(ctx, s)
	if err != nil {
		return domain.Receipt{}, err
	}
	// Another request with the key may have come meanwhile, so it is checked again.
	return u.queue.EnqueueOnce(queueCtx, request, batch, receipt)
}

func (s *Submission) admit(ctx context.Context, events int) error {
	if s.Admit == nil {
		return nil
	}
	return s.Admit(ctx, events)
}

// judge returns what is accepted of the batch, and the receipt for it.
func (u *Ingest) judge(ctx context.Context, s Submission) (domain.Receipt, domain.Batch, error) {
	now := u.clock.Now().UTC()
	judgement, err := u.validator.Batch(s.Body, now)
	if err != nil {
		return domain.Receipt{}, domain.Batch{}, err
	}
	if err := s.admit(ctx, judgement.Submitted); err != nil {
		return domain.Receipt{}, domain.Batch{}, err
	}
	if err := judgement.Refusal(s.Strict); err != nil {
		return domain.Receipt{}, domain.Batch{}, err
	}
	receipt := domain.Receipt{
		AcceptedAt: now,
		Accepted:   len(judgement.Events),
		Refused:    judgement.Refused(),
		Violations: judgement.Violations,
		Omitted:    judgement.Omitted,
	}
	return receipt, domain.Batch{ID: u.ids.NewBatchID(), ReceivedAt: now, Events: judgement.Events}, nil
}
