package sqlite_test

import (
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

func BenchmarkStore(b *testing.B) {
	store := sqlite.NewStore(open(b, sqlite.Config{Dir: b.TempDir()}))
	events := contract.Events(1, 100_000)
	number := 0
	for b.Loop() {
		at := number * 100 % len(events)
		batches := contract.Batches(number, 100, events[at:at+1000])
		number += 10
		if _, err := store.Store(b.Context(), batches); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(1000*b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkAggregate(b *testing.B) {
	events := contract.Events(1, 1_000)
	for b.Loop() {
		a := domain.Aggregate(events)
		b.ReportMetric(float64(len(a.Rollups)), "rows")
	}
}
