package postgres

import (
	"context"

	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var _ ports.StoreClock = (*Clock)(nil)

// Clock is the clock of the database server.
type Clock struct {
	db *DB
}

// NewClock returns the clock of the server that db is on.
func NewClock(db *DB) *Clock { return &Clock{db: db} }

// Name is "PostgreSQL".
func (c *Clock) Name() string { return "PostgreSQL" }

// Time asks the server, as ports.StoreClock promises.
func (c *Clock) Time(ctx context.Context) (ports.StoreTime, error) {
	var now ports.StoreTime
	err := c.db.read(ctx, "clock.time", func(tx *transaction) error {
		return tx.GetContext(ctx, &now.At, `SELECT clock_timestamp()`)
	})
	now.At = now.At.UTC()
	return now, err
}
