package redis

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var _ ports.StatisticsCache = (*Cache)(nil)

// CacheConfig tunes a cache. Zero values mean the defaults.
type CacheConfig struct {
	// MaxEntries bounds how many values of each kind are kept, so that curious
	// readers cannot fill the memory that the queue needs. Default 4096.
	MaxEntries int
}

// Cache keeps answers beside the queue. When Redis has no memory left it keeps
// none.
type Cache struct {
	pool       *Pool
	maxEntries int
}

// NewCache returns the cache that all processes with the pool's prefix share.
func NewCache(pool *Pool, config CacheConfig) *Cache {
	if config.MaxEntries == 0 {
		config.MaxEntries = 4096
	}
	return &Cache{pool: pool, maxEntries: config.MaxEntries}
}

// expirySize is the length of what stands before a value: when it expires, in
// Unix nanoseconds.
const expirySize = 8

// Get looks a value up, as ports.StatisticsCache promises.
func (c *Cache) Get(ctx context.Context, key string) ([]byte, time.Time, bool, error) {
	var kept []byte
	err := c.pool.call(ctx, "cache.get", func(ctx context.Context, conn redigo.Conn) error {
		var err error
		kept, err = redigo.Bytes(redigo.DoContext(conn, ctx, "GET", c.pool.keys.cache+key))
		if errors.Is(err, redigo.ErrNil) {
			return nil
		}
		return err
	})
	if err != nil || len(kept) < expirySize {
		return nil, time.Time{}, false, err
	}
	expires := time.Unix(0, int64(binary.BigEndian.Uint64(kept))).UTC() //nolint:gosec // written by Set
	if !c.pool.config.Clock.Now().Before(expires) {
		return nil, time.Time{}, false, nil
	}
	return kept[expirySize:], expires, true, nil
}

// Set keeps a value, as ports.StatisticsCache promises.
func (c *Cache) Set(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	expires := c.pool.config.Clock.Now().Add(lifetime)
	kept := binary.BigEndian.AppendUint64(make([]byte, 0, expirySize+len(value)), uint64(expires.UnixNano()))
	kept = append(kept, value...)
	k := &c.pool.keys
	order := k.order + key[:strings.Index(key, ":")+1] // of the key's kind
	// Redis forgets the value; by when it is over the clock tells.
	_, err := c.pool.run(ctx, "cache.set", cacheSetScript, k.cache+key, order, kept, atLeastOne(lifetime), c.maxEntries)
	return err
}

// Claim asks for the right to compute a value, as ports.StatisticsCache
// promises.
func (c *Cache) Claim(ctx context.Context, key, holder string, lifetime time.Duration) (bool, error) {
	claimed := false
	err := c.pool.call(ctx, "cache.claim", func(ctx context.Context, conn redigo.Conn) error {
		answer, err := redigo.DoContext(conn, ctx, "SET", c.pool.keys.claims+key, holder, "NX", "PX", atLeastOne(lifetime))
		claimed = answer != nil
		return err
	})
	return claimed && err == nil, err
}

// Release gives the right back, as ports.StatisticsCache promises.
func (c *Cache) Release(ctx context.Context, key, holder string) error {
	_, err := c.pool.run(ctx, "cache.release", cacheReleaseScript, c.pool.keys.claims+key, holder)
	return err
}

// atLeastOne is a lifetime in milliseconds that Redis takes.
func atLeastOne(lifetime time.Duration) int64 { return max(lifetime.Milliseconds()+1, 1) }
