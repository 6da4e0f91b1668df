package benchmark_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/test/report"
)

// Measurements take minutes and fail for nothing, so they run only when they are
// asked for: see the targets of the Makefile that begin with bench.
var (
	measured   = flag.Bool("measure", false, "measure, and print sections of docs/benchmarks.md")
	documents  = flag.String("write", "", "write the sections into benchmarks.md of this folder, too")
	engines    = flag.String("engines", "postgres,sqlite", "the stores to measure")
	runs       = flag.Int("runs", 20, "how often each thing is measured")
	sizes      = flag.String("sizes", "1000000,10000000", "how many events of the real shape there are; the second is compared with the first")
	spanned    = flag.Int("days", 90, "over how many days these are spread")
	detail     = flag.Bool("detail", false, "print every statistic, not only the slowest")
	wideDays   = flag.Int("wide-days", 365, "over how many days 100,000 events a day of the wide shape are spread; 0 leaves them out")
	shapes     = flag.String("shapes", "real,wide", "the shapes of the events that a worker stores")
	entries    = flag.String("entries", "100,1", "how many events an entry of the queue has")
	raw        = flag.Bool("raw", true, "load raw events too, for the bytes at rest")
	rounds     = flag.Int("rounds", 5, "how often a worker, or a turn of clients, is measured")
	turnLength = flag.Duration("turn", time.Second, "how long clients ask one server before the next has its turn")
	steady     = flag.Duration("steady", 10*time.Second, "how long a constant load lasts")
	events     = flag.Int("events", 300_000, "how many events a worker stores in one run")
)

// whenMeasuring skips the test unless measurements are asked for.
func whenMeasuring(t *testing.T) {
	t.Helper()
	if !*measured {
		t.Skip("no measurements are asked for: see the targets of the Makefile that begin with bench")
	}
}

// newSection begins a section of the report, which is printed, and written with -write,
// once the test has passed.
func newSection(t *testing.T, name string) *report.Section {
	t.Helper()
	s := report.NewSection(name)
	s.Printf("Measured %s, %s.", time.Now().UTC().Format(time.DateOnly), machine())
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		fmt.Print(s)
		if *documents != "" {
			if err := s.Write(*documents); err != nil {
				t.Error(err)
			}
		}
	})
	return s
}

// machine says what measures, and how busy it is otherwise.
func machine() string {
	return fmt.Sprintf("%d cores of %s, %s, %s", runtime.NumCPU(), processor(), runtime.Version(), load())
}

func processor() string {
	info, _ := os.ReadFile("/proc/cpuinfo") // elsewhere than on Linux there is none
	_, rest, found := strings.Cut(string(info), "model name")
	if !found {
		return runtime.GOARCH
	}
	name, _, _ := strings.Cut(rest, "\n")
	return strings.TrimLeft(name, "\t :")
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

func inMilliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// milliseconds is short: no more digits than mean something.
func milliseconds(d time.Duration) string {
	ms := inMilliseconds(d)
	if ms < 10 {
		return fmt.Sprintf("%.1f", ms)
	}
	return fmt.Sprintf("%.0f", ms)
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
			number, _ := strconv.Atoi(child)
			sum += cpuOf(number) + cpuOfChildren(number)
		}
	}
	return sum
}

// cpuOf is the processor time of one process.
func cpuOf(pid int) time.Duration {
	var sum time.Duration
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, task := range tasks {
		stat, _ := os.ReadFile(task)
		computed, _, _ := strings.Cut(string(stat), " ")
		nanoseconds, _ := strconv.Atoi(computed)
		sum += time.Duration(nanoseconds)
	}
	return sum
}

// What /proc says of the memory of a process: what is resident now, and at most so far.
const (
	now  = "VmRSS:"
	peak = "VmHWM:"
)

// residentOf is how much memory a process has resident, in MB.
func residentOf(t *testing.T, pid int, when string) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), when)
	var kilobytes float64
	if _, err := fmt.Sscan(rest, &kilobytes); err != nil {
		t.Fatal(err)
	}
	return kilobytes / 1024
}
