package hostile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

const (
	// witnessTool is what only the witness reports.
	witnessTool = "remove_saved_location"
	// holdPace and floodPace are how long the slowest in a hundred answers to the
	// witness may take beside attackers who hold what they can, and beside those who
	// keep the program busy with all they can send. shortPace is for both in a
	// short run.
	holdPace  = 250 * time.Millisecond
	floodPace = time.Second
	shortPace = 4 * time.Second
	// busyAt is from which p99 of a program that nobody attacks on the machine is
	// busy with something else.
	busyAt = 25 * time.Millisecond
	// witnesses is how many addresses the witness has, so that it may ask often
	// and keep to the limits of each.
	witnesses = 100
	// every is how long the witness waits between two requests.
	every = 25 * time.Millisecond
)

// witness is a client that behaves well: it reports calls and reads statistics,
// and remembers how that went.
type witness struct {
	address string
	clients []*http.Client
	turn    int

	mu        sync.Mutex
	calls     int
	latencies []time.Duration
	problems  []string
}

func newWitness(address string) *witness {
	w := &witness{address: address}
	for i := range witnesses {
		w.clients = append(w.clients, clientFrom(fmt.Sprintf("127.7.0.%d", i+1)))
	}
	return w
}

// watch asks at a steady rate, however long the answers take, until it is told
// to stop.
func (w *witness) watch(ctx context.Context) (stop func()) {
	tick := time.NewTicker(every)
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-tick.C:
				running.Go(func() {
					took := w.ask(context.WithoutCancel(ctx))
					w.mu.Lock()
					defer w.mu.Unlock()
					w.latencies = append(w.latencies, took)
				})
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
		tick.Stop()
		for _, client := range w.clients {
			client.CloseIdleConnections()
		}
	}
}

// ask makes one request, of which each third reads and the others report.
func (w *witness) ask(ctx context.Context) time.Duration {
	w.mu.Lock()
	w.turn++
	turn := w.turn
	w.mu.Unlock()
	client := w.clients[turn%len(w.clients)]
	start := time.Now()
	if turn%3 == 0 {
		w.note("read", w.read(ctx, client))
	} else {
		w.note("report", w.report(ctx, client, turn%5+1))
	}
	return time.Since(start)
}

func (w *witness) note(what string, err error) {
	if err == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = append(w.problems, what+": "+err.Error())
}

func (w *witness) read(ctx context.Context, client *http.Client) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.address+"/v1/stats/overview?period=24h", http.NoBody)
	if err != nil {
		return err
	}
	return answeredOK(client, request)
}

func (w *witness) report(ctx context.Context, client *http.Client, calls int) error {
	events := slices.Repeat([]event{newEvent(witnessTool, "1.0.0")}, calls)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+w.address+"/v1/events", bytes.NewReader(encode(events)))
	if err != nil {
		return err
	}
	if err := answeredOK(client, request); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls += calls
	return nil
}

func answeredOK(client *http.Client, request *http.Request) error {
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered %s %s", response.Status, body)
	}
	return err
}

// check wants every request answered, and every call counted.
func (w *witness) check(t *testing.T) {
	t.Helper()
	if len(w.problems) > 0 {
		t.Errorf("%d requests of the well-behaved client failed, the first: %s", len(w.problems), w.problems[0])
	}
	target := &target{address: w.address}
	if got := target.callsOf(t, witnessTool); got != w.calls {
		t.Errorf("%d calls of the well-behaved client are counted, want %d", got, w.calls)
	}
}

// checkPace wants quick answers to the witness, at the pace of a machine that
// is not busy. A short run, which has few answers and goes on beside all other
// tests, wants no more than that the witness is not kept waiting for the attackers.
func (g *target) checkPace(t *testing.T) {
	t.Helper()
	beside, apart := p99(g.witness.latencies), p99(g.control.witness.latencies)
	t.Logf("p99 of %d answers to the well-behaved client: %v; %v without an attack", len(g.witness.latencies), beside, apart)
	limit := full(g.pace, shortPace)
	if apart > busyAt && *scale {
		limit = time.Duration(float64(g.pace) * float64(apart) / float64(busyAt))
		t.Logf("THE MACHINE IS BUSY: the limit is %v instead of %v", limit, g.pace)
	}
	if beside > limit {
		t.Errorf("the p99 of the well-behaved client is %v, want at most %v", beside, limit)
	}
}

func p99(latencies []time.Duration) time.Duration {
	if len(latencies) == 0 {
		return 0
	}
	slices.Sort(latencies)
	return latencies[len(latencies)*99/100]
}

// event is what the real client sends.
type event struct {
	Version        string         `json:"version"`
	Tool           string         `json:"tool"`
	Status         string         `json:"status"`
	TimestampHour  string         `json:"timestamp_hour"`
	Level          string         `json:"analytics_level"`
	ErrorType      string         `json:"error_type,omitempty"`
	ResponseTimeMS int            `json:"response_time_ms"`
	Service        string         `json:"service"`
	Country        string         `json:"country,omitempty"`
	Parameters     map[string]any `json:"parameters,omitempty"`
	SessionID      string         `json:"session_id,omitempty"`
}

func newEvent(tool, version string) event {
	return event{
		Version: version, Tool: tool, Status: "success", TimestampHour: time.Now().UTC().Truncate(time.Hour).Format(time.RFC3339),
		Level: "standard", ResponseTimeMS: 120, Service: "noaa",
	}
}

func encode(events []event) []byte {
	body, err := json.Marshal(map[string][]event{"events": events})
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return body
}
