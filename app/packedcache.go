package app

import (
	"math"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// packedOverhead is about what a value takes beside its bytes.
const packedOverhead = 256

// PackedCache keeps packed values in memory, as the store has them, so that what
// does not change is not read again. It holds a bounded number of bytes; what was
// used least recently goes first. A nil one holds nothing. It is safe for concurrent
// use.
type PackedCache struct {
	values *lru[domain.PackedKey, cachedValue]
}

// cachedValue is a value with the columns that latency and sessions name.
type cachedValue struct {
	packed            domain.Packed
	generation        int64
	latency, sessions bool
}

// NewPackedCache returns one that holds that many bytes at most.
func NewPackedCache(bytes int) *PackedCache {
	size := func(_ domain.PackedKey, v cachedValue) int {
		return packedOverhead + len(v.packed.Counts) + len(v.packed.Latency) + len(v.packed.Sessions)
	}
	return &PackedCache{newLRU(math.MaxInt, bytes, size)}
}

// Get returns what was put for the key and generation and has at least what read
// wants; ok is false when there is no such value. A key without a value in the
// store is one too: its Packed has no Counts.
func (c *PackedCache) Get(key domain.PackedKey, generation int64, read domain.PackedRead) (p domain.Packed, ok bool) {
	if c == nil {
		return domain.Packed{}, false
	}
	value, ok := c.values.get(key)
	if !ok || value.generation != generation || read.Latency && !value.latency || read.Sessions && !value.sessions {
		return domain.Packed{}, false
	}
	return value.packed, true
}

// Put keeps the value, of which what read wants is set, beside the other columns that
// it has of the generation, and in place of any other of its key. The bytes must not
// be changed after that.
func (c *PackedCache) Put(p domain.Packed, generation int64, read domain.PackedRead) {
	if c == nil {
		return
	}
	value := cachedValue{packed: p, generation: generation, latency: read.Latency, sessions: read.Sessions}
	if known, ok := c.values.get(p.PackedKey); ok && known.generation == generation {
		if known.latency && !value.latency {
			value.latency, value.packed.Latency = true, known.packed.Latency
		}
		if known.sessions && !value.sessions {
			value.sessions, value.packed.Sessions = true, known.packed.Sessions
		}
	}
	c.values.put(p.PackedKey, value)
}
