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
)

// Options are what a program decides and no operator. Zero values mean the
// defaults.
type Options struct {
	// Log takes what the service has to say. Default slog.Default.
	Log *slog.Logger
	// Version is the program's.
	Version string
	// Storage provides the ports of queue and store. Default
	// [EmbeddedStorage].
	Storage fx.Option
	// Clock is the time that events are judged and counted by. Default the
	// machine's.
	Clock ports.Clock
	// Ready is called with the bound address once the service answers.
	Ready func(net.Addr)
}

func (o Options) withDefaults() Options {
	o.Log = cmp.Or(o.Log, slog.Default())
	if o.Clock == nil {
		o.Clock = system.Clock{}
	}
	if o.Storage == nil {
		o.Storage = EmbeddedStorage()
	}
	if o.Ready == nil {
		o.Ready = func(net.Addr) {}
	}
	return o
}

// failures takes the error of a part that cannot go on.
type failures chan error

func newFailures() failures { return make(failures, 1) }

// Run runs API and worker until ctx ends or something fails that the service
// cannot go on without, and then stops in order within 30 s: requests are
// finished, then the batch in hand, then the store is closed. It returns what
// kept the service from starting, running or stopping.
func Run(ctx context.Context, config Config, options Options) error {
	options = options.withDefaults()
	var failed failures
	service := fx.New(Module(config, options), fx.Populate(&failed))
	if err := service.Err(); err != nil {
		return dig.RootCause(err)
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

// Module is the whole service. It starts what needs the store after it, and
// the HTTP listener last; it stops in the opposite order.
func Module(config Config, options Options) fx.Option {
	options = options.withDefaults()
	return fx.Options(
		fx.WithLogger(newContainerLog),
		fx.Supply(config, options, options.Log),
		fx.Supply(fx.Annotate(options.Clock, fx.As(new(ports.Clock)))),
		options.Storage,
		useCases(),
		workerModule(),
		maintenanceModule(),
		webModule(),
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
			Config.Validator, Config.retention, Config.process, Config.statistics,
			func(c Config) *domain.Catalogue { return c.Catalogue },
			fx.Annotate(func() system.BatchIDs { return system.BatchIDs{} }, fx.As(new(ports.BatchIDs))),
			domain.NewValidator,
			app.NewIngest,
			app.NewExplain,
			app.NewProcess,
			app.NewMaintain,
			app.NewStatistics,
			fx.Annotate(app.NewStatus, fx.ParamTags(checksGroup)),
			newUseCases,
		),
	)
}

func newUseCases(i *app.Ingest, e *app.Explain, s *app.Statistics, h *app.Status) httpapi.UseCases {
	return httpapi.UseCases{Ingest: i, Explain: e, Statistics: s, Status: h}
}
