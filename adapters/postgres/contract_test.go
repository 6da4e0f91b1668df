package postgres_test

import (
	"strconv"
	"sync"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

func TestMain(m *testing.M) { servers.Main(m) }

// open returns the database, closed after the test unless it is closed before.
// Unless the test says otherwise it is the time of the events.
func open(tb testing.TB, config postgres.Config) *postgres.DB {
	tb.Helper()
	if config.Clock == nil {
		config.Clock = contractClock()
	}
	db, err := postgres.Open(tb.Context(), config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { closeDB(tb, db) })
	return db
}

func contractClock() *memory.Clock { return memory.NewClock(contract.Now) }

func itoa(n int) string { return strconv.Itoa(n) }

func closeDB(tb testing.TB, db *postgres.DB) {
	tb.Helper()
	if err := db.Close(); err != nil {
		tb.Error(err)
	}
}

// newMigrated returns a database of the shared server with the schema in it. To
// copy that is faster than to make it.
func newMigrated(t *testing.T) string {
	t.Helper()
	server := servers.SharedPostgres(t)
	migrated.Do(func() {
		url := server.NewDatabase(t)
		closeDB(t, open(t, postgres.Config{URL: url}))
		migrated.name = databaseName(t, url)
	})
	return server.NewDatabaseFrom(t, migrated.name)
}

var migrated struct {
	sync.Once
	name string
}

// openStore opens a store whose journal is merged now and then.
func openStore(t *testing.T) contract.StoreHarness {
	t.Helper()
	return openBounded(t, domain.Cardinality{})
}

func openBounded(t *testing.T, limits domain.Cardinality) contract.StoreHarness {
	t.Helper()
	server := servers.SharedPostgres(t)
	config := postgres.Config{URL: newMigrated(t), JournalEntries: 100, Limits: limits}
	db := open(t, config)
	return contract.StoreHarness{
		Store: postgres.NewStore(db),
		Events: func(t *testing.T) []domain.Event {
			return rawEvents(t, db)
		},
		Reopen: func(t *testing.T) contract.StorePorts {
			closeDB(t, db)
			db = open(t, config)
			return postgres.NewStore(db)
		},
		Break: func(t *testing.T) { server.Drop(t, config.URL) },
	}
}

func rawEvents(t *testing.T, db *postgres.DB) []domain.Event {
	t.Helper()
	events, err := postgres.NewStore(db).RawEvents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func TestStore(t *testing.T) { contract.Store(t, openStore) }

func TestSameStatistics(t *testing.T) { contract.SameStatistics(t, openStore) }

func TestRebuild(t *testing.T) { contract.Rebuild(t, openStore) }

func TestCardinality(t *testing.T) { contract.Cardinality(t, openBounded) }

func TestSameCardinality(t *testing.T) { contract.SameCardinality(t, openBounded) }
