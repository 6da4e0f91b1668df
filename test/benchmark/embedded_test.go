package benchmark_test

import (
	"context"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// BenchmarkSustained measures the embedded store as a server uses it: a worker
// that takes 1,000 events at once, merges when the journal is long, and a reader of
// all statistics each second. events/s counts events from their acceptance, in
// batches of 100, until they are counted. With posts, four clients enqueue all the
// time, as fast as there is room, and p99-ms is how long a batch took; otherwise the
// queue was full before, of events of the last hours or of a replay whose batches
// span 90 days. cpu-µs/event is the processor time of all that, accepting
// included; on a busy machine it says more than the rate.
func BenchmarkSustained(b *testing.B) {
	b.Run("posts", func(b *testing.B) {
		s := startEmbedded(b)
		posted := new(latencies)
		for round := 0; b.Loop(); round++ {
			var clients sync.WaitGroup
			batches := make(chan domain.Batch)
			for range 4 {
				clients.Go(func() {
					for batch := range batches {
						s.post(b, batch, posted)
					}
				})
			}
			for _, batch := range contract.Batches(round*s.block, 100, s.events) {
				batches <- batch
			}
			close(batches)
			clients.Wait()
			s.awaitCounted(b, (round+1)*s.block)
		}
		s.report(b)
		b.ReportMetric(float64(posted.quantile(0.99).Microseconds())/1e3, "p99-ms")
		b.ReportMetric(float64(posted.quantile(0.5).Microseconds())/1e3, "p50-ms")
	})
	for name, hours := range map[string]int{"full-queue": 2, "replay": 90 * 24} {
		b.Run(name, func(b *testing.B) {
			s := startEmbedded(b)
			s.events = contract.EventsOver(1, s.block, hours)
			for round := 0; b.Loop(); round++ {
				b.StopTimer()
				s.pause()
				for _, batch := range contract.Batches(round*s.block, 100, s.events) {
					s.post(b, batch, new(latencies))
				}
				b.StartTimer()
				s.resume()
				s.awaitCounted(b, (round+1)*s.block)
			}
			s.report(b)
		})
	}
}

// embedded is what runs in a server on SQLite.
type embedded struct {
	queue  *sqlite.Queue
	store  *sqlite.Store
	block  int
	events []domain.Event
	work   sync.Mutex // held while the worker pauses, and for each of its steps
	read   latencies
	cpu    time.Duration // of the process when it started
}

func startEmbedded(b *testing.B) *embedded {
	b.Helper()
	const block = 100_000
	db, err := sqlite.Open(b.Context(), sqlite.Config{Dir: b.TempDir(), Clock: clock(), Buckets: app.NewPackedCache(64 << 20)})
	if err != nil {
		b.Fatal(err)
	}
	s := &embedded{
		queue: sqlite.NewQueue(db, sqlite.QueueConfig{MaxEvents: block}), store: sqlite.NewStore(db),
		block: block, events: contract.Events(1, block), cpu: cpuTime(b),
	}
	ctx, stop := context.WithCancel(context.Background())
	merge := app.NewMerge(s.store, s.store, clock(), quiet(), app.MergeConfig{})
	worker := app.NewProcess(s.queue, s.store, quiet(), app.ProcessConfig{BatchSize: 1_000, PollInterval: 50 * time.Millisecond, Merge: merge})
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
	running.Go(func() { s.readAll(ctx, b) })
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
func (s *embedded) readAll(ctx context.Context, b *testing.B) {
	b.Helper()
	statistics := app.NewStatistics(s.store, clock(), app.StatisticsConfig{})
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		start := time.Now()
		if _, err := statistics.All(ctx, app.StatisticsQuery{}); err != nil && ctx.Err() == nil {
			b.Error(err)
		}
		s.read.add(time.Since(start))
	}
}

func (s *embedded) pause()  { s.work.Lock() }
func (s *embedded) resume() { s.work.Unlock() }

// post enqueues the batch when there is room.
func (s *embedded) post(b *testing.B, batch domain.Batch, took *latencies) {
	b.Helper()
	for {
		start := time.Now()
		err := s.queue.Enqueue(b.Context(), batch)
		if err == nil {
			took.add(time.Since(start))
			return
		}
		if domain.CodeOf(err) != domain.CodeQueueFull {
			b.Error(err)
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

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
	b.ReportMetric(float64(b.N*s.block)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64((cpuTime(b)-s.cpu).Nanoseconds())/1e3/float64(b.N*s.block), "cpu-µs/event")
	b.ReportMetric(float64(s.read.quantile(0.99).Microseconds())/1e3, "read-p99-ms")
}

// cpuTime is how much this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// latencies are durations of one kind of call.
type latencies struct {
	mu  sync.Mutex
	all []time.Duration
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, d)
}

func (l *latencies) quantile(q float64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		return 0
	}
	slices.Sort(l.all)
	return l.all[int(q*float64(len(l.all)-1))]
}
