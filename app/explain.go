package app

import (
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// Explain tells a client what would become of a batch, storing nothing.
type Explain struct {
	validator *domain.Validator
	retention domain.Retention
	clock     ports.Clock
}

// NewExplain returns the use case.
func NewExplain(v *domain.Validator, r domain.Retention, c ports.Clock) *Explain {
	return &Explain{validator: v, retention: r, clock: c}
}

// Explanation is what would become of one event.
type Explanation struct {
	Index int
	// Violations says why the event would be refused; empty when accepted.
	// Omitted counts what else is wrong with it.
	Violations []domain.Violation
	Omitted    int
	// Event is what would be stored, nil when refused.
	Event *domain.Event
	// RawDeletedAt is when the raw event would be deleted.
	RawDeletedAt time.Time
	// Counted lists the aggregates in which the event would count.
	Counted []Counted
}

// AggregateKind names a table of aggregates.
type AggregateKind string

// The kinds of aggregates.
const (
	AggregateHourly AggregateKind = "hourly_aggregations"
	AggregateDaily  AggregateKind = "daily_aggregations"
	AggregateErrors AggregateKind = "error_summary"
)

// Counted is a place where an event would count.
type Counted struct {
	Kind   AggregateKind
	Bucket time.Time
	// Resolution is the length of the bucket.
	Resolution domain.Resolution
	Group      domain.Group
	// ErrorType is set for error summaries.
	ErrorType string
	DeletedAt time.Time
}

// Batch explains every event of a batch, in order. It fails as ingestion does
// when the body is no batch.
func (u *Explain) Batch(body []byte) ([]Explanation, error) {
	var verdicts []domain.Verdict
	err := u.validator.Each(body, u.clock.Now().UTC(), func(v domain.Verdict) { verdicts = append(verdicts, v) })
	if err != nil {
		return nil, err
	}
	explanations := make([]Explanation, len(verdicts))
	for i, v := range verdicts {
		if v.Event != nil {
			explanations[i] = u.accepted(v.Index, v.Event)
			continue
		}
		explanations[i] = Explanation{Index: v.Index, Violations: v.Violations, Omitted: v.Omitted}
	}
	return explanations, nil
}

func (u *Explain) accepted(index int, event *domain.Event) Explanation {
	aggregates := domain.Aggregate([]domain.Event{*event})
	e := Explanation{
		Index:        index,
		Event:        event,
		RawDeletedAt: dueAt(event.Hour, domain.Hourly, u.retention.Events),
	}
	for _, row := range aggregates.Rollups {
		kind, keep := AggregateHourly, u.retention.Hourly
		if row.Resolution == domain.Daily {
			kind, keep = AggregateDaily, u.retention.Daily
		}
		e.Counted = append(e.Counted, Counted{
			Kind: kind, Bucket: row.Bucket, Resolution: row.Resolution, Group: row.Group,
			DeletedAt: dueAt(row.Bucket, row.Resolution, keep),
		})
	}
	for _, row := range aggregates.Errors {
		e.Counted = append(e.Counted, Counted{
			Kind: AggregateErrors, Bucket: row.Bucket, Resolution: row.Resolution, Group: row.Group,
			ErrorType: row.ErrorType, DeletedAt: dueAt(row.Bucket, row.Resolution, u.retention.Errors),
		})
	}
	return e
}

// dueAt is when domain.Retention.Cutoffs first passes the bucket.
func dueAt(bucket time.Time, r domain.Resolution, keep time.Duration) time.Time {
	return bucket.Add(r.Length()).Add(keep)
}
