package app_test

import (
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

func TestParallelWorkIsBoundedAndDone(t *testing.T) {
	p := app.NewParallel()
	var running, most, done atomic.Int64
	for range 200 {
		p.Go(func() error {
			n := running.Add(1)
			for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
				continue
			}
			runtime.Gosched()
			running.Add(-1)
			done.Add(1)
			return nil
		})
	}
	if err := p.Wait(); err != nil || done.Load() != 200 || most.Load() > int64(runtime.GOMAXPROCS(0)) {
		t.Errorf("%d of 200 pieces done, %d at once, %v", done.Load(), most.Load(), err)
	}
}

func TestParallelWorkThatFails(t *testing.T) {
	broken := errors.New("broken")
	p := app.NewParallel()
	p.Go(func() error { return nil })
	p.Go(func() error { return broken })
	if err := p.Wait(); !errors.Is(err, broken) {
		t.Errorf("error = %v, want that of the piece", err)
	}
	p = app.NewParallel()
	p.Go(func() error { panic("a client's data") })
	err := p.Wait()
	if domain.CodeOf(err) != domain.CodeInternal || strings.Contains(err.Error(), "a client's data") {
		t.Errorf("a panic gives %v, want an internal error without its value", err)
	}
}
