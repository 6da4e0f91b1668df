package contract

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// LimiterHarness lends the suite what it cannot reach through the port.
type LimiterHarness struct {
	Limiter ports.Limiter
	// Advance moves the limiter's clock. It starts at [Now].
	Advance func(d time.Duration)
	// Break takes away what the limiter judges by. Nil for one that needs
	// nothing.
	Break func(t *testing.T)
	// Another is the limiter of another process that shares what is counted.
	// Nil for one that is for a process alone.
	Another ports.Limiter
	// Lenient says that each of the two may grant a share of the limits by itself.
	Lenient bool
}

// extra is how many requests the two may grant beyond the limits.
func (h LimiterHarness) extra() int {
	if !h.Lenient {
		return 0
	}
	return 2 * usual.Share().Requests
}

// OpenLimiter returns a limiter that knows nobody and cleans up after the test.
type OpenLimiter func(t *testing.T, limits ports.Limits) LimiterHarness

// usual are the limits that most tests of the suite are about.
var usual = ports.Limits{Requests: 60, Burst: 10, Events: 1000}

// Limiter tests an adapter against the promises of ports.Limiter.
func Limiter(t *testing.T, open OpenLimiter) {
	for name, test := range map[string]func(*testing.T, OpenLimiter){
		"a burst is granted, and no more":           testLimiterBurst,
		"a steady client is never refused":          testLimiterSteady,
		"a greedy client gets what the limit is":    testLimiterGreedy,
		"no window has more than the limit":         testLimiterWindow,
		"events are counted by the batch":           testLimiterEvents,
		"a batch over the limit is never granted":   testLimiterTooManyEvents,
		"batches refused for events are requests":   testLimiterRefusedEvents,
		"waiting helps":                             testLimiterWaiting,
		"clients do not share":                      testLimiterClients,
		"a neighbour makes nothing forgotten":       testLimiterNeighbour,
		"repeated violation lengthens the wait":     testLimiterStrikes,
		"violations by events lengthen it as well":  testLimiterEventStrikes,
		"a few impatient requests are no violation": testLimiterPatience,
		"the wait is for events as well":            testLimiterBothWaits,
		"violations are forgotten":                  testLimiterForgives,
		"who is barred is known":                    testLimiterBarred,
		"a clock that is set back harms nobody":     testLimiterClockSetBack,
		"concurrent requests get no more":           testLimiterConcurrent,
		"a cancelled call ends":                     testLimiterCancelled,
		"a broken limiter says so":                  testBrokenLimiter,
		"the verdict is that of the one in memory":  testSameVerdicts,
		"a limit that is no part of a minute works": testLimiterOddLimits,
		"what was granted elsewhere is charged":     testLimiterCharges,
		"who asks once a second is served":          simulateJitter,
		"just above the limit is served":            simulateHaste,
		"who waits as told gets the limit":          simulateObedience,
		"a few at once are served":                  simulateSwarms,
		"who ignores everything is shut out":        simulateFlood,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

const alice, bob, carol = "192.0.2.1/32", "2001:db8::/64", "198.51.100.7/32"

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
	Context() context.Context
}

func take(t fataler, l ports.Limiter, client string, events int) ports.Allowance {
	t.Helper()
	a, err := l.Take(t.Context(), client, events)
	if err != nil {
		t.Fatalf("take: %v", err)
	}
	return a
}

// ask asks as the use case does: who is barred is not judged.
func ask(t fataler, l ports.Limiter, client string) ports.Allowance {
	t.Helper()
	if a, barred := l.Barred(client); barred {
		return a
	}
	return take(t, l, client, 0)
}

// granted asks n times at once and returns how often that was granted.
func granted(t fataler, l ports.Limiter, client string, n int) int {
	t.Helper()
	sum := 0
	for range n {
		if take(t, l, client, 0).Granted {
			sum++
		}
	}
	return sum
}

func checkAllowance(t *testing.T, got, want ports.Allowance) {
	t.Helper()
	if got != want {
		t.Fatalf("allowance is\n%+v, want\n%+v", got, want)
	}
}

// testLimiterNeighbour compares a client that is alone with one between whose
// requests another asks, which is when limiters forget what is over.
func testLimiterNeighbour(t *testing.T, open OpenLimiter) {
	alone, shared := open(t, usual), open(t, usual)
	random := rand.New(rand.NewPCG(1, 2))
	pauses := []time.Duration{
		0, 100 * time.Millisecond, time.Second, 5 * time.Second, 11 * time.Second, 30 * time.Second, 59 * time.Second,
		time.Minute, 2 * time.Minute, 9 * time.Minute, 12 * time.Minute,
	}
	for step := range 300 {
		pause := pauses[min(random.IntN(len(pauses)), random.IntN(len(pauses)))] // short ones more often
		alone.Advance(pause)
		shared.Advance(pause)
		take(t, shared.Limiter, bob, 0)
		events := random.IntN(2) * random.IntN(400)
		for range []int{1, 3, 25}[random.IntN(3)] {
			want, got := take(t, alone.Limiter, alice, events), take(t, shared.Limiter, carol, events)
			if got != want {
				t.Fatalf("step %d, after %v: with a neighbour\n%+v, alone\n%+v", step, pause, got, want)
			}
		}
	}
}

func testLimiterBurst(t *testing.T, open OpenLimiter) {
	h := open(t, usual)
	for i := range 10 {
		checkAllowance(t, take(t, h.Limiter, alice, 0),
			ports.Allowance{Granted: true, Remaining: 9 - i, Reset: time.Duration(i+1) * time.Second})
	}
	checkAllowance(t, take(t, h.Limiter, alice, 0), ports.Allowance{Barred: true, Wait: time.Second, Reset: 10 * time.Second})
	h.Advance(time.Second)
	if n := granted(t, h.Limiter, alice, 3); n != 1 {
		t.Errorf("%d granted a second later, want 1", n)
	}
	h.Advance(10 * time.Second)
	if n := granted(t, h.Limiter, alice, 20); n != 10 {
		t.Errorf("%d granted of the next burst, want 10", n)
	}
}

func testLimiterSteady(t *testing.T, open OpenLimiter) {
	h := open(t, usual)
	for i := range 150 {
		if a := take(t, h.Limiter, alice, 16); !a.Granted {
			t.Fatalf("second %d: %+v", i, a)
		}
		h.Advance(time.Second)
	}
}

func testLimiterGreedy(t *testing.T, open OpenLimiter) {
	h := open(t, usual)
	sum := 0
	for range 240 {
		sum += granted(t, h.Limiter, alice, 2)
		h.Advance(250 * time.Millisecond)
	}
	if sum != 60 {
		t.Errorf("%d granted in a minute, want 60", sum)
	}
}

func testLimiterWindow(t *testing.T, open OpenLimiter) {
	rapid.Check(t, func(r *rapid.T) {
		limits := ports.Limits{Requests: rapid.IntRange(1, 12).Draw(r, "requests"), Events: rapid.IntRange(1, 50).Draw(r, "events")}
		limits.Burst = rapid.IntRange(1, limits.Requests).Draw(r, "burst")
		h := open(t, limits)
		var times []time.Duration
		var events []int
		now := time.Duration(0)
		for range 60 {
			n := rapid.IntRange(0, 20).Draw(r, "n")
			if take(r, h.Limiter, alice, n).Granted {
				times, events = append(times, now), append(events, n)
			}
			step := time.Duration(rapid.Int64Range(0, 10_000_000).Draw(r, "step")) * time.Microsecond
			now += step
			h.Advance(step)
		}
		for i := range times {
			count, sum := 0, 0
			for j := i; j < len(times) && times[j] < times[i]+ports.LimitWindow; j++ {
				count++
				sum += events[j]
			}
			if count > limits.Requests || sum > limits.Events {
				r.Fatalf("%d requests and %d events in a minute from %v on, with %+v", count, sum, times[i], limits)
			}
		}
	})
}

func testLimiterEvents(t *testing.T, open OpenLimiter) {
	h := open(t, usual)
	for range 9 {
		if a := take(t, h.Limiter, alice, 100); !a.Granted {
			t.Fatalf("refused: %+v", a)
		}
	}
	h.Advance(10 * time.Second)
	checkAllowance(t, take(t, h.Limiter, alice, 101), ports.Allowance{Wait: 50 * time.Second, Remaining: 9, Reset: time.Second})
	if a := take(t, h.Limiter, alice, 100); !a.Granted {
		t.Fatalf("a batch that fits is refused: %+v", a)
	}
	if a := take(t, h.Limiter, alice, 0); !a.Granted {
		t.Fatalf("a request without events is refused: %+v", a)
	}
	h.Advance(50 * time.Second)
	if a := take(t, h.Limiter, alice, 900); !a.Granted {
		t.Fatalf("what is a minute ago counts: %+v", a)
	}
	if a := take(t, h.Limiter, alice, 1); a.Granted || a.Wait != 10*time.Second {
		t.Fatalf("what is less than a minute ago does not count: %+v", a)
	}
}

func testLimiterTooManyEvents(t *testing.T, open OpenLimiter) {
	h := open(t, usual)
	for range 2 {
		if a := take(t, h.Limiter, alice, 1001); a.Granted || a.Wait != time.Minute {
			t.Fatalf("allowance is %+v", a)
		}
		h.Advance(time.Minute)
	}
	if a := take(t, h.Limiter, alice, 1000); !a.Granted {
		t.Errorf("what is just within the limit is refused: %+v", a)
	}
}

func testLimiterRefusedEvents(t *testing.T, open OpenLimiter) {
	h := open(t, usual)
	for range 10 {
		if a := take(t, h.Limiter, alice, 2000); a.Granted || a.Barred {
			t.Fatalf("allowance is %+v", a)
		}
	}
	if a := take(t, h.Limiter, alice, 0); a.Granted || !a.Barred || a.Wait != time.Second {
		t.Errorf("refused batches are for free: %+v", a)
	}
	h.Advance(time.Second)
	if a := take(t, h.Limiter, alice, 1000); !a.Granted {
		t.Errorf("refused events count: %+v", a)
	}
}

// testLimiterWaiting asks again when the time told is over, and just before.
func testLimiterWaiting(t *testing.T, open OpenLimiter) {
	rapid.Check(t, func(r *rapid.T) {
		h := open(t, ports.Limits{Requests: 12, Burst: 5, Events: 50})
		for range 40 {
			events := rapid.IntRange(0, 30).Draw(r, "events")
			refused := take(r, h.Limiter, alice, events)
			if refused.Granted {
				h.Advance(time.Duration(rapid.Int64Range(0, 3_000_000).Draw(r, "step")) * time.Microsecond)
				continue
			}
			if rapid.Bool().Draw(r, "early") {
				h.Advance(refused.Wait - time.Microsecond)
				if refused = take(r, h.Limiter, alice, events); refused.Granted {
					r.Fatalf("granted before the wait was over: %+v", refused)
				}
			}
			h.Advance(refused.Wait)
			if a := take(r, h.Limiter, alice, events); !a.Granted {
				r.Fatalf("told to wait %v, and after that: %+v", refused.Wait, a)
			}
		}
	})
}

func testLimiterClients(t *testing.T, open OpenLimiter) {
	h := open(t, usual)
	for _, client := range []string{alice, bob, "", "192.0.2.1", "192.0.2.1/32 ", "\x00", "é"} {
		if n := granted(t, h.Limiter, client, 12); n != 10 {
			t.Errorf("%d granted to %q, want 10", n, client)
		}
	}
}

// violate asks until the window is violated, and for some more, and returns the
// last answer.
func violate(t *testing.T, l ports.Limiter) (a ports.Allowance) {
	t.Helper()
	for range usual.Burst + 1 + usual.Patience() + 2 {
		a = ask(t, l, alice)
	}
	return a
}

func testLimiterStrikes(t *testing.T, open OpenLimiter) {
	h := open(t, usual)
	// However often it is heedless, a window is violated once.
	for range 5 {
		if a := violate(t, h.Limiter); a.Wait > 2*time.Second {
			t.Fatalf("the first window: %+v", a)
		}
		h.Advance(2 * time.Second)
	}
	h.Advance(time.Minute)
	if a := violate(t, h.Limiter); a.Wait != time.Second {
		t.Fatalf("the second window: %+v", a)
	}
	h.Advance(time.Minute)
	for i, minutes := range []int{1, 2, 4, 8, 10, 10} {
		a, wait := violate(t, h.Limiter), time.Duration(minutes)*time.Minute
		checkAllowance(t, a, ports.Allowance{Barred: true, Wait: wait, Reset: wait})
		h.Advance(a.Wait - time.Second)
		checkAllowance(t, ask(t, h.Limiter, alice), ports.Allowance{Barred: true, Wait: time.Second, Reset: time.Second})
		h.Advance(time.Second)
		if n := granted(t, h.Limiter, alice, 10); n != 10 {
			t.Fatalf("%d granted after wait %d", n, i)
		}
	}
}

func testLimiterEventStrikes(t *testing.T, open OpenLimiter) {
	h := open(t, usual)
	for second := range 200 {
		a := take(t, h.Limiter, alice, 1001)
		if a.Granted || a.Barred && second < 120 {
			t.Fatalf("second %d: %+v", second, a)
		}
		if a.Barred {
			checkAllowance(t, a, ports.Allowance{Barred: true, Wait: time.Minute, Reset: time.Minute})
			checkAllowance(t, ask(t, h.Limiter, alice), ports.Allowance{Barred: true, Wait: time.Minute, Reset: time.Minute})
			return
		}
		h.Advance(time.Second)
	}
	t.Error("it is never barred")
}

// testLimiterPatience has a client violate no minute, by one request, and then
// three.
func testLimiterPatience(t *testing.T, open OpenLimiter) {
	for burst, patience := range map[int]int{2: 10, 10: 10, 30: 30} {
		h := open(t, ports.Limits{Requests: 60, Burst: burst, Events: 1})
		for minute := range 8 {
			barred := minute == 7
			heedless := patience - 1
			if minute >= 5 {
				heedless = patience
			}
			var last ports.Allowance
			for range burst + 1 + heedless {
				last = ask(t, h.Limiter, alice)
			}
			if long := last.Wait > time.Second; long != barred {
				t.Fatalf("burst %d, minute %d: %+v", burst, minute, last)
			}
			h.Advance(time.Minute)
		}
	}
}

// testLimiterBothWaits asks for a batch when neither its request nor its events
// can be granted.
func testLimiterBothWaits(t *testing.T, open OpenLimiter) {
	h := open(t, usual)
	for range 10 {
		take(t, h.Limiter, alice, 100)
	}
	h.Advance(time.Second / 2)
	want := ports.Allowance{Barred: true, Wait: time.Minute - time.Second/2, Reset: 10*time.Second - time.Second/2}
	for range 2 { // barred by the first
		checkAllowance(t, take(t, h.Limiter, alice, 1), want)
	}
	want.Wait = time.Second / 2
	checkAllowance(t, take(t, h.Limiter, alice, 0), want)
	h.Advance(time.Second / 2)
	if a := take(t, h.Limiter, alice, 0); !a.Granted {
		t.Errorf("barred for its events: %+v", a)
	}
}

func testLimiterForgives(t *testing.T, open OpenLimiter) {
	h := open(t, usual)
	for range 2 {
		violate(t, h.Limiter)
		h.Advance(ports.LimitWindow + ports.LimitForgiveness - time.Microsecond)
	}
	a := violate(t, h.Limiter)
	if a.Wait != time.Minute {
		t.Fatalf("forgotten too early: %+v", a)
	}
	h.Advance(a.Wait)
	violate(t, h.Limiter)
	h.Advance(2*time.Minute + ports.LimitForgiveness - time.Microsecond)
	if a = violate(t, h.Limiter); a.Wait != 4*time.Minute {
		t.Fatalf("forgotten too early: %+v", a)
	}
	h.Advance(a.Wait + ports.LimitForgiveness)
	for range 2 {
		if a := violate(t, h.Limiter); a.Wait != time.Second {
			t.Fatalf("not forgotten: %+v", a)
		}
		h.Advance(ports.LimitWindow)
	}
}

func testLimiterBarred(t *testing.T, open OpenLimiter) {
	h := open(t, usual)
	checkNotBarred := func(client string) {
		t.Helper()
		if a, ok := h.Limiter.Barred(client); ok || a != (ports.Allowance{}) {
			t.Fatalf("%s is barred: %+v", client, a)
		}
	}
	checkNotBarred(alice)
	granted(t, h.Limiter, alice, 10)
	take(t, h.Limiter, bob, 1001) // its events alone are refused
	checkNotBarred(alice)
	take(t, h.Limiter, alice, 0)
	h.Advance(time.Second - time.Microsecond)
	for range 3 {
		a, ok := h.Limiter.Barred(alice)
		if !ok {
			t.Fatal("it is not barred")
		}
		checkAllowance(t, a, take(t, h.Limiter, alice, 0))
	}
	checkNotBarred(bob)
	h.Advance(time.Microsecond)
	checkNotBarred(alice)
	if n := granted(t, h.Limiter, alice, 2); n != 1 {
		t.Errorf("%d granted, want 1", n)
	}
}

func testLimiterClockSetBack(t *testing.T, open OpenLimiter) {
	h := open(t, usual)
	granted(t, h.Limiter, alice, 11)
	h.Advance(-time.Hour)
	if n := granted(t, h.Limiter, alice, 30); n > 10 {
		t.Errorf("%d granted at once, want no more than a burst", n)
	}
	h.Advance(30 * time.Second)
	if n := granted(t, h.Limiter, alice, 11); n != 10 {
		t.Errorf("%d granted half a minute later, want 10", n)
	}
}

func testLimiterConcurrent(t *testing.T, open OpenLimiter) {
	h := open(t, usual)
	var requests, events atomic.Int64
	inParallel(8, func(int) {
		for range 10 {
			a, err := h.Limiter.Take(t.Context(), alice, 0)
			must(t, err)
			h.Limiter.Barred(alice)
			if a.Granted {
				requests.Add(1)
			}
			a, err = h.Limiter.Take(t.Context(), bob, 300)
			must(t, err)
			if a.Granted {
				events.Add(300)
			}
		}
	})
	if requests.Load() != 10 || events.Load() != 900 {
		t.Errorf("%d requests and %d events granted, want 10 and 900", requests.Load(), events.Load())
	}
}

func testLimiterCancelled(t *testing.T, open OpenLimiter) {
	h := open(t, usual)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for range 11 {
		if _, err := h.Limiter.Take(cancelled, alice, 0); !errors.Is(err, context.Canceled) {
			t.Fatalf("%v, want one of context.Canceled", err)
		}
	}
	if a := take(t, h.Limiter, alice, 0); !a.Granted || a.Remaining != 9 {
		t.Errorf("it was counted: %+v", a)
	}
}

func testBrokenLimiter(t *testing.T, open OpenLimiter) {
	h := open(t, usual)
	if h.Break == nil {
		t.Skip("cannot break")
	}
	granted(t, h.Limiter, alice, 11)
	h.Break(t)
	if _, err := h.Limiter.Take(t.Context(), bob, 0); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("error %v, want one with %q", err, domain.CodeUnavailable)
	}
	if _, ok := h.Limiter.Barred(alice); !ok {
		t.Error("who is barred is forgotten")
	}
}

func testLimiterOddLimits(t *testing.T, open OpenLimiter) {
	for _, limits := range []ports.Limits{{Requests: 7, Burst: 7, Events: 1}, {Requests: 1, Burst: 1, Events: 1}, {Requests: 100_000, Burst: 50, Events: 1}} {
		h := open(t, limits)
		if n := granted(t, h.Limiter, alice, limits.Burst+1); n != limits.Burst {
			t.Errorf("%+v: %d granted", limits, n)
		}
		h.Advance(time.Minute)
		if n := granted(t, h.Limiter, alice, limits.Burst+1); n != limits.Burst {
			t.Errorf("%+v: %d granted a minute later", limits, n)
		}
	}
}

// testSameVerdicts holds a limiter to the one in memory.
func testSameVerdicts(t *testing.T, open OpenLimiter) {
	rapid.Check(t, func(r *rapid.T) {
		limits := ports.Limits{
			Requests: rapid.SampledFrom([]int{1, 3, 7, 60, 1000}).Draw(r, "requests"),
			Events:   rapid.IntRange(1, 300).Draw(r, "events"),
		}
		limits.Burst = rapid.IntRange(1, min(limits.Requests, 15)).Draw(r, "burst")
		h := open(t, limits)
		clock := memory.NewClock(Now)
		reference := memory.NewLimiter(memory.LimiterConfig{Limits: limits, Clock: clock})
		advance := func(d time.Duration) {
			h.Advance(d)
			clock.Advance(d)
		}
		judge := judgeOf(r)
		for range rapid.IntRange(1, 80).Draw(r, "asks") {
			client := strconv.Itoa(rapid.IntRange(1, 2).Draw(r, "client"))
			events := rapid.SampledFrom([]int{0, 1, 10, 100, 400}).Draw(r, "batch")
			var want ports.Allowance
			for range rapid.SampledFrom([]int{1, 1, 1, 15}).Draw(r, "at once") {
				got := judge(h.Limiter, client, events)
				if want = judge(reference, client, events); got != want {
					r.Fatalf("allowance of %s is\n%+v, want\n%+v", client, got, want)
				}
			}
			step := rapid.SampledFrom([]time.Duration{
				0, 1, time.Microsecond, time.Millisecond, time.Second, 10 * time.Second, time.Minute, 11 * time.Minute, want.Wait, want.Reset,
			}).Draw(r, "step")
			step *= time.Duration(rapid.IntRange(1, 2).Draw(r, "times"))
			advance(step.Truncate(time.Microsecond))
		}
	})
}

// testLimiterCharges charges clients now and then, as a process does that granted
// them something by itself.
func testLimiterCharges(t *testing.T, open OpenLimiter) {
	if _, ok := open(t, usual).Limiter.(ports.SharedLimiter); !ok {
		t.Skip("charges nothing")
	}
	rapid.Check(t, func(r *rapid.T) {
		limits := ports.Limits{Requests: 60, Burst: rapid.IntRange(1, 30).Draw(r, "burst"), Events: 300}
		h := open(t, limits)
		shared, _ := h.Limiter.(ports.SharedLimiter)
		clock := memory.NewClock(Now)
		reference := memory.NewLimiter(memory.LimiterConfig{Limits: limits, Clock: clock})
		local := memory.NewLimiter(memory.LimiterConfig{Limits: limits, Clock: clock})
		for range rapid.IntRange(1, 40).Draw(r, "asks") {
			events := rapid.SampledFrom([]int{0, 1, 10, 100}).Draw(r, "batch")
			for range rapid.SampledFrom([]int{0, 0, 1, 5}).Draw(r, "elsewhere") {
				take(r, local, alice, events)
			}
			var used ports.Usage
			if rapid.Bool().Draw(r, "charged") {
				used = local.HandOver(alice)
				local.Settle(alice, 0, ports.Allowance{Barred: true})
			}
			want, err := reference.TakeCharged(t.Context(), alice, events, used)
			must(t, err)
			got, err := shared.TakeCharged(t.Context(), alice, events, used)
			if err != nil || got != want {
				r.Fatalf("charged with %+v, allowance is\n%+v, %v, want\n%+v", used, got, err, want)
			}
			step := rapid.SampledFrom([]time.Duration{0, time.Microsecond, 100 * time.Millisecond, time.Second, 20 * time.Second, want.Wait}).Draw(r, "step")
			step = step.Truncate(time.Microsecond)
			h.Advance(step)
			clock.Advance(step)
		}
	})
}

// judgeOf draws whether those who are barred are judged. If not, what they ask
// is counted apart from what their events count, and there are none.
func judgeOf(r *rapid.T) func(l ports.Limiter, client string, events int) ports.Allowance {
	if rapid.Bool().Draw(r, "judged") {
		return func(l ports.Limiter, client string, events int) ports.Allowance { return take(r, l, client, events) }
	}
	return func(l ports.Limiter, client string, _ int) ports.Allowance { return ask(r, l, client) }
}
