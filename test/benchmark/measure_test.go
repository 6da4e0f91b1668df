package benchmark_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Measurements take minutes and fail for nothing, so they run only when they are
// asked for: see the targets bench-stats and bench-worker of the Makefile.
var (
	measured = flag.Bool("measure", false, "measure, and print tables for docs/benchmarks.md")
	engines  = flag.String("engines", "postgres,sqlite", "the stores to measure")
	runs     = flag.Int("runs", 20, "how often each thing is measured")
	sizes    = flag.String("sizes", "1000000,10000000", "how many events of the real shape there are; the second is compared with the first")
	spanned  = flag.Int("days", 90, "over how many days these are spread")
	detail   = flag.Bool("detail", false, "print every statistic, not only the slowest")
	wideDays = flag.Int("wide-days", 365, "over how many days 100,000 events a day of the wide shape are spread; 0 leaves them out")
	shapes   = flag.String("shapes", "real,wide", "the shapes of the events that a worker stores")
	entries  = flag.String("entries", "100,1", "how many events an entry of the queue has")
	raw      = flag.Bool("raw", true, "load raw events too, for the bytes at rest")
	rounds   = flag.Int("rounds", 5, "how often a worker is measured")
	events   = flag.Int("events", 300_000, "how many events a worker stores in one run")
)

// whenMeasuring skips the test unless measurements are asked for.
func whenMeasuring(t *testing.T) {
	t.Helper()
	if !*measured {
		t.Skip("no measurements are asked for: see make bench-stats and bench-worker")
	}
	printf("\nMachine: %s.\n", load())
}

// load says how busy the machine is.
func load() string {
	averages, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(averages))
	if err != nil || len(fields) < 3 {
		return "load unknown"
	}
	return "load " + strings.Join(fields[:3], ", ")
}

// printf writes a part of the tables, which are not mixed with the test's log.
func printf(format string, args ...any) { fmt.Printf(format, args...) }

func timed(work func()) time.Duration {
	start := time.Now()
	work()
	return time.Since(start)
}

// quantile returns the duration that that part of them is below; 0 of none.
func quantile(durations []time.Duration, part float64) time.Duration {
	if len(durations) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(durations))
	return sorted[min(int(part*float64(len(sorted))), len(sorted)-1)]
}

func median(durations []time.Duration) time.Duration { return quantile(durations, 0.5) }

// milliseconds is short: no more digits than mean something.
func milliseconds(d time.Duration) string {
	ms := float64(d.Microseconds()) / 1000
	if ms < 10 {
		return fmt.Sprintf("%.1f", ms)
	}
	return fmt.Sprintf("%.0f", ms)
}

// table prints a table of Markdown.
type table struct{ rows [][]string }

func newTable(head ...string) *table {
	rule := slices.Repeat([]string{"---"}, len(head))
	return &table{[][]string{head, rule}}
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) print() {
	printf("\n")
	for i, row := range t.rows {
		if i == 1 {
			printf("|%s|\n", strings.Join(row, "|"))
			continue
		}
		printf("| %s |\n", strings.Join(row, " | "))
	}
	printf("\n")
}

func perSecond(rates []float64) string {
	return fmt.Sprintf("%.1f k", medianOf(rates)/1000)
}

// ratio is that of the medians.
func ratio(of, to []float64) string { return fmt.Sprintf("%.2f", medianOf(of)/medianOf(to)) }

func medianOf(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func fileSize(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// computing runs work and returns the CPU time that this process and all those that it
// started took meanwhile, but for those that have ended.
func computing(tb testing.TB, work func()) time.Duration {
	tb.Helper()
	children, self := cpuOfChildren(os.Getpid()), cpuOfSelf(tb)
	work()
	self = cpuOfSelf(tb) - self
	return self + cpuOfChildren(os.Getpid()) - children
}

func cpuOfSelf(tb testing.TB) time.Duration {
	tb.Helper()
	var self syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &self); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(self.Utime.Nano() + self.Stime.Nano())
}

func cpuOfChildren(pid int) time.Duration {
	var sum time.Duration
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		children, _ := os.ReadFile(list)
		for child := range strings.FieldsSeq(string(children)) {
			tasks, _ := filepath.Glob("/proc/" + child + "/task/*/schedstat")
			for _, task := range tasks {
				stat, _ := os.ReadFile(task)
				computed, _, _ := strings.Cut(string(stat), " ")
				nanoseconds, _ := strconv.Atoi(computed)
				sum += time.Duration(nanoseconds)
			}
			number, _ := strconv.Atoi(child)
			sum += cpuOfChildren(number)
		}
	}
	return sum
}
