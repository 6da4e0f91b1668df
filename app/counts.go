package app

import "sync/atomic"

// AnswerCounts says how often what happened since the start.
type AnswerCounts struct {
	// Hits, Stale and Misses count readers: who got a fresh answer that was
	// there, got a stale one, or had to wait for a computation.
	Hits, Stale, Misses int64
	// Computations counts those of this process, and Failures those among
	// them that failed but for the question's fault.
	Computations, Failures int64
	// CacheErrors counts calls of the cache that failed.
	CacheErrors int64
}

// HitRate is the share of readers who did not wait, from 0 to 1; 0 when there
// was none.
func (c AnswerCounts) HitRate() float64 {
	readers := c.Hits + c.Stale + c.Misses
	if readers == 0 {
		return 0
	}
	return float64(c.Hits+c.Stale) / float64(readers)
}

// outcome is how a reader came by an answer. The zero outcome is a miss.
type outcome int

const (
	outcomeMiss outcome = iota
	outcomeHit
	outcomeStale
)

type answerCounters struct {
	readers                             [3]atomic.Int64 // by outcome
	computations, failures, cacheErrors atomic.Int64
}

func (c *answerCounters) of(o outcome) *atomic.Int64 { return &c.readers[o] }

// Counts tells how well answers were shared.
func (u *Answers) Counts() AnswerCounts {
	c := &u.counts
	return AnswerCounts{
		Hits:         c.of(outcomeHit).Load(),
		Stale:        c.of(outcomeStale).Load(),
		Misses:       c.of(outcomeMiss).Load(),
		Computations: c.computations.Load(),
		Failures:     c.failures.Load(),
		CacheErrors:  c.cacheErrors.Load(),
	}
}
