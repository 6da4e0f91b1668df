package sqlite

import (
	"context"
	"sync"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// size is what batches count with in the queue.
type size struct {
	Batches, Events, Bytes int
}

func (s *size) add(other size) {
	s.Batches, s.Events, s.Bytes = s.Batches+other.Batches, s.Events+other.Events, s.Bytes+other.Bytes
}

func (s *size) subtract(other size) {
	s.Batches, s.Events, s.Bytes = s.Batches-other.Batches, s.Events-other.Events, s.Bytes-other.Bytes
}

// sizes counts what the queue's file holds and what waits to be written to it, so
// that a batch without room is refused at once, however busy the disk is. The
// process has the file to itself, so the counts are exact.
type sizes struct {
	mu            sync.Mutex
	held, waiting size
	lastPlace     int64
}

// count reads the counts from the file.
func (s *sizes) count(ctx context.Context, db *sqlx.DB) error {
	var row struct {
		size

		Last int64
	}
	err := db.GetContext(ctx, &row, `
		SELECT count(*) AS batches, coalesce(sum(events), 0) AS events, coalesce(sum(length(payload) + ?), 0) AS bytes,
			coalesce(max(place), 0) AS last
		FROM queue`, domain.BatchOverhead)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held, s.lastPlace = row.size, row.Last
	return err
}

// now returns what the file holds.
func (s *sizes) now() size {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

// reserve counts a batch among what waits, if there is room for it. The caller calls
// settle once it is written, or was not.
func (s *sizes) reserve(batch size, bounds *QueueConfig) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.held.Events+s.waiting.Events+batch.Events > bounds.MaxEvents, s.held.Bytes+s.waiting.Bytes+batch.Bytes > bounds.MaxBytes:
		return domain.NewError(domain.CodeQueueFull, nil, "the queue is full: try again later")
	case s.waiting.Batches == bounds.MaxWaiting, s.waiting.Batches > 0 && s.waiting.Bytes+batch.Bytes > bounds.MaxWaitingBytes:
		return domain.NewError(domain.CodeUnavailable, nil, "too many batches wait for the disk: try again later")
	}
	s.waiting.add(batch)
	return nil
}

// settle takes a batch from what waits, and counts it among what the file holds if
// it was written.
func (s *sizes) settle(batch size, written bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting.subtract(batch)
	if written {
		s.held.add(batch)
	}
}

// remove counts what was deleted from the file. An empty queue corrects what payloads
// that somebody changed by hand have made wrong.
func (s *sizes) remove(deleted size) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held.subtract(deleted)
	if s.held.Batches == 0 {
		s.held = size{}
	}
}

// place returns the place after all others. The caller has begun a transaction that
// writes, so places are committed in their order.
func (s *sizes) place() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastPlace++
	return s.lastPlace
}
