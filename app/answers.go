package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// AnswersConfig says how long answers are kept. Zero values mean the defaults.
type AnswersConfig struct {
	// Fresh is how long an answer is given again as it is; 0 keeps none, and
	// then only readers who ask at the same time share one.
	Fresh time.Duration
	// Stale is how much longer it is given while a new one is computed, or
	// cannot be. Default none.
	Stale time.Duration
	// Lease bounds a computation. A process that dies amid one keeps others
	// from it for that long. Default 5 s.
	Lease time.Duration
	// Computations bounds how many run at once in this process. Default 4
	// places, 128 in line for 2 s.
	Computations GateConfig
	// Revision changes whenever the same question has another answer for a
	// reason other than time and events, such as another configuration.
	Revision string
}

func (c AnswersConfig) withDefaults() AnswersConfig {
	setDefault(&c.Lease, 5*time.Second)
	setDefault(&c.Computations.Line, 128)
	return c
}

// Compute makes an encoded answer. It ends soon after ctx does.
type Compute func(ctx context.Context) ([]byte, error)

// Answer is an encoded answer and how old it is.
type Answer struct {
	// Body belongs to all who asked: nobody may change it.
	Body []byte
	// Age is the time since its computation began.
	Age time.Duration
	// Fresh is for how much longer the answer is fresh. Negative since that
	// time has passed, and 0 for one that is not kept.
	Fresh time.Duration
	// Stale says that it is being computed anew.
	Stale bool
	// Failing says that the latest computation failed, whatever was asked.
	Failing bool
}

// Answers shares encoded answers between all who ask the same: within this
// process always, and with other processes through the cache. An answer is
// computed once for any number of readers, also when they ask several
// processes. A stale one is given at once while it is computed anew in the
// background, and stays when that fails. One that nobody has asked for in a
// while is given only if a new one does not come soon.
//
// A cache that is away costs no more than the computations it would save.
type Answers struct {
	cache  ports.StatisticsCache
	clock  ports.Clock
	log    *slog.Logger
	config AnswersConfig

	holder  string // of this process's claims
	flights singleflight.Group
	gate    *Gate
	failing atomic.Bool
	counts  answerCounters

	mu     sync.Mutex
	closed bool
	open   sync.WaitGroup // of flights
	// detach gives a computation a life of its own, which ends with Close.
	detach func(ctx context.Context) (context.Context, context.CancelFunc)
	cancel context.CancelFunc
}

// NewAnswers returns the use case. Close it.
func NewAnswers(c ports.StatisticsCache, clock ports.Clock, log *slog.Logger, config AnswersConfig) *Answers {
	config = config.withDefaults()
	closing, cancel := context.WithCancel(context.Background())
	return &Answers{
		cache: c, clock: clock, log: log, config: config,
		holder: rand.Text(),
		gate:   NewGate(config.Computations),
		cancel: cancel,
		detach: func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, end := context.WithCancel(context.WithoutCancel(ctx))
			stop := context.AfterFunc(closing, end)
			return ctx, func() { stop(); end() }
		},
	}
}

// Close ends all computations and waits for them until ctx ends. Afterwards
// none begins.
func (u *Answers) Close(ctx context.Context) error {
	u.mu.Lock()
	u.closed = true
	u.mu.Unlock()
	u.cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		u.open.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("computations do not end: %w", ctx.Err())
	}
}

// Get returns the answer to the question, which must name everything that
// compute depends on but time and events. An error is compute's own, or
// ctx's when that ends first; it is kept nowhere and takes no answer's place.
// compute goes on when ctx ends, for others who wait.
func (u *Answers) Get(ctx context.Context, question string, compute Compute) (Answer, error) {
	key := u.key(question)
	found, err := u.share(ctx, key, func(ctx context.Context) (finding, error) {
		return u.find(ctx, key, compute)
	})
	if err != nil {
		u.counts.of(found.outcome).Add(1)
		return Answer{}, err
	}
	answer := u.answer(found) // before the refresh, which may fail at once
	if found.outcome == outcomeStale {
		renewed := u.refresh(ctx, key, compute)
		if answer.Age >= oldAfter*u.config.Fresh {
			found = u.await(ctx, key, found, renewed)
			answer = u.answer(found)
		}
	}
	u.counts.of(found.outcome).Add(1)
	return answer, nil
}

// Somebody who asks now and then would always be given what the one before
// had computed: an answer that has been stale for as long as it was fresh is
// given only when a new one does not come within this patience.
const (
	oldAfter     = 2
	renewalGrace = time.Second
)

// await returns the renewed answer, or the old one when that takes too long.
func (u *Answers) await(ctx context.Context, key string, old finding, renewed <-chan singleflight.Result) finding {
	patience := time.NewTimer(renewalGrace)
	defer patience.Stop()
	select {
	case <-renewed:
	case <-patience.C:
	case <-ctx.Done():
		return old
	}
	if k, ok := u.fresh(ctx, key); ok {
		return finding{kept: k}
	}
	return old
}

// key hides what clients send from whoever reads the cache's keys.
func (u *Answers) key(question string) string {
	sum := sha256.Sum256([]byte(u.config.Revision + "\x00" + question))
	return "answer:" + hex.EncodeToString(sum[:])
}

func (u *Answers) answer(f finding) Answer {
	age := max(u.clock.Now().Sub(f.at), 0)
	return Answer{
		Body:    f.body,
		Age:     age,
		Fresh:   u.config.Fresh - age,
		Stale:   f.outcome == outcomeStale,
		Failing: u.failing.Load(),
	}
}

// kept is an answer as the cache has it.
type kept struct {
	at   time.Time
	body []byte
}

// finding is how an answer was come by.
type finding struct {
	kept

	outcome outcome
}

// share makes all who call it with the key at the same time share one run of
// work, which does not depend on any one of them.
func (u *Answers) share(
	ctx context.Context, key string, work func(context.Context) (finding, error),
) (finding, error) {
	flight := u.flights.DoChan(key, func() (any, error) { return u.run(ctx, work) })
	select {
	case landed := <-flight:
		found, _ := landed.Val.(finding)
		return found, landed.Err
	case <-ctx.Done():
		return finding{}, fmt.Errorf("wait for an answer: %w", ctx.Err())
	}
}

var errClosing = domain.NewError(domain.CodeUnavailable, context.Canceled, "the service is stopping")

func (u *Answers) run(
	ctx context.Context, work func(context.Context) (finding, error),
) (finding, error) {
	u.mu.Lock()
	if u.closed {
		u.mu.Unlock()
		return finding{}, errClosing
	}
	u.open.Add(1)
	u.mu.Unlock()
	defer u.open.Done()
	ctx, end := u.detach(ctx)
	defer end()
	return withoutPanic(func() (finding, error) { return work(ctx) })
}

// withoutPanic makes an error of a panic, which would end the process, as
// nobody stands above a goroutine of our own.
func withoutPanic[T any](work func() (T, error)) (result T, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = PanicError(cause)
		}
	}()
	return work()
}

// find looks for the answer before it has it computed.
func (u *Answers) find(ctx context.Context, key string, compute Compute) (finding, error) {
	if u.config.Fresh == 0 {
		k, err := u.compute(ctx, compute)
		return finding{kept: k}, err
	}
	if found, ok := u.look(ctx, key); ok {
		return found, nil
	}
	k, err := u.obtain(ctx, key, compute)
	return finding{kept: k}, err
}

// look returns what the cache has that can still be given.
func (u *Answers) look(ctx context.Context, key string) (finding, bool) {
	value, _, ok, err := u.cache.Get(ctx, key)
	u.noteCache(err)
	if err != nil || !ok || len(value) < stampSize {
		return finding{}, false
	}
	nanoseconds := int64(binary.BigEndian.Uint64(value)) //nolint:gosec // written by keep
	found := finding{kept: kept{at: time.Unix(0, nanoseconds), body: value[stampSize:]}, outcome: outcomeHit}
	age := u.clock.Now().Sub(found.at)
	if age >= u.config.Fresh {
		found.outcome = outcomeStale
	}
	return found, age >= -clockNoise && age < u.config.Fresh+u.config.Stale
}

// clockNoise is by how much the clocks of processes in good order differ. An
// answer computed at a later time than now by more is no answer: a clock was
// set back, and it may count hours that have not come.
const clockNoise = time.Second

// fresh returns what the cache has that needs not be computed.
func (u *Answers) fresh(ctx context.Context, key string) (kept, bool) {
	found, ok := u.look(ctx, key)
	return found.kept, ok && found.outcome == outcomeHit
}

// stampSize is the length of what stands before a kept body: when its
// computation began, in Unix nanoseconds.
const stampSize = 8

func (u *Answers) keep(ctx context.Context, key string, k kept) {
	stamp := uint64(k.at.UnixNano())
	value := append(binary.BigEndian.AppendUint64(make([]byte, 0, stampSize+len(k.body)), stamp), k.body...)
	u.noteCache(u.cache.Set(ctx, key, value, u.config.Fresh+u.config.Stale))
}

// noteCache counts an error of the cache. It is no reader's trouble.
func (u *Answers) noteCache(err error) {
	if err != nil {
		u.counts.cacheErrors.Add(1)
	}
}

// claimPoll is how often the answer of another process is looked for.
const claimPoll = 20 * time.Millisecond

// obtain computes the answer and keeps it, unless another process does so
// first. One that does not within its lease is not waited for any longer.
func (u *Answers) obtain(ctx context.Context, key string, compute Compute) (kept, error) {
	patience := time.NewTimer(u.config.Lease)
	defer patience.Stop()
	poll := time.NewTicker(claimPoll)
	defer poll.Stop()
	for {
		claimed, err := u.cache.Claim(ctx, key, u.holder, u.config.Lease)
		u.noteCache(err)
		if claimed {
			return u.computeClaimed(ctx, key, compute)
		}
		if err != nil {
			return u.computeAndKeep(ctx, key, compute)
		}
		select {
		case <-poll.C:
		case <-patience.C:
			return u.computeAndKeep(ctx, key, compute)
		case <-ctx.Done():
			return kept{}, fmt.Errorf("wait for another process: %w", ctx.Err())
		}
		if k, ok := u.fresh(ctx, key); ok {
			return k, nil
		}
	}
}

// computeClaimed computes under a claim, unless the claim before ended with
// an answer.
func (u *Answers) computeClaimed(ctx context.Context, key string, compute Compute) (kept, error) {
	defer u.release(ctx, key)
	if k, ok := u.fresh(ctx, key); ok {
		return k, nil
	}
	return u.computeAndKeep(ctx, key, compute)
}

func (u *Answers) computeAndKeep(ctx context.Context, key string, compute Compute) (kept, error) {
	k, err := u.compute(ctx, compute)
	if err == nil {
		u.keep(ctx, key, k)
	}
	return k, err
}

// release lets others claim, also when ctx has ended.
func (u *Answers) release(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	u.noteCache(u.cache.Release(ctx, key, u.holder))
}

// compute waits for its turn and takes no longer than the lease.
func (u *Answers) compute(ctx context.Context, compute Compute) (kept, error) {
	ctx, cancel := context.WithTimeout(ctx, u.config.Lease)
	defer cancel()
	var k kept
	err := u.gate.Do(ctx, func() (err error) {
		k.at = u.clock.Now()
		k.body, err = withoutPanic(func() ([]byte, error) { return compute(ctx) })
		u.counts.computations.Add(1)
		u.learn(err)
		return err
	})
	return k, err
}

// Refused counts the computations that were refused since the start because
// there were too many.
func (u *Answers) Refused() int64 { return u.gate.Refused() }

// learn notes whether computations succeed.
func (u *Answers) learn(err error) {
	switch {
	case err == nil:
		u.failing.Store(false)
	case isFailure(err):
		u.counts.failures.Add(1)
		u.failing.Store(true)
	}
}

// isFailure is false for a refused question, which says nothing about the
// service.
func isFailure(err error) bool {
	code := domain.CodeOf(err)
	return err != nil && code != domain.CodeInvalid && code != domain.CodeNotFound
}

// refresh computes a stale answer anew in the background, unless that is
// being done, and tells when that has ended.
func (u *Answers) refresh(ctx context.Context, key string, compute Compute) <-chan singleflight.Result {
	return u.flights.DoChan("refresh "+key, func() (any, error) {
		_, err := u.run(ctx, func(ctx context.Context) (finding, error) {
			return finding{}, u.renew(ctx, key, compute)
		})
		if isFailure(err) && !errors.Is(err, context.Canceled) {
			u.log.Warn("a stale answer stays for now", "code", domain.CodeOf(err), "error", err)
		}
		return nil, err
	})
}

// renew does nothing while another process does it. After a failure its claim
// is left to end by itself, so that nobody tries again before.
func (u *Answers) renew(ctx context.Context, key string, compute Compute) error {
	claimed, err := u.cache.Claim(ctx, key, u.holder, u.config.Lease)
	u.noteCache(err)
	if !claimed {
		return nil
	}
	if _, done := u.fresh(ctx, key); !done {
		if _, err := u.computeAndKeep(ctx, key, compute); err != nil {
			return err
		}
	}
	u.release(ctx, key)
	return nil
}
