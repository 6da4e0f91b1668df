package app_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// sharing is a shared limiter that can be away.
type sharing struct {
	*memory.Limiter

	away  bool
	calls int
	// entered and release, if given, hold up a call.
	entered, release chan struct{}
}

func (s *sharing) TakeCharged(ctx context.Context, client string, events int, used ports.Usage) (ports.Allowance, error) {
	if s.entered != nil {
		s.entered <- struct{}{}
		<-s.release
	}
	s.calls++
	if s.away {
		return ports.Allowance{}, domain.NewError(domain.CodeUnavailable, nil, "away")
	}
	return s.Limiter.TakeCharged(ctx, client, events, used)
}

// wide are limits with a share of five requests and 100 events.
var wide = ports.Limits{Requests: 60, Burst: 10, Events: 1000}

// newLight returns a process that shares limits, and what it shares them by.
func newLight() (*app.Limit, *sharing, *memory.Clock) {
	clock := memory.NewClock(time.Unix(0, 0))
	config := memory.LimiterConfig{Limits: wide, Clock: clock, MaxClients: 3}
	shared, local := &sharing{Limiter: memory.NewLimiter(config)}, memory.NewLimiter(config)
	return app.NewLimit(wide, app.NewLightLimiter(wide, shared, local), local), shared, clock
}

func grant(t *testing.T, u *app.Limit, client string, n int) (granted int) {
	t.Helper()
	for range n {
		if u.Take(t.Context(), client, 0).Granted {
			granted++
		}
	}
	return granted
}

// While the shared limiter is away a process keeps the limits by itself, and
// what it granted meanwhile is charged when the limiter is back.
func TestAnOutageOfTheSharedLimiter(t *testing.T) {
	u, shared, clock := newLight()
	shared.away = true
	if n := grant(t, u, "client", 30); n != wide.Burst {
		t.Errorf("%d granted, want a burst", n)
	}
	if counts := u.Counts(); counts.Unshared != 30-int64(wide.Share().Requests) {
		t.Errorf("counts are %+v", counts)
	}
	clock.Advance(20 * time.Second)
	shared.away = false
	if n := grant(t, u, "client", 60); n != wide.Burst {
		t.Errorf("%d granted when it is back, want a burst", n)
	}
	clock.Advance(30 * time.Second)
	before := grant(t, u, "client", 1)
	if a := u.Take(t.Context(), "client", 0); before != 1 || a.Remaining != wide.Burst-2 {
		t.Errorf("what was granted during the outage does not count: %+v", a)
	}
}

// A share is that of one process, and of the last minute.
func TestALightClientIsJudgedHere(t *testing.T) {
	u, shared, clock := newLight()
	shared.away = true // nothing can be asked of it
	for range 20 {
		if n := grant(t, u, "client", wide.Share().Requests); n != wide.Share().Requests {
			t.Fatalf("%d granted", n)
		}
		clock.Advance(ports.LimitWindow)
	}
	if a := u.Take(t.Context(), "client", wide.Share().Events); !a.Granted || a.Remaining != 9 {
		t.Errorf("a batch within the share: %+v", a)
	}
	if counts := u.Counts(); counts.Unshared != 0 {
		t.Errorf("the shared limiter was asked: %+v", counts)
	}
	u.Take(t.Context(), "client", 1)
	if counts := u.Counts(); counts.Unshared != 1 {
		t.Errorf("an event beyond the share: %+v", counts)
	}
}

// The shared limiter is asked once in a share by a client that it has room for, and
// always by one that it has none for.
func TestAHeavyClientAsksOnceInAShare(t *testing.T) {
	u, shared, clock := newLight()
	calls := func(n int) int {
		before := shared.calls
		grant(t, u, "client", n)
		return shared.calls - before
	}
	// Of the burst of ten, five are granted in advance, the sixth is judged, and the
	// four that it leaves are granted in advance.
	for i, want := range []int{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1} {
		if got := calls(1); got != want {
			t.Fatalf("request %d: asked %d times, want %d", i+1, got, want)
		}
	}
	// The last was refused: it is judged until the other grants again, however long
	// it may be barred.
	clock.Advance(ports.LongestBar - time.Microsecond)
	if got := calls(1); got != 1 {
		t.Errorf("asked %d times after a refusal, want once", got)
	}
	if got := calls(5); got != 0 {
		t.Errorf("asked %d times for what it had left", got)
	}
}

// Clients for whom there is no room are forgotten: they have their share again, and
// no other client is refused.
func TestLightClientsWithoutRoom(t *testing.T) {
	u, shared, _ := newLight()
	shared.away = true
	for range 4 {
		for _, client := range []string{"1", "2", "3", "4"} { // there is room for three
			if n := grant(t, u, client, wide.Share().Requests); n != wide.Share().Requests {
				t.Fatalf("%d granted", n)
			}
		}
	}
	if counts := u.Counts(); counts.Unshared != 0 || counts.Refused != 0 {
		t.Errorf("counts are %+v", counts)
	}
}

// While a client is charged nothing is granted in advance, though its share has room,
// and who waits for that waits no longer than its context.
func TestAWaitForACharge(t *testing.T) {
	clock := memory.NewClock(time.Unix(0, 0))
	config := memory.LimiterConfig{Limits: wide, Clock: clock}
	shared := &sharing{Limiter: memory.NewLimiter(config)}
	l := app.NewLightLimiter(wide, shared, memory.NewLimiter(config))
	if _, err := l.Take(t.Context(), "client", 0); err != nil {
		t.Fatal(err)
	}
	shared.entered, shared.release = make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		_, err := l.Take(t.Context(), "client", wide.Share().Events+1)
		first <- err
	}()
	<-shared.entered
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := l.Take(ctx, "client", 0); !errors.Is(err, context.DeadlineExceeded) || domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("error %v", err)
	}
	close(shared.release)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// However a client spreads its requests over processes and time, these grant the
// limits and a share each in any window.
func TestProcessesGrantNoMoreThanAShareEach(t *testing.T) {
	const processes = 3
	type granted struct {
		at     time.Duration
		events int
	}
	rapid.Check(t, func(r *rapid.T) {
		limits := ports.Limits{Requests: rapid.IntRange(10, 60).Draw(r, "requests"), Events: rapid.IntRange(10, 500).Draw(r, "events")}
		limits.Burst = rapid.IntRange(1, limits.Requests).Draw(r, "burst")
		clock := memory.NewClock(time.Unix(0, 0))
		config := memory.LimiterConfig{Limits: limits, Clock: clock}
		shared := &sharing{Limiter: memory.NewLimiter(config)}
		var limiters []*app.LightLimiter
		for range processes {
			limiters = append(limiters, app.NewLightLimiter(limits, shared, memory.NewLimiter(config)))
		}
		var window []granted
		most, mostEvents := limits.Requests+processes*limits.Share().Requests, limits.Events+processes*limits.Share().Events
		now := time.Duration(0)
		for range rapid.IntRange(1, 150).Draw(r, "turns") {
			process := rapid.IntRange(0, processes-1).Draw(r, "process")
			events := rapid.SampledFrom([]int{0, 0, 1, 10, 50}).Draw(r, "batch")
			for range rapid.SampledFrom([]int{1, 1, 3, 20}).Draw(r, "times") {
				a, err := limiters[process].Take(t.Context(), "client", events)
				if err != nil {
					r.Fatal(err)
				}
				if a.Granted {
					window = append(window, granted{now, events})
				}
			}
			for len(window) > 0 && now-window[0].at >= ports.LimitWindow {
				window = window[1:]
			}
			sum := 0
			for _, g := range window {
				sum += g.events
			}
			if len(window) > most || sum > mostEvents {
				r.Fatalf("%d requests and %d events in a minute, want at most %d and %d", len(window), sum, most, mostEvents)
			}
			step := rapid.SampledFrom([]time.Duration{0, 10 * time.Millisecond, time.Second, 5 * time.Second, 59 * time.Second, 11 * time.Minute}).Draw(r, "step")
			now += step
			clock.Advance(step)
		}
	})
}
