package migrations_test

import (
	"database/sql"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/migrations"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
	"github.com/weather-mcp/weather-mcp-analytics/test/timescaledb"
)

func TestMain(m *testing.M) { servers.Main(m) }

// postgresSteps returns the steps of the database at url.
func postgresSteps(t *testing.T, url string) (*goose.Provider, *sql.DB) {
	t.Helper()
	db, err := postgres.Connect(t.Context(), postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	steps, err := migrations.PostgreSQL(db)
	if err != nil {
		t.Fatal(err)
	}
	return steps, db
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// checkUpDownUp demands that a schema that was taken back and made again is
// the same, whether or not there was anything in it.
func checkUpDownUp(t *testing.T, url string, dump func() string) {
	t.Helper()
	steps, _ := postgresSteps(t, url)
	must(t, migrations.Up(t.Context(), steps))
	first := dump()
	if !strings.Contains(first, "hourly_aggregations") {
		t.Fatalf("no schema in the dump:\n%s", first)
	}
	for _, state := range []string{"empty", "full"} {
		if state == "full" {
			fill(t, url)
		}
		_, err := steps.DownTo(t.Context(), 0)
		must(t, err)
		if none := dump(); strings.Contains(none, "aggregation") || strings.Contains(none, "events") {
			t.Errorf("%s: something is left:\n%s", state, none)
		}
		must(t, migrations.Up(t.Context(), steps))
		if again := dump(); again != first {
			t.Errorf("%s: the schema is another one:\n%s", state, difference(first, again))
		}
	}
	fill(t, url)
	must(t, migrations.Redo(t.Context(), steps))
	if again := dump(); again != first {
		t.Errorf("done again: the schema is another one:\n%s", difference(first, again))
	}
}

// fill stores events in partitions and in their default.
func fill(t *testing.T, url string) {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Config{URL: url, Clock: memory.NewClock(contract.Now)})
	must(t, err)
	store := postgres.NewStore(db)
	for i, b := range contract.Batches(1, 100, contract.EventsOver(1, 300, 60)) {
		_, err := store.Store(t.Context(), []domain.Batch{b})
		must(t, err)
		if i == 1 {
			_, err = store.Expire(t.Context(), domain.Cutoffs{})
			must(t, err)
		}
	}
	must(t, db.Close())
}

func difference(a, b string) string {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	var lines []string
	for _, line := range as {
		if !slices.Contains(bs, line) {
			lines = append(lines, "- "+line)
		}
	}
	for _, line := range bs {
		if !slices.Contains(as, line) {
			lines = append(lines, "+ "+line)
		}
	}
	return strings.Join(lines, "\n")
}

func TestPostgresUpDownUp(t *testing.T) {
	server := servers.SharedPostgres(t)
	url := server.NewDatabase(t)
	checkUpDownUp(t, url, func() string { return server.Dump(t, url, "--schema-only") })
}

func TestTimescaleUpDownUp(t *testing.T) {
	url := timescaledb.Start(t).NewSchema(t)
	_, db := postgresSteps(t, url)
	checkUpDownUp(t, url, func() string { return catalogue(t, db) })
}

// catalogue describes a schema where pg_dump is of another version than the
// server.
func catalogue(t *testing.T, db *sql.DB) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `
		SELECT concat_ws(' ', 'column', table_name,
			row_number() OVER (PARTITION BY table_name ORDER BY ordinal_position), column_name, data_type, is_nullable, column_default, collation_name)
		FROM information_schema.columns WHERE table_schema = current_schema()
		UNION ALL
		SELECT concat_ws(' ', 'index', indexdef) FROM pg_indexes WHERE schemaname = current_schema()
		UNION ALL
		SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid))
		FROM pg_constraint WHERE connamespace = current_schema()::regnamespace
		UNION ALL
		SELECT concat_ws(' ', 'options', relname, reloptions) FROM pg_class WHERE relnamespace = current_schema()::regnamespace
		UNION ALL
		SELECT concat_ws(' ', 'hypertable', hypertable_name, column_name, time_interval)
		FROM timescaledb_information.dimensions WHERE hypertable_schema = current_schema()
		UNION ALL
		SELECT concat_ws(' ', 'compression', hypertable_name, attname, segmentby_column_index, orderby_column_index, orderby_asc)
		FROM timescaledb_information.compression_settings WHERE hypertable_schema = current_schema()
		UNION ALL
		SELECT concat_ws(' ', 'job', proc_name, hypertable_name, schedule_interval, config - 'hypertable_id')
		FROM timescaledb_information.jobs WHERE hypertable_schema = current_schema()
		ORDER BY 1`)
	must(t, err)
	defer rows.Close()
	var lines []string
	for rows.Next() {
		var line string
		must(t, rows.Scan(&line))
		lines = append(lines, line)
	}
	must(t, rows.Err())
	return strings.Join(lines, "\n")
}

func TestPostgresStatus(t *testing.T) {
	steps, _ := postgresSteps(t, servers.SharedPostgres(t).NewDatabase(t))
	taken := func() (versions []int64, at int) {
		t.Helper()
		status, err := migrations.Status(t.Context(), steps)
		must(t, err)
		for _, s := range status {
			versions = append(versions, s.Version)
			if !s.TakenAt.IsZero() {
				at++
			}
			if s.Version == 1 && s.Name != "0001_initial.sql" {
				t.Errorf("step 1 is %q", s.Name)
			}
		}
		return versions, at
	}
	versions, n := taken()
	if len(versions) == 0 || !slices.IsSorted(versions) || n != 0 {
		t.Errorf("an empty database has taken %d of the steps %d", n, versions)
	}
	must(t, migrations.Up(t.Context(), steps))
	if _, n := taken(); n != len(versions) {
		t.Errorf("%d of %d steps taken", n, len(versions))
	}
	for range versions {
		must(t, migrations.Down(t.Context(), steps))
	}
	if _, n := taken(); n != 0 {
		t.Errorf("%d steps taken, and all were taken back", n)
	}
	if err := migrations.Down(t.Context(), steps); err == nil || !strings.Contains(err.Error(), "no step to take back") {
		t.Errorf("one step more: %v", err)
	}
}

func TestPostgresNewerSchemaIsLeftAlone(t *testing.T) {
	server := servers.SharedPostgres(t)
	url := server.NewDatabase(t)
	steps, db := postgresSteps(t, url)
	must(t, migrations.Up(t.Context(), steps))
	_, err := db.ExecContext(t.Context(), `INSERT INTO schema_versions (version_id, is_applied) VALUES (4711, true)`)
	must(t, err)
	before := server.Dump(t, url, "--schema-only")
	for name, change := range map[string]error{
		"Up":   migrations.Up(t.Context(), steps),
		"Down": migrations.Down(t.Context(), steps),
		"Redo": migrations.Redo(t.Context(), steps),
	} {
		if change == nil || !strings.Contains(change.Error(), "has schema version 4711 and this program knows only up to") {
			t.Errorf("%s: %v", name, change)
		}
	}
	if server.Dump(t, url, "--schema-only") != before {
		t.Error("the schema was changed")
	}
}

func TestTenProcessesMigrateOnce(t *testing.T) {
	url := servers.SharedPostgres(t).NewDatabase(t)
	var group sync.WaitGroup
	for range 10 {
		steps, _ := postgresSteps(t, url)
		group.Go(func() {
			if err := migrations.Up(t.Context(), steps); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	_, db := postgresSteps(t, url)
	var n int
	must(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM schema_versions WHERE version_id = 1`).Scan(&n))
	if n != 1 {
		t.Errorf("the first step was taken %d times", n)
	}
}
