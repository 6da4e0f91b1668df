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
)

func TestRebuildGoesDayByDay(t *testing.T) {
	store := mocks.NewMockRebuilder(gomock.NewController(t))
	cutoffs := domain.DefaultRetention().Cutoffs(pipelineNow)
	day := func(n int) time.Time { return time.Date(2026, 11, n, 0, 0, 0, 0, time.UTC) }
	gomock.InOrder(
		store.EXPECT().DayCounts(gomock.Any(), day(20)).Return(int64(3), int64(2), nil),
		store.EXPECT().RebuildDay(gomock.Any(), day(20), cutoffs).Return(int64(3), nil),
		store.EXPECT().DayCounts(gomock.Any(), day(21)).Return(int64(0), int64(0), nil),
		store.EXPECT().RebuildDay(gomock.Any(), day(21), cutoffs).Return(int64(0), nil),
	)
	var got []app.RebuiltDay
	rebuild := app.NewRebuild(store, memory.NewStore(), domain.DefaultRetention(), alone(memory.NewClock(pipelineNow)))
	err := rebuild.Range(t.Context(), app.RebuildRange{From: day(20).Add(5 * time.Hour), To: day(21).Add(time.Second)}, func(d app.RebuiltDay) { got = append(got, d) })
	if err != nil || len(got) != 2 || got[0] != (app.RebuiltDay{Day: day(20), Events: 3}) || got[1].Day != day(21) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestRebuildRefusesWhatItWouldSpoil(t *testing.T) {
	store := mocks.NewMockRebuilder(gomock.NewController(t))
	rebuild := app.NewRebuild(store, memory.NewStore(), domain.DefaultRetention(), alone(memory.NewClock(pipelineNow)))
	whole := time.Date(2026, 8, 26, 0, 0, 0, 0, time.UTC) // the first day of which every raw event is kept
	err := rebuild.Range(t.Context(), app.RebuildRange{From: whole.Add(-time.Second), To: whole.Add(time.Hour)}, func(app.RebuiltDay) {})
	if domain.CodeOf(err) != domain.CodeInvalid || !strings.Contains(err.Error(), "rebuild from 2026-08-26 on") {
		t.Errorf("a day half deleted: %v", err)
	}
	if err := rebuild.Range(t.Context(), app.RebuildRange{From: whole, To: whole}, func(app.RebuiltDay) {}); domain.CodeOf(err) != domain.CodeInvalid {
		t.Errorf("an empty range: %v", err)
	}
	broken := errors.New("broken")
	hour := app.RebuildRange{From: whole, To: whole.Add(time.Hour)}
	store.EXPECT().DayCounts(gomock.Any(), whole).Return(int64(0), int64(0), broken)
	if err := rebuild.Range(t.Context(), hour, func(app.RebuiltDay) {}); !errors.Is(err, broken) {
		t.Errorf("a store that cannot count: %v", err)
	}
	store.EXPECT().DayCounts(gomock.Any(), whole).Return(int64(9), int64(10), nil)
	err = rebuild.Range(t.Context(), hour, func(app.RebuiltDay) {})
	if domain.CodeOf(err) != domain.CodeInvalid || !strings.Contains(err.Error(), "2026-08-26 has 9 raw events and its aggregates count 10") {
		t.Errorf("a day that lacks an event: %v", err)
	}
	hour.Force = true
	store.EXPECT().RebuildDay(gomock.Any(), whole, gomock.Any()).Return(int64(0), broken)
	if err := rebuild.Range(t.Context(), hour, func(app.RebuiltDay) {}); !errors.Is(err, broken) {
		t.Errorf("a failing store: %v", err)
	}
}
