package domain

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
)

var errDamaged = errors.New("it is damaged")

// unseal checks a column and returns what is in it.
func unseal(column []byte) ([]byte, error) {
	const least = 1 + crc32.Size
	if len(column) < least {
		return nil, fmt.Errorf("%w: it has %d bytes", errDamaged, len(column))
	}
	if column[0] != packedFormat {
		return nil, fmt.Errorf("it has format %d, which this version of the program does not know", column[0])
	}
	end := len(column) - crc32.Size
	if crc32.Checksum(column[:end], castagnoli) != binary.LittleEndian.Uint32(column[end:]) {
		return nil, fmt.Errorf("%w: its checksum is another", errDamaged)
	}
	return column[1:end], nil
}

// unpacking reads numbers and texts. After damage it gives zeros, and err says so.
type unpacking struct {
	rest []byte
	err  error
}

func (u *unpacking) fail() {
	u.rest, u.err = nil, errDamaged
}

func (u *unpacking) number() uint64 {
	if len(u.rest) > 0 && u.rest[0] < 0x80 { // nearly always
		n := u.rest[0]
		u.rest = u.rest[1:]
		return uint64(n)
	}
	n, size := binary.Uvarint(u.rest)
	if size <= 0 {
		u.fail()
		return 0
	}
	u.rest = u.rest[size:]
	return n
}

// upTo reads a number that is at most that, as counts of what follows are.
func (u *unpacking) upTo(most int) int {
	n := u.number()
	if n > uint64(most) { //nolint:gosec // most is never negative
		u.fail()
		return 0
	}
	return int(n) //nolint:gosec // at most an int
}

func (u *unpacking) count() int64 {
	n := u.number()
	if n > math.MaxInt64 {
		u.fail()
		return 0
	}
	return int64(n)
}

func (u *unpacking) bytes(n int) []byte {
	if n > len(u.rest) {
		u.fail()
		return nil
	}
	b := u.rest[:n]
	u.rest = u.rest[n:]
	return b
}

// unpacked are the groups of a value as its counts tell them.
type unpacked struct {
	grain  PackedGrain
	groups int
	axes   [axes]unpackedAxis
	// counters are the columns that follow.
	counters unpacking
}

// unpackedAxis is the values of an axis and, for each group, the number of its own.
type unpackedAxis struct {
	values  [][]byte
	numbers []uint32
}

// unpackCounts reads the counts of a value of that grain, up to the counters.
func unpackCounts(g PackedGrain, column []byte) (*unpacked, error) {
	rest, err := unseal(column)
	if err != nil {
		return nil, err
	}
	u := &unpacking{rest: rest}
	if grain := u.bytes(1); len(grain) == 1 && PackedGrain(grain[0]) != g {
		return nil, fmt.Errorf("%w: it is of another grain", errDamaged)
	}
	value := &unpacked{grain: g}
	// A group takes one byte at least, as it has calls.
	value.groups = u.upTo(len(u.rest))
	first := true
	for axis := range axes {
		if g.hasAxis(axis) {
			value.axes[axis] = u.axis(value.groups, axis, first)
			first = false
		}
	}
	value.counters = *u
	return value, u.err
}

func (u *unpacking) axis(groups, axis int, first bool) unpackedAxis {
	var a unpackedAxis
	values := 24
	if axis != axisHour {
		values = u.upTo(len(u.rest))
		a.values = make([][]byte, values)
		for i := range a.values {
			a.values[i] = u.bytes(u.upTo(len(u.rest)))
		}
	}
	a.numbers = make([]uint32, groups)
	switch {
	case first:
		done := 0
		for number := range values {
			run := u.upTo(groups - done)
			for i := done; i < done+run; i++ {
				a.numbers[i] = uint32(number) //nolint:gosec // below the length of a list
			}
			done += run
		}
		if done != groups {
			u.fail()
		}
	case values <= 1:
		if values == 0 && groups > 0 {
			u.fail()
		}
	case values <= 256:
		for i, number := range u.bytes(groups) {
			a.numbers[i] = uint32(number)
		}
	default:
		for i := range a.numbers {
			if b := u.bytes(4); len(b) == 4 {
				a.numbers[i] = binary.LittleEndian.Uint32(b)
			}
		}
	}
	if !first && slices.ContainsFunc(a.numbers, func(n uint32) bool { return n >= uint32(max(values, 1)) }) { //nolint:gosec // a length
		u.fail()
	}
	return a
}

// find returns the number of a value, and false where no group has it.
func (a *unpackedAxis) find(value string) (uint32, bool) {
	i, ok := slices.BinarySearchFunc(a.values, value, func(b []byte, value string) int { return bytes.Compare(b, []byte(value)) })
	return uint32(i), ok //nolint:gosec // below the length of a list
}

// eachCounter calls visit for every group of which the next column has a number, in
// order; with a column of zeros it does not call it. has says which groups have a
// number in the column, nil for all.
func (v *unpacked) eachCounter(has func(group int) bool, visit func(group int, n int64)) error {
	u := &v.counters
	column := unpacking{rest: u.bytes(u.upTo(len(u.rest)))}
	if u.err != nil || len(column.rest) == 0 {
		return u.err
	}
	for i := range v.groups {
		if has == nil || has(i) {
			visit(i, column.count())
		}
	}
	if column.err != nil || len(column.rest) > 0 {
		return errDamaged
	}
	return nil
}

// numbers reads the next column.
func (v *unpacked) numbers(has func(group int) bool) ([]int64, error) {
	list := make([]int64, v.groups)
	return list, v.eachCounter(has, func(group int, n int64) { list[group] = n })
}

// eachLatency calls visit for every group that has response times and that wants
// holds for, with their range and bins. times gives the number and the sum of a
// group's response times. visit must not keep the sketch.
func (v *unpacked) eachLatency(
	column []byte, times func(group int) (timed, sum int64), wants func(group int) bool,
	visit func(group int, lowest, highest int32, s *LatencySketch),
) error {
	var u unpacking
	if len(column) > 0 {
		rest, err := unseal(column)
		if err != nil {
			return err
		}
		u.rest = rest
	}
	var sketch LatencySketch
	for i := range v.groups {
		switch timed, sum := times(i); timed {
		case 0:
		case 1:
			if sum > MaxResponseTimeMS {
				return errDamaged
			}
			if wants(i) {
				ms := int32(sum) //nolint:gosec // checked above
				sketch.reset()
				sketch.Add(ms)
				visit(i, ms, ms, &sketch)
			}
		default:
			entry := unpacking{rest: u.bytes(u.upTo(len(u.rest)))}
			if u.err != nil {
				return u.err
			}
			if !wants(i) {
				continue
			}
			lowest := entry.upTo(MaxResponseTimeMS)
			highest := lowest + entry.upTo(MaxResponseTimeMS)
			if entry.err != nil || highest > MaxResponseTimeMS || !sketch.readBins(entry.rest) || sketch.count != timed {
				return errDamaged
			}
			visit(i, int32(lowest), int32(highest), &sketch) //nolint:gosec // checked above
		}
	}
	if len(u.rest) > 0 {
		return errDamaged
	}
	return nil
}

// eachSessions calls visit for every group that has sessions and that wants holds
// for. visit must not keep the sketch.
func (v *unpacked) eachSessions(column []byte, wants func(group int) bool, visit func(group int, d *DistinctSketch)) error {
	if len(column) == 0 {
		return nil
	}
	rest, err := unseal(column)
	if err != nil {
		return err
	}
	u := &unpacking{rest: rest}
	all := make([]uint32, u.upTo(len(u.rest)))
	if !u.ascending(all, math.MaxUint32) {
		return errDamaged
	}
	places := make([]uint32, distinctSparse)
	var sketch DistinctSketch
	for i := range v.groups {
		n := u.upTo(denseSessions)
		sketch.sparse, sketch.dense = sketch.sparse[:0], nil
		switch {
		case n == denseSessions:
			if sketch.dense = u.bytes(distinctRegisters); !validRegisters(sketch.dense) {
				return errDamaged
			}
		case n == len(all):
			sketch.sparse = append(sketch.sparse, all...)
		case n > len(all) || !u.ascending(places[:n], uint64(len(all)-1)): //nolint:gosec // n is less
			return errDamaged
		default:
			for _, place := range places[:n] {
				sketch.sparse = append(sketch.sparse, all[place])
			}
		}
		if n > 0 && wants(i) {
			visit(i, &sketch)
		}
	}
	if u.err != nil || len(u.rest) > 0 {
		return errDamaged
	}
	return nil
}

// ascending reads as many numbers as list has, each greater than the one before, and
// reports whether they are and none is greater than most.
func (u *unpacking) ascending(list []uint32, most uint64) bool {
	previous := uint64(0)
	for i := range list {
		gap := u.number()
		if gap == 0 && i > 0 || gap > most || previous+gap > most {
			return false
		}
		previous += gap
		list[i] = uint32(previous) //nolint:gosec // at most MaxUint32
	}
	return u.err == nil
}
