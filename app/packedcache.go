package app

import (
	"container/list"
	"sync"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// packedOverhead is about what a value takes beside its bytes.
const packedOverhead = 256

// PackedCache keeps packed values in memory, as the store has them, so that what
// does not change is not read again. It holds a bounded number of bytes; what was
// used least lately goes first. A nil one holds nothing. It is safe for concurrent
// use.
type PackedCache struct {
	mu     sync.Mutex
	most   int
	bytes  int
	values map[domain.PackedKey]*list.Element
	// used has what was used last in front.
	used *list.List
}

// cachedValue is a value with the columns that latency and sessions name.
type cachedValue struct {
	packed            domain.Packed
	generation        int64
	latency, sessions bool
}

func (v *cachedValue) size() int {
	return packedOverhead + len(v.packed.Counts) + len(v.packed.Latency) + len(v.packed.Sessions)
}

// NewPackedCache returns one that holds that many bytes at most.
func NewPackedCache(bytes int) *PackedCache {
	return &PackedCache{most: bytes, values: make(map[domain.PackedKey]*list.Element), used: list.New()}
}

// Get returns what was put for the key and generation and has at least what read
// wants; ok is false when there is no such value. A key without a value in the
// store is one too: its Packed has no Counts.
func (c *PackedCache) Get(key domain.PackedKey, generation int64, read domain.PackedRead) (p domain.Packed, ok bool) {
	if c == nil {
		return domain.Packed{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	element, found := c.values[key]
	if !found {
		return domain.Packed{}, false
	}
	value := valueOf(element)
	if value.generation != generation || read.Latency && !value.latency || read.Sessions && !value.sessions {
		return domain.Packed{}, false
	}
	c.used.MoveToFront(element)
	return value.packed, true
}

// Put keeps the value, of which what read wants is set, in place of any earlier one
// of its key. The bytes must not be changed after that.
func (c *PackedCache) Put(p domain.Packed, generation int64, read domain.PackedRead) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, found := c.values[p.PackedKey]; found {
		c.remove(element)
	}
	value := &cachedValue{packed: p, generation: generation, latency: read.Latency, sessions: read.Sessions}
	c.values[p.PackedKey] = c.used.PushFront(value)
	c.bytes += value.size()
	for c.bytes > c.most {
		c.remove(c.used.Back())
	}
}

func (c *PackedCache) remove(element *list.Element) {
	value := valueOf(element)
	c.used.Remove(element)
	delete(c.values, value.packed.PackedKey)
	c.bytes -= value.size()
}

func valueOf(element *list.Element) *cachedValue {
	value, _ := element.Value.(*cachedValue) // nothing else is put there
	return value
}
