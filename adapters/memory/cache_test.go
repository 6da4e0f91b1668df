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
		return contract.CacheHarness{
			Cache:   memory.NewCache(memory.CacheConfig{Clock: clock}),
			Cramped: memory.NewCache(memory.CacheConfig{Clock: clock, MaxBytes: 40}),
			Advance: clock.Advance,
		}
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

func TestAFullCacheForgetsWhatWasSetFirst(t *testing.T) {
	clock := memory.NewClock(contract.Now)
	c := memory.NewCache(memory.CacheConfig{MaxBytes: 40, Clock: clock})
	set(t, c, "a", 9, 3*time.Minute)
	set(t, c, "b", 9, time.Minute)
	set(t, c, "c", 9, 2*time.Minute)
	set(t, c, "d", 9, time.Hour)
	checkKept(t, c, "abcd")
	set(t, c, "a", 9, 4*time.Minute) // takes its own place
	checkKept(t, c, "abcd")
	set(t, c, "e", 19, time.Second)
	checkKept(t, c, "ade")
	set(t, c, "b", 40, time.Hour) // fits nowhere, and pushes out nothing
	checkKept(t, c, "ade")
	set(t, c, "d", 40, time.Hour) // what it was to replace is gone
	checkKept(t, c, "ae")
	// Without a lifetime it takes no room.
	set(t, c, "b", 39, 0)
	checkKept(t, c, "ae")
	set(t, c, "c", 39, time.Hour)
	checkKept(t, c, "c")
}

func TestCacheDefaults(t *testing.T) {
	c := memory.NewCache(memory.CacheConfig{})
	set(t, c, "a", 16<<20-1, time.Hour)
	checkKept(t, c, "a")
	set(t, c, "b", 0, time.Minute)
	checkKept(t, c, "b")
}
