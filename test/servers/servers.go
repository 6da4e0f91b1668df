// Package servers starts real database servers for tests: private processes
// with a directory and a port of their own, which end with the test or, when
// the tests of a package share one, with [Main]. They can be killed, restarted
// on the same data, and paused.
package servers

import (
	"net"
	"os"
	"slices"
	"sync"
	"testing"
)

// Missing ends a test that cannot run here for want of something: locally it
// is skipped, in CI (CI=true) it fails.
func Missing(tb testing.TB, what string, err error) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatalf("%s is missing, and CI has to test with it: %v", what, err)
	}
	tb.Skipf("NOT TESTED: %s is missing: %v", what, err)
}

// FreePort returns a loopback port that nobody listens on.
func FreePort(tb testing.TB) int {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

var exits struct {
	sync.Mutex
	todo []func()
}

// AtExit has [Main] call f after the tests.
func AtExit(f func()) {
	exits.Lock()
	defer exits.Unlock()
	exits.todo = append(exits.todo, f)
}

// Main runs the tests of a package that shares servers, ends these and exits.
// Such a package calls it from its TestMain.
func Main(m *testing.M) {
	code := m.Run()
	exits.Lock()
	defer exits.Unlock()
	for _, f := range slices.Backward(exits.todo) {
		f()
	}
	os.Exit(code)
}
