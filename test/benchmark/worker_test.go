package benchmark_test

import (
	"database/sql"
	"strconv"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// BenchmarkWorker compares a worker, that takes batches of 50 events from
// Redis and stores them in PostgreSQL together with all they add up to, with
// the COPY of the same events into the same table, 1,000 in a transaction, by
// the driver's plain means: ratio is the one rate divided by the other. The
// name is how many events the worker takes at once, 5,000 being the default.
// Both commit durably.
func BenchmarkWorker(b *testing.B) {
	const block = 200_000
	events := contract.Events(1, block)
	for _, size := range []int{100, 1_000, 5_000} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			url := servers.Postgres(b).NewDatabase(b)
			store, queue := openStore(b, url), openQueue(b, block, advised)
			worker := app.NewProcess(queue, store, quiet(), app.ProcessConfig{BatchSize: size, PollInterval: time.Millisecond})
			plain, err := sql.Open("postgres", url)
			if err != nil {
				b.Fatal(err)
			}
			defer plain.Close()
			var copying, storing time.Duration
			for round := 0; b.Loop(); round++ {
				enqueue(b, queue, contract.Batches(round*block, 50, events))
				copying += timed(func() { copyPlainly(b, plain, events) })
				storing += timed(func() { drain(b, worker, queue) })
			}
			storing += timed(func() { mergeAll(b, store) })
			rate := func(d time.Duration) float64 { return float64(b.N*block) / d.Seconds() }
			b.ReportMetric(rate(copying), "copied/s")
			b.ReportMetric(rate(storing), "stored/s")
			b.ReportMetric(rate(storing)/rate(copying), "ratio")
		})
	}
}

func openStore(b *testing.B, url string) *postgres.Store {
	b.Helper()
	db, err := postgres.Open(b.Context(), postgres.Config{URL: url, Clock: clock()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	store := postgres.NewStore(db)
	mergeAll(b, store) // makes partitions, too
	return store
}

// mergeAll does what storing put off.
func mergeAll(b *testing.B, store *postgres.Store) {
	b.Helper()
	if _, err := store.Expire(b.Context(), domain.Cutoffs{}); err != nil {
		b.Fatal(err)
	}
}

func enqueue(b *testing.B, queue *redis.Queue, batches []domain.Batch) {
	b.Helper()
	for _, batch := range batches {
		if err := queue.Enqueue(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
}

func drain(b *testing.B, worker *app.Process, queue *redis.Queue) {
	b.Helper()
	for {
		if err := worker.Step(b.Context(), b.Context()); err != nil {
			b.Fatal(err)
		}
		depth, err := queue.Depth(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if depth.Events == 0 {
			return
		}
	}
}

func copyPlainly(b *testing.B, db *sql.DB, events []domain.Event) {
	b.Helper()
	for at := 0; at < len(events); at += 1_000 {
		if err := copyOnce(b, db, events[at:at+1_000]); err != nil {
			b.Fatal(err)
		}
	}
}

func copyOnce(b *testing.B, db *sql.DB, events []domain.Event) error {
	b.Helper()
	tx, err := db.BeginTx(b.Context(), nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	stmt, err := tx.PrepareContext(b.Context(), `COPY events (hour, version, tool, status, analytics_level, error_type,
		response_time_ms, service, cache_hit, retry_count, country, parameters, session_id, sequence_number) FROM STDIN`)
	if err != nil {
		return err
	}
	defer stmt.Close()
	for i := range events {
		if _, err := stmt.ExecContext(b.Context(), columns(&events[i])...); err != nil {
			return err
		}
	}
	if _, err := stmt.ExecContext(b.Context()); err != nil {
		return err
	}
	return tx.Commit()
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
