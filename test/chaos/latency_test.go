package chaos_test

import (
	"slices"
	"sync"
	"testing"
	"time"
)

const (
	// batchesPerSecond is the load under which latency is measured.
	batchesPerSecond = 200
	// latencyLimit is what a busy machine must hold; 2 s is the target.
	latencyLimit = 5 * time.Second
)

// TestLatencyFromAcceptedToVisible measures how long an accepted event takes
// until it shows in the statistics.
func TestLatencyFromAcceptedToVisible(t *testing.T) {
	const batches = 3 * batchesPerSecond
	random := newRandom(t)
	f := newFleet(t, random, 1, 1)
	load := drawLoad(random, shape{batches: batches, events: 1, flawless: true})
	address := f.api(t)

	var accepted []time.Time
	posted := make(chan struct{})
	go func() {
		defer close(posted)
		accepted = postSteadily(t, address, load)
	}()
	defer func() { <-posted }() // also when nothing becomes visible
	seen := make([]time.Time, 0, batches)
	deadline := time.Now().Add(patience)
	for tick := time.Tick(5 * time.Millisecond); len(seen) < batches; <-tick {
		for total := totalCalls(t, address); int64(len(seen)) < total; {
			seen = append(seen, time.Now())
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d events are visible after %v", len(seen), batches, patience)
		}
	}
	<-posted

	// Events are not told apart in a total: the first accepted counts as the
	// first seen.
	slices.SortFunc(accepted, time.Time.Compare)
	latencies := make([]time.Duration, len(accepted))
	for i := range accepted {
		latencies[i] = max(0, seen[i].Sub(accepted[i]))
	}
	slices.Sort(latencies)
	median, p99 := latencies[len(latencies)/2], latencies[len(latencies)*99/100]
	t.Logf("from accepted to visible at %d batches/s: median %v, p99 %v", batchesPerSecond, median, p99)
	if p99 > latencyLimit {
		t.Errorf("p99 = %v, want less than %v", p99, latencyLimit)
	}
}

// postSteadily posts the load at its rate, with several clients so that no
// answer holds it up, and returns when each batch was accepted.
func postSteadily(t *testing.T, address string, load []batch) []time.Time {
	t.Helper()
	times := make([]time.Time, len(load))
	queue := make(chan batch, len(load))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			client := newClient(t)
			for b := range queue {
				got, err := post(t.Context(), client, job{b, address})
				if times[b.number] = time.Now(); err != nil || got != accepted {
					t.Errorf("batch %d is %s (%v), want accepted", b.number, got, err)
				}
			}
		})
	}
	tick := time.NewTicker(time.Second / batchesPerSecond)
	defer tick.Stop()
	for _, b := range load {
		<-tick.C
		queue <- b
	}
	close(queue)
	group.Wait()
	return times
}
