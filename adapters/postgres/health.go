package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var _ ports.HealthCheck = (*DB)(nil)

// checkInterval is how long the outcome of a check is good for.
const checkInterval = time.Second

// health remembers the last check.
type health struct {
	mu sync.Mutex
	// checkedAt is when the last check was, on the clock's Elapsed; nil for
	// never.
	checkedAt *time.Duration
	outcome   error
}

// Name is "store".
func (db *DB) Name() string { return "store" }

// Check writes and commits a heartbeat, at most once a second: a database that
// can be read and not written is no store.
func (db *DB) Check(ctx context.Context) error {
	h, at := &db.health, db.config.Clock.Elapsed()
	h.mu.Lock()
	recent, outcome := h.checkedAt != nil && at-*h.checkedAt < checkInterval, h.outcome
	h.mu.Unlock()
	if recent {
		return outcome
	}
	err := db.write(ctx, "health.check", func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, `UPDATE heartbeat SET at = to_timestamp($1)`, db.config.Clock.Now().Unix())
		return err
	})
	if ctx.Err() != nil {
		return err // says nothing about the database
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checkedAt, h.outcome = &at, err
	return err
}
