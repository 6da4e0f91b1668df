package memory

import (
	"context"
	"maps"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var _ ports.Rebuilder = (*Store)(nil)

// RebuildDay computes a day's aggregates anew, as ports.Rebuilder promises.
func (s *Store) RebuildDay(ctx context.Context, day time.Time, cutoffs domain.Cutoffs) (int64, error) {
	if err := alive(ctx); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	isOn := func(t time.Time) bool { return domain.Daily.Floor(t).Equal(day) }
	maps.DeleteFunc(s.rollups, func(p place, _ *domain.Rollup) bool { return isOn(p.start()) })
	maps.DeleteFunc(s.errors, func(p errorPlace, _ *domain.ErrorSummary) bool { return isOn(p.start()) })
	var events []domain.Event
	for _, e := range s.events {
		if isOn(e.Hour) {
			events = append(events, e)
		}
	}
	finest, folded := s.vocabulary().Fold(domain.Finest(events))
	s.merge(finest, cutoffs)
	for o := range s.folded {
		if o.Day.Equal(day) {
			s.folded[o] = folded[o]
		}
	}
	return int64(len(events)), nil
}

// DayCounts counts a day's events twice, as ports.Rebuilder promises.
func (s *Store) DayCounts(ctx context.Context, day time.Time) (raw, counted int64, err error) {
	if err := alive(ctx); err != nil {
		return 0, 0, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i := range s.events {
		if domain.Daily.Floor(s.events[i].Hour).Equal(day) {
			raw++
		}
	}
	for p, rollup := range s.rollups {
		if p.resolution == domain.Daily && p.bucket == day.Unix() {
			counted += rollup.Calls
		}
	}
	return raw, counted, nil
}
