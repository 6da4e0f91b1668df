package ports

import (
	"context"
	"time"
)

// LimitWindow is the time that the limits of [Limits] are for.
const LimitWindow = time.Minute

// How repeated violation lengthens a wait. A client violates a window when it
// is refused in it. From the [StrikesToBar]-th violated window on it is barred
// for [LimitWindow], and twice as long for every further one, up to
// [LongestBar]. Violations are forgotten when there was none for
// [LimitForgiveness] after the last wait.
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

// Allowance is a limiter's verdict on a request.
type Allowance struct {
	Granted bool
	// Barred tells that whatever the client asks is refused until Wait is over.
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

	// Barred tells, at no cost, what Take would answer to a client that is
	// known to be barred; ok is false for every other client. It counts
	// nothing.
	Barred(client string) (allowance Allowance, ok bool)
}
