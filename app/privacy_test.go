package app_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// repeated returns n calls from the country with the version.
func repeated(n int, country, version string) []domain.Event {
	events := make([]domain.Event, n)
	for i := range events {
		events[i] = call(func(e *domain.Event) { e.Country, e.Version, e.Level = country, version, domain.LevelStandard })
	}
	return events
}

func TestAFilterFindsNoHiddenGroup(t *testing.T) {
	mixed := append(repeated(100, "AT", "9.9.0"), repeated(3, "LI", "9.9.1")...)
	apart := append(append(repeated(60, "AT", "1.0"), repeated(40, "DE", "1.0")...), repeated(9, "AT", "2.0")...)
	cases := map[string]struct {
		events  []domain.Event
		filter  domain.Filter
		minimum int
		want    int64
	}{
		"a country hidden for another's sake":  {mixed, domain.Filter{Country: "AT"}, 5, 0},
		"a version hidden for another's sake":  {mixed, domain.Filter{Version: "9.9.0"}, 5, 0},
		"both":                                 {mixed, domain.Filter{Country: "AT", Version: "9.9.0"}, 5, 0},
		"under another filter":                 {mixed, domain.Filter{Country: "AT", Tool: "get_forecast"}, 5, 0},
		"nothing to protect":                   {mixed, domain.Filter{Country: "AT"}, 0, 100},
		"no filter":                            {mixed, domain.Filter{}, 5, 103},
		"a country that is shown":              {apart, domain.Filter{Country: "DE"}, 5, 40},
		"a country and a version that are":     {apart, domain.Filter{Country: "AT", Version: "1.0"}, 5, 60},
		"hidden only beside the other filter":  {append(apart, repeated(3, "DE", "2.0")...), domain.Filter{Country: "AT", Version: "2.0"}, 5, 0},
		"shown in all, with that minimum of 3": {append(apart, repeated(3, "DE", "2.0")...), domain.Filter{Country: "AT", Version: "2.0"}, 3, 9},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			u := statisticsOf(t, app.StatisticsConfig{PrivacyMinCount: c.minimum}, c.events...)
			got, err := u.Overview(t.Context(), app.StatisticsQuery{Filter: c.filter})
			if err != nil || got.Summary.Calls != c.want {
				t.Errorf("%d calls, %v; want %d", got.Summary.Calls, err, c.want)
			}
		})
	}
}

// TestSubtractingFilteredAnswersFindsNoSmallGroup asks for every country one
// by one: what the whole has beside those answered is nothing, or two hidden
// countries at least with enough calls together.
func TestSubtractingFilteredAnswersFindsNoSmallGroup(t *testing.T) {
	const minimum = 5
	countries := []string{"AT", "DE", "LI", "US"}
	rapid.Check(t, func(rt *rapid.T) {
		var events []domain.Event
		hidden := 0
		for _, country := range countries {
			n := rapid.IntRange(0, 12).Draw(rt, country)
			events = append(events, repeated(n, country, "1.0")...)
			if n > 0 {
				hidden++
			}
		}
		u := statisticsOf(t, app.StatisticsConfig{PrivacyMinCount: minimum}, events...)
		rest := int64(len(events))
		for _, country := range countries {
			got, err := u.Overview(t.Context(), app.StatisticsQuery{Filter: domain.Filter{Country: country}})
			if err != nil {
				rt.Fatal(err)
			}
			if rest -= got.Summary.Calls; got.Summary.Calls > 0 {
				hidden--
			}
		}
		if everything := rest == int64(len(events)); rest > 0 && !everything && (rest < minimum || hidden < 2) {
			rt.Fatalf("%d calls of %d countries can be found", rest, hidden)
		}
	})
}
