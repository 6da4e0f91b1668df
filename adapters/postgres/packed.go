package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// damaged is the error of an aggregate that cannot be read. It says where that is
// and what to do.
func damaged(where string, err error) error {
	return domain.NewError(domain.CodeUnavailable,
		fmt.Errorf("%s: %w; run analytics rebuild for that day", where, err), "a stored aggregate is damaged")
}

// inBucket is the error of a merge or an export of a bucket. Where a value cannot be
// read it says of which bucket that is.
func inBucket(b domain.PackedBucket, err error) error {
	if _, ok := errors.AsType[*domain.ValueError](err); ok {
		return damaged(placeOf(b), err)
	}
	return err
}

// placeOf names a bucket.
func placeOf(b domain.PackedBucket) string {
	return fmt.Sprintf("packed_aggregates, %s %s", b.Resolution, b.Start.UTC().Format(time.RFC3339))
}

// packedWant is a packed value to read, and which columns beside the counts.
type packedWant struct {
	domain.PackedKey

	latency, sessions bool
}

// readPacked reads values and calls visit for each that is there, with its index in
// wants. Each is looked up by itself: LIMIT keeps the planner from reading all of the
// table.
func readPacked(ctx context.Context, tx *transaction, wants []packedWant, visit func(i int, p domain.Packed) error) error {
	if len(wants) == 0 {
		return nil
	}
	var resolutions pq.StringArray
	var grains, parts, buckets pq.Int64Array
	var latency, sessions pq.BoolArray
	for _, w := range wants {
		resolutions = append(resolutions, string(w.Resolution))
		grains, parts, buckets = append(grains, int64(w.Grain)), append(parts, int64(w.Part)), append(buckets, w.Start.Unix())
		latency, sessions = append(latency, w.latency), append(sessions, w.sessions)
	}
	const query = `
		SELECT wanted.number, found.counts, found.latency, found.sessions
		FROM unnest($1::text[], $2::smallint[], $3::smallint[], $4::bigint[], $5::boolean[], $6::boolean[])
			WITH ORDINALITY AS wanted (resolution, grain, part, bucket, latency, sessions, number),
		LATERAL (
			SELECT counts, CASE WHEN wanted.latency THEN latency END AS latency, CASE WHEN wanted.sessions THEN sessions END AS sessions
			FROM packed_aggregates AS stored
			WHERE stored.resolution = wanted.resolution AND stored.grain = wanted.grain AND stored.part = wanted.part
				AND stored.bucket = to_timestamp(wanted.bucket)
			LIMIT 1
		) AS found`
	return tx.eachBinary(ctx, query, []any{resolutions, grains, parts, buckets, latency, sessions}, func(rows *sql.Rows) error {
		var number int
		var p domain.Packed
		if err := rows.Scan(&number, &p.Counts, &p.Latency, &p.Sessions); err != nil {
			return err
		}
		p.PackedKey = wants[number-1].PackedKey
		if len(p.Counts) == 0 { // which elsewhere stands for no value
			return damaged(placeOf(p.PackedBucket), fmt.Errorf("the packed value of grain %d is empty", p.Grain))
		}
		return visit(number-1, p)
	})
}

// eachBinary runs a query of which bytes and whole numbers come in binary, which
// the driver asks for in prepared statements alone: half the bytes, and a third
// of the work. The statement does not outlive the transaction, as poolers want it.
func (tx *transaction) eachBinary(ctx context.Context, query string, args []any, visit func(rows *sql.Rows) error) (err error) {
	statement, err := tx.PrepareContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() {
		if closing := statement.Close(); err == nil {
			err = closing
		}
	}()
	rows, err := statement.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := visit(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Bounds of what one statement writes.
const (
	putRows  = 100
	putBytes = 1 << 20
)

// packedWriter replaces values of a bucket. The day is locked.
type packedWriter struct {
	tx     *transaction
	bucket domain.PackedBucket
	// values are those that wait until there are enough for a statement.
	values []domain.Packed
	size   int
}

func (w *packedWriter) put(ctx context.Context, p domain.Packed) error {
	w.values = append(w.values, p)
	w.size += len(p.Counts) + len(p.Latency) + len(p.Sessions) + len(p.Readable)
	if len(w.values) < putRows && w.size < putBytes {
		return nil
	}
	return w.flush(ctx)
}

func (w *packedWriter) flush(ctx context.Context) error {
	if len(w.values) == 0 {
		return nil
	}
	err := putRowsOf(ctx, w.tx, w.bucket, w.values)
	clear(w.values)
	w.values, w.size = w.values[:0], 0
	return err
}

// finish writes what waits, and gives the bucket another generation.
func (w *packedWriter) finish(ctx context.Context) error {
	if err := w.flush(ctx); err != nil {
		return err
	}
	_, err := w.tx.ExecContext(ctx, `
		INSERT INTO aggregate_buckets (resolution, bucket, generation) VALUES ($1, $2, nextval('aggregate_generations'))
		ON CONFLICT (resolution, bucket) DO UPDATE SET generation = excluded.generation`, string(w.bucket.Resolution), w.bucket.Start)
	return err
}

func putRowsOf(ctx context.Context, tx *transaction, b domain.PackedBucket, values []domain.Packed) error {
	q := newValueList(string(b.Resolution), b.Start)
	for i := range values {
		p := &values[i]
		readable := sql.NullString{String: p.Readable, Valid: p.Readable != ""}
		q.add(`$1::text, $2::timestamptz, ?::smallint, ?::smallint, ?::bytea, ?::bytea, ?::bytea, ?::text`,
			int(p.Grain), p.Part, p.Counts, p.Latency, p.Sessions, readable)
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO packed_aggregates (resolution, bucket, grain, part, counts, latency, sessions, readable)
		VALUES `+q.String()+`
		ON CONFLICT (resolution, grain, part, bucket) DO UPDATE SET
			counts = excluded.counts, latency = excluded.latency, sessions = excluded.sessions, readable = excluded.readable`,
		q.args...)
	return err
}

// valueList is a list of rows whose parameters are numbered.
type valueList struct {
	rows []string
	args []any
}

// newValueList returns a list that begins with no row; $1 and so on are args.
func newValueList(args ...any) *valueList { return &valueList{args: args} }

// add appends a row; each ? in it stands for the next of args.
func (v *valueList) add(row string, args ...any) {
	for _, arg := range args {
		v.args = append(v.args, arg)
		row = strings.Replace(row, "?", "$"+strconv.Itoa(len(v.args)), 1)
	}
	v.rows = append(v.rows, "("+row+")")
}

func (v *valueList) String() string { return strings.Join(v.rows, ", ") }
