package redis_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(workerURL); url != "" {
		holdForEver(url, os.Getenv(workerPrefix))
	}
	servers.Main(m)
}

var prefixes atomic.Int64

// newPrefix returns a prefix that no other test uses.
func newPrefix() string { return fmt.Sprintf("test:%d", prefixes.Add(1)) }

// open connects to Redis; the pool is closed after the test.
func open(tb testing.TB, config redis.Config) *redis.Pool {
	tb.Helper()
	if config.Prefix == "" {
		config.Prefix = newPrefix()
	}
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	defer cancel()
	pool, err := redis.Open(ctx, config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := pool.Close(); err != nil {
			tb.Error(err)
		}
	})
	return pool
}

// openQueue is a queue on a server, with room for that many events.
func openQueue(tb testing.TB, url string, maxEvents int) *redis.Queue {
	tb.Helper()
	return redis.NewQueue(open(tb, redis.Config{URL: url}), redis.QueueConfig{MaxEvents: maxEvents})
}

// console is a connection of the test's own.
type console struct {
	tb   testing.TB
	conn redigo.Conn
}

func newConsole(tb testing.TB, url string) console {
	tb.Helper()
	conn, err := redigo.DialURL(url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return console{tb, conn}
}

// do runs a command.
func (c console) do(command string, args ...any) any {
	c.tb.Helper()
	answer, err := c.conn.Do(command, args...)
	if err != nil {
		c.tb.Fatalf("%s %v: %v", command, args, err)
	}
	return answer
}

func (c console) number(command string, args ...any) int {
	c.tb.Helper()
	n, err := redigo.Int(c.do(command, args...), nil)
	if err != nil {
		c.tb.Fatalf("%s %v: %v", command, args, err)
	}
	return n
}

// damage spoils the payload of a batch that was not handed out yet. Entries
// cannot be changed, so it and those behind it are written anew.
func (c console) damage(stream string, id domain.BatchID) {
	c.tb.Helper()
	entries, err := redigo.Values(c.do("XRANGE", stream, "-", "+"), nil)
	if err != nil {
		c.tb.Fatal(err)
	}
	found := false
	for _, e := range entries {
		var entry string
		var fields []any
		if _, err := redigo.Scan(e.([]any), &entry, &fields); err != nil {
			c.tb.Fatal(err)
		}
		if spoil := string(fields[1].([]byte)) == string(id); spoil {
			payload := fields[7].([]byte)
			payload[len(payload)/2] ^= 1
			found = true
		}
		if found {
			c.do("XDEL", stream, entry)
			c.do("XADD", append([]any{stream, "*"}, fields...)...)
		}
	}
	if !found {
		c.tb.Fatalf("%s is not in the queue", id)
	}
}

// relay stands between a client and a server.
type relay struct {
	target   atomic.Value // string
	listener net.Listener
	instead  atomic.Pointer[string] // of what the server answers
	late     atomic.Int64           // by how many nanoseconds it does

	mu    sync.Mutex
	conns []net.Conn
	olds  []*atomic.Pointer[string] // the same for each connection
	cut   bool
}

func newRelay(tb testing.TB, target string) *relay {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return relayAt(tb, listener, target)
}

func relayAt(tb testing.TB, listener net.Listener, target string) *relay {
	tb.Helper()
	r := &relay{listener: listener}
	r.target.Store(target)
	go r.serve()
	tb.Cleanup(r.Cut)
	return r
}

func (r *relay) Address() string { return r.listener.Addr().String() }

func (r *relay) serve() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", r.target.Load().(string))
		own := new(atomic.Pointer[string])
		if err != nil || !r.keep(own, client, server) {
			_ = client.Close()
			continue
		}
		go forward(server, client, nil)
		go forward(client, server, &r.late, &r.instead, own)
	}
}

func (r *relay) keep(own *atomic.Pointer[string], conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.olds = append(r.olds, own)
	r.conns = append(r.conns, conns...)
	return !r.cut
}

// forward copies until one side ends, some time late, or sends something else instead.
func forward(to, from net.Conn, late *atomic.Int64, instead ...*atomic.Pointer[string]) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if late != nil {
			time.Sleep(time.Duration(late.Load()))
		}
		data := buffer[:n]
		for _, i := range instead {
			if other := i.Load(); other != nil {
				data = []byte(*other)
			}
		}
		if _, err := to.Write(data); err != nil {
			return
		}
	}
}

// Mute loses every answer from now on.
func (r *relay) Mute() { r.Answer("") }

// Answer replaces every answer from now on.
func (r *relay) Answer(text string) { r.instead.Store(&text) }

// MuteOld loses every answer on the connections that there are.
func (r *relay) MuteOld() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, old := range r.olds {
		old.Store(new(string))
	}
}

// Restore ends what Mute or Answer began.
func (r *relay) Restore() { r.instead.Store(nil) }

// Cut ends all connections and lets nobody in any more.
func (r *relay) Cut() {
	_ = r.listener.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = true
	for _, c := range r.conns {
		_ = c.Close()
	}
}

// eventually waits until done returns true.
func eventually(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("not in time: %s", what)
		}
	}
}

func batchOf(number, events int) domain.Batch {
	return contract.NewBatch(number, contract.Events(uint64(number), events)...)
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Error(err)
	}
}

func checkCode(tb testing.TB, err error, want domain.Code) {
	tb.Helper()
	if got := domain.CodeOf(err); got != want {
		tb.Errorf("code %q of %v, want %q", got, err, want)
	}
}

// receive returns the numbers of the attempts, by batch.
func receive(tb testing.TB, q ports.Deliveries, wait time.Duration) map[domain.BatchID]int {
	tb.Helper()
	deliveries, err := q.Receive(tb.Context(), 1000, wait)
	must(tb, err)
	attempts := make(map[domain.BatchID]int)
	for _, d := range deliveries {
		attempts[d.Batch.ID] = d.Attempt
	}
	return attempts
}

func filesIn(tb testing.TB, dir string) []byte {
	tb.Helper()
	var all []byte
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all = append(all, data...)
		return err
	})
	must(tb, err)
	return all
}

func hasAll(text string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}
