package domain_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

func TestAggregateOfOneEvent(t *testing.T) {
	hour := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	e := domain.Event{
		Version: "v", Tool: "t", Country: "c", Service: "s", Hour: hour,
		Status: domain.StatusError, ErrorType: "timeout", ResponseTimeMS: domain.Some[int32](7),
	}
	var want domain.Aggregates
	for _, r := range []domain.Resolution{domain.Daily, domain.Hourly} { // by name
		for grain := domain.GrainTotal; grain <= domain.GrainFull; grain++ {
			if slices.Contains(domain.RollupGrains(), grain) {
				want.Rollups = append(want.Rollups, domain.RollupRow{
					Resolution: r, Bucket: hour.Truncate(r.Length()), Group: fullGroup.At(grain), Rollup: rollupOf(e),
				})
			}
			if slices.Contains(domain.ErrorGrains(), grain) {
				want.Errors = append(want.Errors, domain.ErrorRow{
					ErrorKey: domain.ErrorKey{
						Resolution: r, Bucket: hour.Truncate(r.Length()), Group: fullGroup.At(grain), ErrorType: "timeout",
					},
					ErrorSummary: domain.ErrorSummary{
						Count: 1, FirstSeen: hour, LastSeen: hour, Tools: []string{"t"}, Versions: []string{"v"},
					},
				})
			}
		}
	}
	if got := domain.Aggregate([]domain.Event{e}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestAggregateOfNothing(t *testing.T) {
	for _, batches := range [][][]domain.Event{nil, {nil, {}}} {
		if a := domain.Aggregate(batches...); len(a.Rollups) != 0 || len(a.Errors) != 0 {
			t.Errorf("%v adds up to %+v", batches, a)
		}
	}
}

func TestAggregateNamesUnspecifiedErrors(t *testing.T) {
	a := domain.Aggregate([]domain.Event{{Status: domain.StatusError}, {Status: domain.StatusSuccess}})
	for _, row := range a.Errors {
		if row.ErrorType != domain.UnspecifiedError || row.Count != 1 {
			t.Errorf("a failed call without a type counts as %+v", row)
		}
	}
	if want := len(domain.Resolutions()) * len(domain.ErrorGrains()); len(a.Errors) != want {
		t.Errorf("%d error rows, want %d", len(a.Errors), want)
	}
}

func TestAggregateIsAFunctionOfTheMultiset(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t, "events")
		want := domain.Aggregate(events)
		shuffled := rapid.Permutation(events).Draw(t, "order")
		cut := rapid.IntRange(0, len(events)).Draw(t, "cut")
		if got := domain.Aggregate(shuffled[:cut], shuffled[cut:]); !reflect.DeepEqual(got, want) {
			t.Fatalf("in another order it is %+v\nwant %+v", got, want)
		}
		if !slices.IsSortedFunc(want.Rollups, domain.CompareRollupRows) || !slices.IsSortedFunc(want.Errors, domain.CompareErrorRows) {
			t.Fatal("the rows are not in order")
		}
	})
}

// TestAggregateCountsEveryEventInEveryGrain adds up the events of each row by
// hand.
func TestAggregateCountsEveryEventInEveryGrain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t, "events")
		a := domain.Aggregate(events)
		places := make(map[domain.ErrorKey]bool)
		for _, row := range a.Rollups {
			place := domain.ErrorKey{Resolution: row.Resolution, Bucket: row.Bucket, Group: row.Group}
			if places[place] {
				t.Fatalf("twice: %+v", place)
			}
			places[place] = true
			if want := rollupOf(eventsAt(events, place)...); !reflect.DeepEqual(row.Rollup, want) {
				t.Fatalf("%+v is %+v\nwant %+v", place, row.Rollup, want)
			}
		}
		for _, r := range domain.Resolutions() {
			for _, grain := range domain.RollupGrains() {
				calls := 0
				for _, row := range a.Rollups {
					if row.Resolution == r && row.Group.Grain == grain {
						calls += int(row.Rollup.Calls)
					}
				}
				if calls != len(events) {
					t.Fatalf("%v rows of %v count %d calls of %d", r, grain, calls, len(events))
				}
			}
		}
	})
}

func eventsAt(events []domain.Event, place domain.ErrorKey) []domain.Event {
	var at []domain.Event
	for _, e := range events {
		if place.Resolution.Floor(e.Hour).Equal(place.Bucket) && domain.GroupOf(&e).At(place.Group.Grain) == place.Group {
			at = append(at, e)
		}
	}
	return at
}

func drawSummary(t *rapid.T, label string) domain.ErrorSummary {
	var s domain.ErrorSummary
	for _, e := range drawEvents(t, label) {
		s.Merge(&domain.ErrorSummary{
			Count: 1, FirstSeen: e.Hour, LastSeen: e.Hour, Tools: []string{e.Tool}, Versions: []string{e.Version},
		})
	}
	return s
}

func TestErrorSummaryMergesInAnyOrder(t *testing.T) {
	clone := func(s domain.ErrorSummary) domain.ErrorSummary {
		s.Tools, s.Versions = slices.Clone(s.Tools), slices.Clone(s.Versions)
		return s
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawSummary(t, "a"), drawSummary(t, "b"), drawSummary(t, "c")
		beforeB, beforeC := clone(b), clone(c)
		left, right, inner := clone(a), clone(c), clone(b)
		left.Merge(&b)
		left.Merge(&c)
		inner.Merge(&a)
		right.Merge(&inner)
		if !reflect.DeepEqual(left, right) {
			t.Fatalf("(a+b)+c is %+v\nc+(b+a) is %+v", left, right)
		}
		if !reflect.DeepEqual(b, beforeB) || !reflect.DeepEqual(c, beforeC) {
			t.Fatal("merging changed what was merged")
		}
		if left.Count != a.Count+b.Count+c.Count || left.LastSeen.Before(left.FirstSeen) ||
			!slices.IsSorted(left.Tools) || len(slices.Compact(slices.Clone(left.Tools))) != len(left.Tools) {
			t.Fatalf("merged to %+v", left)
		}
	})
}

func TestErrorSummarySeen(t *testing.T) {
	early, late := contract.Now, contract.Now.Add(time.Hour)
	summary := func(at time.Time, tool string) domain.ErrorSummary {
		return domain.ErrorSummary{Count: 1, FirstSeen: at, LastSeen: at, Tools: []string{tool}, Versions: []string{"1"}}
	}
	want := domain.ErrorSummary{Count: 2, FirstSeen: early, LastSeen: late, Tools: []string{"a", "b"}, Versions: []string{"1"}}
	for _, order := range [][2]domain.ErrorSummary{
		{summary(early, "b"), summary(late, "a")},
		{summary(late, "a"), summary(early, "b")},
	} {
		got := order[0]
		got.Merge(&order[1])
		if !reflect.DeepEqual(got, want) {
			t.Errorf("merged to %+v\nwant %+v", got, want)
		}
	}
}
