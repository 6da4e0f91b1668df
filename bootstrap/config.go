package bootstrap

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// Config is what an operator can set: one field per environment variable. The
// file .env.example tells what each is for.
type Config struct {
	Port        int    `env:"PORT" envDefault:"3000"`
	BindAddress string `env:"BIND_ADDRESS"`

	LogLevel  slog.Level `env:"LOG_LEVEL" envDefault:"info"`
	LogFormat LogFormat  `env:"LOG_FORMAT" envDefault:"json"`

	DataDir       string `env:"DATA_DIR" envDefault:"./data"`
	DiskReserveMB int    `env:"DISK_RESERVE_MB" envDefault:"256"`
	SlowQueryMS   int    `env:"SLOW_QUERY_MS" envDefault:"200"`

	DatabaseURL      Secret `env:"DATABASE_URL" shown:"url"`
	DBHost           string `env:"DB_HOST"`
	DBPort           int    `env:"DB_PORT" envDefault:"5432"`
	DBName           string `env:"DB_NAME"`
	DBUser           string `env:"DB_USER"`
	DBPassword       Secret `env:"DB_PASSWORD"`
	DBSSLMode        string `env:"DB_SSLMODE"`
	DBMaxConnections int    `env:"DB_MAX_CONNECTIONS" envDefault:"10"`
	MigrateOnStart   bool   `env:"MIGRATE_ON_START" envDefault:"true"`

	RedisURL      Secret `env:"REDIS_URL" shown:"url"`
	RedisHost     string `env:"REDIS_HOST"`
	RedisPort     int    `env:"REDIS_PORT" envDefault:"6379"`
	RedisPassword Secret `env:"REDIS_PASSWORD"`
	RedisDB       int    `env:"REDIS_DB" envDefault:"0"`
	QueueKey      string `env:"QUEUE_KEY" envDefault:"analytics:queue"`

	WorkerHealthPort int `env:"WORKER_HEALTH_PORT" envDefault:"0"`

	APIBodyLimitKB int `env:"API_BODY_LIMIT_KB" envDefault:"100"`
	MaxConnections int `env:"MAX_CONNECTIONS" envDefault:"4096"`
	MemoryLimitMB  int `env:"MEMORY_LIMIT_MB" envDefault:"512"`
	MaxBatchSize   int `env:"MAX_BATCH_SIZE" envDefault:"100"`

	MaxQueueSize         int `env:"MAX_QUEUE_SIZE" envDefault:"100000"`
	MaxQueueMB           int `env:"MAX_QUEUE_MB" envDefault:"64"`
	MaxDeadLetters       int `env:"MAX_DEAD_LETTERS" envDefault:"1000"`
	MaxDeadLetterMB      int `env:"MAX_DEAD_LETTER_MB" envDefault:"16"`
	MaxReceipts          int `env:"MAX_RECEIPTS" envDefault:"20000"`
	MaxReceiptMB         int `env:"MAX_RECEIPT_MB" envDefault:"8"`
	WorkerBatchSize      int `env:"WORKER_BATCH_SIZE" envDefault:"5000"`
	WorkerPollIntervalMS int `env:"WORKER_POLL_INTERVAL_MS" envDefault:"1000"`

	MergeIntervalSeconds int `env:"MERGE_INTERVAL_SECONDS" envDefault:"900"`

	CatalogueFile      string      `env:"CATALOGUE_FILE"`
	UnknownTool        UnknownTool `env:"UNKNOWN_TOOL" envDefault:"reject"`
	EventMaxAgeDays    int         `env:"EVENT_MAX_AGE_DAYS" envDefault:"7"`
	EventMaxAheadHours int         `env:"EVENT_MAX_AHEAD_HOURS" envDefault:"2"`

	ClockToleranceSeconds int `env:"CLOCK_TOLERANCE_SECONDS" envDefault:"300"`

	EventsRetentionDays int `env:"EVENTS_RETENTION_DAYS" envDefault:"90"`
	HourlyRetentionDays int `env:"HOURLY_RETENTION_DAYS" envDefault:"30"`
	DailyRetentionDays  int `env:"DAILY_RETENTION_DAYS" envDefault:"730"`
	ErrorsRetentionDays int `env:"ERRORS_RETENTION_DAYS" envDefault:"90"`

	PrivacyMinCount int `env:"PRIVACY_MIN_COUNT" envDefault:"5"`

	CacheTTLSeconds   int    `env:"CACHE_TTL_SECONDS" envDefault:"300"`
	CacheStaleSeconds int    `env:"CACHE_STALE_SECONDS" envDefault:"3600"`
	CacheMaxMB        int    `env:"CACHE_MAX_MB" envDefault:"16"`
	CacheBucketsMB    int    `env:"CACHE_BUCKETS_MB" envDefault:"64"`
	CORSOrigin        string `env:"CORS_ORIGIN" envDefault:"https://weather-mcp.dev,https://analytics.weather-mcp.dev,http://localhost:3000"`

	MaxVersionsPerDay   int `env:"MAX_VERSIONS_PER_DAY" envDefault:"200"`
	MaxErrorTypesPerDay int `env:"MAX_ERROR_TYPES_PER_DAY" envDefault:"500"`

	RateLimitPerMinute       int    `env:"RATE_LIMIT_PER_MINUTE" envDefault:"60"`
	RateLimitBurst           int    `env:"RATE_LIMIT_BURST" envDefault:"10"`
	RateLimitEventsPerMinute int    `env:"RATE_LIMIT_EVENTS_PER_MINUTE" envDefault:"1000"`
	RateLimitMaxClients      int    `env:"RATE_LIMIT_MAX_CLIENTS" envDefault:"20000"`
	TrustedProxies           string `env:"TRUSTED_PROXIES"`

	// Role is what the process was started to do.
	Role Role `env:"-"`

	// Catalogue is what CatalogueFile holds, or the default.
	Catalogue *domain.Catalogue `env:"-"`
}

// LogFormat is how log lines look.
type LogFormat string

// The log formats.
const (
	LogJSON LogFormat = "json"
	LogText LogFormat = "text"
)

// UnknownTool says what becomes of an event whose tool is not in the catalogue.
type UnknownTool string

// The ways with unknown tools.
const (
	UnknownToolReject UnknownTool = "reject"
	UnknownToolCount  UnknownTool = "count"
)

// Secret is a text that prints as ***. With the tag shown:"url" it is a URL,
// of which "analytics config" hides the password only.
type Secret string

// hidden is what is printed in place of a secret.
const hidden = "***"

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// Format hides the secret from every verb of fmt.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue hides the secret from logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret from JSON and its like.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

const day = 24 * time.Hour

func (c Config) retention() domain.Retention {
	return domain.Retention{
		Events: time.Duration(c.EventsRetentionDays) * day,
		Hourly: time.Duration(c.HourlyRetentionDays) * day,
		Daily:  time.Duration(c.DailyRetentionDays) * day,
		Errors: time.Duration(c.ErrorsRetentionDays) * day,
	}
}

func (c Config) cardinality() domain.Cardinality {
	return domain.Cardinality{Versions: c.MaxVersionsPerDay, ErrorTypes: c.MaxErrorTypesPerDay}
}

// Validator returns the rules that the configuration chooses.
func (c Config) Validator() domain.ValidatorConfig {
	return domain.ValidatorConfig{
		Catalogue:         c.Catalogue,
		CountUnknownTools: c.UnknownTool == UnknownToolCount,
		MaxBatchSize:      c.MaxBatchSize,
		MaxAge:            time.Duration(c.EventMaxAgeDays) * day,
		MaxAhead:          time.Duration(c.EventMaxAheadHours) * time.Hour,
	}
}

// BodyLimit is the longest request body, in bytes.
func (c Config) BodyLimit() int64 { return int64(c.APIBodyLimitKB) << 10 }

func (c Config) process() app.ProcessConfig {
	return app.ProcessConfig{
		BatchSize:    c.WorkerBatchSize,
		PollInterval: time.Duration(c.WorkerPollIntervalMS) * time.Millisecond,
	}
}

func (c Config) merge(o Options) app.MergeConfig {
	return app.MergeConfig{
		Retention:  c.retention(),
		Interval:   time.Duration(c.MergeIntervalSeconds) * time.Second,
		StallAfter: o.StallAfter,
	}
}

func (c Config) statistics() app.StatisticsConfig {
	return app.StatisticsConfig{
		Catalogue:         c.Catalogue,
		CountUnknownTools: c.UnknownTool == UnknownToolCount,
		PrivacyMinCount:   c.PrivacyMinCount,
		Retention:         c.retention(),
	}
}

func (c Config) answers(o Options) app.AnswersConfig {
	return app.AnswersConfig{
		Fresh: time.Duration(c.CacheTTLSeconds) * time.Second,
		Stale: time.Duration(c.CacheStaleSeconds) * time.Second,

		LocalBytes: c.localAnswers(),
		Revision: fmt.Sprintf("%q %s %s %d %v",
			o.Version, c.Catalogue.Revision(), c.UnknownTool, c.PrivacyMinCount, c.retention()),
	}
}

// walkTime is for how long the pages of a list can be walked.
const walkTime = 10 * time.Minute

// pages lets every first page that is answered be walked from.
func (c Config) pages(o Options) app.PagesConfig {
	a := c.answers(o)
	return app.PagesConfig{Lifetime: a.Fresh + a.Stale + walkTime}
}
