package app

import (
	"context"
	"sync"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// LightLimiter grants requests in advance, within [ports.Limits.Share], and has the
// limiter that processes share charge them with the next request that it must be
// asked about: the first that exceeds the share, or what that limiter had left. So a
// client that asks little never costs it anything, and one that asks much costs it a
// part.
//
// Where nothing but one process grants, it decides what the shared limiter would. N
// processes together may grant N shares more in any window.
type LightLimiter struct {
	share  ports.Limits
	shared ports.SharedLimiter
	local  ports.LocalLimiter

	mu sync.Mutex
	// charging has the clients that are just being charged by the shared limiter,
	// until which their other requests wait.
	charging map[string]chan struct{}
}

var _ ports.Limiter = (*LightLimiter)(nil)

// NewLightLimiter returns a limiter for these limits, which the other two have, too.
func NewLightLimiter(limits ports.Limits, shared ports.SharedLimiter, local ports.LocalLimiter) *LightLimiter {
	return &LightLimiter{share: limits.Share(), shared: shared, local: local, charging: make(map[string]chan struct{})}
}

// Take judges one request, as ports.Limiter promises.
func (l *LightLimiter) Take(ctx context.Context, client string, events int) (ports.Allowance, error) {
	if err := ctx.Err(); err != nil {
		return ports.Allowance{}, domain.NewError(domain.CodeUnavailable, err, "the call was given up")
	}
	for {
		if allowance, ok := l.local.TakeWithin(client, events, l.share); ok {
			return allowance, nil
		}
		used, charged, before := l.handOver(client)
		if before == nil {
			defer charged()
			return l.ask(ctx, client, events, used)
		}
		select {
		case <-before:
		case <-ctx.Done():
			return ports.Allowance{}, domain.NewError(domain.CodeUnavailable, ctx.Err(), "the call was given up")
		}
	}
}

// ask has the shared limiter judge a request.
func (l *LightLimiter) ask(ctx context.Context, client string, events int, used ports.Usage) (ports.Allowance, error) {
	allowance, err := l.shared.TakeCharged(ctx, client, events, used)
	if err != nil {
		l.local.Resume(client) // and charged next time: rather twice than never
		return allowance, err
	}
	l.local.Settle(client, events, allowance)
	return allowance, nil
}

// handOver returns what the client is to be charged with. Requests must not overtake
// the one with which that is done: the others are given what to wait for before they
// try again. It ends with charged.
func (l *LightLimiter) handOver(client string) (used ports.Usage, charged func(), before <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if before, ok := l.charging[client]; ok {
		return ports.Usage{}, nil, before
	}
	used = l.local.HandOver(client)
	if used.None() {
		return used, func() {}, nil
	}
	done := make(chan struct{})
	l.charging[client] = done
	return used, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.charging, client)
		close(done)
	}, nil
}

// Barred refuses a client that is barred, as ports.Limiter promises.
func (l *LightLimiter) Barred(client string) (ports.Allowance, bool) { return l.shared.Barred(client) }
