package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

func put(t *testing.T, store *sqlite.Store, batches ...domain.Batch) {
	t.Helper()
	for _, b := range batches {
		if _, err := store.Store(t.Context(), []domain.Batch{b}); err != nil {
			t.Fatal(err)
		}
	}
}

// merge merges the whole journal.
func merge(t *testing.T, store *sqlite.Store, cutoffs domain.Cutoffs) {
	t.Helper()
	if err := mergeAll(t.Context(), store, 1_000, cutoffs); err != nil {
		t.Fatal(err)
	}
	if days, err := store.Journal(t.Context()); err != nil || len(days) > 0 {
		t.Fatalf("after the merge the journal has %+v, %v", days, err)
	}
}

func mergeAll(ctx context.Context, store *sqlite.Store, maxEntries int, cutoffs domain.Cutoffs) error {
	days, err := store.Journal(ctx)
	for _, day := range days {
		for n := 1; n > 0 && err == nil; {
			n, err = store.Merge(ctx, day.Day, maxEntries, cutoffs)
		}
	}
	return err
}

// mergingStore merges whatever it stores in small pieces.
type mergingStore struct{ *inner }

type inner = sqlite.Store

func (s mergingStore) Store(ctx context.Context, batches []domain.Batch) (ports.Stored, error) {
	stored, err := s.inner.Store(ctx, batches)
	if err == nil {
		err = mergeAll(ctx, s.inner, 40, domain.Cutoffs{})
	}
	return stored, err
}

// openMerging opens stores whose journal is always nearly empty, and that keep in
// memory what they have read.
func openMerging(t *testing.T) contract.StoreHarness {
	t.Helper()
	h := openWith(t, sqlite.Config{Buckets: app.NewPackedCache(1 << 20)})
	merging := func(s contract.StorePorts) contract.StorePorts {
		store, ok := s.(*sqlite.Store)
		if !ok {
			t.Fatalf("the store is %T", s)
		}
		return mergingStore{store}
	}
	h.Store = merging(h.Store)
	reopen := h.Reopen
	h.Reopen = func(t *testing.T) contract.StorePorts { t.Helper(); return merging(reopen(t)) }
	return h
}

func TestMergingStore(t *testing.T) {
	t.Run("store", func(t *testing.T) { contract.Store(t, openMerging) })
	t.Run("rebuild", func(t *testing.T) { contract.Rebuild(t, openMerging) })
}

// steppingStore takes some steps of a merge of each day whenever it has stored.
type steppingStore struct {
	*inner

	stored *atomic.Int64
}

func (s steppingStore) Store(ctx context.Context, batches []domain.Batch) (ports.Stored, error) {
	stored, err := s.inner.Store(ctx, batches)
	if err != nil {
		return stored, err
	}
	days, err := s.Journal(ctx)
	steps := 1 + s.stored.Add(7)%domain.MergeSteps
	for _, d := range days {
		for step := int64(0); step < steps && err == nil; step++ {
			err = s.MergeStep(ctx, d.Day, 40)
		}
	}
	return stored, err
}

func openStepping(t *testing.T) contract.StoreHarness {
	t.Helper()
	h := openStepwise(t)
	store, ok := h.Store.(*sqlite.Store)
	if !ok {
		t.Fatalf("the store is %T", h.Store)
	}
	h.Store = steppingStore{store, new(atomic.Int64)}
	return h
}

func TestMergesInPart(t *testing.T) {
	t.Run("store", func(t *testing.T) { contract.Store(t, openStepping) })
	t.Run("rebuild", func(t *testing.T) { contract.Rebuild(t, openStepping) })
	t.Run("statistics", func(t *testing.T) { contract.SameStatistics(t, openStepping) })
}

// What steps of a merge wrote of hours that become due before its end is deleted with
// them.
func TestMergeInPartLeavesNothingOfWhatIsDue(t *testing.T) {
	h, db := harnessOf(t, sqlite.Config{})
	db.MergeStepwise()
	store, ok := h.Store.(*sqlite.Store)
	if !ok {
		t.Fatalf("the store is %T", h.Store)
	}
	day := domain.Daily.Floor(contract.Now)
	put(t, store, contract.NewBatch(1, contract.EventsOver(1, 200, 10)...))
	for range 6 {
		if err := store.MergeStep(t.Context(), day, 1_000); err != nil {
			t.Fatal(err)
		}
	}
	hours := `packed_aggregates WHERE resolution = 'hour'`
	if n := count(t, db.StoreFile(), hours); n == 0 {
		t.Fatal("nothing is merged in part")
	}
	due := domain.Cutoffs{Hourly: day.AddDate(0, 0, 1), HourlyErrors: day.AddDate(0, 0, 1)}
	merge(t, store, due)
	if n := count(t, db.StoreFile(), hours); n != 0 {
		t.Errorf("%d values of hours that are due are left", n)
	}
	if n := count(t, db.StoreFile(), `aggregate_buckets WHERE resolution = 'hour'`); n != 0 {
		t.Errorf("%d hours without values are left", n)
	}
}

func TestJournalListsItsDays(t *testing.T) {
	clock := memory.NewClock(contract.Now)
	dir := t.TempDir()
	db := open(t, sqlite.Config{Dir: dir, Clock: clock})
	store := sqlite.NewStore(db)
	day := domain.Daily.Floor(contract.Now)
	events := contract.EventsOver(1, 20, 1)
	yesterday := slices.Clone(events[:3])
	for i := range yesterday {
		yesterday[i].Hour = day.Add(-time.Hour)
	}
	var entries int
	for i, b := range []domain.Batch{
		contract.NewBatch(1, events...), contract.NewBatch(2, yesterday...), contract.NewBatch(3, append(events[:5:5], yesterday...)...),
	} {
		stored, err := store.Store(t.Context(), []domain.Batch{b})
		if err != nil || stored.Entries < 1 {
			t.Fatalf("%d: %+v, %v", i, stored, err)
		}
		entries += stored.Entries
		clock.Advance(time.Minute)
	}
	check := func(store *sqlite.Store) {
		t.Helper()
		got, err := store.Journal(t.Context())
		if err != nil || len(got) != 2 || got[0].Entries+got[1].Entries != entries {
			t.Fatalf("the journal has %+v, %v; want %d entries", got, err, entries)
		}
		got[0].Entries, got[1].Entries = 0, 0
		want := []ports.JournalDay{
			{Day: day.AddDate(0, 0, -1), Rows: 2, Age: 2 * time.Minute}, {Day: day, Rows: 2, Age: 3 * time.Minute},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("the journal has %+v, want %+v", got, want)
		}
	}
	check(store)
	before := everything(t, store, day)
	closeDB(t, db)

	store = sqlite.NewStore(open(t, sqlite.Config{Dir: dir, Clock: clock}))
	check(store) // after a restart
	if !reflect.DeepEqual(everything(t, store, day), before) {
		t.Error("after a restart the answers are others")
	}
	clock.Advance(-time.Hour)
	if got, err := store.Journal(t.Context()); err != nil || got[0].Age != 0 {
		t.Errorf("with a clock that was set back: %+v, %v", got, err)
	}
	merge(t, store, domain.Cutoffs{})
	if !reflect.DeepEqual(everything(t, store, day), before) {
		t.Error("after the merge the answers are others")
	}
}

func TestMergeTakesTheOldestRows(t *testing.T) {
	db := open(t, sqlite.Config{Dir: t.TempDir()})
	store := sqlite.NewStore(db)
	day := domain.Daily.Floor(contract.Now)
	var entries []int
	for i := range 4 {
		stored, err := store.Store(t.Context(), []domain.Batch{contract.NewBatch(i, contract.EventsOver(uint64(i), 30, 1)...)})
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, stored.Entries)
	}
	for i, c := range []struct{ most, want int }{
		{0, entries[0]}, {entries[1] + 1, entries[1] + entries[2]}, {1_000_000, entries[3]}, {1_000_000, 0},
	} {
		if n, err := store.Merge(t.Context(), day, c.most, domain.Cutoffs{}); err != nil || n != c.want {
			t.Errorf("%d: merged %d entries, %v; want %d", i, n, err, c.want)
		}
	}
	activity, err := store.Activity(t.Context())
	if err != nil || activity.Events != 120 {
		t.Errorf("%+v, %v", activity, err)
	}
}

func TestMergeLeavesOutWhatIsDue(t *testing.T) {
	day := domain.Daily.Floor(contract.Now)
	for name, cutoffs := range map[string]domain.Cutoffs{
		"hours":           {Hourly: day.Add(5 * time.Hour), HourlyErrors: day.Add(3 * time.Hour)},
		"errors of hours": {Hourly: day.Add(3 * time.Hour), HourlyErrors: day.Add(5 * time.Hour)},
		"the day":         {Daily: day.Add(time.Hour), DailyErrors: day.Add(time.Hour)},
		"everything":      {Hourly: day.AddDate(0, 0, 1), HourlyErrors: day.AddDate(0, 0, 1), Daily: day.AddDate(0, 0, 1), DailyErrors: day.AddDate(0, 0, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			stores := make([]*sqlite.Store, 2)
			for i := range stores {
				stores[i] = sqlite.NewStore(open(t, sqlite.Config{Dir: t.TempDir()}))
				put(t, stores[i], contract.NewBatch(1, contract.EventsOver(1, 200, 10)...))
			}
			merge(t, stores[0], cutoffs)
			if n, err := stores[0].Expire(t.Context(), cutoffs); err != nil || n.Hourly+n.Daily+n.Errors != 0 {
				t.Errorf("%+v were due, %v", n, err)
			}
			merge(t, stores[1], domain.Cutoffs{})
			if _, err := stores[1].Expire(t.Context(), cutoffs); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(everything(t, stores[0], day), everything(t, stores[1], day)) {
				t.Error("more or less is left out than expires")
			}
		})
	}
}

// TestNobodyWaitsForAMerge: while a merge has computed and waits to write, readers
// go on, and what is stored meanwhile stays in the journal.
func TestNobodyWaitsForAMerge(t *testing.T) {
	db := open(t, sqlite.Config{Dir: t.TempDir()})
	store := sqlite.NewStore(db)
	day := domain.Daily.Floor(contract.Now)
	put(t, store, contract.NewBatch(1, contract.EventsOver(1, 200, 1)...))
	before := everything(t, store, day)
	stored := contentOf(t, db)

	waiting, release, err := db.StoreFile().Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	merged := make(chan error, 1)
	go func() {
		_, err := store.Merge(ctx, day, 1_000_000, domain.Cutoffs{})
		merged <- err
	}()
	// The merge waits for the writer when another one finds that it is at work.
	within(t, "the merge waits for the writer", waiting)
	if n, err := store.Merge(t.Context(), day, 1_000_000, domain.Cutoffs{}); n != 0 || err != nil {
		t.Errorf("a second merge merged %d entries, %v", n, err)
	}
	if !reflect.DeepEqual(everything(t, store, day), before) {
		t.Error("while a merge waits the answers are others")
	}

	// Cut off here, it has changed nothing.
	cancel()
	if err := <-merged; domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("the merge that is given up says %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if contentOf(t, db) != stored {
		t.Error("a merge that was cut off has changed something")
	}

	if waiting, release, err = db.StoreFile().Hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := store.Merge(t.Context(), day, 1_000_000, domain.Cutoffs{})
		merged <- err
	}()
	within(t, "the merge waits for the writer", waiting)
	if err := release(); err != nil {
		t.Fatal(err)
	}
	put(t, store, contract.NewBatch(2, contract.EventsOver(2, 50, 1)...))
	if err := <-merged; err != nil {
		t.Fatal(err)
	}
	if days, err := store.Journal(t.Context()); err != nil || len(days) != 1 || days[0].Rows != 1 {
		t.Errorf("the journal has %+v, %v; want what was stored meanwhile", days, err)
	}
	if activity, err := store.Activity(t.Context()); err != nil || activity.Events != 250 {
		t.Errorf("%+v, %v; want 250 events", activity, err)
	}
}

func within(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// TestMergeThatFailsChangesNothing lets the last statements of its transaction
// fail.
func TestMergeThatFailsChangesNothing(t *testing.T) {
	day := domain.Daily.Floor(contract.Now)
	for name, event := range map[string]string{
		"the last bucket":       `INSERT ON aggregate_buckets WHEN new.resolution = 'day'`,
		"deleting the journal":  `DELETE ON aggregation_journal`,
		"the values of the day": `INSERT ON packed_aggregates WHEN new.resolution = 'day'`,
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, sqlite.Config{Dir: t.TempDir()})
			store := sqlite.NewStore(db)
			put(t, store, contract.NewBatch(1, contract.EventsOver(1, 200, 1)...))
			merge(t, store, domain.Cutoffs{})
			put(t, store, contract.NewBatch(2, contract.EventsOver(2, 200, 1)...))
			answers, before := everything(t, store, day), contentOf(t, db)
			exec1(t, db.StoreFile(), `CREATE TRIGGER refusal BEFORE `+event+` BEGIN SELECT raise(ABORT, 'refused'); END`)
			if n, err := store.Merge(t.Context(), day, 1_000_000, domain.Cutoffs{}); err == nil || n != 0 {
				t.Errorf("merged %d entries, %v", n, err)
			}
			exec1(t, db.StoreFile(), `DROP TRIGGER refusal`)
			if contentOf(t, db) != before {
				t.Error("something has changed")
			}
			merge(t, store, domain.Cutoffs{})
			if !reflect.DeepEqual(everything(t, store, day), answers) {
				t.Error("after the merge the answers are others")
			}
		})
	}
}

// TestReadersBesideMergesCountExactly stores and merges without end beside readers.
// Each of these must count all that was stored before it began.
func TestReadersBesideMergesCountExactly(t *testing.T) {
	const batches, perBatch = 60, 40
	db := open(t, sqlite.Config{Dir: t.TempDir(), Buckets: app.NewPackedCache(1 << 20)})
	store := sqlite.NewStore(db)
	day := domain.Daily.Floor(contract.Now)
	var begun, stored atomic.Int64
	done := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		defer close(done)
		for n := range batches {
			begun.Add(perBatch)
			if _, err := store.Store(t.Context(), []domain.Batch{contract.NewBatch(n, contract.EventsOver(uint64(n), perBatch, 3)...)}); err != nil {
				t.Error(err)
				return
			}
			stored.Add(perBatch)
		}
	})
	work.Go(func() {
		for isOpen(done) {
			if err := mergeAll(t.Context(), store, 100, domain.Cutoffs{}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for i := 0; isOpen(done); i++ {
		least := stored.Load()
		selected, err := store.Select(t.Context(), domain.Selection{
			Window: domain.Window{Start: day.AddDate(0, 0, -1), End: day.AddDate(0, 0, 1), Resolution: domain.Resolutions()[i%2]},
			By:     append(domain.Dimensions(), domain.DimensionNone), Errors: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		most := begun.Load()
		counts := make(map[int64]bool)
		for _, rows := range selected.Rollups {
			var calls int64
			for _, row := range rows {
				calls += row.Rollup.Calls
			}
			counts[calls] = true
			if calls < least || calls > most {
				t.Fatalf("%d calls, between %d and %d are stored", calls, least, most)
			}
		}
		if len(counts) != 1 {
			t.Fatalf("the breakdowns count differently: %v", counts)
		}
	}
	work.Wait()
	merge(t, store, domain.Cutoffs{})
	if activity, err := store.Activity(t.Context()); err != nil || activity.Events != batches*perBatch {
		t.Errorf("%+v, %v; want %d events", activity, err, batches*perBatch)
	}
}

func isOpen(done chan struct{}) bool {
	select {
	case <-done:
		return false
	default:
		return true
	}
}

// TestReadValuesComeFromMemory takes values away behind the store's back: until
// their bucket changes it does not look.
func TestReadValuesComeFromMemory(t *testing.T) {
	db := open(t, sqlite.Config{Dir: t.TempDir(), Buckets: app.NewPackedCache(1 << 20)})
	store := sqlite.NewStore(db)
	day := domain.Daily.Floor(contract.Now)
	// Few countries, so that many parts hold nothing: that is remembered, too.
	put(t, store, contract.NewBatch(1, contract.EventsOver(1, 300, 40)...))
	merge(t, store, domain.Cutoffs{})
	selection := domain.Selection{
		Window: domain.Window{Start: day.AddDate(0, 0, -3), End: day.AddDate(0, 0, 1), Resolution: domain.Hourly},
		Filter: domain.Filter{Service: "noaa", Tool: "get_forecast"},
		By:     append(domain.Dimensions(), domain.DimensionNone), Latency: true, Sessions: true, Errors: true,
	}
	read := func() domain.Selected {
		t.Helper()
		selected, err := store.Select(t.Context(), selection)
		if err != nil {
			t.Fatal(err)
		}
		return selected
	}
	want := read()
	exec1(t, db.StoreFile(), `CREATE TABLE elsewhere AS SELECT * FROM packed_aggregates`)
	exec1(t, db.StoreFile(), `DELETE FROM packed_aggregates`)
	if !reflect.DeepEqual(read(), want) {
		t.Error("what has not changed is read again")
	}
	exec1(t, db.StoreFile(), `UPDATE aggregate_buckets SET generation = generation + 1`)
	if got := read(); len(got.Rollups[domain.DimensionNone]) > 0 {
		t.Error("what has changed comes from memory")
	}
	exec1(t, db.StoreFile(), `INSERT INTO packed_aggregates SELECT * FROM elsewhere`)
	if got := read(); len(got.Rollups[domain.DimensionNone]) > 0 {
		t.Error("that there is no value is not remembered")
	}
	exec1(t, db.StoreFile(), `UPDATE aggregate_buckets SET generation = generation + 1`)
	if !reflect.DeepEqual(read(), want) {
		t.Error("the values do not come back")
	}
	// An expiry and a rebuild change what they touch.
	cutoffs := domain.Cutoffs{Hourly: day}
	if _, err := store.Expire(t.Context(), cutoffs); err != nil {
		t.Fatal(err)
	}
	for _, row := range read().Rollups[domain.DimensionNone] {
		if row.Bucket.Before(day) {
			t.Errorf("%v is answered from memory after it has expired", row.Bucket)
		}
	}
	if _, err := store.RebuildDay(t.Context(), day.AddDate(0, 0, -1), domain.Cutoffs{}); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(read().Rollups[domain.DimensionNone], func(row domain.RollupRow) bool { return row.Bucket.Before(day) }) {
		t.Error("what was rebuilt is not read")
	}
}

// TestOperatorsReadViews compares the views with the answers, which have nothing but
// calls and errors of versions, countries and services.
func TestOperatorsReadViews(t *testing.T) {
	db := open(t, sqlite.Config{Dir: t.TempDir()})
	store := sqlite.NewStore(db)
	day := domain.Daily.Floor(contract.Now)
	put(t, store, contract.NewBatch(1, contract.EventsOver(1, 400, 30)...))
	merge(t, store, domain.Cutoffs{})
	for view, r := range map[string]domain.Resolution{"hourly_aggregations": domain.Hourly, "daily_aggregations": domain.Daily} {
		var whole, counts, errs []string
		window := domain.Window{Start: day.AddDate(0, 0, -3), End: day.AddDate(0, 0, 1), Resolution: r}
		for _, bucket := range window.Buckets() {
			selected, err := store.Select(t.Context(), domain.Selection{
				Window: domain.Window{Start: bucket, End: bucket.Add(r.Length()), Resolution: r},
				By:     append(domain.Dimensions(), domain.DimensionNone), Latency: true, Errors: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			for by, rows := range selected.Rollups {
				for _, row := range rows {
					name, u := dimensionName(by), row.Rollup
					counts = append(counts, fmt.Sprint(row.Bucket.Unix(), name, row.Group.Value(by), u.Calls, u.Errors))
					if by == domain.DimensionNone || by == domain.DimensionTool {
						whole = append(whole, fmt.Sprint(row.Bucket.Unix(), name, row.Group.Value(by), u.Calls, u.Errors, u.CacheHits, u.CacheMisses,
							u.Retries, u.RetriesObserved, u.Retried, u.Timed, u.ResponseTimeSumMS))
					}
				}
			}
			for _, row := range selected.Errors {
				errs = append(errs, fmt.Sprint(row.Bucket.Unix(), row.ErrorType, row.Count))
			}
		}
		checkRows(t, db, `SELECT bucket, dimension, value, calls, errors FROM `+view, counts)
		checkRows(t, db, `SELECT bucket, dimension, value, calls, errors, cache_hits, cache_misses, retries, retries_observed, retried,
			timed, response_time_sum_ms FROM `+view+` WHERE dimension IN ('total', 'tool')`, whole)
		checkRows(t, db, `SELECT bucket, error_type, sum(count) FROM error_summary
			WHERE resolution = '`+string(r)+`' GROUP BY bucket, error_type`, errs)
	}
	checkRows(t, db, `SELECT count(*) FROM error_summary WHERE json_array_length(versions) < 1 OR tool = '' OR first_seen < bucket
		OR last_seen < first_seen OR last_seen >= bucket + iif(resolution = 'day', 86400, 3600)`, []string{"0"})
}

func dimensionName(d domain.Dimension) string {
	if d == domain.DimensionNone {
		return "total"
	}
	return d.String()
}

func checkRows(t *testing.T, db *sqlite.DB, query string, want []string) {
	t.Helper()
	got, err := db.StoreFile().Rows(t.Context(), query)
	slices.Sort(got)
	slices.Sort(want)
	if err != nil || len(got) != len(want) {
		t.Errorf("%s gives %d rows, %v; want %d", query, len(got), err, len(want))
		return
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s gives %q, want %q", query, got[i], want[i])
			return
		}
	}
}

// TestGivenUpCallsEnd while another one holds what they wait for.
func TestGivenUpCallsEnd(t *testing.T) {
	db := open(t, sqlite.Config{Dir: t.TempDir()})
	store := sqlite.NewStore(db)
	day := domain.Daily.Floor(contract.Now)
	put(t, store, contract.NewBatch(1, contract.EventsOver(1, 20, 1)...))
	waiting, release, err := db.StoreFile().Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	merged := make(chan error, 1)
	go func() {
		_, err := store.Merge(t.Context(), day, 1_000_000, domain.Cutoffs{})
		merged <- err
	}()
	within(t, "the merge waits for the writer", waiting)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	for name, call := range map[string]func() error{
		"expire":  func() error { _, err := store.Expire(ctx, domain.Cutoffs{}); return err },
		"due":     func() error { _, err := store.Due(ctx, domain.Cutoffs{}); return err },
		"rebuild": func() error { _, err := store.RebuildDay(ctx, day, domain.Cutoffs{}); return err },
	} {
		err := call()
		if checkCode(t, name, err, domain.CodeUnavailable); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	if err := <-merged; err != nil {
		t.Error(err)
	}
}
