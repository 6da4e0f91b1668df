package hostile_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRequestsOverTheLimit has many addresses ask far more than each may. They
// get what they may and no more; others get all they ask for.
func TestRequestsOverTheLimit(t *testing.T) {
	const overLimit, limit, burst = 100, 60, 10
	addresses := full(1000, 100)
	g := start(t, fmt.Sprintf("RATE_LIMIT_PER_MINUTE=%d", limit), fmt.Sprintf("RATE_LIMIT_BURST=%d", burst))
	g.endure(t, func(ctx context.Context) {
		granted, refused := make([]int, addresses), make([]int, addresses)
		began := time.Now()
		parallel(ctx, 8, addresses, func(i int) {
			client := clientFrom(attackerAt(i))
			defer client.CloseIdleConnections()
			for refused[i] < overLimit && granted[i] <= limit {
				switch status := g.ask(ctx, client, "/v1/catalogue"); status {
				case http.StatusOK:
					granted[i]++
				case http.StatusTooManyRequests:
					refused[i]++
				default:
					t.Errorf("answered %d", status)
					return
				}
			}
		})
		took, least, most := time.Since(began), slices.Min(granted), slices.Max(granted)
		t.Logf("in %v each address was granted %d to %d requests", took, least, most)
		if least < burst {
			t.Errorf("an address was granted %d requests, want at least %d", least, burst)
		}
		if took < time.Minute && most > limit {
			t.Errorf("an address was granted %d requests within %v, want at most %d", most, took, limit)
		}
	})
}

// ask reads a path and counts the answer.
func (g *target) ask(ctx context.Context, client *http.Client, path string) int {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.address+path, http.NoBody)
	if err != nil {
		panic(err) // the path is well-formed
	}
	status, _ := g.send(client, request)
	return status
}

// TestStatisticsStorm has everybody ask for the dearest answers at once.
func TestStatisticsStorm(t *testing.T) {
	g := start(t)
	g.endure(t, func(ctx context.Context) {
		parallel(ctx, 100, full(10_000, 1000), func(i int) {
			client := clientFrom(attackerAt(i))
			defer client.CloseIdleConnections()
			g.ask(ctx, client, fmt.Sprintf("/v1/stats/all?period=%dd&version=9.9.%d", 1+i%365, i))
		})
	})
	if served := g.answers.count(http.StatusOK); served == 0 {
		t.Errorf("answers are %s; want some 200", &g.answers)
	}
}

// TestHeaderFloods sends headers as long as they may be, as numerous, and
// longer, on many connections at once, most of them without an end.
func TestHeaderFloods(t *testing.T) {
	floods := map[string]string{
		"one long value":   "X: " + strings.Repeat("x", 11_000),
		"endless value":    "X: " + strings.Repeat("x", 64<<10),
		"many short lines": manyLines(11_000, func(i int) string { return fmt.Sprintf("%x:\r\n", i) }),
		"endless lines":    manyLines(64<<10, func(i int) string { return fmt.Sprintf("%x:\r\n", i) }),
		"one name":         manyLines(11_000, func(int) string { return "a:\r\n" }),
		"many cookies":     manyLines(11_000, func(i int) string { return fmt.Sprintf("Cookie: a=%d\r\n", i) }),
		"continued line":   "X: y\r\n" + strings.Repeat(" z\r\n", 2500),
	}
	g := start(t)
	g.pace = holdPace
	g.endure(t, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, full(15*time.Second, 3*time.Second))
		defer cancel()
		const begin = "GET /v1/catalogue HTTP/1.1\r\nHost: x\r\n"
		var texts []string
		for _, flood := range floods {
			// One is a request that ends.
			texts = append(texts, begin+flood, begin+flood, begin+strings.TrimSuffix(flood, "\r\n")+"\r\n\r\n")
		}
		parallel(ctx, 500, 1_000_000, func(i int) {
			g.hold(ctx, attackerAt(i%500), texts[i%len(texts)])
			pause(ctx, 500*time.Millisecond)
		})
	})
	if long := g.answers.count(http.StatusRequestHeaderFieldsTooLarge); long == 0 {
		t.Errorf("answers are %s; want some 431", &g.answers)
	}
}

func manyLines(size int, line func(int) string) string {
	var text strings.Builder
	for i := 0; text.Len() < size; i++ {
		text.WriteString(line(i))
	}
	return text.String()
}

// hold sends text and keeps the connection until it is answered, closed, or a
// while has passed.
func (g *target) hold(ctx context.Context, from, text string) {
	c, err := dial(ctx, from, g.address)
	if err != nil {
		g.answers.add(0)
		return
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
	defer stop()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	_, _ = io.WriteString(c, text)
	g.answers.add(statusOf(c))
}

// statusOf reads the status of an answer; 0 when there is none.
func statusOf(from io.Reader) int {
	var status int
	line := make([]byte, len("HTTP/1.1 200"))
	if _, err := io.ReadFull(from, line); err != nil {
		return 0
	}
	if _, err := fmt.Sscanf(string(line), "HTTP/1.1 %d", &status); err != nil || status < 100 {
		return 0
	}
	return status
}
