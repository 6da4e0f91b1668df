// Package benchmark_test measures the service on real servers, where that can be done
// beside the plainest way to do the same.
package benchmark_test

import (
	"log/slog"
	"testing"

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
func openQueue(tb testing.TB, events int, appendfsync string) *redis.Queue {
	tb.Helper()
	_, queue := openRedis(tb, events, appendfsync)
	return queue
}

// openRedis is openQueue and says where the server is.
func openRedis(tb testing.TB, events int, appendfsync string) (url string, queue *redis.Queue) {
	tb.Helper()
	server := servers.Redis(tb, "appendonly yes", "appendfsync "+appendfsync, "maxmemory-policy noeviction")
	pool, err := redis.Open(tb.Context(), redis.Config{URL: server.URL()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := pool.Close(); err != nil {
			tb.Error(err)
		}
	})
	return server.URL(), redis.NewQueue(pool, redis.QueueConfig{MaxEvents: events})
}
