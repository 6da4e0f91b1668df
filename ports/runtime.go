package ports

import (
	"context"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// Clock tells the time, and how much of it passes.
type Clock interface {
	// Now returns the wall time. It may jump in either direction: an operator
	// or a time server sets it.
	Now() time.Time

	// Elapsed returns the time since a fixed moment in the life of this
	// process. It never goes back, and setting the wall time does not move it.
	// Ages and intervals within a process are differences of Elapsed.
	Elapsed() time.Duration
}

// BatchIDs makes batch ids.
type BatchIDs interface {
	// NewBatchID returns an id that no other call ever returns, in any
	// process, and that sorts after the ids made before in this process.
	NewBatchID() domain.BatchID
}

// HealthCheck tells whether something that the service needs works.
type HealthCheck interface {
	// Name is what the check is called in answers, such as "store".
	Name() string
	// Check returns nil when it works. It ends soon after ctx does.
	Check(ctx context.Context) error
}
