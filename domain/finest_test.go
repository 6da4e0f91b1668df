package domain_test

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

func TestRollUpOfPartsIsTheAggregate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		event := rapid.Custom(func(t *rapid.T) domain.Event { return contract.DrawEvent(t, contract.Now, 30) })
		batches := rapid.SliceOfN(rapid.SliceOfN(event, 0, 12), 0, 5).Draw(t, "batches")
		cut := rapid.IntRange(0, len(batches)).Draw(t, "cut")
		parts := []domain.Aggregates{domain.Finest(), domain.Finest(batches[:cut]...)}
		for _, batch := range batches[cut:] {
			parts = append(parts, domain.Finest(batch))
		}
		if got, want := domain.RollUp(parts...), domain.Aggregate(batches...); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v\nwant %+v", got, want)
		}
	})
}

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

func TestKeptLeavesOutWhatIsDue(t *testing.T) {
	hour := domain.Hourly.Floor(contract.Now)
	failed := domain.Event{Tool: "t", Status: domain.StatusError, Hour: hour}
	a := domain.Aggregate([]domain.Event{failed})
	tests := map[string]struct {
		cutoffs       domain.Cutoffs
		rollups, errs []domain.Resolution
	}{
		"nothing is due":               {domain.Cutoffs{}, domain.Resolutions(), domain.Resolutions()},
		"all starts at its cutoff":     {cutoffsAt(hour, domain.Daily.Floor(hour)), domain.Resolutions(), domain.Resolutions()},
		"hours are due":                {domain.Cutoffs{Hourly: hour.Add(1)}, []domain.Resolution{domain.Daily}, domain.Resolutions()},
		"days are due":                 {domain.Cutoffs{Daily: hour}, []domain.Resolution{domain.Hourly}, domain.Resolutions()},
		"hours of errors are due":      {domain.Cutoffs{HourlyErrors: hour.Add(1)}, domain.Resolutions(), []domain.Resolution{domain.Daily}},
		"days of errors are due":       {domain.Cutoffs{DailyErrors: hour}, domain.Resolutions(), []domain.Resolution{domain.Hourly}},
		"raw events and ids are alone": {domain.Cutoffs{Events: hour.Add(1), Batches: hour.Add(1)}, domain.Resolutions(), domain.Resolutions()},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			kept := a.Kept(tt.cutoffs)
			if got, want := len(kept.Rollups), len(domain.RollupGrains())*len(tt.rollups); got != want {
				t.Errorf("%d rollups, want %d", got, want)
			}
			if got, want := len(kept.Errors), len(domain.ErrorGrains())*len(tt.errs); got != want {
				t.Errorf("%d error summaries, want %d", got, want)
			}
		})
	}
}

func cutoffsAt(hour, day time.Time) domain.Cutoffs {
	return domain.Cutoffs{Hourly: hour, Daily: day, HourlyErrors: hour, DailyErrors: day}
}
