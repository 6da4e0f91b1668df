package postgres_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/logs"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// versioned returns a call of today of each version.
func versioned(versions ...string) []domain.Event {
	events := dated(today, len(versions))
	for i := range events {
		events[i].Hour, events[i].Version = today, versions[i]
	}
	return events
}

// shownVersions counts the calls of today by version.
func shownVersions(t *testing.T, store *postgres.Store) map[string]int64 {
	t.Helper()
	got, err := store.Select(t.Context(), domain.Selection{
		Window: domain.Window{Start: today, End: today.Add(day), Resolution: domain.Daily},
		By:     []domain.Dimension{domain.DimensionVersion},
	})
	if err != nil {
		t.Fatal(err)
	}
	calls := make(map[string]int64)
	for _, row := range got.Rollups[domain.DimensionVersion] {
		calls[row.Group.Version] = row.Rollup.Calls
	}
	return calls
}

func checkVersions(t *testing.T, store *postgres.Store, want map[string]int64) {
	t.Helper()
	if got := shownVersions(t, store); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("calls by version are %v, want %v", got, want)
	}
}

// TestProcessesOfDifferentLimitsAgree raises the limit after a day has
// overflowed: what was folded on it stays folded, whoever counts, and another
// day has the new limit.
func TestProcessesOfDifferentLimitsAgree(t *testing.T) {
	log := new(logs.Buffer)
	url := servers.SharedPostgres(t).NewDatabase(t)
	strict := postgres.NewStore(open(t, postgres.Config{
		URL: url, Limits: domain.Cardinality{Versions: 2}, Log: log.Logger(),
	}))
	generous := postgres.NewStore(open(t, postgres.Config{URL: url, Limits: domain.Cardinality{Versions: 9}}))

	mustStore(t, strict, contract.NewBatch(1, versioned("a", "b")...))
	mustStore(t, generous, contract.NewBatch(2, versioned("c")...))
	mustStore(t, strict, contract.NewBatch(3, versioned("c", "d")...))
	mustStore(t, generous, contract.NewBatch(4, versioned("d", "e")...))
	want := map[string]int64{"a": 1, "b": 1, "c": 2, domain.OtherName: 3}
	checkVersions(t, generous, want)
	if n, err := generous.RebuildDay(t.Context(), today, domain.Cutoffs{}); n != 7 || err != nil {
		t.Errorf("rebuilt from %d events, %v", n, err)
	}
	checkVersions(t, strict, want)

	told := log.String()
	if strings.Count(told, "further ones count as other") != 1 || !strings.Contains(told, "dimension=version day=2026-11-23 max_values=2") {
		t.Errorf("the log says %q", told)
	}
}

// TestOverflowIsCountedThroughTheJournal holds the count of folded calls to
// the same before and after merging and rebuilding.
func TestOverflowIsCountedThroughTheJournal(t *testing.T) {
	store := postgres.NewStore(open(t, postgres.Config{
		URL: servers.SharedPostgres(t).NewDatabase(t), Limits: domain.Cardinality{Versions: 2, ErrorTypes: 1},
	}))
	events := versioned("a", "b", "c", "d", "e")
	for i := range events {
		events[i].Status, events[i].ErrorType = domain.StatusError, fmt.Sprintf("e%d", i%2)
	}
	mustStore(t, store, contract.NewBatch(1, events...))
	check := func(when string) {
		t.Helper()
		a, err := store.Activity(t.Context())
		if err != nil || a.FoldedVersions != 3 || a.FoldedErrorTypes != 2 || a.Events != 5 {
			t.Errorf("%s: %+v, %v", when, a, err)
		}
	}
	check("in the journal")
	for range 2 {
		if err := store.MergeJournal(t.Context()); err != nil {
			t.Fatal(err)
		}
		check("merged")
	}
	if _, err := store.RebuildDay(t.Context(), today, domain.Cutoffs{}); err != nil {
		t.Fatal(err)
	}
	check("rebuilt")
}

// TestDamagedJournalKeepsNobodyFromStoring damages what yesterday's calls are
// counted from.
func TestDamagedJournalKeepsNobodyFromStoring(t *testing.T) {
	db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t)})
	err := db.Exec(t.Context(), `
		INSERT INTO aggregation_journal (day, events, entries, payload) VALUES ('2026-11-22 00:00:00+00', 1, 1, '\x09')`)
	if err != nil {
		t.Fatal(err)
	}
	mustStore(t, postgres.NewStore(db), contract.NewBatch(1, versioned("a")...))
	checkVersions(t, postgres.NewStore(db), map[string]int64{"a": 1})
}

// TestWorkersFillADayTogether lets many processes meet an empty day at once,
// so that they all have something to decide.
func TestWorkersFillADayTogether(t *testing.T) {
	const workers, limit = 8, 20
	url := servers.SharedPostgres(t).NewDatabase(t)
	var group sync.WaitGroup
	for worker := range workers {
		store := postgres.NewStore(open(t, postgres.Config{URL: url, Limits: domain.Cardinality{Versions: limit}, MaxConnections: 2}))
		group.Go(func() {
			for n := range 10 {
				batch := contract.NewBatch(100*worker+n, versioned("common", fmt.Sprintf("%d.%d", worker, n), fmt.Sprintf("x%d", n))...)
				if _, err := store.Store(t.Context(), []domain.Batch{batch}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	store := postgres.NewStore(open(t, postgres.Config{URL: url}))
	calls := shownVersions(t, store)
	var sum int64
	for _, n := range calls {
		sum += n
	}
	if len(calls) != limit+1 || calls["common"] != 10*workers || sum != 3*10*workers {
		t.Errorf("%d versions with %d calls: %v", len(calls), sum, calls)
	}
}

// hold runs statements in a transaction that lasts until the returned function
// is called, which commits it.
func hold(t *testing.T, db *postgres.DB, statements string) (release func()) {
	t.Helper()
	held, done, end := make(chan struct{}), make(chan error, 1), make(chan struct{})
	go func() { done <- db.Hold(t.Context(), statements, held, end) }()
	select {
	case <-held:
	case err := <-done:
		t.Fatal(err)
	}
	return func() {
		close(end)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// awaitLock waits until a transaction waits for a lock of that kind.
func awaitLock(t *testing.T, db *postgres.DB, kind string) {
	t.Helper()
	within(t, 20*time.Second, "somebody waits for the lock", func() bool {
		var waiting int
		err := db.Get(t.Context(), &waiting, `
			SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = $1
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`, kind)
		return err == nil && waiting > 0
	})
}

// TestWhoWaitedSeesWhatWasDecided lets another worker decide about a value, and
// fill the day, while a worker that has the same value waits to do so.
func TestWhoWaitedSeesWhatWasDecided(t *testing.T) {
	db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t), Limits: domain.Cardinality{Versions: 2}})
	store := postgres.NewStore(db)
	release := hold(t, db, `
		SELECT pg_advisory_xact_lock(77328161, (extract(epoch FROM timestamptz '2026-11-23 00:00:00+00') / 86400)::integer);
		INSERT INTO dimension_values VALUES
			('2026-11-23 00:00:00+00', 'version', 'a', false), ('2026-11-23 00:00:00+00', 'version', 'b', false)`)
	stored := make(chan error, 1)
	go func() {
		_, err := store.Store(t.Context(), []domain.Batch{contract.NewBatch(1, versioned("a", "c")...)})
		stored <- err
	}()
	awaitLock(t, db, "advisory")
	release()
	if err := <-stored; err != nil {
		t.Fatal(err)
	}
	checkVersions(t, store, map[string]int64{"a": 1, domain.OtherName: 1})
}

// TestRebuildSeesADayThatClosedMeanwhile lets a worker close the day, and store
// what it folded, after the rebuild has begun and before it reads the events.
func TestRebuildSeesADayThatClosedMeanwhile(t *testing.T) {
	db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t), Limits: domain.Cardinality{Versions: 2}})
	store := postgres.NewStore(db)
	mustStore(t, store, contract.NewBatch(1, versioned("a", "b")...))
	release := hold(t, db, `
		LOCK TABLE aggregation_journal IN ACCESS EXCLUSIVE MODE;
		INSERT INTO events (hour, version, tool, status, analytics_level)
		VALUES ('2026-11-23 00:00:00+00', 'c', 'get_alerts', 'success', 'minimal');
		INSERT INTO dimension_overflow VALUES ('2026-11-23 00:00:00+00', 'version', 0)`)
	rebuilt := make(chan error, 1)
	go func() {
		_, err := store.RebuildDay(t.Context(), today, domain.Cutoffs{})
		rebuilt <- err
	}()
	awaitLock(t, db, "relation")
	release()
	if err := <-rebuilt; err != nil {
		t.Fatal(err)
	}
	checkVersions(t, store, map[string]int64{"a": 1, "b": 1, domain.OtherName: 1})
	if a, err := store.Activity(t.Context()); err != nil || a.FoldedVersions != 1 {
		t.Errorf("%+v, %v; want one folded call", a, err)
	}
}
