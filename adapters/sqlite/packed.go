package sqlite

import (
	"context"
	"database/sql"
	"errors"
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

// inBucket is the error of a merge or an export of a bucket. Where a value cannot be
// read it says of which bucket that is.
func inBucket(b domain.PackedBucket, err error) error {
	if _, ok := errors.AsType[*domain.ValueError](err); ok {
		return damaged(fmt.Sprintf("packed_aggregates, %s %s", b.Resolution, b.Start.Format(time.RFC3339)), err)
	}
	return err
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

// readPart is a query for [partOf].
const readPart = `SELECT counts, latency, sessions FROM packed_aggregates WHERE resolution = ? AND grain = ? AND part = ? AND bucket = ?`

// partOf reads a value by readPart. Where there is none, it has no counts.
func partOf(ctx context.Context, read *sqlx.Stmt, key domain.PackedKey) (domain.Packed, error) {
	p := domain.Packed{PackedKey: key}
	err := read.QueryRowxContext(ctx, string(key.Resolution), int64(key.Grain), key.Part, key.Start.Unix()).Scan(&p.Counts, &p.Latency, &p.Sessions)
	if errors.Is(err, sql.ErrNoRows) {
		return p, nil
	}
	return p, err
}

// sizeOfFinest is a query for how many bytes a bucket has of the values of which all
// others are made.
var sizeOfFinest = `SELECT coalesce(sum(length(counts) + length(latency) + length(sessions)), 0) FROM packed_aggregates
	WHERE resolution = ? AND grain IN (` + strconv.Itoa(int(domain.GrainFull)) + `, ` + strconv.Itoa(int(domain.FinestErrors)) + `)
		AND part IN ` + allParts + ` AND bucket = ?`

// packedWriter replaces values of buckets.
type packedWriter struct{ insert, note *sqlx.Stmt }

// The arguments are the resolution and the bucket.
func deletePacked(grains string) string {
	return `DELETE FROM packed_aggregates
		WHERE resolution = ? AND grain IN ` + grains + ` AND part IN ` + allParts + ` AND bucket = ?`
}

// packedWriter prepares one for tx. It may wait for tx's connection, so it is
// called before tx begins.
func (s *Store) packedWriter(ctx context.Context) (func(tx *sqlx.Tx) packedWriter, error) {
	list, err := s.db.store.writing.list(ctx,
		`INSERT OR REPLACE INTO packed_aggregates (resolution, grain, part, bucket, counts, latency, sessions, readable)
			VALUES (?, ?, ?, ?, ?, ?, ?, nullif(?, ''))`,
		`INSERT INTO aggregate_buckets (resolution, bucket, generation, calls)
			VALUES (?1, ?2, ?3, coalesce(json_extract(nullif(?4, ''), '$[0][1]'), 0))
			ON CONFLICT DO UPDATE SET generation = excluded.generation, calls = CASE ?4 WHEN '' THEN calls ELSE excluded.calls END`)
	if err != nil {
		return nil, err
	}
	return func(tx *sqlx.Tx) packedWriter {
		return packedWriter{tx.StmtxContext(ctx, list[0]), tx.StmtxContext(ctx, list[1])}
	}, nil
}

// put replaces these values of a bucket.
func (w packedWriter) put(ctx context.Context, b domain.PackedBucket, values []domain.Packed) error {
	resolution, start := string(b.Resolution), b.Start.Unix()
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
