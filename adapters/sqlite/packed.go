package sqlite

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// damaged is the error of packed bytes that cannot be read. where names them.
func damaged(where string, err error) error {
	return domain.NewError(domain.CodeUnavailable,
		fmt.Errorf("%s: %w; rebuild the aggregates of that day from the raw events with analytics rebuild", where, err),
		"a stored aggregate is damaged")
}

func damagedBucket(b domain.PackedBucket, err error) error {
	return damaged(fmt.Sprintf("packed_aggregates, %s %s", b.Resolution, b.Start.Format(time.RFC3339)), err)
}

func damagedValue(k domain.PackedKey, err error) error {
	return damaged(fmt.Sprintf("packed_aggregates, %s %s, grain %d, part %d",
		k.Resolution, k.Start.Format(time.RFC3339), k.Grain, k.Part), err)
}

func damagedJournal(day time.Time, id int64, err error) error {
	return damaged(fmt.Sprintf("aggregation_journal, day %s, row %d", day.Format(time.DateOnly), id), err)
}

// bucketAt is the bucket that starts then, in Unix seconds.
func bucketAt(r domain.Resolution, start int64) domain.PackedBucket {
	return domain.PackedBucket{Resolution: r, Start: time.Unix(start, 0).UTC()}
}

// The grains of calls and of errors, and all parts, as lists in SQL. With these
// the index leads to the values of one bucket.
var (
	callGrains  = numbers(0, int(domain.GrainErrors))
	errorGrains = numbers(int(domain.GrainErrors), 2*int(domain.GrainErrors))
	allGrains   = numbers(0, 2*int(domain.GrainErrors))
	allParts    = numbers(0, domain.Daily.Parts(domain.PackedGrain(domain.GrainFull)))
)

// numbers lists the numbers from the first up to and without end.
func numbers(first, end int) string {
	list := make([]string, 0, end-first)
	for n := first; n < end; n++ {
		list = append(list, strconv.Itoa(n))
	}
	return "(" + strings.Join(list, ", ") + ")"
}

// readFinest reads the values of a bucket of which all others are made.
var readFinest = readGrains(domain.FinestGrains()...)

// readGrains is a query for [valuesOf].
func readGrains(grains ...domain.PackedGrain) string {
	list := make([]string, len(grains))
	for i, g := range grains {
		list[i] = strconv.Itoa(int(g))
	}
	return `SELECT grain, part, counts, latency, sessions FROM packed_aggregates
		WHERE resolution = ? AND grain IN (` + strings.Join(list, ", ") + `) AND part IN ` + allParts + ` AND bucket = ?`
}

// valuesOf reads the values of a bucket by a query of readGrains.
func valuesOf(ctx context.Context, read *sqlx.Stmt, b domain.PackedBucket) ([]domain.Packed, error) {
	var rows []struct {
		Grain    domain.PackedGrain `db:"grain"`
		Part     int                `db:"part"`
		Counts   []byte             `db:"counts"`
		Latency  []byte             `db:"latency"`
		Sessions []byte             `db:"sessions"`
	}
	if err := read.SelectContext(ctx, &rows, string(b.Resolution), b.Start.Unix()); err != nil {
		return nil, err
	}
	stored := make([]domain.Packed, len(rows))
	for i, r := range rows {
		key := domain.PackedKey{PackedBucket: b, Grain: r.Grain, Part: r.Part}
		stored[i] = domain.Packed{PackedKey: key, Counts: r.Counts, Latency: r.Latency, Sessions: r.Sessions}
	}
	return stored, nil
}

// packedWriter replaces the values of buckets.
type packedWriter struct{ remove, insert, note *sqlx.Stmt }

// The arguments are the resolution and the bucket.
func deletePacked(grains string) string {
	return `DELETE FROM packed_aggregates
		WHERE resolution = ? AND grain IN ` + grains + ` AND part IN ` + allParts + ` AND bucket = ?`
}

// packedWriter prepares one for tx. It may wait for tx's connection, so it is
// called before tx begins.
func (s *Store) packedWriter(ctx context.Context) (func(tx *sqlx.Tx) packedWriter, error) {
	list, err := s.db.writing.list(ctx,
		deletePacked(allGrains),
		`INSERT INTO packed_aggregates (resolution, grain, part, bucket, counts, latency, sessions, readable)
			VALUES (?, ?, ?, ?, ?, ?, ?, nullif(?, ''))`,
		`INSERT INTO aggregate_buckets (resolution, bucket, generation, calls)
			VALUES (?, ?, ?, coalesce(json_extract(nullif(?, ''), '$[0][1]'), 0))
			ON CONFLICT DO UPDATE SET generation = excluded.generation, calls = excluded.calls`)
	if err != nil {
		return nil, err
	}
	return func(tx *sqlx.Tx) packedWriter {
		return packedWriter{tx.StmtxContext(ctx, list[0]), tx.StmtxContext(ctx, list[1]), tx.StmtxContext(ctx, list[2])}
	}, nil
}

// put replaces all values of a bucket by these.
func (w packedWriter) put(ctx context.Context, b domain.PackedBucket, values []domain.Packed) error {
	resolution, start := string(b.Resolution), b.Start.Unix()
	if _, err := w.remove.ExecContext(ctx, resolution, start); err != nil {
		return err
	}
	var total string
	for i := range values {
		p := &values[i]
		if p.Grain == domain.PackedGrain(domain.GrainTotal) {
			total = p.Readable
		}
		_, err := w.insert.ExecContext(ctx, resolution, int64(p.Grain), p.Part, start,
			notNull(p.Counts), notNull(p.Latency), notNull(p.Sessions), p.Readable)
		if err != nil {
			return err
		}
	}
	_, err := w.note.ExecContext(ctx, resolution, start, newGeneration(), total)
	return err
}

// newGeneration returns a number that no bucket has had, in all likelihood. A
// count would begin again when a bucket expires and comes back.
func newGeneration() int64 { return rand.Int64() } //nolint:gosec // no secret

// notNull returns bytes that the driver does not take for NULL.
func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
