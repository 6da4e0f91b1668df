package app

import (
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// PackedCache keeps packed values in memory, as the store has them, so that what
// does not change is not read again. It holds a bounded number of bytes; what was
// used least lately goes first. The zero PackedCache and a nil one hold nothing.
type PackedCache struct{}

// NewPackedCache returns one that holds that many bytes at most.
func NewPackedCache(bytes int) *PackedCache { panic("not yet") }

// Get returns what was put for the key and generation and has at least what read
// wants; ok is false when there is no such value. A key without a value in the
// store is one too: its Packed has no Counts.
func (c *PackedCache) Get(key domain.PackedKey, generation int64, read domain.PackedRead) (p domain.Packed, ok bool) {
	panic("not yet")
}

// Put keeps the value, of which what read wants is set, in place of any earlier one
// of its key.
func (c *PackedCache) Put(p domain.Packed, generation int64, read domain.PackedRead) { panic("not yet") }
