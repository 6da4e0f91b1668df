package chaos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// patience is how long the program may take for anything.
const patience = 60 * time.Second

func TestMain(m *testing.M) { servers.Main(m) }

// status is what /v1/status tells of the pipeline.
type status struct {
	Queue struct {
		Batches int `json:"batches"`
		Events  int `json:"events"`
	} `json:"queue"`
	Journal struct {
		Rows    *int `json:"rows"`
		Entries int  `json:"entries"`
	} `json:"journal"`
	DeadLetters int `json:"dead_letters"`
}

// drain waits until everything accepted has left the queue for the store. An
// API that has just lost a server may fail to answer for a while.
func drain(t *testing.T, address string, limit time.Duration) {
	t.Helper()
	var last status
	var err error
	deadline := time.Now().Add(limit)
	for tick := time.Tick(20 * time.Millisecond); ; <-tick {
		if err = tryGet(t.Context(), address, "/v1/status", &last); err == nil && last.Queue.Batches == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d batches are still queued after %v (%v)", last.Queue.Batches, limit, err)
		}
	}
	if last.Queue.Events != 0 {
		t.Errorf("an empty queue counts %d events", last.Queue.Events)
	}
	if last.DeadLetters > 0 {
		t.Errorf("dead letters = %d, want none", last.DeadLetters)
	}
}

// mergeTime is how long after the end the journal may hold anything, where
// mergeSoon is set.
const (
	mergeTime = 10 * time.Second
	mergeSoon = "MERGE_INTERVAL_SECONDS=1"
)

// awaitMerged waits until everything stored stands in the packed aggregates, where
// the ledger looks. Nothing is queued any more.
func awaitMerged(t *testing.T, address string, limit time.Duration) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for tick := time.Tick(20 * time.Millisecond); ; <-tick {
		var last status
		err := tryGet(t.Context(), address, "/v1/status", &last)
		if err == nil && last.Journal.Rows != nil && *last.Journal.Rows == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d entries are not merged after %v (%v)", last.Journal.Entries, limit, err)
		}
	}
}

// totalCalls asks the API how many calls it counts.
func totalCalls(t *testing.T, address string) int64 {
	t.Helper()
	var overview struct {
		Summary struct {
			TotalCalls int64 `json:"total_calls"`
		} `json:"summary"`
	}
	if err := tryGet(t.Context(), address, "/v1/stats/overview?period=24h", &overview); err != nil {
		t.Fatal(err)
	}
	return overview.Summary.TotalCalls
}

func tryGet(ctx context.Context, address, path string, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s %s (%w)", path, response.Status, body, err)
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("GET %s: %w in %s", path, err, body)
	}
	return nil
}
