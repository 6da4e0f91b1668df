package browser_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/fx"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/browser"
	"github.com/weather-mcp/weather-mcp-analytics/test/service"
	"github.com/weather-mcp/weather-mcp-analytics/test/web"
)

// answer is what a page's script can see of an answer.
type answer struct {
	// Failed is why the script sees nothing.
	Failed string            `json:"failed"`
	Status int               `json:"status"`
	Header map[string]string `json:"header"`
	Body   string            `json:"body"`
}

// request is the second argument of fetch.
type request map[string]any

// fetch has the page's script ask, past what the browser keeps.
func fetch(page *browser.Page, address string, r request) answer {
	options := request{"cache": "no-store"}
	maps.Copy(options, r)
	text, err := json.Marshal(options)
	if err != nil {
		panic(err)
	}
	return browser.Evaluate[answer](page, fmt.Sprintf(`fetch(%q, %s).then(
		async (a) => ({ failed: "", status: a.status, header: Object.fromEntries(a.headers), body: await a.text() }),
		(error) => ({ failed: String(error), status: 0, header: {}, body: "" }))`, address, text))
}

// failingReader fails as long as it holds a reason.
type failingReader struct {
	ports.StatisticsReader

	reason atomic.Pointer[error]
}

func (r *failingReader) Select(ctx context.Context, s domain.Selection) (domain.Selected, error) {
	if reason := r.reason.Load(); reason != nil {
		return domain.Selected{}, *reason
	}
	return r.StatisticsReader.Select(ctx, s)
}

// visited is a service and two pages of other origins, of which one is allowed.
type visited struct {
	root             string
	allowed, another *browser.Page
	reader           failingReader
	clock            *memory.Clock
}

func visit(t *testing.T) *visited {
	t.Helper()
	page := []byte(`<!doctype html><title>Elsewhere</title><link rel="icon" href="data:,">`)
	allowed, another := serve(t, page), serve(t, page)
	v := &visited{clock: memory.NewClock(time.Now())}
	storage := fx.Options(bootstrap.EmbeddedStorage(), fx.Decorate(func(r ports.StatisticsReader) ports.StatisticsReader {
		v.reader.StatisticsReader = r
		return &v.reader
	}))
	v.root = service.StartWith(t, bootstrap.Options{Clock: v.clock, Storage: storage}, "CORS_ORIGIN=https://weather-mcp.dev,"+allowed)
	v.allowed, v.another = browser.Open(t, allowed, browser.Light), browser.Open(t, another, browser.Light)
	return v
}

func (v *visited) fail(reason error) { v.reader.reason.Store(&reason) }

var away = domain.NewError(domain.CodeUnavailable, errors.New("dial tcp 10.9.8.7:5432"), "the store cannot be read")

// seen is what the allowed page has to see of an answer, and the other not.
type seen struct {
	name, path string
	request    request
	// before changes the service, for all that follow.
	before func(*visited)
	status int
	// headers must be readable, beside X-Request-Id.
	headers []string
	// says is part of the body.
	says string
}

// posting is a request with a batch of a call of each tool.
func posting(header map[string]string, tools ...string) request {
	events := make([]string, len(tools))
	for i, tool := range tools {
		events[i] = fmt.Sprintf(`{"version":"1.23.0","tool":%q,"status":"success","timestamp_hour":%q,"analytics_level":"minimal"}`,
			tool, time.Now().UTC().Truncate(time.Hour).Format(time.RFC3339))
	}
	sent := map[string]string{"Content-Type": "application/json"}
	maps.Copy(sent, header)
	return request{"method": "POST", "headers": sent, "body": `{"events":[` + strings.Join(events, ",") + `]}`}
}

// answers has every status that can be had in time, in the order in which they
// are asked for.
func answers() []seen {
	const all = "/v1/stats/all"
	key := map[string]string{"Idempotency-Key": "a-key", "Prefer": "handling=strict"}
	list := []seen{
		{name: "a list", path: "/v1/stats/tools?limit=1", status: 200, headers: []string{"etag", "cache-control", "link"}},
		{name: "not modified", path: all, request: request{"headers": map[string]string{"If-None-Match": "*"}}, status: 304, headers: []string{"etag", "cache-control"}},
		{name: "a bad parameter", path: all + "?period=1w", status: 400, says: `"error":"validation_failed"`},
		{name: "no such tool", path: "/v1/stats/tool/no_such_tool", status: 404, says: `"error":"not_found"`},
		{name: "no such path", path: "/v1/stats/nothing", status: 404, says: `"error":"not_found"`},
		{name: "a wrong method", path: all, request: request{"method": "POST"}, status: 405, says: `"error":"method_not_allowed"`},
		{
			name: "a form", path: "/v1/events", request: request{"method": "POST", "body": "a=b"},
			status: 415, says: `"error":"unsupported_media_type"`,
		},
		{
			name: "a long body", path: "/v1/events", status: 413, says: `"error":"payload_too_large"`,
			request: request{"method": "POST", "headers": map[string]string{"Content-Type": "application/json"}, "body": strings.Repeat(" ", 103_000)},
		},
		{name: "a refused batch", path: "/v1/events", request: posting(key, "get_forecast", "no_such_tool"), status: 400, headers: []string{"preference-applied"}, says: `"index":1`},
		{name: "an accepted batch", path: "/v1/events", request: posting(nil, "get_forecast"), status: 200, says: `"count":1`},
		{name: "a batch under a key", path: "/v1/events", request: posting(key, "get_forecast"), status: 200, headers: []string{"preference-applied"}, says: `"count":1`},
		{name: "its repeat", path: "/v1/events", request: posting(key, "get_forecast"), status: 200, says: `"count":1`},
		{
			name: "a defect", path: "/v1/stats/overview?period=2h", status: 500, says: `"error":"internal_error"`,
			before: func(v *visited) { v.fail(errors.New("a defect")) },
		},
		{
			name: "a store that is away", path: all + "?period=2h", status: 503, headers: []string{"retry-after"}, says: `"retry_after":5`,
			before: func(v *visited) { v.fail(away) },
		},
		{
			name: "a stale answer", path: all + "?period=1h", status: 200, headers: []string{"age", "cache-status", "etag"}, says: `"total_calls":0`,
			before: func(v *visited) { v.clock.Advance(6 * time.Minute) },
		},
	}
	for _, period := range slices.Backward(periods()) {
		whole := seen{name: "all of " + period, path: all + "?period=" + period, status: 200, headers: []string{"etag", "cache-control"}, says: `"total_calls":0`}
		list = slices.Insert(list, 0, whole)
	}
	return list
}

func TestAnswersAreReadByAllowedPagesOnly(t *testing.T) {
	v := visit(t)
	for _, want := range answers() {
		t.Run(want.name, func(t *testing.T) {
			if want.before != nil {
				want.before(v)
			}
			// First the one that must not get through to anything.
			if got := fetch(v.another, v.root+want.path, want.request); got.Failed != "TypeError: Failed to fetch" {
				t.Errorf("another page sees %s", got)
			}
			got := fetch(v.allowed, v.root+want.path, want.request)
			if got.Status != want.status || !strings.Contains(got.Body, want.says) {
				t.Errorf("the page sees %s, want %d %s", got, want.status, want.says)
			}
			for _, name := range append(want.headers, "x-request-id") {
				if got.Header[name] == "" {
					t.Errorf("the page does not see %s in %v", name, got.Header)
				}
			}
			if want.status == 200 && strings.HasPrefix(want.path, "/v1/stats/all") {
				checkWebsiteContract(t, got)
			}
		})
	}
	// What needs the browser to ask before was never sent by the other page.
	waitForEvents(t, v.root, 2)
}

// A browser sends a body without a type, and a beacon, without asking before.
func TestPagesOfOthersCannotReport(t *testing.T) {
	v := visit(t)
	events := v.root + "/v1/events"
	send := func(page *browser.Page, tools ...string) {
		t.Helper()
		body := posting(nil, tools...)["body"]
		got := browser.Evaluate[string](page, fmt.Sprintf(`fetch(%q, { method: "POST", mode: "no-cors", body: new Blob([%q]) }).then((a) => a.type)`, events, body))
		if got != "opaque" {
			t.Errorf("the page sees an answer of the type %q", got)
		}
		if !browser.Evaluate[bool](page, fmt.Sprintf(`navigator.sendBeacon(%q, new Blob([%q]))`, events, body)) {
			t.Error("the browser takes no beacon")
		}
	}
	send(v.another, "get_forecast")
	// No event of the other page would make it eight.
	send(v.allowed, "get_forecast", "get_alerts", "get_forecast", "get_alerts")
	waitForEvents(t, v.root, 8)
}

// The owner of a name can point it at this server once the page is loaded. To
// the browser its posts go to the page's own server then.
func TestNameThatComesToMeanTheServerPostsNothing(t *testing.T) {
	root := service.Start(t)
	address, port, err := net.SplitHostPort(strings.TrimPrefix(root, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	post := func(host string, o browser.Options) answer {
		t.Helper()
		own := "http://" + net.JoinHostPort(host, port)
		page := browser.OpenWith(t, own+"/api-docs", o) // whose script may ask its own server
		return fetch(page, own+"/v1/events", posting(nil, "get_forecast"))
	}
	const name = "rebound.example"
	if got := post(name, browser.Options{Resolve: map[string]string{name: address}}); got.Status != 403 {
		t.Errorf("the page of %s is answered %s, want 403", name, got)
	}
	if got := post(address, browser.Options{}); got.Status != 200 {
		t.Errorf("the server's own page is answered %s, want 200", got)
	}
	if got := post("localhost", browser.Options{Resolve: map[string]string{"localhost": address}}); got.Status != 200 {
		t.Errorf("the page of localhost is answered %s, want 200", got)
	}
	waitForEvents(t, root, 2)
}

// waitForEvents waits until the service has stored so many, and no more.
func waitForEvents(t *testing.T, root string, want int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var status struct {
			Processed int `json:"events_processed"`
		}
		_, text := web.Ask(t, "GET", root+"/v1/status", "")
		if err := json.Unmarshal([]byte(text), &status); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if status.Processed == want {
			return
		}
		if status.Processed > want || time.Now().After(deadline) {
			t.Fatalf("%d events were stored, want %d", status.Processed, want)
		}
	}
}
