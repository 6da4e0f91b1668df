package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
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
	// LocalEntries and LocalBytes bound the answers that this process keeps ready
	// to send. Defaults 1024 and 8 MiB.
	LocalEntries, LocalBytes int
	// Computations bounds how many run at once in this process. Default 4
	// places, 128 in line for 2 s.
	Computations GateConfig
	// Revision changes whenever the same question has another answer for a
	// reason other than time and events, such as another configuration.
	Revision string
}

func (c AnswersConfig) withDefaults() AnswersConfig {
	setDefault(&c.Lease, 5*time.Second)
	setDefault(&c.LocalEntries, 1024)
	setDefault(&c.LocalBytes, 8<<20)
	setDefault(&c.Computations.Line, 128)
	return c
}

// Compute makes an encoded answer. It ends soon after ctx does.
type Compute func(ctx context.Context) (Content, error)

// Answer is an encoded answer and how old it is.
type Answer struct {
	*Content

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

// Answers shares encoded answers between all who ask the same. A process keeps
// fresh answers in its own memory, ready to send, and asks the shared cache for
// those that it has not; whatever a process computes it stores in both. An answer
// is computed once for any number of readers, also when they ask several
// processes. A stale one is given at once while it is computed anew in the
// background, and stays when that fails. One that nobody has asked for in a
// while is given only if a new one does not come soon.
//
// A cache that is away costs no more than the computations it would save.
type Answers struct {
	local  *lru[string, entry]
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
		local: newLRU(config.LocalEntries, config.LocalBytes, localSize),
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
	if e, ok := u.localFresh(key); ok {
		u.counts.of(outcomeHit).Add(1)
		return u.answer(finding{entry: e, outcome: outcomeHit}), nil
	}
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
	if e, ok := u.fresh(ctx, key); ok {
		return finding{entry: e}
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
		Content: f.Content,
		Age:     age,
		Fresh:   u.config.Fresh - age,
		Stale:   f.outcome == outcomeStale,
		Failing: u.failing.Load(),
	}
}

// finding is how an answer was come by.
type finding struct {
	entry

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
		e, err := u.compute(ctx, compute)
		return finding{entry: e}, err
	}
	if found, ok := u.look(ctx, key); ok {
		return found, nil
	}
	e, err := u.obtain(ctx, key, compute)
	return finding{entry: e}, err
}

// localFresh returns what this process has that needs not be computed. What is
// stale the shared cache may have anew.
func (u *Answers) localFresh(key string) (entry, bool) {
	e, ok := u.local.get(key)
	return e, ok && u.clock.Elapsed() < e.until && u.outcomeOf(e) == outcomeHit
}

// look returns what the shared cache has that can still be given, and keeps it in
// this process.
func (u *Answers) look(ctx context.Context, key string) (finding, bool) {
	value, expires, ok, err := u.cache.Get(ctx, key)
	u.noteCache(err)
	if err != nil || !ok {
		return finding{}, false
	}
	known, _ := u.local.get(key)
	e, err := decodeEnvelope(value, known)
	if err != nil {
		return finding{}, false
	}
	e.until = u.clock.Elapsed() + expires.Sub(u.clock.Now())
	found := finding{entry: e, outcome: u.outcomeOf(e)}
	if found.outcome == outcomeMiss {
		return finding{}, false
	}
	u.local.put(key, e)
	return found, true
}

// outcomeOf says what the entry is now: fresh, stale, or a miss when it is too old
// or of a time that has not come.
func (u *Answers) outcomeOf(e entry) outcome {
	switch age := u.clock.Now().Sub(e.at); {
	case age < -clockNoise, age >= u.config.Fresh+u.config.Stale:
		return outcomeMiss
	case age >= u.config.Fresh:
		return outcomeStale
	default:
		return outcomeHit
	}
}

// clockNoise is by how much the clocks of processes in good order differ. An
// answer computed at a later time than now by more is no answer: a clock was
// set back, and it may count hours that have not come.
const clockNoise = time.Second

// fresh returns what the shared cache has that needs not be computed.
func (u *Answers) fresh(ctx context.Context, key string) (entry, bool) {
	found, ok := u.look(ctx, key)
	return found.entry, ok && found.outcome == outcomeHit
}

// keep stores a new answer in this process and in the shared cache.
func (u *Answers) keep(ctx context.Context, key string, e entry) {
	lifetime := u.config.Fresh + u.config.Stale
	e.until = u.clock.Elapsed() + lifetime
	u.local.put(key, e)
	u.noteCache(u.cache.Set(ctx, key, encodeEnvelope(e), lifetime))
}

// localOverhead is about what an entry takes beside its bytes.
const localOverhead = 512

func localSize(key string, e entry) int {
	return localOverhead + len(key) + len(e.Plain) + len(e.Gzip) + len(e.Next)
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
func (u *Answers) obtain(ctx context.Context, key string, compute Compute) (entry, error) {
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
			return entry{}, fmt.Errorf("wait for another process: %w", ctx.Err())
		}
		if e, ok := u.fresh(ctx, key); ok {
			return e, nil
		}
	}
}

// computeClaimed computes under a claim, unless the claim before ended with
// an answer.
func (u *Answers) computeClaimed(ctx context.Context, key string, compute Compute) (entry, error) {
	defer u.release(ctx, key)
	if e, ok := u.fresh(ctx, key); ok {
		return e, nil
	}
	return u.computeAndKeep(ctx, key, compute)
}

func (u *Answers) computeAndKeep(ctx context.Context, key string, compute Compute) (entry, error) {
	e, err := u.compute(ctx, compute)
	if err == nil {
		u.keep(ctx, key, e)
	}
	return e, err
}

// release lets others claim, also when ctx has ended.
func (u *Answers) release(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	u.noteCache(u.cache.Release(ctx, key, u.holder))
}

// compute waits for its turn and takes no longer than the lease.
func (u *Answers) compute(ctx context.Context, compute Compute) (entry, error) {
	ctx, cancel := context.WithTimeout(ctx, u.config.Lease)
	defer cancel()
	var e entry
	err := u.gate.Do(ctx, func() error {
		e.at = u.clock.Now()
		content, err := withoutPanic(func() (Content, error) { return compute(ctx) })
		e.Content = &content
		u.counts.computations.Add(1)
		u.learn(err)
		return err
	})
	return e, err
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
