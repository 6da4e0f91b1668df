package memory

import (
	"context"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var _ ports.Merger = (*Store)(nil)

// Journal is empty: Store adds to the aggregates at once.
func (s *Store) Journal(ctx context.Context) ([]ports.JournalDay, error) { return nil, alive(ctx) }

// Merge has nothing to do.
func (s *Store) Merge(ctx context.Context, _ time.Time, _ int, _ domain.Cutoffs) (int, error) {
	return 0, alive(ctx)
}
