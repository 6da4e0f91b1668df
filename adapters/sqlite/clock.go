package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var _ ports.StoreClock = (*Clock)(nil)

// Clock tells what the database knows about the time, which has no clock of
// its own: it is not before the newest batch was received.
type Clock struct {
	db *DB
}

// NewClock returns what db knows about the time.
func NewClock(db *DB) *Clock { return &Clock{db: db} }

// Name is "SQLite".
func (c *Clock) Name() string { return "SQLite" }

// Time looks for the newest batch, as ports.StoreClock promises. In the queue
// that is the last one.
func (c *Clock) Time(ctx context.Context) (ports.StoreTime, error) {
	var newest sql.NullInt64
	err := c.db.read(ctx, "clock.time", func(tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &newest, `
			SELECT max(received_at) FROM (
				SELECT max(received_at) AS received_at FROM stored_batches
				UNION ALL
				SELECT received_at FROM queue WHERE place = (SELECT max(place) FROM queue)
			)`)
	})
	if err != nil || !newest.Valid {
		return ports.StoreTime{LowerBound: true}, err
	}
	return ports.StoreTime{At: time.UnixMicro(newest.Int64).UTC(), LowerBound: true}, nil
}
