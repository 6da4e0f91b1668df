package postgres_test

import (
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// BenchmarkSelect reads what a dashboard shows, of a month of 100,000 events.
func BenchmarkSelect(b *testing.B) {
	db := open(b, postgres.Config{URL: servers.SharedPostgres(b).NewDatabase(b)})
	store := postgres.NewStore(db)
	storeAll(b, store, contract.EventsOver(1, 100_000, 30*24), 5_000, 0)
	if _, err := store.Expire(b.Context(), domain.Cutoffs{}); err != nil {
		b.Fatal(err)
	}
	if err := db.Exec(b.Context(), `ANALYZE`); err != nil {
		b.Fatal(err)
	}
	end := domain.Daily.Floor(contract.Now).Add(day)
	for name, w := range map[string]domain.Window{
		"24h":  {Start: end.Add(-day), End: end, Resolution: domain.Hourly},
		"168h": {Start: end.Add(-7 * day), End: end, Resolution: domain.Hourly},
		"30d":  {Start: end.Add(-30 * day), End: end, Resolution: domain.Daily},
	} {
		for _, f := range []domain.Filter{{}, {Country: "DE"}} {
			b.Run(name+f.Country, func(b *testing.B) {
				s := domain.Selection{Window: w, Filter: f, By: append(domain.Dimensions(), domain.DimensionNone), Latency: true, Sessions: true, Errors: true}
				for b.Loop() {
					if _, err := store.Select(b.Context(), s); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// storeAll stores the events in batches of 50, as many as have that size in a
// transaction. It returns the number of the last batch.
func storeAll(b *testing.B, store *postgres.Store, events []domain.Event, size, number int) int {
	b.Helper()
	for at := 0; at < len(events); at += size {
		batches := contract.Batches(number+1, 50, events[at:at+size])
		number += len(batches)
		if _, err := store.Store(b.Context(), batches); err != nil {
			b.Fatal(err)
		}
	}
	return number
}
