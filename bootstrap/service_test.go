package bootstrap_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/fx"
	"go.uber.org/goleak"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/httpapi"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/logs"
	"github.com/weather-mcp/weather-mcp-analytics/test/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a service that was started.
type running struct {
	url  string
	log  *logs.Buffer
	stop func(t *testing.T) error
}

// start runs the service until stop or the end of the test. Unless told
// otherwise, it limits nobody.
func start(t *testing.T, storage fx.Option, environ ...string) *running {
	t.Helper()
	config := load(t, append([]string{"PORT=0", "BIND_ADDRESS=127.0.0.1", "CACHE_TTL_SECONDS=0", "RATE_LIMIT_PER_MINUTE=0"}, environ...)...)
	ready, ended := make(chan net.Addr, 1), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	log := new(logs.Buffer)
	go func() {
		ended <- bootstrap.Run(ctx, config, bootstrap.Options{
			Log:     slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			Version: "v0.0.1", Storage: storage, Ready: func(a net.Addr) { ready <- a },
		})
	}()
	stop := sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { _ = stop() })
	select {
	case address := <-ready:
		return &running{url: "http://" + address.String(), log: log, stop: func(t *testing.T) error { t.Helper(); return stop() }}
	case err := <-ended:
		ended <- err
		t.Fatalf("did not start: %v", err)
		return nil
	}
}

// twoCalls is a batch of this hour.
func twoCalls() string {
	event := fmt.Sprintf(`{"version":"1.23.0","tool":"get_forecast","status":"success","timestamp_hour":%q,"analytics_level":"minimal"}`,
		time.Now().UTC().Truncate(time.Hour).Format(time.RFC3339))
	return `{"events":[` + event + `,` + event + `]}`
}

func (r *running) post(t *testing.T) {
	t.Helper()
	if status, answer := web.Ask(t, http.MethodPost, r.url+"/v1/events", twoCalls()); status != http.StatusOK {
		t.Fatalf("status %d: %s", status, answer)
	}
}

// awaitCalls waits until the statistics count that many calls.
func (r *running) awaitCalls(t *testing.T, want int) {
	t.Helper()
	var all struct {
		Overview struct {
			Summary struct {
				TotalCalls int `json:"total_calls"`
			}
		}
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, answer := web.Ask(t, http.MethodGet, r.url+"/v1/stats/all?period=24h", "")
		if err := json.Unmarshal([]byte(answer), &all); err != nil {
			t.Fatal(err)
		}
		if all.Overview.Summary.TotalCalls == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d calls are counted, want %d; the log:\n%s", all.Overview.Summary.TotalCalls, want, r.log)
		}
	}
}

// The embedded service keeps answers in memory, for the pages configured.
func TestAnswersAreKept(t *testing.T) {
	service := start(t, bootstrap.EmbeddedStorage(), "DATA_DIR="+t.TempDir(), "CACHE_TTL_SECONDS=300", "CORS_ORIGIN=https://a.test")
	for range 3 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, service.url+"/v1/stats/all", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Origin", "https://a.test")
		answer, err := web.Fresh.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if got := answer.Header.Get("Access-Control-Allow-Origin"); got != "https://a.test" {
			t.Errorf("Access-Control-Allow-Origin = %q", got)
		}
		if got := answer.Header.Get("Cache-Control"); !strings.HasPrefix(got, "public, max-age=") {
			t.Errorf("Cache-Control = %q", got)
		}
	}
	_, status := web.Ask(t, http.MethodGet, service.url+"/v1/status", "")
	if !strings.Contains(status, `"cache":{"hits":2,"stale":0,"misses":1,`) {
		t.Errorf("status is %s", status)
	}
}

// inMemory provides the storage ports from memory.
func inMemory(queue *memory.Queue, store ports.EventStore, reader *memory.Store) fx.Option {
	return fx.Options(
		fx.Supply(bootstrap.StoreName("memory")),
		fx.Provide(
			func() (ports.EventQueue, ports.Deliveries, ports.QueueMeter) { return queue, queue, queue },
			func() (ports.EventStore, ports.StatisticsReader) { return store, reader },
			func() (ports.Maintainer, ports.Merger) { return reader, reader },
			func() ports.StatisticsCache { return memory.NewCache(memory.CacheConfig{}) },
		),
	)
}

func TestServiceOnMemory(t *testing.T) {
	store := memory.NewStore()
	service := start(t, inMemory(memory.NewQueue(memory.QueueConfig{MaxEvents: 10}), store, store))
	service.post(t)
	service.awaitCalls(t, 2)
	_, status := web.Ask(t, http.MethodGet, service.url+"/v1/status", "")
	if !strings.Contains(status, `"store":"memory"`) || !strings.Contains(status, `"version":"v0.0.1"`) {
		t.Errorf("status is %s", status)
	}
	if err := service.stop(t); err != nil {
		t.Errorf("stop: %v", err)
	}
	if log := service.log.String(); !strings.Contains(log, "msg=ready address=127.0.0.1:") || !strings.Contains(log, "version=v0.0.1") {
		t.Errorf("no line tells that the service is ready:\n%s", log)
	}
}

func TestServiceKeepsItsDataOverARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on", "the", "way")
	first := start(t, nil, "DATA_DIR="+dir)
	if status, answer := web.Ask(t, http.MethodGet, first.url+"/v1/health", ""); status != http.StatusOK ||
		!strings.Contains(answer, `"name":"store","status":"healthy"`) {
		t.Errorf("health is %d: %s", status, answer)
	}
	first.post(t)
	first.awaitCalls(t, 2)
	first.post(t) // perhaps still in the queue when it stops
	if err := first.stop(t); err != nil {
		t.Fatalf("stop: %v", err)
	}
	second := start(t, nil, "DATA_DIR="+dir)
	second.awaitCalls(t, 4)
	if err := second.stop(t); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// run starts a service that is expected to fail.
func run(t *testing.T, environ ...string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return bootstrap.Run(ctx, load(t, environ...), bootstrap.Options{Log: slog.New(slog.DiscardHandler)})
}

func TestStartFailures(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	file := write(t, "file", "")
	used := filepath.Join(t.TempDir(), "used")
	start(t, nil, "DATA_DIR="+used)

	tests := map[string]struct {
		environ []string
		says    string
	}{
		"port in use":       {[]string{"BIND_ADDRESS=127.0.0.1", "PORT=" + port}, "port " + port + " is in use"},
		"not our address":   {[]string{"BIND_ADDRESS=192.0.2.1", "PORT=0"}, "BIND_ADDRESS"},
		"no such directory": {[]string{"PORT=0", "DATA_DIR=" + filepath.Join(file, "data")}, "DATA_DIR"},
		"second process":    {[]string{"PORT=0", "DATA_DIR=" + used}, "DATA_DIR"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			environ := append([]string{"DATA_DIR=" + t.TempDir()}, test.environ...)
			err := run(t, environ...)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("error is %v, want one about %q", err, test.says)
			}
			if text := err.Error(); strings.Contains(text, "\n") || strings.Contains(text, "function") || strings.Contains(text, ".go:") {
				t.Errorf("not one clear sentence: %s", text)
			}
		})
	}
}

// After a start that failed half-way nothing is left behind that keeps the
// next one from succeeding.
func TestFailedStartClosesTheStore(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	dir := t.TempDir()
	if err := run(t, "BIND_ADDRESS=127.0.0.1", "PORT="+port, "DATA_DIR="+dir); err == nil {
		t.Fatal("started on a port in use")
	}
	_ = taken.Close()
	service := start(t, nil, "PORT="+port, "DATA_DIR="+dir)
	service.post(t)
	service.awaitCalls(t, 2)
}

// gatedStore lets a transaction begin and waits with it.
type gatedStore struct {
	inner         *memory.Store
	begun, finish chan struct{}
}

func (s *gatedStore) Store(ctx context.Context, batches []domain.Batch) (ports.Stored, error) {
	s.begun <- struct{}{}
	select {
	case <-s.finish:
		return s.inner.Store(ctx, batches)
	case <-ctx.Done():
		return ports.Stored{}, ctx.Err()
	}
}

func TestStopFinishesTheBatchInHand(t *testing.T) {
	queue := memory.NewQueue(memory.QueueConfig{MaxEvents: 10})
	store := &gatedStore{inner: memory.NewStore(), begun: make(chan struct{}, 1), finish: make(chan struct{})}
	service := start(t, inMemory(queue, store, store.inner))
	service.post(t)
	<-store.begun

	stopped := make(chan error, 1)
	go func() { stopped <- service.stop(t) }()
	await(t, func() bool { return !reachable(service.url) })
	select {
	case err := <-stopped:
		t.Fatalf("stopped with a batch in hand: %v", err)
	default:
	}
	close(store.finish)
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
	depth, err := queue.Depth(t.Context())
	if err != nil || depth.Batches != 0 || len(store.inner.Events()) != 2 {
		t.Errorf("%d events stored and %d batches queued, want 2 and none: %v", len(store.inner.Events()), depth.Batches, err)
	}
}

// connect opens a connection that says nothing.
func connect(t *testing.T, service *running) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", strings.TrimPrefix(service.url, "http://"), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func reachable(url string) bool {
	c, err := net.DialTimeout("tcp", strings.TrimPrefix(url, "http://"), time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

func TestStopFinishesRequests(t *testing.T) {
	store := memory.NewStore()
	service := start(t, inMemory(memory.NewQueue(memory.QueueConfig{MaxEvents: 10}), store, store))
	body, pipe := io.Pipe()
	answered := make(chan int, 1)
	go func() {
		request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, service.url+"/v1/events", body)
		if err != nil {
			answered <- 0
			return
		}
		// The body is sent when the handler asks for it, and so in its hands.
		request.Header.Set("Expect", "100-continue")
		answer, err := web.Fresh.Do(request)
		if err != nil {
			answered <- 0
			return
		}
		_ = answer.Body.Close()
		answered <- answer.StatusCode
	}()
	text := twoCalls()
	if _, err := io.WriteString(pipe, text[:10]); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- service.stop(t) }()
	await(t, func() bool { return !reachable(service.url) })
	if _, err := io.WriteString(pipe, text[10:]); err != nil {
		t.Fatal(err)
	}
	_ = pipe.Close()
	if status := <-answered; status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
	if stored := len(store.Events()); stored > 2 {
		t.Errorf("%d events stored of 2", stored)
	}
}

func await(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen within 10 s")
		}
	}
}

func TestBackgroundGivesUpOnWorkThatTakesTooLong(t *testing.T) {
	hook := bootstrap.Background(time.Millisecond, func(_, work context.Context) { <-work.Done() })
	if err := hook.OnStart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := hook.OnStop(t.Context()); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestBackgroundStopIsBounded(t *testing.T) {
	release := make(chan struct{})
	hook := bootstrap.Background(time.Hour, func(context.Context, context.Context) { <-release })
	if err := hook.OnStart(t.Context()); err != nil {
		t.Fatal(err)
	}
	stopping, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := hook.OnStop(stopping); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stop: %v", err)
	}
	close(release)
}

// expiring counts calls and answers what it is told to.
type expiring struct {
	*memory.Store

	calls   int
	rows    int64
	err     error
	enough  context.CancelFunc
	cutoffs domain.Cutoffs
}

func (e *expiring) Expire(_ context.Context, cutoffs domain.Cutoffs) (ports.Expired, error) {
	e.cutoffs = cutoffs
	if e.calls++; e.calls == 3 {
		e.enough()
	}
	return ports.Expired{Events: e.rows}, e.err
}

func TestMaintenanceGoesOn(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 30, 0, 0, time.UTC)
	tests := map[string]struct {
		rows int64
		err  error
		log  string
	}{
		"nothing due": {0, nil, ""},
		"rows":        {7, nil, `msg="expired data deleted" rows=7`},
		"failure":     {0, domain.NewError(domain.CodeUnavailable, nil, "away"), "code=service_unavailable"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ctx, enough := context.WithCancel(t.Context())
			store := &expiring{Store: memory.NewStore(), rows: test.rows, err: test.err, enough: enough}
			log := new(logs.Buffer)
			retention := domain.DefaultRetention()
			clock := app.NewClock(memory.NewClock(now), nil, log.Logger(), app.ClockConfig{})
			use := app.NewMaintain(store, retention, clock, log.Logger())
			bootstrap.Maintain(ctx, t.Context(), use, log.Logger(), time.Millisecond)
			if store.calls < 3 || store.cutoffs != retention.Cutoffs(now) {
				t.Errorf("%d calls with %+v", store.calls, store.cutoffs)
			}
			if got := log.String(); !strings.Contains(got, test.log) || (test.log == "") != (got == "") {
				t.Errorf("log is %q, want %q", got, test.log)
			}
		})
	}
}

func TestConnectionProblemsNameNoAddress(t *testing.T) {
	log := new(logs.Buffer)
	server := bootstrap.NewHTTPServer(nil, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	server.ErrorLog.Print("http: TLS handshake error from 203.0.113.77:4711: EOF")
	if got := log.String(); !strings.Contains(got, "connection problem") || strings.Contains(got, "203.0.113.77") {
		t.Errorf("log is %q", got)
	}
	server.ErrorLog.Print("http: Accept error: accept tcp [::]:3000: accept4: too many open files; retrying in 5ms")
	if got := log.String(); !strings.Contains(got, "level=WARN") || !strings.Contains(got, "too many open files") {
		t.Errorf("log is %q", got)
	}
}

func TestHTTPServerIsBounded(t *testing.T) {
	s := bootstrap.NewHTTPServer(nil, slog.New(slog.DiscardHandler))
	if s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.WriteTimeout <= 0 || s.IdleTimeout <= 0 || s.MaxHeaderBytes <= 0 {
		t.Errorf("something is without bound: %+v", s)
	}
}

func TestBrokenListenerIsAFailure(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	w := bootstrap.WebService{
		Server:      &http.Server{ReadHeaderTimeout: time.Second},
		Connections: httpapi.NewConnections(slog.New(slog.DiscardHandler), httpapi.ConnectionsConfig{}),
		Failed:      bootstrap.NewFailures(),
	}
	bootstrap.ServeWith(w, listener)
	if err := <-w.Failed; !errors.Is(err, net.ErrClosed) {
		t.Errorf("failure is %v", err)
	}
}

func TestStopBreaksOffRequestsThatDoNotEnd(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	server := &http.Server{
		ReadHeaderTimeout: time.Second,
		Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(entered)
			<-release
		}),
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connections := httpapi.NewConnections(slog.New(slog.DiscardHandler), httpapi.ConnectionsConfig{})
	w := bootstrap.WebService{Server: server, Connections: connections, Failed: bootstrap.NewFailures()}
	go bootstrap.ServeWith(w, listener)
	asked := make(chan error, 1)
	go func() {
		request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, "http://"+listener.Addr().String(), http.NoBody)
		if err == nil {
			_, err = web.Fresh.Do(request) //nolint:bodyclose // there is no answer
		}
		asked <- err
	}()
	<-entered
	stopping, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := bootstrap.StopWebService(w, stopping); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stop: %v", err)
	}
	close(release)
	if err := <-asked; err == nil {
		t.Error("the request was answered")
	}
}

// Without options the service still has a log, a clock and a storage.
func TestRunNeedsNoOptions(t *testing.T) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	if err := bootstrap.Run(ctx, load(t, "PORT=0", "BIND_ADDRESS=localhost", "DATA_DIR="+dir), bootstrap.Options{}); err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) == 0 {
		t.Errorf("nothing is stored in DATA_DIR: %v", err)
	}
}

func TestResourcesAreAllClosedTheLastOneFirst(t *testing.T) {
	var opened bootstrap.Resources
	var closed []int
	broken := errors.New("broken")
	for i := range 3 {
		bootstrap.AddResource(&opened, func() error {
			closed = append(closed, i)
			return broken
		})
	}
	if err := bootstrap.CloseResources(&opened); !errors.Is(err, broken) || !slices.Equal(closed, []int{2, 1, 0}) {
		t.Errorf("closed %v, %v", closed, err)
	}
}
