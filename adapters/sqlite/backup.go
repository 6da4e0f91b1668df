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
)

// Backup says what a backup holds.
type Backup struct {
	// Bytes is the size of the file.
	Bytes int64
	// Events counts raw events, and Calls what the daily aggregates count, which
	// are kept for longer.
	Events, Calls int64
	// QueuedEvents counts what is accepted and not yet stored, DeadLetters the
	// batches that were buried.
	QueuedEvents, DeadLetters int64
}

// WriteBackup copies the database of the data directory into a new file, which
// holds one state of all of it, the queue included. A process may work on the
// database meanwhile. Nobody but this user can read the file; it is checked and
// on disk when WriteBackup returns. A file that exists is refused and left as
// it is. Errors are sentences for the operator.
func WriteBackup(ctx context.Context, dir, file string) (Backup, error) {
	source, err := filepath.Abs(filepath.Join(dir, databaseFile))
	if err != nil {
		return Backup{}, err
	}
	if _, err := os.Stat(source); err != nil {
		return Backup{}, fmt.Errorf("there is no database in DATA_DIR (%s) to back up: %w", dir, bottom(err))
	}
	if file, err = filepath.Abs(file); err != nil {
		return Backup{}, err
	}
	// The name is taken first, so that nothing else gets it, and the copy gets
	// it last, so that what has the name is complete.
	place, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the operator's choice
	switch {
	case errors.Is(err, fs.ErrExist):
		return Backup{}, fmt.Errorf("%s exists: name a file that does not", file)
	case err != nil:
		return Backup{}, fmt.Errorf("%s cannot be made: %w", file, bottom(err))
	}
	_ = place.Close()
	backup, err := copyTo(ctx, source, file)
	if err != nil {
		_ = os.Remove(file)
	}
	return backup, err
}

// copyTo replaces the empty file by a copy of the database.
func copyTo(ctx context.Context, source, file string) (Backup, error) {
	part, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".part-*") // readable for this user alone
	if err != nil {
		return Backup{}, fmt.Errorf("%s cannot be made: %w", file, bottom(err))
	}
	defer func() { _ = part.Close(); _ = os.Remove(part.Name()) }()
	if err := vacuumInto(ctx, source, part.Name()); err != nil {
		return Backup{}, fmt.Errorf("the database cannot be copied to %s: %w", file, err)
	}
	backup, err := inspectCopy(ctx, part.Name())
	if err != nil {
		return Backup{}, fmt.Errorf("the copy is not good, so there is no backup: %w", err)
	}
	info, err := part.Stat()
	if err == nil {
		err = errors.Join(part.Sync(), os.Rename(part.Name(), file), syncDir(filepath.Dir(file)))
	}
	if err != nil {
		return Backup{}, fmt.Errorf("%s cannot be written: %w", file, err)
	}
	backup.Bytes = info.Size()
	return backup, nil
}

// vacuumInto reads in one transaction and changes nothing: readers of a
// database with a write-ahead log hinder nobody.
func vacuumInto(ctx context.Context, source, target string) error {
	return withFile(source, "ro", func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, `VACUUM INTO ?`, target)
		return err
	})
}

// inspectCopy checks every page, and counts. A copy has no log, so it needs no
// mark either; see [DB.markOpen].
func inspectCopy(ctx context.Context, path string) (b Backup, err error) {
	err = withFile(path, "ro", func(db *sql.DB) error {
		if err := checkIntegrity(ctx, db); err != nil {
			return err
		}
		counts := map[string]*int64{
			`SELECT count(*) FROM events`: &b.Events,
			`SELECT coalesce(sum(calls), 0) FROM (
				SELECT calls FROM aggregate_buckets WHERE resolution = 'day' UNION ALL SELECT events FROM aggregation_journal)`: &b.Calls,
			`SELECT coalesce(sum(events), 0) FROM queue`: &b.QueuedEvents,
			`SELECT count(*) FROM dead_letters`:          &b.DeadLetters,
		}
		for query, count := range counts {
			if err := db.QueryRowContext(ctx, query).Scan(count); err != nil {
				return err
			}
		}
		return nil
	})
	return b, err
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
