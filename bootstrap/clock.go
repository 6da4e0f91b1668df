package bootstrap

import (
	"context"
	"log/slog"
	"time"

	"go.uber.org/fx"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// StoreClocks are what the time is compared with, the event store's first. A
// storage that has none provides none.
type StoreClocks []ports.StoreClock

// clockModule provides the time that use cases judge by.
func clockModule() fx.Option {
	return fx.Module("clock", fx.Provide(
		newClock,
		fx.Annotate(func(c *app.Clock) *app.Clock { return c }, fx.As(new(ports.Clock))),
		fx.Annotate(func(c *app.Clock) *app.Clock { return c }, fx.As(new(ports.HealthCheck)), fx.ResultTags(checksGroup)),
	))
}

// comparing is what a clock is made of.
type comparing struct {
	fx.In

	Lifecycle fx.Lifecycle
	Config    Config
	Options   Options
	Log       *slog.Logger
	Stores    StoreClocks `optional:"true"`
}

// newClock returns a clock that is compared before anything else starts, and
// then every few seconds.
func newClock(c comparing) *app.Clock {
	clock := app.NewClock(c.Options.Clock, c.Stores, c.Log, c.Config.clock())
	run := background(0, func(ctx, _ context.Context) { clock.Run(ctx) })
	c.Lifecycle.Append(fx.Hook{
		OnStart: func(ctx context.Context) error {
			clock.Compare(ctx)
			return run.OnStart(ctx)
		},
		OnStop: run.OnStop,
	})
	return clock
}

func (c Config) clock() app.ClockConfig {
	return app.ClockConfig{Tolerance: time.Duration(c.ClockToleranceSeconds) * time.Second}
}
