package contract

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// visitor is a client that asks for a long time, one process after the other
// where several share the limits.
type visitor struct {
	t         *testing.T
	h         LimiterHarness
	instances []ports.Limiter

	now     time.Duration
	asked   int
	grants  []time.Duration // when, of all that were granted
	longest time.Duration   // that it was told to wait
}

// visit has a client ask one process and then, where several share the limits,
// another client ask two in turn.
func visit(t *testing.T, open OpenLimiter, behave func(t *testing.T, v *visitor)) {
	t.Helper()
	run := func(name string, instances func(LimiterHarness) []ports.Limiter) (shared bool) {
		t.Run(name, func(t *testing.T) {
			h := open(t, usual)
			shared = h.Another != nil
			v := &visitor{t: t, h: h, instances: instances(h)}
			behave(t, v)
			v.checkGrants()
		})
		return shared
	}
	if run("one process", func(h LimiterHarness) []ports.Limiter { return []ports.Limiter{h.Limiter} }) {
		run("two in turn", func(h LimiterHarness) []ports.Limiter { return []ports.Limiter{h.Limiter, h.Another} })
	}
}

func (v *visitor) ask() ports.Allowance {
	v.t.Helper()
	a := ask(v.t, v.instances[v.asked%len(v.instances)], alice)
	v.asked++
	if a.Granted {
		v.grants = append(v.grants, v.now)
	}
	v.longest = max(v.longest, a.Wait)
	return a
}

func (v *visitor) wait(d time.Duration) {
	v.now += d
	v.h.Advance(d)
}

// extra is how many requests more than the limits may be granted.
func (v *visitor) extra() int {
	if len(v.instances) == 1 {
		return 0
	}
	return v.h.extra()
}

// checkGrants looks for a minute with more than the limit.
func (v *visitor) checkGrants() {
	v.t.Helper()
	most := usual.Requests + v.extra()
	for i, from := range v.grants {
		if j := i + most; j < len(v.grants) && v.grants[j]-from < ports.LimitWindow {
			v.t.Fatalf("more than %d granted in the minute from %v on", most, from)
		}
	}
}

// checkServed wants so many to be granted, and never a wait of a minute.
func (v *visitor) checkServed(least int) {
	v.t.Helper()
	v.t.Logf("of %d requests in %v, %d were granted; the longest wait was %v", v.asked, v.now, len(v.grants), v.longest)
	if len(v.grants) < least || v.longest >= time.Minute {
		v.t.Errorf("%d granted, want at least %d; the longest wait was %v", len(v.grants), least, v.longest)
	}
}

// simulateJitter asks once a second, more or less, and never looks at answers.
func simulateJitter(t *testing.T, open OpenLimiter) {
	for _, jitter := range []time.Duration{time.Millisecond, 450 * time.Millisecond} {
		t.Run(jitter.String(), func(t *testing.T) {
			visit(t, open, func(_ *testing.T, v *visitor) {
				random := rand.New(rand.NewPCG(1, 2))
				for i := range 3600 {
					at := time.Duration(i)*time.Second + jitter + time.Duration(random.Int64N(int64(2*jitter/time.Microsecond)))*time.Microsecond
					v.wait(at - v.now)
					v.ask()
				}
				v.checkServed(3450)
			})
		})
	}
}

// simulateHaste asks a little more often than it may and never looks at answers.
func simulateHaste(t *testing.T, open OpenLimiter) {
	visit(t, open, func(_ *testing.T, v *visitor) {
		for v.now < time.Hour {
			v.ask()
			v.wait(950 * time.Millisecond)
		}
		v.checkServed(3500)
	})
}

// simulateObedience asks ten times a second, and waits whenever it is told to,
// whole seconds as HTTP tells them.
func simulateObedience(t *testing.T, open OpenLimiter) {
	visit(t, open, func(_ *testing.T, v *visitor) {
		for v.now < time.Hour {
			if a := v.ask(); a.Granted {
				v.wait(100 * time.Millisecond)
			} else {
				v.wait(time.Duration(math.Ceil(a.Wait.Seconds())) * time.Second)
			}
		}
		v.checkServed(3500)
	})
}

// simulateSwarms asks more than the burst at once, now and then.
func simulateSwarms(t *testing.T, open OpenLimiter) {
	visit(t, open, func(t *testing.T, v *visitor) {
		const swarms = 36
		for range swarms {
			before := len(v.grants)
			for range 12 {
				v.ask()
			}
			if n := len(v.grants) - before; n < 10 || n > 10+v.extra() {
				t.Fatalf("after %v %d of 12 granted", v.now, n)
			}
			v.wait(5 * time.Minute)
		}
		v.checkServed(swarms * 10)
	})
}

// simulateFlood asks without end, whatever it is told, and then waits once.
func simulateFlood(t *testing.T, open OpenLimiter) {
	for _, pause := range []time.Duration{50 * time.Millisecond, 500 * time.Millisecond} {
		t.Run(pause.String(), func(t *testing.T) {
			visit(t, open, func(t *testing.T, v *visitor) {
				for v.now < 20*time.Minute {
					v.ask()
					v.wait(pause)
				}
				last := v.ask()
				t.Logf("of %d requests %d were granted; the longest wait was %v", v.asked, len(v.grants), v.longest)
				if v.longest != ports.LongestBar || last.Wait < ports.LongestBar-ports.LimitWindow {
					t.Errorf("the longest wait is %v, the last %v", v.longest, last.Wait)
				}
				if n := len(v.grants); n > 4*usual.Requests {
					t.Errorf("%d granted", n)
				}
				v.wait(last.Wait)
				if a := v.ask(); !a.Granted {
					t.Errorf("it waited in vain: %+v", a)
				}
			})
		})
	}
}
