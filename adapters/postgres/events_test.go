package postgres_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// TestTextIsStoredAsItIs stores text that has a meaning in the format of COPY,
// in arrays or in JSON.
func TestTextIsStoredAsItIs(t *testing.T) {
	db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t)})
	store := postgres.NewStore(db)
	var want []domain.Event
	for _, text := range []string{
		`\N`, `\.`, `\`, `\\`, "\t", "\n", "\r\n", `\t`, `"`, `'`, `{}`, `{"a","b"}`, `NULL`, ``, ` `, "a\tb\nc", "é€😀", `\x00`, `$1`, "--",
	} {
		e := contract.Events(1, 1)[0]
		e.Status, e.Tool, e.Version, e.ErrorType, e.Service, e.Country = domain.StatusError, text, text, text, text, text
		e.Parameters, e.SessionID = text, text
		want = append(want, e)
	}
	mustStore(t, store, contract.NewBatch(1, want...))
	if got := rawEvents(t, db); !reflect.DeepEqual(got, want) {
		t.Errorf("stored %+v\nwant %+v", got, want)
	}
	if err := store.MergeJournal(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkCounted(t, db, []domain.Batch{contract.NewBatch(1, want...)})
}

// TestLargeEventsAreStored sends more than the driver sends at once.
func TestLargeEventsAreStored(t *testing.T) {
	db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t)})
	events := dated(today, 200)
	for i := range events {
		events[i].Parameters = strings.Repeat("x", 100_000*(i%2)+i)
	}
	mustStore(t, postgres.NewStore(db), contract.NewBatch(1, events...))
	if got := rawEvents(t, db); !slices.Equal(got, events) {
		t.Errorf("%d events differ from what was stored", len(got))
	}
}
