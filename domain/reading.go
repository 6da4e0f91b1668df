package domain

import (
	"cmp"
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
	// Disclosure says what may be told on which day. Without one, the days are
	// decided by what was selected, which is right for whole days without a
	// filter.
	Disclosure *Disclosure
	// Hidden says that the filter names a group that no list shows.
	Hidden bool
}

// tells reports whether the filter names nothing that is hidden on the
// bucket's day.
func (s *Scope) tells(bucket time.Time) bool {
	return !slices.ContainsFunc(PrivateDimensions(), func(d Dimension) bool {
		value := s.Filter.Value(d)
		return value != "" && !s.Disclosure.names(d, bucket, value)
	})
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
	errors     []ErrorRow
	total      Rollup
}

// NewReading prepares the selected rows for the statistics of the scope.
//
// A filter by country or version counts the days on which the group is told.
// One that names a hidden group, or leaves fewer calls than PrivacyMinCount, is
// read as if there were none. Otherwise the groups that no list shows could be
// had by asking for them one by one.
func NewReading(scope Scope, selected Selected) *Reading {
	if scope.Disclosure == nil && scope.PrivacyMinCount > 0 {
		scope.Disclosure = NewDisclosure(scope.PrivacyMinCount, selected)
	}
	r := &Reading{
		coverage:   newCoverage(scope.Window, scope.Cutoffs),
		minimum:    int64(scope.PrivacyMinCount),
		disclosure: scope.Disclosure,
		rollups:    make(map[Dimension][]RollupRow, len(selected.Rollups)),
	}
	for by, rows := range selected.Rollups {
		r.rollups[by] = scope.told(rowsFrom(rows, r.coverage.CallsFrom))
	}
	for _, row := range selected.Errors {
		if !row.Bucket.Before(r.coverage.ErrorsFrom) && scope.tells(row.Bucket) {
			r.errors = append(r.errors, row)
		}
	}
	for i := range r.rollups[DimensionNone] {
		r.total.Merge(&r.rollups[DimensionNone][i].Rollup)
	}
	if scope.Hidden || scope.Filter.private() && r.total.Calls < r.minimum {
		r.rollups, r.errors, r.total = nil, nil, Rollup{}
	}
	return r
}

// told leaves out the days on which the filter's group is hidden.
func (s *Scope) told(rows []RollupRow) []RollupRow {
	if !s.Filter.private() {
		return rows
	}
	told := make([]RollupRow, 0, len(rows))
	for i := range rows {
		if s.tells(rows[i].Bucket) {
			told = append(told, rows[i])
		}
	}
	return told
}

// rowsFrom leaves out what comes before from; rows are ascending.
func rowsFrom(rows []RollupRow, from time.Time) []RollupRow {
	first := slices.IndexFunc(rows, func(row RollupRow) bool { return !row.Bucket.Before(from) })
	if first < 0 {
		return nil
	}
	return rows[first:]
}

// toolRollup adds up the window's calls of one tool.
type toolRollup struct {
	name   string
	rollup *Rollup
}

// byTool adds up the window's calls of each tool, the most called first.
func (r *Reading) byTool() []toolRollup {
	sums := make(map[string]*Rollup)
	for i := range r.rollups[DimensionTool] {
		row := &r.rollups[DimensionTool][i]
		entry(sums, row.Group.Tool).Merge(&row.Rollup)
	}
	tools := make([]toolRollup, 0, len(sums))
	for name, sum := range sums {
		tools = append(tools, toolRollup{name, sum})
	}
	slices.SortFunc(tools, func(a, b toolRollup) int {
		return cmp.Or(cmp.Compare(b.rollup.Calls, a.rollup.Calls), cmp.Compare(a.name, b.name))
	})
	return tools
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
