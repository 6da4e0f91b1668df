package app_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// The adversary of this file asks everything about a small world and adds and
// subtracts what it was told. docs/privacy.md says what it must not find.

// A small world has two days with events in two hours each.
var (
	worldDays  = []time.Time{date(10), date(11)}
	worldHours = []time.Time{
		date(10).Add(3 * time.Hour), date(10).Add(4 * time.Hour), date(11).Add(3 * time.Hour), date(11).Add(4 * time.Hour),
	}
	worldTools     = []string{"get_alerts", "get_forecast"}
	worldVersions  = []string{"1.0", "1.1", "1.2"}
	worldCountries = []string{"", "AT", "DE", "LI"}
)

func date(day int) time.Time { return time.Date(2026, time.November, day, 0, 0, 0, 0, time.UTC) }

type world struct {
	events  []domain.Event
	minimum int64
}

// drawWorld draws at least some events. Early values are more likely, so that
// there are large groups and small ones.
func drawWorld(t *rapid.T, events int) world {
	return world{
		minimum: int64(rapid.IntRange(2, 5).Draw(t, "minimum")),
		events: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) domain.Event {
			return call(func(e *domain.Event) {
				e.Level = domain.LevelStandard
				e.Hour = rapid.SampledFrom(worldHours).Draw(t, "hour")
				e.Tool = rapid.SampledFrom(worldTools).Draw(t, "tool")
				e.Version = rapid.SampledFrom([]string{"1.0", "1.0", "1.0", "1.0", "1.1", "1.1", "1.2"}).Draw(t, "version")
				e.Country = rapid.SampledFrom([]string{"AT", "AT", "AT", "AT", "DE", "DE", "LI", ""}).Draw(t, "country")
				if e.Status = rapid.SampledFrom(domain.Statuses()).Draw(t, "status"); e.Status == domain.StatusError {
					e.ErrorType = rapid.SampledFrom([]string{"timeout", "not_found"}).Draw(t, "error type")
				}
				e.ResponseTimeMS = domain.Some(rapid.Int32Range(0, 999).Draw(t, "response time"))
			})
		}), events, 40).Draw(t, "events"),
	}
}

func (w *world) statistics(t *testing.T) *app.Statistics {
	t.Helper()
	store := memory.NewStore()
	if _, err := store.Store(t.Context(), []domain.Batch{contract.NewBatch(1, w.events...)}); err != nil {
		t.Fatal(err)
	}
	reader := &rememberingReader{StatisticsReader: store, known: make(map[part]domain.Selected)}
	return app.NewStatistics(reader, memory.NewClock(contract.Now), app.StatisticsConfig{PrivacyMinCount: int(w.minimum)})
}

// rememberingReader reads each part of a store once: an adversary asks for the
// same again and again.
type rememberingReader struct {
	ports.StatisticsReader
	known map[part]domain.Selected
}

type part struct {
	window  domain.Window
	filter  domain.Filter
	without string
	by      domain.Dimension
	errors  bool
}

func (r *rememberingReader) Select(ctx context.Context, s domain.Selection) (domain.Selected, error) {
	selected := domain.Selected{Rollups: make(map[domain.Dimension][]domain.RollupRow)}
	for _, by := range s.By {
		one, err := r.read(ctx, s, part{by: by})
		if err != nil {
			return selected, err
		}
		selected.Rollups[by] = one.Rollups[by]
	}
	if s.Errors {
		one, err := r.read(ctx, s, part{errors: true})
		if err != nil {
			return selected, err
		}
		selected.Errors = one.Errors
	}
	return selected, nil
}

func (r *rememberingReader) read(ctx context.Context, s domain.Selection, p part) (domain.Selected, error) {
	p.window, p.filter, p.without = s.Window, s.Filter, fmt.Sprint(s.Without)
	if selected, ok := r.known[p]; ok {
		return selected, nil
	}
	selected, err := r.StatisticsReader.Select(ctx, domain.Selection{
		Window: s.Window, Filter: s.Filter, Without: s.Without, By: []domain.Dimension{p.by}, Errors: p.errors,
	})
	r.known[p] = selected
	return selected, err
}

// worldWindows returns the windows that can be told from each other by the
// events in them: hourly ones, of which some cut the first day in two, and daily
// ones, which are long; and some of both kinds in the other resolution.
func worldWindows() []app.StatisticsQuery {
	bounds := []time.Time{date(10), date(10).Add(4 * time.Hour), date(11), date(12)}
	var windows []app.StatisticsQuery
	for i, start := range bounds {
		for _, end := range bounds[i+1:] {
			windows = append(windows, between(start, end))
		}
	}
	return append(windows, between(date(1), date(11)), between(date(1), date(12)), between(date(11), date(20)),
		by(domain.Daily, between(date(10), date(11))), by(domain.Daily, between(date(10), date(12))),
		by(domain.Daily, between(bounds[1], date(12))), by(domain.Hourly, between(date(1), bounds[1])),
		by(domain.Hourly, between(date(1), date(12))))
}

func by(r domain.Resolution, q app.StatisticsQuery) app.StatisticsQuery {
	q.Resolution = string(r)
	return q
}

func between(start, end time.Time) app.StatisticsQuery {
	return app.StatisticsQuery{Start: start.Format(time.RFC3339), End: end.Format(time.RFC3339)}
}

// worldFilters combines all values; one tool is enough, as what is told of the
// other is the rest.
func worldFilters() []domain.Filter {
	var filters []domain.Filter
	for _, tool := range []string{worldTools[0], ""} {
		for _, version := range append(worldVersions, "") {
			for _, country := range worldCountries {
				filters = append(filters, domain.Filter{Tool: tool, Version: version, Country: country})
			}
		}
	}
	return filters
}

// under asks about each window with each filter.
func under(windows []app.StatisticsQuery, filters []domain.Filter) []app.StatisticsQuery {
	var queries []app.StatisticsQuery
	for _, q := range windows {
		for _, f := range filters {
			q.Filter = f
			queries = append(queries, q)
		}
	}
	return queries
}

// dayFold is where groups are folded: on a day, of a dimension, under a filter.
type dayFold struct {
	day    time.Time
	by     domain.Dimension
	filter domain.Filter
}

// oracle decides by the definition what may be told.
type oracle struct {
	world
	folds map[dayFold][]domain.GroupCount
}

func newOracle(w world) *oracle {
	return &oracle{world: w, folds: make(map[dayFold][]domain.GroupCount)}
}

// name returns what the value is told as on the day of at, under the filter:
// first the groups of all calls of the day are folded, then those under what
// the filter says beside d.
func (o *oracle) name(d domain.Dimension, at time.Time, f domain.Filter, value string) string {
	at, f = domain.Daily.Floor(at), f.Without(d)
	value = tellIn(o.fold(dayFold{at, d, domain.Filter{}}), value)
	if f != (domain.Filter{}) {
		value = tellIn(o.fold(dayFold{at, d, f}), value)
	}
	return value
}

func tellIn(shown []domain.GroupCount, value string) string {
	for _, told := range []string{value, domain.OtherName} {
		if value != "" && slices.ContainsFunc(shown, func(g domain.GroupCount) bool { return g.Value == told }) {
			return told
		}
	}
	return ""
}

func (o *oracle) fold(key dayFold) []domain.GroupCount {
	if shown, ok := o.folds[key]; ok {
		return shown
	}
	counts := make(map[string]int64)
	for i := range o.events {
		e := &o.events[i]
		group := domain.GroupOf(e)
		if !domain.Daily.Floor(e.Hour).Equal(key.day) || !key.filter.Matches(group) {
			continue
		}
		value := group.Value(key.by)
		if key.filter != (domain.Filter{}) {
			value = tellIn(o.fold(dayFold{key.day, key.by, domain.Filter{}}), value)
		}
		if value != "" {
			counts[value]++
		}
	}
	o.folds[key] = domain.FoldSmallGroups(groupCounts(counts), o.minimum)
	return o.folds[key]
}

// names reports whether the filter's country and version are told by name on
// the day of at.
func (o *oracle) names(at time.Time, f domain.Filter) bool {
	return !slices.ContainsFunc(domain.PrivateDimensions(), func(d domain.Dimension) bool {
		return f.Value(d) != "" && o.name(d, at, f, f.Value(d)) != f.Value(d)
	})
}

// counted counts the calls that are told of the window and filter.
func (o *oracle) counted(w domain.Window, f domain.Filter) int64 {
	told := slices.DeleteFunc(matching(o.events, w, f), func(e domain.Event) bool { return !o.names(e.Hour, f) })
	small := f != f.Without(domain.PrivateDimensions()...) && int64(len(told)) < o.minimum
	if small || w.Resolution == domain.Hourly && slices.ContainsFunc(domain.PrivateDimensions(), func(d domain.Dimension) bool {
		return f.Value(d) != "" && !o.shows(w, f, d)
	}) {
		return 0
	}
	return int64(len(told))
}

// shows reports whether the list of d's groups shows the filter's.
func (o *oracle) shows(w domain.Window, f domain.Filter, d domain.Dimension) bool {
	counts := make(map[string]int64)
	for _, e := range matching(o.events, w, f.Without(d)) {
		beside := domain.DimensionCountry + domain.DimensionVersion - d
		if v := f.Value(beside); v != "" && o.name(beside, e.Hour, f, v) != v {
			continue
		}
		if value := o.name(d, e.Hour, f, domain.GroupOf(&e).Value(d)); value != "" {
			counts[value]++
		}
	}
	return tellIn(domain.FoldSmallGroups(groupCounts(counts), o.minimum), f.Value(d)) == f.Value(d)
}

func groupCounts(counts map[string]int64) []domain.GroupCount {
	var groups []domain.GroupCount
	for value, calls := range counts {
		groups = append(groups, domain.GroupCount{Value: value, Calls: calls})
	}
	return groups
}

// TestHiddenValuesCannotBeToldApart changes round, within a day, which of its
// calls came from which of the hidden countries or versions. No answer to any
// question shows the difference, so none and no number of them holds anything
// about one of these.
func TestHiddenValuesCannotBeToldApart(t *testing.T) {
	queries := under(worldWindows(), worldFilters())
	changed := 0
	rapid.Check(t, func(rt *rapid.T) {
		w := drawWorld(rt, 0)
		d := rapid.SampledFrom(domain.PrivateDimensions()).Draw(rt, "dimension")
		twin := exchange(rt, w, d, rapid.SampledFrom(worldDays).Draw(rt, "day"))
		if !slices.Equal(w.events, twin.events) {
			changed++
		}
		one, other := w.statistics(t), twin.statistics(t)
		for _, q := range rapid.SliceOfN(rapid.SampledFrom(queries), 20, 20).Draw(rt, "queries") {
			if a, b := answers(t, one, q), answers(t, other, q); !reflect.DeepEqual(a, b) {
				rt.Fatalf("%+v tells the two apart:\n%+v\n%+v", q, a, b)
			}
		}
	})
	if changed == 0 {
		t.Error("nothing was ever exchanged")
	}
}

// exchange permutes the values of d among the calls of the day whose value is
// hidden.
func exchange(t *rapid.T, w world, d domain.Dimension, day time.Time) world {
	o := newOracle(w)
	var places []int
	var values []string
	for i := range w.events {
		value := domain.GroupOf(&w.events[i]).Value(d)
		if domain.Daily.Floor(w.events[i].Hour).Equal(day) && value != "" && o.name(d, day, domain.Filter{}, value) != value {
			places, values = append(places, i), append(values, value)
		}
	}
	w.events = slices.Clone(w.events)
	if len(values) > 0 {
		values = rapid.Permutation(values).Draw(t, "hidden values")
	}
	for i, place := range places {
		if d == domain.DimensionCountry {
			w.events[place].Country = values[i]
		} else {
			w.events[place].Version = values[i]
		}
	}
	return w
}

// answers asks every statistic.
func answers(t *testing.T, u *app.Statistics, q app.StatisticsQuery) []any {
	t.Helper()
	overview, err1 := u.Overview(t.Context(), q)
	all, err2 := u.All(t.Context(), q)
	tools, err3 := u.Tools(t.Context(), q)
	tool, err4 := u.Tool(t.Context(), worldTools[0], q)
	errs, err5 := u.Errors(t.Context(), q)
	performance, err6 := u.Performance(t.Context(), q)
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		t.Fatal(err)
	}
	return []any{overview, all, tools, tool, errs, performance}
}

// cell is the finest group of a small world whose calls can be counted.
type cell struct {
	hour                   time.Time
	tool, version, country string
}

func (c *cell) matches(f domain.Filter) bool {
	return f.Matches(domain.Group{Tool: c.tool, Version: c.version, Country: c.country})
}

func (c *cell) value(d domain.Dimension) string {
	return domain.Group{Version: c.version, Country: c.country}.Value(d)
}

func worldCells() []cell {
	var cells []cell
	for _, hour := range worldHours {
		for _, tool := range worldTools {
			for _, version := range worldVersions {
				for _, country := range worldCountries {
					cells = append(cells, cell{hour, tool, version, country})
				}
			}
		}
	}
	return cells
}

// cellSet is a set of cells.
type cellSet [2]uint64

func cellsWhere(cells []cell, is func(*cell) bool) cellSet {
	var s cellSet
	for i := range cells {
		if is(&cells[i]) {
			s[i/64] |= 1 << (i % 64)
		}
	}
	return s
}

func (s cellSet) has(i int) bool { return s[i/64]>>(i%64)&1 == 1 }

// adversary keeps what it was told: how many calls there are in sets of cells.
type adversary struct {
	*oracle
	cells []cell
	calls []int64
	told  map[cellSet]string
}

func newAdversary(w world) *adversary {
	a := &adversary{oracle: newOracle(w), cells: worldCells(), told: make(map[cellSet]string)}
	a.calls = make([]int64, len(a.cells))
	for _, e := range w.events {
		a.calls[slices.Index(a.cells, cell{e.Hour, e.Tool, e.Version, e.Country})]++
	}
	return a
}

// hear notes that there are so many calls in the cells of from that match, and
// checks that it is true.
func (a *adversary) hear(t *rapid.T, what string, calls int64, from cellSet, is func(*cell) bool) {
	t.Helper()
	s := cellsWhere(a.cells, is)
	for i := range s {
		s[i] &= from[i]
	}
	if a.count(s) != calls {
		t.Fatalf("%s: %d calls, want %d", what, calls, a.count(s))
	}
	if s != (cellSet{}) {
		a.told[s] = what
	}
}

func (a *adversary) count(s cellSet) (calls int64) {
	for i, n := range a.calls {
		if s.has(i) {
			calls += n
		}
	}
	return calls
}

func whole(*cell) bool { return true }

// ask notes the total and the lists of countries and versions in the answers to
// a query, and if wanted the detail.
func (a *adversary) ask(t *rapid.T, u *app.Statistics, q app.StatisticsQuery, detail bool) {
	t.Helper()
	ctx, name := context.Background(), fmt.Sprintf("%+v", q)
	all, err := u.All(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	window := all.Overview.Coverage.Window
	if a.checkTotal(t, name, all.Overview.Summary.Calls, q.Filter) == 0 {
		return // hidden, or nothing
	}
	from := cellsWhere(a.cells, func(c *cell) bool {
		return window.Contains(c.hour) && c.matches(q.Filter) && a.names(c.hour, q.Filter)
	})
	a.hear(t, name, all.Overview.Summary.Calls, from, whole)
	countries := make([]domain.GroupCount, len(all.Countries.Countries))
	for i, c := range all.Countries.Countries {
		countries[i] = domain.GroupCount{Value: c.Code, Calls: c.Calls}
	}
	a.hearList(t, name, domain.DimensionCountry, q.Filter, countries, from)
	if q.Filter.Tool != "" {
		tool, err := u.Tool(ctx, q.Filter.Tool, q)
		if err != nil {
			t.Fatal(err)
		}
		versions := make([]domain.GroupCount, len(tool.Versions))
		for i, v := range tool.Versions {
			versions[i] = domain.GroupCount{Value: v.Version, Calls: v.Calls}
		}
		a.hearList(t, name, domain.DimensionVersion, q.Filter, versions, from)
	}
	if detail {
		a.hearDetail(t, name, &all, from)
	}
}

func (a *adversary) checkTotal(t *rapid.T, name string, calls int64, f domain.Filter) int64 {
	t.Helper()
	if private := f.Country != "" || f.Version != ""; private && calls > 0 && calls < a.minimum {
		t.Fatalf("%s counts %d calls", name, calls)
	}
	return calls
}

// hearList notes the list of a dimension's groups, the last of which may stand
// for all that are told on their day and not shown in the list.
func (a *adversary) hearList(t *rapid.T, name string, d domain.Dimension, f domain.Filter, list []domain.GroupCount, from cellSet) {
	t.Helper()
	for _, g := range list {
		if g.Calls < a.minimum {
			t.Fatalf("%s tells %s for %d calls", name, g.Value, g.Calls)
		}
		a.hear(t, name+" "+g.Value, g.Calls, from, func(c *cell) bool {
			told := a.name(d, c.hour, f, c.value(d))
			shown := slices.ContainsFunc(list, func(g domain.GroupCount) bool { return g.Value == told })
			return told != "" && (told == g.Value || g.Value == domain.OtherName && !shown)
		})
	}
}

// hearDetail notes the calls by tool and by bucket.
func (a *adversary) hearDetail(t *rapid.T, name string, all *domain.All, from cellSet) {
	t.Helper()
	for _, tool := range all.Overview.Tools {
		a.hear(t, name+" "+tool.Name, tool.Calls, from, func(c *cell) bool { return c.tool == tool.Name })
	}
	resolution := all.Overview.Coverage.Window.Resolution
	for _, point := range all.ToolUsage {
		for tool, calls := range point.Calls {
			a.hear(t, fmt.Sprint(name, point.Bucket, tool), calls, from, func(c *cell) bool {
				return c.tool == tool && resolution.Floor(c.hour).Equal(point.Bucket)
			})
		}
	}
}

// knowledge is a basis of the linear combinations of what was told, by the
// first cell of each. It computes modulo a prime: exact fractions find the same
// but for one time in thousands of millions, and take longer.
type knowledge struct {
	size  int
	basis map[int][]int64
}

const prime = 1<<31 - 1

func (a *adversary) knowledge() knowledge {
	k := knowledge{size: len(a.cells), basis: make(map[int][]int64)}
	for s := range a.told {
		k.learn(s)
	}
	return k
}

func (k knowledge) learn(s cellSet) {
	rest, first := k.reduce(s)
	if first < 0 {
		return
	}
	inverse := power(rest[first], prime-2)
	for i := range rest {
		rest[i] = rest[i] * inverse % prime
	}
	k.basis[first] = rest
}

// knows reports whether the number of calls in the set follows from what was
// told.
func (k knowledge) knows(s cellSet) bool {
	_, first := k.reduce(s)
	return first < 0
}

// reduce takes from the set what is known of it, and returns the rest with the
// place of its first cell, below 0 when there is none.
func (k knowledge) reduce(s cellSet) (rest []int64, first int) {
	rest, first = make([]int64, k.size), -1
	for i := range rest {
		if s.has(i) {
			rest[i] = 1
		}
	}
	for i := range rest {
		row, ok := k.basis[i]
		switch {
		case rest[i] == 0:
		case ok:
			subtract(rest[i:], row[i:], rest[i])
		case first < 0:
			first = i
		}
	}
	return rest, first
}

func subtract(from, row []int64, times int64) {
	for i := range from {
		from[i] = (from[i] + (prime-times)*row[i]) % prime
	}
}

func power(base int64, exponent int) int64 {
	result := int64(1)
	for ; exponent > 0; exponent /= 2 {
		if exponent%2 == 1 {
			result = result * base % prime
		}
		base = base * base % prime
	}
	return result
}

// group is a part of the calls of one country or version on one day. Other
// members that are empty stand for all.
type group struct {
	by        domain.Dimension
	value     string
	day, hour time.Time
	tool      string
	other     string // value of the other private dimension
}

func (g *group) holds(c *cell) bool {
	beside := domain.DimensionCountry + domain.DimensionVersion - g.by
	return c.value(g.by) == g.value && domain.Daily.Floor(c.hour).Equal(g.day) &&
		(g.hour.IsZero() || g.hour.Equal(c.hour)) && (g.tool == "" || g.tool == c.tool) &&
		(g.other == "" || g.other == c.value(beside))
}

// worldGroups lists the parts of groups that can be cut out by day, hour, tool
// and the other one of country and version.
func worldGroups() []group {
	values := map[domain.Dimension][]string{domain.DimensionCountry: worldCountries, domain.DimensionVersion: worldVersions}
	var groups []group
	add := func(day, hour time.Time) {
		for _, tool := range append(worldTools, "") {
			for by, values := range values {
				for _, value := range values {
					groups = append(groups, group{by: by, value: value, day: day, hour: hour, tool: tool})
				}
			}
			for _, country := range worldCountries {
				for _, version := range worldVersions {
					groups = append(groups, group{domain.DimensionCountry, country, day, hour, tool, version})
				}
			}
		}
	}
	for _, day := range worldDays {
		add(day, time.Time{})
	}
	for _, hour := range worldHours {
		add(domain.Daily.Floor(hour), hour)
	}
	return slices.DeleteFunc(groups, func(g group) bool { return g.value == "" })
}

// isPartOfTold reports whether the country or version, or both, are told by
// name on the group's day.
func (a *adversary) isPartOfTold(g *group) bool {
	none := domain.Filter{}
	beside := domain.DimensionCountry + domain.DimensionVersion - g.by
	return a.name(g.by, g.day, none, g.value) == g.value && (g.other == "" || a.name(beside, g.day, none, g.other) == g.other)
}

// TestNothingToldAddsUpToAHiddenGroup asks for some windows of small worlds with
// all filters. Whatever small number of calls of a country or version follows
// from all answers together, that country or version is told by name on the
// day: what is found is a part of a group that is large enough.
func TestNothingToldAddsUpToAHiddenGroup(t *testing.T) {
	groups := worldGroups()
	byHour, byTool, byOther := 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		w := drawWorld(rt, 20)
		a := newAdversary(w)
		u := w.statistics(t)
		windows := rapid.Permutation(worldWindows()).Draw(rt, "windows")[:4] // more take long
		for _, q := range under(windows, worldFilters()) {
			a.ask(rt, u, q, true)
		}
		known := a.knowledge()
		for i := range groups {
			g := &groups[i]
			s := cellsWhere(a.cells, g.holds)
			if calls := a.count(s); calls == 0 || calls >= a.minimum || !known.knows(s) {
				continue
			}
			switch {
			case !a.isPartOfTold(g):
				rt.Fatalf("%d calls of %+v follow from the answers", a.count(s), *g)
			case !g.hour.IsZero():
				byHour++
			case g.tool != "":
				byTool++
			default:
				byOther++
			}
		}
	})
	t.Logf("small parts of told groups: %d by hours, %d by tool, %d by the other one of country and version", byHour, byTool, byOther)
	if byHour == 0 || byTool == 0 {
		t.Error("docs/privacy.md says that parts by hours and by tool can be found")
	}
}

// TestListsOfWholeDaysAddUpToNoSmallGroup adds and subtracts the totals and
// lists of whole days that were asked for with one and the same filter, and
// those of each country and version in these lists. Not even parts of told
// groups follow from these.
func TestListsOfWholeDaysAddUpToNoSmallGroup(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := drawWorld(rt, 20)
		u := w.statistics(t)
		filter := rapid.SampledFrom(worldFilters()).Draw(rt, "filter")
		for _, d := range domain.PrivateDimensions() {
			if filter.Value(d) != "" {
				continue
			}
			a := newAdversary(w)
			for _, q := range under(worldWindows(), worldFilters()) {
				if q.Filter.Without(d) == filter && isWholeDays(q) {
					a.ask(rt, u, q, false)
				}
			}
			a.checkNoneFound(rt, d, filter)
		}
	})
}

func isWholeDays(q app.StatisticsQuery) bool {
	return strings.HasSuffix(q.Start, "T00:00:00Z") && strings.HasSuffix(q.End, "T00:00:00Z")
}

func (a *adversary) checkNoneFound(t *rapid.T, d domain.Dimension, f domain.Filter) {
	t.Helper()
	known := a.knowledge()
	groups := worldGroups()
	for i := range groups {
		g := &groups[i]
		s := cellsWhere(a.cells, func(c *cell) bool { return g.holds(c) && c.matches(f) })
		if calls := a.count(s); g.by == d && calls > 0 && calls < a.minimum && known.knows(s) {
			t.Fatalf("%d calls of %+v under %+v follow from the answers", calls, *g, f)
		}
	}
}
