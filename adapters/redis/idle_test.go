package redis_test

import (
	"bufio"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// commands is how many commands the server has run, those of scripts included.
func commands(t *testing.T, c console) int {
	t.Helper()
	return statistic(t, c, "total_commands_processed")
}

// statistic is a number that the server counts.
func statistic(t *testing.T, c console, name string) int {
	t.Helper()
	info, _ := c.do("INFO", "stats").([]byte)
	for lines := bufio.NewScanner(strings.NewReader(string(info))); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), name+":"); ok {
			n, err := strconv.Atoi(text)
			must(t, err)
			return n
		}
	}
	t.Fatalf("no %s in %q", name, info)
	return 0
}

// The looks are as long as a worker's are by default, and their number is what is
// counted against: a slow machine makes no command more.
func TestAnIdleWorkerAsksLittle(t *testing.T) {
	const looks, most = 5, 15
	server := servers.Redis(t)
	console := newConsole(t, server.URL())
	q := openQueue(t, server.URL(), 10)
	receive(t, q, 10*time.Millisecond)
	before := commands(t, console)
	for range looks {
		receive(t, q, time.Second)
	}
	if n := commands(t, console) - before; n > most {
		t.Errorf("%d commands for %d looks of a second at an empty queue, want at most %d", n, looks, most)
	}
}

func TestAnIdleWorkerIsWoken(t *testing.T) {
	q := redis.NewQueue(open(t, redis.Config{URL: servers.SharedRedis(t).URL()}), redis.QueueConfig{Heartbeat: 10 * time.Minute})
	for i := range 3 {
		receive(t, q, 10*time.Millisecond)
		received := make(chan map[domain.BatchID]int, 1)
		start := time.Now()
		go func() { received <- receive(t, q, 20*time.Second) }()
		b := batchOf(i+1, 1)
		must(t, q.Enqueue(t.Context(), b))
		if got := <-received; got[b.ID] != 1 || time.Since(start) > 10*time.Second {
			t.Fatalf("received %v after %v", got, time.Since(start))
		}
		must(t, q.Acknowledge(t.Context(), b.ID))
	}
}

// What is not announced is found at the end of a look: here a batch whose
// announcement was lost with the worker that it woke.
func TestAnIdleWorkerFindsWhatIsNotAnnounced(t *testing.T) {
	server, prefix := servers.SharedRedis(t), newPrefix()
	console := newConsole(t, server.URL())
	q := redis.NewQueue(open(t, redis.Config{URL: server.URL(), Prefix: prefix}), redis.QueueConfig{})
	receive(t, q, 10*time.Millisecond)
	must(t, q.Enqueue(t.Context(), batchOf(1, 1)))
	console.do("DEL", prefix+":arrivals")
	if got := receive(t, q, 10*time.Millisecond); len(got) != 1 {
		t.Errorf("received %v, want the batch that was not announced", got)
	}
}

// A worker that waits long for nothing is handed a batch as one that lives.
func TestAnIdleWorkerKeepsWhatItIsHanded(t *testing.T) {
	server, prefix := servers.SharedRedis(t), newPrefix()
	console := newConsole(t, server.URL())
	newQueue := func() *redis.Queue {
		return redis.NewQueue(open(t, redis.Config{URL: server.URL(), Prefix: prefix}), redis.QueueConfig{Heartbeat: heartbeat})
	}
	idle, other := newQueue(), newQueue()
	receive(t, idle, 10*time.Millisecond)
	eventually(t, "an idle worker is not listed as alive", func() bool {
		return console.number("ZCOUNT", prefix+":workers", time.Now().UnixMilli(), "+inf") == 0
	})
	must(t, idle.Enqueue(t.Context(), batchOf(1, 1)))
	if got := receive(t, idle, time.Second); len(got) != 1 {
		t.Fatalf("received %v", got)
	}
	for end := time.Now().Add(2 * heartbeat); time.Now().Before(end); {
		if got := receive(t, other, 100*time.Millisecond); len(got) > 0 {
			t.Fatalf("received %v, which another holds", got)
		}
	}
}
