package chaos_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
	"github.com/weather-mcp/weather-mcp-analytics/test/program"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// fleet is a production system: processes of the real program, PostgreSQL,
// Redis, and a link between every process and every server.
type fleet struct {
	postgres *servers.PostgresServer
	redis    *servers.RedisServer
	// database is where the store is, without a link between.
	database      string
	apis, workers []*member
	links         []*link
	// turn counts the calls of api.
	turn int
}

// member is one process of the fleet, through all its lives.
type member struct {
	role, dir string
	env       []string
	random    *rand.Rand

	mu      sync.Mutex
	process *program.Process
	// address is where the process listens, or did before it was killed.
	address string
	ready   bool
}

// newFleet starts servers and processes, and waits until these are ready. env
// is for all of them.
func newFleet(t *testing.T, random *rand.Rand, apis, workers int, env ...string) *fleet {
	t.Helper()
	f := &fleet{
		postgres: servers.Postgres(t),
		redis:    servers.Redis(t, "appendonly yes", "appendfsync everysec"),
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of PostgreSQL's log:\n%s", f.postgres.LogTail())
		}
	})
	f.database = f.postgres.NewDatabase(t)
	for i := range apis + workers {
		m := &member{role: "api", dir: t.TempDir(), random: derive(random)}
		if i < apis {
			f.apis = append(f.apis, m)
		} else {
			m.role = "worker"
			f.workers = append(f.workers, m)
		}
		// The ledger tells batches by their version.
		m.env = append(append(f.linkUp(t, m), "MAX_VERSIONS_PER_DAY=1000000", mergeSoon), env...)
		m.launch(t)
	}
	for _, m := range f.members() {
		m.await(t)
	}
	return f
}

func (f *fleet) members() []*member { return append(append([]*member(nil), f.apis...), f.workers...) }

// derive returns a source of its own for what runs beside the rest.
func derive(random *rand.Rand) *rand.Rand { return rand.New(rand.NewPCG(random.Uint64(), 0)) }

// linkUp lays the links of a process and returns how it finds its servers.
func (f *fleet) linkUp(t *testing.T, m *member) []string {
	t.Helper()
	toStore := newLink(t, m.role+"–PostgreSQL", f.postgres.Address(), derive(m.random))
	toQueue := newLink(t, m.role+"–Redis", f.redis.Address(), derive(m.random))
	f.links = append(f.links, toStore, toQueue)
	name := f.database[strings.LastIndex(f.database, "/")+1:]
	name, _, _ = strings.Cut(name, "?")
	return []string{
		"DATABASE_URL=" + f.postgres.URLAt(toStore.address(), name),
		"REDIS_URL=" + f.redis.URLAt(toQueue.address()),
	}
}

// launch starts the process. Each life of a worker draws how many events a
// transaction holds: small ones spend more of their time between commit and
// acknowledgement, large ones inside the transaction.
func (m *member) launch(t *testing.T) {
	t.Helper()
	env := append([]string{fmt.Sprintf("WORKER_BATCH_SIZE=%d", oneOf(m.random, []int{10, 100, 5000}))}, m.env...)
	p := program.Launch(t, m.role, m.dir, env...)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.process, m.ready = p, false
}

func (m *member) current() *program.Process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.process
}

// await waits until the process works and notes where it listens. A start that
// a fault has spoilt is repeated, as a supervisor does.
func (m *member) await(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		p := m.current()
		select {
		case address := <-p.Ready:
			m.mu.Lock()
			defer m.mu.Unlock()
			m.address, m.ready = address, true
			return
		case <-p.Exited:
			t.Logf("%s ended while starting: %s", m.role, p.Log.LastLine())
			m.launch(t)
		case <-time.After(time.Until(deadline)):
			t.Fatalf("%s is not ready after %v\n%s", m.role, patience, p.Log)
		}
	}
}

// listensAt returns where the process listens, and whether it does as far as is
// known.
func (m *member) listensAt() (address string, ready bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.address, m.ready
}

// api is the address of an API, one that is up if there is any. A load that
// went to the dead would prove nothing.
func (f *fleet) api(t *testing.T) string {
	t.Helper()
	deadline := time.Now().Add(patience)
	for tick := time.Tick(5 * time.Millisecond); ; <-tick {
		var ready []string
		for _, m := range f.apis {
			if address, ok := m.listensAt(); ok {
				ready = append(ready, address)
			}
		}
		if len(ready) > 0 {
			f.turn++
			return ready[f.turn%len(ready)]
		}
		if time.Now().After(deadline) {
			t.Fatalf("no API is up after %v", patience)
		}
	}
}

// victims are what can fail in the fleet, by class.
func (f *fleet) victims(t *testing.T) [][]*victim {
	var apis, workers, links []*victim
	for _, m := range f.apis {
		apis = append(apis, &victim{faults: m.faults(t)})
	}
	for _, m := range f.workers {
		// Others take what a worker holds that was silent for 3 s.
		workers = append(workers, &victim{faults: m.faults(t), longest: 20 * time.Second})
	}
	for _, l := range f.links {
		links = append(links, &victim{faults: l.faults(t)})
	}
	store := []*victim{{faults: serverFaults(t, "PostgreSQL", f.postgres)}}
	queue := []*victim{{faults: serverFaults(t, "Redis", syncedRedis{f.redis, t})}}
	return [][]*victim{apis, workers, store, queue, links}
}

// faults of a process: it is killed and started again, once it is killed while
// it starts, or it stands still.
func (m *member) faults(t *testing.T) []fault {
	return []fault{
		{"kill " + m.role, func() func() {
			m.kill()
			return func() {
				m.launch(t)
				m.await(t)
			}
		}},
		{"kill starting " + m.role, func() func() {
			m.kill()
			m.launch(t)
			return func() {
				m.kill()
				m.launch(t)
				m.await(t)
			}
		}},
		{"pause " + m.role, func() func() {
			m.signal(t, syscall.SIGSTOP)
			return func() { m.signal(t, syscall.SIGCONT) }
		}},
	}
}

// kill kills the process under whoever talks to it.
func (m *member) kill() {
	p := m.current()
	p.Kill()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ready = false
}

func (m *member) signal(t *testing.T, signal syscall.Signal) {
	if err := m.current().Signal(signal); err != nil {
		t.Errorf("%s has ended by itself: %v\n%s", m.role, err, m.current().Log)
	}
}

// dataServer is a server of package servers.
type dataServer interface {
	Kill()
	Start(tb testing.TB)
	Pause()
	Resume()
}

func serverFaults(t *testing.T, name string, s dataServer) []fault {
	return []fault{
		{"kill " + name, func() func() {
			s.Kill()
			return func() { s.Start(t) }
		}},
		{"pause " + name, func() func() {
			s.Pause()
			return s.Resume
		}},
	}
}

// syncedRedis is killed only when no sync of its file is going on: while one
// is, Redis answers before it writes, and what it has answered dies with it.
// That is the one gap of appendfsync everysec, see docs/delivery.md.
type syncedRedis struct {
	*servers.RedisServer

	t *testing.T
}

// Kill waits for a sync for five seconds at most.
func (r syncedRedis) Kill() {
	defer r.RedisServer.Kill()
	connection, err := redigo.DialURL(r.URL(), redigo.DialReadTimeout(time.Second))
	if err != nil {
		r.t.Errorf("connect to Redis: %v", err)
		return
	}
	defer connection.Close()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		info, err := redigo.String(connection.Do("INFO", "persistence"))
		if err != nil {
			r.t.Errorf("ask Redis: %v", err)
			return
		}
		if strings.Contains(info, "aof_pending_bio_fsync:0") && strings.Contains(info, "aof_buffer_length:0") {
			return
		}
	}
}

// run runs a command of the program on the fleet's servers, without links
// between, and returns its output and how it ended.
func (f *fleet) run(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	return program.Run(t, []string{"DATABASE_URL=" + f.database, "REDIS_URL=" + f.redis.URL()}, args...)
}

// stop ends all processes as an operator does.
func (f *fleet) stop(t *testing.T) {
	t.Helper()
	for _, m := range f.members() {
		m.current().Stop(t)
	}
}

// queue opens the queue without a link between.
func (f *fleet) queue(t *testing.T) *redis.Queue {
	t.Helper()
	pool, err := redis.Open(t.Context(), redis.Config{URL: f.redis.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return redis.NewQueue(pool, redis.QueueConfig{})
}
