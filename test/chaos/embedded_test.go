// Package chaos_test kills the real program and its servers in the middle of
// their work and then counts, in the store, what has become of every batch.
package chaos_test

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestKilledServerCountsEveryAcceptedBatchOnce kills the server with SIGKILL
// at random moments of a load and restarts it on the same files. A batch
// answered 200 must be there exactly once, in the raw events and in every
// aggregate; one whose answer was lost wholly or not at all; one that was
// refused not at all. And ten seconds after the end everything is merged.
func TestKilledServerCountsEveryAcceptedBatchOnce(t *testing.T) {
	t.Parallel()
	random := newRandom(t)
	files := t.TempDir()
	server := &server{dir: files, random: random}
	load := drawLoad(random, shape{batches: *batchCount, events: 12})
	outcomes := bombard(t, server, load, *killCount)

	drain(t, server.address, patience)
	counted := totalCalls(t, server.address)
	awaitMerged(t, server.address, mergeTime)
	server.process.Stop(t)
	db := openFiles(t, files)
	if problem := read[string](t, db, `PRAGMA integrity_check`); problem != "ok" {
		t.Fatalf("the file is damaged: %s", problem)
	}
	check(t, db, load, outcomes, counted)
	requireLoad(t, outcomes)
}

// bombard posts the load from several clients at once, killing and restarting
// the server on the way, and returns what each batch was answered. The server
// is up when it returns.
func bombard(t *testing.T, server *server, load []batch, kills int) []outcome {
	t.Helper()
	outcomes := make([]outcome, len(load))
	jobs, wait := startClients(t, 4, outcomes)
	// Deferred, so that clients have also ended when dispatch gives up.
	defer wait()
	dispatch(t, server, load, jobs, drawMoments(server.random, len(load), kills))
	return outcomes
}

// dispatch hands out the load in order. From each cut on the server has only
// milliseconds to live, and batches keep coming until the blow falls.
func dispatch(t *testing.T, server *server, load []batch, jobs chan<- job, cuts []int) {
	t.Helper()
	server.start(t)
	var struck <-chan struct{}
	for len(load) > 0 || len(cuts) > 0 || struck != nil {
		if struck == nil && len(cuts) > 0 && (len(load) == 0 || load[0].number >= cuts[0]) {
			struck, cuts = server.killSoon(), cuts[1:]
		}
		var next job
		var out chan<- job
		if len(load) > 0 {
			next, out = job{load[0], server.address}, jobs
		}
		select {
		case out <- next:
			load = load[1:]
		case <-struck:
			struck = nil
			server.restart(t)
		}
	}
}

// drawMoments draws before which batches something happens, ascending.
func drawMoments(random *rand.Rand, batches, count int) []int {
	moments := make([]int, count)
	for i := range moments {
		moments[i] = random.IntN(batches)
	}
	slices.Sort(moments)
	return moments
}
