package postgres_test

import (
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// Whoever has changed a row by hand is told so, and nobody is told its numbers.
func TestImpossibleRowsAreDamaged(t *testing.T) {
	server := servers.SharedPostgres(t)
	address := server.NewDatabase(t)
	db := open(t, postgres.Config{URL: address, JournalEntries: 1})
	store := postgres.NewStore(db)
	event := contract.Events(1, 1)[0]
	event.Status, event.ErrorType = domain.StatusError, "timeout"
	event.ResponseTimeMS, event.RetryCount, event.CacheHit = domain.Some[int32](100), domain.Some[int32](2), domain.Some(true)
	if _, err := store.Store(t.Context(), []domain.Batch{contract.NewBatch(1, event, event)}); err != nil {
		t.Fatal(err)
	}
	if err := store.MergeJournal(t.Context()); err != nil {
		t.Fatal(err)
	}
	window := domain.Window{Resolution: domain.Hourly, Start: event.Hour, End: event.Hour.Add(domain.Hourly.Length())}
	read := func() error {
		_, err := store.Select(t.Context(), domain.Selection{
			Window: window, By: []domain.Dimension{domain.DimensionNone}, Errors: true,
		})
		return err
	}
	if err := read(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ table, change, back string }{
		{"hourly_aggregations", "calls = -5", "calls = 2"},
		{"hourly_aggregations", "calls = 1", "calls = 2"},
		{"hourly_aggregations", "errors = 3", "errors = 2"},
		{"hourly_aggregations", "errors = -1", "errors = 2"},
		{"hourly_aggregations", "cache_misses = 1", "cache_misses = 0"},
		{"hourly_aggregations", "retries = 1", "retries = 4"},
		{"hourly_aggregations", "retried = 0", "retried = 2"},
		{"hourly_aggregations", "retries_observed = 3", "retries_observed = 2"},
		{"hourly_aggregations", "response_time_sum_ms = 199", "response_time_sum_ms = 200"},
		{"hourly_aggregations", "response_time_sum_ms = 201", "response_time_sum_ms = 200"},
		{"hourly_aggregations", "response_time_min_ms = 101", "response_time_min_ms = 100"},
		{"error_summary", "count = 0", "count = 2"},
		{"error_summary", "last_seen = first_seen - interval '1 hour'", "last_seen = first_seen"},
	} {
		server.Exec(t, address, `UPDATE `+c.table+` SET `+c.change)
		err := read()
		if domain.CodeOf(err) != domain.CodeUnavailable || domain.MessageOf(err) != "a stored aggregate is damaged" {
			t.Errorf("%s: %v", c.change, err)
		}
		server.Exec(t, address, `UPDATE `+c.table+` SET `+c.back)
		if err := read(); err != nil {
			t.Fatalf("%s: %v", c.back, err)
		}
	}
}
