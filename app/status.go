package app

import (
	"context"
	"sync"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// HealthTimeout bounds the work on a health answer, which is given within two
// seconds.
const HealthTimeout = 1800 * time.Millisecond

// MaxLag is how old the oldest queued batch may be while the pipeline counts
// as healthy.
const MaxLag = time.Minute

// Status tells how the service is.
type Status struct {
	checks  []ports.HealthCheck
	queue   ports.QueueMeter
	reader  ports.StatisticsReader
	clock   ports.Clock
	reserve *Reserve
	merge   *Merge
	started time.Duration // on the clock's Elapsed
}

// NewStatus returns the use case; uptime counts from this call. The reserve and
// the merge may be nil.
func NewStatus(
	checks []ports.HealthCheck, q ports.QueueMeter, r ports.StatisticsReader, c ports.Clock, reserve *Reserve, merge *Merge,
) *Status {
	return &Status{checks: checks, queue: q, reader: r, clock: c, reserve: reserve, merge: merge, started: c.Elapsed()}
}

// CheckResult is the outcome of one check.
type CheckResult struct {
	Name string
	// Err is nil when the check passed.
	Err  error
	Took time.Duration
}

// Health is the outcome of all checks.
type Health struct {
	Healthy bool
	Checks  []CheckResult
	Uptime  time.Duration
	At      time.Time
}

// Health runs all checks side by side and answers within [HealthTimeout]; a
// check that takes longer, or panics, has failed.
func (u *Status) Health(ctx context.Context) Health {
	ctx, cancel := context.WithTimeout(ctx, HealthTimeout)
	defer cancel()
	results := make([]CheckResult, len(u.checks))
	var group sync.WaitGroup
	for i, check := range u.checks {
		group.Go(func() { results[i] = u.run(ctx, check) })
	}
	group.Wait()
	health := Health{Healthy: true, Checks: results, Uptime: u.Uptime(), At: u.clock.Now()}
	for _, r := range results {
		health.Healthy = health.Healthy && r.Err == nil
	}
	return health
}

// run gives up on a check that outlives ctx.
func (u *Status) run(ctx context.Context, check ports.HealthCheck) CheckResult {
	start := u.clock.Elapsed()
	_, err := within(ctx, HealthTimeout, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, check.Check(ctx)
	})
	return CheckResult{Name: check.Name(), Err: err, Took: u.clock.Elapsed() - start}
}

// Uptime is how long the service has been up.
func (u *Status) Uptime() time.Duration { return u.clock.Elapsed() - u.started }

// Measured is what was found out about one part, unless Err says why it was not.
type Measured[T any] struct {
	Value T
	Err   error
}

// measure gives up after [HealthTimeout].
func measure[T any](ctx context.Context, work func(ctx context.Context) (T, error)) Measured[T] {
	value, err := within(ctx, HealthTimeout, work)
	return Measured[T]{value, err}
}

// Pipeline tells how events flow, as far as its parts answer.
type Pipeline struct {
	Health   Health
	Queue    Measured[ports.QueueDepth]
	Activity Measured[domain.Activity]
	// Journal is what waits to be merged.
	Journal Measured[JournalBacklog]
	// Disks are those that can be measured, and Reserve what is to stay free on
	// each, in bytes.
	Disks   []VolumeSpace
	Reserve int64
	At      time.Time
}

// Healthy reports whether every check passed and every part answered.
func (p *Pipeline) Healthy() bool {
	return p.Health.Healthy && p.Queue.Err == nil && p.Activity.Err == nil && p.Journal.Err == nil
}

// Pipeline checks and measures queue and store side by side, and answers within
// [HealthTimeout].
func (u *Status) Pipeline(ctx context.Context) Pipeline {
	pipeline := Pipeline{At: u.clock.Now()}
	var group sync.WaitGroup
	group.Go(func() { pipeline.Health = u.Health(ctx) })
	group.Go(func() {
		pipeline.Queue = measure(ctx, func(ctx context.Context) (ports.QueueDepth, error) { return u.queue.Depth(ctx) })
	})
	group.Go(func() {
		pipeline.Activity = measure(ctx, func(ctx context.Context) (domain.Activity, error) { return u.reader.Activity(ctx) })
	})
	group.Go(func() { pipeline.Journal = measure(ctx, u.merge.Backlog) })
	if u.reserve != nil {
		pipeline.Disks, pipeline.Reserve = u.reserve.Measure(ctx), u.reserve.Bytes()
	}
	group.Wait()
	return pipeline
}

// Condition sums up whether the pipeline works end to end.
type Condition string

// The conditions.
const (
	ConditionHealthy  Condition = "healthy"
	ConditionDegraded Condition = "degraded"
	ConditionDown     Condition = "down"
)

// PublicHealth is what /v1/stats/health tells.
type PublicHealth struct {
	Condition Condition
	Uptime    time.Duration
	// Dated24h counts the events that are dated in the last 24 hours, and
	// LastReceived is when the last batch came in, unless that is unknown.
	Dated24h     Measured[int64]
	LastReceived Measured[time.Time]
}

// Public sums up the pipeline for the public: down when a check fails, or queue
// or store do not answer; degraded when batches wait for longer than [MaxLag]
// and the backlog moves; else healthy. How busy the service is makes no
// difference.
func (u *Status) Public(ctx context.Context) PublicHealth {
	public := PublicHealth{Condition: ConditionHealthy, Uptime: u.Uptime()}
	var pipeline Pipeline
	var group sync.WaitGroup
	group.Go(func() { pipeline = u.Pipeline(ctx) })
	group.Go(func() { public.Dated24h = measure(ctx, u.dated24h) })
	group.Wait()
	public.LastReceived = Measured[time.Time]{pipeline.Activity.Value.LastReceived, pipeline.Activity.Err}
	switch {
	case !pipeline.Healthy(), public.Dated24h.Err != nil:
		public.Condition = ConditionDown
	case pipeline.Queue.Value.OldestAge > MaxLag:
		public.Condition = ConditionDegraded
	}
	return public
}

// dated24h counts the events of the last 24 hours.
func (u *Status) dated24h(ctx context.Context) (int64, error) {
	day, err := domain.ParsePeriod("24h")
	if err != nil {
		return 0, err
	}
	selected, err := u.reader.Select(ctx, domain.Selection{
		Window: day.Window(u.clock.Now()), By: []domain.Dimension{domain.DimensionNone},
	})
	if err != nil {
		return 0, err
	}
	var events int64
	for _, row := range selected.Rollups[domain.DimensionNone] {
		events += row.Rollup.Calls
	}
	return events, nil
}
