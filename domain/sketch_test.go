package domain_test

import (
	"bytes"
	"encoding"
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

// encode also demands that the two ways to encode agree.
func encode(t interface{ Fatalf(string, ...any) }, s interface {
	encoding.BinaryMarshaler
	encoding.BinaryAppender
},
) []byte {
	marshaled, err := s.MarshalBinary()
	if err != nil {
		t.Fatalf("marshal: %v", err)
	}
	appended, err := s.AppendBinary([]byte("before"))
	if err != nil || !bytes.Equal(appended, slices.Concat([]byte("before"), marshaled)) {
		t.Fatalf("append %x after %q: %x, %v", marshaled, "before", appended, err)
	}
	return marshaled
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
	if empty.Count() != 0 || empty.Quantile(0.5) != 0 || len(encode(t, empty)) != 0 {
		t.Errorf("empty: %d values, median %v, encoding %x", empty.Count(), empty.Quantile(0.5), encode(t, empty))
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
		want := encode(t, all)

		left := latencyOf(a...)
		left.Merge(latencyOf(b...))
		left.Merge(latencyOf(c...))
		right := latencyOf(c...)
		right.Merge(latencyOf(b...))
		tail := latencyOf(a...)
		right.Merge(tail)
		for name, s := range map[string]*domain.LatencySketch{"(a+b)+c": left, "(c+b)+a": right} {
			if !bytes.Equal(encode(t, s), want) || s.Count() != int64(len(a)+len(b)+len(c)) {
				t.Fatalf("%s is %+v, want %+v", name, s, all)
			}
		}
		left.Add(1)
		if !bytes.Equal(encode(t, tail), encode(t, latencyOf(a...))) || !bytes.Equal(encode(t, right), want) {
			t.Fatalf("merging changed what was merged")
		}

		var read domain.LatencySketch
		if err := read.UnmarshalBinary(want); err != nil || !reflect.DeepEqual(&read, all) {
			t.Fatalf("read back as %+v, %v\nwant %+v", read, err, all)
		}
	})
}

func TestLatencyEncodingNeverChanges(t *testing.T) {
	// What is stored must stay readable: a change here needs a new format and
	// a rebuild of the aggregates.
	want := []byte{1, 0, 1, 0, 0x88, 5}
	if got := encode(t, latencyOf(0, 1, 1, 5_000)); !bytes.Equal(got, want) {
		t.Errorf("encoded as %#v, want %#v", got, want)
	}
}

// damagedLatencies are no encodings of anything.
var damagedLatencies = map[string][]byte{
	"unknown format":             {9, 0, 1},
	"half a bin":                 {1, 1},
	"a count that is no number":  append([]byte{1, 1}, bytes.Repeat([]byte{0xff}, 11)...),
	"a count that is too high":   {1, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1},
	"together too many":          {1, 1, 253, 255, 255, 255, 255, 255, 255, 255, 127, 0},
	"a bin beyond the last":      {1, 255, 255, 3},
	"bins that together go over": {1, 0xe8, 7, 0xe8, 7},
}

func TestDamagedLatencyIsRefused(t *testing.T) {
	for name, data := range damagedLatencies {
		if err := latencyOf(1).UnmarshalBinary(data); err == nil {
			t.Errorf("%s is read", name)
		}
	}
}

func FuzzLatencySketch(f *testing.F) {
	valid, err := latencyOf(0, 1, 70, 5_000, domain.MaxResponseTimeMS).MarshalBinary()
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
	for _, damaged := range damagedLatencies {
		f.Add(damaged)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := latencyOf(1, 2, 3)
		s := latencyOf(1, 2, 3)
		if err := s.UnmarshalBinary(data); err != nil {
			if !reflect.DeepEqual(s, before) {
				t.Fatal("a failed read changed the sketch")
			}
			return
		}
		if m := s.Quantile(0.5); s.Count() < 0 || m < 0 || m > domain.MaxResponseTimeMS {
			t.Fatalf("%d values with median %v", s.Count(), m)
		}
		var again domain.LatencySketch
		if err := again.UnmarshalBinary(encode(t, s)); err != nil || !reflect.DeepEqual(&again, s) {
			t.Fatalf("read back as %+v, %v; want %+v", again, err, s)
		}
	})
}
