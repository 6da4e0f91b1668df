package app_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/logs"
)

const year = 365 * 24 * time.Hour

// offsets are by how much a clock may be wrong.
func offsets() []time.Duration {
	var both []time.Duration
	for _, d := range []time.Duration{
		5 * time.Second, 50 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 6 * time.Minute, 2 * time.Hour, 48 * time.Hour, 800 * 24 * time.Hour, 3 * year,
	} {
		both = append(both, d, -d)
	}
	return both
}

func checkClockHealth(t *testing.T, c *app.Clock, healthy bool) {
	t.Helper()
	err := c.Check(t.Context())
	if healthy != (err == nil) || !healthy && domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("the check says %v, want healthy %t", err, healthy)
	}
}

func TestAClockIsComparedWithItsStores(t *testing.T) {
	for _, d := range offsets() {
		own, server := memory.NewClock(pipelineNow.Add(d)), memory.NewClock(pipelineNow)
		log := new(logs.Buffer)
		c := app.NewClock(own, []ports.StoreClock{memory.NewServerClock("PostgreSQL", server)}, log.Logger(), app.ClockConfig{})
		checkClockHealth(t, c, true) // nothing is known yet
		for range 3 {
			c.Compare(t.Context())
		}
		believed := d.Abs() <= 5*time.Minute
		checkClockHealth(t, c, believed)
		want := own.Now()
		if !believed {
			want = server.Now()
		}
		if got := c.Now(); !got.Equal(want) {
			t.Errorf("%v ahead: judged by %v, want %v", d, got, want)
		}
		state := c.State(t.Context())
		if (state.JudgedBy == "") != believed || len(state.Skews) != 1 || state.Skews[0].Skew != d || !state.Skews[0].Known {
			t.Errorf("%v ahead: state is %+v", d, state)
		}
		level := ""
		switch {
		case !believed:
			level = "level=ERROR"
		case d.Abs() > time.Minute:
			level = "level=WARN"
		}
		if lines := strings.Count(log.String(), "level="); lines != min(len(level), 1) || !strings.Contains(log.String(), level) {
			t.Errorf("%v ahead: logged\n%s\nwant one line with %q", d, log, level)
		}

		own.Step(-d)
		checkClockHealth(t, c, true) // at once
		c.Compare(t.Context())
		if again := strings.Count(log.String(), "agrees with the store's again"); again != min(len(level), 1) {
			t.Errorf("%v ahead: logged\n%s", d, log)
		}
	}
}

// The sentence names the direction, and a length in the unit that suits it.
func TestTheCheckSaysHowFarTheClockIsOff(t *testing.T) {
	for _, tt := range []struct {
		offset time.Duration
		want   string
	}{
		{90 * time.Second, "90 seconds"},
		{119 * time.Second, "119 seconds"},
		{2 * time.Minute, "2 minutes"},
		{119 * time.Minute, "119 minutes"},
		{2 * time.Hour, "2 hours"},
		{47 * time.Hour, "47 hours"},
		{48 * time.Hour, "2 days"},
	} {
		for direction, offset := range map[string]time.Duration{"ahead of": tt.offset, "behind": -tt.offset} {
			own := memory.NewClock(pipelineNow.Add(offset))
			c := app.NewClock(own, []ports.StoreClock{memory.NewServerClock("PostgreSQL", memory.NewClock(pipelineNow))},
				slog.New(slog.DiscardHandler), app.ClockConfig{Tolerance: time.Minute})
			c.Compare(t.Context())
			want := "the clock is " + tt.want + " " + direction + " PostgreSQL's: set the wrong one of the two right"
			if got := domain.MessageOf(c.Check(t.Context())); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
	}
	queue, store := memory.NewQueue(memory.QueueConfig{}), memory.NewStore()
	batch := domain.Batch{ID: "b", ReceivedAt: pipelineNow, Events: contract.Events(1, 1)}
	if err := queue.Enqueue(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	c := app.NewClock(memory.NewClock(pipelineNow.Add(-time.Hour)), []ports.StoreClock{memory.NewNewestStored(queue, store)},
		slog.New(slog.DiscardHandler), app.ClockConfig{})
	c.Compare(t.Context())
	if got := domain.MessageOf(c.Check(t.Context())); !strings.HasPrefix(got, "the clock is 60 minutes behind the newest batch in ") {
		t.Errorf("%q", got)
	}
}

func TestTheStateSaysWhenAStoreWasAsked(t *testing.T) {
	own := memory.NewClock(pipelineNow)
	stores := []ports.StoreClock{memory.NewServerClock("PostgreSQL", memory.NewClock(pipelineNow))}
	c := app.NewClock(own, stores, slog.New(slog.DiscardHandler), app.ClockConfig{})
	own.Advance(time.Minute)
	if s := c.State(t.Context()).Skews[0]; s.Known || s.Age != 0 {
		t.Errorf("before the first comparison: %+v", s)
	}
	c.Compare(t.Context())
	own.Advance(7 * time.Second)
	if s := c.State(t.Context()).Skews[0]; !s.Known || s.Age != 7*time.Second {
		t.Errorf("seven seconds later: %+v", s)
	}
}

// A step is noticed before the next comparison: the time since the last one is
// known.
func TestAStepOfTheClockIsNoticedAtOnce(t *testing.T) {
	for _, d := range offsets() {
		own, server := memory.NewClock(pipelineNow), memory.NewClock(pipelineNow)
		c := app.NewClock(own, []ports.StoreClock{memory.NewServerClock("PostgreSQL", server)}, slog.New(slog.DiscardHandler), app.ClockConfig{})
		c.Compare(t.Context())
		own.Advance(time.Hour)
		own.Step(d)
		believed := d.Abs() <= 5*time.Minute
		checkClockHealth(t, c, believed)
		want := pipelineNow.Add(time.Hour)
		if believed {
			want = want.Add(d)
		}
		if got := c.Now(); !got.Equal(want) {
			t.Errorf("set by %v: judged by %v, want %v", d, got, want)
		}
	}
}

// Of three clocks the one that is alone with its time is wrong.
func TestAClockThatAgreesWithAStoreIsBelieved(t *testing.T) {
	right, wrong := memory.NewClock(pipelineNow), memory.NewClock(pipelineNow.Add(48*time.Hour))
	tests := map[string]struct {
		own, postgres, redis, judgedBy *memory.Clock
	}{
		"own is wrong":        {wrong, right, right, right},
		"PostgreSQL is wrong": {right, wrong, right, right},
		"Redis is wrong":      {right, right, wrong, right},
	}
	for name, test := range tests {
		c := app.NewClock(test.own, []ports.StoreClock{
			memory.NewServerClock("PostgreSQL", test.postgres), memory.NewServerClock("Redis", test.redis),
		}, slog.New(slog.DiscardHandler), app.ClockConfig{})
		c.Compare(t.Context())
		checkClockHealth(t, c, false)
		if got := c.Now(); !got.Equal(test.judgedBy.Now()) {
			t.Errorf("%s: judged by %v", name, got)
		}
	}
}

// What is stored proves a clock wrong that is behind, and none that is ahead.
func TestAClockBehindWhatIsStoredIsWrong(t *testing.T) {
	for _, d := range offsets() {
		own := memory.NewClock(pipelineNow.Add(d))
		queue, store := memory.NewQueue(memory.QueueConfig{}), memory.NewStore()
		c := app.NewClock(own, []ports.StoreClock{memory.NewNewestStored(queue, store)}, slog.New(slog.DiscardHandler), app.ClockConfig{})
		c.Compare(t.Context())
		checkClockHealth(t, c, true) // nothing is stored
		if err := queue.Enqueue(t.Context(), domain.Batch{ID: "1", ReceivedAt: pipelineNow}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			c.Compare(t.Context())
			checkClockHealth(t, c, d >= -5*time.Minute)
			if got := c.Now(); !got.Equal(own.Now()) {
				t.Errorf("%v ahead: judged by %v, although the store has no clock", d, got)
			}
			// The worker moves the batch.
			if _, err := store.Store(t.Context(), []domain.Batch{{ID: "1", ReceivedAt: pipelineNow}}); err != nil {
				t.Fatal(err)
			}
			if err := queue.Acknowledge(t.Context(), "1"); err != nil {
				t.Fatal(err)
			}
		}
		own.Advance(max(-d, 0))
		c.Compare(t.Context())
		checkClockHealth(t, c, true) // the time has come
	}
}

// slowClock answers after a while, by its clock of that moment.
type slowClock struct {
	ports.StoreClock

	own, server *memory.Clock
	there, back time.Duration
}

func (c slowClock) Time(ctx context.Context) (ports.StoreTime, error) {
	c.own.Advance(c.there)
	c.server.Advance(c.there)
	said, err := c.StoreClock.Time(ctx)
	c.own.Advance(c.back)
	c.server.Advance(c.back)
	return said, err
}

func TestTheWayToTheStoreIsNoSkew(t *testing.T) {
	own, server := memory.NewClock(pipelineNow), memory.NewClock(pipelineNow)
	slow := slowClock{memory.NewServerClock("PostgreSQL", server), own, server, 900 * time.Millisecond, 900 * time.Millisecond}
	c := app.NewClock(own, []ports.StoreClock{slow}, slog.New(slog.DiscardHandler), app.ClockConfig{})
	c.Compare(t.Context())
	if skew := c.State(t.Context()).Skews[0].Skew; skew != 0 {
		t.Errorf("skew is %v", skew)
	}
}

// brokenClock fails, panics or hangs.
type brokenClock struct {
	kind  string
	calls *atomic.Int64
}

func (brokenClock) Name() string { return "broken" }

func (c brokenClock) Time(ctx context.Context) (ports.StoreTime, error) {
	c.calls.Add(1)
	switch c.kind {
	case "panics":
		panic("no clock")
	case "hangs":
		<-ctx.Done()
	}
	return ports.StoreTime{}, errors.New("no clock")
}

func TestAStoreThatDoesNotTellTheTimeProvesNothing(t *testing.T) {
	for _, kind := range []string{"fails", "panics", "hangs"} {
		own, calls := memory.NewClock(pipelineNow), new(atomic.Int64)
		c := app.NewClock(own, []ports.StoreClock{brokenClock{kind, calls}}, slog.New(slog.DiscardHandler), app.ClockConfig{})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		c.Compare(ctx)
		cancel()
		checkClockHealth(t, c, true)
		if state := c.State(t.Context()); calls.Load() != 1 || state.Skews[0].Known || !state.Now.Equal(pipelineNow) {
			t.Errorf("%s: asked %d times, state %+v", kind, calls.Load(), state)
		}
	}
}

// A skew that moves about the limit does not fill the log.
func TestASkewAboutAMinuteIsLoggedOnce(t *testing.T) {
	own, server := memory.NewClock(pipelineNow), memory.NewClock(pipelineNow)
	log := new(logs.Buffer)
	c := app.NewClock(own, []ports.StoreClock{memory.NewServerClock("PostgreSQL", server)}, log.Logger(), app.ClockConfig{})
	for _, seconds := range []int{70, 50, 65, 40, 61, 35, 20, 10, 59} {
		own.Set(server.Now().Add(time.Duration(seconds) * time.Second))
		c.Compare(t.Context())
	}
	if text := log.String(); strings.Count(text, "level=") != 2 || strings.Count(text, "agrees with the store's again") != 1 {
		t.Errorf("logged\n%s", text)
	}
}
