package domain

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// OpenDimension is a property of events whose values clients make up. Those of
// the others come from lists. docs/adr/0009 tells how their number is bounded.
type OpenDimension string

// The open dimensions.
const (
	OpenVersion   OpenDimension = "version"
	OpenErrorType OpenDimension = "error_type"
)

// OpenDimensions lists the open dimensions.
func OpenDimensions() []OpenDimension { return []OpenDimension{OpenVersion, OpenErrorType} }

// takesPlace reports whether the value is one of those that are bounded. What
// the server itself may count under is not.
func (d OpenDimension) takesPlace(value string) bool {
	return value != OtherName && (d != OpenErrorType || value != UnspecifiedError)
}

// The defaults of a [Cardinality].
const (
	DefaultMaxVersionsPerDay   = 200
	DefaultMaxErrorTypesPerDay = 500
)

// Cardinality is how many values of each open dimension the aggregates of one
// UTC day tell apart, beside [OtherName] and [UnspecifiedError]. Zero values
// mean the defaults.
type Cardinality struct {
	// Versions is at least 1. Default 200.
	Versions int
	// ErrorTypes is at least 1. Default 500.
	ErrorTypes int
}

// Limit returns the bound of one dimension.
func (c Cardinality) Limit(d OpenDimension) int {
	if d == OpenErrorType {
		return cmp.Or(c.ErrorTypes, DefaultMaxErrorTypesPerDay)
	}
	return cmp.Or(c.Versions, DefaultMaxVersionsPerDay)
}

// OpenDay is an open dimension on one UTC day. Values are comparable.
type OpenDay struct {
	// Day is the start of the day.
	Day       time.Time
	Dimension OpenDimension
}

func openDay(t time.Time, d OpenDimension) OpenDay { return OpenDay{Daily.Floor(t), d} }

// SeedDays is how many days before a day choose its first values.
const SeedDays = 7

// Week lists the [SeedDays] days before this one in order.
func (o OpenDay) Week() []OpenDay {
	days := make([]OpenDay, SeedDays)
	for i := range days {
		days[i] = OpenDay{o.Day.Add(time.Duration(i-SeedDays) * Daily.Length()), o.Dimension}
	}
	return days
}

// IsOver reports whether the day has ended by then. A value that is noted only
// then is late: events may be dated back, and what the following days reserve
// must not be had by a week's worth of them sent at once.
func (o OpenDay) IsOver(by time.Time) bool { return !by.Before(o.Day.Add(Daily.Length())) }

// FirstReceived is when the first of the batches was accepted, and zero when
// there are none.
func FirstReceived(batches []Batch) time.Time {
	var first time.Time
	for i, b := range batches {
		if i == 0 || b.ReceivedAt.Before(first) {
			first = b.ReceivedAt
		}
	}
	return first
}

func compareOpenDays(a, b OpenDay) int {
	return cmp.Or(a.Day.Compare(b.Day), cmp.Compare(a.Dimension, b.Dimension))
}

// OpenValues are values of an open dimension on one UTC day, with their calls;
// of error types, with their failed calls.
type OpenValues struct {
	OpenDay

	Values []GroupCount
}

// Names lists the values alone.
func (o OpenValues) Names() []string {
	names := make([]string, len(o.Values))
	for i, v := range o.Values {
		names[i] = v.Value
	}
	return names
}

// TakeCensus counts the bounded values in what [Finest] gave, by day and
// dimension, the most called first, and values with equal calls by name.
func TakeCensus(finest Aggregates) []OpenValues {
	calls := make(map[OpenDay]map[string]int64)
	count := func(o OpenDay, value string, n int64) {
		if !o.Dimension.takesPlace(value) {
			return
		}
		if calls[o] == nil {
			calls[o] = make(map[string]int64)
		}
		calls[o][value] += n
	}
	for i := range finest.Rollups {
		row := &finest.Rollups[i]
		count(openDay(row.Bucket, OpenVersion), row.Group.Version, row.Rollup.Calls)
	}
	for i := range finest.Errors {
		row := &finest.Errors[i]
		count(openDay(row.Bucket, OpenErrorType), row.ErrorType, row.Count)
	}
	census := make([]OpenValues, 0, len(calls))
	for o, values := range calls {
		census = append(census, OpenValues{o, ranked(values)})
	}
	slices.SortFunc(census, func(a, b OpenValues) int { return compareOpenDays(a.OpenDay, b.OpenDay) })
	return census
}

func ranked(calls map[string]int64) []GroupCount {
	values := make([]GroupCount, 0, len(calls))
	for value, n := range calls {
		values = append(values, GroupCount{value, n})
	}
	slices.SortFunc(values, compareForShow)
	return values
}

// Admission is what is decided about values: these are told apart on that day
// from now on. When Overflows, others found no place, and the day is closed:
// no other value is ever told apart on it.
type Admission struct {
	OpenDay

	Values    []string
	Overflows bool
}

// Admit decides about values of which nothing is decided, on a day of which
// that many are known. The most called find a place while there is one. When
// the day knows none, values of the week before come first, but no more than
// half the limit: those that had calls on most of its days, then the most
// called of them. That is so whether the events have them or not, and it leaves
// room for what is new. Week holds what [OpenDay.Week] noted, and not late,
// with its calls.
func (c Cardinality) Admit(undecided OpenValues, known int, week []OpenValues) Admission {
	limit := c.Limit(undecided.Dimension)
	a := Admission{OpenDay: undecided.OpenDay}
	if known == 0 {
		a.Values = seeds(week, limit/2)
	}
	seeded := make(map[string]bool, len(a.Values))
	for _, name := range a.Values {
		seeded[name] = true
	}
	for _, name := range undecided.Names() {
		switch {
		case seeded[name]:
		case known+len(a.Values) < limit:
			a.Values = append(a.Values, name)
		default:
			a.Overflows = true
		}
	}
	return a
}

// standing is how much a value was used in a week.
type standing struct {
	GroupCount

	days int
}

func seeds(week []OpenValues, most int) []string {
	used := make(map[string]*standing)
	for _, day := range week {
		for _, v := range day.Values {
			if v.Calls == 0 {
				continue // reserved, and not used
			}
			s := entry(used, v.Value)
			s.Value = v.Value
			s.Calls += v.Calls
			s.days++
		}
	}
	order := slices.SortedFunc(maps.Values(used), func(a, b *standing) int {
		return cmp.Or(cmp.Compare(b.days, a.days), compareForShow(a.GroupCount, b.GroupCount))
	})
	names := make([]string, min(most, len(order)))
	for i := range names {
		names[i] = order[i].Value
	}
	return names
}

// Vocabulary is what a store has decided about the values of open days. A
// decision is for ever: a value that is known stays known, and on a day that
// is closed one that is not known never will be. So whatever was folded is
// folded again when aggregates are computed anew.
type Vocabulary struct {
	known  map[OpenDay]map[string]struct{}
	closed map[OpenDay]struct{}
}

// NewVocabulary returns one in which nothing is decided.
func NewVocabulary() *Vocabulary {
	return &Vocabulary{known: make(map[OpenDay]map[string]struct{}), closed: make(map[OpenDay]struct{})}
}

// Know notes values that are told apart.
func (v *Vocabulary) Know(o OpenDay, values ...string) {
	if v.known[o] == nil {
		v.known[o] = make(map[string]struct{}, len(values))
	}
	for _, value := range values {
		v.known[o][value] = struct{}{}
	}
}

// Close notes that the day takes no other value.
func (v *Vocabulary) Close(o OpenDay) { v.closed[o] = struct{}{} }

// Learn notes what was decided.
func (v *Vocabulary) Learn(a Admission) {
	v.Know(a.OpenDay, a.Values...)
	if a.Overflows {
		v.Close(a.OpenDay)
	}
}

// Undecided returns the values of a census that are not known, of days that
// are not closed, in the same order.
func (v *Vocabulary) Undecided(census []OpenValues) []OpenValues {
	var undecided []OpenValues
	for _, o := range census {
		if _, closed := v.closed[o.OpenDay]; closed {
			continue
		}
		o.Values = slices.DeleteFunc(slices.Clone(o.Values), func(g GroupCount) bool {
			_, known := v.known[o.OpenDay][g.Value]
			return known
		})
		if len(o.Values) > 0 {
			undecided = append(undecided, o)
		}
	}
	return undecided
}

// Folded counts the calls that count under [OtherName] although they said
// something else.
type Folded map[OpenDay]int64

// Add adds the calls of other.
func (f Folded) Add(other Folded) {
	for o, calls := range other {
		f[o] += calls
	}
}

// Fold adds up what [Finest] gave, in any number of parts, and counts the
// values that have no place under [OtherName]. Nothing else changes, so all
// totals stay what they are. Folding again folds nothing more.
func (v *Vocabulary) Fold(parts ...Aggregates) (Aggregates, Folded) {
	folded := make(Folded)
	if len(parts) == 1 && len(v.closed) == 0 {
		return parts[0], folded
	}
	rollups := make(map[rollupKey]*Rollup)
	errs := make(map[errorKey]*ErrorSummary)
	for _, part := range parts {
		for i := range part.Rollups {
			v.foldRollup(&part.Rollups[i], rollups, folded)
		}
		for i := range part.Errors {
			v.foldErrors(&part.Errors[i], errs, folded)
		}
	}
	return Aggregates{Rollups: rollupRows(rollups), Errors: errorRows(errs)}, folded
}

func (v *Vocabulary) foldRollup(row *RollupRow, to map[rollupKey]*Rollup, folded Folded) {
	group := v.foldGroup(row.Bucket, row.Group)
	if group != row.Group {
		folded[openDay(row.Bucket, OpenVersion)] += row.Rollup.Calls
	}
	entry(to, rollupKey{row.Resolution, row.Bucket.Unix(), group}).Merge(&row.Rollup)
}

func (v *Vocabulary) foldErrors(row *ErrorRow, to map[errorKey]*ErrorSummary, folded Folded) {
	group, summary := v.foldGroup(row.Bucket, row.Group), row.ErrorSummary
	if group != row.Group {
		summary.Versions = []string{group.Version} // at full grain there is one
	}
	o := openDay(row.Bucket, OpenErrorType)
	errorType := v.fold(o, row.ErrorType)
	if errorType != row.ErrorType {
		folded[o] += row.Count
	}
	entry(to, errorKey{rollupKey{row.Resolution, row.Bucket.Unix(), group}, errorType}).Merge(&summary)
}

func (v *Vocabulary) foldGroup(bucket time.Time, g Group) Group {
	g.Version = v.fold(openDay(bucket, OpenVersion), g.Version)
	return g
}

func (v *Vocabulary) fold(o OpenDay, value string) string {
	if _, closed := v.closed[o]; !closed || !o.Dimension.takesPlace(value) {
		return value
	}
	if _, known := v.known[o][value]; known {
		return value
	}
	return OtherName
}
