package chaos_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// patience is how long the program may take for anything.
const patience = 60 * time.Second

func TestMain(m *testing.M) { servers.Main(m) }

// build builds the program as it is built for operators, once.
func build(t *testing.T) string {
	t.Helper()
	binary, err := builtProgram()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

var builtProgram = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "analytics-")
	if err != nil {
		return "", err
	}
	servers.AtExit(func() { _ = os.RemoveAll(dir) })
	binary := filepath.Join(dir, "analytics")
	command := exec.CommandContext(context.Background(), "go", "build", "-tags", "nomsgpack", "-o", binary, "./bootstrap/analytics")
	command.Dir = filepath.Join("..", "..")
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, output)
	}
	return binary, nil
})

// process is one run of the program.
type process struct {
	command *exec.Cmd
	log     *logWatch
	// exited is closed when the process has ended.
	exited chan struct{}
}

// launch starts the program in a role, with a folder of its own, and does not
// wait for it to be ready.
func launch(t *testing.T, binary, role, dir string, env ...string) *process {
	t.Helper()
	p := &process{exited: make(chan struct{}), log: &logWatch{ready: make(chan string, 1)}}
	p.command = exec.CommandContext(context.WithoutCancel(t.Context()), binary, role)
	p.command.Dir = dir
	p.command.Stderr = p.log
	p.command.SysProcAttr = servers.EndWithTests(syscall.SIGKILL)
	// What is counted is read right after it was stored.
	p.command.Env = append([]string{"BIND_ADDRESS=127.0.0.1", "PORT=0", "LOG_FORMAT=json", "CACHE_TTL_SECONDS=0"}, env...)
	if err := p.command.Start(); err != nil {
		t.Fatalf("start: %v", err)
	}
	go func() {
		defer close(p.exited)
		_ = p.command.Wait() // ProcessState tells how it went
	}()
	t.Cleanup(p.kill)
	return p
}

// await waits until the program works and returns where it listens.
func (p *process) await(t *testing.T) string {
	t.Helper()
	select {
	case address := <-p.log.ready:
		return address
	case <-p.exited:
		t.Fatalf("the program ended while starting: %v\n%s", p.command.ProcessState, p.log)
	case <-time.After(patience):
		t.Fatalf("the program is not ready after %v\n%s", patience, p.log)
	}
	return ""
}

// runProgram runs a command to its end. The error holds what it complains of.
func runProgram(t *testing.T, env []string, args ...string) (stdout string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, build(t), args...)
	command.Dir, command.Env = t.TempDir(), env
	var out, complaints bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaints
	if err := command.Run(); err != nil {
		return out.String(), fmt.Errorf("%w: %s", err, &complaints)
	}
	return out.String(), nil
}

// kill ends the process with SIGKILL, which it cannot notice.
func (p *process) kill() {
	_ = p.command.Process.Kill() // it may have ended already
	<-p.exited
}

// stop ends the program as an operator does.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("stop: %v", err)
	}
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Fatalf("the program has not stopped after %v\n%s", patience, p.log)
	}
	if code := p.command.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("exit code after SIGTERM = %d, want 0\n%s", code, p.log)
	}
}

// logWatch keeps a log and looks in it for the address.
type logWatch struct {
	mu    sync.Mutex
	lines bytes.Buffer
	seen  int
	ready chan string
}

// Write takes what the program logs.
func (w *logWatch) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines.Write(p)
	for {
		line, _, complete := bytes.Cut(w.lines.Bytes()[w.seen:], []byte("\n"))
		if !complete {
			return len(p), nil
		}
		w.seen += len(line) + 1
		var record struct {
			Message string `json:"msg"`
			Address string `json:"address"`
		}
		if json.Unmarshal(line, &record) == nil && record.Message == "ready" {
			w.ready <- record.Address
		}
	}
}

// String returns the log.
func (w *logWatch) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lines.String()
}

func (w *logWatch) lastLine() string {
	text := strings.TrimSpace(w.String())
	return text[strings.LastIndex(text, "\n")+1:]
}

// status is what /v1/status tells of the pipeline.
type status struct {
	Queue struct {
		Batches int `json:"batches"`
		Events  int `json:"events"`
	} `json:"queue"`
	DeadLetters int `json:"dead_letters"`
}

// drain waits until everything accepted has left the queue for the store. An
// API that has just lost a server may fail to answer for a while.
func drain(t *testing.T, address string, limit time.Duration) {
	t.Helper()
	var last status
	var err error
	deadline := time.Now().Add(limit)
	for tick := time.Tick(20 * time.Millisecond); ; <-tick {
		if err = tryGet(t.Context(), address, "/v1/status", &last); err == nil && last.Queue.Batches == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d batches are still queued after %v (%v)", last.Queue.Batches, limit, err)
		}
	}
	if last.Queue.Events != 0 {
		t.Errorf("an empty queue counts %d events", last.Queue.Events)
	}
	if last.DeadLetters > 0 {
		t.Errorf("dead letters = %d, want none", last.DeadLetters)
	}
}

// totalCalls asks the API how many calls it counts.
func totalCalls(t *testing.T, address string) int64 {
	t.Helper()
	var overview struct {
		Summary struct {
			TotalCalls int64 `json:"total_calls"`
		} `json:"summary"`
	}
	if err := tryGet(t.Context(), address, "/v1/stats/overview?period=24h", &overview); err != nil {
		t.Fatal(err)
	}
	return overview.Summary.TotalCalls
}

func tryGet(ctx context.Context, address, path string, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s %s (%w)", path, response.Status, body, err)
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("GET %s: %w in %s", path, err, body)
	}
	return nil
}
