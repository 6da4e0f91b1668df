// Package benchmark_test measures the service on real servers, where that can be done
// beside the plainest way to do the same.
package benchmark_test

import (
	"fmt"
	"log/slog"
	"os"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

func TestMain(m *testing.M) {
	if address := os.Getenv(readerAddress); address != "" {
		fmt.Fprintln(os.Stderr, serveReading(address))
		os.Exit(1)
	}
	servers.Main(m)
}

func clock() *memory.Clock { return memory.NewClock(contract.Now) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// advised is how often Redis should sync its file.
const advised = "always"

// openQueue returns a queue of that many events in a Redis with a file that is
// synced so often.
func openQueue(tb testing.TB, events int, appendfsync string) *redis.Queue {
	tb.Helper()
	return redis.NewQueue(openPool(tb, appendfsync), redis.QueueConfig{MaxEvents: events})
}

// openPool connects to such a Redis.
func openPool(tb testing.TB, appendfsync string) *redis.Pool {
	tb.Helper()
	_, pool := startRedis(tb, appendfsync)
	return pool
}

// openRedis is openQueue and says where the server is.
func openRedis(tb testing.TB, events int, appendfsync string) (url string, queue *redis.Queue) {
	tb.Helper()
	url, pool := startRedis(tb, appendfsync)
	return url, redis.NewQueue(pool, redis.QueueConfig{MaxEvents: events})
}

func startRedis(tb testing.TB, appendfsync string) (url string, pool *redis.Pool) {
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
	return server.URL(), pool
}
