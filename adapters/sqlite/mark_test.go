package sqlite_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// reopen opens a copy of some files of a data directory and returns what the
// log says, or the refusal.
func reopen(t *testing.T, from string, names ...string) (log string, err error) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		copyFile(t, filepath.Join(from, name), filepath.Join(dir, name))
	}
	var text bytes.Buffer
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir, Log: slog.New(slog.NewTextHandler(&text, nil)), SlowQuery: time.Hour})
	if err == nil {
		closeDB(t, db)
	}
	return text.String(), err
}

// The first state is that of a server that has run for a short while, as its
// file was before anything had been copied to it from the log.
func TestACopyWithoutItsLogIsNoticed(t *testing.T) {
	dir := t.TempDir()
	db := open(t, sqlite.Config{Dir: dir})
	if err := sqlite.NewQueue(db, sqlite.QueueConfig{}).Enqueue(t.Context(), contract.NewBatch(1, contract.Events(1, perBatch)...)); err != nil {
		t.Fatal(err)
	}
	const missing = "what was stored and accepted last is missing"
	if log, err := reopen(t, dir, "analytics-queue.db"); err != nil || strings.Count(log, missing) != 1 || !strings.Contains(log, "level=ERROR") {
		t.Errorf("the file alone: %v, log %q", err, log)
	}
	if log, err := reopen(t, dir, "analytics-queue.db", "analytics-queue.db-wal"); err != nil || log != "" {
		t.Errorf("with its log, as after a kill: %v, log %q", err, log)
	}
	if err := db.QueueFile().Exec(t.Context(), `PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
		t.Fatal(err)
	}
	if log, err := reopen(t, dir, "analytics-queue.db", "analytics-queue.db-wal"); err != nil || strings.Count(log, missing) != 1 {
		t.Errorf("with a new log, which is empty: %v, log %q", err, log)
	}
	closeDB(t, db)
	if log, err := reopen(t, dir, "analytics-queue.db"); err != nil || log != "" {
		t.Errorf("after an orderly end: %v, log %q", err, log)
	}

	// Who was warned once is warned no more.
	copied := t.TempDir()
	db = open(t, sqlite.Config{Dir: dir})
	copyFile(t, filepath.Join(dir, "analytics-queue.db"), filepath.Join(copied, "analytics-queue.db"))
	closeDB(t, db)
	for _, want := range []int{1, 0} {
		var log bytes.Buffer
		closeDB(t, open(t, sqlite.Config{Dir: copied, Log: slog.New(slog.NewTextHandler(&log, nil)), SlowQuery: time.Hour}))
		if got := strings.Count(log.String(), missing); got != want {
			t.Errorf("told %d times, want %d: %s", got, want, &log)
		}
	}
}

// bareHeader makes the file that cp finds when all else is in the log still.
func bareHeader(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	err := sqlite.WithFile(filepath.Join(dir, "analytics-queue.db"), func(ctx context.Context, exec func(context.Context, string) error) error {
		for _, statement := range []string{`PRAGMA journal_mode = wal`, `CREATE TABLE events (id INTEGER)`} {
			if err := exec(ctx, statement); err != nil {
				return err
			}
		}
		copyFile(t, filepath.Join(dir, "analytics-queue.db"), filepath.Join(dir, "copy.db"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "copy.db"))
	if err != nil || info.Size() != 4096 {
		t.Fatalf("the copy has %d bytes, %v", info.Size(), err)
	}
	alone := t.TempDir()
	copyFile(t, filepath.Join(dir, "copy.db"), filepath.Join(alone, "analytics-queue.db"))
	return alone
}

func TestACopyOfTheHeaderAloneIsRefused(t *testing.T) {
	_, err := reopen(t, bareHeader(t), "analytics-queue.db")
	if err == nil || !strings.Contains(err.Error(), "holds nothing but its header") || !strings.Contains(err.Error(), "analytics backup") ||
		strings.Contains(err.Error(), "\n") {
		t.Errorf("error is %v", err)
	}
}

// SQLite would write the pages of the old log over those of the backup.
func TestABackupBesideAnotherLogIsRefused(t *testing.T) {
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "backup.db")
	db := open(t, sqlite.Config{Dir: dir})
	if _, err := sqlite.WriteBackup(t.Context(), dir, file); err != nil {
		t.Fatal(err)
	}
	if err := sqlite.NewQueue(db, sqlite.QueueConfig{}).Enqueue(t.Context(), contract.NewBatch(1, contract.Events(1, perBatch)...)); err != nil {
		t.Fatal(err)
	}
	killed := t.TempDir()
	copyFile(t, sqlite.QueueBackup(file), filepath.Join(killed, "analytics-queue.db"))
	copyFile(t, filepath.Join(dir, "analytics-queue.db-wal"), filepath.Join(killed, "analytics-queue.db-wal"))
	_, err := reopen(t, killed, "analytics-queue.db", "analytics-queue.db-wal")
	if err == nil || !strings.Contains(err.Error(), "is a backup") || !strings.Contains(err.Error(), "move") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error is %v", err)
	}
}

// A copy that was made while pages moved from the log may be torn.
func TestATornCopyIsRefused(t *testing.T) {
	dir := t.TempDir()
	db := open(t, sqlite.Config{Dir: dir})
	if err := sqlite.NewQueue(db, sqlite.QueueConfig{}).Enqueue(t.Context(), contract.NewBatch(1, contract.Events(1, 1000)...)); err != nil {
		t.Fatal(err)
	}
	if err := db.QueueFile().Exec(t.Context(), `PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
		t.Fatal(err)
	}
	torn := t.TempDir()
	copyFile(t, filepath.Join(dir, "analytics-queue.db"), filepath.Join(torn, "analytics-queue.db"))
	file, err := os.OpenFile(filepath.Join(torn, "analytics-queue.db"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Truncate(info.Size() / 4096 / 2 * 4096); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if log, err := reopen(t, torn, "analytics-queue.db"); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("error is %v, log %q", err, log)
	}
}
