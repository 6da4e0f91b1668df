package app

import (
	"context"
	"fmt"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// StallAfter is for how long a backlog may wait without any of it being settled:
// a few times what a transaction of the largest size takes, and more than it
// takes until another worker has what a dead one held.
const StallAfter = 30 * time.Second

// BacklogConfig tunes a [Backlog]. Zero values mean the defaults.
type BacklogConfig struct {
	// StallAfter is for how long nothing may be settled. Default [StallAfter].
	StallAfter time.Duration
}

// Backlog is the health check of what waits in the queue: whether any worker
// takes it out, and whether there is room for more. A backlog that shrinks,
// however slowly, is healthy.
type Backlog struct {
	queue  ports.QueueMeter
	config BacklogConfig
}

var _ ports.HealthCheck = (*Backlog)(nil)

// NewBacklog returns the check of q.
func NewBacklog(q ports.QueueMeter, config BacklogConfig) *Backlog {
	setDefault(&config.StallAfter, StallAfter)
	return &Backlog{q, config}
}

// Name is "backlog".
func (*Backlog) Name() string { return "backlog" }

// fullPart is the part of the queue's bound, as its divisor, below which the room
// left is as good as none.
const fullPart = 100

// Check fails when nothing was settled for too long although batches wait,
// when the queue is full, and when a worker has closed the intake.
func (b *Backlog) Check(ctx context.Context) error {
	depth, err := b.queue.Depth(ctx)
	switch {
	case err != nil:
		return err
	case depth.Suspended:
		return domain.NewError(domain.CodeDiskFull, nil, "a worker finds no room on the disk of the store")
	case depth.Waiting > b.config.StallAfter:
		return domain.NewError(domain.CodeUnavailable,
			fmt.Errorf("%d events wait and none was stored for %v: see whether a worker runs and what it logs",
				depth.Events, depth.Waiting.Truncate(time.Second)),
			"events wait and no worker stores them")
	case isFull(depth.Events, depth.MaxEvents), isFull(depth.Bytes, depth.MaxBytes):
		return domain.NewError(domain.CodeQueueFull, nil, "the queue is full")
	}
	return nil
}

// isFull reports whether there is as good as no room left; a bound of 0 is
// unknown.
func isFull(held, most int) bool { return most > 0 && most-held <= most/fullPart }
