package app_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// watchedCache is a cache that can be taken away, and that remembers its keys.
type watchedCache struct {
	*memory.Cache

	away atomic.Bool
	mu   sync.Mutex
	keys []string
}

var errCacheAway = domain.NewError(domain.CodeUnavailable, nil, "the cache cannot be reached")

func (c *watchedCache) note(key string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys = append(c.keys, key)
	if c.away.Load() {
		return errCacheAway
	}
	return nil
}

func (c *watchedCache) Get(ctx context.Context, key string) ([]byte, time.Time, bool, error) {
	if err := c.note(key); err != nil {
		return nil, time.Time{}, false, err
	}
	return c.Cache.Get(ctx, key)
}

func (c *watchedCache) Set(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	if err := c.note(key); err != nil {
		return err
	}
	return c.Cache.Set(ctx, key, value, lifetime)
}

func (c *watchedCache) Claim(ctx context.Context, key, holder string, lifetime time.Duration) (bool, error) {
	if err := c.note(key); err != nil {
		return false, err
	}
	return c.Cache.Claim(ctx, key, holder, lifetime)
}

func (c *watchedCache) Release(ctx context.Context, key, holder string) error {
	if err := c.note(key); err != nil {
		return err
	}
	return c.Cache.Release(ctx, key, holder)
}

// answersSite is one process's answers, or several's, over one cache.
type answersSite struct {
	cache *watchedCache
	clock *memory.Clock
	log   *strings.Builder
}

func newAnswersSite() answersSite {
	clock := memory.NewClock(contract.Now)
	return answersSite{
		cache: &watchedCache{Cache: memory.NewCache(memory.CacheConfig{Clock: clock})}, clock: clock, log: new(strings.Builder),
	}
}

func (s answersSite) open(t *testing.T, config app.AnswersConfig) *app.Answers {
	t.Helper()
	answers := app.NewAnswers(s.cache, s.clock, slog.New(slog.NewTextHandler(s.log, nil)), config)
	t.Cleanup(func() {
		if err := answers.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return answers
}

// text is an answer of few letters.
func text(s string) *app.Content {
	content := app.NewContent([]byte(s), "")
	return &content
}

func plainOf(a app.Answer) string {
	if a.Content == nil {
		return ""
	}
	return string(a.Plain)
}

// usual is the configuration of most tests.
var usual = app.AnswersConfig{Fresh: time.Minute, Stale: time.Hour}

// counter computes "1", "2" and so on, or fails.
type counter struct {
	calls atomic.Int64
	err   atomic.Pointer[error]
}

func (c *counter) fail(err error) { c.err.Store(&err) }
func (c *counter) heal()          { c.err.Store(nil) }

func (c *counter) compute(context.Context) (app.Content, error) {
	n := c.calls.Add(1)
	if err := c.err.Load(); err != nil {
		return app.Content{}, *err
	}
	return *text(strconv.FormatInt(n, 10)), nil
}

func checkAnswer(t *testing.T, u *app.Answers, compute app.Compute, want app.Answer) {
	t.Helper()
	got, err := u.Get(t.Context(), "question", compute)
	if err != nil {
		t.Fatal(err)
	}
	if plainOf(got) != plainOf(want) || got.Age != want.Age || got.Fresh != want.Fresh ||
		got.Stale != want.Stale || got.Failing != want.Failing {
		t.Errorf("answer is %q %+v\nwant %q %+v", plainOf(got), got, plainOf(want), want)
	}
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func TestAnAnswerIsKeptWhileItIsFresh(t *testing.T) {
	s, c := newAnswersSite(), new(counter)
	u := s.open(t, usual)
	checkAnswer(t, u, c.compute, app.Answer{Content: text("1"), Fresh: time.Minute})
	s.clock.Advance(59 * time.Second)
	checkAnswer(t, u, c.compute, app.Answer{Content: text("1"), Age: 59 * time.Second, Fresh: time.Second})
	if got, want := u.Counts(), (app.AnswerCounts{Hits: 1, Misses: 1, Computations: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	if got := u.Counts().HitRate(); got != 0.5 {
		t.Errorf("hit rate %v, want 0.5", got)
	}
	if got := (app.AnswerCounts{}).HitRate(); got != 0 {
		t.Errorf("hit rate of nobody %v, want 0", got)
	}
}

func TestAStaleAnswerIsGivenWhileItIsComputedAnew(t *testing.T) {
	s, c := newAnswersSite(), new(counter)
	config := usual
	config.Lease = time.Minute // no claim ends by itself
	u := s.open(t, config)
	checkAnswer(t, u, c.compute, app.Answer{Content: text("1"), Fresh: time.Minute})
	s.clock.Advance(time.Minute)

	block := make(chan struct{})
	blocked := func(ctx context.Context) (app.Content, error) {
		<-block
		return c.compute(ctx)
	}
	for range 3 { // one computation for all
		checkAnswer(t, u, blocked, app.Answer{Content: text("1"), Age: time.Minute, Stale: true})
	}
	close(block)
	await(t, "a new answer", func() bool { return u.Counts().Computations == 2 })
	await(t, "a fresh answer", func() bool {
		answer, err := u.Get(t.Context(), "question", blocked)
		return err == nil && plainOf(answer) == "2" && !answer.Stale && answer.Fresh == time.Minute
	})
	s.clock.Advance(time.Minute)
	await(t, "one more answer", func() bool {
		answer, err := u.Get(t.Context(), "question", blocked)
		return err == nil && plainOf(answer) == "3" && !answer.Stale
	})
	if n := c.calls.Load(); n != 3 {
		t.Errorf("%d computations, want 3", n)
	}
}

// Who asks now and then gets what is so now, not what was so the time before.
func TestAnOldAnswerIsComputedAnewFirst(t *testing.T) {
	s, c := newAnswersSite(), new(counter)
	u := s.open(t, usual)
	checkAnswer(t, u, c.compute, app.Answer{Content: text("1"), Fresh: time.Minute})
	s.clock.Advance(2 * time.Minute)
	checkAnswer(t, u, c.compute, app.Answer{Content: text("2"), Fresh: time.Minute})
	if counts := u.Counts(); counts.Stale != 0 || counts.Misses != 2 {
		t.Errorf("one that was waited for is counted as %+v", counts)
	}

	// One that does not come soon is not waited for.
	s.clock.Advance(30 * time.Minute)
	block := make(chan struct{})
	checkAnswer(t, u, func(ctx context.Context) (app.Content, error) {
		<-block
		return c.compute(ctx)
	}, app.Answer{Content: text("2"), Age: 30 * time.Minute, Fresh: -29 * time.Minute, Stale: true})
	close(block)
	await(t, "a fresh answer", func() bool {
		answer, err := u.Get(t.Context(), "question", c.compute)
		return err == nil && plainOf(answer) == "3" && !answer.Stale
	})
}

// Another process may keep answers for longer.
func TestAnAnswerIsAsOldAsThisProcessAllows(t *testing.T) {
	s, c := newAnswersSite(), new(counter)
	u := s.open(t, usual)
	strict := s.open(t, app.AnswersConfig{Fresh: time.Second, Stale: time.Second})
	checkAnswer(t, u, c.compute, app.Answer{Content: text("1"), Fresh: time.Minute})
	s.clock.Advance(2 * time.Second)
	checkAnswer(t, u, c.compute, app.Answer{Content: text("1"), Age: 2 * time.Second, Fresh: 58 * time.Second})
	checkAnswer(t, strict, c.compute, app.Answer{Content: text("2"), Fresh: time.Second})
}

func TestAStaleAnswerStaysWhileTheStoreIsAway(t *testing.T) {
	s, c := newAnswersSite(), new(counter)
	config := usual
	config.Lease = 20 * time.Millisecond
	u := s.open(t, config)
	checkAnswer(t, u, c.compute, app.Answer{Content: text("1"), Fresh: time.Minute})
	away := domain.NewError(domain.CodeUnavailable, nil, "the store is away")
	c.fail(away)
	s.clock.Advance(time.Minute)
	checkAnswer(t, u, c.compute, app.Answer{Content: text("1"), Age: time.Minute, Stale: true})
	await(t, "a failure", func() bool { return u.Counts().Failures == 1 })
	s.clock.Advance(59 * time.Minute)
	checkAnswer(t, u, c.compute, app.Answer{Content: text("1"), Age: time.Hour, Fresh: -59 * time.Minute, Stale: true, Failing: true})

	// A stale answer has its end, too.
	s.clock.Advance(time.Minute)
	if _, err := u.Get(t.Context(), "question", c.compute); !errors.Is(err, away) {
		t.Errorf("error is %v, want %v", err, away)
	}
	c.heal()
	got, err := u.Get(t.Context(), "question", c.compute)
	if err != nil || got.Stale || got.Failing || got.Age != 0 {
		t.Errorf("after the outage: %+v, %v", got, err)
	}
}

// While the claim of a failed refresh lasts, nobody tries again.
func TestAFailedRefreshIsNotRepeatedAtOnce(t *testing.T) {
	s, c := newAnswersSite(), new(counter)
	u, other := s.open(t, usual), s.open(t, usual)
	checkAnswer(t, u, c.compute, app.Answer{Content: text("1"), Fresh: time.Minute})
	c.fail(errors.New("broken"))
	s.clock.Advance(time.Minute)
	checkAnswer(t, u, c.compute, app.Answer{Content: text("1"), Age: time.Minute, Stale: true})
	await(t, "a failure", func() bool { return u.Counts().Failures == 1 })
	for range 20 {
		checkAnswer(t, u, c.compute, app.Answer{Content: text("1"), Age: time.Minute, Stale: true, Failing: true})
		checkAnswer(t, other, c.compute, app.Answer{Content: text("1"), Age: time.Minute, Stale: true})
	}
	closeAnswers(t, u)
	closeAnswers(t, other)
	if n := c.calls.Load(); n != 2 {
		t.Errorf("%d computations, want 2", n)
	}
	if log := s.log.String(); strings.Count(log, "a stale answer stays for now") != 1 || !strings.Contains(log, "broken") {
		t.Errorf("the log says\n%s", log)
	}
}

func closeAnswers(t *testing.T, u *app.Answers) {
	t.Helper()
	if err := u.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestARefusedQuestionIsNotKeptAndReplacesNothing(t *testing.T) {
	for _, code := range []domain.Code{domain.CodeInvalid, domain.CodeNotFound} {
		t.Run(string(code), func(t *testing.T) {
			s, c := newAnswersSite(), new(counter)
			config := usual
			config.Lease = time.Millisecond
			u := s.open(t, config)
			c.fail(domain.NewError(code, nil, "no"))
			for want := int64(1); want <= 2; want++ {
				if _, err := u.Get(t.Context(), "question", c.compute); domain.CodeOf(err) != code {
					t.Fatalf("error is %v", err)
				}
				if n := c.calls.Load(); n != want {
					t.Fatalf("%d computations, want %d", n, want)
				}
			}
			c.heal()
			checkAnswer(t, u, c.compute, app.Answer{Content: text("3"), Fresh: time.Minute})
			s.clock.Advance(time.Minute)
			c.fail(domain.NewError(code, nil, "no"))
			await(t, "a refused refresh", func() bool {
				checkAnswer(t, u, c.compute, app.Answer{Content: text("3"), Age: time.Minute, Stale: true})
				return u.Counts().Computations >= 5
			})
			closeAnswers(t, u)
			if u.Counts().Failures != 0 || s.log.Len() > 0 {
				t.Errorf("counts %+v, and the log says %s", u.Counts(), s.log)
			}
		})
	}
}

// readAll lets n readers ask the use cases at the same time. The computation
// takes until all have come.
func readAll(t *testing.T, n int, compute app.Compute, all ...*app.Answers) {
	t.Helper()
	var (
		readers sync.WaitGroup
		asking  atomic.Int64
	)
	patient := func(ctx context.Context) (app.Content, error) {
		for tick := time.Tick(time.Millisecond); asking.Load() < int64(n); {
			<-tick
		}
		time.Sleep(100 * time.Millisecond) // from the counting to the asking it is not far
		return compute(ctx)
	}
	for i := range n {
		readers.Go(func() {
			asking.Add(1)
			answer, err := all[i%len(all)].Get(t.Context(), "question", patient)
			if err != nil || plainOf(answer) != "1" {
				t.Errorf("answer is %q, %v", plainOf(answer), err)
			}
		})
	}
	readers.Wait()
}

func TestOneComputationForManyReadersAndProcesses(t *testing.T) {
	s, c := newAnswersSite(), new(counter)
	one, two := s.open(t, usual), s.open(t, usual)
	readAll(t, 200, c.compute, one, two)
	if n := c.calls.Load(); n != 1 {
		t.Errorf("%d computations, want 1", n)
	}
	if a, b := one.Counts(), two.Counts(); a.Computations+b.Computations != 1 || a.Hits+a.Misses+b.Hits+b.Misses != 200 {
		t.Errorf("counts %+v and %+v", a, b)
	}
}

func TestWithoutKeepingOnlyConcurrentReadersShare(t *testing.T) {
	s, c := newAnswersSite(), new(counter)
	u := s.open(t, app.AnswersConfig{})
	checkAnswer(t, u, c.compute, app.Answer{Content: text("1")})
	checkAnswer(t, u, c.compute, app.Answer{Content: text("2")})
	if len(s.cache.keys) > 0 {
		t.Errorf("the cache was asked for %q", s.cache.keys)
	}
	c = new(counter)
	readAll(t, 50, c.compute, u)
}

func TestWithoutTheCacheAnswersAreComputed(t *testing.T) {
	s, c := newAnswersSite(), new(counter)
	u := s.open(t, usual)
	s.cache.away.Store(true)
	start := time.Now()
	readAll(t, 100, c.compute, u)
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("took %v, as if another process could answer", took)
	}
	if n := c.calls.Load(); n != 1 {
		t.Errorf("%d computations for readers of one moment, want 1", n)
	}
	if n := u.Counts().CacheErrors; n == 0 {
		t.Error("no error of the cache is counted")
	}
	// The process has the answer itself, and others share it again afterwards.
	checkAnswer(t, u, c.compute, app.Answer{Content: text("1"), Fresh: time.Minute})
	other := s.open(t, usual)
	checkAnswer(t, other, c.compute, app.Answer{Content: text("2"), Fresh: time.Minute})
	s.cache.away.Store(false)
	third := s.open(t, usual)
	checkAnswer(t, third, c.compute, app.Answer{Content: text("3"), Fresh: time.Minute})
	checkAnswer(t, s.open(t, usual), c.compute, app.Answer{Content: text("3"), Fresh: time.Minute})
}

// What expires while the cache is away is not refreshed in vain.
func TestTheCacheLeavesAfterAStaleAnswer(t *testing.T) {
	s, c := newAnswersSite(), new(counter)
	u := s.open(t, usual)
	checkAnswer(t, u, c.compute, app.Answer{Content: text("1"), Fresh: time.Minute})
	s.clock.Advance(time.Minute)
	s.cache.away.Store(true)
	checkAnswer(t, u, c.compute, app.Answer{Content: text("2"), Fresh: time.Minute})
}

func TestAClaimOfADeadProcessEnds(t *testing.T) {
	s, c := newAnswersSite(), new(counter)
	config := usual
	config.Lease = 10 * time.Second
	u := s.open(t, config)
	if _, err := u.Get(t.Context(), "question", func(context.Context) (app.Content, error) {
		return app.Content{}, errors.New("only to learn the key")
	}); err == nil {
		t.Fatal("no error")
	}
	key := s.cache.keys[0]
	if claimed, err := s.cache.Claim(t.Context(), key, "dead", 100*time.Millisecond); !claimed || err != nil {
		t.Fatalf("the failed computation left its claim: %t, %v", claimed, err)
	}
	start := time.Now()
	checkAnswer(t, u, c.compute, app.Answer{Content: text("1"), Fresh: time.Minute})
	if took := time.Since(start); took < 80*time.Millisecond || took > 5*time.Second {
		t.Errorf("waited for %v, want 100 ms", took)
	}
}

// One who claims for ever is not waited for longer than a lease.
func TestPatienceEnds(t *testing.T) {
	s, c := newAnswersSite(), new(counter)
	config := usual
	config.Lease = 50 * time.Millisecond
	u := s.open(t, config)
	_, _ = u.Get(t.Context(), "question", func(context.Context) (app.Content, error) { return app.Content{}, errors.New("key") })
	if claimed, err := s.cache.Claim(t.Context(), s.cache.keys[0], "other", time.Hour); !claimed || err != nil {
		t.Fatal(claimed, err)
	}
	checkAnswer(t, u, c.compute, app.Answer{Content: text("1"), Fresh: time.Minute})
}

// The other process may end its claim with an answer just before ours.
func TestAClaimLooksOnceMore(t *testing.T) {
	s, c := newAnswersSite(), new(counter)
	u := s.open(t, usual)
	late := &lateCache{watchedCache: s.cache, answers: s.open(t, usual), compute: c.compute}
	v := app.NewAnswers(late, s.clock, slog.New(slog.DiscardHandler), usual)
	checkAnswer(t, v, c.compute, app.Answer{Content: text("1"), Fresh: time.Minute})
	checkAnswer(t, u, c.compute, app.Answer{Content: text("1"), Fresh: time.Minute})
	if n := c.calls.Load(); n != 1 {
		t.Errorf("%d computations, want 1", n)
	}
	closeAnswers(t, v)
}

// lateCache lets another process answer between a look and a claim.
type lateCache struct {
	*watchedCache

	answers *app.Answers
	compute app.Compute
}

func (c *lateCache) Claim(ctx context.Context, key, holder string, lifetime time.Duration) (bool, error) {
	if _, err := c.answers.Get(ctx, "question", c.compute); err != nil {
		return false, err
	}
	return c.watchedCache.Claim(ctx, key, holder, lifetime)
}

func TestAPanicIsAnError(t *testing.T) {
	s, c := newAnswersSite(), new(counter)
	u := s.open(t, usual)
	panics := func(context.Context) (app.Content, error) { panic("canary") }
	var readers sync.WaitGroup
	for range 10 {
		readers.Go(func() {
			_, err := u.Get(t.Context(), "question", panics)
			if domain.CodeOf(err) != domain.CodeInternal || !strings.Contains(err.Error(), "string at ") ||
				!strings.Contains(err.Error(), "TestAPanicIsAnError") || strings.Contains(err.Error(), "canary") {
				t.Errorf("error is %v", err)
			}
		})
	}
	readers.Wait()
	failures := u.Counts().Failures
	checkAnswer(t, u, c.compute, app.Answer{Content: text("1"), Fresh: time.Minute})
	s.clock.Advance(time.Minute)
	checkAnswer(t, u, panics, app.Answer{Content: text("1"), Age: time.Minute, Stale: true})
	await(t, "the panic of a refresh", func() bool { return u.Counts().Failures == failures+1 })
}

func TestAComputationOutlivesWhoAskedFirst(t *testing.T) {
	s, c := newAnswersSite(), new(counter)
	u := s.open(t, usual)
	ctx, leave := context.WithCancel(t.Context())
	begun, block := make(chan struct{}), make(chan struct{})
	left := make(chan error)
	go func() {
		_, err := u.Get(ctx, "question", func(ctx context.Context) (app.Content, error) {
			close(begun)
			select {
			case <-block:
			case <-ctx.Done():
			}
			if err := ctx.Err(); err != nil {
				return app.Content{}, err
			}
			return c.compute(ctx)
		})
		left <- err
	}()
	<-begun
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	close(block)
	checkAnswer(t, u, c.compute, app.Answer{Content: text("1"), Fresh: time.Minute})
	if n := u.Counts().Computations; n != 1 {
		t.Errorf("%d computations, want 1", n)
	}
}

// stubborn computes until ctx ends.
func stubborn(begun chan<- struct{}) app.Compute {
	return func(ctx context.Context) (app.Content, error) {
		begun <- struct{}{}
		<-ctx.Done()
		return app.Content{}, ctx.Err()
	}
}

func TestAComputationIsBounded(t *testing.T) {
	s := newAnswersSite()
	u := s.open(t, app.AnswersConfig{Fresh: time.Minute, Lease: 20 * time.Millisecond})
	if _, err := u.Get(t.Context(), "question", stubborn(make(chan struct{}, 1))); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
}

func TestComputationsAreFew(t *testing.T) {
	s, c := newAnswersSite(), new(counter)
	u := s.open(t, app.AnswersConfig{Fresh: time.Minute, Lease: time.Minute, Computations: app.GateConfig{Places: 1, Patience: time.Millisecond}})
	block, begun, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		_, err := u.Get(t.Context(), "another question", func(ctx context.Context) (app.Content, error) {
			close(begun)
			<-block
			return c.compute(ctx)
		})
		done <- err
	}()
	<-begun
	if _, err := u.Get(t.Context(), "question", c.compute); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("error is %v, want one of %s", err, domain.CodeUnavailable)
	}
	close(block)
	if err := <-done; err != nil {
		t.Error(err)
	}
	checkAnswer(t, u, c.compute, app.Answer{Content: text("2"), Fresh: time.Minute})
}

func TestCloseEndsComputations(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s, c := newAnswersSite(), new(counter)
	u := s.open(t, usual)
	checkAnswer(t, u, c.compute, app.Answer{Content: text("1"), Fresh: time.Minute})
	s.clock.Advance(time.Minute)
	begun := make(chan struct{})
	checkAnswer(t, u, stubborn(begun), app.Answer{Content: text("1"), Age: time.Minute, Stale: true})
	<-begun
	closeAnswers(t, u)
	if s.log.Len() > 0 {
		t.Errorf("the log says %s", s.log)
	}
	if _, err := u.Get(t.Context(), "question", c.compute); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("after the end: %v", err)
	}
	if n := c.calls.Load(); n != 1 {
		t.Errorf("%d computations, want 1", n)
	}
}

func TestCloseGivesUp(t *testing.T) {
	s := newAnswersSite()
	u := s.open(t, usual)
	block, begun := make(chan struct{}), make(chan struct{})
	go func() {
		_, _ = u.Get(t.Context(), "question", func(context.Context) (app.Content, error) {
			close(begun)
			<-block // deaf to its context
			return app.Content{}, nil
		})
	}()
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := u.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	close(block)
}

func TestQuestionsAreToldApartAndHidden(t *testing.T) {
	s, c := newAnswersSite(), new(counter)
	revised := usual
	revised.Revision = "2"
	u, v := s.open(t, usual), s.open(t, revised)
	questions := []string{"", "a", "b", "2\x00a", strings.Repeat("somebody@example.org ", 1000)}
	for range 2 {
		for i, question := range questions {
			answer, err := u.Get(t.Context(), question, c.compute)
			if want := strconv.Itoa(i + 1); err != nil || plainOf(answer) != want {
				t.Errorf("%.20q has the answer %q, %v, want %s", question, plainOf(answer), err, want)
			}
		}
	}
	if answer, err := v.Get(t.Context(), "a", c.compute); err != nil || plainOf(answer) != "6" {
		t.Errorf("another revision has the answer %q, %v", plainOf(answer), err)
	}
	for _, key := range s.cache.keys {
		if name, ok := strings.CutPrefix(key, "answer:"); !ok || len(name) != 64 || strings.Trim(name, "0123456789abcdef") != "" {
			t.Errorf("key %q", key)
		}
	}
}

func TestADamagedAnswerIsComputedAnew(t *testing.T) {
	for name, damage := range map[string]func(stored []byte) []byte{
		"short":       func([]byte) []byte { return []byte("short") },
		"cut":         func(stored []byte) []byte { return stored[:len(stored)-1] },
		"other bytes": func(stored []byte) []byte { return append(stored[:len(stored)-1:len(stored)-1], '?') },
	} {
		t.Run(name, func(t *testing.T) {
			s, c := newAnswersSite(), new(counter)
			u := s.open(t, usual)
			checkAnswer(t, u, c.compute, app.Answer{Content: text("1"), Fresh: time.Minute})
			stored, _, _, err := s.cache.Cache.Get(t.Context(), s.cache.keys[0])
			if err == nil {
				err = s.cache.Set(t.Context(), s.cache.keys[0], damage(stored), time.Hour)
			}
			if err != nil {
				t.Fatal(err)
			}
			checkAnswer(t, s.open(t, usual), c.compute, app.Answer{Content: text("2"), Fresh: time.Minute})
		})
	}
}

// An answer that was computed at a later time than now expires at once: the
// clock was set back, or another process's is ahead. What the clocks of healthy
// machines differ by makes no difference.
func TestNoAnswerComesFromTheFuture(t *testing.T) {
	for _, ahead := range []time.Duration{900 * time.Millisecond, 2 * time.Second, 30 * time.Second, 2 * time.Hour, 3 * 365 * 24 * time.Hour} {
		want := "2"
		if ahead < time.Second {
			want = "1"
		}
		s, c := newAnswersSite(), new(counter)
		u := s.open(t, usual)
		s.clock.Step(ahead)
		checkAnswer(t, u, c.compute, app.Answer{Content: text("1"), Fresh: time.Minute})
		s.clock.Step(-ahead)
		checkAnswer(t, u, c.compute, app.Answer{Content: text(want), Fresh: time.Minute})
	}
}

var _ ports.StatisticsCache = (*watchedCache)(nil)

// A cache that other processes share does not know that this one's clock was
// set back.
func TestASharedCacheGivesNoAnswerFromTheFuture(t *testing.T) {
	clock := memory.NewClock(pipelineNow)
	cache := memory.NewCache(memory.CacheConfig{Clock: memory.NewClock(pipelineNow)})
	u := app.NewAnswers(cache, clock, slog.New(slog.DiscardHandler), usual)
	defer func() {
		if err := u.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	for _, ahead := range []time.Duration{900 * time.Millisecond, 2 * time.Second} {
		want := "2"
		if ahead < time.Second {
			want = "1"
		}
		c, question := new(counter), ahead.String()
		get := func() string {
			answer, err := u.Get(t.Context(), question, c.compute)
			if err != nil || answer.Age < 0 {
				t.Errorf("%+v, %v", answer, err)
			}
			return plainOf(answer)
		}
		clock.Step(ahead)
		if got := get(); got != "1" {
			t.Fatalf("answer is %s", got)
		}
		clock.Step(-ahead)
		if got := get(); got != want {
			t.Errorf("set back by %v: answer is %s, want %s", ahead, got, want)
		}
	}
}
