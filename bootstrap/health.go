package bootstrap

import (
	"context"
	"log/slog"

	"go.uber.org/fx"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// Volumes are where queue and store keep their data, as far as that is known.
type Volumes []ports.Volume

// check makes a health check of what a constructor provides.
func check[T ports.HealthCheck]() any {
	return fx.Annotate(func(check T) T { return check }, fx.As(new(ports.HealthCheck)), fx.ResultTags(checksGroup))
}

// healthModule provides the checks of what no single adapter knows.
func healthModule() fx.Option {
	return fx.Module("pipeline",
		fx.Provide(newReserve, newBacklog, app.NewGuardedQueue, newMerge,
			check[*app.Reserve](), check[*app.Backlog](), check[*app.Merge]()),
	)
}

// reserveModule refuses to start with a reserve that cannot be had.
func reserveModule() fx.Option {
	return fx.Module("reserve", fx.Invoke(func(lc fx.Lifecycle, r *app.Reserve) {
		lc.Append(fx.StartHook(func(ctx context.Context) error { return checkSize(ctx, r) }))
	}))
}

func newBacklog(q ports.QueueMeter, o Options) *app.Backlog {
	return app.NewBacklog(q, app.BacklogConfig{StallAfter: o.StallAfter})
}

// reserving is what a reserve is made of.
type reserving struct {
	fx.In

	Config  Config
	Options Options
	Volumes Volumes `optional:"true"`
}

func newReserve(r reserving) *app.Reserve {
	volumes := append(Volumes(nil), r.Volumes...)
	if r.Options.Volumes != nil {
		volumes = r.Options.Volumes
	}
	return app.NewReserve(volumes, r.Options.Clock, int64(r.Config.DiskReserveMB)<<20)
}

// checkSize refuses a reserve that no free space can satisfy.
func checkSize(ctx context.Context, r *app.Reserve) error {
	if err := r.CheckSize(ctx); err != nil {
		return domain.NewError(domain.CodeOf(err), nil, "DISK_RESERVE_MB "+domain.MessageOf(err))
	}
	return nil
}

// merging is what a merge is made of.
type merging struct {
	fx.In

	Merger     ports.Merger
	Maintainer ports.Maintainer
	Clock      ports.Clock
	Log        *slog.Logger
	Config     app.MergeConfig
}

func newMerge(m merging) *app.Merge {
	return app.NewMerge(m.Merger, m.Maintainer, m.Clock, m.Log, m.Config)
}

// working is what a worker is made of.
type working struct {
	fx.In

	Queue   ports.Deliveries
	Store   ports.EventStore
	Intake  ports.Intake `optional:"true"`
	Reserve *app.Reserve
	Merge   *app.Merge
	Log     *slog.Logger
	Config  app.ProcessConfig
}

func newProcess(w working) *app.Process {
	w.Config.Merge = w.Merge
	if w.Intake != nil {
		w.Config.Guard = app.NewGuard(w.Intake, w.Reserve, w.Log)
	}
	return app.NewProcess(w.Queue, w.Store, w.Log, w.Config)
}

// newIngest takes events in by the guarded way.
func newIngest(v *domain.Validator, q *app.GuardedQueue, ids ports.BatchIDs, c ports.Clock) *app.Ingest {
	return app.NewIngest(v, q, ids, c)
}
