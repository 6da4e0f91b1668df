package ports

import (
	"context"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// Rebuilder computes aggregates anew from raw events.
type Rebuilder interface {
	// RebuildDay replaces, in one transaction, every hourly and daily
	// aggregate and error summary of the UTC day that begins at day by what
	// its raw events add up to, leaving out what is due by cutoffs. It returns
	// the number of raw events. Workers may store meanwhile: every event
	// counts exactly once before and after. A value that counted as
	// domain.OtherName for want of a place does so again.
	RebuildDay(ctx context.Context, day time.Time, cutoffs domain.Cutoffs) (int64, error)

	// DayCounts tells, of one moment, how many raw events the UTC day that
	// begins at day has and how many its daily total counts. They differ where
	// one of the two is deleted already, or damaged.
	DayCounts(ctx context.Context, day time.Time) (raw, counted int64, err error)
}
