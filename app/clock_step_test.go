package app_test

import (
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/app"
)

// clockSteps are by how much clocks are set ahead and back.
func clockSteps() []time.Duration {
	var both []time.Duration
	for _, d := range []time.Duration{10 * time.Second, 2 * time.Hour, 48 * time.Hour, 3 * 365 * 24 * time.Hour} {
		both = append(both, d, -d)
	}
	return both
}

func TestUptimeIsWhatHasPassed(t *testing.T) {
	for _, d := range clockSteps() {
		clock := memory.NewClock(pipelineNow)
		u := app.NewStatus(nil, memory.NewQueue(memory.QueueConfig{}), memory.NewStore(), clock, nil, nil)
		clock.Advance(90 * time.Second)
		clock.Step(d)
		if got := u.Uptime(); got != 90*time.Second {
			t.Errorf("clock set by %v: up for %v", d, got)
		}
	}
}
