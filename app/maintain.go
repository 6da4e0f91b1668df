package app

import (
	"context"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// Maintain keeps the store within its retention.
type Maintain struct {
	store     ports.Maintainer
	retention domain.Retention
	clock     ports.Clock
}

// NewMaintain returns the use case.
func NewMaintain(m ports.Maintainer, r domain.Retention, c ports.Clock) *Maintain {
	return &Maintain{store: m, retention: r, clock: c}
}

// Expire deletes what is due and returns how many rows that were.
func (u *Maintain) Expire(ctx context.Context) (int64, error) {
	return u.store.Expire(ctx, u.retention.Cutoffs(u.clock.Now()))
}
