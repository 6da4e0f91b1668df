package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asCommand makes the test binary be the command, so that signals and exit
// codes can be tried on a real process.
const asCommand = "ANALYTICS_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// startCommand runs "analytics serve" and returns it with its address once it
// is ready.
func startCommand(t *testing.T) (command *exec.Cmd, address string) {
	t.Helper()
	command = exec.CommandContext(t.Context(), os.Args[0], "serve")
	command.Dir = t.TempDir()
	command.Env = []string{asCommand + "=1", "PORT=0", "BIND_ADDRESS=127.0.0.1", "LOG_FORMAT=text"}
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill() })
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if _, after, ok := strings.Cut(lines.Text(), "msg=ready address="); ok {
			go func() { _, _ = io.Copy(io.Discard, stderr) }()
			address, _, _ = strings.Cut(after, " ")
			return command, address
		}
	}
	t.Fatal("the command ended before it was ready")
	return nil, ""
}

func TestSignalStopsTheService(t *testing.T) {
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(signal.String(), func(t *testing.T) {
			command, _ := startCommand(t)
			if err := command.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if err := command.Wait(); err != nil {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	command, address := startCommand(t)
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
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for refused := false; !refused; { // until the first signal has been taken
		other, err := net.DialTimeout("tcp", address, time.Second)
		if refused = err != nil; !refused {
			_ = other.Close()
		}
	}
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err = command.Wait()
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
