package postgres_test

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/logs"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

var today = domain.Daily.Floor(contract.Now)

const day = 24 * time.Hour

// dated returns n events of that day, one in each of its first hours.
func dated(start time.Time, n int) []domain.Event {
	events := contract.Events(uint64(start.Unix()), n)
	for i := range events {
		events[i].Hour = start.Add(time.Duration(i%24) * time.Hour)
	}
	return events
}

func mustStore(t *testing.T, s ports.EventStore, batches ...domain.Batch) {
	t.Helper()
	if _, err := s.Store(t.Context(), batches); err != nil {
		t.Fatal(err)
	}
}

func mustExpire(t *testing.T, s ports.Maintainer, c domain.Cutoffs) int64 {
	t.Helper()
	n, err := s.Expire(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return n.Total()
}

// tables lists the partitions of a table and what was cut off it.
func tables(t *testing.T, db *postgres.DB, of string) []string {
	t.Helper()
	var names []string
	err := db.List(t.Context(), &names, `
		SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE $1 || '\_%' ORDER BY relname`, of)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func count(t *testing.T, db *postgres.DB, table string) int {
	t.Helper()
	var n int
	if err := db.Get(t.Context(), &n, `SELECT count(*) FROM `+table); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPartitionsAreMadeAhead(t *testing.T) {
	clock := contractClock()
	db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t), Clock: clock})
	store := postgres.NewStore(db)
	mustExpire(t, store, domain.Cutoffs{})
	for _, table := range []string{"events", "hourly_aggregations", "error_summary"} {
		var want []string
		for d := today; !d.After(today.Add(7 * day)); d = d.Add(day) {
			want = append(want, table+d.Format("_20060102"))
		}
		want = append(want, table+"_default")
		if got := tables(t, db, table); !slices.Equal(got, want) {
			t.Errorf("tables %q\nwant %q", got, want)
		}
	}
	// What is stored goes there, up to the last hour of the last day.
	mustStore(t, store, contract.NewBatch(1, dated(today.Add(7*day), 48)...))
	if got := count(t, db, "events"+today.Add(7*day).Format("_20060102")); got != 48 {
		t.Errorf("%d events are in the partition of their day", got)
	}
	clock.Advance(3 * day)
	mustExpire(t, store, domain.Cutoffs{})
	if got := len(tables(t, db, "events")); got != 3+8+1 {
		t.Errorf("%d partitions after three days", got)
	}
}

func TestEventsWithoutAPartitionAreNotLost(t *testing.T) {
	db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t)})
	store := postgres.NewStore(db)
	// Of days long ago, of today, and of a time for which none is made ahead.
	days := []time.Time{today.Add(-400 * day), today.Add(-day), today, today.Add(30 * day)}
	var all []domain.Event
	for i, d := range days {
		events := dated(d, 30)
		mustStore(t, store, contract.NewBatch(1+i, events...))
		all = append(all, events...)
	}
	if err := store.MergeJournal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := count(t, db, "events_default"); got != len(all) {
		t.Errorf("%d of %d events are in the default partition", got, len(all))
	}
	before := selected(t, store)
	mustExpire(t, store, domain.Cutoffs{})
	for _, table := range []string{"events", "hourly_aggregations", "error_summary"} {
		for _, d := range days[:3] {
			if got := count(t, db, table+d.Format("_20060102")); got == 0 {
				t.Errorf("nothing moved to %s of %s", table, d.Format(time.DateOnly))
			}
		}
	}
	if got := count(t, db, "events_default"); got != 30 {
		t.Errorf("%d events are left in the default partition, want those of the future", got)
	}
	if got := rawEvents(t, db); len(got) != len(all) {
		t.Errorf("%d raw events, want %d", len(got), len(all))
	}
	checkSame(t, selected(t, store), before)
}

// TestMovingRowsLosesNone makes partitions, to which rows move, while workers
// store and merge and readers look: no answer may count less than is stored.
func TestMovingRowsLosesNone(t *testing.T) {
	url := servers.SharedPostgres(t).NewDatabase(t)
	var stored atomic.Int64
	var done atomic.Bool
	var workers, others sync.WaitGroup
	const processes, batches, size = 3, 60, 20
	for process := range processes {
		db := open(t, postgres.Config{URL: url, JournalEntries: 60, JournalDelay: 20 * time.Millisecond})
		store := postgres.NewStore(db)
		workers.Go(func() {
			for i := range batches {
				batch := contract.NewBatch(process*batches+i, failures(today.Add(time.Duration(-i%30)*time.Hour), size)...)
				if _, err := store.Store(t.Context(), []domain.Batch{batch}); err != nil {
					t.Error(err)
					return
				}
				stored.Add(size)
			}
		})
		others.Go(func() {
			for !done.Load() {
				least := stored.Load()
				checkCounts(t, selected(t, store), least)
				checkCounts(t, selectedHours(t, store), least)
			}
		})
		others.Go(func() {
			for !done.Load() {
				mustExpire(t, store, domain.Cutoffs{})
			}
		})
	}
	workers.Wait()
	done.Store(true)
	others.Wait()
	db := open(t, postgres.Config{URL: url})
	store := postgres.NewStore(db)
	mustExpire(t, store, domain.Cutoffs{})
	const all = processes * batches * size
	checkCounts(t, selected(t, store), all)
	checkCounts(t, selectedHours(t, store), all)
	if got := len(rawEvents(t, db)); got != all {
		t.Errorf("%d raw events, want %d", got, all)
	}
	if got := count(t, db, "events_default"); got != 0 {
		t.Errorf("%d events are left in the default partition", got)
	}
}

// TestMergesAndReadersSeeWhatHasMoved has them wait while rows move: who goes
// on with a plan made before would miss these rows, and write over them.
func TestMergesAndReadersSeeWhatHasMoved(t *testing.T) {
	for _, table := range []string{"hourly_aggregations", "error_summary"} {
		t.Run(table, func(t *testing.T) {
			url := servers.SharedPostgres(t).NewDatabase(t)
			db := open(t, postgres.Config{URL: url, JournalDelay: time.Hour})
			store := postgres.NewStore(db)
			mustStore(t, store, contract.NewBatch(1, failures(today, 10)...))
			if err := store.MergeJournal(t.Context()); err != nil {
				t.Fatal(err)
			}
			// A reader of the default partition holds the moving of rows up.
			held, release := make(chan struct{}), make(chan struct{})
			var all sync.WaitGroup
			all.Go(func() {
				if err := db.Hold(t.Context(), `SELECT FROM `+table+`_default`, held, release); err != nil {
					t.Error(err)
				}
			})
			<-held
			mover := postgres.NewStore(open(t, postgres.Config{URL: url}))
			all.Go(func() { mustExpire(t, mover, domain.Cutoffs{}) })
			awaitWaiting(t, db, 1)
			mustStore(t, store, contract.NewBatch(2, failures(today, 5)...))
			all.Go(func() { checkCounts(t, selectedHours(t, store), 15) })
			awaitWaiting(t, db, 2)
			all.Go(func() {
				if err := store.MergeJournal(t.Context()); err != nil {
					t.Error(err)
				}
			})
			awaitWaiting(t, db, 3)
			close(release)
			all.Wait()
			checkCounts(t, selectedHours(t, store), 15)
		})
	}
}

// awaitWaiting waits until that many transactions wait for a lock.
func awaitWaiting(t *testing.T, db *postgres.DB, want int) {
	t.Helper()
	within(t, 20*time.Second, strconv.Itoa(want)+" transactions wait", func() bool {
		var waiting int
		err := db.Get(t.Context(), &waiting, `
			SELECT count(DISTINCT pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
			WHERE NOT granted AND datname = current_database()`)
		if err != nil {
			t.Fatal(err)
		}
		return waiting >= want
	})
}

// failures are events of one hour that all failed.
func failures(hour time.Time, n int) []domain.Event {
	events := make([]domain.Event, n)
	for i := range events {
		events[i] = domain.Event{
			Version: "1.0.0", Tool: "get_alerts", Status: domain.StatusError, ErrorType: "timeout",
			Level: domain.LevelStandard, Hour: hour,
		}
	}
	return events
}

// checkCounts demands that calls and errors, which are as many, are at least
// that many.
func checkCounts(t *testing.T, s domain.Selected, least int64) {
	t.Helper()
	var calls, errs int64
	for i := range s.Rollups[domain.DimensionNone] {
		calls += s.Rollups[domain.DimensionNone][i].Rollup.Calls
	}
	for i := range s.Errors {
		errs += s.Errors[i].Count
	}
	if calls < least || errs != calls {
		t.Errorf("%d calls and %d errors are counted, want at least %d of each and as many", calls, errs, least)
	}
}

func selectedHours(t *testing.T, s ports.StatisticsReader) domain.Selected {
	t.Helper()
	answer, err := s.Select(t.Context(), domain.Selection{
		Window: domain.Window{Start: today.Add(-3 * day), End: today.Add(2 * day), Resolution: domain.Hourly},
		By:     []domain.Dimension{domain.DimensionNone}, Errors: true,
	})
	if err != nil {
		t.Error(err)
	}
	return answer
}

// TestRetention moves the clock over the days and looks at all that is left.
func TestRetention(t *testing.T) {
	clock := contractClock()
	db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t), Clock: clock})
	checkRetention(t, db, clock)
	if got, want := tables(t, db, "events")[0], "events"+today.Add(7*day).Format("_20060102"); got != want {
		t.Errorf("the oldest partition is %s, want %s", got, want)
	}
}

// advancer is a clock that can be moved.
type advancer interface {
	ports.Clock
	Advance(d time.Duration)
}

func checkRetention(t *testing.T, db *postgres.DB, clock advancer) {
	t.Helper()
	store := postgres.NewStore(db)
	retention := domain.Retention{Events: 4 * day, Hourly: 2 * day, Daily: 6 * day, Errors: 3 * day}
	var events []domain.Event
	for i := range 12 {
		stored := dated(domain.Daily.Floor(clock.Now()), 48)
		mustStore(t, store, domain.Batch{ID: domain.BatchID(clock.Now().String()), ReceivedAt: clock.Now(), Events: stored})
		events = append(events, stored...)
		cutoffs := retention.Cutoffs(clock.Now())
		n := mustExpire(t, store, cutoffs)
		checkKept(t, db, events, cutoffs)
		if i > 8 && n == 0 {
			t.Errorf("day %d: nothing was due", i)
		}
		if again := mustExpire(t, store, cutoffs); again != 0 {
			t.Errorf("day %d: %d rows more were due", i, again)
		}
		clock.Advance(day)
	}
}

// checkKept demands that exactly what is not due is there.
func checkKept(t *testing.T, db *postgres.DB, events []domain.Event, c domain.Cutoffs) {
	t.Helper()
	want := domain.Aggregate(events).Kept(c)
	hourly := slices.DeleteFunc(slices.Clone(want.Rollups), func(r domain.RollupRow) bool { return r.Resolution != domain.Hourly })
	raw := slices.DeleteFunc(slices.Clone(events), func(e domain.Event) bool { return e.Hour.Before(c.Events) })
	for table, want := range map[string]int{
		"events":              len(raw),
		"hourly_aggregations": len(hourly),
		"daily_aggregations":  len(want.Rollups) - len(hourly),
		"error_summary":       len(want.Errors),
	} {
		if got := count(t, db, table); got != want {
			t.Errorf("%s: %s has %d rows, want %d", c.Events.Format(time.DateOnly), table, got, want)
		}
	}
}

func TestPartitionCutOffByACrashIsDropped(t *testing.T) {
	db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t)})
	store := postgres.NewStore(db)
	old := today.Add(-10 * day)
	mustStore(t, store, contract.NewBatch(1, dated(old, 24)...), contract.NewBatch(2, dated(today, 24)...))
	mustExpire(t, store, domain.Cutoffs{})
	name := "events" + old.Format("_20060102")
	err := db.Exec(t.Context(),
		`ALTER TABLE events DETACH PARTITION `+name, `ALTER TABLE `+name+` RENAME TO `+name+`_expired`,
		`CREATE TABLE events_20200101 AS SELECT * FROM events`) // somebody's own
	if err != nil {
		t.Fatal(err)
	}
	if n := mustExpire(t, store, domain.Cutoffs{}); n != 24 {
		t.Errorf("%d rows dropped, want 24", n)
	}
	if got := tables(t, db, "events"); slices.Contains(got, name+"_expired") || !slices.Contains(got, "events_20200101") {
		t.Errorf("tables %q", got)
	}
}

func TestExpireKeepsPartitionsOfDaysToCome(t *testing.T) {
	db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t)})
	store := postgres.NewStore(db)
	mustExpire(t, store, domain.Cutoffs{})
	before := tables(t, db, "events")
	mustStore(t, store, contract.NewBatch(1, dated(today, 24)...))
	if n := mustExpire(t, store, domain.Cutoffs{Events: today.Add(100 * day)}); n != 24 {
		t.Errorf("%d rows deleted, want 24", n)
	}
	if got := tables(t, db, "events"); !slices.Equal(got, before) {
		t.Errorf("tables %q\nwant %q", got, before)
	}
}

// selected reads everything around today.
func selected(t *testing.T, s ports.StatisticsReader) domain.Selected {
	t.Helper()
	answer, err := s.Select(t.Context(), domain.Selection{
		Window: domain.Window{Start: today.Add(-500 * day), End: today.Add(40 * day), Resolution: domain.Daily},
		By:     append(domain.Dimensions(), domain.DimensionNone), Errors: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// dropPlaces drops the partition of today and the default one of a table.
func dropPlaces(t *testing.T, db *postgres.DB, table string) {
	t.Helper()
	if err := db.Exec(t.Context(), `DROP TABLE `+table+today.Format("_20060102")+`, `+table+`_default`); err != nil {
		t.Fatal(err)
	}
}

// TestMissingPartitionsAreMade drops the partition of today and the default one
// of each table, and stores, merges and rebuilds.
func TestMissingPartitionsAreMade(t *testing.T) {
	for _, table := range []string{"events", "hourly_aggregations", "error_summary"} {
		t.Run(table, func(t *testing.T) {
			db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t), JournalDelay: time.Hour, Clock: contractClock()})
			store := postgres.NewStore(db)
			mustExpire(t, store, domain.Cutoffs{})
			dropPlaces(t, db, table)
			// Of today, and of a day that has never had a partition.
			mustStore(t, store, contract.NewBatch(1, append(failures(today, 10), failures(today.Add(-30*day), 10)...)...))
			if err := store.MergeJournal(t.Context()); err != nil {
				t.Fatal(err)
			}
			checkCounts(t, selected(t, store), 20)
			checkPlaces(t, db, table)
			if table == "events" {
				return // a rebuild writes none
			}
			dropPlaces(t, db, table)
			if n, err := store.RebuildDay(t.Context(), today, domain.Cutoffs{}); n != 10 || err != nil {
				t.Errorf("%d events are rebuilt: %v", n, err)
			}
			checkPlaces(t, db, table)
		})
	}
}

// checkPlaces demands the partition of today and the default one.
func checkPlaces(t *testing.T, db *postgres.DB, table string) {
	t.Helper()
	have := tables(t, db, table)
	if !slices.Contains(have, table+today.Format("_20060102")) || !slices.Contains(have, table+"_default") {
		t.Errorf("tables %q", have)
	}
}

// TestMissingPartitionsFailTheCheck drops the partition of today and the default
// one of each table. The check fails, and has them made.
func TestMissingPartitionsFailTheCheck(t *testing.T) {
	clock, log := contractClock(), new(logs.Buffer)
	db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t), Clock: clock, Log: log.Logger()})
	mustExpire(t, postgres.NewStore(db), domain.Cutoffs{})
	for i, table := range []string{"events", "hourly_aggregations", "error_summary"} {
		dropPlaces(t, db, table)
		clock.Advance(time.Second)
		err := db.Check(t.Context())
		if domain.CodeOf(err) != domain.CodeUnavailable || domain.MessageOf(err) != "the database lacks a partition" ||
			!strings.Contains(err.Error(), table) {
			t.Errorf("%s: %v", table, err)
		}
		within(t, 20*time.Second, "the partitions are made", func() bool {
			return strings.Count(log.String(), "partitions were missing and have been made") > i
		})
		checkPlaces(t, db, table)
		clock.Advance(time.Second)
		if err := db.Check(t.Context()); err != nil {
			t.Errorf("%s: afterwards the check says %v", table, err)
		}
	}
	// One of the two takes every row of today.
	if err := db.Exec(t.Context(), `DROP TABLE events`+today.Format("_20060102")); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Second)
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
