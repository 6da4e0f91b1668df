package benchmark_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// BenchmarkSustained measures the embedded store as a server uses it: a worker that
// takes 5,000 events at once, merges when the journal is long, and a reader of all
// statistics each second. events/s counts the events of a queue that was full, of the last
// hours or of a replay whose batches span 90 days, until they are counted. cpu-µs/event is
// the processor time of all that, accepting included; on a busy machine it says more than
// the rate. TestSustainedFigures has the whole program.
func BenchmarkSustained(b *testing.B) {
	for name, hours := range map[string]int{"full-queue": 2, "replay": 90 * 24} {
		b.Run(name, func(b *testing.B) {
			s := startEmbedded(b)
			events := contract.EventsOver(1, block, hours)
			for round := 0; b.Loop(); round++ {
				b.StopTimer()
				s.pause()
				for _, batch := range contract.Batches(round*block, 100, events) {
					if err := s.queue.Enqueue(b.Context(), batch); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
				s.resume()
				s.awaitCounted(b, (round+1)*block)
			}
			s.report(b)
		})
	}
}

// embedded is what runs in a server on SQLite.
type embedded struct {
	queue *sqlite.Queue
	store *sqlite.Store
	work  sync.Mutex    // held while the worker pauses, and for each of its steps
	cpu   time.Duration // of the process when it started
}

// block is how many events the queue has room for.
const block = 100_000

func startEmbedded(b *testing.B) *embedded {
	b.Helper()
	clock := clock()
	db, err := sqlite.Open(b.Context(), sqlite.Config{Dir: b.TempDir(), Clock: clock, Buckets: app.NewPackedCache(64 << 20)})
	if err != nil {
		b.Fatal(err)
	}
	s := &embedded{
		queue: sqlite.NewQueue(db, sqlite.QueueConfig{MaxEvents: block}), store: sqlite.NewStore(db), cpu: cpuOfSelf(b),
	}
	ctx, stop := context.WithCancel(context.Background())
	merge := app.NewMerge(s.store, s.store, clock, quiet(), app.MergeConfig{})
	worker := app.NewProcess(s.queue, s.store, quiet(), app.ProcessConfig{PollInterval: 50 * time.Millisecond, Merge: merge})
	var running sync.WaitGroup
	running.Go(func() { merge.Run(ctx, ctx) })
	running.Go(func() {
		for ctx.Err() == nil {
			s.work.Lock()
			err := worker.Step(ctx, ctx)
			s.work.Unlock()
			if err != nil && ctx.Err() == nil {
				b.Error(err)
			}
		}
	})
	running.Go(func() { s.readAll(ctx, b, clock) })
	b.Cleanup(func() {
		stop()
		running.Wait()
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// readAll reads all statistics each second.
func (s *embedded) readAll(ctx context.Context, b *testing.B, clock ports.Clock) {
	b.Helper()
	statistics := app.NewStatistics(s.store, clock, app.StatisticsConfig{})
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		if _, err := statistics.All(ctx, app.StatisticsQuery{}); err != nil && ctx.Err() == nil {
			b.Error(err)
		}
	}
}

func (s *embedded) pause()  { s.work.Lock() }
func (s *embedded) resume() { s.work.Unlock() }

func (s *embedded) awaitCounted(b *testing.B, events int) {
	b.Helper()
	for {
		activity, err := s.store.Activity(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if activity.Events >= int64(events) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (s *embedded) report(b *testing.B) {
	b.Helper()
	b.ReportMetric(float64(b.N*block)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64((cpuOfSelf(b)-s.cpu).Nanoseconds())/1e3/float64(b.N*block), "cpu-µs/event")
}
