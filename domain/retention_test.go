package domain_test

import (
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// A batch may wait in the queue, or among the dead letters, for longer than raw
// events are kept: its id must outlive that, or it counts twice.
func TestBatchIDsAreKeptForThirtyDaysAtLeast(t *testing.T) {
	now := at(t, statisticsNow)
	const day = 24 * time.Hour
	for _, test := range []struct{ events, want time.Duration }{
		{day, 30 * day}, {29 * day, 30 * day}, {30 * day, 30 * day}, {31 * day, 31 * day}, {90 * day, 90 * day},
	} {
		cutoffs := domain.Retention{Events: test.events, Hourly: day, Daily: day, Errors: day}.Cutoffs(now)
		if got := now.Sub(cutoffs.Batches); got != test.want {
			t.Errorf("events kept for %v: ids of batches are kept for %v, want %v", test.events, got, test.want)
		}
	}
}
