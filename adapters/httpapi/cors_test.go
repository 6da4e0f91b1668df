package httpapi_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/httpapi"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

const (
	website   = "https://weather-mcp.dev"
	localhost = "http://localhost:3000"
)

func origins(t *testing.T, list string) httpapi.Origins {
	t.Helper()
	o, err := httpapi.ParseOrigins(list)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func checkExposed(t *testing.T, h http.Header, origin string) {
	t.Helper()
	checkHeader(t, h, "Access-Control-Allow-Origin", origin)
	exposed := h.Get("Access-Control-Expose-Headers")
	if (exposed != "") != (origin != "") {
		t.Errorf("Access-Control-Expose-Headers = %q", exposed)
	}
	for _, name := range []string{
		"ETag", "Age", "Allow", "Cache-Status", "Link", "Retry-After", "X-Request-Id",
		"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset",
	} {
		if origin != "" && !strings.Contains(exposed+",", name+",") {
			t.Errorf("%s is not among %q", name, exposed)
		}
	}
	checkHeader(t, h, "Access-Control-Allow-Credentials", "")
	if vary := strings.Join(h.Values("Vary"), ", "); !strings.Contains(vary, "Origin") {
		t.Errorf("Vary = %q", vary)
	}
}

// Whatever the answer is, the page learns it.
func TestEveryAnswerIsForAllowedOrigins(t *testing.T) {
	exchanges := map[string]struct {
		method, path, body string
		header             []string
		status             int
	}{
		"statistic":     {http.MethodGet, "/v1/stats/all", "", nil, 200},
		"head":          {http.MethodHead, "/v1/stats/all", "", nil, 200},
		"not modified":  {http.MethodGet, "/v1/stats/all", "", []string{"If-None-Match", "*"}, 304},
		"catalogue":     {http.MethodGet, "/v1/catalogue", "", nil, 200},
		"explained":     {http.MethodPost, "/v1/events/explain", batch(goodEvent), nil, 200},
		"refused":       {http.MethodGet, "/v1/stats/all?period=x", "", nil, 400},
		"refused batch": {http.MethodPost, "/v1/events", "{", nil, 400},
		"unknown route": {http.MethodGet, "/v2", "", nil, 404},
		"unknown tool":  {http.MethodGet, "/v1/stats/tool/get_fax", "", nil, 404},
		"method":        {http.MethodDelete, "/v1/stats/all", "", nil, 405},
		"options":       {http.MethodOptions, "/v1/stats/all", "", nil, 405},
		"too large":     {http.MethodPost, "/v1/events", padded("", 200<<10), nil, 413},
		"media type":    {http.MethodPost, "/v1/events", "x", []string{"Content-Type", "text/plain"}, 415},
		"panic":         {http.MethodPost, "/v1/events", batch(goodEvent), nil, 500},
		"down":          {http.MethodGet, "/v1/stats/health", "", nil, 503},
	}
	for name, x := range exchanges {
		for origin, allowed := range map[string]string{
			"": "", website: website, localhost: localhost, "https://evil.example": "", "null": "",
			"https://weather-mcp.dev.evil.example": "", "http://weather-mcp.dev": "", "https://weather-mcp.dev:444": "",
			website + "," + localhost: "", "*": "",
		} {
			t.Run(name+" "+origin, func(t *testing.T) {
				s := newService(setup{
					queue:  brokenQueue(func(context.Context) error { panic("broken") }),
					config: httpapi.Config{Origins: origins(t, website+", "+localhost)},
				})
				if x.status == http.StatusServiceUnavailable {
					s = newService(setup{meter: brokenMeter{domain.NewError(domain.CodeUnavailable, nil, "down")}, config: httpapi.Config{Origins: origins(t, website+", "+localhost)}})
				}
				header := x.header
				if origin != "" {
					header = append(header, "Origin", origin)
				}
				status := x.status
				if x.method == http.MethodPost && origin != "" && allowed == "" {
					status = http.StatusForbidden
				}
				answer := s.do(t, x.method, x.path, x.body, header...)
				checkStatus(t, answer, status)
				checkExposed(t, answer.Header(), allowed)
			})
		}
	}
}

func TestAllOriginsCanBeAllowed(t *testing.T) {
	s := newService(setup{config: httpapi.Config{Origins: origins(t, " * ")}})
	for _, header := range [][]string{nil, {"Origin", website}, {"Origin", "null"}} {
		checkExposed(t, s.do(t, http.MethodGet, "/v1/catalogue", "", header...).Header(), "*")
	}
}

func TestPreflight(t *testing.T) {
	s := newService(setup{config: httpapi.Config{Origins: origins(t, website)}})
	tests := map[string]struct{ path, method, methods string }{
		"statistic": {"/v1/stats/all", http.MethodGet, "GET, HEAD"},
		"catalogue": {"/v1/catalogue", http.MethodGet, "GET, HEAD"},
		"events":    {"/v1/events", http.MethodPost, "POST"},
		"explain":   {"/v1/events/explain", http.MethodPost, "POST"},
		"nothing":   {"/v2/nothing", http.MethodGet, "GET, HEAD, POST"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			answer := s.do(t, http.MethodOptions, test.path, "", "Origin", website,
				"Access-Control-Request-Method", test.method, "Access-Control-Request-Headers", "content-type")
			checkStatus(t, answer, http.StatusNoContent)
			checkExposed(t, answer.Header(), website)
			checkHeader(t, answer.Header(), "Access-Control-Allow-Methods", test.methods)
			checkHeader(t, answer.Header(), "Access-Control-Max-Age", "7200")
			allowed := answer.Header().Get("Access-Control-Allow-Headers") + ","
			for _, name := range []string{"Content-Type", "Idempotency-Key", "Prefer", "If-None-Match", "Content-Encoding", "X-Request-Id"} {
				if !strings.Contains(allowed, name+",") {
					t.Errorf("%s is not among %q", name, allowed)
				}
			}
			vary := strings.Join(answer.Header().Values("Vary"), ", ")
			if !strings.Contains(vary, "Access-Control-Request-Method") || !strings.Contains(vary, "Access-Control-Request-Headers") {
				t.Errorf("Vary = %q", vary)
			}
			if answer.Body.Len() > 0 {
				t.Errorf("body is %s", answer.Body)
			}
		})
	}
}

// A browser that is told nothing sends nothing.
func TestPreflightOfOthers(t *testing.T) {
	s := newService(setup{config: httpapi.Config{Origins: origins(t, website)}})
	for _, origin := range []string{"https://evil.example", "null"} {
		answer := s.do(t, http.MethodOptions, "/v1/events", "", "Origin", origin, "Access-Control-Request-Method", "POST")
		checkStatus(t, answer, http.StatusNoContent)
		checkExposed(t, answer.Header(), "")
		for _, name := range []string{"Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Access-Control-Max-Age"} {
			checkHeader(t, answer.Header(), name, "")
		}
	}
}

// A browser sends some of what a page posts without asking before. What names
// neither origin nor site comes from no browser.
func TestPagesOfOthersPostNothing(t *testing.T) {
	const address, named = "192.0.2.7:3000", "stats.example"
	tests := map[string]struct {
		host    string
		header  []string
		allowed bool
	}{
		"no browser":                      {named, nil, true},
		"fetch of Node":                   {named, []string{"Sec-Fetch-Mode", "cors", "Content-Type", "application/json", "User-Agent", "node"}, true},
		"curl":                            {named, []string{"Content-Type", "application/json", "User-Agent", "curl/8.5.0"}, true},
		"the server's own page":           {address, []string{"Origin", "http://" + address, "Sec-Fetch-Site", "same-origin"}, true},
		"the same in an old browser":      {address, []string{"Origin", "http://" + address}, true},
		"behind a proxy that says https":  {address, []string{"Origin", "https://" + address}, true},
		"without an origin":               {address, []string{"Sec-Fetch-Site", "same-origin"}, true},
		"on localhost":                    {"localhost:3000", []string{"Origin", "http://localhost:3000", "Sec-Fetch-Site", "same-origin"}, true},
		"at its address of version 6":     {"[2001:db8::7]:3000", []string{"Origin", "http://[2001:db8::7]:3000", "Sec-Fetch-Site", "same-origin"}, true},
		"by the person itself":            {named, []string{"Sec-Fetch-Site", "none"}, true},
		"a listed page":                   {named, []string{"Origin", website, "Sec-Fetch-Site", "cross-site"}, true},
		"a listed page of the server":     {"weather-mcp.dev", []string{"Origin", website, "Sec-Fetch-Site", "same-origin"}, true},
		"the same without an origin":      {"weather-mcp.dev", []string{"Sec-Fetch-Site", "same-origin"}, true},
		"the same behind a proxy":         {"127.0.0.1:3000", []string{"Origin", website, "Sec-Fetch-Site", "same-origin"}, true},
		"a name that came to mean us":     {named, []string{"Origin", "http://" + named, "Sec-Fetch-Site", "same-origin"}, false},
		"the same with a port":            {named + ":3000", []string{"Origin", "http://" + named + ":3000", "Sec-Fetch-Site", "same-origin"}, false},
		"the same, old":                   {named, []string{"Origin", "http://" + named}, false},
		"the same, no origin":             {named, []string{"Sec-Fetch-Site", "same-origin"}, false},
		"one that came to mean our proxy": {"127.0.0.1:3000", []string{"Origin", "https://" + named, "Sec-Fetch-Site", "same-origin"}, false},
		"a name like localhost":           {"localhost.example", []string{"Origin", "http://localhost.example", "Sec-Fetch-Site", "same-origin"}, false},
		"a name like an address":          {"192.0.2.7.example", []string{"Origin", "http://192.0.2.7.example", "Sec-Fetch-Site", "same-origin"}, false},
		"another page":                    {address, []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, false},
		"the same in an older browser":    {address, []string{"Origin", "https://evil.example"}, false},
		"that names no type":              {address, []string{"Origin", "https://evil.example", "Content-Length", "9"}, false},
		"that names JSON":                 {address, []string{"Origin", "https://evil.example", "Content-Type", "application/json"}, false},
		"that names text":                 {address, []string{"Origin", "https://evil.example", "Content-Type", "text/plain"}, false},
		"another page of the site":        {address, []string{"Origin", "https://evil.example.com", "Sec-Fetch-Site", "same-site"}, false},
		"a frame without an origin":       {address, []string{"Origin", "null", "Sec-Fetch-Site", "cross-site"}, false},
		"no origin told":                  {address, []string{"Sec-Fetch-Site", "cross-site"}, false},
		"another port":                    {address, []string{"Origin", "http://192.0.2.7:81"}, false},
		"an address that is not the host": {named, []string{"Origin", "http://192.0.2.8"}, false},
		"the list":                        {address, []string{"Origin", website + "," + localhost}, false},
		"nonsense":                        {address, []string{"Origin", "%"}, false},
	}
	for name, test := range tests {
		for _, path := range []string{"/v1/events", "/v1/events/explain"} {
			t.Run(name+" "+path, func(t *testing.T) {
				s := newService(setup{config: httpapi.Config{Origins: origins(t, website)}})
				status, events := http.StatusForbidden, 0
				if test.allowed {
					status = http.StatusOK
				}
				if test.allowed && path == "/v1/events" {
					events = 1
				}
				answer := s.do(t, http.MethodPost, "http://"+test.host+path, batch(goodEvent), test.header...)
				checkStatus(t, answer, status)
				if got := s.queued(t); got != events {
					t.Errorf("%d events are queued, want %d", got, events)
				}
			})
		}
	}
}

func TestAllPagesCanBeLetPost(t *testing.T) {
	s := newService(setup{config: httpapi.Config{Origins: origins(t, "*")}})
	for _, origin := range []string{"https://evil.example", "null"} {
		answer := s.do(t, http.MethodPost, "/v1/events", batch(goodEvent), "Origin", origin, "Sec-Fetch-Site", "cross-site")
		checkStatus(t, answer, http.StatusOK)
	}
}

// A page learns that it has to wait, and may ask whether it may ask for as long
// as it likes.
func TestLimitsBesideOrigins(t *testing.T) {
	s, _ := limited(ports.Limits{Requests: 60, Burst: 1, Events: 100}, httpapi.Config{Origins: origins(t, website)})
	preflights := func() {
		t.Helper()
		for range 20 {
			answer := s.do(t, http.MethodOptions, "/v1/events", "", "Origin", website, "Access-Control-Request-Method", "POST")
			checkStatus(t, answer, http.StatusNoContent)
			checkExposed(t, answer.Header(), website)
			checkLimit(t, answer, "", "", "")
		}
	}
	preflights()
	checkStatus(t, s.do(t, http.MethodPost, "/v1/events", batch(goodEvent), "Origin", website), http.StatusOK)
	for _, request := range [][2]string{{"POST", "/v1/events"}, {"GET", "/v1/catalogue"}, {"GET", "/v2"}, {"OPTIONS", "/v1/events"}} {
		answer := s.do(t, request[0], request[1], batch(goodEvent), "Origin", website)
		checkStatus(t, answer, http.StatusTooManyRequests)
		checkExposed(t, answer.Header(), website)
		checkLimit(t, answer, "60", "0", "1")
	}
	preflights()
}

func TestPreflightIsLoggedQuietly(t *testing.T) {
	s := newService(setup{config: httpapi.Config{Origins: origins(t, website)}})
	s.do(t, http.MethodOptions, "/v1/events", "", "Origin", website, "Access-Control-Request-Method", "POST")
	if line := s.log.line(t); line["level"] != "DEBUG" || line["method"] != "OPTIONS" || line["status"] != 204.0 {
		t.Errorf("logged as %v", line)
	}
}

func TestParseOrigins(t *testing.T) {
	good := map[string]string{
		"https://example.org":                          "https://example.org",
		" https://other.org ,HTTPS://Example.ORG":      "https://example.org",
		"https://example.org:443":                      "https://example.org",
		"http://example.org:80":                        "http://example.org",
		"https://example.org:8443":                     "https://example.org:8443",
		"http://example.org:443":                       "http://example.org:443",
		"http://[::1]:3000":                            "http://[::1]:3000",
		"http://127.0.0.1":                             "http://127.0.0.1",
		"https://xn--bcher-kva.example,https://a.test": "https://xn--bcher-kva.example",
		"*": "*",
	}
	for list, origin := range good {
		s := newService(setup{config: httpapi.Config{Origins: origins(t, list)}})
		answer := s.do(t, http.MethodGet, "/v1/live", "", "Origin", origin)
		checkExposed(t, answer.Header(), origin)
	}
	for _, list := range []string{
		"", ",", "https://example.org,", "null", "example.org", "https://", "https:example.org", "ftp://example.org",
		"https://example.org/", "https://example.org/path", "https://example.org?x", "https://example.org#x", "https://user@example.org",
		"https://*.example.org", "https://bücher.example", "https://example.org:", "https://example.org:port", "https://a b.org",
		"*,https://example.org", "https://example.org, *", "https://example.org https://other.org", "https://example.org:443:443",
	} {
		if _, err := httpapi.ParseOrigins(list); err == nil || strings.Contains(err.Error(), "example") {
			t.Errorf("%q: %v", list, err)
		}
	}
}

// The origin makes no difference to what is kept.
func TestOriginsShareWhatIsKept(t *testing.T) {
	s := newService(setup{
		answers: app.AnswersConfig{Fresh: time.Minute}, config: httpapi.Config{Origins: origins(t, website+","+localhost)},
	})
	for _, origin := range []string{website, localhost, "https://evil.example"} {
		checkStatus(t, s.do(t, http.MethodGet, "/v1/stats/all", "", "Origin", origin), http.StatusOK)
	}
	if n := cacheUse(t, s); n.Computations != 1 {
		t.Errorf("the cache was used %+v", n)
	}
}
