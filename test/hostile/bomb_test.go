package hostile_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestGzipBombs sends bodies that become a thousand times as long, and ones
// that cost as much in other ways. They are refused at the price of any other
// body.
func TestGzipBombs(t *testing.T) {
	g := start(t)
	g.endure(t, func(ctx context.Context) {
		bombs, before := bombs(t), g.cpuTicks(t)
		names := slices.Sorted(maps.Keys(bombs))
		count := full(6000, 1200)
		client := clientFrom(attackerAt(0))
		client.Transport.(*http.Transport).MaxIdleConnsPerHost = 16
		defer client.CloseIdleConnections()
		parallel(ctx, 16, count, func(i int) {
			name := names[i%len(names)]
			status, _ := g.post(ctx, client, bombs[name], "Content-Encoding", "gzip")
			if status != http.StatusRequestEntityTooLarge && status != http.StatusBadRequest {
				t.Errorf("%s is answered %d", name, status)
			}
		})
		// The kernel counts hundredths of a second. A body of 100 KB that is
		// read and judged costs about a millisecond.
		ticks := g.cpuTicks(t) - before
		t.Logf("%d bombs cost %d ms of processor time", count, ticks*10)
		if ticks*10 > 500+10*count {
			t.Errorf("a bomb costs %d ms of processor time", ticks*10/count)
		}
	})
}

func bombs(t *testing.T) map[string][]byte {
	t.Helper()
	// Sixteen at once would be more than the program may take.
	const size = 25 * mb
	zeros := squeeze(make([]byte, size))
	if ratio := size / len(zeros); ratio < 1000 {
		t.Fatalf("the bomb grows 1:%d only", ratio)
	}
	return map[string][]byte{
		"zeros":            zeros,
		"spaces":           squeeze(bytes.Repeat([]byte(" "), size)),
		"gzip in gzip":     squeeze(zeros),
		"empty members":    bytes.Repeat(squeeze(nil), 4000),
		"long header":      longGzipHeader(),
		"deep nesting":     squeeze([]byte(`{"events":` + strings.Repeat("[", 90_000))),
		"many events":      squeeze([]byte(`{"events":[` + strings.Repeat("{},", 30_000) + `{}]}`)),
		"many names":       squeeze([]byte(`{"events":[{` + manyLines(90_000, func(i int) string { return fmt.Sprintf(`"%x":0,`, i) }) + `"z":0}]}`)),
		"one long string":  squeeze([]byte(`{"events":"` + strings.Repeat("x", 100_000) + `"}`)),
		"one long number":  squeeze([]byte(`{"events":` + strings.Repeat("9", 100_000) + `}`)),
		"escapes":          squeeze([]byte(`{"events":"` + strings.Repeat(`\u0041`, 15_000) + `"}`)),
		"escaped and long": squeeze([]byte(strings.Repeat(`{"\u0065vents":`, 6000))),
	}
}

func squeeze(text []byte) []byte {
	var buffer bytes.Buffer
	writer, err := gzip.NewWriterLevel(&buffer, gzip.BestCompression)
	if err != nil {
		panic(err) // the level exists
	}
	_, _ = writer.Write(text) // a buffer takes everything
	_ = writer.Close()
	return buffer.Bytes()
}

// longGzipHeader has an extra field as long as it may be.
func longGzipHeader() []byte {
	var buffer bytes.Buffer
	writer := gzip.NewWriter(&buffer)
	writer.Extra = make([]byte, 0xffff)
	writer.Name = strings.Repeat("x", 400)
	_, _ = writer.Write([]byte("{}"))
	_ = writer.Close()
	return buffer.Bytes()
}

// cpuTicks is the processor time that the program has used, in hundredths of a
// second.
func (g *target) cpuTicks(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(g.pid), "stat"))
	if err != nil {
		t.Skipf("NOT TESTED: processor time is read from /proc: %v", err)
	}
	// The name, in parentheses, may hold anything.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	const user, system = 11, 12
	sum := 0
	for _, field := range []string{fields[user], fields[system]} {
		ticks, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		sum += ticks
	}
	return sum
}
