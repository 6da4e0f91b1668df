package app_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
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

// statisticsOf returns the use case over a store with the events.
func statisticsOf(t *testing.T, config app.StatisticsConfig, events ...domain.Event) *app.Statistics {
	t.Helper()
	store := memory.NewStore()
	if _, err := store.Store(t.Context(), []domain.Batch{contract.NewBatch(1, events...)}); err != nil {
		t.Fatal(err)
	}
	return app.NewStatistics(store, memory.NewClock(contract.Now), config)
}

func call(change func(*domain.Event)) domain.Event {
	e := domain.Event{
		Tool: "get_forecast", Version: "1.0", Status: domain.StatusSuccess,
		Level: domain.LevelMinimal, Hour: domain.Hourly.Floor(contract.Now),
	}
	if change != nil {
		change(&e)
	}
	return e
}

func TestStatisticsPeriods(t *testing.T) {
	u := statisticsOf(t, app.StatisticsConfig{})
	coverages := map[string]func(app.StatisticsQuery) (domain.Coverage, error){
		"overview": func(q app.StatisticsQuery) (domain.Coverage, error) {
			a, err := u.Overview(t.Context(), q)
			return a.Coverage, err
		},
		"all": func(q app.StatisticsQuery) (domain.Coverage, error) {
			a, err := u.All(t.Context(), q)
			return a.Overview.Coverage, err
		},
		"tools": func(q app.StatisticsQuery) (domain.Coverage, error) {
			a, err := u.Tools(t.Context(), q)
			return a.Coverage, err
		},
		"tool": func(q app.StatisticsQuery) (domain.Coverage, error) {
			a, err := u.Tool(t.Context(), "get_alerts", q)
			return a.Coverage, err
		},
		"errors": func(q app.StatisticsQuery) (domain.Coverage, error) {
			a, err := u.Errors(t.Context(), q)
			return a.Coverage, err
		},
		"performance": func(q app.StatisticsQuery) (domain.Coverage, error) {
			a, err := u.Performance(t.Context(), q)
			return a.Coverage, err
		},
	}
	for name, ask := range coverages {
		t.Run(name, func(t *testing.T) {
			standard := "30d"
			if name == "overview" || name == "all" {
				standard = "24h"
			}
			for asked, want := range map[string]string{"": standard, "1h": "1h", "7d": "7d", "365d": "365d"} {
				coverage, err := ask(app.StatisticsQuery{Period: asked})
				if err != nil {
					t.Fatal(err)
				}
				period, err := domain.ParsePeriod(want)
				if err != nil {
					t.Fatal(err)
				}
				if coverage.Window != period.Window(contract.Now) {
					t.Errorf("period %q counts %+v, want %+v", asked, coverage.Window, period.Window(contract.Now))
				}
			}
			coverage, err := ask(app.StatisticsQuery{Start: "2026-11-02", End: "2026-11-03"})
			want := domain.Window{
				Start: time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC), End: time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC), Resolution: domain.Hourly,
			}
			if err != nil || coverage.Window != want {
				t.Errorf("bounds count %+v, %v; want %+v", coverage.Window, err, want)
			}
			coverage, err = ask(app.StatisticsQuery{Period: "7d", Resolution: "day"})
			want = domain.Window{
				Start: time.Date(2026, 11, 16, 0, 0, 0, 0, time.UTC), End: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC),
				Resolution: domain.Daily, Period: "7d",
			}
			if err != nil || coverage.Window != want {
				t.Errorf("a week in days counts %+v, %v; want %+v", coverage.Window, err, want)
			}
			for name, q := range map[string]app.StatisticsQuery{
				"period":          {Period: "1w"},
				"start":           {End: "2026-11-02"},
				"end":             {Start: "2026-11-01", End: "2026-11-31"},
				"country":         {Filter: domain.Filter{Country: "XX"}},
				"resolution=hour": {Period: "16d", Resolution: "hour"},
				"resolution":      {Period: "24h", Resolution: "week"},
			} {
				_, err := ask(q)
				if domain.CodeOf(err) != domain.CodeInvalid || !strings.HasPrefix(domain.MessageOf(err), name+" ") {
					t.Errorf("%+v: error = %v, want one that names %s", q, err, name)
				}
			}
		})
	}
}

func TestStatisticsPassTheStoresFailureOn(t *testing.T) {
	failure := domain.NewError(domain.CodeUnavailable, errors.New("disk"), "the store is away")
	reader := mocks.NewMockStatisticsReader(gomock.NewController(t))
	reader.EXPECT().Select(gomock.Any(), gomock.Any()).Return(domain.Selected{}, failure).AnyTimes()
	u := app.NewStatistics(reader, memory.NewClock(contract.Now), app.StatisticsConfig{})
	asks := map[string]func(context.Context) error{
		"overview":    func(ctx context.Context) error { _, err := u.Overview(ctx, app.StatisticsQuery{}); return err },
		"all":         func(ctx context.Context) error { _, err := u.All(ctx, app.StatisticsQuery{}); return err },
		"tools":       func(ctx context.Context) error { _, err := u.Tools(ctx, app.StatisticsQuery{}); return err },
		"tool":        func(ctx context.Context) error { _, err := u.Tool(ctx, "nothing", app.StatisticsQuery{}); return err },
		"errors":      func(ctx context.Context) error { _, err := u.Errors(ctx, app.StatisticsQuery{}); return err },
		"performance": func(ctx context.Context) error { _, err := u.Performance(ctx, app.StatisticsQuery{}); return err },
	}
	for name, ask := range asks {
		if err := ask(t.Context()); !errors.Is(err, failure) {
			t.Errorf("%s: error = %v, want %v in its chain", name, err, failure)
		}
	}
}

// One look at the store per answer, so that its parts cannot disagree.
func TestStatisticsLookOnce(t *testing.T) {
	const none, tool, version, country, service = domain.DimensionNone, domain.DimensionTool,
		domain.DimensionVersion, domain.DimensionCountry, domain.DimensionService
	filter := domain.Filter{Tool: "get_alerts", Version: "1.0", Country: "US", Service: "noaa"}
	query := app.StatisticsQuery{Filter: filter}
	query.Filter.Country = "us"
	tests := []struct {
		name   string
		by     []domain.Dimension
		errors bool
		ask    func(context.Context, *app.Statistics) error
	}{
		{"overview", []domain.Dimension{none, tool, version}, true, func(ctx context.Context, u *app.Statistics) error {
			_, err := u.Overview(ctx, query)
			return err
		}},
		{"all", []domain.Dimension{none, tool, version, country, service}, true, func(ctx context.Context, u *app.Statistics) error {
			_, err := u.All(ctx, query)
			return err
		}},
		{"tools", []domain.Dimension{none, tool}, false, func(ctx context.Context, u *app.Statistics) error {
			_, err := u.Tools(ctx, query)
			return err
		}},
		{"tool", []domain.Dimension{none, version, country, service}, true, func(ctx context.Context, u *app.Statistics) error {
			_, err := u.Tool(ctx, "get_alerts", query)
			return err
		}},
		{"errors", []domain.Dimension{none, version}, true, func(ctx context.Context, u *app.Statistics) error {
			_, err := u.Errors(ctx, query)
			return err
		}},
		{"performance", []domain.Dimension{none, tool, service}, false, func(ctx context.Context, u *app.Statistics) error {
			_, err := u.Performance(ctx, query)
			return err
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reader := mocks.NewMockStatisticsReader(gomock.NewController(t))
			reader.EXPECT().Select(gomock.Any(), gomock.Any()).DoAndReturn(
				func(_ context.Context, s domain.Selection) (domain.Selected, error) {
					if s.Filter != filter || s.Errors != tt.errors || !slices.Equal(s.By, tt.by) {
						t.Errorf("selection = %+v", s)
					}
					return domain.Selected{}, nil
				}).Times(1)
			u := app.NewStatistics(reader, memory.NewClock(contract.Now), app.StatisticsConfig{})
			if err := tt.ask(t.Context(), u); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Such names may be long, or of characters that a store refuses.
func TestStatisticsDoNotLookForImpossibleTools(t *testing.T) {
	reader := mocks.NewMockStatisticsReader(gomock.NewController(t)) // fails when it is asked
	u := app.NewStatistics(reader, memory.NewClock(contract.Now), app.StatisticsConfig{})
	for _, name := range []string{"", "get\x00", "Get Rich", strings.Repeat("a", 65)} {
		_, err := u.Tool(t.Context(), name, app.StatisticsQuery{})
		if domain.CodeOf(err) != domain.CodeInvalid || !strings.HasPrefix(domain.MessageOf(err), "name must be") {
			t.Errorf("%q: error = %v, want one that says what a name is", name, err)
		}
	}
}

// Error types are kept for 90 days and calls for 730, by the day.
func TestWindowsBeforeEverythingThatIsKept(t *testing.T) {
	u := statisticsOf(t, app.StatisticsConfig{})
	old := app.StatisticsQuery{Start: "2024-01-01", End: "2024-03-01"}
	if _, err := u.Overview(t.Context(), old); domain.CodeOf(err) != domain.CodeInvalid || !strings.HasPrefix(domain.MessageOf(err), "start ") {
		t.Errorf("calls: error = %v, want one that names start", err)
	}
	old = app.StatisticsQuery{Start: "2026-06-01", End: "2026-07-01"}
	overview, err := u.Overview(t.Context(), old)
	if c := overview.Coverage; err != nil || !c.CallsFrom.Equal(c.Window.Start) || !c.ErrorsFrom.Equal(c.Window.End) {
		t.Errorf("calls without error types: %+v, %v", c, err)
	}
	if _, err := u.Errors(t.Context(), old); domain.CodeOf(err) != domain.CodeInvalid || !strings.HasPrefix(domain.MessageOf(err), "start ") {
		t.Errorf("error types: error = %v, want one that names start", err)
	}
	old.End = "2026-09-01"
	if report, err := u.Errors(t.Context(), old); err != nil || !report.Coverage.ErrorsFrom.Equal(time.Date(2026, 8, 25, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("some error types: %+v, %v", report.Coverage, err)
	}
}

func TestToolNames(t *testing.T) {
	retired := call(func(e *domain.Event) { e.Tool = "get_fax"; e.Country = "NP" })
	longAgo := call(func(e *domain.Event) { e.Tool = "get_fax"; e.Hour = e.Hour.AddDate(0, 0, -700) })
	forgotten := call(func(e *domain.Event) { e.Tool = "get_fax"; e.Hour = e.Hour.AddDate(0, 0, -800) })
	unknown := call(func(e *domain.Event) { e.Tool = domain.OtherName })
	const missing = -1
	tests := []struct {
		name   string
		config app.StatisticsConfig
		events []domain.Event
		tool   string
		filter domain.Filter
		calls  int64
	}{
		{"in the catalogue, without calls", app.StatisticsConfig{}, nil, "get_alerts", domain.Filter{}, 0},
		{"in the catalogue, with calls", app.StatisticsConfig{}, []domain.Event{call(nil)}, "get_forecast", domain.Filter{}, 1},
		{"no longer in the catalogue", app.StatisticsConfig{}, []domain.Event{retired}, "get_fax", domain.Filter{}, 1},
		{"no longer in the catalogue, and called long ago", app.StatisticsConfig{}, []domain.Event{longAgo}, "get_fax", domain.Filter{}, 0},
		{"called before all that is kept", app.StatisticsConfig{}, []domain.Event{forgotten}, "get_fax", domain.Filter{}, missing},
		{"never heard of", app.StatisticsConfig{}, nil, "get_fax", domain.Filter{}, missing},
		{"unknown tools, not counted", app.StatisticsConfig{}, nil, "other", domain.Filter{}, missing},
		{"unknown tools, counted once", app.StatisticsConfig{}, []domain.Event{unknown}, "other", domain.Filter{}, 1},
		{"unknown tools, counted", app.StatisticsConfig{CountUnknownTools: true}, nil, "other", domain.Filter{}, 0},
		{
			"a small group does not give itself away",
			app.StatisticsConfig{PrivacyMinCount: 5},
			[]domain.Event{retired},
			"get_fax",
			domain.Filter{Country: "NP"},
			0,
		},
		{"the path goes before the filter", app.StatisticsConfig{}, []domain.Event{call(nil)}, "get_forecast", domain.Filter{Tool: "get_alerts"}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := statisticsOf(t, tt.config, tt.events...)
			detail, err := u.Tool(t.Context(), tt.tool, app.StatisticsQuery{Filter: tt.filter})
			if tt.calls == missing {
				if domain.CodeOf(err) != domain.CodeNotFound {
					t.Fatalf("error = %v, want %s", err, domain.CodeNotFound)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if detail.Name != tt.tool || detail.Calls != tt.calls || len(detail.Series) != 31 {
				t.Errorf("%s with %d calls in %d buckets, want %d", detail.Name, detail.Calls, len(detail.Series), tt.calls)
			}
		})
	}
}

// What is listed can be asked for, everywhere; a name that is neither in the
// catalogue nor in the data is refused.
func TestAToolThatLeftTheCatalogueStaysAskedFor(t *testing.T) {
	retired := call(func(e *domain.Event) { e.Tool = "get_fax"; e.Service = "telephone" })
	u := statisticsOf(t, app.StatisticsConfig{}, retired, call(nil))
	tools, err := u.Tools(t.Context(), app.StatisticsQuery{})
	if err != nil || !slices.ContainsFunc(tools.Tools, func(s domain.ToolSummary) bool { return s.Name == "get_fax" && s.Calls == 1 }) {
		t.Errorf("the tools are %+v, %v", tools.Tools, err)
	}
	asks := map[string]func(q app.StatisticsQuery) (calls int64, err error){
		"overview": func(q app.StatisticsQuery) (int64, error) {
			o, err := u.Overview(t.Context(), q)
			return o.Summary.Calls, err
		},
		"all": func(q app.StatisticsQuery) (int64, error) {
			a, err := u.All(t.Context(), q)
			return a.Overview.Summary.Calls, err
		},
		"tools": func(q app.StatisticsQuery) (calls int64, err error) {
			tools, err := u.Tools(t.Context(), q)
			for _, s := range tools.Tools {
				calls += s.Calls
			}
			return calls, err
		},
		"errors":      func(q app.StatisticsQuery) (int64, error) { _, err := u.Errors(t.Context(), q); return 1, err },
		"performance": func(q app.StatisticsQuery) (int64, error) { _, err := u.Performance(t.Context(), q); return 1, err },
	}
	for name, ask := range asks {
		for filter, want := range map[domain.Filter]domain.Code{
			{Tool: "get_fax"}: "", {Service: "telephone"}: "", {Tool: "get_fax", Service: "telephone"}: "",
			{Tool: "get_telex"}: domain.CodeInvalid,
		} {
			calls, err := ask(app.StatisticsQuery{Filter: filter})
			if domain.CodeOf(err) != want || want == "" && calls != 1 {
				t.Errorf("%s of %+v: %d calls, %v", name, filter, calls, err)
			}
		}
	}
}

func TestToolIsFoundOnceItIsCalled(t *testing.T) {
	store := memory.NewStore()
	u := app.NewStatistics(store, memory.NewClock(contract.Now), app.StatisticsConfig{})
	if _, err := u.Tool(t.Context(), "get_fax", app.StatisticsQuery{}); domain.CodeOf(err) != domain.CodeNotFound {
		t.Fatalf("error = %v, want %s", err, domain.CodeNotFound)
	}
	batch := contract.NewBatch(1, call(func(e *domain.Event) { e.Tool = "get_fax" }))
	if _, err := store.Store(t.Context(), []domain.Batch{batch}); err != nil {
		t.Fatal(err)
	}
	detail, err := u.Tool(t.Context(), "get_fax", app.StatisticsQuery{})
	if err != nil || detail.Calls != 1 {
		t.Errorf("%d calls, error %v", detail.Calls, err)
	}
}

func TestStatisticsConfigIsUsed(t *testing.T) {
	catalogue, err := domain.ParseCatalogue([]byte(`{"tools":["get_fax"],"services":["post"]}`))
	if err != nil {
		t.Fatal(err)
	}
	nepal := call(func(e *domain.Event) { e.Country = "NP" })
	old := nepal
	old.Hour = old.Hour.Add(-48 * time.Hour)
	retention := domain.DefaultRetention()
	retention.Hourly = 24 * time.Hour
	u := statisticsOf(t, app.StatisticsConfig{Catalogue: catalogue, PrivacyMinCount: 2, Retention: retention}, nepal, old)
	if _, err := u.Tools(t.Context(), app.StatisticsQuery{Filter: domain.Filter{Tool: "get_alerts"}}); domain.CodeOf(err) != domain.CodeInvalid {
		t.Errorf("a tool of another catalogue: error = %v", err)
	}
	all, err := u.All(t.Context(), app.StatisticsQuery{Period: "72h"})
	if err != nil {
		t.Fatal(err)
	}
	if all.Overview.Summary.Calls != 1 || len(all.Countries.Countries) != 0 {
		t.Errorf("counted %d calls, want 1; told %v, want nothing", all.Overview.Summary.Calls, all.Countries.Countries)
	}
}

// An answer is made of the same events in all its parts.
func TestStatisticsAgree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		first := contract.Now.Add(-40 * time.Hour)
		events := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) domain.Event {
			return contract.DrawEvent(rt, first, 41)
		}), 0, 60).Draw(rt, "events")
		minimum := rapid.IntRange(0, 6).Draw(rt, "minimum")
		u := statisticsOf(t, app.StatisticsConfig{PrivacyMinCount: minimum}, events...)
		query := drawWindow(rt)
		query.Filter = drawFilter(rt)
		all, err := u.All(t.Context(), query)
		if err != nil {
			rt.Fatal(err)
		}
		checkAll(rt, &all, int64(minimum))
		want := newOracle(world{events, int64(minimum)}).counted(all.Overview.Coverage.Window, query.Filter)
		if got := all.Overview.Summary.Calls; got != want {
			rt.Fatalf("%d calls, want %d", got, want)
		}
		errs, err := u.Errors(t.Context(), query)
		if err != nil {
			rt.Fatal(err)
		}
		checkErrors(rt, &errs, all.Overview.Summary)
	})
}

// drawWindow draws a period in hours or days, as far as both are kept.
func drawWindow(t *rapid.T) app.StatisticsQuery {
	return rapid.SampledFrom([]app.StatisticsQuery{
		{Period: "1h"},
		{Period: "5h"},
		{Period: "24h"},
		{Period: "168h"},
		{Period: "169h"},
		{Period: "30d"},
		{Period: "366d"},
		{Period: "1h", Resolution: "day"},
		{Period: "7d", Resolution: "day"},
		{Period: "169h", Resolution: "hour"},
		{Period: "15d", Resolution: "hour"},
		{Period: "366d", Resolution: "day"},
	}).Draw(t, "window")
}

func drawFilter(t *rapid.T) domain.Filter {
	return domain.Filter{
		Tool:    rapid.SampledFrom([]string{"", "", "get_alerts", domain.OtherName}).Draw(t, "tool"),
		Version: rapid.SampledFrom([]string{"", "", "", "1.0.0"}).Draw(t, "version"),
		Country: rapid.SampledFrom([]string{"", "", "", "US"}).Draw(t, "country"),
		Service: rapid.SampledFrom([]string{"", "", "", "noaa"}).Draw(t, "service"),
	}
}

func matching(events []domain.Event, w domain.Window, f domain.Filter) []domain.Event {
	return slices.DeleteFunc(slices.Clone(events), func(e domain.Event) bool {
		return !w.Contains(e.Hour) || !f.Matches(domain.GroupOf(&e))
	})
}

func checkAll(t *rapid.T, all *domain.All, minimum int64) {
	t.Helper()
	total := all.Overview.Summary
	var byTool, toolErrors, timed, used, shown int64
	for _, tool := range all.Overview.Tools {
		byTool += tool.Calls
		toolErrors += tool.Errors
		timed += tool.ResponseTimes.Observed
		checkTimes(t, tool.ResponseTimes)
	}
	for _, point := range all.ToolUsage {
		if len(point.Calls) != len(all.Overview.Tools) {
			t.Fatalf("bucket %v has %d tools, want %d", point.Bucket, len(point.Calls), len(all.Overview.Tools))
		}
		for _, calls := range point.Calls {
			used += calls
		}
	}
	if byTool != total.Calls || used != total.Calls || toolErrors != total.Errors || timed != total.ResponseTimes.Observed {
		t.Fatalf("tools have %d calls, %d errors and %d times, buckets %d calls; total %+v", byTool, toolErrors, timed, used, total)
	}
	if total.Errors > total.Calls || total.SuccessRate < 0 || total.SuccessRate > 1 {
		t.Fatalf("total = %+v", total)
	}
	for _, country := range all.Countries.Countries {
		shown += country.Calls
		if country.Calls < minimum {
			t.Fatalf("%s is told for %d calls", country.Code, country.Calls)
		}
	}
	if shown+all.Countries.Without != total.Calls {
		t.Fatalf("countries have %d calls and %d have none, total %d", shown, all.Countries.Without, total.Calls)
	}
	checkTimes(t, total.ResponseTimes)
	checkParts(t, all)
}

func checkTimes(t *rapid.T, r domain.ResponseTimes) {
	t.Helper()
	ascending := []float64{float64(r.Min), r.P50, r.P95, r.P99, float64(r.Max)}
	if !slices.IsSorted(ascending) || r.Average < float64(r.Min) || r.Average > float64(r.Max) {
		t.Fatalf("response times %+v", r)
	}
}

func checkParts(t *rapid.T, all *domain.All) {
	t.Helper()
	var hits, misses, timed int64
	for _, c := range all.Cache.ByTool {
		hits += c.Hits
		misses += c.Misses
	}
	if hits != all.Cache.Hits || misses != all.Cache.Misses || all.Cache.Observed() > all.Overview.Summary.Calls {
		t.Fatalf("cache = %+v", all.Cache)
	}
	for _, p := range all.Performance.Timeline {
		timed += p.ResponseTimes.Observed
		checkTimes(t, p.ResponseTimes)
	}
	if timed != all.Overview.Summary.ResponseTimes.Observed {
		t.Fatalf("the timeline has %d times, the total %d", timed, all.Overview.Summary.ResponseTimes.Observed)
	}
	if all.NOAA.Calls+all.OpenMeteo.Calls > 0 && math.Abs(all.NOAA.Percentage+all.OpenMeteo.Percentage-100) > 1e-9 {
		t.Fatalf("%v and %v", all.NOAA, all.OpenMeteo)
	}
}

func checkErrors(t *rapid.T, r *domain.ErrorReport, total domain.CallSummary) {
	t.Helper()
	var typed, calls, errs int64
	for _, e := range r.Types {
		typed += e.Count
	}
	for _, p := range r.Trend {
		calls += p.Calls
		errs += p.Errors
	}
	if r.Calls != total.Calls || calls != total.Calls || r.Errors != total.Errors || typed != total.Errors || errs != total.Errors {
		t.Fatalf("report = %+v\ntotal %+v", r, total)
	}
}

// Quantiles of any window and filter are as near to the exact ones as
// promised, rounding included.
func TestQuantilesOfAnyWindowAndFilter(t *testing.T) {
	events := contract.EventsOver(7, 2000, 24*60)
	u := statisticsOf(t, app.StatisticsConfig{}, events...)
	catalogue := domain.DefaultCatalogue()
	rapid.Check(t, func(rt *rapid.T) {
		query := drawWindow(rt)
		query.Filter = domain.Filter{
			Tool:    rapid.SampledFrom(append(catalogue.Tools(), "", "", "", "")).Draw(rt, "tool"),
			Version: rapid.SampledFrom([]string{"", "", "", "1.23.0", "2.0.0-beta.1"}).Draw(rt, "version"),
			Country: rapid.SampledFrom([]string{"", "", "", "US", "NL"}).Draw(rt, "country"),
			Service: rapid.SampledFrom([]string{"", "", "", "noaa", "usgs"}).Draw(rt, "service"),
		}
		performance, err := u.Performance(t.Context(), query)
		if err != nil {
			rt.Fatal(err)
		}
		counted := matching(events, performance.Coverage.Window, query.Filter)
		checkQuantiles(rt, performance.Overall, counted)
		for tool, got := range performance.ByTool {
			checkQuantiles(rt, got, matching(counted, performance.Coverage.Window, domain.Filter{Tool: tool}))
		}
	})
}

func checkQuantiles(t *rapid.T, got domain.ResponseTimes, counted []domain.Event) {
	t.Helper()
	var times []float64
	var sum float64
	for _, e := range counted {
		if e.ResponseTimeMS.Valid {
			times = append(times, float64(e.ResponseTimeMS.Value))
			sum += float64(e.ResponseTimeMS.Value)
		}
	}
	if got.Observed != int64(len(times)) {
		t.Fatalf("%d times, want %d", got.Observed, len(times))
	}
	if len(times) == 0 {
		return
	}
	slices.Sort(times)
	for q, value := range map[float64]float64{0.50: got.P50, 0.95: got.P95, 0.99: got.P99} {
		exact := times[int(math.Ceil(q*float64(len(times))))-1]
		if math.Abs(value-exact) > 0.01*exact {
			t.Fatalf("p%v = %v, exactly %v", 100*q, value, exact)
		}
	}
	if math.Abs(got.Average-sum/float64(len(times))) > 0.05+1e-9 {
		t.Fatalf("average %v, exactly %v", got.Average, sum/float64(len(times)))
	}
}
