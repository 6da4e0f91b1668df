// Package chaos_test kills the real server in the middle of its work and then
// counts, in its files, what has become of every batch.
package chaos_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// The defaults are short enough for every test run; `make chaos` runs longer.
var (
	batchCount = flag.Int("batches", 300, "how many batches are posted")
	killCount  = flag.Int("kills", 3, "how often the server is killed under load")
	seedFlag   = flag.Uint64("seed", 0, "repeats what was drawn in a run; 0 draws anew")
)

const (
	clients = 4
	// pause is how long a client leaves a server alone that is full.
	pause = 50 * time.Millisecond
)

// TestKilledServerCountsEveryAcceptedBatchOnce kills the server with SIGKILL
// at random moments of a load and restarts it on the same files. A batch
// answered 200 must be there exactly once, in the raw events and in every
// aggregate; one whose answer was lost wholly or not at all; one that was
// refused not at all.
func TestKilledServerCountsEveryAcceptedBatchOnce(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	files := t.TempDir()
	server := &server{binary: build(t), dir: files, random: random}
	load := drawLoad(random, *batchCount)
	outcomes := bombard(t, server, load, *killCount)

	server.drain(t)
	counted := server.totalCalls(t)
	server.stop(t)
	check(t, openFiles(t, files), load, outcomes, counted)
}

// job is a batch on its way to the server that was up when it was handed out.
type job struct {
	batch   batch
	address string
}

// bombard posts the load from several clients at once, killing and restarting
// the server on the way, and returns what each batch was answered. The server
// is up when it returns.
func bombard(t *testing.T, server *server, load []batch, kills int) []outcome {
	t.Helper()
	jobs := make(chan job)
	outcomes := make([]outcome, len(load))
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			client := &http.Client{Timeout: 10 * time.Second, Transport: new(http.Transport)}
			defer client.CloseIdleConnections()
			for j := range jobs {
				got, err := post(context.WithoutCancel(t.Context()), client, j)
				if err != nil {
					t.Errorf("batch %d: %v", j.batch.number, err)
				}
				if outcomes[j.batch.number] = got; got == refused && j.batch.acceptable() {
					time.Sleep(pause)
				}
			}
		})
	}
	// Deferred, so that clients have also ended when dispatch gives up.
	defer group.Wait()
	defer close(jobs)
	dispatch(t, server, load, jobs, drawCuts(server.random, len(load), kills))
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

// drawCuts draws before which batches the server is killed, ascending.
func drawCuts(random *rand.Rand, batches, kills int) []int {
	cuts := make([]int, kills)
	for i := range cuts {
		cuts[i] = random.IntN(batches)
	}
	slices.Sort(cuts)
	return cuts
}
