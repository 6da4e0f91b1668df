package clocks_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/system"
	"github.com/weather-mcp/weather-mcp-analytics/api"
	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/logs"
	"github.com/weather-mcp/weather-mcp-analytics/test/openapi"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
	"github.com/weather-mcp/weather-mcp-analytics/test/web"
)

func TestMain(m *testing.M) { servers.Main(m) }

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// wrong is the machine's clock, ahead by so many nanoseconds. Its monotonic
// time goes on when that changes.
type wrong struct {
	system.Clock

	ahead atomic.Int64
}

func ahead(d time.Duration) *wrong {
	w := new(wrong)
	w.ahead.Store(int64(d))
	return w
}

func (w *wrong) Now() time.Time { return w.Clock.Now().Add(time.Duration(w.ahead.Load())) }

// process is a running service.
type process struct {
	url  string
	log  *logs.Buffer
	stop func()
}

// start runs a role with the clock until stop or the end of the test.
func start(t *testing.T, role bootstrap.Role, clock ports.Clock, environ ...string) *process {
	t.Helper()
	environ = append([]string{
		"PORT=0", "BIND_ADDRESS=127.0.0.1", "RATE_LIMIT_PER_MINUTE=0", "WORKER_HEALTH_PORT=" + strconv.Itoa(servers.FreePort(t)),
	}, environ...)
	config, _, err := bootstrap.Load(environ, "no-such-file", role)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{log: new(logs.Buffer)}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, ended := make(chan net.Addr, 1), make(chan error, 1)
	go func() {
		ended <- bootstrap.Run(ctx, config, bootstrap.Options{
			Log:   slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			Clock: clock, Ready: func(a net.Addr) { ready <- a },
		})
	}()
	p.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the process ended: %v", err)
		}
	})
	t.Cleanup(p.stop)
	select {
	case address := <-ready:
		p.url = "http://" + address.String()
	case err := <-ended:
		ended <- nil
		t.Fatalf("the process does not start: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("the process does not start within a minute")
	}
	return p
}

// await polls until done or, after a minute, fails.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// awaitWithheld waits until expiring data was withheld.
func (p *process) awaitWithheld(t *testing.T) {
	t.Helper()
	await(t, "maintenance is withheld", func() bool {
		return strings.Contains(p.log.String(), "expired data stays while the clock is not believed")
	})
}

type answer struct {
	Status        string
	UptimeSeconds *int64 `json:"uptime_seconds"`
	Checks        []struct{ Name, Status, Error string }
	Clock         *struct {
		Status   string
		Error    string
		JudgedBy string `json:"judged_by"`
		Stores   []struct {
			Store string
			Skew  *float64 `json:"skew_seconds"`
		}
	}
}

func (p *process) get(t *testing.T, path string) (int, answer) {
	t.Helper()
	status, text := web.Ask(t, http.MethodGet, p.url+path, "")
	checkDescribed(t, path, status, text)
	var a answer
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		t.Fatalf("GET %s: %v in %s", path, err, text)
	}
	return status, a
}

var document = sync.OnceValues(func() (*openapi.Document, error) { return openapi.Load(api.Document()) })

// checkDescribed demands that the body is as the document says.
func checkDescribed(t *testing.T, path string, status int, body string) {
	t.Helper()
	d, err := document()
	if err != nil {
		t.Fatal(err)
	}
	recorder := httptest.NewRecorder()
	recorder.Header().Set("Content-Type", "application/json; charset=utf-8")
	err = d.CheckAnswer(&openapi.Exchange{
		Request: httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil),
		Status:  status, Header: recorder.Header(), Received: []byte(body),
	})
	if err != nil && strings.Contains(err.Error(), "clock") {
		t.Errorf("GET %s: %v", path, err)
	}
}

// checkHealth demands that the health of the process is that of its clock.
func (p *process) checkHealth(t *testing.T, healthy bool) {
	t.Helper()
	status, a := p.get(t, "/v1/health")
	if (status == http.StatusOK) != healthy || a.UptimeSeconds == nil || *a.UptimeSeconds < 0 || *a.UptimeSeconds > 600 {
		t.Errorf("health is %d %+v, want healthy %t", status, a, healthy)
	}
	found := false
	for _, c := range a.Checks {
		if c.Name == "clock" {
			found = true
			if (c.Status == "healthy") != healthy || (c.Error == "") != healthy {
				t.Errorf("check of the clock is %+v, want healthy %t", c, healthy)
			}
		}
	}
	if !found {
		t.Errorf("no check of the clock in %+v", a)
	}
}

// checkSkew demands that the status tells by how much the clock is wrong.
func (p *process) checkSkew(t *testing.T, store string, skew time.Duration, judgedBy string) {
	t.Helper()
	status, a := p.get(t, "/v1/status")
	if status != http.StatusOK || a.Clock == nil {
		t.Fatalf("status is %d %+v", status, a)
	}
	for _, s := range a.Clock.Stores {
		if s.Store != store {
			continue
		}
		if s.Skew == nil || *s.Skew < skew.Seconds()-30 || *s.Skew > skew.Seconds()+30 || a.Clock.JudgedBy != judgedBy {
			t.Errorf("clock is %+v, want %v ahead of %s's and judged by %s", a.Clock, skew, store, judgedBy)
		}
		return
	}
	t.Errorf("no %s in %+v", store, a.Clock)
}

// post posts a call of this hour, as a client with a right clock does.
func (p *process) post(t *testing.T) (int, string) {
	t.Helper()
	return web.Ask(t, http.MethodPost, p.url+"/v1/events", fmt.Sprintf(
		`{"events":[{"version":"1.23.0","tool":"get_forecast","status":"success","timestamp_hour":%q,"analytics_level":"minimal"}]}`,
		time.Now().UTC().Truncate(time.Hour).Format(time.RFC3339)))
}

func (p *process) mustPost(t *testing.T) {
	t.Helper()
	if status, text := p.post(t); status != http.StatusOK {
		t.Fatalf("POST: %d %s", status, text)
	}
}

// calls returns how many calls an overview counts, and its Age.
func (p *process) calls(t *testing.T) (calls int, age string) {
	t.Helper()
	response, err := web.Fresh.Get(p.url + "/v1/stats/overview")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var overview struct {
		Summary struct {
			Calls *int `json:"total_calls"`
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&overview); err != nil {
		t.Fatal(err)
	}
	if overview.Summary.Calls == nil {
		t.Fatal("the overview has no total_calls")
	}
	return *overview.Summary.Calls, response.Header.Get("Age")
}

// history is data of two years, the newest received now.
func history(t *testing.T, s ports.EventStore) {
	t.Helper()
	now := time.Now().UTC()
	for i, age := range []int{700, 300, 80, 50, 20, 5, 1, 0} {
		events := contract.Events(uint64(i), 10)
		for e := range events {
			events[e].Hour = domain.Hourly.Floor(now.AddDate(0, 0, -age))
		}
		batch := domain.Batch{ID: domain.BatchID(strconv.Itoa(i)), ReceivedAt: now.AddDate(0, 0, -age), Events: events}
		if _, err := s.Store(t.Context(), []domain.Batch{batch}); err != nil {
			t.Fatal(err)
		}
	}
	cutoffs := domain.DefaultRetention().Cutoffs(now)
	merger := s.(ports.Merger)
	days, err := merger.Journal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, day := range days { // else hours and days are not counted yet
		if _, err := merger.Merge(t.Context(), day.Day, 1_000_000, cutoffs); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.(ports.Maintainer).Expire(t.Context(), cutoffs); err != nil {
		t.Fatal(err)
	}
}

// rows counts all that a store has and would ever delete, but for what is not
// kept for its age.
func rows(t *testing.T, s ports.Maintainer) ports.Expired {
	t.Helper()
	due, err := s.Due(t.Context(), domain.DefaultRetention().Cutoffs(time.Now().Add(50*year)))
	if err != nil {
		t.Fatal(err)
	}
	return due
}

// production is PostgreSQL and Redis with a history.
type production struct {
	environ []string
	store   *postgres.Store
	url     string
}

// partitions counts the tables that keep a day.
func (p production) partitions(t *testing.T) (n int) {
	t.Helper()
	db, err := sql.Open("postgres", p.url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_inherits`).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func newProduction(t *testing.T) production {
	t.Helper()
	url := servers.SharedPostgres(t).NewDatabase(t)
	db, err := postgres.Open(t.Context(), postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	p := production{
		environ: []string{"DATABASE_URL=" + url, "REDIS_URL=" + servers.SharedRedis(t).URL(), "QUEUE_KEY=clocks:" + strconv.FormatInt(time.Now().UnixNano(), 36)},
		store:   postgres.NewStore(db), url: url,
	}
	history(t, p.store)
	return p
}

func TestASecondWorkerWithAWrongClockDeletesNothing(t *testing.T) {
	for _, d := range []time.Duration{800 * day, -800 * day, 2 * day, 2 * time.Hour, -6 * time.Minute} {
		t.Run(d.String(), func(t *testing.T) {
			p := newProduction(t)
			right := start(t, bootstrap.RoleWorker, ahead(0), p.environ...)
			right.checkHealth(t, true)
			before, partitions := rows(t, p.store), p.partitions(t)
			second := start(t, bootstrap.RoleWorker, ahead(d), p.environ...)
			second.awaitWithheld(t)
			if got := rows(t, p.store); got != before {
				t.Errorf("left are %+v of %+v", got, before)
			}
			if got := p.partitions(t); got != partitions || got < 8 {
				t.Errorf("%d partitions, before %d", got, partitions)
			}
			second.checkHealth(t, false)
			second.checkSkew(t, "PostgreSQL", d, "PostgreSQL")
			second.checkSkew(t, "Redis", d, "PostgreSQL")
			if n := strings.Count(second.log.String(), "level=ERROR"); n != 2 { // one for each store
				t.Errorf("%d error lines:\n%s", n, second.log)
			}
			right.checkHealth(t, true)
			if log := right.log.String(); strings.Contains(log, "level=ERROR") {
				t.Errorf("the first worker logged\n%s", log)
			}
		})
	}
}

// An API alone, beside a worker whose clock is right.
func TestAnAPIWithAWrongClock(t *testing.T) {
	for _, d := range []time.Duration{-800 * day, 2 * day, -50 * time.Second} {
		t.Run(d.String(), func(t *testing.T) {
			p := newProduction(t)
			before := rows(t, p.store)
			worker := start(t, bootstrap.RoleWorker, ahead(0), p.environ...)
			api := start(t, bootstrap.RoleAPI, ahead(d), append(p.environ, "CACHE_TTL_SECONDS=0")...)
			believed := d.Abs() <= 5*time.Minute
			api.mustPost(t)
			await(t, "the event is stored", func() bool { return rows(t, p.store).Events == before.Events+1 })
			api.checkHealth(t, believed)
			worker.checkHealth(t, true)
			if status, _ := api.get(t, "/v1/stats/health"); (status == http.StatusOK) != believed {
				t.Errorf("the public is answered %d", status)
			}
		})
	}
}

func TestEventsAreJudgedByTheStoresClock(t *testing.T) {
	for _, d := range []time.Duration{-2 * day, 10 * day, -3 * year} {
		t.Run(d.String(), func(t *testing.T) {
			p := newProduction(t)
			clock := ahead(d)
			s := start(t, bootstrap.RoleServe, clock, append(p.environ, "CACHE_TTL_SECONDS=0")...)
			before, _ := s.calls(t)
			s.mustPost(t)
			await(t, "the event is counted", func() bool { n, _ := s.calls(t); return n == before+1 })
			s.checkHealth(t, false)
			s.checkSkew(t, "PostgreSQL", d, "PostgreSQL")
			if status, a := s.get(t, "/v1/stats/health"); status != http.StatusServiceUnavailable && a.Status == "healthy" {
				t.Errorf("the public is told %d %+v", status, a)
			}
			clock.ahead.Store(0)
			s.checkHealth(t, true)
			s.checkSkew(t, "PostgreSQL", 0, "own")
			s.mustPost(t)
		})
	}
}

// embedded is a data directory with a history.
func embedded(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	inside(t, dir, func(s *sqlite.Store) { history(t, s) })
	return dir
}

// inside looks into a data directory that no process uses.
func inside(t *testing.T, dir string, look func(*sqlite.Store)) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	look(sqlite.NewStore(db))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestStartsYearsAheadDeleteNothing(t *testing.T) {
	dir := embedded(t)
	var before ports.Expired
	inside(t, dir, func(s *sqlite.Store) { before = rows(t, s) })
	right := start(t, bootstrap.RoleServe, ahead(0), "DATA_DIR="+dir)
	right.checkHealth(t, true)
	right.stop()
	for range 3 {
		s := start(t, bootstrap.RoleServe, ahead(3*year), "DATA_DIR="+dir)
		s.awaitWithheld(t)
		s.checkHealth(t, false)
		if log := s.log.String(); strings.Count(log, "level=ERROR") != 1 || !strings.Contains(log, "so nothing is deleted") {
			t.Errorf("logged\n%s", log)
		}
		s.stop()
	}
	inside(t, dir, func(s *sqlite.Store) {
		if got := rows(t, s); got != before {
			t.Errorf("left are %+v of %+v", got, before)
		}
	})
	right = start(t, bootstrap.RoleServe, ahead(0), "DATA_DIR="+dir)
	right.checkHealth(t, true)
	right.mustPost(t)
	await(t, "the data is all there", func() bool { n, _ := right.calls(t); return n >= 10 })
}

func TestAClockBehindTheStoredIsUnhealthy(t *testing.T) {
	clock := ahead(-2 * day)
	s := start(t, bootstrap.RoleServe, clock, "DATA_DIR="+embedded(t))
	s.checkHealth(t, false)
	s.checkSkew(t, "SQLite", -2*day, "own")
	clock.ahead.Store(0)
	s.checkHealth(t, true)
}

// An answer that was computed while the clock was ahead expires at once when it
// is set right.
func TestAnAnswerOfAWrongHourExpires(t *testing.T) {
	for _, d := range []time.Duration{2 * time.Hour, 30 * time.Second, 3 * day} {
		clock := ahead(d)
		s := start(t, bootstrap.RoleServe, clock, "DATA_DIR="+t.TempDir())
		if n, _ := s.calls(t); n != 0 {
			t.Fatalf("%d calls", n)
		}
		clock.ahead.Store(0)
		s.mustPost(t)
		await(t, "the event is stored", func() bool {
			_, text := web.Ask(t, http.MethodGet, s.url+"/v1/status", "")
			return strings.Contains(text, `"events_processed":1`)
		})
		if n, age := s.calls(t); n != 1 || age != "0" && age != "" {
			t.Errorf("%v ahead: %d calls, Age %s", d, n, age)
		}
		s.stop()
	}
}
