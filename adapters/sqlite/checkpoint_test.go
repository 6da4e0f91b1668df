package sqlite_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// TestMainFileFollowsTheLog copies the main file alone of a database in use,
// with less in its log than SQLite would move by itself.
func TestMainFileFollowsTheLog(t *testing.T) {
	dir := t.TempDir()
	db := open(t, sqlite.Config{Dir: dir, CheckpointInterval: 5 * time.Millisecond})
	if _, err := sqlite.NewStore(db).Store(t.Context(), []domain.Batch{contract.NewBatch(1, contract.Events(1, 7)...)}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		events, err := eventsInCopy(t, dir)
		if err == nil && events == 7 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a copy of the main file has %d events, %v; want 7", events, err)
		}
	}
	closeDB(t, db)
	if _, err := os.Stat(filepath.Join(dir, "analytics.db-wal")); err == nil {
		t.Error("the log is still there after the end")
	}
}

// eventsInCopy counts the events in a copy of the main file.
func eventsInCopy(t *testing.T, dir string) (events int, err error) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "analytics.db"))
	if err != nil {
		return 0, err
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return 0, err
	}
	copied, err := sql.Open("sqlite", path)
	if err != nil {
		return 0, err
	}
	defer copied.Close()
	err = copied.QueryRowContext(t.Context(), `SELECT count(*) FROM events`).Scan(&events)
	return events, err
}
