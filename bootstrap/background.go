package bootstrap

import (
	"context"
	"log/slog"
	"time"

	"go.uber.org/fx"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

func workerModule() fx.Option {
	return fx.Module("worker", fx.Provide(check[*app.Process]()), fx.Invoke(func(lc fx.Lifecycle, p *app.Process) {
		lc.Append(background(finishBatch, p.Run))
	}))
}

// mergeModule gives a merge that is in hand a moment at the end. What is not
// merged by then waits in the journal.
func mergeModule() fx.Option {
	return fx.Module("merge", fx.Invoke(func(lc fx.Lifecycle, m *app.Merge) {
		lc.Append(background(finishMerge, m.Run))
	}))
}

// background is the life of a goroutine: when it stops, ctx ends and run has
// the time given to finish what it has in hand; then work ends too.
func background(finish time.Duration, run func(ctx, work context.Context)) fx.Hook {
	ctx, stop := context.WithCancel(context.Background())
	work, abandon := context.WithCancel(context.Background())
	done := make(chan struct{})
	return fx.Hook{
		OnStart: func(context.Context) error {
			go func() {
				defer close(done)
				run(ctx, work)
			}()
			return nil
		},
		OnStop: func(stopping context.Context) error {
			defer abandon()
			stop()
			late := time.AfterFunc(finish, abandon)
			defer late.Stop()
			select {
			case <-done:
				return nil
			case <-stopping.Done():
				return stopping.Err()
			}
		},
	}
}

// maintenanceInterval is how often what is due is deleted, and withheldInterval
// how often that is tried while the clock is not believed.
const (
	maintenanceInterval = time.Hour
	withheldInterval    = time.Minute
)

func maintenanceModule() fx.Option {
	return fx.Module("maintenance", fx.Invoke(func(lc fx.Lifecycle, m *app.Maintain, log *slog.Logger) {
		lc.Append(background(finishMaintenance, func(ctx, work context.Context) {
			maintain(ctx, work, m, log, maintenanceInterval)
		}))
	}))
}

// maintain deletes what is due, now and at every interval until ctx ends. A
// failure is no reason to stop: what is due stays due.
func maintain(ctx, work context.Context, m *app.Maintain, log *slog.Logger, interval time.Duration) {
	for {
		next := interval
		expiry, err := m.Expire(work)
		switch {
		case err != nil:
			log.Warn("expired data stays for now", "code", domain.CodeOf(err), "error", err)
		case expiry.Withheld != nil:
			next = min(interval, withheldInterval)
			log.Debug("expired data stays while the clock is not believed", "error", expiry.Withheld)
		case expiry.Deleted.Total() > 0:
			log.Info("expired data deleted", "rows", expiry.Deleted.Total(), "tables", expiry.Deleted)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(next):
		}
	}
}
