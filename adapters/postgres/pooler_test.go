package postgres_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// poolModes are those of PgBouncer in which transactions work.
var poolModes = []string{"transaction", "session"}

// TestStoreBehindPgBouncer runs the contracts where no two transactions need have
// the same session.
func TestStoreBehindPgBouncer(t *testing.T) {
	t.Parallel()
	server := servers.SharedPostgres(t)
	// Every test has a database of its own, which is a pool of its own.
	pooler := servers.PgBouncer(t, server, "transaction", "server_idle_timeout = 2", "query_wait_timeout = 2")
	open := func(t *testing.T) contract.StoreHarness {
		t.Helper()
		database := newMigrated(t)
		harness, _ := harnessOf(t, postgres.Config{URL: pooler.URL(t, database)})
		harness.Break = func(t *testing.T) { server.Drop(t, database) }
		return harness
	}
	contract.Store(t, open)
	contract.Merger(t, open)
}

// TestFourWritersBehindPgBouncer has four processes start at once on an empty
// database, store what they share, and merge, expire and rebuild beside that.
func TestFourWritersBehindPgBouncer(t *testing.T) {
	t.Parallel()
	for _, mode := range poolModes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			server := servers.SharedPostgres(t)
			pooler := servers.PgBouncer(t, server, mode)
			// In session mode every connection keeps one of the pool's 20.
			config := postgres.Config{
				URL: pooler.URL(t, server.NewDatabase(t)), Clock: contractClock(), MaxConnections: 3,
			}
			batches := contract.Batches(1, 10, contract.EventsOver(5, 2_000, 60))
			var writers sync.WaitGroup
			for range 4 {
				order := rand.Perm(len(batches))
				writers.Go(func() {
					db, err := postgres.Open(t.Context(), config)
					if err != nil {
						t.Error(err)
						return
					}
					store := postgres.NewStore(db)
					for i, n := range order {
						if _, err := store.Store(t.Context(), batches[n:n+1]); err != nil {
							t.Error(err)
						}
						if i%50 != 0 {
							continue
						}
						if _, err := store.RebuildDay(t.Context(), today, domain.Cutoffs{}); err != nil {
							t.Error(err)
						}
						if _, err := store.Expire(t.Context(), domain.Cutoffs{}); err != nil {
							t.Error(err)
						}
					}
					if err := db.Close(); err != nil {
						t.Error(err)
					}
				})
			}
			writers.Wait()
			db := open(t, config)
			checkCounted(t, db, batches)
			// A merge in the background may hold one until its transaction ends.
			const held = `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'`
			for deadline, locks := time.Now().Add(20*time.Second), 1; locks > 0; time.Sleep(20 * time.Millisecond) {
				if err := db.Get(t.Context(), &locks, held); err != nil || locks > 0 && time.Now().After(deadline) {
					t.Fatalf("%d advisory locks stay behind, %v", locks, err)
				}
			}
		})
	}
}

// TestSettingsHoldBehindPgBouncer looks at what each kind of transaction runs
// with, on a database whose own settings are all others, and at what the next
// client of the pool finds.
func TestSettingsHoldBehindPgBouncer(t *testing.T) {
	const settings = `SELECT concat_ws(' ', current_setting('transaction_isolation'), current_setting('transaction_read_only'),
		current_setting('statement_timeout'), current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout'),
		current_setting('synchronous_commit'), current_setting('timezone'), current_setting('client_encoding'), current_setting('application_name'))`
	server := servers.SharedPostgres(t)
	address := server.NewDatabase(t)
	name := databaseName(t, address)
	server.Exec(t, address, strings.ReplaceAll(`ALTER DATABASE {name} SET default_transaction_isolation = 'serializable';
		ALTER DATABASE {name} SET default_transaction_read_only = on;
		ALTER DATABASE {name} SET statement_timeout = '1h';
		ALTER DATABASE {name} SET lock_timeout = '1h';
		ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '1h';
		ALTER DATABASE {name} SET synchronous_commit = off;
		ALTER DATABASE {name} SET timezone = 'Asia/Tokyo'`, "{name}", name))
	for _, mode := range append(poolModes, "none") {
		t.Run(mode, func(t *testing.T) {
			url := address
			if mode != "none" {
				url = servers.PgBouncer(t, server, mode).URL(t, address)
			}
			db := open(t, postgres.Config{URL: url, StatementTimeout: 7 * time.Second, LockTimeout: 3 * time.Second})
			for kind, c := range map[string]struct {
				get  func(ctx context.Context, into any, query string, args ...any) error
				want string
			}{
				"write":       {db.Write, "read committed off 7s 3s 10s on UTC UTF8 analytics"},
				"read":        {db.Get, "repeatable read on 7s 3s 10s off UTC UTF8 analytics"},
				"maintenance": {db.Maintain, "read committed off 7min 3s 5min on UTC UTF8 analytics"},
			} {
				var got string
				if err := c.get(t.Context(), &got, settings); err != nil || got != c.want {
					t.Errorf("%s runs with %q, %v; want %q", kind, got, err, c.want)
				}
			}
		})
	}
}

// TestPoolerThatRefusesParameters names all of them at once.
func TestPoolerThatRefusesParameters(t *testing.T) {
	server := servers.SharedPostgres(t)
	address := servers.PgBouncer(t, server, "transaction").URL(t, server.NewDatabase(t))
	_, err := postgres.Open(t.Context(), postgres.Config{URL: address + "&search_path=public&options=-c%20work_mem%3D8MB"})
	const want = "the pooler in front of the database does not take options and search_path: remove them from DATABASE_URL"
	if err == nil || !strings.Contains(err.Error(), want) || postgres.IsAway(err) || domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("%v, want %q", err, want)
	}
}

// TestPoolerMistakesAreNotWaitedFor: PgBouncer has one SQLSTATE for all that it
// refuses, which elsewhere means that the connection broke.
func TestPoolerMistakesAreNotWaitedFor(t *testing.T) {
	server := servers.SharedPostgres(t)
	pooler := servers.PgBouncer(t, server, "transaction")
	database := server.NewDatabase(t)
	for name, tt := range map[string]struct {
		url, want string
		away      bool
	}{
		"password": {strings.Replace(pooler.URL(t, database), ":private@", ":wrong@", 1), "credentials", false},
		"user":     {strings.Replace(pooler.URL(t, database), "//postgres:", "//stranger:", 1), "credentials", false},
		"database": {pooler.URL(t, server.URL("absent")), "does not exist", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := postgres.Open(t.Context(), postgres.Config{URL: tt.url})
			if err == nil || !strings.Contains(domain.MessageOf(err), tt.want) || postgres.IsAway(err) != tt.away {
				t.Errorf("%v (%s), away: %t; want %q", err, domain.MessageOf(err), postgres.IsAway(err), tt.want)
			}
		})
	}
}
