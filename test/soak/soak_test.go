package soak_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/test/program"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

var soak = flag.Duration("soak", 0, "how long the load lasts; 0 skips the soak")

const (
	mb = 1 << 20
	// storedBytes is what an event of this mix takes on the disk, with its share of
	// the id of its batch and of the aggregates.
	storedBytes = 160
	// maxGoroutines is more than the program has when no client is connected.
	maxGoroutines = 60
	// storeFiles is how many files the store may open as it works.
	storeFiles = 16
	// maxShed is of how many requests one may meet a machine that is busy otherwise.
	maxShed = 50
	// settling is how long it may take after the load until all is counted.
	settling = time.Minute
)

func TestMain(m *testing.M) {
	flag.Parse()
	servers.Main(m)
}

// target is the program under load.
type target struct {
	process *program.Process
	data    string
	load    *load
}

func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("no soak is asked for: see make soak")
	}
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		servers.Missing(t, "/proc", err)
	}
	data := t.TempDir()
	process := program.Launch(t, "serve", data, "DATA_DIR="+data, "TRUSTED_PROXIES=127.0.0.1",
		"RATE_LIMIT_PER_MINUTE=", "CACHE_TTL_SECONDS=10")
	g := &target{process: process, data: data, load: newLoad(process.Await(t))}
	files := g.openFiles(t)
	samples := g.soak(t)

	table, faults := evaluate(samples, *soak)
	fmt.Printf("\n%v of load, %d events accepted. The slopes are of the last three quarters.\n%s\nanswers: %v\n", *soak, g.load.accepted.Load(), table, g.load.answers)
	for _, fault := range faults {
		t.Error(fault)
	}
	if n := len(g.load.faults); n > 0 {
		t.Errorf("%d requests went wrong, first:\n%s", n, strings.Join(g.load.faults[:min(n, 5)], "\n"))
	}
	if shed, sent := g.load.shed.Load(), g.load.sent.Load(); shed > sent/maxShed {
		t.Errorf("%d of %d requests found the program or this machine too busy, want one in %d at most", shed, sent, maxShed)
	}
	if g.load.answers[limited+" 429"] == 0 {
		t.Error("no request was refused by the rate limit")
	}
	g.awaitCalm(t, files)
	g.checkGoroutines(t)
}

// soak keeps the load up and takes a sample each second.
func (g *target) soak(t *testing.T) []sample {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), *soak)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		g.load.run(ctx)
	}()
	var samples []sample
	start, tick := time.Now(), time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			samples = append(samples, sample{time.Since(start), g.measure(t)})
		case <-g.process.Exited:
			t.Fatalf("the program ended under load: %s", g.process.Log.LastLine())
		case <-ctx.Done():
			<-ended
			return samples
		}
	}
}

// measure returns the values of allSeries.
func (g *target) measure(t *testing.T) []float64 {
	t.Helper()
	posts, reads := g.load.takeLatencies()
	files, queued, unexplained := math.NaN(), math.NaN(), math.NaN()
	if s, err := g.status(t.Context()); err != nil {
		t.Errorf("status: %v", err)
	} else {
		files, queued = float64(g.openFiles(t)-s.Load.Connections), float64(s.Queue.Events)
		unexplained = float64(g.diskBytes(t)-storedBytes*s.EventsProcessed) / mb
	}
	return []float64{
		float64(g.procStatus(t, "VmRSS")) / 1024, float64(g.procStatus(t, "Threads")), files,
		quantile(posts, 0.99), quantile(reads, 0.99), queued, unexplained,
	}
}

type status struct {
	Queue           struct{ Events int }
	EventsProcessed int64 `json:"events_processed"`
	Load            struct{ Connections int }
}

func (g *target) status(ctx context.Context) (s status, err error) {
	return s, g.get(ctx, "/v1/status", &s)
}

func (g *target) get(ctx context.Context, path string, into any) error {
	code, answer, err := g.load.do(ctx, path, nil, g.load.nextAddress(), false)
	if err != nil {
		return err
	}
	if code != http.StatusOK {
		return fmt.Errorf("status %d", code)
	}
	return json.Unmarshal(answer, into)
}

// diskBytes is what the program's files take.
func (g *target) diskBytes(t *testing.T) (sum int64) {
	t.Helper()
	err := filepath.WalkDir(g.data, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = entry.Info(); err == nil {
				sum += info.Size()
			}
		}
		if errors.Is(err, fs.ErrNotExist) { // deleted while files are counted
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func (g *target) proc(name string) string {
	return filepath.Join("/proc", strconv.Itoa(g.process.PID()), name)
}

func (g *target) openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir(g.proc("fd"))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// procStatus reads a number of the kernel's about the process.
func (g *target) procStatus(t *testing.T, name string) int {
	t.Helper()
	text, err := os.ReadFile(g.proc("status"))
	if err != nil {
		t.Fatal(err)
	}
	_, value, _ := strings.Cut(string(text), "\n"+name+":")
	number, err := strconv.Atoi(strings.Fields(value + " none")[0])
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return number
}

// awaitCalm waits until what was accepted is in the statistics, and no more, no
// client but this is connected, and no file is open for those that were.
func (g *target) awaitCalm(t *testing.T, files int) {
	t.Helper()
	least := g.load.accepted.Load()
	most := least + g.load.unknown.Load()
	var s status
	var overview struct {
		Summary struct {
			TotalCalls int64 `json:"total_calls"`
		}
	}
	open := 0
	for deadline := time.Now().Add(settling); time.Now().Before(deadline); pause(t.Context(), 500*time.Millisecond) {
		g.load.client.CloseIdleConnections()
		var err error
		if s, err = g.status(t.Context()); err != nil {
			continue
		}
		err = g.get(t.Context(), "/v1/stats/overview", &overview)
		open = g.openFiles(t)
		if err == nil && least <= s.EventsProcessed && s.EventsProcessed <= most && overview.Summary.TotalCalls == s.EventsProcessed &&
			s.Load.Connections == 1 && open <= files+storeFiles {
			return
		}
	}
	t.Errorf("%v after the load %d events are stored and %d in the statistics, want the %d accepted and %d more at most; "+
		"%d connections are open, want 1; %d files, want %d at most",
		settling, s.EventsProcessed, overview.Summary.TotalCalls, least, most-least, s.Load.Connections, open, files+storeFiles)
}

// checkGoroutines ends the program with SIGQUIT, on which Go's runtime lists all
// goroutines, and counts them.
func (g *target) checkGoroutines(t *testing.T) {
	t.Helper()
	g.load.client.CloseIdleConnections()
	if err := g.process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatalf("the program has ended: %v", err)
	}
	select {
	case <-g.process.Exited:
	case <-time.After(patience):
		t.Fatal("the program does not end on SIGQUIT")
	}
	count := strings.Count(g.process.Log.String(), "\ngoroutine ")
	fmt.Printf("goroutines left: %d of at most %d\n", count, maxGoroutines)
	if count == 0 || count > maxGoroutines {
		t.Errorf("%d goroutines are left after the load, want 1 to %d", count, maxGoroutines)
	}
}
