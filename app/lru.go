package app

import (
	"container/list"
	"sync"
)

// lru keeps values in memory, bounded in number and in bytes. The value that was
// used least recently goes first. It is safe for concurrent use.
type lru[K comparable, V any] struct {
	maxEntries, maxBytes int
	// size returns the bytes that an entry counts for.
	size func(K, V) int

	mu      sync.Mutex
	bytes   int
	entries map[K]*list.Element
	// recent has the entry that was used last in front.
	recent *list.List
}

type lruEntry[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](maxEntries, maxBytes int, size func(K, V) int) *lru[K, V] {
	return &lru[K, V]{
		maxEntries: maxEntries, maxBytes: maxBytes, size: size,
		entries: make(map[K]*list.Element), recent: list.New(),
	}
}

// get returns the key's value and counts that as its use.
func (c *lru[K, V]) get(key K) (value V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.entries[key]
	if !ok {
		return value, false
	}
	c.recent.MoveToFront(element)
	return c.entry(element).value, true
}

// put keeps the value in place of any earlier one of the key. A value larger than
// the bound is not kept.
func (c *lru[K, V]) put(key K, value V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if earlier, ok := c.entries[key]; ok {
		c.remove(earlier)
	}
	size := c.size(key, value)
	if size > c.maxBytes {
		return
	}
	c.entries[key] = c.recent.PushFront(&lruEntry[K, V]{key, value})
	c.bytes += size
	for c.bytes > c.maxBytes || len(c.entries) > c.maxEntries {
		c.remove(c.recent.Back())
	}
}

// remove forgets an entry. The lock is held.
func (c *lru[K, V]) remove(element *list.Element) {
	e := c.entry(element)
	c.recent.Remove(element)
	delete(c.entries, e.key)
	c.bytes -= c.size(e.key, e.value)
}

func (*lru[K, V]) entry(element *list.Element) *lruEntry[K, V] {
	e, _ := element.Value.(*lruEntry[K, V]) // put stores nothing else
	return e
}
