package app

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// GateConfig says how much goes on at once. Zero values mean the defaults.
type GateConfig struct {
	// Places is how many callers work at the same time. Default 4.
	Places int
	// Line is how many may wait for a place. Default 16 for each place.
	Line int
	// Patience is how long they wait. Default 2 s.
	Patience time.Duration
	// Pressed reports that nothing should be begun, whatever places are free,
	// such as for want of memory. Default never.
	Pressed func() bool
}

// Gate bounds how much of one kind of work goes on at once, so that more
// demand than can be met makes some refusals and no collapse. It is safe for
// concurrent use.
type Gate struct {
	places   chan struct{}
	line     int64
	patience time.Duration
	pressed  func() bool

	waiting, refused atomic.Int64
}

// NewGate returns a gate with all places free.
func NewGate(config GateConfig) *Gate {
	places := cmp.Or(config.Places, 4)
	g := &Gate{
		places:   make(chan struct{}, places),
		line:     int64(cmp.Or(config.Line, 16*places)),
		patience: cmp.Or(config.Patience, 2*time.Second),
		pressed:  config.Pressed,
	}
	if g.pressed == nil {
		g.pressed = func() bool { return false }
	}
	return g
}

var (
	errPressed  = errors.New("memory is short")
	errLongLine = errors.New("too many wait for a place")
	errNoPlace  = errors.New("no place became free in time")
)

// Check refuses with domain.CodeUnavailable what [Gate.Do] would refuse at
// once. It spares the effort of getting ready.
func (g *Gate) Check() error {
	switch {
	case g.pressed():
		return g.refuse(errPressed)
	case g.waiting.Load() >= g.line:
		return g.refuse(errLongLine)
	default:
		return nil
	}
}

// Do works when it is its turn. When that does not come in time, it refuses
// with domain.CodeUnavailable, and work is not called.
func (g *Gate) Do(ctx context.Context, work func() error) error {
	if err := g.Check(); err != nil {
		return err
	}
	if err := g.enter(ctx); err != nil {
		return err
	}
	defer func() { <-g.places }()
	return work()
}

func (g *Gate) enter(ctx context.Context) error {
	select {
	case g.places <- struct{}{}:
		return nil
	default:
	}
	g.waiting.Add(1)
	defer g.waiting.Add(-1)
	patience := time.NewTimer(g.patience)
	defer patience.Stop()
	select {
	case g.places <- struct{}{}:
		return nil
	case <-patience.C:
		return g.refuse(errNoPlace)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *Gate) refuse(cause error) error {
	g.refused.Add(1)
	return domain.NewError(domain.CodeUnavailable, cause, "the server is busy: try again later")
}

// Refused counts those who were refused since the start.
func (g *Gate) Refused() int64 { return g.refused.Load() }
