package bootstrap

import (
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/fx"
)

// memoryModule stands before all that takes memory: it starts first.
func memoryModule() fx.Option {
	return fx.Module("memory", fx.Provide(newMemory, newBuckets), fx.Invoke((*memoryBudget).keep))
}

// memoryBudget is what the process may take.
type memoryBudget struct {
	limit int64
	// collectAt is by how many per cent the heap may grow between collections; 0
	// leaves that as Go has it, or as GOGC says.
	collectAt int

	mu      sync.Mutex
	sampled time.Time
	pressed bool
}

func newMemory(c Config, log *slog.Logger) *memoryBudget {
	m := &memoryBudget{limit: memoryLimit(c.MemoryLimitMB, containerLimit(os.DirFS("/")), log)}
	if c.Role.answers() && os.Getenv("GOGC") == "" {
		m.collectAt = collectAnswering
	}
	return m
}

// collectAnswering is for a process that answers clients: it has few MB in use and
// discards much for each request, so with Go's 100 it would collect many times a
// second. It saves a quarter of the CPU time of a post and takes 5 MB. A worker has
// much in use, and not that much more room.
const collectAnswering = 200

// memoryLimit is what is configured, or less where the process lives in a
// container that has less: there the kernel kills, and counts files too.
func memoryLimit(megabytes int, container int64, log *slog.Logger) int64 {
	limit := megabyteLimit(megabytes).limit
	if most := container / 10 * 9; most < limit {
		log.Warn("the container has less memory than MEMORY_LIMIT_MB", "limit_mb", most>>20)
		return most
	}
	return limit
}

// megabyteLimit is what may be taken where nothing but the configuration counts.
func megabyteLimit(megabytes int) *memoryBudget { return &memoryBudget{limit: int64(megabytes) << 20} }

// programBytes is what the program's own code and tables take, as far as they
// are used; it counts as the process's memory, but Go does not count it.
const programBytes = 32 << 20

// forWork is what is left beside the program.
func (m *memoryBudget) forWork() int64 { return max(m.limit-programBytes, m.limit/2) }

// forGo leaves a quarter for what Go does not manage, such as the caches of the
// embedded store, and for what it takes in a rush before it has collected.
func (m *memoryBudget) forGo() int64 { return m.forWork() / 4 * 3 }

// forConnections is what clients may hold of it with headers and bodies.
func (m *memoryBudget) forConnections() int64 { return m.forWork() / 4 }

// forBuckets is what packed aggregates may take of it at most. The rest is for
// cached answers, the limiter's accounts, and what goes on at the moment.
func (m *memoryBudget) forBuckets() int64 { return m.forGo() / 4 }

// keep has the garbage collector work harder near the limit, until stop, and less
// below it.
func (m *memoryBudget) keep(lc fx.Lifecycle) {
	var limit int64
	lc.Append(fx.StartStopHook(
		func() { limit = debug.SetMemoryLimit(m.forGo()) },
		func() { debug.SetMemoryLimit(limit) },
	))
	if m.collectAt == 0 {
		return
	}
	var percent int
	lc.Append(fx.StartStopHook(
		func() { percent = debug.SetGCPercent(m.collectAt) },
		func() { debug.SetGCPercent(percent) },
	))
}

const (
	// sampleEvery bounds what looking costs.
	sampleEvery = 50 * time.Millisecond
	// pressedAt is the part of Go's memory, in per cent, above which the
	// collector is about to do nothing else.
	pressedAt = 80
)

// Pressed reports that what the last collection has found in use leaves no room
// for more work.
func (m *memoryBudget) Pressed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := time.Now(); now.Sub(m.sampled) >= sampleEvery {
		m.sampled, m.pressed = now, inUse() > m.forGo()/100*pressedAt
	}
	return m.pressed
}

// inUse is the live heap and the stacks, in bytes.
func inUse() int64 {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64() + samples[1].Value.Uint64()) //nolint:gosec // far below 2⁶³
}

// containerLimit is the least of the memory limits that the kernel has set for
// the process and for what it is in, in bytes; math.MaxInt64 for none.
func containerLimit(root fs.FS) int64 {
	limit := int64(math.MaxInt64)
	text, _ := fs.ReadFile(root, "proc/self/cgroup")
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(fields) < 3:
		case fields[0] == "0":
			limit = min(limit, leastLimit(root, "sys/fs/cgroup", fields[2], "memory.max"))
		case fields[1] == "memory":
			limit = min(limit, leastLimit(root, "sys/fs/cgroup/memory", fields[2], "memory.limit_in_bytes"))
		}
	}
	return limit
}

// leastLimit looks at a group and all that it is in. Inside a container the
// group's own folder may be mounted in the place of the outermost.
func leastLimit(root fs.FS, mount, group, file string) int64 {
	limit := int64(math.MaxInt64)
	for ; ; group = path.Dir(group) {
		text, _ := fs.ReadFile(root, path.Join(mount, group, file))
		if value, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && value > 0 {
			limit = min(limit, value)
		}
		if group == "/" || group == "." {
			return limit
		}
	}
}
