package domain

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/bits"
	"slices"
	"sync"
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
	data []byte
	at   int
	err  error
}

func (u *unpacking) fail() {
	u.data, u.at, u.err = nil, 0, errDamaged
}

// left is how many bytes are left.
func (u *unpacking) left() int { return len(u.data) - u.at }

func (u *unpacking) number() uint64 {
	if u.at < len(u.data) && u.data[u.at] < 0x80 { // nearly always
		n := u.data[u.at]
		u.at++
		return uint64(n)
	}
	n, size := binary.Uvarint(u.data[u.at:])
	if size <= 0 {
		u.fail()
		return 0
	}
	u.at += size
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

// skip passes over n numbers, whatever they are.
func (u *unpacking) skip(n int) {
	for ; n > 0; n-- {
		u.number()
	}
}

func (u *unpacking) bytes(n int) []byte {
	if n > u.left() {
		u.fail()
		return nil
	}
	b := u.data[u.at : u.at+n]
	u.at += n
	return b
}

// scratch lends room for one value at a time.
type scratch struct {
	numbers   []uint32
	lent      int
	set       []byte
	times     timesOf
	failures  []failures
	latency   LatencySketch
	registers []uint8
}

// scratches keeps those that are not in use.
var scratches = sync.Pool{New: func() any { return new(scratch) }}

// reset takes back what was lent.
func (s *scratch) reset() { s.lent = 0 }

// roomFor returns n zeros in the room of a list.
func roomFor[S ~[]T, T any](room *S, n int) S {
	if n > cap(*room) {
		*room = make(S, n, max(n, 2*cap(*room)))
	}
	lent := (*room)[:n]
	clear(lent)
	return lent
}

// take lends room for n numbers, all 0; it never returns nil.
func (s *scratch) take(n int) []uint32 {
	if s.numbers == nil || s.lent+n > len(s.numbers) {
		s.numbers, s.lent = make([]uint32, max(2*len(s.numbers), n, 256)), 0
	}
	lent := s.numbers[s.lent : s.lent+n : s.lent+n]
	s.lent += n
	clear(lent)
	return lent
}

// unpacked are the groups of a value as its counts have them.
type unpacked struct {
	grain  PackedGrain
	groups int
	axes   [axes]unpackedAxis
	// counters are the columns that follow.
	counters unpacking
	room     *scratch
}

// unpackedAxis is the values of an axis and, for each group, the number of its own.
type unpackedAxis struct {
	values  [][]byte
	numbers []uint32
}

// unpackCounts reads the counts of a value of that grain, up to the counters, into
// that room, or nil for room of its own.
func unpackCounts(g PackedGrain, column []byte, room *scratch) (*unpacked, error) {
	rest, err := unseal(column)
	if err != nil {
		return nil, err
	}
	if room == nil {
		room = new(scratch)
	}
	u := &unpacking{data: rest}
	if grain := u.bytes(1); len(grain) == 1 && PackedGrain(grain[0]) != g {
		return nil, fmt.Errorf("%w: it is of another grain", errDamaged)
	}
	value := &unpacked{grain: g, room: room}
	// A group takes two bits at least, as it has calls.
	value.groups = u.upTo(4 * u.left())
	first := true
	for axis := range axes {
		if g.hasAxis(axis) {
			value.axes[axis] = u.axis(value.groups, axis, first, room)
			first = false
		}
	}
	value.counters = *u
	return value, u.err
}

func (u *unpacking) axis(groups, axis int, first bool, room *scratch) unpackedAxis {
	var a unpackedAxis
	values := 24
	if axis != axisHour {
		values = u.upTo(u.left())
		a.values = make([][]byte, values)
		for i := range a.values {
			a.values[i] = u.bytes(u.upTo(u.left()))
		}
	}
	a.numbers = room.take(groups)
	switch {
	case first:
		done := 0
		for number := range values {
			run := u.upTo(groups - done)
			for i := done; i < done+run; i++ {
				a.numbers[i] = uint32(number)
			}
			done += run
		}
		if done != groups {
			u.fail()
		}
	default:
		width := widthOf(values)
		r := bitReader{rest: u.bytes((groups*width + 7) / 8)}
		if highest := r.fixed(a.numbers, width); groups > 0 && int(highest) >= values {
			u.fail()
		}
	}
	return a
}

// find returns the number of a value, and false where no group has it.
func (a *unpackedAxis) find(value string) (uint32, bool) {
	i, ok := slices.BinarySearchFunc(a.values, value, func(b []byte, value string) int { return bytes.Compare(b, []byte(value)) })
	return uint32(i), ok //nolint:gosec // below the length of a list
}

// bitReader reads what a bitWriter wrote. Beyond it, it reads zeros and is over.
type bitReader struct {
	rest    []byte
	pending uint64
	bits    int
	over    bool
}

// fill gets as many bits as it can: at least 56, unless there are no more.
func (r *bitReader) fill() {
	if len(r.rest) >= 8 {
		r.pending |= binary.LittleEndian.Uint64(r.rest) << r.bits
		n := (63 - r.bits) / 8
		r.rest = r.rest[n:]
		r.bits += 8 * n
		return
	}
	for r.bits <= 56 && len(r.rest) > 0 {
		r.pending |= uint64(r.rest[0]) << r.bits
		r.rest = r.rest[1:]
		r.bits += 8
	}
}

// read reads a number of at most 32 bits.
func (r *bitReader) read(width int) uint32 {
	if r.bits < width {
		if r.fill(); r.bits < width {
			r.over, r.pending, r.bits = true, 0, 0
			return 0
		}
	}
	n := r.pending & (1<<width - 1)
	r.pending >>= width
	r.bits -= width
	return uint32(n) //nolint:gosec // at most 32 bits
}

// fixed reads as many numbers of that many bits as list has, and returns the highest.
func (r *bitReader) fixed(list []uint32, width int) (highest uint32) {
	for i := range list {
		if r.bits < width {
			if r.fill(); r.bits < width {
				r.over, r.pending, r.bits = true, 0, 0
				clear(list[i:])
				return highest
			}
		}
		n := uint32(r.pending & (1<<width - 1)) //nolint:gosec // at most 32 bits
		r.pending >>= width
		r.bits -= width
		list[i], highest = n, max(highest, n)
	}
	return highest
}

// unary reads how many zeros are before the next one.
func (r *bitReader) unary() uint64 {
	zeros := 0
	for {
		// Bits above those that are there may be set, as fill reads whole words.
		if first := bits.TrailingZeros64(r.pending); first < r.bits {
			r.pending >>= first + 1
			r.bits -= first + 1
			return uint64(zeros + first) //nolint:gosec // never negative
		}
		zeros += r.bits
		r.pending, r.bits = 0, 0
		if r.fill(); r.bits == 0 {
			r.over = true
			return 0
		}
	}
}

// count reads a number that is at most that.
func (r *bitReader) count(most int) int {
	width := r.unary()
	if width > 32 {
		r.over = true
		return 0
	}
	n := 1<<width + int(r.read(int(width))) - 1
	if n > most {
		r.over = true
		return 0
	}
	return n
}

// rice reads the Rice code of a number.
func (r *bitReader) rice(width int) int64 {
	above := r.unary()
	if width > 62 || above > math.MaxInt64>>width {
		r.over = true
		return 0
	}
	low := min(width, 32)
	n := uint64(r.read(low))
	n |= uint64(r.read(width-low)) << low
	return int64(above<<width | n) //nolint:gosec // checked above
}

// ascending reads as many numbers as list has, each greater than the one before and
// below end, and reports whether they are.
func (r *bitReader) ascending(list []uint32, end uint64) bool {
	width := riceWidth(len(list), end)
	next := uint64(0)
	for i := range list {
		if r.bits < 32 {
			r.fill()
		}
		if first := bits.TrailingZeros64(r.pending); first+1+width <= r.bits { // nearly always
			low := r.pending >> (first + 1) & (1<<width - 1)
			next += uint64(first)<<width | low //nolint:gosec // below 64
			r.pending >>= first + 1 + width
			r.bits -= first + 1 + width
		} else {
			next += r.unary()<<width | uint64(r.read(width))
		}
		if r.over || next >= end {
			return false
		}
		list[i] = uint32(next) //nolint:gosec // below end
		next++
	}
	return true
}

// isDone reports whether there is nothing left but zeros up to a whole byte.
func (r *bitReader) isDone() bool {
	return !r.over && len(r.rest) == 0 && r.bits < 8 && r.pending&(1<<r.bits-1) == 0
}

// eachCounter calls visit, in order, for every group of those, a set of bits or nil
// for all, whose number in the next column is above 0.
func (v *unpacked) eachCounter(of []byte, visit func(group int, n int64)) error {
	u := &v.counters
	column := unpacking{data: u.bytes(u.upTo(u.left()))}
	if u.err != nil || column.left() == 0 {
		return u.err
	}
	some := column.bytes((v.groups + 7) / 8)
	positive := 0
	for _, b := range some {
		positive += bits.OnesCount8(b)
	}
	more := column.bytes((positive + 7) / 8)
	if column.err != nil || v.groups%8 != 0 && some[len(some)-1]>>(v.groups%8) != 0 {
		return errDamaged
	}
	seen := 0
	for i, b := range some {
		if of != nil && b&of[i] == 0 {
			n := bits.OnesCount8(b)
			column.skip(bitsAt(more, seen, n))
			seen += n
			continue
		}
		for ; b != 0; b &= b - 1 {
			bit, n := bits.TrailingZeros8(b), int64(1)
			if more[seen/8]>>(seen%8)&1 != 0 {
				n = column.count() + 2
			}
			seen++
			if of == nil || of[i]>>bit&1 != 0 {
				visit(8*i+bit, n)
			}
		}
	}
	if column.err != nil || column.left() > 0 {
		return errDamaged
	}
	return nil
}

// bitsAt counts those of n bits, at most 8, from one on that are set.
func bitsAt(set []byte, from, n int) int {
	if n == 0 {
		return 0
	}
	word := uint16(set[from/8])
	if from%8+n > 8 {
		word |= uint16(set[from/8+1]) << 8
	}
	return bits.OnesCount16(word >> (from % 8) & (1<<n - 1))
}

// eachSum is eachCounter for the sums of response times, given which groups have any.
func (v *unpacked) eachSum(timed func(group int) bool, visit func(group int, n int64)) error {
	u := &v.counters
	column := u.bytes(u.upTo(u.left()))
	width, r := 0, bitReader{}
	if len(column) > 0 {
		width, r.rest = int(column[0]), column[1:]
	}
	for i := range v.groups {
		if timed(i) {
			visit(i, r.rice(width))
		}
	}
	if u.err != nil || !r.isDone() {
		return errDamaged
	}
	return nil
}

// skipCounter passes over the next column.
func (v *unpacked) skipCounter() {
	u := &v.counters
	u.bytes(u.upTo(u.left()))
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
		u.data = rest
	}
	sketch := &v.room.latency
	for i := range v.groups {
		timed, sum := times(i)
		if timed == 0 {
			continue
		}
		lowest, highest, bins := u.entry(timed, sum)
		if u.err != nil {
			return u.err
		}
		if !wants(i) {
			continue
		}
		if timed <= 3 {
			sketch.reset()
			sketch.Add(lowest)
			if timed > 1 {
				sketch.Add(highest)
			}
			if timed > 2 {
				sketch.Add(int32(sum - int64(lowest) - int64(highest))) //nolint:gosec // entry checked it
			}
		} else if !sketch.readBins(bins) || sketch.count != timed {
			return errDamaged
		}
		visit(i, lowest, highest, sketch)
	}
	if u.left() > 0 {
		return errDamaged
	}
	return nil
}

// entry reads the range of a group's response times, and its bins where there are
// any.
func (u *unpacking) entry(timed, sum int64) (lowest, highest int32, bins []byte) {
	low, high := sum, sum
	if timed > 1 {
		low = int64(u.upTo(MaxResponseTimeMS))
		high = sum - low
	}
	if timed > 2 {
		high = low + int64(u.upTo(MaxResponseTimeMS))
	}
	if timed > 3 {
		bins = u.bytes(u.upTo(u.left()))
	}
	// What is between the ends of three is no more and no less than they are.
	if low > high || high > MaxResponseTimeMS || timed == 3 && (sum-low-high < low || sum-low-high > high) {
		u.fail()
		return 0, 0, nil
	}
	return int32(low), int32(high), bins //nolint:gosec // checked above
}

// unpackedSessions are those of one group: the places of its hashes in the list of
// all, or registers.
type unpackedSessions struct {
	all, places []uint32
	dense       []uint8
}

// sketch returns the sessions in the room of d.
func (s unpackedSessions) sketch(d *DistinctSketch) *DistinctSketch {
	d.sparse, d.dense = d.sparse[:0], s.dense
	for _, place := range s.places {
		d.sparse = append(d.sparse, s.all[place])
	}
	return d
}

// eachSessions calls visit for every group that has sessions and that wants holds
// for. visit must not keep them.
func (v *unpacked) eachSessions(column []byte, wants func(group int) bool, visit func(group int, s unpackedSessions)) error {
	if len(column) == 0 {
		return nil
	}
	rest, err := unseal(column)
	if err != nil {
		return err
	}
	u := unpacking{data: rest}
	s := unpackedSessions{all: v.room.take(u.upTo(8 * u.left()))}
	r := bitReader{rest: u.data[u.at:]}
	if u.err != nil || !r.ascending(s.all, allHashes) {
		return errDamaged
	}
	places, registers := v.room.take(distinctSparse), roomFor(&v.room.registers, distinctRegisters)
	for i := range v.groups {
		n := r.count(denseSessions)
		if n == 0 {
			continue
		}
		s.places, s.dense = places[:min(n, distinctSparse)], nil
		switch {
		case n == denseSessions:
			for i := range registers {
				registers[i] = uint8(r.read(rankBits)) //nolint:gosec // five bits
			}
			if s.places, s.dense = nil, registers; !validRegisters(registers) {
				return errDamaged
			}
		case n > len(s.all):
			return errDamaged
		case n == len(s.all):
			for place := range s.places {
				s.places[place] = uint32(place)
			}
		case !r.ascending(s.places, uint64(len(s.all))):
			return errDamaged
		}
		if !r.over && wants(i) {
			visit(i, s)
		}
	}
	if !r.isDone() {
		return errDamaged
	}
	return nil
}

// sessionsOf returns the sessions of all groups together that wants holds for.
func (v *unpacked) sessionsOf(column []byte, wants func(group int) bool) (*DistinctSketch, error) {
	var together DistinctSketch
	var all []uint32
	var has []bool
	err := v.eachSessions(column, wants, func(_ int, s unpackedSessions) {
		if s.dense != nil {
			together.Merge(&DistinctSketch{dense: s.dense})
			return
		}
		if has == nil {
			all, has = s.all, make([]bool, len(s.all))
		}
		for _, place := range s.places {
			has[place] = true
		}
	})
	sparse := DistinctSketch{sparse: make([]uint32, 0, len(all))}
	for place, hash := range all {
		if has[place] {
			sparse.sparse = append(sparse.sparse, hash)
		}
	}
	sparse.settle()
	together.Merge(&sparse)
	return &together, err
}
