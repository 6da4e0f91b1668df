package app_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

func TestGateBoundsWhatGoesOnAtOnce(t *testing.T) {
	gate := app.NewGate(app.GateConfig{Places: 3, Line: 100, Patience: time.Minute})
	var working, most, done atomic.Int64
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			err := gate.Do(t.Context(), func() error {
				for now := working.Add(1); now > most.Load(); {
					most.Store(now)
				}
				time.Sleep(time.Millisecond) // so that others would come in
				working.Add(-1)
				done.Add(1)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if most.Load() > 3 || done.Load() != 50 || gate.Refused() != 0 {
		t.Errorf("%d worked at once, %d in all, %d were refused; want at most 3, 50 and none", most.Load(), done.Load(), gate.Refused())
	}
}

// occupy takes a place until release is called.
func occupy(t *testing.T, gate *app.Gate) (release func()) {
	t.Helper()
	inside, leave, left := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		_ = gate.Do(context.WithoutCancel(t.Context()), func() error {
			close(inside)
			<-leave
			return nil
		})
	}()
	<-inside
	return func() {
		close(leave)
		<-left
	}
}

func TestGateRefuses(t *testing.T) {
	unexpected := func() error { return errors.New("worked nevertheless") }
	t.Run("whom it kept waiting for too long", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			gate := app.NewGate(app.GateConfig{Places: 1, Patience: time.Second})
			defer occupy(t, gate)()
			start := time.Now()
			err := gate.Do(t.Context(), unexpected)
			if domain.CodeOf(err) != domain.CodeUnavailable || gate.Refused() != 1 {
				t.Errorf("refused %d with %v", gate.Refused(), err)
			}
			if waited := time.Since(start); waited != time.Second {
				t.Errorf("waited %v, want 1s", waited)
			}
		})
	})
	t.Run("at once when the line is full", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			gate := app.NewGate(app.GateConfig{Places: 1, Line: 1, Patience: time.Minute})
			release := occupy(t, gate)
			waited := make(chan error, 1)
			go func() { waited <- gate.Do(t.Context(), func() error { return nil }) }()
			synctest.Wait()
			if err := gate.Do(t.Context(), unexpected); domain.CodeOf(err) != domain.CodeUnavailable {
				t.Errorf("error is %v", err)
			}
			if err := gate.Check(); domain.CodeOf(err) != domain.CodeUnavailable {
				t.Errorf("error of the check is %v", err)
			}
			release()
			if err := <-waited; err != nil {
				t.Errorf("who waited got %v", err)
			}
			if err := gate.Check(); err != nil {
				t.Errorf("with nobody waiting: %v", err)
			}
		})
	})
	t.Run("under pressure, whatever is free", func(t *testing.T) {
		pressed := true
		gate := app.NewGate(app.GateConfig{Pressed: func() bool { return pressed }})
		if err := gate.Do(t.Context(), unexpected); domain.CodeOf(err) != domain.CodeUnavailable {
			t.Errorf("error is %v", err)
		}
		pressed = false
		if err := gate.Do(t.Context(), func() error { return nil }); err != nil {
			t.Errorf("after the pressure: %v", err)
		}
	})
}

func TestGateLetsGoWhoDoesNotWait(t *testing.T) {
	gate := app.NewGate(app.GateConfig{Places: 1, Patience: time.Minute})
	defer occupy(t, gate)()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := gate.Do(ctx, func() error { return nil }); !errors.Is(err, context.Canceled) || gate.Refused() != 0 {
		t.Errorf("error is %v, %d refused", err, gate.Refused())
	}
}

func TestGateFreesThePlaceOfWorkThatFails(t *testing.T) {
	gate := app.NewGate(app.GateConfig{Places: 1, Line: 1, Patience: time.Millisecond})
	broken := errors.New("broken")
	for range 2 {
		if err := gate.Do(t.Context(), func() error { return broken }); !errors.Is(err, broken) {
			t.Errorf("error is %v", err)
		}
		func() {
			defer func() { _ = recover() }()
			_ = gate.Do(t.Context(), func() error { panic("canary") })
		}()
	}
}
