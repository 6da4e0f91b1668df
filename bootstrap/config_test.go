package bootstrap_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/joho/godotenv"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// load reads a configuration from the environment alone.
func load(t *testing.T, environ ...string) bootstrap.Config {
	t.Helper()
	config, _, err := bootstrap.Load(environ, "no-such-file", bootstrap.RoleServe)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func problems(t *testing.T, environ []string, dotenv string) []bootstrap.Problem {
	t.Helper()
	_, _, err := bootstrap.Load(environ, dotenv, bootstrap.RoleServe)
	e, ok := errors.AsType[*bootstrap.ConfigError](err)
	if !ok {
		t.Fatalf("error is %v", err)
	}
	return e.Problems
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	config := load(t)
	if config.Port != 3000 || config.LogLevel != slog.LevelInfo || config.LogFormat != bootstrap.LogJSON ||
		config.DataDir != "./data" || config.BodyLimit() != 100<<10 || config.MaxQueueSize != 100_000 {
		t.Errorf("configuration is %+v", config)
	}
	if got := bootstrap.RetentionOf(config); got != domain.DefaultRetention() {
		t.Errorf("retention is %+v", got)
	}
	validator := config.Validator()
	if validator.MaxBatchSize != 100 || validator.MaxAge != 7*24*time.Hour || validator.MaxAhead != 2*time.Hour ||
		validator.CountUnknownTools || validator.Catalogue.Revision() != domain.DefaultCatalogue().Revision() {
		t.Errorf("rules are %+v", validator)
	}
	if got := bootstrap.ProcessOf(config); got.BatchSize != 5000 || got.PollInterval != time.Second {
		t.Errorf("worker is %+v", got)
	}
	if got := bootstrap.ProcessOf(load(t, "DATABASE_URL=postgres://u@h/d", "REDIS_URL=redis://h")); got.BatchSize != 5000 {
		t.Errorf("worker on servers is %+v", got)
	}
	if got := bootstrap.MergeOf(config, bootstrap.Options{}); got.Interval != app.MergeInterval || got.Retention != bootstrap.RetentionOf(config) {
		t.Errorf("merge is %+v", got)
	}
	if got := bootstrap.StatisticsOf(config); got.PrivacyMinCount != 5 || got.CountUnknownTools {
		t.Errorf("statistics are %+v", got)
	}
	if got := bootstrap.AnswersOf(config, bootstrap.Options{}); got.Fresh != 5*time.Minute || got.Stale != time.Hour {
		t.Errorf("answers are %+v", got)
	}
	if got := bootstrap.PagesOf(config, bootstrap.Options{}).Lifetime; got != 75*time.Minute {
		t.Errorf("pages are kept for %v", got)
	}
}

func TestSettingsTakeEffect(t *testing.T) {
	catalogue := write(t, "catalogue.json", `{"tools":["get_tides"],"services":["noaa"]}`)
	config := load(t, "PORT=0", "BIND_ADDRESS=::1", "LOG_LEVEL=Warn", "LOG_FORMAT=text", "UNKNOWN_TOOL=count",
		"CATALOGUE_FILE="+catalogue, "MAX_BATCH_SIZE=50", "EVENT_MAX_AGE_DAYS=2", "EVENT_MAX_AHEAD_HOURS=3", "API_BODY_LIMIT_KB=7",
		"EVENTS_RETENTION_DAYS=1", "HOURLY_RETENTION_DAYS=2", "DAILY_RETENTION_DAYS=5", "ERRORS_RETENTION_DAYS=4",
		"WORKER_BATCH_SIZE=9", "WORKER_POLL_INTERVAL_MS=8", "MERGE_INTERVAL_SECONDS=7", "PRIVACY_MIN_COUNT=0")
	const day = 24 * time.Hour
	if got, want := bootstrap.RetentionOf(config), (domain.Retention{Events: day, Hourly: 2 * day, Daily: 5 * day, Errors: 4 * day}); got != want {
		t.Errorf("retention is %+v", got)
	}
	validator := config.Validator()
	if validator.MaxBatchSize != 50 || validator.MaxAge != 2*day || validator.MaxAhead != 3*time.Hour ||
		!validator.CountUnknownTools || !validator.Catalogue.HasTool("get_tides") {
		t.Errorf("rules are %+v", validator)
	}
	if got := bootstrap.ProcessOf(config); got.BatchSize != 9 || got.PollInterval != 8*time.Millisecond {
		t.Errorf("worker is %+v", got)
	}
	if got := bootstrap.MergeOf(config, bootstrap.Options{}); got.Interval != 7*time.Second || got.Retention != bootstrap.RetentionOf(config) {
		t.Errorf("merge is %+v", got)
	}
	if got := bootstrap.StatisticsOf(config); got.PrivacyMinCount != 0 || !got.CountUnknownTools {
		t.Errorf("statistics are %+v", got)
	}
	if config.BodyLimit() != 7<<10 || config.LogLevel != slog.LevelWarn || config.LogFormat != bootstrap.LogText {
		t.Errorf("configuration is %+v", config)
	}
}

// What changes answers changes the revision under which they are kept.
func TestAnswersOfOtherSettingsAreNotGiven(t *testing.T) {
	catalogue := write(t, "catalogue.json", `{"tools":["get_tides"],"services":["noaa"]}`)
	seen := map[string]string{}
	for _, environ := range []string{
		"PORT=1", "PRIVACY_MIN_COUNT=6", "UNKNOWN_TOOL=count", "HOURLY_RETENTION_DAYS=31", "CATALOGUE_FILE=" + catalogue, "version",
	} {
		config, options := load(t, environ), bootstrap.Options{Version: "1"}
		if environ == "version" {
			options.Version = "2"
		}
		revision := bootstrap.AnswersOf(config, options).Revision
		if other, ok := seen[revision]; ok {
			t.Errorf("%s and %s share the revision %s", environ, other, revision)
		}
		seen[revision] = environ
	}
	one, two := load(t, "PORT=1"), load(t, "PORT=2", "CACHE_TTL_SECONDS=1")
	a, b := bootstrap.AnswersOf(one, bootstrap.Options{}), bootstrap.AnswersOf(two, bootstrap.Options{})
	if a.Revision != b.Revision || b.Fresh != time.Second {
		t.Errorf("answers are %+v and %+v", a, b)
	}
}

// Shortening the retention alone does not make the age contradict it unnoticed.
func TestDefaultAgeAboveTheRetentionIsAProblem(t *testing.T) {
	found := problems(t, []string{"DAILY_RETENTION_DAYS=6", "HOURLY_RETENTION_DAYS=6", "ERRORS_RETENTION_DAYS=6"}, "no-such-file")
	if len(found) != 1 || found[0].Variable != "EVENT_MAX_AGE_DAYS" || !strings.Contains(found[0].Message, "is 7, so that") {
		t.Errorf("problems are %q", found)
	}
}

func TestProblems(t *testing.T) {
	tests := map[string]struct{ variable, says string }{
		"PORT=x":                       {"PORT", `is "x": give a whole number`},
		"PORT=99999999999999999999":    {"PORT", "give a whole number"},
		"PORT=65536":                   {"PORT", "is 65536: give a whole number from 0 to 65535"},
		"PORT=-1":                      {"PORT", "from 0 to 65535"},
		"BIND_ADDRESS=example.org":     {"BIND_ADDRESS", "IP address"},
		"LOG_LEVEL=loud":               {"LOG_LEVEL", "debug, info, warn or error"},
		"LOG_FORMAT=xml":               {"LOG_FORMAT", `is "xml": give json or text`},
		"SLOW_QUERY_MS=0":              {"SLOW_QUERY_MS", "from 1 to"},
		"API_BODY_LIMIT_KB=0":          {"API_BODY_LIMIT_KB", "from 1 to"},
		"MAX_CONNECTIONS=0":            {"MAX_CONNECTIONS", "from 1 to"},
		"DISK_RESERVE_MB=-1":           {"DISK_RESERVE_MB", "is -1: give a whole number from 0 to 1048576"},
		"DISK_RESERVE_MB=1048577":      {"DISK_RESERVE_MB", "from 0 to"},
		"MEMORY_LIMIT_MB=127":          {"MEMORY_LIMIT_MB", "from 128 to"},
		"MAX_BATCH_SIZE=0":             {"MAX_BATCH_SIZE", "from 1 to"},
		"MAX_QUEUE_SIZE=0":             {"MAX_QUEUE_SIZE", "from 1 to"},
		"MAX_QUEUE_SIZE=99":            {"MAX_QUEUE_SIZE", "MAX_BATCH_SIZE (100)"},
		"MAX_QUEUE_MB=0":               {"MAX_QUEUE_MB", "is 0: give a whole number from 1 to"},
		"MAX_QUEUE_MB=1":               {"MAX_QUEUE_MB", "is 1, so that the batch of a body of API_BODY_LIMIT_KB (100) may be one that never fits into the queue: give at least 2"},
		"MAX_DEAD_LETTERS=0":           {"MAX_DEAD_LETTERS", "from 1 to"},
		"MAX_DEAD_LETTER_MB=1":         {"MAX_DEAD_LETTER_MB", "never is kept as a dead letter: give at least 2"},
		"MAX_RECEIPTS=0":               {"MAX_RECEIPTS", "from 1 to"},
		"MAX_RECEIPT_MB=0":             {"MAX_RECEIPT_MB", "from 1 to"},
		"CACHE_MAX_MB=0":               {"CACHE_MAX_MB", "from 1 to"},
		"CACHE_MAX_MB=129":             {"CACHE_MAX_MB", "with 64 MB of CACHE_BUCKETS_MB, take more than half of MEMORY_LIMIT_MB (512): give at most 85"},
		"CACHE_BUCKETS_MB=-1":          {"CACHE_BUCKETS_MB", "from 0 to"},
		"CACHE_BUCKETS_MB=91":          {"CACHE_BUCKETS_MB", "more than MEMORY_LIMIT_MB (512) leaves for it: give at most 90"},
		"RATE_LIMIT_MAX_CLIENTS=0":     {"RATE_LIMIT_MAX_CLIENTS", "from 1 to"},
		"WORKER_BATCH_SIZE=0":          {"WORKER_BATCH_SIZE", "from 1 to"},
		"WORKER_POLL_INTERVAL_MS=1.5":  {"WORKER_POLL_INTERVAL_MS", "whole number"},
		"WORKER_POLL_INTERVAL_MS=0":    {"WORKER_POLL_INTERVAL_MS", "from 1 to"},
		"MERGE_INTERVAL_SECONDS=0":     {"MERGE_INTERVAL_SECONDS", "is 0: give a whole number from 1 to 86400"},
		"MERGE_INTERVAL_SECONDS=86401": {"MERGE_INTERVAL_SECONDS", "from 1 to"},
		"CATALOGUE_FILE=/no/such/file": {"CATALOGUE_FILE", "no such file"},
		"UNKNOWN_TOOL=accept":          {"UNKNOWN_TOOL", "give reject or count"},
		"EVENT_MAX_AGE_DAYS=0":         {"EVENT_MAX_AGE_DAYS", "from 1 to"},
		"EVENT_MAX_AGE_DAYS=731":       {"EVENT_MAX_AGE_DAYS", "is 731, so that events would be taken whose day is deleted already: give at most DAILY_RETENTION_DAYS (730)"},
		"EVENT_MAX_AHEAD_HOURS=25":     {"EVENT_MAX_AHEAD_HOURS", "from 1 to 24"},
		"CLOCK_TOLERANCE_SECONDS=0":    {"CLOCK_TOLERANCE_SECONDS", "is 0: give a whole number from 60 to 3600"},
		"CLOCK_TOLERANCE_SECONDS=3601": {"CLOCK_TOLERANCE_SECONDS", "from 60 to 3600"},
		"HOURLY_RETENTION_DAYS=731":    {"HOURLY_RETENTION_DAYS", "is 731, longer than the days themselves are kept, so that no answer would show it: give at most DAILY_RETENTION_DAYS (730)"},
		"ERRORS_RETENTION_DAYS=731":    {"ERRORS_RETENTION_DAYS", "give at most DAILY_RETENTION_DAYS (730)"},
		"API_BODY_LIMIT_KB=9":          {"API_BODY_LIMIT_KB", "is 9, so that a body of MAX_BATCH_SIZE (100) events is always too long: give at least 10"},
		"EVENTS_RETENTION_DAYS=0":      {"EVENTS_RETENTION_DAYS", "from 1 to"},
		"HOURLY_RETENTION_DAYS=-30":    {"HOURLY_RETENTION_DAYS", "from 1 to"},
		"DAILY_RETENTION_DAYS=9999999": {"DAILY_RETENTION_DAYS", "from 1 to"},
		"ERRORS_RETENTION_DAYS=0":      {"ERRORS_RETENTION_DAYS", "from 1 to"},
		"PRIVACY_MIN_COUNT=-1":         {"PRIVACY_MIN_COUNT", "from 0 to"},
		"CACHE_TTL_SECONDS=-1":         {"CACHE_TTL_SECONDS", "from 0 to 86400"},
		"CACHE_TTL_SECONDS=5m":         {"CACHE_TTL_SECONDS", "whole number"},
		"CACHE_STALE_SECONDS=2592001":  {"CACHE_STALE_SECONDS", "from 0 to 2592000"},
		"CORS_ORIGIN=weather-mcp.dev":  {"CORS_ORIGIN", `is "weather-mcp.dev": give origins as scheme://host`},
		"CORS_ORIGIN=https://a.org,*":  {"CORS_ORIGIN", "give it alone"},
		"MAX_VERSIONS_PER_DAY=0":       {"MAX_VERSIONS_PER_DAY", "from 1 to"},
		"MAX_ERROR_TYPES_PER_DAY=0":    {"MAX_ERROR_TYPES_PER_DAY", "from 1 to"},
		"RATE_LIMIT_PER_MINUTE=-1":     {"RATE_LIMIT_PER_MINUTE", "from 0 to"},
		"RATE_LIMIT_PER_MINUTE=9":      {"RATE_LIMIT_BURST", "is 10, more than RATE_LIMIT_PER_MINUTE (9)"},
		"RATE_LIMIT_BURST=61":          {"RATE_LIMIT_BURST", "is 61, more than RATE_LIMIT_PER_MINUTE (60)"},
		"RATE_LIMIT_BURST=0":           {"RATE_LIMIT_BURST", "from 1 to"},

		"RATE_LIMIT_EVENTS_PER_MINUTE=0":   {"RATE_LIMIT_EVENTS_PER_MINUTE", "from 1 to"},
		"RATE_LIMIT_EVENTS_PER_MINUTE=99":  {"RATE_LIMIT_EVENTS_PER_MINUTE", "a batch of MAX_BATCH_SIZE (100) events is never let in"},
		"TRUSTED_PROXIES=10.0.0.0/8,nginx": {"TRUSTED_PROXIES", `has "nginx" in it: give networks`},

		"WORKER_HEALTH_PORT=65536": {"WORKER_HEALTH_PORT", "from 0 to 65535"},
		"DB_MAX_CONNECTIONS=1":     {"DB_MAX_CONNECTIONS", "from 2 to"},
		"MIGRATE_ON_START=maybe":   {"MIGRATE_ON_START", `is "maybe": give true or false`},
		"QUEUE_KEY=my queue":       {"QUEUE_KEY", "letters, digits and :._-"},
	}
	var all, variables []string
	for _, environ := range slices.Sorted(maps.Keys(tests)) {
		test := tests[environ]
		t.Run(environ, func(t *testing.T) {
			found := problems(t, []string{environ}, "no-such-file")
			if len(found) != 1 || found[0].Variable != test.variable || !strings.Contains(found[0].Message, test.says) {
				t.Errorf("problems are %q", found)
			}
		})
		if !slices.Contains(variables, test.variable) {
			all, variables = append(all, environ), append(variables, test.variable)
		}
	}

	t.Run("all at once", func(t *testing.T) {
		dotenv := write(t, ".env", "FINE=1\nnot a setting\n")
		var told []string
		for _, p := range problems(t, all, dotenv) {
			told = append(told, p.Variable)
		}
		want := slices.Sorted(slices.Values(append(slices.Clone(variables), dotenv)))
		if slices.Sort(told); !slices.Equal(told, want) {
			t.Errorf("problems of %v, want %v", told, want)
		}
	})
}

func TestMemoryLimitBelowWhatBodiesNeed(t *testing.T) {
	found := problems(t, []string{"API_BODY_LIMIT_KB=10240", "MEMORY_LIMIT_MB=300", "MAX_DEAD_LETTER_MB=22"}, "no-such-file")
	if len(found) != 1 || found[0].Variable != "MEMORY_LIMIT_MB" || !strings.Contains(found[0].Message, "give at least 320") {
		t.Errorf("problems are %q", found)
	}
}

func TestDefaultOfBucketsGivesWayToTheMemoryLimit(t *testing.T) {
	for environ, want := range map[string]int{
		"MEMORY_LIMIT_MB=128": 18, "MEMORY_LIMIT_MB=400": 64, "CACHE_BUCKETS_MB=0": 0, "CACHE_BUCKETS_MB=7": 7,
	} {
		config := loadRole(t, bootstrap.RoleServe, environ)
		if got := bootstrap.BucketsMBOf(&config, int64(config.MemoryLimitMB)<<20); got != want {
			t.Errorf("%s: %d MB, want %d", environ, got, want)
		}
	}
	config := loadRole(t, bootstrap.RoleServe)
	if got := bootstrap.BucketsMBOf(&config, 115<<20); got != 15 {
		t.Errorf("in a small container it is %d MB, want 15", got)
	}
}

func TestCatalogueFileThatIsNone(t *testing.T) {
	path := write(t, "catalogue.json", `{"tools":["Not A Tool"]}`)
	found := problems(t, []string{"CATALOGUE_FILE=" + path}, "no-such-file")
	if len(found) != 1 || found[0].Variable != "CATALOGUE_FILE" ||
		!strings.Contains(found[0].Message, "tools[0]") || !strings.Contains(found[0].Message, "services is empty") {
		t.Errorf("problems are %q", found)
	}
}

func TestSources(t *testing.T) {
	dotenv := write(t, ".env", "PORT=4000\nMAX_BATCH_SIZE=7\nMAX_QUEUE_SIZE=70\nexport DATA_DIR='/var/$lib' # here\n")
	config, settings, err := bootstrap.Load([]string{"PORT=5000", "MAX_QUEUE_SIZE=", "LOG_FORMAT=text"}, dotenv, bootstrap.RoleServe)
	if err != nil {
		t.Fatal(err)
	}
	if config.Port != 5000 || config.MaxBatchSize != 7 || config.MaxQueueSize != 100_000 || config.DataDir != "/var/$lib" {
		t.Errorf("configuration is %+v", config)
	}
	want := map[string]bootstrap.Setting{
		"PORT":           {Name: "PORT", Value: "5000", Source: bootstrap.SourceEnvironment},
		"LOG_FORMAT":     {Name: "LOG_FORMAT", Value: "text", Source: bootstrap.SourceEnvironment},
		"MAX_BATCH_SIZE": {Name: "MAX_BATCH_SIZE", Value: "7", Source: bootstrap.SourceFile},
		"DATA_DIR":       {Name: "DATA_DIR", Value: "/var/$lib", Source: bootstrap.SourceFile},
		"MAX_QUEUE_SIZE": {Name: "MAX_QUEUE_SIZE", Value: "100000", Source: bootstrap.SourceDefault},
		"LOG_LEVEL":      {Name: "LOG_LEVEL", Value: "info", Source: bootstrap.SourceDefault},
		"CATALOGUE_FILE": {Name: "CATALOGUE_FILE", Value: "", Source: bootstrap.SourceDefault},
	}
	for _, got := range settings {
		if w, ok := want[got.Name]; ok && got != w {
			t.Errorf("setting is %+v, want %+v", got, w)
		}
		delete(want, got.Name)
	}
	if len(want) > 0 {
		t.Errorf("settings lack %v", want)
	}
}

func TestMalformedDotenv(t *testing.T) {
	tests := map[string]struct {
		text string
		line int
	}{
		"first line":         {"secret words\nPORT=1\n", 1},
		"middle":             {"# comment\nPORT=1\n\nsecret words\nLOG_LEVEL=info\n", 4},
		"last, without end":  {"PORT=1\nsecret", 2},
		"blank in the name":  {"PORT=1\nMY SECRET=1\n", 2},
		"unterminated quote": {"PORT=1\nDATA_DIR=\"secret\nLOG_LEVEL=info\n", 2},
		"after a long value": {"DATA_DIR='a\nb'\nsecret words\n", 3},
		"no name":            {"=secret\n", 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := write(t, ".env", test.text)
			found := problems(t, nil, path)
			want := fmt.Sprintf("line %d is not of the form NAME=value", test.line)
			if len(found) != 1 || found[0].Variable != path || found[0].Message != want {
				t.Errorf("problems are %q, want %q", found, want)
			}
		})
	}
}

func TestDotenvWithByteOrderMark(t *testing.T) {
	path := write(t, ".env", "\ufeffDATA_DIR='a'\r\nPORT=4000\r\n")
	config, _, err := bootstrap.Load(nil, path, bootstrap.RoleServe)
	if err != nil || config.Port != 4000 || config.DataDir != "a" {
		t.Errorf("port %d, directory %q, %v", config.Port, config.DataDir, err)
	}
	path = write(t, ".env", "\ufeffDB_PASSWORD=a$b\n")
	if doubts := bootstrap.Doubts(nil, path); len(doubts) != 1 {
		t.Errorf("doubts are %q", doubts)
	}
}

func TestRepeatedNamesInDotenvAreRefused(t *testing.T) {
	tests := map[string][]string{
		"PORT=4000\nLOG_LEVEL=info\nPORT=4001\n":              {"PORT"},
		"PORT=4000\nPORT=4000\nexport PORT = 4000":            {"PORT"},
		"PORT=4000\nLOG_LEVEL=info\nLOG_LEVEL=\nPORT: 4000\n": {"LOG_LEVEL", "PORT"},
		"TZ=UTC\nPORT=4000\nTZ=Europe/Berlin\n":               {"TZ"},
		"DATA_DIR='a\nb'\r\nDATA_DIR=c\n":                     {"DATA_DIR"},
	}
	for text, want := range tests {
		path := write(t, ".env", text)
		var got []string
		for _, p := range problems(t, nil, path) {
			if p.Message != "is in "+path+" more than once: keep one of the lines" {
				t.Errorf("%q: %s %s", text, p.Variable, p.Message)
			}
			got = append(got, p.Variable)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v are refused, want %v", text, got, want)
		}
	}
	path := write(t, ".env", "DATA_DIR='a\nPORT=1\n'\nPORT=4000\n# PORT=1, it's\n")
	if _, _, err := bootstrap.Load(nil, path, bootstrap.RoleServe); err != nil {
		t.Errorf("a name within a value is refused: %v", err)
	}
}

func TestDotenvIsSharedWithCompose(t *testing.T) {
	const shared = "TZ=Europe/Berlin\nCOMPOSE_PROJECT_NAME=a\nCOMPOSE_FILE=b\nDOCKER_HOST=c\n"
	path := write(t, ".env", shared)
	if _, _, err := bootstrap.Load(nil, path, bootstrap.RoleServe); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"POSTGRES_PASSWORD", "COMPOSE", "COMPOSE_", "TZ_NAME", "DOCKERHOST"} {
		found := problems(t, nil, write(t, ".env", shared+name+"=a\n"))
		if len(found) != 1 || found[0].Variable != name {
			t.Errorf("problems of %s are %q", name, found)
		}
	}
}

func TestUnreadableDotenv(t *testing.T) {
	path := t.TempDir() // a directory
	if found := problems(t, nil, path); len(found) != 1 || found[0].Variable != path {
		t.Errorf("problems are %q", found)
	}
}

func TestConfigErrorListsEverything(t *testing.T) {
	err := &bootstrap.ConfigError{Problems: []bootstrap.Problem{{Variable: "A", Message: "is bad"}, {Variable: "B", Message: "is worse"}}}
	if got, want := err.Error(), "A: is bad\nB: is worse"; got != want {
		t.Errorf("error is %q, want %q", got, want)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	const text = "hunter2"
	secret := bootstrap.Secret(text)
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "plain", secret, "deep", struct{ S bootstrap.Secret }{secret})
	encoded, err := json.Marshal(map[string]any{"s": secret})
	if err != nil {
		t.Fatal(err)
	}
	printed := log.String() + string(encoded) + secret.String() +
		fmt.Sprintf("%s %v %+v %#v %q %x %d %v", secret, secret, secret, secret, secret, secret, secret, struct{ S bootstrap.Secret }{secret})
	for _, form := range []string{text, fmt.Sprintf("%x", text)} {
		if strings.Contains(printed, form) {
			t.Errorf("the secret shows in %s", printed)
		}
	}
	if bootstrap.Secret("").String() != "" || secret.String() != "***" {
		t.Error("a secret is not told from none")
	}
	_, settings, _ := bootstrap.Load([]string{"DB_PASSWORD=" + text}, "no-such-file", bootstrap.RoleServe)
	if !slices.Contains(settings, bootstrap.Setting{Name: "DB_PASSWORD", Value: "***", Source: bootstrap.SourceEnvironment}) {
		t.Errorf("settings are %v", settings)
	}
}

// The example tells every variable with its default, and nothing else.
func TestExampleHoldsTheDefaults(t *testing.T) {
	example, err := godotenv.Read("../.env.example")
	if err != nil {
		t.Fatal(err)
	}
	config, settings, err := bootstrap.Load(nil, "../.env.example", bootstrap.RoleServe)
	if err != nil {
		t.Fatal(err)
	}
	defaults, defaultSettings, err := bootstrap.Load(nil, "no-such-file", bootstrap.RoleServe)
	if err != nil {
		t.Fatal(err)
	}
	config.Catalogue, defaults.Catalogue = nil, nil
	if config != defaults {
		t.Errorf("the example means %+v, not the defaults %+v", config, defaults)
	}
	for i, s := range defaultSettings {
		if value, ok := example[s.Name]; !ok || value != s.Value || settings[i].Value != value {
			t.Errorf("%s is %q in the example, %q by default (there: %t)", s.Name, value, s.Value, ok)
		}
		delete(example, s.Name)
	}
	if len(example) > 0 {
		t.Errorf("the example has variables that are not read: %v", example)
	}
}

func TestLogFormats(t *testing.T) {
	tests := map[string]struct {
		environ []string
		want    string
	}{
		"json": {nil, `"level":"WARN","msg":"hot","degrees":40}`},
		"text": {[]string{"LOG_FORMAT=text", "LOG_LEVEL=warn"}, `level=WARN msg=hot degrees=40`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			log := bootstrap.NewLogger(&out, load(t, test.environ...))
			log.Debug("cold")
			log.Warn("hot", "degrees", 40)
			if !strings.HasSuffix(out.String(), test.want+"\n") || strings.Contains(out.String(), "cold") {
				t.Errorf("log is %q", out.String())
			}
		})
	}
}
