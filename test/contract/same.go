package contract

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// SameStatistics tests that a store answers as the one in memory does,
// whatever the events, however they are cut into batches and calls, in whatever
// order and how often these come, and whichever days are merged in between; also
// after a day was rebuilt, and after the raw events were deleted.
func SameStatistics(t *testing.T, open OpenStore) {
	store := open(t).Store
	check(t, func(t *rapid.T) {
		deleteAll(t, store)
		batches := drawBatches(t)
		reference := memory.NewStore()
		deliver(t, reference, batches)
		deliver(t, store, batches)
		compare(t, store, reference, eventsOf(batches...))
		rebuildOne(t, store, eventsOf(batches...))
		compare(t, store, reference, eventsOf(batches...))
		// Aggregates outlive the raw events that they were made of.
		if _, err := store.Expire(t.Context(), domain.Cutoffs{Events: forever}); err != nil {
			t.Fatalf("expire raw events: %v", err)
		}
		for range rapid.IntRange(1, 3).Draw(t, "selections") {
			compare(t, store, reference, eventsOf(batches...))
		}
	})
}

// rebuildOne computes the aggregates of one of the days, or of none, anew.
func rebuildOne(t *rapid.T, s StorePorts, events []domain.Event) {
	rebuilder, ok := s.(ports.Rebuilder)
	if !ok {
		t.Fatalf("%T is no ports.Rebuilder", s)
	}
	days := daysOf(events)
	drawn := domain.Daily.Floor(first).AddDate(0, 0, rapid.IntRange(0, 3).Draw(t, "rebuilt"))
	if n, err := rebuilder.RebuildDay(t.Context(), drawn, domain.Cutoffs{}); err != nil || n != int64(len(days[drawn])) {
		t.Fatalf("rebuilt from %d events, %v; want %d", n, err, len(days[drawn]))
	}
}

// forever is after everything the suites store, and a year that all can hold.
var forever = time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC)

// first is the first hour of the drawn events, which reach over three days.
var first = domain.Hourly.Floor(Now).Add(-60 * time.Hour)

func drawBatches(t *rapid.T) []domain.Batch {
	event := rapid.Custom(func(t *rapid.T) domain.Event { return DrawEvent(t, first, 60) })
	batches := make([]domain.Batch, rapid.IntRange(1, 5).Draw(t, "batches"))
	for i := range batches {
		batches[i] = NewBatch(i+1, rapid.SliceOfN(event, 0, 6).Draw(t, "events")...)
	}
	return batches
}

// deliver stores every batch, some repeatedly, in some order.
func deliver(t *rapid.T, s StorePorts, batches []domain.Batch) {
	some := rapid.SliceOfN(rapid.SampledFrom(batches), 0, 4)
	calls := rapid.SliceOfN(some, 0, 2).Draw(t, "calls")
	rest := rapid.Permutation(batches).Draw(t, "rest")
	cut := rapid.IntRange(0, len(rest)).Draw(t, "cut")
	for _, call := range append(calls, rest[:cut], rest[cut:]) {
		if _, err := s.Store(t.Context(), call); err != nil {
			t.Fatalf("store: %v", err)
		}
		mergeSome(t, s, domain.Cutoffs{})
	}
}

func compare(t *rapid.T, store, reference StorePorts, events []domain.Event) {
	selection, got := compareStores(t, store, reference)
	if d := Difference(got, Expected(events, selection)); d != "" {
		t.Fatalf("select %+v differs from the events:\n%s", selection, d)
	}
}

// compareStores compares an answer of two stores, and returns it.
func compareStores(t *rapid.T, store, reference StorePorts) (domain.Selection, domain.Selected) {
	selection := drawSelection(t)
	want, err := reference.Select(t.Context(), selection)
	if err != nil {
		t.Fatalf("reference: %v", err)
	}
	got, err := store.Select(t.Context(), selection)
	if err != nil {
		t.Fatalf("select %+v: %v", selection, err)
	}
	if d := Difference(got, want); d != "" {
		t.Fatalf("select %+v differs from the reference:\n%s", selection, d)
	}
	return selection, got
}

// daysFrom lists the UTC days from that of t on.
func daysFrom(t time.Time, n int) []time.Time {
	days := make([]time.Time, n)
	for i := range days {
		days[i] = domain.Daily.Floor(t).AddDate(0, 0, i)
	}
	return days
}

func drawSelection(t *rapid.T) domain.Selection {
	r := rapid.SampledFrom(domain.Resolutions()).Draw(t, "resolution")
	start := r.Floor(first.Add(time.Duration(rapid.IntRange(-2, 50).Draw(t, "start")) * time.Hour))
	length := time.Duration(rapid.IntRange(1, 70).Draw(t, "buckets")) * r.Length()
	values := func(label string, values ...string) string {
		return rapid.SampledFrom(append(values, "", "", "")).Draw(t, label)
	}
	return domain.Selection{
		Window: domain.Window{Start: start, End: start.Add(length), Resolution: r},
		Filter: domain.Filter{
			Tool:    values("tool", "get_forecast", "get_alerts"),
			Version: values("version", "1.0.0", "1.1.0"),
			Country: values("country", "US", "NP"),
			Service: values("service", "noaa", "openmeteo"),
		},
		By:       rapid.SliceOfNDistinct(rapid.SampledFrom(append(domain.Dimensions(), domain.DimensionNone)), 0, 5, rapid.ID).Draw(t, "by"),
		Without:  rapid.SliceOfN(rapid.SampledFrom(daysFrom(first, 4)), 0, 2).Draw(t, "without"),
		Usage:    rapid.Bool().Draw(t, "usage"),
		Latency:  rapid.Bool().Draw(t, "latency"),
		Sessions: rapid.Bool().Draw(t, "sessions"),
		Errors:   rapid.Bool().Draw(t, "errors"),
	}
}
