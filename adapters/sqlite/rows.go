package sqlite

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// groupColumns are the place of a group in an aggregate's row.
type groupColumns struct {
	Grain   domain.Grain `db:"grain"`
	Bucket  int64        `db:"bucket"`
	Tool    string       `db:"tool"`
	Version string       `db:"version"`
	Country string       `db:"country"`
	Service string       `db:"service"`
}

func newGroupColumns(g domain.Group, bucket time.Time) groupColumns {
	return groupColumns{g.Grain, bucket.Unix(), g.Tool, g.Version, g.Country, g.Service}
}

func (c *groupColumns) group() domain.Group {
	return domain.Group{Grain: c.Grain, Tool: c.Tool, Version: c.Version, Country: c.Country, Service: c.Service}
}

func (c *groupColumns) start() time.Time { return time.Unix(c.Bucket, 0).UTC() }

// damaged is the error of a row whose values cannot be read. It says which row
// that is and what to do.
func (c *groupColumns) damaged(table string, err error) error {
	return domain.NewError(domain.CodeUnavailable,
		fmt.Errorf("%s, bucket %s, group %+v: %w; rebuild the aggregates of that time from the raw events",
			table, c.start().Format(time.RFC3339), c.group(), err),
		"a stored aggregate is damaged")
}

// rollupRow is a row of hourly_aggregations or daily_aggregations.
type rollupRow struct {
	groupColumns

	Calls             int64  `db:"calls"`
	Errors            int64  `db:"errors"`
	CacheHits         int64  `db:"cache_hits"`
	CacheMisses       int64  `db:"cache_misses"`
	Retries           int64  `db:"retries"`
	RetriesObserved   int64  `db:"retries_observed"`
	Retried           int64  `db:"retried"`
	ResponseTimeSumMS int64  `db:"response_time_sum_ms"`
	ResponseTimeMinMS int32  `db:"response_time_min_ms"`
	ResponseTimeMaxMS int32  `db:"response_time_max_ms"`
	Latency           []byte `db:"latency"`
	Sessions          []byte `db:"sessions"`
}

func tableOf(r domain.Resolution) string {
	if r == domain.Daily {
		return "daily_aggregations"
	}
	return "hourly_aggregations"
}

func rollupTable(r domain.Resolution) mergeTable[rollupRow] {
	return mergeTable[rollupRow]{
		name: tableOf(r),
		keys: []string{"grain", "bucket", "tool", "version", "country", "service"},
		values: []string{
			"calls", "errors", "cache_hits", "cache_misses", "retries", "retries_observed", "retried",
			"response_time_sum_ms", "response_time_min_ms", "response_time_max_ms", "latency", "sessions",
		},
		fields: func(r *rollupRow) []any {
			return []any{
				&r.Calls, &r.Errors, &r.CacheHits, &r.CacheMisses, &r.Retries, &r.RetriesObserved, &r.Retried,
				&r.ResponseTimeSumMS, &r.ResponseTimeMinMS, &r.ResponseTimeMaxMS, &r.Latency, &r.Sessions,
			}
		},
	}
}

// newRollupRow returns the row's values; its place is left open. An empty
// sketch has no bytes, and these must not be nil, which would be NULL.
func newRollupRow(r *domain.Rollup) *rollupRow {
	latency, _ := r.Latency.AppendBinary([]byte{})   // never fails
	sessions, _ := r.Sessions.AppendBinary([]byte{}) // never fails
	return &rollupRow{
		Calls: r.Calls, Errors: r.Errors,
		CacheHits: r.CacheHits, CacheMisses: r.CacheMisses,
		Retries: r.Retries, RetriesObserved: r.RetriesObserved, Retried: r.Retried,
		ResponseTimeSumMS: r.ResponseTimeSumMS,
		ResponseTimeMinMS: r.ResponseTimeMinMS, ResponseTimeMaxMS: r.ResponseTimeMaxMS,
		Latency: latency, Sessions: sessions,
	}
}

func (r *rollupRow) rollup(table string) (domain.Rollup, error) {
	rollup := domain.Rollup{
		Calls: r.Calls, Errors: r.Errors,
		CacheHits: r.CacheHits, CacheMisses: r.CacheMisses,
		Retries: r.Retries, RetriesObserved: r.RetriesObserved, Retried: r.Retried,
		ResponseTimeSumMS: r.ResponseTimeSumMS,
		ResponseTimeMinMS: r.ResponseTimeMinMS, ResponseTimeMaxMS: r.ResponseTimeMaxMS,
	}
	if err := rollup.Latency.UnmarshalBinary(r.Latency); err != nil {
		return domain.Rollup{}, r.damaged(table, err)
	}
	rollup.Timed = rollup.Latency.Count()
	if err := rollup.Sessions.UnmarshalBinary(r.Sessions); err != nil {
		return domain.Rollup{}, r.damaged(table, err)
	}
	return rollup, nil
}

// errorRow is a row of error_summary.
type errorRow struct {
	groupColumns

	ErrorType string `db:"error_type"`
	Count     int64  `db:"count"`
	FirstSeen int64  `db:"first_seen"`
	LastSeen  int64  `db:"last_seen"`
	Tools     string `db:"tools"`
	Versions  string `db:"versions"`
}

var errorTable = mergeTable[errorRow]{
	name:   "error_summary",
	keys:   []string{"resolution", "grain", "tool", "version", "country", "service", "bucket", "error_type"},
	values: []string{"count", "first_seen", "last_seen", "tools", "versions"},
	fields: func(r *errorRow) []any {
		return []any{&r.Count, &r.FirstSeen, &r.LastSeen, &r.Tools, &r.Versions}
	},
}

// newErrorRow returns the row's values; its place is left open.
func newErrorRow(s *domain.ErrorSummary) *errorRow {
	tools, _ := json.Marshal(s.Tools)       // strings always can be
	versions, _ := json.Marshal(s.Versions) // encoded
	return &errorRow{
		Count: s.Count, FirstSeen: s.FirstSeen.Unix(), LastSeen: s.LastSeen.Unix(),
		Tools: string(tools), Versions: string(versions),
	}
}

func (r *errorRow) summary() (domain.ErrorSummary, error) {
	s := domain.ErrorSummary{
		Count:     r.Count,
		FirstSeen: time.Unix(r.FirstSeen, 0).UTC(),
		LastSeen:  time.Unix(r.LastSeen, 0).UTC(),
	}
	if err := json.Unmarshal([]byte(r.Tools), &s.Tools); err != nil {
		return domain.ErrorSummary{}, r.damaged(errorTable.name, err)
	}
	if err := json.Unmarshal([]byte(r.Versions), &s.Versions); err != nil {
		return domain.ErrorSummary{}, r.damaged(errorTable.name, err)
	}
	return s, nil
}
