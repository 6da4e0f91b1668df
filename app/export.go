package app

import (
	"context"
	"fmt"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// Export gives out everything that the aggregates hold. It hides no small group, so
// it is for operators.
type Export struct {
	store ports.Exporter
}

// NewExport returns the use case.
func NewExport(e ports.Exporter) *Export { return &Export{store: e} }

// ExportRange is what to export: the buckets of the resolution that begin in
// [From, To). A zero From or To is no bound.
type ExportRange struct {
	From, To   time.Time
	Resolution domain.Resolution
}

func (r ExportRange) has(start time.Time) bool {
	return !start.Before(r.From) && (r.To.IsZero() || start.Before(r.To))
}

// Calls calls visit with each bucket that has calls, oldest first, and its groups
// in the order of [domain.CompareRollupRows], until visit fails. Each bucket is of
// one moment, and its groups are in memory together.
func (u *Export) Calls(ctx context.Context, r ExportRange, visit func([]domain.RollupRow) error) error {
	return export(ctx, u.store, r, u.store.ExportCalls, visit)
}

// Errors does the same with error summaries, in the order of
// [domain.CompareErrorRows].
func (u *Export) Errors(ctx context.Context, r ExportRange, visit func([]domain.ErrorRow) error) error {
	return export(ctx, u.store, r, u.store.ExportErrors, visit)
}

func export[R any](
	ctx context.Context, store ports.Exporter, r ExportRange,
	read func(context.Context, domain.PackedBucket) ([]R, error), visit func([]R) error,
) error {
	days, err := store.ExportDays(ctx, r.Resolution)
	if err != nil {
		return fmt.Errorf("list the days of the aggregates: %w", err)
	}
	for _, day := range days {
		end := day.Add(domain.Daily.Length())
		for start := day; start.Before(end); start = start.Add(r.Resolution.Length()) {
			if !r.has(start) {
				continue
			}
			rows, err := read(ctx, domain.PackedBucket{Resolution: r.Resolution, Start: start})
			if err != nil {
				return fmt.Errorf("export the %s of %s: %w", r.Resolution, start.Format(time.RFC3339), err)
			}
			if len(rows) == 0 {
				continue
			}
			if err := visit(rows); err != nil {
				return err
			}
		}
	}
	return nil
}
