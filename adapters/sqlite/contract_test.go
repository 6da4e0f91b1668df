package sqlite_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// open returns the database in dir, closed after the test unless it is closed
// before.
func open(tb testing.TB, config sqlite.Config) *sqlite.DB {
	tb.Helper()
	db, err := sqlite.Open(tb.Context(), config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { closeDB(tb, db) })
	return db
}

func closeDB(tb testing.TB, db *sqlite.DB) {
	tb.Helper()
	if err := db.Close(); err != nil {
		tb.Error(err)
	}
}

func TestQueue(t *testing.T) {
	contract.Queue(t, func(t *testing.T, b contract.QueueBounds) contract.QueueHarness {
		clock := memory.NewClock(contract.Now)
		bounds := sqlite.QueueConfig{
			MaxEvents: b.Events, MaxBytes: b.Bytes, MaxReceipts: b.Receipts, MaxReceiptBytes: b.ReceiptBytes,
			MaxDeadLetters: b.DeadLetters, MaxDeadLetterBytes: b.DeadLetterBytes,
		}
		config := sqlite.Config{Dir: t.TempDir(), Clock: clock}
		db := open(t, config)
		return contract.QueueHarness{
			Queue:   sqlite.NewQueue(db, bounds),
			Advance: clock.Advance,
			Expire: func(t *testing.T) {
				if _, err := sqlite.NewStore(db).Expire(t.Context(), domain.Cutoffs{}); err != nil {
					t.Error(err)
				}
			},
			DeadLetters: func(t *testing.T) []contract.DeadLetter {
				buried, err := db.Buried(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				var letters []contract.DeadLetter
				for _, b := range buried {
					letters = append(letters, contract.DeadLetter(b))
				}
				return letters
			},
			Crash: func(t *testing.T) contract.QueuePorts {
				closeDB(t, db)
				db = open(t, config)
				return sqlite.NewQueue(db, bounds)
			},
			Damage: func(t *testing.T, id domain.BatchID) {
				err := db.QueueFile().Exec(t.Context(), `UPDATE queue SET payload = substr(payload, 1, 20) WHERE id = ?`, id)
				if err != nil {
					t.Fatal(err)
				}
			},
			Break:   func(t *testing.T) { closeDB(t, db) },
			Written: func(t *testing.T) []byte { return filesIn(t, config.Dir) },
		}
	})
}

func filesIn(t *testing.T, dir string) []byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data...)
	}
	return all
}

func openStore(t *testing.T) contract.StoreHarness {
	t.Helper()
	return openBounded(t, domain.Cardinality{})
}

func openBounded(t *testing.T, limits domain.Cardinality) contract.StoreHarness {
	t.Helper()
	return openWith(t, sqlite.Config{Limits: limits})
}

func openWith(t *testing.T, config sqlite.Config) contract.StoreHarness {
	t.Helper()
	h, _ := harnessOf(t, config)
	return h
}

func harnessOf(t *testing.T, config sqlite.Config) (contract.StoreHarness, *sqlite.DB) {
	t.Helper()
	config.Dir = t.TempDir()
	db := open(t, config)
	first := db
	return contract.StoreHarness{
		Store: sqlite.NewStore(db),
		Events: func(t *testing.T) []domain.Event {
			events, err := sqlite.NewStore(db).RawEvents(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return events
		},
		Reopen: func(t *testing.T) contract.StorePorts {
			closeDB(t, db)
			db = open(t, config)
			return sqlite.NewStore(db)
		},
		Break: func(t *testing.T) { closeDB(t, db) },
	}, first
}

func TestStore(t *testing.T) { contract.Store(t, openStore) }

func TestMerger(t *testing.T) { contract.Merger(t, openStore) }

func TestMergerStepByStep(t *testing.T) { contract.Merger(t, openStepwise) }

// openStepwise opens a store that merges every day step by step.
func openStepwise(t *testing.T) contract.StoreHarness {
	t.Helper()
	h, db := harnessOf(t, sqlite.Config{Buckets: app.NewPackedCache(1 << 20)})
	db.MergeStepwise()
	return h
}

func TestSameStatistics(t *testing.T) { contract.SameStatistics(t, openStore) }

func TestCardinality(t *testing.T) { contract.Cardinality(t, openBounded) }

func TestSameCardinality(t *testing.T) { contract.SameCardinality(t, openBounded) }
