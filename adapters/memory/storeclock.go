package memory

import (
	"context"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var (
	_ ports.StoreClock = (*ServerClock)(nil)
	_ ports.StoreClock = (*NewestStored)(nil)
)

// ServerClock is the clock of a server that a store is on.
type ServerClock struct {
	name  string
	clock ports.Clock
}

// NewServerClock returns the clock of a server of that name.
func NewServerClock(name string, clock ports.Clock) *ServerClock {
	return &ServerClock{name: name, clock: clock}
}

// Name is the server's.
func (c *ServerClock) Name() string { return c.name }

// Time tells the time, as ports.StoreClock promises.
func (c *ServerClock) Time(ctx context.Context) (ports.StoreTime, error) {
	return ports.StoreTime{At: c.clock.Now()}, alive(ctx)
}

// NewestStored is what a queue and a store know about the time.
type NewestStored struct {
	queue *Queue
	store *Store
}

// NewNewestStored returns what the queue and the store know.
func NewNewestStored(q *Queue, s *Store) *NewestStored { return &NewestStored{queue: q, store: s} }

// Name is "memory".
func (c *NewestStored) Name() string { return "memory" }

// Time looks for the newest batch, as ports.StoreClock promises.
func (c *NewestStored) Time(ctx context.Context) (ports.StoreTime, error) {
	activity, err := c.store.Activity(ctx)
	return ports.StoreTime{At: latest(activity.LastReceived, c.queue.newest()), LowerBound: true}, err
}

// newest is when the newest batch that waits was received, zero for none.
func (q *Queue) newest() time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	var newest time.Time
	for _, e := range q.entries {
		newest = latest(newest, e.batch.ReceivedAt)
	}
	return newest
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
