package app_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// slowStore takes a second for each transaction, and fails as often as the test sets.
type slowStore struct {
	ports.EventStore

	mu       sync.Mutex
	failures int
	stored   []domain.BatchID
}

func (s *slowStore) Store(ctx context.Context, batches []domain.Batch) (ports.Stored, error) {
	time.Sleep(time.Second)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failures > 0 {
		s.failures--
		return ports.Stored{}, domain.NewError(domain.CodeUnavailable, errors.New("connection refused"), "the store is away")
	}
	for _, b := range batches {
		s.stored = append(s.stored, b.ID)
	}
	return s.EventStore.Store(ctx, batches)
}

// slowQueue takes a second to hand out what there is.
type slowQueue struct{ *memory.Queue }

func (q slowQueue) Receive(ctx context.Context, maxEvents int, wait time.Duration) ([]ports.Delivery, error) {
	deliveries, err := q.Queue.Receive(ctx, maxEvents, wait)
	if len(deliveries) > 0 {
		time.Sleep(time.Second)
	}
	return deliveries, err
}

// runSlowly has a worker empty a queue of that many batches, one in a transaction,
// until stop, and returns what was stored and what is left.
func runSlowly(t *testing.T, batches, failures int, stop time.Duration) (stored []domain.BatchID, left int) {
	t.Helper()
	queue, store := slowQueue{memory.NewQueue(memory.QueueConfig{})}, &slowStore{EventStore: memory.NewStore(), failures: failures}
	for i := range batches {
		b := domain.Batch{ID: domain.BatchID(strconv.Itoa(i)), ReceivedAt: pipelineNow, Events: []domain.Event{{Tool: "t", Hour: pipelineNow}}}
		if err := queue.Enqueue(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), stop)
	defer cancel()
	newProcess(queue, store, app.ProcessConfig{BatchSize: 1, BackoffMin: time.Millisecond}).Run(ctx, t.Context())
	depth, err := queue.Depth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return store.stored, depth.Batches
}

func TestAWorkerReceivesWhileItStores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The first is received alone, and then a batch is stored every second.
		if stored, left := runSlowly(t, 10, 0, 11*time.Second+time.Millisecond); len(stored) != 10 || left != 0 {
			t.Errorf("stored %v in 11 s, and %d are left", stored, left)
		}
	})
}

func TestAFailureGivesBackWhatWasReceivedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stored, left := runSlowly(t, 4, 2, 20*time.Second)
		if len(stored) != 4 || stored[0] != "0" || stored[1] != "1" || left != 0 {
			t.Errorf("stored %v, and %d are left", stored, left)
		}
	})
}

// What a worker has received when it is stopped, it stores.
func TestAStoppedWorkerFinishesWhatItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stored, left := runSlowly(t, 10, 0, 2500*time.Millisecond)
		if len(stored)+left != 10 || len(stored) < 2 || len(stored) > 3 {
			t.Errorf("stored %v, and %d are left", stored, left)
		}
	})
}
