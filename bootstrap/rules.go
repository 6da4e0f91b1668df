package bootstrap

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/httpapi"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// Problem is one thing to change in the configuration.
type Problem struct {
	// Variable is the environment variable, or the file, that it is about.
	Variable string
	Message  string
}

// ConfigError lists everything that is wrong with a configuration.
type ConfigError struct{ Problems []Problem }

// Error gives one line per problem.
func (e *ConfigError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Variable + ": " + p.Message
	}
	return strings.Join(lines, "\n")
}

// problems gathers what is wrong, at most one problem of each variable.
type problems []Problem

func (p *problems) add(variable, message string) {
	if !slices.ContainsFunc(*p, func(seen Problem) bool { return seen.Variable == variable }) {
		*p = append(*p, Problem{variable, message})
	}
}

func (p *problems) between(variable string, value, low, high int) {
	if value < low || value > high {
		p.add(variable, fmt.Sprintf("is %d: give a whole number from %d to %d", value, low, high))
	}
}

func oneOf[T ~string](p *problems, variable string, value T, allowed ...T) {
	if slices.Contains(allowed, value) {
		return
	}
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	p.add(variable, fmt.Sprintf("is %q: give %s", string(value), strings.Join(words, " or ")))
}

// The bounds of what can be configured. Days are bounded so that no sum of
// times overflows.
const (
	maxPort      = 65_535
	maxReserveMB = 1 << 20
	maxBodyKB    = 10 << 10
	maxBatchSize = 10_000
	maxQueueSize = 10_000_000
	maxDays      = 3650
	maxValues    = 1_000_000
	maxMinutesMS = 60_000
	maxInterval  = 86_400
	// Clocks in good order differ by less than the least tolerance. The most is
	// below what a client's clock may be ahead.
	minTolerance = 60
	maxTolerance = 3600
	maxRedisDB   = 9999
	maxTTL       = 86_400
	maxStale     = 30 * 86_400
	// A health check must find a connection while a worker stores.
	minConnections = 2
	maxConnections = 1000
	maxClients     = 1_000_000
	minMemoryMB    = 128
	maxMemoryMB    = 1 << 20
	// bodiesInMemory is how many of the longest bodies must fit into the memory
	// limit: a quarter of it is for bodies, whose buffers are up to twice as
	// long.
	bodiesInMemory = 32
	// leastEventBytes is less than any event takes in a body.
	leastEventBytes = 100
)

// check judges the configuration as a whole; values that could not be read
// have their problem already.
func (c *Config) check(p *problems) {
	p.between("PORT", c.Port, 0, maxPort)
	c.checkBindAddress(p)
	oneOf(p, "LOG_FORMAT", c.LogFormat, LogJSON, LogText)
	p.between("DISK_RESERVE_MB", c.DiskReserveMB, 0, maxReserveMB)
	p.between("SLOW_QUERY_MS", c.SlowQueryMS, 1, maxMinutesMS)
	p.between("API_BODY_LIMIT_KB", c.APIBodyLimitKB, 1, maxBodyKB)
	p.between("MAX_CONNECTIONS", c.MaxConnections, 1, maxClients)
	p.between("MEMORY_LIMIT_MB", c.MemoryLimitMB, minMemoryMB, maxMemoryMB)
	if need := c.APIBodyLimitKB * bodiesInMemory >> 10; c.MemoryLimitMB < need {
		p.add("MEMORY_LIMIT_MB", fmt.Sprintf("is %d, which is too little for requests of API_BODY_LIMIT_KB (%d): give at least %d",
			c.MemoryLimitMB, c.APIBodyLimitKB, need))
	}
	p.between("MAX_BATCH_SIZE", c.MaxBatchSize, 1, maxBatchSize)
	if need := (c.MaxBatchSize*leastEventBytes + kilobyte - 1) / kilobyte; c.MaxBatchSize <= maxBatchSize && c.APIBodyLimitKB < need {
		p.add("API_BODY_LIMIT_KB", fmt.Sprintf("is %d, so that a body of MAX_BATCH_SIZE (%d) events is always too long: give at least %d, or lower MAX_BATCH_SIZE",
			c.APIBodyLimitKB, c.MaxBatchSize, need))
	}
	p.between("MAX_QUEUE_SIZE", c.MaxQueueSize, 1, maxQueueSize)
	if c.MaxQueueSize < c.MaxBatchSize {
		p.add("MAX_QUEUE_SIZE", fmt.Sprintf("is %d, so that a batch of MAX_BATCH_SIZE (%d) events never fits: give at least that",
			c.MaxQueueSize, c.MaxBatchSize))
	}
	c.checkBounds(p)
	p.between("WORKER_BATCH_SIZE", c.WorkerBatchSize, 1, maxBatchSize)
	p.between("WORKER_POLL_INTERVAL_MS", c.WorkerPollIntervalMS, 1, maxMinutesMS)
	p.between("MERGE_INTERVAL_SECONDS", c.MergeIntervalSeconds, 1, maxInterval)
	oneOf(p, "UNKNOWN_TOOL", c.UnknownTool, UnknownToolReject, UnknownToolCount)
	p.between("EVENT_MAX_AGE_DAYS", c.EventMaxAgeDays, 1, maxDays)
	if c.EventMaxAgeDays > c.DailyRetentionDays {
		p.add("EVENT_MAX_AGE_DAYS", fmt.Sprintf("is %d, so that events would be taken whose day is deleted already: "+
			"give at most DAILY_RETENTION_DAYS (%d)", c.EventMaxAgeDays, c.DailyRetentionDays))
	}
	p.between("EVENT_MAX_AHEAD_HOURS", c.EventMaxAheadHours, 1, 24)
	p.between("CLOCK_TOLERANCE_SECONDS", c.ClockToleranceSeconds, minTolerance, maxTolerance)
	p.between("EVENTS_RETENTION_DAYS", c.EventsRetentionDays, 1, maxDays)
	p.between("HOURLY_RETENTION_DAYS", c.HourlyRetentionDays, 1, maxDays)
	p.between("DAILY_RETENTION_DAYS", c.DailyRetentionDays, 1, maxDays)
	p.between("ERRORS_RETENTION_DAYS", c.ErrorsRetentionDays, 1, maxDays)
	c.checkRetention(p)
	p.between("PRIVACY_MIN_COUNT", c.PrivacyMinCount, 0, 1_000_000)
	p.between("CACHE_TTL_SECONDS", c.CacheTTLSeconds, 0, maxTTL)
	p.between("CACHE_STALE_SECONDS", c.CacheStaleSeconds, 0, maxStale)
	c.checkOrigins(p)
	p.between("MAX_VERSIONS_PER_DAY", c.MaxVersionsPerDay, 1, maxValues)
	p.between("MAX_ERROR_TYPES_PER_DAY", c.MaxErrorTypesPerDay, 1, maxValues)
	p.between("WORKER_HEALTH_PORT", c.WorkerHealthPort, 0, maxPort)
	c.checkLimits(p)
	c.checkConnections(p)
	c.checkServers(p)
}

// checkRetention refuses to keep what no answer shows: windows longer than a
// week are read in days, and error types are told as shares of the calls.
func (c *Config) checkRetention(p *problems) {
	for _, kept := range []struct {
		variable string
		days     int
	}{
		{"HOURLY_RETENTION_DAYS", c.HourlyRetentionDays},
		{"ERRORS_RETENTION_DAYS", c.ErrorsRetentionDays},
	} {
		if kept.days > c.DailyRetentionDays {
			p.add(kept.variable, fmt.Sprintf("is %d, longer than the days themselves are kept, so that no answer would show it: "+
				"give at most DAILY_RETENTION_DAYS (%d)", kept.days, c.DailyRetentionDays))
		}
	}
}

// queueKey keeps the names of keys readable in every tool.
var queueKey = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z:._-]{0,99}$`)

func (c *Config) checkConnections(p *problems) {
	p.between("DB_PORT", c.DBPort, 1, maxPort)
	p.between("DB_MAX_CONNECTIONS", c.DBMaxConnections, minConnections, maxConnections)
	p.between("REDIS_PORT", c.RedisPort, 1, maxPort)
	p.between("REDIS_DB", c.RedisDB, 0, maxRedisDB)
	if c.DBSSLMode != "" {
		oneOf(p, "DB_SSLMODE", c.DBSSLMode, "disable", "allow", "prefer", "require", "verify-ca", "verify-full")
	}
	if !queueKey.MatchString(c.QueueKey) {
		p.add("QUEUE_KEY", fmt.Sprintf("is %q: give at most 100 letters, digits and :._-, beginning with a letter or digit", c.QueueKey))
	}
}

func (c *Config) checkBindAddress(p *problems) {
	if c.BindAddress == "" || c.BindAddress == "localhost" {
		return
	}
	if _, err := netip.ParseAddr(c.BindAddress); err != nil {
		p.add("BIND_ADDRESS", fmt.Sprintf("is %q: give an IP address of this machine or localhost, or nothing to listen on all", c.BindAddress))
	}
}

func (c *Config) checkOrigins(p *problems) {
	if _, err := httpapi.ParseOrigins(c.CORSOrigin); err != nil {
		p.add("CORS_ORIGIN", fmt.Sprintf("is %q: %v", c.CORSOrigin, err))
	}
}

// loadCatalogue reads the file, or takes the default when there is none.
func (c *Config) loadCatalogue(p *problems) {
	if c.CatalogueFile == "" {
		c.Catalogue = domain.DefaultCatalogue()
		return
	}
	data, err := os.ReadFile(c.CatalogueFile)
	if err == nil {
		c.Catalogue, err = domain.ParseCatalogue(data)
	}
	if err != nil {
		p.add("CATALOGUE_FILE", fmt.Sprintf("names a file that cannot be used: %v", err))
	}
}
