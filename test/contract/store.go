package contract

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// StorePorts is what a store adapter implements.
type StorePorts interface {
	ports.EventStore
	ports.StatisticsReader
	ports.Maintainer
}

// StoreHarness lends the suite what it cannot reach through the ports. The
// later functions are nil where an adapter has nothing of the kind.
type StoreHarness struct {
	Store StorePorts
	// Events lists the raw events, in any order.
	Events func(t *testing.T) []domain.Event

	// Reopen ends the store's process and returns the store as the next one
	// sees it. Nil for a store that dies with its process.
	Reopen func(t *testing.T) StorePorts
	// Break takes away what the store writes to. Nil for a store that needs
	// nothing.
	Break func(t *testing.T)
}

// OpenStore returns an empty store and cleans up after the test.
type OpenStore func(t *testing.T) StoreHarness

// Store tests an adapter against the promises of ports.EventStore,
// ports.StatisticsReader and ports.Maintainer.
func Store(t *testing.T, open OpenStore) {
	for name, test := range map[string]func(*testing.T, OpenStore){
		"an empty store gives empty answers":              testEmptyStore,
		"every field survives":                            testStoreRoundTrip,
		"a batch counts once":                             testRepeats,
		"a call with poison stores nothing":               testPoison,
		"one call takes thousands of events":              testLargeCall,
		"every selection is answered as by the events":    testSelect,
		"concurrent writers add up":                       testWriters,
		"the parts of an answer agree while others write": testOneState,
		"activity tells events and the newest batch":      testActivity,
		"raw events expire":                               testExpireEvents,
		"hourly aggregates expire":                        testExpireHourly,
		"daily aggregates expire":                         testExpireDaily,
		"error summaries expire":                          testExpireErrors,
		"the last expiry is remembered":                   testLastExpiry,
		"batch ids expire":                                testExpireBatches,
		"expiring beside writers takes nothing else":      testExpireBesideWriters,
		"a cancelled call ends":                           testStoreCancelled,
		"an interrupted call stores all or nothing":       testStoreInterrupted,
		"what is stored stays stored":                     testReopen,
		"a broken store says that it is unavailable":      testBrokenStore,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

// The windows that hold the events of the suite: three days of hours up to
// [Now], and all days around it.
func hours() domain.Window {
	end := domain.Hourly.Floor(Now).Add(time.Hour)
	return domain.Window{Start: end.Add(-72 * time.Hour), End: end, Resolution: domain.Hourly}
}

func days() domain.Window {
	end := domain.Daily.Floor(Now).Add(24 * time.Hour)
	return domain.Window{Start: end.Add(-30 * 24 * time.Hour), End: end, Resolution: domain.Daily}
}

func everything(w domain.Window) domain.Selection {
	return domain.Selection{
		Window: w, By: append(domain.Dimensions(), domain.DimensionNone), Usage: true, Latency: true, Sessions: true, Errors: true,
	}
}

// checkHolds demands that the store answers as if it held these events.
func checkHolds(t *testing.T, h StoreHarness, events []domain.Event) {
	t.Helper()
	for _, w := range []domain.Window{hours(), days()} {
		checkSelected(t, h.Store, everything(w), Expected(events, everything(w)))
	}
	checkEvents(t, h, events)
	activity, err := h.Store.Activity(t.Context())
	if err != nil || activity.Events != int64(len(events)) {
		t.Errorf("activity %+v, %v; want %d events", activity, err, len(events))
	}
}

func checkSelected(t *testing.T, s ports.StatisticsReader, selection domain.Selection, want domain.Selected) {
	t.Helper()
	got, err := s.Select(t.Context(), selection)
	if err != nil {
		t.Fatalf("select %+v: %v", selection, err)
	}
	if d := Difference(got, want); d != "" {
		t.Fatalf("select %+v:\n%s", selection, d)
	}
}

func checkEvents(t *testing.T, h StoreHarness, want []domain.Event) {
	t.Helper()
	got := h.Events(t)
	if d := firstDifference(sorted(got), sorted(want)); d != "" {
		t.Errorf("raw events: %s", d)
	}
}

// sorted puts the events into the order of their texts.
func sorted(events []domain.Event) []domain.Event {
	texts := make(map[string][]domain.Event, len(events))
	for _, e := range events {
		text := fmt.Sprintf("%+v", e)
		texts[text] = append(texts[text], e)
	}
	list := make([]domain.Event, 0, len(events))
	for _, text := range slices.Sorted(maps.Keys(texts)) {
		list = append(list, texts[text]...)
	}
	return list
}

func store(t *testing.T, s ports.EventStore, batches ...domain.Batch) ports.Stored {
	t.Helper()
	stored, err := s.Store(t.Context(), batches)
	must(t, err)
	return stored
}

// checkStored compares all but the entries, which are [Merger]'s to test.
func checkStored(t *testing.T, got, want ports.Stored) {
	t.Helper()
	got.Entries = 0
	if got != want {
		t.Errorf("stored %+v, want %+v", got, want)
	}
}

func eventsOf(batches ...domain.Batch) []domain.Event {
	var events []domain.Event
	for _, b := range batches {
		events = append(events, b.Events...)
	}
	return events
}

func testEmptyStore(t *testing.T, open OpenStore) {
	h := open(t)
	checkHolds(t, h, nil)
	got, err := h.Store.Select(t.Context(), domain.Selection{Window: hours()})
	if err != nil || len(got.Rollups) != 0 || len(got.Errors) != 0 {
		t.Errorf("nothing asked for, got %+v, %v", got, err)
	}
	if a, err := h.Store.Activity(t.Context()); err != nil || a != (domain.Activity{}) {
		t.Errorf("activity %+v, %v", a, err)
	}
	checkStored(t, store(t, h.Store), ports.Stored{})
}

func testStoreRoundTrip(t *testing.T, open OpenStore) {
	h := open(t)
	want := extremeEvents()
	store(t, h.Store, NewBatch(1, want...))
	checkHolds(t, h, want)
	event := rapid.Custom(func(t *rapid.T) domain.Event { return DrawEvent(t, Now, 1) })
	for number := range 20 {
		events := rapid.SliceOfN(event, 10, 10).Example(number)
		store(t, h.Store, NewBatch(2+number, events...))
		want = append(want, events...)
	}
	checkHolds(t, h, want)
}

func testRepeats(t *testing.T, open OpenStore) {
	h := open(t)
	batches := Batches(1, 10, EventsOver(1, 50, 48))
	checkStored(t, store(t, h.Store, batches[:2]...), ports.Stored{Batches: 2, Events: 20})
	checkStored(t, store(t, h.Store, batches[:2]...), ports.Stored{Repeated: 2})
	checkStored(t, store(t, h.Store, batches[1], batches[2]), ports.Stored{Batches: 1, Events: 10, Repeated: 1})
	checkStored(t, store(t, h.Store, batches[3], batches[3], batches[4]), ports.Stored{Batches: 2, Events: 20, Repeated: 1})
	checkStored(t, store(t, h.Store, NewBatch(100)), ports.Stored{Batches: 1})
	checkStored(t, store(t, h.Store, NewBatch(100)), ports.Stored{Repeated: 1})
	checkHolds(t, h, eventsOf(batches...))
}

// poisonEvents are events that no store takes. Ingestion never accepts them;
// they stand for whatever it may let through by a mistake.
func poisonEvents() map[string]domain.Event {
	nul, future := extremeEvents()[0], extremeEvents()[0]
	nul.Version = "1\x000"
	future.Hour = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
	return map[string]domain.Event{"a string with NUL": nul, "a year of five digits": future}
}

func testPoison(t *testing.T, open OpenStore) {
	for name, poison := range poisonEvents() {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			batches := Batches(1, 10, EventsOver(1, 30, 48))
			store(t, h.Store, batches[0])
			_, err := h.Store.Store(t.Context(), []domain.Batch{batches[1], NewBatch(50, batches[2].Events[0], poison), batches[2]})
			checkCode(t, err, domain.CodePoison)
			if strings.Contains(domain.MessageOf(err), poison.Version) {
				t.Errorf("%q repeats what was submitted", domain.MessageOf(err))
			}
			checkHolds(t, h, batches[0].Events)
			checkStored(t, store(t, h.Store, batches[1], batches[2]), ports.Stored{Batches: 2, Events: 20})
			checkHolds(t, h, eventsOf(batches...))
		})
	}
}

func testLargeCall(t *testing.T, open OpenStore) {
	h := open(t)
	events := EventsOver(1, 5_000, 1)
	stored := store(t, h.Store, Batches(1, 100, events)...)
	checkStored(t, stored, ports.Stored{Batches: 50, Events: 5_000})
	checkHolds(t, h, events)
}

// filters are all combinations of one value for each dimension, and values
// that no event has.
func filters() []domain.Filter {
	all := domain.Filter{Tool: "get_forecast", Version: "1.22.1", Country: "DE", Service: "noaa"}
	list := []domain.Filter{{Tool: "absent"}, {Tool: "get_forecast", Country: "XX"}}
	for grain := domain.GrainTotal; grain <= domain.GrainFull; grain++ {
		k := domain.Group{Tool: all.Tool, Version: all.Version, Country: all.Country, Service: all.Service}.At(grain)
		list = append(list, domain.Filter{Tool: k.Tool, Version: k.Version, Country: k.Country, Service: k.Service})
	}
	return list
}

func testSelect(t *testing.T, open OpenStore) {
	h := open(t)
	events := append(EventsOver(7, 800, 80), EventsOver(8, 200, 721)...) // begins before the shorter hourly windows
	for _, b := range Batches(1, 200, events) {
		store(t, h.Store, b)
	}
	part := hours()
	part.Start, part.End = part.Start.Add(20*time.Hour), part.End.Add(-5*time.Hour)
	longest, week := hours(), days()
	longest.Start = longest.End.Add(-domain.MaxHourlySeries - time.Hour)
	week.Start = week.End.Add(-8 * 24 * time.Hour)
	matched := 0
	for _, window := range []domain.Window{hours(), part, longest, week, days()} {
		for _, filter := range filters() {
			selection := everything(window)
			selection.Filter = filter
			want := Expected(events, selection)
			matched += min(1, len(want.Rollups[domain.DimensionNone]))
			checkSelected(t, h.Store, selection, want)
			if window != hours() {
				continue
			}
			for _, by := range selection.By {
				alone := domain.Selection{Window: window, Filter: filter, By: []domain.Dimension{by}}
				checkSelected(t, h.Store, alone, Expected(events, alone))
				alone.Latency, alone.Sessions = true, true
				checkSelected(t, h.Store, alone, domain.Selected{
					Rollups: map[domain.Dimension][]domain.RollupRow{by: want.Rollups[by]},
				})
			}
		}
	}
	if matched < 30 {
		t.Errorf("only %d selections had anything in them", matched)
	}
}

func testWriters(t *testing.T, open OpenStore) {
	h := open(t)
	events := EventsOver(3, 300, 2)
	batches := Batches(1, 10, events)
	inParallel(4, func(writer int) {
		for i := writer; i < len(batches); i += 4 {
			// The neighbour's batch comes along: two writers store it at once.
			_, err := h.Store.Store(t.Context(), []domain.Batch{batches[i], batches[(i+1)%len(batches)]})
			must(t, err)
		}
	})
	checkHolds(t, h, events)
}

func testOneState(t *testing.T, open OpenStore) {
	h := open(t)
	batches := Batches(1, 20, EventsOver(5, 300, 2))
	done := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		defer close(done)
		for _, b := range batches {
			store(t, h.Store, b)
		}
	})
	defer writer.Wait()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		selected, err := h.Store.Select(t.Context(), everything(hours()))
		if err != nil {
			t.Fatal(err)
		}
		total, failed := callsOf(selected.Rollups[domain.DimensionNone])
		for by, rows := range selected.Rollups {
			if calls, errs := callsOf(rows); calls != total || errs != failed {
				t.Fatalf("by %v: %d calls and %d errors, by none %d and %d", by, calls, errs, total, failed)
			}
		}
		var summed int64
		for _, row := range selected.Errors {
			summed += row.Count
		}
		if summed != failed {
			t.Fatalf("%d errors by type, %d in all", summed, failed)
		}
	}
}

func callsOf(rows []domain.RollupRow) (calls, failed int64) {
	for _, row := range rows {
		calls += row.Rollup.Calls
		failed += row.Rollup.Errors
	}
	return calls, failed
}

func testActivity(t *testing.T, open OpenStore) {
	h := open(t)
	newest, older := NewBatch(9, Events(1, 3)...), NewBatch(2, Events(2, 4)...)
	store(t, h.Store, newest)
	store(t, h.Store, older)
	want := domain.Activity{Events: 7, LastReceived: newest.ReceivedAt}
	if got, err := h.Store.Activity(t.Context()); err != nil || got != want {
		t.Errorf("activity %+v, %v; want %+v", got, err, want)
	}
}

// expire merges everything, deletes, and demands that it deletes as many rows as were
// due, and that a second time finds nothing left to do. It returns how many rows these
// were.
func expire(t *testing.T, s StorePorts, cutoffs domain.Cutoffs) ports.Expired {
	t.Helper()
	mergeAll(t, s, 1_000_000, domain.Cutoffs{})
	due, err := s.Due(t.Context(), cutoffs)
	must(t, err)
	n, err := s.Expire(t.Context(), cutoffs)
	if err != nil || n.Total() < 1 || n != due {
		t.Fatalf("expired %+v, %v; due were %+v", n, err, due)
	}
	if n, err := s.Expire(t.Context(), cutoffs); err != nil || n != (ports.Expired{}) {
		t.Errorf("expired %+v more rows: %v", n, err)
	}
	if due, err := s.Due(t.Context(), cutoffs); err != nil || due != (ports.Expired{}) {
		t.Errorf("still due: %+v, %v", due, err)
	}
	return n
}

// checkOnly demands that no rows were deleted but those that count tells.
func checkOnly(t *testing.T, deleted ports.Expired, count func(*ports.Expired) *int64) {
	t.Helper()
	n := *count(&deleted)
	*count(&deleted) = 0
	if n < 1 || deleted != (ports.Expired{}) {
		t.Errorf("deleted %d rows, and others: %+v", n, deleted)
	}
}

// storeThreeDays stores what [Store]'s cases of expiry delete from.
func storeThreeDays(t *testing.T, h StoreHarness) []domain.Event {
	t.Helper()
	events := EventsOver(11, 150, 60)
	store(t, h.Store, Batches(1, 100, events)...)
	return events
}

// cutoff lies in the middle of what storeThreeDays stores.
func cutoff(r domain.Resolution) time.Time { return r.Floor(Now.Add(-24 * time.Hour)) }

// checkExpired demands that of the answers in buckets of the resolution only
// those before the cutoffs are missing.
func checkExpired(t *testing.T, h StoreHarness, events []domain.Event, w domain.Window, rollups, errs time.Time) {
	t.Helper()
	selection := everything(w)
	if w.Resolution == domain.Hourly {
		selection.By = []domain.Dimension{domain.DimensionNone} // others count whole days by the days
	}
	since := func(cut time.Time) []domain.Event {
		return slices.DeleteFunc(slices.Clone(events), func(e domain.Event) bool { return e.Hour.Before(cut) })
	}
	want := Expected(since(rollups), selection)
	want.Errors = Expected(since(errs), selection).Errors
	checkSelected(t, h.Store, selection, want)
}

func testExpireEvents(t *testing.T, open OpenStore) {
	h := open(t)
	events := storeThreeDays(t, h)
	checkOnly(t, expire(t, h.Store, domain.Cutoffs{Events: cutoff(domain.Hourly)}), func(n *ports.Expired) *int64 { return &n.Events })
	checkExpired(t, h, events, hours(), time.Time{}, time.Time{})
	checkExpired(t, h, events, days(), time.Time{}, time.Time{})
	kept := slices.DeleteFunc(events, func(e domain.Event) bool { return e.Hour.Before(cutoff(domain.Hourly)) })
	checkEvents(t, h, kept)
}

func testExpireHourly(t *testing.T, open OpenStore) {
	h := open(t)
	events := storeThreeDays(t, h)
	checkOnly(t, expire(t, h.Store, domain.Cutoffs{Hourly: cutoff(domain.Hourly)}), func(n *ports.Expired) *int64 { return &n.Hourly })
	checkExpired(t, h, events, hours(), cutoff(domain.Hourly), time.Time{})
	checkExpired(t, h, events, days(), time.Time{}, time.Time{})
	checkEvents(t, h, events)
}

func testExpireDaily(t *testing.T, open OpenStore) {
	h := open(t)
	events := storeThreeDays(t, h)
	checkOnly(t, expire(t, h.Store, domain.Cutoffs{Daily: cutoff(domain.Daily)}), func(n *ports.Expired) *int64 { return &n.Daily })
	checkExpired(t, h, events, hours(), time.Time{}, time.Time{})
	checkExpired(t, h, events, days(), cutoff(domain.Daily), time.Time{})
	checkEvents(t, h, events)
}

func testExpireErrors(t *testing.T, open OpenStore) {
	for _, r := range domain.Resolutions() {
		t.Run(string(r), func(t *testing.T) {
			h := open(t)
			events := storeThreeDays(t, h)
			var hourly, daily time.Time
			if r == domain.Hourly {
				hourly = cutoff(r)
			} else {
				daily = cutoff(r)
			}
			deleted := expire(t, h.Store, domain.Cutoffs{HourlyErrors: hourly, DailyErrors: daily})
			checkOnly(t, deleted, func(n *ports.Expired) *int64 { return &n.Errors })
			checkExpired(t, h, events, hours(), time.Time{}, hourly)
			checkExpired(t, h, events, days(), time.Time{}, daily)
			checkEvents(t, h, events)
		})
	}
}

func testExpireBatches(t *testing.T, open OpenStore) {
	h := open(t)
	before, at := NewBatch(1, Events(1, 2)...), NewBatch(2, Events(2, 2)...)
	store(t, h.Store, before, at)
	checkOnly(t, expire(t, h.Store, domain.Cutoffs{Batches: at.ReceivedAt}), func(n *ports.Expired) *int64 { return &n.Batches })
	checkHolds(t, h, eventsOf(before, at))
	checkStored(t, store(t, h.Store, before, at), ports.Stored{Batches: 1, Events: 2, Repeated: 1})
}

func testLastExpiry(t *testing.T, open OpenStore) {
	h := open(t)
	check := func(want time.Time) {
		t.Helper()
		if got, err := h.Store.LastExpiry(t.Context()); err != nil || !got.Equal(want) {
			t.Errorf("last expiry %v, %v; want %v", got, err, want)
		}
	}
	check(time.Time{})
	newest := NewBatch(9, Events(1, 3)...)
	store(t, h.Store, newest, NewBatch(2, Events(2, 4)...))
	check(newest.ReceivedAt)
	for _, at := range []time.Time{Now, Now.Add(3 * 365 * 24 * time.Hour), Now.Add(-time.Hour)} { // forth and back
		must(t, h.Store.NoteExpiry(t.Context(), at))
		check(at)
	}
	if h.Reopen != nil {
		h.Store = h.Reopen(t)
		check(Now.Add(-time.Hour))
	}
	checkHolds(t, h, eventsOf(newest, NewBatch(2, Events(2, 4)...)))
}

func testExpireBesideWriters(t *testing.T, open OpenStore) {
	h := open(t)
	events := EventsOver(13, 200, 10)
	batches := Batches(1, 20, events)
	due := EventsOver(14, 100, 1)
	for i := range due {
		due[i].Hour = cutoff(domain.Daily).Add(-time.Duration(1+i%30) * time.Hour)
	}
	store(t, h.Store, NewBatch(500, due...))
	c := cutoff(domain.Daily)
	cutoffs := domain.Cutoffs{Events: c, Hourly: c, Daily: c, HourlyErrors: c, DailyErrors: c}
	inParallel(4, func(i int) {
		if i == 0 {
			for range 5 {
				_, err := h.Store.Expire(t.Context(), cutoffs)
				must(t, err)
			}
			return
		}
		for n := i - 1; n < len(batches); n += 3 {
			store(t, h.Store, batches[n])
		}
	})
	checkHolds(t, h, events)
}

func storeCalls(s StorePorts) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Store": func(ctx context.Context) error {
			_, err := s.Store(ctx, []domain.Batch{batchOf(9, 1)})
			return err
		},
		"Select": func(ctx context.Context) error {
			_, err := s.Select(ctx, everything(hours()))
			return err
		},
		"Activity": func(ctx context.Context) error {
			_, err := s.Activity(ctx)
			return err
		},
		"Expire": func(ctx context.Context) error {
			_, err := s.Expire(ctx, domain.Cutoffs{Events: Now})
			return err
		},
		"Due": func(ctx context.Context) error {
			_, err := s.Due(ctx, domain.Cutoffs{Events: Now})
			return err
		},
		"NoteExpiry": func(ctx context.Context) error { return s.NoteExpiry(ctx, Now) },
		"LastExpiry": func(ctx context.Context) error {
			_, err := s.LastExpiry(ctx)
			return err
		},
	}
}

func testStoreCancelled(t *testing.T, open OpenStore) {
	h := open(t)
	b := batchOf(1, 20)
	store(t, h.Store, b)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range storeCalls(h.Store) {
		checkGivenUp(t, name, call(ctx), context.Canceled)
	}
	checkHolds(t, h, b.Events)
}

// testStoreInterrupted ends contexts at any moment of a call.
func testStoreInterrupted(t *testing.T, open OpenStore) {
	h := open(t)
	batches := Batches(1, 50, EventsOver(17, 600, 2))
	for i, b := range batches {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(2*i+1)*time.Millisecond)
		if _, err := h.Store.Store(ctx, []domain.Batch{b}); err != nil {
			checkGivenUp(t, "Store", err, context.DeadlineExceeded)
		}
		cancel()
		store(t, h.Store, b)
	}
	checkHolds(t, h, eventsOf(batches...))
}

func testReopen(t *testing.T, open OpenStore) {
	h := open(t)
	if h.Reopen == nil {
		t.Skip("dies with its process")
	}
	batches := Batches(1, 20, EventsOver(1, 120, 48))
	store(t, h.Store, batches[:3]...)
	h.Store = h.Reopen(t)
	checkHolds(t, h, eventsOf(batches[:3]...))
	checkStored(t, store(t, h.Store, batches...), ports.Stored{Batches: 3, Events: 60, Repeated: 3})
	checkHolds(t, h, eventsOf(batches...))
}

func testBrokenStore(t *testing.T, open OpenStore) {
	h := open(t)
	if h.Break == nil {
		t.Skip("cannot break")
	}
	h.Break(t)
	for name, call := range storeCalls(h.Store) {
		if got := domain.CodeOf(call(t.Context())); got != domain.CodeUnavailable {
			t.Errorf("%s: code %q, want %q", name, got, domain.CodeUnavailable)
		}
	}
}
