package app_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/golang/mock/gomock"
	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports/mocks"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
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

// callsOn returns n calls at the hour of the 10th of November.
func callsOn(hour, n int, change func(*domain.Event)) []domain.Event {
	events := make([]domain.Event, n)
	for i := range events {
		events[i] = call(func(e *domain.Event) {
			e.Hour, e.Level = date(10).Add(time.Duration(hour)*time.Hour), domain.LevelStandard
			change(e)
		})
	}
	return events
}

func from(country, tool string) func(*domain.Event) {
	return func(e *domain.Event) { e.Country, e.Tool = country, tool }
}

// A day is decided as a whole: what is hidden on it is hidden in each of its
// hours and for each of its tools, however many calls there are in these.
func TestADayIsDecidedAsAWhole(t *testing.T) {
	events := slices.Concat(
		callsOn(3, 40, from("US", "get_alerts")), callsOn(3, 9, from("DE", "get_alerts")),
		callsOn(20, 4, from("LI", "get_forecast")), // takes DE with it
	)
	u := statisticsOf(t, app.StatisticsConfig{PrivacyMinCount: 5}, events...)
	morning := between(date(10), date(10).Add(4*time.Hour))
	all, err := u.All(t.Context(), morning)
	if err != nil {
		t.Fatal(err)
	}
	want := []domain.CountryShare{
		{Code: "US", Name: "United States", Calls: 40, Percentage: 81.6327},
		{Code: "other", Name: "Other", Calls: 9, Percentage: 18.3673},
	}
	if !slices.Equal(all.Countries.Countries, want) {
		t.Errorf("countries = %+v, want %+v", all.Countries.Countries, want)
	}
	detail, err := u.Tool(t.Context(), "get_alerts", morning)
	if err != nil || !slices.Equal(detail.Countries.Countries, want) {
		t.Errorf("countries of the tool = %+v, %v, want %+v", detail.Countries.Countries, err, want)
	}
	for country, calls := range map[string]int64{"US": 40, "DE": 0} {
		morning.Filter.Country = country
		got, err := u.Performance(t.Context(), morning)
		if err != nil || int64(len(got.Services.Services))+got.Services.Without != calls {
			t.Errorf("%s: %+v, %v, want %d calls", country, got.Services, err, calls)
		}
	}
}

// A window that cuts a day folds as any list does, and then a filter by what is
// folded finds nothing.
func TestAListOfHoursFoldsOnItsOwn(t *testing.T) {
	events := slices.Concat(
		callsOn(3, 40, from("US", "get_alerts")), callsOn(3, 9, from("DE", "get_alerts")), callsOn(3, 2, from("LI", "get_alerts")),
		callsOn(20, 9, from("LI", "get_alerts")),
	)
	u := statisticsOf(t, app.StatisticsConfig{PrivacyMinCount: 5}, events...)
	hour := between(date(10).Add(3*time.Hour), date(10).Add(4*time.Hour))
	for country, want := range map[string]int64{"": 51, "US": 40, "DE": 0, "LI": 0} {
		hour.Filter.Country = country
		got, err := u.Overview(t.Context(), hour)
		if err != nil || got.Summary.Calls != want {
			t.Errorf("%q: %d calls, %v, want %d", country, got.Summary.Calls, err, want)
		}
	}
}

// docs/privacy.md lists these differences as those that remain, with these
// numbers.
func TestDifferencesThatRemain(t *testing.T) {
	version := func(country, version string) func(*domain.Event) {
		return func(e *domain.Event) { e.Country, e.Version, e.Tool = country, version, "get_alerts" }
	}
	events := slices.Concat(
		callsOn(3, 9, version("US", "1.0")), callsOn(3, 6, version("US", "0.9")),
		callsOn(3, 7, version("NP", "1.0")), callsOn(4, 2, version("NP", "0.9")), callsOn(3, 1, from("NP", "get_forecast")),
	)
	u := statisticsOf(t, app.StatisticsConfig{PrivacyMinCount: 5}, events...)
	day, early := between(date(10), date(11)), between(date(10), date(10).Add(4*time.Hour))
	total := func(q app.StatisticsQuery, f domain.Filter) int64 {
		q.Filter = f
		overview, err := u.Overview(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		return overview.Summary.Calls
	}
	detail := func(f domain.Filter) domain.ToolDetail {
		day.Filter = f
		detail, err := u.Tool(t.Context(), "get_alerts", day)
		if err != nil {
			t.Fatal(err)
		}
		return detail
	}
	if all, early := total(day, domain.Filter{Country: "NP"}), total(early, domain.Filter{Country: "NP"}); all != 10 || early != 8 {
		t.Errorf("by hours: %d and %d calls, want 10 and 8", all, early)
	}
	if alerts := total(day, domain.Filter{Country: "NP", Tool: "get_alerts"}); alerts != 9 {
		t.Errorf("by tools: %d calls, want 9", alerts)
	}
	old := detail(domain.Filter{Version: "0.9"}).Countries.Countries
	if len(old) != 1 || old[0].Code != domain.OtherName || old[0].Calls != 8 {
		t.Errorf("countries of 0.9 = %+v, want 8 calls of others", old)
	}
	want := []domain.VersionShare{{Version: "1.0", Calls: 9, Percentage: 60}, {Version: "0.9", Calls: 6, Percentage: 40}}
	if versions := detail(domain.Filter{Country: "US"}).Versions; !slices.Equal(versions, want) {
		t.Errorf("versions of US = %+v, want %+v", versions, want)
	}
}

// What an answer may tell costs few looks at the store, and cheap ones.
func TestLooksAtTheStore(t *testing.T) {
	daily, hourly := app.StatisticsQuery{Period: "30d"}, app.StatisticsQuery{Period: "24h"}
	with := func(q app.StatisticsQuery, f domain.Filter) app.StatisticsQuery {
		q.Filter = f
		return q
	}
	tool, country := domain.Filter{Tool: "get_alerts"}, domain.Filter{Country: "US"}
	tests := []struct {
		name       string
		query      app.StatisticsQuery
		all, tools int
	}{
		{"days", daily, 1, 1},
		{"hours", hourly, 2, 1},
		{"days of a tool", with(daily, tool), 2, 1},
		{"hours of a tool", with(hourly, tool), 3, 1},
		{"days of a country", with(daily, country), 2, 2},
		{"hours of a country", with(hourly, country), 4, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			looks := 0
			reader := mocks.NewMockStatisticsReader(gomock.NewController(t))
			reader.EXPECT().Select(gomock.Any(), gomock.Any()).DoAndReturn(
				func(context.Context, domain.Selection) (domain.Selected, error) {
					looks++
					return domain.Selected{}, nil
				}).AnyTimes()
			u := app.NewStatistics(reader, memory.NewClock(contract.Now), app.StatisticsConfig{PrivacyMinCount: 5})
			if _, err := u.All(t.Context(), tt.query); err != nil || looks != tt.all {
				t.Errorf("everything takes %d looks, %v, want %d", looks, err, tt.all)
			}
			looks = 0
			if _, err := u.Tools(t.Context(), tt.query); err != nil || looks != tt.tools {
				t.Errorf("tools take %d looks, %v, want %d", looks, err, tt.tools)
			}
		})
	}
}

// Neither look may fail unnoticed.
func TestEveryLookAtTheStoreMayFail(t *testing.T) {
	failure := domain.NewError(domain.CodeUnavailable, errors.New("disk"), "the store is away")
	for failing := range 3 {
		reader := mocks.NewMockStatisticsReader(gomock.NewController(t))
		gomock.InOrder(
			reader.EXPECT().Select(gomock.Any(), gomock.Any()).Return(domain.Selected{}, nil).Times(failing),
			reader.EXPECT().Select(gomock.Any(), gomock.Any()).Return(domain.Selected{}, failure),
		)
		u := app.NewStatistics(reader, memory.NewClock(contract.Now), app.StatisticsConfig{PrivacyMinCount: 5})
		_, err := u.All(t.Context(), app.StatisticsQuery{Filter: domain.Filter{Country: "US", Tool: "get_alerts"}})
		if !errors.Is(err, failure) {
			t.Errorf("look %d: error = %v, want %v in its chain", failing, err, failure)
		}
	}
}
