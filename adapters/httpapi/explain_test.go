package httpapi_test

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/httpapi"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// halting is a clock that lets nobody go before release is closed.
type halting struct {
	ports.Clock

	begun   chan struct{}
	release chan struct{}
}

func (h halting) Now() time.Time {
	h.begun <- struct{}{}
	<-h.release
	return now
}

// One batch is explained at a time, few wait, and events never wait for them.
func TestExplanationsHaveAGateOfTheirOwn(t *testing.T) {
	clock := halting{begun: make(chan struct{}, 100), release: make(chan struct{})}
	s := newService(setup{explaining: clock, config: httpapi.Config{Explains: app.GateConfig{Line: 4, Patience: time.Minute}}})
	statuses := make(chan int, 20)
	for range 20 {
		go func() { statuses <- s.do(t, http.MethodPost, "/v1/events/explain", batch(goodEvent)).Code }()
	}
	for range 20 - 1 - 4 {
		if status := <-statuses; status != http.StatusServiceUnavailable {
			t.Errorf("status %d of one too many", status)
		}
	}
	<-clock.begun
	checkStatus(t, s.do(t, http.MethodPost, "/v1/events", batch(goodEvent)), http.StatusOK)
	checkStatus(t, s.do(t, http.MethodGet, "/v1/health", ""), http.StatusOK)
	if len(clock.begun) > 0 {
		t.Error("two are explained at once")
	}
	if got := s.Load().RefusedBodies; got != 15 {
		t.Errorf("%d are counted as refused, want 15", got)
	}
	close(clock.release)
	for range 1 + 4 {
		if status := <-statuses; status != http.StatusOK {
			t.Errorf("status %d of one that waited", status)
		}
	}
}

// 600 explanations at once, of 60 addresses within their limits, leave health
// and those who post alone.
func TestFloodOfExplanations(t *testing.T) {
	limits := ports.Limits{Requests: 60, Burst: 10, Events: 1000}
	limiter := memory.NewLimiter(memory.LimiterConfig{Limits: limits, Clock: memory.NewClock(now)})
	s := newService(setup{
		limit:  app.NewLimit(limits, limiter, limiter),
		config: httpapi.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}},
	})
	server := serve(t, s)
	server.Client().Timeout = 20 * time.Second
	ask := func(method, path, address, body string) (status int, length int64, err error) {
		request, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
		if err != nil {
			return 0, 0, err
		}
		request.Header.Set("X-Forwarded-For", address)
		if strings.HasPrefix(body, "\x1f\x8b") {
			request.Header.Set("Content-Encoding", "gzip")
		}
		answer, err := server.Client().Do(request)
		if err != nil {
			return 0, 0, err
		}
		defer func() { _ = answer.Body.Close() }()
		length, err = io.Copy(io.Discard, answer.Body)
		return answer.StatusCode, length, err
	}

	events := make([]string, 100)
	for i := range events {
		events[i] = strings.Replace(goodEvent, "1.23.0", fmt.Sprintf("1.%d", i), 1)
	}
	bodies := []string{zipped(t, batch(events...)), zipped(t, batch(slices.Repeat([]string{goodEvent}, 100)...))}
	var flood sync.WaitGroup
	answered := make(chan int, 600)
	for n := range 600 {
		flood.Go(func() {
			status, length, err := ask(http.MethodPost, "/v1/events/explain", fmt.Sprintf("198.51.100.%d", n%60), bodies[n%2])
			if err != nil || length > 128<<10 {
				t.Errorf("answered with %d bytes, %v", length, err)
			}
			answered <- status
		})
	}
	for n := range 30 {
		if status, _, err := ask(http.MethodGet, "/v1/health", "192.0.2.1", ""); status != http.StatusOK {
			t.Errorf("health is %d, %v", status, err)
		}
		if status, _, err := ask(http.MethodPost, "/v1/events", fmt.Sprintf("192.0.2.%d", 100+n), batch(goodEvent)); status != http.StatusOK {
			t.Errorf("events are answered %d, %v", status, err)
		}
	}
	flood.Wait()
	close(answered)
	counts := map[int]int{}
	for status := range answered {
		counts[status]++
	}
	if counts[http.StatusOK] == 0 || counts[http.StatusOK]+counts[http.StatusServiceUnavailable]+counts[http.StatusTooManyRequests] != 600 {
		t.Errorf("answered %v", counts)
	}
}

// An answer takes memory until the client has read it, so there must be room.
func TestExplanationsCountAgainstMemory(t *testing.T) {
	s := newService(setup{})
	b := newBounded(t, s, httpapi.ConnectionsConfig{MaxBytes: 170 << 10})
	events := make([]string, 100)
	for i := range events {
		events[i] = strings.NewReplacer("1.23.0", fmt.Sprintf("1.%d", i), `"minimal"`, `"detailed","parameters":{"note":"`+strings.Repeat("x", 64)+
			`","more":"`+strings.Repeat("y", 64)+`","most":"`+strings.Repeat("z", 64)+`","last":"`+strings.Repeat("v", 64)+`"}`).Replace(goodEvent)
	}
	ask := func(events []string) int {
		body := batch(events...)
		c := dial(t, neighbour, b.address)
		say(t, c, fmt.Sprintf("POST /v1/events/explain HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		return answerOn(t, c).StatusCode
	}
	if status := ask(events); status != http.StatusServiceUnavailable {
		t.Errorf("status %d of an answer without room", status)
	}
	eventually(t, func() bool { return b.Counts().Bytes <= idleBytes })
	if status := ask(events[:10]); status != http.StatusOK {
		t.Errorf("status %d of an answer with room", status)
	}
}
