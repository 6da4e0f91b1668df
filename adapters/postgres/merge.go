package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// thoroughness says how much of the journal to merge.
type thoroughness int

const (
	// longest merges the days with the longest journals until what is left is
	// short. What somebody else is merging is left to them.
	longest thoroughness = iota
	// untaken merges all but what somebody else is merging.
	untaken
	// all merges everything, and waits for others.
	all
)

// shortenJournal merges in the background of storing for as long as the
// journal is long.
func (s *Store) shortenJournal(ctx context.Context) {
	for s.db.journal.isLong() {
		if !s.mergeInBackground(ctx, longest) {
			return
		}
	}
}

// clearJournal merges in the background of storing.
func (s *Store) clearJournal(ctx context.Context) { s.mergeInBackground(ctx, untaken) }

func (s *Store) mergeInBackground(ctx context.Context, how thoroughness) bool {
	err := s.mergeJournal(ctx, how)
	if err != nil && ctx.Err() == nil {
		s.db.config.Log.Error("journal not merged", "code", domain.CodeOf(err), "error", err)
	}
	return err == nil
}

// mergeJournal merges the journal into the aggregates' rows. What is wrong
// with one day does not keep the others from being merged.
func (s *Store) mergeJournal(ctx context.Context, how thoroughness) error {
	begun := s.db.journal.mergeBegins()
	days, err := s.journalDays(ctx)
	if err != nil {
		return err
	}
	var left journalSize
	for _, d := range days {
		left = left.plus(d.journalSize)
	}
	var errs []error
	for _, d := range days {
		if how == longest && !left.times(2).exceeds(s.db.journal.limit) {
			break
		}
		if err := s.mergeDay(ctx, d.Day.UTC(), how == all); err != nil {
			errs = append(errs, err)
			continue
		}
		left = left.minus(d.journalSize)
	}
	s.db.journal.mergeEnds(begun, left)
	return errors.Join(errs...)
}

// journalDay is the part of the journal that is about one day.
type journalDay struct {
	Day time.Time `db:"day"`
	journalSize
}

// journalDays lists the days, the one with the longest part first.
func (s *Store) journalDays(ctx context.Context) ([]journalDay, error) {
	var days []journalDay
	err := s.db.read(ctx, "store.journal", func(tx *transaction) error {
		days = nil
		return tx.SelectContext(ctx, &days, `
			SELECT day, count(*) AS rows, sum(entries) AS entries FROM aggregation_journal
			GROUP BY day ORDER BY sum(entries) DESC, day`)
	})
	return days, err
}

func (s *Store) mergeDay(ctx context.Context, day time.Time, wait bool) error {
	return s.db.write(ctx, "store.merge", func(tx *transaction) error {
		locked, err := lockDay(ctx, tx, day, wait)
		if err != nil || !locked {
			return err
		}
		var rows []journalRow
		err = tx.SelectContext(ctx, &rows, `
			DELETE FROM aggregation_journal WHERE day = $1
			RETURNING id, day, payload, folded_versions, folded_error_types`, day)
		if err != nil {
			return err
		}
		var versions, errorTypes int64
		for i := range rows {
			versions += rows[i].FoldedVersions
			errorTypes += rows[i].FoldedErrorTypes
		}
		if err := addFolded(ctx, tx, day, versions, errorTypes); err != nil {
			return err
		}
		parts, err := decodeJournal(rows, everything)
		if err != nil {
			return err
		}
		return mergeAggregates(ctx, tx, day, domain.RollUp(parts...))
	})
}

// dayLocks is the first half of the number of every lock on a day's
// aggregates.
const dayLocks = 77_328_160

// lockDay keeps everybody else from changing the rows of a day's aggregates
// until the transaction ends. When somebody else does so it waits, or reports
// that it has no lock.
func lockDay(ctx context.Context, tx *transaction, day time.Time, wait bool) (bool, error) {
	number := dayNumber(day)
	if wait {
		_, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1, $2)`, dayLocks, number)
		return err == nil, err
	}
	var locked bool
	err := tx.GetContext(ctx, &locked, `SELECT pg_try_advisory_xact_lock($1, $2)`, dayLocks, number)
	return locked, err
}

// dayNumber is the second half of the number of a lock on a day.
func dayNumber(day time.Time) int64 { return day.Unix() / int64(domain.Daily.Length()/time.Second) }
