package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
	"github.com/weather-mcp/weather-mcp-analytics/test/web"
)

var installations atomic.Int64

// installation returns the configuration of an empty database and queue on
// servers that other tests use too.
func installation(t *testing.T) []string {
	t.Helper()
	return []string{
		"DATABASE_URL=" + servers.SharedPostgres(t).NewDatabase(t),
		"REDIS_URL=" + servers.SharedRedis(t).URL(),
		"QUEUE_KEY=test:" + strconv.FormatInt(installations.Add(1), 10),
		"WORKER_POLL_INTERVAL_MS=50",
	}
}

// post sends two calls.
func post(t *testing.T, address string) {
	t.Helper()
	body := batch(event("get_forecast"), event("get_alerts"))
	if status, answer := web.Ask(t, http.MethodPost, "http://"+address+"/v1/events", body); status != http.StatusOK {
		t.Fatalf("status %d: %s", status, answer)
	}
}

func calls(t *testing.T, address string) int {
	t.Helper()
	var all struct {
		Overview struct {
			Summary struct {
				TotalCalls int `json:"total_calls"`
			}
		}
	}
	status, answer := web.Ask(t, http.MethodGet, "http://"+address+"/v1/stats/all?period=24h", "")
	if err := json.Unmarshal([]byte(answer), &all); err != nil || status != http.StatusOK {
		t.Fatalf("status %d: %s", status, answer)
	}
	return all.Overview.Summary.TotalCalls
}

// awaitCalls waits until the API counts that many calls.
func awaitCalls(t *testing.T, address string, want int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); calls(t, address) != want; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d calls are counted, want %d", calls(t, address), want)
		}
	}
}

func end(t *testing.T, p *process, signal os.Signal) {
	t.Helper()
	p.signal(t, signal)
	if err := p.wait(t); err != nil {
		t.Errorf("ended with %v:\n%s", err, &p.log)
	}
}

func TestRolesShareTheWork(t *testing.T) {
	environ := installation(t)
	api, other := startProcess(t, environ, "api"), startProcess(t, environ, "api")
	address := api.address(t)
	post(t, address)
	post(t, other.address(t))
	if got := calls(t, address); got != 0 {
		t.Errorf("%d calls are counted without a worker", got)
	}

	health := servers.FreePort(t)
	first := startProcess(t, append(environ, "WORKER_HEALTH_PORT="+strconv.Itoa(health)), "worker")
	checkWorkerHealth(t, first.address(t))
	awaitCalls(t, address, 4)

	second := startProcess(t, environ, "worker")
	second.await(t, "msg=ready address=none")
	end(t, first, syscall.SIGTERM)
	post(t, address)
	awaitCalls(t, other.address(t), 6)

	end(t, second, os.Interrupt)
	post(t, address)
	end(t, api, syscall.SIGTERM)
	third := startProcess(t, environ, "worker")
	awaitCalls(t, other.address(t), 8)
	end(t, other, syscall.SIGTERM)
	end(t, third, syscall.SIGTERM)
}

func checkWorkerHealth(t *testing.T, address string) {
	t.Helper()
	status, answer := web.Ask(t, http.MethodGet, "http://"+address+"/v1/health", "")
	if status != http.StatusOK || !strings.Contains(answer, `"name":"store"`) || !strings.Contains(answer, `"name":"queue"`) {
		t.Errorf("health is %d: %s", status, answer)
	}
	if status, answer := web.Ask(t, http.MethodGet, "http://"+address+"/v1/status", ""); status != http.StatusOK || !strings.Contains(answer, `"store":"postgresql"`) {
		t.Errorf("status is %d: %s", status, answer)
	}
	if status, _ := web.Ask(t, http.MethodPost, "http://"+address+"/v1/events", batch(event("get_forecast"))); status != http.StatusNotFound {
		t.Errorf("a worker answers a batch with %d", status)
	}
}

// inProcess runs the command in this process and returns where it listens and
// what ends it in order.
func inProcess(t *testing.T, environ []string, args ...string) (address string, stop func()) {
	t.Helper()
	var stderr bytes.Buffer
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, ended := make(chan net.Addr, 1), make(chan int, 1)
	go func() {
		ended <- program{
			stdout: io.Discard, stderr: &stderr, dotenv: filepath.Join(t.TempDir(), ".env"),
			environ: append([]string{"PORT=0", "BIND_ADDRESS=127.0.0.1", "CACHE_TTL_SECONDS=0"}, environ...),
			ready:   func(a net.Addr) { ready <- a },
		}.run(ctx, args)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if code := <-ended; code != exitOK {
			t.Errorf("exit code %d: %s", code, &stderr)
		}
	})
	t.Cleanup(stop)
	select {
	case a := <-ready:
		return a.String(), stop
	case code := <-ended:
		ended <- code
		t.Fatalf("exit code %d: %s", code, &stderr)
		return "", nil
	}
}

func TestServeOnServers(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	// A slow machine asks often until the calls are counted, which is no matter of limits.
	environ := append(installation(t), "DATA_DIR="+data, "RATE_LIMIT_PER_MINUTE=0")
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent()) // the servers stay
	for restarts := range 2 {
		address, stop := inProcess(t, environ, "serve")
		post(t, address)
		awaitCalls(t, address, 2*(restarts+1))
		if _, answer := web.Ask(t, http.MethodGet, "http://"+address+"/v1/status", ""); !strings.Contains(answer, `"store":"postgresql"`) {
			t.Errorf("status is %s", answer)
		}
		stop()
	}
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Errorf("something is stored beside the servers: %v", err)
	}
}

func TestServersThatComeLater(t *testing.T) {
	postgres, queue := servers.Postgres(t, "fsync=off"), servers.Redis(t, "appendonly yes")
	environ := []string{"DATABASE_URL=" + postgres.NewDatabase(t), "REDIS_URL=" + queue.URL()}
	t.Run("PostgreSQL", func(t *testing.T) {
		postgres.Kill()
		p := startProcess(t, environ, "serve")
		p.await(t, "waiting for PostgreSQL")
		postgres.Start(t)
		post(t, p.address(t))
		awaitCalls(t, p.address(t), 2)
	})
	t.Run("Redis", func(t *testing.T) {
		queue.Kill()
		p := startProcess(t, environ, "worker")
		p.await(t, "waiting for Redis")
		queue.Start(t)
		p.await(t, "msg=ready")
	})
	t.Run("never", func(t *testing.T) {
		postgres.Kill()
		for _, role := range []string{"api", "worker", "serve"} {
			p := startProcess(t, environ, role)
			p.await(t, "waiting for PostgreSQL")
			end(t, p, syscall.SIGTERM)
			if log := p.log.String(); strings.Contains(log, "private") || strings.Contains(log, "analytics: ") {
				t.Errorf("%s said\n%s", role, log)
			}
		}
		postgres.Start(t)
	})
}

func TestServersThatCannotBeUsed(t *testing.T) {
	postgres := servers.SharedPostgres(t)
	good := installation(t)
	database := strings.TrimPrefix(good[0], "DATABASE_URL=")
	locked := servers.Redis(t, "requirepass hunter2")
	primary := servers.SharedRedis(t)
	_, port, _ := strings.Cut(primary.Address(), ":")
	replica := servers.Redis(t, "replicaof 127.0.0.1 "+port)
	newer := postgres.NewDatabase(t)
	postgres.Exec(t, newer, `CREATE TABLE schema_versions (id serial PRIMARY KEY, version_id bigint NOT NULL,
		is_applied boolean NOT NULL, tstamp timestamp NOT NULL DEFAULT now())`,
		`INSERT INTO schema_versions (version_id, is_applied) VALUES (0, true), (9000, true)`)
	tests := map[string]struct {
		environ []string
		says    string
	}{
		"wrong password":           {[]string{"DATABASE_URL=" + strings.Replace(database, "private", "hunter2", 1)}, "correct user and password"},
		"no such database":         {[]string{"DATABASE_URL=" + postgres.URL("hunter3")}, "does not exist"},
		"no TLS":                   {[]string{"DATABASE_URL=" + strings.Replace(database, "disable", "require", 1)}, "set sslmode=disable in DATABASE_URL"},
		"schema of a newer one":    {[]string{"DATABASE_URL=" + newer}, "schema version 9000"},
		"schema not made":          {[]string{"MIGRATE_ON_START=false"}, "run analytics migrate up"},
		"Redis wants a password":   {[]string{"REDIS_URL=redis://" + locked.Address()}, "Redis wants a password"},
		"Redis, wrong password":    {[]string{"REDIS_URL=redis://:hunter3@" + locked.Address()}, "correct REDIS_URL"},
		"Redis is a replica":       {[]string{"REDIS_URL=" + replica.URL()}, "replica"},
		"the queue's key is taken": {[]string{"QUEUE_KEY=taken"}, "choose another QUEUE_KEY"},
	}
	set(t, primary, "taken")
	for name, test := range tests {
		for _, role := range []string{"api", "worker"} {
			t.Run(name+", "+role, func(t *testing.T) {
				got := try(t, "", append(append([]string{"PORT=0"}, good...), test.environ...), role)
				told := strings.Split(strings.TrimSpace(got.stderr), "\n")
				last := told[len(told)-1]
				if got.code != 1 || !strings.HasPrefix(last, "analytics: ") || !strings.Contains(last, test.says) {
					t.Errorf("result is %+v", got)
				}
				if strings.Contains(got.stderr, "hunter2") || strings.Contains(got.stderr, "private") || strings.Contains(got.stderr, "waiting for") {
					t.Errorf("a secret is told, or what never comes is waited for: %s", got.stderr)
				}
			})
		}
	}
}

func TestStandbyIsRefused(t *testing.T) {
	postgres := servers.Postgres(t, "fsync=off")
	environ := append(installation(t), "PORT=0", "DATABASE_URL="+postgres.NewDatabase(t))
	if got := try(t, "", environ, "migrate", "up"); got.code != 0 {
		t.Fatalf("migrate up: %+v", got)
	}
	postgres.Exec(t, postgres.URL("postgres"), `DO $$ BEGIN
		EXECUTE format('COPY (SELECT 1) TO %L', current_setting('data_directory') || '/standby.signal');
	END $$`)
	postgres.Restart(t)
	for _, line := range []string{"serve", "api", "worker", "rebuild --from 2026-11-01 --to 2026-11-02"} {
		got := try(t, "", environ, strings.Fields(line)...)
		if got.code != 1 || !strings.Contains(got.stderr, "name the primary in DATABASE_URL") {
			t.Errorf("%s: %+v", line, got)
		}
	}
	if got := try(t, "", environ, "export"); got.code != 0 || got.stdout != callColumns || got.stderr != "" {
		t.Errorf("export, which only reads: %+v", got)
	}
	postgres.Kill() // a database cannot be dropped from it
}

// set gives a key a value that is no queue.
func set(t *testing.T, server *servers.RedisServer, key string) {
	t.Helper()
	_, port, _ := strings.Cut(server.Address(), ":")
	if out, err := exec.CommandContext(t.Context(), "redis-cli", "-p", port, "set", key, "1").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestMigrateTheDatabase(t *testing.T) {
	environ := installation(t)
	migrate := func(verb ...string) result { return try(t, "", environ, append([]string{"migrate"}, verb...)...) }
	if got := migrate("status"); got.code != 0 || !strings.Contains(got.stdout, "not yet") {
		t.Errorf("status before: %+v", got)
	}
	if got := migrate("down"); got.code != 1 || !strings.Contains(got.stderr, "no step to take back") {
		t.Errorf("down before: %+v", got)
	}
	got := try(t, "", environ, "rebuild", "--from=2026-11-01", "--to=2026-11-02")
	if got.code != 1 || !strings.Contains(got.stderr, "run analytics migrate up") {
		t.Errorf("rebuild before: %+v", got)
	}
	for _, line := range []string{"up", "status", "redo --yes", "up"} {
		if got := migrate(strings.Fields(line)...); got.code != 0 || strings.Contains(got.stdout, "not yet") || !strings.Contains(got.stdout, ".sql  20") {
			t.Errorf("%s: %+v", line, got)
		}
	}
	p := startProcess(t, append(environ, "MIGRATE_ON_START=false"), "serve")
	p.address(t)
	end(t, p, syscall.SIGTERM)
	for got := migrate("down", "--yes"); ; got = migrate("down", "--yes") {
		if got.code != 0 {
			if !strings.Contains(got.stderr, "no step to take back") {
				t.Errorf("down: %+v", got)
			}
			break
		}
	}
	if got := migrate("status"); got.code != 0 || strings.Contains(got.stdout, ".sql  20") {
		t.Errorf("status after: %+v", got)
	}
}

// What has data in it does not go unasked, and not from under servers.
func TestMigrateDownUnderServersIsRefused(t *testing.T) {
	environ := installation(t)
	migrate := func(verb ...string) result { return try(t, "", environ, append([]string{"migrate"}, verb...)...) }
	kept := func() {
		t.Helper()
		if got := migrate("status"); got.code != 0 || strings.Contains(got.stdout, "not yet") {
			t.Errorf("the schema has changed: %+v", got)
		}
	}
	for _, role := range []string{"serve", "api", "worker"} {
		p := startProcess(t, environ, role)
		p.address(t)
		for _, line := range []string{"down", "down --yes", "redo --yes"} {
			got := migrate(strings.Fields(line)...)
			if got.code != 1 || !strings.Contains(got.stdout, "\ndimension_values ") || strings.Count(got.stderr, "\n") != 1 ||
				!strings.Contains(got.stderr, "nothing was changed: servers use this database: analytics "+role+" (connections: ") {
				t.Errorf("%s under %s: %+v", line, role, got)
			}
		}
		if role == "worker" {
			kept()
			if got := migrate("redo", "--yes", "--force"); got.code != 0 {
				t.Errorf("by force: %+v", got)
			}
		}
		end(t, p, syscall.SIGTERM)
	}
	got := migrate("down")
	if got.code != 1 || !strings.HasPrefix(got.stdout, "TO BE LOST WITH 0001_initial.sql ") || !strings.Contains(got.stderr, "then say --yes") {
		t.Errorf("down without consent: %+v", got)
	}
	kept()
}

func TestMigrateSaysWhatToDo(t *testing.T) {
	environ := installation(t)
	url := strings.TrimPrefix(environ[0], "DATABASE_URL=")
	server := servers.SharedPostgres(t)
	server.Exec(t, url, `CREATE ROLE onlooker LOGIN PASSWORD 'private'`)
	_, address, _ := strings.Cut(url, "@")
	for name, c := range map[string]struct{ url, want string }{
		"may not create": {"postgres://onlooker:private@" + address, "make the user of DATABASE_URL owner of the database"},
		"no schema":      {url + "&search_path=nowhere", "create the one that search_path names"},
	} {
		got := try(t, "", append(environ, "DATABASE_URL="+c.url), "migrate", "up")
		if got.code != 1 || !strings.Contains(got.stderr, c.want) || strings.Contains(got.stderr, "private") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := try(t, "", environ, "migrate", "up"); got.code != 0 {
		t.Fatalf("up: %+v", got)
	}
	server.Exec(t, url, `INSERT INTO schema_versions (version_id, is_applied) VALUES (9000, true)`)
	got := try(t, "", environ, "migrate", "status")
	if got.code != 1 || !strings.Contains(got.stdout, ".sql  20") || !strings.Contains(got.stderr, "schema version 9000") {
		t.Errorf("status of a newer schema: %+v", got)
	}
}

func TestNothingIsMadeUnasked(t *testing.T) {
	environ := append(installation(t), "MIGRATE_ON_START=false")
	for _, role := range []string{"serve", "api", "worker"} {
		if got := try(t, "", environ, role); got.code != 1 || !strings.Contains(got.stderr, "run analytics migrate up") {
			t.Errorf("%s: %+v", role, got)
		}
	}
	servers.SharedPostgres(t).Exec(t, strings.TrimPrefix(environ[0], "DATABASE_URL="), `DO $$ BEGIN
		IF EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace) THEN
			RAISE 'something was made';
		END IF;
	END $$`)
}

func TestDeadLettersInRedis(t *testing.T) {
	environ := installation(t)
	first, second := letterBatches()
	p := startProcess(t, environ, "api")
	address := p.address(t)
	buryInRedis(t, environ, first, second)

	got := try(t, "", environ, "deadletters", "list")
	if got.code != 0 || !strings.Contains(got.stdout, string(first.ID)) || !strings.Contains(got.stdout, string(second.ID)) {
		t.Errorf("list: %+v", got)
	}
	got = try(t, "", environ, "deadletters", "show", string(first.ID))
	if got.code != 0 || !strings.Contains(got.stdout, `"session_id":"0123456789abcdef"`) {
		t.Errorf("show: %+v", got)
	}
	got = try(t, "", environ, "deadletters", "show", "unknown")
	if got.code != 1 || !strings.Contains(got.stderr, "there is no dead letter of that id\n") || strings.Contains(got.stderr, "redigo") {
		t.Errorf("show: %+v", got)
	}
	if got = try(t, "", environ, "deadletters", "purge", string(second.ID)); got.code != 0 {
		t.Errorf("purge: %+v", got)
	}
	if got = try(t, "", environ, "deadletters", "replay", "--all"); got.code != 0 || got.stdout != string(first.ID)+": replayed\n" {
		t.Errorf("replay: %+v", got)
	}
	if status, answer := web.Ask(t, http.MethodGet, "http://"+address+"/v1/status", ""); status != http.StatusOK ||
		!strings.Contains(answer, `"dead_letters":0`) || !strings.Contains(answer, `"batches":1,"events":2`) {
		t.Errorf("status is %d: %s", status, answer)
	}
}

func buryInRedis(t *testing.T, environ []string, batches ...domain.Batch) {
	t.Helper()
	config := redis.Config{URL: strings.TrimPrefix(environ[1], "REDIS_URL="), Prefix: strings.TrimPrefix(environ[2], "QUEUE_KEY=")}
	pool, err := redis.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { must(t, pool.Close()) }()
	q := redis.NewQueue(pool, redis.QueueConfig{})
	for _, b := range batches {
		must(t, q.Enqueue(t.Context(), b))
		_, err := q.Receive(t.Context(), 1, time.Second)
		must(t, err)
		must(t, q.Bury(t.Context(), b.ID, "the store refused it"))
	}
}

func TestRebuildBesideARunningServer(t *testing.T) {
	environ := installation(t)
	p := startProcess(t, environ, "serve")
	address := p.address(t)
	post(t, address)
	awaitCalls(t, address, 2)
	today := time.Now().UTC()
	got := try(t, "", environ, "rebuild", "--from", today.AddDate(0, 0, -1).Format(time.DateOnly), "--to", today.AddDate(0, 0, 1).Format(time.DateOnly))
	if got.code != 0 || strings.Count(got.stdout, "\n") != 2 || !strings.Contains(got.stdout, today.Format(time.DateOnly)+": 2 events") {
		t.Errorf("result is %+v", got)
	}
	post(t, address)
	awaitCalls(t, address, 4)
}

// The role that exports may read and nothing else.
func TestExportReadsPostgreSQL(t *testing.T) {
	environ := installation(t)
	p := startProcess(t, environ, "serve")
	address := p.address(t)
	post(t, address)
	awaitCalls(t, address, 2)
	url := strings.TrimPrefix(environ[0], "DATABASE_URL=")
	onlooker := "exporter" + strconv.FormatInt(installations.Add(1), 10)
	servers.SharedPostgres(t).Exec(t, url, `CREATE ROLE `+onlooker+` LOGIN PASSWORD 'private'`,
		`GRANT SELECT ON ALL TABLES IN SCHEMA public TO `+onlooker)
	_, host, _ := strings.Cut(url, "@")
	// A busy machine takes long, and would say so.
	reading := append(environ, "DATABASE_URL=postgres://"+onlooker+":private@"+host, "SLOW_QUERY_MS=60000")
	today := time.Now().UTC().Truncate(day)
	for line, want := range map[string]string{
		"export":                   "Z,get_alerts,1.23.0,,,1,0,0,0,0,0,0,0,0,,,,,,0\n",
		"export --resolution=hour": "Z,get_forecast,1.23.0,,,1,0,0,0,0,0,0,0,0,,,,,,0\n",
		"export --what=errors":     failureColumns,
		"export --to " + today.AddDate(0, 0, -1).Format(time.DateOnly): callColumns,
	} {
		got := try(t, "", reading, strings.Fields(line)...)
		if got.code != 0 || !strings.Contains(got.stdout, want) || got.stderr != "" {
			t.Errorf("%s: %+v, want %s", line, got, want)
		}
	}
	for _, c := range []struct{ statement, want string }{
		{`UPDATE aggregation_journal SET payload = '\x00'; UPDATE packed_aggregates SET counts = '\x00'`, "run analytics rebuild for that day"},
		{`DELETE FROM schema_versions WHERE version_id > 0`, "run analytics migrate up"},
	} {
		servers.SharedPostgres(t).Exec(t, url, c.statement)
		if got := try(t, "", reading, "export"); got.code != 1 || !strings.Contains(got.stderr, c.want) || strings.Contains(got.stderr, "private") {
			t.Errorf("%s: %+v", c.statement, got)
		}
	}
}

// What one API has computed another gives again.
func TestAPIsShareAnswers(t *testing.T) {
	environ := append(installation(t), "CACHE_TTL_SECONDS=300")
	var answers, uses []string
	for range 2 {
		address := startProcess(t, environ, "api").address(t)
		for _, path := range []string{"/v1/stats/all", "/v1/status"} {
			status, answer := web.Ask(t, http.MethodGet, "http://"+address+path, "")
			if status != http.StatusOK {
				t.Fatalf("GET %s: %d %s", path, status, answer)
			}
			answers = append(answers, answer)
		}
		_, use, _ := strings.Cut(answers[len(answers)-1], `"cache":`)
		uses = append(uses, use)
	}
	if answers[0] != answers[2] {
		t.Errorf("answers are\n%s\n%s", answers[0], answers[2])
	}
	if !strings.Contains(uses[0], `"misses":1,`) || !strings.Contains(uses[0], `"computations":1,`) ||
		!strings.Contains(uses[1], `"hits":1,`) || !strings.Contains(uses[1], `"computations":0,`) {
		t.Errorf("the cache was used\n%s\n%s", uses[0], uses[1])
	}
}
