package health_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/logs"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

func TestMain(m *testing.M) { servers.Main(m) }

// longest is what an answer may take. The service's own bound is two seconds; a
// busy machine gets as much again.
const longest = 4 * time.Second

// patience is how long a state may need until every process knows of it.
const patience = 40 * time.Second

// stallAfter replaces the half minute for which nothing may be stored.
const stallAfter = 4 * time.Second

// disk is a volume with the room that a test wants.
type disk struct{ free atomic.Int64 }

const gigabyte = 1 << 30

func newDisk() *disk {
	d := new(disk)
	d.free.Store(gigabyte)
	return d
}

func (*disk) VolumeName() string { return "store" }

func (d *disk) Space(context.Context) (ports.DiskSpace, bool) {
	return ports.DiskSpace{Free: d.free.Load(), Total: gigabyte}, true
}

// process is a role of the service.
type process struct {
	url  string
	log  *logs.Buffer
	stop func()
}

// run starts a role and stops it after the test, unless it is stopped before.
func run(t *testing.T, role bootstrap.Role, options bootstrap.Options, environ ...string) *process {
	t.Helper()
	environ = append([]string{"BIND_ADDRESS=127.0.0.1", "PORT=0", "RATE_LIMIT_PER_MINUTE=0", "CACHE_TTL_SECONDS=0", "MAX_BATCH_SIZE=10"}, environ...)
	if role == bootstrap.RoleWorker {
		environ = append(environ, fmt.Sprintf("WORKER_HEALTH_PORT=%d", servers.FreePort(t)))
	}
	config, _, err := bootstrap.Load(environ, "no-such-file", role)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{log: new(logs.Buffer)}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, ended := make(chan net.Addr, 1), make(chan struct{})
	options.Log = slog.New(slog.NewTextHandler(p.log, nil))
	options.Ready = func(a net.Addr) { ready <- a }
	options.StallAfter = cmp.Or(options.StallAfter, stallAfter)
	var outcome error
	go func() {
		defer close(ended)
		outcome = bootstrap.Run(ctx, config, options)
	}()
	p.stop = func() { cancel(); <-ended }
	t.Cleanup(p.stop)
	select {
	case address := <-ready:
		p.url = "http://" + address.String()
	case <-ended:
		t.Fatalf("the %s does not start: %v\n%s", role, outcome, p.log)
	}
	return p
}

// ask sends a request. An answer that takes too long, or a 500, is a failure in
// every state.
func (p *process) ask(t *testing.T, method, path, body string) (status int, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, p.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	var buffer bytes.Buffer
	if _, err := buffer.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > longest {
		t.Errorf("%s %s took %v", method, path, took)
	}
	if response.StatusCode == http.StatusInternalServerError {
		t.Errorf("%s %s answers 500: %s", method, path, buffer.String())
	}
	if response.StatusCode == http.StatusServiceUnavailable && method == http.MethodPost && response.Header.Get("Retry-After") == "" {
		t.Errorf("%s %s answers 503 without Retry-After", method, path)
	}
	return response.StatusCode, buffer.String()
}

// post sends one event of this hour.
func (p *process) post(t *testing.T) (status int, text string) {
	t.Helper()
	return p.ask(t, http.MethodPost, "/v1/events", fmt.Sprintf(`{"events":[{"version":"1.23.0","tool":"get_forecast",`+
		`"status":"success","timestamp_hour":%q,"analytics_level":"minimal"}]}`, time.Now().UTC().Truncate(time.Hour).Format(time.RFC3339)))
}

// failing lists the names of the checks that fail, or the state when it is said
// otherwise than in a list.
func failing(t *testing.T, text string) []string {
	t.Helper()
	var health struct {
		Checks []struct{ Name, Status, Error string }
	}
	if err := json.Unmarshal([]byte(text), &health); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	var names []string
	for _, c := range health.Checks {
		if c.Status != "healthy" {
			names = append(names, c.Name)
		}
		if strings.Contains(c.Error, "127.0.0.1") || strings.Contains(c.Error, "pq:") || strings.Contains(c.Error, "script") {
			t.Errorf("a driver's text shows: %s", c.Error)
		}
	}
	return names
}

// await asks until the answer is as wanted.
func await(t *testing.T, what string, ask func() (ok bool, last string)) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		ok, last := ask()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("not after %v: %s; the last answer is %s", patience, what, last)
			return
		}
	}
}
