package redis

import (
	"context"
	"fmt"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var _ ports.StoreClock = (*Clock)(nil)

// Clock is the clock of the Redis server.
type Clock struct {
	pool *Pool
}

// NewClock returns the clock of the pool's server.
func NewClock(pool *Pool) *Clock { return &Clock{pool: pool} }

// Name is "Redis".
func (c *Clock) Name() string { return "Redis" }

// Time asks the server, as ports.StoreClock promises.
func (c *Clock) Time(ctx context.Context) (ports.StoreTime, error) {
	var parts []int64 // seconds and microseconds
	err := c.pool.call(ctx, "clock.time", func(ctx context.Context, conn redigo.Conn) (err error) {
		parts, err = redigo.Int64s(redigo.DoContext(conn, ctx, "TIME"))
		return err
	})
	if err == nil && len(parts) != 2 {
		err = fmt.Errorf("clock.time: an answer of %d numbers", len(parts))
	}
	if err != nil {
		return ports.StoreTime{}, err
	}
	return ports.StoreTime{At: time.Unix(parts[0], parts[1]*int64(time.Microsecond)).UTC()}, nil
}
