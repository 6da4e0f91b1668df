package servers

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// PgBouncerServer is a private PgBouncer in front of a PostgreSQL server.
type PgBouncerServer struct {
	daemon
}

// PgBouncer starts one with that pool_mode, such as "transaction", in front of the
// server. Everything else has its default, unless settings such as
// "default_pool_size = 5" say otherwise.
func PgBouncer(tb testing.TB, server *PostgresServer, mode string, settings ...string) *PgBouncerServer {
	tb.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer"
		if _, err := os.Stat(program); err != nil {
			Missing(tb, "pgbouncer", err)
		}
	}
	b := new(PgBouncerServer)
	file := func(name string) string { return filepath.Join(b.dir, name) }
	b.daemon = daemon{
		name: "pgbouncer", dir: privateDir(tb), port: FreePort(tb), crash: syscall.SIGKILL, ping: b.ping,
		command: func() *exec.Cmd { return asServer(exec.Command(program, file("pgbouncer.ini"))) },
	}
	config := strings.Join(append([]string{
		"[databases]",
		"* = host=127.0.0.1 port=" + strconv.Itoa(server.port),
		"[pgbouncer]",
		"listen_addr = 127.0.0.1",
		"listen_port = " + strconv.Itoa(b.port),
		"unix_socket_dir =",
		"auth_type = md5",
		"auth_file = " + file("userlist.txt"),
		"pool_mode = " + mode,
	}, settings...), "\n")
	users := fmt.Sprintf("%q %q\n", postgresUser, postgresPassword)
	for name, text := range map[string]string{"pgbouncer.ini": config + "\n", "userlist.txt": users} {
		if err := os.WriteFile(file(name), []byte(text), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	b.Start(tb)
	tb.Cleanup(b.remove)
	return b
}

// URL returns how to reach through the pooler what the URL of the server reaches.
func (b *PgBouncerServer) URL(tb testing.TB, server string) string {
	tb.Helper()
	u, err := url.Parse(server)
	if err != nil {
		tb.Fatal(err)
	}
	u.Host = b.Address()
	return u.String()
}

func (b *PgBouncerServer) ping() error {
	return pingPostgres(fmt.Sprintf("postgres://%s:%s@%s/postgres?sslmode=disable", postgresUser, postgresPassword, b.Address()))
}
