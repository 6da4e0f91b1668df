package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"math"
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
		const piece = 50_000 // bounds what is in memory
		for entries := math.MaxInt; err == nil && entries > 0; {
			entries, err = s.merge(ctx, day.Day, piece, domain.Cutoffs{})
		}
		errs = append(errs, err)
		err = nil
	}
	return errors.Join(errs...)
}

// merging is what a merge has read of the journal.
type merging struct {
	*domain.Merge

	ids     []int64
	entries int
	// How many of the events count under another name than their own.
	versions, errorTypes int64
}

// merge reads and computes, and only then begins a transaction that writes. The
// caller holds packing, so nobody else changes what it has read; what is appended
// to the journal meanwhile stays there.
func (s *Store) merge(ctx context.Context, day time.Time, maxEntries int, cutoffs domain.Cutoffs) (int, error) {
	m := &merging{Merge: domain.NewMerge(day, cutoffs)}
	var values map[domain.PackedBucket][]domain.Packed
	err := s.db.read(ctx, "store.read_merged", func(tx *sqlx.Tx) error {
		if err := m.take(ctx, tx, day, maxEntries); err != nil {
			return err
		}
		var err error
		values, err = pack(ctx, tx, m.Merge)
		return err
	})
	if err != nil || len(m.ids) == 0 {
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
		if err := addFolded(ctx, tx, day, m.versions, m.errorTypes); err != nil {
			return err
		}
		return forgetJournal(ctx, tx, m.ids)
	})
	if err != nil {
		return 0, err
	}
	return m.entries, nil
}

// take reads the oldest rows of the day's journal.
func (m *merging) take(ctx context.Context, tx *sqlx.Tx, day time.Time, maxEntries int) error {
	rows, err := tx.QueryxContext(ctx, `
		SELECT id, day, entries, folded_versions, folded_error_types, payload
		FROM aggregation_journal WHERE day = ? ORDER BY id`, day.Unix())
	if err != nil {
		return err
	}
	defer rows.Close()
	for (m.entries < maxEntries || len(m.ids) == 0) && rows.Next() {
		var row struct {
			journalRow

			Entries          int   `db:"entries"`
			FoldedVersions   int64 `db:"folded_versions"`
			FoldedErrorTypes int64 `db:"folded_error_types"`
		}
		if err := rows.StructScan(&row); err != nil {
			return err
		}
		if err := m.Add(row.Payload); err != nil {
			return damagedJournal(day, row.ID, err)
		}
		m.ids = append(m.ids, row.ID)
		m.entries += row.Entries
		m.versions += row.FoldedVersions
		m.errorTypes += row.FoldedErrorTypes
	}
	return rows.Err()
}

// pack returns all values of the buckets that the merge changes.
func pack(ctx context.Context, tx *sqlx.Tx, m *domain.Merge) (map[domain.PackedBucket][]domain.Packed, error) {
	read, err := tx.PreparexContext(ctx, readFinest)
	if err != nil {
		return nil, err
	}
	defer read.Close()
	values := make(map[domain.PackedBucket][]domain.Packed)
	for _, b := range m.Buckets() {
		stored, err := finestOf(ctx, read, b)
		if err != nil {
			return nil, err
		}
		if values[b], err = m.Bucket(b, stored); err != nil {
			return nil, damagedBucket(b, err)
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
