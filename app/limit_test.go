package app_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/golang/mock/gomock"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/ports/mocks"
)

var limits = ports.Limits{Requests: 60, Burst: 2, Events: 100}

func newLimiter() *memory.Limiter {
	return memory.NewLimiter(memory.LimiterConfig{Limits: limits, Clock: memory.NewClock(time.Unix(0, 0))})
}

func checkCounts(t *testing.T, u *app.Limit, want app.LimitCounts) {
	t.Helper()
	if got := u.Counts(); got != want {
		t.Errorf("counts are %+v, want %+v", got, want)
	}
}

func TestLimitCounts(t *testing.T) {
	limiter := newLimiter()
	u := app.NewLimit(limits, limiter, limiter)
	if got := u.PerMinute(); got != 60 {
		t.Errorf("%d per minute", got)
	}
	for i, want := range []bool{true, true, false} {
		if _, barred := u.Barred("client"); barred {
			t.Errorf("barred before request %d", i)
		}
		if got := u.Take(t.Context(), "client", 1); got.Granted != want {
			t.Errorf("request %d: %+v", i, got)
		}
	}
	if a, barred := u.Barred("client"); !barred || a.Wait != time.Second {
		t.Errorf("barred is %t: %+v", barred, a)
	}
	checkCounts(t, u, app.LimitCounts{Granted: 2, Refused: 2})
}

func TestLimitFallsBack(t *testing.T) {
	shared := mocks.NewMockLimiter(gomock.NewController(t))
	shared.EXPECT().Take(gomock.Any(), "client", 7).AnyTimes().
		Return(ports.Allowance{}, domain.NewError(domain.CodeUnavailable, nil, "away"))
	shared.EXPECT().Barred("client").AnyTimes().Return(ports.Allowance{}, false)
	u := app.NewLimit(limits, shared, newLimiter())
	for i, want := range []bool{true, true, false} {
		if got := u.Take(t.Context(), "client", 7); got.Granted != want {
			t.Errorf("request %d: %+v", i, got)
		}
	}
	// Who was told to wait has to, whoever is back meanwhile.
	if _, barred := u.Barred("client"); !barred {
		t.Error("it is not barred")
	}
	checkCounts(t, u, app.LimitCounts{Granted: 2, Refused: 2, Unshared: 3})

	// A request that was given up says nothing about the shared limiter.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	u.Take(gone, "client", 7)
	checkCounts(t, u, app.LimitCounts{Granted: 2, Refused: 3, Unshared: 3})
}

// A limiter that is at a loss is no reason to refuse anybody.
func TestLimitThatNobodyCanJudge(t *testing.T) {
	lost := mocks.NewMockLimiter(gomock.NewController(t))
	lost.EXPECT().Take(gomock.Any(), gomock.Any(), gomock.Any()).Times(2).
		Return(ports.Allowance{}, domain.NewError(domain.CodeUnavailable, nil, "away"))
	u := app.NewLimit(limits, lost, lost)
	if got := u.Take(t.Context(), "client", 0); !got.Granted {
		t.Errorf("allowance is %+v", got)
	}
}

// A batch is admitted, or not, with all the events that it brings.
func TestBatchesAreAdmitted(t *testing.T) {
	queue := memory.NewQueue(memory.QueueConfig{})
	refusal := errors.New("too many")
	var asked []int
	submit := func(answer error, tools ...string) error {
		_, err := newIngest(queue).Submit(t.Context(), app.Submission{
			Body: bodyOf(tools...),
			Admit: func(_ context.Context, events int) error {
				asked = append(asked, events)
				return answer
			},
		})
		return err
	}
	if err := submit(nil, "get_forecast", "no_such_tool"); err != nil {
		t.Errorf("admitted, and yet: %v", err)
	}
	if err := submit(refusal, "get_forecast", "get_alerts", "get_alerts"); !errors.Is(err, refusal) {
		t.Errorf("error is %v", err)
	}
	// Whether it fits comes before what is wrong with it.
	if err := submit(refusal, "no_such_tool"); !errors.Is(err, refusal) {
		t.Errorf("error is %v", err)
	}
	if err := submit(nil); domain.CodeOf(err) != domain.CodeInvalid {
		t.Errorf("error is %v", err)
	}
	if !slices.Equal(asked, []int{2, 3, 1}) {
		t.Errorf("asked about %v events", asked)
	}
	if got := received(t, queue); len(got) != 1 || len(got[0].Events) != 1 {
		t.Errorf("queued are %v", got)
	}
}
