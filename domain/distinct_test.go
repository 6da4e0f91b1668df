package domain_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// sessions returns a sketch that was told the numbers from first up to and
// without end.
func sessions(first, end int) *domain.DistinctSketch {
	var d domain.DistinctSketch
	for i := first; i < end; i++ {
		d.Add(strconv.Itoa(i))
	}
	return &d
}

func TestDistinctIsExactWhileFew(t *testing.T) {
	for _, n := range []int{0, 1, 2, 100, 767, 768} {
		d := sessions(0, n)
		d.Merge(sessions(0, n)) // the same again
		if got := d.Estimate(); got != int64(n) {
			t.Errorf("%d different strings count as %d", n, got)
		}
	}
}

func TestDistinctIsNearWhenMany(t *testing.T) {
	for _, n := range []int{769, 1_000, 3_000, 10_000, 30_000, 100_000} {
		for series := range 5 {
			first := series * 1_000_000
			got := float64(sessions(first, first+n).Estimate())
			if math.Abs(got-float64(n)) > 0.05*float64(n) {
				t.Errorf("%d different strings, series %d, count as %v", n, series, got)
			}
		}
	}
	// So many that some register is at its top.
	if got := float64(sessions(0, 1_000_000).Estimate()); math.Abs(got-1e6) > 0.05e6 {
		t.Errorf("a million different strings count as %v", got)
	}
}

// TestDistinctEstimateFollowsItsFormula sums up the series of Ertl 2017,
// section 2.3, term by term, for registers that no number of strings of a test
// brings about.
func TestDistinctEstimateFollowsItsFormula(t *testing.T) {
	const m, q = 4096.0, 20
	sigma := func(x float64) float64 {
		sum := x
		for k := 1; k <= 60; k++ {
			sum += math.Pow(x, math.Exp2(float64(k))) * math.Exp2(float64(k-1))
		}
		return sum
	}
	tau := func(x float64) float64 {
		if x == 0 || x == 1 {
			return 0 // the limit
		}
		sum := 1 - x
		for k := 1; k <= 60; k++ {
			sum -= math.Pow(1-math.Pow(x, math.Exp2(float64(-k))), 2) * math.Exp2(float64(-k))
		}
		return sum / 3
	}
	for _, registers := range []map[int]int{ // how many have which rank
		{0: 4095, 1: 1},
		{0: 1000, 3: 3000, 20: 96},
		{18: 2048, 21: 2048},
		{20: 4095, 21: 1},
		{20: 1, 21: 4095},
		{0: 1, 21: 4095},
	} {
		encoded := []byte{2}
		z := m * sigma(float64(registers[0])/m)
		z += m * tau(1-float64(registers[q+1])/m) * math.Exp2(-q)
		for rank, n := range registers {
			encoded = append(encoded, bytes.Repeat([]byte{byte(rank)}, n)...)
			if 1 <= rank && rank <= q {
				z += float64(n) * math.Exp2(float64(-rank))
			}
		}
		want := min(m*m/(2*math.Ln2*z), math.MaxUint32)
		var d domain.DistinctSketch
		if err := d.UnmarshalBinary(encoded); err != nil {
			t.Fatalf("%v: %v", registers, err)
		}
		if got := float64(d.Estimate()); math.Abs(got-want) > 1e-9*want+1 {
			t.Errorf("registers %v count as %v, want %v", registers, got, want)
		}
	}
	for name, rank := range map[string]byte{"empty": 0, "at the top": 21} {
		var d domain.DistinctSketch
		if err := d.UnmarshalBinary(append([]byte{2}, bytes.Repeat([]byte{rank}, m)...)); err != nil {
			t.Fatal(err)
		}
		want := map[byte]int64{0: 0, 21: math.MaxUint32}[rank]
		if got := d.Estimate(); got != want {
			t.Errorf("registers that are all %s count as %d, want %d", name, got, want)
		}
	}
}

func TestDistinctIsAFunctionOfTheSet(t *testing.T) {
	part := rapid.Custom(func(t *rapid.T) [2]int {
		first := rapid.IntRange(0, 1500).Draw(t, "first")
		return [2]int{first, first + rapid.OneOf(rapid.IntRange(0, 5), rapid.IntRange(0, 1500)).Draw(t, "length")}
	})
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(part, 1, 4).Draw(t, "parts")
		var all domain.DistinctSketch
		for _, p := range parts {
			for i := p[1] - 1; i >= p[0]; i-- { // the other way round
				all.Add(strconv.Itoa(i))
			}
		}
		want := encode(t, &all)

		var merged, nested domain.DistinctSketch
		for _, p := range parts {
			merged.Merge(sessions(p[0], p[1]))
			inner := sessions(p[0], p[1])
			inner.Merge(&nested)
			nested = *inner
		}
		if !bytes.Equal(encode(t, &merged), want) || !bytes.Equal(encode(t, &nested), want) {
			t.Fatalf("the order of merging makes a difference")
		}
		var read domain.DistinctSketch
		if err := read.UnmarshalBinary(want); err != nil || read.Estimate() != all.Estimate() || !bytes.Equal(encode(t, &read), want) {
			t.Fatalf("read back as %d, %v; want %d", read.Estimate(), err, all.Estimate())
		}
	})
}

func TestDistinctMergeLeavesTheOtherAlone(t *testing.T) {
	for _, sizes := range [][2]int{{10, 20}, {10, 2_000}, {2_000, 10}, {2_000, 3_000}, {0, 2_000}, {0, 10}} {
		other := sessions(0, sizes[1])
		want := encode(t, other)
		d := sessions(5_000, 5_000+sizes[0])
		d.Merge(other)
		for i := range 3_000 {
			d.Add("more" + strconv.Itoa(i))
		}
		if !bytes.Equal(encode(t, other), want) {
			t.Errorf("merging %d into %d, and adding, changed what was merged", sizes[1], sizes[0])
		}
	}
}

func TestDistinctEncodingNeverChanges(t *testing.T) {
	// What is stored must stay readable: a change here needs a new format and
	// a rebuild of the aggregates.
	want := []byte{1, 0x93, 0x9b, 0x9f, 0xb4, 4, 0x9f, 0xab, 0xba, 0xaa, 4}
	if got := encode(t, sessions(0, 2)); !bytes.Equal(got, want) {
		t.Errorf("encoded as %#v, want %#v", got, want)
	}
	if got := encode(t, sessions(0, 2_000)); len(got) != 4097 || got[0] != 2 {
		t.Errorf("many strings have %d bytes of format %d", len(got), got[0])
	}
}

// damagedDistincts are no encodings of anything.
var damagedDistincts = map[string][]byte{
	"unknown format":           {9, 0},
	"no hash":                  {1},
	"a hash twice":             {1, 0, 0},
	"a hash beyond 32 bits":    {1, 5, 255, 255, 255, 255, 15},
	"a gap beyond 32 bits":     {1, 255, 255, 255, 255, 31},
	"a gap that wraps around":  binary.AppendUvarint([]byte{1, 5}, math.MaxUint64-2),
	"a hash that is no number": append([]byte{1}, bytes.Repeat([]byte{0xff}, 11)...),
	"too many to be sparse":    append([]byte{1}, bytes.Repeat([]byte{1}, 769)...),
	"a register missing":       append([]byte{2}, bytes.Repeat([]byte{1}, 4095)...),
	"a register above the top": append([]byte{2}, bytes.Repeat([]byte{22}, 4096)...),
}

func TestDamagedDistinctIsRefused(t *testing.T) {
	for name, data := range damagedDistincts {
		if err := sessions(0, 1).UnmarshalBinary(data); err == nil {
			t.Errorf("%s is read", name)
		}
	}
}

func TestOutermostHashesAreRead(t *testing.T) {
	for _, hash := range []uint64{0, math.MaxUint32} {
		var d domain.DistinctSketch
		if err := d.UnmarshalBinary(binary.AppendUvarint([]byte{1}, hash)); err != nil || d.Estimate() != 1 {
			t.Errorf("the hash %d counts as %d strings: %v", hash, d.Estimate(), err)
		}
	}
}

func FuzzDistinctSketch(f *testing.F) {
	valid, err := sessions(0, 4).MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(valid)
	for i := range valid {
		f.Add(valid[:i])
		flipped := slices.Clone(valid)
		flipped[i] ^= 0xff
		f.Add(flipped)
	}
	for _, damaged := range damagedDistincts {
		f.Add(damaged)
	}
	f.Add(append([]byte{2}, bytes.Repeat([]byte{21}, 4096)...)) // all at the top
	f.Add(append([]byte{2}, bytes.Repeat([]byte{0}, 4096)...))  // dense and empty
	f.Fuzz(func(t *testing.T, data []byte) {
		before, s := sessions(0, 3), sessions(0, 3)
		if err := s.UnmarshalBinary(data); err != nil {
			if !reflect.DeepEqual(s, before) {
				t.Fatal("a failed read changed the sketch")
			}
			return
		}
		if s.Estimate() < 0 {
			t.Fatalf("%d different strings", s.Estimate())
		}
		s.Merge(before)
		s.Add("one more")
		var again domain.DistinctSketch
		if err := again.UnmarshalBinary(encode(t, s)); err != nil || !reflect.DeepEqual(&again, s) {
			t.Fatalf("read back as %+v, %v; want %+v", again, err, s)
		}
	})
}
