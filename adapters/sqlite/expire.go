package sqlite

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// expireChunk is how many raw rows one transaction deletes. The queue waits
// for it, so it is short.
const expireChunk = 5_000

// Expire deletes what is due, as ports.Maintainer promises, in many short
// transactions.
func (s *Store) Expire(ctx context.Context, c domain.Cutoffs) (ports.Expired, error) {
	var deleted ports.Expired
	for _, step := range []struct {
		count *int64
		take  func(tx *sqlx.Tx) (int64, error)
	}{
		{&deleted.Events, rowsBefore(ctx, `DELETE FROM events WHERE id IN (SELECT id FROM events WHERE hour < ? LIMIT ?)`, c.Events.Unix())},
		{&deleted.Batches, rowsBefore(ctx, `DELETE FROM stored_batches WHERE id IN (SELECT id FROM `+dueBatches+` LIMIT ?)`, c.Batches.UnixMicro())},
		{&deleted.Hourly, bucketBefore(ctx, `hourly_aggregations WHERE`, domain.RollupGrains(), c.Hourly)},
		{&deleted.Daily, bucketBefore(ctx, `daily_aggregations WHERE`, domain.RollupGrains(), c.Daily)},
		{&deleted.Errors, bucketBefore(ctx, `error_summary WHERE resolution = 'hour' AND`, domain.ErrorGrains(), c.HourlyErrors)},
		{&deleted.Errors, bucketBefore(ctx, `error_summary WHERE resolution = 'day' AND`, domain.ErrorGrains(), c.DailyErrors)},
		{&deleted.Values, daysBefore(ctx, `dimension_values`, c.Days())},
		{&deleted.Values, daysBefore(ctx, `dimension_overflow`, c.Days())},
		{&deleted.Receipts, func(tx *sqlx.Tx) (int64, error) { return expireReceipts(ctx, tx, s.db.config.Clock.Now()) }},
	} {
		n, err := s.repeat(ctx, step.take)
		*step.count += n
		if err != nil {
			return deleted, err
		}
	}
	return deleted, nil
}

// dueBatches are the batches that no redelivery can bring again.
const dueBatches = `stored_batches WHERE received_at < ? AND id NOT IN (SELECT id FROM queue)`

// Due counts what is due, as ports.Maintainer promises.
func (s *Store) Due(ctx context.Context, c domain.Cutoffs) (ports.Expired, error) {
	var due ports.Expired
	err := s.db.read(ctx, "store.due", func(tx *sqlx.Tx) error {
		for _, part := range []struct {
			count  *int64
			rows   string
			cutoff int64
		}{
			{&due.Events, `events WHERE hour < ?`, c.Events.Unix()},
			{&due.Batches, dueBatches, c.Batches.UnixMicro()},
			{&due.Hourly, bucketsBefore(`hourly_aggregations WHERE`, domain.RollupGrains()), c.Hourly.Unix()},
			{&due.Daily, bucketsBefore(`daily_aggregations WHERE`, domain.RollupGrains()), c.Daily.Unix()},
			{&due.Errors, bucketsBefore(`error_summary WHERE resolution = 'hour' AND`, domain.ErrorGrains()), c.HourlyErrors.Unix()},
			{&due.Errors, bucketsBefore(`error_summary WHERE resolution = 'day' AND`, domain.ErrorGrains()), c.DailyErrors.Unix()},
			{&due.Values, `dimension_values WHERE day < ?`, c.Days().Unix()},
			{&due.Values, `dimension_overflow WHERE day < ?`, c.Days().Unix()},
		} {
			var n int64
			if err := tx.GetContext(ctx, &n, `SELECT count(*) FROM `+part.rows, part.cutoff); err != nil {
				return err
			}
			*part.count += n
		}
		return tx.GetContext(ctx, &due.Receipts, `SELECT count(*) FROM receipts WHERE `+isOver, overAt(s.db.config.Clock.Now())...)
	})
	return due, err
}

// bucketsBefore names the grains, so that an index finds the buckets.
func bucketsBefore(from string, grains []domain.Grain) string {
	list := make([]string, len(grains))
	for i, grain := range grains {
		list[i] = strconv.Itoa(int(grain))
	}
	return from + ` grain IN (` + strings.Join(list, ",") + `) AND bucket < ?`
}

// NoteExpiry remembers the moment, as ports.Maintainer promises.
func (s *Store) NoteExpiry(ctx context.Context, at time.Time) error {
	return s.db.write(ctx, "store.note_expiry", func(tx *sqlx.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO last_expiry (id, at) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET at = excluded.at`, at.UnixMicro())
		return err
	})
}

// LastExpiry returns the moment, as ports.Maintainer promises.
func (s *Store) LastExpiry(ctx context.Context) (time.Time, error) {
	var last sql.NullInt64
	err := s.db.read(ctx, "store.last_expiry", func(tx *sqlx.Tx) error {
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
func (s *Store) repeat(ctx context.Context, step func(tx *sqlx.Tx) (int64, error)) (int64, error) {
	var deleted int64
	for {
		var n int64
		err := s.db.write(ctx, "store.expire", func(tx *sqlx.Tx) (err error) {
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

// bucketBefore deletes the oldest bucket that is due, with all its grains, so
// that nobody sees a part of it.
func bucketBefore(ctx context.Context, from string, grains []domain.Grain, cutoff time.Time) func(tx *sqlx.Tx) (int64, error) {
	return func(tx *sqlx.Tx) (int64, error) {
		var oldest sql.NullInt64
		err := tx.GetContext(ctx, &oldest, `SELECT min(bucket) FROM `+from+` grain = 0 AND bucket < ?`, cutoff.Unix())
		if err != nil || !oldest.Valid {
			return 0, err
		}
		var deleted int64
		for _, grain := range grains {
			result, err := tx.ExecContext(ctx, `DELETE FROM `+from+` grain = ? AND bucket = ?`, int64(grain), oldest.Int64)
			if err != nil {
				return 0, err
			}
			n, err := result.RowsAffected()
			if err != nil {
				return 0, err
			}
			deleted += n
		}
		return deleted, nil
	}
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
