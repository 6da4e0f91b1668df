package postgres

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// Expire deletes what is due, as ports.Maintainer promises: whole partitions
// are dropped, and what is due of the others is deleted by the day. It makes
// partitions ahead afterwards.
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
	steps := []step{
		{&deleted.Events, func(ctx context.Context) (int64, error) { return s.db.dropWhole(ctx, c.Events) }},
		{&deleted.Events, func(ctx context.Context) (int64, error) { return s.expireDays(ctx, eventExpiry(c)) }},
	}
	for _, e := range packedExpiries(c) {
		steps = append(steps, step{e.count(deleted), func(ctx context.Context) (int64, error) { return s.expireDays(ctx, e) }})
	}
	for _, e := range plainExpiries(c) {
		steps = append(steps, step{e.count(deleted), func(ctx context.Context) (int64, error) { return s.expireRows(ctx, e) }})
	}
	return append(steps,
		step{nothing, func(ctx context.Context) (int64, error) { return 0, s.expireJournal(ctx, c.Aggregates()) }},
		step{nothing, func(ctx context.Context) (int64, error) { return 0, s.db.makeAhead(ctx) }},
	)
}

// Due counts what is due, as ports.Maintainer promises.
func (s *Store) Due(ctx context.Context, c domain.Cutoffs) (ports.Expired, error) {
	var due ports.Expired
	err := s.db.maintain(ctx, "store.due", func(tx *transaction) error {
		due = ports.Expired{}
		for _, e := range slices.Concat([]expiry{eventExpiry(c)}, packedExpiries(c), plainExpiries(c)) {
			var n int64
			err := tx.GetContext(ctx, &n, `SELECT count(*) FROM `+e.table+` WHERE `+e.counted+` AND `+e.column+` < $1`, e.cutoff)
			if err != nil {
				return err
			}
			*e.count(&due) += n
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

func earliest(times ...time.Time) time.Time { return slices.MinFunc(times, time.Time.Compare) }

// expiry says what is due in a table.
type expiry struct {
	table, column string
	// rows is a condition of those that are deleted, and counted of those of
	// them that are counted.
	rows, counted string
	cutoff        time.Time
	// count is where they are counted.
	count func(*ports.Expired) *int64
	// resolution is that of packed aggregates.
	resolution domain.Resolution
}

func eventExpiry(c domain.Cutoffs) expiry {
	return expiry{
		table: "events", column: "hour", rows: "true", counted: "true", cutoff: c.Events,
		count: func(n *ports.Expired) *int64 { return &n.Events },
	}
}

// packedExpiries are those of packed aggregates. Each bucket is counted once: one
// with calls has a total, and one with errors has them by tool and version.
func packedExpiries(c domain.Cutoffs) []expiry {
	packed := func(r domain.Resolution, rows, counted string, cutoff time.Time, count func(*ports.Expired) *int64) expiry {
		of := `resolution = '` + string(r) + `' AND `
		return expiry{"packed_aggregates", "bucket", of + rows, of + counted, cutoff, count, r}
	}
	const (
		calls, totals   = `grain < 16`, `grain = 0 AND part = 0`
		errs, allErrors = `grain >= 16`, `grain = 19 AND part = 0`
	)
	countErrors := func(n *ports.Expired) *int64 { return &n.Errors }
	return []expiry{
		packed(domain.Hourly, calls, totals, c.Hourly, func(n *ports.Expired) *int64 { return &n.Hourly }),
		packed(domain.Daily, calls, totals, c.Daily, func(n *ports.Expired) *int64 { return &n.Daily }),
		packed(domain.Hourly, errs, allErrors, c.HourlyErrors, countErrors),
		packed(domain.Daily, errs, allErrors, c.DailyErrors, countErrors),
	}
}

// plainExpiries are those that take one statement each.
func plainExpiries(c domain.Cutoffs) []expiry {
	countValues := func(n *ports.Expired) *int64 { return &n.Values }
	return []expiry{
		{table: "dimension_values", column: "day", counted: "true", cutoff: c.Days(), count: countValues},
		{table: "dimension_overflow", column: "day", counted: "true", cutoff: c.Days(), count: countValues},
		{table: "stored_batches", column: "received_at", counted: "true", cutoff: c.Batches, count: func(n *ports.Expired) *int64 { return &n.Batches }},
	}
}

// expireJournal deletes the journal of the days of which all aggregates are due, which
// a merge would leave out, and what of these is merged in part.
func (s *Store) expireJournal(ctx context.Context, cutoff time.Time) error {
	for {
		var oldest sql.NullTime
		err := s.db.maintain(ctx, "store.expire", func(tx *transaction) error {
			err := tx.GetContext(ctx, &oldest, `SELECT min(day) FROM aggregation_journal WHERE day < $1`, cutoff)
			if err != nil || !oldest.Valid {
				return err
			}
			if _, err := lockDay(ctx, tx, oldest.Time, true); err != nil {
				return err
			}
			if err := deleteDay(ctx, tx, oldest.Time); err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, `DELETE FROM aggregation_journal WHERE day = $1`, oldest.Time)
			return err
		})
		if err != nil || !oldest.Valid {
			return err
		}
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

// expireDay deletes what is due of the oldest day that has anything due, and
// returns how much of it is counted.
func (s *Store) expireDay(ctx context.Context, e expiry) (int64, error) {
	var deleted int64
	err := s.db.maintain(ctx, "store.expire", func(tx *transaction) error {
		deleted = 0
		var oldest sql.NullTime
		err := tx.GetContext(ctx, &oldest, `SELECT min(`+e.column+`) FROM `+e.table+` WHERE `+e.counted+` AND `+e.column+` < $1`, e.cutoff)
		if err != nil || !oldest.Valid {
			return err
		}
		start := domain.Daily.Floor(oldest.Time)
		end := earliest(start.Add(day), e.cutoff)
		if e.resolution != "" {
			if _, err := lockDay(ctx, tx, start, true); err != nil {
				return err
			}
		}
		err = tx.GetContext(ctx, &deleted, `
			WITH deleted AS (
				DELETE FROM `+e.table+` WHERE `+e.rows+` AND `+e.column+` >= $1 AND `+e.column+` < $2 RETURNING *
			) SELECT count(*) FROM deleted WHERE `+e.counted, start, end)
		if err != nil || e.resolution == "" {
			return err
		}
		return noteDeleted(ctx, tx, e.resolution, start, end)
	})
	return deleted, err
}

// noteDeleted forgets the buckets that have lost all packed aggregates, and gives
// the others another generation.
func noteDeleted(ctx context.Context, tx *transaction, r domain.Resolution, start, end time.Time) error {
	_, err := tx.ExecContext(ctx, `
		DELETE FROM aggregate_buckets AS b WHERE resolution = $1 AND bucket >= $2 AND bucket < $3 AND NOT EXISTS (
			SELECT FROM packed_aggregates AS p
			WHERE p.resolution = b.resolution AND p.grain IN (0, 19) AND p.part = 0 AND p.bucket = b.bucket)`, string(r), start, end)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		UPDATE aggregate_buckets SET generation = nextval('aggregate_generations')
		WHERE resolution = $1 AND bucket >= $2 AND bucket < $3`, string(r), start, end)
	return err
}

func (s *Store) expireRows(ctx context.Context, e expiry) (int64, error) {
	var deleted int64
	err := s.db.maintain(ctx, "store.expire", func(tx *transaction) error {
		result, err := tx.ExecContext(ctx, `DELETE FROM `+e.table+` WHERE `+e.column+` < $1`, e.cutoff)
		if err != nil {
			return err
		}
		deleted, err = result.RowsAffected()
		return err
	})
	return deleted, err
}
