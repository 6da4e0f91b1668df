package soak_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/traffic"
)

const (
	// slots is how many requests may be in flight at once.
	slots = 256
	// addresses is how many clients there are; each stays within its limits.
	addresses = 500
	// patience is how long an answer may take.
	patience = 30 * time.Second
)

// load sends requests of several kinds and notes what is wrong with the answers.
type load struct {
	address string
	// slowClient makes a connection for each request.
	client, slowClient *http.Client
	slots              chan struct{}
	sent               atomic.Int64
	// accepted counts the events that were answered 200, unknown those that the program
	// may hold all the same, and shed the requests that a busy machine had no time for.
	accepted, unknown, shed atomic.Int64

	mu sync.Mutex
	// posts and reads are the latencies, in ms, since they were last taken.
	posts, reads []float64
	answers      map[string]int // by kind and status
	faults       []string
}

func newLoad(address string) *load {
	return &load{
		address: address, slots: make(chan struct{}, slots), answers: make(map[string]int),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: slots, DisableCompression: true}},
		slowClient: &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true, DisableCompression: true, ReadBufferSize: 4 << 10, DialContext: dialNarrow, WriteBufferSize: 1,
		}},
	}
}

// dialNarrow makes a connection on which the server soon waits for a slow reader.
func dialNarrow(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return c, c.(*net.TCPConn).SetReadBuffer(4 << 10)
}

// kind is one manner of asking, at a constant rate.
type kind struct {
	name      string
	perSecond float64
	// path is that of the n-th request. One with a body is a POST.
	path func(n int) string
	body func() []byte
	// events is how many must be accepted.
	events int
	// latencies takes how long the answers took, unless it is nil.
	latencies *[]float64
	// slow requests are sent byte by byte and read in small parts.
	slow bool
	want []int
}

func (l *load) kinds() []kind {
	ok, bad := []int{http.StatusOK}, []int{http.StatusBadRequest}
	to := func(path string) func(int) string { return func(int) string { return path } }
	events := to("/v1/events")
	batch := func(n int) func() []byte { return func() []byte { return newBody(n) } }
	text := func(s string) func() []byte { return func() []byte { return []byte(s) } }
	event := string(newBody(1))
	return []kind{
		{name: "post 1", perSecond: 60, path: events, body: batch(1), events: 1, latencies: &l.posts, want: ok},
		{name: "post 20", perSecond: 10, path: events, body: batch(20), events: 20, latencies: &l.posts, want: ok},
		{name: "post 100", perSecond: 3, path: events, body: batch(100), events: 100, latencies: &l.posts, want: ok},
		{name: "slow post", perSecond: 2, path: events, body: batch(1), events: 1, slow: true, want: ok},
		{name: "cached read", perSecond: 20, path: statistic, latencies: &l.reads, want: ok},
		{name: "filtered read", perSecond: 5, path: filtered, want: ok},
		{name: "page", perSecond: 2, path: page, want: ok},
		{name: "slow reader", perSecond: 2, path: to("/openapi.yaml"), slow: true, want: ok},
		{name: "no JSON", perSecond: 3, path: events, body: text(`{"events":[{"version":`), want: bad},
		{name: "unknown tool", perSecond: 3, path: events, body: text(strings.Replace(event, `"tool":"`, `"tool":"no_`, 1)), want: bad},
		{name: "personal data", perSecond: 3, path: events, body: text(strings.Replace(event, `"tool"`, `"email":"a@example.org","tool"`, 1)), want: bad},
		{name: "too large", perSecond: 1, path: events, body: text(strings.Repeat(" ", 200<<10) + event), want: []int{http.StatusRequestEntityTooLarge}},
		{name: "unknown filter", perSecond: 2, path: to("/v1/stats/all?no=1"), want: bad},
		{name: limited, perSecond: 5, path: to("/v1/stats/overview"), want: []int{http.StatusOK, http.StatusTooManyRequests}},
	}
}

// limited is the kind that comes from one address.
const limited = "rate-limited"

// run keeps the load up until the context ends, and then waits for all answers.
func (l *load) run(ctx context.Context) {
	var group sync.WaitGroup
	for _, k := range l.kinds() {
		group.Go(func() {
			start := time.Now()
			for n := 0; ; n++ {
				due := start.Add(time.Duration(float64(n) / k.perSecond * float64(time.Second)))
				if !pause(ctx, time.Until(due)) {
					return
				}
				select {
				case l.slots <- struct{}{}:
					group.Go(func() {
						defer func() { <-l.slots }()
						// What is under way at the end of the load is completed.
						l.note(context.WithoutCancel(ctx), &k, n, due)
					})
				default:
					l.shed.Add(1) // all slots are taken
				}
			}
		})
	}
	group.Wait()
	l.client.CloseIdleConnections()
}

// note sends the n-th request of the kind and notes the answer.
func (l *load) note(ctx context.Context, k *kind, n int, due time.Time) {
	from := l.nextAddress()
	if k.name == limited {
		from = "198.51.100.1"
	}
	var body []byte
	if k.body != nil {
		body = k.body()
	}
	status, answer, err := l.do(ctx, k.path(n), body, from, k.slow)
	ms := float64(time.Since(due).Microseconds()) / 1000
	if err == nil && k.events > 0 && status == http.StatusOK {
		var receipt struct{ Count int }
		if err = json.Unmarshal(answer, &receipt); err == nil && receipt.Count != k.events {
			err = fmt.Errorf("%d events are accepted, want %d", receipt.Count, k.events)
		}
		l.accepted.Add(int64(receipt.Count))
	}
	switch {
	case err == nil && slices.Contains(k.want, status):
	case k.events > 0 && status == http.StatusServiceUnavailable, k.slow && status == http.StatusRequestTimeout:
		l.shed.Add(1)
		l.unknown.Add(int64(k.events)) // a queue that was too slow may hold it
	default:
		l.unknown.Add(int64(k.events))
		l.fault("%s: status %d, error %v", k.name, status, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers[fmt.Sprintf("%s %d", k.name, status)]++
	if k.latencies != nil {
		*k.latencies = append(*k.latencies, ms)
	}
}

func (l *load) fault(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

// takeLatencies returns those since the last call.
func (l *load) takeLatencies() (posts, reads []float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	posts, reads, l.posts, l.reads = l.posts, l.reads, nil, nil
	return posts, reads
}

// do asks for the path, with POST if there is a body.
func (l *load) do(ctx context.Context, path string, body []byte, from string, slow bool) (status int, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	method, client, sent := http.MethodGet, l.client, io.Reader(bytes.NewReader(body))
	if body != nil {
		method = http.MethodPost
	}
	if slow {
		client, sent = l.slowClient, &slowReader{sent, 1, holdUp / time.Duration(max(1, len(body)))}
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+l.address+path, sent)
	if err != nil {
		return 0, nil, err
	}
	if request.ContentLength = int64(len(body)); body == nil {
		request.Body = http.NoBody
	}
	request.Header.Set("X-Forwarded-For", from)
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	received := io.Reader(response.Body)
	if slow {
		received = &slowReader{received, 4 << 10, 100 * time.Millisecond}
	}
	answer, err = io.ReadAll(received)
	return response.StatusCode, answer, err
}

// holdUp is how long a slow body takes.
const holdUp = 5 * time.Second

// slowReader gives no more than size bytes at once, and waits before each part.
type slowReader struct {
	from io.Reader
	size int
	wait time.Duration
}

func (s *slowReader) Read(p []byte) (int, error) {
	time.Sleep(s.wait) // it is the pace, and waits for nothing
	return s.from.Read(p[:min(len(p), s.size)])
}

var statistics = []string{"all", "overview", "tools", "tool/get_forecast", "errors", "performance"}

func statistic(n int) string { return "/v1/stats/" + statistics[n%len(statistics)] }

func page(n int) string { return []string{"/api-docs", "/openapi.yaml", "/v1/catalogue"}[n%3] }

// filtered varies within a small set, so that the cache has all of it after the
// warm-up.
func filtered(n int) string {
	filter := []string{"country=US", "version=1.23.0", "service=noaa", "country=DE&service=openmeteo", "period=7d"}[n/12%5]
	if n%12 < 2 {
		return fmt.Sprintf("/v1/stats/%s?limit=3&order=asc&%s", []string{"tools", "errors"}[n%2], filter)
	}
	return statistic(n) + "?" + filter
}

func (l *load) nextAddress() string {
	n := l.sent.Add(1) % addresses
	return netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}).String()
}

// newBody is a batch of one client in the current hour.
func newBody(events int) []byte {
	tools, services, shape := domain.DefaultCatalogue().Tools(), domain.DefaultCatalogue().Services(), traffic.Real()
	version, country, session := pick(shape.Versions), pick(shape.Countries), rand.Uint64()
	hour := time.Now().UTC().Truncate(time.Hour).Format(time.RFC3339)
	body := []byte(`{"events":[`)
	for i := range events {
		if i > 0 {
			body = append(body, ',')
		}
		body = fmt.Appendf(body, `{"version":%q,"tool":%q,"status":"success","timestamp_hour":%q,"analytics_level":"detailed",`+
			`"response_time_ms":%d,"service":%q,"cache_hit":%t,"country":%q,"session_id":"%016x","sequence_number":%d}`,
			version, pick(tools), hour, rand.IntN(3000), pick(services), i%3 == 0, country, session, i)
	}
	return append(body, "]}"...)
}

func pick(values []string) string { return values[rand.IntN(len(values))] }

// pause reports whether the context lives.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return ctx.Err() == nil
	}
}
