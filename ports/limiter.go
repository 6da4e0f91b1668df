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

// The share of its limits that a client may use in one process before the others
// know, as parts of the burst, of the requests and of the events.
const (
	burstPerShare = 2
	limitPerShare = 10
)

// Share is how many requests and events each process may grant a client in advance,
// before all of them know: half the burst, but at most a tenth of the requests, and a
// tenth of the events. N processes therefore grant at most Limits and N shares in any
// LimitWindow. A share without requests means that nothing is granted in advance.
func (l Limits) Share() Limits {
	requests := min(l.Burst/burstPerShare, l.Requests/limitPerShare)
	return Limits{Requests: requests, Events: l.Events / limitPerShare, Burst: requests}
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

// Usage is what a client was granted, as far as it still counts.
type Usage struct {
	// Grants were made in the last LimitWindow, oldest first.
	Grants []Grant
	// Whole is after how long all of the burst is there again.
	Whole time.Duration
}

// Grant is a number of requests and their events, granted so long ago.
type Grant struct {
	Ago              time.Duration
	Requests, Events int
}

// None reports whether nothing counts any more.
func (u Usage) None() bool { return len(u.Grants) == 0 && u.Whole <= 0 }

// SharedLimiter is a limiter that counts for several processes.
type SharedLimiter interface {
	Limiter

	// TakeCharged is Take after the client was charged, in the same step, with what
	// this process granted it by itself. After an error it may or may not have been
	// charged.
	TakeCharged(ctx context.Context, client string, events int, used Usage) (Allowance, error)
}

// LocalLimiter is the limiter of one process beside a [SharedLimiter]: it grants a
// share in advance, and notes what the other decides about the process's requests.
type LocalLimiter interface {
	Limiter

	// TakeWithin is Take for a request that it grants in advance: what it granted in
	// the last LimitWindow and the shared limiter has not charged stays within the
	// share, this request included, and within what that had Remaining at last.
	// Otherwise it changes nothing and ok is false. It grants nothing in advance while
	// the client is handed over, nor after a refusal until the shared limiter has
	// granted a request or has not been asked for [LongestBar].
	TakeWithin(client string, events int, share Limits) (allowance Allowance, ok bool)

	// HandOver returns what was granted in advance and is to be charged, until Settle
	// or Resume is called.
	HandOver(client string) Usage

	// Settle notes that the client was charged, and what the shared limiter decided
	// about a request with that many events.
	Settle(client string, events int, decided Allowance)

	// Resume notes that nothing was decided.
	Resume(client string)
}
