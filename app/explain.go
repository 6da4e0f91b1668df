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

// What the explanations of a batch hold at most, so that a short body cannot
// ask for a long answer.
const (
	// MaxExplainedPlaces is how many different lists of aggregates are given.
	MaxExplainedPlaces = 10
	// MaxExplainedViolations is how many violations are listed beside the first
	// of each refused event.
	MaxExplainedViolations = domain.MaxBatchViolations
)

// Explanation is what would become of one event.
type Explanation struct {
	Index    int
	Accepted bool
	// SameAs is the index of the first event of the batch that was sent in the
	// very same words, if there is one before this. Then the other fields are
	// empty.
	SameAs domain.Optional[int]

	// Violations says why the event would be refused; empty when accepted.
	// Omitted counts what else is wrong with it.
	Violations []domain.Violation
	Omitted    int

	// Event is what would be stored, nil when refused.
	Event *domain.Event
	// RawDeletedAt is when the raw event would be deleted.
	RawDeletedAt time.Time
	// Counted lists the aggregates in which the event would count. It is empty
	// when CountedAs is the index of an earlier event that counts in the same,
	// and when there is no room for it: then CountedOmitted is set.
	Counted        []Counted
	CountedAs      domain.Optional[int]
	CountedOmitted bool
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
	e := explaining{Explain: u, sent: make(map[string]int), places: make(map[domain.Event]int), room: MaxExplainedViolations}
	if err := u.validator.Each(body, u.clock.Now().UTC(), e.verdict); err != nil {
		return nil, err
	}
	for i := range e.all {
		e.count(&e.all[i])
	}
	return e.all, nil
}

// explaining is the work on one batch.
type explaining struct {
	*Explain
	all []Explanation
	// sent and places hold the index of the first event that was sent in these
	// words, and that counts in these places.
	sent   map[string]int
	places map[domain.Event]int
	// room is how many more violations can be listed.
	room int
}

// verdict adds all but where the event counts, which is too much work while the
// body may still be refused as a whole.
func (e *explaining) verdict(v domain.Verdict) {
	given := Explanation{Index: v.Index, Accepted: v.Event != nil}
	if first, seen := e.sent[string(v.JSON)]; seen {
		given.SameAs = domain.Some(first)
	} else {
		e.sent[string(v.JSON)] = v.Index
		given.Event = v.Event
		given.Violations, given.Omitted = e.listed(v)
	}
	e.all = append(e.all, given)
}

// listed gives the first violation of every event, and others while there is
// room.
func (e *explaining) listed(v domain.Verdict) (listed []domain.Violation, omitted int) {
	n := len(v.Violations)
	if n > 0 {
		n = 1 + min(n-1, e.room)
		e.room -= n - 1
	}
	return v.Violations[:n], v.Omitted + len(v.Violations) - n
}

// count tells where the event counts, once for all that count in the same.
func (e *explaining) count(given *Explanation) {
	if given.Event == nil {
		return
	}
	given.RawDeletedAt = dueAt(given.Event.Hour, domain.Hourly, e.retention.Events)
	same := domain.Event{
		Hour: given.Event.Hour, Version: given.Event.Version, Tool: given.Event.Tool, Status: given.Event.Status,
		ErrorType: given.Event.ErrorType, Service: given.Event.Service, Country: given.Event.Country,
	}
	switch first, seen := e.places[same]; {
	case seen:
		given.CountedAs = domain.Some(first)
	case len(e.places) == MaxExplainedPlaces:
		given.CountedOmitted = true
	default:
		e.places[same] = given.Index
		given.Counted = e.counted(given.Event)
	}
}

// counted lists the aggregates in which the event would count.
func (u *Explain) counted(event *domain.Event) []Counted {
	var counted []Counted
	for _, place := range domain.CountedIn(event) {
		kind, keep := AggregateHourly, u.retention.Hourly
		switch {
		case place.ErrorType != "":
			kind, keep = AggregateErrors, u.retention.Errors
		case place.Resolution == domain.Daily:
			kind, keep = AggregateDaily, u.retention.Daily
		}
		counted = append(counted, Counted{
			Kind: kind, Bucket: place.Bucket, Resolution: place.Resolution, Group: place.Group,
			ErrorType: place.ErrorType, DeletedAt: dueAt(place.Bucket, place.Resolution, keep),
		})
	}
	return counted
}

// dueAt is when domain.Retention.Cutoffs first passes the bucket.
func dueAt(bucket time.Time, r domain.Resolution, keep time.Duration) time.Time {
	return bucket.Add(r.Length()).Add(keep)
}
