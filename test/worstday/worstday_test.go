package worstday_test

import (
	"context"
	"flag"
	"math"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// See the target worst-day of the Makefile.
var (
	minutes  = flag.Int("minutes", 15, "for how many minutes the address sends")
	interval = flag.Duration("merge-interval", app.MergeInterval, "how long the journal waits to be merged")
	entries  = flag.Int("merge-entries", 0, "how many entries make the journal long; 0 is the default")
)

// The bounds, in bytes an event: 100 MB for the 1,440,000 events of a day. What hours
// take of that does not depend on how many there are. The day's values take less
// the more events the day has.
const (
	hourBytes    = 41
	dayBytes     = 28 // when it is over
	dayBytesHour = 48 // after an hour
)

// TestWorstDayOfOneAddress sends 1,000 events a minute that are all different, has them
// merged by the rules of app.Merge, and demands exact answers and little disk.
func TestWorstDayOfOneAddress(t *testing.T) {
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			day := domain.Daily.Floor(contract.Now)
			clock := memory.NewClock(day)
			e := open(t, clock)
			a := newAddress(day)
			peak := send(t, e, a, clock)
			clock.Set(day.Add(domain.Daily.Length() - time.Second)) // so that periods have all of the day

			checkAnswers(t, e, a)
			n := float64(a.want.total.Calls)
			taken, free := e.size(t)
			t.Logf("%.0f events take %.1f MB, and %.1f MB beside that are free for the next merge; the heap had up to %d MB",
				n, float64(taken-free)/1e6, float64(free)/1e6, peak>>20)
			ofDay := float64(dayBytesHour)
			if a.minute > 60 {
				ofDay = dayBytes + (dayBytesHour-dayBytes)*(1-float64(a.minute)/(24*60))
			}
			if most := (hourBytes+ofDay)*n + 1e6; float64(taken-free) > most {
				t.Errorf("%d bytes are taken, more than %.0f", taken-free, most)
			}
			// A merge writes all of a small day beside what it replaces, and of a large
			// one a part.
			if most := min(1.5*ofDay*n+4e6, 12e6); float64(free) > most {
				t.Errorf("%d bytes are free, more than %.0f", free, most)
			}
			readStatistics(t, e, clock)
			checkRebuild(t, e, day)
		})
	}
}

// watchedMerger counts how often a merge has looked at the journal.
type watchedMerger struct {
	ports.Merger

	looks atomic.Int64
}

func (m *watchedMerger) Journal(ctx context.Context) ([]ports.JournalDay, error) {
	days, err := m.Merger.Journal(ctx)
	m.looks.Add(1)
	return days, err
}

// send stores minute after minute. The clock stands still while something is due to
// be merged. It returns how large the heap was at most.
func send(t *testing.T, e engine, a *address, clock *memory.Clock) uint64 {
	t.Helper()
	m := startMerging(t, e, clock)
	var peak uint64
	m.running.Go(func() {
		for m.ctx.Err() == nil {
			var stats runtime.MemStats
			runtime.ReadMemStats(&stats)
			peak = max(peak, stats.HeapAlloc)
			time.Sleep(20 * time.Millisecond)
		}
	})
	for range *minutes {
		stored, err := e.store.Store(t.Context(), a.next(clock.Now()))
		if err != nil {
			t.Fatal(err)
		}
		m.merge.Note(stored.Entries)
		clock.Advance(time.Minute)
		m.await(t)
	}
	m.finish(t)
	return peak
}

// merging runs an app.Merge by a clock that is set.
type merging struct {
	merge   *app.Merge
	watched *watchedMerger
	engine  engine
	clock   *memory.Clock
	ctx     context.Context //nolint:containedctx // ends what runs
	stop    context.CancelFunc
	running sync.WaitGroup
}

func startMerging(t *testing.T, e engine, clock *memory.Clock) *merging {
	t.Helper()
	m := &merging{watched: &watchedMerger{Merger: e.store}, engine: e, clock: clock}
	m.merge = app.NewMerge(m.watched, e.store, clock, quiet(), app.MergeConfig{
		Interval: *interval, MaxEntries: *entries, PieceEntries: 2 * *entries, PollInterval: time.Millisecond, Timeout: time.Hour,
	})
	m.ctx, m.stop = context.WithCancel(t.Context())
	m.running.Go(func() { m.merge.Run(m.ctx, t.Context()) })
	t.Cleanup(func() {
		m.stop()
		m.running.Wait()
	})
	return m
}

// await waits until a day of which something is due is merged: whoever began to look
// at the journal after now looks once more after that.
func (m *merging) await(t *testing.T) {
	t.Helper()
	want := m.watched.looks.Load() + 3
	until(t, "the journal is looked at", func() bool { return m.watched.looks.Load() >= want })
}

// finish lets time pass until everything is due, and ends when the journal is empty.
func (m *merging) finish(t *testing.T) {
	t.Helper()
	m.clock.Advance(6**interval + time.Hour) // a day that is over waits for six intervals
	until(t, "the journal is empty", func() bool {
		days, err := m.engine.store.Journal(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(days) == 0
	})
	m.stop()
	m.running.Wait()
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// checkAnswers compares all breakdowns with what was sent.
func checkAnswers(t *testing.T, e engine, a *address) {
	t.Helper()
	activity, err := e.store.Activity(t.Context())
	activity.LastReceived = time.Time{}
	if err != nil || activity != a.want.folded {
		t.Errorf("%+v, %v; want %+v", activity, err, a.want.folded)
	}
	if a.minute > 1 && (activity.FoldedVersions == 0 || activity.FoldedErrorTypes == 0) {
		t.Error("nothing found no place")
	}
	for _, r := range domain.Resolutions() {
		selected := selectAll(t, e, a.day, r, domain.Filter{})
		calls := make(map[domain.Dimension]map[string]int64)
		for _, d := range domain.Dimensions() {
			calls[d] = make(map[string]int64)
			for _, row := range selected.Rollups[d] {
				calls[d][row.Group.Value(d)] += row.Rollup.Calls
			}
		}
		if !reflect.DeepEqual(calls, a.want.calls) {
			t.Errorf("by the %s the breakdowns count other calls", r)
		}
		errors := make(map[string]int64)
		for _, row := range selected.Errors {
			errors[row.ErrorType] += row.Count
		}
		if !reflect.DeepEqual(errors, a.want.errors) {
			t.Errorf("by the %s other errors are counted", r)
		}
		var total domain.Rollup
		for i := range selected.Rollups[domain.DimensionNone] {
			total.Merge(&selected.Rollups[domain.DimensionNone][i].Rollup)
		}
		if !reflect.DeepEqual(total, a.want.total) {
			t.Errorf("by the %s the total is %d calls, want %d, or it differs in another number", r, total.Calls, a.want.total.Calls)
		}
		if n := float64(total.Calls); math.Abs(float64(total.Sessions.Estimate())-n) > 0.06*n {
			t.Errorf("%d sessions of %d", total.Sessions.Estimate(), total.Calls)
		}
	}
}

func selectAll(t *testing.T, e engine, day time.Time, r domain.Resolution, filter domain.Filter) domain.Selected {
	t.Helper()
	selected, err := e.store.Select(t.Context(), domain.Selection{
		Window: domain.Window{Start: day, End: day.Add(domain.Daily.Length()), Resolution: r}, Filter: filter,
		By: append(domain.Dimensions(), domain.DimensionNone), Latency: true, Sessions: true, Errors: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return selected
}

var filters = map[string]domain.Filter{
	"no filter":           {},
	"country":             {Country: "DE"},
	"version":             {Version: "1.0.7"},
	"country and service": {Country: "DE", Service: "noaa"},
	"version and service": {Version: "1.0.7", Service: "noaa"},
	"all":                 {Tool: "get_forecast", Version: domain.OtherName, Country: "DE", Service: "noaa"},
}

// checkRebuild compares every answer with what it is after the aggregates were made
// again from raw events.
func checkRebuild(t *testing.T, e engine, day time.Time) {
	t.Helper()
	answers := func() map[string]domain.Selected {
		all := make(map[string]domain.Selected)
		for name, filter := range filters {
			for _, r := range domain.Resolutions() {
				all[name+string(r)] = selectAll(t, e, day, r, filter)
			}
		}
		return all
	}
	before := answers()
	if _, err := e.store.RebuildDay(t.Context(), day, domain.Cutoffs{}); err != nil {
		t.Fatal(err)
	}
	for name, after := range answers() {
		if d := contract.Difference(after, before[name]); d != "" {
			t.Errorf("%s is other after a rebuild: %s", name, d)
		}
	}
}

// readStatistics logs how long the slowest of them takes.
func readStatistics(t *testing.T, e engine, clock *memory.Clock) {
	t.Helper()
	u := app.NewStatistics(e.store, clock, app.StatisticsConfig{PrivacyMinCount: 5})
	for name, filter := range filters {
		var slowest time.Duration
		for _, period := range []string{"24h", "30d"} {
			q := app.StatisticsQuery{Period: period, Filter: filter}
			for _, read := range []func() error{
				func() error { _, err := u.Overview(t.Context(), q); return err },
				func() error { _, err := u.All(t.Context(), q); return err },
				func() error { _, err := u.Tools(t.Context(), q); return err },
				func() error { _, err := u.Errors(t.Context(), q); return err },
				func() error { _, err := u.Performance(t.Context(), q); return err },
			} {
				start := time.Now()
				if err := read(); err != nil {
					t.Errorf("%s, %s: %v", name, period, err)
				}
				slowest = max(slowest, time.Since(start))
			}
		}
		t.Logf("with %s the slowest statistic takes %v", name, slowest.Round(time.Millisecond))
	}
}
