package sqlite_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// TestNoReadTouchesRowsItDoesNotWant looks at how SQLite goes in for every
// filter and breakdown. Each column that the plan seeks by leaves out the rows
// that have another value.
func TestNoReadTouchesRowsItDoesNotWant(t *testing.T) {
	db := open(t, sqlite.Config{Dir: t.TempDir()})
	for _, resolution := range domain.Resolutions() {
		window := domain.Window{Start: contract.Now.AddDate(0, 0, -9), End: contract.Now, Resolution: resolution}
		for grain := domain.GrainTotal; grain <= domain.GrainFull; grain++ {
			values := domain.Group{Tool: "a", Version: "b", Country: "c", Service: "d"}.At(grain)
			s := domain.Selection{Window: window, Filter: domain.Filter{
				Tool: values.Tool, Version: values.Version, Country: values.Country, Service: values.Service,
			}}
			for _, by := range append(domain.Dimensions(), domain.DimensionNone) {
				plan, err := db.PlanOf(t.Context(), s, by)
				if err != nil {
					t.Fatal(err)
				}
				exact := s.GrainFor(by) == grain|domain.Grain(by)
				checkPlan(t, plan, grain, exact && s.GrainFor(by) != domain.GrainFull, by)
			}
			plan, err := db.PlanOfErrors(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			checkPlan(t, plan, grain, s.ErrorGrain() == grain, domain.DimensionNone)
		}
	}
}

func checkPlan(t *testing.T, plan []string, filtered domain.Grain, exact bool, by domain.Dimension) {
	t.Helper()
	for _, step := range plan {
		if !strings.HasPrefix(step, "SEARCH ") || !strings.Contains(step, "grain=? AND ") || !strings.Contains(step, "bucket") {
			t.Errorf("filter %v by %v: %s", filtered, by, step)
		}
	}
	last := plan[len(plan)-1]
	for _, d := range domain.Dimensions() {
		if exact && filtered.Has(d) && !strings.Contains(last, d.String()+"=?") {
			t.Errorf("filter %v by %v does not seek by %v: %s", filtered, by, d, last)
		}
	}
	if slices.ContainsFunc(plan, func(step string) bool { return strings.Contains(step, "TEMP B-TREE") }) {
		t.Errorf("filter %v by %v sorts: %v", filtered, by, plan)
	}
}
