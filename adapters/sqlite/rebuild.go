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

// RebuildDay computes a day's aggregates anew, as ports.Rebuilder promises. It
// reads raw events and journal in one state of the database, and replaces what is
// stored afterwards, in a short transaction: what workers store meanwhile is in
// the journal and stays there. It reads none of what it replaces, so it mends
// whatever is wrong with that.
func (s *Store) RebuildDay(ctx context.Context, day time.Time, cutoffs domain.Cutoffs) (int64, error) {
	if err := s.db.packing.lock(ctx); err != nil {
		return 0, err
	}
	defer s.db.packing.unlock()
	r := rebuild{
		day: day, cutoffs: cutoffs, most: s.db.rebuildGroups, merge: domain.NewMerge(day, cutoffs),
		values: make(map[domain.PackedBucket][]domain.Packed), folded: make(domain.Folded),
	}
	err := s.db.store.read(ctx, "store.read_day", func(tx *sqlx.Tx) error { return r.take(ctx, tx) })
	if err != nil {
		return 0, err
	}
	begin, err := s.packedWriter(ctx)
	if err != nil {
		return 0, s.db.store.translate(ctx, "store.rebuild_day", err)
	}
	err = s.db.store.write(ctx, "store.rebuild_day", func(tx *sqlx.Tx) error {
		ctx := context.WithoutCancel(ctx) // as in Store
		if err := deleteDay(ctx, tx, day); err != nil {
			return err
		}
		w := begin(tx)
		for b, values := range r.values {
			if err := w.put(ctx, b, values); err != nil {
				return err
			}
		}
		if err := putFolded(ctx, tx, day, r.folded); err != nil {
			return err
		}
		return forgetJournal(ctx, tx, r.journal)
	})
	if err != nil {
		return 0, err
	}
	return r.events, nil
}

var deleteDayPacked = `DELETE FROM packed_aggregates WHERE resolution IN ('hour', 'day')
	AND grain IN ` + allGrains + ` AND part IN ` + allParts + ` AND bucket >= ? AND bucket < ?`

// deleteDay deletes all packed aggregates of a day.
func deleteDay(ctx context.Context, tx *sqlx.Tx, day time.Time) error {
	from, to := day.Unix(), day.Add(domain.Daily.Length()).Unix()
	for _, statement := range []string{
		deleteDayPacked,
		`DELETE FROM aggregate_buckets WHERE resolution IN ('hour', 'day') AND bucket >= ? AND bucket < ?`,
	} {
		if _, err := tx.ExecContext(ctx, statement, from, to); err != nil {
			return err
		}
	}
	return nil
}

// rebuild is what a day's raw events add up to.
type rebuild struct {
	day     time.Time
	cutoffs domain.Cutoffs
	// most is how many groups merge has before they are packed.
	most int
	// merge has the groups that are not in values yet.
	merge  *domain.Merge
	values map[domain.PackedBucket][]domain.Packed
	folded domain.Folded
	events int64
	// journal lists the rows of the journal that count some of these events.
	journal []int64
}

// rebuildGroups is about how many groups are in memory at a time, beside those that
// are packed. Honest traffic of a day has half as many.
const rebuildGroups = 200_000

// pack packs the groups together with those that are packed already.
func (r *rebuild) pack() error {
	for _, b := range r.merge.Buckets() {
		var values []domain.Packed
		err := r.merge.Bucket(b, func(g domain.PackedGrain, part int) (domain.Packed, error) {
			i := slices.IndexFunc(r.values[b], func(p domain.Packed) bool { return p.Grain == g && p.Part == part })
			if i < 0 {
				return domain.Packed{}, nil
			}
			return r.values[b][i], nil
		}, func(p domain.Packed) error {
			values = append(values, p)
			return nil
		})
		if err != nil {
			return err
		}
		r.values[b] = values
	}
	r.merge = domain.NewMerge(r.day, r.cutoffs)
	return nil
}

// take reads the day: raw events, with those values folded that have been folded,
// and which rows of the journal there are.
func (r *rebuild) take(ctx context.Context, tx *sqlx.Tx) error {
	err := tx.SelectContext(ctx, &r.journal, `SELECT id FROM aggregation_journal WHERE day = ?`, r.day.Unix())
	if err != nil {
		return err
	}
	vocabulary, err := readDay(ctx, tx, r.day)
	if err != nil {
		return err
	}
	for hour := r.day; hour.Before(r.day.Add(domain.Daily.Length())); hour = hour.Add(domain.Hourly.Length()) {
		for after := int64(0); ; {
			events, last, err := eventsOf(ctx, tx, hour, after)
			if err != nil {
				return err
			}
			if len(events) == 0 {
				break
			}
			finest, folded := vocabulary.Fold(domain.Finest(events))
			r.merge.AddFinest(finest)
			r.folded.Add(folded)
			r.events += int64(len(events))
			after = last
			if r.merge.Entries() >= r.most {
				if err := r.pack(); err != nil {
					return err
				}
			}
		}
	}
	return r.pack()
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

// DayCounts counts a day's events twice, as ports.Rebuilder promises.
func (s *Store) DayCounts(ctx context.Context, day time.Time) (raw, counted int64, err error) {
	err = s.db.store.read(ctx, "store.day_counts", func(tx *sqlx.Tx) error {
		return tx.QueryRowxContext(ctx, `
			SELECT (SELECT count(*) FROM events WHERE hour >= ? AND hour < ?),
				coalesce((SELECT calls FROM aggregate_buckets WHERE resolution = 'day' AND bucket = ?), 0)
					+ coalesce((SELECT sum(events) FROM aggregation_journal WHERE day = ?), 0)`,
			day.Unix(), day.Add(domain.Daily.Length()).Unix(), day.Unix(), day.Unix()).Scan(&raw, &counted)
	})
	return raw, counted, err
}
