package postgres_test

import (
	"database/sql"
	"strconv"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// BenchmarkStore compares storing and all of the merging that goes with it with
// the COPY of the same events into the same table, 1,000 in a transaction, by
// the driver's plain means: ratio is the one rate divided by the other. Both
// commit durably.
func BenchmarkStore(b *testing.B) {
	const block = 400_000
	events := contract.Events(1, block)
	for _, size := range []int{100, 1_000, 5_000} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			url := servers.Postgres(b).NewDatabase(b)
			db := open(b, postgres.Config{URL: url})
			store := postgres.NewStore(db)
			if _, err := store.Expire(b.Context(), domain.Cutoffs{}); err != nil { // makes partitions
				b.Fatal(err)
			}
			plain, err := sql.Open("postgres", url)
			if err != nil {
				b.Fatal(err)
			}
			defer plain.Close()
			var copying, storing time.Duration
			number := 0
			for b.Loop() {
				copying += timed(func() { copyPlainly(b, plain, events) })
				storing += timed(func() {
					number = storeAll(b, store, events, size, number)
				})
			}
			storing += timed(func() {
				db.AwaitBackground()
				if err := store.MergeJournal(b.Context()); err != nil {
					b.Fatal(err)
				}
			})
			rate := func(d time.Duration) float64 { return float64(b.N*block) / d.Seconds() }
			b.ReportMetric(rate(copying), "copied/s")
			b.ReportMetric(rate(storing), "stored/s")
			b.ReportMetric(rate(storing)/rate(copying), "ratio")
		})
	}
}

func timed(work func()) time.Duration {
	start := time.Now()
	work()
	return time.Since(start)
}

// storeAll stores the events in batches of 50, as many as have that size in a
// transaction. It returns the number of the last batch.
func storeAll(b *testing.B, store *postgres.Store, events []domain.Event, size, number int) int {
	b.Helper()
	for at := 0; at < len(events); at += size {
		batches := contract.Batches(number+1, 50, events[at:at+size])
		number += len(batches)
		if _, err := store.Store(b.Context(), batches); err != nil {
			b.Fatal(err)
		}
	}
	return number
}

func copyPlainly(b *testing.B, db *sql.DB, events []domain.Event) {
	b.Helper()
	for at := 0; at < len(events); at += 1_000 {
		tx, err := db.Begin()
		if err != nil {
			b.Fatal(err)
		}
		stmt, err := tx.Prepare(`COPY events (hour, version, tool, status, analytics_level, error_type, response_time_ms, service,
			cache_hit, retry_count, country, parameters, session_id, sequence_number) FROM STDIN`)
		if err != nil {
			b.Fatal(err)
		}
		for i := range events[at : at+1_000] {
			if _, err := stmt.Exec(columns(&events[at+i])...); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := stmt.Exec(); err != nil {
			b.Fatal(err)
		}
		if err := stmt.Close(); err != nil { //nolint:sqlclosecheck // a defer would wait for all blocks
			b.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			b.Fatal(err)
		}
	}
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

// BenchmarkSelect reads what a dashboard shows, of a month of 100,000 events.
func BenchmarkSelect(b *testing.B) {
	db := open(b, postgres.Config{URL: servers.SharedPostgres(b).NewDatabase(b)})
	store := postgres.NewStore(db)
	storeAll(b, store, contract.EventsOver(1, 100_000, 30*24), 5_000, 0)
	if _, err := store.Expire(b.Context(), domain.Cutoffs{}); err != nil {
		b.Fatal(err)
	}
	if err := db.Exec(b.Context(), `ANALYZE`); err != nil {
		b.Fatal(err)
	}
	end := domain.Daily.Floor(contract.Now).Add(day)
	for name, w := range map[string]domain.Window{
		"24h":  {Start: end.Add(-day), End: end, Resolution: domain.Hourly},
		"168h": {Start: end.Add(-7 * day), End: end, Resolution: domain.Hourly},
		"30d":  {Start: end.Add(-30 * day), End: end, Resolution: domain.Daily},
	} {
		for _, f := range []domain.Filter{{}, {Country: "DE"}} {
			b.Run(name+f.Country, func(b *testing.B) {
				s := domain.Selection{Window: w, Filter: f, By: append(domain.Dimensions(), domain.DimensionNone), Errors: true}
				for b.Loop() {
					if _, err := store.Select(b.Context(), s); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
