package sqlite_test

import (
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// BenchmarkStore stores what a busy worker has in hand: ten batches of a
// hundred events, into aggregates that mostly exist.
func BenchmarkStore(b *testing.B) {
	store := sqlite.NewStore(open(b, sqlite.Config{Dir: b.TempDir()}))
	events := contract.Events(1, 20_000)
	for n := 0; b.Loop(); n++ {
		from := n * 1_000 % len(events)
		batches := contract.Batches(10*n, 100, events[from:from+1_000])
		if _, err := store.Store(b.Context(), batches); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(1_000*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkEnqueue makes a batch of a hundred events durable.
func BenchmarkEnqueue(b *testing.B) {
	queue := sqlite.NewQueue(open(b, sqlite.Config{Dir: b.TempDir()}), sqlite.QueueConfig{MaxEvents: 1 << 30})
	events := contract.Events(1, 100)
	for n := 0; b.Loop(); n++ {
		if err := queue.Enqueue(b.Context(), contract.NewBatch(n, events...)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSelect reads a day by tool from a store of a hundred thousand
// events, all merged and nothing in memory.
func BenchmarkSelect(b *testing.B) {
	store := sqlite.NewStore(open(b, sqlite.Config{Dir: b.TempDir()}))
	for n, batch := range contract.Batches(0, 10_000, contract.EventsOver(1, 100_000, 72)) {
		if _, err := store.Store(b.Context(), []domain.Batch{batch}); err != nil {
			b.Fatal(n, err)
		}
	}
	if err := mergeAll(b.Context(), store, 20_000, domain.Cutoffs{}); err != nil {
		b.Fatal(err)
	}
	day, err := domain.ParsePeriod("24h")
	if err != nil {
		b.Fatal(err)
	}
	for name, filter := range map[string]domain.Filter{
		"all": {}, "country": {Country: "DE"},
		"country+service": {Country: "DE", Service: "noaa"},
	} {
		b.Run(name, func(b *testing.B) {
			selection := domain.Selection{Window: day.Window(contract.Now), Filter: filter, By: []domain.Dimension{domain.DimensionTool}}
			for b.Loop() {
				selected, err := store.Select(b.Context(), selection)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(selected.Rollups[domain.DimensionTool])), "rows")
			}
		})
	}
}
