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
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// RedisServer is a private redis-server.
type RedisServer struct {
	daemon

	program, password string
	directives        []string
}

// Redis starts a server of the test's own. It keeps nothing on disk unless
// directives of its configuration such as "appendonly yes" say so; another is
// "requirepass secret". With "sentinel yes" it is a Sentinel.
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
	s := &RedisServer{program: program, directives: directives}
	s.daemon = daemon{
		name: "redis-server", dir: dir, port: FreePort(tb),
		command: s.command, ping: s.ping, crash: syscall.SIGKILL,
	}
	for _, d := range directives {
		if password, ok := strings.CutPrefix(d, "requirepass "); ok {
			s.password = password
		}
	}
	s.Start(tb)
	return s
}

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

func (s *RedisServer) command() *exec.Cmd {
	if slices.Contains(s.directives, "sentinel yes") {
		return s.sentinel()
	}
	command := exec.Command(s.program, s.arguments()...)
	command.SysProcAttr = EndWithTests(syscall.SIGKILL)
	return command
}

// sentinel is the command of a Sentinel that watches nothing, which wants a file
// that it can write its state to.
func (s *RedisServer) sentinel() *exec.Cmd {
	file := filepath.Join(s.dir, "sentinel.conf")
	err := os.WriteFile(file, fmt.Appendf(nil, "port %d\nbind 127.0.0.1\ndir %s\n", s.port, s.dir), 0o600)
	command := exec.Command(s.program, file, "--sentinel")
	command.Err = errors.Join(command.Err, err)
	command.SysProcAttr = EndWithTests(syscall.SIGKILL)
	return command
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
