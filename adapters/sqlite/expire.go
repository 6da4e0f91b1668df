package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// expireChunk is how many raw rows one transaction deletes. Others that write wait
// for it, so it is short.
const expireChunk = 5_000

// Expire deletes what is due, as ports.Maintainer promises, in many short
// transactions. What is wrong with a part is no reason to keep the others.
func (s *Store) Expire(ctx context.Context, c domain.Cutoffs) (ports.Expired, error) {
	if err := s.db.packing.lock(ctx); err != nil {
		return ports.Expired{}, err
	}
	defer s.db.packing.unlock()
	batches, err := s.batchesCutoff(ctx, c)
	if err != nil {
		return ports.Expired{}, err
	}
	var deleted ports.Expired
	var errs []error
	for _, step := range []struct {
		count *int64
		take  func(tx *sqlx.Tx) (int64, error)
	}{
		{&deleted.Events, rowsBefore(ctx, `DELETE FROM events WHERE id IN (SELECT id FROM events WHERE hour < ? LIMIT ?)`, c.Events.Unix())},
		{&deleted.Batches, rowsBefore(ctx, `DELETE FROM stored_batches WHERE id IN (SELECT id FROM `+dueBatches+` LIMIT ?)`, batches)},
		{&deleted.Hourly, bucketBefore(ctx, dueCalls, domain.Hourly, c.Hourly)},
		{&deleted.Daily, bucketBefore(ctx, dueCalls, domain.Daily, c.Daily)},
		{&deleted.Errors, bucketBefore(ctx, dueErrors, domain.Hourly, c.HourlyErrors)},
		{&deleted.Errors, bucketBefore(ctx, dueErrors, domain.Daily, c.DailyErrors)},
		{&deleted.Values, daysBefore(ctx, `dimension_values`, c.Days())},
		{&deleted.Values, daysBefore(ctx, `dimension_overflow`, c.Days())},
		{new(int64), journalBefore(ctx, c.Aggregates())},
	} {
		n, err := repeat(ctx, s.db.store, step.take)
		*step.count += n
		errs = append(errs, err)
	}
	deleted.Receipts, err = repeat(ctx, s.db.queue, func(tx *sqlx.Tx) (int64, error) {
		return expireReceipts(ctx, tx, s.db.config.Clock.Now())
	})
	return deleted, errors.Join(append(errs, err)...)
}

// packedKind is a kind of packed aggregates that expires by itself.
type packedKind struct {
	// grains lists its grains, and grain is one of part 0 that every bucket has
	// which has any. Both are SQL.
	grains, grain string
	// noted is how the bucket's row changes, but for its generation.
	noted string
}

var (
	dueCalls  = packedKind{callGrains, `0`, `calls = 0`}
	dueErrors = packedKind{errorGrains, strconv.Itoa(int(domain.CoarseErrors)), `calls = calls`}
)

// where is the condition of the buckets that are due. Its arguments are the
// resolution and the cutoff.
func (k packedKind) where() string {
	return `resolution = ? AND grain = ` + k.grain + ` AND part = 0 AND bucket < ?`
}

// dueBatches are the batches received before a cutoff, that of batchesCutoff.
const dueBatches = `stored_batches WHERE received_at < ?`

// batchesCutoff is the cutoff of stored batches, in Unix microseconds, but not after
// the oldest batch in the queue: that may be one that is stored and not acknowledged,
// and would count again without its id.
func (s *Store) batchesCutoff(ctx context.Context, c domain.Cutoffs) (int64, error) {
	var oldest sql.NullInt64
	err := s.db.queue.read(ctx, "queue.oldest", func(tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &oldest, `SELECT min(received_at) FROM queue`)
	})
	cutoff := c.Batches.UnixMicro()
	if oldest.Valid {
		cutoff = min(cutoff, oldest.Int64)
	}
	return cutoff, err
}

// Due counts what is due, as ports.Maintainer promises.
func (s *Store) Due(ctx context.Context, c domain.Cutoffs) (ports.Expired, error) {
	batches, err := s.batchesCutoff(ctx, c)
	if err != nil {
		return ports.Expired{}, err
	}
	var due ports.Expired
	err = s.db.store.read(ctx, "store.due", func(tx *sqlx.Tx) error {
		for _, part := range []struct {
			count *int64
			rows  string
			args  []any
		}{
			{&due.Events, `events WHERE hour < ?`, []any{c.Events.Unix()}},
			{&due.Batches, dueBatches, []any{batches}},
			{&due.Hourly, `packed_aggregates WHERE ` + dueCalls.where(), []any{string(domain.Hourly), c.Hourly.Unix()}},
			{&due.Daily, `packed_aggregates WHERE ` + dueCalls.where(), []any{string(domain.Daily), c.Daily.Unix()}},
			{&due.Errors, `packed_aggregates WHERE ` + dueErrors.where(), []any{string(domain.Hourly), c.HourlyErrors.Unix()}},
			{&due.Errors, `packed_aggregates WHERE ` + dueErrors.where(), []any{string(domain.Daily), c.DailyErrors.Unix()}},
			{&due.Values, `dimension_values WHERE day < ?`, []any{c.Days().Unix()}},
			{&due.Values, `dimension_overflow WHERE day < ?`, []any{c.Days().Unix()}},
		} {
			var n int64
			if err := tx.GetContext(ctx, &n, `SELECT count(*) FROM `+part.rows, part.args...); err != nil {
				return err
			}
			*part.count += n
		}
		return nil
	})
	if err != nil {
		return ports.Expired{}, err
	}
	err = s.db.queue.read(ctx, "queue.due", func(tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &due.Receipts, `SELECT count(*) FROM receipts WHERE `+isOver, overAt(s.db.config.Clock.Now())...)
	})
	return due, err
}

// NoteExpiry remembers the moment, as ports.Maintainer promises.
func (s *Store) NoteExpiry(ctx context.Context, at time.Time) error {
	return s.db.store.write(ctx, "store.note_expiry", func(tx *sqlx.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO last_expiry (id, at) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET at = excluded.at`, at.UnixMicro())
		return err
	})
}

// LastExpiry returns the moment, as ports.Maintainer promises.
func (s *Store) LastExpiry(ctx context.Context) (time.Time, error) {
	var last sql.NullInt64
	err := s.db.store.read(ctx, "store.last_expiry", func(tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &last, `
			SELECT coalesce((SELECT at FROM last_expiry), (SELECT max(received_at) FROM stored_batches))`)
	})
	if err != nil || !last.Valid {
		return time.Time{}, err
	}
	return time.UnixMicro(last.Int64).UTC(), nil
}

// repeat takes a step, each time in a transaction, until it finds no more to
// delete.
func repeat(ctx context.Context, f *file, step func(tx *sqlx.Tx) (int64, error)) (int64, error) {
	var deleted int64
	for {
		var n int64
		err := f.write(ctx, f.name+".expire", func(tx *sqlx.Tx) (err error) {
			n, err = step(tx)
			return err
		})
		if err != nil || n == 0 {
			return deleted, err
		}
		deleted += n
	}
}

func rowsBefore(ctx context.Context, statement string, cutoff int64) func(tx *sqlx.Tx) (int64, error) {
	return func(tx *sqlx.Tx) (int64, error) {
		result, err := tx.ExecContext(ctx, statement, cutoff, expireChunk)
		if err != nil {
			return 0, err
		}
		return result.RowsAffected()
	}
}

// bucketBefore deletes the values of the oldest bucket that is due, all at once,
// so that no reader sees a part of them.
func bucketBefore(ctx context.Context, kind packedKind, r domain.Resolution, cutoff time.Time) func(tx *sqlx.Tx) (int64, error) {
	return func(tx *sqlx.Tx) (int64, error) {
		var oldest sql.NullInt64
		err := tx.GetContext(ctx, &oldest, `SELECT min(bucket) FROM packed_aggregates WHERE `+kind.where(), string(r), cutoff.Unix())
		if err != nil || !oldest.Valid {
			return 0, err
		}
		if _, err := tx.ExecContext(ctx, deletePacked(kind.grains), string(r), oldest.Int64); err != nil {
			return 0, err
		}
		return 1, noteDeleted(ctx, tx, kind, r, oldest.Int64)
	}
}

// noteDeleted forgets a bucket that has no values any more, and notes of another
// one that it has changed.
func noteDeleted(ctx context.Context, tx *sqlx.Tx, kind packedKind, r domain.Resolution, bucket int64) error {
	_, err := tx.ExecContext(ctx, `UPDATE aggregate_buckets SET generation = ?, `+kind.noted+` WHERE resolution = ? AND bucket = ?`,
		newGeneration(), string(r), bucket)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		DELETE FROM aggregate_buckets WHERE resolution = ?1 AND bucket = ?2 AND NOT EXISTS (
			SELECT 1 FROM packed_aggregates
			WHERE resolution = ?1 AND grain IN `+allGrains+` AND part IN `+allParts+` AND bucket = ?2)`, string(r), bucket)
	return err
}

// daysBefore deletes the oldest day that is due.
func daysBefore(ctx context.Context, table string, cutoff time.Time) func(tx *sqlx.Tx) (int64, error) {
	return func(tx *sqlx.Tx) (int64, error) {
		result, err := tx.ExecContext(ctx, `
			DELETE FROM `+table+` WHERE day = (SELECT min(day) FROM `+table+` WHERE day < ?)`, cutoff.Unix())
		if err != nil {
			return 0, err
		}
		return result.RowsAffected()
	}
}

// journalBefore deletes the journal of the oldest day of which all aggregates are due,
// which a merge would leave out, and what of that is merged in part.
func journalBefore(ctx context.Context, cutoff time.Time) func(tx *sqlx.Tx) (int64, error) {
	return func(tx *sqlx.Tx) (int64, error) {
		var oldest sql.NullInt64
		err := tx.GetContext(ctx, &oldest, `SELECT min(day) FROM aggregation_journal WHERE day < ?`, cutoff.Unix())
		if err != nil || !oldest.Valid {
			return 0, err
		}
		if err := deleteDay(ctx, tx, time.Unix(oldest.Int64, 0)); err != nil {
			return 0, err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM aggregation_journal WHERE day = ?`, oldest.Int64)
		return 1, err
	}
}
