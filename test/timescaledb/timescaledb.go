// Package timescaledb starts a real TimescaleDB for tests, where no server of
// it can be installed: PostgreSQL 17 with the extension, compiled to
// WebAssembly, from one npm package.
//
// It is for schemas, hypertables, compression, COPY and the answers of
// queries. It runs transactions one after the other and cannot wait for locks,
// cancel statements or time them out, and jobs of the extension run only when
// they are called: these are tested on plain PostgreSQL.
package timescaledb

import (
	"bufio"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	_ "github.com/lib/pq" // the driver "postgres"

	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

//go:embed package.json package-lock.json server.mjs
var files embed.FS

// Server is a running TimescaleDB.
type Server struct {
	port    string
	schemas atomic.Int64
}

// Start returns the server that all tests of a package share; such a package
// calls servers.Main in TestMain. Without node or npm the test is skipped, or
// fails in CI.
func Start(tb testing.TB) *Server {
	tb.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			servers.Missing(tb, "TimescaleDB for tests", err)
		}
	}
	server, err := start()
	if err != nil {
		tb.Fatal(err)
	}
	return server
}

var start = sync.OnceValues(func() (*Server, error) {
	dir, err := install()
	if err != nil {
		return nil, fmt.Errorf("install TimescaleDB for tests: %w", err)
	}
	command := exec.Command("node", "server.mjs")
	command.Dir = dir
	command.Stderr = os.Stderr
	alive, err := command.StdinPipe() // closes when this process dies, too
	if err != nil {
		return nil, err
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	servers.AtExit(func() {
		_ = alive.Close()
		_ = command.Wait()
	})
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("TimescaleDB for tests does not start: %w", err)
	}
	return &Server{port: strings.TrimSpace(line)}, nil
})

// NewSchema makes an empty schema and returns the URL of a database that has
// nothing else. It is cheaper than a server for each test.
func (s *Server) NewSchema(tb testing.TB) string {
	tb.Helper()
	name := "test_" + strconv.FormatInt(s.schemas.Add(1), 10)
	url := "postgres://postgres@127.0.0.1:" + s.port + "/postgres?sslmode=disable"
	db, err := sql.Open("postgres", url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_, err := db.ExecContext(context.WithoutCancel(tb.Context()), "DROP SCHEMA "+name+" CASCADE")
		if err := errors.Join(err, db.Close()); err != nil {
			tb.Error(err)
		}
	})
	if _, err := db.ExecContext(tb.Context(), "CREATE SCHEMA "+name); err != nil {
		tb.Fatal(err)
	}
	return url + "&search_path=" + name + ",public"
}

// install brings the package into the module's folder for tools, which git
// ignores, and returns the folder. Test processes that do so at once wait for
// each other.
func install() (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, ".tools", "timescaledb")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	return dir, installIn(dir)
}

func installIn(dir string) error {
	wanted, err := files.ReadFile("package-lock.json")
	if err != nil {
		return err
	}
	installed := filepath.Join(dir, "node_modules", "installed")
	have, err := os.ReadFile(installed)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := copyFiles(dir); err != nil {
		return err
	}
	if string(have) == string(wanted) {
		return nil
	}
	npm := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w: %s", err, out)
	}
	return os.WriteFile(installed, wanted, 0o644)
}

func copyFiles(dir string) error {
	return fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		from, err := files.Open(name)
		if err != nil {
			return err
		}
		defer from.Close()
		to, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		_, err = io.Copy(to, from)
		return errors.Join(err, to.Close())
	})
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the tests")
		}
		dir = parent
	}
}
