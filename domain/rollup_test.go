package domain_test

import (
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// drawEvents draws events of two days that meet in few groups.
func drawEvents(t *rapid.T, label string) []domain.Event {
	event := rapid.Custom(func(t *rapid.T) domain.Event { return contract.DrawEvent(t, contract.Now, 40) })
	return rapid.SliceOfN(event, 0, 12).Draw(t, label)
}

func rollupOf(events ...domain.Event) domain.Rollup {
	var r domain.Rollup
	for i := range events {
		r.Add(&events[i])
	}
	return r
}

func TestRollupCounts(t *testing.T) {
	plain := domain.Event{Status: domain.StatusSuccess}
	failed := domain.Event{Status: domain.StatusError}
	zeros := domain.Event{
		Status: domain.StatusSuccess, ResponseTimeMS: domain.Some[int32](0),
		CacheHit: domain.Some(false), RetryCount: domain.Some[int32](0), SessionID: "a",
	}
	full := domain.Event{
		Status: domain.StatusError, ResponseTimeMS: domain.Some[int32](50),
		CacheHit: domain.Some(true), RetryCount: domain.Some[int32](3), SessionID: "b",
	}
	r := rollupOf(full, plain, failed, zeros, full)
	type counts struct {
		calls, errors, successes, hits, misses, retries, observed, retried, timed, sum, sessions int64
		low, high                                                                                int32
	}
	got := counts{
		r.Calls, r.Errors, r.Successes(), r.CacheHits, r.CacheMisses, r.Retries, r.RetriesObserved, r.Retried,
		r.Timed, r.ResponseTimeSumMS, r.Sessions.Estimate(), r.ResponseTimeMinMS, r.ResponseTimeMaxMS,
	}
	want := counts{
		calls: 5, errors: 3, successes: 2, hits: 2, misses: 1, retries: 6, observed: 3, retried: 2,
		timed: 3, sum: 100, sessions: 2, low: 0, high: 50,
	}
	if got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	if low := rollupOf(full, plain).ResponseTimeMinMS; low != 50 {
		t.Errorf("a call that told no time makes the lowest %d", low)
	}
}

func TestRollupIsAFunctionOfTheMultiset(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawEvents(t, "a"), drawEvents(t, "b"), drawEvents(t, "c")
		whole := rollupOf(rapid.Permutation(slices.Concat(a, b, c)).Draw(t, "order")...)

		left, inner := rollupOf(a...), rollupOf(b...)
		partB, partC := rollupOf(b...), rollupOf(c...)
		left.Merge(&partB)
		left.Merge(&partC)
		inner.Merge(&partC)
		right := rollupOf(a...)
		inner.Merge(&right)
		for name, r := range map[string]domain.Rollup{"(a+b)+c": left, "(b+c)+a": inner} {
			if !reflect.DeepEqual(r, whole) {
				t.Fatalf("%s is %+v\nwant %+v", name, r, whole)
			}
		}
		if !reflect.DeepEqual(partB, rollupOf(b...)) || !reflect.DeepEqual(partC, rollupOf(c...)) {
			t.Fatal("merging changed what was merged")
		}
		var empty domain.Rollup
		left.Merge(&empty)
		empty.Merge(&whole)
		if !reflect.DeepEqual(left, whole) || !reflect.DeepEqual(empty, whole) {
			t.Fatal("the empty rollup makes a difference")
		}
	})
}

func TestRollupQuantiles(t *testing.T) {
	var empty domain.Rollup
	if empty.Quantile(0.5) != 0 {
		t.Errorf("the median of nothing is %v", empty.Quantile(0.5))
	}
	rapid.Check(t, func(t *rapid.T) {
		values := latencies.Filter(func(v []int32) bool { return len(v) > 0 }).Draw(t, "values")
		var r domain.Rollup
		for _, v := range values {
			r.Add(&domain.Event{ResponseTimeMS: domain.Some(v)})
		}
		previous := float64(slices.Min(values))
		for _, q := range []float64{0, 0.5, 0.95, 0.99, 1} {
			got, exact := r.Quantile(q), nearestRank(values, q)
			if math.Abs(math.Round(10*got)/10-exact) > 0.01*exact {
				t.Fatalf("the %v-quantile is %v, want %v", q, got, exact)
			}
			if got < previous || got > float64(slices.Max(values)) {
				t.Fatalf("the %v-quantile is %v: below the one before, %v, or above the highest value", q, got, previous)
			}
			previous = got
		}
	})
}
