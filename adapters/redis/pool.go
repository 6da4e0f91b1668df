package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// Config tells where Redis is and how to use it. Zero values mean the
// defaults.
type Config struct {
	// URL is redis://[[user]:password@]host[:port][/database][?db=database],
	// rediss:// for TLS, or unix:// for a socket; see [CheckURL]. Required.
	URL string
	// ByParts says that the URL was made of REDIS_HOST, REDIS_PASSWORD and so on:
	// errors name these in place of REDIS_URL.
	ByParts bool
	// Prefix begins the name of every key; the stream of batches has it for a
	// name. Default "analytics:queue".
	Prefix string
	// TLS verifies the server of a rediss URL. Default the system's roots.
	TLS *tls.Config
	// Clock dates dead letters, idempotency keys and cached answers. Default
	// the system's clock.
	Clock ports.Clock
	// Log takes warnings about the server's settings, and when it goes away
	// and comes back. Default none.
	Log *slog.Logger
	// DialTimeout bounds the making of a connection. Default 1 s.
	DialTimeout time.Duration
	// CallTimeout bounds every call, waiting for a free connection included.
	// Default 1.5 s. A call that has a connection is not ended sooner because its
	// caller gives up, unless the caller's deadline passes.
	CallTimeout time.Duration
	// Need is how much memory everything under the prefix may take, in bytes. A
	// server that may have less is warned of. Default unknown.
	Need int64
	// MaxConnections bounds the connections, but for one more for each worker
	// that waits for batches. Default 32.
	MaxConnections int
}

func (c Config) withDefaults() Config {
	if c.Prefix == "" {
		c.Prefix = "analytics:queue"
	}
	if c.Clock == nil {
		c.Clock = systemClock{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.DialTimeout == 0 {
		c.DialTimeout = time.Second
	}
	if c.CallTimeout == 0 {
		c.CallTimeout = 1500 * time.Millisecond
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = 32
	}
	return c
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

// started holds a reading of the machine's monotonic clock.
var started = time.Now()

func (systemClock) Elapsed() time.Duration { return time.Since(started) }

// Pool is the way to a Redis server. A [Queue] and a [Cache] share it.
//
// A server that is away costs callers nothing: after the first call that
// fails, others fail at once, and one attempt at a time is made in the
// background until the server can be written again.
type Pool struct {
	*server

	keys keys
}

// server is what all pools on the same connections share.
type server struct {
	config  Config
	address address
	options []redigo.DialOption
	// Calls share few connections. A worker that waits for batches blocks its
	// own.
	calls, waits *redigo.Pool
	tasks        *tasks
	closed       atomic.Bool
	directory    string // of the server's data, where that is a path of this machine

	away atomic.Pointer[outage]
	// usable is since when connections are good: those last used before may
	// have broken. In nanoseconds since started.
	usable atomic.Int64
}

// outage is a time without the server.
type outage struct {
	since time.Time
	err   error
}

// Open connects to the server. One that is away or still reads its data is
// waited for until ctx ends. Its errors are sentences for the operator: a
// wrong URL, password, kind or version of the server. Settings with which
// accepted batches can be lost are logged as warnings.
func Open(ctx context.Context, config Config) (*Pool, error) {
	p := &Pool{server: &server{config: config.withDefaults(), tasks: newTasks(context.WithoutCancel(ctx))}}
	p.keys = newKeys(p.config.Prefix)
	var err error
	if p.address, err = parseAddress(config.URL); err != nil {
		return nil, domain.NewError(domain.CodeInvalid, nil, "REDIS_URL "+err.Error())
	}
	p.options = []redigo.DialOption{
		redigo.DialTLSHandshakeTimeout(p.config.DialTimeout),
		redigo.DialTLSConfig(p.config.TLS),
		redigo.DialUsername(p.address.user),
		redigo.DialPassword(p.address.password),
		redigo.DialDatabase(p.address.database),
		redigo.DialUseTLS(p.address.tls),
	}
	p.calls = p.newPool(p.dialForCalls, p.config.MaxConnections)
	p.waits = p.newPool(p.dial, 0)
	if err := p.awaitServer(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Pool) newPool(dial func(context.Context) (redigo.Conn, error), limit int) *redigo.Pool {
	return &redigo.Pool{
		DialContext:         dial,
		TestOnBorrowContext: p.test,
		MaxActive:           limit,
		MaxIdle:             max(limit, 2),
		Wait:                true,
		IdleTimeout:         4 * time.Minute, // before anything between us and the server forgets the connection
	}
}

// dialForCalls is dial for [callConn].
func (p *Pool) dialForCalls(ctx context.Context) (redigo.Conn, error) {
	c, socket, err := p.dialSocket(ctx)
	if err != nil {
		return nil, err
	}
	return callConn{c, socket}, nil
}

// dial makes a connection on which a command ends when its context is cancelled.
func (p *Pool) dial(ctx context.Context) (redigo.Conn, error) {
	c, _, err := p.dialSocket(ctx)
	return c, err
}

func (p *Pool) dialSocket(ctx context.Context) (redigo.Conn, net.Conn, error) {
	dialer := net.Dialer{Timeout: p.config.DialTimeout, KeepAlive: 30 * time.Second}
	var socket net.Conn
	options := append([]redigo.DialOption{
		redigo.DialContextFunc(func(ctx context.Context, network, address string) (_ net.Conn, err error) {
			socket, err = dialer.DialContext(ctx, network, address)
			return socket, err
		}),
	}, p.options...)
	c, err := redigo.DialContext(ctx, p.address.network, p.address.at, options...)
	if err == nil {
		return c, socket, nil
	}
	if p.address.tls && isTimeout(err) && ctx.Err() == nil && p.speaksPlainly(ctx) {
		err = fmt.Errorf("%w: %w", errPlain, err)
	}
	return nil, nil, &connectionError{err: err}
}

// speaksPlainly tells whether the server answers without TLS. Such a one may
// wait for ever for the end of what it takes for a command.
func (p *Pool) speaksPlainly(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, p.config.DialTimeout)
	defer cancel()
	c, err := redigo.DialContext(ctx, "tcp", p.address.at)
	if err != nil {
		return false
	}
	defer c.Close()
	_, err = redigo.DoContext(c, ctx, "PING")
	_, refused := errors.AsType[redigo.Error](err)
	return err == nil || refused
}

// idleTest is how long an idle connection is trusted unseen.
const idleTest = time.Second

// test is asked before an idle connection is used again. A server that was
// restarted meanwhile costs nobody a call.
func (p *Pool) test(ctx context.Context, c redigo.Conn, lastUsed time.Time) error {
	if int64(lastUsed.Sub(started)) < p.usable.Load() {
		return errors.New("the connection may be broken")
	}
	if time.Since(lastUsed) < idleTest {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.config.DialTimeout) // leaves time to make another
	defer cancel()
	_, err := redigo.DoContext(c, ctx, "PING")
	return err
}

// Close ends all work. What this process holds is given back.
func (p *Pool) Close() error {
	p.tasks.stop()
	p.closed.Store(true)
	return errors.Join(p.calls.Close(), p.waits.Close())
}

// call runs work on a connection within the time for a call.
func (p *Pool) call(ctx context.Context, name string, work func(ctx context.Context, c redigo.Conn) error) error {
	return p.use(ctx, p.calls, p.config.CallTimeout, name, work)
}

func (p *Pool) use(
	ctx context.Context, pool *redigo.Pool, timeout time.Duration, name string,
	work func(ctx context.Context, c redigo.Conn) error,
) error {
	if err := p.refuse(ctx); err != nil {
		return p.config.translate(ctx, name, err)
	}
	start, bounded := time.Now(), ctx
	if end, ok := ctx.Deadline(); !ok || end.Sub(start) > timeout {
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	err := onConnection(bounded, pool, work)
	if endOf(ctx) == nil { // else err says nothing about the server
		p.learn(err, start)
	}
	return p.config.translate(ctx, name, err)
}

// learn draws conclusions from the outcome of a call that began at start.
func (p *Pool) learn(err error, start time.Time) {
	if int64(start.Sub(started)) < p.usable.Load() {
		return // its connection is known to be bad
	}
	if isOutage(err) {
		p.lose(err)
	} else if _, ok := errors.AsType[*connectionError](err); ok {
		p.usable.Store(int64(time.Since(started))) // what broke one may have broken others
	}
}

// refuse returns why a call cannot succeed, as far as that is known.
func (p *Pool) refuse(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.closed.Load() {
		return errClosed
	}
	if o := p.away.Load(); o != nil {
		return fmt.Errorf("away since %s: %w", o.since.UTC().Format(time.RFC3339), o.err)
	}
	return nil
}

func onConnection(ctx context.Context, pool *redigo.Pool, work func(ctx context.Context, c redigo.Conn) error) error {
	c, err := pool.GetContext(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := work(ctx, c); err != nil {
		if c.Err() != nil {
			return &connectionError{err: err, made: true}
		}
		return err
	}
	return nil
}

// run runs a script and returns its answer.
func (p *Pool) run(ctx context.Context, name string, script *redigo.Script, keysAndArgs ...any) (any, error) {
	var answer any
	err := p.call(ctx, name, func(ctx context.Context, c redigo.Conn) error {
		var err error
		answer, err = script.DoContext(ctx, c, keysAndArgs...)
		return err
	})
	return answer, err
}

// lose begins an outage, unless there is one.
func (p *Pool) lose(err error) {
	o := &outage{since: time.Now(), err: err}
	if !p.away.CompareAndSwap(nil, o) {
		return
	}
	p.config.Log.Warn("Redis is away", "error", err)
	p.tasks.start(func(ctx context.Context) { p.regain(ctx, o.since) })
}

// regain ends the outage when the server can be written again.
func (p *Pool) regain(ctx context.Context, since time.Time) {
	for attempt := 0; ; attempt++ {
		if !pause(ctx, attempt) {
			return
		}
		err := p.try(ctx)
		if err == nil {
			break
		}
		p.away.Store(&outage{since: since, err: err})
	}
	p.usable.Store(int64(time.Since(started)))
	p.away.Store(nil)
	p.config.Log.Info("Redis is back", "outage_ms", time.Since(since).Milliseconds())
}

// try makes a connection and writes. The command is one that a full memory
// allows, as a full queue must be drained.
func (p *Pool) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.config.CallTimeout)
	defer cancel()
	c, err := p.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := redigo.DoContext(c, ctx, "DEL", p.keys.health); err != nil {
		return &connectionError{err: err, made: true}
	}
	return nil
}

// Check proves that the server can be written, and that no key of ours holds
// something else.
func (p *Pool) Check(ctx context.Context) error {
	return p.call(ctx, "queue.check", func(ctx context.Context, c redigo.Conn) error {
		if _, err := redigo.DoContext(c, ctx, "SET", p.keys.health, "1", "PX", 1000); err != nil {
			return err
		}
		return p.checkKeys(ctx, c)
	})
}
