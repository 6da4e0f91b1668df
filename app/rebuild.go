package app

import (
	"context"
	"fmt"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// Rebuild computes aggregates anew from raw events.
type Rebuild struct {
	store     ports.Rebuilder
	retention domain.Retention
	clock     ports.Clock
}

// NewRebuild returns the use case.
func NewRebuild(r ports.Rebuilder, retention domain.Retention, c ports.Clock) *Rebuild {
	return &Rebuild{store: r, retention: retention, clock: c}
}

// RebuiltDay is one day of a rebuild.
type RebuiltDay struct {
	Day time.Time
	// Events is how many raw events the day has.
	Events int64
}

// Range rebuilds every UTC day that has a moment in [from, to), oldest first,
// and calls done after each. It refuses, with domain.CodeInvalid and before it
// changes anything, days whose raw events may have been deleted in part:
// their aggregates know more than is left to count.
func (u *Rebuild) Range(ctx context.Context, from, to time.Time, done func(RebuiltDay)) error {
	if !from.Before(to) {
		return domain.NewError(domain.CodeInvalid, nil, "the range is empty: from must be before to")
	}
	cutoffs := u.retention.Cutoffs(u.clock.Now())
	first := domain.Daily.Floor(from)
	if first.Before(cutoffs.Events) {
		oldest := domain.Daily.Floor(cutoffs.Events.Add(domain.Daily.Length() - 1))
		return domain.NewError(domain.CodeInvalid, nil, fmt.Sprintf(
			"raw events of %s may be deleted already, so its aggregates cannot be computed anew: rebuild from %s on",
			first.Format(time.DateOnly), oldest.Format(time.DateOnly)))
	}
	for day := first; day.Before(to); day = day.Add(domain.Daily.Length()) {
		events, err := u.store.RebuildDay(ctx, day, cutoffs)
		if err != nil {
			return fmt.Errorf("rebuild %s: %w", day.Format(time.DateOnly), err)
		}
		done(RebuiltDay{Day: day, Events: events})
	}
	return nil
}
