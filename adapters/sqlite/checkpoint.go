package sqlite

import (
	"context"
	"sync/atomic"
	"time"
)

// checkpoints moves what was committed from the write-ahead log into the main
// file. SQLite does so only when the log has grown to 4 MB; on a quiet server
// that is never, and a copy of the main file alone would lack everything.
type checkpoints struct {
	written atomic.Bool // since the last one
	stop    context.CancelFunc
	done    chan struct{}
}

// start makes a checkpoint at every interval in which something was written.
// The first one is made at once: a schema is there.
func (c *checkpoints) start(ctx context.Context, interval time.Duration, checkpoint func(ctx context.Context) error) {
	ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	c.done = make(chan struct{})
	c.written.Store(true)
	go func() {
		defer close(c.done)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			if c.written.Swap(false) && checkpoint(ctx) != nil {
				c.written.Store(true) // health tells of what is wrong with the disk
			}
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	}()
}

// end stops them. The last connection that is closed makes one more.
func (c *checkpoints) end() {
	if c.stop != nil {
		c.stop()
		<-c.done
	}
}

// checkpoint waits for no reader: what one still needs stays in the log.
func (f *file) checkpoint(ctx context.Context) error {
	_, err := f.writer.ExecContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`)
	return f.translate(ctx, "checkpoint", err)
}
