package soak_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// sample is what was seen in one second.
type sample struct {
	// at is when, since the load began.
	at time.Duration
	// values are those of the series, in their order. NaN is one that is not known.
	values []float64
}

// series is one of the measured quantities.
type series struct {
	name string
	// allowance is by how much it may grow during the fitted part, in its unit.
	allowance float64
}

// allSeries are in the order of a sample's values.
var allSeries = []series{
	// The Go heap breathes, and the store's pages and the packed aggregates of the
	// current day come into use as events arrive.
	{"resident memory, MB", 24},
	// The runtime starts another thread when one is blocked in a system call.
	{"threads", 4},
	// The store opens some as it works; connections vary with the clients.
	{"files but connections", 8},
	// The latencies allow for other work on the machine.
	{"post p99, ms", 100},
	{"cached read p99, ms", 100},
	{"queued events", 500},
	{"unexplained disk, MB", 16},
}

// theilSen returns the median slope between all pairs of points, per unit of x, and
// 0 where there is no pair.
func theilSen(x, y []float64) float64 {
	var slopes []float64
	for i := range x {
		for j := range i {
			if x[i] != x[j] {
				slopes = append(slopes, (y[i]-y[j])/(x[i]-x[j]))
			}
		}
	}
	return median(slopes)
}

// median is 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[len(sorted)/2] + sorted[(len(sorted)-1)/2]) / 2
}

// quantile is NaN of none.
func quantile(values []float64, part float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(part*float64(len(sorted))), len(sorted)-1)]
}

// enough is how many values a slope is fitted to at least.
const enough = 10

// evaluate fits each series to the samples after the warm-up. It returns a table
// and what is wrong: the series that grow beyond their allowance, and those that
// are not known well enough.
func evaluate(samples []sample, length time.Duration) (table string, faults []string) {
	var text strings.Builder
	columns := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(columns, "series\tstart\tend\tslope per minute\tgrowth\tallowance\t")
	for i, s := range allSeries {
		var x, y []float64
		for _, sample := range samples {
			if sample.at >= length/4 && !math.IsNaN(sample.values[i]) {
				x, y = append(x, sample.at.Minutes()), append(y, sample.values[i])
			}
		}
		if len(y) < enough {
			faults = append(faults, fmt.Sprintf("%s: only %d values are known after the warm-up", s.name, len(y)))
			continue
		}
		slope := theilSen(x, y)
		growth := slope * (x[len(x)-1] - x[0])
		tenth := max(3, len(y)/10)
		fmt.Fprintf(columns, "%s\t%.1f\t%.1f\t%+.2f\t%+.1f\t%g\t\n",
			s.name, median(y[:tenth]), median(y[len(y)-tenth:]), slope, growth, s.allowance)
		if growth > s.allowance {
			faults = append(faults, fmt.Sprintf("%s: grows by %.1f, beyond its allowance of %g", s.name, growth, s.allowance))
		}
	}
	_ = columns.Flush() // a strings.Builder takes everything
	return text.String(), faults
}

func TestSlopeIsThatOfTheLineWhateverSingleValuesAre(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, want := range []float64{0, 0.5, -3} {
		var x, y []float64
		for i := range 200 {
			value := 40 + want*float64(i) + random.NormFloat64()
			if i%10 == 9 { // a tenth are far off, and the later the farther
				value += 1000 * float64(i)
			}
			x, y = append(x, float64(i)), append(y, value)
		}
		if got := theilSen(x, y); math.Abs(got-want) > 0.05 {
			t.Errorf("slope = %.3f, want %.3f", got, want)
		}
	}
	if got := theilSen([]float64{1, 1}, []float64{1, 2}); got != 0 {
		t.Errorf("slope of points at one time = %v, want 0", got)
	}
}

func TestGrowthBeyondTheAllowanceFails(t *testing.T) {
	for i, s := range allSeries {
		for _, test := range []struct {
			share float64 // of the allowance, during the fitted part
			fails bool
		}{{0.9, false}, {1.1, true}, {-5, false}} {
			const seconds = 60
			var samples []sample
			for second := range seconds {
				values := make([]float64, len(allSeries))
				values[i] = 100 + test.share*s.allowance*float64(second-seconds/4)/(seconds-1-seconds/4)
				if second < seconds/4 {
					values[i] = float64(second * second) // the warm-up does not count
				}
				samples = append(samples, sample{time.Duration(second) * time.Second, values})
			}
			if _, grown := evaluate(samples, seconds*time.Second); (len(grown) > 0) != test.fails {
				t.Errorf("%s at %g of its allowance: %v", s.name, test.share, grown)
			}
		}
	}
}

func TestUnknownSeriesFails(t *testing.T) {
	var samples []sample
	for second := range 60 {
		values := make([]float64, len(allSeries))
		values[0] = math.NaN()
		samples = append(samples, sample{time.Duration(second) * time.Second, values})
	}
	if _, faults := evaluate(samples, time.Minute); len(faults) != 1 {
		t.Errorf("faults are %v, want one for %s", faults, allSeries[0].name)
	}
}
