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

// StoreTime is what a store knows about the time.
type StoreTime struct {
	// At is what the store's clock shows or, when LowerBound is set, the newest
	// moment at which the store has anything received. It is zero when the
	// store has nothing to tell.
	At time.Time
	// LowerBound says that the time is At or later.
	LowerBound bool
}

// StoreClock is a second opinion on the time, from where data is stored.
type StoreClock interface {
	// Name is the store's as operators know it, such as "PostgreSQL".
	Name() string

	// Time asks the store. The answer is of a moment during the call.
	// domain.CodeUnavailable says that the store cannot be asked.
	Time(ctx context.Context) (StoreTime, error)
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
