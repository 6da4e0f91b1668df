package hostile_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// manner is how a client keeps the server waiting.
type manner struct {
	name string
	// begin is sent at once, and then more every now and then; without more
	// nothing follows.
	begin, more string
}

// TestSlowClients keeps thousands of connections open in all the ways that
// make a server wait: fewer than it takes, and many more than it takes.
func TestSlowClients(t *testing.T) {
	const connections = 2000
	manners := []manner{
		{"silent", "", ""},
		{"header byte by byte", "GET / HTTP/1.1\r\nHost: x\r\nX-A", "a"},
		{"header line by line", "GET / HTTP/1.1\r\n", "X-A: b\r\n"},
		{"body byte by byte", "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n{", " "},
		{"large part of a body", "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n" + strings.Repeat(" ", 80_000), " "},
		{"chunk without end", "POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n"},
		{"idle", "GET /v1/live HTTP/1.1\r\nHost: x\r\n\r\n", ""},
		{"deaf", strings.Repeat("GET /v1/catalogue HTTP/1.1\r\nHost: x\r\n\r\n", 20), ""},
	}
	for _, most := range []int{4096, 500} {
		t.Run(fmt.Sprintf("of %d connections", most), func(t *testing.T) {
			g := start(t, fmt.Sprintf("MAX_CONNECTIONS=%d", most))
			g.witness.limit = patientLimit
			var opened atomic.Int64
			g.endure(t, func(ctx context.Context) {
				ctx, cancel := context.WithTimeout(ctx, full(40*time.Second, 8*time.Second))
				defer cancel()
				var group sync.WaitGroup
				for i := range connections {
					group.Go(func() { keepWaiting(ctx, g.address, manners[i%len(manners)], attackerAt(i%50), &opened) })
					pause(ctx, time.Millisecond)
				}
				group.Wait()
			})
			t.Logf("%d connections were opened", opened.Load())
			if opened.Load() < connections {
				t.Errorf("only %d connections were opened: that is no attack", opened.Load())
			}
		})
	}
}

// keepWaiting keeps a connection open, and opens another when it is closed.
func keepWaiting(ctx context.Context, address string, m manner, from string, opened *atomic.Int64) {
	for ctx.Err() == nil {
		c, err := dial(ctx, from, address)
		if err != nil {
			pause(ctx, 100*time.Millisecond)
			continue
		}
		opened.Add(1)
		dribble(ctx, c, m)
		_ = c.Close()
		pause(ctx, time.Second)
	}
}

// dribble sends bytes until the server hangs up. It reads no answer, except to
// learn of that.
func dribble(ctx context.Context, c net.Conn, m manner) {
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, m.begin); err != nil {
		return
	}
	for ctx.Err() == nil {
		pause(ctx, time.Second)
		if m.name == "deaf" {
			continue
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := c.Read(make([]byte, 4096)); isEnd(err) {
			return
		}
		if _, err := io.WriteString(c, m.more); err != nil {
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
