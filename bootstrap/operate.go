package bootstrap

import (
	"context"
	"errors"
	"time"

	"github.com/pressly/goose/v3"
	"go.uber.org/dig"
	"go.uber.org/fx"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/migrations"
)

// WithDeadLetters opens the configured queue, lets do work on its dead letters
// and closes the queue.
func WithDeadLetters(ctx context.Context, config Config, options Options, do func(*app.DeadLetters) error) error {
	return with(ctx, config, options, do)
}

// WithRebuild opens the configured store, lets do rebuild its aggregates and
// closes the store.
func WithRebuild(ctx context.Context, config Config, options Options, do func(*app.Rebuild) error) error {
	return with(ctx, config, options, do)
}

// with opens no more than the use case needs. It does not change the schema
// of a database that servers of another version may be working on.
func with[T any](ctx context.Context, config Config, options Options, do func(T) error) error {
	options = options.withDefaults()
	config.MigrateOnStart = false
	var useCase T
	container := fx.New(base(ctx, config, options), fx.Populate(&useCase))
	err := dig.RootCause(container.Err())
	if err == nil {
		err = do(useCase)
	}
	return errors.Join(err, options.opened.close())
}

// WithSchema opens the configured database, lets do work on its schema and
// closes the database. The embedded one is up to date once it is open.
func WithSchema(ctx context.Context, config Config, options Options, do func(*goose.Provider) error) error {
	options = options.withDefaults()
	steps, err := openSchema(ctx, config, options)
	if err == nil {
		err = do(steps)
		if config.usesServers() {
			err = config.postgres(options).Explain(ctx, "migrate", err)
		}
	}
	return errors.Join(err, options.opened.close())
}

func openSchema(ctx context.Context, config Config, o Options) (*goose.Provider, error) {
	if !config.usesServers() {
		db, err := openEmbedded(ctx, config, o)
		if err != nil {
			return nil, err
		}
		return db.Schema()
	}
	db, err := awaitPostgres(ctx, time.Now().Add(o.Wait), config, o)
	if err != nil {
		return nil, err
	}
	o.opened.add(db.Close)
	return migrations.PostgreSQL(db)
}
