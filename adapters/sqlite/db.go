package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/migrations"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// The files in the data directory.
const (
	databaseFile = "analytics.db"
	lockFile     = "analytics.lock"
)

// Config tells where the database is. Zero values mean the defaults.
type Config struct {
	// Dir is the data directory, made when it is missing. Required.
	Dir string
	// Limits bounds how many values a day's aggregates tell apart. Default
	// those of domain.Cardinality.
	Limits domain.Cardinality
	// Clock dates dead letters, idempotency keys and health checks. Default
	// the system's clock.
	Clock ports.Clock
	// Buckets keeps packed aggregates that were read. Default nil, which keeps none.
	Buckets *app.PackedCache
	// SlowQuery is how long a transaction may take without being logged.
	// Default 200 ms.
	SlowQuery time.Duration
	// CheckpointInterval is how often what was committed is moved from the
	// write-ahead log into the main file. Default 10 s.
	CheckpointInterval time.Duration
	// Log takes slow queries, by name and duration. Default none.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Clock == nil {
		c.Clock = systemClock{}
	}
	if c.SlowQuery == 0 {
		c.SlowQuery = 200 * time.Millisecond
	}
	if c.CheckpointInterval == 0 {
		c.CheckpointInterval = 10 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

// started holds a reading of the machine's monotonic clock.
var started = time.Now()

func (systemClock) Elapsed() time.Duration { return time.Since(started) }

// DB is an open database. A [Queue] and a [Store] share it.
type DB struct {
	config Config
	lock   *os.File
	// SQLite has one writer at a time, so one connection writes and callers
	// wait for it; readers see the last commit and wait for nobody.
	writer  *sqlx.DB
	readers *sqlx.DB
	// writing and reading hold their statements.
	writing, reading *prepared
	packing          packing
	// keeper is never used for queries. SQLite removes the write-ahead log with
	// its last connection, and the others may come and go.
	keeper *sqlx.DB
	secret []byte // of the hashes of idempotency keys
	path   string
	file   os.FileInfo // which file was opened
	log    os.FileInfo // which write-ahead log; nil until it is known
	tables []string
	health health

	checkpoints checkpoints
	closed      atomic.Bool
	marked      bool // see markOpen

	rebuildGroups int // see there; tests have fewer
}

// maxReaders bounds how many answers are read at once. Each connection has a
// page cache of its own, so they are few.
const maxReaders = 4

// Open opens the database in the data directory, making both when they are
// missing, and brings the schema up to date. Its errors are sentences for the
// operator: a directory that cannot be written or that another process uses, a
// file that is no database or that a newer program has changed.
func Open(ctx context.Context, config Config) (*DB, error) {
	db := &DB{config: config.withDefaults(), packing: newPacking(), rebuildGroups: rebuildGroups}
	if err := db.open(ctx); err != nil {
		return nil, errors.Join(err, db.Close()) //nolint:contextcheck // Close writes a mark, whatever has ended
	}
	return db, nil
}

func (db *DB) open(ctx context.Context) error {
	dir, err := filepath.Abs(db.config.Dir)
	if err != nil {
		return unusable(db.config.Dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return unusable(dir, err)
	}
	if db.lock, err = lockDir(dir); err != nil {
		return err
	}
	path := filepath.Join(dir, databaseFile)
	// SQLite would let everybody read the file; its companions take over the
	// mode.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator's directory
	if err != nil {
		return unusable(dir, err)
	}
	db.path = path
	db.file, err = file.Stat()
	found, stateErr := readState(file)
	if err := errors.Join(err, stateErr, file.Close()); err != nil {
		return unusable(dir, err)
	}
	if err := found.objection(path); err != nil {
		return err
	}
	if err := db.connect(ctx, path); err != nil {
		return err
	}
	if err := db.markOpen(ctx, path, found); err != nil {
		return db.translate(ctx, path, err)
	}
	if db.log, err = os.Stat(path + logSuffix); err != nil { // the mark was written to it
		return unusable(dir, err)
	}
	db.checkpoints.start(ctx, db.config.CheckpointInterval, db.checkpoint)
	return nil
}

func (db *DB) connect(ctx context.Context, path string) error {
	var err error
	if db.writer, err = sqlx.Open("sqlite", source(path, "immediate", "journal_mode(wal)")); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	db.writer.SetMaxOpenConns(1)
	db.writing = newPrepared(db.writer)
	if db.keeper, err = sqlx.Open("sqlite", source(path, "immediate")); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	db.keeper.SetMaxOpenConns(1)
	if err := db.refuseEarlier(ctx, path); err != nil {
		return db.translate(ctx, path, err)
	}
	steps, err := migrations.SQLite(db.writer.DB)
	if err != nil {
		return err
	}
	if err := migrations.Up(ctx, steps); err != nil {
		return db.translate(ctx, path, err)
	}
	if err := db.writer.GetContext(ctx, &db.secret, `SELECT value FROM secrets WHERE name = 'idempotency_keys'`); err != nil {
		return db.translate(ctx, path, err)
	}
	if err := db.readTables(ctx); err != nil {
		return db.translate(ctx, path, err)
	}
	if db.readers, err = sqlx.Open("sqlite", source(path, "deferred", "query_only(on)")); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	db.readers.SetMaxOpenConns(maxReaders)
	db.readers.SetMaxIdleConns(maxReaders)
	db.reading = newPrepared(db.readers)
	return nil
}

// refuseEarlier is an error for a database from before the first release: its
// first step has the same number and made other tables. The keeper changes nothing
// about how the file is written.
func (db *DB) refuseEarlier(ctx context.Context, path string) error {
	var earlier bool
	err := db.keeper.GetContext(ctx, &earlier, `
		SELECT count(*) FILTER (WHERE name = 'events') > count(*) FILTER (WHERE name = 'packed_aggregates')
		FROM sqlite_schema WHERE type = 'table'`)
	if err != nil || !earlier {
		return err
	}
	return errEarlier(path)
}

func errEarlier(path string) error {
	return fmt.Errorf("%s was made by a version of this program from before its first release, which this one cannot read: "+
		"move the file away, or set DATA_DIR to another directory, to begin with an empty database", path)
}

// source names the file and how every connection to it is set up. Full
// synchronisation makes a commit outlive a loss of power. A connection that is
// made anew while the file is away must not make an empty one, beside which SQLite
// would delete the log.
func source(path, lock string, pragmas ...string) string {
	pragmas = append(pragmas, "synchronous(full)", "busy_timeout(5000)", "foreign_keys(on)", "temp_store(memory)",
		"journal_size_limit(67108864)")
	query := url.Values{"mode": {"rw"}, "_pragma": pragmas, "_txlock": {lock}, "_dqs": {"0"}}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}).String()
}

// unusable says that the data directory cannot be used. Only the reason at the
// bottom is told, as the system's words around it repeat the path.
func unusable(dir string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return fmt.Errorf("the data directory %q cannot be written: %w; "+
		"let this user write there, or set DATA_DIR to another directory", dir, err)
}

// Close ends all work and gives the data directory free. A second Close does
// nothing.
func (db *DB) Close() error {
	if db.closed.Swap(true) {
		return nil
	}
	var errs []error
	db.checkpoints.end()
	db.unmark()
	// The last one moves the log into the file. The keeper's log is the one that
	// was written, even if another stands in its place.
	for _, pool := range []*sqlx.DB{db.readers, db.writer, db.keeper} {
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	if db.lock != nil {
		errs = append(errs, db.lock.Close())
	}
	return errors.Join(errs...)
}

// write runs work in a transaction that may write: all of it is kept, durably,
// or after an error nothing. Work must use tx alone.
func (db *DB) write(ctx context.Context, name string, work func(tx *sqlx.Tx) error) error {
	return db.writeOn(ctx, db.writer, name, work)
}

// writeUnsynced is write without waiting for the disk: the next write does. If the
// machine loses its power before that, it is undone, as if it had never been; if the
// process dies, it is kept.
func (db *DB) writeUnsynced(ctx context.Context, name string, work func(tx *sqlx.Tx) error) error {
	conn, err := db.writer.Connx(ctx)
	if err != nil {
		return db.translate(ctx, name, err)
	}
	defer func() { _ = conn.Close() }()
	if _, err = conn.ExecContext(ctx, `PRAGMA synchronous = normal`); err != nil {
		err = db.translate(ctx, name, err)
	} else {
		err = db.writeOn(ctx, conn, name, work)
	}
	// Whatever became of it, the connection syncs again or is used no more.
	if _, failure := conn.ExecContext(context.WithoutCancel(ctx), `PRAGMA synchronous = full`); failure != nil {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	return err
}

// beginner is a pool or a connection of it.
type beginner interface {
	BeginTxx(ctx context.Context, options *sql.TxOptions) (*sqlx.Tx, error)
}

func (db *DB) writeOn(ctx context.Context, writer beginner, name string, work func(tx *sqlx.Tx) error) error {
	if err := db.checkFile(); err != nil {
		return db.translate(ctx, name, err)
	}
	err := db.transact(ctx, writer, name, work)
	db.checkpoints.written.Store(true)
	if isStorageFailure(err) {
		db.health.fail()
	}
	return err
}

// read runs work in a transaction that sees one state.
func (db *DB) read(ctx context.Context, name string, work func(tx *sqlx.Tx) error) error {
	return db.transact(ctx, db.readers, name, work)
}

func (db *DB) transact(ctx context.Context, pool beginner, name string, work func(tx *sqlx.Tx) error) error {
	tx, err := pool.BeginTxx(ctx, nil)
	if err != nil {
		return db.translate(ctx, name, err)
	}
	start := time.Now()
	if err = work(tx); err == nil {
		err = tx.Commit()
	} else {
		_ = tx.Rollback() // after an error SQLite may have done so itself
	}
	if took := time.Since(start); took >= db.config.SlowQuery {
		db.config.Log.Warn("slow query", "query", name, "duration_ms", took.Milliseconds())
	}
	return db.translate(ctx, name, err)
}
