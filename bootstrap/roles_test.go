package bootstrap_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/fx"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/logs"
	"github.com/weather-mcp/weather-mcp-analytics/test/web"
)

// loadRole reads the configuration of a role from the environment alone.
func loadRole(t *testing.T, role bootstrap.Role, environ ...string) bootstrap.Config {
	t.Helper()
	config, _, err := bootstrap.Load(environ, "no-such-file", role)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// nobody returns the address of a port at which nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// away configures servers that are not there.
func away(t *testing.T) []string {
	t.Helper()
	return []string{
		"DATABASE_URL=postgres://user:hunter2@" + nobody(t) + "/stats", "REDIS_URL=redis://:hunter2@" + nobody(t),
		"PORT=0", "BIND_ADDRESS=127.0.0.1",
	}
}

func TestGraphOfEveryRoleIsComplete(t *testing.T) {
	options := bootstrap.Options{Log: slog.New(slog.DiscardHandler)}
	graphs := map[string]bootstrap.Config{
		"serve, embedded":   loadRole(t, bootstrap.RoleServe),
		"serve, production": loadRole(t, bootstrap.RoleServe, away(t)...),
		"api":               loadRole(t, bootstrap.RoleAPI, away(t)...),
		"worker":            loadRole(t, bootstrap.RoleWorker, away(t)...),
	}
	for name, config := range graphs {
		t.Run(name, func(t *testing.T) {
			if err := fx.ValidateApp(bootstrap.Module(t.Context(), config, options)); err != nil {
				t.Error(err)
			}
			bare := options
			bare.Storage = fx.Options() // nothing
			if err := fx.ValidateApp(bootstrap.Module(t.Context(), config, bare)); err == nil {
				t.Error("a service without storage passes for complete")
			}
		})
	}
}

func TestServersThatStayAway(t *testing.T) {
	for _, role := range []bootstrap.Role{bootstrap.RoleServe, bootstrap.RoleAPI, bootstrap.RoleWorker} {
		t.Run(string(role), func(t *testing.T) {
			log := new(logs.Buffer)
			begun := time.Now()
			err := bootstrap.Run(t.Context(), loadRole(t, role, away(t)...), bootstrap.Options{
				Log: log.Logger(), Wait: 300 * time.Millisecond,
				Ready: func(net.Addr) { t.Error("it is ready without servers") },
			})
			if took := time.Since(begun); took < 300*time.Millisecond {
				t.Errorf("it gave up after %v", took)
			}
			checkSentence(t, err, "Redis at 127.0.0.1")
			if said := log.String(); !strings.Contains(said, "waiting for") || strings.Contains(said, "hunter2") {
				t.Errorf("log is %s", said)
			}
		})
	}
}

// checkSentence wants an error of one line without secrets.
func checkSentence(t *testing.T, err error, says string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") ||
		strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), ".go:") {
		t.Errorf("error is %v, want one about %q", err, says)
	}
}

func TestCommandsOnServersThatStayAway(t *testing.T) {
	config := loadRole(t, bootstrap.RoleServe, away(t)...)
	log := new(logs.Buffer)
	options := bootstrap.Options{Log: log.Logger(), Wait: 400 * time.Millisecond}
	begun := time.Now()
	checkSentence(t, bootstrap.WithDeadLetters(t.Context(), config, options, func(*app.DeadLetters) error {
		t.Error("there is no queue")
		return nil
	}), "Redis at 127.0.0.1")
	checkSentence(t, bootstrap.WithRebuild(t.Context(), config, options, func(*app.Rebuild) error {
		t.Error("there is no store")
		return nil
	}), "the database cannot be reached")
	checkSentence(t, bootstrap.WithExport(t.Context(), config, options, func(*app.Export) error {
		t.Error("there is no store")
		return nil
	}), "the database cannot be reached")
	checkSentence(t, bootstrap.WithSchema(t.Context(), config, options, func(bootstrap.Schema) error {
		t.Error("there is no database")
		return nil
	}), "the database cannot be reached")
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if said := log.String(); strings.Count(said, "waiting for PostgreSQL") < 4 || strings.Contains(said, "hunter2") {
		t.Errorf("log is %s", said)
	}
}

// The reason that is told in the end is not that the time was over.
func TestServerThatNeverAnswers(t *testing.T) {
	address := nobody(t)
	config := loadRole(t, bootstrap.RoleServe, "DATABASE_URL=postgres://user:hunter2@"+address+"/stats", "REDIS_HOST=queue")
	log, ended := new(logs.Buffer), make(chan error, 1)
	options := bootstrap.Options{Log: log.Logger(), Wait: time.Second}
	go func() {
		ended <- bootstrap.WithRebuild(t.Context(), config, options, func(*app.Rebuild) error { return nil })
	}()
	await(t, func() bool { return strings.Contains(log.String(), "connection refused") })
	silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	checkSentence(t, <-ended, "the database cannot be reached: connect: dial tcp "+address+": connect: connection refused")
}

func TestStopWhileServersAreWaitedFor(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	log := new(logs.Buffer)
	config, ended := loadRole(t, bootstrap.RoleAPI, away(t)...), make(chan error, 1)
	go func() {
		ended <- bootstrap.Run(ctx, config, bootstrap.Options{Log: log.Logger()})
	}()
	await(t, func() bool { return strings.Contains(log.String(), "waiting for") })
	begun := time.Now()
	stop()
	if err := <-ended; err != nil {
		t.Errorf("error is %v", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	if !strings.Contains(log.String(), "stopped before") {
		t.Errorf("log is %s", log)
	}
}

// What a command does and what it may have failed to close are both told.
func TestCommandsTellTheirError(t *testing.T) {
	broken := errors.New("broken")
	config := loadRole(t, bootstrap.RoleServe, "DATA_DIR="+t.TempDir())
	options := bootstrap.Options{Log: slog.New(slog.DiscardHandler)}
	for range 2 { // the directory is free again
		for name, err := range map[string]error{
			"dead letters": bootstrap.WithDeadLetters(t.Context(), config, options, func(*app.DeadLetters) error { return broken }),
			"rebuild":      bootstrap.WithRebuild(t.Context(), config, options, func(*app.Rebuild) error { return broken }),
			"schema":       bootstrap.WithSchema(t.Context(), config, options, func(bootstrap.Schema) error { return broken }),
		} {
			if !errors.Is(err, broken) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// startRole runs one role on memory until the end of the test.
func startRole(t *testing.T, role bootstrap.Role, storage fx.Option, environ ...string) net.Addr {
	t.Helper()
	config := loadRole(t, role, append(away(t), environ...)...)
	ready, ended := make(chan net.Addr, 1), make(chan error, 1)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	go func() {
		ended <- bootstrap.Run(ctx, config, bootstrap.Options{
			Log: slog.New(slog.DiscardHandler), Version: "v0.0.1", Storage: storage, Ready: func(a net.Addr) { ready <- a },
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	select {
	case address := <-ready:
		return address
	case err := <-ended:
		ended <- nil
		t.Fatalf("did not start: %v", err)
		return nil
	}
}

func TestAPIStoresNothing(t *testing.T) {
	queue, store := memory.NewQueue(memory.QueueConfig{}), memory.NewStore()
	address := startRole(t, bootstrap.RoleAPI, inMemory(queue, store, store))
	url := "http://" + address.String()
	if status, answer := web.Ask(t, http.MethodPost, url+"/v1/events", twoCalls()); status != http.StatusOK {
		t.Fatalf("status %d: %s", status, answer)
	}
	if status, _ := web.Ask(t, http.MethodGet, url+"/v1/stats/overview", ""); status != http.StatusOK {
		t.Errorf("statistics answer %d", status)
	}
	deliveries, err := queue.Receive(t.Context(), 100, 0)
	if err != nil || len(deliveries) != 1 || len(store.Events()) != 0 {
		t.Errorf("%d batches are left, %d events stored: %v", len(deliveries), len(store.Events()), err)
	}
}

func TestWorkerAnswersNobody(t *testing.T) {
	queue, store := memory.NewQueue(memory.QueueConfig{}), memory.NewStore()
	call := domain.Event{
		Version: "1", Tool: "get_alerts", Status: domain.StatusSuccess, Level: domain.LevelMinimal,
		Hour: domain.Hourly.Floor(time.Now()), // not due yet
	}
	batch := domain.Batch{ID: "a", ReceivedAt: time.Now(), Events: []domain.Event{call}}
	if err := queue.Enqueue(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if address := startRole(t, bootstrap.RoleWorker, inMemory(queue, store, store)); address != nil {
		t.Errorf("it listens at %v", address)
	}
	await(t, func() bool { return len(store.Events()) == 1 })

	port := nobody(t)[len("127.0.0.1:"):]
	address := startRole(t, bootstrap.RoleWorker, inMemory(queue, store, store), "WORKER_HEALTH_PORT="+port)
	if address == nil || !strings.HasSuffix(address.String(), ":"+port) {
		t.Fatalf("it listens at %v", address)
	}
	url := "http://" + address.String()
	for path, want := range map[string]int{
		"/v1/live": http.StatusOK, "/v1/health": http.StatusOK, "/v1/status": http.StatusOK,
		"/v1/stats/overview": http.StatusNotFound, "/v1/catalogue": http.StatusNotFound, "/v1/events": http.StatusNotFound,
	} {
		status, answer := web.Ask(t, http.MethodGet, url+path, "")
		if status != want {
			t.Errorf("%s answers %d: %s", path, status, answer)
		}
		if path == "/v1/status" && !strings.Contains(answer, `"version":"v0.0.1"`) {
			t.Errorf("status is %s", answer)
		}
	}
}

func TestHealthPortInUse(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	store := memory.NewStore()
	err = bootstrap.Run(t.Context(), loadRole(t, bootstrap.RoleWorker, append(away(t), "WORKER_HEALTH_PORT="+port)...), bootstrap.Options{
		Log: slog.New(slog.DiscardHandler), Storage: inMemory(memory.NewQueue(memory.QueueConfig{}), store, store),
	})
	checkSentence(t, err, "port "+port+" is in use: stop the program that uses it or set WORKER_HEALTH_PORT")
}
