package contract

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// Merger tests a store against the promises of ports.Merger, which it must
// implement.
func Merger(t *testing.T, open OpenStore) {
	for name, test := range map[string]func(*testing.T, OpenStore){
		"an empty journal has nothing to merge":           testMergeNothing,
		"the journal adds up":                             testJournal,
		"pieces are whole rows, the oldest first":         testMergePieces,
		"what is due is left out":                         testMergeLeavesOutDue,
		"mergers, workers and readers do not disturb":     testMergersAtOnce,
		"a cancelled merge changes nothing":               testMergeCancelled,
		"an interrupted merge does all or nothing":        testMergeInterrupted,
		"the journal stays stored":                        testJournalReopened,
		"a broken store says that it cannot merge":        testMergeBroken,
		"expiring and rebuilding take the journal's part": testMergeExpired,
		"any order of all that gives the same answers":    testMergeAnyOrder,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

func mergerOf(t *testing.T, s StorePorts) ports.Merger {
	t.Helper()
	m, ok := s.(ports.Merger)
	if !ok {
		t.Fatalf("%T is no ports.Merger", s)
	}
	return m
}

// journal returns the journal's days, and demands that they are in order and that
// each holds something.
func journal(t *testing.T, s StorePorts) []ports.JournalDay {
	t.Helper()
	days, err := mergerOf(t, s).Journal(t.Context())
	if err != nil {
		t.Fatalf("read the journal: %v", err)
	}
	for i, d := range days {
		if !d.Day.Equal(domain.Daily.Floor(d.Day)) || d.Rows < 1 || d.Entries < d.Rows || d.Age < 0 || i > 0 && !days[i-1].Day.Before(d.Day) {
			t.Errorf("day %d of the journal is %+v, of %+v", i, d, days)
		}
	}
	return days
}

// mergeAll merges everything, in pieces of about that many entries, and returns
// the number of entries.
func mergeAll(t *testing.T, s StorePorts, piece int, cutoffs domain.Cutoffs) int {
	t.Helper()
	sum := 0
	for _, d := range journal(t, s) {
		for range d.Rows {
			n, err := mergerOf(t, s).Merge(t.Context(), d.Day, piece, cutoffs)
			if err != nil {
				t.Fatalf("merge: %v", err)
			}
			if n == 0 {
				break
			}
			sum += n
		}
	}
	if left := journal(t, s); len(left) > 0 {
		t.Errorf("left in the journal: %+v", left)
	}
	return sum
}

// entriesOf counts what the batches of one transaction append to the journal for
// each day.
func entriesOf(batches ...domain.Batch) map[time.Time]int {
	entries := make(map[time.Time]int)
	finest := domain.Finest(eventsOf(batches...))
	for _, row := range finest.Rollups {
		entries[domain.Daily.Floor(row.Bucket)]++
	}
	for _, row := range finest.Errors {
		entries[domain.Daily.Floor(row.Bucket)]++
	}
	return entries
}

func total(entries map[time.Time]int) int {
	sum := 0
	for n := range maps.Values(entries) {
		sum += n
	}
	return sum
}

func testMergeNothing(t *testing.T, open OpenStore) {
	h := open(t)
	if days := journal(t, h.Store); len(days) > 0 {
		t.Errorf("the journal has %+v", days)
	}
	for _, day := range []time.Time{domain.Daily.Floor(Now), domain.Daily.Floor(Now).AddDate(-1, 0, 0)} {
		if n, err := mergerOf(t, h.Store).Merge(t.Context(), day, 1000, domain.Cutoffs{}); err != nil || n != 0 {
			t.Errorf("merged %d entries: %v", n, err)
		}
	}
	store(t, h.Store)
	store(t, h.Store, NewBatch(1))
	if days := journal(t, h.Store); len(days) > 0 {
		t.Errorf("after storing nothing the journal has %+v", days)
	}
	checkHolds(t, h, nil)
}

// testJournal compares the journal with what storing says and with what the events
// add up to. A store may also do without a journal.
func testJournal(t *testing.T, open OpenStore) {
	h := open(t)
	batches := Batches(1, 50, EventsOver(31, 300, 60))
	rows, entries := make(map[time.Time]int), make(map[time.Time]int)
	for _, b := range batches {
		of := entriesOf(b)
		stored := store(t, h.Store, b, b)
		if stored.Entries == 0 && len(journal(t, h.Store)) == 0 {
			t.Skip("a store without a journal")
		}
		if stored.Entries != total(of) {
			t.Errorf("%d entries stored, want %d", stored.Entries, total(of))
		}
		for day, n := range of {
			rows[day]++
			entries[day] += n
		}
		if again := store(t, h.Store, b); again.Entries != 0 {
			t.Errorf("a repetition stores %d entries", again.Entries)
		}
	}
	listed := journal(t, h.Store)
	if len(listed) != len(rows) {
		t.Errorf("the journal has %+v, want %d days", listed, len(rows))
	}
	for _, d := range listed {
		day := d.Day.UTC()
		if d.Rows != rows[day] || d.Entries != entries[day] || d.Age > time.Hour {
			t.Errorf("the journal has %+v, want %d rows with %d entries", d, rows[day], entries[day])
		}
	}
	if n := mergeAll(t, h.Store, 1_000_000, domain.Cutoffs{}); n != total(entries) {
		t.Errorf("merged %d entries, want %d", n, total(entries))
	}
	checkHolds(t, h, eventsOf(batches...))
}

// testMergePieces stores one row after the other, of the same day, each with more
// entries than the one before.
func testMergePieces(t *testing.T, open OpenStore) {
	h := open(t)
	events := Events(33, 400)
	events = slices.DeleteFunc(events, func(e domain.Event) bool { return !domain.Daily.Floor(e.Hour).Equal(domain.Daily.Floor(Now)) })
	var rows []int
	var stored []domain.Event
	for number, n := 1, 1; len(events) > n; number, n = number+1, n+3 {
		b := NewBatch(number, events[:n]...)
		store(t, h.Store, b)
		rows = append(rows, total(entriesOf(b)))
		events, stored = events[n:], append(stored, b.Events...)
	}
	if len(journal(t, h.Store)) == 0 {
		t.Skip("a store without a journal")
	}
	day := domain.Daily.Floor(Now)
	for piece := 0; len(rows) > 0; piece += 5 {
		n, err := mergerOf(t, h.Store).Merge(t.Context(), day, piece, domain.Cutoffs{})
		must(t, err)
		merged := n
		taken := 0
		for ; n > 0 && taken < len(rows); taken++ {
			n -= rows[taken]
		}
		if n != 0 || taken == 0 || taken > 1 && merged-rows[taken-1] >= piece {
			t.Fatalf("a piece of about %d entries has %d, of rows with %v", piece, merged, rows)
		}
		rows = rows[taken:]
		checkHolds(t, h, stored)
	}
	if left := journal(t, h.Store); len(left) > 0 {
		t.Errorf("left in the journal: %+v", left)
	}
}

// testMergeLeavesOutDue merges into empty aggregates, and then into some.
func testMergeLeavesOutDue(t *testing.T, open OpenStore) {
	h := open(t)
	events := storeThreeDays(t, h)
	if len(journal(t, h.Store)) == 0 {
		t.Skip("a store without a journal")
	}
	hour := cutoff(domain.Hourly)
	mergeAll(t, h.Store, 1000, domain.Cutoffs{Hourly: hour, HourlyErrors: hour.Add(2 * time.Hour)})
	checkExpired(t, h, events, hours(), hour, hour.Add(2*time.Hour))
	checkExpired(t, h, events, days(), time.Time{}, time.Time{})
	checkEvents(t, h, events)

	more := EventsOver(12, 100, 60)
	store(t, h.Store, NewBatch(900, more...))
	day := domain.Daily.Floor(hour).Add(24 * time.Hour)
	mergeAll(t, h.Store, 1000, domain.Cutoffs{Hourly: hour, HourlyErrors: hour, Daily: day, DailyErrors: day})
	all := slices.Concat(events, more)
	w := hours()
	w.Start = hour.Add(2 * time.Hour)
	checkExpired(t, h, all, w, time.Time{}, time.Time{})
	w.Start, w.End = hours().Start, hour
	checkExpired(t, h, all, w, w.End, w.End)
	d := days()
	d.Start = day
	checkExpired(t, h, all, d, time.Time{}, time.Time{})
}

func testMergersAtOnce(t *testing.T, open OpenStore) {
	h := open(t)
	events := EventsOver(35, 900, 50)
	batches := Batches(1, 30, events)
	var appended, merged atomic.Int64
	var storing atomic.Int32
	const workers = 2
	storing.Store(workers)
	inParallel(workers+3, func(i int) {
		switch {
		case i < workers:
			for n := i; n < len(batches); n += workers {
				appended.Add(int64(store(t, h.Store, batches[n]).Entries))
			}
			storing.Add(-1)
		case i == workers: // a reader
			for storing.Load() > 0 {
				selected, err := h.Store.Select(t.Context(), everything(days()))
				must(t, err)
				want, _ := callsOf(selected.Rollups[domain.DimensionNone])
				if got, _ := callsOf(selected.Rollups[domain.DimensionTool]); got != want {
					t.Errorf("%d calls by tool of %d", got, want)
				}
			}
		default:
			for busy := true; busy || len(journal(t, h.Store)) > 0; {
				if busy = storing.Load() > 0; !busy && merged.Load() > appended.Load() {
					return // without an end
				}
				for day := range daysOf(events) {
					n, err := mergerOf(t, h.Store).Merge(t.Context(), day, 50, domain.Cutoffs{})
					must(t, err)
					merged.Add(int64(n))
				}
			}
		}
	})
	if appended.Load() != merged.Load() {
		t.Errorf("%d entries stored and %d merged", appended.Load(), merged.Load())
	}
	checkHolds(t, h, events)
}

func testMergeCancelled(t *testing.T, open OpenStore) {
	h := open(t)
	b := batchOf(1, 20)
	store(t, h.Store, b)
	before := journal(t, h.Store)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := mergerOf(t, h.Store).Merge(ctx, domain.Daily.Floor(Now), 1000, domain.Cutoffs{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want one of context.Canceled", err)
	}
	if _, err := mergerOf(t, h.Store).Journal(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("reading: %v, want one of context.Canceled", err)
	}
	if after := journal(t, h.Store); len(after) != len(before) {
		t.Errorf("the journal has %+v, want %+v", after, before)
	}
	checkHolds(t, h, b.Events)
}

// testMergeInterrupted ends contexts at any moment of a merge.
func testMergeInterrupted(t *testing.T, open OpenStore) {
	h := open(t)
	batches := Batches(1, 50, EventsOver(37, 600, 30))
	for i, b := range batches {
		store(t, h.Store, b)
		for day := range daysOf(b.Events) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Millisecond)
			if _, err := mergerOf(t, h.Store).Merge(ctx, day, 1000, domain.Cutoffs{}); err != nil {
				checkGivenUp(t, "Merge", err, context.DeadlineExceeded)
			}
			cancel()
		}
	}
	checkHolds(t, h, eventsOf(batches...))
	mergeAll(t, h.Store, 1000, domain.Cutoffs{})
	checkHolds(t, h, eventsOf(batches...))
}

func testJournalReopened(t *testing.T, open OpenStore) {
	h := open(t)
	if h.Reopen == nil {
		t.Skip("dies with its process")
	}
	events := EventsOver(39, 100, 30)
	appended := store(t, h.Store, NewBatch(1, events...)).Entries
	h.Store = h.Reopen(t)
	if n := mergeAll(t, h.Store, 1000, domain.Cutoffs{}); n != appended {
		t.Errorf("merged %d entries of %d", n, appended)
	}
	checkHolds(t, h, events)
	h.Store = h.Reopen(t)
	checkHolds(t, h, events)
}

func testMergeBroken(t *testing.T, open OpenStore) {
	h := open(t)
	if h.Break == nil {
		t.Skip("cannot break")
	}
	store(t, h.Store, batchOf(1, 20))
	h.Break(t)
	_, err := mergerOf(t, h.Store).Merge(t.Context(), domain.Daily.Floor(Now), 1000, domain.Cutoffs{})
	checkCode(t, err, domain.CodeUnavailable)
	_, err = mergerOf(t, h.Store).Journal(t.Context())
	checkCode(t, err, domain.CodeUnavailable)
}

// testMergeExpired has days expire, and be rebuilt, of which the journal holds
// some.
func testMergeExpired(t *testing.T, open OpenStore) {
	h := open(t)
	events := storeThreeDays(t, h)
	day := cutoff(domain.Daily)
	// Days that are wholly due leave the journal, and of others nothing does.
	due := domain.Cutoffs{Events: day, Hourly: day, Daily: day, HourlyErrors: day, DailyErrors: day}
	if _, err := h.Store.Expire(t.Context(), due); err != nil {
		t.Fatal(err)
	}
	left := slices.DeleteFunc(events, func(e domain.Event) bool { return e.Hour.Before(day) })
	checkHolds(t, h, left)
	mergeAll(t, h.Store, 1000, domain.Cutoffs{})
	checkHolds(t, h, left)

	more := EventsOver(12, 100, 20)
	store(t, h.Store, NewBatch(900, more...))
	left = append(left, more...)
	for day, of := range daysOf(left) {
		rebuild(t, h, day, domain.Cutoffs{}, len(of))
	}
	checkHolds(t, h, left)
	if days := journal(t, h.Store); len(days) > 0 {
		t.Errorf("after a rebuild the journal has %+v", days)
	}
	mergeAll(t, h.Store, 1000, domain.Cutoffs{})
	checkHolds(t, h, left)
}

// testMergeAnyOrder has a store and the one in memory do the same in any order.
func testMergeAnyOrder(t *testing.T, open OpenStore) {
	inAnyOrder(t, open(t).Store, func(t *rapid.T, s, reference StorePorts) { compareStores(t, s, reference) })
}

// inAnyOrder has a store and the one in memory store, merge, expire and rebuild the
// same in any order, and compares them now and then.
func inAnyOrder(t *testing.T, s StorePorts, compare func(t *rapid.T, s, reference StorePorts)) {
	t.Helper()
	check(t, func(t *rapid.T) {
		deleteAll(t, s)
		reference := memory.NewStore()
		var due domain.Cutoffs
		batches := drawBatches(t)
		for len(batches) > 0 {
			switch rapid.SampledFrom([]string{"store", "store", "merge", "merge", "expire", "rebuild", "compare"}).Draw(t, "step") {
			case "store":
				n := rapid.IntRange(1, len(batches)).Draw(t, "batches")
				both(t, s, reference, func(s StorePorts) error {
					_, err := s.Store(t.Context(), batches[:n])
					return err
				})
				batches = batches[n:]
			case "merge":
				mergeSome(t, s, due)
			case "expire":
				due = drawCutoffs(t, due)
				expireBoth(t, s, reference, due)
			case "rebuild":
				day := domain.Daily.Floor(first).AddDate(0, 0, rapid.IntRange(0, 3).Draw(t, "rebuilt"))
				both(t, s, reference, func(s StorePorts) error {
					_, err := s.(ports.Rebuilder).RebuildDay(t.Context(), day, due)
					return err
				})
			case "compare":
				// What is due and came later may be merged already, or not.
				expireBoth(t, s, reference, due)
				compare(t, s, reference)
			}
		}
		expireBoth(t, s, reference, due)
		compare(t, s, reference)
		left, err := s.(ports.Merger).Journal(t.Context())
		if err != nil || len(left) > 0 {
			t.Fatalf("left in the journal: %+v, %v", left, err)
		}
		compare(t, s, reference)
	})
}

// deleteAll deletes everything.
func deleteAll(t *rapid.T, s StorePorts) {
	all := domain.Cutoffs{Events: forever, Hourly: forever, Daily: forever, HourlyErrors: forever, DailyErrors: forever, Batches: forever}
	if _, err := s.Expire(t.Context(), all); err != nil {
		t.Fatalf("clear: %v", err)
	}
}

func both(t *rapid.T, store, reference StorePorts, do func(StorePorts) error) {
	for _, s := range []StorePorts{store, reference} {
		if err := do(s); err != nil {
			t.Fatalf("%T: %v", s, err)
		}
	}
}

// expireBoth merges the journal of the store first, as what is due stays in that.
func expireBoth(t *rapid.T, store, reference StorePorts, due domain.Cutoffs) {
	for day := range 4 {
		for range 5 { // each batch made a row at most
			mergePiece(t, store, day, 1000, due)
		}
	}
	both(t, store, reference, func(s StorePorts) error {
		_, err := s.Expire(t.Context(), due)
		return err
	})
}

// drawCutoffs lets more be due than before.
func drawCutoffs(t *rapid.T, before domain.Cutoffs) domain.Cutoffs {
	later := func(label string, r domain.Resolution, before time.Time) time.Time {
		drawn := r.Floor(first.Add(time.Duration(rapid.IntRange(-30, 50).Draw(t, label)) * time.Hour))
		return slices.MaxFunc([]time.Time{drawn, before}, time.Time.Compare)
	}
	return domain.Cutoffs{
		Events: later("events", domain.Hourly, before.Events),
		Hourly: later("hourly", domain.Hourly, before.Hourly), Daily: later("daily", domain.Daily, before.Daily),
		HourlyErrors: later("hourly errors", domain.Hourly, before.HourlyErrors), DailyErrors: later("daily errors", domain.Daily, before.DailyErrors),
	}
}

// mergeSome merges a piece of some of the days, or of none.
func mergeSome(t *rapid.T, s StorePorts, cutoffs domain.Cutoffs) {
	for range rapid.IntRange(0, 3).Draw(t, "merges") {
		day := rapid.IntRange(0, 3).Draw(t, "merged")
		mergePiece(t, s, day, rapid.SampledFrom([]int{1, 5, 20, 1000}).Draw(t, "piece"), cutoffs)
	}
}

// mergePiece merges a piece of the day, counted from that of the first event.
func mergePiece(t *rapid.T, s StorePorts, day, piece int, cutoffs domain.Cutoffs) {
	m, ok := s.(ports.Merger)
	if !ok {
		t.Fatalf("%T is no ports.Merger", s)
	}
	if _, err := m.Merge(t.Context(), domain.Daily.Floor(first).AddDate(0, 0, day), piece, cutoffs); err != nil {
		t.Fatalf("merge: %v", err)
	}
}
