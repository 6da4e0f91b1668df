package benchmark_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/weather-mcp/weather-mcp-analytics/test/report"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// shape is who posts what.
type shape struct {
	name string
	// events is how many a body has, connections how many clients post at a time,
	// and addresses how many they come from.
	events, connections, addresses int
	// uses is how often each address has asked before anything is measured.
	uses int
	// ratio is the share of the reading handler's requests that is to be reached, and
	// p99 the milliseconds that are not to be passed, with Redis and embedded; NaN where
	// nothing is demanded.
	ratio, p99 [2]float64
}

// postShapes are those of TestIngestFigures. A heavy address has used the share that a
// process grants in advance before it is measured, and a light one never does.
var postShapes = []shape{
	{"1 event, light", 1, 64, 100_000, 0, [2]float64{0.35, math.NaN()}, [2]float64{15, math.NaN()}},
	{"1 event, heavy", 1, 64, 64, 60, [2]float64{0.24, 0.12}, [2]float64{math.NaN(), 40}},
	{"20 events", 20, 16, 64, 60, [2]float64{math.NaN(), math.NaN()}, [2]float64{math.NaN(), math.NaN()}},
	{"100 events", 100, 16, 64, 60, [2]float64{0.16, 0.04}, [2]float64{15, 50}},
}

// front is a server that accepts events.
type front struct {
	name string
	// target is which of the targets of a shape it has.
	target int
	start  func(t *testing.T) server
	// settled says that its work on what it accepted is done.
	settled func(t *testing.T, s server) bool
}

// ample are limits that let all pass, and count as an operator's would: the share that a
// process grants in advance is half the burst.
var ample = []string{
	"TRUSTED_PROXIES=127.0.0.1", "RATE_LIMIT_PER_MINUTE=1000000", "RATE_LIMIT_BURST=100", "RATE_LIMIT_EVENTS_PER_MINUTE=1000000",
}

// roomy is a queue that does not fill in a measurement.
var roomy = []string{"MAX_QUEUE_SIZE=10000000", "MAX_QUEUE_MB=8192"}

// fronts are an API beside Redis, which syncs its file each second or for each answer,
// without a worker, and the program with nothing configured, whose worker stores and
// merges beside it.
var fronts = []front{
	{"Redis, each second", 0, func(t *testing.T) server { t.Helper(); return startAPI(t, "everysec") }, always},
	{"Redis, always", 0, func(t *testing.T) server { t.Helper(); return startAPI(t, advised) }, always},
	{"embedded", 1, func(t *testing.T) server { t.Helper(); return startProgram(t, "serve", slices.Concat(ample, roomy)...) }, emptied},
}

func startAPI(t *testing.T, appendfsync string) server {
	t.Helper()
	url := servers.Redis(t, "appendonly yes", "appendfsync "+appendfsync, "maxmemory-policy noeviction").URL()
	return startProgram(t, "api", slices.Concat(ample, roomy, []string{"DATABASE_URL=" + servers.SharedPostgres(t).NewDatabase(t), "REDIS_URL=" + url})...)
}

func always(*testing.T, server) bool { return true }

// emptied says that the queue is empty.
func emptied(t *testing.T, s server) bool {
	t.Helper()
	var status struct {
		Queue struct {
			Events int `json:"events"`
		} `json:"queue"`
	}
	getJSON(t, s, "/v1/status", &status)
	return status.Queue.Events == 0
}

func (f front) settle(t *testing.T, s server) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !f.settled(t, s); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: the queue is not empty after a minute", f.name)
		}
	}
}

// TestIngestFigures compares POST /v1/events, with limits and logs on, until the events
// are durable, with a handler that only reads the body and answers, each in a process of
// its own. Clients ask them in turn, without a pause. The queue is empty when the reading
// handler has its turn, so that no worker slows it down.
func TestIngestFigures(t *testing.T) {
	whenMeasuring(t)
	section := newSection(t, "ingest")
	table := report.NewTable("queue", "what", "requests/s", "reading handler", "ratio", "target", "events/s", "p50 ms", "p99 ms", "target",
		"CPU µs a request", "of Redis", "reading handler")
	reader := startReader(t)
	names := make([]string, len(postShapes))
	for i, s := range postShapes {
		names[i] = s.name
	}
	panels := []report.Panel{
		{Title: "requests beside a handler that only reads", Y: "ratio", Points: names},
		{Title: "throughput", Y: "events/s", Points: names, Log: true},
		{Title: "latency, 99th percentile", Y: "ms", Points: names},
	}
	for _, f := range fronts {
		lines := [3]report.Line{{Name: f.name}, {Name: f.name}, {Name: f.name}}
		for _, s := range postShapes {
			figures := measurePosts(t, f, s, reader)
			add := func(line int, value float64) { lines[line].Values = append(lines[line].Values, value) }
			add(0, figures.ratio)
			add(1, figures.rate*float64(s.events))
			add(2, figures.p99)
			if f.name != "Redis, each second" { // it has the targets of Redis, always
				lines[0].Limit = append(lines[0].Limit, s.ratio[f.target])
				lines[2].Limit = append(lines[2].Limit, s.p99[f.target])
			}
			table.Add(append([]string{f.name, s.name}, figures.cells(s, f)...)...)
		}
		for i := range panels {
			panels[i].Lines = append(panels[i].Lines, lines[i])
		}
	}
	section.Table(table)
	section.Chart("ingest", "requests, throughput and latency by batch size and queue", panels...)
}

// postFigures are medians of turns.
type postFigures struct {
	rate, reading, ratio, p50, p99 float64
	cpu, redisCPU, readingCPU      float64
}

func (f postFigures) cells(s shape, of front) []string {
	target := func(format string, value float64) string {
		if math.IsNaN(value) {
			return ""
		}
		return fmt.Sprintf(format, value)
	}
	return []string{
		fmt.Sprintf("%.0f", f.rate), fmt.Sprintf("%.0f", f.reading), fmt.Sprintf("%.2f", f.ratio), target("%.2f", s.ratio[of.target]),
		fmt.Sprintf("%.0f", f.rate*float64(s.events)), fmt.Sprintf("%.1f", f.p50), fmt.Sprintf("%.1f", f.p99), target("%.0f", s.p99[of.target]),
		fmt.Sprintf("%.0f", f.cpu), fmt.Sprintf("%.0f", f.redisCPU), fmt.Sprintf("%.0f", f.readingCPU),
	}
}

func measurePosts(t *testing.T, f front, s shape, reader server) postFigures {
	t.Helper()
	var figures postFigures
	measured := t.Run(strings.ReplaceAll(f.name+", "+s.name, " ", "-"), func(t *testing.T) {
		server := f.start(t)
		body := capturedEvents(t, s.events)
		posts := newPosters(s, body)
		for posts.sent.Load() < int64(s.uses*s.addresses) {
			posts.hammer(t, server, *turnLength)
		}
		posts.hammer(t, server, *turnLength)
		f.settle(t, server)
		posts.hammer(t, reader, *turnLength)
		var ours, theirs []turn
		var redisCPU []float64
		var latencies []time.Duration
		for range *rounds {
			others := cpuOfChildren(os.Getpid()) - server.cpu(t)
			own := server.cpu(t)
			turn := posts.hammer(t, server, *turnLength)
			redisCPU = append(redisCPU, float64((cpuOfChildren(os.Getpid())-server.cpu(t)-others).Nanoseconds())/1e3/float64(turn.requests))
			f.settle(t, server)
			turn.computed = server.cpu(t) - own // with storing
			ours, latencies = append(ours, turn), append(latencies, turn.latencies...)
			theirs = append(theirs, posts.hammer(t, reader, *turnLength))
		}
		figures = postFigures{
			rate: medianOfTurns(ours, turn.rate), reading: medianOfTurns(theirs, turn.rate), ratio: ratioOf(ours, theirs),
			p50: inMilliseconds(median(latencies)), p99: inMilliseconds(quantile(latencies, 0.99)),
			cpu: medianOfTurns(ours, turn.cpuMicros), redisCPU: medianOf(redisCPU), readingCPU: medianOfTurns(theirs, turn.cpuMicros),
		}
	})
	if !measured {
		t.FailNow()
	}
	return figures
}

// posters post a body, from one address after the other.
type posters struct {
	shape

	head, body []byte
	sent       atomic.Int64
}

func newPosters(s shape, body []byte) *posters {
	return &posters{shape: s, body: body, head: fmt.Appendf(nil,
		"POST /v1/events HTTP/1.1\r\nHost: benchmark\r\nContent-Type: application/json\r\nContent-Length: %d\r\nX-Forwarded-For: ", len(body))}
}

// requests are those of one client, which fills its buffer anew each time.
func (p *posters) requests(_ int) func(number int) []byte {
	var buffer []byte
	return func(int) []byte {
		buffer = append(buffer[:0], p.head...)
		buffer = appendAddress(buffer, int(p.sent.Add(1))%p.addresses)
		buffer = append(append(buffer, "\r\n\r\n"...), p.body...)
		return buffer
	}
}

func (p *posters) hammer(t *testing.T, s server, d time.Duration) turn {
	t.Helper()
	return hammer(t, s, p.connections, d, p.requests)
}

// capturedEvents repeats the events of a captured batch, as if they were of now.
func capturedEvents(tb testing.TB, n int) []byte {
	tb.Helper()
	captured, err := os.ReadFile("../fixtures/real-client-detailed.json")
	if err != nil {
		tb.Fatal(err)
	}
	var batch struct {
		Events []map[string]any `json:"events"`
	}
	if err := json.Unmarshal(captured, &batch); err != nil {
		tb.Fatal(err)
	}
	for _, e := range batch.Events {
		e["timestamp_hour"] = time.Now().UTC().Truncate(time.Hour)
	}
	for i := 0; len(batch.Events) < n; i++ {
		batch.Events = append(batch.Events, batch.Events[i])
	}
	batch.Events = batch.Events[:n]
	body, err := json.Marshal(batch)
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

// TestSustainedFigures has clients post 100 events at a time without a pause to the
// program with nothing configured, until well after its queue is full, while a reader asks
// for all statistics each second. What it stores meanwhile is the rate that it sustains;
// what it has no room for it has to refuse at once.
func TestSustainedFigures(t *testing.T) {
	whenMeasuring(t)
	section := newSection(t, "sustained")
	s := startProgram(t, "serve", slices.Concat(ample, []string{"CACHE_TTL_SECONDS=0"})...)
	posts := newPosters(shape{events: 100, connections: 16, addresses: 512}, capturedEvents(t, 100))
	posts.hammer(t, s, *steady) // fills the queue
	stop := make(chan struct{})
	var reads []time.Duration
	var reading errgroup.Group
	reading.Go(func() (err error) {
		reads, err = readEachSecond(t.Context(), s, stop)
		return err
	})
	before, computed := processed(t, s), s.cpu(t)
	turn := posts.hammer(t, s, 3**steady)
	stored, used := processed(t, s)-before, s.cpu(t)-computed
	close(stop)
	if err := reading.Wait(); err != nil {
		t.Fatal(err)
	}
	table := report.NewTable("", "", "target")
	table.Add("accepted and counted, events/s", fmt.Sprintf("%.0f", float64(stored)/turn.took.Seconds()), "30,000")
	table.Add("CPU time of the program an event, µs", fmt.Sprintf("%.1f", used.Seconds()*1e6/float64(stored)))
	table.Add("accepted within, p50 / p99 in ms", milliseconds(median(turn.latencies))+" / "+milliseconds(quantile(turn.latencies, 0.99)))
	table.Add("refused as the queue is full (503), requests/s", fmt.Sprintf("%.0f", float64(len(turn.refused))/turn.took.Seconds()))
	table.Add("refused within, p50 / p99 in ms", milliseconds(median(turn.refused))+" / "+milliseconds(quantile(turn.refused, 0.99)), "5")
	table.Add("all statistics read, p50 in ms", milliseconds(median(reads)))
	section.Table(table)
}

// readEachSecond asks for all statistics until it is stopped, and returns how long each
// answer took.
func readEachSecond(ctx context.Context, s server, stop <-chan struct{}) (took []time.Duration, err error) {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for {
		select {
		case <-stop:
			return took, nil
		case <-every.C:
		}
		begun := time.Now()
		if err := askJSON(ctx, s, cachedPath, new(struct{})); err != nil {
			return took, err
		}
		took = append(took, time.Since(begun))
	}
}

// processed is how many events are stored.
func processed(t *testing.T, s server) int {
	t.Helper()
	var status struct {
		EventsProcessed int `json:"events_processed"`
	}
	getJSON(t, s, "/v1/status", &status)
	return status.EventsProcessed
}

func medianOfTurns(turns []turn, measure func(turn) float64) float64 {
	values := make([]float64, len(turns))
	for i, t := range turns {
		values[i] = measure(t)
	}
	return medianOf(values)
}

// number writes the median of what is measured of the turns.
func number(format string, turns []turn, measure func(turn) float64) string {
	return fmt.Sprintf(format, medianOfTurns(turns, measure))
}
