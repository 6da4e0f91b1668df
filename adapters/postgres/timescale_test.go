package postgres_test

import (
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
	"github.com/weather-mcp/weather-mcp-analytics/test/timescaledb"
)

func openTimescale(t *testing.T) contract.StoreHarness {
	t.Helper()
	return openBoundedTimescale(t, domain.Cardinality{})
}

func openBoundedTimescale(t *testing.T, limits domain.Cardinality) contract.StoreHarness {
	t.Helper()
	config := postgres.Config{URL: timescaledb.Start(t).NewSchema(t), Limits: limits}
	harness, db := harnessOf(t, config)
	if !db.Timescale() {
		t.Fatal("events are no hypertable")
	}
	harness.Break = func(t *testing.T) { closeDB(t, db) }
	return harness
}

func TestTimescaleStore(t *testing.T) { contract.Store(t, openTimescale) }

func TestTimescaleMerger(t *testing.T) { contract.Merger(t, openTimescale) }

func TestTimescaleCardinality(t *testing.T) { contract.Cardinality(t, openBoundedTimescale) }

func TestTimescaleRebuild(t *testing.T) { contract.Rebuild(t, openTimescale) }

// TestTimescaleSameStatistics draws fewer cases than the other stores do, as
// each takes longer.
func TestTimescaleSameStatistics(t *testing.T) {
	checks := flag.Lookup("rapid.checks")
	usual := checks.Value.String()
	t.Cleanup(func() { _ = checks.Value.Set(usual) })
	if err := checks.Value.Set("25"); err != nil {
		t.Fatal(err)
	}
	contract.SameStatistics(t, openTimescale)
}

func TestTimescaleCompresses(t *testing.T) {
	db := open(t, postgres.Config{URL: timescaledb.Start(t).NewSchema(t)})
	var policies []string
	err := db.List(t.Context(), &policies, `
		SELECT hypertable_name || ' after ' || (config ->> 'compress_after') FROM timescaledb_information.jobs
		WHERE proc_name = 'policy_compression' AND hypertable_schema = current_schema() ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"events after 7 days"}; !slices.Equal(policies, want) {
		t.Errorf("policies %q, want %q", policies, want)
	}
}

func TestTimescaleRetention(t *testing.T) {
	clock := contractClock()
	db := open(t, postgres.Config{URL: timescaledb.Start(t).NewSchema(t), Clock: clock})
	checkRetention(t, db, clock)
	var oldest time.Time
	err := db.Get(t.Context(), &oldest, `
		SELECT min(range_start) FROM timescaledb_information.chunks
		WHERE hypertable_name = 'events' AND hypertable_schema = current_schema()`)
	if err != nil || !oldest.Equal(today.Add(7*day)) {
		t.Errorf("the oldest chunk begins at %v, %v", oldest, err)
	}
}

// TestTimescaleChangesCompressedChunks stores, rebuilds and expires in days
// that are compressed.
func TestTimescaleChangesCompressedChunks(t *testing.T) {
	db := open(t, postgres.Config{URL: timescaledb.Start(t).NewSchema(t)})
	store := postgres.NewStore(db)
	old := today.Add(-20 * day)
	events := append(dated(old, 600), dated(today, 100)...)
	mustStore(t, store, contract.NewBatch(1, events...))
	if err := store.MergeJournal(t.Context()); err != nil {
		t.Fatal(err)
	}
	compress(t, db)
	before := selected(t, store)

	late := dated(old, 48)
	mustStore(t, store, contract.NewBatch(2, late...))
	if err := store.MergeJournal(t.Context()); err != nil {
		t.Fatal(err)
	}
	events = append(events, late...)
	if got := rawEvents(t, db); len(got) != len(events) {
		t.Errorf("%d raw events, want %d", len(got), len(events))
	}
	compress(t, db)
	after := selected(t, store)
	if len(after.Rollups) == 0 || len(before.Rollups) == 0 {
		t.Fatal("no statistics")
	}
	if n, err := store.RebuildDay(t.Context(), old, domain.Cutoffs{}); err != nil || n != 648 {
		t.Errorf("rebuilt from %d events, %v", n, err)
	}
	checkSame(t, selected(t, store), after)

	compress(t, db)
	cut := old.Add(7 * time.Hour)
	cutoffs := domain.Cutoffs{Events: cut, Hourly: cut, HourlyErrors: cut}
	mustExpire(t, store, cutoffs)
	checkKept(t, db, events, cutoffs)
}

// compress compresses all that is past.
func compress(t *testing.T, db *postgres.DB) {
	t.Helper()
	err := db.Exec(t.Context(), `
		SELECT compress_chunk(format('%I.%I', chunk_schema, chunk_name)::regclass, if_not_compressed => true)
		FROM timescaledb_information.chunks
		WHERE hypertable_schema = current_schema() AND range_end < '2026-11-20'`)
	if err != nil {
		t.Fatal(err)
	}
	var compressed int
	err = db.Get(t.Context(), &compressed, `
		SELECT count(*) FROM timescaledb_information.chunks WHERE is_compressed AND hypertable_schema = current_schema()`)
	if err != nil || compressed != 1 {
		t.Fatalf("%d chunks are compressed, %v; want one", compressed, err)
	}
}

// TestMovingToTimescale does what docs/postgresql.md tells an operator to do
// when the extension is installed later.
func TestMovingToTimescale(t *testing.T) {
	server := servers.SharedPostgres(t)
	plain := server.NewDatabase(t)
	db := open(t, postgres.Config{URL: plain})
	store := postgres.NewStore(db)
	batches := contract.Batches(1, 40, contract.EventsOver(1, 400, 60))
	mustStore(t, store, batches[:5]...)
	mustExpire(t, store, domain.Cutoffs{})
	mustStore(t, store, batches[5:8]...) // some in the journal
	closeDB(t, db)

	dump := server.Dump(t, plain, "--data-only", "--load-via-partition-root",
		"--exclude-table=schema_versions", "--exclude-table=heartbeat")
	url := timescaledb.Start(t).NewSchema(t)
	moved := open(t, postgres.Config{URL: url})
	database, path, _ := strings.Cut(url, "&search_path=")
	schema, _, _ := strings.Cut(path, ",")
	servers.PSQL(t, database, strings.ReplaceAll(dump, "public.", schema+"."))

	mustStore(t, postgres.NewStore(moved), batches...)
	checkCounted(t, moved, batches)
}
