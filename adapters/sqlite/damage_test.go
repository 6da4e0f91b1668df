package sqlite_test

import (
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

func TestDamagedAggregateIsNamed(t *testing.T) {
	hour := contract.Now.Truncate(time.Hour).Format(time.RFC3339)
	for _, c := range []struct {
		table, column, value string
		want                 []string
	}{
		{"hourly_aggregations", "latency", "x'ff00ff'", []string{"hourly_aggregations", hour, "latency sketch"}},
		{"hourly_aggregations", "sessions", "x'ff00ff'", []string{"hourly_aggregations", hour, "distinct sketch"}},
		{"error_summary", "tools", "iif(resolution = 'hour', '[broken', tools)", []string{"error_summary", hour}},
		{"error_summary", "versions", "iif(resolution = 'hour', '[broken', versions)", []string{"error_summary", hour}},
	} {
		t.Run(c.table+" "+c.column, func(t *testing.T) {
			db := open(t, sqlite.Config{Dir: t.TempDir()})
			store := sqlite.NewStore(db)
			if _, err := store.Store(t.Context(), []domain.Batch{contract.NewBatch(1, contract.EventsOver(1, 100, 1)...)}); err != nil {
				t.Fatal(err)
			}
			exec1(t, db, "UPDATE "+c.table+" SET "+c.column+" = "+c.value+" WHERE grain = 1 AND tool = 'get_forecast'")

			window := domain.Window{Start: contract.Now.Truncate(time.Hour), End: contract.Now, Resolution: domain.Hourly}
			_, selectErr := store.Select(t.Context(), domain.Selection{
				Window: window, Filter: domain.Filter{Tool: "get_forecast"},
				By: []domain.Dimension{domain.DimensionNone}, Errors: true,
			})
			_, storeErr := store.Store(t.Context(), []domain.Batch{contract.NewBatch(2, contract.EventsOver(1, 100, 1)...)})
			for _, err := range []error{selectErr, storeErr} {
				checkCode(t, "damaged", err, domain.CodeUnavailable)
				for _, want := range append(c.want, "get_forecast", "rebuild") {
					if err != nil && !strings.Contains(err.Error(), want) {
						t.Errorf("%q does not say %q", err, want)
					}
				}
			}
		})
	}
}

// TestWhatCannotBeWrittenIsHandedOutAgain: a worker whose acknowledgement or
// burial fails does not know what became of it, and nobody else holds it.
func TestWhatCannotBeWrittenIsHandedOutAgain(t *testing.T) {
	db := open(t, sqlite.Config{Dir: t.TempDir()})
	queue := sqlite.NewQueue(db, sqlite.QueueConfig{})
	batch := contract.NewBatch(1, contract.Events(1, 3)...)
	if err := queue.Enqueue(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	attempt := 0
	for name, call := range map[string]func() error{
		"Acknowledge": func() error { return queue.Acknowledge(t.Context(), batch.ID) },
		"Bury":        func() error { return queue.Bury(t.Context(), batch.ID, "reason") },
	} {
		attempt++
		checkAttempt(t, queue, attempt)
		exec1(t, db, `PRAGMA query_only = on`)
		checkCode(t, name, call(), domain.CodeUnavailable)
		_, err := queue.Receive(t.Context(), 10, 0)
		checkCode(t, "Receive", err, domain.CodeUnavailable)
		exec1(t, db, `PRAGMA query_only = off`)
	}
	checkAttempt(t, queue, attempt+1)
}

func TestFailedReceiveHoldsNothing(t *testing.T) {
	db := open(t, sqlite.Config{Dir: t.TempDir()})
	queue := sqlite.NewQueue(db, sqlite.QueueConfig{})
	if err := queue.Enqueue(t.Context(), contract.NewBatch(1, contract.Events(1, 3)...)); err != nil {
		t.Fatal(err)
	}
	exec1(t, db, `CREATE TRIGGER refusal BEFORE UPDATE ON queue BEGIN SELECT raise(ABORT, 'refused'); END`)
	if deliveries, err := queue.Receive(t.Context(), 10, 0); err == nil || len(deliveries) > 0 {
		t.Errorf("received %+v, %v", deliveries, err)
	}
	exec1(t, db, `DROP TRIGGER refusal`)
	checkAttempt(t, queue, 1)
}

func checkAttempt(t *testing.T, queue *sqlite.Queue, want int) {
	t.Helper()
	deliveries, err := queue.Receive(t.Context(), 10, 0)
	if err != nil || len(deliveries) != 1 || deliveries[0].Attempt != want {
		t.Errorf("received %+v, %v; want attempt %d", deliveries, err, want)
	}
}

func TestUnknownPayloadFormatIsBuried(t *testing.T) {
	db := open(t, sqlite.Config{Dir: t.TempDir()})
	queue := sqlite.NewQueue(db, sqlite.QueueConfig{})
	if err := queue.Enqueue(t.Context(), contract.NewBatch(1, contract.Events(1, 3)...)); err != nil {
		t.Fatal(err)
	}
	exec1(t, db, `UPDATE queue SET payload = CAST(replace(payload, '"format":1', '"format":9') AS BLOB)`)
	if deliveries, err := queue.Receive(t.Context(), 10, 0); err != nil || len(deliveries) != 0 {
		t.Errorf("received %+v, %v", deliveries, err)
	}
	if n := count(t, db, "dead_letters"); n != 1 {
		t.Errorf("%d dead letters", n)
	}
}

func TestForgottenKeysAreDeleted(t *testing.T) {
	clock := memory.NewClock(contract.Now)
	db := open(t, sqlite.Config{Dir: t.TempDir(), Clock: clock})
	queue := sqlite.NewQueue(db, sqlite.QueueConfig{})
	for n, key := range []string{"a", "b", "c"} {
		if _, err := queue.EnqueueOnce(t.Context(), domain.KeyedRequest{Key: key}, contract.NewBatch(n), domain.Receipt{}); err != nil {
			t.Fatal(err)
		}
		clock.Advance(domain.IdempotencyLifetime / 2)
	}
	// After the third, the first one's time was over.
	if n := count(t, db, "receipts"); n != 2 {
		t.Errorf("%d keys are kept, want 2", n)
	}
}
