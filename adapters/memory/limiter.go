package memory

import (
	"cmp"
	"container/list"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"hash"
	"io"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var (
	_ ports.LocalLimiter  = (*Limiter)(nil)
	_ ports.SharedLimiter = (*Limiter)(nil)
)

// LimiterConfig tunes a limiter. Zero values mean the defaults.
type LimiterConfig struct {
	// Limits must be given; Burst counts as 1 at least.
	Limits ports.Limits
	// MaxClients is how many clients are remembered. When there are more, the
	// one that was judged least recently is forgotten and has its whole
	// allowance again. Default 20,000.
	MaxClients int
	// Clock tells the time. Default the system's clock.
	Clock ports.Clock
}

// Limiter is a limiter for one process.
type Limiter struct {
	rules      rules
	maxClients int
	clock      ports.Clock
	// start is the Unix time that the clock's Elapsed counts from, for this
	// limiter: setting the clock moves no account.
	start int64

	mu       sync.Mutex
	mac      hash.Hash // of names, with a random key
	sum      [sha256.Size]byte
	accounts map[clientHash]*list.Element
	order    *list.List // of *account, judged least recently first
}

type clientHash [16]byte

// secretLifetime is how long names are hashed with the same key.
const secretLifetime = 24 * time.Hour

// NewLimiter returns a limiter that knows no client yet.
func NewLimiter(config LimiterConfig) *Limiter {
	l := &Limiter{rules: newRules(config.Limits), maxClients: cmp.Or(config.MaxClients, 20_000), clock: config.Clock}
	if l.clock == nil {
		l.clock = systemClock{}
	}
	l.start = l.clock.Now().UnixMicro() - l.clock.Elapsed().Microseconds()
	l.renew()
	return l
}

func (l *Limiter) now() int64 { return l.start + l.clock.Elapsed().Microseconds() }

// renew changes the key of the hashes, now and whenever its time is over, and
// with it forgets everybody.
func (l *Limiter) renew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	secret := make([]byte, sha256.Size)
	_, _ = rand.Read(secret) // documented never to fail
	l.mac = hmac.New(sha256.New, secret)
	l.accounts, l.order = make(map[clientHash]*list.Element), list.New()
	time.AfterFunc(secretLifetime, l.renew)
}

// Take judges a request, as ports.Limiter promises.
func (l *Limiter) Take(ctx context.Context, client string, events int) (ports.Allowance, error) {
	return l.TakeCharged(ctx, client, events, ports.Usage{})
}

// TakeCharged charges a client and judges a request, as ports.SharedLimiter
// promises.
func (l *Limiter) TakeCharged(ctx context.Context, client string, events int, used ports.Usage) (ports.Allowance, error) {
	if err := alive(ctx); err != nil {
		return ports.Allowance{}, err
	}
	var allowance ports.Allowance
	l.with(client, func(a *account, now int64) {
		a.charge(now, used)
		allowance = a.take(now, events, l.rules)
	})
	return allowance, nil
}

// TakeWithin grants a request in advance, as ports.LocalLimiter promises.
func (l *Limiter) TakeWithin(client string, events int, share ports.Limits) (allowance ports.Allowance, ok bool) {
	l.with(client, func(a *account, now int64) {
		a.forget(now)
		if ok = a.mayGrant(now, events, share, l.rules); ok {
			allowance = a.take(now, events, l.rules)
		}
	})
	return allowance, ok
}

// HandOver returns what is to be charged, as ports.LocalLimiter promises.
func (l *Limiter) HandOver(client string) (used ports.Usage) {
	l.with(client, func(a *account, now int64) {
		a.forget(now)
		a.asking++
		used = a.uncharged(now)
	})
	return used
}

// Settle notes what was decided, as ports.LocalLimiter promises.
func (l *Limiter) Settle(client string, events int, decided ports.Allowance) {
	l.with(client, func(a *account, now int64) {
		a.forget(now)
		a.settle(now, events, decided, l.rules)
	})
}

// Resume notes that nothing was decided, as ports.LocalLimiter promises.
func (l *Limiter) Resume(client string) {
	l.with(client, func(a *account, _ int64) { a.asking = max(a.asking-1, 0) })
}

// with does something with what is remembered of a client.
func (l *Limiter) with(client string, work func(a *account, now int64)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	a := l.account(client)
	l.order.MoveToBack(l.accounts[a.client])
	work(a, now)
	l.forget(now)
}

// account returns what is remembered of a client.
func (l *Limiter) account(client string) *account {
	hash := l.hash(client)
	e := l.accounts[hash]
	if e == nil {
		e = l.order.PushBack(&account{client: hash, advance: advance{credit: math.MaxInt}})
		l.accounts[hash] = e
	}
	return e.Value.(*account)
}

// forget forgets clients whose time is over, and those for whom there is no
// room.
func (l *Limiter) forget(now int64) {
	for first := l.order.Front(); first != nil; first = l.order.Front() {
		a := first.Value.(*account)
		if l.order.Len() <= l.maxClients && now < a.end() {
			return
		}
		l.order.Remove(first)
		delete(l.accounts, a.client)
	}
}

func (l *Limiter) hash(client string) clientHash {
	l.mac.Reset()
	_, _ = io.WriteString(l.mac, client) // documented never to fail
	return clientHash(l.mac.Sum(l.sum[:0]))
}

// Barred refuses a client that is barred, as ports.Limiter promises.
func (l *Limiter) Barred(client string) (ports.Allowance, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	e := l.accounts[l.hash(client)]
	if e == nil || !e.Value.(*account).barred(now) {
		return ports.Allowance{}, false
	}
	a := e.Value.(*account)
	a.disregard(now, l.rules)
	return a.refusal(now, 0, l.rules), true
}

// rules are ports.Limits in microseconds.
type rules struct {
	requests, events, patience int
	burst, interval            int64
}

const (
	window      = int64(ports.LimitWindow / time.Microsecond)
	longestBar  = int64(ports.LongestBar / time.Microsecond)
	forgiveness = int64(ports.LimitForgiveness / time.Microsecond)
	// grain is the time within which what was granted is remembered as one,
	// and forgotten together with the last of it. It bounds the memory that a
	// client takes.
	grain = window / 120
)

func newRules(l ports.Limits) rules {
	return rules{
		requests: l.Requests, events: l.Events, patience: l.Patience(),
		burst: int64(max(l.Burst, 1)), interval: window / int64(max(l.Requests, 1)),
	}
}

// account is what is remembered of a client. Times are Unix microseconds.
type account struct {
	client   clientHash
	seen     int64   // when it was judged last
	granted  []grant // in the last window, oldest first
	whole    int64   // when all of the burst is there again
	until    int64   // till when it is barred
	told     int64   // till when it was told to wait with its events
	heedless int     // how often it asked nevertheless, in the window
	since    int64   // that began then
	strikes  int     // windows violated
	struck   int64   // when the last of these was
	advance
}

// advance is what is known of a client whose account others have, too.
type advance struct {
	asking  int   // requests that others are just judging
	credit  int   // how many requests they had left
	kept    int64 // until when they may refuse it
	charged grant // the last grant that they know of
	whole   int64 // when all of the burst is there again, as far as they know
}

type grant struct {
	at               int64
	requests, events int32
}

func (a *account) barred(now int64) bool { return now < a.until }

// take judges a request.
func (a *account) take(now int64, events int, r rules) ports.Allowance {
	a.forget(now)
	if a.barred(now) {
		a.disregard(now, r)
		return a.refusal(now, events, r)
	}
	if wait := a.waitForRequests(now, 1, r); wait > 0 {
		a.until = now + wait
		return a.refusal(now, events, r)
	}
	a.whole = max(a.whole, now) + r.interval
	if a.waitForEvents(now, events, r) > 0 {
		a.add(now, 0)
		if now < a.told {
			a.disregard(now, r)
		}
		a.told = now + a.waitForEvents(now, events, r)
		return a.refusal(now, events, r)
	}
	a.add(now, events)
	return a.allowance(now, r)
}

// forget drops what is too long ago.
func (a *account) forget(now int64) {
	a.seen = now
	first := 0
	for first < len(a.granted) && a.granted[first].at+window <= now {
		first++
	}
	a.granted = a.granted[first:]
	if now >= a.forgiven() {
		a.strikes = 0
	}
}

// forgiven is from when on violations do not matter any more.
func (a *account) forgiven() int64 { return a.struck + max(window, a.penalty()) + forgiveness }

// end is from when on the account is as good as none.
func (a *account) end() int64 {
	end := max(a.whole, a.seen+1)
	if a.asking > 0 {
		// Without the account the client would be granted in advance what the others
		// may just be refusing. None of them takes that long.
		end = max(end, a.seen+window)
	}
	if len(a.granted) > 0 {
		end = max(end, a.granted[len(a.granted)-1].at+window)
	}
	if a.heedless > 0 {
		end = max(end, a.since+window)
	}
	if a.strikes > 0 {
		end = max(end, a.forgiven())
	}
	return max(end, a.kept)
}

// mayGrant reports whether a request can be granted before others know of it.
func (a *account) mayGrant(now int64, events int, share ports.Limits, r rules) bool {
	if a.asking > 0 || a.barred(now) || a.waitForRequests(now, 1, r) > 0 || a.waitForEvents(now, events, r) > 0 {
		return false
	}
	requests := 1
	for _, g := range a.granted {
		open := a.open(g)
		requests += int(open.requests)
		events += int(open.events)
	}
	return requests <= min(share.Requests, a.credit) && events <= share.Events
}

// open is the part of a grant that others do not know of.
func (a *account) open(g grant) grant {
	switch last := a.charged.at / grain; {
	case g.at/grain > last:
		return g
	case g.at/grain == last:
		return grant{g.at, g.requests - a.charged.requests, g.events - a.charged.events}
	default:
		return grant{}
	}
}

// uncharged returns what others do not know of.
func (a *account) uncharged(now int64) ports.Usage {
	used := ports.Usage{Whole: microseconds(max(a.whole-max(a.advance.whole, now), 0))}
	for _, g := range a.granted {
		if open := a.open(g); open.requests > 0 {
			used.Grants = append(used.Grants, ports.Grant{
				Ago: microseconds(now - open.at), Requests: int(open.requests), Events: int(open.events),
			})
		}
	}
	return used
}

// settle notes what others decided. They know of all that was granted by then.
func (a *account) settle(now int64, events int, decided ports.Allowance, r rules) {
	a.asking, a.credit = max(a.asking-1, 0), 0
	if !decided.Granted {
		a.kept, events = now+longestBar, 0
	} else if a.asking == 0 {
		a.credit = decided.Remaining
	}
	if !decided.Barred { // one refused for its events is a request all the same
		a.whole = max(a.whole, now) + r.interval
		a.add(now, events)
	}
	a.advance.whole = a.whole
	if last := len(a.granted) - 1; last >= 0 {
		a.charged = a.granted[last]
	}
}

// charge adds what was granted elsewhere. What was granted within the same grain
// becomes one here, too, as of the last of it.
func (a *account) charge(now int64, used ports.Usage) {
	if used.None() {
		return
	}
	a.forget(now)
	a.whole = max(a.whole, now) + used.Whole.Microseconds()
	for _, g := range used.Grants {
		a.granted = append(a.granted, grant{now - g.Ago.Microseconds(), int32(g.Requests), int32(g.Events)}) //nolint:gosec // at most what the limits are
	}
	slices.SortStableFunc(a.granted, func(g, h grant) int { return cmp.Compare(g.at, h.at) })
	merged := a.granted[:0]
	for _, g := range a.granted {
		last := len(merged) - 1
		if last < 0 || merged[last].at/grain != g.at/grain {
			merged = append(merged, g)
			continue
		}
		merged[last] = grant{g.at, merged[last].requests + g.requests, merged[last].events + g.events}
	}
	a.granted = merged
}

// waitForRequests is how long it takes until n requests can be granted at once.
func (a *account) waitForRequests(now, n int64, r rules) int64 {
	wait := max(a.whole-now-(r.burst-n)*r.interval, 0)
	over := a.requests() + n - int64(r.requests)
	for _, g := range a.granted {
		if over <= 0 {
			break
		}
		over -= int64(g.requests)
		wait = max(wait, g.at+window-now)
	}
	return wait
}

func (a *account) waitForEvents(now int64, events int, r rules) int64 {
	over := events - r.events
	for _, g := range a.granted {
		over += int(g.events)
	}
	if events == 0 || over <= 0 {
		return 0
	}
	for _, g := range a.granted {
		if over -= int(g.events); over <= 0 {
			return g.at + window - now
		}
	}
	return window
}

func (a *account) requests() int64 {
	sum := int64(0)
	for _, g := range a.granted {
		sum += int64(g.requests)
	}
	return sum
}

// add remembers a request.
func (a *account) add(now int64, events int) {
	last := len(a.granted) - 1
	if last < 0 || a.granted[last].at/grain != now/grain {
		a.granted = append(a.granted, grant{})
		last++
	}
	g := &a.granted[last]
	g.at = now
	g.requests++
	g.events += int32(events) //nolint:gosec // at most what the limit is
}

// disregard counts that the client asks although it was told to wait. When that
// violates the window, it is barred for as long as it has earned.
func (a *account) disregard(now int64, r rules) {
	if now >= a.since+window {
		a.since, a.heedless = now, 0
	}
	a.heedless++
	if a.heedless < r.patience || a.struck >= a.since { // once in a window
		return
	}
	a.strikes++
	a.struck = now
	a.until = max(a.until, now+a.penalty())
}

// penalty is for how long the violations so far bar the client.
func (a *account) penalty() int64 {
	if a.strikes < ports.StrikesToBar {
		return 0
	}
	penalty := window
	for i := ports.StrikesToBar; i < a.strikes && penalty < longestBar; i++ {
		penalty *= 2
	}
	return min(penalty, longestBar)
}

func (a *account) allowance(now int64, r rules) ports.Allowance {
	free := (r.burst*r.interval - max(a.whole-now, 0)) / r.interval
	return ports.Allowance{
		Granted:   true,
		Remaining: int(max(0, min(free, int64(r.requests)-a.requests()))),
		Reset:     microseconds(a.waitForRequests(now, r.burst, r)),
	}
}

func (a *account) refusal(now int64, events int, r rules) ports.Allowance {
	allowance, bar := a.allowance(now, r), a.until-now
	allowance.Granted, allowance.Barred = false, bar > 0
	allowance.Wait = microseconds(max(bar, a.waitForRequests(now, 1, r), a.waitForEvents(now, events, r)))
	if allowance.Barred {
		allowance.Remaining, allowance.Reset = 0, max(allowance.Reset, microseconds(bar))
	}
	return allowance
}

func microseconds(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
