package ports

import (
	"context"
	"time"
)

// StatisticsCache keeps encoded answers for a while. It may forget anything at
// any time, and losing it loses nothing but time.
//
// A key begins with its kind, up to the first colon; there are few kinds. Each
// has a bound of its own, so that many values of one push out none of another.
// Within a kind what was set first goes first, and what is being set never.
type StatisticsCache interface {
	// Get returns the value and when it expires, or ok false when there is
	// none.
	Get(ctx context.Context, key string) (value []byte, expires time.Time, ok bool, err error)

	// Set keeps the value for the lifetime, in place of any earlier one.
	Set(ctx context.Context, key string, value []byte, lifetime time.Duration) error

	// Claim makes the holder, whose name no other process has, the one that
	// may compute the key's value. It returns false while an earlier claim
	// lasts, be it the holder's own: until its lifetime, counted in real time,
	// is over or it is released. Values are not touched.
	Claim(ctx context.Context, key, holder string, lifetime time.Duration) (bool, error)

	// Release ends the holder's claim. Anyone else's stays; none is no error.
	Release(ctx context.Context, key, holder string) error
}
