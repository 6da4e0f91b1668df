package domain_test

import (
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

func TestFinestIsHourlyAndOfFullGrain(t *testing.T) {
	a := domain.Finest(contract.Events(1, 500))
	if len(a.Rollups) == 0 || len(a.Errors) == 0 {
		t.Fatal("no rows")
	}
	for _, row := range a.Rollups {
		if row.Resolution != domain.Hourly || row.Group.Grain != domain.GrainFull {
			t.Errorf("%+v", row)
		}
	}
	for _, row := range a.Errors {
		if row.Resolution != domain.Hourly || row.Group.Grain != domain.GrainFull {
			t.Errorf("%+v", row)
		}
	}
}
