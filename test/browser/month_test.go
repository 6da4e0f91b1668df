package browser_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/test/web"
)

// call is an event as a client sends it.
type call struct {
	// within is the UTC hour that it counts in.
	within time.Time

	Version      string `json:"version"`
	Tool         string `json:"tool"`
	Status       string `json:"status"`
	Hour         string `json:"timestamp_hour"`
	Level        string `json:"analytics_level"`
	ErrorType    string `json:"error_type,omitempty"`
	ResponseTime *int   `json:"response_time_ms,omitempty"`
	Service      string `json:"service,omitempty"`
	CacheHit     *bool  `json:"cache_hit,omitempty"`
	Country      string `json:"country,omitempty"`
	Session      string `json:"session_id,omitempty"`
	Retries      *int   `json:"retry_count,omitempty"`
}

// usage draws calls.
type usage struct{ *rand.Rand }

// aMonth draws the calls of the 33 days before now, some of every hour.
func (u usage) aMonth(now time.Time) []call {
	var calls []call
	for hour := now.Truncate(time.Hour).Add(-33 * 24 * time.Hour); !hour.After(now); hour = hour.Add(time.Hour) {
		for range 1 + u.IntN(3) {
			calls = append(calls, u.call(hour))
		}
	}
	return calls
}

// call draws one call of the hour of at, told at one of the levels. Some clients
// round in the local time of India and name its middle.
func (u usage) call(at time.Time) call {
	hour := at.Truncate(time.Hour)
	c := call{
		within:  hour.UTC(),
		Version: pick(u, "1.21.0", "1.22.3", "1.23.0", "1.23.0", "2.0.0-beta.1"),
		Tool:    pick(u, "get_forecast", "get_forecast", "get_forecast", "get_alerts", "get_alerts", "search_location", "get_air_quality"),
		Status:  "success",
		Hour:    pick(u, hour.UTC().Format(time.RFC3339), hour.Add(30*time.Minute).In(time.FixedZone("", 19800)).Format(time.RFC3339)),
		Level:   pick(u, "minimal", "standard", "standard", "detailed"),
	}
	if u.IntN(9) == 0 {
		c.Status, c.ErrorType = "error", pick(u, "timeout", "timeout", "http_503", "not_found")
	}
	if c.Level == "minimal" {
		return c
	}
	c.Service = pick(u, "noaa", "noaa", "openmeteo", "usgs", "")
	c.Country = pick(u, "US", "US", "US", "CH", "IN", "NP", "")
	if took := int(40 * (1 + u.ExpFloat64()*8)); u.IntN(20) > 0 {
		c.ResponseTime = &took
	}
	if hit := u.IntN(3) > 0; u.IntN(5) > 0 {
		c.CacheHit = &hit
	}
	if retries := u.IntN(3); u.IntN(2) > 0 {
		c.Retries = &retries
	}
	if c.Level == "detailed" {
		c.Session = fmt.Sprintf("%016x", u.IntN(300))
	}
	return c
}

func pick[T any](u usage, from ...T) T { return from[u.IntN(len(from))] }

// post has the service accept all of the calls, 100 in a batch.
func post(t *testing.T, root string, calls []call) {
	t.Helper()
	for ; len(calls) > 0; calls = calls[min(100, len(calls)):] {
		batch := calls[:min(100, len(calls))]
		body, err := json.Marshal(map[string]any{"events": batch})
		if err != nil {
			t.Fatal(err)
		}
		postOnce(t, root, string(body), len(batch))
	}
}

// postOnce repeats a batch under its key while the server is busy: a worker may
// need long for events of so many hours.
func postOnce(t *testing.T, root, body string, count int) {
	t.Helper()
	key := strconv.FormatUint(rand.Uint64(), 36)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, root+"/v1/events", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Idempotency-Key", key)
		status, answer := web.Send(t, request)
		if strings.Contains(answer, fmt.Sprintf(`"count":%d,`, count)) {
			return
		}
		if status != http.StatusServiceUnavailable || time.Now().After(deadline) {
			t.Fatalf("the events are answered %s", answer)
		}
	}
}
