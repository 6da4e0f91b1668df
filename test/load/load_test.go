// Package load_test runs the load of a service in use, load.js, by k6 against the program
// with nothing configured, and demands that exactly what was accepted is counted. `make
// loadtest` installs k6 and says where it is; otherwise the test is skipped.
package load_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/test/program"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

var (
	k6        = flag.String("k6", "", "the k6 that makes the load; none skips the test")
	sustained = flag.Duration("sustained", time.Minute, "how long 100 requests a second last")
	burst     = flag.Duration("burst", 10*time.Second, "how long 1,000 requests a second last")
)

func TestMain(m *testing.M) { servers.Main(m) }

// summary is what k6 says at the end.
type summary struct {
	Metrics map[string]struct {
		Values map[string]float64 `json:"values"`
	} `json:"metrics"`
}

func TestLoadOfAServiceInUse(t *testing.T) {
	if *k6 == "" {
		t.Skip("make loadtest says where k6 is")
	}
	p := program.Launch(t, "serve", t.TempDir(), "TRUSTED_PROXIES=127.0.0.1", "RATE_LIMIT_PER_MINUTE=60", "CACHE_TTL_SECONDS=300")
	address := "http://" + p.Await(t)
	result := filepath.Join(t.TempDir(), "summary.json")
	command := exec.CommandContext(t.Context(), *k6, "run", "--quiet", "--no-usage-report", "--address=", "load.js",
		"-e", "SERVER="+address, "-e", "SUMMARY="+result, "-e", "SUSTAINED="+sustained.String(), "-e", "BURST="+burst.String())
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("k6: %v\n%s\n%s", err, output, p.Log)
	}
	s := read(t, result)
	for _, scenario := range []string{"sustained", "burst"} {
		took := s.Metrics[fmt.Sprintf("http_req_duration{scenario:%s}", scenario)].Values
		t.Logf("%s: %.0f requests, p50 %.1f ms, p95 %.1f ms, p99 %.1f ms, at most %.0f ms", scenario,
			s.Metrics[fmt.Sprintf("http_reqs{scenario:%s}", scenario)].Values["count"], took["med"], took["p(95)"], took["p(99)"], took["max"])
	}
	t.Logf("requests that k6 had no client for: %.0f", s.Metrics["dropped_iterations"].Values["count"])
	accepted := int(s.Metrics["events"].Values["count"])
	if accepted == 0 {
		t.Fatalf("no event was accepted\n%s", output)
	}
	awaitCounted(t, address, accepted)
}

func read(t *testing.T, name string) (s summary) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// awaitCounted waits until the queue is empty, and wants so many events to be counted.
func awaitCounted(t *testing.T, address string, events int) {
	t.Helper()
	var status struct {
		EventsProcessed int `json:"events_processed"`
		Queue           struct {
			Events int `json:"events"`
		} `json:"queue"`
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		response, err := http.Get(address + "/v1/status")
		if err != nil {
			t.Fatal(err)
		}
		err = json.NewDecoder(response.Body).Decode(&status)
		_ = response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if status.EventsProcessed >= events && status.Queue.Events == 0 {
			break
		}
	}
	if status.EventsProcessed != events {
		t.Errorf("%d events were accepted, and %d are counted", events, status.EventsProcessed)
	}
}
