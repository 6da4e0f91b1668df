package redis

import (
	"context"
	"crypto/rand"
	"reflect"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var _ ports.HealthCheck = (*Probe)(nil)

// ProbeConfig says which ways of the queue a process uses.
type ProbeConfig struct {
	// In is the way of an API, Out that of a worker.
	In, Out bool
}

// Probe is the health check of the queue. It does what an API or a worker
// does, with the same scripts, to a queue of its own beside the real one: so
// it fails where a command, a right, the memory or the disk is missing that
// the real queue needs.
type Probe struct {
	pool   *Pool
	own    *Pool // the same connections, other keys
	queue  *Queue
	config ProbeConfig

	turn    chan struct{} // taken by the one who checks
	at      time.Time
	outcome error
}

// checkInterval is how long the outcome of a check is good for.
const checkInterval = time.Second

// NewProbe returns the check of the queue with the pool's prefix.
func NewProbe(pool *Pool, config ProbeConfig) *Probe {
	own := &Pool{server: pool.server, keys: newKeys(pool.keys.health + ":" + rand.Text())}
	return &Probe{
		pool: pool, own: own, queue: NewQueue(own, QueueConfig{}), config: config,
		turn: make(chan struct{}, 1),
	}
}

// Name is "queue".
func (*Probe) Name() string { return "queue" }

// Check tries the queue, at most once a second.
func (p *Probe) Check(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return p.pool.config.translate(ctx, "queue.check", ctx.Err())
	}
	if !p.at.IsZero() && time.Since(p.at) < checkInterval {
		return p.outcome
	}
	err := p.try(ctx)
	if endOf(ctx) == nil { // else err says nothing about the server
		p.at, p.outcome = time.Now(), err
	}
	return err
}

func (p *Probe) try(ctx context.Context) error {
	if err := p.pool.Check(ctx); err != nil {
		return err
	}
	err := p.put(ctx)
	if err == nil && p.config.Out {
		err = p.take(ctx)
	}
	if cleared := p.clear(context.WithoutCancel(ctx)); err == nil {
		err = cleared
	}
	return err
}

// probeBatch is what goes in and out again.
func probeBatch(id domain.BatchID) domain.Batch {
	now := time.Now()
	return domain.Batch{ID: id, ReceivedAt: now, Events: []domain.Event{{
		Version: "0", Tool: "probe", Status: domain.StatusSuccess, Hour: now.UTC().Truncate(time.Hour), Level: domain.LevelMinimal,
	}}}
}

// put does what an API does. A worker needs a batch to take, no more.
func (p *Probe) put(ctx context.Context) error {
	if p.config.In {
		request, receipt := domain.KeyedRequest{Key: "probe"}, domain.Receipt{AcceptedAt: time.Now(), Accepted: 1}
		if _, err := p.queue.EnqueueOnce(ctx, request, probeBatch("probe-1"), receipt); err != nil {
			return err
		}
		if _, _, err := p.queue.Receipt(ctx, request); err != nil {
			return err
		}
	}
	if err := p.queue.Enqueue(ctx, probeBatch("probe-2")); err != nil {
		return err
	}
	_, err := p.queue.Depth(ctx)
	return err
}

// take does what a worker does: to a batch that is stored and to one that is
// refused.
func (p *Probe) take(ctx context.Context) error {
	if _, err := p.queue.await(ctx, time.Millisecond); err != nil {
		return err
	}
	if err := p.queue.tidy(ctx); err != nil {
		return err
	}
	if _, _, err := p.queue.claim(ctx, 1); err != nil {
		return err
	}
	if err := p.queue.Return(ctx, p.heldIDs()...); err != nil {
		return err
	}
	if _, _, err := p.queue.claim(ctx, 10); err != nil {
		return err
	}
	ids := p.heldIDs()
	for _, id := range ids[:min(1, len(ids))] {
		if err := p.queue.Bury(ctx, id, "probe"); err != nil {
			return err
		}
	}
	if err := p.queue.Acknowledge(ctx, "probe-2"); err != nil { // which may be in hand or not
		return err
	}
	return p.queue.Acknowledge(ctx, p.heldIDs()...)
}

func (p *Probe) heldIDs() []domain.BatchID {
	p.queue.mu.Lock()
	defer p.queue.mu.Unlock()
	ids := make([]domain.BatchID, 0, len(p.queue.held))
	for id := range p.queue.held {
		ids = append(ids, id)
	}
	return ids
}

// clear deletes every key of the probe.
func (p *Probe) clear(ctx context.Context) error {
	p.queue.mu.Lock()
	clear(p.queue.held)
	p.queue.mu.Unlock()
	return p.own.call(ctx, "queue.check", func(ctx context.Context, c redigo.Conn) error {
		_, err := redigo.DoContext(c, ctx, "DEL", p.own.keys.all()...)
		return err
	})
}

// all lists every key. What only begins the names of others is among them, and
// is no key.
func (k *keys) all() []any {
	fields := reflect.ValueOf(*k)
	names := make([]any, fields.NumField())
	for i := range names {
		names[i] = fields.Field(i).String()
	}
	return names
}
