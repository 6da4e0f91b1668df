package postgres

import (
	"context"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// RebuildDay computes a day's aggregates anew, as ports.Rebuilder promises. It
// reads none of what it replaces, so it cures whatever is wrong with that.
func (s *Store) RebuildDay(ctx context.Context, start time.Time, cutoffs domain.Cutoffs) (int64, error) {
	var events int64
	err := s.db.placing(ctx, func() error { return s.rebuildDay(ctx, start, cutoffs, &events) })
	if err != nil {
		return 0, err
	}
	return events, nil
}

func (s *Store) rebuildDay(ctx context.Context, start time.Time, cutoffs domain.Cutoffs, events *int64) error {
	return s.db.maintain(ctx, "store.rebuild", func(tx *transaction) error {
		if _, err := lockDay(ctx, tx, start, true); err != nil {
			return err
		}
		finest, n, err := countDay(ctx, tx, start)
		if err != nil {
			return err
		}
		*events = n
		if err := deleteDay(ctx, tx, start); err != nil {
			return err
		}
		return mergeAggregates(ctx, tx, start, domain.RollUp(finest).Kept(cutoffs))
	})
}

// DayCounts counts a day's events twice, as ports.Rebuilder promises.
func (s *Store) DayCounts(ctx context.Context, start time.Time) (raw, counted int64, err error) {
	err = s.db.maintain(ctx, "store.day_counts", func(tx *transaction) error {
		return tx.QueryRowxContext(ctx, `
			SELECT (SELECT count(*) FROM events WHERE hour >= $1 AND hour < $2),
				coalesce((SELECT calls FROM daily_aggregations WHERE grain = 0 AND bucket = $1), 0)
					+ coalesce((SELECT sum(events) FROM aggregation_journal WHERE day = $1), 0)`,
			start, start.Add(day)).Scan(&raw, &counted)
	})
	return raw, counted, err
}

// rebuildChunk is how many events are added up at once.
const rebuildChunk = 10_000

// countDay adds up the raw events of a day, with those values folded that have
// been folded, and corrects the count of these.
func countDay(ctx context.Context, tx *transaction, start time.Time) (domain.Aggregates, int64, error) {
	vocabulary, err := readDay(ctx, tx, start)
	if err != nil {
		return domain.Aggregates{}, 0, err
	}
	parts, folded, events, err := takeDay(ctx, tx, start, vocabulary)
	if err != nil {
		return domain.Aggregates{}, 0, err
	}
	// Workers may have closed the day since. Whatever was decided about any of
	// these events is decided by now.
	if vocabulary, err = readDay(ctx, tx, start); err != nil {
		return domain.Aggregates{}, 0, err
	}
	finest, more := vocabulary.Fold(parts...)
	folded.Add(more)
	return finest, events, putFolded(ctx, tx, start, folded)
}

// takeDay adds up the raw events of a day and forgets its journal. Both are of
// one moment: what a worker stores later will be in the journal. Values are
// folded as they come, as a day may have any number of them.
func takeDay(
	ctx context.Context, tx *transaction, start time.Time, v *domain.Vocabulary,
) (parts []domain.Aggregates, folded domain.Folded, events int64, err error) {
	rows, err := tx.QueryxContext(ctx, `
		WITH forgotten AS (DELETE FROM aggregation_journal WHERE day = $1)
		SELECT `+eventColumns+` FROM events WHERE hour >= $1 AND hour < $2`, start, start.Add(day))
	if err != nil {
		return nil, nil, 0, err
	}
	defer rows.Close()
	folded = make(domain.Folded)
	add := func(chunk []domain.Event) {
		part, more := v.Fold(domain.Finest(chunk))
		parts = append(parts, part)
		folded.Add(more)
	}
	chunk := make([]domain.Event, 0, rebuildChunk)
	for rows.Next() {
		var row eventRow
		if err := rows.StructScan(&row); err != nil {
			return nil, nil, 0, err
		}
		chunk = append(chunk, row.event())
		events++
		if len(chunk) == rebuildChunk {
			add(chunk)
			chunk = chunk[:0]
		}
	}
	add(chunk)
	return parts, folded, events, rows.Err()
}

func deleteDay(ctx context.Context, tx *transaction, start time.Time) error {
	for _, e := range aggregateExpiries(domain.Cutoffs{}) {
		_, err := tx.ExecContext(ctx, `
			DELETE FROM `+e.table+` WHERE `+e.all+` AND `+e.column+` >= $1 AND `+e.column+` < $2`, start, start.Add(day))
		if err != nil {
			return err
		}
	}
	return nil
}
