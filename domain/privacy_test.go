package domain_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

func TestFoldSmallGroups(t *testing.T) {
	type groups = []domain.GroupCount
	tests := []struct {
		name    string
		minimum int64
		in      groups
		want    groups
	}{
		{"nothing", 5, nil, nil},
		{"none is small", 5, groups{{"DE", 5}, {"US", 9}}, groups{{"US", 9}, {"DE", 5}}},
		{"equal calls go by value", 5, groups{{"US", 5}, {"DE", 5}}, groups{{"DE", 5}, {"US", 5}}},
		{"several that suffice", 5, groups{{"US", 9}, {"DE", 4}, {"FR", 1}}, groups{{"US", 9}, {"other", 5}}},
		{"a single one takes the next with it", 5, groups{{"US", 9}, {"DE", 7}, {"FR", 4}}, groups{{"US", 9}, {"other", 11}}},
		{"too few take the next with them", 5, groups{{"US", 9}, {"DE", 7}, {"FR", 2}, {"GB", 1}}, groups{{"US", 9}, {"other", 10}}},
		{"the only shown one is taken too", 5, groups{{"US", 100}, {"DE", 3}}, groups{{"other", 103}}},
		{"all are small and suffice together", 5, groups{{"US", 4}, {"DE", 3}}, groups{{"other", 7}}},
		{"all together are too few", 5, groups{{"US", 2}, {"DE", 2}}, nil},
		{"one alone is too few", 5, groups{{"US", 4}}, nil},
		{"the next is the smallest, the last by value", 5, groups{{"DE", 7}, {"US", 7}, {"FR", 4}}, groups{{"DE", 7}, {"other", 11}}},
		{"one that is called other stands last", 5, groups{{"other", 50}, {"US", 9}}, groups{{"US", 9}, {"other", 50}}},
		{"one that is called other joins the hidden", 5, groups{{"other", 50}, {"US", 9}, {"DE", 1}}, groups{{"US", 9}, {"other", 51}}},
		{"one that is called other hides as any", 5, groups{{"other", 1}, {"US", 9}, {"DE", 8}}, groups{{"US", 9}, {"other", 9}}},
		{"off", 0, groups{{"DE", 1}, {"US", 2}}, groups{{"US", 2}, {"DE", 1}}},
		{"one call is enough", 1, groups{{"DE", 1}, {"US", 2}}, groups{{"US", 2}, {"DE", 1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := domain.FoldSmallGroups(tt.in, tt.minimum); !slices.Equal(got, tt.want) {
				t.Errorf("shown = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestFoldSmallGroupsHidesWhatItMust(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		counts := rapid.MapOfN(
			rapid.SampledFrom([]string{"AT", "CH", "DE", "FR", "GB", "JP", "NP", "US", "other"}),
			rapid.Int64Range(1, 12), 0, 9).Draw(t, "counts")
		minimum := rapid.Int64Range(0, 12).Draw(t, "minimum")
		var groups []domain.GroupCount
		for value, calls := range counts {
			groups = append(groups, domain.GroupCount{Value: value, Calls: calls})
		}
		given := slices.Clone(groups)
		shown := domain.FoldSmallGroups(groups, minimum)
		if !slices.Equal(groups, given) {
			t.Fatal("the list given was changed")
		}
		if again := domain.FoldSmallGroups(rapid.Permutation(groups).Draw(t, "order"), minimum); !slices.Equal(shown, again) {
			t.Fatalf("another order shows %v instead of %v", again, shown)
		}
		checkFold(t, counts, shown, minimum)
	})
}

func checkFold(t *rapid.T, counts map[string]int64, shown []domain.GroupCount, minimum int64) {
	t.Helper()
	hidden := make(map[string]int64) // what is not shown under its own name
	var hiddenCalls, other int64
	for value, calls := range counts {
		hidden[value] = calls
		hiddenCalls += calls
	}
	for i, g := range shown {
		if g.Calls < minimum {
			t.Fatalf("%v shows fewer calls than %d", shown, minimum)
		}
		if g.Value == domain.OtherName {
			if i != len(shown)-1 {
				t.Fatalf("%v: other is not last", shown)
			}
			other = g.Calls
			continue
		}
		if counts[g.Value] != g.Calls {
			t.Fatalf("%s is shown with %d calls and has %d", g.Value, g.Calls, counts[g.Value])
		}
		delete(hidden, g.Value)
		hiddenCalls -= g.Calls
	}
	switch {
	case other == 0:
		// What cannot be shown even as other leaves nothing to subtract from.
		if len(hidden) > 0 && (len(shown) > 0 || hiddenCalls >= minimum) {
			t.Fatalf("%v leaves out %v", shown, hidden)
		}
	case other != hiddenCalls:
		t.Fatalf("other has %d calls, hidden are %v", other, hidden)
	case len(hidden) == 1 && len(counts) > 1 && counts[domain.OtherName] != other:
		t.Fatalf("%v: other is %v alone", shown, hidden)
	}
	if hides := len(hidden) > 0; hides && other > 0 {
		checkNeeded(t, counts, hidden, minimum)
	}
}

// checkNeeded sees that no more is hidden than must be.
func checkNeeded(t *rapid.T, counts, hidden map[string]int64, minimum int64) {
	t.Helper()
	var small int
	var smallCalls, largest int64
	for value, calls := range hidden {
		if calls < minimum || value == domain.OtherName {
			small++
			smallCalls += calls
		} else {
			largest = max(largest, calls)
		}
	}
	for value, calls := range counts {
		if _, is := hidden[value]; !is && calls < largest {
			t.Fatalf("%s with %d calls is shown while one with %d is hidden", value, calls, largest)
		}
	}
	if small >= 2 && smallCalls >= minimum && len(hidden) > small {
		t.Fatalf("%v hides more than the small ones", hidden)
	}
	if len(hidden) > small+1 {
		t.Fatalf("%v hides more than one beside the small ones", hidden)
	}
}

// onDays returns n calls like the given one on each of the days before that of
// statisticsNow that have so many: counts[0] the day before it, and so on.
func onDays(t *testing.T, like domain.Event, counts ...int) []domain.Event {
	t.Helper()
	var events []domain.Event
	for i, n := range counts {
		for _, e := range calls(t, n, like) {
			e.Hour = e.Hour.AddDate(0, 0, -1-i)
			events = append(events, e)
		}
	}
	return events
}

// scopeOfDays is about the last 30 days in days, with a minimum of 5.
func scopeOfDays(t *testing.T) domain.Scope {
	t.Helper()
	scope := scopeOf(t, "30d")
	scope.PrivacyMinCount = 5
	return scope
}

func TestGroupsAreToldOnTheDaysOnWhichTheyAreLarge(t *testing.T) {
	events := slices.Concat(
		onDays(t, domain.Event{Country: "US"}, 20, 20, 20),
		onDays(t, domain.Event{Country: "DE"}, 6, 6, 0),
		onDays(t, domain.Event{Country: "LI"}, 0, 2, 3), // takes DE with it, then US
	)
	countries := reading(t, scopeOfDays(t), events).Tool("get_alerts").Countries
	equal(t, "countries", countries, domain.CountryReport{Countries: []domain.CountryShare{
		{Code: "US", Name: "United States", Calls: 40, Percentage: 51.9481},
		{Code: "DE", Name: "Germany", Calls: 6, Percentage: 7.7922},
		{Code: "other", Name: "Other", Calls: 31, Percentage: 40.2597},
	}})
}

func TestDaysWithTooFewCallsAreNotToldAtAll(t *testing.T) {
	events := slices.Concat(
		onDays(t, domain.Event{Country: "US", Version: "1.0"}, 20, 2),
		onDays(t, domain.Event{Country: "LI", Version: "1.1"}, 0, 1),
	)
	r := reading(t, scopeOfDays(t), events)
	equal(t, "countries", r.Tool("get_alerts").Countries, domain.CountryReport{Without: 3, Countries: []domain.CountryShare{
		{Code: "US", Name: "United States", Calls: 20, Percentage: 100},
	}})
	if o := r.Overview(); o.Summary.Calls != 23 || o.UniqueVersions != 2 {
		t.Errorf("%d calls of %d versions, want 23 of 1.0 and the rest", o.Summary.Calls, o.UniqueVersions)
	}
}

func TestErrorsNameVersionsByTheDay(t *testing.T) {
	failed := domain.Event{Status: domain.StatusError, ErrorType: "timeout", Version: "1.1"}
	events := slices.Concat(
		onDays(t, domain.Event{Version: "1.0"}, 20, 20),
		onDays(t, domain.Event{Version: "1.1"}, 20, 1), // is told on the first day,
		onDays(t, domain.Event{Version: "1.2"}, 20, 1),
		onDays(t, failed, 0, 3), // but not on that on which it failed
	)
	errs := reading(t, scopeOfDays(t), events).ErrorReport().Types
	if len(errs) != 1 || !slices.Equal(errs[0].AffectedVersions, []string{"other"}) {
		t.Errorf("errors = %+v, want one that affects other versions", errs)
	}
}

func TestAFilterCountsTheDaysOnWhichTheGroupIsTold(t *testing.T) {
	failed := domain.Event{Country: "DE", Version: "2.0", Status: domain.StatusError, ErrorType: "timeout"}
	events := slices.Concat(
		onDays(t, domain.Event{Country: "US", Version: "1.0"}, 20, 20, 20),
		onDays(t, domain.Event{Country: "FR", Version: "3.0"}, 20, 20, 3),
		onDays(t, failed, 7, 4, 9),
	)
	for name, filter := range map[string]domain.Filter{"country": {Country: "DE"}, "version": {Version: "2.0"}} {
		t.Run(name, func(t *testing.T) {
			scope := scopeOfDays(t)
			scope.Decisive = []domain.Selected{selected(t, scope.Window, events)}
			scope.Filter = filter
			r := reading(t, scope, events)
			// Of the last day it is hidden for the sake of the others.
			if o := r.Overview(); o.Summary.Calls != 7 || len(o.Errors) != 1 || o.Errors[0].Count != 7 {
				t.Errorf("%d calls, errors %+v; want the 7 of the first day", o.Summary.Calls, o.Errors)
			}
		})
	}
}

// A client may call its version so.
func TestAFilterByAVersionCalledOther(t *testing.T) {
	events := slices.Concat(onDays(t, domain.Event{Version: "other"}, 20, 20), onDays(t, domain.Event{Version: "2.0"}, 0, 4))
	for minimum, want := range map[int]int64{0: 40, 5: 0} {
		scope := scopeOfDays(t)
		scope.PrivacyMinCount, scope.Filter.Version = minimum, domain.OtherName
		if minimum > 0 {
			scope.Decisive = []domain.Selected{selected(t, scope.Window, events)}
		}
		if got := reading(t, scope, events).Overview().Summary.Calls; got != want {
			t.Errorf("minimum %d: %d calls, want %d", minimum, got, want)
		}
	}
}

func TestAFurtherBreakdownNarrowsWhatIsTold(t *testing.T) {
	events := slices.Concat(
		onDays(t, domain.Event{Country: "US", Tool: "get_alerts"}, 9, 20),
		onDays(t, domain.Event{Country: "DE", Tool: "get_alerts"}, 6, 8),
		onDays(t, domain.Event{Country: "FR", Tool: "get_alerts"}, 3, 5),
		onDays(t, domain.Event{Country: "FR", Tool: "get_forecast"}, 50, 0),
		onDays(t, domain.Event{Country: "LI", Tool: "get_forecast"}, 0, 2), // takes FR with it
	)
	alerts := slices.DeleteFunc(slices.Clone(events), func(e domain.Event) bool { return e.Tool != "get_alerts" })
	scope := scopeOfDays(t)
	scope.Filter.Tool = "get_alerts"
	scope.Decisive = []domain.Selected{selected(t, scope.Window, events), selected(t, scope.Window, alerts)}
	equal(t, "countries", reading(t, scope, events).Tool("get_alerts").Countries.Countries, []domain.CountryShare{
		{Code: "US", Name: "United States", Calls: 29, Percentage: 56.8627},
		{Code: "DE", Name: "Germany", Calls: 8, Percentage: 15.6863},
		{Code: "other", Name: "Other", Calls: 14, Percentage: 27.451},
	})
}

// A group that is told on its own is still not told together with another
// filter that leaves fewer of its calls than the minimum.
func TestAFilterThatLeavesFewCallsTellsNothing(t *testing.T) {
	failed := domain.Event{Country: "DE", Version: "2.0", Tool: "get_forecast", Status: domain.StatusError, ErrorType: "timeout"}
	for few, want := range map[int]int64{4: 0, 5: 5} {
		events := slices.Concat(
			onDays(t, domain.Event{Country: "US", Version: "1.0", Tool: "get_alerts"}, 20),
			onDays(t, domain.Event{Country: "DE", Version: "2.0", Tool: "get_alerts"}, 20),
			onDays(t, failed, few),
		)
		for name, filter := range map[string]domain.Filter{
			"country": {Country: "DE", Tool: "get_forecast"}, "version": {Version: "2.0", Tool: "get_forecast"},
		} {
			scope := scopeOfDays(t)
			scope.Decisive = []domain.Selected{selected(t, scope.Window, events)}
			scope.Filter = filter
			r := reading(t, scope, events)
			o, types := r.Overview(), r.ErrorReport().Types
			if o.Summary.Calls != want || (len(o.Tools)+len(o.Errors)+len(types) == 0) != (want == 0) {
				t.Errorf("%s, %d calls: told are %+v with the tools %+v and the errors %+v", name, few, o.Summary, o.Tools, types)
			}
		}
		// Without a private group in the filter even few calls are told.
		scope := scopeOfDays(t)
		scope.Filter.Tool = "get_forecast"
		if got := reading(t, scope, events).Overview().Summary.Calls; got != int64(few) {
			t.Errorf("by tool alone: %d calls, want %d", got, few)
		}
	}
}
