package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var _ ports.Rebuilder = (*Store)(nil)

// RebuildDay computes a day's aggregates anew, as ports.Rebuilder promises.
// Nobody else writes meanwhile.
func (s *Store) RebuildDay(ctx context.Context, day time.Time, cutoffs domain.Cutoffs) (int64, error) {
	var events int64
	err := s.db.write(ctx, "store.rebuild_day", func(tx *sqlx.Tx) error {
		// As in Store, the transaction watches the context by itself.
		ctx := context.WithoutCancel(ctx)
		if err := deleteAggregates(ctx, tx, day); err != nil {
			return err
		}
		aggregates, folded, n, err := aggregateDay(ctx, tx, day)
		if err != nil {
			return err
		}
		events = n
		if err := putFolded(ctx, tx, day, folded); err != nil {
			return err
		}
		return mergeAggregates(ctx, tx, kept(aggregates, cutoffs))
	})
	if err != nil {
		return 0, err
	}
	return events, nil
}

func deleteAggregates(ctx context.Context, tx *sqlx.Tx, day time.Time) error {
	from, to := day.Unix(), day.Add(domain.Daily.Length()).Unix()
	for _, part := range []struct {
		from   string
		grains []domain.Grain
	}{
		{`hourly_aggregations WHERE`, domain.RollupGrains()},
		{`daily_aggregations WHERE`, domain.RollupGrains()},
		{`error_summary WHERE resolution = 'hour' AND`, domain.ErrorGrains()},
		{`error_summary WHERE resolution = 'day' AND`, domain.ErrorGrains()},
	} {
		for _, grain := range part.grains {
			_, err := tx.ExecContext(ctx, `DELETE FROM `+part.from+` grain = ? AND bucket >= ? AND bucket < ?`,
				int64(grain), from, to)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// aggregateDay adds up the day's raw events, folds what has been folded, and
// counts both.
func aggregateDay(ctx context.Context, tx *sqlx.Tx, day time.Time) (domain.Aggregates, domain.Folded, int64, error) {
	vocabulary, err := readDay(ctx, tx, day)
	if err != nil {
		return domain.Aggregates{}, nil, 0, err
	}
	var parts []domain.Aggregates
	folded := make(domain.Folded)
	var count int64
	for hour := day; hour.Before(day.Add(domain.Daily.Length())); hour = hour.Add(domain.Hourly.Length()) {
		for after := int64(0); ; {
			events, last, err := eventsOf(ctx, tx, hour, after)
			if err != nil {
				return domain.Aggregates{}, nil, 0, err
			}
			if len(events) == 0 {
				break
			}
			part, more := vocabulary.Fold(domain.Finest(events))
			parts = append(parts, part)
			folded.Add(more)
			count += int64(len(events))
			after = last
		}
	}
	return domain.RollUp(parts...), folded, count, nil
}

// rebuildChunk is how many raw events are in memory at a time.
const rebuildChunk = 5_000

// eventsOf reads the next events of the hour after the row with the id after,
// and the id of the last one. Only what counts in an aggregate is read.
func eventsOf(ctx context.Context, tx *sqlx.Tx, hour time.Time, after int64) ([]domain.Event, int64, error) {
	var rows []eventRow
	err := tx.SelectContext(ctx, &rows, `
		SELECT id, version, tool, status, analytics_level, error_type, response_time_ms, service, cache_hit,
			retry_count, country, session_id
		FROM events WHERE hour = ? AND id > ? ORDER BY id LIMIT ?`, hour.Unix(), after, rebuildChunk)
	if err != nil || len(rows) == 0 {
		return nil, 0, err
	}
	events := make([]domain.Event, len(rows))
	for i := range rows {
		events[i] = rows[i].event(hour)
	}
	return events, rows[len(rows)-1].ID, nil
}

type eventRow struct {
	ID             int64           `db:"id"`
	Version        string          `db:"version"`
	Tool           string          `db:"tool"`
	Status         string          `db:"status"`
	Level          string          `db:"analytics_level"`
	ErrorType      sql.NullString  `db:"error_type"`
	ResponseTimeMS sql.Null[int32] `db:"response_time_ms"`
	Service        sql.NullString  `db:"service"`
	CacheHit       sql.Null[bool]  `db:"cache_hit"`
	RetryCount     sql.Null[int32] `db:"retry_count"`
	Country        sql.NullString  `db:"country"`
	SessionID      sql.NullString  `db:"session_id"`
}

func (r *eventRow) event(hour time.Time) domain.Event {
	return domain.Event{
		Version: r.Version, Tool: r.Tool, Status: domain.Status(r.Status),
		Hour: hour, Level: domain.Level(r.Level), ErrorType: r.ErrorType.String,
		ResponseTimeMS: present(r.ResponseTimeMS), Service: r.Service.String,
		CacheHit: present(r.CacheHit), RetryCount: present(r.RetryCount),
		Country: r.Country.String, SessionID: r.SessionID.String,
	}
}

func present[T any](n sql.Null[T]) domain.Optional[T] {
	return domain.Optional[T]{Value: n.V, Valid: n.Valid}
}

// kept leaves out the rows that are due.
func kept(a domain.Aggregates, c domain.Cutoffs) domain.Aggregates {
	due := func(r domain.Resolution, bucket, hourly, daily time.Time) bool {
		if r == domain.Daily {
			return bucket.Before(daily)
		}
		return bucket.Before(hourly)
	}
	a.Rollups = slices.DeleteFunc(a.Rollups, func(row domain.RollupRow) bool {
		return due(row.Resolution, row.Bucket, c.Hourly, c.Daily)
	})
	a.Errors = slices.DeleteFunc(a.Errors, func(row domain.ErrorRow) bool {
		return due(row.Resolution, row.Bucket, c.HourlyErrors, c.DailyErrors)
	})
	return a
}

// DayCounts counts a day's events twice, as ports.Rebuilder promises.
func (s *Store) DayCounts(ctx context.Context, day time.Time) (raw, counted int64, err error) {
	err = s.db.read(ctx, "store.day_counts", func(tx *sqlx.Tx) error {
		return tx.QueryRowxContext(ctx, `
			SELECT (SELECT count(*) FROM events WHERE hour >= ? AND hour < ?),
				coalesce((SELECT calls FROM daily_aggregations WHERE grain = 0 AND bucket = ?), 0)`,
			day.Unix(), day.Add(domain.Daily.Length()).Unix(), day.Unix()).Scan(&raw, &counted)
	})
	return raw, counted, err
}
