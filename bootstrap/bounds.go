package bootstrap

import (
	"fmt"

	"go.uber.org/fx"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/app"
)

// The bounds of bounds.
const (
	maxMB      = 1 << 20
	maxCounted = 10_000_000
)

// checkBounds judges how much may be kept of what clients send.
func (c *Config) checkBounds(p *problems) {
	p.between("MAX_QUEUE_MB", c.MaxQueueMB, 1, maxMB)
	p.between("MAX_DEAD_LETTERS", c.MaxDeadLetters, 1, maxCounted)
	p.between("MAX_DEAD_LETTER_MB", c.MaxDeadLetterMB, 1, maxMB)
	p.between("MAX_RECEIPTS", c.MaxReceipts, 1, maxCounted)
	p.between("MAX_RECEIPT_MB", c.MaxReceiptMB, 1, maxMB)
	p.between("CACHE_MAX_MB", c.CacheMaxMB, 1, maxMB)
	p.between("CACHE_BUCKETS_MB", c.CacheBucketsMB, 0, maxMB)
	p.between("RATE_LIMIT_MAX_CLIENTS", c.RateLimitMaxClients, 1, maxCounted)
	// A queued batch takes at most twice what its body did, and a little.
	need := (2*c.APIBodyLimitKB+kilobyte)/kilobyte + 1
	for _, bound := range []struct {
		variable  string
		megabytes int
		never     string
	}{
		{"MAX_QUEUE_MB", c.MaxQueueMB, "fits into the queue"},
		{"MAX_DEAD_LETTER_MB", c.MaxDeadLetterMB, "is kept as a dead letter"},
	} {
		if bound.megabytes < need {
			p.add(bound.variable, fmt.Sprintf("is %d, so that the batch of a body of API_BODY_LIMIT_KB (%d) may be one that never %s: give at least %d",
				bound.megabytes, c.APIBodyLimitKB, bound.never, need))
		}
	}
	c.checkCaches(p)
}

// checkCaches judges what a process keeps in its memory for readers.
func (c *Config) checkCaches(p *problems) {
	buckets := c.bucketsMB(megabyteLimit(c.MemoryLimitMB))
	// The default gives way, as MEMORY_LIMIT_MB may be the only thing that is set.
	if c.CacheBucketsMB > buckets && len(c.given([]string{"CACHE_BUCKETS_MB"})) > 0 {
		p.add("CACHE_BUCKETS_MB", fmt.Sprintf("is %d, more than MEMORY_LIMIT_MB (%d) leaves for it: give at most %d",
			c.CacheBucketsMB, c.MemoryLimitMB, buckets))
	}
	// The embedded store keeps answers and pages in the process, beside the answers
	// that are ready to send; nothing else may be left there.
	caches := megabytes(2*c.CacheMaxMB) + c.localAnswers()
	room := max(0, megabytes(c.MemoryLimitMB)/2-megabytes(buckets))
	if !c.usesServers() && caches > room {
		p.add("CACHE_MAX_MB", fmt.Sprintf("is %d, of which answers and pages, with %d MB of CACHE_BUCKETS_MB, take more than half of "+
			"MEMORY_LIMIT_MB (%d): give at most %d", c.CacheMaxMB, buckets, c.MemoryLimitMB, room/(megabytes(2)+megabytes(1)/localShare)))
	}
}

// localShare is what part of CACHE_MAX_MB a process keeps ready to send.
const localShare = 4

// localAnswers is how many bytes these are.
func (c *Config) localAnswers() int { return megabytes(c.CacheMaxMB) / localShare }

// bucketsMB is CACHE_BUCKETS_MB, or what the memory has room for, if that is less.
func (c *Config) bucketsMB(m *memoryBudget) int {
	return min(c.CacheBucketsMB, int(m.forBuckets()>>20))
}

// newBuckets returns the cache of packed aggregates, or nil for none: only a process
// that answers reads the same again and again.
func newBuckets(c Config, m *memoryBudget) *app.PackedCache {
	size := c.bucketsMB(m)
	if size == 0 || !c.Role.answers() {
		return nil
	}
	return app.NewPackedCache(megabytes(size))
}

// readerMemory is what a store keeps in memory for readers; a command has none.
type readerMemory struct {
	fx.In

	Buckets *app.PackedCache `optional:"true"`
}

const kilobyte = 1 << 10

func megabytes(n int) int { return n << 20 }

func (c *Config) sqliteQueue() sqlite.QueueConfig {
	return sqlite.QueueConfig{
		MaxEvents: c.MaxQueueSize, MaxBytes: megabytes(c.MaxQueueMB),
		MaxDeadLetters: c.MaxDeadLetters, MaxDeadLetterBytes: megabytes(c.MaxDeadLetterMB),
		MaxReceipts: c.MaxReceipts, MaxReceiptBytes: megabytes(c.MaxReceiptMB),
	}
}

func (c *Config) redisQueue() redis.QueueConfig {
	return redis.QueueConfig{
		MaxEvents: c.MaxQueueSize, MaxBytes: megabytes(c.MaxQueueMB),
		MaxDeadLetters: c.MaxDeadLetters, MaxDeadLetterBytes: megabytes(c.MaxDeadLetterMB),
		MaxReceipts: c.MaxReceipts, MaxReceiptBytes: megabytes(c.MaxReceiptMB),
	}
}

// What Redis takes, in bytes: for itself and for all that is small; for an account
// of a client that uses its whole allowance; and beside each byte that is counted,
// for what the allocator cannot use, in per cent.
const (
	redisBase      = 8 << 20
	redisPerClient = 1 << 10
	redisExtra     = 25
)

// redisNeed is how much memory Redis takes at most.
func (c *Config) redisNeed() int64 {
	counted := megabytes(c.MaxQueueMB + c.MaxDeadLetterMB + c.MaxReceiptMB + 2*c.CacheMaxMB)
	if c.RateLimitPerMinute > 0 {
		counted += c.RateLimitMaxClients * redisPerClient
	}
	return int64(redisBase + counted + counted/100*redisExtra)
}

func (c *Config) redisCache() redis.CacheConfig {
	return redis.CacheConfig{MaxBytes: megabytes(c.CacheMaxMB)}
}

func (c *Config) memoryCache(o Options) memory.CacheConfig {
	return memory.CacheConfig{MaxBytes: megabytes(c.CacheMaxMB), Clock: o.Clock}
}
