package ports

import (
	"context"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// Exporter gives out everything that the aggregates hold, at full grain, the
// journal included (see [Merger]). Each call reads one state of the store and
// changes nothing.
type Exporter interface {
	// ExportDays lists, in order, the UTC days that have any aggregates of the
	// resolution. Days may be among them of which nothing is left.
	ExportDays(ctx context.Context, resolution domain.Resolution) ([]time.Time, error)

	// ExportCalls returns the groups of a bucket in the order of
	// domain.CompareRollupRows; none for a bucket that has none. All of a bucket
	// is in memory. A packed value or a journal row that cannot be read gives
	// domain.CodeUnavailable with an error that names the bucket.
	ExportCalls(ctx context.Context, bucket domain.PackedBucket) ([]domain.RollupRow, error)

	// ExportErrors is the same for error summaries, in the order of
	// domain.CompareErrorRows. Each has one tool and one version.
	ExportErrors(ctx context.Context, bucket domain.PackedBucket) ([]domain.ErrorRow, error)
}
