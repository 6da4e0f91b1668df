package memory

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var (
	_ ports.EventStore       = (*Store)(nil)
	_ ports.StatisticsReader = (*Store)(nil)
	_ ports.Maintainer       = (*Store)(nil)
)

// Store is an event store in memory.
type Store struct {
	limits   domain.Cardinality
	mu       sync.RWMutex
	received map[domain.BatchID]time.Time
	events   []domain.Event
	// rollups and errors are of full grain, by the hour and by the day.
	rollups map[place]*domain.Rollup
	errors  map[errorPlace]*domain.ErrorSummary
	// values holds what is told apart on each open day, and whether it was noted
	// late; folded how many calls found no place on the days that are closed.
	values map[domain.OpenDay]map[string]bool
	folded domain.Folded
	expiry time.Time // noted last
}

// place is where a rollup is kept. The bucket is in Unix seconds.
type place struct {
	resolution domain.Resolution
	bucket     int64
	group      domain.Group
}

type errorPlace struct {
	place
	errorType string
}

// NewStore returns an empty store with the default limits.
func NewStore() *Store { return NewBoundedStore(domain.Cardinality{}) }

// NewBoundedStore returns an empty store.
func NewBoundedStore(limits domain.Cardinality) *Store {
	return &Store{
		limits:   limits,
		received: make(map[domain.BatchID]time.Time),
		rollups:  make(map[place]*domain.Rollup),
		errors:   make(map[errorPlace]*domain.ErrorSummary),
		values:   make(map[domain.OpenDay]map[string]bool),
		folded:   make(domain.Folded),
	}
}

// Store stores batches, as ports.EventStore promises. It calls poison what
// the databases cannot hold: strings with NUL and years outside 1 to 9999.
func (s *Store) Store(ctx context.Context, batches []domain.Batch) (ports.Stored, error) {
	if err := alive(ctx); err != nil {
		return ports.Stored{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := make(map[domain.BatchID]time.Time)
	var events []domain.Event
	for _, b := range batches {
		if has(s.received, b.ID) || has(fresh, b.ID) {
			continue
		}
		if !slices.ContainsFunc(b.Events, isPoison) {
			fresh[b.ID] = b.ReceivedAt
			events = append(events, b.Events...)
			continue
		}
		return ports.Stored{}, domain.NewError(domain.CodePoison, nil, "an event holds what cannot be stored")
	}
	maps.Copy(s.received, fresh)
	s.events = append(s.events, events...)
	s.count(domain.Finest(events), domain.FirstReceived(batches))
	return ports.Stored{Batches: len(fresh), Events: len(events), Repeated: len(batches) - len(fresh)}, nil
}

func has[K comparable, V any](m map[K]V, key K) bool {
	_, ok := m[key]
	return ok
}

func isPoison(e domain.Event) bool {
	text := []string{e.Version, e.Tool, e.ErrorType, e.Service, e.Country, e.Parameters, e.SessionID}
	return strings.ContainsRune(strings.Join(text, ""), 0) || e.Hour.Year() < 1 || e.Hour.Year() > 9999
}

// merge adds hourly rows of full grain to the aggregates that are not due.
func (s *Store) merge(finest domain.Aggregates, cutoffs domain.Cutoffs) {
	due := dueBy(cutoffs)
	for _, r := range domain.Resolutions() {
		for _, row := range finest.Rollups {
			if p := (place{r, r.Floor(row.Bucket).Unix(), row.Group}); !due.rollup(p) {
				at(s.rollups, p).Merge(&row.Rollup)
			}
		}
		for _, row := range finest.Errors {
			if p := (errorPlace{place{r, r.Floor(row.Bucket).Unix(), row.Group}, row.ErrorType}); !due.errors(p) {
				at(s.errors, p).Merge(&row.ErrorSummary)
			}
		}
	}
}

// at returns what m holds for the key, which is empty at first.
func at[K comparable, V any](m map[K]*V, key K) *V {
	if m[key] == nil {
		m[key] = new(V)
	}
	return m[key]
}

// Select reads aggregates, as ports.StatisticsReader promises.
func (s *Store) Select(ctx context.Context, selection domain.Selection) (domain.Selected, error) {
	if err := alive(ctx); err != nil {
		return domain.Selected{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	selected := domain.Selected{Rollups: make(map[domain.Dimension][]domain.RollupRow)}
	for _, by := range selection.By {
		pieces := selection.Window.WholeDays()
		if by == domain.DimensionNone {
			pieces = []domain.Window{selection.Window}
		}
		selected.Rollups[by] = s.rows(selection, by, pieces, func(at time.Time) time.Time { return selection.SpanOf(by, at) })
		for i := range selected.Rollups[by] {
			leaveOut(&selected.Rollups[by][i].Rollup, selection, by)
		}
	}
	if selection.Usage {
		buckets := []domain.Window{selection.Window}
		selected.Usage = s.rows(selection, domain.DimensionTool, buckets, func(at time.Time) time.Time { return at })
		for i := range selected.Usage {
			r := &selected.Usage[i].Rollup
			*r = domain.Rollup{Calls: r.Calls, Errors: r.Errors}
		}
	}
	if selection.Errors {
		selected.Errors = s.errorRows(selection)
	}
	return selected, nil
}

// rows adds up what is in the pieces of a window, by spans of time that begin at
// spanOf.
func (s *Store) rows(
	selection domain.Selection, by domain.Dimension, pieces []domain.Window, spanOf func(time.Time) time.Time,
) []domain.RollupRow {
	merged := make(map[place]*domain.Rollup)
	for _, piece := range pieces {
		for p, rollup := range s.rollups {
			if p.isIn(piece, selection) {
				span := place{selection.Window.Resolution, spanOf(p.start()).Unix(), p.group.At(domain.GrainOf(by))}
				at(merged, span).Merge(rollup)
			}
		}
	}
	rows := []domain.RollupRow{}
	for p, rollup := range merged {
		rows = append(rows, domain.RollupRow{Resolution: p.resolution, Bucket: p.start(), Group: p.group, Rollup: *rollup})
	}
	slices.SortFunc(rows, domain.CompareRollupRows)
	return rows
}

// leaveOut makes zero what the selection does not ask for.
func leaveOut(r *domain.Rollup, s domain.Selection, by domain.Dimension) {
	if by != domain.DimensionNone && by != domain.DimensionTool {
		*r = domain.Rollup{Calls: r.Calls, Errors: r.Errors}
	}
	if !s.Latency {
		r.Latency, r.ResponseTimeMinMS, r.ResponseTimeMaxMS = domain.LatencySketch{}, 0, 0
	}
	if !s.Sessions || by != domain.DimensionNone {
		r.Sessions = domain.DistinctSketch{}
	}
}

func (s *Store) errorRows(selection domain.Selection) []domain.ErrorRow {
	merged := make(map[errorPlace]*domain.ErrorSummary)
	for p, summary := range s.errors {
		if p.isIn(selection.Window, selection) {
			p.group = domain.Group{}
			at(merged, p).Merge(summary)
		}
	}
	rows := []domain.ErrorRow{}
	for p, summary := range merged {
		key := domain.ErrorKey{Resolution: p.resolution, Bucket: p.start(), Group: p.group, ErrorType: p.errorType}
		rows = append(rows, domain.ErrorRow{ErrorKey: key, ErrorSummary: *summary})
	}
	slices.SortFunc(rows, domain.CompareErrorRows)
	return rows
}

func (p place) start() time.Time { return time.Unix(p.bucket, 0).UTC() }

// isIn reports whether what is there is in that piece of the selection's window and
// passes the selection.
func (p place) isIn(piece domain.Window, s domain.Selection) bool {
	return p.resolution == piece.Resolution && piece.Contains(p.start()) && s.Filter.Matches(p.group) && !s.Leaves(p.start())
}

// Activity tells how much there is, as ports.StatisticsReader promises.
func (s *Store) Activity(ctx context.Context) (domain.Activity, error) {
	if err := alive(ctx); err != nil {
		return domain.Activity{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var activity domain.Activity
	for p, rollup := range s.rollups {
		if p.resolution == domain.Daily {
			activity.Events += rollup.Calls
		}
	}
	for _, at := range s.received {
		if at.After(activity.LastReceived) {
			activity.LastReceived = at
		}
	}
	for o, calls := range s.folded {
		if o.Dimension == domain.OpenVersion {
			activity.FoldedVersions += calls
		} else {
			activity.FoldedErrorTypes += calls
		}
	}
	return activity, nil
}

// Expire deletes what is due, as ports.Maintainer promises.
func (s *Store) Expire(ctx context.Context, cutoffs domain.Cutoffs) (ports.Expired, error) {
	if err := alive(ctx); err != nil {
		return ports.Expired{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	due := s.due(cutoffs)
	d := dueBy(cutoffs)
	s.events = slices.DeleteFunc(s.events, d.event)
	maps.DeleteFunc(s.rollups, func(p place, _ *domain.Rollup) bool { return d.rollup(p) })
	maps.DeleteFunc(s.errors, func(p errorPlace, _ *domain.ErrorSummary) bool { return d.errors(p) })
	maps.DeleteFunc(s.values, func(o domain.OpenDay, _ map[string]bool) bool { return d.day(o) })
	maps.DeleteFunc(s.folded, func(o domain.OpenDay, _ int64) bool { return d.day(o) })
	maps.DeleteFunc(s.received, func(_ domain.BatchID, at time.Time) bool { return d.batch(at) })
	return due, nil
}

// Due counts what is due, as ports.Maintainer promises.
func (s *Store) Due(ctx context.Context, cutoffs domain.Cutoffs) (ports.Expired, error) {
	if err := alive(ctx); err != nil {
		return ports.Expired{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.due(cutoffs), nil
}

func (s *Store) due(cutoffs domain.Cutoffs) ports.Expired {
	var n ports.Expired
	d := dueBy(cutoffs)
	for _, e := range s.events {
		n.Events += one(d.event(e))
	}
	buckets := make(map[place]bool)
	for p := range s.rollups {
		if p.group = (domain.Group{}); d.rollup(p) && !buckets[p] {
			buckets[p] = true
			n.Daily += one(p.resolution == domain.Daily)
			n.Hourly += one(p.resolution == domain.Hourly)
		}
	}
	clear(buckets)
	for p := range s.errors {
		if p.group = (domain.Group{}); d.errors(p) && !buckets[p.place] {
			buckets[p.place] = true
			n.Errors++
		}
	}
	for o, values := range s.values {
		n.Values += int64(len(values)) * one(d.day(o))
	}
	for o := range s.folded {
		n.Values += one(d.day(o))
	}
	for _, at := range s.received {
		n.Batches += one(d.batch(at))
	}
	return n
}

func one(due bool) int64 {
	if due {
		return 1
	}
	return 0
}

// dueBy decides by the cutoffs what is due.
type dueBy domain.Cutoffs

func (d dueBy) event(e domain.Event) bool { return e.Hour.Before(d.Events) }

func (d dueBy) rollup(p place) bool {
	if p.resolution == domain.Daily {
		return p.start().Before(d.Daily)
	}
	return p.start().Before(d.Hourly)
}

func (d dueBy) errors(p errorPlace) bool {
	if p.resolution == domain.Daily {
		return p.start().Before(d.DailyErrors)
	}
	return p.start().Before(d.HourlyErrors)
}

func (d dueBy) day(o domain.OpenDay) bool { return o.Day.Before(domain.Cutoffs(d).Days()) }

func (d dueBy) batch(received time.Time) bool { return received.Before(d.Batches) }

// NoteExpiry remembers the moment, as ports.Maintainer promises.
func (s *Store) NoteExpiry(ctx context.Context, at time.Time) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expiry = at
	return nil
}

// LastExpiry returns the moment, as ports.Maintainer promises.
func (s *Store) LastExpiry(ctx context.Context) (time.Time, error) {
	if err := alive(ctx); err != nil {
		return time.Time{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	last := s.expiry
	if last.IsZero() {
		for _, at := range s.received {
			last = latest(last, at)
		}
	}
	return last, nil
}

// Events lists the raw events in the order of storing.
func (s *Store) Events() []domain.Event {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.events)
}
