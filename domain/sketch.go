package domain

import (
	"encoding/binary"
	"math"
	"slices"
	"sort"
)

// LatencyRelativeError bounds how far a quantile of a [LatencySketch] is from
// the exact one, relative to the exact one. It leaves room below one percent
// for the rounding of what is shown.
const LatencyRelativeError = 0.0075

// LatencySketch counts response times of 0 to [MaxResponseTimeMS] in bins that
// are narrow enough for quantiles within [LatencyRelativeError].
//
// The bins follow the logarithmic layout of DDSketch (Masson, Rim and Lee,
// "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
// guarantees", VLDB 2019), fitted to whole milliseconds: below 67 ms every
// value has a bin of its own. As values are bounded, so is the number of bins;
// none is ever collapsed, and a sketch is a pure function of the multiset of
// its values.
//
// The zero LatencySketch is empty and ready.
type LatencySketch struct {
	bins  []latencyBin // ascending by index, no count of 0
	count int64
}

type latencyBin struct {
	index uint16
	count int64
}

// latencyBounds holds the highest value of every bin, ascending.
var latencyBounds = func() []int32 {
	bounds := []int32{0}
	for low := int32(1); low <= MaxResponseTimeMS; {
		// The widest bin from low on whose middle is near enough to its ends.
		high := int32(float64(low) * (1 + LatencyRelativeError) / (1 - LatencyRelativeError))
		high = min(max(high, low), MaxResponseTimeMS)
		bounds = append(bounds, high)
		low = high + 1
	}
	return bounds
}()

// latencyValue is the value that stands for a bin: the one whose relative
// distance to both ends is the same, 2·l·h/(l+h).
func latencyValue(index uint16) float64 {
	high := float64(latencyBounds[index])
	if index == 0 {
		return high
	}
	low := float64(latencyBounds[index-1] + 1)
	return 2 * low * high / (low + high)
}

func latencyIndex(ms int32) uint16 {
	ms = min(max(ms, 0), MaxResponseTimeMS)
	i, _ := slices.BinarySearch(latencyBounds, ms)
	return uint16(i) //nolint:gosec // there are fewer than 1,000 bins
}

// Add counts one response time; one outside the range counts as its nearest
// end.
func (s *LatencySketch) Add(ms int32) { s.addBin(latencyIndex(ms), 1) }

func (s *LatencySketch) addBin(index uint16, count int64) {
	i := sort.Search(len(s.bins), func(i int) bool { return s.bins[i].index >= index })
	if i < len(s.bins) && s.bins[i].index == index {
		s.bins[i].count += count
	} else {
		s.bins = slices.Insert(s.bins, i, latencyBin{index, count})
	}
	s.count += count
}

// few is how many bins are added one by one: looking for the place of each costs
// less than a pass over a sketch of many.
const few = 4

// Merge adds other's values.
func (s *LatencySketch) Merge(other *LatencySketch) {
	if s.count == 0 {
		s.bins, s.count = append(s.bins, other.bins...), other.count
		return
	}
	if len(other.bins) <= few {
		for _, bin := range other.bins {
			s.addBin(bin.index, bin.count)
		}
		return
	}
	missing := s.addKnown(other)
	s.count += other.count
	if missing == 0 {
		return
	}
	// From the back, so that every bin moves at most once and none is copied.
	mine, place := len(s.bins)-1, len(s.bins)+missing-1
	s.bins = slices.Grow(s.bins, missing)[:place+1]
	for theirs := len(other.bins) - 1; theirs >= 0 && place > mine; {
		switch bin := other.bins[theirs]; {
		case mine < 0 || s.bins[mine].index < bin.index:
			s.bins[place] = bin
			place--
			theirs--
		case s.bins[mine].index == bin.index:
			theirs--
		default:
			s.bins[place] = s.bins[mine]
			place--
			mine--
		}
	}
}

// addKnown adds other's counts to the bins that s has too, and returns how many of
// other's it does not have.
func (s *LatencySketch) addKnown(other *LatencySketch) (missing int) {
	i := 0
	for _, bin := range other.bins {
		for i < len(s.bins) && s.bins[i].index < bin.index {
			i++
		}
		if i < len(s.bins) && s.bins[i].index == bin.index {
			s.bins[i].count += bin.count
		} else {
			missing++
		}
	}
	return missing
}

// Count is the number of values.
func (s *LatencySketch) Count() int64 { return s.count }

// Quantile returns the q-quantile in milliseconds by nearest rank: of the n
// values in ascending order, the one at rank ⌈q·n⌉ (definition 1 of Hyndman
// and Fan, 1996), to within [LatencyRelativeError]. q is clamped to 0 to 1; an
// empty sketch gives 0.
func (s *LatencySketch) Quantile(q float64) float64 {
	rank := max(1, int64(math.Ceil(min(max(q, 0), 1)*float64(s.count))))
	var seen int64
	for _, b := range s.bins {
		if seen += b.count; seen >= rank {
			return latencyValue(b.index)
		}
	}
	return 0
}

// appendBins appends each bin as twice the gap to the one before and, unless its
// count is 1, 1 more and 2 less than the count: most bins have one value.
func (s *LatencySketch) appendBins(b []byte) []byte {
	next := uint16(0)
	for _, bin := range s.bins {
		gap := uint64(bin.index-next) << 1
		if bin.count == 1 {
			b = binary.AppendUvarint(b, gap)
		} else {
			b = binary.AppendUvarint(b, gap|1)
			b = binary.AppendUvarint(b, uint64(bin.count-2)) //nolint:gosec // counts are positive
		}
		next = bin.index + 1
	}
	return b
}

// reset makes the sketch empty and keeps its room.
func (s *LatencySketch) reset() { s.bins, s.count = s.bins[:0], 0 }

// readBins replaces the sketch by what appendBins wrote, in its room, and reports
// whether that is undamaged.
func (s *LatencySketch) readBins(data []byte) bool {
	s.reset()
	if n := varints(data); n > cap(s.bins) {
		s.bins = make([]latencyBin, 0, n)
	}
	u := unpacking{data: data}
	next := uint64(0)
	for u.left() > 0 {
		gap, count := u.number(), int64(1)
		if next += gap / 2; gap%2 != 0 {
			count = u.count()
		}
		if u.err != nil || next >= uint64(len(latencyBounds)) || count > math.MaxInt64-2-s.count {
			return false
		}
		if gap%2 != 0 {
			count += 2
		}
		s.bins = append(s.bins, latencyBin{uint16(next), count}) //nolint:gosec // checked above
		s.count += count
		next++
	}
	return true
}

// varints counts the numbers in data by their last bytes.
func varints(data []byte) int {
	n := 0
	for _, b := range data {
		if b < 0x80 {
			n++
		}
	}
	return n
}
