package sqlite

import (
	"context"
	"encoding/json"
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
	for {
		p, err := s.mergeNext(ctx, day, maxEntries, cutoffs)
		if err != nil || len(p.rows) == 0 {
			return 0, err
		}
		if p.end == domain.MergeSteps {
			return p.sum.Entries, nil
		}
	}
}

// mergeNext takes the next steps of a merge. The caller holds packing.
func (s *Store) mergeNext(ctx context.Context, day time.Time, maxEntries int, cutoffs domain.Cutoffs) (mergePiece, error) {
	p, err := s.nextPiece(ctx, day, maxEntries)
	if err != nil || len(p.rows) == 0 {
		return p, err
	}
	return p, s.merge(ctx, p, cutoffs)
}

// mergePiece is a piece of a day's journal, of which a transaction takes the steps
// from first up to and without end.
type mergePiece struct {
	day        time.Time
	rows       []mergedRow
	sum        mergedRow
	first, end int
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

func (p *mergePiece) ids() []int64 {
	ids := make([]int64, len(p.rows))
	for i := range p.rows {
		ids[i] = p.rows[i].ID
	}
	return ids
}

// nextPiece reads the rows of the day that are merged in part, and else the oldest
// ones: one at least if there is any, and then until they have maxEntries.
func (s *Store) nextPiece(ctx context.Context, day time.Time, maxEntries int) (mergePiece, error) {
	p := mergePiece{day: day}
	err := s.db.store.read(ctx, "store.read_journal", func(tx *sqlx.Tx) error {
		if err := p.read(ctx, tx, maxEntries); err != nil || len(p.rows) == 0 {
			return err
		}
		var bytes int64
		err := tx.GetContext(ctx, &bytes, sizeOfFinest, string(domain.Daily), day.Unix())
		p.end = domain.NextMergeSteps(p.first, bytes, s.db.mergeAtOnce)
		return err
	})
	return p, err
}

func (p *mergePiece) read(ctx context.Context, tx *sqlx.Tx, maxEntries int) error {
	rows, err := tx.QueryxContext(ctx, `
		SELECT id, day, entries, folded_versions, folded_error_types, merge_steps, payload
		FROM aggregation_journal WHERE day = ? ORDER BY merge_steps DESC, id`, p.day.Unix())
	if err != nil {
		return err
	}
	defer rows.Close()
	for (p.sum.Entries < maxEntries || p.first > 0 || len(p.rows) == 0) && rows.Next() {
		var row mergedRow
		if err := rows.StructScan(&row); err != nil {
			return err
		}
		if len(p.rows) > 0 && row.Steps < p.first {
			break
		}
		p.first = row.Steps
		p.rows = append(p.rows, row)
		p.sum.add(&row)
	}
	return rows.Err()
}

// merge reads, computes, and only then begins a transaction that writes. Packing is
// held, so no other caller changes what it has read; what is appended to the
// journal meanwhile stays there.
func (s *Store) merge(ctx context.Context, p mergePiece, cutoffs domain.Cutoffs) error {
	m := domain.NewMerge(p.day, cutoffs)
	m.Steps(p.first, p.end)
	for i := range p.rows {
		if err := m.Add(p.rows[i].Payload); err != nil {
			return s.db.store.translate(ctx, "store.merge", damagedJournal(p.day, p.rows[i].ID, err))
		}
		p.rows[i].Payload = nil
	}
	values, err := s.pack(ctx, m)
	if err != nil {
		return err
	}
	begin, err := s.packedWriter(ctx)
	if err != nil {
		return s.db.store.translate(ctx, "store.merge", err)
	}
	return s.db.store.write(ctx, "store.merge", func(tx *sqlx.Tx) error {
		ctx := context.WithoutCancel(ctx) // the transaction watches it
		w := begin(tx)
		for _, b := range m.Buckets() {
			if err := w.put(ctx, b, values[b]); err != nil {
				return err
			}
		}
		if p.end < domain.MergeSteps {
			return noteSteps(ctx, tx, p.ids(), p.end)
		}
		if p.first > 0 {
			if err := deleteLeftOut(ctx, tx, m); err != nil {
				return err
			}
		}
		if err := addFolded(ctx, tx, p.day, p.sum.FoldedVersions, p.sum.FoldedErrorTypes); err != nil {
			return err
		}
		return forgetJournal(ctx, tx, p.ids())
	})
}

// deleteLeftOut deletes what steps wrote of buckets that have become due since: what
// expires is found by what the last steps write.
func deleteLeftOut(ctx context.Context, tx *sqlx.Tx, m *domain.Merge) error {
	for _, out := range m.LeftOut() {
		kind := dueCalls
		if out.Errors {
			kind = dueErrors
		}
		if _, err := tx.ExecContext(ctx, deletePacked(kind.grains), string(out.Resolution), out.Start.Unix()); err != nil {
			return err
		}
		if err := noteDeleted(ctx, tx, kind, out.Resolution, out.Start.Unix()); err != nil {
			return err
		}
	}
	return nil
}

// pack returns the values that the merge writes, by their buckets.
func (s *Store) pack(ctx context.Context, m *domain.Merge) (map[domain.PackedBucket][]domain.Packed, error) {
	read, err := s.db.store.reading.get(ctx, readPart)
	if err != nil {
		return nil, s.db.store.translate(ctx, "store.read_packed", err)
	}
	values := make(map[domain.PackedBucket][]domain.Packed)
	for _, b := range m.Buckets() {
		err := m.Bucket(b, func(g domain.PackedGrain, part int) (p domain.Packed, err error) {
			err = s.db.store.read(ctx, "store.read_packed", func(tx *sqlx.Tx) (err error) {
				p, err = partOf(ctx, tx.StmtxContext(ctx, read), domain.PackedKey{PackedBucket: b, Grain: g, Part: part})
				return err
			})
			return p, err
		}, func(p domain.Packed) error {
			values[b] = append(values[b], p)
			return nil
		})
		if err != nil {
			return nil, s.db.store.translate(ctx, "store.merge", inBucket(b, err))
		}
	}
	return values, nil
}

// noteSteps notes of rows of the journal how many steps of their merge were taken.
func noteSteps(ctx context.Context, tx *sqlx.Tx, ids []int64, steps int) error {
	list, _ := json.Marshal(ids) // numbers always can be encoded
	_, err := tx.ExecContext(ctx, `UPDATE aggregation_journal SET merge_steps = ? WHERE id IN (SELECT value FROM json_each(?))`, steps, string(list))
	return err
}

// forgetJournal deletes rows of the journal.
func forgetJournal(ctx context.Context, tx *sqlx.Tx, ids []int64) error {
	list, _ := json.Marshal(ids) // numbers always can be encoded
	_, err := tx.ExecContext(ctx, `DELETE FROM aggregation_journal WHERE id IN (SELECT value FROM json_each(?))`, string(list))
	return err
}
