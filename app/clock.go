package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// ClockConfig tunes a [Clock]. Zero values mean the defaults.
type ClockConfig struct {
	// Tolerance is by how much the clock may differ from a store's before it is
	// not believed. Default 5 minutes.
	Tolerance time.Duration
	// Interval is how often the stores are asked. Default 10 s.
	Interval time.Duration
}

const (
	// noticeableSkew is by how much clocks differ when the log says so. They
	// agree again at half of it, so that the log is not filled by a skew that
	// moves about the limit.
	noticeableSkew = time.Minute
	agreeingSkew   = noticeableSkew / 2
	// compareTimeout bounds one question for the time. Half of what an answer
	// took is how wrong it may be.
	compareTimeout = 2 * time.Second
)

// Clock is the clock of this process, compared with those of its stores. While
// it agrees with one of them it shows its own time. Otherwise it shows the
// first store's time: what is judged in bulk rests on no single machine. A
// store that knows only a lower bound can prove the clock wrong, but has no
// time to show.
//
// It is a health check, which fails while the clock differs from any store's by
// more than the tolerance.
type Clock struct {
	own    ports.Clock
	log    *slog.Logger
	config ClockConfig

	mu sync.RWMutex
	// comparisons has one for each store.
	comparisons []comparison
	// suspicion is why the clock is not believed although no store says so.
	suspicion error
}

var (
	_ ports.Clock       = (*Clock)(nil)
	_ ports.HealthCheck = (*Clock)(nil)
)

// comparison is what a store said last.
type comparison struct {
	store ports.StoreClock
	said  ports.StoreTime
	at    time.Duration // on the own clock's Elapsed
	// noted is what the log knows.
	noted skewLevel
}

type skewLevel int

const (
	skewNone skewLevel = iota
	skewNoticeable
	skewIntolerable
)

// NewClock returns the clock of this process, which has not been compared yet.
func NewClock(own ports.Clock, stores []ports.StoreClock, log *slog.Logger, config ClockConfig) *Clock {
	setDefault(&config.Tolerance, 5*time.Minute)
	setDefault(&config.Interval, 10*time.Second)
	c := &Clock{own: own, log: log, config: config, comparisons: make([]comparison, len(stores))}
	for i, s := range stores {
		c.comparisons[i].store = s
	}
	return c
}

// Elapsed returns the time since a fixed moment, as ports.Clock promises.
func (c *Clock) Elapsed() time.Duration { return c.own.Elapsed() }

// Now returns the time to judge by.
func (c *Clock) Now() time.Time {
	now, _ := c.now()
	return now
}

// now returns also the store whose time it is, nil for the own clock's.
func (c *Clock) now() (time.Time, ports.StoreClock) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	own, elapsed := c.own.Now(), c.own.Elapsed()
	shown, of := own, ports.StoreClock(nil)
	for i := range c.comparisons {
		k := &c.comparisons[i]
		if c.agrees(k, own, elapsed) {
			return own, nil
		}
		if of == nil && k.hasTime() {
			shown, of = k.time(elapsed), k.store
		}
	}
	return shown, of
}

// hasTime reports whether the store has given a time that can be shown.
func (k *comparison) hasTime() bool { return !k.said.At.IsZero() && !k.said.LowerBound }

// agrees reports whether a store's time confirms the own one.
func (c *Clock) agrees(k *comparison, own time.Time, elapsed time.Duration) bool {
	return k.hasTime() && k.skew(own, elapsed).Abs() <= c.config.Tolerance
}

// time is what the store would say now.
func (k *comparison) time(elapsed time.Duration) time.Time { return k.said.At.Add(elapsed - k.at) }

// skew is how far the own clock is ahead of the store's.
func (k *comparison) skew(own time.Time, elapsed time.Duration) time.Duration {
	if k.said.At.IsZero() {
		return 0
	}
	skew := own.Sub(k.time(elapsed))
	if k.said.LowerBound {
		return min(skew, 0)
	}
	return skew
}

// Run compares the clocks until ctx ends.
func (c *Clock) Run(ctx context.Context) {
	ticker := time.NewTicker(c.config.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.Compare(ctx)
		}
	}
}

// Compare asks all stores for the time, side by side, for 2 s at most. One that
// does not answer is compared as it said last: the time since is known.
func (c *Clock) Compare(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	var group sync.WaitGroup
	for i := range c.comparisons {
		group.Go(func() { c.compare(ctx, i) })
	}
	group.Wait()
	c.note()
}

func (c *Clock) compare(ctx context.Context, i int) {
	store := c.comparisons[i].store // never changes
	start := c.own.Elapsed()
	said, err := withoutPanic(func() (ports.StoreTime, error) { return store.Time(ctx) })
	if err != nil {
		c.log.Debug("a store does not tell the time", "store", store.Name(), "code", domain.CodeOf(err), "error", err)
		return
	}
	half := (c.own.Elapsed() - start) / 2
	c.mu.Lock()
	defer c.mu.Unlock()
	c.comparisons[i].said, c.comparisons[i].at = said, start+half
}

// note logs what has changed.
func (c *Clock) note() {
	c.mu.Lock()
	defer c.mu.Unlock()
	own, elapsed := c.own.Now(), c.own.Elapsed()
	for i := range c.comparisons {
		k := &c.comparisons[i]
		skew := k.skew(own, elapsed)
		level := c.level(skew.Abs(), k.noted)
		if level == k.noted {
			continue
		}
		k.noted = level
		log := c.log.With("store", k.store.Name(), "skew_seconds", skew.Seconds())
		switch level {
		case skewNone:
			log.Info("the clock agrees with the store's again")
		case skewNoticeable:
			log.Warn("the clock differs from the store's by more than a minute: have both set by the same time server")
		case skewIntolerable:
			log.Error("the clock differs from the store's by more than CLOCK_TOLERANCE_SECONDS, so nothing is deleted for its age: "+
				"set it right", "tolerance_seconds", c.config.Tolerance.Seconds())
		}
	}
}

func (c *Clock) level(skew time.Duration, before skewLevel) skewLevel {
	switch {
	case skew > c.config.Tolerance:
		return skewIntolerable
	case skew > noticeableSkew, skew > agreeingSkew && before != skewNone:
		return skewNoticeable
	default:
		return skewNone
	}
}

// confirmed reports whether a store's clock agrees.
func (c *Clock) confirmed() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	own, elapsed := c.own.Now(), c.own.Elapsed()
	for i := range c.comparisons {
		if c.agrees(&c.comparisons[i], own, elapsed) {
			return true
		}
	}
	return false
}

// steady reports whether the wall clock was not set between the two moments.
func (c *Clock) steady(from, to instant) bool {
	set := to.wall.Sub(from.wall) - (to.elapsed - from.elapsed)
	return set.Abs() <= c.config.Tolerance
}

// Suspect makes the health check fail with err, or stop to do so when err is
// nil.
func (c *Clock) Suspect(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.suspicion = err
}

// Name is "clock".
func (c *Clock) Name() string { return "clock" }

// Check returns nil while the clock is believed, else domain.CodeUnavailable
// with a sentence that says by how much it is wrong. It asks no store.
func (c *Clock) Check(context.Context) error {
	if err := c.checkStores(); err != nil {
		return err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.suspicion
}

// checkStores is Check for what the stores say.
func (c *Clock) checkStores() error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	own, elapsed := c.own.Now(), c.own.Elapsed()
	var errs []error
	for i := range c.comparisons {
		k := &c.comparisons[i]
		if skew := k.skew(own, elapsed); skew.Abs() > c.config.Tolerance {
			errs = append(errs, k.objection(skew))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return domain.NewError(domain.CodeUnavailable, errors.Join(errs[1:]...), domain.MessageOf(errs[0]))
}

func (k *comparison) objection(skew time.Duration) error {
	message := fmt.Sprintf("the clock is %s behind the newest batch in %s: set it right; "+
		"if it was ahead before and is right now, this ends when that time is over", roughly(skew), k.store.Name())
	if !k.said.LowerBound {
		where := "ahead of"
		if skew < 0 {
			where = "behind"
		}
		message = fmt.Sprintf("the clock is %s %s %s's: set the wrong one of the two right", roughly(skew), where, k.store.Name())
	}
	return domain.NewError(domain.CodeUnavailable, nil, message)
}

// roughly is a length of time as people say it, without its sign.
func roughly(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = d.Abs(); {
	case d >= 2*day:
		return fmt.Sprintf("%d days", d/day)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	default:
		return fmt.Sprintf("%d seconds", d/time.Second)
	}
}

// ClockState is how the clock compares.
type ClockState struct {
	// Now is the time that is judged by, and JudgedBy the store whose time it
	// is, empty for the process's own.
	Now      time.Time
	JudgedBy string
	// Err is what [Clock.Check] returns.
	Err       error
	Tolerance time.Duration
	Skews     []ClockSkew
}

// ClockSkew is how the clock compares with that of one store.
type ClockSkew struct {
	Store string
	// Known is false while the store has not told the time.
	Known bool
	// LowerBound says that the store can only prove the clock to be behind.
	LowerBound bool
	// Skew is how far the clock is ahead of the store's.
	Skew time.Duration
	// Age is how long ago the store was asked.
	Age time.Duration
}

// State tells how the clock compares.
func (c *Clock) State(ctx context.Context) ClockState {
	now, of := c.now()
	state := ClockState{Now: now, Err: c.Check(ctx), Tolerance: c.config.Tolerance}
	if of != nil {
		state.JudgedBy = of.Name()
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	own, elapsed := c.own.Now(), c.own.Elapsed()
	for i := range c.comparisons {
		k := &c.comparisons[i]
		skew := ClockSkew{Store: k.store.Name(), Known: !k.said.At.IsZero(), LowerBound: k.said.LowerBound, Skew: k.skew(own, elapsed)}
		if skew.Known {
			skew.Age = elapsed - k.at
		}
		state.Skews = append(state.Skews, skew)
	}
	return state
}
