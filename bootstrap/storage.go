package bootstrap

import (
	"context"
	"log/slog"
	"time"

	"go.uber.org/fx"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// checksGroup gathers the health checks of all adapters.
const checksGroup = `group:"checks"`

// StoreName is the kind of store, as /v1/status tells it. Every storage
// provides one.
type StoreName string

// EmbeddedStorage provides the queue and the store on SQLite under DATA_DIR.
func EmbeddedStorage() fx.Option {
	return fx.Module("embedded",
		fx.Supply(StoreName("sqlite")),
		fx.Provide(
			openEmbedded,
			func(c Config) sqlite.QueueConfig { return sqlite.QueueConfig{MaxEvents: c.MaxQueueSize} },
			fx.Annotate(func(db *sqlite.DB) *sqlite.DB { return db },
				fx.As(new(ports.HealthCheck)), fx.ResultTags(checksGroup)),
			fx.Annotate(sqlite.NewQueue,
				fx.As(new(ports.EventQueue)), fx.As(new(ports.Deliveries)), fx.As(new(ports.QueueMeter))),
			fx.Annotate(sqlite.NewStore,
				fx.As(new(ports.EventStore)), fx.As(new(ports.StatisticsReader)), fx.As(new(ports.Maintainer))),
		),
	)
}

// openEmbedded opens the database and brings its schema up to date. It is
// closed after everything that uses it has stopped.
func openEmbedded(lc fx.Lifecycle, config Config, clock ports.Clock, log *slog.Logger) (*sqlite.DB, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	db, err := sqlite.Open(ctx, sqlite.Config{
		Dir:       config.DataDir,
		Clock:     clock,
		SlowQuery: time.Duration(config.SlowQueryMS) * time.Millisecond,
		Log:       log,
	})
	if err != nil {
		return nil, err
	}
	lc.Append(fx.StopHook(db.Close))
	return db, nil
}
