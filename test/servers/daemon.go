package servers

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// daemon is a private server: a process with a folder and a port of its own,
// which keeps both however often it is started.
type daemon struct {
	name string
	dir  string
	port int
	// command makes the process, and ping returns nil once it serves.
	command func() *exec.Cmd
	ping    func() error
	// crash is the signal that ends the process and saves nothing.
	crash syscall.Signal

	mu      sync.Mutex
	process *os.Process
	exited  chan struct{}
}

// Dir is where the server keeps its files.
func (d *daemon) Dir() string { return d.dir }

// Port is where the server listens.
func (d *daemon) Port() int { return d.port }

// Address is host and port.
func (d *daemon) Address() string { return "127.0.0.1:" + strconv.Itoa(d.port) }

// Start starts a server that was killed, on the same port and data, and waits
// until it serves.
func (d *daemon) Start(tb testing.TB) {
	tb.Helper()
	if err := d.start(); err != nil {
		tb.Fatal(err)
	}
}

func (d *daemon) start() error {
	log, err := os.OpenFile(d.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	command := d.command()
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = command.Wait() // a killed server has no good exit code
	}()
	d.mu.Lock()
	d.process, d.exited = command.Process, exited
	d.mu.Unlock()
	return d.await(exited)
}

func (d *daemon) await(exited <-chan struct{}) error {
	for deadline := time.Now().Add(time.Minute); ; {
		err := d.ping()
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("%s ended at once: %s", d.name, d.LogTail())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not answer: %w: %s", d.name, err, d.LogTail())
		}
	}
}

func (d *daemon) log() string { return filepath.Join(d.dir, "log") }

// LogTail returns the end of the server's log.
func (d *daemon) LogTail() []byte {
	text, err := os.ReadFile(d.log())
	if err != nil {
		return []byte(err.Error())
	}
	return text[max(0, len(text)-2_000):]
}

// Kill ends the server at once, paused or not, as a crash would: what it has
// not made durable is gone, and the next start recovers.
func (d *daemon) Kill() {
	process, exited := d.current()
	_ = process.Signal(d.crash) // it may have ended already
	d.Resume()
	<-exited
}

// Restart is Kill and Start.
func (d *daemon) Restart(tb testing.TB) {
	tb.Helper()
	d.Kill()
	d.Start(tb)
}

// Pause stops the server's processes where they are: connections stay open,
// new ones are made, and nothing answers.
func (d *daemon) Pause() { d.signalAll(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (d *daemon) Resume() { d.signalAll(syscall.SIGCONT) }

// signalAll reaches the children, too, which need not be in the process group.
func (d *daemon) signalAll(signal syscall.Signal) {
	process, _ := d.current()
	if process.Signal(signal) != nil {
		return // it has ended, and its number may be another's
	}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", process.Pid))
	for _, list := range lists {
		children, _ := os.ReadFile(list)
		for child := range bytes.FieldsSeq(children) {
			if pid, err := strconv.Atoi(string(child)); err == nil {
				_ = syscall.Kill(pid, signal)
			}
		}
	}
}

func (d *daemon) current() (process *os.Process, exited <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.process, d.exited
}

func (d *daemon) remove() {
	d.Kill()
	_ = os.RemoveAll(d.dir)
}
