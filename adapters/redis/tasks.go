package redis

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// tasks are what runs in the background.
type tasks struct {
	mu      sync.Mutex
	stopped bool
	group   sync.WaitGroup
	run     func(task func(ctx context.Context))
	cancel  context.CancelFunc
}

func newTasks(ctx context.Context) *tasks {
	t := new(tasks)
	ctx, cancel := context.WithCancel(ctx)
	t.run = func(task func(ctx context.Context)) { t.group.Go(func() { task(ctx) }) }
	t.cancel = cancel
	return t
}

// start runs a task, whose ctx ends with stop. After stop it does nothing.
func (t *tasks) start(task func(ctx context.Context)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.stopped {
		t.run(task)
	}
}

// stop ends all tasks and waits for them.
func (t *tasks) stop() {
	t.mu.Lock()
	t.stopped = true
	t.mu.Unlock()
	t.cancel()
	t.group.Wait()
}

// The pause before the first attempt to reach a server that is away, and the
// longest one.
const (
	minPause = 50 * time.Millisecond
	maxPause = time.Second
)

// pause waits before an attempt, longer each time. It returns false when ctx
// ends meanwhile. Jitter keeps processes from returning all at once.
func pause(ctx context.Context, attempt int) bool {
	longest := min(minPause<<min(attempt, 10), maxPause)
	timer := time.NewTimer(longest/2 + rand.N(longest/2)) //nolint:gosec // no secret
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
