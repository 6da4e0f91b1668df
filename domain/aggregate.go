package domain

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// RollupGrains lists the grains at which rollups are kept: every combination
// of at most two dimensions, and all four. So any one filter with any one
// breakdown reads exactly the rows it returns, and any other combination adds
// up rows of full grain. docs/adr/0003 tells why.
func RollupGrains() []Grain {
	return []Grain{
		GrainTotal,
		GrainOf(DimensionTool), GrainOf(DimensionVersion), GrainOf(DimensionCountry), GrainOf(DimensionService),
		GrainOf(DimensionTool, DimensionVersion), GrainOf(DimensionTool, DimensionCountry), GrainOf(DimensionTool, DimensionService),
		GrainOf(DimensionVersion, DimensionCountry), GrainOf(DimensionVersion, DimensionService), GrainOf(DimensionCountry, DimensionService),
		GrainFull,
	}
}

// ErrorGrains lists the grains at which error summaries are kept. They are
// always broken down by error type, so one dimension beside it is the pair.
func ErrorGrains() []Grain {
	return []Grain{
		GrainTotal,
		GrainOf(DimensionTool), GrainOf(DimensionVersion), GrainOf(DimensionCountry), GrainOf(DimensionService),
		GrainFull,
	}
}

// Aggregates is what a set of events adds to the stored aggregates: rows at
// every resolution and grain, in a fixed order (by resolution, bucket, group
// and error type), so that concurrent writers lock rows in the same order.
type Aggregates struct {
	Rollups []RollupRow
	Errors  []ErrorRow
}

type rollupKey struct {
	resolution Resolution
	bucket     int64 // Unix seconds: time.Time is no good map key
	group      Group
}

type errorKey struct {
	rollupKey
	errorType string
}

// Aggregate adds events up. It is a pure function of the multiset of events:
// order and batches make no difference.
func Aggregate(batches ...[]Event) Aggregates {
	rollups, errs := finest(batches)
	return Aggregates{Rollups: rollupRows(allGrains(rollups)), Errors: errorRows(allErrorGrains(errs))}
}

// coarsening makes the rows of a grain from the fewest rows of a finer one; the
// order is such that these are there. It covers RollupGrains but for the full
// grain.
var coarsening = []struct{ grain, finer Grain }{
	{GrainOf(DimensionTool, DimensionVersion), GrainFull},
	{GrainOf(DimensionTool, DimensionCountry), GrainFull},
	{GrainOf(DimensionTool, DimensionService), GrainFull},
	{GrainOf(DimensionVersion, DimensionCountry), GrainFull},
	{GrainOf(DimensionVersion, DimensionService), GrainFull},
	{GrainOf(DimensionCountry, DimensionService), GrainFull},
	{GrainOf(DimensionTool), GrainOf(DimensionTool, DimensionService)},
	{GrainOf(DimensionVersion), GrainOf(DimensionVersion, DimensionService)},
	{GrainOf(DimensionCountry), GrainOf(DimensionCountry, DimensionService)},
	{GrainOf(DimensionService), GrainOf(DimensionVersion, DimensionService)},
	{GrainTotal, GrainOf(DimensionService)},
}

// allGrains derives every row from the hourly ones of full grain.
func allGrains(full map[rollupKey]*Rollup) map[rollupKey]*Rollup {
	hourly := map[Grain]map[rollupKey]*Rollup{GrainFull: full}
	for _, step := range coarsening {
		made := make(map[rollupKey]*Rollup)
		for key, r := range hourly[step.finer] {
			entry(made, key.at(Hourly, step.grain)).Merge(r)
		}
		hourly[step.grain] = made
	}
	all := make(map[rollupKey]*Rollup, 8*len(full))
	for grain, rows := range hourly {
		for key, r := range rows {
			all[key] = r
			entry(all, key.at(Daily, grain)).Merge(r)
		}
	}
	return all
}

// allErrorGrains is the same for error summaries, of which there are few.
func allErrorGrains(full map[errorKey]*ErrorSummary) map[errorKey]*ErrorSummary {
	all := make(map[errorKey]*ErrorSummary, 8*len(full))
	for key, s := range full {
		for _, resolution := range Resolutions() {
			for _, grain := range ErrorGrains() {
				entry(all, errorKey{key.at(resolution, grain), key.errorType}).Merge(s)
			}
		}
	}
	return all
}

func entry[K comparable, V any](m map[K]*V, key K) *V {
	v, ok := m[key]
	if !ok {
		v = new(V)
		m[key] = v
	}
	return v
}

func (k rollupKey) at(r Resolution, g Grain) rollupKey {
	return rollupKey{r, r.Floor(time.Unix(k.bucket, 0)).Unix(), k.group.At(g)}
}

func errorTypeOf(e *Event) string {
	if e.ErrorType == "" {
		return UnspecifiedError
	}
	return e.ErrorType
}

func rollupRows(m map[rollupKey]*Rollup) []RollupRow {
	keys := slices.Collect(maps.Keys(m))
	slices.SortFunc(keys, compareKeys)
	rows := make([]RollupRow, len(keys))
	for i, k := range keys {
		rows[i] = RollupRow{k.resolution, time.Unix(k.bucket, 0).UTC(), k.group, *m[k]}
	}
	return rows
}

func errorRows(m map[errorKey]*ErrorSummary) []ErrorRow {
	keys := slices.Collect(maps.Keys(m))
	slices.SortFunc(keys, func(a, b errorKey) int {
		return cmp.Or(compareKeys(a.rollupKey, b.rollupKey), cmp.Compare(a.errorType, b.errorType))
	})
	rows := make([]ErrorRow, len(keys))
	for i, k := range keys {
		rows[i] = ErrorRow{ErrorKey{k.resolution, time.Unix(k.bucket, 0).UTC(), k.group, k.errorType}, *m[k]}
	}
	return rows
}

func compareKeys(a, b rollupKey) int {
	if order := cmp.Or(cmp.Compare(a.resolution, b.resolution), cmp.Compare(a.bucket, b.bucket)); order != 0 {
		return order
	}
	return compareGroups(a.group, b.group)
}

// CompareRollupRows orders rows by resolution, bucket and group.
func CompareRollupRows(a, b RollupRow) int {
	return cmp.Or(cmp.Compare(a.Resolution, b.Resolution), a.Bucket.Compare(b.Bucket), compareGroups(a.Group, b.Group))
}

// CompareErrorRows orders rows by resolution, bucket, group and error type.
func CompareErrorRows(a, b ErrorRow) int {
	return cmp.Or(cmp.Compare(a.Resolution, b.Resolution), a.Bucket.Compare(b.Bucket),
		compareGroups(a.Group, b.Group), cmp.Compare(a.ErrorType, b.ErrorType))
}

func compareGroups(a, b Group) int {
	if a.Grain != b.Grain {
		return cmp.Compare(a.Grain, b.Grain)
	}
	return cmp.Or(strings.Compare(a.Tool, b.Tool), strings.Compare(a.Version, b.Version),
		strings.Compare(a.Country, b.Country), strings.Compare(a.Service, b.Service))
}

func (s *ErrorSummary) add(e *Event) {
	s.Merge(&ErrorSummary{
		Count: 1, FirstSeen: e.Hour, LastSeen: e.Hour,
		Tools: []string{e.Tool}, Versions: []string{e.Version},
	})
}

// Merge adds other's failed calls.
func (s *ErrorSummary) Merge(other *ErrorSummary) {
	if other.Count == 0 {
		return
	}
	if s.Count == 0 || other.FirstSeen.Before(s.FirstSeen) {
		s.FirstSeen = other.FirstSeen
	}
	if other.LastSeen.After(s.LastSeen) {
		s.LastSeen = other.LastSeen
	}
	s.Count += other.Count
	s.Tools = union(s.Tools, other.Tools)
	s.Versions = union(s.Versions, other.Versions)
}

// union merges two sorted lists without repetition; it never writes to either.
func union(a, b []string) []string {
	if includes(a, b) {
		return a
	}
	merged := slices.Concat(a, b)
	slices.Sort(merged)
	return slices.Compact(merged)
}

// includes reports whether the sorted list a has all that is in b.
func includes(a, b []string) bool {
	for _, text := range b {
		for len(a) > 0 && a[0] < text {
			a = a[1:]
		}
		if len(a) == 0 || a[0] != text {
			return false
		}
	}
	return true
}
