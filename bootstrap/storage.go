package bootstrap

import (
	"context"
	"path/filepath"
	"time"

	"go.uber.org/fx"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/system"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// checksGroup gathers the health checks of all adapters.
const checksGroup = `group:"checks"`

// StoreName is the kind of store, as /v1/status tells it. Every storage
// provides one.
type StoreName string

// places are the attributes of a log line that say where store and queue are,
// without user or password.
func (c *Config) places(store StoreName) []any {
	if !c.usesServers() {
		dir := c.DataDir
		if absolute, err := filepath.Abs(dir); err == nil {
			dir = absolute
		}
		return []any{"store", store, "queue", store, "data_dir", dir}
	}
	return []any{"store", store, "queue", "redis", "store_host", postgres.HostsOf(c.databaseURL()), "queue_host", redis.HostOf(c.redisURL())}
}

// storage provides what the program has chosen, or else the configuration.
func storage(ctx context.Context, config Config, o Options) fx.Option {
	switch {
	case o.Storage != nil:
		return o.Storage
	case config.usesServers():
		return productionStorage(ctx, time.Now().Add(o.Wait))
	default:
		return EmbeddedStorage()
	}
}

// EmbeddedStorage provides the queue and the store on SQLite under DATA_DIR,
// and the cache in memory.
func EmbeddedStorage() fx.Option {
	return fx.Module("embedded",
		fx.Supply(StoreName("sqlite")),
		fx.Provide(
			func(c Config, o Options, m readerMemory) (*sqlite.DB, error) {
				return openEmbedded(context.Background(), c, o, m)
			},
			func(c Config) sqlite.QueueConfig { return c.sqliteQueue() },
			fx.Annotate((*sqlite.DB).Checks, fx.ResultTags(`group:"checks,flatten"`)),
			func(db *sqlite.DB) StoreClocks { return StoreClocks{sqlite.NewClock(db)} },
			fx.Annotate(sqlite.NewQueue,
				fx.As(new(ports.EventQueue)), fx.As(new(ports.Deliveries)), fx.As(new(ports.QueueMeter)),
				fx.As(new(ports.DeadLetters)), fx.As(new(ports.Intake))),
			func(c Config) Volumes { return Volumes{system.Volume{Name: "store", Path: c.DataDir}} },
			fx.Annotate(sqlite.NewStore,
				fx.As(new(ports.EventStore)), fx.As(new(ports.StatisticsReader)), fx.As(new(ports.Maintainer)),
				fx.As(new(ports.Rebuilder)), fx.As(new(ports.Merger))),
			fx.Annotate(openExporter, fx.As(new(ports.Exporter))),
			func(c Config, o Options) memory.CacheConfig { return c.memoryCache(o) },
			fx.Annotate(memory.NewCache, fx.As(new(ports.StatisticsCache))),
		),
	)
}

// openExporter opens the database beside the process that has it, if any.
func openExporter(config Config, o Options) (*sqlite.Exporter, error) {
	e, err := sqlite.OpenExporter(context.Background(), sqlite.Config{
		Dir: config.DataDir, SlowQuery: time.Duration(config.SlowQueryMS) * time.Millisecond, Log: o.Log,
	})
	if err != nil {
		return nil, err
	}
	o.opened.add(e.Close)
	return e, nil
}

// openEmbedded opens the database and brings its schema up to date.
func openEmbedded(ctx context.Context, config Config, o Options, m readerMemory) (*sqlite.DB, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	db, err := sqlite.Open(ctx, sqlite.Config{
		Dir:       config.DataDir,
		Limits:    config.cardinality(),
		Clock:     o.Clock,
		SlowQuery: time.Duration(config.SlowQueryMS) * time.Millisecond,
		Buckets:   m.Buckets,
		Log:       o.Log,
	})
	if err != nil {
		return nil, err
	}
	o.opened.add(db.Close)
	return db, nil
}
