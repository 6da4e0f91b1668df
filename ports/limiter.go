package ports

import (
	"context"
	"time"
)

// LimitWindow is the time that the limits of [Limits] are for.
const LimitWindow = time.Minute

// How repeated violation lengthens a wait. A client is heedless when it asks
// before the time that it was told is over; of one that was refused for its
// events alone, only batches that do not fit are. It violates a window when it
// is heedless [Limits.Patience] times in it; a window begins with the first
// time. The [StrikesToBar]-th violated window bars it for [LimitWindow], and
// every further one twice as long, up to [LongestBar]. Violations are forgotten
// when the last bar, or without one the last window, has been over for
// [LimitForgiveness].
const (
	StrikesToBar     = 3
	LongestBar       = 10 * time.Minute
	LimitForgiveness = 10 * time.Minute
)

// Limits is how much each client may ask for.
type Limits struct {
	// Requests and Events are the most that are granted in any LimitWindow.
	Requests, Events int
	// Burst is the most requests granted at once; with each Requests-th part
	// of LimitWindow one more may follow. At most Requests.
	Burst int
}

// leastPatience leaves room for what was under way when a client was refused.
const leastPatience = 10

// Patience is how often a client may be heedless in a window until it violates
// it: Burst times, and 10 at least.
func (l Limits) Patience() int { return max(l.Burst, leastPatience) }

// Allowance is a limiter's verdict on a request.
type Allowance struct {
	Granted bool
	// Barred tells that for the time being whatever the client asks is refused.
	Barred bool
	// Wait is when the same request can be granted, if the client asks nothing
	// else until then; 0 when it is granted.
	Wait time.Duration
	// Remaining is how many requests without events would be granted now.
	Remaining int
	// Reset is when Remaining is the whole burst again.
	Reset time.Duration
}

// Limiter keeps every client within [Limits]. A client is known by a name,
// which is made from its network address: it is kept under a hash only, whose
// random key is never written anywhere and lives for 24 h at most.
type Limiter interface {
	// Take judges one request with that many events, and counts it in the same
	// step; of concurrent requests never more are granted than the limits
	// allow. A request that is refused for its events counts as one without
	// any; every other refused one counts as none. More events than
	// Limits.Events are never granted. domain.CodeUnavailable says that
	// nothing was judged.
	Take(ctx context.Context, client string, events int) (Allowance, error)

	// Barred answers at no cost, as Take would a request without events, a
	// client that is known to be barred, and counts that it asked. ok is false
	// for every other client, and at times for a barred one: Take has to judge.
	Barred(client string) (allowance Allowance, ok bool)
}
