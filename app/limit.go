package app

import (
	"context"
	"sync/atomic"

	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// Limit decides whether a client may ask for more. While the limiter that
// processes share cannot be asked, this process limits by itself.
type Limit struct {
	limits        ports.Limits
	shared, alone ports.Limiter

	granted, refused, unshared atomic.Int64
}

// NewLimit returns the use case. A process that shares its limits with nobody
// gives the same limiter twice.
func NewLimit(limits ports.Limits, shared, alone ports.Limiter) *Limit {
	return &Limit{limits: limits, shared: shared, alone: alone}
}

// LimitCounts counts requests since the start.
type LimitCounts struct {
	Granted, Refused int64
	// Unshared were judged by this process alone, because the shared limiter
	// was away. They are among the others, too.
	Unshared int64
}

// PerMinute is how many requests a client may make in a minute.
func (u *Limit) PerMinute() int { return u.limits.Requests }

// Counts tells what was decided.
func (u *Limit) Counts() LimitCounts {
	return LimitCounts{Granted: u.granted.Load(), Refused: u.refused.Load(), Unshared: u.unshared.Load()}
}

// Take judges one request with that many events, and counts it.
func (u *Limit) Take(ctx context.Context, client string, events int) ports.Allowance {
	allowance, err := u.shared.Take(ctx, client, events)
	if err != nil {
		allowance = u.takeAlone(ctx, client, events)
	}
	u.count(allowance)
	return allowance
}

// takeAlone lets the request pass when nobody can judge it.
func (u *Limit) takeAlone(ctx context.Context, client string, events int) ports.Allowance {
	if ctx.Err() == nil { // otherwise the shared limiter may be well
		u.unshared.Add(1)
	}
	allowance, err := u.alone.Take(context.WithoutCancel(ctx), client, events)
	if err != nil {
		return ports.Allowance{Granted: true}
	}
	return allowance
}

// Barred tells, at no cost, whether a client is known to be refused whatever it
// asks, and counts that as refused.
func (u *Limit) Barred(client string) (ports.Allowance, bool) {
	allowance, barred := u.shared.Barred(client)
	if !barred && u.alone != u.shared {
		allowance, barred = u.alone.Barred(client)
	}
	if barred {
		u.count(allowance)
	}
	return allowance, barred
}

func (u *Limit) count(a ports.Allowance) {
	if a.Granted {
		u.granted.Add(1)
	} else {
		u.refused.Add(1)
	}
}
