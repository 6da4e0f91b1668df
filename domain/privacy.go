package domain

import (
	"cmp"
	"slices"
	"time"
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

// PrivateDimensions lists the dimensions whose small groups are hidden.
func PrivateDimensions() []Dimension { return []Dimension{DimensionCountry, DimensionVersion} }

const privateGrain = Grain(DimensionCountry | DimensionVersion)

// Disclosure says which countries and versions may be told by name on which UTC
// day. A day is decided as a whole and whatever is asked about it, so neither
// two windows nor two filters can be compared to find what it hides:
// every answer is what it would be if the hidden values of a day were one and
// the same. docs/privacy.md has the argument.
//
// A nil Disclosure tells everything.
type Disclosure struct {
	minimum int64
	days    map[Dimension]map[int64]disclosed // by the day's start in Unix seconds
}

// disclosed is what is told of one dimension on one day. The zero value is
// nothing.
type disclosed struct {
	named map[string]bool
	// other says that the rest is told as [OtherName].
	other bool
}

// NewDisclosure decides by the breakdowns by private dimensions among those
// given, each of whole days: a value is named on the days on which
// [FoldSmallGroups] shows it in every one of them. The first breakdown of a
// dimension covers all calls, and each further one those under a filter.
func NewDisclosure(minimum int, breakdowns ...Selected) *Disclosure {
	d := &Disclosure{minimum: int64(minimum), days: make(map[Dimension]map[int64]disclosed)}
	for _, b := range breakdowns {
		for _, by := range PrivateDimensions() {
			if rows, ok := b.Rollups[by]; ok {
				d.days[by] = d.decide(by, rows)
			}
		}
	}
	return d
}

// decide folds the groups of each day, after those that are folded already.
func (d *Disclosure) decide(by Dimension, rows []RollupRow) map[int64]disclosed {
	_, further := d.days[by]
	counts := make(map[int64]map[string]int64)
	for i := range rows {
		row := &rows[i]
		value := row.Group.Value(by)
		if further {
			value = d.tell(by, row.Bucket, value)
		}
		day := Daily.Floor(row.Bucket).Unix()
		if counts[day] == nil {
			counts[day] = make(map[string]int64)
		}
		if value != "" {
			counts[day][value] += row.Rollup.Calls
		}
	}
	days := make(map[int64]disclosed, len(counts))
	for day, groups := range counts {
		days[day] = disclosedOf(groups, d.minimum)
	}
	return days
}

func disclosedOf(counts map[string]int64, minimum int64) disclosed {
	groups := make([]GroupCount, 0, len(counts))
	for value, calls := range counts {
		groups = append(groups, GroupCount{value, calls})
	}
	told := disclosed{named: make(map[string]bool)}
	for _, g := range FoldSmallGroups(groups, minimum) {
		if g.Value == OtherName {
			told.other = true
		} else {
			told.named[g.Value] = true
		}
	}
	return told
}

// names reports whether the value stands for itself alone on the bucket's day.
func (d *Disclosure) names(by Dimension, bucket time.Time, value string) bool {
	return d == nil || d.days[by][Daily.Floor(bucket).Unix()].named[value]
}

// namesAll reports whether the filter names nothing that is hidden on the bucket's
// day.
func (d *Disclosure) namesAll(f Filter, bucket time.Time) bool {
	return !slices.ContainsFunc(PrivateDimensions(), func(by Dimension) bool {
		value := f.Value(by)
		return value != "" && !d.names(by, bucket, value)
	})
}

// tell returns what stands for the value on the bucket's day: itself,
// [OtherName], or nothing where all that is hidden is too little to be told.
func (d *Disclosure) tell(by Dimension, bucket time.Time, value string) string {
	switch {
	case value == "" || !privateGrain.Has(by) || d.names(by, bucket, value):
		return value
	case d.days[by][Daily.Floor(bucket).Unix()].other:
		return OtherName
	default:
		return ""
	}
}

// tellVersions does the same for a list; it is ascending again and names
// nothing twice.
func (d *Disclosure) tellVersions(bucket time.Time, versions []string) []string {
	if d == nil {
		return versions
	}
	told := make([]string, 0, len(versions))
	for _, v := range versions {
		if name := d.tell(DimensionVersion, bucket, v); name != "" {
			told = append(told, name)
		}
	}
	slices.Sort(told)
	return slices.Compact(told)
}
