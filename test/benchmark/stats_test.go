package benchmark_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/traffic"
)

// statistics are read through the use case, without HTTP, JSON and the cache of
// answers.
var statistics = []struct {
	name string
	read func(ctx context.Context, u *app.Statistics, q app.StatisticsQuery) error
}{
	{"overview", func(ctx context.Context, u *app.Statistics, q app.StatisticsQuery) error {
		_, err := u.Overview(ctx, q)
		return err
	}},
	{"all", func(ctx context.Context, u *app.Statistics, q app.StatisticsQuery) error {
		_, err := u.All(ctx, q)
		return err
	}},
	{"tools", func(ctx context.Context, u *app.Statistics, q app.StatisticsQuery) error {
		_, err := u.Tools(ctx, q)
		return err
	}},
	{"tool", func(ctx context.Context, u *app.Statistics, q app.StatisticsQuery) error {
		_, err := u.Tool(ctx, "get_forecast", q)
		return err
	}},
	{"errors", func(ctx context.Context, u *app.Statistics, q app.StatisticsQuery) error {
		_, err := u.Errors(ctx, q)
		return err
	}},
	{"performance", func(ctx context.Context, u *app.Statistics, q app.StatisticsQuery) error {
		_, err := u.Performance(ctx, q)
		return err
	}},
}

var periods = []string{"24h", "7d", "30d", "90d", "365d"}

// filterClass is filters that have one target.
type filterClass struct {
	name    string
	filters []domain.Filter
}

func filterClasses(s traffic.Shape) []filterClass {
	const tool, service = "get_forecast", "noaa"
	version, country := s.Versions[0], s.Countries[0]
	return []filterClass{
		{"none", []domain.Filter{{}}},
		{"one", []domain.Filter{{Tool: tool}, {Version: version}, {Country: country}, {Service: service}}},
		{"two or three, a country", []domain.Filter{
			{Country: country, Service: service}, {Country: country, Version: version, Service: service},
		}},
		{"two or three, no country", []domain.Filter{
			{Version: version, Service: service}, {Tool: tool, Version: version, Service: service},
		}},
	}
}

// TestStatisticsFigures reads every statistic, of databases of two sizes in turn.
func TestStatisticsFigures(t *testing.T) {
	whenMeasuring(t)
	var growing []dataset
	for _, size := range list(*sizes) {
		n, err := strconv.Atoi(size)
		if err != nil {
			t.Fatal(err)
		}
		growing = append(growing, dataset{shape: traffic.Real(), events: n, days: *spanned, raw: *raw})
	}
	for _, name := range list(*engines) {
		t.Run(name, func(t *testing.T) {
			if len(growing) > 0 {
				measureStatistics(t, name, growing)
			}
			if *wideDays > 0 {
				measureStatistics(t, name, []dataset{{shape: traffic.Wide(), events: 100_000 * *wideDays, days: *wideDays, repeated: 12}})
			}
		})
	}
}

func measureStatistics(t *testing.T, name string, sets []dataset) {
	t.Helper()
	stores := make([]engine, len(sets))
	for i, set := range sets {
		stores[i] = newEngine(t, name)
		fill(t, stores[i], set)
	}
	for _, cache := range []struct {
		name string
		make func() *app.PackedCache
	}{
		{"cold", func() *app.PackedCache { return nil }},
		{"warm", func() *app.PackedCache { return app.NewPackedCache(64 << 20) }},
	} {
		readers := make([]*app.Statistics, len(sets))
		for i := range sets {
			// The bound of the privacy rule has values of versions and countries read, too.
			readers[i] = app.NewStatistics(stores[i].open(t, cache.make()), clock(), app.StatisticsConfig{PrivacyMinCount: 5})
		}
		measureReads(t, fmt.Sprintf("%s, %s", name, cache.name), sets, readers)
	}
	for i, set := range sets {
		printSizes(t, name, set, stores[i])
	}
}

// outcome is how long each run of a case took, and how much CPU time of all processes,
// which other work on the machine changes little.
type outcome struct{ took, computed []time.Duration }

// String is the median of the CPU time, and the median and 95th percentile of the
// time, in milliseconds.
func (o outcome) String() string {
	return milliseconds(median(o.computed)) + " / " + milliseconds(median(o.took)) + " / " + milliseconds(quantile(o.took, 0.95))
}

func measureReads(t *testing.T, title string, sets []dataset, readers []*app.Statistics) {
	t.Helper()
	worst := newTable(append([]string{"filters", "events"}, periods...)...)
	every := newTable(append([]string{"statistic", "filter", "events"}, periods...)...)
	grown := newTable(append([]string{"filters"}, periods...)...)
	for _, class := range filterClasses(sets[0].shape) {
		slowest := make([]map[string]slowestRead, len(sets))
		for i := range sets {
			slowest[i] = make(map[string]slowestRead)
		}
		growth := make(map[string]float64)
		for _, filter := range class.filters {
			for _, s := range statistics {
				if s.name == "tool" && filter.Tool != "" {
					continue // it has that filter itself
				}
				cells := make([][]string, len(sets))
				for _, period := range periods {
					o := measureRead(t, readers, func(u *app.Statistics) error {
						return s.read(t.Context(), u, app.StatisticsQuery{Period: period, Filter: filter})
					})
					for i := range sets {
						cells[i] = append(cells[i], o[i].String())
						if median(o[i].computed) > median(slowest[i][period].outcome.computed) {
							slowest[i][period] = slowestRead{s.name, o[i]}
						}
					}
					if len(sets) > 1 {
						growth[period] = max(growth[period], float64(median(o[1].computed))/float64(median(o[0].computed)))
					}
				}
				for i, set := range sets {
					every.add(append([]string{s.name, filterName(filter), count(set.events)}, cells[i]...)...)
				}
			}
		}
		for i, set := range sets {
			row := []string{class.name, count(set.events)}
			for _, period := range periods {
				row = append(row, slowest[i][period].outcome.String()+" "+slowest[i][period].name)
			}
			worst.add(row...)
		}
		row := []string{class.name}
		for _, period := range periods {
			row = append(row, fmt.Sprintf("%.1f", growth[period]))
		}
		grown.add(row...)
	}
	printf("\n#### %s: %s\n\n%s. The dearest statistic in ms: CPU time, p50 and p95 of %d runs:\n", title, describe(sets), load(), *runs)
	worst.print()
	if len(sets) > 1 {
		printf("CPU time of the larger beside the smaller, of the statistic that grows most:\n")
		grown.print()
	}
	if *detail {
		printf("Every statistic in ms:\n")
		every.print()
	}
}

// slowestRead is the statistic that takes the most CPU time.
type slowestRead struct {
	name    string
	outcome outcome
}

func describe(sets []dataset) string {
	names := make([]string, len(sets))
	for i, set := range sets {
		names[i] = set.String()
	}
	return strings.Join(names, " and ")
}

// measureRead reads from every store in turn, once before it counts.
func measureRead(t *testing.T, readers []*app.Statistics, read func(u *app.Statistics) error) []outcome {
	t.Helper()
	o := make([]outcome, len(readers))
	for run := range *runs + 1 {
		for i, u := range readers {
			var err error
			var took time.Duration
			computed := computing(t, func() { took = timed(func() { err = read(u) }) })
			if err != nil {
				t.Fatal(err)
			}
			if run > 0 {
				o[i].took, o[i].computed = append(o[i].took, took), append(o[i].computed, computed)
			}
		}
	}
	return o
}

func filterName(f domain.Filter) string {
	var names []string
	for _, part := range []struct{ name, value string }{
		{"tool", f.Tool}, {"version", f.Version}, {"country", f.Country}, {"service", f.Service},
	} {
		if part.value != "" {
			names = append(names, part.name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func printSizes(t *testing.T, name string, set dataset, e engine) {
	t.Helper()
	found, err := e.sizes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sizes := newTable("table", "MB", "bytes an event")
	var all int64
	perEvent := func(bytes int64) string { return fmt.Sprintf("%.1f", float64(bytes)/float64(set.events)) }
	for _, s := range found {
		all += s.bytes
		if s.bytes > 1<<20 {
			sizes.add(s.name, fmt.Sprintf("%.1f", float64(s.bytes)/(1<<20)), perEvent(s.bytes))
		}
	}
	sizes.add("all", fmt.Sprintf("%.1f", float64(all)/(1<<20)), perEvent(all))
	printf("\n#### %s at rest: %v\n", name, set)
	sizes.print()
}

// TestMergingWrites stores and merges a day of 100,000 events a quarter of an hour at a
// time, as a store does that is merged by MERGE_INTERVAL_SECONDS alone.
func TestMergingWrites(t *testing.T) {
	whenMeasuring(t)
	const quarters = 96
	written := newTable("store", "shape", "by merging, MB", "by storing, MB")
	for _, name := range list(*engines) {
		for _, shape := range []traffic.Shape{traffic.Real(), traffic.Wide()} {
			e := newEngine(t, name)
			s := e.open(t, nil)
			day := domain.Daily.Floor(contract.Now).AddDate(0, 0, -1)
			events := shape.Day(1, day, 100_000)
			var merging, storing int64
			for q := range quarters {
				part := events[q*len(events)/quarters : (q+1)*len(events)/quarters]
				storing += writtenBy(t, e, func() error {
					for together := range slices.Chunk(contract.Batches(q*1000, batchSize, part), 10) {
						if _, err := s.Store(t.Context(), together); err != nil {
							return err
						}
					}
					return nil
				})
				merging += writtenBy(t, e, func() error {
					_, err := mergeRest(t.Context(), s)
					return err
				})
			}
			mb := func(bytes int64) string { return strconv.FormatInt(bytes>>20, 10) }
			written.add(name, shape.Name, mb(merging), mb(storing))
		}
	}
	printf("\n#### Written by a day of 100,000 events\n")
	written.print()
}

func writtenBy(t *testing.T, e engine, work func() error) int64 {
	t.Helper()
	bytes, err := e.written(t.Context(), work)
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}
