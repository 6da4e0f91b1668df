package httpapi_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/httpapi"
	"github.com/weather-mcp/weather-mcp-analytics/app"
)

// Under pressure nothing is begun that takes memory, and all else goes on.
func TestPressureRefusesWhatTakesMemory(t *testing.T) {
	pressed := app.GateConfig{Pressed: func() bool { return true }}
	s := newService(setup{config: httpapi.Config{Bodies: pressed}, answers: app.AnswersConfig{Computations: pressed}})
	tests := []struct {
		method, path string
		status       int
	}{
		{http.MethodPost, "/v1/events", http.StatusServiceUnavailable},
		{http.MethodPost, "/v1/events/explain", http.StatusServiceUnavailable},
		{http.MethodGet, "/v1/stats/all", http.StatusServiceUnavailable},
		{http.MethodGet, "/v1/stats/tool/get_forecast", http.StatusServiceUnavailable},
		{http.MethodGet, "/v1/live", http.StatusOK},
		{http.MethodGet, "/v1/health", http.StatusOK},
		{http.MethodGet, "/v1/status", http.StatusOK},
		{http.MethodGet, "/v1/stats/health", http.StatusOK},
		{http.MethodGet, "/v1/catalogue", http.StatusOK},
	}
	for _, test := range tests {
		t.Run(test.path, func(t *testing.T) {
			answer := s.do(t, test.method, test.path, batch(goodEvent))
			checkStatus(t, answer, test.status)
			if test.status != http.StatusOK {
				checkHeader(t, answer.Header(), "Retry-After", "5")
			}
		})
	}
	if got := s.queued(t); got != 0 {
		t.Errorf("%d events are queued", got)
	}
	if got := s.Load(); got.RefusedBodies != 2 || got.RefusedComputations != 2 {
		t.Errorf("load is %+v", got)
	}
}

func TestBodiesWaitInABoundedLine(t *testing.T) {
	begun, ends := make(chan struct{}), make(chan struct{})
	s := newService(setup{
		config: httpapi.Config{Bodies: app.GateConfig{Places: 1, Patience: time.Millisecond}},
		queue: brokenQueue(func(context.Context) error {
			begun <- struct{}{}
			<-ends
			return nil
		}),
	})
	first := make(chan int, 1)
	go func() { first <- s.do(t, http.MethodPost, "/v1/events", batch(goodEvent)).Code }()
	<-begun
	answer := s.do(t, http.MethodPost, "/v1/events", batch(goodEvent))
	checkStatus(t, answer, http.StatusServiceUnavailable)
	checkHeader(t, answer.Header(), "Retry-After", "5")
	close(ends)
	if status := <-first; status != http.StatusOK {
		t.Errorf("the first got status %d", status)
	}
}

func TestStatusTellsTheLoad(t *testing.T) {
	connections := httpapi.NewConnections(slog.New(slog.DiscardHandler), httpapi.ConnectionsConfig{Max: 2})
	s := newService(setup{config: httpapi.Config{
		Connections: connections,
		Bodies:      app.GateConfig{Pressed: func() bool { return true }},

		DroppedLines: func() int64 { return 7 },
	}})
	address := serveOn(t, s, connections, listen(t))
	s.do(t, http.MethodPost, "/v1/events", batch(goodEvent))
	say(t, dial(t, attacker, address), "garbage\r\n\r\n")
	eventually(t, func() bool { return connections.Counts() == httpapi.ConnectionCounts{Malformed: 1} })
	for range 3 {
		dial(t, attacker, address)
	}
	eventually(t, func() bool { return connections.Counts().ClosedEarly == 1 })
	var answer struct{ Load map[string]int }
	decode(t, s.do(t, http.MethodGet, "/v1/status", "").Body.Bytes(), &answer)
	want := map[string]int{
		"connections": 2, "connection_bytes": 2 * idleBytes, "connections_closed_early": 1, "connections_refused": 0,
		"malformed_requests": 1, "refused_bodies": 1, "refused_computations": 0, "dropped_log_lines": 7,
	}
	for name, count := range want {
		if got, ok := answer.Load[name]; !ok || got != count {
			t.Errorf("%s is %d (there: %t), want %d", name, got, ok, count)
		}
	}
}
