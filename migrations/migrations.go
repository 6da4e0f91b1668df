// Package migrations holds the schemas of the databases as numbered steps, up
// and down, inside the binary.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed sqlite/*.sql
var files embed.FS

// SQLite returns the steps of the embedded database, to be run on db.
func SQLite(db *sql.DB) (*goose.Provider, error) {
	return provider(goose.DialectSQLite3, db, "sqlite")
}

func provider(dialect goose.Dialect, db *sql.DB, dir string) (*goose.Provider, error) {
	steps, err := fs.Sub(files, dir)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	p, err := goose.NewProvider(dialect, db, steps,
		goose.WithTableName("schema_versions"),
		goose.WithDisableGlobalRegistry(true),
		goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	return p, nil
}

// Up takes the steps that the database has not taken. It refuses, changing
// nothing, a database that has taken steps which this program does not know.
func Up(ctx context.Context, p *goose.Provider) error {
	current, newest, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if current > newest {
		return fmt.Errorf("the database has schema version %d and this program knows only up to %d: "+
			"use a newer program, or restore a backup made before the upgrade", current, newest)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	return nil
}
