package domain

import (
	"slices"
	"time"
)

// Coverage says what an answer counts. All parts of an answer speak of the same
// window.
type Coverage struct {
	Window Window
	// CallsFrom is from when calls are counted: the window's start, or later
	// where what came before is no longer kept.
	CallsFrom time.Time
	// ErrorsFrom is the same for error types. It is never before CallsFrom, so
	// that a share of the calls since then can be told; it is the window's end
	// where none are kept.
	ErrorsFrom time.Time
}

func newCoverage(w Window, c Cutoffs) Coverage {
	from := latest(w.Start, c.calls(w.Resolution))
	return Coverage{Window: w, CallsFrom: from, ErrorsFrom: earliest(latest(from, c.errors(w.Resolution)), w.End)}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// Scope is what a [Reading] is about and what it may tell.
type Scope struct {
	Window Window
	Filter Filter
	// Cutoffs leave out what is due for deletion, whether or not it is gone.
	Cutoffs Cutoffs
	// PrivacyMinCount is the least number of calls of a country or version
	// that may be told; see [FoldSmallGroups].
	PrivacyMinCount int
	// Decisive are breakdowns that decide what may be named on which day, as
	// [NewDisclosure] wants them. In a window of whole days, and where there are none,
	// those of the answer itself decide after them.
	Decisive []Selected
	// Hidden says that the filter names a group that no list shows.
	Hidden bool
}

// Selection is what to read for an answer that needs these breakdowns beside the
// totals. It leaves out what is due for deletion, and the days on which the group of
// the filter is hidden.
func (s *Scope) Selection(by ...Dimension) Selection {
	w := s.Window
	w.Start = earliest(newCoverage(w, s.Cutoffs).CallsFrom, w.End)
	return Selection{
		Window: w, Filter: s.Filter, Without: s.hiddenDays(w), By: append([]Dimension{DimensionNone}, by...),
	}
}

func (s *Scope) hiddenDays(w Window) []time.Time {
	if s.PrivacyMinCount == 0 || !s.Filter.private() {
		return nil
	}
	disclosure := NewDisclosure(s.PrivacyMinCount, s.Decisive...)
	return slices.DeleteFunc(w.Days().Buckets(), func(day time.Time) bool { return disclosure.namesAll(s.Filter, day) })
}

// disclosure decides the days of the window.
func (s *Scope) disclosure(selected Selected) *Disclosure {
	switch {
	case s.PrivacyMinCount == 0:
		return nil
	case s.Window.Resolution == Daily || len(s.Decisive) == 0:
		return NewDisclosure(s.PrivacyMinCount, slices.Concat(s.Decisive, []Selected{selected})...)
	default:
		return NewDisclosure(s.PrivacyMinCount, s.Decisive...)
	}
}

// Reading is what the store said for one answer. Its methods are pure
// functions that compute the statistics; each needs the totals and says in its
// comment which breakdowns beside them. Numbers are finite and rounded: rates
// to 4 decimals, milliseconds to 1.
type Reading struct {
	coverage   Coverage
	minimum    int64
	disclosure *Disclosure
	rollups    map[Dimension][]RollupRow
	usage      []RollupRow
	errors     []ErrorRow
	total      Rollup
}

// NewReading prepares for the statistics of the scope what one of its selections
// gave.
//
// A filter by country or version counts the days on which the group is named.
// One that names a hidden group, or leaves fewer calls than PrivacyMinCount, is
// read as if there were none. Otherwise the groups that no list shows could be
// had by asking for them one by one.
func NewReading(scope Scope, selected Selected) *Reading {
	r := &Reading{
		coverage:   newCoverage(scope.Window, scope.Cutoffs),
		minimum:    int64(scope.PrivacyMinCount),
		disclosure: scope.disclosure(selected),
		rollups:    selected.Rollups,
		usage:      selected.Usage,
	}
	r.errors = rowsFrom(selected.Errors, r.coverage.ErrorsFrom, func(row *ErrorRow) time.Time { return row.Bucket })
	for i := range r.rollups[DimensionNone] {
		r.total.Merge(&r.rollups[DimensionNone][i].Rollup)
	}
	if scope.Hidden || scope.Filter.private() && r.total.Calls < r.minimum {
		r.rollups, r.usage, r.errors, r.total = nil, nil, nil, Rollup{}
	}
	return r
}

// rowsFrom leaves out what comes before from; rows are ascending by their buckets.
func rowsFrom[R any](rows []R, from time.Time, bucketOf func(*R) time.Time) []R {
	for i := range rows {
		if !bucketOf(&rows[i]).Before(from) {
			return rows[i:]
		}
	}
	return nil
}

// tally counts the window's calls with one value of a dimension.
type tally struct {
	GroupCount
	errors int64
}

// tallies counts the calls for each value of d, the most called first; calls
// without a value that may be told are not among them.
func (r *Reading) tallies(d Dimension) []tally {
	sums := make(map[string]*tally)
	for i := range r.rollups[d] {
		row := &r.rollups[d][i]
		if value := r.disclosure.tell(d, row.Bucket, row.Group.Value(d)); value != "" {
			sum := entry(sums, value)
			sum.Value = value
			sum.Calls += row.Rollup.Calls
			sum.errors += row.Rollup.Errors
		}
	}
	tallies := make([]tally, 0, len(sums))
	for _, sum := range sums {
		tallies = append(tallies, *sum)
	}
	slices.SortFunc(tallies, func(a, b tally) int { return compareForShow(a.GroupCount, b.GroupCount) })
	return tallies
}

// Shows reports whether the list of d's groups shows the value. It needs the
// breakdown by d.
func (r *Reading) Shows(d Dimension, value string) bool {
	groups, _ := r.shown(d)
	return slices.ContainsFunc(groups, func(g GroupCount) bool { return g.Value == value })
}

// shown returns the groups of d that may be told and the sum of their calls.
func (r *Reading) shown(d Dimension) (groups []GroupCount, calls int64) {
	for _, t := range r.tallies(d) {
		groups = append(groups, t.GroupCount)
	}
	groups = FoldSmallGroups(groups, r.minimum)
	for _, g := range groups {
		calls += g.Calls
	}
	return groups, calls
}
