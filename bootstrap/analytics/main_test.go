package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/test/logs"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// asCommand makes the test binary be the command, so that signals and exit
// codes can be tried on a real process.
const asCommand = "ANALYTICS_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	servers.Main(m)
}

// process is the command in a process of its own.
type process struct {
	command *exec.Cmd
	log     logs.Buffer
	ended   chan struct{}
	err     error
}

// startProcess runs the command until it ends or the test does.
func startProcess(t *testing.T, environ []string, args ...string) *process {
	t.Helper()
	p := newProcess(t, environ, args...)
	p.command.Stderr = &p.log
	p.start(t)
	return p
}

func newProcess(t *testing.T, environ []string, args ...string) *process {
	t.Helper()
	p := &process{command: exec.CommandContext(t.Context(), os.Args[0], args...), ended: make(chan struct{})}
	p.command.Dir = t.TempDir()
	// A binary that measures coverage complains on standard error without a directory.
	p.command.Env = append([]string{asCommand + "=1", "GOCOVERDIR=" + t.TempDir(), "PORT=0", "BIND_ADDRESS=127.0.0.1", "LOG_FORMAT=text", "CACHE_TTL_SECONDS=0", "RATE_LIMIT_PER_MINUTE=0"}, environ...)
	return p
}

func (p *process) start(t *testing.T) {
	t.Helper()
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		p.err = p.command.Wait()
	}()
	t.Cleanup(func() {
		_ = p.command.Process.Kill()
		<-p.ended
	})
}

// await waits until the process has said the words.
func (p *process) await(t *testing.T, words string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(p.log.String(), words); time.Sleep(5 * time.Millisecond) {
		select {
		case <-p.ended:
			t.Fatalf("ended with %v and without %q:\n%s", p.err, words, &p.log)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("does not say %q:\n%s", words, &p.log)
		}
	}
}

// address waits until the process is ready and returns where it listens.
func (p *process) address(t *testing.T) string {
	t.Helper()
	const before = "msg=ready address="
	p.await(t, before)
	_, after, _ := strings.Cut(p.log.String(), before)
	address, _, _ := strings.Cut(after, " ")
	return address
}

func (p *process) signal(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := p.command.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// wait returns how the process ended.
func (p *process) wait(t *testing.T) error {
	t.Helper()
	select {
	case <-p.ended:
		return p.err
	case <-time.After(40 * time.Second):
		t.Fatalf("does not end:\n%s", &p.log)
		return nil
	}
}

func TestSignalStopsTheService(t *testing.T) {
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(signal.String(), func(t *testing.T) {
			p := startProcess(t, nil, "serve")
			p.address(t)
			p.signal(t, signal)
			if err := p.wait(t); err != nil {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	p := startProcess(t, nil, "serve")
	address := p.address(t)
	// A request that is under way keeps the service from stopping.
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = fmt.Fprintf(c, "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("the request is not under way: %q, %v", line, err)
	}
	begun := time.Now()
	p.signal(t, syscall.SIGTERM)
	for refused := false; !refused; { // until the first signal has been taken
		other, err := net.DialTimeout("tcp", address, time.Second)
		if refused = err != nil; !refused {
			_ = other.Close()
		}
	}
	p.signal(t, syscall.SIGTERM)
	err = p.wait(t)
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		t.Fatalf("ended with %v", err)
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("ended with %v, want by the signal", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}
