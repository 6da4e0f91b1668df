package httpapi

import (
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// windowJSON says what an answer counts. The covered_from members stand there
// only where counting begins after start_date.
type windowJSON struct {
	Period            string `json:"period"`
	StartDate         string `json:"start_date"`
	EndDate           string `json:"end_date"`
	Resolution        string `json:"resolution"`
	CoveredFrom       string `json:"covered_from,omitempty"`
	ErrorsCoveredFrom string `json:"errors_covered_from,omitempty"`
}

// newWindowJSON is for an answer without error types.
func newWindowJSON(c domain.Coverage) windowJSON {
	w := windowJSON{
		Period: c.Window.Period, StartDate: instant(c.Window.Start), EndDate: instant(c.Window.End), Resolution: string(c.Window.Resolution),
	}
	if c.CallsFrom.After(c.Window.Start) {
		w.CoveredFrom = instant(c.CallsFrom)
	}
	return w
}

// newMixedWindowJSON is for an answer of which the error types are one part.
func newMixedWindowJSON(c domain.Coverage) windowJSON {
	w := newWindowJSON(c)
	if c.ErrorsFrom.After(c.CallsFrom) {
		w.ErrorsCoveredFrom = instant(c.ErrorsFrom)
	}
	return w
}

// instant writes a time as the dashboard reads it: RFC 3339 in UTC with Z.
func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// each translates a list; none is [], never null.
func each[From, To any](list []From, translate func(*From) To) []To {
	out := make([]To, len(list))
	for i := range list {
		out[i] = translate(&list[i])
	}
	return out
}

// eachNamed is each for what has a name.
func eachNamed[From, To any](named map[string]From, translate func(From) To) map[string]To {
	out := make(map[string]To, len(named))
	for name, v := range named {
		out[name] = translate(v)
	}
	return out
}

// textsJSON makes an empty list of none.
func textsJSON(list []string) []string { return each(list, func(s *string) string { return *s }) }
