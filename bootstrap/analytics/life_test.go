package main

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// startLoggingTo runs a server that logs to the file, and returns its address,
// which no log tells.
func startLoggingTo(t *testing.T, log *os.File) (p *process, address string) {
	t.Helper()
	port := strconv.Itoa(servers.FreePort(t))
	p = newProcess(t, []string{"PORT=" + port, "LOG_FORMAT=json", "LOG_LEVEL=debug"}, "serve")
	p.command.Stderr = log
	p.start(t)
	return p, "127.0.0.1:" + port
}

// awaitAnswers waits until the server answers.
func awaitAnswers(t *testing.T, p *process, address string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-p.ended:
			t.Fatalf("ended with %v", p.err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// makeLog has the server log lines.
func makeLog(t *testing.T, address string, lines int) {
	t.Helper()
	for range lines {
		answer, err := http.Get("http://" + address + "/v1/stats/overview?period=24h")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("status %d", answer.StatusCode)
		}
	}
}

// droppedLines is what the server says that it could not log.
func droppedLines(t *testing.T, address string) int {
	t.Helper()
	answer, err := http.Get("http://" + address + "/v1/status")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var status struct {
		Load struct {
			Dropped *int `json:"dropped_log_lines"`
		} `json:"load"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&status); err != nil || status.Load.Dropped == nil {
		t.Fatalf("no count of dropped lines: %v", err)
	}
	return *status.Load.Dropped
}

func awaitDroppedLines(t *testing.T, address string, least int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); droppedLines(t, address) < least; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d lines dropped, want %d or more", droppedLines(t, address), least)
		}
	}
}

func stopInOrder(t *testing.T, p *process) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	if err := p.wait(t); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestServerSurvivesTheReaderOfItsLog(t *testing.T) {
	pipe := func(t *testing.T) (reader, writer *os.File) {
		t.Helper()
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = errors.Join(reader.Close(), writer.Close()) })
		return reader, writer
	}
	t.Run("gone before the start", func(t *testing.T) {
		reader, writer := pipe(t)
		_ = reader.Close()
		p, address := startLoggingTo(t, writer)
		awaitAnswers(t, p, address)
		makeLog(t, address, 3)
		awaitDroppedLines(t, address, 4)
		stopInOrder(t, p)
	})
	t.Run("gone during the start", func(t *testing.T) {
		reader, writer := pipe(t)
		p, address := startLoggingTo(t, writer)
		if _, err := reader.Read(make([]byte, 1)); err != nil { // its first line
			t.Fatal(err)
		}
		_ = reader.Close()
		awaitAnswers(t, p, address)
		makeLog(t, address, 3)
		awaitDroppedLines(t, address, 3)
		stopInOrder(t, p)
	})
	t.Run("gone while it serves", func(t *testing.T) {
		reader, writer := pipe(t)
		p, address := startLoggingTo(t, writer)
		awaitAnswers(t, p, address)
		makeLog(t, address, 3)
		_ = reader.Close()
		makeLog(t, address, 3)
		awaitDroppedLines(t, address, 3)
		stopInOrder(t, p)
	})
	t.Run("never reads", func(t *testing.T) {
		_, writer := pipe(t)
		p, address := startLoggingTo(t, writer)
		awaitAnswers(t, p, address)
		for droppedLines(t, address) == 0 {
			makeLog(t, address, 100)
		}
		stopInOrder(t, p)
	})
	t.Run("disk full", func(t *testing.T) {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skip(err)
		}
		defer full.Close()
		p, address := startLoggingTo(t, full)
		awaitAnswers(t, p, address)
		makeLog(t, address, 3)
		awaitDroppedLines(t, address, 4)
		stopInOrder(t, p)
	})
}

// TestClosedStandardError has a shell close it, as os/exec cannot.
func TestClosedStandardError(t *testing.T) {
	port := strconv.Itoa(servers.FreePort(t))
	p := newProcess(t, []string{"PORT=" + port}, "serve")
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	p.command.Path, p.command.Args = shell, []string{"sh", "-c", `exec "$0" serve >&- 2>&-`, os.Args[0]}
	p.start(t)
	address := "127.0.0.1:" + port
	awaitAnswers(t, p, address)
	makeLog(t, address, 3)
	stopInOrder(t, p)
}

func TestHangupIsIgnored(t *testing.T) {
	p := startProcess(t, nil, "serve")
	address := p.address(t)
	for range 3 {
		p.signal(t, syscall.SIGHUP)
		makeLog(t, address, 1)
	}
	stopInOrder(t, p)
}

// TestOutputThatCannotBeWritten tries what a shell's pipes and redirections do
// to standard output.
func TestOutputThatCannotBeWritten(t *testing.T) {
	t.Run("the reader is gone", func(t *testing.T) {
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		_ = reader.Close()
		defer writer.Close()
		p := newProcess(t, nil, "config")
		p.command.Stdout, p.command.Stderr = writer, &p.log
		p.start(t)
		if err := p.wait(t); err != nil || p.log.String() != "" {
			t.Errorf("ended with %v: %s", err, &p.log)
		}
	})
	t.Run("the disk is full", func(t *testing.T) {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skip(err)
		}
		defer full.Close()
		p := newProcess(t, nil, "config")
		p.command.Stdout, p.command.Stderr = full, &p.log
		p.start(t)
		err = p.wait(t)
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != exitFailure ||
			!strings.Contains(p.log.String(), "standard output cannot be written") {
			t.Errorf("ended with %v: %s", err, &p.log)
		}
	})
}
