package httpapi_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/httpapi"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

func TestCatalogue(t *testing.T) {
	s := newService(setup{})
	answer := s.do(t, http.MethodGet, "/v1/catalogue", "")
	checkStatus(t, answer, http.StatusOK)
	checkGolden(t, "catalogue", answer.Body.Bytes())
	checkHeader(t, answer.Header(), "ETag", `"`+domain.DefaultCatalogue().Revision()+`"`)
	checkHeader(t, answer.Header(), "Cache-Control", "public, max-age=300")
}

func TestCatalogueIsNotSentTwice(t *testing.T) {
	s := newService(setup{})
	etag := s.do(t, http.MethodGet, "/v1/catalogue", "").Header().Get("ETag")
	tests := map[string]struct {
		header []string
		status int
	}{
		"the tag":      {[]string{"If-None-Match", etag}, http.StatusNotModified},
		"weak":         {[]string{"If-None-Match", "W/" + etag}, http.StatusNotModified},
		"in a list":    {[]string{"If-None-Match", `"other" , ` + etag}, http.StatusNotModified},
		"two headers":  {[]string{"If-None-Match", `"other"`, "If-None-Match", etag}, http.StatusNotModified},
		"any":          {[]string{"If-None-Match", "*"}, http.StatusNotModified},
		"another":      {[]string{"If-None-Match", `"other"`}, http.StatusOK},
		"without mark": {[]string{"If-None-Match", etag[1 : len(etag)-1]}, http.StatusOK},
		"empty":        {[]string{"If-None-Match", ""}, http.StatusOK},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			answer := s.do(t, http.MethodGet, "/v1/catalogue", "", test.header...)
			checkStatus(t, answer, test.status)
			checkHeader(t, answer.Header(), "ETag", etag)
			if empty := answer.Body.Len() == 0; empty != (test.status == http.StatusNotModified) {
				t.Errorf("body is %q", answer.Body)
			}
		})
	}
}

type healthAnswer struct {
	Status        string `json:"status"`
	UptimeSeconds *int   `json:"uptime_seconds"`
	Checks        []struct {
		Name, Status, Error string
		DurationMS          *float64 `json:"duration_ms"`
	}
}

func TestHealth(t *testing.T) {
	driver := errors.New("disk I/O error (10)")
	tests := map[string]struct {
		err     error
		status  int
		overall string
		told    string
	}{
		"healthy":      {nil, 200, "healthy", ""},
		"store away":   {domain.NewError(domain.CodeUnavailable, driver, "the disk is full"), 503, "unhealthy", "the disk is full"},
		"unclassified": {driver, 503, "unhealthy", "something went wrong on our side"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newService(setup{checks: []ports.HealthCheck{check{"queue", nil}, check{"store", test.err}}})
			answer := s.do(t, http.MethodGet, "/v1/health", "")
			checkStatus(t, answer, test.status)
			var health healthAnswer
			decode(t, answer.Body.Bytes(), &health)
			if health.Status != test.overall || health.UptimeSeconds == nil || len(health.Checks) != 2 {
				t.Fatalf("answer is %s", answer.Body)
			}
			if c := health.Checks[0]; c.Name != "queue" || c.Status != "healthy" || c.Error != "" {
				t.Errorf("check of the queue is %+v", c)
			}
			if c := health.Checks[1]; c.Name != "store" || c.Status != test.overall || c.Error != test.told || c.DurationMS == nil {
				t.Errorf("check of the store is %+v", c)
			}
			line := s.log.line(t)
			if healthy := test.err == nil; healthy != (line["level"] == "DEBUG") || healthy != (line["error"] == nil) {
				t.Errorf("logged as %v", line)
			}
			// Anybody may ask without limit.
			s.do(t, http.MethodGet, "/v1/health", "")
			if lines := s.log.linesAt(t, slog.LevelWarn); test.err != nil && len(lines) != 1 {
				t.Errorf("told %d times", len(lines))
			}
		})
	}
}

// Liveness says nothing about what is around the process.
func TestLive(t *testing.T) {
	s := newService(setup{checks: []ports.HealthCheck{check{"store", errors.New("away")}}})
	answer := s.do(t, http.MethodGet, "/v1/live", "")
	checkStatus(t, answer, http.StatusOK)
	checkGolden(t, "live", answer.Body.Bytes())
}

func TestStatus(t *testing.T) {
	s := newService(setup{config: httpapi.Config{Version: "v1.2.3", Store: "memory"}})
	type status struct {
		Version, Store string
		GoVersion      string `json:"go_version"`
		UptimeSeconds  *int   `json:"uptime_seconds"`
		Queue          struct {
			Batches, Events int
			Oldest          *string `json:"oldest_received"`
		}
		DeadLetters     *int    `json:"dead_letters"`
		EventsProcessed int     `json:"events_processed"`
		LastReceived    *string `json:"last_event_received"`
		Memory          struct {
			Heap  int `json:"heap_bytes"`
			Total int `json:"total_bytes"`
		}
	}
	ask := func() (answer status) {
		recorder := s.do(t, http.MethodGet, "/v1/status", "")
		checkStatus(t, recorder, http.StatusOK)
		decode(t, recorder.Body.Bytes(), &answer)
		if answer.Queue.Oldest == nil || answer.LastReceived == nil || answer.DeadLetters == nil || answer.UptimeSeconds == nil {
			t.Fatalf("something is missing: %s", recorder.Body)
		}
		return answer
	}

	empty := ask()
	if empty.Version != "v1.2.3" || empty.Store != "memory" || empty.GoVersion == "" {
		t.Errorf("program is %+v", empty)
	}
	if empty.Memory.Heap == 0 || empty.Memory.Total <= empty.Memory.Heap {
		t.Errorf("memory is %+v", empty.Memory)
	}
	if *empty.Queue.Oldest != "" || *empty.LastReceived != "" {
		t.Errorf("times of an empty service are %q and %q", *empty.Queue.Oldest, *empty.LastReceived)
	}

	s.do(t, http.MethodPost, "/v1/events", batch(goodEvent, goodEvent))
	waiting := ask()
	if waiting.Queue.Batches != 1 || waiting.Queue.Events != 2 || *waiting.Queue.Oldest != "2026-11-23T10:30:00Z" {
		t.Errorf("queue is %+v with %q", waiting.Queue, *waiting.Queue.Oldest)
	}

	s.work(t)
	done := ask()
	if done.Queue.Events != 0 || done.EventsProcessed != 2 || *done.LastReceived != "2026-11-23T10:30:00Z" {
		t.Errorf("after the worker: %+v with %q", done, *done.LastReceived)
	}
}

// What finds no place among the versions and error types of a day is told.
func TestStatusTellsWhatCountsAsOther(t *testing.T) {
	const versions, errorTypes = domain.DefaultMaxVersionsPerDay, domain.DefaultMaxErrorTypesPerDay
	s := newService(setup{})
	events := make([]domain.Event, errorTypes+3)
	for i := range events {
		events[i] = domain.Event{
			Version: fmt.Sprintf("1.%d", i%(versions+1)), Tool: "get_alerts", Status: domain.StatusError,
			ErrorType: fmt.Sprintf("e%d", i), Hour: now.Truncate(time.Hour), Level: domain.LevelMinimal,
		}
	}
	if _, err := s.store.Store(t.Context(), []domain.Batch{{ID: "1", ReceivedAt: now, Events: events}}); err != nil {
		t.Fatal(err)
	}
	// 1.200 is the last of those with two calls.
	answer := s.do(t, http.MethodGet, "/v1/status", "").Body.String()
	if !strings.Contains(answer, `"folded":{"versions":2,"error_types":3}`) {
		t.Errorf("status is %s", answer)
	}
}

func TestHeadAnswersAsGetWithoutBody(t *testing.T) {
	server := serve(t, newService(setup{}))
	paths := []string{
		"/v1/catalogue", "/v1/health", "/v1/live", "/v1/status", "/v1/stats/overview", "/v1/stats/all", "/v1/stats/tools",
		"/v1/stats/tool/get_forecast", "/v1/stats/errors", "/v1/stats/performance", "/v1/stats/health",
	}
	for _, path := range paths {
		t.Run(path, func(t *testing.T) {
			get := send(t, server, http.MethodGet, path, nil)
			head := send(t, server, http.MethodHead, path, nil)
			checkStatus(t, get, http.StatusOK)
			checkStatus(t, head, http.StatusOK)
			if head.Body.Len() != 0 {
				t.Errorf("body of HEAD is %q", head.Body)
			}
			checkHeader(t, head.Header(), "Content-Type", get.Header().Get("Content-Type"))
			checkHeader(t, head.Header(), "ETag", get.Header().Get("ETag"))
		})
	}
}
