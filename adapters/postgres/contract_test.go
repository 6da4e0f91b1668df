package postgres_test

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
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

func openStore(t *testing.T) contract.StoreHarness {
	t.Helper()
	return openBounded(t, domain.Cardinality{})
}

func openBounded(t *testing.T, limits domain.Cardinality) contract.StoreHarness {
	t.Helper()
	harness, _ := newStore(t, limits)
	return harness
}

func newStore(t *testing.T, limits domain.Cardinality) (contract.StoreHarness, *postgres.DB) {
	t.Helper()
	server := servers.SharedPostgres(t)
	config := postgres.Config{URL: newMigrated(t), Limits: limits}
	harness, db := harnessOf(t, config)
	harness.Break = func(t *testing.T) { server.Drop(t, config.URL) }
	return harness, db
}

// harnessOf opens a store with a small cache of packed values.
func harnessOf(t *testing.T, config postgres.Config) (contract.StoreHarness, *postgres.DB) {
	t.Helper()
	config.Buckets = app.NewPackedCache(1 << 20)
	db := open(t, config)
	db.MergeAtOnce()
	return contract.StoreHarness{
		Store:  postgres.NewStore(db),
		Events: func(t *testing.T) []domain.Event { return rawEvents(t, db) },
		Reopen: func(t *testing.T) contract.StorePorts {
			closeDB(t, db)
			db = open(t, config)
			return postgres.NewStore(db)
		},
	}, db
}

type pgStore = *postgres.Store

// mergingStore takes some steps of a merge of each day after every third call that
// stored.
type mergingStore struct {
	pgStore

	t      *testing.T
	stored atomic.Int64
}

func (s *mergingStore) Store(ctx context.Context, batches []domain.Batch) (ports.Stored, error) {
	stored, err := s.pgStore.Store(ctx, batches)
	if err != nil || s.stored.Add(1)%3 != 0 {
		return stored, err
	}
	ctx = context.WithoutCancel(ctx)
	days, err := s.Journal(ctx)
	for _, d := range days {
		for step := int64(0); step <= s.stored.Load()%domain.MergeSteps && err == nil; step++ {
			err = s.MergeStep(ctx, d.Day, 100)
		}
	}
	if err != nil {
		s.t.Error(err)
	}
	return stored, nil
}

// openStepwise opens a store that merges every day step by step.
func openStepwise(t *testing.T) contract.StoreHarness {
	t.Helper()
	harness, db := newStore(t, domain.Cardinality{})
	db.MergeStepwise()
	return harness
}

// openInPart opens one whose days are merged in part now and then.
func openInPart(t *testing.T) contract.StoreHarness {
	t.Helper()
	harness := openStepwise(t)
	store, ok := harness.Store.(pgStore)
	if !ok {
		t.Fatalf("the store is %T", harness.Store)
	}
	harness.Store = &mergingStore{t: t, pgStore: store}
	return harness
}

func rawEvents(t *testing.T, db *postgres.DB) []domain.Event {
	t.Helper()
	events, err := postgres.NewStore(db).RawEvents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func TestStore(t *testing.T) { contract.Store(t, openInPart) }

func TestMerger(t *testing.T) { contract.Merger(t, openStore) }

func TestMergerStepByStep(t *testing.T) { contract.Merger(t, openStepwise) }

func TestSameStatistics(t *testing.T) { contract.SameStatistics(t, openInPart) }

func TestRebuild(t *testing.T) { contract.Rebuild(t, openInPart) }

func TestExporter(t *testing.T) {
	contract.Exporter(t, func(t *testing.T) (contract.StoreHarness, ports.Exporter) {
		t.Helper()
		harness := openStore(t)
		e, ok := harness.Store.(ports.Exporter)
		if !ok {
			t.Fatalf("%T is no ports.Exporter", harness.Store)
		}
		return harness, e
	})
}

func TestCardinality(t *testing.T) { contract.Cardinality(t, openBounded) }

func TestSameCardinality(t *testing.T) { contract.SameCardinality(t, openBounded) }
