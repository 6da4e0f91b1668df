package bootstrap

import (
	"context"
	"errors"
	"time"

	"github.com/pressly/goose/v3"
	"go.uber.org/dig"
	"go.uber.org/fx"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
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

// WithExport opens the configured store for reading, lets do export its aggregates
// and closes the store.
func WithExport(ctx context.Context, config Config, options Options, do func(*app.Export) error) error {
	options.reads = true
	return with(ctx, config, options, do)
}

// with opens no more than the use case needs. It does not change the schema
// of a database that servers of another version may be working on.
func with[T any](ctx context.Context, config Config, options Options, do func(T) error) error {
	options = options.withDefaults()
	options.operates = true
	config.MigrateOnStart = false
	var useCase T
	container := fx.New(base(ctx, config, options), fx.Populate(&useCase))
	err := dig.RootCause(container.Err())
	if err == nil {
		err = do(useCase)
	}
	return errors.Join(err, options.opened.close())
}

// Schema is the schema of an open database.
type Schema struct {
	// Steps are those that the database has taken or can take.
	Steps *goose.Provider
	// Loss says what taking the last step back would delete.
	Loss func(context.Context) (migrations.Loss, error)
	// Servers lists the servers that use the database, as far as it knows them.
	Servers func(context.Context) ([]string, error)
}

// WithSchema opens the configured database, lets do work on its schema and
// closes the database. The embedded one is up to date once it is open, and no
// server uses it.
func WithSchema(ctx context.Context, config Config, options Options, do func(Schema) error) error {
	options = options.withDefaults()
	options.operates = true
	schema, err := openSchema(ctx, config, options)
	if err == nil {
		err = do(schema)
		if config.usesServers() {
			err = config.postgres(options).Explain(ctx, "migrate", err)
		}
	}
	return errors.Join(err, options.opened.close())
}

func openSchema(ctx context.Context, config Config, o Options) (Schema, error) {
	if !config.usesServers() {
		db, err := openEmbedded(ctx, config, o, readerMemory{})
		if err != nil {
			return Schema{}, err
		}
		steps, err := db.Schema()
		return Schema{
			Steps: steps, Loss: db.SchemaLoss,
			Servers: func(context.Context) ([]string, error) { return nil, nil },
		}, err
	}
	db, err := awaitPostgres(ctx, time.Now().Add(o.Wait), config, o)
	if err != nil {
		return Schema{}, err
	}
	o.opened.add(db.Close)
	steps, err := migrations.PostgreSQL(db)
	return Schema{
		Steps:   steps,
		Loss:    func(ctx context.Context) (migrations.Loss, error) { return migrations.PostgreSQLLoss(ctx, db) },
		Servers: func(ctx context.Context) ([]string, error) { return postgres.Servers(ctx, db) },
	}, err
}
