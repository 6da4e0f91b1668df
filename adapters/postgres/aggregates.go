package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/lib/pq"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// mergeChunk is how many rows one statement reads or writes.
const mergeChunk = 5_000

// mergeAggregates adds to the stored aggregates of a day, whose lock is held.
// Rows that exist are read, merged in Go, as only the domain knows how, and
// written back.
func mergeAggregates(ctx context.Context, tx *transaction, day time.Time, a domain.Aggregates) error {
	for rollups := a.Rollups; len(rollups) > 0; {
		n := 0
		for n < min(mergeChunk, len(rollups)) && rollups[n].Resolution == rollups[0].Resolution {
			n++
		}
		if err := mergeRollups(ctx, tx, day, rollups[:n]); err != nil {
			return err
		}
		rollups = rollups[n:]
	}
	for errs := a.Errors; len(errs) > 0; {
		n := min(mergeChunk, len(errs))
		if err := mergeErrors(ctx, tx, day, errs[:n]); err != nil {
			return err
		}
		errs = errs[n:]
	}
	return nil
}

// mergeRollups merges rows of one resolution.
func mergeRollups(ctx context.Context, tx *transaction, day time.Time, added []domain.RollupRow) error {
	table := tableOf(added[0].Resolution)
	var places places
	for i := range added {
		places.add(added[i].Bucket, added[i].Group)
	}
	var stored rollupRow
	err := eachStored(ctx, tx, storedRollups(table), append(places.arrays(), day, day.Add(domain.Daily.Length())), stored.values(),
		func(i int) error {
			rollup, err := stored.rollup()
			if err != nil {
				return damagedRow(table, added[i].Bucket, added[i].Group, err)
			}
			added[i].Rollup.Merge(&rollup)
			return nil
		})
	if err != nil {
		return err
	}
	values, err := rollupArrays(added)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, putRollups(table), append(places.arrays(), values...)...)
	return err
}

// mergeErrors is mergeRollups for error summaries.
func mergeErrors(ctx context.Context, tx *transaction, day time.Time, added []domain.ErrorRow) error {
	var places places
	for i := range added {
		places.add(added[i].Bucket, added[i].Group)
		places.resolutions = append(places.resolutions, string(added[i].Resolution))
		places.errorTypes = append(places.errorTypes, added[i].ErrorType)
	}
	keys := append(places.arrays(), places.resolutions, places.errorTypes)
	var stored errorRow
	err := eachStored(ctx, tx, storedErrors, append(keys, day, day.Add(domain.Daily.Length())), stored.values(),
		func(i int) error {
			summary, err := stored.summary()
			if err != nil {
				return damagedRow(errorTable, added[i].Bucket, added[i].Group, err)
			}
			added[i].Merge(&summary)
			return nil
		})
	if err != nil {
		return err
	}
	values, err := errorArrays(added)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, putErrors, append(keys, values...)...)
	return err
}

// eachStored runs a query that gives the number of a place, from 1 on, and the
// values of the row there, and calls merge for each with the place's index.
func eachStored(ctx context.Context, tx *transaction, query string, args, values []any, merge func(i int) error) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var number int
	values = append([]any{&number}, values...)
	for rows.Next() {
		if err := rows.Scan(values...); err != nil {
			return err
		}
		if err := merge(number - 1); err != nil {
			return err
		}
	}
	return rows.Err()
}

// places are the keys of rows, by column.
type places struct {
	grains, buckets                      pq.Int64Array
	tools, versions, countries, services pq.StringArray
	resolutions, errorTypes              pq.StringArray // of error summaries
}

func (p *places) add(bucket time.Time, g domain.Group) {
	p.grains = append(p.grains, int64(g.Grain))
	p.buckets = append(p.buckets, bucket.Unix())
	p.tools = append(p.tools, g.Tool)
	p.versions = append(p.versions, g.Version)
	p.countries = append(p.countries, g.Country)
	p.services = append(p.services, g.Service)
}

// arrays are the keys that all aggregates have.
func (p *places) arrays() []any {
	return []any{p.grains, p.buckets, p.tools, p.versions, p.countries, p.services}
}

// storedRollups reads the rows that exist at the given places of a day. The
// day tells the planner which partition to look in.
func storedRollups(table string) string {
	return `
		SELECT place.number, ` + rollupValues + `
		FROM unnest($1::smallint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[])
			WITH ORDINALITY AS place (grain, bucket, tool, version, country, service, number)
		JOIN ` + table + ` AS stored ON stored.grain = place.grain AND stored.bucket = to_timestamp(place.bucket)
			AND stored.tool = place.tool AND stored.version = place.version
			AND stored.country = place.country AND stored.service = place.service
		WHERE stored.bucket >= $7::timestamptz AND stored.bucket < $8::timestamptz`
}

func putRollups(table string) string {
	return `
		INSERT INTO ` + table + ` (grain, bucket, tool, version, country, service, ` + rollupValues + `)
		SELECT grain, to_timestamp(bucket), tool, version, country, service, ` + rollupValues + `
		FROM unnest($1::smallint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[],
			$7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
			$14::bigint[], $15::integer[], $16::integer[], $17::bytea[], $18::bytea[])
			AS added (grain, bucket, tool, version, country, service, ` + rollupValues + `)
		ON CONFLICT (grain, bucket, tool, version, country, service) DO UPDATE SET
			calls = excluded.calls, errors = excluded.errors,
			cache_hits = excluded.cache_hits, cache_misses = excluded.cache_misses,
			retries = excluded.retries, retries_observed = excluded.retries_observed, retried = excluded.retried,
			response_time_sum_ms = excluded.response_time_sum_ms,
			response_time_min_ms = excluded.response_time_min_ms, response_time_max_ms = excluded.response_time_max_ms,
			latency = excluded.latency, sessions = excluded.sessions`
}

// rollupArrays are the values of rows, by column.
func rollupArrays(rows []domain.RollupRow) ([]any, error) {
	var numbers [rollupNumbers]pq.Int64Array
	var latency, sessions pq.ByteaArray
	for i := range rows {
		r := &rows[i].Rollup
		for j, n := range numbersOf(r) {
			numbers[j] = append(numbers[j], n)
		}
		// No bytes at all would be stored as NULL.
		data, err := r.Latency.AppendBinary([]byte{})
		if err != nil {
			return nil, fmt.Errorf("encode latency: %w", err)
		}
		latency = append(latency, data)
		if data, err = r.Sessions.AppendBinary([]byte{}); err != nil {
			return nil, fmt.Errorf("encode sessions: %w", err)
		}
		sessions = append(sessions, data)
	}
	var arrays []any
	for _, n := range numbers {
		arrays = append(arrays, n)
	}
	return append(arrays, latency, sessions), nil
}

const storedErrors = `
	SELECT place.number, ` + errorValues + `
	FROM unnest($1::smallint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
		WITH ORDINALITY AS place (grain, bucket, tool, version, country, service, resolution, error_type, number)
	JOIN error_summary AS stored ON stored.resolution = place.resolution AND stored.grain = place.grain
		AND stored.tool = place.tool AND stored.version = place.version
		AND stored.country = place.country AND stored.service = place.service
		AND stored.bucket = to_timestamp(place.bucket) AND stored.error_type = place.error_type
	WHERE stored.bucket >= $9::timestamptz AND stored.bucket < $10::timestamptz`

const putErrors = `
	INSERT INTO error_summary (grain, bucket, tool, version, country, service, resolution, error_type, ` + errorValues + `)
	SELECT grain, to_timestamp(bucket), tool, version, country, service, resolution, error_type,
		count, to_timestamp(first_seen), to_timestamp(last_seen), tools, versions
	FROM unnest($1::smallint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
		$9::bigint[], $10::bigint[], $11::bigint[], $12::jsonb[], $13::jsonb[])
		AS added (grain, bucket, tool, version, country, service, resolution, error_type, ` + errorValues + `)
	ON CONFLICT (resolution, grain, tool, version, country, service, bucket, error_type) DO UPDATE SET
		count = excluded.count, first_seen = excluded.first_seen, last_seen = excluded.last_seen,
		tools = excluded.tools, versions = excluded.versions`

func errorArrays(rows []domain.ErrorRow) ([]any, error) {
	var counts, first, last pq.Int64Array
	var tools, versions pq.StringArray
	for i := range rows {
		s := &rows[i].ErrorSummary
		counts, first, last = append(counts, s.Count), append(first, s.FirstSeen.Unix()), append(last, s.LastSeen.Unix())
		text, err := json.Marshal(s.Tools)
		if err != nil {
			return nil, fmt.Errorf("encode tools: %w", err)
		}
		tools = append(tools, string(text))
		if text, err = json.Marshal(s.Versions); err != nil {
			return nil, fmt.Errorf("encode versions: %w", err)
		}
		versions = append(versions, string(text))
	}
	return []any{counts, first, last, tools, versions}, nil
}
