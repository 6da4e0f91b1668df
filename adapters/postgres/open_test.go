package postgres_test

import (
	"context"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/logs"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

func TestSSLModeIsAlwaysExplicit(t *testing.T) {
	t.Setenv("PGSSLMODE", "") // put back after the test
	if err := os.Unsetenv("PGSSLMODE"); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ url, want string }{
		{"postgres://u:p@localhost/db", "disable"},
		{"postgres://u:p@127.0.0.1:5432/db", "disable"},
		{"postgres://u:p@[::1]/db", "disable"},
		{"host=/run/postgresql user=u dbname=db", "disable"},
		{"postgres://u:p@localhost/db?hostaddr=192.0.2.7", "require"},
		{"postgres://u:p@db.example.org/db?hostaddr=127.0.0.1", "disable"},
		{"postgres://u:p@db.example.org/db", "require"},
		{"postgres://u:p@192.0.2.7/db", "require"},
		{"postgres://u:p@localhost,db.example.org/db", "require"},
		{"host=db.example.org user=u dbname=db", "require"},
		{"postgres://u:p@localhost/db?sslmode=verify-full", "verify-full"},
		{"postgres://u:p@db.example.org/db?sslmode=disable", "disable"},
		{"postgres://u:p@db.example.org/db?sslmode=prefer", "prefer"},
	}
	for _, tt := range tests {
		got, err := postgres.SSLModeOf(tt.url)
		if err != nil || got != tt.want {
			t.Errorf("%s: sslmode %q, %v; want %q", tt.url, got, err, tt.want)
		}
	}
}

func TestOpenRefusesAddressesItCannotUse(t *testing.T) {
	const secret = "s3cr3t"
	for address, want := range map[string]string{
		"":                                   "is missing: set DATABASE_URL",
		"postgres://u:" + secret + "/x@h":    "DATABASE_URL cannot be read: write special characters",
		"postgres://u:" + secret + "@h:p/db": "DATABASE_URL has a port that is none",
		"password=" + secret + " host":       "DATABASE_URL cannot be read: give postgres://",
		"postgres://h/db?password=" + secret + "&connect_timeout=soon": "DATABASE_URL has a connect_timeout that is none",
		"postgres://u:" + secret + "@h/db?sslmode=enable":              "DATABASE_URL has an unknown sslmode: give disable,",
		"postgres://u:" + secret + "@h/db?target_session_attrs=fast":   "a value that cannot be used",
	} {
		_, err := postgres.Open(t.Context(), postgres.Config{URL: address})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
	}
}

// withUser returns the URL for another user.
func withUser(t *testing.T, address string, user *url.Userinfo) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = user
	return u.String()
}

func TestOpenSaysWhatToDo(t *testing.T) {
	t.Parallel()
	server := servers.SharedPostgres(t)
	address := server.NewDatabase(t)
	newer := server.NewDatabase(t)
	closeDB(t, open(t, postgres.Config{URL: newer}))
	server.Exec(t, newer, `INSERT INTO schema_versions (version_id, is_applied) VALUES (4711, true)`)
	server.Exec(t, address, `CREATE ROLE reader LOGIN PASSWORD 'private'`)
	server.Exec(t, server.URL("postgres"), `CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`)
	elsewhere := server.NewDatabase(t)
	closeDB(t, open(t, postgres.Config{URL: elsewhere}))
	server.Exec(t, elsewhere, `CREATE SCHEMA postgres`)
	with := func(parameter string) string { return address + "&" + parameter }
	nobody := servers.FreePort(t)
	tests := map[string]struct {
		url, want string
	}{
		"a wrong password": {
			withUser(t, address, url.UserPassword("postgres", "wrong-s3cr3t")), "correct user and password in DATABASE_URL",
		},
		"a missing database": {server.URL("absent"), "create it, or correct its name in DATABASE_URL"},
		"a user without rights": {
			withUser(t, address, url.UserPassword("reader", "private")), "make the user of DATABASE_URL owner of the database",
		},
		"no TLS": {strings.Replace(address, "sslmode=disable", "sslmode=require", 1), "set sslmode=disable in DATABASE_URL"},
		"nobody listens": {
			server.URLAt("127.0.0.1:"+itoa(nobody), "x"), "the database cannot be reached",
		},
		"another encoding": {
			server.URL("latin"), "the database has the encoding LATIN1 and cannot hold every event: create it with ENCODING 'UTF8' TEMPLATE template0",
		},
		"tables in another schema": {
			elsewhere, `the tables are in the schema "public", and new ones would go to the schema "postgres": let search_path begin with "public"`,
		},
		"no schema":            {with("search_path=nowhere"), "create the one that search_path names, or correct search_path"},
		"a misspelt parameter": {with("options=-c%20work_men%3D8MB"), "in DATABASE_URL have a parameter that PostgreSQL does not know"},
		"a server's parameter": {with("options=-c%20ssl%3Dtrue"), "in DATABASE_URL have a parameter that a connection cannot set"},
		"a bad value":          {with("options=-c%20work_mem%3Dmuch"), "DATABASE_URL gives a parameter a value that PostgreSQL does not take"},
		"a newer schema":       {newer, "the database has schema version 4711 and this program knows only up to"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := postgres.Open(t.Context(), postgres.Config{URL: tt.url})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("%v tells the password", err)
			}
			if name != "a newer schema" && domain.CodeOf(err) != domain.CodeUnavailable {
				t.Errorf("code %q, want %q", domain.CodeOf(err), domain.CodeUnavailable)
			}
			if got, want := postgres.IsAway(err), name == "nobody listens"; got != want {
				t.Errorf("away: %t, want %t", got, want)
			}
		})
	}
}

// TestErrorsNameTheVariablesThatWereUsed: a server named by its parts has no
// DATABASE_URL to correct.
func TestErrorsNameTheVariablesThatWereUsed(t *testing.T) {
	server := servers.SharedPostgres(t)
	address := server.NewDatabase(t)
	for url, want := range map[string]struct{ byURL, byParts string }{
		withUser(t, address, url.UserPassword("postgres", "wrong-s3cr3t")): {
			"correct user and password in DATABASE_URL", "correct DB_USER and DB_PASSWORD",
		},
		server.URL("absent"): {"correct its name in DATABASE_URL", "correct DB_NAME"},
		strings.Replace(address, "sslmode=disable", "sslmode=require", 1): {
			"set sslmode=disable in DATABASE_URL", "set DB_SSLMODE=disable",
		},
	} {
		for byParts, want := range map[bool]string{false: want.byURL, true: want.byParts} {
			_, err := postgres.Open(t.Context(), postgres.Config{URL: url, ByParts: byParts})
			if err == nil || !strings.Contains(err.Error(), want) || byParts && strings.Contains(err.Error(), "DATABASE_URL") {
				t.Errorf("%v, want %q", err, want)
			}
		}
	}
}

func TestOpenRefusesOldServers(t *testing.T) {
	for version, want := range map[int]string{
		140011: "the database server is PostgreSQL 14, and 15 or newer is needed: upgrade it",
		90624:  "the database server is PostgreSQL 9, and 15 or newer is needed: upgrade it",
		150000: "", 150018: "", 170005: "",
	} {
		err := postgres.CheckVersion(version)
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%d: %v, want %q", version, err, want)
		}
	}
}

// TestDatabaseOfAnEarlierProgramIsRefused opens one whose aggregates are rows.
func TestDatabaseOfAnEarlierProgramIsRefused(t *testing.T) {
	server := servers.SharedPostgres(t)
	for name, table := range map[string]string{
		"native partitions": `CREATE TABLE hourly_aggregations (grain smallint, bucket timestamptz) PARTITION BY RANGE (bucket)`,
		"a hypertable":      `CREATE TABLE hourly_aggregations (grain smallint, bucket timestamptz)`,
	} {
		t.Run(name, func(t *testing.T) {
			address := server.NewDatabase(t)
			server.Exec(t, address, table, `CREATE TABLE stored_batches (id text PRIMARY KEY)`,
				`CREATE TABLE schema_versions (id serial PRIMARY KEY, version_id bigint NOT NULL, is_applied boolean NOT NULL, tstamp timestamp DEFAULT now())`,
				`INSERT INTO schema_versions (version_id, is_applied) VALUES (0, true), (1, true)`)
			before := server.Dump(t, address)
			config := postgres.Config{URL: address}
			_, opened := postgres.Open(t.Context(), config)
			_, connected := postgres.Connect(t.Context(), config)
			for call, err := range map[string]error{"Open": opened, "Connect": connected} {
				const want = "the database has the schema of a program from before v0.1.0, which cannot be upgraded: give this program an empty database"
				if domain.CodeOf(err) != domain.CodeUnavailable || domain.MessageOf(err) != want || postgres.IsAway(err) {
					t.Errorf("%s: %v", call, err)
				}
			}
			if server.Dump(t, address) != before {
				t.Error("the database was changed")
			}
		})
	}
}

func TestOpenAtOnce(t *testing.T) {
	address := servers.SharedPostgres(t).NewDatabase(t)
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			db, err := postgres.Open(t.Context(), postgres.Config{URL: address, MaxConnections: 2})
			if err != nil {
				t.Error(err)
				return
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	db := open(t, postgres.Config{URL: address})
	var versions int
	if err := db.Get(t.Context(), &versions, `SELECT count(*) FROM schema_versions WHERE version_id = 1`); err != nil || versions != 1 {
		t.Errorf("the first step was taken %d times, %v", versions, err)
	}
}

func TestClosedDatabase(t *testing.T) {
	db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t)})
	closeDB(t, db)
	closeDB(t, db)
	_, err := postgres.NewStore(db).Activity(t.Context())
	if domain.CodeOf(err) != domain.CodeUnavailable || domain.MessageOf(err) != "the database is closed" {
		t.Error(err)
	}
}

func TestStatsCountConnections(t *testing.T) {
	db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t), MaxConnections: 3})
	if got := db.Stats(); got.MaxOpenConnections != 3 || got.OpenConnections < 1 {
		t.Errorf("%+v", got)
	}
}

func TestSlowQueriesAreLoggedByName(t *testing.T) {
	log := new(logs.Buffer)
	db := open(t, postgres.Config{
		URL: servers.SharedPostgres(t).NewDatabase(t), SlowQuery: time.Nanosecond, Log: log.Logger(),
	})
	event := contract.Events(1, 1)[0]
	event.Version, event.SessionID = "9.8.7-canary", "00000000deadbeef"
	if _, err := postgres.NewStore(db).Store(t.Context(), []domain.Batch{contract.NewBatch(1, event)}); err != nil {
		t.Fatal(err)
	}
	text := log.String()
	if !strings.Contains(text, `msg="slow query" query=store.store duration_ms=`) {
		t.Errorf("the log does not name the query:\n%s", text)
	}
	for _, value := range []string{event.Version, event.SessionID, event.Tool, "INSERT"} {
		if strings.Contains(text, value) {
			t.Errorf("the log tells %q:\n%s", value, text)
		}
	}
}

func TestCheckWrites(t *testing.T) {
	server := servers.SharedPostgres(t)
	address := server.NewDatabase(t)
	clock := contractClock()
	db := open(t, postgres.Config{URL: address, Clock: clock})
	if got := db.Name(); got != "store" {
		t.Errorf("name %q", got)
	}
	if err := db.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	var at time.Time
	if err := db.Get(t.Context(), &at, `SELECT at FROM heartbeat`); err != nil || !at.Equal(contract.Now.Truncate(time.Second)) {
		t.Errorf("heartbeat at %v, %v", at, err)
	}
	server.Exec(t, address, `REVOKE ALL ON heartbeat FROM PUBLIC`, `ALTER TABLE heartbeat ADD CHECK (false) NOT VALID`)
	if err := db.Check(t.Context()); err != nil {
		t.Errorf("asked again within a second: %v", err)
	}
	clock.Advance(time.Second)
	if err := db.Check(t.Context()); err == nil {
		t.Error("healthy, and cannot write")
	}
	clock.Advance(time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Check(ctx); err == nil {
		t.Error("healthy without having looked")
	}
	server.Exec(t, address, `ALTER TABLE heartbeat DROP CONSTRAINT heartbeat_check`)
	if err := db.Check(t.Context()); err != nil {
		t.Errorf("a check that was given up counts: %v", err)
	}
}

func TestSearchPathInTheAddress(t *testing.T) {
	server := servers.SharedPostgres(t)
	address := server.NewDatabase(t)
	closeDB(t, open(t, postgres.Config{URL: address}))
	server.Exec(t, address, `CREATE SCHEMA postgres`)
	open(t, postgres.Config{URL: address + "&search_path=public"})
}

// A batch that was acknowledged is nowhere else, so no setting may put off the
// writing of commits. Stricter settings stay.
func TestCommitsAreDurable(t *testing.T) {
	server := servers.SharedPostgres(t)
	for set, want := range map[string]string{
		"off": "on", "on": "on", "local": "local", "remote_write": "remote_write", "remote_apply": "remote_apply",
	} {
		t.Run(set, func(t *testing.T) {
			address := server.NewDatabase(t)
			server.Exec(t, address, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = `+set+`', current_database()); END $$`)
			for _, suffix := range []string{"", "&options=-c%20synchronous_commit%3D" + set} {
				db := open(t, postgres.Config{URL: address + suffix})
				var got string
				if err := db.Write(t.Context(), &got, `SHOW synchronous_commit`); err != nil || got != want {
					t.Errorf("%q: synchronous_commit is %q, %v; want %q", suffix, got, err, want)
				}
				if err := db.Maintain(t.Context(), &got, `SHOW synchronous_commit`); err != nil || got != want {
					t.Errorf("%q: of maintenance synchronous_commit is %q, %v; want %q", suffix, got, err, want)
				}
			}
		})
	}
}

func databaseName(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}
