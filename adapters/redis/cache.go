package redis

import (
	"cmp"
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
	// MaxEntries and MaxBytes bound how many values of each kind are kept, and
	// how much these take, so that curious readers cannot fill the memory that
	// the queue needs. Defaults 4096 and 16 MiB.
	MaxEntries, MaxBytes int
}

// Cache keeps answers beside the queue. When Redis has no memory left it keeps
// none.
type Cache struct {
	pool   *Pool
	config CacheConfig
}

// NewCache returns the cache that all processes with the pool's prefix share.
func NewCache(pool *Pool, config CacheConfig) *Cache {
	config.MaxEntries = cmp.Or(config.MaxEntries, 4096)
	config.MaxBytes = cmp.Or(config.MaxBytes, 16<<20)
	return &Cache{pool: pool, config: config}
}

// headSize is the length of what stands before a value: when it was set, in
// Unix nanoseconds, and its lifetime.
const headSize = 16

// maxLead is how far the clock of a process that sets a value may be ahead of
// one that reads it. Redis bounds the value's life all the same. A clock that
// was set back by more makes values expire.
const maxLead = time.Minute

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
	if err != nil || len(kept) < headSize {
		return nil, time.Time{}, false, err
	}
	set := time.Unix(0, int64(binary.BigEndian.Uint64(kept))).UTC()       //nolint:gosec // written by Set
	lifetime := time.Duration(binary.BigEndian.Uint64(kept[headSize/2:])) //nolint:gosec // written by Set
	if age := c.pool.config.Clock.Now().Sub(set); age < -maxLead || age >= lifetime {
		return nil, time.Time{}, false, nil
	}
	return kept[headSize:], set.Add(lifetime), true, nil
}

// Set keeps a value, as ports.StatisticsCache promises.
func (c *Cache) Set(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	kept := binary.BigEndian.AppendUint64(make([]byte, 0, headSize+len(value)), uint64(c.pool.config.Clock.Now().UnixNano()))
	kept = append(binary.BigEndian.AppendUint64(kept, uint64(max(lifetime, 0))), value...)
	k := &c.pool.keys
	order := k.order + key[:strings.Index(key, ":")+1] // of the key's kind
	// Redis forgets the value; by when it is over the clock tells.
	_, err := c.pool.run(ctx, "cache.set", cacheSetScript, k.cache+key, order, order+"sizes",
		kept, atLeastOne(lifetime), c.config.MaxEntries, c.config.MaxBytes)
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
