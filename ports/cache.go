package ports

import (
	"context"
	"time"
)

// StatisticsCache keeps encoded answers for a while. It may forget anything at
// any time, and losing it loses nothing but time.
type StatisticsCache interface {
	// Get returns the value and when it expires, or ok false when there is
	// none.
	Get(ctx context.Context, key string) (value []byte, expires time.Time, ok bool, err error)

	// Set keeps the value for the lifetime, in place of any earlier one.
	Set(ctx context.Context, key string, value []byte, lifetime time.Duration) error
}
