package redis

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var (
	_ ports.BoundedQueue = (*Queue)(nil)
	_ ports.Deliveries   = (*Queue)(nil)
	_ ports.QueueMeter   = (*Queue)(nil)
	_ ports.DeadLetters  = (*Queue)(nil)
	_ ports.Intake       = (*Queue)(nil)
)

// QueueConfig tunes a queue. Zero values mean the defaults.
type QueueConfig struct {
	// MaxEvents and MaxBytes bound what the queue holds. Defaults those of
	// package domain.
	MaxEvents, MaxBytes int
	// MaxDeadLetters and MaxDeadLetterBytes bound what was buried. Defaults those
	// of package domain.
	MaxDeadLetters, MaxDeadLetterBytes int
	// MaxReceipts and MaxReceiptBytes bound what is kept for idempotency keys.
	// Defaults those of package domain.
	MaxReceipts, MaxReceiptBytes int
	// Heartbeat is how long a worker that does not show itself counts as
	// alive: what it held is then handed to others. Default 3 s, at most 10
	// minutes. A worker that stands still for longer and goes on does no harm: the
	// store counts each batch once.
	Heartbeat time.Duration
}

func (c QueueConfig) withDefaults() QueueConfig {
	c.MaxEvents = cmp.Or(c.MaxEvents, domain.DefaultMaxQueueEvents)
	c.MaxBytes = cmp.Or(c.MaxBytes, domain.DefaultMaxQueueBytes)
	c.MaxDeadLetters = cmp.Or(c.MaxDeadLetters, domain.DefaultMaxDeadLetters)
	c.MaxDeadLetterBytes = cmp.Or(c.MaxDeadLetterBytes, domain.DefaultMaxDeadLetterBytes)
	c.MaxReceipts = cmp.Or(c.MaxReceipts, domain.DefaultMaxReceipts)
	c.MaxReceiptBytes = cmp.Or(c.MaxReceiptBytes, domain.DefaultMaxReceiptBytes)
	if c.Heartbeat == 0 {
		c.Heartbeat = 3 * time.Second
	}
	return c
}

// Queue is the queue that begins with the pool's prefix; any number of
// processes share it. Each Queue counts as one worker of its own.
type Queue struct {
	pool   *Pool
	config QueueConfig
	worker string // our name, unique for ever
	join   sync.Once
	newer  sync.Once     // logs batches of a newer version
	turn   chan struct{} // taken by the one who claims entries
	idle   atomic.Bool   // the queue was empty when we looked last
	// The scripts that go by the server's clock.
	enqueueOnceScript, receiptScript, expireScript *redigo.Script

	mu     sync.Mutex
	held   map[domain.BatchID]holding
	secret string // of the hashes of idempotency keys
}

// holding is a batch in our hands.
type holding struct {
	entry                  string
	attempt, events, bytes int
}

// NewQueue returns the queue in Redis. It shows itself as a worker from the
// first Receive on until the pool is closed.
func NewQueue(pool *Pool, config QueueConfig) *Queue {
	return &Queue{
		pool:   pool,
		config: config.withDefaults(),
		worker: "worker-" + rand.Text(),
		turn:   make(chan struct{}, 1),
		held:   make(map[domain.BatchID]holding),
		secret: rand.Text(),

		enqueueOnceScript: enqueueOnceScript, receiptScript: receiptScript, expireScript: expireReceiptsScript,
	}
}

// CallTimeout is the pool's, as ports.BoundedQueue promises.
func (q *Queue) CallTimeout() time.Duration { return q.pool.config.CallTimeout }

func errSuspended() error {
	return domain.NewError(domain.CodeDiskFull, nil, "the disk has no room: try again later")
}

func errFull() error {
	return domain.NewError(domain.CodeQueueFull, nil, "the queue is full: try again later")
}

// entryOf gives what an entry of the stream has for a batch: id, number of
// events, time and payload.
func entryOf(b domain.Batch) []any {
	return []any{string(b.ID), len(b.Events), b.ReceivedAt.UnixNano(), domain.EncodeEvents(b.Events)}
}

// Enqueue holds the batch, as ports.EventQueue promises.
func (q *Queue) Enqueue(ctx context.Context, batch domain.Batch) error {
	k := &q.pool.keys
	args := append([]any{k.stream, k.size, k.arrivals, k.suspended, q.config.MaxEvents, q.config.MaxBytes}, entryOf(batch)...)
	outcome, err := redigo.String(q.pool.run(ctx, "queue.enqueue", enqueueScript, args...))
	switch {
	case err != nil:
		return err
	case outcome == "full":
		return errFull()
	case outcome == "suspended":
		return errSuspended()
	}
	return nil
}

// Suspend closes the way in, as ports.Intake promises.
func (q *Queue) Suspend(ctx context.Context, lifetime time.Duration) error {
	return q.pool.call(ctx, "queue.suspend", func(ctx context.Context, c redigo.Conn) error {
		_, err := redigo.DoContext(c, ctx, "SET", q.pool.keys.suspended, "1", "PX", max(lifetime.Milliseconds(), 1))
		return err
	})
}

// Resume opens the way in, as ports.Intake promises.
func (q *Queue) Resume(ctx context.Context) error {
	return q.pool.call(ctx, "queue.resume", func(ctx context.Context, c redigo.Conn) error {
		_, err := redigo.DoContext(c, ctx, "DEL", q.pool.keys.suspended)
		return err
	})
}

// Depth measures the queue, as ports.QueueMeter promises.
func (q *Queue) Depth(ctx context.Context) (ports.QueueDepth, error) {
	k := &q.pool.keys
	answer, err := redigo.Values(q.pool.run(ctx, "queue.depth", depthScript,
		k.stream, k.size, k.dead, k.receipts, k.receiptOrder, k.settled, k.suspended))
	if err != nil {
		return ports.QueueDepth{}, err
	}
	var depth ports.QueueDepth
	var oldest string
	var waiting, age int64 // milliseconds
	if _, err := redigo.Scan(answer, &depth.Batches, &depth.Events, &depth.DeadLetters, &oldest,
		&depth.Receipts, &depth.ReceiptBytes, &depth.Bytes, &waiting, &depth.Suspended, &age); err != nil {
		return ports.QueueDepth{}, fmt.Errorf("queue.depth: %w", err)
	}
	depth.MaxEvents, depth.MaxBytes, depth.Waiting = q.config.MaxEvents, q.config.MaxBytes, time.Duration(waiting)*time.Millisecond
	depth.OldestAge = time.Duration(age) * time.Millisecond
	if at, err := parseTime(oldest); err == nil {
		depth.Oldest = at
	}
	return depth, nil
}

// parseTime reads a time as entries have it: Unix nanoseconds.
func parseTime(text string) (time.Time, error) {
	nanoseconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(0, nanoseconds).UTC(), nil
}
