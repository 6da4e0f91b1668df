package hostile_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
)

// TestNothingIsLeftRunning attacks the service inside this process, where what
// it leaves behind can be seen: after its end no goroutine runs.
func TestNothingIsLeftRunning(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	config, _, err := bootstrap.Load([]string{
		"PORT=0", "BIND_ADDRESS=127.0.0.1", "MAX_CONNECTIONS=100", "DATA_DIR=" + t.TempDir(),
	}, "no-such-file", bootstrap.RoleServe)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ready, ended := make(chan net.Addr, 1), make(chan error, 1)
	go func() {
		ended <- bootstrap.Run(ctx, config, bootstrap.Options{
			Log: slog.New(slog.DiscardHandler), Ready: func(a net.Addr) { ready <- a },
		})
	}()
	var address string
	select {
	case a := <-ready:
		address = a.String()
	case err := <-ended:
		t.Fatalf("did not start: %v", err)
	}

	attacks := attacksOnConnections()
	var group sync.WaitGroup
	for i := range 8 * len(attacks) {
		group.Go(func() {
			c, err := dial(t.Context(), attackerAt(i), address)
			if err != nil {
				return
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(time.Second))
			_, _ = io.WriteString(c, attacks[i%len(attacks)])
			_, _ = io.Copy(io.Discard, c)
		})
	}
	group.Wait()
	client := clientFrom("127.7.0.1")
	defer client.CloseIdleConnections()
	if err := askHealth(t.Context(), client, address); err != nil {
		t.Errorf("after the attack: %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("stop: %v", err)
	}
}

// attacksOnConnections are all that can be done to a connection at once.
func attacksOnConnections() []string {
	good := postOf(encode([]event{newEvent("get_alerts", "1.0.0")}))
	attacks := []string{
		"", "GET", "garbage\r\n\r\n", "GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\nGET", "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 1<<16),
		good, good + good[:len(good)/2], strings.Repeat(good, 100), postOf([]byte("{")), postOf(make([]byte, 200_000)),
		"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n{",
		"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 300000\r\n\r\n" + string(squeeze(make([]byte, 10*mb))),
	}
	for _, path := range []string{"/", "/api-docs", "/v1/catalogue", "/v1/status", "/v1/stats/all", "/v1/stats/tool/x", "/v1/stats/tools?limit=1", "/v1/stats/errors?period=x"} {
		attacks = append(attacks, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	for _, text := range ambiguous(good) {
		attacks = append(attacks, text)
	}
	return append(attacks, drawn...)
}

func askHealth(ctx context.Context, client *http.Client, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/v1/health", address), http.NoBody)
	if err != nil {
		return err
	}
	return answeredOK(client, request)
}
