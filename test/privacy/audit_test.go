// Package privacy_test audits the promise that nothing about a person is kept:
// it runs the real program with real servers, sends canaries in every place that
// a client can fill, and searches everything that was written for them.
package privacy_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/httpapi"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/system"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/program"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

func TestMain(m *testing.M) { servers.Main(m) }

// patience is how long anything may take.
const patience = 30 * time.Second

// station is one place where the program runs, through all its lives.
type station struct {
	role, dir string
	env       []string
	lives     []*program.Process
	address   string
}

func newStation(t *testing.T, role string, env ...string) *station {
	t.Helper()
	dir := t.TempDir()
	return &station{role: role, dir: dir, env: append([]string{
		"LOG_LEVEL=debug", "SLOW_QUERY_MS=1", "CACHE_TTL_SECONDS=1", "TMPDIR=" + dir, "DATA_DIR=" + dir, "GOTRACEBACK=all",
	}, env...)}
}

func (s *station) start(t *testing.T) {
	t.Helper()
	process := program.Launch(t, s.role, s.dir, s.env...)
	s.lives = append(s.lives, process)
	s.address = process.Await(t)
}

func (s *station) process() *program.Process { return s.lives[len(s.lives)-1] }

// kill kills the program, or has it tell what it was doing at its end, and
// starts it again.
func (s *station) kill(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := s.process().Signal(signal); err != nil {
		t.Fatal(err)
	}
	<-s.process().Exited
	s.start(t)
}

// search searches all that the program wrote, and the folder.
func (s *station) search(t *testing.T, in *search) {
	t.Helper()
	for _, life := range s.lives {
		in.in("log of "+s.role, []byte(life.Log.String()))
		in.in("output of "+s.role, []byte(life.Output.String()))
	}
	if entries, err := os.ReadDir(s.dir); err != nil || len(entries) > 0 {
		in.inFiles(t, s.dir, in.at(func(string) string { return "files of " + s.role }))
	}
}

// log is what was logged in all lives.
func (s *station) log() string {
	var all strings.Builder
	for _, life := range s.lives {
		all.WriteString(life.Log.String())
	}
	return all.String()
}

// fleet is what an operator runs: APIs that believe a proxy or not, one of them
// with strict limits, a worker, PostgreSQL and Redis.
type fleet struct {
	postgres *servers.PostgresServer
	redis    *servers.RedisServer
	database string
	// data is the folder of PostgreSQL, its log included.
	data                            string
	open, proxied, strict, worker   *station
	backups, dump, letters, slowlog string
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{
		postgres: servers.Postgres(t, "fsync=off", "log_statement=all", "log_min_duration_statement=0",
			"log_parameter_max_length_on_error=-1", "log_connections=on", "log_disconnections=on", "log_autovacuum_min_duration=0"),
		redis: servers.Redis(t, "appendonly yes", "appendfsync everysec", "save 1 1", "rdbcompression no", "loglevel debug",
			"slowlog-log-slower-than 0", "slowlog-max-len 100000"),
		backups: t.TempDir(),
	}
	f.database = f.postgres.NewDatabase(t)
	f.data = filepath.Dir(f.ask(t, "SHOW data_directory"))
	wide := []string{
		"DATABASE_URL=" + f.database, "REDIS_URL=" + f.redis.URL(),
		"RATE_LIMIT_PER_MINUTE=1000000", "RATE_LIMIT_BURST=100000", "RATE_LIMIT_EVENTS_PER_MINUTE=1000000",
	}
	narrow := append(wide[:2:2], "RATE_LIMIT_PER_MINUTE=20", "RATE_LIMIT_BURST=5", "TRUSTED_PROXIES=127.0.0.0/8")
	f.open = newStation(t, "api", wide...)
	f.proxied = newStation(t, "api", append(wide, "TRUSTED_PROXIES=127.0.0.0/8")...)
	f.strict = newStation(t, "api", narrow...)
	f.worker = newStation(t, "worker", append(wide[:2:2], "WORKER_POLL_INTERVAL_MS=50")...)
	for _, s := range f.stations() {
		s.start(t)
	}
	return f
}

func (f *fleet) stations() []*station { return []*station{f.open, f.proxied, f.strict, f.worker} }

// ask asks PostgreSQL for one text.
func (f *fleet) ask(t *testing.T, query string, args ...any) (answer string) {
	t.Helper()
	db, err := sql.Open("postgres", f.database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return answer
}

// status is what an API tells of the whole.
type status struct {
	Queue       struct{ Batches, Events int }
	DeadLetters int `json:"dead_letters"`
}

func (s *station) status(t *testing.T) (answer status) {
	t.Helper()
	client := clientFrom("127.0.0.1")
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.address+"/v1/status", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return status{Queue: struct{ Batches, Events int }{-1, -1}}
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// settle waits until all that was accepted is stored or buried.
func (s *station) settle(t *testing.T) {
	t.Helper()
	await(t, "the queue is empty", func() bool { return s.status(t).Queue.Events == 0 })
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for tick := time.Tick(20 * time.Millisecond); !done(); <-tick {
		if time.Now().After(deadline) {
			t.Fatalf("not after %v: %s", patience, what)
		}
	}
}

// TestProductionKeepsNothing runs the service as operators do, through refusals,
// floods, outages, crashes, dead letters and a backup, and searches every byte
// that was written.
func TestProductionKeepsNothing(t *testing.T) {
	t.Parallel()
	c, f := newClients(t), newFleet(t)
	f.poison(t, c)
	c.salvo(t, f.open.address)
	c.salvo(t, f.proxied.address)
	c.flood(t, f.strict.address)
	f.open.settle(t)
	f.backUp(t, "backup")
	f.breakDown(t, c)
	f.crash(t, c)
	c.checkStatuses(t, http.StatusOK, http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong, http.StatusUnsupportedMediaType, http.StatusTooManyRequests,
		http.StatusRequestHeaderFieldsTooLarge, http.StatusServiceUnavailable)
	f.collect(t, c)
	f.checkLogged(t)

	p := newPlants(t)
	f.plant(t, p, c)
	p.check(t, c.all(), func(in *search) { f.search(t, in, c) })
}

// poison has PostgreSQL refuse a batch, so that it becomes a dead letter.
func (f *fleet) poison(t *testing.T, c *clients) {
	t.Helper()
	f.postgres.Exec(t, f.database, `ALTER TABLE events ADD CONSTRAINT no_poison CHECK (version <> 'poison')`)
	client := clientFrom(c.source("source of a dead letter"))
	defer client.CloseIdleConnections()
	m := c.events([]any{with(c.event(), "version", "poison"), with(c.event(), "cell_phone", c.phone("refused beside a dead letter"))})
	m.header = c.headers()
	c.send(t.Context(), client, f.proxied.address, m)
	await(t, "a batch is buried", func() bool { return f.open.status(t).DeadLetters == 1 })
}

// backUp does what operators do every night.
func (f *fleet) backUp(t *testing.T, name string) {
	t.Helper()
	f.askRedis(t, "SAVE")
	if err := os.CopyFS(filepath.Join(f.backups, name, "redis"), os.DirFS(f.redis.Dir())); err != nil {
		t.Fatal(err)
	}
	dump := f.postgres.Dump(t, f.database)
	if err := os.WriteFile(filepath.Join(f.backups, name, "dump.sql"), []byte(dump), 0o600); err != nil {
		t.Fatal(err)
	}
}

// breakDown has clients ask while PostgreSQL and Redis are away.
func (f *fleet) breakDown(t *testing.T, c *clients) {
	t.Helper()
	f.slowlog = f.askRedis(t, "SLOWLOG", "GET", "-1")
	f.postgres.Kill()
	c.few(t, f.open.address, "without PostgreSQL")
	f.postgres.Start(t)
	f.redis.Kill()
	c.few(t, f.open.address, "without Redis")
	c.few(t, f.proxied.address, "without Redis")
	f.redis.Start(t)
}

// crash ends processes while clients are in the middle of requests.
func (f *fleet) crash(t *testing.T, c *clients) {
	t.Helper()
	for s, signal := range map[*station]syscall.Signal{
		f.open: syscall.SIGABRT, f.proxied: syscall.SIGKILL, f.worker: syscall.SIGKILL,
	} {
		if s != f.worker {
			c.hang(t, s.address)
		}
		s.kill(t, signal)
	}
	c.few(t, f.open.address, "after a crash")
	c.few(t, f.proxied.address, "after a crash")
	f.open.settle(t)
}

// hang leaves requests half sent.
func (c *clients) hang(t *testing.T, to string) {
	t.Helper()
	for range 4 {
		connection, err := dial(t.Context(), c.source("source of a request in a crash"), to)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = connection.Close() })
		_, err = fmt.Fprintf(connection, "POST /v1/events HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: %s\r\nContent-Length: 999\r\n\r\n{\"email\":\"%s",
			c.forged("X-Forwarded-For in a crash"), c.email("body in a crash"))
		if err != nil {
			t.Fatal(err)
		}
	}
}

// collect asks for all that can be asked for.
func (f *fleet) collect(t *testing.T, c *clients) {
	t.Helper()
	// What is kept is told again until it is computed anew.
	await(t, "statistics tell what was accepted", func() bool {
		c.askAll(t, f.open.address, f.proxied.address, f.strict.address)
		return c.answered(c.version)
	})
	env := []string{"DATABASE_URL=" + f.database, "REDIS_URL=" + f.redis.URL()}
	for _, args := range [][]string{
		{"deadletters", "list"},
		{"deadletters", "list", "--json"},
		{"deadletters", "show", f.letter(t, env)},
		{"export", "--resolution=hour"},
		{"export", "--what=errors", "--format=jsonl"},
	} {
		out, err := program.Run(t, env, args...)
		if err != nil {
			t.Fatalf("%s: %v", args, err)
		}
		f.letters += out
	}
	for _, want := range []string{"poison", c.version, `"error_type"`} {
		if !strings.Contains(f.letters, want) {
			t.Errorf("no command prints %s:\n%s", want, f.letters)
		}
	}
	f.slowlog += f.askRedis(t, "SLOWLOG", "GET", "-1")
	f.askRedis(t, "SAVE")
	f.dump = f.postgres.Dump(t, f.database)
}

func (*fleet) letter(t *testing.T, env []string) string {
	t.Helper()
	out, err := program.Run(t, env, "deadletters", "list", "--json")
	var letters []struct{ ID string }
	if err != nil || json.Unmarshal([]byte(out), &letters) != nil || len(letters) != 1 {
		t.Fatalf("want one dead letter, not %s (%v)", out, err)
	}
	return letters[0].ID
}

// askAll asks for whatever the APIs tell.
func (c *clients) askAll(t *testing.T, addresses ...string) {
	t.Helper()
	client := clientFrom("127.0.0.1")
	defer client.CloseIdleConnections()
	for _, address := range addresses {
		for _, path := range []string{
			"/v1/status", "/v1/health", "/v1/live", "/v1/catalogue", "/v1/stats/health", "/v1/stats/overview", "/v1/stats/all",
			"/v1/stats/tools", "/v1/stats/tool/get_forecast", "/v1/stats/errors", "/v1/stats/performance",
		} {
			c.send(t.Context(), client, address, message{path: path})
		}
	}
}

// search searches everything there is.
func (f *fleet) search(t *testing.T, in *search, c *clients) {
	t.Helper()
	for _, s := range f.stations() {
		s.search(t, in)
	}
	in.inFiles(t, f.data, func(path string, data []byte) { searchPostgres(in, path, data) })
	in.inFiles(t, f.redis.Dir(), in.at(placeInRedis))
	in.inFiles(t, f.backups, in.at(placeInBackup))
	in.in("dump of PostgreSQL", []byte(f.dump))
	in.in("dead letters", []byte(f.letters))
	in.in("slow log of Redis", []byte(f.slowlog))
	in.in("answers", c.answers.Bytes())
	f.searchKeys(t, in)
}

// valuesInLog is where PostgreSQL, told to, logs the values of statements.
const valuesInLog = "PostgreSQL's log of values"

// searchPostgres searches a file of PostgreSQL. In its log the lines with values
// are a place of their own.
func searchPostgres(in *search, path string, data []byte) {
	if path != "log" {
		in.in(placeInPostgres(path), data)
		return
	}
	var values, others []byte
	for line := range bytes.Lines(data) {
		if bytes.Contains(line, []byte("arameters: $1 = ")) {
			values = append(values, line...)
		} else {
			others = append(others, line...)
		}
	}
	in.in(valuesInLog, values)
	in.in("PostgreSQL's log", others)
}

func placeInPostgres(path string) string {
	for _, part := range []string{"pg_wal", "base"} {
		if strings.HasPrefix(path, filepath.Join("data", part)) {
			return "PostgreSQL's " + part
		}
	}
	return "PostgreSQL's other files"
}

func placeInBackup(path string) string {
	if filepath.Base(path) == "dump.sql" {
		return "backup of PostgreSQL"
	}
	return "backup of Redis"
}

func placeInRedis(path string) string {
	switch {
	case strings.HasSuffix(path, ".aof"):
		return "Redis' AOF"
	case strings.HasSuffix(path, ".rdb"):
		return "Redis' RDB"
	default:
		return "Redis' other files"
	}
}

// checkLogged wants that what may leak most did happen.
func (f *fleet) checkLogged(t *testing.T) {
	t.Helper()
	for s, texts := range map[*station][]string{
		f.open:    {"slow query", "SIGABRT: abort", "goroutine ", `"level":"DEBUG"`},
		f.proxied: {"slow query"},
		f.strict:  {`"status":429`},
		f.worker:  {"slow query", "batches stored"},
	} {
		log := s.log()
		for _, text := range texts {
			if !strings.Contains(log, text) {
				t.Errorf("the log of an %s does not say %q", s.role, text)
			}
		}
	}
}

// TestEmbeddedKeepsNothing audits the service that has all in one file: with so
// few connections that clients lose theirs or get none, with strict limits, and
// copied while it serves.
func TestEmbeddedKeepsNothing(t *testing.T) {
	t.Parallel()
	c, backups := newClients(t), t.TempDir()
	wide := []string{
		"TRUSTED_PROXIES=127.0.0.0/8", "WORKER_POLL_INTERVAL_MS=50",
		"RATE_LIMIT_PER_MINUTE=1000000", "RATE_LIMIT_BURST=100000", "RATE_LIMIT_EVENTS_PER_MINUTE=1000000",
	}
	s := newStation(t, "serve", append(wide, "MAX_CONNECTIONS=40")...)
	s.start(t)
	c.salvo(t, s.address)
	s.settle(t)
	s.backUp(t, backups)
	for range 15 {
		c.hang(t, s.address)
	}
	c.few(t, s.address, "in a crowd")
	s.kill(t, syscall.SIGABRT)
	c.few(t, s.address, "after a crash")
	s.env = append(s.env, "MAX_CONNECTIONS=1")
	s.kill(t, syscall.SIGKILL)
	c.crowd(t, s)
	s.env = append(s.env, "MAX_CONNECTIONS=40", "RATE_LIMIT_PER_MINUTE=20", "RATE_LIMIT_BURST=5")
	s.kill(t, syscall.SIGKILL)
	c.flood(t, s.address)
	s.env = append(s.env, wide...)
	s.kill(t, syscall.SIGKILL)
	s.settle(t)
	c.askAll(t, s.address)
	c.checkStatuses(t, http.StatusOK, http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound,
		http.StatusRequestEntityTooLarge, http.StatusTooManyRequests, http.StatusServiceUnavailable)

	p := newPlants(t)
	p.expect("version of accepted events", c.version, "files of serve", "backup of serve", "answers")
	p.expect("X-Request-Id", c.requestID, "log of serve", "answers")
	p.inStation(t, s)
	p.inFile(t, filepath.Join(backups, "core"), "backup of serve")
	p.inFileName(t, backups)
	p.inAnswer(c)
	p.check(t, c.all(), func(in *search) {
		s.search(t, in)
		in.inFiles(t, backups, in.at(func(string) string { return "backup of serve" }))
		in.in("answers", c.answers.Bytes())
	})
}

// turnedAway is in the log when a connection was refused.
const turnedAway = `"route":"unread","status":503`

// crowd has clients connect while the only connection there may be is busy, until
// one was refused.
func (c *clients) crowd(t *testing.T, s *station) {
	t.Helper()
	events := make([]any, 100)
	for i := range events {
		events[i] = c.event()
	}
	m := c.events(events)
	ctx, cancel := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	busy.Go(func() {
		client := clientFrom(c.source("source of a busy client"))
		defer client.CloseIdleConnections()
		for ctx.Err() == nil {
			c.send(ctx, client, s.address, m)
		}
	})
	await(t, "a connection is refused", func() bool {
		c.shout(ctx, c.source("source of a refused connection"), s.address, "", false)
		return strings.Contains(s.process().Log.String(), turnedAway) && c.answeredWith(http.StatusServiceUnavailable)
	})
	cancel()
	busy.Wait()
}

// backUp copies the files of the embedded store while it serves, as they are and
// as analytics backup and export do.
func (s *station) backUp(t *testing.T, to string) {
	t.Helper()
	if err := os.CopyFS(filepath.Join(to, "copy"), os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"backup", filepath.Join(to, "analytics.db")},
		{"export", "--output", filepath.Join(to, "calls.csv")},
		{"export", "--what=errors", "--output", filepath.Join(to, "errors.csv")},
	} {
		if _, err := program.Run(t, []string{"DATA_DIR=" + s.dir}, args...); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPanicKeepsNothing has the program panic with a request in its hands.
func TestPanicKeepsNothing(t *testing.T) {
	t.Parallel()
	c := newClients(t)
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	causes := []func(string){
		func(s string) { panic(s) },
		func(s string) { panic(fmt.Errorf("cannot queue %s", s)) },
		func(s string) { panic(&addressed{s}) },
		func(s string) { _ = s[len(s):][c.random.IntN(3)] },
	}
	for _, cause := range causes {
		queue := panicking(func() { cause(c.email("cause of a panic")) })
		validator := domain.NewValidator(domain.ValidatorConfig{})
		server := httpapi.New(httpapi.UseCases{
			Ingest: app.NewIngest(validator, queue, system.BatchIDs{}, system.Clock{}),
		}, domain.DefaultCatalogue(), logger, httpapi.Config{})
		for _, path := range []string{"/v1/events", "/v1/stats/all?version=" + c.email("query of a panic")} {
			m := c.events([]any{c.event()})
			request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, bytes.NewReader(m.body))
			if path != m.path {
				request.Method = http.MethodGet
			}
			request.RemoteAddr = c.source("source of a panic") + ":1234"
			request.Header = c.headers()
			recorder := httptest.NewRecorder()
			server.ServeHTTP(recorder, request)
			c.note(recorder.Code, recorder.Header(), recorder.Body.Bytes())
		}
	}
	c.checkStatuses(t, http.StatusInternalServerError)
	if got := strings.Count(log.String(), `"code":"internal_error"`); got != c.statuses[http.StatusInternalServerError] {
		t.Errorf("%d panics are logged, want %d:\n%s", got, c.statuses[http.StatusInternalServerError], log.String())
	}

	p := newPlants(t)
	p.inLog(&log, "log of a panic")
	p.inAnswer(c)
	p.check(t, c.all(), func(in *search) {
		in.in("log of a panic", log.Bytes())
		in.in("answers", c.answers.Bytes())
	})
}

type addressed struct{ text string }

// panicking is a queue that panics.
type panicking func()

func (p panicking) Enqueue(context.Context, domain.Batch) error { p(); return io.EOF }

func (p panicking) EnqueueOnce(context.Context, domain.KeyedRequest, domain.Batch, domain.Receipt) (domain.Receipt, error) {
	p()
	return domain.Receipt{}, io.EOF
}

func (p panicking) Receipt(context.Context, domain.KeyedRequest) (domain.Receipt, bool, error) {
	p()
	return domain.Receipt{}, false, io.EOF
}
