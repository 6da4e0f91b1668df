package chaos_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
)

// longPatience is how long a backlog may take to drain, and to be merged, on a
// busy machine.
const longPatience = 5 * time.Minute

// TestKilledProductionCountsEveryAcceptedBatchOnce kills, pauses and cuts off
// the processes of two APIs and three workers, PostgreSQL and Redis, at random
// moments of a load. A batch answered 200 must be there exactly once, in the
// raw events and in every aggregate; one whose answer was lost, or that the
// queue failed, wholly or not at all; one that was refused not at all. And ten
// seconds after the end everything is merged.
func TestKilledProductionCountsEveryAcceptedBatchOnce(t *testing.T) {
	t.Parallel()
	random := newRandom(t)
	f := newFleet(t, random, 2, 3, "MAX_QUEUE_SIZE=5000")
	load := drawLoad(random, shape{batches: *batchCount, events: 4})
	outcomes := f.bombard(t, random, load, *faultCount)

	drain(t, f.api(t), longPatience)
	counted := totalCalls(t, f.api(t))
	awaitMerged(t, f.api(t), mergeTime)
	if again := totalCalls(t, f.api(t)); again != counted {
		t.Errorf("the API counts %d calls, and %d once the journal is merged", counted, again)
	}
	f.stop(t)
	if depth, err := f.queue(t).Depth(t.Context()); err != nil || depth.Batches+depth.Events+depth.Bytes+depth.DeadLetters > 0 {
		t.Errorf("the queue holds %+v (%v), want nothing", depth, err)
	}
	check(t, f.open(t), load, outcomes, counted)
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
