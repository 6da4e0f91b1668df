package bootstrap_test

import (
	"database/sql"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
	"github.com/weather-mcp/weather-mcp-analytics/test/web"
)

// A packed value that was read once is not read again, as one that is damaged
// afterwards shows, unless nothing may be kept.
func TestReadersKeepPackedAggregates(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) (environ []string, driver, source string){
		"embedded": func(t *testing.T) ([]string, string, string) {
			t.Helper()
			dir := t.TempDir()
			source := url.URL{Scheme: "file", Path: filepath.Join(dir, "analytics.db"), RawQuery: "_pragma=busy_timeout(10000)"}
			return []string{"DATA_DIR=" + dir}, "sqlite", source.String()
		},
		"production": func(t *testing.T) ([]string, string, string) {
			t.Helper()
			database := servers.Postgres(t, "fsync=off").NewDatabase(t)
			return []string{"DATABASE_URL=" + database, "REDIS_URL=" + servers.Redis(t).URL()}, "postgres", database
		},
	} {
		for bound, want := range map[string]int{"CACHE_BUCKETS_MB=1": http.StatusOK, "CACHE_BUCKETS_MB=0": http.StatusServiceUnavailable} {
			t.Run(name+", "+bound, func(t *testing.T) {
				environ, driver, source := open(t)
				service := start(t, nil, append(environ, bound, "MERGE_INTERVAL_SECONDS=1")...)
				db, err := sql.Open(driver, source)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = db.Close() }()
				service.post(t)
				service.awaitCalls(t, 2)
				awaitMerged(t, db)
				service.awaitCalls(t, 2) // from packed values
				if _, err := db.ExecContext(t.Context(), `UPDATE packed_aggregates SET counts = substr(counts, 1, 3)`); err != nil {
					t.Fatal(err)
				}
				status, answer := web.Ask(t, http.MethodGet, service.url+"/v1/stats/all?period=24h", "")
				if status != want || want == http.StatusOK && !strings.Contains(answer, `"total_calls":2,`) {
					t.Errorf("status is %d, want %d: %s", status, want, answer)
				}
			})
		}
	}
}

// awaitMerged waits until the journal is empty.
func awaitMerged(t *testing.T, db *sql.DB) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var rows, buckets int
		err := db.QueryRowContext(t.Context(),
			`SELECT (SELECT count(*) FROM aggregation_journal), (SELECT count(*) FROM aggregate_buckets)`).Scan(&rows, &buckets)
		if err != nil {
			t.Fatal(err)
		}
		if rows == 0 && buckets > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the journal has %d rows", rows)
		}
	}
}
