package report_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/test/report"
)

func newDocs(t *testing.T, text string) (docs string, read func(name string) string) {
	t.Helper()
	docs = t.TempDir()
	if err := os.WriteFile(filepath.Join(docs, "benchmarks.md"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return docs, func(name string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(docs, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

// A section replaces what was measured before, and nothing that is written by hand.
func TestSectionReplaces(t *testing.T) {
	docs, read := newDocs(t, "# Title\n\nby hand\n<!-- measured: worker -->\nold\n<!-- end: worker -->\nmore\n<!-- measured: cache -->\nother\n<!-- end: cache -->\n")
	for range 2 {
		s := report.NewSection("worker")
		s.Printf("On %d cores.", 2)
		table := report.NewTable("what", "rate", "target")
		table.Add("copied", "1 k")
		s.Table(table)
		s.Chart("worker", "rates", report.Panel{Points: []string{"1", "100"}, Lines: []report.Line{{Name: "copied", Values: []float64{1, 2}}}})
		if err := s.Write(docs); err != nil {
			t.Fatal(err)
		}
	}
	const want = "# Title\n\nby hand\n<!-- measured: worker -->\n\nOn 2 cores.\n\n| what | rate | target |\n|---|---|---|\n| copied | 1 k |  |\n\n" +
		"![rates](benchmarks/worker.svg)\n\n<!-- end: worker -->\nmore\n<!-- measured: cache -->\nother\n<!-- end: cache -->\n"
	if got := read("benchmarks.md"); got != want {
		t.Errorf("the document is\n%s\nwant\n%s", got, want)
	}
}

func TestSectionWithoutPlace(t *testing.T) {
	const text = "# Title\n<!-- measured: worker -->\nnever ends\n"
	docs, read := newDocs(t, text)
	for _, name := range []string{"worker", "cache"} {
		if err := report.NewSection(name).Write(docs); !errors.Is(err, report.ErrNoPlace) {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
	if got := read("benchmarks.md"); got != text {
		t.Errorf("the document is %q now", got)
	}
}

// A chart names its lines, points and axes, and has a dashed line for each limit.
func TestChart(t *testing.T) {
	docs, read := newDocs(t, "<!-- measured: stats -->\n<!-- end: stats -->\n")
	s := report.NewSection("stats")
	lines := []report.Line{
		{Name: "1 million", Values: []float64{3, math.NaN(), 30}, Limit: report.Limit(3, 50)},
		{Name: "10 million", Values: []float64{0, 20, 40}},
	}
	points := []string{"24h", "7d", "90d"}
	s.Chart("stats", "p95", report.Panel{Title: "linear", X: "window", Y: "ms", Points: points, Lines: lines},
		report.Panel{Title: "logarithmic", Points: points, Lines: lines, Log: true}, report.Panel{Title: "no lines", Points: points})
	if err := s.Write(docs); err != nil {
		t.Fatal(err)
	}
	drawn := read("benchmarks/stats.svg")
	for _, text := range []string{"linear", "logarithmic", "no lines", "window", "ms", "24h", "90d", "1 million", "10 million"} {
		if !strings.Contains(drawn, ">"+text+"</text>") {
			t.Errorf("the chart does not say %q", text)
		}
	}
	if n := strings.Count(drawn, "stroke-dasharray"); n != 2 {
		t.Errorf("%d dashed lines, want one for the limit in each panel", n)
	}
}
