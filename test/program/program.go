// Package program builds the real program and runs it as a process of its own,
// for tests from outside. Packages that use it call servers.Main.
package program

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/test/logs"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// patience is how long the program may take for anything.
const patience = 60 * time.Second

// Build builds the program as it is built for operators, once, and returns its
// path.
func Build(tb testing.TB) string {
	tb.Helper()
	binary, err := built()
	if err != nil {
		tb.Fatal(err)
	}
	return binary
}

var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "analytics-")
	if err != nil {
		return "", err
	}
	servers.AtExit(func() { _ = os.RemoveAll(dir) })
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(file), "..", "..")
	if err := lookAtSources(root); err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "analytics")
	command := exec.CommandContext(context.Background(), "go", "build", "-tags", "nomsgpack", "-o", binary, "./bootstrap/analytics")
	command.Dir = root
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, output)
	}
	return binary, nil
})

// lookAtSources makes tests run again when what the program is made of has
// changed: the test cache does not see what another process builds, but heeds
// every folder and file that a test looks at.
func lookAtSources(root string) error {
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		return err
	}
	for _, folder := range []string{"domain", "ports", "app", "adapters", "bootstrap", "migrations", "api"} {
		ignore := func(_ string, _ fs.DirEntry, err error) error { return err }
		if err := filepath.WalkDir(filepath.Join(root, folder), ignore); err != nil {
			return err
		}
	}
	return nil
}

// Process is one run of the program.
type Process struct {
	// Log is what it has logged, Output what it has written beside that.
	Log    *Log
	Output *logs.Buffer
	// Ready gives the address once the program works.
	Ready <-chan string
	// Exited is closed when it has ended.
	Exited <-chan struct{}

	command *exec.Cmd
}

// Launch starts the program in a role, with a folder of its own, and does not
// wait for it to be ready. It is killed at the end of the test. As all clients of
// a test have one address, they are not limited, and statistics are always new,
// unless env says otherwise.
func Launch(tb testing.TB, role, dir string, env ...string) *Process {
	tb.Helper()
	ready, exited := make(chan string, 1), make(chan struct{})
	p := &Process{Log: &Log{ready: ready}, Output: new(logs.Buffer), Ready: ready, Exited: exited}
	p.command = exec.CommandContext(context.WithoutCancel(tb.Context()), Build(tb), role)
	p.command.Dir = dir
	p.command.Stdout, p.command.Stderr = p.Output, p.Log
	p.command.SysProcAttr = servers.EndWithTests(syscall.SIGKILL)
	p.command.Env = append([]string{
		"BIND_ADDRESS=127.0.0.1", "PORT=0", "LOG_FORMAT=json", "RATE_LIMIT_PER_MINUTE=0", "CACHE_TTL_SECONDS=0",
	}, env...)
	if err := p.command.Start(); err != nil {
		tb.Fatalf("start: %v", err)
	}
	go func() {
		defer close(exited)
		_ = p.command.Wait() // ProcessState tells how it went
	}()
	tb.Cleanup(p.Kill)
	return p
}

// Await waits until the program works and returns where it listens.
func (p *Process) Await(tb testing.TB) string {
	tb.Helper()
	select {
	case address := <-p.Ready:
		return address
	case <-p.Exited:
		tb.Fatalf("the program ended while starting: %v\n%s", p.command.ProcessState, p.Log)
	case <-time.After(patience):
		tb.Fatalf("the program is not ready after %v\n%s", patience, p.Log)
	}
	return ""
}

// PID is the number of the process.
func (p *Process) PID() int { return p.command.Process.Pid }

// Signal sends a signal; the error says that the process has ended.
func (p *Process) Signal(signal os.Signal) error { return p.command.Process.Signal(signal) }

// Kill ends the process with SIGKILL, which it cannot notice.
func (p *Process) Kill() {
	_ = p.command.Process.Kill() // it may have ended already
	<-p.Exited
}

// Stop ends the program as an operator does.
func (p *Process) Stop(tb testing.TB) {
	tb.Helper()
	if err := p.Signal(syscall.SIGTERM); err != nil {
		tb.Fatalf("stop: %v", err)
	}
	select {
	case <-p.Exited:
	case <-time.After(patience):
		tb.Fatalf("the program has not stopped after %v\n%s", patience, p.Log)
	}
	if code := p.command.ProcessState.ExitCode(); code != 0 {
		tb.Fatalf("exit code after SIGTERM = %d, want 0\n%s", code, p.Log)
	}
}

// Run runs a command to its end. The error holds what it complains of.
func Run(tb testing.TB, env []string, args ...string) (stdout string, err error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, Build(tb), args...)
	command.Dir, command.Env = tb.TempDir(), env
	var out, complaints bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaints
	if err := command.Run(); err != nil {
		return out.String(), fmt.Errorf("%w: %s", err, &complaints)
	}
	return out.String(), nil
}

// Log keeps a log and looks in it for the address.
type Log struct {
	logs.Buffer

	// Once the address is found, nothing more is looked for. Until then, rest
	// begins the next line.
	ready chan<- string
	rest  []byte
}

// Write takes what the program logs; one goroutine calls it.
func (l *Log) Write(p []byte) (int, error) {
	n, err := l.Buffer.Write(p)
	if l.ready != nil {
		l.look(p)
	}
	return n, err
}

// look takes the address from the line that tells it.
func (l *Log) look(p []byte) {
	l.rest = append(l.rest, p...)
	for l.ready != nil {
		line, rest, complete := bytes.Cut(l.rest, []byte("\n"))
		if !complete {
			return
		}
		l.rest = rest
		var record struct {
			Message string `json:"msg"`
			Address string `json:"address"`
		}
		if json.Unmarshal(line, &record) == nil && record.Message == "ready" {
			l.ready <- record.Address
			l.ready = nil
		}
	}
}

// LastLine returns what was logged last.
func (l *Log) LastLine() string {
	text := strings.TrimSpace(l.String())
	return text[strings.LastIndex(text, "\n")+1:]
}
