package app_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// The wait doubles with every failure in a row, up to its bound, and begins
// anew after a success, also when the batch that fails next was received while the
// one that succeeded was stored. The random part takes away at most half of it.
func TestBackoffDoublesUpToItsBoundAndResets(t *testing.T) {
	t.Run("received after the success", func(t *testing.T) {
		testBackoff(t, func(q ports.Deliveries) ports.Deliveries { return q }, time.Millisecond)
	})
	t.Run("received before the success", func(t *testing.T) {
		testBackoff(t, func(q ports.Deliveries) ports.Deliveries { return patientQueue{q} }, 0)
	})
}

// patientQueue lets a store that works at the same time enqueue before it looks.
type patientQueue struct{ ports.Deliveries }

func (q patientQueue) Receive(ctx context.Context, events int, wait time.Duration) ([]ports.Delivery, error) {
	if wait == 0 {
		time.Sleep(time.Millisecond)
	}
	return q.Deliveries.Receive(ctx, events, wait)
}

// testBackoff lets nine tries fail, one succeed, and the next batch fail again, which
// is enqueued after a delay while the one before it is stored.
func testBackoff(t *testing.T, through func(ports.Deliveries) ports.Deliveries, delay time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		const success, last = 10, 14
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		queue := enqueued(t, 1)
		start := time.Now()
		var tries []time.Duration
		store := &flakyStore{inner: memory.NewStore(), fail: func(call int, _ []domain.Batch) error {
			tries = append(tries, time.Since(start))
			switch call {
			case success:
				time.Sleep(delay)
				return queue.Enqueue(ctx, domain.Batch{ID: "next", Events: make([]domain.Event, 1)})
			case last:
				stop()
			}
			return domain.NewError(domain.CodeUnavailable, nil, "away")
		}}
		newProcess(through(queue), store, app.ProcessConfig{BackoffMin: time.Second, BackoffMax: time.Minute}).Run(ctx, t.Context())
		if len(tries) != last {
			t.Fatalf("%d tries, want %d", len(tries), last)
		}
		const second, reaction = time.Second, 2 * time.Millisecond
		for i, most := range []time.Duration{
			second, 2 * second, 4 * second, 8 * second, 16 * second, 32 * second, 60 * second, 60 * second, 60 * second, 0,
			second, 2 * second, 4 * second,
		} {
			if wait := tries[i+1] - tries[i]; wait < most/2 || wait > most+reaction {
				t.Errorf("wait %d took %v, want from %v to %v", i+1, wait, most/2, most)
			}
		}
	})
}

// The worker's health fails with the third failure in a row, and recovers with
// the next success.
func TestAWorkerThatFailsThriceIsUnhealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const success, last = 5, 7
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		queue := enqueued(t, 1)
		var worker *app.Process
		var health []bool // before each call
		store := &flakyStore{inner: memory.NewStore(), fail: func(call int, _ []domain.Batch) error {
			health = append(health, worker.Check(ctx) == nil)
			switch call {
			case success:
				return queue.Enqueue(ctx, domain.Batch{ID: "next", Events: make([]domain.Event, 1)})
			case last:
				stop()
			}
			return domain.NewError(domain.CodeUnavailable, nil, "away")
		}}
		worker = newProcess(queue, store, app.ProcessConfig{BackoffMin: time.Second, BackoffMax: time.Minute})
		worker.Run(ctx, t.Context())
		if want := []bool{true, true, true, false, false, true, true}; !slices.Equal(health, want) {
			t.Errorf("healthy before each call: %v, want %v", health, want)
		}
	})
}
