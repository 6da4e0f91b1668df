package chaos_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// The defaults are short enough for every test run; `make chaos` runs longer.
var (
	batchCount = flag.Int("batches", 300, "how many batches are posted")
	killCount  = flag.Int("kills", 3, "how often the embedded server is killed under load")
	faultCount = flag.Int("faults", 8, "how many faults befall the production processes and servers under load")
	seedFlag   = flag.Uint64("seed", 0, "repeats what was drawn in a run; 0 draws anew")
)

// newRandom returns the source of all that is drawn in a run, and tells the
// seed that repeats it.
func newRandom(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("repeat with -seed=%d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

// tally is what can be counted of a batch, wherever it is stored.
type tally struct {
	Events       int64 `db:"events"`
	Errors       int64 `db:"errors"`
	Milliseconds int64 `db:"milliseconds"`
}

func (t tally) plus(other tally) tally {
	return tally{t.Events + other.Events, t.Errors + other.Errors, t.Milliseconds + other.Milliseconds}
}

// batch is one request body. The version of its events names it, so that it
// is found again in every table that tells versions apart.
type batch struct {
	number int
	hour   time.Time
	body   []byte
	// strict asks for all or nothing.
	strict bool
	// flawed says that one event more is in the body, which is refused.
	flawed bool
	// want is what the batch adds up to once it is accepted.
	want tally
}

func (b batch) version() string { return versionOf(b.number) }

func versionOf(number int) string { return fmt.Sprintf("k.%d", number) }

// acceptable reports whether the rules allow the server to accept the batch.
func (b batch) acceptable() bool { return !b.flawed || !b.strict }

type event struct {
	Version        string `json:"version"`
	Tool           string `json:"tool"`
	Status         string `json:"status"`
	TimestampHour  string `json:"timestamp_hour"`
	Level          string `json:"analytics_level"`
	ErrorType      string `json:"error_type,omitempty"`
	ResponseTimeMS int64  `json:"response_time_ms"`
	Service        string `json:"service"`
	CacheHit       bool   `json:"cache_hit"`
	RetryCount     int    `json:"retry_count"`
	Country        string `json:"country,omitempty"`
	SessionID      string `json:"session_id"`
	SequenceNumber int    `json:"sequence_number"`
}

// shape is how a load looks.
type shape struct {
	// Each of the batches has 1 to events events like those of real clients.
	batches, events int
	// flawless batches are accepted by the rules.
	flawless bool
}

func drawLoad(random *rand.Rand, s shape) []batch {
	hour := time.Now().UTC().Truncate(time.Hour)
	load := make([]batch, s.batches)
	for i := range load {
		load[i] = drawBatch(random, s, i, hour)
	}
	return load
}

func drawBatch(random *rand.Rand, s shape, number int, hour time.Time) batch {
	b := batch{number: number, hour: hour, flawed: !s.flawless && random.IntN(8) == 0, strict: random.IntN(2) == 0}
	events := make([]event, 1+random.IntN(s.events))
	session := fmt.Sprintf("%016x", random.Uint64())
	for i := range events {
		events[i] = drawEvent(random, i)
		events[i].Version = b.version()
		events[i].TimestampHour = hour.Format(time.RFC3339)
		events[i].SessionID = session
		b.want = b.want.plus(tallyOf(events[i]))
	}
	if b.flawed {
		flaw := events[0]
		flaw.Tool = "no_such_tool"
		events = append(events, flaw)
	}
	var err error
	if b.body, err = json.Marshal(map[string][]event{"events": events}); err != nil {
		panic(err) // strings and numbers always marshal
	}
	return b
}

func drawEvent(random *rand.Rand, sequence int) event {
	catalogue := domain.DefaultCatalogue()
	e := event{
		Tool: oneOf(random, catalogue.Tools()), Service: oneOf(random, catalogue.Services()),
		Status: "success", Level: "detailed", SequenceNumber: sequence,
		ResponseTimeMS: random.Int64N(3000), CacheHit: random.IntN(2) == 0, RetryCount: random.IntN(4),
		Country: oneOf(random, []string{"", "US", "DE", "IN"}),
	}
	if random.IntN(4) == 0 {
		e.Status, e.ErrorType = "error", oneOf(random, []string{"timeout", "not_found", "service_error"})
	}
	return e
}

func tallyOf(e event) tally {
	one := tally{Events: 1, Milliseconds: e.ResponseTimeMS}
	if e.Status == "error" {
		one.Errors = 1
	}
	return one
}

func oneOf[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }

// outcome is what a client knows of its batch.
type outcome string

const (
	// accepted batches were answered 200.
	accepted outcome = "accepted"
	// refused batches were answered that they are not taken, or never left the
	// client.
	refused outcome = "refused"
	// unknown batches got no answer, or one that the queue has failed.
	unknown outcome = "unknown"
)

// job is a batch on its way to a server that was up, as far as was known, when
// it was handed out.
type job struct {
	batch   batch
	address string
}

// How long a client waits after the first failure, and after many: what is
// down does not come up at once.
const (
	minPause = 50 * time.Millisecond
	maxPause = time.Second
)

// startClients starts clients that post what they are handed and note what
// they are answered. wait ends them.
func startClients(t *testing.T, count int, outcomes []outcome) (jobs chan<- job, wait func()) {
	t.Helper()
	queue := make(chan job)
	var group sync.WaitGroup
	for range count {
		group.Go(func() {
			client := newClient(t)
			wait := minPause
			for j := range queue {
				got, err := post(context.WithoutCancel(t.Context()), client, j)
				if err != nil {
					t.Errorf("batch %d: %v", j.batch.number, err)
				}
				outcomes[j.batch.number] = got
				switch {
				case got == accepted:
					wait = minPause
				case j.batch.acceptable():
					time.Sleep(wait)
					wait = min(2*wait, maxPause)
				}
			}
		})
	}
	return queue, func() {
		close(queue)
		group.Wait()
	}
}

// newPost is the request that sends a batch.
func newPost(ctx context.Context, j job) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost,
		"http://"+j.address+"/v1/events", bytes.NewReader(j.batch.body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if j.batch.strict {
		request.Header.Set("Prefer", "handling=strict")
	}
	return request, nil
}

// newClient is a client of its own that is as patient as real ones.
func newClient(t *testing.T) *http.Client {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second, Transport: new(http.Transport)}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// post sends a batch once, as clients do. The error reports an answer that no
// server should give.
func post(ctx context.Context, client *http.Client, j job) (outcome, error) {
	request, err := newPost(ctx, j)
	if err != nil {
		return unknown, err
	}
	response, err := client.Do(request)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return refused, nil
	case err != nil:
		return unknown, nil // the server was killed, as it is meant to be
	}
	defer response.Body.Close()
	return judge(response, j.batch)
}

func judge(response *http.Response, b batch) (outcome, error) {
	switch {
	case response.StatusCode == http.StatusOK && b.acceptable():
		var receipt struct{ Count int64 }
		// A body cut off by the kill is no matter: the status says it all.
		if json.NewDecoder(response.Body).Decode(&receipt) == nil && receipt.Count != b.want.Events {
			return accepted, fmt.Errorf("count = %d, want %d", receipt.Count, b.want.Events)
		}
		return accepted, nil
	case response.StatusCode == http.StatusBadRequest && !b.acceptable():
		return refused, nil
	case response.StatusCode == http.StatusServiceUnavailable && isFull(response.Body):
		return refused, nil
	case response.StatusCode == http.StatusServiceUnavailable:
		return unknown, nil
	default:
		return unknown, fmt.Errorf("answered %s", response.Status)
	}
}

// isFull reports whether the answer says that the queue has no room: then, and
// only then, a 503 promises that the batch was left out.
func isFull(body io.Reader) bool {
	var refusal struct{ Details []string }
	return json.NewDecoder(body).Decode(&refusal) == nil &&
		slices.Contains(refusal.Details, "the queue is full: try again later")
}
