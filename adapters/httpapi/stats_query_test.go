package httpapi_test

import (
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// checkInvalid sees a refusal of which one sentence begins with says.
func checkInvalid(t *testing.T, answer *httptest.ResponseRecorder, says string) {
	t.Helper()
	var refusal struct {
		Error   string   `json:"error"`
		Details []string `json:"details"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &refusal); err != nil {
		t.Fatalf("%v in %s", err, answer.Body)
	}
	if answer.Code != http.StatusBadRequest || refusal.Error != "validation_failed" {
		t.Fatalf("%d %s, want one that says %q", answer.Code, answer.Body, says)
	}
	if len(refusal.Details) != 1 || !strings.HasPrefix(refusal.Details[0], says) {
		t.Errorf("details = %q, want %q", refusal.Details, says)
	}
	if got := answer.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control: %s, want no-store", got)
	}
}

func TestStatsRefuseParameters(t *testing.T) {
	s := newStatsService(t, 0, sampleCalls()...)
	long := strings.Repeat("9", 10<<10)
	tests := []struct{ path, says string }{
		{"/v1/stats/overview?period=", "period has no value"},
		{"/v1/stats/overview?period", "period has no value"},
		{"/v1/stats/all?period=24h&period=24h", "period is given more than once"},
		{"/v1/stats/all?period=1w", "period must be"},
		{"/v1/stats/all?period=0h", "period must be"},
		{"/v1/stats/all?period=" + long, "period must be"},
		{"/v1/stats/all?period=24h%00", "period must be"},
		{"/v1/stats/all?Period=24h", "the parameter Period is unknown"},
		{"/v1/stats/all?startDate=2026-11-01", "the parameter startDate is unknown"},
		{"/v1/stats/all?page-Size=%zz", "the parameter page-Size is unknown"},
		{"/v1/stats/all?p95=1", "the parameter p95 is unknown"},
		{"/v1/stats/all?p.95=1", "a parameter is unknown"},
		{"/v1/stats/all?limit=10", "the parameter limit is unknown; there is country, end, period, resolution, service, start, tool, version"},
		{"/v1/stats/overview?cursor=x", "the parameter cursor is unknown"},
		{"/v1/stats/performance?sort=p50", "the parameter sort is unknown"},
		{"/v1/stats/tool/get_alerts?order=asc", "the parameter order is unknown"},
		{
			"/v1/stats/tools?jo%40example.org=1",
			"a parameter is unknown; there is country, cursor, end, limit, order, period, resolution, service, sort, start, tool, version",
		},
		{"/v1/stats/tools?=1", "a parameter is unknown"},
		{"/v1/stats/tools?" + strings.Repeat("x", 33) + "=1", "a parameter is unknown"},
		{"/v1/stats/errors?period=24h;x=1", "the query is not well-formed"},
		{"/v1/stats/errors?period=%zz", "period cannot be decoded"},
		{"/v1/stats/errors?period=24h&tool=%", "tool cannot be decoded"},
		{"/v1/stats/errors?p%65riod=%2", "period cannot be decoded"},
		{"/v1/stats/errors?%", "the query is not well-formed"},
		{"/v1/stats/all?period=24h&start=2026-11-01", "period cannot stand beside start or end"},
		{"/v1/stats/performance?period=30d&end=2026-11-01", "period cannot stand beside start or end"},
		{"/v1/stats/overview?end=2026-11-01", "start is missing"},
		{"/v1/stats/overview?start=2026-11-02&end=2026-11-01", "start must be before end"},
		{"/v1/stats/overview?start=2026-11-01&end=2026-11-01", "start must be before end"},
		{"/v1/stats/overview?start=2026-11-01&end=", "end has no value"},
		{"/v1/stats/overview?start=2026-11-01&end=now", "end must be a date or an RFC 3339 instant"},
		{"/v1/stats/overview?start=2026-11-01T00:00:00+05:30", "start must be a date or an RFC 3339 instant"},
		{"/v1/stats/overview?start=" + long, "start must be a date or an RFC 3339 instant"},
		{"/v1/stats/overview?start=2026-12-01", "start must lie in the past"},
		{"/v1/stats/overview?start=2025-11-01", "start lies too early"},
		{"/v1/stats/overview?start=0000-01-01", "start lies too early"},
		{"/v1/stats/all?start=2024-10-01&end=2024-11-01", "start and end lie before everything that is kept"},
		{"/v1/stats/all?start=2026-10-01&end=2026-10-02", "start and end lie before everything that is kept: hours"},
		{"/v1/stats/errors?start=2026-06-01&end=2026-07-01", "start and end lie before everything that is kept: days"},
		{"/v1/stats/tool/get_alerts?start=2026-12-01", "start must lie in the past"},
		{"/v1/stats/performance?country=ZZ", "country must be"},
		{"/v1/stats/performance?country=%C5%BFe", "country must be"},
		{"/v1/stats/performance?tool=get_rich", "tool must be"},
		{"/v1/stats/performance?tool=get_alerts%00", "tool must be"},
		{"/v1/stats/performance?tool=../get_alerts", "tool must be"},
		{"/v1/stats/performance?tool=" + long, "tool must be"},
		{"/v1/stats/performance?version=1%202", "version must be"},
		{"/v1/stats/performance?version=" + long, "version must be"},
		{"/v1/stats/performance?service=NOAA", "service must be"},
		{"/v1/stats/tool/get_alerts?tool=get_alerts", "the parameter tool is unknown"},
		{"/v1/stats/tool/get_alerts?period=7y", "period must be"},
		{"/v1/stats/health?period=24h", "the parameter period is unknown; there is none"},
		{"/v1/stats/tools?sort=Calls", "sort must be one of calls, name, success_rate, avg_response_time_ms, p50, p95, p99"},
		{"/v1/stats/errors?sort=calls", "sort must be one of count, type, first_seen, last_seen"},
		{"/v1/stats/errors?sort=count%00", "sort must be one of"},
		{"/v1/stats/tools?order=up", "order must be asc or desc"},
		{"/v1/stats/tools?sort=name&order=", "order has no value"},
		{"/v1/stats/tools?cursor=" + long, "cursor does not belong to this query"},
		{"/v1/stats/tools?cursor=%00", "cursor does not belong to this query"},
		{"/v1/stats/errors?cursor=a&cursor=b", "cursor is given more than once"},
	}
	for _, limit := range []string{"0", "-1", "1000000000", "1e3", "%205", "5%20", "%2B5", "101", "1.5", "0x10", "five", "%D9%A3", "05", long} {
		tests = append(tests,
			struct{ path, says string }{"/v1/stats/tools?limit=" + limit, "limit must be a whole number from 1 to 100"},
			struct{ path, says string }{"/v1/stats/errors?limit=" + limit, "limit must be a whole number from 1 to 100"})
	}
	for _, tt := range tests {
		t.Run(shortened(tt.path), func(t *testing.T) {
			answer := s.get(t, tt.path)
			checkInvalid(t, answer, tt.says)
			if strings.Contains(answer.Body.String(), "example") || strings.Contains(answer.Body.String(), "9999") {
				t.Errorf("the answer repeats what was submitted: %s", answer.Body)
			}
		})
	}
}

// shortened is a text of a length that a test's name can have.
func shortened(s string) string { return s[:min(len(s), 80)] }

func TestStatsToolName(t *testing.T) {
	s := newStatsService(t, 0, sampleCalls()...)
	for path, want := range map[string]int{
		"/v1/stats/tool/get_forecast":                         http.StatusOK,
		"/v1/stats/tool/get%5Fforecast":                       http.StatusOK,
		"/v1/stats/tool/get_river_conditions":                 http.StatusOK,
		"/v1/stats/tool/other":                                http.StatusNotFound,
		"/v1/stats/tool/get_rich":                             http.StatusNotFound,
		"/v1/stats/tool/" + strings.Repeat("a", 64):           http.StatusNotFound,
		"/v1/stats/tool/":                                     http.StatusNotFound,
		"/v1/stats/tool/get/forecast":                         http.StatusNotFound,
		"/v1/stats/tool/get%2Fforecast":                       http.StatusBadRequest,
		"/v1/stats/tool/..%2F..%2Fetc":                        http.StatusBadRequest,
		"/v1/stats/tool/%00":                                  http.StatusBadRequest,
		"/v1/stats/tool/get_forecast%00":                      http.StatusBadRequest,
		"/v1/stats/tool/%FF":                                  http.StatusBadRequest,
		"/v1/stats/tool/%25zz":                                http.StatusBadRequest,
		"/v1/stats/tool/Get_Forecast":                         http.StatusBadRequest,
		"/v1/stats/tool/get%20forecast":                       http.StatusBadRequest,
		"/v1/stats/tool/%E5%A4%A9%E6%B0%94":                   http.StatusBadRequest,
		"/v1/stats/tool/';DROP%20TABLE%20events;--":           http.StatusBadRequest,
		"/v1/stats/tool/" + strings.Repeat("a", 65):           http.StatusBadRequest,
		"/v1/stats/tool/" + strings.Repeat("a", 10<<10):       http.StatusBadRequest,
		"/v1/stats/tool/" + strings.Repeat("%2e%2e%2f", 1000): http.StatusBadRequest,
	} {
		answer := s.get(t, path)
		if answer.Code != want {
			t.Errorf("GET %s: %d, want %d: %s", shortened(path), answer.Code, want, answer.Body)
		}
		if answer.Code == http.StatusBadRequest {
			checkInvalid(t, answer, "name must be that of a tool: 1 to 64 characters of [0-9a-z_-], and nothing like personal data")
		}
	}
}

// What is no URL at all, net/http answers by itself.
func TestStatsOfNoURL(t *testing.T) {
	s := newStatsService(t, 0)
	server := httptest.NewServer(s.handler)
	defer server.Close()
	for _, target := range []string{"/v1/stats/tool/%zz", "/v1/stats/tool/%", "/v1/stats/tool/get forecast", "/v1/stats/tool/\x00"} {
		connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(connection, "GET "+target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(connection)
		_ = connection.Close()
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
			t.Errorf("GET %q: %v, %.40q, want 400", target, err, answer)
		}
	}
}

func TestStatsWindows(t *testing.T) {
	s := newStatsService(t, 0, sampleCalls()...)
	for _, tt := range []struct {
		query, period, start, end string
		calls                     string
	}{
		{"?period=1h", "1h", "2026-11-23T09:00:00Z", "2026-11-23T11:00:00Z", "6"},
		{"?start=2026-11-23", "", "2026-11-23T00:00:00Z", "2026-11-23T11:00:00Z", "6"},
		{"?start=2026-11-23&end=2026-11-24", "", "2026-11-23T00:00:00Z", "2026-11-23T11:00:00Z", "6"},
		{"?start=2026-11-23T09:00:00Z&end=2026-11-23T10:00:00Z", "", "2026-11-23T09:00:00Z", "2026-11-23T10:00:00Z", "2"},
		{"?start=2026-11-23T15:30:00%2B05:30", "", "2026-11-23T10:00:00Z", "2026-11-23T11:00:00Z", "4"},
		{"?start=2026-11-01&end=2026-11-23", "", "2026-11-01T00:00:00Z", "2026-11-23T00:00:00Z", "0"},
		{"?start=2026-11-01", "", "2026-11-01T00:00:00Z", "2026-11-24T00:00:00Z", "6"},
		{"?period=7d&resolution=day", "7d", "2026-11-16T00:00:00Z", "2026-11-24T00:00:00Z", "6"},
		{"?period=15d&resolution=hour", "15d", "2026-11-08T10:00:00Z", "2026-11-23T11:00:00Z", "6"},
		{"?start=2026-11-23T09:00:00Z&end=2026-11-23T10:00:00Z&resolution=day", "", "2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z", "6"},
		{"?start=2026-11-08&end=2026-11-23&resolution=hour", "", "2026-11-08T00:00:00Z", "2026-11-23T00:00:00Z", "0"},
		{"?start=2026-11-23&tool=get_forecast", "", "2026-11-23T00:00:00Z", "2026-11-23T11:00:00Z", "3"},
	} {
		for _, path := range []string{"overview", "all", "tools", "tool/get_alerts", "errors", "performance"} {
			if path == "tool/get_alerts" && strings.Contains(tt.query, "tool=") {
				continue
			}
			body := s.getObject(t, "/v1/stats/"+path+tt.query)
			if body["period"] != tt.period || body["start_date"] != tt.start || body["end_date"] != tt.end {
				t.Errorf("%s%s is about %q, %v to %v; want %s to %s",
					path, tt.query, body["period"], body["start_date"], body["end_date"], tt.start, tt.end)
			}
			if path != "errors" {
				continue
			}
			if got, ok := body["total_calls"].(json.Number); !ok || got.String() != tt.calls {
				t.Errorf("%s counts %v calls, want %s", tt.query, got, tt.calls)
			}
		}
	}
}

// A window that begins before what is kept says from when it counts, as a
// period does.
func TestStatsOfBoundsSayFromWhenTheyCount(t *testing.T) {
	s := newStatsService(t, 0)
	for query, want := range map[string][2]any{
		"overview?start=2026-01-01":                {nil, "2026-08-25T00:00:00Z"},
		"overview?start=2026-01-01&end=2026-03-01": {nil, "2026-03-01T00:00:00Z"},
		"errors?start=2026-01-01":                  {"2026-08-25T00:00:00Z", nil},
		"tools?start=2026-10-20&end=2026-10-26":    {"2026-10-24T10:00:00Z", nil},
		"tools?start=2026-11-20":                   {nil, nil},
	} {
		body := s.getObject(t, "/v1/stats/"+query)
		if got := [2]any{body["covered_from"], body["errors_covered_from"]}; got != want {
			t.Errorf("%s is covered from %v, want %v", query, got, want)
		}
	}
}

// Everything that a query names belongs to the answer: no two queries share
// one by accident.
func TestStatsAnswersAreKeptApart(t *testing.T) {
	s := newStatsService(t, 0, contract.Events(1, 2000)...)
	s.serveWith(appConfigKeeping())
	uncached := newStatsService(t, 0, contract.Events(1, 2000)...)
	queries := []string{
		"", "?period=7d", "?period=1h", "?start=2026-11-23", "?start=2026-11-22", "?start=2026-11-22&end=2026-11-23",
		"?version=1.22.1", "?country=US", "?country=DE", "?service=noaa", "?service=openmeteo", "?service=noaa&country=US",
	}
	lists := []string{"?sort=p95", "?sort=name", "?sort=name&order=desc", "?limit=3", "?limit=4", "?limit=3&order=asc", "?tool=get_alerts"}
	for range 2 { // the second time from the cache
		for _, path := range []string{"overview", "all", "tools", "tool/get_alerts", "tool/get_forecast", "errors", "performance"} {
			for _, query := range slices.Concat(queries, lists) {
				if slices.Contains(lists, query) && path != "tools" {
					continue
				}
				got, want := s.get(t, "/v1/stats/"+path+query), uncached.get(t, "/v1/stats/"+path+query)
				if got.Code != http.StatusOK || got.Body.String() != want.Body.String() {
					t.Errorf("%s%s: %d %.200s\nwant %.200s", path, query, got.Code, got.Body, want.Body)
				}
			}
		}
	}
}

// Queries that ask for the same share an answer, however they are written.
func TestStatsAnswersAreShared(t *testing.T) {
	for _, tt := range []struct{ path, one, other string }{
		{"overview", "country=us", "country=US"},
		{"overview", "", "period=24h"},
		{"performance", "", "period=30d"},
		{"all", "service=noaa&country=US", "country=Us&service=noaa"},
		{"all", "start=2026-11-23T09:00:00Z", "start=2026-11-23T09:59:59.999999999Z"},
		{"all", "start=2026-11-23T09:10:00.1Z&end=2026-11-23T09:50:00Z", "start=2026-11-23T14:30:00%2B05:30&end=2026-11-23T10:00:00Z"},
		{"all", "start=2026-11-01&end=2026-11-20", "start=2026-11-01T00:00:00.5Z&end=2026-11-20T00:00:00Z"},
		{"tools", "", "limit=100&sort=calls&order=desc"},
		{"tools", "sort=name", "sort=name&order=asc"},
		{"errors", "", "order=desc&limit=100&sort=count"},
		{"tool/get_alerts", "country=de", "country=DE"},
	} {
		s := newStatsService(t, 0, sampleCalls()...)
		s.serveWith(appConfigKeeping())
		one := s.get(t, "/v1/stats/"+tt.path+"?"+tt.one)
		s.add(t, 99, sampleCalls()...) // a new computation would count these
		other := s.get(t, "/v1/stats/"+tt.path+"?"+tt.other)
		if one.Code != http.StatusOK || one.Body.String() != other.Body.String() {
			t.Errorf("%s: %q has %d %.200s\nand %q has %.200s", tt.path, tt.one, one.Code, one.Body, tt.other, other.Body)
		}
	}
}

// FuzzStatsQuery sends any query to a list, which knows all parameters. It is
// answered, or refused with a sentence that names a parameter or the query.
func FuzzStatsQuery(f *testing.F) {
	for _, seed := range []string{
		"", "period=24h", "period=1w", "start=2026-11-01&end=2026-11-02", "start=2026-11-01T00:00:00%2B05:30", "end=2026-11-01",
		"period=24h&start=2026-11-01", "limit=10&sort=p95&order=asc", "limit=1e3", "cursor=" + strings.Repeat("A", 48), "tool=get_alerts%00",
		"country=us&service=noaa&version=1.0", "period=24h&period=7d", "a;b", "%zz", "=", "&&&", "%00=%00", "PERIOD=24h", "start=9999-12-31T23:59:60Z",
	} {
		f.Add(seed)
	}
	names := []string{
		"period", "start", "end", "tool", "version", "country", "service", "sort", "order", "limit", "cursor",
		"the parameter ", "a parameter ", "the query ",
	}
	f.Fuzz(func(t *testing.T, raw string) {
		s := newStatsService(t, 0)
		for _, path := range []string{"/v1/stats/tools", "/v1/stats/errors"} {
			request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
			request.URL.RawQuery = raw
			answer := httptest.NewRecorder()
			s.handler.ServeHTTP(answer, request)
			if answer.Code == http.StatusOK {
				checkLink(t, answer.Header().Get("Link"))
				continue
			}
			var refusal struct {
				Error   domain.Code `json:"error"`
				Details []string    `json:"details"`
			}
			decode(t, answer.Body.Bytes(), &refusal)
			if answer.Code != http.StatusBadRequest || refusal.Error != domain.CodeInvalid || len(refusal.Details) != 1 {
				t.Fatalf("%q: %d %s", raw, answer.Code, answer.Body)
			}
			if !slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(refusal.Details[0], name) }) {
				t.Errorf("%q: %q names no parameter", raw, refusal.Details[0])
			}
		}
	})
}

// checkLink sees that the link to the first page, be it the only one, is a URL.
func checkLink(t *testing.T, header string) {
	t.Helper()
	target, _, ok := strings.Cut(strings.TrimPrefix(header, "<"), `>; rel="first"`)
	if _, err := url.Parse(target); !ok || err != nil || strings.ContainsAny(target, "<> \r\n") {
		t.Errorf("Link: %q", header)
	}
}

// series counts the points of an answer's series, by its member.
func series(t *testing.T, s statsService, path string) map[string]int {
	t.Helper()
	body := s.getObject(t, path)
	performance, _ := body["performance"].(map[string]any)
	points := make(map[string]int)
	for name, list := range map[string]any{
		"toolUsage": body["toolUsage"], "daily_data": body["daily_data"], "trend": body["trend"],
		"timeline": body["timeline"], "performance.timeline": performance["timeline"],
	} {
		if list, ok := list.([]any); ok {
			points[name] = len(list)
		}
	}
	return points
}

// Series come in the resolution asked for; a timeline leaves out what is empty.
func TestSeriesComeInTheResolutionAskedFor(t *testing.T) {
	s := newStatsService(t, 0, sampleCalls()...) // in two hours of one day
	for path, want := range map[string]map[string]map[string]int{
		"/v1/stats/all": {
			"?period=7d":                {"toolUsage": 169, "performance.timeline": 2},
			"?period=7d&resolution=day": {"toolUsage": 8, "performance.timeline": 1}, "?period=8d": {"toolUsage": 9, "performance.timeline": 1},
			"?period=8d&resolution=hour": {"toolUsage": 193, "performance.timeline": 2},
		},
		"/v1/stats/tool/get_alerts": {"?period=7d&resolution=day": {"daily_data": 8}, "?period=7d&resolution=hour": {"daily_data": 169}},
		"/v1/stats/errors":          {"?period=7d&resolution=day": {"trend": 8}, "?period=15d&resolution=hour": {"trend": 361}},
		"/v1/stats/performance":     {"?period=7d&resolution=day": {"timeline": 1}, "?period=24h&resolution=hour": {"timeline": 2}},
	} {
		for query, points := range want {
			if got := series(t, s, path+query); !maps.Equal(got, points) {
				t.Errorf("%s%s has %v, want %v", path, query, got, points)
			}
			resolution := "day"
			if strings.Contains(query, "hour") || query == "?period=7d" {
				resolution = "hour"
			}
			if got := s.getObject(t, path+query)["resolution"]; got != resolution {
				t.Errorf("%s%s is by %v, want %s", path, query, got, resolution)
			}
		}
	}
}

func TestResolutionThatIsNotKeptIsRefused(t *testing.T) {
	s := newStatsService(t, 0, sampleCalls()...)
	for query, says := range map[string]string{
		"?period=16d&resolution=hour":                      "resolution=hour is for windows of up to 360 hours: ask for a shorter one, or for resolution=day",
		"?start=2026-10-24&end=2026-10-25&resolution=hour": "resolution=hour is kept from 2026-10-24T10:00:00Z on: begin there, or ask for resolution=day",
		"?period=7d&resolution=week":                       "resolution must be hour or day",
		"?period=7d&resolution=":                           "resolution has no value",
		"?period=7d&resolution=day&resolution=day":         "resolution is given more than once",
		"?start=2024-11-01&end=2024-11-03&resolution=day":  "start and end lie before everything that is kept",
		"?start=2026-11-23T11:00:00Z&resolution=day":       "start must lie in the past",
	} {
		for _, path := range []string{"overview", "all", "tools", "tool/get_alerts", "errors", "performance"} {
			answer := s.get(t, "/v1/stats/"+path+query)
			checkInvalid(t, answer, says)
		}
	}
}

// A cursor continues its own list, in its own resolution.
func TestCursorBelongsToItsResolution(t *testing.T) {
	s := newStatsService(t, 0, sampleCalls()...)
	const path = "/v1/stats/tools?period=7d&resolution=day&limit=1"
	next, ok := s.getObject(t, path)["next"].(string)
	if !ok {
		t.Fatal("there is one page")
	}
	if link := s.get(t, path).Header().Get("Link"); strings.Count(link, "resolution=day") != 2 {
		t.Errorf("Link = %s", link)
	}
	checkStatus(t, s.get(t, "/v1/stats/tools?period=7d&resolution=day&limit=1&cursor="+next), http.StatusOK)
	for _, other := range []string{"", "&resolution=hour"} {
		checkStatus(t, s.get(t, "/v1/stats/tools?period=7d&limit=1&cursor="+next+other), http.StatusBadRequest)
	}
}
