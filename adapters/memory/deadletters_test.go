package memory_test

import (
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

func TestDeadLetters(t *testing.T) {
	contract.DeadLetters(t, func(_ *testing.T, maxEvents int) contract.DeadLettersHarness {
		clock := memory.NewClock(contract.Now)
		return contract.DeadLettersHarness{
			Queue:   memory.NewQueue(memory.QueueConfig{MaxEvents: maxEvents, Clock: clock}),
			Advance: clock.Advance,
		}
	})
}
