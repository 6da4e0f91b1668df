package chaos_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long the server may take for anything.
const patience = 60 * time.Second

// server is the real program on one folder of files. It is started, killed
// and started again.
type server struct {
	binary, dir string
	random      *rand.Rand
	// address is where the running server listens.
	address string
	process *process
}

// process is one run of the program.
type process struct {
	command *exec.Cmd
	log     *logWatch
	// exited is closed when the process has ended.
	exited chan struct{}
}

// build builds the program as it is built for operators.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "analytics")
	command := exec.CommandContext(t.Context(), "go", "build", "-tags", "nomsgpack", "-o", binary, "./bootstrap/analytics")
	command.Dir = filepath.Join("..", "..")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, output)
	}
	return binary
}

// launch starts the program and does not wait for it to be ready. Each run
// draws how many events a transaction holds: small ones spend more of their
// time between commit and acknowledgement, large ones inside the transaction.
func (s *server) launch(t *testing.T) {
	t.Helper()
	p := &process{exited: make(chan struct{}), log: &logWatch{ready: make(chan string, 1)}}
	p.command = exec.CommandContext(context.WithoutCancel(t.Context()), s.binary, "serve")
	p.command.Dir = s.dir
	p.command.Stderr = p.log
	p.command.Env = []string{
		"BIND_ADDRESS=127.0.0.1", "PORT=0", "DATA_DIR=" + s.dir, "LOG_FORMAT=json", "MAX_QUEUE_SIZE=1000",
		fmt.Sprintf("WORKER_BATCH_SIZE=%d", oneOf(s.random, []int{1, 10, 1000})),
	}
	if err := p.command.Start(); err != nil {
		t.Fatalf("start: %v", err)
	}
	go func() {
		defer close(p.exited)
		_ = p.command.Wait() // ProcessState tells how it went
	}()
	s.process = p
	t.Cleanup(p.kill)
}

// start starts the program and waits until it serves.
func (s *server) start(t *testing.T) {
	t.Helper()
	s.launch(t)
	select {
	case s.address = <-s.process.log.ready:
	case <-s.process.exited:
		t.Fatalf("the server ended while starting: %v\n%s", s.process.command.ProcessState, s.process.log)
	case <-time.After(patience):
		t.Fatalf("the server is not ready after %v\n%s", patience, s.process.log)
	}
}

// restart starts the program again once it is dead; now and then another kill
// strikes while it is starting.
func (s *server) restart(t *testing.T) {
	t.Helper()
	<-s.process.exited
	if s.random.IntN(3) == 0 {
		s.launch(t)
		s.killSoon()
		<-s.process.exited
	}
	s.start(t)
}

// killSoon kills the process after some milliseconds. The channel is closed as
// the blow falls.
func (s *server) killSoon() <-chan struct{} {
	p, struck := s.process, make(chan struct{})
	time.AfterFunc(time.Duration(s.random.Int64N(int64(50*time.Millisecond))), func() {
		close(struck)
		p.kill()
	})
	return struck
}

// kill ends the process with SIGKILL, which it cannot notice.
func (p *process) kill() {
	_ = p.command.Process.Kill() // it may have ended already
	<-p.exited
}

// stop ends the program as an operator does.
func (s *server) stop(t *testing.T) {
	t.Helper()
	if err := s.process.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("stop: %v", err)
	}
	select {
	case <-s.process.exited:
	case <-time.After(patience):
		t.Fatalf("the server has not stopped after %v\n%s", patience, s.process.log)
	}
	if code := s.process.command.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("exit code after SIGTERM = %d, want 0\n%s", code, s.process.log)
	}
}

// drain waits until everything accepted has left the queue for the store.
func (s *server) drain(t *testing.T) {
	t.Helper()
	var status struct {
		Queue struct {
			Batches int `json:"batches"`
		} `json:"queue"`
		DeadLetters int `json:"dead_letters"`
	}
	deadline := time.Now().Add(patience)
	for tick := time.Tick(20 * time.Millisecond); ; <-tick {
		s.get(t, "/v1/status", &status)
		if status.Queue.Batches == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d batches are still queued after %v\n%s", status.Queue.Batches, patience, s.process.log)
		}
	}
	if status.DeadLetters > 0 {
		t.Errorf("dead letters = %d, want none", status.DeadLetters)
	}
}

// totalCalls asks the API how many calls it counts.
func (s *server) totalCalls(t *testing.T) int64 {
	t.Helper()
	var overview struct {
		Summary struct {
			TotalCalls int64 `json:"total_calls"`
		} `json:"summary"`
	}
	s.get(t, "/v1/stats/overview?period=24h", &overview)
	return overview.Summary.TotalCalls
}

func (s *server) get(t *testing.T, path string, answer any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatalf("GET %s: %v\n%s", path, err, s.process.log)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s %s (%v)\n%s", path, response.Status, body, err, s.process.log)
	}
	if err := json.Unmarshal(body, answer); err != nil {
		t.Fatalf("GET %s: %v in %s", path, err, body)
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
