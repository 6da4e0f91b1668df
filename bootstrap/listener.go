package bootstrap

import (
	"log/slog"
	"math"
	"syscall"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/httpapi"
)

// ownFiles is how many files the process opens for itself: the store's, those
// of connections to Redis, and the log.
const ownFiles = 128

func newConnections(c Config, m *memoryBudget, log *slog.Logger) *httpapi.Connections {
	return httpapi.NewConnections(log, httpapi.ConnectionsConfig{
		Max:      connectionsFor(c.MaxConnections, c.DBMaxConnections, maxFiles(), log),
		MaxBytes: m.forConnections(),
	})
}

// connectionsFor is what is configured, or less where there are not enough
// files for that: accepting would fail, and so would the store.
func connectionsFor(configured, database, files int, log *slog.Logger) int {
	most := max(files-ownFiles-database, 1)
	if most < configured {
		log.Warn("the process may open fewer files than MAX_CONNECTIONS needs: raise its limit of open files", "connections", most)
	}
	return min(configured, most)
}

// maxFiles is how many files the process may have open. Go has raised the limit
// as far as it may.
func maxFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxInt32
	}
	return int(min(uint64(limit.Cur), math.MaxInt32)) //nolint:unconvert // signed on some systems
}
