package postgres

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// Merge merges the oldest of a day's part of the journal, as ports.Merger
// promises.
func (s *Store) Merge(ctx context.Context, day time.Time, maxEntries int, cutoffs domain.Cutoffs) (int, error) {
	var merged int
	err := s.db.maintain(ctx, "store.merge", func(tx *transaction) error {
		merged = 0
		locked, err := lockDay(ctx, tx, day, false)
		if err != nil || !locked {
			return err
		}
		m := domain.NewMerge(day, cutoffs)
		if merged, err = takeJournal(ctx, tx, day, maxEntries, m); err != nil || merged == 0 {
			return err
		}
		return putMerge(ctx, tx, m)
	})
	if err != nil {
		return 0, err
	}
	return merged, nil
}

// takeJournal moves the oldest rows of a day's part of the journal into the
// merge, and returns their number of entries.
func takeJournal(ctx context.Context, tx *transaction, day time.Time, maxEntries int, m *domain.Merge) (int, error) {
	const query = `
		DELETE FROM aggregation_journal WHERE id IN (
			SELECT id FROM (
				SELECT id, sum(entries) OVER (ORDER BY id) AS total, row_number() OVER (ORDER BY id) AS number
				FROM aggregation_journal WHERE day = $1
			) AS part WHERE total <= $2 OR number = 1)
		RETURNING id, entries, payload, folded_versions, folded_error_types`
	var taken int
	var versions, errorTypes int64
	err := tx.eachBinary(ctx, query, []any{day, maxEntries}, func(rows *sql.Rows) error {
		var row journalRow
		var entries int
		var foldedVersions, foldedErrorTypes int64
		if err := rows.Scan(&row.id, &entries, &row.payload, &foldedVersions, &foldedErrorTypes); err != nil {
			return err
		}
		if err := m.Add(row.payload); err != nil {
			return damagedJournal(day, row.id, err)
		}
		taken += entries
		versions += foldedVersions
		errorTypes += foldedErrorTypes
		return nil
	})
	if err != nil {
		return 0, err
	}
	return taken, addFolded(ctx, tx, day, versions, errorTypes)
}

// putMerge writes the buckets that change. The day is locked.
func putMerge(ctx context.Context, tx *transaction, m *domain.Merge) error {
	for _, b := range m.Buckets() {
		stored, err := readGrains(ctx, tx, b, domain.FinestGrains()...)
		if err != nil {
			return err
		}
		values, err := m.Bucket(b, stored)
		if err != nil {
			return damaged(placeOf(b), err)
		}
		if err := putPacked(ctx, tx, b, values); err != nil {
			return err
		}
	}
	return nil
}

// readGrains reads a bucket's values of these grains, with all columns.
func readGrains(ctx context.Context, tx *transaction, b domain.PackedBucket, grains ...domain.PackedGrain) ([]domain.Packed, error) {
	var wants []packedWant
	for _, grain := range grains {
		for part := range b.Resolution.Parts(grain) {
			key := domain.PackedKey{PackedBucket: b, Grain: grain, Part: part}
			wants = append(wants, packedWant{PackedKey: key, latency: true, sessions: true})
		}
	}
	var stored []domain.Packed
	err := readPacked(ctx, tx, b.Resolution, wants, func(_ int, p domain.Packed) error {
		stored = append(stored, p)
		return nil
	})
	return stored, err
}

// mergePiece is about how many entries an expiry merges at once.
const mergePiece = 40_000

// mergeAll merges the journal as it is now, without the days that another process
// has. A day that cannot be merged does not keep the others from it.
func (s *Store) mergeAll(ctx context.Context) error {
	days, err := s.Journal(ctx)
	errs := []error{err}
	for _, d := range days {
		for left := d.Entries; left > 0; {
			// What is due is merged as well, for it to be counted.
			merged, err := s.Merge(ctx, d.Day, mergePiece, domain.Cutoffs{})
			errs = append(errs, err)
			if merged == 0 {
				break
			}
			left -= merged
		}
	}
	return errors.Join(errs...)
}

// dayLocks is the first half of the number of every lock on a day's
// aggregates.
const dayLocks = 77_328_160

// lockDay keeps everybody else from changing a day's aggregates until the
// transaction ends. When somebody else does so it waits, or reports that it has
// no lock.
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
