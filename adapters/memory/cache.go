package memory

import (
	"container/list"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var _ ports.StatisticsCache = (*Cache)(nil)

// CacheConfig tunes a cache. Zero values mean the defaults.
type CacheConfig struct {
	// MaxBytes bounds the keys and values of each kind together. Default
	// 16 MiB.
	MaxBytes int
	// Clock tells when values expire. Default the system's clock.
	Clock ports.Clock
}

// Cache is a cache in memory. When a kind is full, what was set first goes
// first. What is larger than the bound is not kept.
type Cache struct {
	maxBytes int
	clock    ports.Clock

	mu     sync.Mutex
	kinds  map[string]*shelf
	claims map[string]claim
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
		kinds: make(map[string]*shelf), claims: make(map[string]claim),
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
	place := c.shelf(key).places[key]
	if place == nil {
		return nil, time.Time{}, false, nil
	}
	e, now := cachedAt(place), c.now()
	left := e.left(now)
	if left <= 0 {
		return nil, time.Time{}, false, nil
	}
	return slices.Clone(e.value), now.wall.Add(left), true, nil
}

// Set keeps a value, as ports.StatisticsCache promises.
func (c *Cache) Set(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	if err := alive(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shelf(key)
	if earlier := s.places[key]; earlier != nil {
		s.remove(earlier)
	}
	now := c.now()
	e := cached{key: key, value: slices.Clone(value), set: now, lifetime: lifetime}
	if lifetime <= 0 || e.size() > c.maxBytes {
		return nil
	}
	s.makeRoom(c.maxBytes-e.size(), now)
	s.add(e)
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

// shelf returns what keeps the values of the key's kind.
func (c *Cache) shelf(key string) *shelf {
	kind := key[:strings.Index(key, ":")+1]
	if c.kinds[kind] == nil {
		c.kinds[kind] = &shelf{places: make(map[string]*list.Element)}
	}
	return c.kinds[kind]
}

// shelf keeps the values of one kind, in the order in which they were set.
type shelf struct {
	bytes  int
	order  list.List
	places map[string]*list.Element
}

func (s *shelf) add(e cached) {
	s.places[e.key] = s.order.PushBack(e)
	s.bytes += e.size()
}

func (s *shelf) remove(place *list.Element) {
	e := cachedAt(place)
	s.order.Remove(place)
	delete(s.places, e.key)
	s.bytes -= e.size()
}

// makeRoom removes the earliest values until the rest has at most so many
// bytes, and those behind them that have expired.
func (s *shelf) makeRoom(most int, now moment) {
	for first := s.order.Front(); first != nil; first = s.order.Front() {
		if s.bytes <= most && cachedAt(first).left(now) > 0 {
			return
		}
		s.remove(first)
	}
}

type cached struct {
	key      string
	value    []byte
	set      moment
	lifetime time.Duration
}

// clockNoise is by how much a time server corrects a clock in good order.
const clockNoise = time.Second

// left is for how long the value is kept yet. A clock that was set back behind
// the value ends it: it may have been computed for a time that has not come.
func (e cached) left(now moment) time.Duration {
	if e.set.wall.Sub(now.wall) > clockNoise {
		return 0
	}
	return e.lifetime - (now.elapsed - e.set.elapsed)
}

// moment is one on the wall and one on the clock's Elapsed.
type moment struct {
	wall    time.Time
	elapsed time.Duration
}

func (c *Cache) now() moment { return moment{c.clock.Now(), c.clock.Elapsed()} }

func (e cached) size() int { return len(e.key) + len(e.value) }

func cachedAt(place *list.Element) cached { return place.Value.(cached) }
