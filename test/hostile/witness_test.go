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
	// patientLimit and floodLimit are what attacks may add to the slowest in a
	// hundred answers of the witness: those that are slow, and those that take
	// all they can get of the machine, which the attackers share.
	patientLimit = 250 * time.Millisecond
	floodLimit   = time.Second
	// calmRequests are made before an attack, to know how fast the machine is.
	calmRequests = 50
	// witnesses is how many addresses the witness has, so that it may ask often
	// and keep to the limits of each.
	witnesses = 40
	// every is how long the witness waits between two requests.
	every = 25 * time.Millisecond
)

// witness is a client that behaves well: it reports calls and reads statistics,
// and remembers how that went.
type witness struct {
	address string
	clients []*http.Client
	turn    int
	// limit is what the attack may add to the latency.
	limit time.Duration

	mu        sync.Mutex
	calls     int
	calm      []time.Duration
	latencies []time.Duration
	problems  []string
}

func newWitness(address string) *witness {
	w := &witness{address: address, limit: floodLimit}
	for i := range witnesses {
		w.clients = append(w.clients, clientFrom(fmt.Sprintf("127.7.0.%d", i+1)))
	}
	return w
}

// watch asks at a steady rate, first alone and then beside what comes after the
// call, until it is told to stop.
func (w *witness) watch(ctx context.Context) (stop func()) {
	tick := time.NewTicker(every)
	for range calmRequests {
		<-tick.C
		w.calm = append(w.calm, w.ask(ctx))
	}
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
	if err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s %s (%w)", response.Status, body, err)
	}
	return nil
}

// check wants every request answered, quickly, and every call counted.
func (w *witness) check(t *testing.T) {
	t.Helper()
	if len(w.problems) > 0 {
		t.Errorf("%d requests of the well-behaved client failed, the first: %s", len(w.problems), w.problems[0])
	}
	calm, beside := p99(w.calm), p99(w.latencies)
	t.Logf("the well-behaved client's p99: %v, %v before; %d requests, %d calls", beside, calm, len(w.latencies), w.calls)
	if beside > calm+w.limit {
		t.Errorf("the attack makes the p99 of the well-behaved client %v, which was %v", beside, calm)
	}
	target := &target{address: w.address}
	if got := target.callsOf(t, witnessTool); got != w.calls {
		t.Errorf("%d calls of the well-behaved client are counted, want %d", got, w.calls)
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
