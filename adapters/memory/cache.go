package memory

import (
	"container/heap"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var _ ports.StatisticsCache = (*Cache)(nil)

// CacheConfig tunes a cache. Zero values mean the defaults.
type CacheConfig struct {
	// MaxBytes bounds the keys and values together. Default 16 MiB.
	MaxBytes int
	// Clock tells when values expire. Default the system's clock.
	Clock ports.Clock
}

// Cache is a cache in memory. When it is full, what would expire first goes
// first.
type Cache struct {
	maxBytes int
	clock    ports.Clock

	mu      sync.Mutex
	bytes   int
	entries map[string]*cached
	queue   expiryQueue
	claims  map[string]claim
}

// claim is one process's right to compute a value.
type claim struct {
	holder string
	ends   time.Time
}

// NewCache returns an empty cache.
func NewCache(config CacheConfig) *Cache {
	c := &Cache{
		maxBytes: config.MaxBytes, clock: config.Clock,
		entries: make(map[string]*cached), claims: make(map[string]claim),
	}
	if c.maxBytes == 0 {
		c.maxBytes = 16 << 20
	}
	if c.clock == nil {
		c.clock = systemClock{}
	}
	return c
}

// Get looks a value up, as ports.StatisticsCache promises.
func (c *Cache) Get(ctx context.Context, key string) ([]byte, time.Time, bool, error) {
	if err := alive(ctx); err != nil {
		return nil, time.Time{}, false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e == nil || !c.clock.Now().Before(e.expires) {
		return nil, time.Time{}, false, nil
	}
	return slices.Clone(e.value), e.expires, true, nil
}

// Set keeps a value, as ports.StatisticsCache promises.
func (c *Cache) Set(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	if err := alive(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if earlier := c.entries[key]; earlier != nil {
		c.remove(earlier)
	}
	now := c.clock.Now()
	e := &cached{key: key, value: slices.Clone(value), expires: now.Add(lifetime)}
	c.entries[key] = e
	heap.Push(&c.queue, e)
	c.bytes += e.size()
	for len(c.queue) > 0 && (c.bytes > c.maxBytes || !now.Before(c.queue[0].expires)) {
		c.remove(c.queue[0])
	}
	return nil
}

// Claim asks for the right to compute a value, as ports.StatisticsCache
// promises.
func (c *Cache) Claim(ctx context.Context, key, holder string, lifetime time.Duration) (bool, error) {
	if err := alive(ctx); err != nil {
		return false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(c.claims, func(_ string, earlier claim) bool { return !now.Before(earlier.ends) })
	if _, claimed := c.claims[key]; claimed {
		return false, nil
	}
	c.claims[key] = claim{holder: holder, ends: now.Add(lifetime)}
	return true, nil
}

// Release gives the right back, as ports.StatisticsCache promises.
func (c *Cache) Release(ctx context.Context, key, holder string) error {
	if err := alive(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.claims[key].holder == holder {
		delete(c.claims, key)
	}
	return nil
}

func (c *Cache) remove(e *cached) {
	heap.Remove(&c.queue, e.place)
	delete(c.entries, e.key)
	c.bytes -= e.size()
}

type cached struct {
	key     string
	value   []byte
	expires time.Time
	place   int // in the queue
}

func (e *cached) size() int { return len(e.key) + len(e.value) }

// expiryQueue is a heap with what expires first at its top.
type expiryQueue []*cached

func (q expiryQueue) Len() int           { return len(q) }
func (q expiryQueue) Less(i, j int) bool { return q[i].expires.Before(q[j].expires) }

func (q expiryQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

func (q *expiryQueue) Push(e any) {
	added := e.(*cached)
	added.place = len(*q)
	*q = append(*q, added)
}

func (q *expiryQueue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return e
}
