package chaos_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/test/program"
)

// TestBackupOfAServerUnderLoadRestores copies the store of a server that takes
// batches all the time, kills the server, and puts the backup in place of the
// store, as docs/backup.md says.
func TestBackupOfAServerUnderLoadRestores(t *testing.T) {
	t.Parallel()
	files, restored := t.TempDir(), t.TempDir()
	backup := filepath.Join(t.TempDir(), "backup.db")
	settings := func(dir string) []string {
		return []string{"DATA_DIR=" + dir, "WORKER_POLL_INTERVAL_MS=20", "RATE_LIMIT_PER_MINUTE=0"}
	}
	server := program.Launch(t, "serve", t.TempDir(), settings(files)...)
	address := server.Await(t)

	// Every batch has one event, and the client waits for each answer: what it
	// has counted is what the server has accepted, but for the one on its way.
	var acceptedCalls atomic.Int64
	var stopping atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		random := newRandom(t)
		client := newClient(t)
		for n := 0; !stopping.Load(); n++ {
			load := drawLoad(random, shape{batches: 1, events: 1, flawless: true})
			switch got, err := post(t.Context(), client, job{load[0], address}); {
			case err != nil || got != accepted:
				t.Errorf("batch %d: %s, %v", n, got, err)
				return
			default:
				acceptedCalls.Add(1)
			}
		}
	}()
	awaitMore := func(n int64) {
		t.Helper()
		until := acceptedCalls.Load() + n
		for deadline := time.Now().Add(patience); acceptedCalls.Load() < until; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("no batches are accepted")
			}
		}
	}
	awaitMore(50)
	least := acceptedCalls.Load()
	output, err := program.Run(t, settings(files), "backup", backup)
	most := acceptedCalls.Load() + 1
	if err != nil || !strings.Contains(output, "checked; ") {
		t.Fatalf("%q, %v", output, err)
	}
	awaitMore(10) // the server goes on
	stopping.Store(true)
	<-done

	// What cp takes of a running server is not all, and the start says so.
	copied := t.TempDir()
	content, err := os.ReadFile(filepath.Join(files, "analytics.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(copied, "analytics.db"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	lacking := program.Launch(t, "serve", t.TempDir(), settings(copied)...)
	lacking.Await(t)
	if log := lacking.Log.String(); !strings.Contains(log, "what was stored and accepted last is missing") {
		t.Errorf("a copy without its log is not noticed:\n%s", log)
	}
	lacking.Kill()

	for from, to := range map[string]string{backup: "analytics.db", sqlite.QueueBackup(backup): "analytics-queue.db"} {
		if err := os.Rename(from, filepath.Join(restored, to)); err != nil {
			t.Fatal(err)
		}
	}
	again := program.Launch(t, "serve", t.TempDir(), settings(restored)...)
	address = again.Await(t)
	drain(t, address, patience)
	if counted := totalCalls(t, address); counted < least || counted > most {
		t.Errorf("%d calls are counted, between %d and %d were accepted before the backup", counted, least, most)
	}
	if strings.Contains(again.Log.String(), `"level":"ERROR"`) {
		t.Errorf("the log says\n%s", again.Log)
	}
	again.Stop(t)
}
