package postgres_test

import (
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

func TestStoreClock(t *testing.T) {
	contract.StoreClock(t, func(t *testing.T) contract.StoreClockHarness {
		db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t)})
		// The server tells microseconds.
		return contract.StoreClockHarness{Clock: postgres.NewClock(db), Real: func() time.Time { return time.Now().Truncate(time.Microsecond) }}
	})
}
