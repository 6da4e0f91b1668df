package hostile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/api"
	"github.com/weather-mcp/weather-mcp-analytics/test/openapi"
)

// newRandom returns the source of all that is drawn, and tells the seed.
func newRandom(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// TestFuzzedBodies damages bodies of real clients in every way that text can be
// damaged. Each gets an answer that fits, and what is accepted is counted.
func TestFuzzedBodies(t *testing.T) {
	g := start(t, "MAX_BATCH_SIZE=1000")
	g.settled = func() { g.checkProcessed(t) }
	g.endure(t, func(ctx context.Context) {
		random, seeds := newRandom(t), capturedBodies(t)
		bodies := make([][]byte, full(20_000, 4000))
		for i := range bodies {
			bodies[i] = damage(random, slices.Clone(seeds[i%len(seeds)]), seeds)
		}
		client := clientFrom(attackerAt(0))
		client.Transport.(*http.Transport).MaxIdleConnsPerHost = 16
		defer client.CloseIdleConnections()
		parallel(ctx, 16, len(bodies), func(i int) {
			status, answer := g.post(ctx, client, bodies[i], drawHeader(i)...)
			if !slices.Contains([]int{200, 400, 413, 415, 503}, status) {
				t.Errorf("answered %d to %.200q", status, bodies[i])
			}
			var receipt struct{ Count int64 }
			if err := json.Unmarshal(answer, &receipt); err != nil {
				t.Errorf("the answer %.200q is no JSON: %v", answer, err)
			}
			g.accepted.Add(receipt.Count)
		})
	})
}

// checkProcessed wants every accepted event processed once, be it the witness's
// or the attackers'.
func (g *target) checkProcessed(t *testing.T) {
	t.Helper()
	var status struct {
		Processed int64 `json:"events_processed"`
	}
	g.get(t, "/v1/status", &status)
	attackers, want := g.accepted.Load(), g.accepted.Load()+int64(g.witness.calls)
	t.Logf("%d of the attackers' events were accepted", attackers)
	if attackers == 0 || status.Processed != want {
		t.Errorf("%d events were processed, want %d", status.Processed, want)
	}
}

// drawHeader varies what is said of the body.
func drawHeader(i int) []string {
	headers := [][]string{
		nil, nil, nil, nil, nil,
		{"Content-Encoding", "gzip"},
		{"Content-Type", "application/json; charset=\"utf-8"},
		{"Prefer", "handling=\"strict\\"},
		{"Idempotency-Key", fmt.Sprintf("%d%s", i, strings.Repeat("k", i%200))},
		{"X-Request-Id", strings.Repeat("a", i%64)},
	}
	return headers[i%len(headers)]
}

// capturedBodies are batches of the real client, in this hour so that they can
// be accepted, and some of our own.
func capturedBodies(t *testing.T) [][]byte {
	t.Helper()
	files, err := filepath.Glob("../fixtures/real-client-*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captured batches: %v", err)
	}
	now := newEvent("get_alerts", "1.0.0").TimestampHour
	rich := newEvent("get_forecast", "1.23.0")
	rich.Level, rich.Status, rich.ErrorType, rich.Country = "detailed", "error", "timeout", "DE"
	rich.Parameters, rich.SessionID = map[string]any{"days": 3, "units": "metric", "hourly": true}, "0123456789abcdef"
	bodies := [][]byte{encode([]event{rich}), encode([]event{rich, newEvent("get_alerts", "1.0.0")})}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var batch struct {
			Events []map[string]any `json:"events"`
		}
		if err := json.Unmarshal(text, &batch); err != nil {
			t.Fatal(err)
		}
		batch.Events = slices.DeleteFunc(batch.Events, func(e map[string]any) bool { return e["tool"] == witnessTool })
		for _, event := range batch.Events {
			event["timestamp_hour"] = now
		}
		body, err := json.Marshal(batch)
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, body)
	}
	return bodies
}

// damage changes a body in one to four ways.
func damage(random *rand.Rand, body []byte, others [][]byte) []byte {
	tokens := []string{
		"null", "{", "}", "[", "]", ",", ":", `"`, `\`, `\u0000`, `\ud800`, "\x00", "\xff\xfe", "-0", "1e999", "9223372036854775808",
		"0.1", "true", `{"a":1}`, `"ip":"192.0.2.1",`, `"Latitude":1,`, "\u202e", "NaN", "/*", "\r\n", `"events":[],`, "99999999999",
	}
	for range 1 + random.IntN(4) {
		if len(body) == 0 {
			return body
		}
		at := random.IntN(len(body))
		switch random.IntN(7) {
		case 0:
			body[at] ^= 1 << random.IntN(8)
		case 1:
			body = body[:at]
		case 2:
			body = slices.Delete(body, at, min(len(body), at+1+random.IntN(20)))
		case 3:
			body = slices.Insert(body, at, []byte(tokens[random.IntN(len(tokens))])...)
		case 4:
			end := min(len(body), at+random.IntN(200))
			body = slices.Insert(body, at, bytes.Repeat(body[at:end], 1+random.IntN(3))...)
		case 5:
			other := others[random.IntN(len(others))]
			body = append(body[:at:at], other[random.IntN(len(other)):]...)
		case 6:
			if next := bytes.IndexByte(body[at:], ':'); next >= 0 {
				body = slices.Insert(body, at+next+1, []byte(tokens[random.IntN(len(tokens))])...)
			}
		}
	}
	return body
}

// TestEveryOperationUnderFuzz asks for everything that is described, with paths,
// parameters, methods and headers that nobody means well with.
func TestEveryOperationUnderFuzz(t *testing.T) {
	g := start(t)
	g.endure(t, func(ctx context.Context) {
		random := newRandom(t)
		document, err := openapi.Load(api.Document())
		if err != nil {
			t.Fatal(err)
		}
		operations := document.Operations()
		requests := make([]*http.Request, full(40_000, 3000))
		for i := range requests {
			requests[i] = drawRequest(random, g.address, operations[i%len(operations)])
		}
		client := clientFrom(attackerAt(0))
		client.Transport.(*http.Transport).MaxIdleConnsPerHost = 16
		defer client.CloseIdleConnections()
		parallel(ctx, 16, len(requests), func(i int) {
			judge(t, document, g.exchange(client, requests[i].WithContext(ctx)))
		})
	})
}

// judge wants a status that fits, and the answer as it is described.
func judge(t *testing.T, document *openapi.Document, e *openapi.Exchange) {
	asked := fmt.Sprintf("%s %.200s", e.Request.Method, e.Request.URL)
	expected := []int{200, 304, 400, 403, 404, 405, 413, 414, 415, 431, 503}
	if !slices.Contains(expected, e.Status) {
		t.Errorf("%s is answered %d", asked, e.Status)
		return
	}
	e.Request = asReceived(e.Request)
	if err := document.CheckAnswer(e); err != nil {
		t.Errorf("%s is answered %d %.200q: %v", asked, e.Status, e.Received, err)
	}
	if strings.HasPrefix(e.Request.URL.Path, "/api-docs/") || e.Request.URL.Path == "/openapi.yaml" {
		return // no failure tells anything there, and the texts are long
	}
	for _, told := range []string{"SQLITE_", "SQL logic", "sql: ", "no such table", "goroutine ", ".go:", "dial tcp", "panic"} {
		if bytes.Contains(e.Received, []byte(told)) {
			t.Errorf("%s is answered %.200q, which tells of %q", asked, e.Received, told)
		}
	}
}

// asReceived is the request with the path that the server reads out of its
// address, which is none where it cannot.
func asReceived(request *http.Request) *http.Request {
	received := request.Clone(request.Context())
	var err error
	if received.URL, err = url.ParseRequestURI(request.URL.RequestURI()); err != nil {
		received.URL = &url.URL{}
	}
	return received
}

// nasty are values that programs stumble over.
var nasty = []string{
	"", " ", "0", "-1", "24h", "365d", "9999999999999999999h", "1e9d", "24H", "٢٤h", "null", "undefined", "true", "NaN",
	"../../etc/passwd", "..%2f..%2f", "%00", "\x00", "'; DROP TABLE events; --", `" OR 1=1`, "<script>", "${jndi:ldap://x}",
	"{{7*7}}", "get_forecast", "GET_FORECAST", "other", "US", "us", "XX", "1.0.0", "noaa", "2026-11-23", "0001-01-01T00:00:00Z",
	"9999-12-31T23:59:59+14:00", "asc", "desc", "calls", "100", "101", "\xff\xfe", "\u202e", strings.Repeat("a", 300),
	strings.Repeat("%41", 500), strings.Repeat("x", 5000), "a&b=c", "a;b", "a=b=c", "[]", "a[]", "+", "#",
}

func drawRequest(random *rand.Rand, address, operation string) *http.Request {
	method, path, _ := strings.Cut(operation, " ")
	if random.IntN(5) == 0 {
		method = oneOf(random, []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "X"})
	}
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if strings.HasPrefix(segment, "{") || random.IntN(12) == 0 && i > 0 {
			segments[i] = escape(random, oneOf(random, nasty))
		}
	}
	path = strings.Join(segments, "/")
	if random.IntN(10) == 0 {
		path += oneOf(random, []string{"/", "//", "/.", "/..", ";x", "%2f", "%20", ".json", "/*"})
	}
	request := &http.Request{
		Method: method, Header: make(http.Header), Host: address,
		URL: &url.URL{Scheme: "http", Host: address, Opaque: "//" + address + path, RawQuery: drawQuery(random)},
	}
	for range random.IntN(3) {
		name := oneOf(random, []string{
			"If-None-Match", "Accept", "Accept-Encoding", "Origin", "X-Forwarded-For", "Forwarded", "X-Request-Id", "Prefer",
			"Content-Type", "X-Http-Method-Override", "Range", "Cookie", "Authorization", "X-Forwarded-Proto", "Cache-Control",
		})
		request.Header.Set(name, printable(oneOf(random, nasty)))
	}
	return request
}

func drawQuery(random *rand.Rand) string {
	names := []string{
		"period", "start", "end", "resolution", "tool", "version", "country", "service", "sort", "order", "limit", "cursor", "Period", "period%00", "x",
	}
	var pairs []string
	for range random.IntN(4) {
		pairs = append(pairs, oneOf(random, names)+"="+escape(random, oneOf(random, nasty)))
	}
	return strings.Join(pairs, oneOf(random, []string{"&", "&", "&", ";", "&&"}))
}

// escape mostly writes text as it belongs into an address; else nearly so.
func escape(random *rand.Rand, text string) string {
	if random.IntN(4) == 0 {
		return strings.Map(func(r rune) rune {
			if r <= ' ' || r == 0x7f || r == '#' || r == '?' || r == '/' || r == 0xfffd {
				return '_'
			}
			return r
		}, text)
	}
	return url.PathEscape(text)
}

// printable is what net/http's client agrees to send in a header.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, text)
}

func oneOf[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }

// TestInventedValues reports versions and error types that nobody has. The
// totals are right, and the statistics do not grow beyond their limits.
func TestInventedValues(t *testing.T) {
	const versions, errorTypes, perBatch = 200, 500, 100
	batches := full(500, 100)
	g := start(t, fmt.Sprintf("MAX_VERSIONS_PER_DAY=%d", versions), fmt.Sprintf("MAX_ERROR_TYPES_PER_DAY=%d", errorTypes))
	g.settled = func() {
		var detail struct {
			Calls            int
			Versions, Errors []struct{}
		}
		g.get(t, "/v1/stats/tool/"+inventedTool+"?period=24h", &detail)
		t.Logf("%d calls of %d versions with %d error types", detail.Calls, len(detail.Versions), len(detail.Errors))
		// One more stands for all others.
		if detail.Calls != batches*perBatch || len(detail.Versions) > versions+1 || len(detail.Errors) > errorTypes+1 {
			t.Errorf("want %d calls of at most %d versions with at most %d error types", batches*perBatch, versions+1, errorTypes+1)
		}
		if len(detail.Versions) < 2 || len(detail.Errors) < 2 {
			t.Error("nothing is told apart")
		}
	}
	g.endure(t, func(ctx context.Context) {
		client := clientFrom(attackerAt(0))
		client.Transport.(*http.Transport).MaxIdleConnsPerHost = 4
		defer client.CloseIdleConnections()
		parallel(ctx, 4, batches, func(i int) {
			if status, answer := g.post(ctx, client, encode(invented(i, perBatch))); status != http.StatusOK {
				t.Errorf("batch %d is answered %d %s", i, status, answer)
			}
		})
	})
}

// inventedTool is what only the attack with invented values reports.
const inventedTool = "get_river_conditions"

// invented is a batch of failures, each of a version and an error type of its
// own.
func invented(batch, count int) []event {
	events := make([]event, count)
	for i := range events {
		n := batch*count + i
		events[i] = newEvent(inventedTool, fmt.Sprintf("66.%d.%d", n/1000, n%1000))
		events[i].Status, events[i].ErrorType = "error", fmt.Sprintf("invented_%d", n)
	}
	return events
}
