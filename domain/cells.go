package domain

import (
	"cmp"
	"iter"
	"slices"
	"time"
)

// The dimensions of packed groups, in the order in which groups are sorted. The
// country comes first, so that a filter by it finds one run of groups.
const (
	axisHour = iota // of the day; in the journal only
	axisCountry
	axisService
	axisVersion
	axisTool
	axisErrorType
	axes
)

// cellKey is a group with its values as numbers in [lexicon]. A dimension outside
// the grain is 0.
type cellKey [axes]uint32

func (k *cellKey) compare(other *cellKey) int {
	for axis, number := range k {
		if number != other[axis] {
			return cmp.Compare(number, other[axis])
		}
	}
	return 0
}

// at is the group of that grain that the group falls into, without the hour.
func (k cellKey) at(g PackedGrain) cellKey {
	k[axisHour] = 0
	for axis := axisCountry; axis < axes; axis++ {
		if !g.hasAxis(axis) {
			k[axis] = 0
		}
	}
	return k
}

// hasAxis reports whether the grain distinguishes the values of an axis.
func (g PackedGrain) hasAxis(axis int) bool { return g&axisBits[axis] != 0 }

var axisBits = [axes]PackedGrain{
	axisHour:      grainHours,
	axisCountry:   PackedGrain(DimensionCountry),
	axisService:   PackedGrain(DimensionService),
	axisVersion:   PackedGrain(DimensionVersion),
	axisTool:      PackedGrain(DimensionTool),
	axisErrorType: GrainErrors,
}

// grainHours is the bit of values that tell the hours of a day apart, which only
// the journal has.
const grainHours PackedGrain = 1 << 5

// axisOf is where the groups have their value of a dimension.
func axisOf(d Dimension) int {
	return slices.Index(axisBits[:], PackedGrain(d))
}

// lexicon numbers the values of groups in the order in which they come.
type lexicon struct {
	lists   [axes][]string
	numbers [axes]map[string]uint32
	// last is the number that was asked for last: what comes together often has
	// the same values.
	last [axes]uint32
}

func (n *lexicon) number(axis int, value string) uint32 {
	if last := n.last[axis]; int(last) < len(n.lists[axis]) && n.lists[axis][last] == value {
		return last
	}
	n.last[axis] = n.find(axis, value)
	return n.last[axis]
}

func (n *lexicon) find(axis int, value string) uint32 {
	if number, ok := n.numbers[axis][value]; ok {
		return number
	}
	if n.numbers[axis] == nil {
		n.numbers[axis] = make(map[string]uint32)
	}
	number := uint32(len(n.lists[axis])) //nolint:gosec // there are fewer values than events
	n.lists[axis] = append(n.lists[axis], value)
	n.numbers[axis][value] = number
	return number
}

func (n *lexicon) key(hour int, g Group, errorType string) cellKey {
	return cellKey{
		axisHour:      uint32(hour), //nolint:gosec // 0 to 23
		axisCountry:   n.number(axisCountry, g.Country),
		axisService:   n.number(axisService, g.Service),
		axisVersion:   n.number(axisVersion, g.Version),
		axisTool:      n.number(axisTool, g.Tool),
		axisErrorType: n.number(axisErrorType, errorType),
	}
}

func (n *lexicon) value(axis int, k cellKey) string { return n.lists[axis][k[axis]] }

// failures are the failed calls of a group with one error type. first and last are
// hours from the bucket's start.
type failures struct {
	count       int64
	first, last uint32
}

func (f *failures) merge(other failures) {
	if f.count == 0 {
		*f = other
		return
	}
	f.count += other.count
	f.first, f.last = min(f.first, other.first), max(f.last, other.last)
}

// errorCells are failed calls by group and error type. There may be as many as calls,
// so each is small.
type errorCells map[cellKey]failures

func (c errorCells) add(key cellKey, f failures) {
	sum := c[key]
	sum.merge(f)
	c[key] = sum
}

// cells are the groups of one grain.
type cells struct {
	rollups map[cellKey]*Rollup
	errors  errorCells
}

func newCells() cells {
	return cells{make(map[cellKey]*Rollup), make(errorCells)}
}

func (c cells) len() int { return len(c.rollups) + len(c.errors) }

// sortedKeys orders the groups by their values. Numbers are replaced by ranks: the
// number of a value in the list of those that occur, in order.
type sortedKeys struct {
	// lists are the values that occur, for each axis of the grain.
	lists [axes][]string
	keys  []rankedKey
}

// rankedKey is a key in ranks, and in the numbers that it came with.
type rankedKey struct {
	ranks, key cellKey
}

func sortKeys(n *lexicon, g PackedGrain, count int, keys iter.Seq[cellKey]) sortedKeys {
	s := rankKeys(n, g, count, keys)
	slices.SortFunc(s.keys, func(a, b rankedKey) int { return a.ranks.compare(&b.ranks) })
	return s
}

// rankKeys is sortKeys without the order.
func rankKeys(n *lexicon, g PackedGrain, count int, keys iter.Seq[cellKey]) sortedKeys {
	s := sortedKeys{keys: make([]rankedKey, 0, count)}
	var ranks [axes][]uint32
	for axis := range axes {
		if g.hasAxis(axis) && axis != axisHour {
			ranks[axis] = make([]uint32, len(n.lists[axis]))
		}
	}
	for key := range keys {
		s.keys = append(s.keys, rankedKey{key: key})
		for axis, r := range ranks {
			if r != nil {
				r[key[axis]] = 1 // it occurs
			}
		}
	}
	for axis, r := range ranks {
		if r != nil {
			s.lists[axis] = rank(n.lists[axis], r)
		}
	}
	for i := range s.keys {
		k := &s.keys[i]
		k.ranks[axisHour] = k.key[axisHour]
		for axis, r := range ranks {
			if r != nil {
				k.ranks[axis] = r[k.key[axis]]
			}
		}
	}
	return s
}

// rank lists the values that occur, which have 1 in ranks, in order, and puts their
// place in it there instead.
func rank(values []string, ranks []uint32) []string {
	var occurring []uint32
	for number, occurs := range ranks {
		if occurs == 1 {
			occurring = append(occurring, uint32(number))
		}
	}
	slices.SortFunc(occurring, func(a, b uint32) int { return cmp.Compare(values[a], values[b]) })
	list := make([]string, len(occurring))
	for place, number := range occurring {
		list[place], ranks[number] = values[number], uint32(place)
	}
	return list
}

// hourOf is the hour of a bucket in its UTC day.
func hourOf(bucket time.Time) int { return bucket.UTC().Hour() }
