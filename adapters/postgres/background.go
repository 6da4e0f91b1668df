package postgres

import (
	"context"
	"sync"
	"time"
)

// background runs one task at a time, now or later, until it is ended.
type background struct {
	mu      sync.Mutex
	running bool
	ended   bool
	timer   *time.Timer
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

// startLater is start after a delay, unless one is waiting already.
func (b *background) startLater(ctx context.Context, delay time.Duration, task func(context.Context)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.timer != nil || b.ended {
		return
	}
	b.timer = time.AfterFunc(delay, func() {
		b.mu.Lock()
		b.timer = nil
		b.mu.Unlock()
		b.start(ctx, task)
	})
}

// end stops the task and waits for it; no other is started.
func (b *background) end() {
	b.mu.Lock()
	b.ended = true
	if b.timer != nil {
		b.timer.Stop()
	}
	if b.running {
		b.stop()
	}
	b.mu.Unlock()
	b.done.Wait()
}
