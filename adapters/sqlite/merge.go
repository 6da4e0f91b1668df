package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var _ ports.Merger = (*Store)(nil)

// packing is held by whoever changes packed aggregates: one at a time, as each
// reads and computes what it writes before its transaction begins.
type packing chan struct{}

func newPacking() packing { return make(packing, 1) }

func (p packing) tryLock() bool {
	select {
	case p <- struct{}{}:
		return true
	default:
		return false
	}
}

func (p packing) lock(ctx context.Context) error {
	select {
	case p <- struct{}{}:
		return nil
	case <-ctx.Done():
		return domain.NewError(domain.CodeUnavailable, ctx.Err(), "the call was given up")
	}
}

func (p packing) unlock() { <-p }

// Merge merges a part of the journal, as ports.Merger promises.
func (s *Store) Merge(ctx context.Context, day time.Time, maxEntries int, cutoffs domain.Cutoffs) (int, error) {
	if !s.db.packing.tryLock() {
		return 0, nil
	}
	defer s.db.packing.unlock()
	return s.merge(ctx, day, maxEntries, cutoffs)
}

// mergeAll merges the whole journal. What is wrong with a day is no reason to
// leave the others. The caller holds packing.
func (s *Store) mergeAll(ctx context.Context) error {
	days, err := s.Journal(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, day := range days {
		errs = append(errs, s.mergeDay(ctx, day.Day))
	}
	return errors.Join(errs...)
}

func (s *Store) mergeDay(ctx context.Context, day time.Time) error {
	const piece = 50_000 // bounds what is in memory
	for {
		if n, err := s.merge(ctx, day, piece, domain.Cutoffs{}); err != nil || n == 0 {
			return err
		}
	}
}

// merge reads, computes, and only then begins a transaction that writes. The caller
// holds packing, so no other caller changes what it has read; what is appended to the
// journal meanwhile stays there.
func (s *Store) merge(ctx context.Context, day time.Time, maxEntries int, cutoffs domain.Cutoffs) (int, error) {
	rows, err := s.oldestRows(ctx, day, maxEntries)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	m := domain.NewMerge(day, cutoffs)
	var sum mergedRow
	ids := make([]int64, len(rows))
	for i := range rows {
		if err := m.Add(rows[i].Payload); err != nil {
			return 0, s.db.translate(ctx, "store.merge", damagedJournal(day, rows[i].ID, err))
		}
		ids[i] = rows[i].ID
		sum.add(&rows[i])
	}
	values, err := s.pack(ctx, m)
	if err != nil {
		return 0, err
	}
	begin, err := s.packedWriter(ctx)
	if err != nil {
		return 0, s.db.translate(ctx, "store.merge", err)
	}
	err = s.db.write(ctx, "store.merge", func(tx *sqlx.Tx) error {
		ctx := context.WithoutCancel(ctx) // the transaction watches it
		w := begin(tx)
		for _, b := range m.Buckets() {
			if err := w.put(ctx, b, values[b]); err != nil {
				return err
			}
		}
		if err := addFolded(ctx, tx, day, sum.FoldedVersions, sum.FoldedErrorTypes); err != nil {
			return err
		}
		return forgetJournal(ctx, tx, ids)
	})
	if err != nil {
		return 0, err
	}
	return sum.Entries, nil
}

// mergedRow is a row of the journal with what its merge counts.
type mergedRow struct {
	journalRow

	Entries int `db:"entries"`
	// How many of the events count under another name than their own.
	FoldedVersions   int64 `db:"folded_versions"`
	FoldedErrorTypes int64 `db:"folded_error_types"`
}

func (r *mergedRow) add(other *mergedRow) {
	r.Entries += other.Entries
	r.FoldedVersions += other.FoldedVersions
	r.FoldedErrorTypes += other.FoldedErrorTypes
}

// oldestRows reads the oldest rows of the day's journal: one at least if there is
// any, and then until they have maxEntries.
func (s *Store) oldestRows(ctx context.Context, day time.Time, maxEntries int) ([]mergedRow, error) {
	var list []mergedRow
	err := s.db.read(ctx, "store.read_journal", func(tx *sqlx.Tx) error {
		rows, err := tx.QueryxContext(ctx, `
			SELECT id, day, entries, folded_versions, folded_error_types, payload
			FROM aggregation_journal WHERE day = ? ORDER BY id`, day.Unix())
		if err != nil {
			return err
		}
		defer rows.Close()
		for entries := 0; (entries < maxEntries || entries == 0) && rows.Next(); {
			var row mergedRow
			if err := rows.StructScan(&row); err != nil {
				return err
			}
			entries += row.Entries
			list = append(list, row)
		}
		return rows.Err()
	})
	return list, err
}

// pack returns all values of the buckets that the merge changes.
func (s *Store) pack(ctx context.Context, m *domain.Merge) (map[domain.PackedBucket][]domain.Packed, error) {
	values := make(map[domain.PackedBucket][]domain.Packed)
	err := s.db.read(ctx, "store.read_packed", func(tx *sqlx.Tx) error {
		read, err := tx.PreparexContext(ctx, readFinest)
		if err != nil {
			return err
		}
		defer read.Close()
		for _, b := range m.Buckets() {
			if values[b], err = valuesOf(ctx, read, b); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, b := range m.Buckets() {
		if values[b], err = m.Bucket(b, values[b]); err != nil {
			return nil, s.db.translate(ctx, "store.merge", damagedBucket(b, err))
		}
	}
	return values, nil
}

// forgetJournal deletes rows of the journal.
func forgetJournal(ctx context.Context, tx *sqlx.Tx, ids []int64) error {
	list, _ := json.Marshal(ids) // numbers always can be encoded
	_, err := tx.ExecContext(ctx, `DELETE FROM aggregation_journal WHERE id IN (SELECT value FROM json_each(?))`, string(list))
	return err
}
