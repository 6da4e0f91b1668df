package domain

import (
	"math"
	"math/bits"
	"slices"
)

// DistinctSketch estimates how many different strings it was told. Up to
// [distinctSparse] different ones it keeps a 32-bit hash of each and is exact
// but for collisions of these; beyond that it is a HyperLogLog of 4,096
// registers with a standard error of 1.6 % (Flajolet and others, 2007), read
// with the improved estimator of Ertl ("New cardinality estimation algorithms
// for HyperLogLog sketches", 2017), which needs no correction at either end.
//
// A sketch is a pure function of the set of its strings. It cannot give the strings
// back.
//
// The zero DistinctSketch is empty and ready.
type DistinctSketch struct {
	sparse []uint32 // ascending; nil once dense
	dense  []uint8  // distinctRegisters ranks; nil while sparse
}

const (
	distinctBits      = 12
	distinctRegisters = 1 << distinctBits
	distinctSparse    = 768
	// distinctMaxRank is one more than the leading zeros that the bits of a
	// hash beside the register's number can have.
	distinctMaxRank = 32 - distinctBits + 1
)

// Add counts s.
func (d *DistinctSketch) Add(s string) {
	// FNV-1a spreads the bytes, SplitMix64's finalizer the bits.
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	d.addHash(uint32((h ^ h>>31) >> 32))
}

func (d *DistinctSketch) addHash(h uint32) {
	if d.dense != nil {
		d.raise(h)
		return
	}
	i, found := slices.BinarySearch(d.sparse, h)
	if found {
		return
	}
	d.sparse = slices.Insert(d.sparse, i, h)
	d.settle()
}

// settle turns a sparse sketch that has grown too large into a dense one.
func (d *DistinctSketch) settle() {
	if len(d.sparse) <= distinctSparse {
		return
	}
	d.dense = make([]uint8, distinctRegisters)
	for _, h := range d.sparse {
		d.raise(h)
	}
	d.sparse = nil
}

func (d *DistinctSketch) raise(h uint32) {
	rank := min(bits.LeadingZeros32(h<<distinctBits)+1, distinctMaxRank)
	register := &d.dense[h>>(32-distinctBits)]
	*register = max(*register, uint8(rank)) //nolint:gosec // at most 21
}

// Merge adds what other was told.
func (d *DistinctSketch) Merge(other *DistinctSketch) {
	switch {
	case other.dense != nil && d.dense != nil:
		for i, rank := range other.dense {
			d.dense[i] = max(d.dense[i], rank)
		}
	case other.dense != nil:
		mine := d.sparse
		d.dense, d.sparse = slices.Clone(other.dense), nil
		for _, h := range mine {
			d.raise(h)
		}
	case d.dense != nil:
		for _, h := range other.sparse {
			d.raise(h)
		}
	case len(other.sparse) <= few:
		for _, h := range other.sparse {
			d.addHash(h)
		}
	default:
		merged := slices.Concat(d.sparse, other.sparse)
		slices.Sort(merged)
		d.sparse = slices.Compact(merged)
		d.settle()
	}
}

func (d *DistinctSketch) isEmpty() bool { return d.dense == nil && len(d.sparse) == 0 }

// validRegisters reports whether these are all registers of a dense sketch.
func validRegisters(registers []uint8) bool {
	return len(registers) == distinctRegisters && slices.Max(registers) <= distinctMaxRank
}

// Estimate is the number of different strings, exact while they are few.
func (d *DistinctSketch) Estimate() int64 {
	if d.dense == nil {
		return int64(len(d.sparse))
	}
	var histogram [distinctMaxRank + 1]float64
	for _, rank := range d.dense {
		histogram[rank]++
	}
	// Ertl 2017, algorithm 6.
	const m = float64(distinctRegisters)
	z := m * ertlTau(1-histogram[distinctMaxRank]/m)
	for rank := distinctMaxRank - 1; rank >= 1; rank-- {
		z = 0.5 * (z + histogram[rank])
	}
	z += m * ertlSigma(histogram[0]/m)
	// There are no more hashes than that, whatever damaged registers say.
	return int64(math.Round(min(m*m/(2*math.Ln2*z), math.MaxUint32)))
}

// ertlSigma is x + Σ x^(2^k)·2^(k−1).
func ertlSigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for {
		x *= x
		previous := z
		z += x * y
		y += y
		if z == previous {
			return z
		}
	}
}

// ertlTau is (1 − x − Σ (1−x^(2^−k))²·2^−k) / 3.
func ertlTau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		previous := z
		y *= 0.5
		z -= (1 - x) * (1 - x) * y
		if z == previous {
			return z / 3
		}
	}
}
