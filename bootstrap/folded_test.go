package bootstrap_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
	"github.com/weather-mcp/weather-mcp-analytics/test/web"
)

// failedCalls is a batch of failed calls of this hour, each of a version and
// an error type of its own.
func failedCalls(n int) string {
	hour := time.Now().UTC().Truncate(time.Hour).Format(time.RFC3339)
	events := make([]string, n)
	for i := range events {
		events[i] = fmt.Sprintf(`{"version":"1.%d","tool":"get_forecast","status":"error","error_type":"e%d","timestamp_hour":%q,"analytics_level":"minimal"}`,
			i, i, hour)
	}
	return `{"events":[` + strings.Join(events, ",") + `]}`
}

// The status tells how many calls found no place among the versions and error
// types of a day; all of them are counted.
func TestStatusTellsFoldedCalls(t *testing.T) {
	for name, environ := range map[string]func(t *testing.T) []string{
		"embedded": func(t *testing.T) []string { t.Helper(); return []string{"DATA_DIR=" + t.TempDir()} },
		"production": func(t *testing.T) []string {
			t.Helper()
			return []string{
				"DATABASE_URL=" + servers.Postgres(t, "fsync=off").NewDatabase(t),
				"REDIS_URL=" + servers.Redis(t).URL(),
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			service := start(t, nil, append(environ(t), "MAX_VERSIONS_PER_DAY=3", "MAX_ERROR_TYPES_PER_DAY=4")...)
			check := func(want string) {
				t.Helper()
				if _, answer := web.Ask(t, http.MethodGet, service.url+"/v1/status", ""); !strings.Contains(answer, want) {
					t.Errorf("%s is not in %s", want, answer)
				}
			}
			check(`"folded":{"versions":0,"error_types":0}`)
			for i := range 2 {
				if status, answer := web.Ask(t, http.MethodPost, service.url+"/v1/events", failedCalls(10)); status != http.StatusOK {
					t.Fatalf("status %d: %s", status, answer)
				}
				service.awaitCalls(t, 10*(i+1))
			}
			check(`"folded":{"versions":14,"error_types":12}`)
			check(`"events_processed":20`)
		})
	}
}
