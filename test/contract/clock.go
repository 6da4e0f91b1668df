package contract

import (
	"context"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// StoreClockHarness lends the suite what it cannot reach through the port.
type StoreClockHarness struct {
	Clock ports.StoreClock
	// Real returns the time on the clock of the store's machine. It is nil for
	// a store without a clock.
	Real func() time.Time
	// Queue and Store hold what the clock of a store without one knows. They
	// are nil for a store with a clock.
	Queue QueuePorts
	Store ports.EventStore
}

// StoreClock tests an adapter against the promises of ports.StoreClock.
func StoreClock(t *testing.T, open func(t *testing.T) StoreClockHarness) {
	for name, test := range map[string]func(*testing.T, StoreClockHarness){
		"a store's clock runs":              testStoreClockRuns,
		"the newest batch is a lower bound": testNewestBatch,
		"a cancelled call ends": func(t *testing.T, h StoreClockHarness) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := h.Clock.Time(ctx)
			checkGivenUp(t, "Time", err, context.Canceled)
		},
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func testStoreClockRuns(t *testing.T, h StoreClockHarness) {
	if h.Real == nil {
		t.Skip("has no clock")
	}
	if h.Clock.Name() == "" {
		t.Error("it has no name")
	}
	for range 3 {
		before := h.Real()
		said, err := h.Clock.Time(t.Context())
		after := h.Real()
		if err != nil || said.LowerBound || said.At.Before(before) || said.At.After(after) {
			t.Errorf("time is %+v, %v; want one from %v to %v", said, err, before, after)
		}
	}
}

func testNewestBatch(t *testing.T, h StoreClockHarness) {
	if h.Queue == nil {
		t.Skip("has a clock")
	}
	check := func(want time.Time) {
		t.Helper()
		said, err := h.Clock.Time(t.Context())
		if err != nil || !said.LowerBound || !said.At.Equal(want) {
			t.Errorf("time is %+v, %v; want %v at least", said, err, want)
		}
	}
	check(time.Time{})
	older, newer := NewBatch(1, Events(1, 1)...), NewBatch(2, Events(2, 1)...)
	must(t, h.Queue.Enqueue(t.Context(), older))
	check(older.ReceivedAt)
	must(t, h.Queue.Enqueue(t.Context(), newer))
	check(newer.ReceivedAt)
	store(t, h.Store, newer)
	must(t, h.Queue.Acknowledge(t.Context(), newer.ID))
	check(newer.ReceivedAt)
	must(t, h.Queue.Acknowledge(t.Context(), older.ID))
	check(newer.ReceivedAt)
	store(t, h.Store, domain.Batch{ID: "later", ReceivedAt: newer.ReceivedAt.Add(time.Hour)})
	check(newer.ReceivedAt.Add(time.Hour))
}
