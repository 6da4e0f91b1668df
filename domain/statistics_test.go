package domain_test

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// statisticsNow is when the statistics of this file are asked for.
const statisticsNow = "2026-11-23T10:42:00Z"

// sample is few enough events to add up by hand. Response times are below 67
// ms, where quantiles are exact.
func sample(t *testing.T) []domain.Event {
	t.Helper()
	before, first := at(t, "2026-11-22T09:00:00Z"), at(t, "2026-11-22T10:00:00Z")
	nine, ten := at(t, "2026-11-23T09:00:00Z"), at(t, "2026-11-23T10:00:00Z")
	ms, hit, retries := domain.Some[int32], domain.Some[bool], domain.Some[int32]
	return []domain.Event{
		{
			Tool: "get_forecast", Version: "1.0", Status: "success", Hour: nine, Level: "detailed", ResponseTimeMS: ms(10),
			Service: "noaa", CacheHit: hit(true), RetryCount: retries(0), Country: "US", SessionID: "00000000000000a1",
		},
		{
			Tool: "get_forecast", Version: "1.0", Status: "success", Hour: nine, Level: "detailed", ResponseTimeMS: ms(20),
			Service: "noaa", CacheHit: hit(false), RetryCount: retries(2), Country: "US", SessionID: "00000000000000a1",
		},
		{
			Tool: "get_forecast", Version: "1.0", Status: "error", ErrorType: "timeout", Hour: ten, Level: "standard", ResponseTimeMS: ms(60),
			Service: "openmeteo", CacheHit: hit(false), RetryCount: retries(1), Country: "US",
		},
		{
			Tool: "get_alerts", Version: "1.1", Status: "success", Hour: ten, Level: "standard", ResponseTimeMS: ms(5),
			Service: "noaa", Country: "DE",
		},
		{Tool: "get_alerts", Version: "1.1", Status: "error", ErrorType: "timeout", Hour: ten, Level: "minimal"},
		{
			Tool: "search_location", Version: "1.0", Status: "error", ErrorType: "not_found", Hour: ten, Level: "standard",
			ResponseTimeMS: ms(4), Service: "openmeteo", CacheHit: hit(true),
		},
		{
			Tool: "search_location", Version: "1.0", Status: "success", Hour: first, Level: "detailed", ResponseTimeMS: ms(6),
			Service: "rainviewer", SessionID: "00000000000000a2",
		},
		// The last 24 hours begin after this one.
		{Tool: "get_forecast", Version: "0.9", Status: "error", ErrorType: "too_early", Hour: before, Level: "minimal", Country: "FR"},
	}
}

// reading looks at the events as a store shows them.
func reading(t *testing.T, scope domain.Scope, events []domain.Event) *domain.Reading {
	t.Helper()
	if scope.PrivacyMinCount > 0 && len(scope.Decisive) == 0 {
		scope.Decisive = []domain.Selected{selected(t, scope.Window.Days(), events)}
	}
	selection := scope.Selection(domain.Dimensions()...)
	selection.Usage, selection.Latency, selection.Sessions, selection.Errors = true, true, true, true
	return domain.NewReading(scope, selectedBy(t, selection, events))
}

// selected is everything that a store tells of the events in the window.
func selected(t *testing.T, w domain.Window, events []domain.Event) domain.Selected {
	t.Helper()
	return selectedBy(t, domain.Selection{Window: w, By: append(domain.Dimensions(), domain.DimensionNone)}, events)
}

func selectedBy(t *testing.T, s domain.Selection, events []domain.Event) domain.Selected {
	t.Helper()
	store := memory.NewStore()
	batch := domain.Batch{ID: "1", ReceivedAt: s.Window.End, Events: events}
	if _, err := store.Store(t.Context(), []domain.Batch{batch}); err != nil {
		t.Fatal(err)
	}
	selected, err := store.Select(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return selected
}

func scopeOf(t *testing.T, period string) domain.Scope {
	t.Helper()
	p, err := domain.ParsePeriod(period)
	if err != nil {
		t.Fatal(err)
	}
	now := at(t, statisticsNow)
	return domain.Scope{Window: p.Window(now), Cutoffs: domain.DefaultRetention().Cutoffs(now)}
}

func wholeCoverage(w domain.Window) domain.Coverage {
	return domain.Coverage{Window: w, CallsFrom: w.Start, ErrorsFrom: w.Start}
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// The tools of the sample, added up by hand.
var (
	sampleForecast = domain.ToolSummary{Name: "get_forecast", CallSummary: domain.CallSummary{
		Calls: 3, Errors: 1, SuccessRate: 0.6667,
		ResponseTimes: domain.ResponseTimes{Observed: 3, Average: 30, P50: 20, P95: 60, P99: 60, Min: 10, Max: 60},
		Cache:         domain.CacheUse{Hits: 1, Misses: 2},
	}}
	sampleAlerts = domain.ToolSummary{Name: "get_alerts", CallSummary: domain.CallSummary{
		Calls: 2, Errors: 1, SuccessRate: 0.5,
		ResponseTimes: domain.ResponseTimes{Observed: 1, Average: 5, P50: 5, P95: 5, P99: 5, Min: 5, Max: 5},
	}}
	sampleSearch = domain.ToolSummary{Name: "search_location", CallSummary: domain.CallSummary{
		Calls: 2, Errors: 1, SuccessRate: 0.5,
		ResponseTimes: domain.ResponseTimes{Observed: 2, Average: 5, P50: 4, P95: 6, P99: 6, Min: 4, Max: 6},
		Cache:         domain.CacheUse{Hits: 1},
	}}
	sampleTotal = domain.CallSummary{
		Calls: 7, Errors: 3, SuccessRate: 0.5714,
		ResponseTimes: domain.ResponseTimes{Observed: 6, Average: 17.5, P50: 6, P95: 60, P99: 60, Min: 4, Max: 60},
		Cache:         domain.CacheUse{Hits: 2, Misses: 2},
	}
)

func sampleErrors(t *testing.T) []domain.ErrorTypeSummary {
	t.Helper()
	ten := at(t, "2026-11-23T10:00:00Z")
	return []domain.ErrorTypeSummary{
		{
			Type: "timeout", Count: 2, Percentage: 28.5714, ShareOfErrors: 66.6667,
			AffectedTools: []string{"get_alerts", "get_forecast"}, AffectedVersions: []string{"1.0", "1.1"},
			FirstSeen: ten, LastSeen: ten,
		},
		{
			Type: "not_found", Count: 1, Percentage: 14.2857, ShareOfErrors: 33.3333,
			AffectedTools: []string{"search_location"}, AffectedVersions: []string{"1.0"},
			FirstSeen: ten, LastSeen: ten,
		},
	}
}

func TestOverview(t *testing.T) {
	scope := scopeOf(t, "24h")
	equal(t, "overview", reading(t, scope, sample(t)).Overview(), domain.Overview{
		Coverage: wholeCoverage(scope.Window), Summary: sampleTotal, UniqueVersions: 2, ActiveInstalls: 2,
		Tools:  []domain.ToolSummary{sampleForecast, sampleAlerts, sampleSearch},
		Errors: sampleErrors(t),
	})
}

func TestTools(t *testing.T) {
	scope := scopeOf(t, "24h")
	equal(t, "tools", reading(t, scope, sample(t)).Tools(), domain.Tools{
		Coverage: wholeCoverage(scope.Window),
		Tools:    []domain.ToolSummary{sampleForecast, sampleAlerts, sampleSearch},
	})
}

func TestAll(t *testing.T) {
	scope := scopeOf(t, "24h")
	all := reading(t, scope, sample(t)).All()
	equal(t, "overview", all.Overview, reading(t, scope, sample(t)).Overview())
	equal(t, "services", []domain.ServiceShare{all.NOAA, all.OpenMeteo}, []domain.ServiceShare{
		{Service: "noaa", Calls: 3, Percentage: 60, SuccessRate: 1},
		{Service: "openmeteo", Calls: 2, Percentage: 40, SuccessRate: 0},
	})
	equal(t, "countries", all.Countries, domain.CountryReport{Without: 3, Countries: []domain.CountryShare{
		{Code: "US", Name: "United States", Calls: 3, Percentage: 75},
		{Code: "DE", Name: "Germany", Calls: 1, Percentage: 25},
	}})
	equal(t, "cache", all.Cache, domain.CacheReport{
		CacheUse: domain.CacheUse{Hits: 2, Misses: 2},
		ByTool:   map[string]domain.CacheUse{"get_forecast": {Hits: 1, Misses: 2}, "search_location": {Hits: 1}},
	})
	equal(t, "performance", all.Performance, sampleLatency(t))
}

func sampleLatency(t *testing.T) domain.LatencyReport {
	t.Helper()
	return domain.LatencyReport{
		Overall: sampleTotal.ResponseTimes,
		ByTool: map[string]domain.ResponseTimes{
			"get_forecast":    sampleForecast.ResponseTimes,
			"get_alerts":      sampleAlerts.ResponseTimes,
			"search_location": sampleSearch.ResponseTimes,
		},
		Timeline: []domain.LatencyPoint{
			{
				Bucket:        at(t, "2026-11-22T10:00:00Z"),
				ResponseTimes: domain.ResponseTimes{Observed: 1, Average: 6, P50: 6, P95: 6, P99: 6, Min: 6, Max: 6},
			},
			{
				Bucket:        at(t, "2026-11-23T09:00:00Z"),
				ResponseTimes: domain.ResponseTimes{Observed: 2, Average: 15, P50: 10, P95: 20, P99: 20, Min: 10, Max: 20},
			},
			{
				Bucket:        at(t, "2026-11-23T10:00:00Z"),
				ResponseTimes: domain.ResponseTimes{Observed: 3, Average: 23, P50: 5, P95: 60, P99: 60, Min: 4, Max: 60},
			},
		},
	}
}

func TestToolUsageHoldsEveryBucketAndTool(t *testing.T) {
	usage := reading(t, scopeOf(t, "24h"), sample(t)).All().ToolUsage
	if len(usage) != 25 {
		t.Fatalf("%d buckets, want 25", len(usage))
	}
	calls := map[int]map[string]int64{
		0:  {"get_forecast": 0, "get_alerts": 0, "search_location": 1},
		23: {"get_forecast": 2, "get_alerts": 0, "search_location": 0},
		24: {"get_forecast": 1, "get_alerts": 2, "search_location": 1},
	}
	none := map[string]int64{"get_forecast": 0, "get_alerts": 0, "search_location": 0}
	for i, point := range usage {
		want := domain.ToolUsage{Bucket: at(t, "2026-11-22T10:00:00Z").Add(time.Duration(i) * time.Hour), Calls: none}
		if calls[i] != nil {
			want.Calls = calls[i]
		}
		equal(t, fmt.Sprintf("bucket %d", i), point, want)
	}
}

func TestPerformance(t *testing.T) {
	scope := scopeOf(t, "24h")
	performance := reading(t, scope, sample(t)).Performance()
	equal(t, "performance", performance, domain.Performance{
		Coverage:      wholeCoverage(scope.Window),
		LatencyReport: sampleLatency(t),
		Cache:         reading(t, scope, sample(t)).All().Cache,
		Services: domain.ServiceReport{Without: 1, Services: []domain.ServiceShare{
			{Service: "noaa", Calls: 3, Percentage: 50, SuccessRate: 1},
			{Service: "openmeteo", Calls: 2, Percentage: 33.3333, SuccessRate: 0},
			{Service: "rainviewer", Calls: 1, Percentage: 16.6667, SuccessRate: 1},
		}},
		Retries: domain.Retries{Observed: 3, Retried: 2, Total: 3, Average: 1, RetriedRate: 0.6667},
	})
}

func TestCacheUse(t *testing.T) {
	c := domain.CacheUse{Hits: 1, Misses: 2}
	if c.Observed() != 3 || c.HitRate() != 0.3333 || c.HitPercentage() != 33.3333 {
		t.Errorf("observed %d, rate %v, percentage %v", c.Observed(), c.HitRate(), c.HitPercentage())
	}
	if none := (domain.CacheUse{}); none.HitRate() != 0 || none.HitPercentage() != 0 {
		t.Errorf("of nothing: rate %v, percentage %v", none.HitRate(), none.HitPercentage())
	}
}

func TestResponseTimesAreRounded(t *testing.T) {
	events := slices.Concat(
		calls(t, 2, domain.Event{ResponseTimeMS: domain.Some[int32](1000)}),
		calls(t, 1, domain.Event{ResponseTimeMS: domain.Some[int32](1301)}),
	)
	got := reading(t, scopeOf(t, "1h"), events).Performance().Overall
	if got.Average != 1100.3 || got.P50*10 != math.Trunc(got.P50*10) {
		t.Errorf("average %v, p50 %v", got.Average, got.P50)
	}
}

func TestCallsThatToldNothing(t *testing.T) {
	performance := reading(t, scopeOf(t, "1h"), calls(t, 3, domain.Event{})).Performance()
	equal(t, "performance", performance.LatencyReport, domain.LatencyReport{
		ByTool: map[string]domain.ResponseTimes{}, Timeline: []domain.LatencyPoint{},
	})
	equal(t, "cache", performance.Cache, domain.CacheReport{ByTool: map[string]domain.CacheUse{}})
	equal(t, "services", performance.Services, domain.ServiceReport{Services: []domain.ServiceShare{}, Without: 3})
	equal(t, "retries", performance.Retries, domain.Retries{})
}

func TestTool(t *testing.T) {
	scope := scopeOf(t, "24h")
	scope.Filter.Tool = "get_forecast"
	detail := reading(t, scope, sample(t)).Tool("get_forecast")
	series := detail.Series
	detail.Series = nil
	ten := at(t, "2026-11-23T10:00:00Z")
	equal(t, "tool", detail, domain.ToolDetail{
		Coverage:    wholeCoverage(scope.Window),
		ToolSummary: sampleForecast,
		Versions:    []domain.VersionShare{{Version: "1.0", Calls: 3, Percentage: 100}},
		Countries: domain.CountryReport{Countries: []domain.CountryShare{
			{Code: "US", Name: "United States", Calls: 3, Percentage: 100},
		}},
		Services: domain.ServiceReport{Services: []domain.ServiceShare{
			{Service: "noaa", Calls: 2, Percentage: 66.6667, SuccessRate: 1},
			{Service: "openmeteo", Calls: 1, Percentage: 33.3333, SuccessRate: 0},
		}},
		ErrorTypes: []domain.ErrorTypeSummary{{
			Type: "timeout", Count: 1, Percentage: 33.3333, ShareOfErrors: 100, AffectedTools: []string{"get_forecast"},
			AffectedVersions: []string{"1.0"}, FirstSeen: ten, LastSeen: ten,
		}},
	})
	if len(series) != 25 {
		t.Fatalf("%d buckets, want 25", len(series))
	}
	equal(t, "09:00", series[23], domain.CallPoint{Bucket: ten.Add(-time.Hour), CallSummary: domain.CallSummary{
		Calls: 2, SuccessRate: 1, Cache: domain.CacheUse{Hits: 1, Misses: 1},
		ResponseTimes: domain.ResponseTimes{Observed: 2, Average: 15, P50: 10, P95: 20, P99: 20, Min: 10, Max: 20},
	}})
	equal(t, "10:00", series[24], domain.CallPoint{Bucket: ten, CallSummary: domain.CallSummary{
		Calls: 1, Errors: 1, Cache: domain.CacheUse{Misses: 1},
		ResponseTimes: domain.ResponseTimes{Observed: 1, Average: 60, P50: 60, P95: 60, P99: 60, Min: 60, Max: 60},
	}})
	equal(t, "08:00", series[22], domain.CallPoint{Bucket: ten.Add(-2 * time.Hour)})
}

func TestErrorReport(t *testing.T) {
	scope := scopeOf(t, "24h")
	report := reading(t, scope, sample(t)).ErrorReport()
	trend := report.Trend
	report.Trend = nil
	equal(t, "errors", report, domain.ErrorReport{
		Coverage: wholeCoverage(scope.Window), Calls: 7, Errors: 3, Rate: 0.4286, Types: sampleErrors(t),
	})
	if len(trend) != 25 {
		t.Fatalf("%d buckets, want 25", len(trend))
	}
	first := at(t, "2026-11-22T10:00:00Z")
	equal(t, "the first bucket", trend[0], domain.ErrorPoint{Bucket: first, Calls: 1})
	equal(t, "an empty bucket", trend[1], domain.ErrorPoint{Bucket: first.Add(time.Hour)})
	equal(t, "the last bucket", trend[24], domain.ErrorPoint{Bucket: first.Add(24 * time.Hour), Calls: 4, Errors: 3, Rate: 0.75})
}

func TestDailyWindow(t *testing.T) {
	all := reading(t, scopeOf(t, "30d"), sample(t)).All()
	if len(all.ToolUsage) != 31 {
		t.Fatalf("%d buckets, want 31", len(all.ToolUsage))
	}
	yesterday, today := all.ToolUsage[29], all.ToolUsage[30]
	equal(t, "yesterday", yesterday, domain.ToolUsage{
		Bucket: at(t, "2026-11-22T00:00:00Z"), Calls: map[string]int64{"get_forecast": 1, "get_alerts": 0, "search_location": 1},
	})
	equal(t, "today", today, domain.ToolUsage{
		Bucket: at(t, "2026-11-23T00:00:00Z"), Calls: map[string]int64{"get_forecast": 3, "get_alerts": 2, "search_location": 1},
	})
	if all.Overview.Summary.Calls != 8 || all.Overview.Errors[1].Type != "not_found" || all.Overview.Errors[2].Type != "too_early" {
		t.Errorf("overview = %+v", all.Overview)
	}
}

func TestNothingCounted(t *testing.T) {
	scope := scopeOf(t, "7d")
	r := reading(t, scope, nil)
	equal(t, "all", r.All(), domain.All{
		Overview:    domain.Overview{Coverage: wholeCoverage(scope.Window), Tools: []domain.ToolSummary{}, Errors: []domain.ErrorTypeSummary{}},
		ToolUsage:   []domain.ToolUsage{},
		Performance: domain.LatencyReport{ByTool: map[string]domain.ResponseTimes{}, Timeline: []domain.LatencyPoint{}},
		Cache:       domain.CacheReport{ByTool: map[string]domain.CacheUse{}},
		NOAA:        domain.ServiceShare{Service: "noaa"},
		OpenMeteo:   domain.ServiceShare{Service: "openmeteo"},
		Countries:   domain.CountryReport{Countries: []domain.CountryShare{}},
	})
	detail := r.Tool("get_alerts")
	if len(detail.Series) != 169 || detail.Calls != 0 {
		t.Errorf("tool = %+v", detail)
	}
	if report := r.ErrorReport(); len(report.Trend) != 169 || report.Rate != 0 {
		t.Errorf("errors = %+v", report)
	}
	equal(t, "retries", r.Performance().Retries, domain.Retries{})
}

// calls returns n successful calls of the hour of statisticsNow.
func calls(t *testing.T, n int, like domain.Event) []domain.Event {
	t.Helper()
	if like.Tool == "" {
		like.Tool = "get_alerts"
	}
	if like.Version == "" {
		like.Version = "1.0"
	}
	if like.Status == "" {
		like.Status = domain.StatusSuccess
	}
	like.Hour = domain.Hourly.Floor(at(t, statisticsNow))
	return slices.Repeat([]domain.Event{like}, n)
}

func TestMainServicesShareAllOfThePie(t *testing.T) {
	tests := []struct {
		noaa, openMeteo int
		want            [2]float64
	}{
		{0, 0, [2]float64{0, 0}},
		{7, 0, [2]float64{100, 0}},
		{0, 7, [2]float64{0, 100}},
		{1, 2, [2]float64{33.3333, 66.6667}},
		// 3.125 % and 96.875 %, and halves of the last digit: 1/2^7 and 127/2^7.
		{1, 31, [2]float64{3.125, 96.875}},
		{1, 127, [2]float64{0.7813, 99.2187}},
	}
	for _, tt := range tests {
		events := slices.Concat(
			calls(t, tt.noaa, domain.Event{Service: "noaa"}),
			calls(t, tt.openMeteo, domain.Event{Service: "openmeteo"}),
			calls(t, 9, domain.Event{Service: "usgs"}),
		)
		all := reading(t, scopeOf(t, "1h"), events).All()
		if got := [2]float64{all.NOAA.Percentage, all.OpenMeteo.Percentage}; got != tt.want {
			t.Errorf("%d and %d calls: %v, want %v", tt.noaa, tt.openMeteo, got, tt.want)
		}
	}
}

func TestOverviewShowsTheMostFrequentErrors(t *testing.T) {
	var events []domain.Event
	for i := range 12 {
		events = append(events, calls(t, 1+i/2, domain.Event{Status: domain.StatusError, ErrorType: fmt.Sprintf("e%02d", i)})...)
	}
	r := reading(t, scopeOf(t, "1h"), events)
	var types []string
	for _, e := range r.Overview().Errors {
		types = append(types, e.Type)
	}
	equal(t, "types", types, []string{"e10", "e11", "e08", "e09", "e06", "e07", "e04", "e05", "e02", "e03"})
	if got := len(r.ErrorReport().Types); got != 12 {
		t.Errorf("the report has %d types, want 12", got)
	}
}

func TestErrorsWithoutATypeAreCounted(t *testing.T) {
	r := reading(t, scopeOf(t, "1h"), calls(t, 3, domain.Event{Status: domain.StatusError}))
	errs := r.ErrorReport().Types
	if len(errs) != 1 || errs[0].Type != domain.UnspecifiedError || errs[0].Count != 3 {
		t.Errorf("errors = %+v", errs)
	}
}

func TestSmallGroupsAreFoldedEverywhere(t *testing.T) {
	scope := scopeOf(t, "1h")
	scope.PrivacyMinCount = 5
	failed := domain.Event{Status: domain.StatusError, ErrorType: "timeout"}
	rare := failed
	rare.Version, rare.Country = "3.0-secret", "NP"
	common := failed
	common.Version, common.Country = "1.0", "US"
	events := slices.Concat(
		calls(t, 10, common), calls(t, 4, rare),
		calls(t, 1, domain.Event{Version: "2.0", Country: "DE"}), calls(t, 2, domain.Event{}),
	)
	r := reading(t, scope, events)
	detail := r.Tool("get_alerts")
	equal(t, "versions", detail.Versions, []domain.VersionShare{
		{Version: "1.0", Calls: 12, Percentage: 70.5882}, {Version: "other", Calls: 5, Percentage: 29.4118},
	})
	equal(t, "countries", detail.Countries, domain.CountryReport{Without: 2, Countries: []domain.CountryShare{
		{Code: "US", Name: "United States", Calls: 10, Percentage: 66.6667},
		{Code: "other", Name: "Other", Calls: 5, Percentage: 33.3333},
	}})
	equal(t, "affected versions", r.ErrorReport().Types[0].AffectedVersions, []string{"1.0", "other"})
	if got := r.Overview().UniqueVersions; got != 2 {
		t.Errorf("%d versions, want that which is shown and one for the rest", got)
	}
}

func TestGroupsThatAreTooSmallTogetherAreNotShown(t *testing.T) {
	scope := scopeOf(t, "1h")
	scope.PrivacyMinCount = 5
	events := slices.Concat(
		calls(t, 3, domain.Event{Country: "NP", Status: domain.StatusError, ErrorType: "timeout"}),
		calls(t, 1, domain.Event{Country: "DE"}),
	)
	r := reading(t, scope, events)
	detail := r.Tool("get_alerts")
	equal(t, "countries", detail.Countries, domain.CountryReport{Without: 4, Countries: []domain.CountryShare{}})
	equal(t, "versions", detail.Versions, []domain.VersionShare{})
	equal(t, "affected versions", r.ErrorReport().Types[0].AffectedVersions, []string{})
}

// A code may leave ISO 3166 while its events are still there.
func TestCountryWithoutAName(t *testing.T) {
	r := reading(t, scopeOf(t, "1h"), slices.Concat(calls(t, 3, domain.Event{Country: "XK"}), calls(t, 1, domain.Event{Country: "XA"})))
	equal(t, "countries", r.Tool("get_alerts").Countries.Countries, []domain.CountryShare{
		{Code: "XK", Name: "Kosovo", Calls: 3, Percentage: 75},
		{Code: "XA", Name: "XA", Calls: 1, Percentage: 25},
	})
}

func TestVersionCalledOther(t *testing.T) {
	scope := scopeOf(t, "1h")
	scope.PrivacyMinCount = 5
	like := domain.Event{Version: "other", Status: domain.StatusError, ErrorType: "timeout"}
	late := like
	late.Version = "z1"
	r := reading(t, scope, slices.Concat(calls(t, 6, like), calls(t, 5, late), calls(t, 9, domain.Event{})))
	equal(t, "affected versions", r.ErrorReport().Types[0].AffectedVersions, []string{"z1", "other"})
	equal(t, "versions", r.Tool("get_alerts").Versions, []domain.VersionShare{
		{Version: "1.0", Calls: 9, Percentage: 45}, {Version: "z1", Calls: 5, Percentage: 25}, {Version: "other", Calls: 6, Percentage: 30},
	})
}

func TestFilterBySmallGroupShowsNothing(t *testing.T) {
	like := domain.Event{
		Version: "3.0", Country: "NP", Service: "noaa", Status: domain.StatusError, ErrorType: "timeout",
		ResponseTimeMS: domain.Some[int32](7), SessionID: "00000000000000a1",
	}
	// Without another small country, that of NP would be the difference to the largest.
	events := slices.Concat(calls(t, 4, like), calls(t, 50, domain.Event{Country: "US"}), calls(t, 4, domain.Event{Country: "LI"}))
	tests := []struct {
		name    string
		filter  domain.Filter
		minimum int
		want    int64
	}{
		{"by country", domain.Filter{Country: "NP"}, 5, 0},
		{"by version", domain.Filter{Version: "3.0"}, 5, 0},
		{"by both", domain.Filter{Version: "3.0", Country: "NP"}, 5, 0},
		{"by country and service", domain.Filter{Country: "NP", Service: "noaa"}, 5, 0},
		{"by a large country", domain.Filter{Country: "US"}, 5, 50},
		{"by as many as are enough", domain.Filter{Country: "NP"}, 4, 4},
		{"by anything else", domain.Filter{Service: "noaa"}, 5, 4},
		{"without a minimum", domain.Filter{Country: "NP"}, 0, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			scope := scopeOf(t, "24h")
			scope.Filter, scope.PrivacyMinCount = tt.filter, tt.minimum
			r := reading(t, scope, events)
			if got := r.Overview().Summary.Calls; got != tt.want {
				t.Errorf("%d calls, want %d", got, tt.want)
			}
			if tt.want > 0 {
				return
			}
			empty := reading(t, scope, nil)
			equal(t, "all", r.All(), empty.All())
			equal(t, "tool", r.Tool("get_alerts"), empty.Tool("get_alerts"))
			equal(t, "errors", r.ErrorReport(), empty.ErrorReport())
			equal(t, "performance", r.Performance(), empty.Performance())
		})
	}
}

func TestCoverage(t *testing.T) {
	tests := []struct {
		name, period          string
		hourly, daily, errs   int // days
		callsFrom, errorsFrom string
	}{
		{"everything is kept", "365d", 30, 730, 730, "2025-11-23T00:00:00Z", "2025-11-23T00:00:00Z"},
		{"error types are kept shorter", "365d", 30, 730, 90, "2025-11-23T00:00:00Z", "2026-08-25T00:00:00Z"},
		{"just long enough", "90d", 30, 730, 90, "2026-08-25T00:00:00Z", "2026-08-25T00:00:00Z"},
		{"calls are kept shorter", "365d", 30, 100, 730, "2026-08-15T00:00:00Z", "2026-08-15T00:00:00Z"},
		{"hours are kept shorter", "168h", 3, 730, 90, "2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z"},
		{"types of hours are kept shorter", "168h", 30, 730, 2, "2026-11-16T10:00:00Z", "2026-11-21T10:00:00Z"},
	}
	const day = 24 * time.Hour
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			scope := scopeOf(t, tt.period)
			scope.Cutoffs = domain.Retention{
				Hourly: time.Duration(tt.hourly) * day, Daily: time.Duration(tt.daily) * day, Errors: time.Duration(tt.errs) * day,
			}.Cutoffs(at(t, statisticsNow))
			equal(t, "coverage", reading(t, scope, nil).Tools().Coverage, domain.Coverage{
				Window: scope.Window, CallsFrom: at(t, tt.callsFrom), ErrorsFrom: at(t, tt.errorsFrom),
			})
		})
	}
}

// What is due for deletion may still be there. It is not counted, or answers
// would change with the hour of the next deletion.
func TestWhatIsDueIsNotCounted(t *testing.T) {
	scope := scopeOf(t, "30d")
	scope.Cutoffs.Daily = at(t, "2026-11-01T00:00:00Z")
	scope.Cutoffs.DailyErrors = at(t, "2026-11-10T00:00:00Z")
	var events []domain.Event
	for _, hour := range []string{"2026-10-31T23:00:00Z", "2026-11-01T00:00:00Z", "2026-11-09T23:00:00Z", "2026-11-10T00:00:00Z"} {
		failed := domain.Event{
			Tool: "get_alerts", Version: "1.0", Status: domain.StatusError, ErrorType: "timeout", Level: domain.LevelMinimal, Hour: at(t, hour),
		}
		well := failed
		well.Status, well.ErrorType = domain.StatusSuccess, ""
		events = append(events, failed, well)
	}
	r := reading(t, scope, events)
	overview := r.Overview()
	if overview.Summary.Calls != 6 || overview.Summary.Errors != 3 {
		t.Errorf("summary = %+v, want 6 calls and 3 errors", overview.Summary)
	}
	if got := overview.Errors; len(got) != 1 || got[0].Count != 1 || got[0].Percentage != 50 || got[0].ShareOfErrors != 100 {
		t.Errorf("errors = %+v, want 1 of 2 calls", got)
	}
	report := r.ErrorReport()
	if report.Calls != 2 || report.Errors != 1 || report.Rate != 0.5 || len(report.Trend) != 31 {
		t.Errorf("report = %+v, want 1 of 2 calls in 31 buckets", report)
	}
	for _, p := range report.Trend {
		want := domain.ErrorPoint{Bucket: p.Bucket}
		if p.Bucket.Equal(scope.Cutoffs.DailyErrors) {
			want.Calls, want.Errors, want.Rate = 2, 1, 0.5
		}
		equal(t, "trend", p, want)
	}
}

// Versions and error types come up by the hundred each day: lists that come in no
// pages name some and sum up the rest.
func TestListsOfInventedValuesAreBounded(t *testing.T) {
	var events []domain.Event
	for day := range 3 {
		for n := range 100 {
			e := domain.Event{
				Version: fmt.Sprintf("%d.%03d", day, n), Tool: "get_alerts", Status: domain.StatusError, Level: domain.LevelMinimal,
				ErrorType: fmt.Sprintf("invented_%d_%03d", day, n), Hour: at(t, statisticsNow).Truncate(time.Hour).AddDate(0, 0, -day),
			}
			events = append(events, e)
			e.ErrorType = "everywhere"
			events = append(events, e)
		}
	}
	scope := scopeOf(t, "30d")
	r := reading(t, scope, events)
	tool := r.Tool("get_alerts")
	if n := len(tool.Versions); n != domain.MaxListed+1 || tool.Versions[n-1].Version != domain.OtherName || tool.Versions[n-1].Calls != 400 {
		t.Errorf("%d versions, the last is %+v", n, tool.Versions[n-1])
	}
	if n := len(tool.ErrorTypes); n != domain.MaxListed || tool.ErrorTypes[0].Type != "everywhere" {
		t.Errorf("%d error types, the first is %+v", n, tool.ErrorTypes[0])
	}
	affected := tool.ErrorTypes[0].AffectedVersions
	if n := len(affected); n != domain.MaxListed+1 || affected[n-1] != domain.OtherName || affected[0] != "0.000" {
		t.Errorf("%d affected versions: %q", n, affected)
	}
	if n := len(r.ErrorReport().Types); n != 301 {
		t.Errorf("%d error types in the report, which comes in pages", n)
	}
}
