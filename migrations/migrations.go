// Package migrations holds the schemas of the databases as numbered steps, up
// and down, inside the binary.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed postgres/*.sql sqlite/*.sql sqlitequeue/*.sql
var files embed.FS

// SQLite returns the steps of the embedded store, to be run on db.
func SQLite(db *sql.DB) (*goose.Provider, error) {
	return provider(goose.DialectSQLite3, db, "sqlite")
}

// SQLiteQueue returns the steps of the embedded queue, to be run on db.
func SQLiteQueue(db *sql.DB) (*goose.Provider, error) {
	return provider(goose.DialectSQLite3, db, "sqlitequeue")
}

// PostgreSQL returns the steps of a PostgreSQL database, to be run on db. Of
// any number of processes that run them at once one does, and the others wait:
// each step begins by taking a lock, which its transaction holds. The lock of a
// session would be lost or stay behind in a pooler such as PgBouncer, which
// gives each transaction another session.
func PostgreSQL(db *sql.DB) (*goose.Provider, error) {
	return provider(goose.DialectPostgres, db, "postgres")
}

func provider(dialect goose.Dialect, db *sql.DB, dir string, options ...goose.ProviderOption) (*goose.Provider, error) {
	steps, err := fs.Sub(files, dir)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	p, err := goose.NewProvider(dialect, db, steps, append(options,
		goose.WithTableName("schema_versions"),
		goose.WithDisableGlobalRegistry(true),
		goose.WithLogger(goose.NopLogger()))...)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	return p, nil
}

// Up takes the steps that the database has not taken. It refuses, changing
// nothing, a database that has taken steps which this program does not know.
func Up(ctx context.Context, p *goose.Provider) error {
	if err := RefuseNewer(ctx, p); err != nil {
		return err
	}
	for {
		before, err := p.GetDBVersion(ctx)
		if err == nil {
			_, err = p.Up(ctx)
		}
		if err == nil {
			return nil
		}
		// A step fails that another process has taken meanwhile.
		if now, failure := p.GetDBVersion(ctx); failure != nil || now <= before {
			return fmt.Errorf("migrations: %w", err)
		}
	}
}

// Down takes the last step back, and with it what is stored in what the step
// made. It refuses what [Up] refuses, and a database that has taken none.
func Down(ctx context.Context, p *goose.Provider) error {
	if err := RefuseNewer(ctx, p); err != nil {
		return err
	}
	_, err := p.Down(ctx)
	if errors.Is(err, goose.ErrNoNextVersion) {
		return errNoStep
	}
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	return nil
}

// Redo is [Down] and then [Up].
func Redo(ctx context.Context, p *goose.Provider) error {
	if err := Down(ctx, p); err != nil {
		return err
	}
	return Up(ctx, p)
}

// Step is one numbered change of the schema.
type Step struct {
	Version int64
	// Name is the file's, such as "0001_initial.sql".
	Name string
	// TakenAt is when the database took it; zero when it has not.
	TakenAt time.Time
}

// HasPostgreSQL reports whether a PostgreSQL database has taken steps. It
// changes nothing, whereas a look with [Status] prepares an empty database.
func HasPostgreSQL(ctx context.Context, db *sql.DB) (bool, error) {
	var has bool
	err := db.QueryRowContext(ctx, `SELECT to_regclass('schema_versions') IS NOT NULL`).Scan(&has)
	if err != nil {
		return false, fmt.Errorf("migrations: %w", err)
	}
	return has, nil
}

// Status lists the steps that this program knows, first to last.
func Status(ctx context.Context, p *goose.Provider) ([]Step, error) {
	known, err := p.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	steps := make([]Step, len(known))
	for i, s := range known {
		steps[i] = Step{Version: s.Source.Version, Name: path.Base(s.Source.Path), TakenAt: s.AppliedAt}
	}
	return steps, nil
}

// RefuseNewer is an error for a database that has taken steps which this
// program does not know.
func RefuseNewer(ctx context.Context, p *goose.Provider) error {
	current, newest, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if current > newest {
		return fmt.Errorf("the database has schema version %d and this program knows only up to %d: "+
			"use a newer program, or restore a backup made before the upgrade", current, newest)
	}
	return nil
}
