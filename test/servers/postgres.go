package servers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	neturl "net/url"
	"os"
	"os/exec"
	"os/user"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/lib/pq" // the driver "postgres"
)

// PostgresServer is a private PostgreSQL server. Its commits are durable unless a
// setting says otherwise, and it asks for passwords as a real one does.
type PostgresServer struct {
	daemon
}

// The superuser, as whom tests connect.
const (
	postgresUser     = "postgres"
	postgresPassword = "private"
)

// Postgres starts a server of the test's own, with settings such as
// "fsync=off" beside the defaults.
func Postgres(tb testing.TB, settings ...string) *PostgresServer {
	tb.Helper()
	s := newPostgres(tb, settings)
	tb.Cleanup(s.remove)
	return s
}

var sharedPostgres = struct {
	sync.Mutex
	server *PostgresServer
}{}

// SharedPostgres returns the server that all tests of a package share, which
// does not wait for the disk. A test takes a database of its own from it, see
// [PostgresServer.NewDatabase], and neither stops nor slows it down.
func SharedPostgres(tb testing.TB) *PostgresServer {
	tb.Helper()
	sharedPostgres.Lock()
	defer sharedPostgres.Unlock()
	if sharedPostgres.server == nil {
		sharedPostgres.server = newPostgres(tb, []string{"fsync=off"})
		AtExit(sharedPostgres.server.remove)
	}
	return sharedPostgres.server
}

func newPostgres(tb testing.TB, settings []string) *PostgresServer {
	tb.Helper()
	template, err := postgresTemplate()
	if errors.Is(err, errNoPostgres) {
		Missing(tb, "PostgreSQL", err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	s := new(PostgresServer)
	s.daemon = daemon{
		name: "PostgreSQL", dir: privateDir(tb), port: FreePort(tb),
		command: s.command, ping: s.ping, crash: syscall.SIGQUIT,
	}
	if out, err := exec.Command("cp", "-a", template, s.data()).CombinedOutput(); err != nil {
		tb.Fatalf("copy the template: %v: %s", err, out)
	}
	if err := s.configure(settings); err != nil {
		tb.Fatal(err)
	}
	s.Start(tb)
	return s
}

func (s *PostgresServer) data() string { return filepath.Join(s.dir, "data") }

func (s *PostgresServer) configure(settings []string) error {
	lines := append([]string{
		"listen_addresses = '127.0.0.1'",
		"port = " + strconv.Itoa(s.port),
		"unix_socket_directories = ''",
		"max_connections = 150",
		"shared_buffers = 64MB",
		"max_wal_size = 4GB",
		"timezone = 'Asia/Kathmandu'", // what is UTC must say so
	}, settings...)
	file, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString("\n" + strings.Join(lines, "\n") + "\n")
	return errors.Join(err, file.Close())
}

func (s *PostgresServer) command() *exec.Cmd {
	return asServer(exec.Command(postgresProgram("postgres"), "-D", s.data()))
}

func (s *PostgresServer) ping() error { return pingPostgres(s.URL("postgres")) }

// pingPostgres asks whether a server, or what stands before one, takes connections.
func pingPostgres(address string) error {
	db, err := sql.Open("postgres", address)
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return db.PingContext(ctx)
}

// URL returns how to connect to a database as superuser.
func (s *PostgresServer) URL(database string) string {
	return s.URLAt(s.Address(), database)
}

// URLAt is [PostgresServer.URL] for a proxy at another address.
func (s *PostgresServer) URLAt(address, database string) string {
	return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", postgresUser, postgresPassword, address, database)
}

var databases atomic.Int64

// NewDatabase makes an empty database and returns its URL.
func (s *PostgresServer) NewDatabase(tb testing.TB) string {
	tb.Helper()
	return s.NewDatabaseFrom(tb, "template1")
}

// NewDatabaseFrom is [PostgresServer.NewDatabase] for a copy of a database that
// has no connections.
func (s *PostgresServer) NewDatabaseFrom(tb testing.TB, template string) string {
	tb.Helper()
	name := "test_" + strconv.FormatInt(databases.Add(1), 10)
	s.Exec(tb, s.URL("postgres"), "CREATE DATABASE "+name+" TEMPLATE "+template)
	return s.URL(name)
}

// Drop deletes the database at url and ends the connections to it.
func (s *PostgresServer) Drop(tb testing.TB, url string) {
	tb.Helper()
	address, err := neturl.Parse(url)
	if err != nil {
		tb.Fatal(err)
	}
	s.Exec(tb, s.URL("postgres"), "DROP DATABASE "+path.Base(address.Path)+" WITH (FORCE)")
}

// Exec runs statements on the database at url.
func (s *PostgresServer) Exec(tb testing.TB, url string, statements ...string) {
	tb.Helper()
	db, err := sql.Open("postgres", url)
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.ExecContext(context.Background(), statement); err != nil {
			tb.Fatalf("%s: %v", statement, err)
		}
	}
}

// Dump returns what pg_dump writes of the database at url, with options such as
// --schema-only.
func (s *PostgresServer) Dump(tb testing.TB, url string, options ...string) string {
	tb.Helper()
	out := run(tb, exec.Command(postgresProgram("pg_dump"), append(options, "--dbname", url)...))
	// A dump made after a security fix has a random key in it.
	lines := slices.DeleteFunc(strings.Split(out, "\n"), func(line string) bool {
		return strings.HasPrefix(line, `\restrict`) || strings.HasPrefix(line, `\unrestrict`)
	})
	return strings.Join(lines, "\n")
}

// PSQL runs a script on any database, as psql does, and ends the test at its
// first error.
func PSQL(tb testing.TB, url, script string) {
	tb.Helper()
	psql := exec.Command(postgresProgram("psql"), "--no-psqlrc", "--quiet", "--single-transaction", "--set", "ON_ERROR_STOP=1", "--dbname", url)
	psql.Stdin = strings.NewReader(script)
	run(tb, psql)
}

func run(tb testing.TB, command *exec.Cmd) string {
	tb.Helper()
	out, err := command.Output()
	if err != nil {
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, e.Stderr)
		}
		tb.Fatalf("%s: %v", filepath.Base(command.Path), err)
	}
	return string(out)
}

// errNoPostgres says that there is no server to start.
var errNoPostgres = errors.New("no PostgreSQL server programs")

// postgresTemplate returns the data of a server that was never started. It is
// made once for each test process.
var postgresTemplate = sync.OnceValues(func() (string, error) {
	if _, err := os.Stat(postgresProgram("initdb")); err != nil {
		return "", fmt.Errorf("%w: %w", errNoPostgres, err)
	}
	dir, err := os.MkdirTemp("", "postgres-template-")
	if err != nil {
		return "", err
	}
	AtExit(func() { _ = os.RemoveAll(dir) })
	if err := giveToServer(dir); err != nil {
		return "", err
	}
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte(postgresPassword), 0o644); err != nil {
		return "", err
	}
	data := filepath.Join(dir, "data")
	// Text sorts as people expect, not by its bytes: what needs bytes must say so.
	initdb := asServer(exec.Command(postgresProgram("initdb"), "--pgdata", data, "--no-sync",
		"--username", postgresUser, "--pwfile", password, "--auth", "scram-sha-256",
		"--encoding", "UTF8", "--locale", "C.UTF-8", "--locale-provider", "icu", "--icu-locale", "en-US"))
	if out, err := initdb.CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w: %s", err, out)
	}
	return data, nil
})

// postgresProgram returns the path of a program of the newest version there is.
func postgresProgram(name string) string {
	const debian = "/usr/lib/postgresql"
	found, _ := filepath.Glob(filepath.Join(debian, "*", "bin", name))
	if len(found) > 0 {
		return slices.MaxFunc(found, func(a, b string) int { return majorOf(a) - majorOf(b) })
	}
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return filepath.Join(debian, "15", "bin", name)
}

func majorOf(path string) int {
	major, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return major
}

func privateDir(tb testing.TB) string {
	tb.Helper()
	// Below tb.TempDir no other user may look.
	dir, err := os.MkdirTemp("", "postgres-") //nolint:usetesting // see above
	if err != nil {
		tb.Fatal(err)
	}
	if err := giveToServer(dir); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// serverCredential is whom the server runs as when the tests run as root, which
// PostgreSQL refuses; nil otherwise.
var serverCredential = sync.OnceValue(func() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	return nil
})

// asServer has the command run as the server's user and end with this process.
func asServer(command *exec.Cmd) *exec.Cmd {
	command.Dir = os.TempDir()
	command.SysProcAttr = EndWithTests(syscall.SIGQUIT)
	command.SysProcAttr.Credential = serverCredential()
	return command
}

func giveToServer(path string) error {
	if c := serverCredential(); c != nil {
		return os.Chown(path, int(c.Uid), int(c.Gid))
	}
	return nil
}
