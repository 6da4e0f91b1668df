package benchmark_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/system"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/program"
	"github.com/weather-mcp/weather-mcp-analytics/test/report"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
	"github.com/weather-mcp/weather-mcp-analytics/test/traffic"
)

// TestWorkerFigures has a worker with its default settings take events from Redis
// and store them in PostgreSQL, with all that they add up to, beside the COPY of the
// same rows into the same table, 5,000 in a transaction, by the driver's plain means.
// The two take turns, and both commit durably.
func TestWorkerFigures(t *testing.T) {
	whenMeasuring(t)
	s := newSection(t, "worker")
	figures := report.NewTable("shape", "entries of", "copied/s", "committed/s", "beside COPY", "merged/s", "beside committed", "CPU time beside COPY")
	for _, shape := range []traffic.Shape{traffic.Real(), traffic.Wide()} {
		for _, entry := range []int{100, 1} {
			if !slices.Contains(list(*shapes), shape.Name) || !slices.Contains(list(*entries), strconv.Itoa(entry)) {
				continue
			}
			f := measureWorker(t, shape, entry)
			figures.Add(shape.Name, strconv.Itoa(entry), perSecond(f.copied), perSecond(f.committed), ratio(f.committed, f.copied),
				perSecond(f.merged), ratio(f.merged, f.committed), ratio(f.storedCPU, f.copiedCPU))
		}
	}
	s.Printf("Medians of %d runs of %s events:", *rounds, count(*events))
	s.Table(figures)
}

// workerFigures are events a second, and the CPU time of all processes until all is
// merged, of each run.
type workerFigures struct{ copied, committed, merged, copiedCPU, storedCPU []float64 }

func measureWorker(t *testing.T, shape traffic.Shape, entry int) workerFigures {
	t.Helper()
	n := *events
	if entry == 1 {
		n /= 4 // they take that much longer to queue
	}
	url := servers.Postgres(t, "shared_buffers = 256MB").NewDatabase(t)
	s, queue := openStore(t, url, nil), openQueue(t, n, advised)
	plain, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	var f workerFigures
	for round := range *rounds + 1 {
		// A day of its own for each run, so that all begin alike.
		batch := backlog(shape, uint64(round), n, contract.Now.AddDate(0, 0, -round))
		enqueue(t, queue, contract.Batches(round*n, entry, batch))
		var copying, committing, merging time.Duration
		copied := computing(t, func() { copying = timed(func() { copyPlainly(t, plain, batch) }) })
		stored := computing(t, func() { committing, merging = drain(t, s, queue, n) })
		if round == 0 {
			continue // the first fills caches
		}
		rate := func(d time.Duration) float64 { return float64(n) / d.Seconds() }
		f.copied = append(f.copied, rate(copying))
		f.committed = append(f.committed, rate(committing))
		f.merged = append(f.merged, rate(merging))
		f.copiedCPU = append(f.copiedCPU, copied.Seconds())
		f.storedCPU = append(f.storedCPU, stored.Seconds())
		t.Logf("%s, entries of %d: copied in %v (CPU %v), committed in %v, merged in %v (CPU %v)", shape.Name, entry,
			copying, copied, committing, merging, stored)
	}
	return f
}

// backlog are events of the last two hours, as they wait after an outage.
func backlog(shape traffic.Shape, seed uint64, n int, now time.Time) []domain.Event {
	hour := domain.Hourly.Floor(now)
	events := shape.Day(seed, domain.Daily.Floor(hour), n)
	for i := range events {
		events[i].Hour = hour.Add(-time.Duration(i%2) * time.Hour)
	}
	return events
}

// TestWorkerMemory has the real program store and merge a backlog, and looks how much
// memory it ever had.
func TestWorkerMemory(t *testing.T) {
	whenMeasuring(t)
	s := newSection(t, "worker-memory")
	peaks := report.NewTable("shape", "peak resident, MB", "when ready, MB")
	for _, shape := range []traffic.Shape{traffic.Real(), traffic.Wide()} {
		if !slices.Contains(list(*shapes), shape.Name) {
			continue
		}
		url := servers.Postgres(t, "shared_buffers = 256MB").NewDatabase(t)
		redisURL, queue := openRedis(t, *events, advised)
		worker := program.Launch(t, "worker", t.TempDir(), "DATABASE_URL="+url, "REDIS_URL="+redisURL, "METRICS_PORT=0", "MERGE_INTERVAL_SECONDS=5")
		worker.Await(t)
		ready := residentOf(t, worker.PID(), peak)
		enqueue(t, queue, contract.Batches(0, 100, backlog(shape, 1, *events, time.Now())))
		awaitMerged(t, url, queue)
		peaks.Add(shape.Name, fmt.Sprintf("%.0f", residentOf(t, worker.PID(), peak)), fmt.Sprintf("%.0f", ready))
	}
	s.Printf("A backlog of %s events, entries of 100:", count(*events))
	s.Table(peaks)
}

// awaitMerged waits until queue and journal are empty.
func awaitMerged(t *testing.T, url string, queue *redis.Queue) {
	t.Helper()
	db, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for deadline := time.Now().Add(10 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		depth, err := queue.Depth(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var rows int
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM aggregation_journal`).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		if depth.Events == 0 && rows == 0 {
			return
		}
	}
	t.Fatal("not all is merged after 10 minutes")
}

// drain runs a worker, which merges as it does in production, until the queue is
// empty, and then merges what is left. It returns how long both took since the start.
func drain(t *testing.T, s *postgres.Store, queue *redis.Queue, n int) (committed, merged time.Duration) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	merge := app.NewMerge(s, s, system.Clock{}, quiet(), app.MergeConfig{})
	counted := &countedQueue{Queue: queue, left: n, events: make(map[domain.BatchID]int), done: make(chan struct{})}
	worker := app.NewProcess(counted, s, quiet(), app.ProcessConfig{Merge: merge})
	var running sync.WaitGroup
	start := time.Now()
	running.Go(func() { merge.Run(ctx, t.Context()) })
	running.Go(func() { worker.Run(ctx, t.Context()) })
	select {
	case <-counted.done:
	case <-time.After(10 * time.Minute):
		t.Error("the queue is not empty after 10 minutes")
	}
	committed = time.Since(start)
	stop()
	running.Wait()
	if _, err := mergeRest(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return committed, time.Since(start)
}

// countedQueue closes done when that many events are acknowledged.
type countedQueue struct {
	*redis.Queue

	done chan struct{}

	mu     sync.Mutex
	left   int
	events map[domain.BatchID]int
}

func (q *countedQueue) Receive(ctx context.Context, maxEvents int, wait time.Duration) ([]ports.Delivery, error) {
	deliveries, err := q.Queue.Receive(ctx, maxEvents, wait)
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range deliveries {
		q.events[d.Batch.ID] = len(d.Batch.Events)
	}
	return deliveries, err
}

func (q *countedQueue) Acknowledge(ctx context.Context, ids ...domain.BatchID) error {
	err := q.Queue.Acknowledge(ctx, ids...)
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		q.left -= q.events[id]
		delete(q.events, id)
	}
	if q.left == 0 {
		close(q.done)
	}
	return nil
}

// mergeRest merges all of the journal, in the pieces of a worker, and returns how many
// entries that was.
func mergeRest(ctx context.Context, m ports.Merger) (entries int, err error) {
	const piece = 160_000
	days, err := m.Journal(ctx)
	if err != nil {
		return 0, err
	}
	for _, d := range days {
		for {
			n, err := m.Merge(ctx, d.Day, piece, domain.Cutoffs{})
			if err != nil {
				return entries, err
			}
			if n == 0 {
				break
			}
			entries += n
		}
	}
	return entries, nil
}

// enqueue has several clients fill the queue side by side. Batches are in their order
// all the same, but for neighbours.
func enqueue(tb testing.TB, queue *redis.Queue, batches []domain.Batch) {
	tb.Helper()
	var group errgroup.Group
	group.SetLimit(16)
	for _, batch := range batches {
		group.Go(func() error { return queue.Enqueue(tb.Context(), batch) })
	}
	if err := group.Wait(); err != nil {
		tb.Fatal(err)
	}
}

func copyPlainly(tb testing.TB, db *sql.DB, events []domain.Event) {
	tb.Helper()
	for part := range slices.Chunk(events, 5_000) {
		if err := copyOnce(tb.Context(), db, part); err != nil {
			tb.Fatal(err)
		}
	}
}

func copyOnce(ctx context.Context, db *sql.DB, events []domain.Event) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if err := copyRows(ctx, tx, events); err != nil {
		return err
	}
	return tx.Commit()
}

func copyRows(ctx context.Context, tx *sql.Tx, events []domain.Event) error {
	stmt, err := tx.PrepareContext(ctx, `COPY events (hour, version, tool, status, analytics_level, error_type,
		response_time_ms, service, cache_hit, retry_count, country, parameters, session_id, sequence_number) FROM STDIN`)
	if err != nil {
		return err
	}
	defer stmt.Close()
	for i := range events {
		if _, err := stmt.ExecContext(ctx, columns(&events[i])...); err != nil {
			return err
		}
	}
	_, err = stmt.ExecContext(ctx)
	return err
}

func columns(e *domain.Event) []any {
	return []any{
		e.Hour, e.Version, e.Tool, string(e.Status), string(e.Level), text(e.ErrorType), present(e.ResponseTimeMS), text(e.Service),
		present(e.CacheHit), present(e.RetryCount), text(e.Country), text(e.Parameters), text(e.SessionID), present(e.SequenceNumber),
	}
}

func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func present[T any](o domain.Optional[T]) any {
	if !o.Valid {
		return nil
	}
	return o.Value
}
