package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// TestFullFile lets the database grow to its own limit. SQLite then says what
// it says of a full disk.
func TestFullFile(t *testing.T) {
	full := &fullDisk{
		dir:  t.TempDir(),
		fill: func(t *testing.T, db *sqlite.DB) { exec1(t, db.QueueFile(), `PRAGMA max_page_count = 100`) },
		free: func(t *testing.T, db *sqlite.DB) { exec1(t, db.QueueFile(), `PRAGMA max_page_count = 1000000`) },
	}
	full.test(t)
}

// TestFullDisk fills a real, small file system.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("no right to mount a file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	filler := filepath.Join(dir, "filler")
	full := &fullDisk{
		dir: dir,
		fill: func(t *testing.T, _ *sqlite.DB) {
			file, err := os.Create(filler)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			for size := 64 << 10; size > 0; size /= 2 { // to the last byte
				for err = nil; err == nil; {
					_, err = file.Write(make([]byte, size))
				}
			}
		},
		free: func(t *testing.T, _ *sqlite.DB) {
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
		},
	}
	full.test(t)
}

// fullDisk is a directory that can be filled and freed.
type fullDisk struct {
	dir        string
	fill, free func(t *testing.T, db *sqlite.DB)
}

func (f *fullDisk) test(t *testing.T) {
	t.Helper()
	clock := memory.NewClock(contract.Now)
	db := open(t, sqlite.Config{Dir: f.dir, Clock: clock})
	queue := sqlite.NewQueue(db, sqlite.QueueConfig{MaxEvents: 100_000})
	checkHealth(t, db, "")
	accepted := enqueueUntilFull(t, queue, 0, 3)
	f.fill(t, db)
	accepted = enqueueUntilFull(t, queue, accepted, 1_000)
	if accepted == 1_003 {
		t.Fatal("it was never full")
	}

	checkHealth(t, db, domain.CodeDiskFull)
	checkHealth(t, db, domain.CodeDiskFull) // remembered
	clock.Advance(2 * time.Second)
	checkHealth(t, db, domain.CodeDiskFull) // and tried again
	checkAccepted(t, queue, accepted)

	f.free(t, db)
	clock.Advance(2 * time.Second)
	checkHealth(t, db, "")
	exec1(t, db.QueueFile(), `PRAGMA query_only = on`)
	checkHealth(t, db, "") // remembered
	exec1(t, db.QueueFile(), `PRAGMA query_only = off`)
	if enqueueUntilFull(t, queue, accepted, 1) != accepted+1 {
		t.Error("nothing can be written with room again")
	}
	closeDB(t, db)

	db = open(t, sqlite.Config{Dir: f.dir, Clock: clock})
	checkAccepted(t, sqlite.NewQueue(db, sqlite.QueueConfig{}), accepted+1)
	closeDB(t, db)
}

// enqueueUntilFull enqueues up to n batches, numbered on from accepted, and
// returns the number that follows the last one accepted.
func enqueueUntilFull(t *testing.T, queue *sqlite.Queue, accepted, n int) int {
	t.Helper()
	for range n {
		err := queue.Enqueue(t.Context(), contract.NewBatch(accepted, contract.Events(1, 60)...))
		if err != nil {
			checkCode(t, "full", err, domain.CodeDiskFull)
			return accepted
		}
		accepted++
	}
	return accepted
}

// checkHealth checks the queue's file.
func checkHealth(t *testing.T, db *sqlite.DB, want domain.Code) {
	t.Helper()
	checkCode(t, "health", db.QueueFile().Check(t.Context()), want)
}

func TestEachFileHasACheck(t *testing.T) {
	db := open(t, sqlite.Config{Dir: t.TempDir()})
	checks := db.Checks()
	if len(checks) != 2 || checks[0].Name() != "store" || checks[1].Name() != "queue" {
		t.Fatalf("the checks are %v", checks)
	}
	exec1(t, db.QueueFile(), `PRAGMA query_only = on`)
	checkCode(t, "store", checks[0].Check(t.Context()), "")
	checkCode(t, "queue", checks[1].Check(t.Context()), domain.CodeUnavailable)
	exec1(t, db.QueueFile(), `PRAGMA query_only = off`)
}

// checkAccepted demands that the queue holds as many batches as it accepted.
func checkAccepted(t *testing.T, queue *sqlite.Queue, accepted int) {
	t.Helper()
	depth, err := queue.Depth(t.Context())
	if err != nil || depth.Batches != accepted || depth.Events != 60*accepted {
		t.Errorf("holds %+v, %v; accepted %d", depth, err, accepted)
	}
}

func TestHealthIsCheckedOnceASecond(t *testing.T) {
	clock := memory.NewClock(contract.Now)
	db := open(t, sqlite.Config{Dir: t.TempDir(), Clock: clock})
	checkHealth(t, db, "")
	// Nobody tells the check that writing no longer works.
	exec1(t, db.QueueFile(), `PRAGMA query_only = on`)
	clock.Advance(900 * time.Millisecond)
	checkHealth(t, db, "")
	clock.Advance(200 * time.Millisecond)
	checkHealth(t, db, domain.CodeUnavailable)
	exec1(t, db.QueueFile(), `PRAGMA query_only = off`)
	clock.Advance(time.Second)
	checkHealth(t, db, "")
}

func TestHealthOfACancelledCallIsNotRemembered(t *testing.T) {
	db := open(t, sqlite.Config{Dir: t.TempDir(), Clock: memory.NewClock(contract.Now)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	checkCode(t, "cancelled", db.QueueFile().Check(ctx), domain.CodeUnavailable)
	checkHealth(t, db, "")
}

// TestDataDirectoryThatIsGone takes the open file away in every way.
func TestDataDirectoryThatIsGone(t *testing.T) {
	rename := func(from, to string) func(t *testing.T) {
		return func(t *testing.T) {
			t.Helper()
			if err := os.Rename(from, to); err != nil {
				t.Fatal(err)
			}
		}
	}
	parent := t.TempDir()
	dir, elsewhere := filepath.Join(parent, "data"), filepath.Join(parent, "elsewhere")
	replace := func(t *testing.T) {
		t.Helper()
		rename(dir, elsewhere)(t)
		closeDB(t, open(t, sqlite.Config{Dir: dir}))
	}
	back := func(t *testing.T) {
		t.Helper()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		rename(elsewhere, dir)(t)
	}
	clock := memory.NewClock(contract.Now)
	db := open(t, sqlite.Config{Dir: dir, Clock: clock})
	queue := sqlite.NewQueue(db, sqlite.QueueConfig{})
	check := func(what string, want domain.Code, number int) {
		t.Helper()
		clock.Advance(time.Second)
		for _, check := range db.Checks() {
			if check.Name() == "queue" || strings.HasPrefix(what, "directory") {
				checkCode(t, "health of the "+check.Name()+", "+what, check.Check(t.Context()), want)
			}
		}
		checkCode(t, "enqueue, "+what, queue.Enqueue(t.Context(), contract.NewBatch(number, contract.Events(1, 2)...)), want)
	}
	for i, c := range []struct {
		what         string
		remove, undo func(t *testing.T)
	}{
		{"directory moved", rename(dir, elsewhere), back},
		{"directory replaced", replace, back},
		{"file moved", rename(filepath.Join(dir, "analytics-queue.db"), elsewhere), rename(elsewhere, filepath.Join(dir, "analytics-queue.db"))},
	} {
		check("before", "", 10*i)
		c.remove(t)
		check(c.what, domain.CodeUnavailable, 10*i+1)
		c.undo(t)
		check("after", "", 10*i+2)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	check("directory removed", domain.CodeUnavailable, 99)
}

// TestLogThatIsGone removes or replaces the write-ahead log: nothing is taken in,
// and an orderly end saves what was.
func TestLogThatIsGone(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, log string){
		"removed": func(*testing.T, string) {},
		"replaced": func(t *testing.T, log string) {
			t.Helper()
			write(t, log, "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, clock := t.TempDir(), memory.NewClock(contract.Now)
			db := open(t, sqlite.Config{Dir: dir, Clock: clock, CheckpointInterval: time.Hour})
			queue := sqlite.NewQueue(db, sqlite.QueueConfig{})
			accepted := enqueueUntilFull(t, queue, 0, 3)
			log := filepath.Join(dir, "analytics-queue.db-wal")
			if err := os.Remove(log); err != nil {
				t.Fatal(err)
			}
			harm(t, log)
			clock.Advance(time.Second)
			err := db.QueueFile().Check(t.Context())
			checkCode(t, "health", err, domain.CodeUnavailable)
			if text := domain.MessageOf(err); !strings.Contains(text, "stop the server with SIGTERM") {
				t.Errorf("health says %q", text)
			}
			// Also where a new connection finds another log.
			for range 3 {
				_, _ = queue.Depth(t.Context())
				checkCode(t, "enqueue", queue.Enqueue(t.Context(), contract.NewBatch(99, contract.Events(1, 2)...)), domain.CodeUnavailable)
			}
			closeDB(t, db)
			if log, err := reopen(t, dir, "analytics-queue.db"); err != nil || log != "" {
				t.Errorf("after an orderly end: %v, log %q", err, log)
			}
			db = open(t, sqlite.Config{Dir: dir, Clock: clock})
			checkAccepted(t, sqlite.NewQueue(db, sqlite.QueueConfig{}), accepted)
		})
	}
}

// TestLogKeepsItsIdentity does whatever else touches the log.
func TestLogKeepsItsIdentity(t *testing.T) {
	dir := t.TempDir()
	db := open(t, sqlite.Config{Dir: dir})
	queue := sqlite.NewQueue(db, sqlite.QueueConfig{})
	for i, do := range []func(){
		func() {},
		func() { exec1(t, db.QueueFile(), `PRAGMA wal_checkpoint(TRUNCATE)`) },
		func() { exec1(t, db.QueueFile(), `PRAGMA wal_checkpoint(RESTART)`) },
		func() { exec1(t, db.QueueFile(), `VACUUM`) },
		func() {
			if _, err := sqlite.WriteBackup(t.Context(), dir, filepath.Join(t.TempDir(), "backup.db")); err != nil {
				t.Fatal(err)
			}
		},
		func() { db.QueueFile().Reconnect(t) },
	} {
		do()
		if enqueueUntilFull(t, queue, i, 1) != i+1 {
			t.Errorf("nothing can be written after step %d", i)
		}
	}
	checkAccepted(t, queue, 6)
}

func TestCheckMissesNoTable(t *testing.T) {
	clock := memory.NewClock(contract.Now)
	db := open(t, sqlite.Config{Dir: t.TempDir(), Clock: clock})
	for file, least := range map[*sqlite.File]int{db.StoreFile(): 8, db.QueueFile(): 7} {
		tables := file.Tables()
		if len(tables) < least {
			t.Fatalf("the tables of the %s are %v", file.Name(), tables)
		}
		for _, table := range tables {
			exec1(t, file, `ALTER TABLE `+table+` RENAME TO elsewhere`)
			clock.Advance(time.Second)
			checkCode(t, "without "+table, file.Check(t.Context()), domain.CodeUnavailable)
			exec1(t, file, `ALTER TABLE elsewhere RENAME TO `+table)
		}
		clock.Advance(time.Second)
		checkCode(t, file.Name(), file.Check(t.Context()), "")
	}
}

// Connections that are made anew while the file is away make no empty one, beside
// which SQLite would delete the log and with it what was accepted.
func TestNoFileIsMadeInPlaceOfOneThatIsAway(t *testing.T) {
	dir := t.TempDir()
	clock := memory.NewClock(contract.Now)
	db := open(t, sqlite.Config{Dir: dir, Clock: clock})
	queue := sqlite.NewQueue(db, sqlite.QueueConfig{})
	if err := queue.Enqueue(t.Context(), contract.NewBatch(1, contract.Events(1, 1)...)); err != nil {
		t.Fatal(err)
	}
	file, away := filepath.Join(dir, "analytics-queue.db"), filepath.Join(dir, "away")
	if err := os.Rename(file, away); err != nil {
		t.Fatal(err)
	}
	db.QueueFile().Reconnect(t)
	for range 2 {
		if _, err := queue.Depth(t.Context()); domain.CodeOf(err) != domain.CodeUnavailable {
			t.Errorf("read while the file is away: %v", err)
		}
		if err := queue.Enqueue(t.Context(), contract.NewBatch(2, contract.Events(1, 1)...)); domain.CodeOf(err) != domain.CodeUnavailable {
			t.Errorf("write while the file is away: %v", err)
		}
	}
	if err := os.Rename(away, file); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Minute)
	if depth, err := queue.Depth(t.Context()); err != nil || depth.Batches != 1 {
		t.Errorf("back again: %+v, %v", depth, err)
	}
	if err := db.QueueFile().Check(t.Context()); err != nil {
		t.Error(err)
	}
}
