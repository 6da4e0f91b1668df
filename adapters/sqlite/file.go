package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/pressly/goose/v3"

	"github.com/weather-mcp/weather-mcp-analytics/migrations"
)

// file is one database of a [DB] with its connections.
type file struct {
	db   *DB
	name string // of its health check
	path string
	// SQLite has one writer at a time, so one connection writes and callers
	// wait for it; readers see the last commit and wait for no writer.
	writer  *sqlx.DB
	readers *sqlx.DB
	// writing and reading hold their statements.
	writing, reading *prepared
	// keeper is never used for queries. SQLite removes the write-ahead log with
	// its last connection, and the others may come and go.
	keeper *sqlx.DB
	opened os.FileInfo // which file was opened
	log    os.FileInfo // which write-ahead log; nil until it is known
	tables []string
	health health

	checkpoints checkpoints
	marked      bool // see markOpen
}

// maxReaders bounds how many answers are read at once. Each connection has a
// page cache of its own, so they are few.
const maxReaders = 4

// schema returns the steps of a file's schema.
type schema func(*sql.DB) (*goose.Provider, error)

func (f *file) open(ctx context.Context, path string, steps schema) error {
	dir := filepath.Dir(path)
	// SQLite would let everybody read the file; its companions take over the
	// mode.
	opened, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator's directory
	if err != nil {
		return unusable(dir, err)
	}
	f.path = path
	f.opened, err = opened.Stat()
	found, stateErr := readState(opened)
	if err := errors.Join(err, stateErr, opened.Close()); err != nil {
		return unusable(dir, err)
	}
	if err := found.objection(path); err != nil {
		return err
	}
	if err := f.connect(ctx, steps); err != nil {
		return err
	}
	if err := f.markOpen(ctx, found); err != nil {
		return f.translate(ctx, path, err)
	}
	if f.log, err = os.Stat(path + logSuffix); err != nil { // the mark was written to it
		return unusable(dir, err)
	}
	f.checkpoints.start(ctx, f.db.config.CheckpointInterval, f.checkpoint)
	return nil
}

func (f *file) connect(ctx context.Context, schema schema) error {
	var err error
	if f.writer, err = sqlx.Open("sqlite", source(f.path, "immediate", "journal_mode(wal)")); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	f.writer.SetMaxOpenConns(1)
	f.writing = newPrepared(f.writer)
	if f.keeper, err = sqlx.Open("sqlite", source(f.path, "immediate")); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	f.keeper.SetMaxOpenConns(1)
	if err := f.refuseEarlier(ctx); err != nil {
		return f.translate(ctx, f.path, err)
	}
	steps, err := schema(f.writer.DB)
	if err != nil {
		return err
	}
	if err := migrations.Up(ctx, steps); err != nil {
		return f.translate(ctx, f.path, err)
	}
	if err := f.readTables(ctx); err != nil {
		return f.translate(ctx, f.path, err)
	}
	if f.readers, err = sqlx.Open("sqlite", source(f.path, "deferred", "query_only(on)")); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	f.readers.SetMaxOpenConns(maxReaders)
	f.readers.SetMaxIdleConns(maxReaders)
	f.reading = newPrepared(f.readers)
	return nil
}

// refuseEarlier is an error for a database from before the first release: its
// first step has the same number and made other tables. The keeper changes nothing
// about how the file is written.
func (f *file) refuseEarlier(ctx context.Context) error {
	var earlier bool
	err := f.keeper.GetContext(ctx, &earlier, `SELECT `+isEarlier+` FROM sqlite_schema WHERE type = 'table'`)
	if err != nil || !earlier {
		return err
	}
	return errEarlier(f.path)
}

// isEarlier says of the tables of a file that they are those of an earlier schema:
// raw events without packed aggregates, or beside a queue.
const isEarlier = `(count(*) FILTER (WHERE name = 'events') > count(*) FILTER (WHERE name = 'packed_aggregates')
	OR count(*) FILTER (WHERE name IN ('events', 'queue')) = 2)`

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

func (f *file) close() error {
	f.checkpoints.end()
	f.unmark()
	var errs []error
	// The last one moves the log into the file. The keeper's log is the one that
	// was written, even if another stands in its place.
	for _, pool := range []*sqlx.DB{f.readers, f.writer, f.keeper} {
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	return errors.Join(errs...)
}

// write runs work in a transaction that may write: all of it is kept, durably,
// or after an error nothing. Work must use tx alone.
func (f *file) write(ctx context.Context, name string, work func(tx *sqlx.Tx) error) error {
	return f.writeOn(ctx, f.writer, name, work)
}

// writeUnsynced is write without waiting for the disk: the next write does. If the
// machine loses its power before that, it is undone, as if it had never been; if the
// process dies, it is kept.
func (f *file) writeUnsynced(ctx context.Context, name string, work func(tx *sqlx.Tx) error) error {
	conn, err := f.writer.Connx(ctx)
	if err != nil {
		return f.translate(ctx, name, err)
	}
	defer func() { _ = conn.Close() }()
	if _, err = conn.ExecContext(ctx, `PRAGMA synchronous = normal`); err != nil {
		err = f.translate(ctx, name, err)
	} else {
		err = f.writeOn(ctx, conn, name, work)
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

func (f *file) writeOn(ctx context.Context, writer beginner, name string, work func(tx *sqlx.Tx) error) error {
	if err := f.checkFile(); err != nil {
		return f.translate(ctx, name, err)
	}
	err := f.transact(ctx, writer, name, work)
	f.checkpoints.written.Store(true)
	if isStorageFailure(err) {
		f.health.fail()
	}
	return err
}

// read runs work in a transaction that sees one state.
func (f *file) read(ctx context.Context, name string, work func(tx *sqlx.Tx) error) error {
	return f.transact(ctx, f.readers, name, work)
}

func (f *file) transact(ctx context.Context, pool beginner, name string, work func(tx *sqlx.Tx) error) error {
	tx, err := pool.BeginTxx(ctx, nil)
	if err != nil {
		return f.translate(ctx, name, err)
	}
	start := time.Now()
	// Also after a panic; after a commit, or where SQLite did so itself, to no effect.
	defer func() { _ = tx.Rollback() }()
	if err = work(tx); err == nil {
		err = tx.Commit()
	}
	if took := time.Since(start); took >= f.db.config.SlowQuery {
		f.db.config.Log.Warn("slow query", "query", name, "duration_ms", took.Milliseconds())
	}
	return f.translate(ctx, name, err)
}
