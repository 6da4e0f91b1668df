package worstday_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// engine is a store and what its aggregates take of the disk.
type engine struct {
	store interface {
		ports.EventStore
		ports.StatisticsReader
		ports.Maintainer
		ports.Merger
		ports.Rebuilder
	}
	// size returns what the aggregates, the journal and the lists of values take,
	// and of that the room that is free again and that the next merge uses.
	size func(t *testing.T) (taken, free int64)
}

var engines = map[string]func(t *testing.T, clock *memory.Clock) engine{
	"postgres": newPostgres,
	"sqlite":   newSQLite,
}

func newPostgres(t *testing.T, clock *memory.Clock) engine {
	t.Helper()
	url := servers.Postgres(t, "fsync=off", "autovacuum_naptime=1s").NewDatabase(t)
	db, err := postgres.Open(t.Context(), postgres.Config{URL: url, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeNow(t, db.Close) })
	store := postgres.NewStore(db)
	if _, err := store.Expire(t.Context(), domain.Cutoffs{}); err != nil { // makes partitions
		t.Fatal(err)
	}
	plain := connect(t, "postgres", url)
	return engine{store, func(t *testing.T) (taken, free int64) {
		t.Helper()
		awaitAutovacuum(t, plain)
		taken = postgresSize(t, plain)
		// What is left when all rows are written anew is what they need.
		for _, table := range []string{"packed_aggregates", "aggregation_journal"} {
			if _, err := plain.ExecContext(t.Context(), "VACUUM FULL "+table); err != nil {
				t.Fatal(err)
			}
		}
		return taken, taken - postgresSize(t, plain)
	}}
}

func postgresSize(t *testing.T, db *sqlx.DB) int64 {
	t.Helper()
	return number(t, db, `SELECT sum(pg_total_relation_size(name::regclass)) FROM unnest(ARRAY[
		'packed_aggregates', 'aggregate_buckets', 'aggregation_journal', 'dimension_values', 'dimension_overflow']) AS name`)
}

// awaitAutovacuum waits until autovacuum has nothing to do in the aggregates.
func awaitAutovacuum(t *testing.T, db *sqlx.DB) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		dead := number(t, db, `SELECT coalesce(sum(n_dead_tup), 0) FROM pg_stat_all_tables
			WHERE relid = (SELECT reltoastrelid FROM pg_class WHERE oid = 'packed_aggregates'::regclass)`)
		if dead <= 4_000 { // the threshold in the schema
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("autovacuum leaves %d dead rows", dead)
		}
	}
}

func newSQLite(t *testing.T, clock *memory.Clock) engine {
	t.Helper()
	dir := t.TempDir()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeNow(t, db.Close) })
	plain := connect(t, "sqlite", "file:"+filepath.Join(dir, "analytics.db")+"?mode=ro&_pragma=busy_timeout(60000)")
	return engine{sqlite.NewStore(db), func(t *testing.T) (taken, free int64) {
		t.Helper()
		free = number(t, plain, `SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size`)
		return free + number(t, plain, `SELECT sum(pgsize) FROM dbstat WHERE name LIKE '%aggregat%' OR name LIKE '%dimension%'`), free
	}}
}

func connect(t *testing.T, driver, source string) *sqlx.DB {
	t.Helper()
	db, err := sqlx.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { closeNow(t, db.Close) })
	return db
}

func closeNow(t *testing.T, end func() error) {
	t.Helper()
	if err := end(); err != nil {
		t.Error(err)
	}
}

func number(t *testing.T, db *sqlx.DB, query string) int64 {
	t.Helper()
	var n int64
	if err := db.GetContext(context.WithoutCancel(t.Context()), &n, query); err != nil {
		t.Fatal(err)
	}
	return n
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
