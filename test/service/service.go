// Package service runs the whole service for tests that see it from outside:
// API and worker over the embedded store, on a free port of this machine.
package service

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
)

// Start runs the service until the end of the test and returns the URL of its
// root. environ adds to the configuration, such as CACHE_TTL_SECONDS=0. Clients
// are not limited unless it says so.
func Start(tb testing.TB, environ ...string) string {
	tb.Helper()
	return StartWith(tb, bootstrap.Options{}, environ...)
}

// StartWith is Start with options, of which log, version and ready are its own.
func StartWith(tb testing.TB, options bootstrap.Options, environ ...string) string {
	tb.Helper()
	environ = append([]string{"BIND_ADDRESS=127.0.0.1", "PORT=0", "DATA_DIR=" + tb.TempDir(), "RATE_LIMIT_PER_MINUTE=0"}, environ...)
	config, _, err := bootstrap.Load(environ, "no-such-file", bootstrap.RoleServe)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	ready, ended := make(chan net.Addr, 1), make(chan error, 1)
	options.Log, options.Version = slog.New(slog.DiscardHandler), "v0.0.1"
	options.Ready = func(a net.Addr) { ready <- a }
	go func() { ended <- bootstrap.Run(ctx, config, options) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Errorf("the service ended: %v", err)
		}
	})
	select {
	case address := <-ready:
		return "http://" + address.String()
	case err := <-ended:
		ended <- nil
		tb.Fatalf("the service does not start: %v", err)
	case <-time.After(30 * time.Second):
		tb.Fatal("the service does not start within 30 s")
	}
	return ""
}
