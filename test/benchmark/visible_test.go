package benchmark_test

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/weather-mcp/weather-mcp-analytics/test/report"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// visibleRates are batches a second, and within how many milliseconds 99 of 100 of them
// are to be counted.
var visibleRates = []struct {
	batches int
	target  float64
}{{10, 100}, {200, 250}, {1_000, 1_000}}

// visibleEvents is how many events a batch has.
const visibleEvents = 20

// TestVisibleFigures measures how long after a batch is accepted the statistics count it,
// with the cache of answers off: a reader asks for the overview without a pause, and a
// batch is visible with the first answer that counts as many events as were accepted until
// then.
func TestVisibleFigures(t *testing.T) {
	whenMeasuring(t)
	section := newSection(t, "visible")
	table := report.NewTable("store", "batches/s", "accepted within, p99 ms", "counted within, p50 ms", "p99 ms", "target", "reads/s")
	points := make([]string, len(visibleRates))
	for i, r := range visibleRates {
		points[i] = fmt.Sprintf("%d batches/s", r.batches)
	}
	panel := report.Panel{Title: "accepted to visible, 99th percentile", Y: "ms", Points: points}
	for _, store := range []struct {
		name    string
		environ func() []string
	}{
		{"embedded", func() []string { return nil }},
		{"PostgreSQL and Redis", func() []string { return bothServers(t) }},
	} {
		line := report.Line{Name: store.name}
		for _, r := range visibleRates {
			s := startProgram(t, "serve", slices.Concat(ample, []string{"CACHE_TTL_SECONDS=0", "PRIVACY_MIN_COUNT=0"}, store.environ())...)
			f := measureVisible(t, s, r.batches)
			s.kill()
			p99 := quantile(f.visible, 0.99)
			line.Values, line.Limit = append(line.Values, inMilliseconds(p99)), append(line.Limit, r.target)
			table.Add(store.name, strconv.Itoa(r.batches), milliseconds(quantile(f.accepted, 0.99)), milliseconds(median(f.visible)), milliseconds(p99),
				fmt.Sprintf("%.0f", r.target), fmt.Sprintf("%.0f", f.reads))
		}
		panel.Lines = append(panel.Lines, line)
	}
	section.Printf("Batches of %d events, sent whether answers come or not, for %v each:", visibleEvents, *steady)
	section.Table(table)
	section.Chart("visible", "how long after a batch is accepted the statistics count it", panel)
}

// bothServers configures PostgreSQL, and Redis as it is advised.
func bothServers(t *testing.T) []string {
	t.Helper()
	return []string{
		"DATABASE_URL=" + servers.SharedPostgres(t).NewDatabase(t),
		"REDIS_URL=" + servers.Redis(t, "appendonly yes", "appendfsync "+advised, "maxmemory-policy noeviction").URL(),
	}
}

// visibleFigures are what a constant load showed.
type visibleFigures struct {
	accepted, visible []time.Duration
	// reads is how many statistics were read a second.
	reads float64
}

// seen is that a statistic counted so many calls, and when.
type seen struct {
	at    time.Time
	calls int
}

func measureVisible(t *testing.T, s server, batches int) visibleFigures {
	t.Helper()
	reader := make(chan []seen)
	var sent atomic.Int64 // events that are accepted in all, once that is known
	go func() { reader <- watchCalls(t, s, &sent) }()
	var f visibleFigures
	var accepted []time.Time
	for result := range attackWithBatches(t, s, batches, *steady) {
		if result.Code != http.StatusOK {
			t.Errorf("status %d: %s%s", result.Code, result.Error, result.Body)
			continue
		}
		accepted, f.accepted = append(accepted, result.End()), append(f.accepted, result.Latency)
	}
	sent.Store(int64(len(accepted) * visibleEvents))
	counted := <-reader
	f.reads = float64(len(counted)) / counted[len(counted)-1].at.Sub(counted[0].at).Seconds()
	slices.SortFunc(accepted, time.Time.Compare)
	for i, at := range accepted {
		first, _ := slices.BinarySearchFunc(counted, (i+1)*visibleEvents, func(s seen, calls int) int { return cmp.Compare(s.calls, calls) })
		if first == len(counted) {
			t.Fatalf("%d events are accepted, and %d counted", len(accepted)*visibleEvents, counted[len(counted)-1].calls)
		}
		f.visible = append(f.visible, max(0, counted[first].at.Sub(at)))
	}
	return f
}

// watchCalls reads the overview until it counts as many calls as all, which is 0 until
// that is known, or a minute after.
func watchCalls(t *testing.T, s server, all *atomic.Int64) (counted []seen) {
	t.Helper()
	for deadline := time.Now().Add(*steady + time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		var overview struct {
			Summary struct {
				TotalCalls int `json:"total_calls"`
			} `json:"summary"`
		}
		if err := askJSON(t.Context(), s, "/v1/stats/overview?period=24h", &overview); err != nil {
			t.Error(err)
			return append(counted, seen{time.Now(), 0})
		}
		counted = append(counted, seen{time.Now(), overview.Summary.TotalCalls})
		if known := all.Load(); known > 0 && int64(overview.Summary.TotalCalls) >= known {
			break
		}
	}
	return counted
}

// attackWithBatches posts that many batches a second, whether answers come or not.
func attackWithBatches(t *testing.T, s server, batches int, d time.Duration) <-chan *vegeta.Result {
	t.Helper()
	body := capturedEvents(t, visibleEvents)
	var client atomic.Int64
	targets := func(target *vegeta.Target) error {
		*target = vegeta.Target{Method: http.MethodPost, URL: "http://" + s.address + "/v1/events", Body: body, Header: http.Header{
			"Content-Type": {"application/json"}, "X-Forwarded-For": {clientAddress(int(client.Add(1)) % readers)},
		}}
		return nil
	}
	return vegeta.NewAttacker(vegeta.Connections(100)).Attack(targets, vegeta.ConstantPacer{Freq: batches, Per: time.Second}, d, "")
}
