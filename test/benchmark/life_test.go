package benchmark_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/test/report"
)

// TestLifeFigures measures how soon a process is ready, how much memory it has, and how
// soon all that was accepted is counted when it was killed under load and started again.
func TestLifeFigures(t *testing.T) {
	whenMeasuring(t)
	section := newSection(t, "life")
	table := report.NewTable("what", "median", "most", "target")
	dir := t.TempDir()
	embedded := func(t *testing.T) server { t.Helper(); return startProgramIn(t, dir, "serve") }
	both := bothServers(t)
	roles := func(role string) func(t *testing.T) server {
		return func(t *testing.T) server {
			t.Helper()
			return startProgram(t, role, slices.Concat(ample, roomy, both)...)
		}
	}
	addStarts(t, table, "from start to ready, embedded, ms", "60", embedded)
	addStarts(t, table, "from start to ready, api, ms", "120", roles("api"))

	var idle []float64
	for range *rounds {
		s := embedded(t)
		time.Sleep(*turnLength)
		idle = append(idle, residentOf(t, s.pid, now))
		s.kill()
	}
	addNumbers(table, "resident, serve, idle, MB", "32", idle)

	loaded := shape{events: 100, connections: 16, addresses: 512}
	var busy []float64
	for range *rounds {
		s := roles("api")(t)
		newPosters(loaded, capturedEvents(t, loaded.events)).hammer(t, s, 3*(*turnLength))
		busy = append(busy, residentOf(t, s.pid, peak))
		s.kill()
	}
	addNumbers(table, "resident at most, api, 16 clients that post 100 events without a pause, MB", "60", busy)

	var complete []float64
	for range *rounds {
		complete = append(complete, countsComplete(t).Seconds())
	}
	addNumbers(table, "from the restart after kill -9 until all is counted, Redis, s", "5", complete)
	section.Table(table)
}

// addStarts starts a server several times, the first of which does not count: it creates
// what it stores into.
func addStarts(t *testing.T, table *report.Table, what, target string, start func(t *testing.T) server) {
	t.Helper()
	start(t).kill()
	var took []float64
	for range 4 * (*rounds) {
		var s server
		took = append(took, inMilliseconds(timed(func() { s = start(t) })))
		s.kill()
	}
	addNumbers(table, what, target, took)
}

func addNumbers(table *report.Table, what, target string, values []float64) {
	table.Add(what, fmt.Sprintf("%.1f", medianOf(values)), fmt.Sprintf("%.1f", slices.Max(values)), target)
}

// countsComplete kills a server that has everything in PostgreSQL and Redis while clients
// post, starts another, and returns how long it takes from then until all that was
// answered is counted.
func countsComplete(t *testing.T) time.Duration {
	t.Helper()
	environ := slices.Concat(ample, bothServers(t), []string{"CACHE_TTL_SECONDS=0", "PRIVACY_MIN_COUNT=0"})
	s := startProgram(t, "serve", environ...)
	killing := time.AfterFunc(2*(*turnLength), s.kill)
	defer killing.Stop()
	answered := 0
	for result := range attackWithBatches(t, s, 200, 3*(*turnLength)) {
		if result.Code == http.StatusOK {
			answered++
		}
	}
	begun := time.Now()
	s = startProgram(t, "serve", environ...)
	defer s.kill()
	var all atomic.Int64
	all.Store(int64(answered * visibleEvents))
	counted := watchCalls(t, s, &all)
	if last := counted[len(counted)-1]; int64(last.calls) < all.Load() {
		t.Fatalf("%d events are accepted, and %d counted", all.Load(), last.calls)
	}
	return counted[len(counted)-1].at.Sub(begun)
}
