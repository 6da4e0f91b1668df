package health_test

import (
	"context"
	"database/sql"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	redigo "github.com/gomodule/redigo/redis"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/system"
	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// state is one in which a post may not be counted.
type state struct {
	name string
	// begin brings it about and returns what ends it.
	begin func(t *testing.T) (end func())
	// post is what a client gets; 0 where that depends on the moment.
	post int
	// api and worker name a check that fails there; empty for none.
	api, worker string
}

const (
	accepted    = http.StatusOK
	unavailable = http.StatusServiceUnavailable
)

// checkStates goes through the states one after the other. Each begins and ends
// with a service in which everything works.
func checkStates(t *testing.T, states []state, api, worker *process) {
	t.Helper()
	for _, s := range states {
		t.Run(s.name, func(t *testing.T) {
			checkState(t, state{post: accepted}, api, worker)
			end := s.begin(t)
			ended := false
			defer func() {
				if !ended {
					end()
				}
			}()
			api.post(t) // which meets it before any check does
			checkState(t, s, api, worker)
			end()
			ended = true
			checkState(t, state{post: accepted}, api, worker)
		})
	}
}

func checkState(t *testing.T, s state, api, worker *process) {
	t.Helper()
	checkHealth(t, "the API", api, s.api)
	if worker != nil {
		checkHealth(t, "the worker", worker, s.worker)
	}
	if s.post != 0 {
		await(t, "the post's status", func() (bool, string) {
			status, text := api.post(t)
			return status == s.post, text
		})
	}
	want, condition := accepted, `"status":"healthy"`
	if s.api != "" {
		want, condition = unavailable, `"status":"down"`
	}
	await(t, "the statistics' health", func() (bool, string) {
		status, text := api.ask(t, http.MethodGet, "/v1/stats/health", "")
		return status == want && strings.Contains(text, condition), text
	})
	status, text := api.ask(t, http.MethodGet, "/v1/status", "")
	if status != accepted {
		t.Errorf("/v1/status answers %d: %s", status, text)
	}
	if s.api != "" && !slices.Contains(failing(t, text), s.api) {
		t.Errorf("/v1/status does not know that %q fails: %s", s.api, text)
	}
}

func checkHealth(t *testing.T, who string, p *process, check string) {
	t.Helper()
	await(t, "the health of "+who+" fails by "+check, func() (bool, string) {
		status, text := p.ask(t, http.MethodGet, "/v1/health", "")
		if check == "" {
			return status == accepted, text
		}
		return status == unavailable && slices.Contains(failing(t, text), check), text
	})
}

// TestServersThatDoNotCount is the table for PostgreSQL and Redis.
func TestServersThatDoNotCount(t *testing.T) {
	redis, postgres := servers.Redis(t), servers.Postgres(t, "fsync=off")
	admin := postgres.NewDatabase(t)
	environ := []string{"DATABASE_URL=" + admin, "REDIS_URL=" + redis.URL(), "MAX_QUEUE_SIZE=100"}
	room := newDisk()
	options := bootstrap.Options{Volumes: []ports.Volume{room}}
	worker := run(t, bootstrap.RoleWorker, options, environ...)
	// The API sees no disk: it learns from the worker.
	api := run(t, bootstrap.RoleAPI, bootstrap.Options{Volumes: []ports.Volume{newDisk()}}, environ...)

	do := func(t *testing.T, command string, args ...any) {
		t.Helper()
		c, err := redigo.DialURL(redis.URL())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Do(command, args...); err != nil {
			t.Fatalf("%s %v: %v", command, args, err)
		}
	}
	toRedis := func(begin, end []any) func(*testing.T) func() {
		return func(t *testing.T) func() {
			t.Helper()
			do(t, begin[0].(string), begin[1:]...)
			return func() { do(t, end[0].(string), end[1:]...) }
		}
	}
	toPostgres := func(begin, end string) func(*testing.T) func() {
		return func(t *testing.T) func() {
			t.Helper()
			postgres.Exec(t, admin, begin)
			return func() { postgres.Exec(t, admin, end) }
		}
	}
	locked := func(table string) func(*testing.T) func() {
		return func(t *testing.T) func() {
			t.Helper()
			db, err := sql.Open("postgres", admin)
			if err != nil {
				t.Fatal(err)
			}
			tx, err := db.BeginTx(context.WithoutCancel(t.Context()), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.ExecContext(t.Context(), `LOCK TABLE `+table+` IN ACCESS EXCLUSIVE MODE`); err != nil {
				t.Fatal(err)
			}
			return func() { _ = tx.Rollback(); _ = db.Close() }
		}
	}
	checkStates(t, []state{
		{"Redis without XADD", toRedis([]any{"ACL", "SETUSER", "default", "-xadd"}, []any{"ACL", "SETUSER", "default", "+xadd"}), unavailable, "queue", "queue"},
		{"Redis without EVALSHA", toRedis([]any{"ACL", "SETUSER", "default", "-evalsha"}, []any{"ACL", "SETUSER", "default", "+evalsha"}), unavailable, "queue", "queue"},
		{"Redis without its keys", toRedis([]any{"ACL", "SETUSER", "default", "resetkeys", "~other"}, []any{"ACL", "SETUSER", "default", "allkeys"}), unavailable, "queue", "queue"},
		{"Redis has forgotten its scripts", toRedis([]any{"SCRIPT", "FLUSH"}, []any{"PING"}), accepted, "", ""},
		{"Redis is full", toRedis([]any{"CONFIG", "SET", "maxmemory", "100"}, []any{"CONFIG", "SET", "maxmemory", "0"}), unavailable, "queue", "queue"},
		{"Redis cannot write", toRedis([]any{"CONFIG", "SET", "min-replicas-to-write", "1"}, []any{"CONFIG", "SET", "min-replicas-to-write", "0"}), unavailable, "queue", "queue"},
		{"Redis is a replica", toRedis([]any{"REPLICAOF", "127.0.0.1", servers.FreePort(t)}, []any{"REPLICAOF", "NO", "ONE"}), unavailable, "queue", "queue"},
		{"Redis hangs", func(*testing.T) func() { redis.Pause(); return redis.Resume }, unavailable, "queue", "queue"},
		{"Redis is away", func(t *testing.T) func() { t.Helper(); redis.Kill(); return func() { redis.Start(t) } }, unavailable, "queue", "queue"},
		{"PostgreSQL's ids are locked", locked("stored_batches"), accepted, "store", "store"},
		{"PostgreSQL's events are locked", locked("events"), accepted, "store", "store"},
		{"PostgreSQL's aggregates are locked", locked("packed_aggregates"), accepted, "store", "store"},
		{"PostgreSQL lacks a table", toPostgres(`ALTER TABLE dimension_values RENAME TO elsewhere`, `ALTER TABLE elsewhere RENAME TO dimension_values`), accepted, "store", "store"},
		{"PostgreSQL lacks a column", toPostgres(`ALTER TABLE aggregation_journal RENAME events TO elsewhere`, `ALTER TABLE aggregation_journal RENAME elsewhere TO events`), accepted, "store", "store"},
		{"PostgreSQL's disk is full", func(t *testing.T) func() {
			t.Helper()
			postgres.Exec(t, admin, `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$`,
				`CREATE TRIGGER full_disk BEFORE INSERT ON stored_batches FOR EACH ROW EXECUTE FUNCTION full_disk()`)
			return func() { postgres.Exec(t, admin, `DROP FUNCTION full_disk CASCADE`) }
		}, unavailable, "backlog", "worker"},
		{"the worker's disk is below the reserve", func(*testing.T) func() {
			room.free.Store(1)
			return func() { room.free.Store(gigabyte) }
		}, unavailable, "backlog", "disk"},
		{"PostgreSQL hangs", func(*testing.T) func() { postgres.Pause(); return postgres.Resume }, accepted, "store", "store"},
		{"PostgreSQL is away", func(t *testing.T) func() { t.Helper(); postgres.Kill(); return func() { postgres.Start(t) } }, accepted, "store", "store"},
	}, api, worker)

	worker.stop()
	checkHealth(t, "the API without a worker", api, "") // nothing waits
	api.post(t)
	checkState(t, state{post: accepted, api: "backlog"}, api, nil)
	for status := accepted; status == accepted; {
		status, _ = api.post(t)
	}
	checkState(t, state{post: unavailable, api: "backlog"}, api, nil)
	worker = run(t, bootstrap.RoleWorker, options, environ...)
	checkState(t, state{post: accepted}, api, worker)
}

// TestMergeThatStalls lets every merge fail. What is due then may wait for ten
// seconds.
func TestMergeThatStalls(t *testing.T) {
	options := bootstrap.Options{StallAfter: time.Second}
	t.Run("PostgreSQL", func(t *testing.T) {
		redis, postgres := servers.Redis(t), servers.Postgres(t, "fsync=off")
		admin := postgres.NewDatabase(t)
		environ := []string{"DATABASE_URL=" + admin, "REDIS_URL=" + redis.URL(), "MERGE_INTERVAL_SECONDS=1"}
		worker := run(t, bootstrap.RoleWorker, options, environ...)
		api := run(t, bootstrap.RoleAPI, options, environ...)
		checkStates(t, []state{{"merges fail", func(t *testing.T) func() {
			t.Helper()
			postgres.Exec(t, admin, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$`,
				`CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON packed_aggregates FOR EACH ROW EXECUTE FUNCTION refuse()`)
			return func() { postgres.Exec(t, admin, `DROP FUNCTION refuse CASCADE`) }
		}, accepted, "journal", "journal"}}, api, worker)
	})
	t.Run("SQLite", func(t *testing.T) {
		dir := t.TempDir()
		service := run(t, bootstrap.RoleServe, options, "DATA_DIR="+dir, "MERGE_INTERVAL_SECONDS=1")
		checkStates(t, []state{{"merges fail", func(t *testing.T) func() {
			t.Helper()
			do := func(statement string) {
				db, err := sql.Open("sqlite", filepath.Join(dir, "analytics.db")+"?_pragma=busy_timeout(10000)")
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				if _, err := db.ExecContext(context.WithoutCancel(t.Context()), statement); err != nil {
					t.Errorf("%s: %v", statement, err)
				}
			}
			do(`CREATE TRIGGER refuse BEFORE INSERT ON packed_aggregates BEGIN SELECT RAISE(ABORT, 'no'); END`)
			return func() { do(`DROP TRIGGER refuse`) }
		}, accepted, "journal", ""}}, service, nil)
	})
}

// setClock is the machine's clock, and goes wrong when a test says so.
type setClock struct {
	system.Clock

	ahead atomic.Int64
}

func (c *setClock) Now() time.Time { return c.Clock.Now().Add(time.Duration(c.ahead.Load())) }

// TestClockThatIsWrong has events judged by PostgreSQL's clock and says so.
func TestClockThatIsWrong(t *testing.T) {
	redis, postgres := servers.Redis(t), servers.Postgres(t, "fsync=off")
	environ := []string{"DATABASE_URL=" + postgres.NewDatabase(t), "REDIS_URL=" + redis.URL()}
	clock := new(setClock)
	clock.ahead.Store(int64(24 * time.Hour))
	api := run(t, bootstrap.RoleAPI, bootstrap.Options{Clock: clock}, environ...)
	worker := run(t, bootstrap.RoleWorker, bootstrap.Options{Clock: clock}, environ...)
	checkState(t, state{post: accepted, api: "clock", worker: "clock"}, api, worker)
}

// TestEmbeddedStoreThatDoesNotCount is the table for SQLite.
func TestEmbeddedStoreThatDoesNotCount(t *testing.T) {
	parent := t.TempDir()
	if err := syscall.Mount("tmpfs", parent, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("no right to mount a file system: %v", err)
	}
	dir, elsewhere := filepath.Join(parent, "data"), filepath.Join(parent, "elsewhere")
	// Registered before the service is, so that it ends first.
	t.Cleanup(func() {
		if err := syscall.Unmount(parent, 0); err != nil {
			t.Error(err)
		}
	})
	room := newDisk()
	service := run(t, bootstrap.RoleServe, bootstrap.Options{Volumes: []ports.Volume{room}}, "DATA_DIR="+dir)

	// within runs a statement on a file, and holds its transaction until the end.
	within := func(file, begin, end string) func(*testing.T) func() {
		return func(t *testing.T) func() {
			t.Helper()
			db, err := sql.Open("sqlite", filepath.Join(dir, file)+"?_pragma=busy_timeout(10000)")
			if err != nil {
				t.Fatal(err)
			}
			db.SetMaxOpenConns(1)
			do := func(statement string) {
				if _, err := db.ExecContext(context.WithoutCancel(t.Context()), statement); err != nil {
					t.Errorf("%s: %v", statement, err)
				}
			}
			do(begin)
			return func() { do(end); _ = db.Close() }
		}
	}
	rename := func(from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	checkStates(t, []state{
		{"the directory is gone", func(*testing.T) func() {
			rename(dir, elsewhere)
			return func() { rename(elsewhere, dir) }
		}, unavailable, "store", ""},
		{"the file of the store is gone", func(*testing.T) func() {
			rename(filepath.Join(dir, "analytics.db"), elsewhere)
			return func() { rename(elsewhere, filepath.Join(dir, "analytics.db")) }
		}, accepted, "store", ""},
		{"the file of the queue is gone", func(*testing.T) func() {
			rename(filepath.Join(dir, "analytics-queue.db"), elsewhere)
			return func() { rename(elsewhere, filepath.Join(dir, "analytics-queue.db")) }
		}, unavailable, "queue", ""},
		{"the disk is below the reserve", func(*testing.T) func() {
			room.free.Store(1)
			return func() { room.free.Store(gigabyte) }
		}, unavailable, "disk", ""},
		{"the disk is full", func(t *testing.T) func() {
			t.Helper()
			filler := filepath.Join(parent, "filler")
			if err := fill(filler); err != nil {
				t.Fatal(err)
			}
			// What the log has room for is accepted until then.
			for status := accepted; status == accepted; {
				status, _ = service.post(t)
			}
			return func() {
				if err := os.Remove(filler); err != nil {
					t.Error(err)
				}
			}
		}, unavailable, "queue", ""},
		{
			"a table of the store is missing",
			within("analytics.db", `ALTER TABLE events RENAME TO elsewhere`, `ALTER TABLE elsewhere RENAME TO events`), accepted, "store", "",
		},
		{
			"a table of the queue is missing",
			within("analytics-queue.db", `ALTER TABLE queue RENAME TO elsewhere`, `ALTER TABLE elsewhere RENAME TO queue`), unavailable, "queue", "",
		},
		{"another program writes to the store", within("analytics.db", `BEGIN IMMEDIATE`, `ROLLBACK`), accepted, "store", ""},
		{"another program writes to the queue", within("analytics-queue.db", `BEGIN IMMEDIATE`, `ROLLBACK`), unavailable, "queue", ""},
	}, service, nil)
}

// fill writes a file until the disk is full to the last byte.
func fill(name string) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer file.Close()
	for size := 64 << 10; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = file.Write(make([]byte, size))
		}
	}
	return nil
}
