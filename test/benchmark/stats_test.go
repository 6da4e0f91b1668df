package benchmark_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/report"
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

// filterClass is filters that have one target: limits are milliseconds that the 95th
// percentile of a period may take, wide those of the wide shape.
type filterClass struct {
	name         string
	filters      []domain.Filter
	limits, wide []float64
}

// The places of the classes with filters.
const (
	oneFilter = iota + 1
	withCountry
	withoutCountry
)

func filterClasses(s traffic.Shape) []filterClass {
	const tool, service = "get_forecast", "noaa"
	version, country := s.Versions[0], s.Countries[0]
	return []filterClass{
		{"none", []domain.Filter{{}}, report.Limit(len(periods), 50), report.Limit(len(periods), 150)},
		{
			"one",
			[]domain.Filter{{Tool: tool}, {Version: version}, {Country: country}, {Service: service}},
			[]float64{50, 50, 50, 50, 100},
			report.Limit(len(periods), 400),
		},
		{"two or three, a country", []domain.Filter{
			{Country: country, Service: service}, {Country: country, Version: version, Service: service},
		}, report.Limit(len(periods), 100), nil},
		{"two or three, no country", []domain.Filter{
			{Version: version, Service: service}, {Tool: tool, Version: version, Service: service},
		}, report.Limit(len(periods), 250), nil},
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
	section := name
	if sets[0].shape.Name != traffic.Real().Name {
		section += "-" + sets[0].shape.Name
	}
	reads := newSection(t, "statistics-"+section)
	reads.Printf("%s. %d runs of each read.", describe(sets), *runs)
	figures := measureReads(t, sets, stores)
	figures.compare(reads)
	reads.Chart("statistics-"+section, "95th percentile of the slowest statistic by window", figures.panels()...)
	figures.dearest(reads)
	figures.growth(reads)
	if *detail {
		figures.every(reads)
	}
	rest := newSection(t, "rest-"+section)
	for i, set := range sets {
		printSizes(t, rest, set, stores[i])
	}
}

// caches are the states of the memory for packed values that a statistic meets.
var caches = []struct {
	name string
	make func() *app.PackedCache
}{
	{"cold", func() *app.PackedCache { return nil }},
	{"warm", func() *app.PackedCache { return app.NewPackedCache(64 << 20) }},
}

// outcome is how long each run of a case took, and how much CPU time of all processes,
// which other work on the machine changes little.
type outcome struct{ took, computed []time.Duration }

// String is the median of the CPU time, and the median and 95th percentile of the
// time, in milliseconds.
func (o outcome) String() string {
	return milliseconds(median(o.computed)) + " / " + milliseconds(median(o.took)) + " / " + milliseconds(o.p95())
}

func (o outcome) p95() time.Duration { return quantile(o.took, 0.95) }

// readFigures are those of all statistics, filters, states of memory, periods and datasets.
type readFigures struct {
	sets    []dataset
	classes []filterClass
	reads   []readFigure
}

// readFigure is what reads of one statistic with one filter took in one state of memory.
type readFigure struct {
	class, cache      int
	statistic, filter string
	outcomes          [][]outcome // by period and dataset
}

// classOf is the class of a statistic's filters: that of one tool has a filter by itself.
func classOf(class int, statistic string, filter domain.Filter) int {
	switch {
	case statistic != "tool" || class != oneFilter:
		return class
	case filter.Country != "":
		return withCountry
	default:
		return withoutCountry
	}
}

func measureReads(t *testing.T, sets []dataset, stores []engine) *readFigures {
	t.Helper()
	f := &readFigures{sets: sets, classes: filterClasses(sets[0].shape)}
	for cache, memory := range caches {
		readers := make([]*app.Statistics, len(sets))
		for i := range sets {
			// The bound of the privacy rule has values of versions and countries read, too.
			readers[i] = app.NewStatistics(stores[i].open(t, memory.make()), clock(), app.StatisticsConfig{PrivacyMinCount: 5})
		}
		for class := range f.classes {
			for _, filter := range f.classes[class].filters {
				for _, s := range statistics {
					if s.name == "tool" && filter.Tool != "" {
						continue // it has that filter itself
					}
					figure := readFigure{class: classOf(class, s.name, filter), cache: cache, statistic: s.name, filter: filterName(filter)}
					for _, period := range periods {
						figure.outcomes = append(figure.outcomes, measureRead(t, readers, func(u *app.Statistics) error {
							return s.read(t.Context(), u, app.StatisticsQuery{Period: period, Filter: filter})
						}))
					}
					f.reads = append(f.reads, figure)
				}
			}
		}
	}
	return f
}

// of lists the outcomes of a class in a state of memory, of a period and a dataset.
func (f *readFigures) of(class, cache, period, set int) map[string][]outcome {
	found := make(map[string][]outcome)
	for _, read := range f.reads {
		if read.class == class && read.cache == cache {
			found[read.statistic] = append(found[read.statistic], read.outcomes[period][set])
		}
	}
	return found
}

// slowest is the highest 95th percentile in milliseconds, of all statistics unless one is
// named.
func (f *readFigures) slowest(class, cache, period, set int, statistic string) float64 {
	var slowest time.Duration
	for name, outcomes := range f.of(class, cache, period, set) {
		for _, o := range outcomes {
			if statistic == "" || name == statistic {
				slowest = max(slowest, o.p95())
			}
		}
	}
	return inMilliseconds(slowest)
}

// limits are the targets of a class, by period.
func (f *readFigures) limits(class int) []float64 {
	if f.sets[0].shape.Name == traffic.Wide().Name {
		return f.classes[class].wide
	}
	return f.classes[class].limits
}

// compare puts the slowest statistic of the largest dataset beside the targets.
func (f *readFigures) compare(s *report.Section) {
	largest := len(f.sets) - 1
	table := report.NewTable(append([]string{"filters"}, periods...)...)
	row := func(name string, class int, statistic string, limits []float64) {
		cells := []string{name}
		for period := range periods {
			cell := fmt.Sprintf("%.0f / %.0f", f.slowest(class, 0, period, largest, statistic), f.slowest(class, 1, period, largest, statistic))
			if len(limits) > 0 && !math.IsNaN(limits[period]) {
				cell += fmt.Sprintf(", target %.0f", limits[period])
			}
			cells = append(cells, cell)
		}
		table.Add(cells...)
	}
	if f.sets[0].shape.Name == traffic.Real().Name {
		row("none, of `/all`", 0, "all", []float64{math.NaN(), math.NaN(), math.NaN(), 20, math.NaN()})
	}
	for class, c := range f.classes {
		row(c.name, class, "", f.limits(class))
	}
	s.Printf("The 95th percentile of the slowest statistic of %s events, cold / warm, in ms:", count(f.sets[largest].events))
	s.Table(table)
}

// panels has one for each class.
func (f *readFigures) panels() []report.Panel {
	panels := make([]report.Panel, len(f.classes))
	for class, c := range f.classes {
		panels[class] = report.Panel{Title: "filters: " + c.name, X: "window", Y: "ms", Points: periods}
		for set := range f.sets {
			for cache := range caches {
				line := report.Line{Name: count(f.sets[set].events) + ", " + caches[cache].name}
				for period := range periods {
					line.Values = append(line.Values, f.slowest(class, cache, period, set, ""))
				}
				if set == len(f.sets)-1 && cache == 0 {
					line.Limit = f.limits(class)
				}
				panels[class].Lines = append(panels[class].Lines, line)
			}
		}
	}
	return panels
}

// dearest shows the statistic that takes the most CPU time.
func (f *readFigures) dearest(s *report.Section) {
	for cache := range caches {
		table := report.NewTable(append([]string{"filters", "events"}, periods...)...)
		for class, c := range f.classes {
			for set := range f.sets {
				row := []string{c.name, count(f.sets[set].events)}
				for period := range periods {
					var dearest outcome
					var name string
					for statistic, outcomes := range f.of(class, cache, period, set) {
						for _, o := range outcomes {
							if median(o.computed) > median(dearest.computed) {
								dearest, name = o, statistic
							}
						}
					}
					row = append(row, dearest.String()+" "+name)
				}
				table.Add(row...)
			}
		}
		s.Printf("The statistic that takes the most CPU time, %s: its CPU time, median and 95th percentile in ms:", caches[cache].name)
		s.Table(table)
	}
}

// growth compares the datasets.
func (f *readFigures) growth(s *report.Section) {
	if len(f.sets) < 2 {
		return
	}
	table := report.NewTable(append([]string{"filters"}, periods...)...)
	for class, c := range f.classes {
		row := []string{c.name}
		for period := range periods {
			var cells []string
			for cache := range caches {
				grown := 0.0
				small, large := f.of(class, cache, period, 0), f.of(class, cache, period, 1)
				for statistic := range small {
					for i := range small[statistic] {
						grown = max(grown, float64(median(large[statistic][i].computed))/float64(median(small[statistic][i].computed)))
					}
				}
				cells = append(cells, fmt.Sprintf("%.1f", grown))
			}
			row = append(row, strings.Join(cells, " / "))
		}
		table.Add(row...)
	}
	s.Printf("CPU time of %s events beside that of %s, of the statistic that grows most, cold / warm:", count(f.sets[1].events), count(f.sets[0].events))
	s.Table(table)
}

// every shows all of them.
func (f *readFigures) every(s *report.Section) {
	table := report.NewTable(append([]string{"statistic", "filter", "events", "memory"}, periods...)...)
	for _, read := range f.reads {
		for set := range f.sets {
			row := []string{read.statistic, read.filter, count(f.sets[set].events), caches[read.cache].name}
			for period := range periods {
				row = append(row, read.outcomes[period][set].String())
			}
			table.Add(row...)
		}
	}
	s.Printf("Every statistic in ms:")
	s.Table(table)
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

func printSizes(t *testing.T, s *report.Section, set dataset, e engine) {
	t.Helper()
	found, err := e.sizes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sizes := report.NewTable("table", "MB", "bytes an event")
	var all int64
	perEvent := func(bytes int64) string { return fmt.Sprintf("%.1f", float64(bytes)/float64(set.events)) }
	for _, table := range found {
		all += table.bytes
		if table.bytes > 1<<20 {
			sizes.Add(table.name, fmt.Sprintf("%.1f", float64(table.bytes)/(1<<20)), perEvent(table.bytes))
		}
	}
	sizes.Add("all", fmt.Sprintf("%.1f", float64(all)/(1<<20)), perEvent(all))
	s.Printf("%v:", set)
	s.Table(sizes)
}

// TestMergingWrites stores and merges a day of 100,000 events a quarter of an hour at a
// time, as a store does that is merged by MERGE_INTERVAL_SECONDS alone.
func TestMergingWrites(t *testing.T) {
	whenMeasuring(t)
	const quarters = 96
	section := newSection(t, "merging-writes")
	written := report.NewTable("store", "shape", "by merging, MB", "by storing, MB")
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
			written.Add(name, shape.Name, mb(merging), mb(storing))
		}
	}
	section.Table(written)
}

func writtenBy(t *testing.T, e engine, work func() error) int64 {
	t.Helper()
	bytes, err := e.written(t.Context(), work)
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}
