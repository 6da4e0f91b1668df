package postgres

import (
	"context"
	"strconv"
	"time"

	"github.com/lib/pq"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// RebuildDay computes a day's aggregates anew, as ports.Rebuilder promises. It
// reads none of what it replaces, so it mends whatever is wrong with that.
func (s *Store) RebuildDay(ctx context.Context, start time.Time, cutoffs domain.Cutoffs) (int64, error) {
	var events int64
	err := s.db.maintain(ctx, "store.rebuild", func(tx *transaction) error {
		events = 0
		if _, err := lockDay(ctx, tx, start, true); err != nil {
			return err
		}
		if err := deleteDay(ctx, tx, start); err != nil {
			return err
		}
		r := rebuild{bounds: s.db.rebuild, start: start, cutoffs: cutoffs, merge: domain.NewMerge(start, cutoffs), folded: make(domain.Folded)}
		if err := r.run(ctx, tx); err != nil {
			return err
		}
		events = r.events
		return putFolded(ctx, tx, start, r.folded)
	})
	if err != nil {
		return 0, err
	}
	return events, nil
}

// DayCounts counts a day's events twice, as ports.Rebuilder promises.
func (s *Store) DayCounts(ctx context.Context, start time.Time) (raw, counted int64, err error) {
	err = s.db.maintain(ctx, "store.day_counts", func(tx *transaction) error {
		return tx.QueryRowxContext(ctx, `
			SELECT (SELECT count(*) FROM events WHERE hour >= $1 AND hour < $2),
				coalesce((SELECT `+totalCalls+` FROM packed_aggregates WHERE `+dailyTotals+` AND bucket = $1), 0)
					+ coalesce((SELECT sum(events) FROM aggregation_journal WHERE day = $1), 0)`,
			start, start.Add(day)).Scan(&raw, &counted)
	})
	return raw, counted, err
}

// The calls that the daily totals count, as their readable form has them.
const (
	totalCalls  = `(readable::json -> 0 ->> 1)::bigint`
	dailyTotals = `resolution = 'day' AND grain = 0 AND part = 0`
)

// rebuildBounds are how many events a rebuild reads and adds up at once, and
// about how many hourly groups it holds in memory before it writes them, whatever
// a day has.
type rebuildBounds struct{ events, entries int }

var defaultRebuildBounds = rebuildBounds{events: 10_000, entries: 100_000}

// rebuild adds up the raw events of a day.
type rebuild struct {
	bounds  rebuildBounds
	start   time.Time
	cutoffs domain.Cutoffs
	merge   *domain.Merge
	folded  domain.Folded
	events  int64
}

// run writes the aggregates of the day, which has none and is locked, and deletes
// its journal. Both are of one moment, that of the cursor: what a worker stores
// later will be in the journal. Events come by the hour, so that nearly every
// hour is written once.
func (r *rebuild) run(ctx context.Context, tx *transaction) error {
	from, to := r.start.Format(time.RFC3339), r.start.Add(day).Format(time.RFC3339)
	_, err := tx.ExecContext(ctx, `
		DECLARE day_rows NO SCROLL CURSOR FOR
		(SELECT NULL::bigint AS journal, `+eventColumns+` FROM events WHERE hour >= '`+from+`' AND hour < '`+to+`' ORDER BY hour)
		UNION ALL
		SELECT id, day, '', '', '', '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM aggregation_journal WHERE day = '`+from+`'`)
	if err != nil {
		return err
	}
	// Whatever was decided about the values of these events is decided by now.
	vocabulary, err := readDay(ctx, tx, r.start)
	if err != nil {
		return err
	}
	for {
		n, err := r.add(ctx, tx, vocabulary)
		if err != nil {
			return err
		}
		if n == 0 || r.merge.Entries() > r.bounds.entries {
			if err := putMerge(ctx, tx, r.merge); err != nil {
				return err
			}
			r.merge = domain.NewMerge(r.start, r.cutoffs)
		}
		if n == 0 {
			return nil
		}
	}
}

// add takes the next rows, and returns how many there were.
func (r *rebuild) add(ctx context.Context, tx *transaction, vocabulary *domain.Vocabulary) (int, error) {
	rows, err := tx.QueryxContext(ctx, `FETCH `+strconv.Itoa(r.bounds.events)+` FROM day_rows`)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var events []domain.Event
	var journal pq.Int64Array
	for rows.Next() {
		var row struct {
			Journal *int64 `db:"journal"`
			eventRow
		}
		if err := rows.StructScan(&row); err != nil {
			return 0, err
		}
		if row.Journal != nil {
			journal = append(journal, *row.Journal)
		} else {
			events = append(events, row.event())
		}
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	if len(journal) > 0 {
		if _, err := tx.ExecContext(ctx, `DELETE FROM aggregation_journal WHERE id = ANY($1)`, journal); err != nil {
			return 0, err
		}
	}
	finest, folded := vocabulary.Fold(domain.Finest(events))
	r.merge.AddFinest(finest)
	r.folded.Add(folded)
	r.events += int64(len(events))
	return len(events) + len(journal), nil
}

// deleteDay deletes the packed aggregates of a day.
func deleteDay(ctx context.Context, tx *transaction, start time.Time) error {
	for _, table := range []string{"packed_aggregates", "aggregate_buckets"} {
		_, err := tx.ExecContext(ctx, `
			DELETE FROM `+table+` WHERE resolution IN ('hour', 'day') AND bucket >= $1 AND bucket < $2`, start, start.Add(day))
		if err != nil {
			return err
		}
	}
	return nil
}
