package postgres

import (
	"context"
	"sync"
)

// background runs one task at a time until it is ended.
type background struct {
	mu      sync.Mutex
	running bool
	ended   bool
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// start runs the task at once unless one is running. The task outlives ctx.
func (b *background) start(ctx context.Context, task func(context.Context)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running || b.ended {
		return
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	b.running, b.stop = true, stop
	b.done.Go(func() {
		defer b.finish()
		task(ctx)
	})
}

func (b *background) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stop()
	b.running = false
}

// end stops the task and waits for it; no other is started.
func (b *background) end() {
	b.mu.Lock()
	b.ended = true
	if b.running {
		b.stop()
	}
	b.mu.Unlock()
	b.done.Wait()
}
