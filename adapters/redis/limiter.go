package redis

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var _ ports.Limiter = (*Limiter)(nil)

// LimiterConfig tunes a limiter. Zero values mean the defaults.
type LimiterConfig struct {
	// Limits must be given; Burst counts as 1 at least.
	Limits ports.Limits
	// MaxClients is how many clients are remembered, so that many addresses
	// cannot fill the memory that the queue needs. When there are more, the one
	// that was judged least recently is forgotten and has its whole allowance
	// again. Default 50,000.
	MaxClients int
	// KeyLifetime is how long the same key hashes the clients' names. Default,
	// and at most, 24 h.
	KeyLifetime time.Duration
}

const maxKeyLifetime = 24 * time.Hour

// Limiter is the limiter that all processes with the pool's prefix share. By
// the server's clock each request is judged in one script.
type Limiter struct {
	pool   *Pool
	limits ports.Limits
	most   int
	keys   *keyring
	script *redigo.Script

	mu     sync.Mutex
	barred map[string]bar // by account, as far as we were told
}

type bar struct {
	until time.Time
	reset time.Duration // after until
}

// NewLimiter returns a limiter, which agrees on a key with the other processes
// in the background until the pool is closed.
func NewLimiter(pool *Pool, config LimiterConfig) *Limiter {
	config.Limits.Burst = max(config.Limits.Burst, 1)
	config.Limits.Requests = max(config.Limits.Requests, 1)
	lifetime := min(cmp.Or(config.KeyLifetime, maxKeyLifetime), maxKeyLifetime)
	return &Limiter{
		pool:   pool,
		limits: config.Limits,
		most:   cmp.Or(config.MaxClients, 50_000),
		keys:   newKeyring(pool, lifetime),
		script: takeScript,
		barred: make(map[string]bar),
	}
}

// Await returns when there is a key, or when ctx ends. Until then nothing can
// be judged.
func (l *Limiter) Await(ctx context.Context) {
	select {
	case <-l.keys.agreed:
	case <-ctx.Done():
	}
}

// Take judges a request, as ports.Limiter promises.
func (l *Limiter) Take(ctx context.Context, client string, events int) (ports.Allowance, error) {
	if err := ctx.Err(); err != nil {
		return ports.Allowance{}, translate(ctx, "limit.take", err)
	}
	id, account, ok := l.keys.hash(client)
	if !ok {
		l.keys.renew(id)
		return ports.Allowance{}, errNoKey()
	}
	k := &l.pool.keys
	answer, err := redigo.Int64s(l.pool.run(ctx, "limit.take", l.script, k.agreed, k.accounts+account, k.clients,
		id, l.most, l.limits.Requests, l.limits.Burst, l.limits.Events, events))
	switch {
	case err != nil:
		return ports.Allowance{}, err
	case len(answer) == 0:
		l.keys.renew(id)
		return ports.Allowance{}, errNoKey()
	case len(answer) != len(verdict{}):
		return ports.Allowance{}, fmt.Errorf("limit.take: an answer of %d numbers", len(answer))
	}
	allowance := verdict(answer).allowance()
	if allowance.Barred {
		l.remember(account, allowance)
	}
	return allowance, nil
}

func errNoKey() error {
	return domain.NewError(domain.CodeUnavailable, nil, "the limits are not shared yet")
}

// verdict is what the script answers.
type verdict [5]int64

func (v verdict) allowance() ports.Allowance {
	return ports.Allowance{
		Granted: v[0] == 1, Barred: v[1] == 1, Wait: time.Duration(v[2]) * time.Microsecond,
		Remaining: int(v[3]), Reset: time.Duration(v[4]) * time.Microsecond,
	}
}

// remember notes that a client is barred. What is forgotten again for want of
// room the server knows.
func (l *Limiter) remember(account string, a ports.Allowance) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.pool.config.Clock.Now()
	if len(l.barred) >= l.most {
		for other, b := range l.barred {
			if !now.Before(b.until) {
				delete(l.barred, other)
			}
		}
	}
	if len(l.barred) >= l.most {
		clear(l.barred)
	}
	l.barred[account] = bar{until: now.Add(a.Wait), reset: a.Reset - a.Wait}
}

// Barred looks whether a client is barred, as far as this process was told.
func (l *Limiter) Barred(client string) (ports.Allowance, bool) {
	_, account, ok := l.keys.hash(client)
	if !ok {
		return ports.Allowance{}, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.barred[account]
	wait := b.until.Sub(l.pool.config.Clock.Now())
	if wait <= 0 {
		delete(l.barred, account)
		return ports.Allowance{}, false
	}
	return ports.Allowance{Barred: true, Wait: wait, Reset: wait + b.reset}, true
}
