package sqlite_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

func TestStoreClock(t *testing.T) {
	contract.StoreClock(t, func(t *testing.T) contract.StoreClockHarness {
		db := open(t, sqlite.Config{Dir: t.TempDir()})
		return contract.StoreClockHarness{
			Clock: sqlite.NewClock(db), Queue: sqlite.NewQueue(db, sqlite.QueueConfig{}), Store: sqlite.NewStore(db),
		}
	})
}

// What docs/clocks.md advises after a clock was ahead.
func TestBatchesReceivedAheadCanBeDatedBack(t *testing.T) {
	db := open(t, sqlite.Config{Dir: t.TempDir()})
	store := sqlite.NewStore(db)
	now := time.Now()
	for id, at := range map[domain.BatchID]time.Time{"before": now.Add(-time.Hour), "ahead": now.Add(6 * 24 * time.Hour)} {
		if _, err := store.Store(t.Context(), []domain.Batch{{ID: id, ReceivedAt: at}}); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile("../../docs/clocks.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(page), "sqlite3 data/analytics.db '")
	statement, _, ok := strings.Cut(after, "'")
	if !ok {
		t.Fatal("the page gives no statement")
	}
	if err := db.StoreFile().Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	said, err := sqlite.NewClock(db).Time(t.Context())
	if err != nil || said.At.After(time.Now()) || said.At.Before(now.Add(-time.Minute)) {
		t.Errorf("the newest batch is of %v, %v", said.At, err)
	}
}
