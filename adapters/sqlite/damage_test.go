package sqlite_test

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// TestDamageIsNamedAndMended damages what is stored by hand. Reading and merging
// name it and change nothing, other days are merged, and a rebuild mends it.
func TestDamageIsNamedAndMended(t *testing.T) {
	day := domain.Daily.Floor(contract.Now)
	hour := contract.Now.Truncate(time.Hour).Format(time.RFC3339)
	for name, c := range map[string]struct {
		damage, of string
		read       domain.Selection
		want       []string
		// merged says that merging finds nothing wrong, as it does not read the value.
		merged bool
	}{
		"the counts of a grain": {
			damage: `UPDATE packed_aggregates SET counts = x'ff00ff' WHERE resolution = 'hour' AND grain = 1`,
			read:   domain.Selection{Usage: true},
			want:   []string{"packed_aggregates", hour, "grain 1"}, merged: true,
		},
		"the response times of full grain": {
			damage: `UPDATE packed_aggregates SET latency = x'ff00ff' WHERE resolution = 'hour' AND grain = 15`,
			want:   []string{"packed_aggregates", hour, "grain 15"},
		},
		"the sessions of the total": {
			damage: `UPDATE packed_aggregates SET sessions = x'ff00ff' WHERE grain = 0`,
			read:   domain.Selection{By: []domain.Dimension{domain.DimensionNone}, Sessions: true},
			want:   []string{"packed_aggregates", hour, "grain 0"}, merged: true,
		},
		"errors": {
			damage: `UPDATE packed_aggregates SET counts = x'ff00ff' WHERE grain = 31`,
			read:   domain.Selection{Filter: domain.Filter{Service: "noaa"}, Errors: true},
			want:   []string{"packed_aggregates", hour, "grain 31"},
		},
		"the journal": {
			damage: `UPDATE aggregation_journal SET payload = substr(payload, 2) WHERE id = (SELECT max(id) FROM aggregation_journal WHERE day = ` +
				strconv.FormatInt(day.Unix(), 10) + `)`,
			read: domain.Selection{By: []domain.Dimension{domain.DimensionTool}},
			want: []string{"aggregation_journal", "2026-11-23", "row "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, sqlite.Config{Dir: t.TempDir()})
			store := sqlite.NewStore(db)
			put(t, store, contract.NewBatch(1, contract.EventsOver(1, 300, 1)...))
			merge(t, store, domain.Cutoffs{})
			put(t, store, contract.NewBatch(2, contract.EventsOver(2, 100, 1)...), contract.NewBatch(3, contract.EventsOver(3, 50, 30)...))
			exec1(t, db.StoreFile(), c.damage)
			before := contentOf(t, db)

			if len(c.read.By) > 0 || c.read.Usage || c.read.Errors {
				c.read.Window = domain.Window{Start: day, End: day.AddDate(0, 0, 1), Resolution: domain.Hourly}
				_, err := store.Select(t.Context(), c.read)
				checkDamage(t, "reading", err, c.want)
			}
			if !c.merged {
				_, err := store.Merge(t.Context(), day, 1_000_000, domain.Cutoffs{})
				checkDamage(t, "merging", err, c.want)
				if after := contentOf(t, db); after != before {
					t.Error("a merge that fails changes something")
				}
				if n, err := store.Merge(t.Context(), day.AddDate(0, 0, -1), 1_000_000, domain.Cutoffs{}); err != nil || n == 0 {
					t.Errorf("merging another day: %d entries, %v", n, err)
				}
				if _, err := store.Expire(t.Context(), domain.Cutoffs{}); err != nil {
					t.Errorf("expiring: %v", err)
				}
				if _, err := store.Due(t.Context(), domain.Cutoffs{}); err != nil {
					t.Errorf("counting what is due: %v", err)
				}
			}

			if _, err := store.RebuildDay(t.Context(), day, domain.Cutoffs{}); err != nil {
				t.Fatal(err)
			}
			merge(t, store, domain.Cutoffs{})
			sound := sqlite.NewStore(open(t, sqlite.Config{Dir: t.TempDir()}))
			put(t, sound, contract.NewBatch(1, contract.EventsOver(1, 300, 1)...),
				contract.NewBatch(2, contract.EventsOver(2, 100, 1)...), contract.NewBatch(3, contract.EventsOver(3, 50, 30)...))
			if !reflect.DeepEqual(everything(t, store, day), everything(t, sound, day)) {
				t.Error("after the rebuild the answers are others")
			}
		})
	}
}

func checkDamage(t *testing.T, what string, err error, want []string) {
	t.Helper()
	checkCode(t, what, err, domain.CodeUnavailable)
	for _, want := range append(want, "analytics rebuild") {
		if err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q does not say %q", what, err, want)
		}
	}
}

// contentOf is all that is stored of aggregates.
func contentOf(t *testing.T, db *sqlite.DB) string {
	t.Helper()
	content, err := db.StoreFile().Dump(t.Context(), "packed_aggregates", "aggregate_buckets", "aggregation_journal", "dimension_overflow")
	if err != nil {
		t.Fatal(err)
	}
	return content
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
		exec1(t, db.QueueFile(), `PRAGMA query_only = on`)
		checkCode(t, name, call(), domain.CodeUnavailable)
		_, err := queue.Receive(t.Context(), 10, 0)
		checkCode(t, "Receive", err, domain.CodeUnavailable)
		exec1(t, db.QueueFile(), `PRAGMA query_only = off`)
	}
	checkAttempt(t, queue, attempt+1)
}

func TestFailedReceiveHoldsNothing(t *testing.T) {
	db := open(t, sqlite.Config{Dir: t.TempDir()})
	queue := sqlite.NewQueue(db, sqlite.QueueConfig{})
	if err := queue.Enqueue(t.Context(), contract.NewBatch(1, contract.Events(1, 3)...)); err != nil {
		t.Fatal(err)
	}
	exec1(t, db.QueueFile(), `CREATE TRIGGER refusal BEFORE INSERT ON queue_attempts BEGIN SELECT raise(ABORT, 'refused'); END`)
	if deliveries, err := queue.Receive(t.Context(), 10, 0); err == nil || len(deliveries) > 0 {
		t.Errorf("received %+v, %v", deliveries, err)
	}
	exec1(t, db.QueueFile(), `DROP TRIGGER refusal`)
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
	exec1(t, db.QueueFile(), `UPDATE queue SET payload = CAST(x'09' || substr(payload, 2) AS BLOB)`)
	if deliveries, err := queue.Receive(t.Context(), 10, 0); err != nil || len(deliveries) != 0 {
		t.Errorf("received %+v, %v", deliveries, err)
	}
	if n := count(t, db.QueueFile(), "dead_letters"); n != 1 {
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
	if n := count(t, db.QueueFile(), "receipts"); n != 2 {
		t.Errorf("%d keys are kept, want 2", n)
	}
}
