package domain

import (
	"cmp"
	"slices"
)

// GroupCount is how many calls one group has.
type GroupCount struct {
	Value string
	Calls int64
}

// FoldSmallGroups hides the groups with fewer calls than minimum in one group
// called [OtherName], and returns what may be shown: the most called first,
// groups with equal calls by value, and [OtherName] last.
//
// What is hidden cannot be found by subtraction: while it has fewer calls than
// minimum altogether, as a single group always has, the smallest group still
// shown is hidden too. Where even everything together has fewer calls than
// minimum, nothing is shown. A group that calls itself [OtherName] is hidden as soon as
// another is. A minimum of 0 hides nothing. Every value may stand there once.
func FoldSmallGroups(groups []GroupCount, minimum int64) []GroupCount {
	shown := slices.Clone(groups)
	slices.SortFunc(shown, compareForShow)
	first := slices.IndexFunc(shown, func(g GroupCount) bool { return g.Calls < minimum })
	if first < 0 {
		return shown
	}
	other := GroupCount{Value: OtherName}
	for _, g := range shown[first:] {
		other.Calls += g.Calls
	}
	// A single small group is below the minimum as well.
	for first > 0 && other.Calls < minimum {
		first--
		other.Calls += shown[first].Calls
	}
	shown = shown[:first]
	if other.Calls < minimum {
		return shown
	}
	return append(shown, other)
}

func compareForShow(a, b GroupCount) int {
	if (a.Value == OtherName) != (b.Value == OtherName) {
		if a.Value == OtherName {
			return 1
		}
		return -1
	}
	return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Value, b.Value))
}
