// Package hostile_test attacks the real program over the loopback network, as
// clients do that mean harm, beside one that does not. Whatever is tried: the
// other client is served, quickly, and its calls are counted exactly; memory
// stays below the limit; no answer is a 500; and the service is well at the end.
package hostile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/test/openapi"
	"github.com/weather-mcp/weather-mcp-analytics/test/program"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// scale makes the attacks as long and as large as is worth a run of its own;
// `make hostile` does that. Without it they are short enough for every test run.
var scale = flag.Bool("full", false, "attack in full strength")

// full is the first in a full run, otherwise the second.
func full[T any](whole, short T) T {
	if *scale {
		return whole
	}
	return short
}

func TestMain(m *testing.M) {
	flag.Parse()
	servers.Main(m)
}

const (
	patience = 30 * time.Second
	// memoryLimitMB is what the program is told to keep to.
	memoryLimitMB = 256
	mb            = 1 << 20
)

// target is the program under attack.
type target struct {
	process *program.Process
	address string
	pid     int
	witness *witness
	// control is a second program, which has a witness of its own and is not
	// attacked. It shows how fast the machine is meanwhile.
	control *target
	// pace is how quickly the witness has to be answered.
	pace time.Duration
	// attacking says that this process is the attackers', and knows but
	// address and pid.
	attacking bool
	// answers counts what attackers were answered, by status.
	answers tally
	// accepted counts the attackers' events, where an attack does.
	accepted atomic.Int64
	// settled checks what is particular to the attack, once all is counted.
	settled func()
	// files is how many were open before the attack.
	files int
}

// start starts the program without rate limits, which would spare it most of
// the attack, unless env says otherwise.
func start(t *testing.T, env ...string) *target {
	t.Helper()
	if g, ok := attacked(); ok {
		return g
	}
	g := launch(t, env)
	g.control = launch(t, env)
	t.Cleanup(func() {
		if t.Failed() {
			text := g.process.Log.String()
			t.Logf("the end of the log:\n%s", text[max(0, len(text)-4000):])
		}
	})
	return g
}

func launch(t *testing.T, env []string) *target {
	t.Helper()
	dir := t.TempDir()
	process := program.Launch(t, "serve", dir, append([]string{
		"DATA_DIR=" + dir, "PRIVACY_MIN_COUNT=0", "MAX_QUEUE_SIZE=100000",
		fmt.Sprintf("MEMORY_LIMIT_MB=%d", memoryLimitMB),
	}, env...)...)
	g := &target{process: process, address: process.Await(t), pid: process.PID(), pace: floodPace, settled: func() {}}
	g.files, g.witness = g.openFiles(t), newWitness(g.address)
	return g
}

// endure has the program attacked beside the witness, for as long as that takes
// or the context lives, and then checks what must hold after every attack. The
// attackers' process gets no further than through attack.
func (g *target) endure(t *testing.T, attack func(context.Context)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), full(10*time.Minute, 2*time.Minute))
	defer cancel()
	if g.attacking {
		attack(ctx)
		g.tell(t)
		t.SkipNow()
	}
	watched, controlled := g.witness.watch(ctx), g.control.witness.watch(ctx)
	g.beAttacked(ctx, t)
	watched()
	controlled()
	g.check(t)
}

// check stops the program.
func (g *target) check(t *testing.T) {
	t.Helper()
	g.awaitCalm(t)
	g.settled()
	g.checkHealth(t)
	g.witness.check(t)
	g.control.awaitCalm(t)
	g.control.witness.check(t)
	g.checkPace(t)
	g.checkLog(t)
	if got := g.answers.count(http.StatusInternalServerError); got > 0 {
		t.Errorf("%d requests were answered 500", got)
	}
	peak := g.memoryPeak(t)
	t.Logf("memory peak %d MB; answers to the attack: %s", peak/mb, &g.answers)
	if peak > memoryLimitMB*mb {
		t.Errorf("memory peak %d MB, want at most %d MB", peak/mb, memoryLimitMB)
	}
	g.process.Stop(t)
}

// awaitCalm waits until all connections of the attack are gone, with all that
// the program held for them, and everything accepted is counted.
func (g *target) awaitCalm(t *testing.T) {
	t.Helper()
	await(t, "everything is counted", func() bool { return g.queued(t) == 0 })
	await(t, "all connections but this are gone", func() bool { return g.connections(t) == 1 })
	// The store opens some files of its own as it works.
	const stores = 16
	await(t, "all files are closed", func() bool { return g.openFiles(t) <= g.files+stores })
	if threads := g.procStatus(t, "Threads"); threads > 100 {
		t.Errorf("%d threads are left", threads)
	}
}

// queued is how many events are accepted and not yet counted; less than none
// when that cannot be told.
func (g *target) queued(t *testing.T) int {
	t.Helper()
	var status struct{ Queue struct{ Events int } }
	if g.get(t, "/v1/status", &status) != http.StatusOK {
		return -1
	}
	return status.Queue.Events
}

// connections is how many the program has, that by which it is asked included;
// 0 when it does not tell.
func (g *target) connections(t *testing.T) int {
	t.Helper()
	var status struct{ Load struct{ Connections int } }
	g.get(t, "/v1/status", &status)
	return status.Load.Connections
}

func (g *target) checkHealth(t *testing.T) {
	t.Helper()
	var health, public struct{ Status string }
	if status := g.get(t, "/v1/health", &health); status != http.StatusOK || health.Status != "healthy" {
		t.Errorf("health is %d %q", status, health.Status)
	}
	if status := g.get(t, "/v1/stats/health", &public); status != http.StatusOK || public.Status != "healthy" {
		t.Errorf("public health is %d %q", status, public.Status)
	}
}

// checkLog wants nothing that had to be an error of ours.
func (g *target) checkLog(t *testing.T) {
	t.Helper()
	for line := range strings.Lines(g.process.Log.String()) {
		if strings.Contains(line, `"level":"ERROR"`) || !strings.HasPrefix(line, "{") {
			t.Errorf("logged %s", line)
			return
		}
	}
}

// memoryPeak is the most memory that was ever resident, in bytes.
func (g *target) memoryPeak(t *testing.T) int { return g.procStatus(t, "VmHWM") << 10 }

// procStatus reads a number of the kernel's about the process.
func (g *target) procStatus(t *testing.T, name string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(g.pid), "status"))
	if err != nil {
		t.Skipf("NOT TESTED: memory is read from /proc: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			number, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				t.Fatal(err)
			}
			return number
		}
	}
	t.Fatalf("no %s in %s", name, text)
	return 0
}

func (g *target) openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(g.pid), "fd"))
	if err != nil {
		t.Skipf("NOT TESTED: open files are counted in /proc: %v", err)
	}
	return len(files)
}

// fresh makes a connection per request, so that none counts as left over.
var fresh = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}

// get returns the status; 0 when there was no answer.
func (g *target) get(t *testing.T, path string, answer any) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+g.address+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := fresh.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0
	}
	if err := json.Unmarshal(body, answer); err != nil {
		t.Errorf("GET %s: %v in %s", path, err, body)
	}
	return response.StatusCode
}

// callsOf asks how many calls of a tool are counted.
func (g *target) callsOf(t *testing.T, tool string) int {
	t.Helper()
	var detail struct{ Calls int }
	if status := g.get(t, "/v1/stats/tool/"+tool+"?period=24h", &detail); status != http.StatusOK {
		t.Errorf("statistics of %s are answered %d", tool, status)
	}
	return detail.Calls
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for tick := time.Tick(20 * time.Millisecond); !done(); <-tick {
		if time.Now().After(deadline) {
			t.Fatalf("not after %v: %s", patience, what)
		}
	}
}

// dial connects from an address of the loopback network, of which there are
// sixteen million.
func dial(ctx context.Context, from, to string) (net.Conn, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
	return dialer.DialContext(ctx, "tcp", to)
}

// clientFrom speaks from an address of the loopback network.
func clientFrom(address string) *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, to string) (net.Conn, error) { return dial(ctx, address, to) },
	}}
}

// attackerAt is the address of one of many attackers.
func attackerAt(i int) string { return fmt.Sprintf("127.66.%d.%d", i/250%250, 1+i%250) }

// tally counts statuses; 0 stands for no answer.
type tally struct {
	counts [1000]atomic.Int64
}

func (a *tally) add(status int) { a.counts[status].Add(1) }

func (a *tally) count(status int) int64 { return a.counts[status].Load() }

// all returns the counts that are not 0.
func (a *tally) all() map[int]int64 {
	counts := make(map[int]int64)
	for status := range a.counts {
		if n := a.count(status); n > 0 {
			counts[status] = n
		}
	}
	return counts
}

// String lists what was counted.
func (a *tally) String() string {
	var parts []string
	counts := a.all()
	for _, status := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d × %d", counts[status], status))
	}
	return strings.Join(parts, ", ")
}

// send sends a request and counts the answer.
func (g *target) send(client *http.Client, request *http.Request) (status int, body []byte) {
	e := g.exchange(client, request)
	return e.Status, e.Received
}

// exchange is send for those who want to know the header, too.
func (g *target) exchange(client *http.Client, request *http.Request) *openapi.Exchange {
	e := &openapi.Exchange{Request: request}
	if response, err := client.Do(request); err == nil {
		defer response.Body.Close()
		e.Status, e.Header = response.StatusCode, response.Header
		e.Received, _ = io.ReadAll(response.Body) // the status is what counts
	}
	g.answers.add(e.Status)
	return e
}

// post sends a body to the events and counts the answer.
func (g *target) post(ctx context.Context, client *http.Client, body []byte, header ...string) (status int, answer []byte) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+g.address+"/v1/events", bytes.NewReader(body))
	if err != nil {
		panic(err) // the address is well-formed
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	return g.send(client, request)
}

// parallel calls do with 0 to count-1, several at once, until ctx ends.
func parallel(ctx context.Context, workers, count int, do func(i int)) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(count) && ctx.Err() == nil; i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	group.Wait()
}

// isEnd reports that a connection was ended by the other side.
func isEnd(err error) bool {
	var timeout net.Error
	return err != nil && (!errors.As(err, &timeout) || !timeout.Timeout())
}
