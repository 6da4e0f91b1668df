package hostile_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
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
	manners := []manner{
		{"silent", "", ""},
		{"header byte by byte", "GET / HTTP/1.1\r\nHost: x\r\nX-A", "a"},
		{"header line by line", "GET / HTTP/1.1\r\n", "X-A: b\r\n"},
		{"body byte by byte", "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n{", " "},
		{"large part of a body", "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n" + strings.Repeat(" ", 40_000), " "},
		{"chunk without end", "POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n"},
		{"idle", "GET /v1/live HTTP/1.1\r\nHost: x\r\n\r\n", ""},
		{"deaf", strings.Repeat("GET /v1/catalogue HTTP/1.1\r\nHost: x\r\n\r\n", 20), ""},
	}
	for _, room := range []struct {
		connections, clients int
		// held is how many connections there mostly are.
		held  int
		whole time.Duration
	}{
		{4096, 2500, 2000, 35 * time.Second},
		{500, 1500, 450, 12 * time.Second},
	} {
		t.Run(fmt.Sprintf("of %d connections", room.connections), func(t *testing.T) {
			g := start(t, fmt.Sprintf("MAX_CONNECTIONS=%d", room.connections))
			count := func() int { return g.connections(t) }
			g.pace = holdPace
			g.endure(t, func(ctx context.Context) {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				var group sync.WaitGroup
				for i := range room.clients {
					group.Go(func() { keepWaiting(ctx, g.address, manners[i%len(manners)], attackerAt(i%50)) })
					if i%8 == 0 {
						pause(ctx, time.Millisecond)
					}
				}
				await(t, "the connections are there", func() bool { return count() >= room.held })
				var held []int
				for end := time.Now().Add(full(room.whole, 3*time.Second)); time.Now().Before(end); {
					pause(ctx, 200*time.Millisecond)
					held = append(held, count())
				}
				cancel()
				group.Wait()
				slices.Sort(held)
				t.Logf("%d to %d connections were held, mostly %d", held[0], held[len(held)-1], held[len(held)/2])
				if mostly := held[len(held)/2]; mostly < room.held {
					t.Errorf("mostly %d connections were held, want %d", mostly, room.held)
				}
			})
		})
	}
}

// keepWaiting keeps a connection open, and opens another when it is closed.
func keepWaiting(ctx context.Context, address string, m manner, from string) {
	for ctx.Err() == nil {
		c, err := dial(ctx, from, address)
		if err != nil {
			pause(ctx, 100*time.Millisecond)
			continue
		}
		dribble(ctx, c, m)
		_ = c.Close()
		pause(ctx, 100*time.Millisecond)
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
