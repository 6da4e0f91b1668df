package postgres

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// Expire deletes what is due, as ports.Maintainer promises: whole partitions
// are dropped, and what is due of the others is deleted by the day. It merges
// the journal first and makes partitions ahead afterwards.
func (s *Store) Expire(ctx context.Context, c domain.Cutoffs) (ports.Expired, error) {
	var deleted ports.Expired
	var errs []error
	for _, step := range s.expirySteps(c, &deleted) {
		n, err := step.take(ctx)
		*step.count += n
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

// step is a part of an expiry, and where its rows are counted.
type step struct {
	count *int64
	take  func(ctx context.Context) (int64, error)
}

func (s *Store) expirySteps(c domain.Cutoffs, deleted *ports.Expired) []step {
	nothing := new(int64)
	steps := []step{{nothing, func(ctx context.Context) (int64, error) { return 0, s.mergeJournal(ctx, all) }}}
	for _, p := range partitionedTables() {
		steps = append(steps, step{countOf(deleted, p.name), func(ctx context.Context) (int64, error) {
			return s.db.dropWhole(ctx, p, p.cutoff(c))
		}})
	}
	for _, e := range expiries(c) {
		steps = append(steps, step{countOf(deleted, e.table), func(ctx context.Context) (int64, error) { return s.expireDays(ctx, e) }})
	}
	for _, rows := range plainExpiries(c) {
		steps = append(steps, step{countOf(deleted, rows.table), func(ctx context.Context) (int64, error) {
			return s.expireRows(ctx, rows)
		}})
	}
	for _, p := range partitionedTables() {
		steps = append(steps, step{nothing, func(ctx context.Context) (int64, error) { return 0, s.db.makeAhead(ctx, p) }})
	}
	return steps
}

// countOf is where the rows of a table are counted.
func countOf(n *ports.Expired, table string) *int64 {
	switch table {
	case "events":
		return &n.Events
	case "hourly_aggregations":
		return &n.Hourly
	case "daily_aggregations":
		return &n.Daily
	case errorTable:
		return &n.Errors
	case "stored_batches":
		return &n.Batches
	default:
		return &n.Values
	}
}

// Due counts what is due, as ports.Maintainer promises. It merges the journal
// first.
func (s *Store) Due(ctx context.Context, c domain.Cutoffs) (ports.Expired, error) {
	if err := s.mergeJournal(ctx, all); err != nil {
		return ports.Expired{}, err
	}
	var due ports.Expired
	err := s.db.maintain(ctx, "store.due", func(tx *transaction) error {
		due = ports.Expired{}
		for _, e := range append(expiries(c), plainExpiries(c)...) {
			var n int64
			if err := tx.GetContext(ctx, &n, `SELECT count(*) FROM `+e.table+` WHERE `+e.all+` AND `+e.column+` < $1`, e.cutoff); err != nil {
				return err
			}
			*countOf(&due, e.table) += n
		}
		return nil
	})
	return due, err
}

// NoteExpiry remembers the moment, as ports.Maintainer promises.
func (s *Store) NoteExpiry(ctx context.Context, at time.Time) error {
	return s.db.write(ctx, "store.note_expiry", func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO last_expiry (at) VALUES ($1) ON CONFLICT (id) DO UPDATE SET at = excluded.at`, at)
		return err
	})
}

// LastExpiry returns the moment, as ports.Maintainer promises.
func (s *Store) LastExpiry(ctx context.Context) (time.Time, error) {
	var last sql.NullTime
	err := s.db.read(ctx, "store.last_expiry", func(tx *transaction) error {
		return tx.GetContext(ctx, &last, `
			SELECT coalesce((SELECT at FROM last_expiry), (SELECT max(received_at) FROM stored_batches))`)
	})
	if err != nil || !last.Valid {
		return time.Time{}, err
	}
	return last.Time.UTC(), nil
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

// plainExpiries are those that take one statement each.
func plainExpiries(c domain.Cutoffs) []expiry {
	return []expiry{
		{"dimension_values", "day", "true", "true", c.Days()},
		{"dimension_overflow", "day", "true", "true", c.Days()},
		{"stored_batches", "received_at", "true", "true", c.Batches},
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

func (s *Store) expireRows(ctx context.Context, e expiry) (int64, error) {
	var deleted int64
	err := s.db.maintain(ctx, "store.expire", func(tx *transaction) (err error) {
		deleted, err = affected(tx.ExecContext(ctx, `DELETE FROM `+e.table+` WHERE `+e.column+` < $1`, e.cutoff))
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
