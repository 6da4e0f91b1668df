package httpapi

import (
	"context"
	"math"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// clockJSON says how the process's clock compares with those of its stores.
type clockJSON struct {
	Status string `json:"status"`
	// Error is there when the status is unhealthy.
	Error string `json:"error,omitempty"`
	// JudgedBy is whose time events are judged by.
	JudgedBy         string     `json:"judged_by"`
	ToleranceSeconds float64    `json:"tolerance_seconds"`
	Stores           []skewJSON `json:"stores"`
}

type skewJSON struct {
	Store string `json:"store"`
	// SkewSeconds is how far the process's clock is ahead; nil while that is
	// not known.
	SkewSeconds *float64 `json:"skew_seconds,omitempty"`
	// AskedSecondsAgo is there together with SkewSeconds.
	AskedSecondsAgo *float64 `json:"asked_seconds_ago,omitempty"`
	// OnlyBehind says that a clock that is ahead shows no skew.
	OnlyBehind bool `json:"only_behind"`
}

// ownClock is the process's, as judged_by names it.
const ownClock = "own"

func newClockJSON(ctx context.Context, clock *app.Clock) *clockJSON {
	if clock == nil {
		return nil
	}
	state := clock.State(ctx)
	body := &clockJSON{
		Status: healthy, JudgedBy: ownClock,
		ToleranceSeconds: state.Tolerance.Seconds(), Stores: make([]skewJSON, len(state.Skews)),
	}
	if state.JudgedBy != "" {
		body.JudgedBy = state.JudgedBy
	}
	if state.Err != nil {
		body.Status, body.Error = unhealthy, domain.MessageOf(state.Err)
	}
	for i, skew := range state.Skews {
		body.Stores[i] = skewJSON{Store: skew.Store, OnlyBehind: skew.LowerBound}
		if skew.Known {
			body.Stores[i].SkewSeconds, body.Stores[i].AskedSecondsAgo = roundedSeconds(skew.Skew), roundedSeconds(skew.Age)
		}
	}
	return body
}

// roundedSeconds has 3 decimals.
func roundedSeconds(d time.Duration) *float64 {
	seconds := math.Round(d.Seconds()*1000) / 1000
	return &seconds
}
