package domain

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"iter"
	"maps"
	"math/bits"
	"slices"
)

// A packed value has three columns, each of which begins with packedFormat and
// ends with the CRC-32C of what is before it, as four bytes, least first. Numbers
// are varints; lists of bits are whole bytes, the first bit of each the least.
//
// The counts are: the grain; the number of groups; for each axis of the grain, in
// order, the sorted list of its values (their number; each with its length) and
// then for each group, sorted by their values, the number of its value in the
// list; for each counter the length of its column in bytes, 0 where all are 0,
// and the column. Hours have no list. The numbers of the first axis are run lengths,
// one for each value of the list; of the others they have as many bits as the last
// number of the list needs. A column has a bit for each group, whether its number is
// above 0; a bit for each of these, whether it is above 1; and 2 less than the number
// for each of those. The column of sums is, of the groups that have response times, a
// byte for the width and then the sum of each in the Rice code of that width.
//
// The latency has an entry for each group with two response times or more: the
// least; of three or more the difference to the greatest; of four or more the bins
// of the sketch, with their length before them. One to three response times follow
// from that and their sum.
//
// The sessions are how many hashes occur in sparse sketches, and then bits: these
// hashes as an ascending list; for each group how many it has and, unless it has
// all, their numbers in the list, ascending; or denseSessions and the registers,
// five bits each. Counts have the Elias gamma code, and the gaps of ascending lists
// the Rice code that suits numbers spread evenly: as most groups of a bucket have
// one session of their own, whole bytes would take half as much again.
//
// docs/adr/0011 has what else was measured.
const packedFormat = 1

// denseSessions stands in place of the number of a group's hashes.
const denseSessions = distinctSparse + 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func seal(b []byte) []byte { return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)) }

// counters are the counters of calls, in the order of their columns.
const (
	counterCalls = iota
	counterErrors
	counterCacheHits
	counterCacheMisses
	counterRetriesObserved
	counterRetried
	counterRetries
	counterTimed
	counterSum
	rollupCounters
)

// rollupCount leads to a counter of a rollup.
var rollupCount = [rollupCounters]func(*Rollup) *int64{
	counterCalls:           func(r *Rollup) *int64 { return &r.Calls },
	counterErrors:          func(r *Rollup) *int64 { return &r.Errors },
	counterCacheHits:       func(r *Rollup) *int64 { return &r.CacheHits },
	counterCacheMisses:     func(r *Rollup) *int64 { return &r.CacheMisses },
	counterRetriesObserved: func(r *Rollup) *int64 { return &r.RetriesObserved },
	counterRetried:         func(r *Rollup) *int64 { return &r.Retried },
	counterRetries:         func(r *Rollup) *int64 { return &r.Retries },
	counterTimed:           func(r *Rollup) *int64 { return &r.Timed },
	counterSum:             func(r *Rollup) *int64 { return &r.ResponseTimeSumMS },
}

// The counters of failed calls. Hours are counted from the bucket's start.
const (
	counterFailures = iota
	counterFirst
	counterSpan
	errorCounters
)

// packing writes values. It keeps its buffers.
type packing struct {
	names    *lexicon
	column   []byte
	numbers  []int64
	rollups  []*Rollup
	failures []failures
}

// calls packs the groups of a grain. Sessions are left out where no read wants
// them.
func (p *packing) calls(g PackedGrain, groups map[cellKey]*Rollup) Packed {
	s := sortKeys(p.names, g, len(groups), maps.Keys(groups))
	p.rollups = p.rollups[:0]
	value := Packed{PackedKey: PackedKey{Grain: g &^ grainHours}}
	for i := range s.keys {
		r := groups[s.keys[i].key]
		p.rollups = append(p.rollups, r)
		value.Calls += r.Calls
	}
	value.Counts = p.counts(g, &s, rollupCounters, func(counter, i int) (int64, bool) {
		r := p.rollups[i]
		return *rollupCount[counter](r), counter != counterSum || r.Timed > 0
	})
	value.Latency = p.latency()
	if hasSessions(g) {
		value.Sessions = p.sessions()
	}
	if isReadable(g) {
		value.Readable = readableCalls(&s, p.rollups)
	}
	return value
}

// errors packs error summaries.
func (p *packing) errors(g PackedGrain, groups errorCells) Packed {
	s := sortKeys(p.names, g, len(groups), maps.Keys(groups))
	p.failures = slices.Grow(p.failures[:0], len(s.keys))
	value := Packed{PackedKey: PackedKey{Grain: g &^ grainHours}}
	for i := range s.keys {
		f := groups[s.keys[i].key]
		p.failures = append(p.failures, f)
		value.Calls += f.count
	}
	value.Counts = p.counts(g, &s, errorCounters, func(counter, i int) (int64, bool) {
		switch f := &p.failures[i]; counter {
		case counterFailures:
			return f.count, true
		case counterFirst:
			return int64(f.first), true
		default:
			return int64(f.last - f.first), true
		}
	})
	if g == CoarseErrors {
		value.Readable = readableErrors(&s, p.failures)
	}
	return value
}

func (p *packing) counts(g PackedGrain, s *sortedKeys, counters int, value func(counter, i int) (int64, bool)) []byte {
	b := []byte{packedFormat, byte(g)}
	b = binary.AppendUvarint(b, uint64(len(s.keys)))
	first := true
	for axis := range axes {
		if g.hasAxis(axis) {
			b = appendAxis(b, s, axis, first)
			first = false
		}
	}
	for counter := range counters {
		p.numbers = p.numbers[:0]
		for i := range s.keys {
			if n, has := value(counter, i); has {
				p.numbers = append(p.numbers, n)
			}
		}
		p.column = p.column[:0]
		if counters == rollupCounters && counter == counterSum {
			p.column = appendSums(p.column, p.numbers)
		} else {
			p.column = appendCounter(p.column, p.numbers)
		}
		b = binary.AppendUvarint(b, uint64(len(p.column)))
		b = append(b, p.column...)
	}
	return seal(b)
}

// appendCounter appends a column, and nothing when all numbers are 0.
func appendCounter(b []byte, numbers []int64) []byte {
	if !slices.ContainsFunc(numbers, func(n int64) bool { return n != 0 }) {
		return b
	}
	var some, more bitWriter
	for _, n := range numbers {
		some.write(boolBit(n > 0), 1)
		if n > 0 {
			more.write(boolBit(n > 1), 1)
		}
	}
	b = append(append(b, some.bytes()...), more.bytes()...)
	for _, n := range numbers {
		if n > 1 {
			b = binary.AppendUvarint(b, uint64(n-2))
		}
	}
	return b
}

// appendSums appends the column of sums. They are of one order of magnitude, so a
// number takes about two bits more than their mean has.
func appendSums(b []byte, sums []int64) []byte {
	if len(sums) == 0 {
		return b
	}
	var mean float64
	for _, n := range sums {
		mean += float64(n) / float64(len(sums))
	}
	width := max(bits.Len64(uint64(mean)), 1) - 1
	w := bitWriter{done: append(b, byte(width))} //nolint:gosec // below 64
	for _, n := range sums {
		w.rice(uint64(n), width) //nolint:gosec // sums are never negative
	}
	return w.bytes()
}

func boolBit(set bool) uint32 {
	if set {
		return 1
	}
	return 0
}

// bitWriter writes numbers of few bits.
type bitWriter struct {
	done    []byte
	pending uint64
	bits    int
}

// write appends the lowest bits of n, at most 32, above which it has none.
func (w *bitWriter) write(n uint32, width int) {
	w.pending |= uint64(n) << w.bits
	for w.bits += width; w.bits >= 8; w.bits -= 8 {
		w.done = append(w.done, byte(w.pending)) //nolint:gosec // its lowest byte
		w.pending >>= 8
	}
}

// bytes returns all that was written, with zeros up to a whole byte.
func (w *bitWriter) bytes() []byte {
	if w.bits == 0 {
		return w.done
	}
	return append(w.done, byte(w.pending)) //nolint:gosec // its lowest byte
}

func appendAxis(b []byte, s *sortedKeys, axis int, first bool) []byte {
	values := 24
	if axis != axisHour {
		values = len(s.lists[axis])
		b = binary.AppendUvarint(b, uint64(values))
		for _, value := range s.lists[axis] {
			b = append(binary.AppendUvarint(b, uint64(len(value))), value...)
		}
	}
	if first {
		runs := make([]uint64, values)
		for i := range s.keys {
			runs[s.keys[i].ranks[axis]]++
		}
		for _, run := range runs {
			b = binary.AppendUvarint(b, run)
		}
		return b
	}
	var w bitWriter
	width := widthOf(values)
	for i := range s.keys {
		w.write(s.keys[i].ranks[axis], width)
	}
	return append(b, w.bytes()...)
}

// widthOf is how many bits the numbers below values need.
func widthOf(values int) int { return bits.Len(uint(max(values, 1) - 1)) }

func (p *packing) latency() []byte {
	b := []byte{packedFormat}
	for _, r := range p.rollups {
		if r.Timed < 2 {
			continue
		}
		b = binary.AppendUvarint(b, uint64(r.ResponseTimeMinMS)) //nolint:gosec // never negative
		if r.Timed > 2 {
			b = binary.AppendUvarint(b, uint64(r.ResponseTimeMaxMS-r.ResponseTimeMinMS)) //nolint:gosec // never negative
		}
		if r.Timed > 3 {
			p.column = r.Latency.appendBins(p.column[:0])
			b = append(binary.AppendUvarint(b, uint64(len(p.column))), p.column...)
		}
	}
	if len(b) == 1 {
		return nil
	}
	return seal(b)
}

// hasSessions reports whether values of the grain have sessions: those that answer
// filters by no dimension and by one, and full grain for all others.
func hasSessions(g PackedGrain) bool {
	size := g.grain().Size()
	return size <= 1 || g.grain() == GrainFull
}

func (p *packing) sessions() []byte {
	var all []uint32
	has := false
	for _, r := range p.rollups {
		all = append(all, r.Sessions.sparse...)
		has = has || !r.Sessions.isEmpty()
	}
	if !has {
		return nil
	}
	slices.Sort(all)
	all = slices.Compact(all)
	w := bitWriter{done: binary.AppendUvarint([]byte{packedFormat}, uint64(len(all)))}
	w.ascending(slices.Values(all), len(all), allHashes)
	for _, r := range p.rollups {
		switch hashes := r.Sessions.sparse; {
		case r.Sessions.dense != nil:
			w.count(denseSessions)
			for _, rank := range r.Sessions.dense {
				w.write(uint32(rank), rankBits)
			}
		case len(hashes) == len(all):
			w.count(len(hashes))
		default:
			w.count(len(hashes))
			w.ascending(placesIn(all, hashes), len(hashes), uint64(len(all)))
		}
	}
	return seal(w.bytes())
}

// placesIn gives the places in the sorted list of values that are in it, in order.
func placesIn(list, values []uint32) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		from := 0
		for _, v := range values {
			i, _ := slices.BinarySearch(list[from:], v)
			from += i
			if !yield(uint32(from)) { //nolint:gosec // below the length
				return
			}
		}
	}
}

// allHashes is how many hashes there are.
const allHashes = 1 << 32

// rankBits is how many bits a register needs.
const rankBits = 5

// count appends a number as an Elias gamma code: small ones take few bits.
func (w *bitWriter) count(n int) {
	width := bits.Len(uint(n)+1) - 1
	w.unary(uint64(width))               //nolint:gosec // small
	w.write(uint32(n)+1-1<<width, width) //nolint:gosec // a number of hashes
}

// unary appends that many zeros and a one.
func (w *bitWriter) unary(n uint64) {
	for ; n >= 32; n -= 32 {
		w.write(0, 32)
	}
	w.write(1<<n, int(n)+1)
}

// rice appends the Rice code of a number: so many bits as they are, after what is
// above them.
func (w *bitWriter) rice(n uint64, width int) {
	w.unary(n >> width)
	low := min(width, 32)
	w.write(uint32(n&(1<<low-1)), low)                    //nolint:gosec // its lowest bits
	w.write(uint32(n>>low&(1<<(width-low)-1)), width-low) //nolint:gosec // at most 32 bits
}

// ascending appends n different numbers below end, in order. However they are
// spread, the quotients of their gaps take three bits each on the average at most.
func (w *bitWriter) ascending(values iter.Seq[uint32], n int, end uint64) {
	width := riceWidth(n, end)
	next := uint64(0)
	for v := range values {
		gap := uint64(v) - next
		w.unary(gap >> width)
		w.write(uint32(gap)&(1<<width-1), width) //nolint:gosec // its lowest bits
		next = uint64(v) + 1
	}
}

// riceWidth is how many bits of a gap are written as they are, where n numbers
// below end are spread evenly.
func riceWidth(n int, end uint64) int {
	return bits.Len64(end/uint64(max(n, 1))) - 1
}

// isReadable reports whether the views for operators show the grain.
func isReadable(g PackedGrain) bool { return g&(GrainErrors|grainHours) == 0 && g.grain().Size() <= 1 }

func readableCalls(s *sortedKeys, rollups []*Rollup) string {
	rows := make([][]any, len(rollups))
	for i, r := range rollups {
		value := ""
		for axis, list := range s.lists {
			if list != nil {
				value = list[s.keys[i].ranks[axis]]
			}
		}
		rows[i] = []any{
			value, r.Calls, r.Errors, r.CacheHits, r.CacheMisses, r.Retries, r.RetriesObserved, r.Retried, r.Timed, r.ResponseTimeSumMS,
		}
	}
	text, _ := json.Marshal(rows) // strings and numbers always can be encoded
	return string(text)
}

// The bounds of readable error summaries, which repeat names.
const (
	maxReadableErrors   = 500
	maxReadableVersions = 20
)

// readableErrors lists the most frequent error types of the tools, each with the
// first of the versions. The others are one row, of the tool and type [OtherName].
func readableErrors(s *sortedKeys, found []failures) string {
	type place struct{ tool, errorType uint32 }
	type summary struct {
		failures

		tool, errorType string
		versions        []string
	}
	sums := make(map[place]*summary)
	for i := range s.keys {
		ranks := &s.keys[i].ranks
		sum := entry(sums, place{ranks[axisTool], ranks[axisErrorType]})
		sum.merge(found[i])
		sum.tool, sum.errorType = s.lists[axisTool][ranks[axisTool]], s.lists[axisErrorType][ranks[axisErrorType]]
		version := s.lists[axisVersion][ranks[axisVersion]]
		if n := len(sum.versions); n < maxReadableVersions && (n == 0 || sum.versions[n-1] != version) {
			sum.versions = append(sum.versions, version)
		}
	}
	order := slices.SortedFunc(maps.Values(sums), func(a, b *summary) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.tool, b.tool), cmp.Compare(a.errorType, b.errorType))
	})
	if len(order) > maxReadableErrors {
		rest := &summary{tool: OtherName, errorType: OtherName, versions: []string{}}
		for _, sum := range order[maxReadableErrors:] {
			rest.merge(sum.failures)
		}
		order = append(order[:maxReadableErrors], rest)
	}
	rows := make([][]any, len(order))
	for i, sum := range order {
		rows[i] = []any{sum.tool, sum.errorType, sum.count, sum.first, sum.last, sum.versions}
	}
	text, _ := json.Marshal(rows) // strings and numbers always can be encoded
	return string(text)
}
