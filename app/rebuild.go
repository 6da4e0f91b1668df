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
	store      ports.Rebuilder
	maintainer ports.Maintainer
	retention  domain.Retention
	clock      *Clock
}

// NewRebuild returns the use case.
func NewRebuild(r ports.Rebuilder, m ports.Maintainer, retention domain.Retention, c *Clock) *Rebuild {
	return &Rebuild{store: r, maintainer: m, retention: retention, clock: c}
}

// RebuiltDay is one day of a rebuild.
type RebuiltDay struct {
	Day time.Time
	// Events is how many raw events the day has.
	Events int64
}

// RebuildRange is what to rebuild: every UTC day that has a moment in
// [From, To).
type RebuildRange struct {
	From, To time.Time
	// Force rebuilds also a day whose aggregates count more than its raw events
	// do. What is counted beyond them is lost, or was wrong.
	Force bool
}

// Range rebuilds days, oldest first, and calls done after each. It refuses,
// with domain.CodeInvalid, days whose raw events have been deleted, as their
// aggregates know more than is left to count: where the retention says so,
// before anything is changed. It refuses with domain.CodeUnavailable while the
// clock differs from a store's by more than is tolerated.
func (u *Rebuild) Range(ctx context.Context, r RebuildRange, done func(RebuiltDay)) error {
	if !r.From.Before(r.To) {
		return domain.NewError(domain.CodeInvalid, nil, "the range is empty: from must be before to")
	}
	cutoffs, err := u.cutoffs(ctx)
	if err != nil {
		return err
	}
	first := domain.Daily.Floor(r.From)
	if first.Before(cutoffs.Events) {
		oldest := domain.Daily.Floor(cutoffs.Events.Add(domain.Daily.Length() - 1))
		return domain.NewError(domain.CodeInvalid, nil, fmt.Sprintf(
			"raw events of %s may be deleted already, so its aggregates cannot be computed anew: rebuild from %s on",
			first.Format(time.DateOnly), oldest.Format(time.DateOnly)))
	}
	for day := first; day.Before(r.To); day = day.Add(domain.Daily.Length()) {
		if !r.Force {
			if err := u.checkWhole(ctx, day); err != nil {
				return err
			}
		}
		events, err := u.store.RebuildDay(ctx, day, cutoffs)
		if err != nil {
			return fmt.Errorf("rebuild %s: %w", day.Format(time.DateOnly), err)
		}
		done(RebuiltDay{Day: day, Events: events})
	}
	return nil
}

// cutoffs says what is due, and thus left out of what is computed anew. A clock
// that is far ahead would leave out what is still kept: then no more is due than
// what was when data was expired last.
func (u *Rebuild) cutoffs(ctx context.Context) (domain.Cutoffs, error) {
	u.clock.Compare(ctx)
	if err := u.clock.checkStores(); err != nil {
		return domain.Cutoffs{}, err
	}
	now := u.clock.Now()
	last, err := u.maintainer.LastExpiry(ctx)
	if err != nil {
		return domain.Cutoffs{}, fmt.Errorf("read when data was expired last: %w", err)
	}
	if !last.IsZero() && now.After(last.Add(maxJump)) {
		now = last
	}
	return u.retention.Cutoffs(now), nil
}

// checkWhole refuses a day of which more is counted than its raw events are.
func (u *Rebuild) checkWhole(ctx context.Context, day time.Time) error {
	raw, counted, err := u.store.DayCounts(ctx, day)
	if err != nil {
		return fmt.Errorf("count the events of %s: %w", day.Format(time.DateOnly), err)
	}
	if raw < counted {
		return domain.NewError(domain.CodeInvalid, nil, fmt.Sprintf(
			"%s has %d raw events and its aggregates count %d: the others would be lost; to rebuild it all the same, force it",
			day.Format(time.DateOnly), raw, counted))
	}
	return nil
}
