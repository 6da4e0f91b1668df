package redis_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// lightLimiters are those of so many processes on one clock and one Redis.
func lightLimiters(t *testing.T, n int, limits ports.Limits) (limiters []*app.LightLimiter, advance func(time.Duration)) {
	t.Helper()
	s := newSite(t, 0)
	s.advance(0)
	shared := openLimiter(t, s.pool, redis.LimiterConfig{})
	for range n {
		local := memory.NewLimiter(memory.LimiterConfig{Limits: limits, Clock: s.clock})
		limiters = append(limiters, app.NewLightLimiter(limits, shared.With(limits, s.clockKey()), local))
	}
	return limiters, s.advance
}

// A process that grants in advance grants what Redis would.
func TestLightLimiter(t *testing.T) {
	s := newSite(t, 0)
	redisLimiter := openLimiter(t, s.pool, redis.LimiterConfig{})
	contract.Limiter(t, func(_ *testing.T, limits ports.Limits) contract.LimiterHarness {
		clock := s.begin()
		process := func() *app.LightLimiter {
			local := memory.NewLimiter(memory.LimiterConfig{Limits: limits, Clock: s.clock})
			return app.NewLightLimiter(limits, redisLimiter.With(limits, clock), local)
		}
		return contract.LimiterHarness{Limiter: process(), Another: process(), Advance: s.advance, Lenient: true}
	})
}

// Processes together grant the limits and a share each in any window, however a
// client spreads what it asks.
func TestProcessesGrantAShareEach(t *testing.T) {
	limits := ports.Limits{Requests: 60, Burst: 20, Events: 1000}
	share := limits.Share()
	if share.Requests != 6 || share.Events != 100 {
		t.Fatalf("a share is %+v", share)
	}
	for name, c := range map[string]struct {
		events, limit, share int
	}{
		"requests": {0, limits.Requests, share.Requests},
		"events":   {50, limits.Events / 50, share.Events / 50},
	} {
		t.Run(name, func(t *testing.T) {
			const processes = 3
			limiters, advance := lightLimiters(t, processes, limits)
			var grants []time.Duration
			most := 0
			for second := range 1500 {
				now := time.Duration(second) * time.Second
				// One process after the other, some of the time all at once, and with
				// pauses after which it counts as a light client again.
				if second%800 < 150 {
					for i := range 2 * processes {
						if take(t, limiters[(second/20+i*(second/40%2))%processes], "client", c.events).Granted {
							grants = append(grants, now)
						}
					}
				}
				for len(grants) > 0 && now-grants[0] >= ports.LimitWindow {
					grants = grants[1:]
				}
				most = max(most, len(grants))
				advance(time.Second)
			}
			if bound := c.limit + processes*c.share; most > bound || most <= c.limit {
				t.Errorf("%d granted in a minute, want more than %d, and at most %d", most, c.limit, bound)
			}
		})
	}
}

// However many requests come at once when a client exceeds its share, one process
// grants no more than the limits.
func TestALightClientIsHandedOverOnce(t *testing.T) {
	limits := ports.Limits{Requests: 60, Burst: 10, Events: 1000}
	for range 20 {
		limiters, _ := lightLimiters(t, 1, limits)
		var granted atomic.Int64
		var group sync.WaitGroup
		for range 30 {
			group.Go(func() {
				a, err := limiters[0].Take(t.Context(), "client", 0)
				must(t, err)
				if a.Granted {
					granted.Add(1)
				}
			})
		}
		group.Wait()
		if n := granted.Load(); n != int64(limits.Burst) {
			t.Fatalf("%d granted at once, want %d", n, limits.Burst)
		}
	}
}

// What a client used in one process counts in the others once that has charged it.
func TestWhatALightClientUsedIsCarriedAlong(t *testing.T) {
	limits := ports.Limits{Requests: 60, Burst: 10, Events: 1000}
	limiters, _ := lightLimiters(t, 2, limits)
	first, second := limiters[0], limiters[1]
	for range 6 { // the sixth is beyond the share
		take(t, first, "client", 0)
	}
	for range 5 {
		take(t, second, "client", 0)
	}
	if a := take(t, second, "client", 0); a.Granted || a.Wait != 2*time.Second {
		t.Errorf("after 11 of a burst of 10, 6 of them by Redis: %+v", a)
	}
}

// Redis is asked nothing for a light client, and has nothing of it.
func TestALightClientCostsNothing(t *testing.T) {
	s := newSite(t, 0)
	shared := openLimiter(t, s.pool, redis.LimiterConfig{})
	l := app.NewLightLimiter(usual, shared, memory.NewLimiter(memory.LimiterConfig{Limits: usual, Clock: s.clock}))
	before := statistic(t, s.console, "total_commands_processed")
	for range 100 {
		for range usual.Share().Requests {
			if a := take(t, l, "client", usual.Share().Events/usual.Share().Requests); !a.Granted {
				t.Fatalf("refused: %+v", a)
			}
		}
		s.clock.Advance(ports.LimitWindow)
	}
	keys := string(s.console.do("EVAL", "return table.concat(redis.call('KEYS', ARGV[1]), ' ')", 0, s.prefix+":limit*").([]byte))
	if strings.Contains(keys, shared.Account("client")) {
		t.Errorf("Redis has %s", keys)
	}
	if n := statistic(t, s.console, "total_commands_processed") - before; n > 20 {
		t.Errorf("%d commands for 500 requests of a light client", n)
	}
}
