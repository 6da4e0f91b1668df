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

func TestFinestOfOneEvent(t *testing.T) {
	hour := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	e := domain.Event{
		Version: "v", Tool: "t", Country: "c", Service: "s", Hour: hour,
		Status: domain.StatusError, ErrorType: "timeout", ResponseTimeMS: domain.Some[int32](7),
	}
	want := domain.Aggregates{
		Rollups: []domain.RollupRow{{Resolution: domain.Hourly, Bucket: hour, Group: fullGroup, Rollup: rollupOf(e)}},
		Errors: []domain.ErrorRow{{
			ErrorKey:     domain.ErrorKey{Resolution: domain.Hourly, Bucket: hour, Group: fullGroup, ErrorType: "timeout"},
			ErrorSummary: domain.ErrorSummary{Count: 1, FirstSeen: hour, LastSeen: hour, Tools: []string{"t"}, Versions: []string{"v"}},
		}},
	}
	if got := domain.Finest([]domain.Event{e}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestFinestOfNothing(t *testing.T) {
	for _, batches := range [][][]domain.Event{nil, {nil, {}}} {
		if a := domain.Finest(batches...); len(a.Rollups) != 0 || len(a.Errors) != 0 {
			t.Errorf("%v adds up to %+v", batches, a)
		}
	}
}

func TestFinestNamesUnspecifiedErrors(t *testing.T) {
	a := domain.Finest([]domain.Event{{Status: domain.StatusError}, {Status: domain.StatusSuccess}})
	if len(a.Errors) != 1 || a.Errors[0].ErrorType != domain.UnspecifiedError || a.Errors[0].Count != 1 {
		t.Errorf("a failed call without a type counts as %+v", a.Errors)
	}
}

// Hours of all years that a store takes have a place, in order.
func TestFinestOfAllYears(t *testing.T) {
	years := []int{1, 1969, 1970, 2026, 9999}
	var events []domain.Event
	for _, year := range years {
		events = append(events, domain.Event{Tool: "t", Hour: time.Date(year, 5, 6, 7, 0, 0, 0, time.UTC)})
	}
	a := domain.Finest(events)
	if len(a.Rollups) != len(years) {
		t.Fatalf("%d rows", len(a.Rollups))
	}
	for i, row := range a.Rollups {
		if !row.Bucket.Equal(events[i].Hour) {
			t.Errorf("row %d is of %v, want %v", i, row.Bucket, events[i].Hour)
		}
	}
}

// TestFinestIsAFunctionOfTheMultiset also adds up the events of each row by hand.
func TestFinestIsAFunctionOfTheMultiset(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := drawEvents(t, "events")
		want := domain.Finest(events)
		shuffled := rapid.Permutation(events).Draw(t, "order")
		cut := rapid.IntRange(0, len(events)).Draw(t, "cut")
		if got := domain.Finest(shuffled[:cut], shuffled[cut:]); !reflect.DeepEqual(got, want) {
			t.Fatalf("in another order it is %+v\nwant %+v", got, want)
		}
		if !slices.IsSortedFunc(want.Rollups, domain.CompareRollupRows) || !slices.IsSortedFunc(want.Errors, domain.CompareErrorRows) {
			t.Fatal("the rows are not in order")
		}
		calls := int64(0)
		for _, row := range want.Rollups {
			place := domain.ErrorKey{Resolution: row.Resolution, Bucket: row.Bucket, Group: row.Group}
			if sum := rollupOf(eventsAt(events, place)...); !reflect.DeepEqual(row.Rollup, sum) {
				t.Fatalf("%+v is %+v\nwant %+v", place, row.Rollup, sum)
			}
			calls += row.Rollup.Calls
		}
		if calls != int64(len(events)) {
			t.Fatalf("%d calls of %d events", calls, len(events))
		}
	})
}

func TestCountedIn(t *testing.T) {
	hour := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	e := domain.Event{Version: "v", Tool: "t", Country: "c", Service: "s", Hour: hour, Status: domain.StatusSuccess}
	places := domain.CountedIn(&e)
	for _, r := range domain.Resolutions() {
		for _, grain := range domain.PackedGrains(r) {
			place := domain.ErrorKey{Resolution: r, Bucket: r.Floor(hour), Group: fullGroup.At(grain)}
			if n := len(places); !slices.Contains(places, place) || n != len(domain.PackedGrains(domain.Hourly))+len(domain.PackedGrains(domain.Daily)) {
				t.Errorf("%d places, and %+v among them: %t", n, place, slices.Contains(places, place))
			}
		}
	}
	e.Status, e.ErrorType = domain.StatusError, "timeout"
	failed := domain.CountedIn(&e)
	want := domain.ErrorKey{Resolution: domain.Daily, Bucket: domain.Daily.Floor(hour), Group: fullGroup, ErrorType: "timeout"}
	if len(failed) != len(places)+4 || !slices.Contains(failed, want) {
		t.Errorf("a failed call counts in %+v", failed)
	}
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
