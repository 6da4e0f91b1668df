package bootstrap

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"go.uber.org/fx"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// maxLimit is the highest limit of a minute that can be configured.
const maxLimit = 1_000_000

// checkLimits judges limits, which are off without requests per minute.
func (c *Config) checkLimits(p *problems) {
	p.between("RATE_LIMIT_PER_MINUTE", c.RateLimitPerMinute, 0, maxLimit)
	p.between("RATE_LIMIT_BURST", c.RateLimitBurst, 1, maxLimit)
	p.between("RATE_LIMIT_EVENTS_PER_MINUTE", c.RateLimitEventsPerMinute, 1, maxLimit)
	if _, err := parseProxies(c.TrustedProxies); err != nil {
		p.add("TRUSTED_PROXIES", err.Error())
	}
	if c.RateLimitPerMinute <= 0 {
		for _, bound := range c.given([]string{"RATE_LIMIT_BURST", "RATE_LIMIT_EVENTS_PER_MINUTE"}) {
			p.add(bound, "has no effect, because RATE_LIMIT_PER_MINUTE is 0, which switches all limits off: "+
				"remove it, or give both")
		}
		return
	}
	if c.RateLimitBurst > c.RateLimitPerMinute {
		p.add("RATE_LIMIT_BURST", fmt.Sprintf("is %d, more than RATE_LIMIT_PER_MINUTE (%d): give at most that",
			c.RateLimitBurst, c.RateLimitPerMinute))
	}
	if c.RateLimitEventsPerMinute < c.MaxBatchSize {
		p.add("RATE_LIMIT_EVENTS_PER_MINUTE", fmt.Sprintf("is %d, so that a batch of MAX_BATCH_SIZE (%d) events is never let in: "+
			"give at least that", c.RateLimitEventsPerMinute, c.MaxBatchSize))
	}
}

// parseProxies reads networks and addresses, separated by commas.
func parseProxies(text string) ([]netip.Prefix, error) {
	var proxies []netip.Prefix
	for word := range strings.SplitSeq(text, ",") {
		word = strings.TrimSpace(word)
		if word == "" {
			continue
		}
		proxy, err := parseProxy(word)
		if err != nil {
			return nil, err
		}
		proxies = append(proxies, proxy)
	}
	return proxies, nil
}

// parseProxy reads a network or an address; IPv4 dressed as IPv6 is IPv4.
func parseProxy(word string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(word)
	if address, e := netip.ParseAddr(word); e == nil && address.Zone() == "" {
		network, err = netip.PrefixFrom(address, address.BitLen()), nil
	}
	const mapped = 96 // bits of an IPv6 address that say that it is an IPv4 one
	if address := network.Addr(); address.Is4In6() && network.Bits() >= mapped {
		network = netip.PrefixFrom(address.Unmap(), network.Bits()-mapped)
	}
	switch {
	case err != nil:
		return network, fmt.Errorf("has %q in it: give networks such as 10.0.0.0/8, or addresses, separated by commas", word)
	case network != network.Masked():
		return network, fmt.Errorf("has %s in it, which names a network by an address inside it: give %s if you mean all of it",
			word, network.Masked())
	case network.Bits() == 0:
		return network, fmt.Errorf("has %s in it, with which anybody could pretend to have any address: give the networks of your proxies", word)
	default:
		return network, nil
	}
}

// trustedProxies were judged when the configuration was loaded.
func (c *Config) trustedProxies() []netip.Prefix {
	proxies, _ := parseProxies(c.TrustedProxies)
	return proxies
}

func (c *Config) limits() ports.Limits {
	return ports.Limits{Requests: c.RateLimitPerMinute, Burst: c.RateLimitBurst, Events: c.RateLimitEventsPerMinute}
}

// limiting is what limits are made of. There is a pool where processes share
// them.
type limiting struct {
	fx.In

	Lifecycle fx.Lifecycle
	Config    Config
	Options   Options
	Redis     *redis.Pool `optional:"true"`
}

// awaitLimiter is how long the start waits until limits are shared. Without
// Redis, or without an answer, each process limits alone for the time being.
const awaitLimiter = 2 * time.Second

// newLimit returns nil when nothing is limited.
func newLimit(l limiting) *app.Limit {
	if l.Config.RateLimitPerMinute == 0 {
		return nil
	}
	limits := l.Config.limits()
	alone := memory.NewLimiter(memory.LimiterConfig{Limits: limits, MaxClients: l.Config.RateLimitMaxClients, Clock: l.Options.Clock})
	if l.Redis == nil {
		return app.NewLimit(limits, alone, alone)
	}
	shared := redis.NewLimiter(l.Redis, redis.LimiterConfig{Limits: limits, MaxClients: l.Config.RateLimitMaxClients})
	l.Lifecycle.Append(fx.StartHook(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, awaitLimiter)
		defer cancel()
		shared.Await(ctx)
	}))
	return app.NewLimit(limits, app.NewLightLimiter(limits, shared, alone), alone)
}
