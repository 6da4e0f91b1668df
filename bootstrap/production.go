package bootstrap

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"go.uber.org/fx"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/system"
	"github.com/weather-mcp/weather-mcp-analytics/migrations"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// productionStorage provides queue and cache in Redis and the store in
// PostgreSQL.
// Servers that are away are waited for until then, or until ctx ends.
func productionStorage(ctx context.Context, until time.Time) fx.Option {
	return fx.Module("production",
		fx.Provide(
			storeName,
			func(c Config, o Options, m readerMemory) (*postgres.DB, error) {
				return openPostgres(ctx, until, c, o, m)
			},
			func(c Config, o Options) (*redis.Pool, error) { return openRedis(ctx, until, c, o) },
			func(c Config) redis.QueueConfig { return c.redisQueue() },
			fx.Annotate(func(db *postgres.DB) *postgres.DB { return db },
				fx.As(new(ports.HealthCheck)), fx.ResultTags(checksGroup)),
			fx.Annotate(func(p *redis.Pool, c Config) *redis.Probe {
				return redis.NewProbe(p, redis.ProbeConfig{In: c.Role.answers(), Out: c.Role.works()})
			},
				fx.As(new(ports.HealthCheck)), fx.ResultTags(checksGroup)),
			func(db *postgres.DB, p *redis.Pool) StoreClocks {
				return StoreClocks{postgres.NewClock(db), redis.NewClock(p)}
			},
			fx.Annotate(redis.NewQueue,
				fx.As(new(ports.EventQueue)), fx.As(new(ports.Deliveries)), fx.As(new(ports.QueueMeter)),
				fx.As(new(ports.DeadLetters)), fx.As(new(ports.Intake))),
			func(p *redis.Pool, db *postgres.DB) Volumes {
				return Volumes{
					system.Volume{Name: "store", Path: db.DataDirectory()}, system.Volume{Name: "queue", Path: p.DataDirectory()},
				}
			},
			func(c Config) redis.CacheConfig { return c.redisCache() },
			fx.Annotate(redis.NewCache, fx.As(new(ports.StatisticsCache))),
			fx.Annotate(postgres.NewStore,
				fx.As(new(ports.EventStore)), fx.As(new(ports.StatisticsReader)), fx.As(new(ports.Maintainer)),
				fx.As(new(ports.Rebuilder)), fx.As(new(ports.Merger)), fx.As(new(ports.Exporter))),
		),
	)
}

func storeName(db *postgres.DB) StoreName {
	if db.Timescale() {
		return "timescaledb"
	}
	return "postgresql"
}

func openRedis(ctx context.Context, until time.Time, c Config, o Options) (*redis.Pool, error) {
	waiting, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	pool, err := redis.Open(waiting, redis.Config{
		URL: c.redisURL(), ByParts: c.RedisURL == "", Prefix: c.QueueKey, Clock: o.Clock, Log: o.Log, Need: c.redisNeed(),
	})
	if err != nil {
		return nil, err
	}
	o.opened.add(pool.Close)
	return pool, nil
}

// openPostgres opens the database as soon as it can be reached.
func openPostgres(ctx context.Context, until time.Time, c Config, o Options, m readerMemory) (*postgres.DB, error) {
	db, err := await(ctx, until, o, func(waiting context.Context) (*postgres.DB, error) {
		return reachPostgres(ctx, waiting, c, o, m)
	})
	if err != nil {
		return nil, err
	}
	o.opened.add(db.Close)
	return db, nil
}

// reachPostgres brings the schema up to date, however long that takes, or
// demands that it is. A database that cannot be written is refused by who writes.
func reachPostgres(ctx, waiting context.Context, c Config, o Options, m readerMemory) (*postgres.DB, error) {
	plain, err := postgres.Connect(waiting, c.postgres(o))
	if err != nil {
		return nil, err
	}
	if !c.MigrateOnStart {
		err = c.postgres(o).Explain(ctx, "read the schema", requireCurrent(ctx, plain))
	}
	if err := errors.Join(err, plain.Close()); err != nil {
		return nil, err
	}
	config := c.postgres(o)
	config.Buckets = m.Buckets
	db, err := postgres.Open(ctx, config)
	if err != nil {
		return nil, err
	}
	if o.reads {
		return db, nil
	}
	if err := db.Check(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func (c *Config) postgres(o Options) postgres.Config {
	return postgres.Config{
		URL:            c.databaseURL(),
		ByParts:        c.DatabaseURL == "",
		Application:    o.application(c),
		MaxConnections: c.DBMaxConnections,
		Limits:         c.cardinality(),
		Clock:          o.Clock,
		SlowQuery:      time.Duration(c.SlowQueryMS) * time.Millisecond,
		Log:            o.Log,
	}
}

// The pause after the first attempt to reach a server that is away, and the
// longest one.
const (
	minPause = 250 * time.Millisecond
	maxPause = 5 * time.Second
)

// awaitPostgres connects, whatever the schema, as soon as the server can be
// reached.
func awaitPostgres(ctx context.Context, until time.Time, c Config, o Options) (*sql.DB, error) {
	return await(ctx, until, o, func(waiting context.Context) (*sql.DB, error) {
		return postgres.Connect(waiting, c.postgres(o))
	})
}

// await repeats reach while PostgreSQL is away. What waiting cannot cure it
// does not wait for.
func await[T any](ctx context.Context, until time.Time, o Options, reach func(context.Context) (*T, error)) (*T, error) {
	waiting, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	var away error
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		reached, err := reach(waiting)
		if err == nil {
			return reached, nil
		}
		if !postgres.IsAway(err) {
			return nil, err
		}
		if waiting.Err() == nil || away == nil {
			away = err // says more than that the time is over
		}
		o.Log.Warn("waiting for PostgreSQL", "error", err, "pause_ms", pause.Milliseconds())
		select {
		case <-waiting.Done():
			return nil, away
		case <-time.After(pause):
		}
	}
}

// requireCurrent refuses a schema that lacks a step.
func requireCurrent(ctx context.Context, db *sql.DB) error {
	has, err := migrations.HasPostgreSQL(ctx, db)
	if err != nil {
		return err
	}
	if !has {
		return errors.New("the database has no schema yet: run analytics migrate up")
	}
	provider, err := migrations.PostgreSQL(db)
	if err != nil {
		return err
	}
	steps, err := migrations.Status(ctx, provider)
	if err != nil {
		return err
	}
	for _, step := range steps {
		if step.TakenAt.IsZero() {
			return fmt.Errorf("the database has not taken step %s of the schema yet: run analytics migrate up", step.Name)
		}
	}
	return nil
}
