package app

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// HealthTimeout bounds a health answer.
const HealthTimeout = 2 * time.Second

// MaxLag is how old the oldest queued batch may be while the pipeline counts
// as healthy.
const MaxLag = time.Minute

// Status tells how the service is.
type Status struct {
	checks  []ports.HealthCheck
	queue   ports.QueueMeter
	reader  ports.StatisticsReader
	clock   ports.Clock
	started time.Duration // on the clock's Elapsed
}

// NewStatus returns the use case; uptime counts from this call.
func NewStatus(checks []ports.HealthCheck, q ports.QueueMeter, r ports.StatisticsReader, c ports.Clock) *Status {
	return &Status{checks: checks, queue: q, reader: r, clock: c, started: c.Elapsed()}
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
	health := Health{Healthy: true, Checks: results, Uptime: u.Uptime()}
	for _, r := range results {
		health.Healthy = health.Healthy && r.Err == nil
	}
	return health
}

// run gives up on a check that outlives ctx.
func (u *Status) run(ctx context.Context, check ports.HealthCheck) CheckResult {
	start := u.clock.Elapsed()
	done := make(chan error, 1)
	go func() {
		_, err := withoutPanic(func() (struct{}, error) { return struct{}{}, check.Check(ctx) })
		done <- err
	}()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = domain.NewError(domain.CodeUnavailable, ctx.Err(), "no answer in time")
	}
	return CheckResult{Name: check.Name(), Err: err, Took: u.clock.Elapsed() - start}
}

// Uptime is how long the service has been up.
func (u *Status) Uptime() time.Duration { return u.clock.Elapsed() - u.started }

// Pipeline tells how events flow.
type Pipeline struct {
	Queue    ports.QueueDepth
	Activity domain.Activity
	Uptime   time.Duration
}

// Pipeline measures queue and store.
func (u *Status) Pipeline(ctx context.Context) (Pipeline, error) {
	depth, queueErr := u.queue.Depth(ctx)
	activity, storeErr := u.reader.Activity(ctx)
	return Pipeline{Queue: depth, Activity: activity, Uptime: u.Uptime()}, errors.Join(queueErr, storeErr)
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
	Condition    Condition
	Uptime       time.Duration
	Events24h    int64
	LastReceived time.Time
}

// Public sums up the pipeline for the public: down when queue or store do not
// work, degraded when batches wait for longer than [MaxLag], else healthy.
// How busy the service is makes no difference.
func (u *Status) Public(ctx context.Context) PublicHealth {
	public := PublicHealth{Condition: ConditionDown, Uptime: u.Uptime()}
	if !u.Health(ctx).Healthy {
		return public
	}
	now := u.clock.Now()
	pipeline, err := u.Pipeline(ctx)
	if err != nil {
		return public
	}
	day, err := domain.ParsePeriod("24h")
	if err != nil {
		return public
	}
	selected, err := u.reader.Select(ctx, domain.Selection{
		Window: day.Window(now), By: []domain.Dimension{domain.DimensionNone},
	})
	if err != nil {
		return public
	}
	for _, row := range selected.Rollups[domain.DimensionNone] {
		public.Events24h += row.Rollup.Calls
	}
	public.LastReceived = pipeline.Activity.LastReceived
	public.Condition = ConditionHealthy
	if oldest := pipeline.Queue.Oldest; !oldest.IsZero() && now.Sub(oldest) > MaxLag {
		public.Condition = ConditionDegraded
	}
	return public
}
