package chaos_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// longPatience is how long a backlog may take to drain, and to be merged, on a
// busy machine.
const longPatience = 5 * time.Minute

// TestKilledProductionCountsEveryAcceptedBatchOnce kills, pauses and cuts off
// the processes of two APIs and three workers, PostgreSQL and Redis, at random
// moments of a load. A batch answered 200 must be there exactly once, in the
// raw events and in every aggregate; one whose answer was lost, or that the
// queue failed, wholly or not at all; one that was refused not at all.
func TestKilledProductionCountsEveryAcceptedBatchOnce(t *testing.T) {
	t.Parallel()
	random := newRandom(t)
	f := newFleet(t, random, 2, 3, "MAX_QUEUE_SIZE=5000")
	load := drawLoad(random, shape{batches: *batchCount, events: 4})
	outcomes := f.bombard(t, random, load, *faultCount)

	drain(t, f.api(t), longPatience)
	counted := totalCalls(t, f.api(t))
	added := f.mergeJournal(t)
	if again := totalCalls(t, f.api(t)); again != counted+added {
		t.Errorf("the API counts %d calls, and %d more make %d", counted, added, again)
	}
	f.stop(t)
	if depth, err := f.queue(t).Depth(t.Context()); err != nil || depth.Batches+depth.Events+depth.Bytes+depth.DeadLetters > 0 {
		t.Errorf("the queue holds %+v (%v), want nothing", depth, err)
	}
	check(t, f.open(t), load, outcomes, counted+added)
	requireLoad(t, outcomes)
}

// bombard posts the load to both APIs from several clients at once while
// faults befall the fleet, and returns what each batch was answered. All
// faults have ended when it returns.
func (f *fleet) bombard(t *testing.T, random *rand.Rand, load []batch, faults int) []outcome {
	t.Helper()
	outcomes := make([]outcome, len(load))
	schedule := drawSchedule(random, f.victims(t), len(load), faults)
	var log faultLog
	// Deferred, so that nothing goes on when no API comes up again.
	defer log.report(t)
	defer log.running.Wait()
	jobs, wait := startClients(t, 8, outcomes)
	defer wait()
	for _, b := range load {
		for len(schedule) > 0 && schedule[0].before <= b.number {
			log.begin(schedule[0])
			schedule = schedule[1:]
		}
		jobs <- job{b, f.api(t)}
	}
	return outcomes
}

// mergeJournal has everything stand in the rows of the aggregates, where the
// ledger looks, and returns how many events it stored for that: storing, with a
// journal that is always too long, has it merged, unless somebody else is just
// merging.
func (f *fleet) mergeJournal(t *testing.T) int64 {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Config{
		URL: f.database, JournalEntries: 1, Limits: domain.Cardinality{Versions: 1_000_000},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	ledger := f.open(t)
	stored := int64(0)
	for deadline := time.Now().Add(longPatience); time.Now().Before(deadline); {
		if f.storeOne(t, postgres.NewStore(db)) {
			stored++
		}
		if isEmptied(t, ledger, time.Second) {
			return stored
		}
	}
	t.Fatalf("the journal is not merged after %v", longPatience)
	return 0
}

// storeOne reports whether it could: one that finds the journal full waits for
// those that merge it, but not for ever.
func (f *fleet) storeOne(t *testing.T, store *postgres.Store) bool {
	t.Helper()
	f.stored++
	name := fmt.Sprintf("last.%d", f.stored)
	event := domain.Event{
		Hour: time.Now().UTC().Truncate(time.Hour), Version: name, Tool: "get_alerts",
		Status: domain.StatusSuccess, Level: domain.LevelMinimal,
	}
	last := domain.Batch{ID: domain.BatchID(name), ReceivedAt: time.Now(), Events: []domain.Event{event}}
	_, err := store.Store(t.Context(), []domain.Batch{last})
	if err != nil && domain.CodeOf(err) != domain.CodeUnavailable {
		t.Fatal(err)
	}
	return err == nil
}

// isEmptied reports whether the journal is empty within that time.
func isEmptied(t *testing.T, db *sqlx.DB, within time.Duration) bool {
	t.Helper()
	deadline := time.Now().Add(within)
	for tick := time.Tick(10 * time.Millisecond); time.Now().Before(deadline); <-tick {
		if read[int](t, db, `SELECT COUNT(*) FROM aggregation_journal`) == 0 {
			return true
		}
	}
	return false
}

// open opens the database only to read it.
func (f *fleet) open(t *testing.T) *sqlx.DB {
	t.Helper()
	db, err := sqlx.Open("postgres", f.database+"&default_transaction_read_only=on")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}
