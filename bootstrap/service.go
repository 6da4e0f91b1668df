package bootstrap

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"go.uber.org/dig"
	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/httpapi"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/system"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// How long the service may take to start and to stop. The parts of the stop
// add up to less than the whole, so that every part gets its turn.
const (
	startTimeout      = time.Minute
	stopTimeout       = 30 * time.Second
	finishRequests    = 12 * time.Second
	finishBatch       = 12 * time.Second
	finishMaintenance = 2 * time.Second
	finishMerge       = time.Second
	finishAnswers     = 2 * time.Second
)

// Options are what a program decides and no operator. Zero values mean the
// defaults.
type Options struct {
	// Log takes what the service has to say. Default slog.Default.
	Log *slog.Logger
	// DroppedLines counts the log lines that were lost. Default none.
	DroppedLines func() int64
	// Version is the program's.
	Version string
	// Storage provides the ports of queue, store and cache. Default what the
	// configuration names: PostgreSQL and Redis, or [EmbeddedStorage].
	Storage fx.Option
	// Clock is the time that events are judged and counted by. Default the
	// machine's.
	Clock ports.Clock
	// Wait is how long the start waits for servers that are away. Default one
	// minute.
	Wait time.Duration
	// Ready is called once the service works, with the bound address or, when
	// it listens nowhere, nil.
	Ready func(net.Addr)

	// StallAfter is for how long events may wait while none is stored until that
	// counts as bad health. Default [app.StallAfter].
	StallAfter time.Duration
	// Volumes are measured in place of those that the storage names.
	Volumes []ports.Volume

	opened *resources
	// operates is set for a command beside the servers.
	operates bool
	// reads is set for one that changes nothing.
	reads bool
}

// application is what servers of data know the process by.
func (o Options) application(c *Config) string {
	if o.operates {
		return "command"
	}
	return string(c.Role)
}

func (o Options) withDefaults() Options {
	o.Log = cmp.Or(o.Log, slog.Default())
	o.Wait = cmp.Or(o.Wait, time.Minute)
	o.opened = cmp.Or(o.opened, new(resources))
	if o.Clock == nil {
		o.Clock = system.Clock{}
	}
	if o.DroppedLines == nil {
		o.DroppedLines = func() int64 { return 0 }
	}
	if o.Ready == nil {
		o.Ready = func(net.Addr) {}
	}
	return o
}

// failures takes the error of a part that cannot go on.
type failures chan error

func newFailures() failures { return make(failures, 1) }

// Run does what the configured role is for until ctx ends or something fails
// that it cannot go on without, and then stops in order within 30 s: requests
// are finished, then the batch in hand, then queue and store are closed. It
// returns what kept it from starting, running or stopping. A ctx that ends
// while servers are waited for is no error.
func Run(ctx context.Context, config Config, options Options) error {
	options = options.withDefaults()
	err := run(ctx, config, options)
	return errors.Join(err, options.opened.close())
}

func run(ctx context.Context, config Config, options Options) error {
	var failed failures
	service := fx.New(Module(ctx, config, options), fx.Populate(&failed))
	if err := dig.RootCause(service.Err()); err != nil {
		if ctx.Err() != nil {
			options.Log.Info("stopped before the start was complete", "error", err)
			return nil
		}
		return err
	}
	// A start that was begun is finished, because only what has started is
	// stopped in order.
	detached := context.WithoutCancel(ctx)
	starting, cancel := context.WithTimeout(detached, startTimeout)
	defer cancel()
	if err := service.Start(starting); err != nil {
		return err
	}
	var failure error
	select {
	case <-ctx.Done():
	case failure = <-failed:
	}
	options.Log.Info("stopping")
	stopping, cancel := context.WithTimeout(detached, stopTimeout)
	defer cancel()
	return errors.Join(failure, service.Stop(stopping))
}

// Module is the whole of a role. It starts what needs the store after it, and
// what listens last; it stops in the opposite order. Servers that are away are
// waited for while ctx lives.
func Module(ctx context.Context, config Config, options Options) fx.Option {
	options = options.withDefaults()
	parts := []fx.Option{base(ctx, config, options), fx.Provide(newFailures), memoryModule(), reserveModule()}
	if config.Role.works() {
		parts = append(parts, mergeModule(), workerModule(), maintenanceModule())
	}
	if config.Role.answers() {
		parts = append(parts, webModule())
	} else {
		parts = append(parts, workerHealthModule())
	}
	return fx.Options(parts...)
}

// base is what all roles and the operator's commands stand on.
func base(ctx context.Context, config Config, options Options) fx.Option {
	return fx.Options(
		fx.WithLogger(newContainerLog),
		fx.Supply(config, options, options.Log),
		clockModule(),
		storage(ctx, config, options),
		healthModule(),
		useCases(),
	)
}

// newContainerLog keeps the container's steps for debugging. Its errors are
// returned by [Run] as well, and told there.
func newContainerLog(log *slog.Logger) fxevent.Logger {
	l := &fxevent.SlogLogger{Logger: log}
	l.UseLogLevel(slog.LevelDebug)
	l.UseErrorLevel(slog.LevelDebug)
	return l
}

func useCases() fx.Option {
	return fx.Module("usecases",
		fx.Provide(
			Config.Validator, Config.retention, Config.process, Config.merge, Config.statistics, Config.answers, Config.pages,
			func(c Config) *domain.Catalogue { return c.Catalogue },
			fx.Annotate(func() system.BatchIDs { return system.BatchIDs{} }, fx.As(new(ports.BatchIDs))),
			domain.NewValidator,
			newIngest,
			app.NewExplain,
			newProcess,
			app.NewMaintain,
			app.NewRebuild,
			app.NewDeadLetters,
			app.NewExport,
			app.NewStatistics,
			app.NewPages,
			newAnswers,
			fx.Annotate(app.NewStatus, fx.ParamTags(checksGroup)),
		),
	)
}

// newAnswers ends computations before the store is closed. By then requests
// are finished, so only stale answers are still being renewed.
func newAnswers(
	lc fx.Lifecycle, cache ports.StatisticsCache, clock ports.Clock, log *slog.Logger,
	config app.AnswersConfig, m *memoryBudget,
) *app.Answers {
	config.Computations.Pressed = m.Pressed
	answers := app.NewAnswers(cache, clock, log, config)
	lc.Append(fx.StopHook(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, finishAnswers)
		defer cancel()
		return answers.Close(ctx)
	}))
	return answers
}

// newUseCases gathers what clients are offered.
func newUseCases(
	i *app.Ingest, e *app.Explain, s *app.Statistics, p *app.Pages, a *app.Answers, h *app.Status, l *app.Limit,
) httpapi.UseCases {
	return httpapi.UseCases{Ingest: i, Explain: e, Statistics: s, Pages: p, Answers: a, Status: h, Limit: l}
}
