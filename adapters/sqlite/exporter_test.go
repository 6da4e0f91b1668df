package sqlite_test

import (
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

func openExporter(t *testing.T, dir string) *sqlite.Exporter {
	t.Helper()
	e, err := sqlite.OpenExporter(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// The store has the database open, as a server does.
func TestExporter(t *testing.T) {
	contract.Exporter(t, func(t *testing.T) (contract.StoreHarness, ports.Exporter) {
		t.Helper()
		dir := t.TempDir()
		db := open(t, sqlite.Config{Dir: dir})
		e := openExporter(t, dir)
		return contract.StoreHarness{
			Store: sqlite.NewStore(db),
			Break: func(t *testing.T) {
				if err := e.Close(); err != nil {
					t.Error(err)
				}
			},
		}, e
	})
}
