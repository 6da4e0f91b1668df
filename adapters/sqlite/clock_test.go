package sqlite_test

import (
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
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
