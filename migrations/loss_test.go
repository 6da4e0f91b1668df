package migrations_test

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/migrations"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// Every table that a step back removes is in what was announced before it.
func TestLossNamesWhatGoes(t *testing.T) {
	const tablesOfSQLite = `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`
	const tablesOfPostgreSQL = `SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename !~ '_p[0-9]+$|_default$'`
	embedded, steps := openSQLite(t, migrations.SQLite)
	t.Run("sqlite", func(t *testing.T) {
		must(t, migrations.Up(t.Context(), steps))
		checkLosses(t, embedded, migrations.SQLiteLoss, func() error { return migrations.Down(t.Context(), steps) }, tablesOfSQLite)
	})
	steps, database := postgresSteps(t, servers.SharedPostgres(t).NewDatabase(t))
	t.Run("postgresql", func(t *testing.T) {
		must(t, migrations.Up(t.Context(), steps))
		checkLosses(t, database, migrations.PostgreSQLLoss, func() error { return migrations.Down(t.Context(), steps) }, tablesOfPostgreSQL)
	})
}

func checkLosses(
	t *testing.T, db *sql.DB, lossOf func(context.Context, *sql.DB) (migrations.Loss, error), down func() error, tables string,
) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), `INSERT INTO dimension_overflow VALUES (`+dayOf(tables)+`, 'version', 3)`)
	must(t, err)
	list := func() (names []string) {
		t.Helper()
		rows, err := db.QueryContext(t.Context(), tables)
		must(t, err)
		defer rows.Close()
		for rows.Next() {
			var name string
			must(t, rows.Scan(&name))
			names = append(names, name)
		}
		must(t, rows.Err())
		return names
	}
	for step := 0; ; step++ {
		loss, err := lossOf(t.Context(), db)
		if err != nil {
			if step == 0 || !strings.Contains(err.Error(), "no step to take back") {
				t.Errorf("after %d steps: %v", step, err)
			}
			return
		}
		if step == 0 && !slices.ContainsFunc(loss.Tables, func(l migrations.TableLoss) bool { return l.Name == "dimension_overflow" && l.Rows == 1 }) {
			t.Errorf("the row is not counted: %+v", loss)
		}
		before := list()
		must(t, down())
		after := list()
		for _, name := range before {
			announced := slices.ContainsFunc(loss.Tables, func(l migrations.TableLoss) bool { return l.Name == name && len(l.Columns) == 0 })
			if gone := !slices.Contains(after, name); gone != announced {
				t.Errorf("%s: table %s is gone: %t, announced: %t", loss.Step, name, gone, announced)
			}
		}
	}
}

// dayOf is a day as the database writes it.
func dayOf(tables string) string {
	if strings.Contains(tables, "sqlite") {
		return "0"
	}
	return "'2026-11-23'"
}

func TestLossIsRoughForManyRows(t *testing.T) {
	for rows, want := range map[int64]string{0: "0", 100_000: "100000", 100_001: "more than 100000"} {
		if got := (migrations.TableLoss{Rows: rows}).String(); got != want {
			t.Errorf("%d rows are %q, want %q", rows, got, want)
		}
	}
	if got := (migrations.TableLoss{Rows: 2, Columns: []string{"a", "b"}}).String(); got != "2, of which the columns a, b" {
		t.Errorf("columns are %q", got)
	}
}
