package postgres

import (
	"context"
	"database/sql"
	"time"

	"github.com/lib/pq"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// Merge merges the oldest of a day's part of the journal, as ports.Merger
// promises.
func (s *Store) Merge(ctx context.Context, day time.Time, maxEntries int, cutoffs domain.Cutoffs) (int, error) {
	for {
		p, err := s.mergeNext(ctx, day, maxEntries, cutoffs)
		if err != nil {
			return 0, err
		}
		if p.end == 0 || p.end == domain.MergeSteps { // there is nothing, or all is done
			return p.entries, nil
		}
	}
}

// mergeNext takes the next steps of a merge, unless another process has the day.
func (s *Store) mergeNext(ctx context.Context, day time.Time, maxEntries int, cutoffs domain.Cutoffs) (mergePiece, error) {
	var p mergePiece
	err := s.db.maintain(ctx, "store.merge", func(tx *transaction) error {
		p = mergePiece{day: day, atOnce: s.db.mergeAtOnce}
		locked, err := lockDay(ctx, tx, day, false)
		if err != nil || !locked {
			return err
		}
		return p.merge(ctx, tx, maxEntries, cutoffs)
	})
	if err == nil && p.bytes > domain.MergeAtOnce {
		s.db.vacuum(ctx)
	}
	return p, err
}

// mergePiece is a piece of a day's journal, of which a transaction takes the steps
// from first up to and without end.
type mergePiece struct {
	day        time.Time
	ids        pq.Int64Array
	entries    int
	first, end int
	// bytes is how many the finest values of the day have, and atOnce how many those of a
	// day have that is merged at once.
	bytes, atOnce int64
}

// merge takes the next steps. The day is locked.
func (p *mergePiece) merge(ctx context.Context, tx *transaction, maxEntries int, cutoffs domain.Cutoffs) error {
	if err := p.choose(ctx, tx, maxEntries); err != nil || len(p.ids) == 0 {
		return err
	}
	m := domain.NewMerge(p.day, cutoffs)
	m.Steps(p.first, p.end)
	if err := p.read(ctx, tx, m); err != nil {
		return err
	}
	if err := putMerge(ctx, tx, m); err != nil {
		return err
	}
	if p.end < domain.MergeSteps {
		_, err := tx.ExecContext(ctx, `UPDATE aggregation_journal SET merge_steps = $1 WHERE id = ANY($2)`, p.end, p.ids)
		return err
	}
	return p.finish(ctx, tx, m)
}

// choose finds the rows that are merged in part, or else the oldest ones, and the
// steps to take.
func (p *mergePiece) choose(ctx context.Context, tx *transaction, maxEntries int) error {
	const query = `
		WITH journal AS (SELECT id, entries, merge_steps FROM aggregation_journal WHERE day = $1)
		SELECT id, entries, merge_steps FROM (
			SELECT *, max(merge_steps) OVER () AS taken,
				sum(entries) OVER (ORDER BY id) AS total, row_number() OVER (ORDER BY id) AS number
			FROM journal
		) AS part WHERE CASE WHEN taken > 0 THEN merge_steps = taken ELSE total <= $2 OR number = 1 END`
	err := tx.eachBinary(ctx, query, []any{p.day, maxEntries}, func(rows *sql.Rows) error {
		var id int64
		var entries int
		if err := rows.Scan(&id, &entries, &p.first); err != nil {
			return err
		}
		p.ids = append(p.ids, id)
		p.entries += entries
		return nil
	})
	if err != nil || len(p.ids) == 0 {
		return err
	}
	p.bytes, err = sizeOf(ctx, tx, domain.PackedBucket{Resolution: domain.Daily, Start: p.day})
	p.end = domain.NextMergeSteps(p.first, p.bytes, p.atOnce)
	return err
}

// read gives the merge the rows.
func (p *mergePiece) read(ctx context.Context, tx *transaction, m *domain.Merge) error {
	const query = `SELECT id, payload FROM aggregation_journal WHERE id = ANY($1) ORDER BY id`
	return tx.eachBinary(ctx, query, []any{p.ids}, func(rows *sql.Rows) error {
		var row journalRow
		if err := rows.Scan(&row.id, &row.payload); err != nil {
			return err
		}
		if err := m.Add(row.payload); err != nil {
			return damagedJournal(p.day, row.id, err)
		}
		return nil
	})
}

// finish deletes the rows, all steps of which are taken.
func (p *mergePiece) finish(ctx context.Context, tx *transaction, m *domain.Merge) error {
	var folded struct{ Versions, Types int64 }
	err := tx.GetContext(ctx, &folded, `
		WITH merged AS (DELETE FROM aggregation_journal WHERE id = ANY($1) RETURNING folded_versions, folded_error_types)
		SELECT coalesce(sum(folded_versions), 0) AS versions, coalesce(sum(folded_error_types), 0) AS types FROM merged`, p.ids)
	if err != nil {
		return err
	}
	if p.first > 0 {
		if err := deleteLeftOut(ctx, tx, m); err != nil {
			return err
		}
	}
	return addFolded(ctx, tx, p.day, folded.Versions, folded.Types)
}

// deleteLeftOut deletes what steps wrote of buckets that have become due since: what
// expires is found by what the last steps write.
func deleteLeftOut(ctx context.Context, tx *transaction, m *domain.Merge) error {
	for _, out := range m.LeftOut() {
		grains := `grain < 16`
		if out.Errors {
			grains = `grain >= 16`
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM packed_aggregates WHERE resolution = $1 AND bucket = $2 AND `+grains,
			string(out.Resolution), out.Start)
		if err != nil {
			return err
		}
		if err := noteDeleted(ctx, tx, out.Resolution, out.Start, out.Start.Add(out.Resolution.Length())); err != nil {
			return err
		}
	}
	return nil
}

// putMerge writes the buckets that change. The day is locked.
func putMerge(ctx context.Context, tx *transaction, m *domain.Merge) error {
	for _, b := range m.Buckets() {
		w := packedWriter{tx: tx, bucket: b}
		err := m.Bucket(b, partsOf(ctx, tx, b), func(p domain.Packed) error { return w.put(ctx, p) })
		if err != nil {
			return inBucket(b, err)
		}
		if err := w.finish(ctx); err != nil {
			return err
		}
	}
	return nil
}

// sizeOf is how many bytes the finest values of a bucket have.
func sizeOf(ctx context.Context, tx *transaction, b domain.PackedBucket) (int64, error) {
	var grains, parts pq.Int64Array
	for _, grain := range domain.FinestGrains() {
		for part := range b.Resolution.Parts(grain) {
			grains, parts = append(grains, int64(grain)), append(parts, int64(part))
		}
	}
	var size int64
	err := tx.GetContext(ctx, &size, `
		SELECT coalesce(sum((
			SELECT octet_length(counts) + coalesce(octet_length(latency), 0) + coalesce(octet_length(sessions), 0)
			FROM packed_aggregates AS stored
			WHERE stored.resolution = $1 AND stored.grain = wanted.grain AND stored.part = wanted.part AND stored.bucket = $2
			LIMIT 1)), 0)
		FROM unnest($3::smallint[], $4::smallint[]) AS wanted (grain, part)`, string(b.Resolution), b.Start, grains, parts)
	return size, err
}

// partsOf reads the parts of a bucket's values.
func partsOf(ctx context.Context, tx *transaction, b domain.PackedBucket) domain.ReadPart {
	return func(g domain.PackedGrain, part int) (stored domain.Packed, err error) {
		key := domain.PackedKey{PackedBucket: b, Grain: g, Part: part}
		err = readPacked(ctx, tx, []packedWant{{key, true, true}}, func(_ int, p domain.Packed) error {
			stored = p
			return nil
		})
		return stored, err
	}
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
