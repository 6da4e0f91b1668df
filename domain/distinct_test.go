package domain_test

import (
	"bytes"
	"math"
	"reflect"
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
		var ranks []uint8
		z := m * sigma(float64(registers[0])/m)
		z += m * tau(1-float64(registers[q+1])/m) * math.Exp2(-q)
		for rank, n := range registers {
			ranks = append(ranks, bytes.Repeat([]byte{byte(rank)}, n)...)
			if 1 <= rank && rank <= q {
				z += float64(n) * math.Exp2(float64(-rank))
			}
		}
		want := min(m*m/(2*math.Ln2*z), math.MaxUint32)
		if got := float64(domain.DistinctOf(ranks).Estimate()); math.Abs(got-want) > 1e-9*want+1 {
			t.Errorf("registers %v count as %v, want %v", registers, got, want)
		}
	}
	for name, rank := range map[string]byte{"empty": 0, "at the top": 21} {
		want := map[byte]int64{0: 0, 21: math.MaxUint32}[rank]
		if got := domain.DistinctOf(bytes.Repeat([]byte{rank}, m)).Estimate(); got != want {
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
		var merged, nested domain.DistinctSketch
		for _, p := range parts {
			merged.Merge(sessions(p[0], p[1]))
			inner := sessions(p[0], p[1])
			inner.Merge(&nested)
			nested = *inner
		}
		if !reflect.DeepEqual(merged, all) || !reflect.DeepEqual(nested, all) {
			t.Fatalf("the order of merging makes a difference")
		}
	})
}

func TestDistinctMergeLeavesTheOtherAlone(t *testing.T) {
	for _, sizes := range [][2]int{{10, 20}, {10, 2_000}, {2_000, 10}, {2_000, 3_000}, {0, 2_000}, {0, 10}} {
		other := sessions(0, sizes[1])
		d := sessions(5_000, 5_000+sizes[0])
		d.Merge(other)
		for i := range 3_000 {
			d.Add("more" + strconv.Itoa(i))
		}
		if !reflect.DeepEqual(other, sessions(0, sizes[1])) {
			t.Errorf("merging %d into %d, and adding, changed what was merged", sizes[1], sizes[0])
		}
	}
}

func TestRegistersAreChecked(t *testing.T) {
	full := bytes.Repeat([]byte{21}, 4096)
	if !domain.ValidRegisters(full) || !domain.ValidRegisters(make([]byte, 4096)) {
		t.Error("registers at their top, or without anything, are refused")
	}
	if domain.ValidRegisters(full[1:]) || domain.ValidRegisters(append(full[:4095:4095], 22)) {
		t.Error("a register that is missing, or above the top, is not seen")
	}
}
