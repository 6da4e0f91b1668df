package bootstrap_test

import (
	"math"
	"net/http"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
	"github.com/weather-mcp/weather-mcp-analytics/test/logs"
	"github.com/weather-mcp/weather-mcp-analytics/test/web"
)

func TestContainerLimit(t *testing.T) {
	const unlimited = math.MaxInt64
	tests := map[string]struct {
		files map[string]string
		want  int64
	}{
		"nothing known": {nil, unlimited},
		"no limit": {map[string]string{
			"proc/self/cgroup": "0::/app\n", "sys/fs/cgroup/app/memory.max": "max\n",
		}, unlimited},
		"own": {map[string]string{
			"proc/self/cgroup": "0::/app\n", "sys/fs/cgroup/app/memory.max": "268435456\n",
		}, 268435456},
		"of what it is in": {map[string]string{
			"proc/self/cgroup": "0::/system.slice/app.service\n",
			"sys/fs/cgroup/system.slice/app.service/memory.max": "max\n",
			"sys/fs/cgroup/system.slice/memory.max":             "1073741824\n",
		}, 1073741824},
		"inside a container": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "134217728\n",
		}, 134217728},
		"version 1": {map[string]string{
			"proc/self/cgroup":                           "9:name=systemd:/\n4:memory:/docker/abc\n0::/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "536870912\n",
		}, 536870912},
		"the least": {map[string]string{
			"proc/self/cgroup": "4:memory:/a\n0::/a\n", "sys/fs/cgroup/a/memory.max": "7\n",
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "8\n",
		}, 7},
		"garbage": {map[string]string{
			"proc/self/cgroup": "\n::\n0::/../../etc\n", "sys/fs/cgroup/memory.max": "-1\n",
		}, unlimited},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{}
			for path, text := range test.files {
				root[path] = &fstest.MapFile{Data: []byte(text)}
			}
			if got := bootstrap.ContainerLimit(root); got != test.want {
				t.Errorf("limit = %d, want %d", got, test.want)
			}
		})
	}
}

func TestSmallContainerCountsForMore(t *testing.T) {
	const mb = 1 << 20
	log := new(logs.Buffer)
	if got := bootstrap.MemoryLimitOf(512, 1000*mb, log.Logger()); got != 512*mb || log.String() != "" {
		t.Errorf("limit in a large container is %d, log %q", got, log)
	}
	if got := bootstrap.MemoryLimitOf(512, 500*mb, log.Logger()); got != 450*mb || !strings.Contains(log.String(), "MEMORY_LIMIT_MB") {
		t.Errorf("limit in a small container is %d, log %q", got, log)
	}
}

// What is in use counts, not what was.
func TestPressure(t *testing.T) {
	var held [][]byte
	m := bootstrap.NewMemoryOf(112 << 20)
	runtime.GC()
	if m.Pressed() {
		t.Fatal("pressed with nothing in use")
	}
	for range 60 {
		held = append(held, make([]byte, 1<<20))
	}
	runtime.GC()
	await(t, m.Pressed)
	runtime.KeepAlive(held) // and not after this
	runtime.GC()
	await(t, func() bool { return !m.Pressed() })
}

func TestServiceKeepsItsMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	store := memory.NewStore()
	service := start(t, inMemory(memory.NewQueue(memory.QueueConfig{MaxEvents: 10}), store, store), "MEMORY_LIMIT_MB=200")
	if got, want := debug.SetMemoryLimit(-1), int64(126<<20); got != want {
		t.Errorf("Go's limit is %d, want %d", got, want)
	}
	if err := service.stop(t); err != nil {
		t.Error(err)
	}
	if got := debug.SetMemoryLimit(-1); got != before {
		t.Errorf("after the end Go's limit is %d, want %d as before", got, before)
	}
}

func TestProcessesThatAnswerCollectLessOften(t *testing.T) {
	t.Setenv("GOGC", "")
	before := collectedAt()
	for role, want := range map[bootstrap.Role]uint64{bootstrap.RoleServe: 200, bootstrap.RoleAPI: 200, bootstrap.RoleWorker: before} {
		checkCollectedAt(t, role, want)
	}
	t.Setenv("GOGC", "80")
	checkCollectedAt(t, bootstrap.RoleServe, before)
}

// checkCollectedAt demands the per cent by which the heap grows between collections
// while the role runs, and what there was before when it has ended.
func checkCollectedAt(t *testing.T, role bootstrap.Role, want uint64) {
	t.Helper()
	before, queue, store := collectedAt(), memory.NewQueue(memory.QueueConfig{}), memory.NewStore()
	t.Run(string(role), func(t *testing.T) {
		startRole(t, role, inMemory(queue, store, store))
		if got := collectedAt(); got != want {
			t.Errorf("while it runs %d, want %d", got, want)
		}
	})
	if got := collectedAt(); got != before {
		t.Errorf("after the end of %s %d, want %d as before", role, got, before)
	}
}

func collectedAt() uint64 {
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

func TestFewFilesMeanFewConnections(t *testing.T) {
	log := new(logs.Buffer)
	if got := bootstrap.ConnectionsFor(4096, 10, 1<<20, log.Logger()); got != 4096 || log.String() != "" {
		t.Errorf("%d connections, log %q", got, log)
	}
	if got := bootstrap.ConnectionsFor(4096, 10, 1024, log.Logger()); got != 886 || !strings.Contains(log.String(), "MAX_CONNECTIONS") {
		t.Errorf("%d connections, log %q", got, log)
	}
	if got := bootstrap.ConnectionsFor(4096, 10, 64, log.Logger()); got != 1 {
		t.Errorf("%d connections, want one at least", got)
	}
}

// The bound of the configuration holds in the service as it is run.
func TestServiceBoundsConnections(t *testing.T) {
	store := memory.NewStore()
	service := start(t, inMemory(memory.NewQueue(memory.QueueConfig{MaxEvents: 10}), store, store), "MAX_CONNECTIONS=2")
	for range 5 {
		c := connect(t, service)
		defer func() { _ = c.Close() }()
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		status, answer := web.Ask(t, http.MethodGet, service.url+"/v1/status", "")
		if status == http.StatusOK && strings.Contains(answer, `"connections":2,`) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("status is %s", answer)
		}
	}
}
