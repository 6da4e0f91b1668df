package contract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// CacheHarness lends the suite what it cannot reach through the port.
type CacheHarness struct {
	Cache ports.StatisticsCache
	// Cramped is another such cache, which has room for four values of each
	// kind, when each is 10 bytes together with its key.
	Cramped ports.StatisticsCache
	// Advance moves the cache's clock. It starts at [Now].
	Advance func(d time.Duration)
	// Break takes away what the cache writes to. Nil for a cache that needs
	// nothing.
	Break func(t *testing.T)
}

// OpenCache returns an empty cache and cleans up after the test. It has room
// for what the suite keeps, so that it forgets nothing on its own.
type OpenCache func(t *testing.T) CacheHarness

// StatisticsCache tests an adapter against the promises of
// ports.StatisticsCache.
func StatisticsCache(t *testing.T, open OpenCache) {
	for name, test := range map[string]func(*testing.T, OpenCache){
		"what was not kept is not there":        testCacheMiss,
		"a value is kept for its lifetime":      testCacheLifetime,
		"a clock set back keeps nothing longer": testCacheClockSetBack,
		"a value takes an earlier one's place":  testCacheReplace,
		"any bytes can be kept":                 testCacheBytes,
		"keys are told apart":                   testCacheKeys,
		"a value without a lifetime is gone":    testCacheNoLifetime,
		"values are the keeper's own":           testCacheOwned,
		"a full cache keeps what comes last":    testCacheFull,
		"setting a value anew makes it last":    testCacheSetAnew,
		"each kind has its own room":            testCacheKinds,
		"callers may be concurrent":             testCacheConcurrent,
		"a cancelled call ends":                 testCacheCancelled,
		"a key is claimed once at a time":       testClaim,
		"a claim ends":                          testClaimEnds,
		"a claim is released by its holder":     testClaimReleased,
		"claims and values are apart":           testClaimsAndValues,
		"one of many claims succeeds":           testClaimConcurrent,
		"a broken cache says so":                testBrokenCache,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

func checkCached(t *testing.T, c ports.StatisticsCache, key, want string, wantExpires time.Time) {
	t.Helper()
	value, expires, ok, err := c.Get(t.Context(), key)
	if string(value) != want || !expires.Equal(wantExpires) || !ok || err != nil {
		t.Errorf("%q is %q until %v, %t, %v\nwant %q until %v", key, value, expires, ok, err, want, wantExpires)
	}
}

func checkNotCached(t *testing.T, c ports.StatisticsCache, key string) {
	t.Helper()
	if value, _, ok, err := c.Get(t.Context(), key); ok || err != nil {
		t.Errorf("%q is %q, %v, want none", key, value, err)
	}
}

func cache(t *testing.T, c ports.StatisticsCache, key, value string, lifetime time.Duration) {
	t.Helper()
	must(t, c.Set(t.Context(), key, []byte(value), lifetime))
}

func testCacheMiss(t *testing.T, open OpenCache) {
	c := open(t).Cache
	checkNotCached(t, c, "key")
	cache(t, c, "key", "value", time.Minute)
	checkNotCached(t, c, "ke")
	checkNotCached(t, c, "key2")
	checkNotCached(t, c, "")
}

func testCacheLifetime(t *testing.T, open OpenCache) {
	h := open(t)
	cache(t, h.Cache, "key", "value", time.Minute)
	checkCached(t, h.Cache, "key", "value", Now.Add(time.Minute))
	h.Advance(time.Minute - time.Microsecond)
	checkCached(t, h.Cache, "key", "value", Now.Add(time.Minute))
	h.Advance(time.Microsecond)
	checkNotCached(t, h.Cache, "key")
}

func testCacheClockSetBack(t *testing.T, open OpenCache) {
	h := open(t)
	cache(t, h.Cache, "key", "value", time.Hour)
	h.Advance(-2 * time.Hour)
	checkNotCached(t, h.Cache, "key")
	cache(t, h.Cache, "other", "value", time.Minute)
	checkCached(t, h.Cache, "other", "value", Now.Add(-2*time.Hour+time.Minute))
	h.Advance(time.Minute)
	checkNotCached(t, h.Cache, "other")
}

func testCacheReplace(t *testing.T, open OpenCache) {
	h := open(t)
	cache(t, h.Cache, "key", "a long first value", time.Minute)
	cache(t, h.Cache, "key", "second", time.Hour)
	checkCached(t, h.Cache, "key", "second", Now.Add(time.Hour))
	h.Advance(2 * time.Minute) // the first one's end means nothing now
	checkCached(t, h.Cache, "key", "second", Now.Add(time.Hour))
	cache(t, h.Cache, "key", "third", time.Second)
	h.Advance(time.Second)
	checkNotCached(t, h.Cache, "key")
}

func testCacheBytes(t *testing.T, open OpenCache) {
	c := open(t).Cache
	for _, value := range []string{"", "\x00", "\xff\r\n$5\r\n", strings.Repeat("\x00ä", 100_000)} {
		cache(t, c, "key", value, time.Minute)
		checkCached(t, c, "key", value, Now.Add(time.Minute))
	}
}

func testCacheKeys(t *testing.T, open OpenCache) {
	c := open(t).Cache
	keys := []string{"", " ", "a", "A", "a ", "a:b", "a\x00b", "*", "?", "ä", "\xff", strings.Repeat("k", 5000)}
	for i, key := range keys {
		cache(t, c, key, strconv.Itoa(i), time.Minute)
	}
	for i, key := range keys {
		checkCached(t, c, key, strconv.Itoa(i), Now.Add(time.Minute))
	}
}

func testCacheNoLifetime(t *testing.T, open OpenCache) {
	c := open(t).Cache
	for _, lifetime := range []time.Duration{0, -time.Minute} {
		cache(t, c, "key", "value", time.Minute)
		cache(t, c, "key", "gone", lifetime)
		checkNotCached(t, c, "key")
	}
}

func testCacheOwned(t *testing.T, open OpenCache) {
	c := open(t).Cache
	value := []byte("value")
	must(t, c.Set(t.Context(), "key", value, time.Minute))
	value[0] = 'X'
	got, _, _, err := c.Get(t.Context(), "key")
	must(t, err)
	if len(got) > 0 {
		got[0] = 'Y'
	}
	checkCached(t, c, "key", "value", Now.Add(time.Minute))
}

// flood keeps n values of a kind, each of 10 bytes together with its key.
func flood(t *testing.T, c ports.StatisticsCache, kind string, n int, lifetime time.Duration) {
	t.Helper()
	for i := range n {
		cache(t, c, fmt.Sprintf("%s:%03d", kind, i), strings.Repeat("x", 6-len(kind)), lifetime)
	}
}

func testCacheFull(t *testing.T, open OpenCache) {
	c := open(t).Cramped
	flood(t, c, "list", 20, time.Hour)
	checkNotCached(t, c, "list:015")
	checkCached(t, c, "list:016", "xx", Now.Add(time.Hour))
	for _, key := range []string{"list:new", "list:000", "list:zzz"} { // wherever it stands in any order
		cache(t, c, key, "ab", time.Minute)
		checkCached(t, c, key, "ab", Now.Add(time.Minute))
	}
	checkNotCached(t, c, "list:018")
	checkCached(t, c, "list:019", "xx", Now.Add(time.Hour))
}

func testCacheSetAnew(t *testing.T, open OpenCache) {
	c := open(t).Cramped
	flood(t, c, "list", 4, time.Hour)
	cache(t, c, "list:000", "ab", time.Minute)
	cache(t, c, "list:new", "cd", time.Minute)
	checkCached(t, c, "list:000", "ab", Now.Add(time.Minute))
	checkNotCached(t, c, "list:001")
	checkCached(t, c, "list:002", "xx", Now.Add(time.Hour))
}

func testCacheKinds(t *testing.T, open OpenCache) {
	c := open(t).Cramped
	kinds := []string{"a", "list", "b"}
	for _, kind := range kinds {
		flood(t, c, kind, 4, time.Minute)
		for _, other := range kinds {
			if other != kind {
				flood(t, c, other, 20, time.Hour)
			}
		}
		for i := range 4 {
			checkCached(t, c, fmt.Sprintf("%s:%03d", kind, i), strings.Repeat("x", 6-len(kind)), Now.Add(time.Minute))
		}
	}
	// Those that name none are one kind.
	for i := range 5 {
		cache(t, c, fmt.Sprintf("plain%d", i), "four", time.Hour)
	}
	checkNotCached(t, c, "plain0")
	checkCached(t, c, "plain1", "four", Now.Add(time.Hour))
}

func testCacheConcurrent(t *testing.T, open OpenCache) {
	c := open(t).Cache
	inParallel(8, func(i int) {
		for n := range 50 {
			key := strconv.Itoa(n % 5)
			if i%2 == 0 {
				must(t, c.Set(t.Context(), key, bytes.Repeat([]byte(key), 100*(1+i)), time.Minute))
				continue
			}
			value, _, _, err := c.Get(t.Context(), key)
			must(t, err)
			if len(bytes.Trim(value, key)) > 0 {
				t.Errorf("%q has %q in it", key, value)
			}
		}
	})
}

func cacheCalls(c ports.StatisticsCache) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Get": func(ctx context.Context) error {
			_, _, _, err := c.Get(ctx, "key")
			return err
		},
		"Set": func(ctx context.Context) error { return c.Set(ctx, "key", []byte("value"), time.Minute) },
		"Claim": func(ctx context.Context) error {
			_, err := c.Claim(ctx, "key", "one", time.Minute)
			return err
		},
		"Release": func(ctx context.Context) error { return c.Release(ctx, "key", "one") },
	}
}

func checkClaim(t *testing.T, c ports.StatisticsCache, key, holder string, want bool) {
	t.Helper()
	if got, err := c.Claim(t.Context(), key, holder, time.Minute); got != want || err != nil {
		t.Errorf("%s claims %q: %t, %v, want %t", holder, key, got, err, want)
	}
}

func testClaim(t *testing.T, open OpenCache) {
	c := open(t).Cache
	checkClaim(t, c, "key", "one", true)
	checkClaim(t, c, "key", "two", false)
	checkClaim(t, c, "key", "one", false)
	checkClaim(t, c, "key2", "two", true)
	checkClaim(t, c, "", "two", true)
}

func testClaimEnds(t *testing.T, open OpenCache) {
	c := open(t).Cache
	for _, lifetime := range []time.Duration{-time.Minute, 0, 20 * time.Millisecond} {
		if claimed, err := c.Claim(t.Context(), "key", "one", lifetime); !claimed || err != nil {
			t.Fatalf("claimed %t, %v", claimed, err)
		}
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			claimed, err := c.Claim(t.Context(), "key", "two", time.Minute)
			must(t, err)
			if claimed {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("a claim of %v lasts", lifetime)
			}
		}
		// Whoever comes late with a release ends nothing.
		must(t, c.Release(t.Context(), "key", "one"))
		checkClaim(t, c, "key", "three", false)
		must(t, c.Release(t.Context(), "key", "two"))
	}
}

func testClaimReleased(t *testing.T, open OpenCache) {
	c := open(t).Cache
	must(t, c.Release(t.Context(), "key", "one"))
	checkClaim(t, c, "key", "one", true)
	must(t, c.Release(t.Context(), "key2", "one"))
	must(t, c.Release(t.Context(), "key", "two"))
	checkClaim(t, c, "key", "two", false)
	must(t, c.Release(t.Context(), "key", "one"))
	checkClaim(t, c, "key", "two", true)
}

func testClaimsAndValues(t *testing.T, open OpenCache) {
	c := open(t).Cache
	checkClaim(t, c, "key", "one", true)
	checkNotCached(t, c, "key")
	cache(t, c, "key", "value", time.Minute)
	checkClaim(t, c, "key", "two", false)
	must(t, c.Release(t.Context(), "key", "one"))
	checkCached(t, c, "key", "value", Now.Add(time.Minute))
	checkClaim(t, c, "key", "two", true)
	checkCached(t, c, "key", "value", Now.Add(time.Minute))
}

func testClaimConcurrent(t *testing.T, open OpenCache) {
	c := open(t).Cache
	var claims atomic.Int32
	inParallel(16, func(i int) {
		claimed, err := c.Claim(t.Context(), "key", strconv.Itoa(i), time.Minute)
		must(t, err)
		if claimed {
			claims.Add(1)
		}
	})
	if n := claims.Load(); n != 1 {
		t.Errorf("%d claims of one key, want 1", n)
	}
}

func testCacheCancelled(t *testing.T, open OpenCache) {
	c := open(t).Cache
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range cacheCalls(c) {
		if err := call(cancelled); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want one of context.Canceled", name, err)
		}
	}
	checkNotCached(t, c, "key")
	checkClaim(t, c, "key", "two", true)
}

func testBrokenCache(t *testing.T, open OpenCache) {
	h := open(t)
	if h.Break == nil {
		t.Skip("cannot break")
	}
	cache(t, h.Cache, "key", "value", time.Minute)
	h.Break(t)
	for name, call := range cacheCalls(h.Cache) {
		if got := domain.CodeOf(call(t.Context())); got != domain.CodeUnavailable {
			t.Errorf("%s: code %q, want %q", name, got, domain.CodeUnavailable)
		}
	}
}
