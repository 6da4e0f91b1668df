package memory_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// steps are by how much clocks are set ahead and back.
func steps() []time.Duration {
	var both []time.Duration
	for _, d := range []time.Duration{10 * time.Second, 2 * time.Hour, 48 * time.Hour, 3 * 365 * 24 * time.Hour} {
		both = append(both, d, -d)
	}
	return both
}

func TestSettingTheClockTakesNoTime(t *testing.T) {
	for _, d := range steps() {
		c := memory.NewClock(contract.Now)
		c.Advance(time.Minute)
		c.Step(d)
		c.Set(c.Now().Add(d))
		if got, want := c.Now(), contract.Now.Add(time.Minute+2*d); !got.Equal(want) || c.Elapsed() != time.Minute {
			t.Errorf("%v: it is %v and %v have elapsed, want %v and a minute", d, got, c.Elapsed(), want)
		}
	}
}

// Setting the clock neither locks a client out nor grants it more.
func TestSettingTheClockChangesNoAllowance(t *testing.T) {
	for _, d := range steps() {
		clock := memory.NewClock(contract.Now)
		l := memory.NewLimiter(memory.LimiterConfig{Limits: ports.Limits{Requests: 60, Burst: 10, Events: 1000}, Clock: clock})
		granted := func() (n int) {
			for range 100 {
				a, err := l.Take(t.Context(), "client", 0)
				if err != nil {
					t.Fatal(err)
				}
				if a.Granted {
					n++
				}
			}
			return n
		}
		if n := granted(); n != 10 {
			t.Fatalf("%d granted", n)
		}
		for i := range 5 {
			clock.Step(d)
			if n := granted(); n != 0 {
				t.Errorf("set by %v the %s. time: %d more granted", d, strconv.Itoa(i+1), n)
			}
		}
		clock.Advance(30 * time.Minute)
		if n := granted(); n != 10 {
			t.Errorf("set by %v: %d granted in the end, want a burst", d, n)
		}
	}
}

func TestACachedValueLivesNoLongerForASetClock(t *testing.T) {
	for _, d := range steps() {
		clock := memory.NewClock(contract.Now)
		c := memory.NewCache(memory.CacheConfig{Clock: clock})
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		must(c.Set(t.Context(), "key", []byte("value"), time.Minute))
		clock.Step(d)
		_, expires, ok, err := c.Get(t.Context(), "key")
		must(err)
		if ok != (d > 0) || ok && !expires.Equal(clock.Now().Add(time.Minute)) {
			t.Errorf("set by %v: kept %t until %v", d, ok, expires)
		}
		clock.Advance(time.Minute)
		_, _, ok, err = c.Get(t.Context(), "key")
		must(err)
		if ok {
			t.Errorf("set by %v: kept for longer than its lifetime", d)
		}
	}
}

func TestStoreClocks(t *testing.T) {
	contract.StoreClock(t, func(*testing.T) contract.StoreClockHarness {
		clock := memory.NewClock(contract.Now)
		return contract.StoreClockHarness{Clock: memory.NewServerClock("server", clock), Real: clock.Now}
	})
	contract.StoreClock(t, func(*testing.T) contract.StoreClockHarness {
		q, s := memory.NewQueue(memory.QueueConfig{}), memory.NewStore()
		return contract.StoreClockHarness{Clock: memory.NewNewestStored(q, s), Queue: q, Store: s}
	})
}
