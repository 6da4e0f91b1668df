package memory_test

import (
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

func TestCache(t *testing.T) {
	contract.StatisticsCache(t, func(*testing.T) contract.CacheHarness {
		clock := memory.NewClock(contract.Now)
		return contract.CacheHarness{Cache: memory.NewCache(memory.CacheConfig{Clock: clock}), Advance: clock.Advance}
	})
}

// set keeps a value of that many bytes beside a key of one.
func set(t *testing.T, c *memory.Cache, key string, size int, lifetime time.Duration) {
	t.Helper()
	if err := c.Set(t.Context(), key, []byte(strings.Repeat("x", size)), lifetime); err != nil {
		t.Fatal(err)
	}
}

func checkKept(t *testing.T, c *memory.Cache, want string) {
	t.Helper()
	var kept string
	for key := range strings.SplitSeq("abcde", "") {
		if _, _, ok, err := c.Get(t.Context(), key); err != nil {
			t.Fatal(err)
		} else if ok {
			kept += key
		}
	}
	if kept != want {
		t.Errorf("keeps %q, want %q", kept, want)
	}
}

func TestAFullCacheForgetsWhatExpiresFirst(t *testing.T) {
	clock := memory.NewClock(contract.Now)
	c := memory.NewCache(memory.CacheConfig{MaxBytes: 40, Clock: clock})
	set(t, c, "a", 9, 3*time.Minute)
	set(t, c, "b", 9, time.Minute)
	set(t, c, "c", 9, 2*time.Minute)
	set(t, c, "d", 9, time.Hour)
	checkKept(t, c, "abcd")
	set(t, c, "d", 9, 4*time.Minute) // takes its own place
	checkKept(t, c, "abcd")
	set(t, c, "e", 19, time.Hour)
	checkKept(t, c, "ade")
	set(t, c, "b", 40, time.Hour) // fits nowhere
	checkKept(t, c, "")
	// What has expired takes no room.
	set(t, c, "a", 29, time.Minute)
	clock.Advance(time.Minute)
	set(t, c, "b", 29, time.Second)
	checkKept(t, c, "b")
}

func TestCacheDefaults(t *testing.T) {
	c := memory.NewCache(memory.CacheConfig{})
	set(t, c, "a", 16<<20-1, time.Hour)
	checkKept(t, c, "a")
	set(t, c, "b", 0, 2*time.Hour)
	checkKept(t, c, "b")
}
