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
	for _, look := range []struct {
		in    *file
		query string
	}{
		{c.db.store, `SELECT max(received_at) FROM stored_batches`},
		{c.db.queue, `SELECT max(received_at) FROM queue WHERE place = (SELECT max(place) FROM queue)`},
	} {
		var at sql.NullInt64
		err := look.in.read(ctx, "clock.time", func(tx *sqlx.Tx) error { return tx.GetContext(ctx, &at, look.query) })
		if err != nil {
			return ports.StoreTime{LowerBound: true}, err
		}
		if at.Valid && (!newest.Valid || at.Int64 > newest.Int64) {
			newest = at
		}
	}
	if !newest.Valid {
		return ports.StoreTime{LowerBound: true}, nil
	}
	return ports.StoreTime{At: time.UnixMicro(newest.Int64).UTC(), LowerBound: true}, nil
}
