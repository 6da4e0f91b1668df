package app_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang/mock/gomock"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports/mocks"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// Ranges that follow each other give every bucket once, in order.
func TestExportGivesEveryBucketOnce(t *testing.T) {
	store := memory.NewStore()
	_, err := store.Store(t.Context(), []domain.Batch{contract.NewBatch(1, contract.EventsOver(3, 300, 60)...)})
	if err != nil {
		t.Fatal(err)
	}
	u := app.NewExport(store)
	cut := contract.Now.Add(-30*time.Hour + 7*time.Minute)
	for _, resolution := range domain.Resolutions() {
		starts := func(from, to time.Time) (starts []time.Time) {
			t.Helper()
			err := u.Calls(t.Context(), app.ExportRange{From: from, To: to, Resolution: resolution}, func(rows []domain.RollupRow) error {
				starts = append(starts, rows[0].Bucket)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return starts
		}
		all, before, after := starts(time.Time{}, time.Time{}), starts(time.Time{}, cut), starts(cut, time.Time{})
		if len(before) == 0 || len(after) == 0 || len(before)+len(after) != len(all) {
			t.Fatalf("%d, %d and %d buckets", len(all), len(before), len(after))
		}
		for i, start := range append(before, after...) {
			if !start.Equal(all[i]) || i > 0 && !start.After(all[i-1]) {
				t.Errorf("bucket %d of %s is %v, want %v", i, resolution, start, all[i])
			}
		}
	}
}

func TestExportEndsWithTheFirstError(t *testing.T) {
	day := domain.Daily.Floor(contract.Now)
	bucket := domain.PackedBucket{Resolution: domain.Daily, Start: day}
	r := app.ExportRange{Resolution: domain.Daily}
	broken := domain.NewError(domain.CodeUnavailable, nil, "broken")
	store := mocks.NewMockExporter(gomock.NewController(t))
	u := app.NewExport(store)
	visit := func([]domain.ErrorRow) error { return errors.New("unexpected") }

	store.EXPECT().ExportDays(gomock.Any(), domain.Daily).Return(nil, broken)
	if err := u.Errors(t.Context(), r, visit); !errors.Is(err, broken) {
		t.Errorf("days that cannot be listed: %v", err)
	}
	store.EXPECT().ExportDays(gomock.Any(), domain.Daily).Return([]time.Time{day, day.AddDate(0, 0, 1)}, nil).Times(3)
	store.EXPECT().ExportErrors(gomock.Any(), bucket).Return(nil, broken)
	if err := u.Errors(t.Context(), r, visit); !errors.Is(err, broken) || !strings.Contains(err.Error(), "day of 2026-11-23T00:00:00Z") {
		t.Errorf("a bucket that cannot be read: %v", err)
	}
	stop := errors.New("stop")
	store.EXPECT().ExportErrors(gomock.Any(), bucket).Return(make([]domain.ErrorRow, 2), nil)
	if err := u.Errors(t.Context(), r, func([]domain.ErrorRow) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("a visitor that stops: %v", err)
	}
	// A day of which nothing is left is not visited.
	store.EXPECT().ExportErrors(gomock.Any(), gomock.Any()).Return(nil, nil).Times(2)
	if err := u.Errors(t.Context(), r, visit); err != nil {
		t.Errorf("empty days: %v", err)
	}
}
