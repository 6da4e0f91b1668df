package contract

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// OpenBoundedStore returns an empty store with these limits, which also
// implements ports.Rebuilder, and cleans up after the test.
type OpenBoundedStore func(t *testing.T, limits domain.Cardinality) StoreHarness

// Cardinality tests that a store tells apart no more values of a day than its
// limits allow, as ports.EventStore promises, and that nothing else changes.
func Cardinality(t *testing.T, open OpenBoundedStore) {
	for name, test := range map[string]func(*testing.T, OpenBoundedStore){
		"values beyond the limit count as other":          testOverflow,
		"the most called of a call find a place":          testMostCalledFirst,
		"every day has a limit of its own":                testDaysApart,
		"what the last week used is known from the start": testSeeds,
		"error types of the last week are known, too":     testSeededErrorTypes,
		"what is dated back is not reserved":              testLateValues,
		"a batch given again changes no count":            testFoldedOnce,
		"a rebuild folds the same":                        testRebuildFolds,
		"what is decided stays decided":                   testReopenFolds,
		"decisions expire with their day":                 testExpireValues,
		"concurrent workers keep to the limit":            testBoundedWriters,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

// few are limits that events reach soon.
var few = domain.Cardinality{Versions: 4, ErrorTypes: 3}

// noon is an hour of the day of [Now] that all windows of the suite hold.
var noon = domain.Daily.Floor(Now).Add(6 * time.Hour)

// call is a call of that version; it failed when it has an error type.
func call(hour time.Time, version, errorType string) domain.Event {
	e := domain.Event{
		Version: version, Tool: "get_forecast", Status: domain.StatusSuccess, Hour: hour, Level: domain.LevelStandard,
		ResponseTimeMS: domain.Some(int32(len(version))), Service: "noaa", Country: "NP",
	}
	if errorType != "" {
		e.Status, e.ErrorType = domain.StatusError, errorType
	}
	return e
}

// calls returns that many calls of each version.
func calls(hour time.Time, times int, versions ...string) []domain.Event {
	var events []domain.Event
	for _, version := range versions {
		for range times {
			events = append(events, call(hour, version, ""))
		}
	}
	return events
}

// invented returns n values that nobody else has.
func invented(prefix string, n int) []string {
	values := make([]string, n)
	for i := range values {
		values[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return values
}

// places are the values that are told apart.
type places struct{ versions, errorTypes []string }

// on returns the events as they count on the day: what has no place is other.
func (p places) on(day time.Time, events []domain.Event) []domain.Event {
	counted := slices.Clone(events)
	for i := range counted {
		e := &counted[i]
		if !bucketOf(e, domain.Daily).Equal(day) {
			continue
		}
		if !slices.Contains(p.versions, e.Version) {
			e.Version = domain.OtherName
		}
		if e.Status == domain.StatusError && e.ErrorType != "" && e.ErrorType != domain.UnspecifiedError &&
			!slices.Contains(p.errorTypes, e.ErrorType) {
			e.ErrorType = domain.OtherName
		}
	}
	return counted
}

func today(events []domain.Event, versions []string, errorTypes ...string) []domain.Event {
	return places{versions, errorTypes}.on(domain.Daily.Floor(Now), events)
}

// checkCounts demands that the store holds the events as they are and counts
// them as if they were the others.
func checkCounts(t *testing.T, h StoreHarness, events, counted []domain.Event) {
	t.Helper()
	for _, w := range []domain.Window{hours(), days()} {
		checkSelected(t, h.Store, everything(w), Expected(counted, everything(w)))
	}
	checkEvents(t, h, events)
	want := domain.Activity{Events: int64(len(events))}
	for i := range events {
		if events[i].Version != counted[i].Version {
			want.FoldedVersions++
		}
		if events[i].ErrorType != counted[i].ErrorType {
			want.FoldedErrorTypes++
		}
	}
	got, err := h.Store.Activity(t.Context())
	if got.LastReceived = want.LastReceived; err != nil || got != want {
		t.Errorf("activity %+v, %v; want %+v", got, err, want)
	}
}

// storeEach stores each event in a batch and a call of its own.
func storeEach(t *testing.T, h StoreHarness, first int, events []domain.Event) {
	t.Helper()
	for _, b := range Batches(first, 1, events) {
		store(t, h.Store, b)
	}
}

func testOverflow(t *testing.T, open OpenBoundedStore) {
	h := open(t, few)
	var events []domain.Event
	for _, version := range []string{"1", domain.OtherName, "2", "1", "3", "4", "5", "6", "1", "5", domain.OtherName, "4"} {
		events = append(events, call(noon, version, ""))
	}
	lucky := call(noon, "1", "")
	lucky.ErrorType = "of a success, which counts nowhere"
	events = append(events, lucky)
	for _, errorType := range []string{"a", domain.UnspecifiedError, "b", domain.OtherName, "c", "d", "a", "e", "d"} {
		events = append(events, call(noon, "2", errorType))
	}
	unspecified := call(noon, "7", "a")
	unspecified.ErrorType = ""
	events = append(events, unspecified, call(noon, "8", "f"), call(noon, "3", "c"))
	storeEach(t, h, 1, events)
	checkCounts(t, h, events, today(events, []string{"1", "2", "3", "4"}, "a", "b", "c"))
}

func testMostCalledFirst(t *testing.T, open OpenBoundedStore) {
	h := open(t, few)
	events := slices.Concat(calls(noon, 1, invented("0", 20)...), calls(noon, 2, "z", "y"), calls(noon, 3, "x"))
	store(t, h.Store, Batches(1, 4, events)...)
	checkCounts(t, h, events, today(events, []string{"x", "y", "z", "0-0"}))
}

func testDaysApart(t *testing.T, open OpenBoundedStore) {
	h := open(t, few)
	day := func(n int) time.Time { return noon.Add(-time.Duration(n) * 48 * time.Hour) }
	var events, counted []domain.Event
	for n := range 3 {
		versions := invented(strconv.Itoa(n), 6)
		of := calls(day(n), 1, versions...)
		events = append(events, of...)
		counted = append(counted, places{versions: versions[:4]}.on(domain.Daily.Floor(day(n)), of)...)
	}
	store(t, h.Store, NewBatch(1, events...))
	checkCounts(t, h, events, counted)
}

// inTime returns a batch that was received in the hour of its first event.
func inTime(number int, events ...domain.Event) domain.Batch {
	b := NewBatch(number, events...)
	b.ReceivedAt = events[0].Hour
	return b
}

// daysAgo is the noon of a day before that of [Now].
func daysAgo(n int) time.Time { return noon.Add(-time.Duration(n) * 24 * time.Hour) }

// foldEach folds the events of each day but for its places.
func foldEach(events []domain.Event, shown map[int][]string) []domain.Event {
	for ago, versions := range shown {
		events = places{versions: versions}.on(domain.Daily.Floor(daysAgo(ago)), events)
	}
	return events
}

// testSeeds fills the days before in every way, and the day itself with values
// that are called more than any other.
func testSeeds(t *testing.T, open OpenBoundedStore) {
	h := open(t, few)
	parts := [][]domain.Event{
		calls(daysAgo(8), 1, "old"),
		slices.Concat(calls(daysAgo(3), 2, "a", "d"), calls(daysAgo(3), 1, "b")),
		slices.Concat(calls(daysAgo(2), 1, "a", "b"), calls(daysAgo(2), 5, "c")),
		slices.Concat(calls(daysAgo(1), 1, "d"), calls(daysAgo(1), 9, "e"), calls(daysAgo(1), 9, domain.OtherName)),
		calls(daysAgo(1), 9, "found no place"),
		calls(noon, 7, invented("x", 9)...),
		calls(noon, 1, "a", "b", "c", "d", "e", "old", "x-0"),
	}
	for i, part := range parts {
		if i == 5 { // what the week counted may be stored in more than one place
			rebuild(t, h, domain.Daily.Floor(daysAgo(1)), domain.Cutoffs{}, len(parts[3])+len(parts[4]))
		}
		store(t, h.Store, inTime(i+1, part...))
	}
	// Of those with two days, a has 3 calls, d too, and b has 2.
	events := slices.Concat(parts...)
	checkCounts(t, h, events, foldEach(events, map[int][]string{
		1: {"a", "b", "d", "e"}, 0: {"a", "d", "x-0", "x-1"},
	}))
}

func testSeededErrorTypes(t *testing.T, open OpenBoundedStore) {
	h := open(t, few)
	failures := func(hour time.Time, times int, errorTypes ...string) []domain.Event {
		var events []domain.Event
		for _, errorType := range errorTypes {
			events = append(events, slices.Repeat([]domain.Event{call(hour, "1", errorType)}, times)...)
		}
		return events
	}
	first := slices.Concat(failures(daysAgo(2), 2, "b"), failures(daysAgo(2), 1, "a"))
	second := slices.Concat(failures(daysAgo(1), 1, "a", "b"), failures(daysAgo(1), 9, "c"))
	flood := failures(noon, 7, invented("x", 9)...)
	last := failures(noon, 1, "a", "b", "c", "x-1")
	store(t, h.Store, inTime(1, first...))
	store(t, h.Store, inTime(2, second...))
	rebuild(t, h, domain.Daily.Floor(daysAgo(2)), domain.Cutoffs{}, len(first))
	store(t, h.Store, inTime(3, flood...))
	store(t, h.Store, inTime(4, last...))
	events := slices.Concat(first, second, flood, last)
	checkCounts(t, h, events, today(events, []string{"1"}, "b", "x-0", "x-1"))
}

// testLateValues has a client send a week of what it invented at once.
func testLateValues(t *testing.T, open OpenBoundedStore) {
	h := open(t, few)
	parts := [][]domain.Event{calls(daysAgo(2), 1, "real"), calls(daysAgo(1), 1, "real")}
	for ago := range 6 {
		parts = append(parts, calls(daysAgo(ago+1), 9, "x"))
	}
	flood := calls(noon, 7, invented("y", 9)...)
	last := calls(noon, 1, "real", "x")
	events := slices.Concat(append(parts, flood, last)...)
	store(t, h.Store, inTime(1, parts[0]...))
	store(t, h.Store, inTime(2, parts[1]...))
	for i, part := range parts[2:] {
		b := NewBatch(3+i, part...)
		b.ReceivedAt = daysAgo(0)
		store(t, h.Store, b)
	}
	store(t, h.Store, inTime(20, flood...))
	store(t, h.Store, inTime(21, last...))
	checkCounts(t, h, events, foldEach(events, map[int][]string{0: {"real", "y-0", "y-1", "y-2"}}))
}

func testFoldedOnce(t *testing.T, open OpenBoundedStore) {
	h := open(t, few)
	events := append(calls(noon, 2, invented("1", 10)...), call(noon, "1-0", "a"), call(noon, "1-1", "b"), call(noon, "1-2", "c"),
		call(noon, "1-3", "d"), call(noon, "1-9", "e"))
	for range 3 {
		store(t, h.Store, Batches(1, 5, events)...)
	}
	checkCounts(t, h, events, today(events, invented("1", 4), "a", "b", "c"))
}

// crowded are three days that have more values than few allow.
func crowded(seed uint64, n int) []domain.Event {
	events := EventsOver(seed, n, 60)
	for i := range events {
		e := &events[i]
		if i%3 == 0 {
			e.Version = fmt.Sprintf("0.%d.%d", seed, i)
		}
		if e.Status == domain.StatusError && i%2 == 0 {
			e.ErrorType = fmt.Sprintf("e%d.%d", seed, i)
		}
	}
	return events
}

// asShown folds each event whose values the store does not tell apart on its
// day, and demands that it tells no more apart than the limits allow.
func asShown(t *testing.T, h StoreHarness, limits domain.Cardinality, events []domain.Event) []domain.Event {
	t.Helper()
	selected, err := h.Store.Select(t.Context(), everything(days()))
	must(t, err)
	shown := make(map[time.Time]*places)
	of := func(day time.Time) *places {
		if shown[day] == nil {
			shown[day] = new(places)
		}
		return shown[day]
	}
	for _, row := range selected.Rollups[domain.DimensionVersion] {
		if row.Group.Version != domain.OtherName {
			of(row.Bucket).versions = append(of(row.Bucket).versions, row.Group.Version)
		}
	}
	for _, row := range selected.Errors {
		if row.ErrorType != domain.OtherName && row.ErrorType != domain.UnspecifiedError {
			of(row.Bucket).errorTypes = append(of(row.Bucket).errorTypes, row.ErrorType)
		}
	}
	for day, p := range shown {
		if len(p.versions) > limits.Versions || len(p.errorTypes) > limits.ErrorTypes {
			t.Errorf("%s tells %q and %q apart", day.Format(time.DateOnly), p.versions, p.errorTypes)
		}
		events = p.on(day, events)
	}
	return events
}

func testRebuildFolds(t *testing.T, open OpenBoundedStore) {
	h := open(t, few)
	events := crowded(1, 400)
	store(t, h.Store, Batches(1, 20, events[:200])...)
	for _, b := range Batches(50, 20, events[200:]) {
		store(t, h.Store, b)
	}
	counted := asShown(t, h, few, events)
	checkCounts(t, h, events, counted)
	for range 2 {
		for day, of := range daysOf(events) {
			rebuild(t, h, day, domain.Cutoffs{}, len(of))
		}
		checkCounts(t, h, events, counted)
	}
	more := crowded(2, 100)
	store(t, h.Store, Batches(200, 10, more)...)
	events = append(events, more...)
	again := asShown(t, h, few, events)
	if d := firstDifference(again[:len(counted)], counted); d != "" {
		t.Errorf("what was decided changed: %s", d)
	}
	checkCounts(t, h, events, again)
}

func testReopenFolds(t *testing.T, open OpenBoundedStore) {
	h := open(t, few)
	if h.Reopen == nil {
		t.Skip("dies with its process")
	}
	events := calls(noon, 1, invented("1", 3)...)
	store(t, h.Store, NewBatch(1, events...))
	h.Store = h.Reopen(t)
	events = append(events, calls(noon, 1, invented("2", 3)...)...)
	store(t, h.Store, NewBatch(2, events[3:]...))
	h.Store = h.Reopen(t)
	events = append(events, calls(noon, 1, invented("2", 4)...)...)
	store(t, h.Store, NewBatch(3, events[6:]...))
	checkCounts(t, h, events, today(events, append(invented("1", 3), "2-0")))
}

func testExpireValues(t *testing.T, open OpenBoundedStore) {
	h := open(t, few)
	yesterday, events := calls(noon.Add(-24*time.Hour), 1, invented("1", 6)...), calls(noon, 1, invented("2", 6)...)
	store(t, h.Store, NewBatch(1, yesterday...), NewBatch(2, events...))
	now := domain.Daily.Floor(Now)
	expire(t, h.Store, domain.Cutoffs{Events: now.Add(time.Hour), Hourly: now, Daily: now, HourlyErrors: now, DailyErrors: now})
	checkCounts(t, h, events, today(events, invented("2", 4)))
	// Of yesterday nothing is known any more.
	again := calls(noon.Add(-24*time.Hour), 1, invented("3", 5)...)
	store(t, h.Store, NewBatch(3, again...), NewBatch(4, calls(noon, 1, "late")...))
	counted := places{versions: invented("3", 4)}.on(now.Add(-24*time.Hour), again)
	events = append(events, call(noon, "late", ""))
	checkCounts(t, h, append(again, events...), append(counted, today(events, invented("2", 4))...))
}

// testBoundedWriters lets four workers store what nobody has stored before,
// and each other's batches, while a day is rebuilt.
func testBoundedWriters(t *testing.T, open OpenBoundedStore) {
	limits := domain.Cardinality{Versions: 20, ErrorTypes: 10}
	h := open(t, limits)
	events := crowded(3, 600)
	batches := Batches(1, 10, events)
	inParallel(5, func(worker int) {
		if worker == 4 {
			for range 3 {
				_, err := rebuilderOf(t, h).RebuildDay(t.Context(), domain.Daily.Floor(Now), domain.Cutoffs{})
				must(t, err)
			}
			return
		}
		for i := worker; i < len(batches); i += 4 {
			_, err := h.Store.Store(t.Context(), []domain.Batch{batches[i], batches[(i+1)%len(batches)]})
			must(t, err)
		}
	})
	counted := asShown(t, h, limits, events)
	checkCounts(t, h, events, counted)
	for day, of := range daysOf(events) {
		rebuild(t, h, day, domain.Cutoffs{}, len(of))
	}
	checkCounts(t, h, events, counted)
}

// SameCardinality tests that a store folds as the one in memory does, whatever
// the events and however they are cut into batches and calls, whichever days are
// merged in between, and that a rebuild changes nothing of it.
func SameCardinality(t *testing.T, open OpenBoundedStore) {
	limits := domain.Cardinality{Versions: 4, ErrorTypes: 2}
	h := open(t, limits)
	check(t, func(t *rapid.T) {
		deleteAll(t, h.Store)
		reference := memory.NewBoundedStore(limits)
		batches := drawCrowd(t)
		for len(batches) > 0 {
			n := rapid.IntRange(1, len(batches)).Draw(t, "call")
			for _, s := range []StorePorts{reference, h.Store} {
				if _, err := s.Store(t.Context(), rapid.Permutation(batches[:n]).Draw(t, "order")); err != nil {
					t.Fatalf("store: %v", err)
				}
			}
			mergeSome(t, h.Store, domain.Cutoffs{})
			batches = batches[n:]
		}
		compareBounded(t, h.Store, reference)
		rebuildAll(t, h.Store)
		compareBounded(t, h.Store, reference)
		rebuildAll(t, reference)
		compareBounded(t, h.Store, reference)
	})
}

func drawCrowd(t *rapid.T) []domain.Batch {
	event := rapid.Custom(func(t *rapid.T) domain.Event {
		hour := noon.Add(time.Duration(-12*rapid.IntRange(0, 5).Draw(t, "half days")) * time.Hour)
		version := rapid.SampledFrom([]string{"1", "2", "3", "4", "5", "6", "7", domain.OtherName}).Draw(t, "version")
		errorType := rapid.SampledFrom([]string{"", "", "a", "b", "c", "d", domain.OtherName, domain.UnspecifiedError}).Draw(t, "error type")
		return call(hour, version, errorType)
	})
	batches := make([]domain.Batch, rapid.IntRange(1, 6).Draw(t, "batches"))
	for i := range batches {
		batches[i] = NewBatch(i+1, rapid.SliceOfN(event, 0, 12).Draw(t, "events")...)
		batches[i].ReceivedAt = noon.Add(time.Duration(-12*rapid.IntRange(-1, 5).Draw(t, "received")) * time.Hour)
	}
	return batches
}

func rebuildAll(t *rapid.T, s StorePorts) {
	for day := range 4 {
		_, err := s.(ports.Rebuilder).RebuildDay(t.Context(), domain.Daily.Floor(noon).Add(-time.Duration(day)*24*time.Hour), domain.Cutoffs{})
		if err != nil {
			t.Fatalf("rebuild: %v", err)
		}
	}
}

func compareBounded(t *rapid.T, store, reference StorePorts) {
	for _, w := range []domain.Window{hours(), days()} {
		want, err := reference.Select(t.Context(), everything(w))
		if err != nil {
			t.Fatalf("reference: %v", err)
		}
		got, err := store.Select(t.Context(), everything(w))
		if err != nil {
			t.Fatalf("select: %v", err)
		}
		if d := Difference(got, want); d != "" {
			t.Fatalf("differs from the reference: %s", d)
		}
	}
	want, err := reference.Activity(t.Context())
	if err != nil {
		t.Fatalf("reference: %v", err)
	}
	if got, err := store.Activity(t.Context()); err != nil || got != want {
		t.Fatalf("activity %+v, %v; the reference has %+v", got, err, want)
	}
}
