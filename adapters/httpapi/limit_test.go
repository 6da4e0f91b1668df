package httpapi_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/httpapi"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// limited is a service with limits, and the clock of these.
func limited(limits ports.Limits, config httpapi.Config) (*service, *memory.Clock) {
	clock := memory.NewClock(now)
	limiter := memory.NewLimiter(memory.LimiterConfig{Limits: limits, Clock: clock})
	return newService(setup{limit: app.NewLimit(limits, limiter, limiter), config: config}), clock
}

func checkLimit(t *testing.T, answer *httptest.ResponseRecorder, limit, remaining, reset string) {
	t.Helper()
	checkHeader(t, answer.Header(), "X-RateLimit-Limit", limit)
	checkHeader(t, answer.Header(), "X-RateLimit-Remaining", remaining)
	checkHeader(t, answer.Header(), "X-RateLimit-Reset", reset)
}

func TestRequestsAreLimited(t *testing.T) {
	s, clock := limited(ports.Limits{Requests: 60, Burst: 3, Events: 100}, httpapi.Config{})
	for i, path := range []string{"/v1/catalogue", "/v1/nowhere", "/v1/stats/overview?period=never"} {
		answer := s.do(t, http.MethodGet, path, "")
		checkStatus(t, answer, []int{http.StatusOK, http.StatusNotFound, http.StatusBadRequest}[i])
		checkLimit(t, answer, "60", strconv.Itoa(2-i), strconv.Itoa(i+1))
		checkHeader(t, answer.Header(), "Retry-After", "")
	}
	for _, request := range [][2]string{{"GET", "/v1/catalogue"}, {"POST", "/v1/events"}, {"DELETE", "/v1/events"}, {"POST", "/v1/events/explain"}, {"GET", "/"}} {
		answer := s.do(t, request[0], request[1], batch(goodEvent))
		checkStatus(t, answer, http.StatusTooManyRequests)
		checkHeader(t, answer.Header(), "Retry-After", "1")
		checkLimit(t, answer, "60", "0", "3")
		checkGolden(t, "refusal-rate-limited", answer.Body.Bytes())
	}
	for range 20 {
		for _, path := range []string{"/v1/health", "/v1/live"} {
			answer := s.do(t, http.MethodGet, path, "")
			checkStatus(t, answer, http.StatusOK)
			checkLimit(t, answer, "", "", "")
		}
	}
	clock.Advance(time.Second)
	checkStatus(t, s.do(t, http.MethodHead, "/v1/catalogue", ""), http.StatusOK)
	checkStatus(t, s.do(t, http.MethodGet, "/v1/catalogue", ""), http.StatusTooManyRequests)
	if s.queued(t) != 0 {
		t.Error("a refused batch is queued")
	}
}

func TestEventsAreLimited(t *testing.T) {
	s, clock := limited(ports.Limits{Requests: 60, Burst: 10, Events: 5}, httpapi.Config{})
	answer := s.do(t, http.MethodPost, "/v1/events", batch(goodEvent, badEvent, goodEvent))
	checkStatus(t, answer, http.StatusOK)
	checkLimit(t, answer, "60", "9", "1")
	clock.Advance(10 * time.Second)
	// What is refused counts as well: judging it costs as much.
	checkStatus(t, s.do(t, http.MethodPost, "/v1/events", batch(badEvent)), http.StatusBadRequest)
	answer = s.do(t, http.MethodPost, "/v1/events", batch(goodEvent, goodEvent))
	checkStatus(t, answer, http.StatusTooManyRequests)
	checkHeader(t, answer.Header(), "Retry-After", "50")
	checkLimit(t, answer, "60", "8", "2")
	checkGolden(t, "refusal-events-limited", answer.Body.Bytes())
	checkStatus(t, s.do(t, http.MethodPost, "/v1/events", batch(goodEvent)), http.StatusOK)
	checkStatus(t, s.do(t, http.MethodGet, "/v1/catalogue", ""), http.StatusOK)
	if got := s.queued(t); got != 3 {
		t.Errorf("%d events are queued, want 3", got)
	}
}

// Judging events costs as much when nothing is stored.
func TestExplainedEventsAreLimited(t *testing.T) {
	s, clock := limited(ports.Limits{Requests: 60, Burst: 3, Events: 3}, httpapi.Config{})
	const explain = "/v1/events/explain"
	answer := s.do(t, http.MethodPost, explain, batch(goodEvent, badEvent))
	checkStatus(t, answer, http.StatusOK)
	checkLimit(t, answer, "60", "2", "1")
	answer = s.do(t, http.MethodPost, explain, "{")
	checkStatus(t, answer, http.StatusBadRequest)
	checkLimit(t, answer, "60", "1", "2")
	for i, path := range []string{explain, "/v1/events"} {
		answer = s.do(t, http.MethodPost, path, batch(goodEvent, goodEvent))
		checkStatus(t, answer, http.StatusTooManyRequests)
		checkHeader(t, answer.Header(), "Retry-After", strconv.Itoa(60-i))
		clock.Advance(time.Second)
	}
	checkStatus(t, s.do(t, http.MethodPost, explain, batch(goodEvent)), http.StatusOK)
}

// Whatever is wrong with a batch, it counts as a request, once.
func TestNothingIsForFree(t *testing.T) {
	for name, request := range map[string]struct {
		body   string
		header []string
		want   int
	}{
		"good":         {batch(goodEvent), nil, http.StatusOK},
		"no JSON":      {"{", nil, http.StatusBadRequest},
		"no good one":  {batch(badEvent), nil, http.StatusBadRequest},
		"too many":     {batch(strings.Split(strings.Repeat(goodEvent+"\n", 101), "\n")[:101]...), nil, http.StatusBadRequest},
		"bad key":      {batch(goodEvent), []string{"Idempotency-Key", "ä"}, http.StatusBadRequest},
		"wrong type":   {batch(goodEvent), []string{"Content-Type", "text/plain"}, http.StatusUnsupportedMediaType},
		"foreign page": {batch(goodEvent), []string{"Origin", "https://evil.example"}, http.StatusForbidden},
		"no gzip":      {batch(goodEvent), []string{"Content-Encoding", "gzip"}, http.StatusBadRequest},
		"too long":     {strings.Repeat(" ", 100<<10+1), nil, http.StatusRequestEntityTooLarge},
		"strict":       {batch(goodEvent, badEvent), []string{"Prefer", "handling=strict"}, http.StatusBadRequest},
		"a known name": {`{"events":[],"email":"x"}`, nil, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := limited(ports.Limits{Requests: 60, Burst: 3, Events: 1000}, httpapi.Config{})
			for i := range 3 {
				answer := s.do(t, http.MethodPost, "/v1/events", request.body, request.header...)
				checkStatus(t, answer, request.want)
				checkLimit(t, answer, "60", strconv.Itoa(2-i), strconv.Itoa(i+1))
			}
			checkStatus(t, s.do(t, http.MethodPost, "/v1/events", request.body, request.header...), http.StatusTooManyRequests)
		})
	}
}

// An address that is too long counts like any other, and fills no log where
// nothing is counted.
func TestLongAddressesAreLimited(t *testing.T) {
	for _, test := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, "/v1/catalogue", http.StatusTooManyRequests},
		{http.MethodGet, "/v1/nothing", http.StatusTooManyRequests},
		{http.MethodPost, "/v1/events", http.StatusTooManyRequests},
		{http.MethodPost, "/v1/live", http.StatusTooManyRequests},
		{http.MethodGet, "/v1/live", http.StatusRequestURITooLong},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			s, _ := limited(ports.Limits{Requests: 60, Burst: 3, Events: 1000}, httpapi.Config{})
			long := test.path + "?" + strings.Repeat("x", 12<<10)
			for range 3 {
				checkStatus(t, s.do(t, test.method, long, ""), http.StatusRequestURITooLong)
			}
			checkStatus(t, s.do(t, test.method, long, ""), test.want)
			if lines := s.log.linesAt(t, slog.LevelDebug); len(lines) != 4 {
				t.Errorf("not all is logged at debug: %s", s.log)
			}
		})
	}
}

// A batch that fails before it is judged, and could not have been let in, is
// refused for that reason.
func TestUnreadableBatchesAreRefusedForTheLimit(t *testing.T) {
	limits := ports.Limits{Requests: 60, Burst: 1, Events: 1000}
	s := newService(setup{limit: app.NewLimit(limits, forgetful{}, forgetful{})})
	for _, body := range []string{"{", batch(goodEvent)} {
		checkStatus(t, s.do(t, http.MethodPost, "/v1/events", body), http.StatusTooManyRequests)
	}
}

// forgetful refuses everybody and does not remember it.
type forgetful struct{}

func (forgetful) Take(context.Context, string, int) (ports.Allowance, error) {
	return ports.Allowance{Barred: true, Wait: time.Second}, nil
}

func (forgetful) Barred(string) (ports.Allowance, bool) { return ports.Allowance{}, false }

// Of a request of who is barred not even the body is read.
func TestTheBarredAreRefusedAtOnce(t *testing.T) {
	limiter := barring{t}
	s := newService(setup{limit: app.NewLimit(ports.Limits{Requests: 60}, limiter, limiter)})
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/events", unreadable{t})
	answer := httptest.NewRecorder()
	s.ServeHTTP(answer, request)
	checkStatus(t, answer, http.StatusTooManyRequests)
	checkHeader(t, answer.Header(), "Retry-After", "120")
	checkLimit(t, answer, "60", "0", "180")
}

// barring knows everybody to be barred.
type barring struct{ t *testing.T }

func (b barring) Take(context.Context, string, int) (ports.Allowance, error) {
	b.t.Error("it is judged")
	return ports.Allowance{}, nil
}

func (barring) Barred(string) (ports.Allowance, bool) {
	return ports.Allowance{Barred: true, Wait: 2*time.Minute - time.Second/2, Reset: 3 * time.Minute}, true
}

type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body is read")
	return 0, io.EOF
}

func TestStatusTellsOfLimits(t *testing.T) {
	limits := ports.Limits{Requests: 60, Burst: 2, Events: 1000}
	alone := memory.NewLimiter(memory.LimiterConfig{Limits: limits, Clock: memory.NewClock(now)})
	s := newService(setup{limit: app.NewLimit(limits, away{}, alone)})
	s.do(t, http.MethodGet, "/v1/catalogue", "")
	if text := s.do(t, http.MethodGet, "/v1/status", "").Body.String(); !strings.Contains(text, `"rate_limit":{"granted":2,"refused":0,"unshared":2}`) {
		t.Errorf("status is %s", text)
	}
	if text := newService(setup{}).do(t, http.MethodGet, "/v1/status", "").Body.String(); strings.Contains(text, "rate_limit") {
		t.Errorf("status without limits is %s", text)
	}
}

// away is a limiter that cannot be asked.
type away struct{}

func (away) Take(context.Context, string, int) (ports.Allowance, error) {
	return ports.Allowance{}, domain.NewError(domain.CodeUnavailable, errors.New("away"), "away")
}

func (away) Barred(string) (ports.Allowance, bool) { return ports.Allowance{}, false }

// from asks as a peer with these headers, and returns how many requests remain
// to it.
func (s *service) from(t *testing.T, peer string, header ...string) string {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/catalogue", nil)
	request.RemoteAddr = peer
	for i := 0; i < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	recorder := httptest.NewRecorder()
	s.ServeHTTP(recorder, request)
	return recorder.Header().Get("X-RateLimit-Remaining")
}

const (
	forwardedFor = "X-Forwarded-For"
	proxy        = "10.0.0.1:1234"
)

var trusted = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("fd00::/8"),
}

// Who is who: requests of the same client share an allowance.
func TestAddresses(t *testing.T) {
	type request struct {
		peer   string
		header []string
	}
	direct := func(peer string) request { return request{peer: peer} }
	by := func(header ...string) request { return request{peer: proxy, header: header} }
	sameAs := map[string]struct{ one, other request }{
		"port does not matter":     {direct("203.0.113.9:1"), direct("203.0.113.9:2")},
		"IPv4 in IPv6":             {direct("[::ffff:203.0.113.9]:1"), direct("203.0.113.9:1")},
		"IPv6 network":             {direct("[2001:db8:1:2::1]:1"), direct("[2001:db8:1:2:ffff::]:1")},
		"zone":                     {direct("[fe80::1%eth0]:1"), direct("[fe80::2]:1")},
		"peer without address":     {direct("@"), direct("")},
		"forged by a stranger":     {request{"203.0.113.9:1", []string{forwardedFor, "198.51.100.1"}}, direct("203.0.113.9:1")},
		"forged, the other way":    {request{"203.0.113.9:1", []string{"Forwarded", "for=198.51.100.1"}}, direct("203.0.113.9:1")},
		"by a proxy":               {by(forwardedFor, "203.0.113.9"), direct("203.0.113.9:1")},
		"by an IPv6 proxy":         {request{"[fd00::1]:1", []string{forwardedFor, "203.0.113.9"}}, direct("203.0.113.9:1")},
		"by a proxy in a zone":     {request{"[fd00::1%eth0]:1", []string{forwardedFor, "203.0.113.9"}}, direct("203.0.113.9:1")},
		"by a mapped proxy":        {request{"[::ffff:10.0.0.1]:1", []string{forwardedFor, "203.0.113.9"}}, direct("203.0.113.9:1")},
		"last of the untrusted":    {by(forwardedFor, "198.51.100.1, 203.0.113.9, 10.1.1.1"), direct("203.0.113.9:1")},
		"by several headers":       {by(forwardedFor, "198.51.100.1", forwardedFor, "203.0.113.9"), direct("203.0.113.9:1")},
		"several, trusted last":    {by(forwardedFor, "198.51.100.1, 203.0.113.9", forwardedFor, "192.0.2.7,10.9.9.9"), direct("203.0.113.9:1")},
		"with a port":              {by(forwardedFor, "203.0.113.9:4711"), direct("203.0.113.9:1")},
		"in brackets":              {by(forwardedFor, "[2001:db8::1]"), direct("[2001:db8::2]:1")},
		"in brackets with a port":  {by(forwardedFor, "[2001:db8::1]:4711"), direct("[2001:db8::2]:1")},
		"bare IPv6":                {by(forwardedFor, "2001:db8::1"), direct("[2001:db8::2]:1")},
		"zone by a proxy":          {by(forwardedFor, "fe80::1%25eth0"), direct("[fe80::2]:1")},
		"mapped by a proxy":        {by(forwardedFor, "::ffff:203.0.113.9"), direct("203.0.113.9:1")},
		"empty elements":           {by(forwardedFor, " , 203.0.113.9 ,\t,"), direct("203.0.113.9:1")},
		"all trusted":              {by(forwardedFor, "10.7.7.7, 10.1.1.1"), direct("10.7.7.7:1")},
		"nothing":                  {by(), direct(proxy)},
		"empty":                    {by(forwardedFor, ""), direct(proxy)},
		"garbage":                  {by(forwardedFor, "203.0.113.9, garbage"), direct(proxy)},
		"garbage before":           {by(forwardedFor, "garbage, 203.0.113.9"), direct("203.0.113.9:1")},
		"garbage behind trusted":   {by(forwardedFor, "203.0.113.9, garbage, 10.1.1.1"), direct(proxy)},
		"unknown":                  {by(forwardedFor, "unknown"), direct(proxy)},
		"port out of range":        {by(forwardedFor, "203.0.113.9:65536"), direct(proxy)},
		"port missing":             {by(forwardedFor, "203.0.113.9:"), direct(proxy)},
		"a network":                {by(forwardedFor, "203.0.113.0/24"), direct(proxy)},
		"leading zeros":            {by(forwardedFor, "203.0.113.009"), direct(proxy)},
		"bracket left open":        {by(forwardedFor, "[2001:db8::1"), direct(proxy)},
		"IPv4 in brackets":         {by(forwardedFor, "[203.0.113.9]"), direct(proxy)},
		"no address at all":        {by(forwardedFor, "0.0.0.0"), direct(proxy)},
		"Forwarded":                {by("Forwarded", "for=203.0.113.9"), direct("203.0.113.9:1")},
		"Forwarded, full":          {by("Forwarded", `for=198.51.100.1, For="203.0.113.9:4711";proto=https;by=10.0.0.1 , for=10.2.2.2`), direct("203.0.113.9:1")},
		"Forwarded, IPv6":          {by("Forwarded", `for="[2001:db8::1]:4711"`), direct("[2001:db8::2]:1")},
		"Forwarded, semicolons":    {by("Forwarded", `proto="a;for=198.51.100.1,";for=203.0.113.9`), direct("203.0.113.9:1")},
		"Forwarded, several":       {by("Forwarded", "for=198.51.100.1", "Forwarded", "for=203.0.113.9"), direct("203.0.113.9:1")},
		"Forwarded, open quote":    {by("Forwarded", `for="198.51.100.1`, "Forwarded", "for=203.0.113.9"), direct("203.0.113.9:1")},
		"Forwarded, swallowed":     {by("Forwarded", `for="198.51.100.1, for=203.0.113.9`), direct(proxy)},
		"Forwarded, hidden":        {by("Forwarded", "for=_secret"), direct(proxy)},
		"Forwarded, unknown":       {by("Forwarded", "for=unknown"), direct(proxy)},
		"Forwarded, no for":        {by("Forwarded", "for=203.0.113.9, proto=https"), direct(proxy)},
		"Forwarded, twice":         {by("Forwarded", "for=203.0.113.9;for=198.51.100.1"), direct(proxy)},
		"both agree":               {by("Forwarded", "for=203.0.113.9", forwardedFor, "203.0.113.9"), direct("203.0.113.9:1")},
		"both, one forged":         {by("Forwarded", "for=198.51.100.1", forwardedFor, "203.0.113.9"), direct(proxy)},
		"both, one malformed":      {by("Forwarded", "for=", forwardedFor, "203.0.113.9"), direct(proxy)},
		"both, one names the peer": {by("Forwarded", "for=198.51.100.1", forwardedFor, "10.0.0.1"), direct(proxy)},
	}
	for name, test := range sameAs {
		t.Run(name, func(t *testing.T) {
			s, _ := limited(ports.Limits{Requests: 60, Burst: 10, Events: 1}, httpapi.Config{TrustedProxies: trusted})
			if got := s.from(t, test.one.peer, test.one.header...); got != "9" {
				t.Fatalf("%s remain at first", got)
			}
			if got := s.from(t, test.other.peer, test.other.header...); got != "8" {
				t.Errorf("it is not the same client: %s remain", got)
			}
			if text := s.log.String(); strings.Contains(text, "203.0.113") || strings.Contains(text, "2001:db8") || strings.Contains(text, "10.0.0.1") {
				t.Errorf("an address is logged: %s", text)
			}
		})
	}
}

func TestClientsAreToldApart(t *testing.T) {
	s, _ := limited(ports.Limits{Requests: 60, Burst: 10, Events: 1}, httpapi.Config{TrustedProxies: trusted})
	for _, peer := range []string{"203.0.113.9:1", "203.0.113.10:1", "[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1", "[::1]:1", "10.0.0.1:1", "@"} {
		if got := s.from(t, peer); got != "9" {
			t.Errorf("%s: %s remain", peer, got)
		}
	}
	for _, client := range []string{"198.51.100.1", "198.51.100.2"} {
		if got := s.from(t, proxy, forwardedFor, client); got != "9" {
			t.Errorf("%s: %s remain", client, got)
		}
	}
}

// Nobody is believed unless the configuration says so.
func TestNoProxyIsTrustedByDefault(t *testing.T) {
	s, _ := limited(ports.Limits{Requests: 60, Burst: 3, Events: 1}, httpapi.Config{})
	for i, want := range []string{"2", "1", "0", "0"} {
		if got := s.from(t, "127.0.0.1:1", forwardedFor, "198.51.100."+strconv.Itoa(i)); got != want {
			t.Errorf("%s remain, want %s", got, want)
		}
	}
}

// However a client words its way, nothing but a proxy's word gives it another
// allowance.
func FuzzAddresses(f *testing.F) {
	f.Add("198.51.100.1", "for=198.51.100.1")
	f.Add("\"", `for="[`)
	f.Fuzz(func(t *testing.T, xff, forwarded string) {
		s, _ := limited(ports.Limits{Requests: 60, Burst: 3, Events: 1}, httpapi.Config{TrustedProxies: trusted})
		s.from(t, proxy, forwardedFor, xff+", 203.0.113.9")
		if got := s.from(t, proxy, forwardedFor, xff, forwardedFor, "203.0.113.9"); got != "1" {
			t.Errorf("%s remain", got)
		}
		s.from(t, "203.0.113.10:1", forwardedFor, xff, "Forwarded", forwarded)
		if got := s.from(t, "203.0.113.10:1"); got != "1" {
			t.Errorf("%s remain to a stranger", got)
		}
	})
}
