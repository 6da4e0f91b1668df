package domain_test

import (
	"bytes"
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

func latencyOf(values ...int32) *domain.LatencySketch {
	var s domain.LatencySketch
	for _, v := range values {
		s.Add(v)
	}
	return &s
}

var latencies = rapid.SliceOfN(rapid.OneOf(
	rapid.Int32Range(0, 100), rapid.Int32Range(0, 3000), rapid.Int32Range(0, domain.MaxResponseTimeMS),
), 0, 300)

// nearestRank is the exact quantile that the sketch comes near to.
func nearestRank(values []int32, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return float64(sorted[max(1, int(math.Ceil(q*float64(len(sorted)))))-1])
}

func TestLatencyQuantilesAreWithinOnePercent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := latencies.Filter(func(v []int32) bool { return len(v) > 0 }).Draw(t, "values")
		q := rapid.OneOf(rapid.SampledFrom([]float64{0, 0.5, 0.95, 0.99, 1}), rapid.Float64Range(0, 1)).Draw(t, "q")
		shown := math.Round(10*latencyOf(values...).Quantile(q)) / 10
		exact := nearestRank(values, q)
		if math.Abs(shown-exact) > 0.01*exact {
			t.Fatalf("the %v-quantile is %v and shows as %v", q, exact, shown)
		}
	})
}

func TestLatencyOfEveryValue(t *testing.T) {
	for ms := range int32(domain.MaxResponseTimeMS + 1) {
		got, want := latencyOf(ms).Quantile(0.5), float64(ms)
		if math.Abs(got-want) > domain.LatencyRelativeError*want {
			t.Fatalf("%d ms shows as %v", ms, got)
		}
		if ms < 67 && got != want {
			t.Fatalf("%d ms shows as %v: short times are exact", ms, got)
		}
	}
}

func TestLatencyEnds(t *testing.T) {
	empty := latencyOf()
	if empty.Count() != 0 || empty.Quantile(0.5) != 0 || len(empty.Bins()) != 0 {
		t.Errorf("empty: %d values, median %v, bins %x", empty.Count(), empty.Quantile(0.5), empty.Bins())
	}
	s := latencyOf(-5, math.MinInt32, domain.MaxResponseTimeMS+1, math.MaxInt32)
	if want := latencyOf(0, 0, domain.MaxResponseTimeMS, domain.MaxResponseTimeMS); !reflect.DeepEqual(s, want) {
		t.Errorf("values outside the range count as %+v, want the ends %+v", s, want)
	}
	s = latencyOf(10, 20, 30)
	for q, want := range map[float64]float64{-1: 10, 0: 10, 0.3: 10, 0.34: 20, 1: 30, 2: 30} {
		if got := s.Quantile(q); got != want {
			t.Errorf("the %v-quantile of 10, 20, 30 is %v, want %v", q, got, want)
		}
	}
}

func TestLatencyIsAFunctionOfTheMultiset(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := latencies.Draw(t, "a"), latencies.Draw(t, "b"), latencies.Draw(t, "c")
		all := latencyOf(slices.Concat(a, b, c)...)
		left := latencyOf(a...)
		left.Merge(latencyOf(b...))
		left.Merge(latencyOf(c...))
		right := latencyOf(c...)
		right.Merge(latencyOf(b...))
		tail := latencyOf(a...)
		right.Merge(tail)
		for name, s := range map[string]*domain.LatencySketch{"(a+b)+c": left, "(c+b)+a": right} {
			if !reflect.DeepEqual(s, all) || s.Count() != int64(len(a)+len(b)+len(c)) {
				t.Fatalf("%s is %+v, want %+v", name, s, all)
			}
		}
		left.Add(1)
		if !reflect.DeepEqual(tail, latencyOf(a...)) || !reflect.DeepEqual(right, all) {
			t.Fatalf("merging changed what was merged")
		}

		var read domain.LatencySketch
		if !read.ReadBins(all.Bins()) || !slices.Equal(read.Bins(), all.Bins()) || read.Count() != all.Count() {
			t.Fatalf("read back as %+v\nwant %+v", read, all)
		}
	})
}

func TestLatencyBinsNeverChange(t *testing.T) {
	// What is stored must stay readable: a change here needs a new format and
	// a rebuild of the aggregates.
	want := []byte{0, 1, 0, 0x88, 5}
	if got := latencyOf(0, 1, 1, 5_000).Bins(); !bytes.Equal(got, want) {
		t.Errorf("packed as %#v, want %#v", got, want)
	}
}

// damagedLatencies are no bins of anything.
var damagedLatencies = map[string][]byte{
	"half a bin":                 {1},
	"a count that is no number":  append([]byte{1}, bytes.Repeat([]byte{0xff}, 11)...),
	"a count that is too high":   {1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1},
	"together too many":          {1, 253, 255, 255, 255, 255, 255, 255, 255, 127, 0},
	"a bin beyond the last":      {255, 255, 3},
	"bins that together go over": {0xe8, 7, 0xe8, 7},
}

func TestDamagedLatencyIsRefused(t *testing.T) {
	for name, data := range damagedLatencies {
		if latencyOf(1).ReadBins(data) {
			t.Errorf("%s is read", name)
		}
	}
}

func FuzzLatencySketch(f *testing.F) {
	valid := latencyOf(0, 1, 70, 5_000, domain.MaxResponseTimeMS).Bins()
	f.Add(valid)
	for i := range valid {
		f.Add(valid[:i])
		flipped := slices.Clone(valid)
		flipped[i] ^= 0xff
		f.Add(flipped)
	}
	for _, damaged := range damagedLatencies {
		f.Add(damaged)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var s, again domain.LatencySketch
		if !s.ReadBins(data) {
			return
		}
		if m := s.Quantile(0.5); s.Count() < 0 || m < 0 || m > domain.MaxResponseTimeMS {
			t.Fatalf("%d values with median %v", s.Count(), m)
		}
		if !again.ReadBins(s.Bins()) || again.Count() != s.Count() || !bytes.Equal(again.Bins(), s.Bins()) {
			t.Fatalf("read back as %+v; want %+v", again, s)
		}
	})
}
