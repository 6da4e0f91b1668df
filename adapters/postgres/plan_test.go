package postgres_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// TestEveryQuestionHasAnIndex fills the tables and demands that no question
// reads one from end to end.
func TestEveryQuestionHasAnIndex(t *testing.T) {
	db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t)})
	store := postgres.NewStore(db)
	if _, err := store.Expire(t.Context(), domain.Cutoffs{}); err != nil { // makes partitions
		t.Fatal(err)
	}
	for i, b := range contract.Batches(1, 2_500, contract.EventsOver(1, 30_000, 20*24)) {
		if _, err := store.Store(t.Context(), []domain.Batch{b}); err != nil {
			t.Fatal(i, err)
		}
	}
	if _, err := store.Expire(t.Context(), domain.Cutoffs{}); err != nil { // sorts all into its place
		t.Fatal(err)
	}
	if err := db.Exec(t.Context(), `ANALYZE`); err != nil {
		t.Fatal(err)
	}
	end := domain.Daily.Floor(contract.Now).Add(24 * time.Hour)
	windows := []domain.Window{
		{Start: end.Add(-48 * time.Hour), End: end, Resolution: domain.Hourly},
		{Start: end.Add(-168 * time.Hour), End: end, Resolution: domain.Hourly},
		{Start: end.Add(-8 * 24 * time.Hour), End: end, Resolution: domain.Daily},
	}
	for _, window := range windows {
		for grain := domain.GrainTotal; grain <= domain.GrainFull; grain++ {
			g := domain.Group{Tool: "get_forecast", Version: "1.22.1", Country: "DE", Service: "noaa"}.At(grain)
			s := domain.Selection{Window: window, Filter: domain.Filter{Tool: g.Tool, Version: g.Version, Country: g.Country, Service: g.Service}}
			for _, by := range append(domain.Dimensions(), domain.DimensionNone) {
				plan, err := db.PlanOf(t.Context(), s, by)
				checkPlan(t, plan, err, s, by.String())
			}
			plan, err := db.PlanOfErrors(t.Context(), s)
			checkPlan(t, plan, err, s, "error type")
		}
	}
}

// checkPlan lets only default partitions be read from end to end: they are
// empty.
func checkPlan(t *testing.T, plan []string, err error, s domain.Selection, by string) {
	t.Helper()
	whole := slices.ContainsFunc(plan, func(line string) bool {
		return strings.Contains(line, "Seq Scan") && !strings.Contains(line, "_default")
	})
	text := strings.Join(plan, "\n")
	if err != nil || whole || !strings.Contains(text, "Index") {
		t.Errorf("%s %+v by %s: %v\n%s", s.Window.Resolution, s.Filter, by, err, text)
	}
}
