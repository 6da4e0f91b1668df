package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Backup says what a backup holds.
type Backup struct {
	// Bytes is the size of both files.
	Bytes int64
	// Events counts raw events, and Calls what the daily aggregates count, which
	// are kept for longer.
	Events, Calls int64
	// QueuedEvents counts what is accepted and not yet stored, DeadLetters the
	// batches that were buried.
	QueuedEvents, DeadLetters int64
}

// WriteBackup copies the database of the data directory: the store into a new file,
// and the queue into one beside it, whose name is [QueueBackup]. A process may work
// on the database meanwhile. The two files are restored together: a worker finishes
// what is in the queue, and everything that was accepted before WriteBackup began is
// counted once. Only this user can read the files; they are checked and on disk
// when WriteBackup returns. A file that exists is refused and left as it is. Errors
// are sentences for the operator.
func WriteBackup(ctx context.Context, dir, file string) (backup Backup, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return Backup{}, err
	}
	if file, err = filepath.Abs(file); err != nil {
		return Backup{}, err
	}
	// The queue comes first. A batch moves from there to the store, which knows the
	// ids of what it holds: one that moves meanwhile is in both, and counts once. The
	// other way round it would be in neither.
	copies := []backupCopy{
		{filepath.Join(dir, queueFile), QueueBackup(file), inspectQueue},
		{filepath.Join(dir, storeFile), file, inspectStore},
	}
	for _, c := range copies {
		if _, err := os.Stat(c.source); err != nil {
			return Backup{}, fmt.Errorf("there is no database in DATA_DIR (%s) to back up: %s: %w", dir, filepath.Base(c.source), bottom(err))
		}
	}
	// The names are taken first, so that nothing else gets them, and the copies get
	// them last, so that what has the name is complete.
	for i, c := range copies {
		if err := takeName(c.target); err != nil {
			removeAll(copies[:i])
			return Backup{}, err
		}
	}
	for _, c := range copies {
		if err := c.write(ctx, &backup); err != nil {
			removeAll(copies)
			return Backup{}, err
		}
	}
	return backup, nil
}

// QueueBackup is the name of the queue's file beside that of a backup, as
// "backup-queue.db" is beside "backup.db".
func QueueBackup(file string) string {
	extension := filepath.Ext(file)
	return strings.TrimSuffix(file, extension) + "-queue" + extension
}

// backupCopy is a file to copy, and how to check and count the copy.
type backupCopy struct {
	source, target string
	inspect        func(ctx context.Context, db *sql.DB, b *Backup) error
}

func removeAll(copies []backupCopy) {
	for _, c := range copies {
		_ = os.Remove(c.target)
	}
}

// takeName makes an empty file that was not there.
func takeName(file string) error {
	place, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the operator's choice
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s exists: name a file that does not", file)
	case err != nil:
		return fmt.Errorf("%s cannot be made: %w", file, bottom(err))
	}
	return place.Close()
}

// write replaces the empty file by a copy of the source.
func (c *backupCopy) write(ctx context.Context, b *Backup) error {
	part, err := os.CreateTemp(filepath.Dir(c.target), filepath.Base(c.target)+".part-*") // readable for this user alone
	if err != nil {
		return fmt.Errorf("%s cannot be made: %w", c.target, bottom(err))
	}
	defer func() { _ = part.Close(); _ = os.Remove(part.Name()) }()
	if err := vacuumInto(ctx, c.source, part.Name()); err != nil {
		return fmt.Errorf("the database %s cannot be copied to %s: %w", c.source, c.target, err)
	}
	// A copy has no log, so it needs no mark either; see [file.markOpen].
	err = withFile(part.Name(), "ro", func(db *sql.DB) error {
		if err := checkIntegrity(ctx, db); err != nil {
			return err
		}
		return c.inspect(ctx, db, b)
	})
	if err != nil {
		return fmt.Errorf("the copy of %s is not good, so there is no backup: %w", c.source, err)
	}
	info, err := part.Stat()
	if err == nil {
		err = errors.Join(part.Sync(), os.Rename(part.Name(), c.target), syncDir(filepath.Dir(c.target)))
	}
	if err != nil {
		return fmt.Errorf("%s cannot be written: %w", c.target, err)
	}
	b.Bytes += info.Size()
	return nil
}

// vacuumInto reads in one transaction and changes nothing: readers of a
// database with a write-ahead log hinder nobody.
func vacuumInto(ctx context.Context, source, target string) error {
	return withFile(source, "ro", func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, `VACUUM INTO ?`, target)
		return err
	})
}

func inspectStore(ctx context.Context, db *sql.DB, b *Backup) error {
	return scanCounts(ctx, db, map[string]*int64{
		`SELECT count(*) FROM events`: &b.Events,
		`SELECT coalesce(sum(calls), 0) FROM (
			SELECT calls FROM aggregate_buckets WHERE resolution = 'day' UNION ALL SELECT events FROM aggregation_journal)`: &b.Calls,
	})
}

func inspectQueue(ctx context.Context, db *sql.DB, b *Backup) error {
	return scanCounts(ctx, db, map[string]*int64{
		`SELECT coalesce(sum(events), 0) FROM queue`: &b.QueuedEvents,
		`SELECT count(*) FROM dead_letters`:          &b.DeadLetters,
	})
}

func scanCounts(ctx context.Context, db *sql.DB, counts map[string]*int64) error {
	for query, count := range counts {
		if err := db.QueryRowContext(ctx, query).Scan(count); err != nil {
			return err
		}
	}
	return nil
}

// checkIntegrity reads the whole database.
func checkIntegrity(ctx context.Context, db *sql.DB) error {
	var found string
	if err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&found); err != nil {
		return err
	}
	if found != "ok" {
		return fmt.Errorf("the database is damaged: %s", found)
	}
	return nil
}

// withFile opens a database for one caller, with the settings that it has by
// itself.
func withFile(path, mode string, do func(*sql.DB) error) error {
	query := url.Values{"mode": {mode}, "_pragma": {"busy_timeout(5000)"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}).String())
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	return errors.Join(do(db), db.Close())
}

// syncDir makes the name of a file as durable as what is in it.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the operator's choice
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// bottom is the system's reason without its words around it, which repeat the
// path.
func bottom(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
