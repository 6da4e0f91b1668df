package postgres

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

const errorTable = "error_summary"

func tableOf(r domain.Resolution) string {
	if r == domain.Daily {
		return "daily_aggregations"
	}
	return "hourly_aggregations"
}

// damaged is the error of what cannot be read. It says where that is and what
// to do.
func damaged(table string, bucket time.Time, where string, err error) error {
	return domain.NewError(domain.CodeUnavailable,
		fmt.Errorf("%s, bucket %s, %s: %w; run analytics rebuild for that day",
			table, bucket.UTC().Format(time.RFC3339), where, err),
		"a stored aggregate is damaged")
}

func damagedRow(table string, bucket time.Time, g domain.Group, err error) error {
	return damaged(table, bucket, fmt.Sprintf("group %+v", g), err)
}

// rollupNumbers is how many numbers a rollup has beside its sketches.
const rollupNumbers = 10

// rollupValues are the columns of a rollup: its numbers and then its sketches.
const rollupValues = `calls, errors, cache_hits, cache_misses, retries, retries_observed, retried,
	response_time_sum_ms, response_time_min_ms, response_time_max_ms, latency, sessions`

func numbersOf(r *domain.Rollup) [rollupNumbers]int64 {
	return [rollupNumbers]int64{
		r.Calls, r.Errors, r.CacheHits, r.CacheMisses, r.Retries, r.RetriesObserved, r.Retried,
		r.ResponseTimeSumMS, int64(r.ResponseTimeMinMS), int64(r.ResponseTimeMaxMS),
	}
}

func newRollup(n [rollupNumbers]int64, latency, sessions []byte) (domain.Rollup, error) {
	r := domain.Rollup{
		Calls: n[0], Errors: n[1], CacheHits: n[2], CacheMisses: n[3], Retries: n[4], RetriesObserved: n[5], Retried: n[6],
		ResponseTimeSumMS: n[7], ResponseTimeMinMS: int32(n[8]), ResponseTimeMaxMS: int32(n[9]), //nolint:gosec // made of an int32
	}
	if err := r.Latency.UnmarshalBinary(latency); err != nil {
		return domain.Rollup{}, err
	}
	r.Timed = r.Latency.Count()
	if err := r.Sessions.UnmarshalBinary(sessions); err != nil {
		return domain.Rollup{}, err
	}
	if slices.Min(n[:]) < 0 || !addsUp(&r) || !timesAddUp(&r, n[8], n[9]) {
		return domain.Rollup{}, errImpossible
	}
	return r, nil
}

var errImpossible = errors.New("the numbers cannot be those of any calls")

// addsUp tells whether a rollup's counts can be those of any calls.
func addsUp(r *domain.Rollup) bool {
	return r.Errors <= r.Calls && r.CacheHits <= r.Calls && r.CacheMisses <= r.Calls-r.CacheHits &&
		r.RetriesObserved <= r.Calls && r.Retried <= r.RetriesObserved && r.Retried <= r.Retries &&
		(r.Retried > 0 || r.Retries == 0)
}

// timesAddUp is addsUp for the response times; lowest and highest are as they
// were stored.
func timesAddUp(r *domain.Rollup, lowest, highest int64) bool {
	timed, sum := r.Timed, r.ResponseTimeSumMS
	if timed == 0 {
		return sum == 0 && lowest == 0 && highest == 0
	}
	// A product might be too large.
	return timed <= r.Calls && highest <= math.MaxInt32 && lowest <= sum/timed && (sum+timed-1)/timed <= highest
}

// rollupRow takes the values of a row of hourly_aggregations or
// daily_aggregations.
type rollupRow struct {
	numbers           [rollupNumbers]int64
	latency, sessions []byte
}

func (r *rollupRow) values() []any {
	values := make([]any, 0, rollupNumbers+2)
	for i := range r.numbers {
		values = append(values, &r.numbers[i])
	}
	return append(values, &r.latency, &r.sessions)
}

func (r *rollupRow) rollup() (domain.Rollup, error) {
	return newRollup(r.numbers, r.latency, r.sessions)
}

// errorRow takes the values of a row of error_summary.
type errorRow struct {
	count               int64
	firstSeen, lastSeen time.Time
	tools, versions     []byte // JSON
}

const errorValues = `count, first_seen, last_seen, tools, versions`

func (r *errorRow) values() []any {
	return []any{&r.count, &r.firstSeen, &r.lastSeen, &r.tools, &r.versions}
}

func (r *errorRow) summary() (domain.ErrorSummary, error) {
	if r.count <= 0 || r.lastSeen.Before(r.firstSeen) {
		return domain.ErrorSummary{}, errImpossible
	}
	s := domain.ErrorSummary{Count: r.count, FirstSeen: r.firstSeen.UTC(), LastSeen: r.lastSeen.UTC()}
	if err := json.Unmarshal(r.tools, &s.Tools); err != nil {
		return domain.ErrorSummary{}, err
	}
	if err := json.Unmarshal(r.versions, &s.Versions); err != nil {
		return domain.ErrorSummary{}, err
	}
	return s, nil
}
