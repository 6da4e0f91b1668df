package migrations_test

import (
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/weather-mcp/weather-mcp-analytics/migrations"
)

func openSQLite(t *testing.T, schema func(*sql.DB) (*goose.Provider, error)) (*sql.DB, *goose.Provider) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	steps, err := schema(db)
	if err != nil {
		t.Fatal(err)
	}
	return db, steps
}

// schemaOf lists what the database is made of, but for goose's own table.
func schemaOf(t *testing.T, db *sql.DB) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT sql FROM sqlite_schema
		WHERE sql IS NOT NULL AND tbl_name NOT IN ('schema_versions', 'sqlite_sequence') ORDER BY type, name`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var schema []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		schema = append(schema, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestSQLiteUpDownUp(t *testing.T) {
	for name, schema := range map[string]func(*sql.DB) (*goose.Provider, error){
		"store": migrations.SQLite, "queue": migrations.SQLiteQueue,
	} {
		t.Run(name, func(t *testing.T) {
			db, steps := openSQLite(t, schema)
			if err := migrations.Up(t.Context(), steps); err != nil {
				t.Fatal(err)
			}
			first := schemaOf(t, db)
			if len(first) == 0 {
				t.Fatal("nothing was made")
			}
			if err := migrations.Up(t.Context(), steps); err != nil {
				t.Errorf("again: %v", err)
			}
			if _, err := steps.DownTo(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			if left := schemaOf(t, db); len(left) > 0 {
				t.Errorf("the way down left %v", left)
			}
			if err := migrations.Up(t.Context(), steps); err != nil {
				t.Fatal(err)
			}
			if second := schemaOf(t, db); !slices.Equal(first, second) {
				t.Errorf("the second time made %v\nthe first %v", second, first)
			}
		})
	}
}

func TestSecretsDiffer(t *testing.T) {
	var secrets []string
	for range 2 {
		db, steps := openSQLite(t, migrations.SQLiteQueue)
		if err := migrations.Up(t.Context(), steps); err != nil {
			t.Fatal(err)
		}
		var secret string
		if err := db.QueryRowContext(t.Context(), `SELECT value FROM secrets WHERE name = 'idempotency_keys'`).Scan(&secret); err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, secret)
	}
	if len(secrets[0]) != 32 || secrets[0] == secrets[1] {
		t.Errorf("secrets %x", secrets)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	db, steps := openSQLite(t, migrations.SQLite)
	if err := migrations.Up(t.Context(), steps); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `INSERT INTO schema_versions (version_id, is_applied) VALUES (9000, 1)`); err != nil {
		t.Fatal(err)
	}
	err := migrations.Up(t.Context(), steps)
	if err == nil || !strings.Contains(err.Error(), "schema version 9000") || !strings.Contains(err.Error(), "newer program") {
		t.Errorf("got %v", err)
	}
}

func TestFailingStepsAreErrors(t *testing.T) {
	db, steps := openSQLite(t, migrations.SQLiteQueue)
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE queue (place)`); err != nil {
		t.Fatal(err)
	}
	if err := migrations.Up(t.Context(), steps); err == nil {
		t.Error("made a table that was there")
	}
	if schema := schemaOf(t, db); len(schema) != 1 {
		t.Errorf("a failed step left %v", schema)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := migrations.Up(t.Context(), steps); err == nil {
		t.Error("a closed database was migrated")
	}
}
