package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/migrations"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// The files in the data directory.
const (
	storeFile = "analytics.db"
	queueFile = "analytics-queue.db"
	lockFile  = "analytics.lock"
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
	// CheckpointInterval is how often what was committed is moved from a
	// write-ahead log into its main file. Default 10 s.
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

// DB is an open data directory: a file of the store and a file of the queue, each
// with a writer of its own. A [Queue] and a [Store] share it.
type DB struct {
	config       Config
	lock         *os.File
	store, queue *file
	packing      packing
	secret       []byte // of the hashes of idempotency keys
	sizes        sizes
	groups       groups
	closed       atomic.Bool

	rebuildGroups int // see there; tests have fewer
	// mergeAtOnce is how many bytes of finest values a day has that is merged in one
	// transaction.
	mergeAtOnce int64
}

// Open opens the files in the data directory, making them and it when they are
// missing, and brings their schemas up to date. Its errors are sentences for the
// operator: a directory that cannot be written or that another process uses, a
// file that is no database or that a newer program has changed.
func Open(ctx context.Context, config Config) (*DB, error) {
	db := &DB{config: config.withDefaults(), packing: newPacking(), rebuildGroups: rebuildGroups, mergeAtOnce: domain.MergeAtOnce}
	db.store = &file{db: db, name: "store"}
	db.queue = &file{db: db, name: "queue"}
	if err := db.open(ctx); err != nil {
		return nil, errors.Join(err, db.Close()) //nolint:contextcheck // Close writes a mark, whatever has ended
	}
	return db, nil
}

// open opens the queue first: a first start that is killed leaves no store without
// a queue beside it, as a loss of the queue does.
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
	path := filepath.Join(dir, storeFile)
	queuePath := filepath.Join(dir, queueFile)
	lost := isThere(path) && !isThere(queuePath)
	if err := db.queue.open(ctx, queuePath, migrations.SQLiteQueue); err != nil {
		return err
	}
	if err := db.store.open(ctx, path, migrations.SQLite); err != nil {
		return err
	}
	if lost {
		db.config.Log.Error("the file of the queue is missing and made anew: what was accepted and not yet stored, and the dead letters, are missing",
			"missing", queueFile)
	}
	err = db.queue.writer.GetContext(ctx, &db.secret, `SELECT value FROM secrets WHERE name = 'idempotency_keys'`)
	if err == nil {
		err = db.sizes.count(ctx, db.queue.writer)
	}
	return db.queue.translate(ctx, queuePath, err)
}

// isThere reports whether there is a file that holds anything.
func isThere(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Size() > 0
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

// Close ends all work and gives the data directory free. Batches that wait for
// their transaction get it first. A second Close does nothing.
func (db *DB) Close() error {
	if db.closed.Swap(true) {
		return nil
	}
	db.groups.end()
	errs := []error{db.queue.close(), db.store.close()}
	if db.lock != nil {
		errs = append(errs, db.lock.Close())
	}
	return errors.Join(errs...)
}

// Checks are the health checks of the two files.
func (db *DB) Checks() []ports.HealthCheck { return []ports.HealthCheck{db.store, db.queue} }
