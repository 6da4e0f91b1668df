package postgres

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// Expire deletes what is due, as ports.Maintainer promises: whole partitions
// are dropped, and what is due of the others is deleted by the day. It merges
// the journal first and makes partitions ahead afterwards.
func (s *Store) Expire(ctx context.Context, c domain.Cutoffs) (int64, error) {
	var deleted int64
	var errs []error
	for _, step := range s.expirySteps(c) {
		n, err := step(ctx)
		deleted += n
		if err == nil {
			continue
		}
		// What is wrong with one table is no reason to keep the others.
		errs = append(errs, err)
		if ctx.Err() != nil || isDisconnection(err) {
			break
		}
	}
	return deleted, errors.Join(errs...)
}

type step func(ctx context.Context) (int64, error)

func (s *Store) expirySteps(c domain.Cutoffs) []step {
	steps := []step{func(ctx context.Context) (int64, error) { return 0, s.mergeJournal(ctx, all) }}
	for _, p := range partitionedTables() {
		steps = append(steps, func(ctx context.Context) (int64, error) { return s.db.dropWhole(ctx, p, p.cutoff(c)) })
	}
	for _, e := range expiries(c) {
		steps = append(steps, func(ctx context.Context) (int64, error) { return s.expireDays(ctx, e) })
	}
	steps = append(steps,
		func(ctx context.Context) (int64, error) {
			return s.expireRows(ctx, `dimension_values WHERE day < $1`, c.Days())
		},
		func(ctx context.Context) (int64, error) {
			return s.expireRows(ctx, `dimension_overflow WHERE day < $1`, c.Days())
		},
		func(ctx context.Context) (int64, error) {
			return s.expireRows(ctx, `stored_batches WHERE received_at < $1`, c.Batches)
		})
	for _, p := range partitionedTables() {
		steps = append(steps, func(ctx context.Context) (int64, error) { return 0, s.db.makeAhead(ctx, p) })
	}
	return steps
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// expiry says what is due in a table.
type expiry struct {
	table, column string
	// first is a condition under which an index leads to the oldest row, and
	// all one that every row fulfils and that lets an index find the others.
	first, all string
	cutoff     time.Time
}

func expiries(c domain.Cutoffs) []expiry {
	return append(aggregateExpiries(c), expiry{"events", "hour", "true", "true", c.Events})
}

func aggregateExpiries(c domain.Cutoffs) []expiry {
	const (
		total     = `grain = 0`
		grains    = `grain = ANY('{0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15}'::smallint[])`
		allErrors = total + ` AND tool = '' AND version = '' AND country = '' AND service = ''`
		hours     = `resolution = 'hour'`
		days      = `resolution = 'day'`
	)
	return []expiry{
		{"hourly_aggregations", "bucket", total, grains, c.Hourly},
		{"daily_aggregations", "bucket", total, grains, c.Daily},
		{errorTable, "bucket", hours + ` AND ` + allErrors, hours, c.HourlyErrors},
		{errorTable, "bucket", days + ` AND ` + allErrors, days, c.DailyErrors},
	}
}

// expireDays deletes what is due day by day, each in a transaction.
func (s *Store) expireDays(ctx context.Context, e expiry) (int64, error) {
	var deleted int64
	for {
		n, err := s.expireDay(ctx, e)
		if err != nil || n == 0 {
			return deleted, err
		}
		deleted += n
	}
}

// expireDay deletes what is due of the oldest day that has anything due.
func (s *Store) expireDay(ctx context.Context, e expiry) (int64, error) {
	var deleted int64
	err := s.db.maintain(ctx, "store.expire", func(tx *transaction) error {
		deleted = 0
		var oldest sql.NullTime
		err := tx.GetContext(ctx, &oldest, `SELECT min(`+e.column+`) FROM `+e.table+` WHERE `+e.first+` AND `+e.column+` < $1`, e.cutoff)
		if err != nil || !oldest.Valid {
			return err
		}
		start := domain.Daily.Floor(oldest.Time)
		if _, err := lockDay(ctx, tx, start, true); err != nil {
			return err
		}
		deleted, err = affected(tx.ExecContext(ctx, `
			DELETE FROM `+e.table+` WHERE `+e.all+` AND `+e.column+` >= $1 AND `+e.column+` < $2`, start, earliest(start.Add(day), e.cutoff)))
		return err
	})
	return deleted, err
}

func (s *Store) expireRows(ctx context.Context, due string, cutoff time.Time) (int64, error) {
	var deleted int64
	err := s.db.maintain(ctx, "store.expire", func(tx *transaction) (err error) {
		deleted, err = affected(tx.ExecContext(ctx, `DELETE FROM `+due, cutoff))
		return err
	})
	return deleted, err
}

func affected(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
