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

var _ ports.SharedLimiter = (*Limiter)(nil)

// LimiterConfig tunes a limiter. Zero values mean the defaults.
type LimiterConfig struct {
	// Limits must be given; Burst counts as 1 at least.
	Limits ports.Limits
	// MaxClients is how many clients are remembered, so that many addresses
	// cannot fill the memory that the queue needs. When there are more, the one
	// that was judged least recently is forgotten and has its whole allowance
	// again. Default 20,000.
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

	mu    sync.Mutex
	bars  map[string]*bar // by account, as far as we were told
	swept time.Duration   // when those that are over were forgotten
}

// bar is what is known of a client that is or was barred. Times are on the
// clock's Elapsed, so that setting the clock bars nobody for longer.
type bar struct {
	until time.Duration
	reset time.Duration // after until
	since time.Duration // when the window began in which it asked nevertheless,
	known int           // so often as the server knows
	asked int           // and so often beside that
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
		most:   cmp.Or(config.MaxClients, 20_000),
		keys:   newKeyring(pool, lifetime),
		script: takeScript,
		bars:   make(map[string]*bar),
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
	return l.TakeCharged(ctx, client, events, ports.Usage{})
}

// TakeCharged charges a client and judges a request, as ports.SharedLimiter
// promises.
func (l *Limiter) TakeCharged(ctx context.Context, client string, events int, used ports.Usage) (ports.Allowance, error) {
	if err := ctx.Err(); err != nil {
		return ports.Allowance{}, l.pool.config.translate(ctx, "limit.take", err)
	}
	id, account, ok := l.keys.hash(client)
	if !ok {
		l.keys.renew(id)
		return ports.Allowance{}, errNoKey()
	}
	k := &l.pool.keys
	asked, ago := l.handOver(account)
	args := []any{
		k.agreed, k.accounts + account, k.clients,
		id, l.most, l.limits.Requests, l.limits.Burst, l.limits.Events, l.limits.Patience(), events, asked, ago.Microseconds(),
	}
	answer, err := redigo.Int64s(l.pool.run(ctx, "limit.take", l.script, append(args, toCharge(used)...)...))
	switch {
	case err != nil:
		return ports.Allowance{}, err
	case len(answer) == 0:
		l.keys.renew(id)
		return ports.Allowance{}, errNoKey()
	case len(answer) != len(verdict{}):
		return ports.Allowance{}, fmt.Errorf("limit.take: an answer of %d numbers", len(answer))
	}
	l.remember(account, verdict(answer))
	return verdict(answer).allowance(), nil
}

// toCharge gives the script's arguments for what this process granted by itself.
func toCharge(used ports.Usage) []any {
	if used.None() {
		return nil
	}
	args := []any{used.Whole.Microseconds()}
	for _, g := range used.Grants {
		args = append(args, g.Ago.Microseconds(), g.Requests, g.Events)
	}
	return args
}

func errNoKey() error {
	return domain.NewError(domain.CodeUnavailable, nil, "the limits are not shared yet")
}

// verdict is what the script answers.
type verdict [7]int64

func (v verdict) allowance() ports.Allowance {
	return ports.Allowance{Granted: v[0] == 1, Barred: v.bar() > 0, Wait: v.time(2), Remaining: int(v[3]), Reset: v.time(4)}
}

func (v verdict) bar() time.Duration { return v.time(1) }

func (v verdict) time(i int) time.Duration { return time.Duration(v[i]) * time.Microsecond }

// remember notes that a client is barred. What is forgotten again for want of
// room the server knows.
func (l *Limiter) remember(account string, v verdict) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.pool.config.Clock.Elapsed()
	b := l.bars[account]
	if b == nil {
		if v.bar() == 0 {
			return
		}
		l.sweep(now)
		b = new(bar)
		l.bars[account] = b
	}
	b.since, b.known, b.asked = now-v.time(6), int(v[5]), 0
	if v.bar() > 0 {
		b.until, b.reset = now+v.bar(), v.time(4)-v.bar()
	}
}

// sweep forgets, once in a window, those bars that have been over for another,
// and all when there is no room.
func (l *Limiter) sweep(now time.Duration) {
	if len(l.bars) < l.most && now-l.swept < ports.LimitWindow {
		return
	}
	l.swept = now
	for account, b := range l.bars {
		if now-b.until >= ports.LimitWindow {
			delete(l.bars, account)
		}
	}
	if len(l.bars) >= l.most {
		clear(l.bars)
	}
}

// Barred refuses a client that is barred, as far as this process was told. It
// does so without the server until that has to know that the client goes on.
func (l *Limiter) Barred(client string) (ports.Allowance, bool) {
	if !l.hasBars() {
		return ports.Allowance{}, false
	}
	_, account, ok := l.keys.hash(client)
	if !ok {
		return ports.Allowance{}, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.pool.config.Clock.Elapsed()
	b := l.bars[account]
	if b == nil || now >= b.until || b.ask(now, l.limits.Patience()) {
		return ports.Allowance{}, false
	}
	wait := b.until - now
	return ports.Allowance{Barred: true, Wait: wait, Reset: wait + b.reset}, true
}

// hasBars reports whether any client may be refused here. While none may, requests cost
// no hash.
func (l *Limiter) hasBars() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.bars) > 0
}

// ask counts that the client asks, and tells whether that violates the window.
func (b *bar) ask(now time.Duration, patience int) bool {
	if now-b.since >= ports.LimitWindow {
		b.since, b.known, b.asked = now, 0, 0
	}
	if b.known >= patience { // it is violated
		return false
	}
	b.asked++
	return b.known+b.asked == patience
}

// handOver returns how often a client asked since the server was told, and how
// long ago that began.
func (l *Limiter) handOver(account string) (asked int, ago time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bars[account]
	if b == nil {
		return 0, 0
	}
	asked, ago = b.asked, l.pool.config.Clock.Elapsed()-b.since
	b.asked = 0
	if ago >= ports.LimitWindow {
		return 0, 0
	}
	return asked, ago
}
