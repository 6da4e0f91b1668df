package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/migrations"
)

// DB is a database that is ready for use. A [Store] works on it.
type DB struct {
	config Config
	// pool is for workers and readers, maintenance for what takes long.
	pool, maintenance *sqlx.DB
	// timescale says that events are a hypertable rather than partitioned.
	timescale bool
	directory string // of the server's data, where that is a path of this machine
	rebuild   rebuildBounds
	// mergeAtOnce is how many bytes of finest values a day has that is merged in one
	// transaction.
	mergeAtOnce int64
	health      health
	mending     background
	outage      outage
	closed      atomic.Bool
}

// Open connects to the database and brings its schema up to date; of any
// number of processes that do so at once one does and the others wait. Its
// errors are sentences for the operator: a server that cannot be reached or is
// older than PostgreSQL 15, wrong credentials, a missing database, a schema
// that a newer program has changed.
func Open(ctx context.Context, config Config) (*DB, error) {
	db := &DB{config: config.withDefaults(), rebuild: defaultRebuildBounds, mergeAtOnce: domain.MergeAtOnce}
	if err := db.migrate(ctx); err != nil {
		return nil, err
	}
	server, err := db.config.server()
	if err != nil {
		return nil, err
	}
	statement, lock := db.config.StatementTimeout, db.config.LockTimeout
	if db.pool, err = open(server, timeouts{statement, lock, idleTimeout}); err != nil {
		return nil, err
	}
	db.pool.SetMaxOpenConns(db.config.MaxConnections)
	db.pool.SetMaxIdleConns(db.config.MaxConnections)
	if db.maintenance, err = open(server, timeouts{maintenanceFactor * statement, lock, maintenanceIdleTimeout}); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	db.maintenance.SetMaxOpenConns(2)
	db.maintenance.SetMaxIdleConns(1)
	db.maintenance.SetConnMaxIdleTime(time.Minute)
	err = db.read(ctx, "open", func(tx *transaction) error {
		if isHere(server) {
			// A role without the right to see it gets no row.
			err := tx.GetContext(ctx, &db.directory, `SELECT setting FROM pg_settings WHERE name = 'data_directory'`)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
		}
		return tx.GetContext(ctx, &db.timescale, `SELECT relkind <> 'p' FROM pg_class WHERE oid = 'events'::regclass`)
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func (db *DB) migrate(ctx context.Context) error {
	pool, err := Connect(ctx, db.config)
	if err != nil {
		return err
	}
	steps, err := migrations.PostgreSQL(pool)
	if err == nil {
		err = migrations.Up(ctx, steps)
	}
	return db.config.translate(ctx, "migrate", errors.Join(err, pool.Close()))
}

// Connect opens the database for package migrations, whatever its schema, and
// with no limit to what a statement takes. Its errors are those of [Open].
func Connect(ctx context.Context, config Config) (*sql.DB, error) {
	config = config.withDefaults()
	server, err := config.server()
	if err != nil {
		return nil, err
	}
	pool, err := open(server, timeouts{})
	if err != nil {
		return nil, err
	}
	if err := inspect(ctx, pool); err != nil {
		return nil, errors.Join(config.translate(ctx, "connect", connectError(err, parametersOf(server))), pool.Close())
	}
	return pool.DB, nil
}

// inspect refuses a server or database that cannot be used.
func inspect(ctx context.Context, pool *sqlx.DB) error {
	var database struct {
		Version                 int
		Encoding, Schema, Other string
		Earlier                 bool
	}
	err := pool.GetContext(ctx, &database, `
		SELECT current_setting('server_version_num')::integer AS version,
			current_setting('server_encoding') AS encoding,
			coalesce(current_schema(), '') AS schema,
			coalesce((
				SELECT min(n.nspname) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
				WHERE c.oid IN (to_regclass('schema_versions'), to_regclass('stored_batches'))
					AND n.nspname IS DISTINCT FROM current_schema()
			), '') AS other,
			EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('hourly_aggregations') AND relkind <> 'v') AS earlier`)
	if err != nil {
		return err
	}
	if err := checkVersion(database.Version); err != nil {
		return err
	}
	if err := checkEncoding(database.Encoding); err != nil {
		return err
	}
	if err := checkSchema(database.Schema, database.Other); err != nil {
		return err
	}
	if database.Earlier {
		return errEarlier
	}
	return nil
}

// errEarlier refuses a database whose aggregates are not packed.
var errEarlier = domain.NewError(domain.CodeUnavailable, nil, "the database has the schema of a program from before v0.1.0, "+
	"which cannot be upgraded: give this program an empty database")

// checkEncoding refuses databases that cannot hold every text.
func checkEncoding(encoding string) error {
	if encoding == "UTF8" {
		return nil
	}
	return domain.NewError(domain.CodeUnavailable, nil, fmt.Sprintf("the database has the encoding %s and cannot hold every event: "+
		"create it with ENCODING 'UTF8' TEMPLATE template0", encoding))
}

// checkSchema refuses a database whose tables are in another schema than the
// one that new tables go to: they would be made a second time, empty.
func checkSchema(current, other string) error {
	if other == "" {
		return nil
	}
	return domain.NewError(domain.CodeUnavailable, nil, fmt.Sprintf("the tables are in the schema %q, and new ones would go to the schema %q: "+
		"let search_path begin with %q, with search_path=%s in DATABASE_URL or ALTER ROLE … SET search_path, or drop the other schema",
		other, current, other, other))
}

// checkVersion takes the server's version as it tells it: 150018 is 15.18.
func checkVersion(version int) error {
	const oldest = 15
	if version/10_000 < oldest {
		return domain.NewError(domain.CodeUnavailable, nil,
			fmt.Sprintf("the database server is PostgreSQL %d, and %d or newer is needed: upgrade it", version/10_000, oldest))
	}
	return nil
}

// Close ends all work. A second Close does nothing.
func (db *DB) Close() error {
	if db.closed.Swap(true) {
		return nil
	}
	db.mending.end()
	db.outage.end()
	var errs []error
	for _, pool := range []*sqlx.DB{db.pool, db.maintenance} {
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	return errors.Join(errs...)
}

// Stats tells how the connections of workers and readers are used.
func (db *DB) Stats() sql.DBStats { return db.pool.Stats() }

// DataDirectory is where the server keeps its data, when it is on this machine
// and lets the program know; otherwise empty.
func (db *DB) DataDirectory() string { return db.directory }

// Timescale reports whether the events are a hypertable of TimescaleDB.
func (db *DB) Timescale() bool { return db.timescale }

// transaction is one on a connection that it has to itself.
type transaction struct {
	*sqlx.Tx

	conn *sqlx.Conn
}

// work is what a transaction does. It uses tx alone, and may run again after
// an error that does not repeat itself.
type work func(tx *transaction) error

// write runs work in a transaction: all of it is kept, durably, or after an
// error nothing, unless the connection was lost at the commit.
func (db *DB) write(ctx context.Context, name string, w work) error {
	return db.placing(ctx, func() error {
		return db.repeat(ctx, name, func() error { return db.transact(ctx, db.pool, name, nil, w) })
	})
}

// read runs work in a transaction that sees one state.
func (db *DB) read(ctx context.Context, name string, w work) error {
	options := &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	return db.repeat(ctx, name, func() error { return db.transact(ctx, db.pool, name, options, w) })
}

// maintain is write for what may take long.
func (db *DB) maintain(ctx context.Context, name string, w work) error {
	return db.repeat(ctx, name, func() error {
		return db.transact(ctx, db.maintenance, name, nil, func(tx *transaction) error {
			if db.timescale {
				// To change many compressed rows is dear, and wanted here.
				_, err := tx.ExecContext(ctx, `
					SELECT set_config(name, '0', true) FROM pg_settings
					WHERE name = 'timescaledb.max_tuples_decompressed_per_dml_transaction'`)
				if err != nil {
					return err
				}
			}
			return w(tx)
		})
	})
}

// vacuum makes the room of values that a merge replaced free for the next one, which
// autovacuum would do too late for a large day. It is no reason to fail if it cannot:
// autovacuum comes later.
func (db *DB) vacuum(ctx context.Context) {
	if _, err := db.maintenance.ExecContext(ctx, `VACUUM packed_aggregates, aggregation_journal`); err != nil && ctx.Err() == nil {
		db.config.Log.Warn("the room of merged aggregates is not free yet", "error", db.config.translate(ctx, "vacuum", err))
	}
}

// attempts is how often a transaction is tried that another one or a lost
// connection got in the way of.
const attempts = 4

// repeat runs a transaction until it succeeds or fails for good.
func (db *DB) repeat(ctx context.Context, name string, transaction func() error) error {
	for attempt := 1; ; attempt++ {
		err := transaction()
		if err != nil && db.closed.Load() {
			return domain.NewError(domain.CodeUnavailable, fmt.Errorf("%s: %w", name, err), "the database is closed")
		}
		if err == nil || attempt == attempts || ctx.Err() != nil || !isPassing(err) {
			db.learn(ctx, err)
			return db.config.translate(ctx, name, err)
		}
		wait := time.Duration(attempt) * (5*time.Millisecond + rand.N(20*time.Millisecond)) //nolint:gosec // no secret
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// grace is how long a call outlives its context: a server that works gives up
// a cancelled statement at once.
const grace = time.Second

// transact runs one transaction. A server that has gone silent does not answer
// a cancellation either; then the transaction is left to itself.
func (db *DB) transact(ctx context.Context, pool *sqlx.DB, name string, options *sql.TxOptions, w work) error {
	done := make(chan error, 1)
	go func() { done <- db.run(ctx, pool, name, options, w) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(grace):
		return errors.Join(ctx.Err(), errSilent)
	}
}

func (db *DB) run(ctx context.Context, pool *sqlx.DB, name string, options *sql.TxOptions, w work) error {
	tx, err := begin(ctx, pool, options)
	if err != nil {
		return err
	}
	defer tx.conn.Close()
	start := time.Now()
	if err = w(tx); err == nil {
		err = tx.Commit()
	} else {
		_ = tx.Rollback() // the connection may be lost
	}
	slow := db.config.SlowQuery
	if pool == db.maintenance {
		slow *= maintenanceFactor
	}
	if took := time.Since(start); took >= slow {
		db.config.Log.Warn("slow query", "query", name, "duration_ms", took.Milliseconds())
	}
	return err
}

// begin begins a transaction. A connection that the server closed while it was
// idle says nothing about the server, so the next one is tried, and the last
// one is new.
func begin(ctx context.Context, pool *sqlx.DB, options *sql.TxOptions) (*transaction, error) {
	tx, err := tryToBegin(ctx, pool, options)
	if err == nil {
		return tx, nil
	}
	for left := pool.Stats().Idle + 1; left > 0 && isOutage(err) && ctx.Err() == nil; left-- {
		if tx, err = tryToBegin(ctx, pool, options); err == nil {
			return tx, nil
		}
	}
	return nil, err
}

func tryToBegin(ctx context.Context, pool *sqlx.DB, options *sql.TxOptions) (*transaction, error) {
	conn, err := pool.Connx(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := conn.BeginTxx(ctx, options)
	if err != nil {
		_ = conn.Close() // it may be lost
		return nil, err
	}
	return &transaction{tx, conn}, nil
}
