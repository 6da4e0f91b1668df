package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// expireChunk is how many raw rows one transaction deletes. The queue waits
// for it, so it is short.
const expireChunk = 5_000

// Expire deletes what is due, as ports.Maintainer promises, in many short
// transactions.
func (s *Store) Expire(ctx context.Context, c domain.Cutoffs) (int64, error) {
	var deleted int64
	for _, step := range []func(tx *sqlx.Tx) (int64, error){
		rowsBefore(ctx, `DELETE FROM events WHERE id IN (SELECT id FROM events WHERE hour < ? LIMIT ?)`, c.Events.Unix()),
		rowsBefore(ctx, `DELETE FROM stored_batches WHERE id IN (SELECT id FROM stored_batches WHERE received_at < ? AND id NOT IN (SELECT id FROM queue) LIMIT ?)`,
			c.Batches.UnixMicro()),
		bucketBefore(ctx, `hourly_aggregations WHERE`, domain.RollupGrains(), c.Hourly),
		bucketBefore(ctx, `daily_aggregations WHERE`, domain.RollupGrains(), c.Daily),
		bucketBefore(ctx, `error_summary WHERE resolution = 'hour' AND`, domain.ErrorGrains(), c.HourlyErrors),
		bucketBefore(ctx, `error_summary WHERE resolution = 'day' AND`, domain.ErrorGrains(), c.DailyErrors),
		daysBefore(ctx, `dimension_values`, c.Days()),
		daysBefore(ctx, `dimension_overflow`, c.Days()),
		func(tx *sqlx.Tx) (int64, error) { return expireReceipts(ctx, tx, s.db.config.Clock.Now()) },
	} {
		n, err := s.repeat(ctx, step)
		deleted += n
		if err != nil {
			return deleted, err
		}
	}
	return deleted, nil
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
