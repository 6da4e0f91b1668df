package memory_test

import (
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

func TestLimiter(t *testing.T) {
	contract.Limiter(t, func(_ *testing.T, limits ports.Limits) contract.LimiterHarness {
		clock := memory.NewClock(contract.Now)
		return contract.LimiterHarness{
			Limiter: memory.NewLimiter(memory.LimiterConfig{Limits: limits, Clock: clock}),
			Advance: clock.Advance,
		}
	})
}

func take(tb testing.TB, l *memory.Limiter, client string) ports.Allowance {
	tb.Helper()
	a, err := l.Take(tb.Context(), client, 0)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

func TestALimiterRemembersSoManyClients(t *testing.T) {
	clock := memory.NewClock(contract.Now)
	l := memory.NewLimiter(memory.LimiterConfig{Limits: ports.Limits{Requests: 1, Events: 1}, MaxClients: 3, Clock: clock})
	for _, client := range []string{"a", "b", "c", "a", "d"} {
		take(t, l, client)
		clock.Advance(time.Second)
	}
	// b asked least recently: the second request of a counts, though refused.
	for client, want := range map[string]bool{"a": false, "c": false, "d": false} {
		if a := take(t, l, client); a.Granted != want {
			t.Errorf("%s: %+v", client, a)
		}
	}
	if a := take(t, l, "b"); !a.Granted {
		t.Errorf("b is remembered: %+v", a)
	}
}

// However many addresses ask, they take as much memory as may be remembered,
// and none when their time is over.
func TestALimiterIsBounded(t *testing.T) {
	clock := memory.NewClock(contract.Now)
	limits := ports.Limits{Requests: 60, Burst: 10, Events: 1000}
	l := memory.NewLimiter(memory.LimiterConfig{Limits: limits, MaxClients: 10_000, Clock: clock})
	before := heapInUse()
	for i := range 200_000 {
		take(t, l, strconv.Itoa(i))
	}
	if used := heapInUse() - before; used > 10<<20 {
		t.Errorf("they take %d MB", used>>20)
	}
	clock.Advance(time.Minute)
	take(t, l, "one")
	if used := heapInUse() - before; used > 3<<20 {
		t.Errorf("a minute later they take %d MB", used>>20)
	}
	runtime.KeepAlive(l)
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// The key of the hashes lives for a day, also when nobody asks.
func TestALimiterForgetsItsKeyDaily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memory.NewLimiter(memory.LimiterConfig{Limits: ports.Limits{Requests: 1, Events: 1}})
		first := l.Hash("client")
		time.Sleep(24*time.Hour - time.Nanosecond)
		take(t, l, "client")
		if l.Hash("client") != first {
			t.Error("the key changed early")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		second := l.Hash("client")
		if second == first || !take(t, l, "client").Granted {
			t.Error("after a day the key is the same")
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if third := l.Hash("client"); third == second || third == first {
			t.Error("after two days the key is the same")
		}
	})
}

// While others judge a request of a client, the client is remembered, so that nothing is
// granted in advance, whatever other clients ask meanwhile.
func TestAClientThatIsJudgedElsewhereIsNotForgotten(t *testing.T) {
	limits := ports.Limits{Requests: 60, Burst: 10, Events: 500}
	clock := memory.NewClock(time.Unix(0, 0))
	l := memory.NewLimiter(memory.LimiterConfig{Limits: limits, Clock: clock})
	l.HandOver("client")
	for range 3 {
		clock.Advance(time.Second)
		take(t, l, "other")
		if allowance, ok := l.TakeWithin("client", 1, limits.Share()); ok {
			t.Fatalf("granted in advance: %+v", allowance)
		}
	}
	l.Settle("client", 1, ports.Allowance{Granted: true, Remaining: 9})
	if _, ok := l.TakeWithin("client", 1, limits.Share()); !ok {
		t.Error("nothing is granted in advance once that is decided")
	}
}

func BenchmarkLimiter(b *testing.B) {
	l := memory.NewLimiter(memory.LimiterConfig{Limits: ports.Limits{Requests: 60, Burst: 10, Events: 1000}})
	clients := make([]string, 1000)
	for i := range clients {
		clients[i] = fmt.Sprintf("192.0.%d.%d/32", 2+i/256, i%256)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := l.Take(b.Context(), clients[i%len(clients)], 0); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
