package sqlite_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

func TestOpenMakesWhatIsMissing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "strange & name? 100%#")
	db := open(t, sqlite.Config{Dir: dir})
	if err := sqlite.NewQueue(db, sqlite.QueueConfig{}).Enqueue(t.Context(), contract.NewBatch(1)); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]fs.FileMode)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		seen[e.Name()] = info.Mode()
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others: %v", e.Name(), info.Mode())
		}
	}
	for _, name := range []string{"analytics.db", "analytics-queue.db"} {
		if _, ok := seen[name]; !ok {
			t.Errorf("made %v, no %s", seen, name)
		}
	}
}

func TestOpenRefusals(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, dir string) string
		want    []string
	}{
		{"a directory that cannot be made", func(*testing.T, string) string { return "/proc/analytics" }, []string{
			`the data directory "/proc/analytics" cannot be written`, "DATA_DIR",
		}},
		{"a directory that is a file", func(t *testing.T, dir string) string {
			return write(t, filepath.Join(dir, "file"), "")
		}, []string{"cannot be written: not a directory", "DATA_DIR"}},
		{"a directory in use", func(t *testing.T, dir string) string {
			open(t, sqlite.Config{Dir: dir})
			return dir
		}, []string{"in use by another process", "DATA_DIR"}},
		{"a file that is no database", func(t *testing.T, dir string) string {
			write(t, filepath.Join(dir, "analytics.db"), strings.Repeat("no database ", 1000))
			return dir
		}, []string{"analytics.db", "the database file is damaged"}},
		{"a queue that is no database", func(t *testing.T, dir string) string {
			write(t, filepath.Join(dir, "analytics-queue.db"), strings.Repeat("no database ", 1000))
			return dir
		}, []string{"analytics-queue.db", "the database file is damaged"}},
		{"a directory in the database's place", func(t *testing.T, dir string) string {
			if err := os.Mkdir(filepath.Join(dir, "analytics.db"), 0o700); err != nil {
				t.Fatal(err)
			}
			return dir
		}, []string{"cannot be written: is a directory"}},
		{"a newer schema", func(t *testing.T, dir string) string {
			db := open(t, sqlite.Config{Dir: dir})
			exec1(t, db.QueueFile(), `INSERT INTO schema_versions (version_id, is_applied) VALUES (9000, 1)`)
			closeDB(t, db)
			return dir
		}, []string{"analytics-queue.db", "schema version 9000", "knows only up to", "use a newer program"}},
		{"a newer schema of the store", func(t *testing.T, dir string) string {
			db := open(t, sqlite.Config{Dir: dir})
			exec1(t, db.StoreFile(), `INSERT INTO schema_versions (version_id, is_applied) VALUES (9000, 1)`)
			closeDB(t, db)
			return dir
		}, []string{"analytics.db", "schema version 9000", "knows only up to", "use a newer program"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := c.prepare(t, t.TempDir())
			db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
			if err == nil {
				closeDB(t, db)
				t.Fatal("opened")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q is no single sentence", err)
			}
		})
	}
}

// TestEarlierDatabaseIsRefused: the first step of the schema had the same number
// before the first release, and made other tables.
func TestEarlierDatabaseIsRefused(t *testing.T) {
	for name, mode := range map[string]string{"a database": "wal", "a backup": "delete"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "analytics.db")
			err := sqlite.WithFile(path, func(ctx context.Context, exec func(context.Context, string) error) error {
				for _, statement := range []string{
					`PRAGMA journal_mode = ` + mode,
					`CREATE TABLE schema_versions (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL,
						is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now')))`,
					`INSERT INTO schema_versions (version_id, is_applied) VALUES (0, 1), (1, 1), (2, 1)`,
					`CREATE TABLE events (id INTEGER PRIMARY KEY, hour INTEGER NOT NULL) STRICT`,
					`CREATE TABLE hourly_aggregations (grain INTEGER NOT NULL, bucket INTEGER NOT NULL) STRICT`,
					`INSERT INTO events (hour) VALUES (3600)`,
				} {
					if err := exec(ctx, statement); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
			if err == nil {
				closeDB(t, db)
				t.Fatal("opened")
			}
			for _, want := range []string{path, "from before its first release", "move the file away", "DATA_DIR"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q is no single sentence", err)
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
				t.Errorf("the file is another one, %v", err)
			}
		})
	}
}

func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func exec1(t *testing.T, f *sqlite.File, statement string, args ...any) {
	t.Helper()
	if err := f.Exec(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

// holdDir names the directory that the process of TestKilled works in.
const holdDir = "ANALYTICS_TEST_HOLD_DIR"

// TestKilled works in a process of its own until it is killed, and looks at
// what that leaves behind.
func TestKilled(t *testing.T) {
	if dir := os.Getenv(holdDir); dir != "" {
		holdUntilKilled(t, dir)
	}
	dir := t.TempDir()
	worker := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
	worker.Env = append(os.Environ(), holdDir+"="+dir)
	output, err := worker.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil || line != "holding\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	if _, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir}); err == nil {
		t.Error("opened while another process is at work")
	}
	if err := worker.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = worker.Wait()

	db := open(t, sqlite.Config{Dir: dir})
	deliveries, err := sqlite.NewQueue(db, sqlite.QueueConfig{}).Receive(t.Context(), 10, 0)
	if err != nil || len(deliveries) != 2 || deliveries[0].Attempt != 2 || deliveries[1].Attempt != 1 {
		t.Errorf("received %+v, %v; want the one that was handed out, again, and the one that was not", deliveries, err)
	}
}

func holdUntilKilled(t *testing.T, dir string) {
	t.Helper()
	queue := sqlite.NewQueue(open(t, sqlite.Config{Dir: dir}), sqlite.QueueConfig{})
	for n := range 2 {
		if err := queue.Enqueue(t.Context(), contract.NewBatch(n, contract.Events(1, 3)...)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := queue.Receive(t.Context(), 1, 0); err != nil {
		t.Fatal(err)
	}
	fmt.Println("holding")
	select {}
}

func TestCommitThatFailsKeepsNothing(t *testing.T) {
	db := open(t, sqlite.Config{Dir: t.TempDir()})
	exec1(t, db.QueueFile(), `CREATE TABLE parents (id INTEGER PRIMARY KEY)`)
	exec1(t, db.QueueFile(), `CREATE TABLE children (parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)`)
	if err := db.QueueFile().Write(t.Context(), "orphan", `INSERT INTO children VALUES (1)`); err == nil {
		t.Error("the commit did not fail: this test tests nothing")
	}
	if n := count(t, db.QueueFile(), "children"); n != 0 {
		t.Errorf("%d rows stayed", n)
	}
	if err := db.QueueFile().Write(t.Context(), "family", `INSERT INTO children VALUES (1)`, `INSERT INTO parents VALUES (1)`); err != nil {
		t.Errorf("the next transaction fails: %v", err)
	}
	if n := count(t, db.QueueFile(), "children"); n != 1 {
		t.Errorf("%d rows stayed of one", n)
	}
}

// TestOnlySomeTransactionsAreNotSynced: what follows one of these waits for the disk.
func TestOnlySomeTransactionsAreNotSynced(t *testing.T) {
	db := open(t, sqlite.Config{Dir: t.TempDir()})
	queue := sqlite.NewQueue(db, sqlite.QueueConfig{})
	if err := queue.Enqueue(t.Context(), contract.NewBatch(1, contract.Events(1, 3)...)); err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"Receive":               func() error { _, err := queue.Receive(t.Context(), 10, 0); return err },
		"Acknowledge":           func() error { return queue.Acknowledge(t.Context(), "any") },
		"Acknowledge, given up": func() error { _ = queue.Acknowledge(cancelled, "any"); return nil },
		"Acknowledge, which fails": func() error {
			exec1(t, db.QueueFile(), `CREATE TRIGGER refusal BEFORE DELETE ON queue BEGIN SELECT raise(ABORT, 'refused'); END`)
			defer exec1(t, db.QueueFile(), `DROP TRIGGER refusal`)
			if err := queue.Acknowledge(t.Context(), contract.NewBatch(1).ID); err == nil {
				t.Error("the trigger refuses nothing")
			}
			return nil
		},
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if level, err := db.QueueFile().Synchronous(t.Context()); err != nil || level != 2 {
			t.Errorf("after %s the level is %d, %v; want 2, which is full", name, level, err)
		}
	}
}

func count(t *testing.T, f *sqlite.File, table string) int {
	t.Helper()
	n, err := f.Count(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSlowQueriesAreLoggedByName(t *testing.T) {
	for _, c := range []struct {
		threshold time.Duration
		want      bool
	}{{time.Nanosecond, true}, {0, false}} {
		var log bytes.Buffer
		db := open(t, sqlite.Config{Dir: t.TempDir(), SlowQuery: c.threshold, Log: slog.New(slog.NewTextHandler(&log, nil))})
		event := contract.Events(1, 1)[0]
		event.Version = "canary-4711"
		batch := contract.NewBatch(1, event)
		if err := sqlite.NewQueue(db, sqlite.QueueConfig{}).Enqueue(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), `msg="slow query" query=queue.enqueue duration_ms=`); got != c.want {
			t.Errorf("threshold %v: logged %q", c.threshold, log.String())
		}
		if strings.Contains(log.String(), event.Version) || strings.Contains(log.String(), string(batch.ID)) {
			t.Errorf("logged arguments: %q", log.String())
		}
	}
}

func TestErrorsHaveCodes(t *testing.T) {
	dir := t.TempDir()
	db := open(t, sqlite.Config{Dir: dir})
	queue := sqlite.NewQueue(db, sqlite.QueueConfig{})
	enqueue := func() error { return queue.Enqueue(t.Context(), contract.NewBatch(7, contract.Events(1, 1)...)) }

	exec1(t, db.QueueFile(), `PRAGMA query_only = on`)
	checkCode(t, "read-only", enqueue(), domain.CodeUnavailable)
	exec1(t, db.QueueFile(), `PRAGMA query_only = off`)

	other, err := sql.Open("sqlite", filepath.Join(dir, "analytics-queue.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	exec1(t, db.QueueFile(), `PRAGMA busy_timeout = 1`)
	tx, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), `UPDATE heartbeat SET at = 1`); err != nil {
		t.Fatal(err)
	}
	checkCode(t, "busy", enqueue(), domain.CodeUnavailable)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}

	checkCode(t, "fine", enqueue(), "")
	checkCode(t, "a batch that is there", enqueue(), domain.CodeInternal)
	checkCode(t, "a table is missing", db.QueueFile().Write(t.Context(), "missing", `DELETE FROM missing`), domain.CodeUnavailable)
	checkCode(t, "a column is missing", db.QueueFile().Write(t.Context(), "missing", `UPDATE heartbeat SET missing = 1`), domain.CodeUnavailable)
	checkCode(t, "a column is missing", db.QueueFile().Write(t.Context(), "missing", `INSERT INTO heartbeat (missing) VALUES (1)`), domain.CodeUnavailable)
	checkCode(t, "a defect", db.QueueFile().Write(t.Context(), "defect", `INSERT INTO nothing`), domain.CodeInternal)
	checkCode(t, "too big", db.QueueFile().Write(t.Context(), "big", `UPDATE heartbeat SET filler = zeroblob(2000000000)`), domain.CodePoison)
}

func checkCode(t *testing.T, what string, err error, want domain.Code) {
	t.Helper()
	if got := domain.CodeOf(err); got != want {
		t.Errorf("%s: code %q of %v, want %q", what, got, err, want)
	}
}

func TestDamagedFileIsUnavailable(t *testing.T) {
	dir := t.TempDir()
	db := open(t, sqlite.Config{Dir: dir})
	batches := contract.Batches(1, 100, contract.Events(1, 5_000))
	if _, err := sqlite.NewStore(db).Store(t.Context(), batches); err != nil {
		t.Fatal(err)
	}
	closeDB(t, db)
	path := filepath.Join(dir, "analytics.db")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The first pages hold the schema, which is read on opening.
	copy(data[len(data)/4:], bytes.Repeat([]byte{0xff}, len(data)/2))
	write(t, path, string(data))

	db = open(t, sqlite.Config{Dir: dir})
	_, err = sqlite.NewStore(db).Store(t.Context(), contract.Batches(100, 100, contract.Events(2, 1_000)))
	checkCode(t, "damaged", err, domain.CodeUnavailable)
	if want := "the database file is damaged"; domain.MessageOf(err) != want {
		t.Errorf("says %q, want %q", domain.MessageOf(err), want)
	}
}
