// Package benchmark_test measures the service's two busy paths on real servers
// beside the plainest way to do the same.
package benchmark_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

func TestMain(m *testing.M) { servers.Main(m) }

func clock() *memory.Clock { return memory.NewClock(contract.Now) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// advised is how often Redis should sync its file.
const advised = "always"

// openQueue returns a queue of that many events in a Redis with a file that is
// synced so often.
func openQueue(b *testing.B, events int, appendfsync string) *redis.Queue {
	b.Helper()
	server := servers.Redis(b, "appendonly yes", "appendfsync "+appendfsync, "maxmemory-policy noeviction")
	pool, err := redis.Open(b.Context(), redis.Config{URL: server.URL()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := pool.Close(); err != nil {
			b.Error(err)
		}
	})
	return redis.NewQueue(pool, redis.QueueConfig{MaxEvents: events})
}

func timed(work func()) time.Duration {
	start := time.Now()
	work()
	return time.Since(start)
}
