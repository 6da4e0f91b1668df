package servers

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// RedisServer is a private redis-server.
type RedisServer struct {
	program, dir, password string
	port                   int
	directives             []string

	mu      sync.Mutex
	process *exec.Cmd
	exited  chan struct{}
}

// Redis starts a server of the test's own. It keeps nothing on disk unless
// directives of its configuration such as "appendonly yes" say so; another is
// "requirepass secret".
func Redis(tb testing.TB, directives ...string) *RedisServer {
	tb.Helper()
	s := newRedis(tb, directives)
	tb.Cleanup(s.remove)
	return s
}

var sharedRedis struct {
	sync.Mutex
	server *RedisServer
}

// SharedRedis returns the server that all tests of a package share. A test
// uses keys of its own, and neither stops nor slows it down.
func SharedRedis(tb testing.TB) *RedisServer {
	tb.Helper()
	sharedRedis.Lock()
	defer sharedRedis.Unlock()
	if sharedRedis.server == nil {
		sharedRedis.server = newRedis(tb, []string{"appendonly yes"})
		AtExit(sharedRedis.server.remove)
	}
	return sharedRedis.server
}

func newRedis(tb testing.TB, directives []string) *RedisServer {
	tb.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		Missing(tb, "redis-server", err)
	}
	dir, err := os.MkdirTemp("", "redis-") //nolint:usetesting // a shared server outlives the test that starts it
	if err != nil {
		tb.Fatal(err)
	}
	s := &RedisServer{program: program, dir: dir, port: FreePort(tb), directives: directives}
	for _, d := range directives {
		if password, ok := strings.CutPrefix(d, "requirepass "); ok {
			s.password = password
		}
	}
	s.Start(tb)
	return s
}

// Dir is where the server keeps its data.
func (s *RedisServer) Dir() string { return s.dir }

// Port is where the server listens.
func (s *RedisServer) Port() int { return s.port }

// Address is host and port.
func (s *RedisServer) Address() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

// URL returns how to connect to the server, password included.
func (s *RedisServer) URL() string { return s.URLAt(s.Address()) }

// URLAt is [RedisServer.URL] for a proxy at another address.
func (s *RedisServer) URLAt(address string) string {
	u := url.URL{Scheme: "redis", Host: address}
	if s.password != "" {
		u.User = url.UserPassword("", s.password)
	}
	return u.String()
}

// Start starts a server that was killed, on the same port and data, and waits
// until it answers.
func (s *RedisServer) Start(tb testing.TB) {
	tb.Helper()
	if err := s.start(); err != nil {
		tb.Fatal(err)
	}
}

func (s *RedisServer) start() error {
	log, err := os.OpenFile(s.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	process := exec.Command(s.program, s.arguments()...)
	process.SysProcAttr = EndWithTests(syscall.SIGKILL)
	process.Stdout, process.Stderr = log, log
	if err := process.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = process.Wait() // a killed server has no good exit code
	}()
	s.mu.Lock()
	s.process, s.exited = process, exited
	s.mu.Unlock()
	return s.await(exited)
}

func (s *RedisServer) await(exited <-chan struct{}) error {
	for deadline := time.Now().Add(time.Minute); ; {
		err := s.ping()
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("redis-server ended at once: %s", s.tail())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("redis-server does not answer: %w: %s", err, s.tail())
		}
	}
}

// ping returns nil when the server is up and has read its data.
func (s *RedisServer) ping() error {
	conn, err := net.DialTimeout("tcp", s.Address(), time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprint(conn, "PING\r\n"); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || strings.HasPrefix(answer, "+PONG") || strings.HasPrefix(answer, "-NOAUTH") {
		return err
	}
	return errors.New(answer)
}

// arguments give every directive as an option of the command line.
func (s *RedisServer) arguments() []string {
	args := []string{"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", s.dir, "--save", ""}
	for _, d := range s.directives {
		words := strings.Fields(d)
		args = append(args, "--"+words[0])
		args = append(args, words[1:]...)
	}
	return args
}

func (s *RedisServer) log() string { return filepath.Join(s.dir, "log") }

// tail is the end of the server's log.
func (s *RedisServer) tail() []byte {
	text, err := os.ReadFile(s.log())
	if err != nil {
		return []byte(err.Error())
	}
	return text[max(0, len(text)-2_000):]
}

// Kill ends the server with SIGKILL, paused or not.
func (s *RedisServer) Kill() {
	s.signal(syscall.SIGKILL)
	<-s.exited
}

// Restart is [RedisServer.Kill] and [RedisServer.Start].
func (s *RedisServer) Restart(tb testing.TB) {
	tb.Helper()
	s.Kill()
	s.Start(tb)
}

// Pause stops the server where it is: connections stay open, new ones are
// made, and nothing answers.
func (s *RedisServer) Pause() { s.signal(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (s *RedisServer) Resume() { s.signal(syscall.SIGCONT) }

func (s *RedisServer) signal(signal syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.process.Process.Signal(signal) // it may have ended already
}

func (s *RedisServer) remove() {
	s.Kill()
	_ = os.RemoveAll(s.dir)
}
