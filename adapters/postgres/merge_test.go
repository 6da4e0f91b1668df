package postgres_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

func checkSame(t *testing.T, got, want domain.Selected) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("statistics are %+v\nwant %+v", got, want)
	}
}

// within waits until the condition holds.
func within(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", limit, what)
		}
	}
}

func mustMerge(t *testing.T, s *postgres.Store) {
	t.Helper()
	if err := s.MergeJournal(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestMergingInPiecesChangesNoAnswer merges a few rows at a time and looks at the
// answer after each.
func TestMergingInPiecesChangesNoAnswer(t *testing.T) {
	db := open(t, postgres.Config{URL: newMigrated(t), Buckets: app.NewPackedCache(1 << 20)})
	store := postgres.NewStore(db)
	var batches []domain.Batch
	for i := range 12 {
		batches = append(batches, contract.NewBatch(i, dated(today, 48)...))
		mustStore(t, store, batches[i])
	}
	want, pieces := selected(t, store), 0
	for {
		merged, err := store.Merge(t.Context(), today, 100, domain.Cutoffs{})
		if err != nil {
			t.Fatal(err)
		}
		checkSame(t, selected(t, store), want)
		if merged == 0 {
			break
		}
		pieces++
	}
	if left := count(t, db, "aggregation_journal"); left != 0 || pieces < 4 {
		t.Errorf("merged in %d pieces, and %d rows are left", pieces, left)
	}
	checkCounted(t, db, batches)
}

// TestReadersBesideMergesCountExactly has readers with a cache of their own look
// while two processes merge and one computes anew.
func TestReadersBesideMergesCountExactly(t *testing.T) {
	const batches, size = 60, 20
	url := newMigrated(t)
	writer := postgres.NewStore(open(t, postgres.Config{URL: url}))
	for i := range batches {
		mustStore(t, writer, contract.NewBatch(i, failures(today.Add(time.Duration(-i%30)*time.Hour), size)...))
	}
	var done atomic.Bool
	var mergers, readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			store := postgres.NewStore(open(t, postgres.Config{URL: url, Buckets: app.NewPackedCache(1 << 20)}))
			for !done.Load() {
				checkCounts(t, selected(t, store), batches*size)
				checkCounts(t, selectedHours(t, store), batches*size)
			}
		})
		mergers.Go(func() {
			store := postgres.NewStore(open(t, postgres.Config{URL: url}))
			for range batches {
				for _, start := range []time.Time{today, today.Add(-day), today.Add(-2 * day)} {
					if _, err := store.Merge(t.Context(), start, 1, domain.Cutoffs{}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	mergers.Go(func() {
		for range 10 {
			if _, err := writer.RebuildDay(t.Context(), today.Add(-day), domain.Cutoffs{}); err != nil {
				t.Error(err)
			}
		}
	})
	mergers.Wait()
	done.Store(true)
	readers.Wait()
	mustMerge(t, writer)
	if a, err := writer.Activity(t.Context()); err != nil || a.Events != batches*size {
		t.Errorf("%+v, %v; want %d events", a, err, batches*size)
	}
}

// TestDayThatAnotherProcessMergesIsSkipped holds the lock of a day.
func TestDayThatAnotherProcessMergesIsSkipped(t *testing.T) {
	db := open(t, postgres.Config{URL: newMigrated(t)})
	store := postgres.NewStore(db)
	mustStore(t, store, contract.NewBatch(1, append(dated(today, 5), dated(today.Add(-day), 5)...)...))
	release := hold(t, db, `
		SELECT pg_advisory_xact_lock(77328160, (extract(epoch FROM timestamptz '2026-11-23 00:00:00+00') / 86400)::integer)`)
	if merged, err := store.Merge(t.Context(), today, 1_000, domain.Cutoffs{}); merged != 0 || err != nil {
		t.Errorf("merged %d entries of a day that another has, %v", merged, err)
	}
	if merged, err := store.Merge(t.Context(), today.Add(-day), 1_000, domain.Cutoffs{}); merged == 0 || err != nil {
		t.Errorf("merged %d entries of another day, %v", merged, err)
	}
	release()
	if merged, err := store.Merge(t.Context(), today, 1_000, domain.Cutoffs{}); merged == 0 || err != nil {
		t.Errorf("merged %d entries afterwards, %v", merged, err)
	}
}

// TestMergeCutOffChangesNothing gives a merge up when it has written the hours
// and waits to write the day.
func TestMergeCutOffChangesNothing(t *testing.T) {
	db := open(t, postgres.Config{URL: newMigrated(t)})
	store := postgres.NewStore(db)
	mustStore(t, store, contract.NewBatch(1, dated(today, 48)...))
	mustMerge(t, store)
	mustStore(t, store, contract.NewBatch(2, dated(today, 48)...))
	state := func() (state string) {
		t.Helper()
		err := db.Get(t.Context(), &state, `SELECT concat(
			(SELECT md5(string_agg(p::text, ',' ORDER BY resolution, grain, part, bucket)) FROM packed_aggregates AS p),
			(SELECT md5(string_agg(b::text, ',' ORDER BY resolution, bucket)) FROM aggregate_buckets AS b),
			(SELECT md5(string_agg(j::text, ',' ORDER BY id)) FROM aggregation_journal AS j))`)
		if err != nil {
			t.Fatal(err)
		}
		return state
	}
	before, want := state(), selected(t, store)
	release := hold(t, db, `SELECT FROM aggregate_buckets WHERE resolution = 'day' FOR UPDATE`)
	ctx, giveUp := context.WithCancel(t.Context())
	merged := make(chan error, 1)
	go func() {
		_, err := store.Merge(ctx, today, 1_000, domain.Cutoffs{})
		merged <- err
	}()
	within(t, 20*time.Second, "the merge waits", func() bool {
		var waiting int
		err := db.Get(t.Context(), &waiting, `
			SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'transactionid'`)
		return err == nil && waiting > 0
	})
	giveUp()
	if err := <-merged; domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("the merge ends with %v", err)
	}
	release()
	if after := state(); after != before {
		t.Error("something has changed")
	}
	mustMerge(t, store)
	if state() == before {
		t.Error("nothing was merged afterwards")
	}
	checkSame(t, selected(t, store), want)
}

// TestValuesInMemoryAreNotReadAgain damages what a reader has in memory.
func TestValuesInMemoryAreNotReadAgain(t *testing.T) {
	url := newMigrated(t)
	db := open(t, postgres.Config{URL: url, Buckets: app.NewPackedCache(1 << 20)})
	store := postgres.NewStore(db)
	mustStore(t, store, contract.NewBatch(1, dated(today, 48)...))
	mustMerge(t, store)
	want := selected(t, store)
	if err := db.Exec(t.Context(), `UPDATE packed_aggregates SET counts = '\xff'`); err != nil {
		t.Fatal(err)
	}
	checkSame(t, selected(t, store), want)
	if _, err := postgres.NewStore(open(t, postgres.Config{URL: url})).Select(t.Context(), everything()); err == nil {
		t.Error("the values are not damaged")
	}
	// A merge, an expiry and a rebuild each give the bucket another generation.
	if _, err := store.RebuildDay(t.Context(), today, domain.Cutoffs{}); err != nil {
		t.Fatal(err)
	}
	checkSame(t, selected(t, store), want)
	mustExpire(t, store, domain.Cutoffs{Daily: today.Add(day)})
	left := selected(t, store)
	if len(left.Rollups[domain.DimensionNone]) != 0 || len(left.Errors) == 0 {
		t.Errorf("after an expiry of calls alone there are %d totals and %d errors", len(left.Rollups[domain.DimensionNone]), len(left.Errors))
	}
}

// TestRebuildInManyPieces computes a day anew with little in memory.
func TestRebuildInManyPieces(t *testing.T) {
	db := open(t, postgres.Config{URL: newMigrated(t)})
	store := postgres.NewStore(db)
	events := dated(today, 900)
	mustStore(t, store, contract.NewBatch(1, events[:600]...))
	mustMerge(t, store)
	mustStore(t, store, contract.NewBatch(2, events[600:]...), contract.NewBatch(3, dated(today.Add(-day), 50)...))
	want := selected(t, store)
	db.BoundRebuild(70, 100)
	if n, err := store.RebuildDay(t.Context(), today, domain.Cutoffs{}); n != 900 || err != nil {
		t.Errorf("rebuilt from %d events, %v", n, err)
	}
	checkSame(t, selected(t, store), want)
	if left := count(t, db, "aggregation_journal"); left != 1 {
		t.Errorf("%d rows are in the journal, want that of the other day", left)
	}
}

// TestDamageIsNamedAndMended damages what is stored by hand: readers and merges
// name the bucket, nothing is overwritten or lost, and a rebuild mends it.
func TestDamageIsNamedAndMended(t *testing.T) {
	const update = `UPDATE packed_aggregates SET `
	for name, tt := range map[string]struct {
		damage, want string
		// read and merged say who notices.
		read, merged bool
	}{
		"counts of an hour":    {update + `counts = '\x01ff' WHERE resolution = 'hour' AND grain = 0`, "packed_aggregates, hour 2026-11-23T", true, false},
		"counts of a day":      {update + `counts = substring(counts FOR 20) WHERE resolution = 'day' AND grain = 15`, "packed_aggregates, day 2026-11-23T00:00:00Z: the packed value of grain 15 ", false, true},
		"a newer format":       {update + `counts = set_byte(counts, 0, 200)`, "packed_aggregates, ", true, true},
		"latency of a total":   {update + `latency = '\x01ff' WHERE grain = 0`, "packed_aggregates, ", true, false},
		"latency, full grain":  {update + `latency = '\x01ff' WHERE grain = 15`, "grain 15", false, true},
		"latency that is away": {update + `latency = NULL WHERE grain = 1`, "grain 1", true, false},
		"sessions of a total":  {update + `sessions = '\x07' WHERE grain = 0`, "grain 0", true, false},
		"sessions, full grain": {update + `sessions = '\x07' WHERE grain = 15`, "grain 15", false, true},
		"errors":               {update + `counts = '\x' WHERE grain = 31`, "grain 31", false, true},
		"no bytes of a tool":   {update + `counts = '' WHERE grain = 1`, "grain 1 is empty", true, false},
		"coarse errors":        {update + `counts = '\x01' WHERE grain = 19`, "grain 19", true, false},
		"the journal": {
			`INSERT INTO aggregation_journal (day, events, entries, payload) VALUES ('2026-11-23 00:00:00+00', 1, 1, '\x09')`,
			"aggregation_journal, day 2026-11-23T00:00:00Z, row ", true, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, postgres.Config{URL: newMigrated(t), Buckets: app.NewPackedCache(1 << 20)})
			store := postgres.NewStore(db)
			mustStore(t, store, contract.NewBatch(1, dated(today, 200)...))
			mustMerge(t, store)
			mustStore(t, store, contract.NewBatch(2, dated(today, 100)...))
			want := []domain.Selected{selected(t, store), selectedHours(t, store)}
			if err := db.Exec(t.Context(), tt.damage); err != nil {
				t.Fatal(err)
			}
			before, stored := md5OfPacked(t, db), count(t, db, "aggregation_journal")
			fresh := postgres.NewStore(open(t, postgres.Config{URL: db.URL()}))
			checkDamage(t, fresh, tt.want, tt.read)
			_, err := store.Merge(t.Context(), today, 1_000_000, domain.Cutoffs{})
			if !tt.merged {
				if err != nil {
					t.Errorf("the merge, which reads none of it, says %v", err)
				}
			} else {
				checkDamaged(t, err, tt.want)
				if md5OfPacked(t, db) != before || count(t, db, "aggregation_journal") != stored {
					t.Error("the merge has changed something")
				}
			}
			// What is due expires all the same, and new events are stored.
			mustStore(t, store, contract.NewBatch(3, dated(today.Add(-9*day), 10)...))
			if _, err := store.Due(t.Context(), domain.Cutoffs{}); err != nil {
				t.Errorf("counting what is due ends with %v", err)
			}
			if n, err := store.RebuildDay(t.Context(), today, domain.Cutoffs{}); err != nil || n != 300 {
				t.Fatalf("rebuilt from %d events, %v; want 300", n, err)
			}
			if _, err := store.RebuildDay(t.Context(), today.Add(-9*day), domain.Cutoffs{Daily: today, DailyErrors: today}); err != nil {
				t.Fatal(err)
			}
			checkSame(t, selected(t, fresh), want[0])
			checkSame(t, selectedHours(t, fresh), want[1])
		})
	}
}

func md5OfPacked(t *testing.T, db *postgres.DB) string {
	t.Helper()
	var sum string
	err := db.Get(t.Context(), &sum, `SELECT md5(string_agg(p::text, ',' ORDER BY resolution, grain, part, bucket)) FROM packed_aggregates AS p`)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// checkDamage demands that readers notice, or not.
func checkDamage(t *testing.T, store *postgres.Store, want string, noticed bool) {
	t.Helper()
	var errs []error
	for _, r := range domain.Resolutions() {
		s := everything()
		s.Window = domain.Window{Start: today, End: today.Add(day), Resolution: r}
		if _, err := store.Select(t.Context(), s); err != nil {
			errs = append(errs, err)
		}
	}
	if noticed != (len(errs) > 0) {
		t.Errorf("readers say %v", errs)
	}
	for _, err := range errs {
		checkDamaged(t, err, want)
	}
}

func checkDamaged(t *testing.T, err error, want string) {
	t.Helper()
	if domain.CodeOf(err) != domain.CodeUnavailable || domain.MessageOf(err) != "a stored aggregate is damaged" {
		t.Fatalf("code %q of %v", domain.CodeOf(err), err)
	}
	if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "run analytics rebuild for that day") {
		t.Errorf("%v\nwant %q", err, want)
	}
}

// TestReadingByHand runs the query that docs/postgresql.md gives, while some of
// the events are in the journal.
func TestReadingByHand(t *testing.T) {
	page, err := os.ReadFile("../../docs/postgresql.md")
	if err != nil {
		t.Fatal(err)
	}
	_, query, _ := strings.Cut(string(page), "```sql\nSELECT day")
	query, _, found := strings.Cut("SELECT day"+query, "```")
	if !found {
		t.Fatal("the page has no such query")
	}
	db := open(t, postgres.Config{URL: newMigrated(t)})
	store := postgres.NewStore(db)
	mustStore(t, store, contract.NewBatch(1, dated(today, 30)...))
	mustMerge(t, store)
	mustStore(t, store, contract.NewBatch(2, append(dated(today, 10), dated(today.Add(-day), 7)...)...))
	var calls []int64
	if err := db.List(t.Context(), &calls, `SELECT sum FROM (`+strings.TrimRight(query, ";\n")+`) AS page`); err != nil {
		t.Fatal(err)
	}
	if want := []int64{7, 40}; !slices.Equal(calls, want) {
		t.Errorf("calls by day %v, want %v", calls, want)
	}
}

// TestViewsCountAllEvents compares what the views show with the events.
func TestViewsCountAllEvents(t *testing.T) {
	db := open(t, postgres.Config{URL: newMigrated(t)})
	store := postgres.NewStore(db)
	events := append(dated(today, 200), dated(today.Add(-day), 100)...)
	mustStore(t, store, contract.NewBatch(1, events...))
	mustMerge(t, store)
	for view, r := range map[string]domain.Resolution{"daily_aggregations": domain.Daily, "hourly_aggregations": domain.Hourly} {
		for _, by := range append(domain.Dimensions(), domain.DimensionNone) {
			dimension := by.String()
			if by == domain.DimensionNone {
				dimension = "total"
			}
			checkView(t, db, countedBy(events, r, by), `
				SELECT concat_ws(' ', to_char(bucket, 'YYYY-MM-DD"T"HH24'), value, calls, errors, cache_hits, cache_misses, retries,
					retries_observed, retried, timed, response_time_sum_ms)
				FROM `+view+` WHERE dimension = '`+dimension+`'`)
		}
		checkView(t, db, failedBy(events, r), `
			SELECT concat_ws(' ', to_char(bucket, 'YYYY-MM-DD"T"HH24'), tool, error_type, count, to_char(first_seen, 'YYYY-MM-DD"T"HH24'),
				to_char(last_seen, 'YYYY-MM-DD"T"HH24'), array_to_string(versions, '+'))
			FROM error_summary WHERE resolution = '`+string(r)+`'`)
	}
}

const shownHour = "2006-01-02T15"

// countedBy are the rows that a breakdown must show.
func countedBy(events []domain.Event, r domain.Resolution, by domain.Dimension) []string {
	rollups := make(map[string]*domain.Rollup)
	for i := range events {
		e := &events[i]
		key := r.Floor(e.Hour).Format(shownHour) + " " + domain.GroupOf(e).Value(by)
		if rollups[key] == nil {
			rollups[key] = new(domain.Rollup)
		}
		rollups[key].Add(e)
	}
	var rows []string
	for key, s := range rollups {
		rows = append(rows, fmt.Sprint(key, " ", s.Calls, s.Errors, s.CacheHits, s.CacheMisses, s.Retries, s.RetriesObserved, s.Retried,
			s.Timed, s.ResponseTimeSumMS))
	}
	return rows
}

// failedBy are the rows that the error summaries must show.
func failedBy(events []domain.Event, r domain.Resolution) []string {
	type failed struct {
		count    int
		hours    []string
		versions []string
	}
	summaries := make(map[string]*failed)
	for i := range events {
		e := &events[i]
		if e.Status != domain.StatusError {
			continue
		}
		key := r.Floor(e.Hour).Format(shownHour) + " " + e.Tool + " " + cmp.Or(e.ErrorType, domain.UnspecifiedError)
		if summaries[key] == nil {
			summaries[key] = new(failed)
		}
		s := summaries[key]
		s.count++
		s.hours, s.versions = append(s.hours, e.Hour.Format(shownHour)), append(s.versions, e.Version)
	}
	var rows []string
	for key, s := range summaries {
		slices.Sort(s.versions)
		rows = append(rows, fmt.Sprintf("%s %d %s %s %s", key, s.count, slices.Min(s.hours), slices.Max(s.hours),
			strings.Join(slices.Compact(s.versions), "+")))
	}
	return rows
}

func checkView(t *testing.T, db *postgres.DB, want []string, query string) {
	t.Helper()
	var got []string
	if err := db.List(t.Context(), &got, query); err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	slices.Sort(want)
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("%s\ngives %q\nwant %q", query, got, want)
	}
}
