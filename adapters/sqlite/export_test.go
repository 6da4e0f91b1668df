package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// RawEvents lists the raw events.
func (s *Store) RawEvents(ctx context.Context) ([]domain.Event, error) {
	var rows []struct {
		eventRow

		Hour           int64           `db:"hour"`
		Parameters     sql.NullString  `db:"parameters"`
		SequenceNumber sql.Null[int32] `db:"sequence_number"`
	}
	err := s.db.store.readers.SelectContext(ctx, &rows, `
		SELECT hour, version, tool, status, analytics_level, error_type, response_time_ms, service,
			cache_hit, retry_count, country, parameters, session_id, sequence_number FROM events ORDER BY id`)
	events := make([]domain.Event, len(rows))
	for i, r := range rows {
		events[i] = r.event(time.Unix(r.Hour, 0).UTC())
		events[i].Parameters, events[i].SequenceNumber = r.Parameters.String, present(r.SequenceNumber)
	}
	return events, err
}

// Buried is a dead letter.
type Buried struct {
	Batch  domain.Batch
	Reason string
}

// Buried lists the dead letters that can be read, oldest burial first.
func (db *DB) Buried(ctx context.Context) ([]Buried, error) {
	var rows []struct {
		ID         string `db:"id"`
		ReceivedAt int64  `db:"received_at"`
		Reason     string `db:"reason"`
		Payload    []byte `db:"payload"`
	}
	err := db.queue.readers.SelectContext(ctx, &rows, `SELECT id, received_at, reason, payload FROM dead_letters ORDER BY place`)
	var buried []Buried
	for _, r := range rows {
		events, decodeErr := domain.DecodeEvents(r.Payload)
		if decodeErr != nil {
			return nil, fmt.Errorf("%s: %w", r.ID, decodeErr)
		}
		batch := domain.Batch{ID: domain.BatchID(r.ID), ReceivedAt: time.UnixMicro(r.ReceivedAt).UTC(), Events: events}
		buried = append(buried, Buried{batch, r.Reason})
	}
	return buried, err
}

// File is one of the files of a DB.
type File = file

// StoreFile is the file of the store.
func (db *DB) StoreFile() *File { return db.store }

// QueueFile is the file of the queue.
func (db *DB) QueueFile() *File { return db.queue }

// Exec runs a statement that no caller of the package can run.
func (f *file) Exec(ctx context.Context, statement string, args ...any) error {
	_, err := f.writer.ExecContext(ctx, statement, args...)
	return err
}

// Write runs statements in one transaction.
func (f *file) Write(ctx context.Context, name string, statements ...string) error {
	return f.write(ctx, name, func(tx *sqlx.Tx) error {
		for _, s := range statements {
			if _, err := tx.ExecContext(ctx, s); err != nil {
				return err
			}
		}
		return nil
	})
}

// MergeStepwise has every merge take a transaction for each step.
func (db *DB) MergeStepwise() { db.mergeAtOnce = -1 }

// MergeStep takes one step of a day's merge, if there is anything to merge.
func (s *Store) MergeStep(ctx context.Context, day time.Time, maxEntries int) error {
	if !s.db.packing.tryLock() {
		return nil
	}
	defer s.db.packing.unlock()
	_, err := s.mergeNext(ctx, day, maxEntries, domain.Cutoffs{})
	return err
}

// Plans lists how SQLite goes in for each statement about packed aggregates.
func (db *DB) Plans(ctx context.Context) (map[string][]string, error) {
	return db.store.plans(ctx, map[string]string{
		"counts":       columns{}.query(),
		"all columns":  columns{latency: true, sessions: true}.query(),
		"part":         readPart,
		"size":         sizeOfFinest,
		"delete":       deletePacked(allGrains),
		"delete a day": deleteDayPacked,
		"due calls":    `SELECT min(bucket) FROM packed_aggregates WHERE ` + dueCalls.where(),
		"due errors":   `SELECT count(*) FROM packed_aggregates WHERE ` + dueErrors.where(),
	})
}

// ReceiptPlans is [DB.Plans] for the statements that those who enqueue wait for.
func (db *DB) ReceiptPlans(ctx context.Context) (map[string][]string, error) {
	return db.queue.plans(ctx, map[string]string{
		"select": selectReceipt, "delete": deleteReceipt, "expire": deleteExpiredReceipts, "bound": deleteOldestReceipt,
	})
}

func (f *file) plans(ctx context.Context, queries map[string]string) (map[string][]string, error) {
	plans := make(map[string][]string)
	for name, query := range queries {
		var rows []struct {
			ID, Parent, NotUsed int
			Detail              string
		}
		args := make([]any, strings.Count(query, "?"))
		if err := f.writer.SelectContext(ctx, &rows, `EXPLAIN QUERY PLAN `+query, args...); err != nil {
			return nil, err
		}
		for _, r := range rows {
			plans[name] = append(plans[name], r.Detail)
		}
	}
	return plans, nil
}

// Dump writes out all rows of the tables.
func (f *file) Dump(ctx context.Context, tables ...string) (string, error) {
	var all []string
	for _, table := range tables {
		rows, err := f.Rows(ctx, `SELECT '`+table+`', * FROM `+table)
		if err != nil {
			return "", err
		}
		all = append(all, rows...)
	}
	slices.Sort(all)
	return strings.Join(all, "\n"), nil
}

// Hold begins a transaction that writes, for which all others wait until release
// is called. Waiting reports whether anybody does.
func (f *file) Hold(ctx context.Context) (waiting func() bool, release func() error, err error) {
	tx, err := f.writer.BeginTxx(ctx, nil)
	if err != nil {
		return nil, nil, err
	}
	before := f.writer.Stats().WaitCount
	return func() bool { return f.writer.Stats().WaitCount > before }, tx.Rollback, nil
}

// Synchronous is how the connection that writes waits for the disk.
func (f *file) Synchronous(ctx context.Context) (level int, err error) {
	err = f.writer.GetContext(ctx, &level, `PRAGMA synchronous`)
	return level, err
}

// SetRebuildGroups says how many groups a rebuild has in memory.
func (db *DB) SetRebuildGroups(n int) { db.rebuildGroups = n }

// Rows reads rows as texts.
func (f *file) Rows(ctx context.Context, query string) (list []string, err error) {
	rows, err := f.readers.QueryxContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		row, err := rows.SliceScan()
		if err != nil {
			return nil, err
		}
		list = append(list, fmt.Sprint(row...))
	}
	return list, rows.Err()
}

// Count counts the rows of a table.
func (f *file) Count(ctx context.Context, table string) (n int, err error) {
	err = f.readers.GetContext(ctx, &n, `SELECT count(*) FROM `+table)
	return n, err
}

// Reconnect closes every connection of readers and the writer, as happens after an
// interruption. One in use, which the checkpoint may hold, is closed when it is free.
func (f *file) Reconnect(t *testing.T) {
	t.Helper()
	for _, pool := range []*sqlx.DB{f.readers, f.writer} {
		for until := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			pool.SetMaxIdleConns(-1)
			if pool.Stats().OpenConnections == 0 {
				break
			}
			if time.Now().After(until) {
				t.Fatalf("%d connections stay open", pool.Stats().OpenConnections)
			}
		}
		pool.SetMaxIdleConns(1)
	}
}

// Tables lists the tables that there are to be.
func (f *file) Tables() []string { return f.tables }

// WithFile opens a database by itself and lets do run statements on it.
func WithFile(path string, do func(ctx context.Context, exec func(context.Context, string) error) error) error {
	return withFile(path, "rwc", func(db *sql.DB) error {
		return do(context.Background(), func(ctx context.Context, statement string) error {
			_, err := db.ExecContext(ctx, statement)
			return err
		})
	})
}

// Waiting is how many batches wait to be written to the queue.
func (db *DB) Waiting() int {
	db.sizes.mu.Lock()
	defer db.sizes.mu.Unlock()
	return db.sizes.waiting.Batches
}
