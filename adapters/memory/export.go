package memory

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var _ ports.Exporter = (*Store)(nil)

// ExportDays lists the days, as ports.Exporter promises.
func (s *Store) ExportDays(ctx context.Context, resolution domain.Resolution) ([]time.Time, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	days := make(map[time.Time]bool)
	for p := range s.rollups {
		if p.resolution == resolution {
			days[domain.Daily.Floor(p.start())] = true
		}
	}
	for p := range s.errors {
		if p.resolution == resolution {
			days[domain.Daily.Floor(p.start())] = true
		}
	}
	return slices.SortedFunc(maps.Keys(days), time.Time.Compare), nil
}

// ExportCalls returns groups, as ports.Exporter promises.
func (s *Store) ExportCalls(ctx context.Context, b domain.PackedBucket) ([]domain.RollupRow, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var rows []domain.RollupRow
	for p, rollup := range s.rollups {
		if p.isOf(b) {
			row := domain.RollupRow{Resolution: p.resolution, Bucket: p.start(), Group: p.group}
			row.Rollup.Merge(rollup) // shares nothing
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, domain.CompareRollupRows)
	return rows, nil
}

// ExportErrors returns error summaries, as ports.Exporter promises.
func (s *Store) ExportErrors(ctx context.Context, b domain.PackedBucket) ([]domain.ErrorRow, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var rows []domain.ErrorRow
	for p, summary := range s.errors {
		if p.isOf(b) {
			key := domain.ErrorKey{Resolution: p.resolution, Bucket: p.start(), Group: p.group, ErrorType: p.errorType}
			rows = append(rows, domain.ErrorRow{ErrorKey: key, ErrorSummary: *summary})
		}
	}
	slices.SortFunc(rows, domain.CompareErrorRows)
	return rows, nil
}

// isOf reports whether what is there is of the bucket.
func (p place) isOf(b domain.PackedBucket) bool {
	return p.resolution == b.Resolution && p.bucket == b.Start.Unix()
}
