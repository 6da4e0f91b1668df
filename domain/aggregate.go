package domain

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Aggregates is what events add up to, hourly and at full grain: rows in order of
// their buckets and groups. [Finest] makes it, and everything coarser is made of it.
type Aggregates struct {
	Rollups []RollupRow
	Errors  []ErrorRow
}

// CountedIn lists the places of the packed aggregates in which the event counts.
// Those with an error type are error summaries.
func CountedIn(e *Event) []ErrorKey {
	var places []ErrorKey
	for _, r := range Resolutions() {
		for _, grain := range packedGrains(r) {
			places = append(places, ErrorKey{Resolution: r, Bucket: r.Floor(e.Hour), Group: GroupOf(e).At(grain)})
		}
	}
	if e.Status != StatusError {
		return places
	}
	for _, r := range Resolutions() {
		for _, grain := range []PackedGrain{CoarseErrors, FinestErrors} {
			places = append(places, ErrorKey{r, r.Floor(e.Hour), GroupOf(e).At(grain.grain()), errorTypeOf(e)})
		}
	}
	return places
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

func entry[K comparable, V any](m map[K]*V, key K) *V {
	v, ok := m[key]
	if !ok {
		v = new(V)
		m[key] = v
	}
	return v
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
