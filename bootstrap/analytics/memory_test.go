package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	testprogram "github.com/weather-mcp/weather-mcp-analytics/test/program"
)

// leastMemoryMB is the lowest limit that can be configured.
const leastMemoryMB = 128

// longHeader has short lines, which take most, and no end.
func longHeader() string {
	var text strings.Builder
	text.WriteString("POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n")
	for i := 0; text.Len() < 11_000; i++ {
		_, _ = fmt.Fprintf(&text, "%x:\r\n", i)
	}
	return text.String()
}

func dialFrom(ctx context.Context, from, to string) (net.Conn, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
	return dialer.DialContext(ctx, "tcp", to)
}

// halfSend sends what has no end, again and again, until ctx ends.
func halfSend(ctx context.Context, from, to, text string) {
	for ctx.Err() == nil {
		c, err := dialFrom(ctx, from, to)
		if err != nil {
			continue
		}
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		_, _ = io.WriteString(c, text)
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
	}
}

// repeat sends what next makes from one address until ctx ends; answers do not
// matter.
func repeat(ctx context.Context, from string, next func(i int) *http.Request) {
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, to string) (net.Conn, error) { return dialFrom(ctx, from, to) },
	}}
	defer client.CloseIdleConnections()
	for i := 0; ctx.Err() == nil; i++ {
		if answer, err := client.Do(next(i).WithContext(ctx)); err == nil {
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
		}
	}
}

// memoryPeakMB is the most memory that the process ever had resident.
func memoryPeakMB(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		t.Skipf("NOT TESTED: memory is read from /proc: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kb >> 10
		}
	}
	t.Fatalf("no peak in %s", text)
	return 0
}

// The least limit holds when all that takes memory comes at once, and leaves
// something for what is not reached within seconds.
func TestMemoryUnderAllAttacksTogether(t *testing.T) {
	dir := t.TempDir()
	p := testprogram.Launch(t, "serve", dir, "DATA_DIR="+dir, fmt.Sprintf("MEMORY_LIMIT_MB=%d", leastMemoryMB))
	address := p.Await(t)
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
	defer cancel()
	url := "http://" + address
	header, blanks := longHeader(), strings.Repeat(" ", 90_000)
	var bomb bytes.Buffer
	zip := gzip.NewWriter(&bomb)
	_, _ = zip.Write(make([]byte, 64<<20)) // a buffer takes everything
	_ = zip.Close()

	var group sync.WaitGroup
	for i := range 1500 {
		text := header
		if i%2 == 0 {
			text += "\r\n" + blanks
		}
		group.Go(func() { halfSend(ctx, fmt.Sprintf("127.66.%d.1", i%200), address, text) })
	}
	for i := range 100 {
		group.Go(func() {
			repeat(ctx, fmt.Sprintf("127.67.%d.1", i), func(n int) *http.Request {
				start := time.Now().AddDate(0, 0, -1-(100*n+i)%300).Format(time.DateOnly)
				request, _ := http.NewRequest(http.MethodGet, url+"/v1/stats/all?start_date="+start, http.NoBody)
				return request
			})
		})
		group.Go(func() {
			repeat(ctx, fmt.Sprintf("127.68.%d.1", i), func(int) *http.Request {
				request, _ := http.NewRequest(http.MethodPost, url+"/v1/events", bytes.NewReader(bomb.Bytes()))
				request.Header.Set("Content-Encoding", "gzip")
				return request
			})
		})
	}
	group.Wait()
	const most = leastMemoryMB * 15 / 16
	got := memoryPeakMB(t, p.PID())
	if t.Logf("memory peak is %d MB", got); got > most {
		t.Errorf("memory peak is %d MB, want at most %d", got, most)
	}
}

// However much one address sends, the idle connections of others stay.
func TestOneAddressClosesNobodyElse(t *testing.T) {
	const clients, tolerated = 100, 8
	dir := t.TempDir()
	p := testprogram.Launch(t, "serve", dir, "DATA_DIR="+dir, fmt.Sprintf("MEMORY_LIMIT_MB=%d", leastMemoryMB))
	address := p.Await(t)
	var honest []net.Conn
	for i := range clients {
		c, err := dialFrom(t.Context(), fmt.Sprintf("127.30.0.%d", i+1), address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_, _ = io.WriteString(c, "GET /v1/live HTTP/1.1\r\nHost: x\r\n\r\n")
		_, err = c.Read(make([]byte, 4096))
		if err != nil {
			t.Fatal(err)
		}
		honest = append(honest, c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var group sync.WaitGroup
	for range 400 {
		group.Go(func() { halfSend(ctx, "127.66.0.1", address, longHeader()) })
	}
	group.Wait()
	closed := 0
	for _, c := range honest {
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			closed++
		}
	}
	if t.Logf("%d of %d are closed", closed, clients); closed > tolerated {
		t.Errorf("%d of %d idle connections of others are closed", closed, clients)
	}
}
