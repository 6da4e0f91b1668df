package redis_test

import (
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

func TestStoreClock(t *testing.T) {
	contract.StoreClock(t, func(t *testing.T) contract.StoreClockHarness {
		// The server tells microseconds.
		return contract.StoreClockHarness{
			Clock: redis.NewClock(newSite(t, 0).pool), Real: func() time.Time { return time.Now().Truncate(time.Microsecond) },
		}
	})
}
