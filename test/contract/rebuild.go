package contract

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// Rebuild tests a store against the promises of ports.Rebuilder, which it must
// implement.
func Rebuild(t *testing.T, open OpenStore) {
	for name, test := range map[string]func(*testing.T, OpenStore){
		"nothing changes where nothing is wrong":   testRebuildChangesNothing,
		"a day without events has no aggregates":   testRebuildEmptyDay,
		"aggregates are what raw events add up to": testRebuildFromRaw,
		"raw events and total are counted":         testRebuildCounts,
		"what is due is left out":                  testRebuildLeavesOutDue,
		"workers may store meanwhile":              testRebuildBesideWriters,
		"a cancelled rebuild ends":                 testRebuildCancelled,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

func rebuilderOf(t *testing.T, h StoreHarness) ports.Rebuilder {
	t.Helper()
	r, ok := h.Store.(ports.Rebuilder)
	if !ok {
		t.Fatalf("%T is no ports.Rebuilder", h.Store)
	}
	return r
}

// rebuild rebuilds a day and demands the number of its raw events.
func rebuild(t *testing.T, h StoreHarness, day time.Time, cutoffs domain.Cutoffs, events int) {
	t.Helper()
	n, err := rebuilderOf(t, h).RebuildDay(t.Context(), day, cutoffs)
	if err != nil || n != int64(events) {
		t.Errorf("rebuilt %s from %d events, %v; want %d", day.Format(time.DateOnly), n, err, events)
	}
}

// daysOf sorts events by the UTC day.
func daysOf(events []domain.Event) map[time.Time][]domain.Event {
	days := make(map[time.Time][]domain.Event)
	for _, e := range events {
		day := bucketOf(&e, domain.Daily)
		days[day] = append(days[day], e)
	}
	return days
}

func testRebuildChangesNothing(t *testing.T, open OpenStore) {
	h := open(t)
	events := EventsOver(17, 600, 60)
	store(t, h.Store, Batches(1, 100, events)...)
	before := selectAll(t, h)
	for range 2 {
		for day, of := range daysOf(events) {
			rebuild(t, h, day, domain.Cutoffs{}, len(of))
			for i, after := range selectAll(t, h) {
				if d := Difference(after, before[i]); d != "" {
					t.Errorf("after a rebuild of %s: %s", day.Format(time.DateOnly), d)
				}
			}
		}
	}
	// And what comes later is added to what was rebuilt.
	more := EventsOver(18, 200, 60)
	store(t, h.Store, Batches(50, 100, more)...)
	checkHolds(t, h, slices.Concat(events, more))
}

// selectAll reads all aggregates, hourly and daily.
func selectAll(t *testing.T, h StoreHarness) []domain.Selected {
	t.Helper()
	var all []domain.Selected
	for _, w := range []domain.Window{hours(), days()} {
		selected, err := h.Store.Select(t.Context(), everything(w))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, selected)
	}
	return all
}

func testRebuildEmptyDay(t *testing.T, open OpenStore) {
	h := open(t)
	events := EventsOver(19, 100, 30)
	store(t, h.Store, NewBatch(1, events...))
	for _, days := range []int{-5, 5} {
		rebuild(t, h, domain.Daily.Floor(Now).AddDate(0, 0, days), domain.Cutoffs{}, 0)
	}
	checkHolds(t, h, events)
}

func testRebuildFromRaw(t *testing.T, open OpenStore) {
	h := open(t)
	events := storeThreeDays(t, h)
	cut := cutoff(domain.Hourly)
	expire(t, h.Store, domain.Cutoffs{Events: cut})
	day := domain.Daily.Floor(cut)
	left := slices.DeleteFunc(slices.Clone(events), func(e domain.Event) bool {
		return domain.Daily.Floor(e.Hour).Equal(day) && e.Hour.Before(cut)
	})
	rebuild(t, h, day, domain.Cutoffs{}, len(daysOf(left)[day]))
	// The days before have lost raw events too, and were not rebuilt.
	checkExpired(t, h, left, hours(), time.Time{}, time.Time{})
	checkExpired(t, h, left, days(), time.Time{}, time.Time{})
}

// testRebuildCounts tells days that have lost raw events from whole ones.
func testRebuildCounts(t *testing.T, open OpenStore) {
	h := open(t)
	events := storeThreeDays(t, h)
	cut := cutoff(domain.Hourly)
	expire(t, h.Store, domain.Cutoffs{Events: cut})
	for day, all := range daysOf(events) {
		left := slices.DeleteFunc(slices.Clone(all), func(e domain.Event) bool { return e.Hour.Before(cut) })
		raw, counted, err := rebuilderOf(t, h).DayCounts(t.Context(), day)
		if err != nil || raw != int64(len(left)) || counted != int64(len(all)) {
			t.Errorf("%s: %d raw events and %d counted, %v; want %d and %d", day.Format(time.DateOnly), raw, counted, err, len(left), len(all))
		}
	}
	raw, counted, err := rebuilderOf(t, h).DayCounts(t.Context(), domain.Daily.Floor(Now).AddDate(0, 0, 5))
	if err != nil || raw != 0 || counted != 0 {
		t.Errorf("a day without events: %d raw events and %d counted, %v", raw, counted, err)
	}
}

func testRebuildLeavesOutDue(t *testing.T, open OpenStore) {
	h := open(t)
	events := storeThreeDays(t, h)
	cut := cutoff(domain.Hourly)
	day := domain.Daily.Floor(cut)
	rebuild(t, h, day, domain.Cutoffs{Hourly: cut, HourlyErrors: cut.Add(2 * time.Hour)}, len(daysOf(events)[day]))
	checkExpired(t, h, events, days(), time.Time{}, time.Time{})
	// Of the hours, those of the rebuilt day alone are left out.
	w := hours()
	w.Start = day
	checkExpired(t, h, events, w, cut, cut.Add(2*time.Hour))
	w.Start, w.End = hours().Start, day
	checkExpired(t, h, events, w, time.Time{}, time.Time{})

	rebuild(t, h, day, domain.Cutoffs{Daily: day.Add(24 * time.Hour), DailyErrors: day.Add(24 * time.Hour)}, len(daysOf(events)[day]))
	checkExpired(t, h, events, hours(), time.Time{}, time.Time{})
	d := days()
	d.Start, d.End = day, day.Add(24*time.Hour)
	checkExpired(t, h, events, d, d.End, d.End)
	d.Start, d.End = d.End, days().End
	checkExpired(t, h, events, d, time.Time{}, time.Time{})
}

func testRebuildBesideWriters(t *testing.T, open OpenStore) {
	h := open(t)
	events := EventsOver(23, 600, 30)
	batches := Batches(1, 10, events)
	inParallel(4, func(i int) {
		if i == 0 {
			for range 4 {
				for day := range daysOf(events) {
					_, err := rebuilderOf(t, h).RebuildDay(t.Context(), day, domain.Cutoffs{})
					must(t, err)
				}
			}
			return
		}
		for n := i - 1; n < len(batches); n += 3 {
			store(t, h.Store, batches[n])
		}
	})
	checkHolds(t, h, events)
}

func testRebuildCancelled(t *testing.T, open OpenStore) {
	h := open(t)
	b := batchOf(1, 20)
	store(t, h.Store, b)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := rebuilderOf(t, h).RebuildDay(ctx, domain.Daily.Floor(Now), domain.Cutoffs{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want one of context.Canceled", err)
	}
	if _, _, err := rebuilderOf(t, h).DayCounts(ctx, domain.Daily.Floor(Now)); !errors.Is(err, context.Canceled) {
		t.Errorf("counting: %v, want one of context.Canceled", err)
	}
	checkHolds(t, h, b.Events)
}
