package benchmark_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// sqliteEngine is a database in a folder of its own.
type sqliteEngine struct {
	dir string
	db  *sqlx.DB
	raw *sqlite.DB
}

func newSQLite(t *testing.T) *sqliteEngine {
	t.Helper()
	e := &sqliteEngine{dir: t.TempDir()}
	e.open(t, nil)
	var err error
	e.db, err = sqlx.Open("sqlite", "file:"+filepath.Join(e.dir, "analytics.db")+"?_pragma=synchronous(OFF)&_pragma=busy_timeout(60000)")
	if err != nil {
		t.Fatal(err)
	}
	e.db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = e.db.Close() })
	return e
}

// open opens the database anew: one process has one.
func (e *sqliteEngine) open(t *testing.T, buckets *app.PackedCache) store {
	t.Helper()
	if e.raw != nil {
		if err := e.raw.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if e.raw, err = sqlite.Open(t.Context(), sqlite.Config{Dir: e.dir, Clock: clock(), Buckets: buckets}); err != nil {
		t.Fatal(err)
	}
	opened := e.raw
	t.Cleanup(func() { _ = opened.Close() })
	return sqlite.NewStore(e.raw)
}

const insertSQLiteEvent = `INSERT INTO events (hour, version, tool, status, analytics_level, error_type,
	response_time_ms, service, cache_hit, retry_count, country, parameters, session_id, sequence_number)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

func (e *sqliteEngine) insert(ctx context.Context, day loadedDay) error {
	return inTransaction(ctx, e.db, func(tx *sqlx.Tx) error {
		values := day.values
		err := each(ctx, tx, `INSERT INTO packed_aggregates (resolution, grain, part, bucket, counts, latency, sessions, readable)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, len(values), func(i int) []any {
			v := &values[i]
			return []any{
				string(v.Resolution), int(v.Grain), v.Part, v.Start.Unix(), notNil(v.Counts), notNil(v.Latency), notNil(v.Sessions), text(v.Readable),
			}
		})
		if err != nil {
			return err
		}
		calls := make(map[domain.PackedBucket]int64)
		for i := range values {
			if values[i].Grain == domain.PackedGrain(domain.GrainTotal) {
				calls[values[i].PackedBucket] = values[i].Calls
			}
		}
		buckets := bucketsOf(values)
		err = each(ctx, tx, `INSERT INTO aggregate_buckets (resolution, bucket, generation, calls) VALUES (?, ?, 1, ?)`,
			len(buckets), func(i int) []any {
				return []any{string(buckets[i].Resolution), buckets[i].Start.Unix(), calls[buckets[i]]}
			})
		if err != nil {
			return err
		}
		ids := batchIDs(day)
		err = each(ctx, tx, `INSERT INTO stored_batches (id, received_at) VALUES (?, ?)`, len(ids), func(i int) []any {
			return []any{ids[i], day.start.UnixMicro()}
		})
		if err != nil {
			return err
		}
		return each(ctx, tx, insertSQLiteEvent, len(day.events), func(i int) []any {
			row := columns(&day.events[i])
			row[0] = day.events[i].Hour.Unix()
			return row
		})
	})
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func (e *sqliteEngine) settle(ctx context.Context) error {
	_, err := e.db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}

func (e *sqliteEngine) sizes(ctx context.Context) ([]size, error) {
	rows, err := e.db.QueryContext(ctx, `SELECT name, sum(pgsize) FROM dbstat GROUP BY name HAVING sum(pgsize) > 8192 ORDER BY 2 DESC`)
	if err != nil {
		return nil, err
	}
	return scanSizes(rows)
}

func (e *sqliteEngine) written(ctx context.Context, work func() error) (int64, error) {
	if err := e.settle(ctx); err != nil {
		return 0, err
	}
	if err := work(); err != nil {
		return 0, err
	}
	return fileSize(filepath.Join(e.dir, "analytics.db-wal"))
}
