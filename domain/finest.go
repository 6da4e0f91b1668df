package domain

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"time"
)

// Finest adds events up no further than to hourly rows of full grain, in order of
// their buckets and groups. It is a pure function of the multiset of events: order
// and batches make no difference.
func Finest(batches ...[]Event) Aggregates {
	var names lexicon
	added := newCells()
	var rollups slab[Rollup]
	for _, events := range batches {
		for i := range events {
			e := &events[i]
			key := names.key(0, GroupOf(e), "")
			key[axisHour] = hourNumber(e.Hour)
			r, ok := added.rollups[key]
			if !ok {
				r = rollups.next()
				added.rollups[key] = r
			}
			r.Add(e)
			if e.Status == StatusError {
				key[axisErrorType] = names.number(axisErrorType, errorTypeOf(e))
				added.errors.add(key, failures{count: 1})
			}
		}
	}
	return names.finest(added)
}

// hourNumber numbers the hours, as an int32 in a number of a key.
func hourNumber(t time.Time) uint32 {
	return uint32(int32(Hourly.Floor(t).Unix() / int64(time.Hour/time.Second))) //nolint:gosec // years 1 to 9999 fit
}

func hourAt(number uint32) time.Time {
	return time.Unix(int64(int32(number))*int64(time.Hour/time.Second), 0).UTC() //nolint:gosec // made by hourNumber
}

// slab makes values in lots, which costs less than one by one.
type slab[T any] struct{ rest []T }

func (s *slab[T]) next() *T {
	if len(s.rest) == 0 {
		s.rest = make([]T, 64)
	}
	next := &s.rest[0]
	s.rest = s.rest[1:]
	return next
}

// finest lists cells whose hours are numbered by hourNumber.
func (n *lexicon) finest(c cells) Aggregates {
	calls := sortGroups(n, PackedGrain(GrainFull), len(c.rollups), maps.Keys(c.rollups))
	errs := sortGroups(n, PackedGrain(GrainFull)|GrainErrors, len(c.errors), maps.Keys(c.errors))
	a := Aggregates{Rollups: make([]RollupRow, len(calls)), Errors: make([]ErrorRow, len(errs))}
	for i, key := range calls {
		a.Rollups[i] = RollupRow{Hourly, hourAt(key[axisHour]), n.group(key), *c.rollups[key]}
	}
	for i, key := range errs {
		bucket, group := hourAt(key[axisHour]), n.group(key)
		a.Errors[i] = ErrorRow{ErrorKey{Hourly, bucket, group, n.value(axisErrorType, key)}, ErrorSummary{
			Count: c.errors[key].count, FirstSeen: bucket, LastSeen: bucket, Tools: []string{group.Tool}, Versions: []string{group.Version},
		}}
	}
	return a
}

func (n *lexicon) group(k cellKey) Group {
	return Group{
		Grain: GrainFull, Tool: n.value(axisTool, k), Version: n.value(axisVersion, k),
		Country: n.value(axisCountry, k), Service: n.value(axisService, k),
	}
}

// sortGroups orders keys as [CompareRollupRows] and [CompareErrorRows] do.
func sortGroups(n *lexicon, g PackedGrain, count int, keys iter.Seq[cellKey]) []cellKey {
	s := rankKeys(n, g, count, keys)
	order := [...]int{axisTool, axisVersion, axisCountry, axisService, axisErrorType}
	slices.SortFunc(s.keys, func(a, b rankedKey) int {
		if a.key[axisHour] != b.key[axisHour] {
			return cmp.Compare(int32(a.key[axisHour]), int32(b.key[axisHour])) //nolint:gosec // made by hourNumber
		}
		for _, axis := range order {
			if a.ranks[axis] != b.ranks[axis] {
				return cmp.Compare(a.ranks[axis], b.ranks[axis])
			}
		}
		return 0
	})
	sorted := make([]cellKey, len(s.keys))
	for i := range s.keys {
		sorted[i] = s.keys[i].key
	}
	return sorted
}
