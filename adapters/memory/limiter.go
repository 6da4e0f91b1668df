package memory

import (
	"cmp"
	"container/list"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var _ ports.Limiter = (*Limiter)(nil)

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
	secret   [sha256.Size]byte // of the hashes of names
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
	_, _ = rand.Read(l.secret[:]) // documented never to fail
	l.accounts, l.order = make(map[clientHash]*list.Element), list.New()
	time.AfterFunc(secretLifetime, l.renew)
}

// Take judges a request, as ports.Limiter promises.
func (l *Limiter) Take(ctx context.Context, client string, events int) (ports.Allowance, error) {
	if err := alive(ctx); err != nil {
		return ports.Allowance{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	a := l.account(client)
	l.order.MoveToBack(l.accounts[a.client])
	allowance := a.take(now, events, l.rules)
	l.forget(now)
	return allowance, nil
}

// account returns what is remembered of a client.
func (l *Limiter) account(client string) *account {
	hash := l.hash(client)
	e := l.accounts[hash]
	if e == nil {
		e = l.order.PushBack(&account{client: hash})
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
	mac := hmac.New(sha256.New, l.secret[:])
	mac.Write([]byte(client))
	return clientHash(mac.Sum(nil))
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
	if len(a.granted) > 0 {
		end = max(end, a.granted[len(a.granted)-1].at+window)
	}
	if a.heedless > 0 {
		end = max(end, a.since+window)
	}
	if a.strikes > 0 {
		end = max(end, a.forgiven())
	}
	return end
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
