package sqlite_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// perBatch is how many events the batches of these tests have.
const perBatch = 7

// load accepts batches, and counts them, and stores every second one, until stop
// is called.
func load(t *testing.T, db *sqlite.DB) (accepted *atomic.Int64, stop func()) {
	t.Helper()
	accepted = new(atomic.Int64)
	stopping, done := make(chan struct{}), make(chan struct{})
	queue, store := sqlite.NewQueue(db, sqlite.QueueConfig{MaxEvents: 1_000_000}), sqlite.NewStore(db)
	go func() {
		defer close(done)
		for n := 1; ; n++ {
			select {
			case <-stopping:
				return
			default:
			}
			if err := queue.Enqueue(t.Context(), contract.NewBatch(n, contract.Events(uint64(n), perBatch)...)); err != nil {
				t.Error(err)
				return
			}
			accepted.Add(1)
			if n%2 == 0 {
				storeNext(t, queue, store)
			}
		}
	}()
	return accepted, func() { close(stopping); <-done }
}

// storeNext stores the oldest batch, and reports false when there is none.
func storeNext(t *testing.T, queue ports.Deliveries, store ports.EventStore) bool {
	t.Helper()
	deliveries, err := queue.Receive(t.Context(), 1, 0)
	if err != nil {
		t.Error(err)
	}
	for _, d := range deliveries {
		if _, err := store.Store(t.Context(), []domain.Batch{d.Batch}); err != nil {
			t.Error(err)
		}
		if err := queue.Acknowledge(t.Context(), d.Batch.ID); err != nil {
			t.Error(err)
		}
	}
	return len(deliveries) > 0
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestBackupDuringLoadRestoresWhatWasCounted(t *testing.T) {
	dir, backups := t.TempDir(), t.TempDir()
	db := open(t, sqlite.Config{Dir: dir})
	accepted, stop := load(t, db)
	defer stop()
	for _, name := range []string{"a.db", "b.db", "c.db"} {
		begun := accepted.Load()
		for deadline := time.Now().Add(time.Minute); accepted.Load() < begun+20; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("nothing is accepted")
			}
		}
		before, file := accepted.Load(), filepath.Join(backups, name)
		backup, err := sqlite.WriteBackup(t.Context(), dir, file)
		after := accepted.Load() + 1 // the one that is being accepted
		if err != nil {
			t.Fatal(err)
		}
		var size int64
		for _, name := range []string{file, sqlite.QueueBackup(file)} {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s is of mode %v", name, info.Mode())
			}
			size += info.Size()
		}
		if size != backup.Bytes || backup.Calls != backup.Events {
			t.Errorf("the backup is %+v of %d bytes", backup, size)
		}
		// A batch between its storing and its acknowledgement is in both.
		held := (backup.Events + backup.QueuedEvents) / perBatch
		if held < before || held > after+1 || backup.QueuedEvents == 0 || backup.Events == 0 {
			t.Errorf("the backup is %+v, made between %d and %d accepted batches", backup, before, after)
		}
		checkRestored(t, file, before, after)
	}
}

// checkRestored puts the backup in place of a database and lets a worker finish
// what is queued in it.
func checkRestored(t *testing.T, backup string, least, most int64) {
	t.Helper()
	dir := t.TempDir()
	copyFile(t, backup, filepath.Join(dir, "analytics.db"))
	copyFile(t, sqlite.QueueBackup(backup), filepath.Join(dir, "analytics-queue.db"))
	var log bytes.Buffer
	db := open(t, sqlite.Config{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil)), SlowQuery: time.Hour})
	queue, store := sqlite.NewQueue(db, sqlite.QueueConfig{MaxEvents: 1_000_000}), sqlite.NewStore(db)
	for storeNext(t, queue, store) {
	}
	events, err := db.StoreFile().Count(t.Context(), "events")
	if err != nil {
		t.Fatal(err)
	}
	batches := int64(events / perBatch)
	if events%perBatch != 0 || batches < least || batches > most {
		t.Errorf("%d events after all is stored, from %d to %d batches of %d were accepted", events, least, most, perBatch)
	}
	ids, err := db.StoreFile().Rows(t.Context(), `SELECT id FROM stored_batches`)
	if err != nil || int64(len(ids)) != batches {
		t.Errorf("%d batch ids of %d batches, %v", len(ids), batches, err)
	}
	for n := range least {
		if id := string(contract.NewBatch(int(n) + 1).ID); !slices.Contains(ids, id) {
			t.Errorf("batch %d of %d that were accepted before is missing", n+1, least)
		}
	}
	if log.Len() > 0 {
		t.Errorf("a restored backup is complained of: %s", &log)
	}
	closeDB(t, db)
}

func TestBackupOfAStoppedServer(t *testing.T) {
	dir := t.TempDir()
	db := open(t, sqlite.Config{Dir: dir})
	if err := sqlite.NewQueue(db, sqlite.QueueConfig{}).Enqueue(t.Context(), contract.NewBatch(1, contract.Events(1, perBatch)...)); err != nil {
		t.Fatal(err)
	}
	closeDB(t, db)
	file := filepath.Join(t.TempDir(), "backup.db")
	backup, err := sqlite.WriteBackup(t.Context(), dir, file)
	if err != nil || backup.QueuedEvents != perBatch || backup.Events != 0 {
		t.Errorf("the backup is %+v, %v", backup, err)
	}
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(entries) != 2 {
		t.Errorf("in the place of the backup there is %v, %v", entries, err)
	}
	// The log that a reader makes is empty, and no reason to doubt anything.
	closeDB(t, open(t, sqlite.Config{Dir: dir}))
	checkRestored(t, file, 1, 1)
}

func TestBackupRefusals(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	closeDB(t, open(t, sqlite.Config{Dir: dir}))
	damaged := t.TempDir()
	db := open(t, sqlite.Config{Dir: damaged})
	if err := sqlite.NewQueue(db, sqlite.QueueConfig{}).Enqueue(t.Context(), contract.NewBatch(1, contract.Events(1, 1000)...)); err != nil {
		t.Fatal(err)
	}
	closeDB(t, db)
	spoil(t, filepath.Join(damaged, "analytics-queue.db"))
	existing := write(t, filepath.Join(other, "existing"), "mine")
	for name, test := range map[string]struct{ dir, file, says string }{
		"a file that exists":         {dir, existing, "exists: name a file that does not"},
		"the database itself":        {dir, filepath.Join(dir, "analytics.db"), "exists: name a file that does not"},
		"a directory":                {dir, other, "exists"},
		"no such directory":          {dir, filepath.Join(other, "none", "file"), "cannot be made: no such file or directory"},
		"no database":                {other, filepath.Join(other, "new"), "there is no database in DATA_DIR"},
		"a database that is damaged": {damaged, filepath.Join(other, "new"), "the d"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := sqlite.WriteBackup(t.Context(), test.dir, test.file)
			if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error is %v, want one that says %q", err, test.says)
			}
		})
	}
	if content, err := os.ReadFile(existing); string(content) != "mine" || err != nil {
		t.Errorf("the file that existed is %q now, %v", content, err)
	}
	if entries, err := os.ReadDir(other); len(entries) != 1 || err != nil {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sqlite.WriteBackup(ended, dir, filepath.Join(other, "new")); err == nil {
		t.Error("a call that was given up makes a backup")
	}
	if entries, err := os.ReadDir(other); len(entries) != 1 || err != nil {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// spoil overwrites the middle of a file.
func spoil(t *testing.T, path string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	const from = 4096 // the first page says what there is
	if _, err := io.Copy(io.NewOffsetWriter(file, from), io.LimitReader(zeros{}, info.Size()-from)); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
