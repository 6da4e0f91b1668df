package postgres

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// Config tells where the database is and how it is used. Zero values mean the
// defaults.
type Config struct {
	// URL is postgres://user:password@host:port/name or the same as key=value
	// pairs, in all forms of PostgreSQL's manual; see [CheckURL]. Required. Without
	// an sslmode it is require, or disable where every host is this one, by its
	// loopback address or a Unix socket.
	URL string
	// ByParts says that the URL was made of DB_HOST, DB_USER and so on: errors
	// name these in place of DATABASE_URL.
	ByParts bool
	// Application is what the server calls the connections, after "analytics",
	// such as a role. Default nothing; an application_name in the URL takes
	// precedence.
	Application string
	// MaxConnections bounds the connections of this process. Maintenance,
	// which is rare, takes up to two more. Default 10.
	MaxConnections int
	// Limits bounds how many values a day's aggregates tell apart. Default
	// those of domain.Cardinality.
	Limits domain.Cardinality
	// Clock tells which partitions are made ahead, and dates health checks.
	// Default the system's clock.
	Clock ports.Clock
	// SlowQuery is how long a transaction may take without being logged, one of
	// maintenance 60 times as long. Default 200 ms.
	SlowQuery time.Duration
	// StatementTimeout and LockTimeout bound what one statement takes, and how
	// long of it may be waiting for another transaction. A statement of
	// maintenance may take 60 times as long, but wait no longer. Defaults 30 s
	// and 10 s.
	StatementTimeout, LockTimeout time.Duration
	// ConnectTimeout bounds how long connecting takes. Default 5 s; a
	// connect_timeout in the URL takes precedence.
	ConnectTimeout time.Duration
	// Buckets keeps packed aggregates in memory that readers have read. Default
	// none.
	Buckets *app.PackedCache
	// Log takes slow queries, by name and duration, and what befalls the server.
	// Default none.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	setDefault(&c.MaxConnections, 10)
	setDefault(&c.SlowQuery, 200*time.Millisecond)
	setDefault(&c.StatementTimeout, 30*time.Second)
	setDefault(&c.LockTimeout, 10*time.Second)
	setDefault(&c.ConnectTimeout, 5*time.Second)
	if c.Clock == nil {
		c.Clock = systemClock{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

// started holds a reading of the machine's monotonic clock.
var started = time.Now()

func (systemClock) Elapsed() time.Duration { return time.Since(started) }

// The longest that a transaction may do nothing. Maintenance packs a day between
// two statements, which may have millions of groups.
const (
	idleTimeout            = 10 * time.Second
	maintenanceIdleTimeout = 5 * time.Minute
)

// maintenanceFactor is how much longer maintenance may take.
const maintenanceFactor = 60

// server reads the URL. Its error never repeats it, as there is a password in
// it.
func (c Config) server() (pq.Config, error) {
	if c.URL == "" {
		return pq.Config{}, errors.New("the address of the database is missing: set DATABASE_URL")
	}
	address, err := parseAddress(c.URL)
	if err != nil {
		return pq.Config{}, fmt.Errorf("DATABASE_URL %w", err)
	}
	server, err := pq.NewConfig(address.String())
	if err != nil {
		return pq.Config{}, errors.New("DATABASE_URL, or a variable of the environment such as PGSSLMODE, has a parameter " +
			"with a value that cannot be used: see PostgreSQL's manual on connection strings")
	}
	if server.SSLMode == "" {
		server.SSLMode = defaultSSLMode(server)
	}
	setDefault(&server.ConnectTimeout, c.ConnectTimeout)
	setDefault(&server.ApplicationName, strings.TrimSpace(applicationPrefix+" "+c.Application))
	server.BinaryParameters = true // one round trip for a statement, and bytes as they are
	return server, nil
}

func defaultSSLMode(server pq.Config) pq.SSLMode {
	if isHere(server) {
		return pq.SSLModeDisable
	}
	return pq.SSLModeRequire
}

// isHere reports whether every host is this one.
func isHere(server pq.Config) bool {
	hosts := append([]pq.ConfigMultihost{{Host: server.Host, Hostaddr: server.Hostaddr}}, server.Multi...)
	for _, h := range hosts {
		if !isLocal(h) {
			return false
		}
	}
	return true
}

func isLocal(h pq.ConfigMultihost) bool {
	if h.Hostaddr.IsValid() {
		return h.Hostaddr.IsLoopback()
	}
	if address, err := netip.ParseAddr(strings.Trim(h.Host, "[]")); err == nil {
		return address.IsLoopback()
	}
	return h.Host == "localhost" || filepath.IsAbs(h.Host) || strings.HasPrefix(h.Host, "@")
}
