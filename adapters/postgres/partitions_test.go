package postgres_test

import (
	"slices"
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

// partition is the name of a day's partition.
func partition(d time.Time) string { return d.Format("events_20060102") }

// tables lists the partitions of events and what was cut off them.
func tables(t *testing.T, db *postgres.DB) []string {
	t.Helper()
	var names []string
	err := db.List(t.Context(), &names, `SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'events\_%' ORDER BY relname`)
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
	var want []string
	for d := today; !d.After(today.Add(7 * day)); d = d.Add(day) {
		want = append(want, partition(d))
	}
	want = append(want, "events_default")
	if got := tables(t, db); !slices.Equal(got, want) {
		t.Errorf("tables %q\nwant %q", got, want)
	}
	// What is stored goes there, up to the last hour of the last day.
	mustStore(t, store, contract.NewBatch(1, dated(today.Add(7*day), 48)...))
	if got := count(t, db, partition(today.Add(7*day))); got != 48 {
		t.Errorf("%d events are in the partition of their day", got)
	}
	clock.Advance(3 * day)
	mustExpire(t, store, domain.Cutoffs{})
	if got := len(tables(t, db)); got != 3+8+1 {
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
	for _, d := range days[:3] {
		if got := count(t, db, partition(d)); got == 0 {
			t.Errorf("nothing moved to the partition of %s", d.Format(time.DateOnly))
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
		db := open(t, postgres.Config{URL: url})
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
	selection := everything()
	selection.Window = domain.Window{Start: today.Add(-3 * day), End: today.Add(2 * day), Resolution: domain.Hourly}
	answer, err := s.Select(t.Context(), selection)
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
	if got, want := tables(t, db)[0], partition(today.Add(7*day)); got != want {
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
		if err := store.MergeJournal(t.Context()); err != nil {
			t.Fatal(err)
		}
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
	raw := 0
	buckets := make(map[string]map[time.Time]bool)
	add := func(kind string, bucket, cutoff time.Time) {
		if buckets[kind] == nil {
			buckets[kind] = make(map[time.Time]bool)
		}
		if !bucket.Before(cutoff) {
			buckets[kind][bucket] = true
		}
	}
	for _, e := range events {
		if !e.Hour.Before(c.Events) {
			raw++
		}
		add("hours", e.Hour, c.Hourly)
		add("days", domain.Daily.Floor(e.Hour), c.Daily)
		if e.Status == domain.StatusError {
			add("hours with errors", e.Hour, c.HourlyErrors)
			add("days with errors", domain.Daily.Floor(e.Hour), c.DailyErrors)
		}
	}
	for rows, want := range map[string]int{
		"events": raw,
		"packed_aggregates WHERE resolution = 'hour' AND grain = 0":              len(buckets["hours"]),
		"packed_aggregates WHERE resolution = 'day' AND grain = 0":               len(buckets["days"]),
		"packed_aggregates WHERE resolution = 'hour' AND grain = 19":             len(buckets["hours with errors"]),
		"packed_aggregates WHERE resolution = 'day' AND grain = 19":              len(buckets["days with errors"]),
		"(SELECT DISTINCT resolution, bucket FROM packed_aggregates) AS buckets": count(t, db, "aggregate_buckets"),
		"packed_aggregates JOIN aggregate_buckets USING (resolution, bucket)":    count(t, db, "packed_aggregates"),
	} {
		if got := count(t, db, rows); got != want {
			t.Errorf("%s: %s: %d rows, want %d", c.Events.Format(time.DateOnly), rows, got, want)
		}
	}
}

func TestPartitionCutOffByACrashIsDropped(t *testing.T) {
	db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t)})
	store := postgres.NewStore(db)
	old := today.Add(-10 * day)
	mustStore(t, store, contract.NewBatch(1, dated(old, 24)...), contract.NewBatch(2, dated(today, 24)...))
	mustExpire(t, store, domain.Cutoffs{})
	name := partition(old)
	err := db.Exec(t.Context(),
		`ALTER TABLE events DETACH PARTITION `+name, `ALTER TABLE `+name+` RENAME TO `+name+`_expired`,
		`CREATE TABLE events_20200101 AS SELECT * FROM events`) // somebody's own
	if err != nil {
		t.Fatal(err)
	}
	if n := mustExpire(t, store, domain.Cutoffs{}); n != 24 {
		t.Errorf("%d rows dropped, want 24", n)
	}
	if got := tables(t, db); slices.Contains(got, name+"_expired") || !slices.Contains(got, "events_20200101") {
		t.Errorf("tables %q", got)
	}
}

func TestExpireKeepsPartitionsOfDaysToCome(t *testing.T) {
	db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t)})
	store := postgres.NewStore(db)
	mustExpire(t, store, domain.Cutoffs{})
	before := tables(t, db)
	mustStore(t, store, contract.NewBatch(1, dated(today, 24)...))
	if n := mustExpire(t, store, domain.Cutoffs{Events: today.Add(100 * day)}); n != 24 {
		t.Errorf("%d rows deleted, want 24", n)
	}
	if got := tables(t, db); !slices.Equal(got, before) {
		t.Errorf("tables %q\nwant %q", got, before)
	}
}

// everything asks for all around today, by the day.
func everything() domain.Selection {
	return domain.Selection{
		Window: domain.Window{Start: today.Add(-500 * day), End: today.Add(40 * day), Resolution: domain.Daily},
		By:     append(domain.Dimensions(), domain.DimensionNone), Latency: true, Sessions: true, Errors: true,
	}
}

// selected reads everything around today.
func selected(t *testing.T, s ports.StatisticsReader) domain.Selected {
	t.Helper()
	answer, err := s.Select(t.Context(), everything())
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// dropPlaces drops the partition of today and the default one.
func dropPlaces(t *testing.T, db *postgres.DB) {
	t.Helper()
	if err := db.Exec(t.Context(), `DROP TABLE `+partition(today)+`, events_default`); err != nil {
		t.Fatal(err)
	}
}

// TestMissingPartitionsAreMade stores events that have no place.
func TestMissingPartitionsAreMade(t *testing.T) {
	db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t), Clock: contractClock()})
	store := postgres.NewStore(db)
	mustExpire(t, store, domain.Cutoffs{})
	dropPlaces(t, db)
	// Of today, and of a day that has never had a partition.
	mustStore(t, store, contract.NewBatch(1, append(failures(today, 10), failures(today.Add(-30*day), 10)...)...))
	checkCounts(t, selected(t, store), 20)
	checkPlaces(t, db)
}

// checkPlaces demands the partition of today and the default one.
func checkPlaces(t *testing.T, db *postgres.DB) {
	t.Helper()
	have := tables(t, db)
	if !slices.Contains(have, partition(today)) || !slices.Contains(have, "events_default") {
		t.Errorf("tables %q", have)
	}
}

// TestMissingPartitionsFailTheCheck drops the partition of today and the default
// one. The check fails, and has them made.
func TestMissingPartitionsFailTheCheck(t *testing.T) {
	clock, log := contractClock(), new(logs.Buffer)
	db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t), Clock: clock, Log: log.Logger()})
	mustExpire(t, postgres.NewStore(db), domain.Cutoffs{})
	dropPlaces(t, db)
	clock.Advance(time.Second)
	err := db.Check(t.Context())
	if domain.CodeOf(err) != domain.CodeUnavailable || domain.MessageOf(err) != "the database lacks a partition" ||
		!strings.Contains(err.Error(), "events") {
		t.Error(err)
	}
	within(t, 20*time.Second, "the partitions are made", func() bool {
		return strings.Contains(log.String(), "partitions were missing and have been made")
	})
	checkPlaces(t, db)
	clock.Advance(time.Second)
	if err := db.Check(t.Context()); err != nil {
		t.Errorf("afterwards the check says %v", err)
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
