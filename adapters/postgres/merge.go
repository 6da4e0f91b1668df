package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// thoroughness says how much of the journal to merge.
type thoroughness int

const (
	// longest merges until what is left is short. What somebody else is merging
	// is left to them.
	longest thoroughness = iota
	// untaken merges all but what somebody else is merging.
	untaken
	// room merges until there is room to store more, and waits for others.
	room
	// all merges everything, and waits for others.
	all
)

// waits reports whether others that merge the same day are waited for.
func (h thoroughness) waits() bool { return h >= room }

// suffices reports whether a journal of that length may stay.
func (h thoroughness) suffices(m *journalMeter, length journalSize) bool {
	switch h {
	case longest:
		return !length.times(2).exceeds(m.limit)
	case room:
		return !length.exceeds(m.limit.times(fullFactor / 2))
	case untaken, all:
	}
	return length.Rows == 0
}

// shortenJournal merges in the background of storing, as the journal is long.
func (s *Store) shortenJournal(ctx context.Context) { s.mergeInBackground(ctx, longest) }

// clearJournal merges in the background of storing, as the journal is old.
func (s *Store) clearJournal(ctx context.Context) { s.mergeInBackground(ctx, untaken) }

func (s *Store) mergeInBackground(ctx context.Context, how thoroughness) {
	if err := s.mergeJournal(ctx, how); err != nil && ctx.Err() == nil {
		s.db.config.Log.Error("journal not merged", "code", domain.CodeOf(err), "error", err)
	}
}

// mergeJournal merges the journal into the aggregates' rows piece by piece, of
// the day with the longest part first. A day that is taken or has something
// wrong with it does not keep the others from being merged.
func (s *Store) mergeJournal(ctx context.Context, how thoroughness) error {
	var errs []error
	skipped := make(map[time.Time]bool)
	for {
		days, err := s.measureJournal(ctx)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		days = slices.DeleteFunc(days, func(d journalDay) bool { return skipped[d.Day.UTC()] })
		if len(days) == 0 || how.suffices(&s.db.journal, lengthOf(days)) {
			return errors.Join(errs...)
		}
		day := days[0].Day.UTC()
		merged, err := s.mergePiece(ctx, day, how.waits())
		if err != nil {
			errs = append(errs, err)
		}
		skipped[day] = merged == 0
	}
}

// measureJournal lists the days of the journal and tells the meter about them.
func (s *Store) measureJournal(ctx context.Context) ([]journalDay, error) {
	begun := s.db.journal.begin()
	days, err := s.journalDays(ctx)
	if err != nil {
		return nil, err
	}
	s.db.journal.settle(begun, lengthOf(days))
	return days, nil
}

// journalDay is the part of the journal that is about one day.
type journalDay struct {
	Day time.Time `db:"day"`
	journalSize
}

func lengthOf(days []journalDay) journalSize {
	var length journalSize
	for _, d := range days {
		length = length.plus(d.journalSize)
	}
	return length
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

// mergePiece merges the oldest of a day's part of the journal: what is merged
// at once, and its time, are bounded, however long the journal is. It returns
// how many rows that were, and 0 also when somebody else has the day.
func (s *Store) mergePiece(ctx context.Context, day time.Time, wait bool) (int, error) {
	var merged int
	err := s.db.write(ctx, "store.merge", func(tx *transaction) error {
		merged = 0
		locked, err := lockDay(ctx, tx, day, wait)
		if err != nil || !locked {
			return err
		}
		var rows []journalRow
		err = tx.SelectContext(ctx, &rows, `
			DELETE FROM aggregation_journal WHERE id IN (
				SELECT id FROM (
					SELECT id, sum(entries) OVER (ORDER BY id) - entries AS before FROM aggregation_journal WHERE day = $1
				) AS part WHERE before < $2)
			RETURNING id, day, payload`, day, s.db.journal.limit.Entries)
		if err != nil {
			return err
		}
		parts, err := decodeJournal(rows, everything)
		if err != nil {
			return err
		}
		merged = len(rows)
		return mergeAggregates(ctx, tx, day, domain.RollUp(parts...))
	})
	if err != nil {
		return 0, err
	}
	return merged, nil
}

// dayLocks is the first half of the number of every lock on a day's
// aggregates.
const dayLocks = 77_328_160

// lockDay keeps everybody else from changing the rows of a day's aggregates
// until the transaction ends. When somebody else does so it waits, or reports
// that it has no lock.
func lockDay(ctx context.Context, tx *transaction, day time.Time, wait bool) (bool, error) {
	number := day.Unix() / int64(domain.Daily.Length()/time.Second)
	if wait {
		_, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1, $2)`, dayLocks, number)
		return err == nil, err
	}
	var locked bool
	err := tx.GetContext(ctx, &locked, `SELECT pg_try_advisory_xact_lock($1, $2)`, dayLocks, number)
	return locked, err
}
