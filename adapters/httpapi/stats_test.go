package httpapi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/httpapi"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// statsService is the statistics over adapters in memory.
type statsService struct {
	handler http.Handler
	store   *memory.Store
	queue   *memory.Queue
	clock   *memory.Clock
}

func newStatsService(t *testing.T, minimum int, events ...domain.Event) statsService {
	t.Helper()
	s := statsService{store: memory.NewStore(), clock: memory.NewClock(contract.Now)}
	s.queue = memory.NewQueue(memory.QueueConfig{MaxEvents: 100, Clock: s.clock})
	s.serve(minimum)
	s.add(t, 1, events...)
	return s
}

func (s *statsService) serve(minimum int, checks ...ports.HealthCheck) {
	s.serveWith(app.StatisticsConfig{PrivacyMinCount: minimum}, app.AnswersConfig{}, checks...)
}

func (s *statsService) serveWith(config app.StatisticsConfig, answers app.AnswersConfig, checks ...ports.HealthCheck) {
	log := slog.New(slog.DiscardHandler)
	useCases := reading(app.NewStatistics(s.store, s.clock, config), s.clock, log, answers)
	useCases.Status = app.NewStatus(checks, s.queue, s.store, s.clock, nil, nil)
	s.handler = newServer(useCases, domain.DefaultCatalogue(), log, httpapi.Config{})
}

func (s *statsService) add(t *testing.T, number int, events ...domain.Event) {
	t.Helper()
	if len(events) == 0 {
		return
	}
	if _, err := s.store.Store(t.Context(), []domain.Batch{contract.NewBatch(number, events...)}); err != nil {
		t.Fatal(err)
	}
}

func (s *statsService) get(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	answer := httptest.NewRecorder()
	s.handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
	return answer
}

// getOK returns the body of an answer that must be good.
func (s *statsService) getOK(t *testing.T, path string) any {
	t.Helper()
	answer := s.get(t, path)
	if answer.Code != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, answer.Code, answer.Body)
	}
	body, err := jsonschema.UnmarshalJSON(answer.Body)
	if err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	return body
}

// getObject is getOK of an answer that is an object.
func (s *statsService) getObject(t *testing.T, path string) map[string]any {
	t.Helper()
	object, ok := s.getOK(t, path).(map[string]any)
	if !ok {
		t.Fatalf("GET %s: no object", path)
	}
	return object
}

// sampleCalls are few enough calls of the hours 09:00 and 10:00 to add up by
// hand. Response times are below 67 ms, where quantiles are exact.
func sampleCalls() []domain.Event {
	ten := domain.Hourly.Floor(contract.Now)
	nine := ten.Add(-time.Hour)
	ms, hit, retries := domain.Some[int32], domain.Some[bool], domain.Some[int32]
	return []domain.Event{
		{
			Tool: "get_forecast", Version: "1.0", Status: "success", Hour: nine, Level: "detailed", ResponseTimeMS: ms(10),
			Service: "noaa", CacheHit: hit(true), RetryCount: retries(0), Country: "US", SessionID: "00000000000000a1",
		},
		{
			Tool: "get_forecast", Version: "1.0", Status: "success", Hour: nine, Level: "detailed", ResponseTimeMS: ms(20),
			Service: "noaa", CacheHit: hit(false), RetryCount: retries(2), Country: "US", SessionID: "00000000000000a1",
		},
		{
			Tool: "get_forecast", Version: "1.0", Status: "error", ErrorType: "timeout", Hour: ten, Level: "standard", ResponseTimeMS: ms(60),
			Service: "openmeteo", RetryCount: retries(1), Country: "US",
		},
		{
			Tool: "get_alerts", Version: "1.1", Status: "success", Hour: ten, Level: "standard", ResponseTimeMS: ms(5),
			Service: "noaa", Country: "DE",
		},
		{Tool: "get_alerts", Version: "1.1", Status: "error", ErrorType: "timeout", Hour: ten, Level: "minimal"},
		{
			Tool: "search_location", Version: "1.0", Status: "error", ErrorType: "not_found", Hour: ten, Level: "standard",
			ResponseTimeMS: ms(4), Service: "openmeteo", CacheHit: hit(true),
		},
	}
}

// The golden files were added up by hand from sampleCalls.
func TestStatsAnswers(t *testing.T) {
	s := newStatsService(t, 0, sampleCalls()...)
	for golden, path := range map[string]string{
		"overview":    "/v1/stats/overview?period=1h",
		"all":         "/v1/stats/all?period=1h",
		"tools":       "/v1/stats/tools?period=1h",
		"tool":        "/v1/stats/tool/get_forecast?period=1h",
		"errors":      "/v1/stats/errors?period=1h",
		"performance": "/v1/stats/performance?period=1h",
	} {
		t.Run(golden, func(t *testing.T) {
			answer := s.get(t, path)
			if answer.Code != http.StatusOK {
				t.Fatalf("%d %s", answer.Code, answer.Body)
			}
			var got bytes.Buffer
			if err := json.Indent(&got, answer.Body.Bytes(), "", "  "); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", "stats_"+golden+".json")
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != strings.TrimSuffix(string(want), "\n") {
				t.Errorf("%s says otherwise; got\n%s", file, got.String())
			}
			for header, want := range map[string]string{
				"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-cache",
			} {
				if got := answer.Header().Get(header); got != want {
					t.Errorf("%s: %s, want %s", header, got, want)
				}
			}
		})
	}
}

// statsSchemas says what the website's schema tells about each answer: a
// pointer into the answer (empty for all of it), and the schema of what stands
// there, or of each of its items.
var statsSchemas = []struct{ path, member, schema string }{
	{"/v1/stats/all", "", ""},
	{"/v1/stats/overview", "", "#/$defs/statsOverview"},
	{"/v1/stats/tool/get_forecast", "", "#/$defs/statsTool"},
	{"/v1/stats/tool/get_forecast", "countries", "#/$defs/country"},
	{"/v1/stats/tool/get_forecast", "errors", "#/$defs/errorSummary"},
	{"/v1/stats/tool/get_forecast", "services", "#/$defs/serviceShare"},
	{"/v1/stats/tools", "tools", "#/$defs/toolSummary"},
	{"/v1/stats/errors", "errors", "#/$defs/errorSummary"},
	{"/v1/stats/errors", "error_rate", "#/$defs/fraction"},
	{"/v1/stats/performance", "", "#/$defs/performance"},
	{"/v1/stats/performance", "overall", "#/$defs/latencyByTool"},
	{"/v1/stats/performance", "cache", "#/$defs/cache"},
	{"/v1/stats/performance", "services", "#/$defs/serviceShare"},
}

func compileSchema(t *testing.T, pointer string) *jsonschema.Schema {
	t.Helper()
	file, err := os.Open("../../test/fixtures/website-all.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	document, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	const id = "urn:weather-analytics:website-contract"
	if err := compiler.AddResource(id, document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(id + pointer)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestStatsKeepTheWebsitesContract(t *testing.T) {
	const hours = 400 * 24
	stores := map[string][]domain.Event{
		"empty": nil,
		"small": sampleCalls(),
		"full":  slices.Concat(contract.EventsOver(3, 3000, hours), contract.Events(3, 1000)),
	}
	for name, events := range stores {
		t.Run(name, func(t *testing.T) {
			s := newStatsService(t, 5, events...)
			for _, tt := range statsSchemas {
				schema := compileSchema(t, tt.schema)
				for _, period := range []string{"1h", "24h", "7d", "30d", "365d"} {
					body := s.getOK(t, tt.path+"?period="+period)
					checkAgainst(t, schema, member(t, body, tt.member), tt.path+" "+tt.member+" "+period)
					checkCommon(t, body, period)
				}
			}
		})
	}
}

func member(t *testing.T, body any, name string) any {
	t.Helper()
	if name == "" {
		return body
	}
	object, ok := body.(map[string]any)
	if !ok || object[name] == nil {
		t.Fatalf("there is no %s", name)
	}
	return object[name]
}

// checkAgainst holds a value, or each item of a list, against the schema.
func checkAgainst(t *testing.T, schema *jsonschema.Schema, value any, what string) {
	t.Helper()
	list, isList := value.([]any)
	if !isList {
		list = []any{value}
	}
	for _, item := range list {
		if err := schema.Validate(item); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// checkCommon sees what holds for every answer.
func checkCommon(t *testing.T, body any, period string) {
	t.Helper()
	if path, found := findNull(body, ""); found {
		t.Errorf("null at %s", path)
	}
	object, ok := body.(map[string]any)
	if !ok {
		t.Fatalf("%T is no object", body)
	}
	if object["period"] != period {
		t.Errorf("period %v, want %s", object["period"], period)
	}
	instants := compileSchema(t, "#/$defs/instant")
	for _, name := range []string{"start_date", "end_date"} {
		if err := instants.Validate(object[name]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	overview, ok := object["overview"].(map[string]any)
	if ok && (overview["start_date"] != object["start_date"] || overview["end_date"] != object["end_date"]) {
		t.Errorf("the overview is about another window: %v to %v", overview["start_date"], overview["end_date"])
	}
}

func findNull(value any, path string) (string, bool) {
	switch value := value.(type) {
	case nil:
		return path, true
	case map[string]any:
		for name, item := range value {
			if at, found := findNull(item, path+"/"+name); found {
				return at, true
			}
		}
	case []any:
		for _, item := range value {
			if at, found := findNull(item, path+"/"); found {
				return at, true
			}
		}
	}
	return "", false
}

func TestStatsOfALongWindowSayFromWhenTheyCount(t *testing.T) {
	s := newStatsService(t, 0)
	const errorsKeptFrom = "2026-08-25T00:00:00Z" // 90 days
	for path, member := range map[string]string{
		"/v1/stats/overview?period=365d":        "errors_covered_from",
		"/v1/stats/all?period=365d":             "errors_covered_from",
		"/v1/stats/tool/get_alerts?period=365d": "errors_covered_from",
		"/v1/stats/errors?period=365d":          "covered_from",
	} {
		body, ok := s.getOK(t, path).(map[string]any)
		if !ok || body[member] != errorsKeptFrom || body["start_date"] != "2025-11-23T00:00:00Z" {
			t.Errorf("GET %s: %s is %v from %v, want %s", path, member, body[member], body["start_date"], errorsKeptFrom)
		}
	}
	for _, path := range []string{"/v1/stats/tools?period=365d", "/v1/stats/performance?period=365d", "/v1/stats/errors?period=30d"} {
		if body := s.get(t, path).Body.String(); strings.Contains(body, "covered_from") {
			t.Errorf("GET %s is not covered whole: %s", path, body)
		}
	}
	s.clock.Set(contract.Now)
	retention := domain.DefaultRetention()
	retention.Hourly = 24 * time.Hour
	s.serveWith(app.StatisticsConfig{Retention: retention}, app.AnswersConfig{})
	body, ok := s.getOK(t, "/v1/stats/all?period=7d").(map[string]any)
	if !ok || body["covered_from"] != "2026-11-22T10:00:00Z" || body["errors_covered_from"] != nil {
		t.Errorf("hours kept for a day: %v", body)
	}
	checkInvalid(t, s.get(t, "/v1/stats/all?period=7d&resolution=hour"), "resolution=hour is kept from 2026-11-22T10:00:00Z on")
	body, ok = s.getOK(t, "/v1/stats/all?period=7d&resolution=day").(map[string]any)
	if !ok || body["start_date"] != "2026-11-16T00:00:00Z" || body["covered_from"] != nil {
		t.Errorf("the same in days: %v", body)
	}
	retention = domain.DefaultRetention()
	retention.Daily = 72 * time.Hour
	s.serveWith(app.StatisticsConfig{Retention: retention}, app.AnswersConfig{})
	body, ok = s.getOK(t, "/v1/stats/all?period=7d&resolution=day").(map[string]any)
	if !ok || body["start_date"] != "2026-11-16T00:00:00Z" || body["covered_from"] != "2026-11-20T00:00:00Z" {
		t.Errorf("days kept for three: %v", body)
	}
}

func TestStatsDefaultPeriods(t *testing.T) {
	s := newStatsService(t, 0)
	for path, want := range map[string]string{
		"overview": "24h", "all": "24h",
		"tools": "30d", "tool/get_alerts": "30d", "errors": "30d", "performance": "30d",
	} {
		recorder := httptest.NewRecorder()
		s.handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/v1/stats/"+path, nil))
		var answer struct{ Period string }
		if err := json.Unmarshal(recorder.Body.Bytes(), &answer); err != nil || answer.Period != want {
			t.Errorf("%s counts %q, want %q: %v", path, answer.Period, want, err)
		}
	}
}

func TestStatsFilters(t *testing.T) {
	s := newStatsService(t, 0, sampleCalls()...)
	for query, want := range map[string]string{
		"":                            "6",
		"?tool=get_forecast":          "3",
		"?version=1.1":                "2",
		"?country=us":                 "3",
		"?service=openmeteo":          "2",
		"?service=noaa&country=US":    "2",
		"?tool=get_alerts&country=US": "0",
		"?version=1.0&country=US&service=noaa&tool=get_forecast&period=1h": "2",
	} {
		body, ok := s.getOK(t, "/v1/stats/errors"+query).(map[string]any)
		if got, isNumber := body["total_calls"].(json.Number); !ok || !isNumber || got.String() != want {
			t.Errorf("%q counts %v, want %s", query, body["total_calls"], want)
		}
	}
}

// A tool may come to life with the next event, so its absence is not kept.
func TestStatsToolAppearsWithItsFirstCall(t *testing.T) {
	s := newStatsService(t, 0)
	absent := s.get(t, "/v1/stats/tool/get_fax")
	if absent.Code != http.StatusNotFound || absent.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d, Cache-Control: %s", absent.Code, absent.Header().Get("Cache-Control"))
	}
	s.add(t, 1, domain.Event{Tool: "get_fax", Version: "1.0", Status: "success", Level: "minimal", Hour: domain.Hourly.Floor(contract.Now)})
	if present := s.get(t, "/v1/stats/tool/get_fax"); present.Code != http.StatusOK {
		t.Errorf("%d %s", present.Code, present.Body)
	}
}

func TestStatsHealth(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, s *statsService)
		want    string
	}{
		{
			"nothing yet", func(*testing.T, *statsService) {},
			`{"status":"healthy","uptime_seconds":0,"events_processed_24h":0,"last_event_received":"","events_dated_24h":0}`,
		},
		{
			"events have come", func(t *testing.T, s *statsService) {
				t.Helper()
				s.add(t, 1, sampleCalls()...)
				s.clock.Advance(90 * time.Second)
			},
			`{"status":"healthy","uptime_seconds":90,"events_processed_24h":6,"last_event_received":"2026-11-23T10:42:07Z","events_dated_24h":6}`,
		},
		{
			"the queue stands still", func(t *testing.T, s *statsService) {
				t.Helper()
				if err := s.queue.Enqueue(t.Context(), contract.NewBatch(2, sampleCalls()...)); err != nil {
					t.Fatal(err)
				}
				s.clock.Advance(2 * time.Minute)
			},
			`{"status":"degraded","uptime_seconds":120,"events_processed_24h":0,"last_event_received":"","events_dated_24h":0}`,
		},
	}
	schema := compileSchema(t, "#/$defs/statsHealth")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStatsService(t, 0)
			tt.prepare(t, &s)
			checkAgainst(t, schema, s.getOK(t, "/v1/stats/health"), "health")
			if got := s.get(t, "/v1/stats/health").Body.String(); got != tt.want {
				t.Errorf("health = %s\nwant %s", got, tt.want)
			}
		})
	}
}

// What is not known is left out: 0 would be a lie.
func TestStatsHealthOfABrokenPipeline(t *testing.T) {
	away := domain.NewError(domain.CodeUnavailable, nil, "away")
	for name, c := range map[string]struct {
		setup setup
		want  string
	}{
		"a check fails": {
			setup{checks: []ports.HealthCheck{check{"store", away}}},
			`{"status":"down","uptime_seconds":0,"events_processed_24h":0,"last_event_received":"","events_dated_24h":0}`,
		},
		"the queue is away": {
			setup{meter: brokenMeter{away}},
			`{"status":"down","uptime_seconds":0,"events_processed_24h":0,"last_event_received":"","events_dated_24h":0}`,
		},
		"the store is away": {setup{reader: brokenReader{away}}, `{"status":"down","uptime_seconds":0}`},
	} {
		t.Run(name, func(t *testing.T) {
			answer := newService(c.setup).do(t, http.MethodGet, "/v1/stats/health", "")
			checkStatus(t, answer, http.StatusServiceUnavailable)
			checkHeader(t, answer.Header(), "Cache-Control", "no-store")
			if got := answer.Body.String(); got != c.want {
				t.Errorf("health = %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestStatusTellsWhatIsKnown takes each part away.
func TestStatusTellsWhatIsKnown(t *testing.T) {
	away := domain.NewError(domain.CodeUnavailable, errors.New("dial tcp 10.9.8.7:5432"), "away")
	for name, c := range map[string]struct {
		setup         setup
		has, lacks    []string
		queue, status string
	}{
		"the queue": {
			setup{meter: brokenMeter{away}, checks: []ports.HealthCheck{check{"queue", away}, check{"store", nil}}},
			[]string{`"events_processed":0`, `"last_event_received":""`, `"folded":`, `"queue":{"status":"unhealthy"}`, `"name":"queue","status":"unhealthy"`, `"error":"away"`},
			[]string{`"dead_letters"`, `"max_events"`},
			"unhealthy", "unhealthy",
		},
		"the store": {
			setup{reader: brokenReader{away}, merger: journal{err: away}, maxQueue: 7},
			[]string{`"journal":{"status":"unhealthy"}`, `"dead_letters":0`, `"batches":0`, `"max_events":7`, `"oldest_received":""`, `"waiting_seconds":0`},
			[]string{`"events_processed"`, `"folded"`, `"last_event_received"`},
			"healthy", "unhealthy",
		},
		"the journal alone": {
			setup{merger: journal{err: away}}, []string{`"journal":{"status":"unhealthy"}`}, []string{`"max_entries"`}, "healthy", "unhealthy",
		},
		"nothing": {
			setup{}, []string{`"events_processed":0`, `"dead_letters":0`, `"timestamp":"2026-11-23T10:30:00Z"`}, nil, "healthy", "healthy",
		},
	} {
		t.Run(name, func(t *testing.T) {
			answer := newService(c.setup).do(t, http.MethodGet, "/v1/status", "")
			checkStatus(t, answer, http.StatusOK)
			text := answer.Body.String()
			for _, want := range append(c.has, `"queue":{"status":"`+c.queue+`"`, `{"status":"`+c.status+`"`) {
				if !strings.Contains(text, want) {
					t.Errorf("%s lacks %s", text, want)
				}
			}
			for _, unwanted := range append(c.lacks, "10.9.8.7") {
				if strings.Contains(text, unwanted) {
					t.Errorf("%s has %s", text, unwanted)
				}
			}
		})
	}
}

func TestStatusMeasuresTheJournal(t *testing.T) {
	today := domain.Daily.Floor(now)
	s := newService(setup{merger: journal{days: []ports.JournalDay{
		{Day: today.AddDate(0, 0, -1), Rows: 2, Entries: 30, Age: 95 * time.Second}, {Day: today, Rows: 5, Entries: 400, Age: time.Second},
	}}})
	answer := s.do(t, http.MethodGet, "/v1/status", "").Body.String()
	const want = `"journal":{"status":"healthy","rows":7,"max_rows":4000,"entries":430,"max_entries":160000,"days":2,"oldest_seconds":95}`
	if !strings.Contains(answer, want) {
		t.Errorf("status is %s\nwant %s in it", answer, want)
	}
}

// The largest answers: the longest window, many groups of every kind.
func TestAnswersOfStatisticsAreBounded(t *testing.T) {
	s := newService(setup{})
	countries := []string{"DE", "FR", "US", "GB", "IT", "ES", "PL", "NL", "SE", "NO", "IN", "CN", "BR", "JP", "ZA", "AU"}
	tools := domain.DefaultCatalogue().Tools()
	for day := range 5 {
		var events []domain.Event
		for n := range 900 {
			events = append(events, domain.Event{
				Version: fmt.Sprintf("%d.%d", day, n%180), Tool: tools[n%len(tools)], Status: domain.StatusError,
				ErrorType: fmt.Sprintf("%s_%d_%d", strings.Repeat("e", 90), day, n%450),
				Hour:      domain.Hourly.Floor(now).AddDate(0, 0, -day), Level: domain.LevelStandard, Country: countries[n%len(countries)],
				ResponseTimeMS: domain.Some(int32(n * 100)), Service: "noaa",
			})
		}
		if _, err := s.store.Store(t.Context(), []domain.Batch{contract.NewBatch(day, events...)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{
		"/v1/stats/all?period=366d", "/v1/stats/all?period=168h", "/v1/stats/overview?period=366d", "/v1/stats/performance?period=366d",
		"/v1/stats/tools?period=366d&limit=100", "/v1/stats/errors?period=90d&limit=100", "/v1/stats/tool/get_forecast?period=90d",
	} {
		answer := s.do(t, http.MethodGet, path, "")
		checkStatus(t, answer, http.StatusOK)
		t.Logf("%s: %d KB", path, answer.Body.Len()>>10)
		if answer.Body.Len() > 512<<10 {
			t.Errorf("%s is answered with %d bytes", path, answer.Body.Len())
		}
	}
}
