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
