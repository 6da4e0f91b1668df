package benchmark_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// postgresEngine is a private server that waits for its disk.
type postgresEngine struct {
	url string
	db  *sqlx.DB
}

func newPostgres(t *testing.T) *postgresEngine {
	t.Helper()
	e := &postgresEngine{url: servers.Postgres(t, "shared_buffers = 256MB").NewDatabase(t)}
	e.open(t, nil)
	var err error
	if e.db, err = sqlx.Open("postgres", e.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.db.Close() })
	return e
}

func (e *postgresEngine) open(t *testing.T, buckets *app.PackedCache) store {
	t.Helper()
	return openStore(t, e.url, buckets)
}

func openStore(t *testing.T, url string, buckets *app.PackedCache) *postgres.Store {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Config{URL: url, Clock: clock(), Buckets: buckets})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	s := postgres.NewStore(db)
	if _, err := s.Expire(t.Context(), domain.Cutoffs{}); err != nil { // makes partitions
		t.Fatal(err)
	}
	return s
}

func (e *postgresEngine) insert(ctx context.Context, day loadedDay) error {
	return inTransaction(ctx, e.db, func(tx *sqlx.Tx) error {
		values := day.values
		err := each(ctx, tx, `INSERT INTO packed_aggregates (resolution, grain, part, bucket, counts, latency, sessions, readable)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, len(values), func(i int) []any {
			v := &values[i]
			return []any{
				string(v.Resolution), int(v.Grain), v.Part, v.Start, v.Counts, optionalBytes(v.Latency), optionalBytes(v.Sessions), text(v.Readable),
			}
		})
		if err != nil {
			return err
		}
		buckets := bucketsOf(values)
		err = each(ctx, tx, `INSERT INTO aggregate_buckets (resolution, bucket, generation) VALUES ($1, $2, nextval('aggregate_generations'))`,
			len(buckets), func(i int) []any { return []any{string(buckets[i].Resolution), buckets[i].Start} })
		if err != nil || len(day.events) == 0 {
			return err
		}
		if _, err := tx.ExecContext(ctx, fmt.Sprintf(`CREATE TABLE IF NOT EXISTS events_%[1]s PARTITION OF events
			FOR VALUES FROM ('%[2]s') TO ('%[3]s')`, day.start.Format("20060102"), day.start.Format(time.RFC3339),
			day.start.AddDate(0, 0, 1).Format(time.RFC3339))); err != nil {
			return err
		}
		ids := batchIDs(day)
		if err := each(ctx, tx, `INSERT INTO stored_batches (id, received_at) VALUES ($1, $2)`, len(ids), func(i int) []any {
			return []any{ids[i], day.start}
		}); err != nil {
			return err
		}
		return copyRows(ctx, tx.Tx, day.events)
	})
}

func (e *postgresEngine) settle(ctx context.Context) error {
	_, err := e.db.ExecContext(ctx, "VACUUM ANALYZE")
	if err == nil {
		_, err = e.db.ExecContext(ctx, "CHECKPOINT")
	}
	return err
}

// sizes adds partitions up, and counts values outside of their row by themselves.
func (e *postgresEngine) sizes(ctx context.Context) ([]size, error) {
	rows, err := e.db.QueryContext(ctx, `
		WITH tables AS (
			SELECT oid, relname, reltoastrelid, CASE WHEN relispartition THEN
				(SELECT p.relname FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent WHERE i.inhrelid = c.oid)
				ELSE relname END AS name
			FROM pg_class c WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
		), parts AS (
			SELECT name, pg_relation_size(oid) AS bytes FROM tables
			UNION ALL SELECT name || ', out of line', pg_total_relation_size(reltoastrelid) FROM tables WHERE reltoastrelid <> 0
			UNION ALL SELECT name || ', indexes', pg_indexes_size(oid) FROM tables
		)
		SELECT name, sum(bytes)::bigint FROM parts GROUP BY name HAVING sum(bytes) > 0 ORDER BY sum(bytes) DESC`)
	if err != nil {
		return nil, err
	}
	return scanSizes(rows)
}

// written begins with a checkpoint: pages that are changed for the first time after
// one are written in full, as they are every few minutes.
func (e *postgresEngine) written(ctx context.Context, work func() error) (int64, error) {
	if _, err := e.db.ExecContext(ctx, "CHECKPOINT"); err != nil {
		return 0, err
	}
	var before string
	if err := e.db.GetContext(ctx, &before, `SELECT pg_current_wal_insert_lsn()`); err != nil {
		return 0, err
	}
	if err := work(); err != nil {
		return 0, err
	}
	var bytes int64
	err := e.db.GetContext(ctx, &bytes, `SELECT (pg_current_wal_insert_lsn() - $1::pg_lsn)::bigint`, before)
	return bytes, err
}
