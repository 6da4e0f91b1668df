package redis_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// site is a queue for a contract suite, reached through a relay.
type site struct {
	server    *servers.RedisServer
	console   console
	clock     *memory.Clock
	prefix    string
	maxEvents int
	bounds    contract.QueueBounds

	relay *relay
	pool  *redis.Pool
}

func newSite(t *testing.T, maxEvents int) *site {
	t.Helper()
	server := servers.SharedRedis(t)
	s := &site{
		server:    server,
		console:   newConsole(t, server.URL()),
		clock:     memory.NewClock(contract.Now),
		prefix:    newPrefix(),
		maxEvents: maxEvents,
	}
	s.connect(t)
	return s
}

func (s *site) connect(t *testing.T) {
	t.Helper()
	s.relay = newRelay(t, s.server.Address())
	s.pool = open(t, redis.Config{URL: s.server.URLAt(s.relay.Address()), Prefix: s.prefix, Clock: s.clock})
}

func (s *site) queue() *redis.Queue {
	queue := redis.NewQueue(s.pool, redis.QueueConfig{
		MaxEvents: s.maxEvents, MaxBytes: s.bounds.Bytes,
		MaxReceipts: s.bounds.Receipts, MaxReceiptBytes: s.bounds.ReceiptBytes,
		MaxDeadLetters: s.bounds.DeadLetters, MaxDeadLetterBytes: s.bounds.DeadLetterBytes,
	})
	queue.GoBy(s.clockKey())
	return queue
}

// clockKey is where scripts find the time.
func (s *site) clockKey() string { return s.prefix + ":clock" }

// advance moves the clocks of process and server.
func (s *site) advance(d time.Duration) {
	s.clock.Advance(d)
	s.console.do("SET", s.clockKey(), s.clock.Now().UnixMicro())
}

// crash cuts off whoever is connected, lets the time of its heartbeat pass, and
// connects anew.
func (s *site) crash(t *testing.T) *redis.Queue {
	t.Helper()
	s.relay.Cut()
	s.console.do("DEL", s.prefix+":workers")
	s.connect(t)
	return s.queue()
}

func (s *site) damage(_ *testing.T, id domain.BatchID) { s.console.damage(s.prefix, id) }

func (s *site) severed(*testing.T) { s.relay.Cut() }

func TestQueue(t *testing.T) {
	contract.Queue(t, func(t *testing.T, b contract.QueueBounds) contract.QueueHarness {
		s := newSite(t, b.Events)
		s.bounds = b
		s.advance(0)
		queue := s.queue()
		return contract.QueueHarness{
			Queue:       queue,
			Advance:     s.advance,
			Expire:      func(t *testing.T) { must(t, queue.ExpireReceipts(t.Context())) },
			DeadLetters: func(t *testing.T) []contract.DeadLetter { return contract.Buried(queue)(t) },
			Crash: func(t *testing.T) contract.QueuePorts {
				queue = s.crash(t)
				return queue
			},
			Damage:  s.damage,
			Break:   s.severed,
			Written: func(t *testing.T) []byte { return filesIn(t, s.server.Dir()) },
		}
	})
}

func TestDeadLetters(t *testing.T) {
	contract.DeadLetters(t, func(t *testing.T, maxEvents int) contract.DeadLettersHarness {
		s := newSite(t, maxEvents)
		s.advance(0)
		return contract.DeadLettersHarness{
			Queue:   s.queue(),
			Advance: s.clock.Advance,
			Crash:   func(t *testing.T) contract.DeadLetterPorts { return s.crash(t) },
			Damage:  s.damage,
			Break:   s.severed,
		}
	})
}

func TestStatisticsCache(t *testing.T) {
	contract.StatisticsCache(t, func(t *testing.T) contract.CacheHarness {
		s := newSite(t, 0)
		return contract.CacheHarness{
			Cache:   redis.NewCache(s.pool, redis.CacheConfig{}),
			Cramped: redis.NewCache(s.pool, redis.CacheConfig{MaxEntries: 4}),
			Advance: s.clock.Advance,
			Break:   s.severed,
		}
	})
}

func TestACacheKeepsOnlySoMuch(t *testing.T) {
	s := newSite(t, 0)
	cache := redis.NewCache(s.pool, redis.CacheConfig{MaxEntries: 2})
	for _, key := range []string{"page:a", "page:c", "page:b", "answer:a", "page:a"} {
		must(t, cache.Set(t.Context(), key, []byte(key), time.Hour))
	}
	// Neither the values nor what remembers them grow.
	for key, want := range map[string]int{":cache:page:a": 1, ":cache:page:b": 1, ":cache:page:c": 0, ":cache:answer:a": 1} {
		if n := s.console.number("EXISTS", s.prefix+key); n != want {
			t.Errorf("%s is there %d times", key, n)
		}
	}
	for kind, want := range map[string]int{"page:": 2, "answer:": 1} {
		if n := s.console.number("ZCARD", s.prefix+":order:"+kind); n != want {
			t.Errorf("%d of %s are remembered, want %d", n, kind, want)
		}
	}
}

func TestACacheKeepsOnlySoManyBytes(t *testing.T) {
	const room, size = 100_000, 9_000
	s := newSite(t, 0)
	cache := redis.NewCache(s.pool, redis.CacheConfig{MaxBytes: room})
	taken := func(kind string) (values, bytes int) {
		for _, key := range s.console.do("KEYS", s.prefix+":cache:"+kind+"*").([]any) {
			values++
			bytes += s.console.number("STRLEN", key) + len(key.([]byte))
		}
		return values, bytes
	}
	for n := range 50 {
		value := bytes.Repeat([]byte{byte(n)}, size+n%7*100)
		must(t, cache.Set(t.Context(), fmt.Sprint("page:", n%20), value, time.Hour))
		if values, bytes := taken("page:"); bytes > room || n > 20 && values < 8 {
			t.Fatalf("after %d: %d values take %d bytes of %d", n+1, values, bytes, room)
		}
	}
	must(t, cache.Set(t.Context(), "answer:a", make([]byte, room/2), time.Hour))
	// What is larger than the bound is not kept, and not in place of another.
	must(t, cache.Set(t.Context(), "answer:b", make([]byte, room), time.Hour))
	must(t, cache.Set(t.Context(), "page:9", make([]byte, room), time.Hour))
	if _, _, ok, _ := cache.Get(t.Context(), "answer:a"); !ok {
		t.Error("a value too large pushed out another")
	}
	for _, key := range []string{"answer:b", "page:9"} {
		if _, _, ok, _ := cache.Get(t.Context(), key); ok {
			t.Errorf("%s is kept", key)
		}
	}
	// Whoever meddles with the sizes costs what is kept and not the bound.
	s.console.do("DEL", s.prefix+":order:page:sizes")
	for n := range 50 {
		must(t, cache.Set(t.Context(), fmt.Sprint("page:new-", n), make([]byte, size), time.Hour))
	}
	if values := s.console.number("ZCARD", s.prefix+":order:page:"); values != room/(size+500)+1 && values != room/(size+500) {
		t.Errorf("%d values are kept", values)
	}
}
