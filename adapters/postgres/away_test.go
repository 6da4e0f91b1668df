package postgres_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/logs"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

func awaitLine(t *testing.T, log *logs.Buffer, line string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(log.String(), line); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log lacks %q:\n%s", line, log)
		}
	}
}

// TestOutageIsLoggedOnceEachWay has many calls fail while the server is away, and
// none ask when it is back.
func TestOutageIsLoggedOnceEachWay(t *testing.T) {
	t.Parallel()
	const away, back = `level=WARN msg="PostgreSQL is away"`, `level=INFO msg="PostgreSQL is back" outage_ms=`
	for name, c := range map[string]struct{ lose, regain func(*servers.PostgresServer) }{
		"killed": {(*servers.PostgresServer).Kill, func(s *servers.PostgresServer) { s.Start(t) }},
		"silent": {(*servers.PostgresServer).Pause, (*servers.PostgresServer).Resume},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := servers.Postgres(t, "fsync=off")
			log := new(logs.Buffer)
			db := open(t, postgres.Config{URL: server.NewDatabase(t), Log: log.Logger()})
			store := postgres.NewStore(db)
			for round := range 2 {
				if _, err := store.Activity(t.Context()); err != nil {
					t.Fatal(err)
				}
				c.lose(server)
				for range 3 {
					ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
					if _, err := store.Activity(ctx); err == nil {
						t.Error("a server that is away answers")
					}
					cancel()
				}
				awaitLine(t, log, away)
				c.regain(server)
				for deadline := time.Now().Add(30 * time.Second); strings.Count(log.String(), back) <= round; time.Sleep(5 * time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatalf("it does not come back:\n%s", log)
					}
				}
			}
			if text := log.String(); strings.Count(text, away) != 2 || strings.Count(text, back) != 2 || strings.Contains(text, "private") {
				t.Errorf("the log is\n%s", text)
			}
		})
	}
}

// TestBusyServerIsNotAway cancels what waits for a lock.
func TestBusyServerIsNotAway(t *testing.T) {
	log := new(logs.Buffer)
	db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t), Log: log.Logger(), LockTimeout: 20 * time.Millisecond})
	held, release := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- db.Hold(context.Background(), `LOCK TABLE stored_batches IN ACCESS EXCLUSIVE MODE`, held, release)
	}()
	<-held
	if _, err := postgres.NewStore(db).Activity(t.Context()); err == nil {
		t.Error("the lock is not held")
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), "away") {
		t.Errorf("the log is\n%s", log)
	}
}

// TestClosedIdleConnectionsAreNoOutage has the server close all connections
// while they are idle.
func TestClosedIdleConnectionsAreNoOutage(t *testing.T) {
	server := servers.SharedPostgres(t)
	log, clock := new(logs.Buffer), contractClock()
	url := server.NewDatabase(t)
	db := open(t, postgres.Config{URL: url, Log: log.Logger(), Clock: clock})
	store := postgres.NewStore(db)
	for name, call := range map[string]func() error{
		"Check":    func() error { return db.Check(t.Context()) },
		"Activity": func() error { _, err := store.Activity(t.Context()); return err },
		"Store": func() error {
			_, err := store.Store(t.Context(), contract.Batches(1, 5, contract.Events(1, 5)))
			return err
		},
	} {
		holdConnections(t, db, 5)
		server.Exec(t, url, `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		clock.Advance(time.Second)
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if strings.Contains(log.String(), "away") {
		t.Errorf("the log is\n%s", log)
	}
}

// holdConnections has the pool of db make that many connections, which are then
// idle.
func holdConnections(t *testing.T, db *postgres.DB, n int) {
	t.Helper()
	var all sync.WaitGroup
	release := make(chan struct{})
	for range n {
		held := make(chan struct{})
		all.Go(func() {
			if err := db.HoldOne(t.Context(), held, release); err != nil {
				t.Error(err)
			}
		})
		<-held
	}
	close(release)
	all.Wait()
	if idle := db.Stats().Idle; idle < n {
		t.Fatalf("%d connections are idle, want %d", idle, n)
	}
}
