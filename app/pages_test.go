package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang/mock/gomock"
	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/ports/mocks"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// fleet is a store and a cache, and processes that share them.
type fleet struct {
	store *memory.Store
	clock *memory.Clock
	cache ports.StatisticsCache
	// batches counts what was stored.
	batches int
}

func newFleet() *fleet {
	clock := memory.NewClock(contract.Now)
	return &fleet{store: memory.NewStore(), clock: clock, cache: memory.NewCache(memory.CacheConfig{Clock: clock})}
}

// pages is what one more process offers.
func (f *fleet) pages() *app.Pages {
	return app.NewPages(app.NewStatistics(f.store, f.clock, app.StatisticsConfig{}), f.cache, app.PagesConfig{})
}

func (f *fleet) add(t *testing.T, events ...domain.Event) {
	t.Helper()
	f.batches++
	if _, err := f.store.Store(t.Context(), []domain.Batch{contract.NewBatch(f.batches, events...)}); err != nil {
		t.Fatal(err)
	}
}

// failed returns n failed calls, each with an error type of its own.
func failed(n int, prefix string) []domain.Event {
	events := make([]domain.Event, n)
	for i := range events {
		events[i] = call(func(e *domain.Event) {
			e.Status, e.ErrorType = domain.StatusError, prefix+strconv.Itoa(i)
		})
	}
	return events
}

func toolsOf(n int) []domain.Event {
	events := make([]domain.Event, n)
	for i := range events {
		events[i] = call(func(e *domain.Event) { e.Tool = fmt.Sprintf("tool_%02d", i) })
	}
	return events
}

func errorTypes(list []domain.ErrorTypeSummary) []string {
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Type
	}
	return names
}

func toolNames(list []domain.ToolSummary) []string {
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Name
	}
	return names
}

func TestPagesOfAShortList(t *testing.T) {
	// The cache is not asked at all.
	f := newFleet()
	f.cache = mocks.NewMockStatisticsCache(gomock.NewController(t))
	f.add(t, toolsOf(3)...)
	for _, limit := range []string{"", "3", "100"} {
		page, err := f.pages().Tools(t.Context(), app.PageQuery{Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		if got := toolNames(page.Report.Tools); len(got) != 3 || page.Next != "" {
			t.Errorf("limit %q: %v, next %q", limit, got, page.Next)
		}
	}
	empty := newFleet()
	page, err := empty.pages().Errors(t.Context(), app.PageQuery{Limit: "1"})
	if err != nil || len(page.Report.Types) != 0 || page.Next != "" || len(page.Report.Trend) != 31 {
		t.Errorf("nothing: %+v, %v", page, err)
	}
}

func TestPagesAreSorted(t *testing.T) {
	f := newFleet()
	f.add(t, slices.Concat(toolsOf(3), toolsOf(2), toolsOf(1))...)
	for query, want := range map[app.PageQuery]string{
		{}:                                 "tool_00 tool_01 tool_02",
		{Order: "asc"}:                     "tool_02 tool_01 tool_00",
		{Sort: "name", Order: "desc"}:      "tool_02 tool_01 tool_00",
		{Sort: "calls", Limit: "1"}:        "tool_00",
		{Sort: "p99"}:                      "tool_00 tool_01 tool_02",
		{Limit: "2", Order: "asc"}:         "tool_02 tool_01",
		{Sort: "success_rate", Limit: "2"}: "tool_00 tool_01",
	} {
		page, err := f.pages().Tools(t.Context(), query)
		if got := strings.Join(toolNames(page.Report.Tools), " "); err != nil || got != want {
			t.Errorf("%+v: %s, %v; want %s", query, got, err, want)
		}
	}
}

// Every page tells the same about the whole.
func TestPagesOfErrorsAgree(t *testing.T) {
	f := newFleet()
	f.add(t, append(failed(5, "e"), call(nil))...)
	query := app.PageQuery{Limit: "2"}
	first, err := f.pages().Errors(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	f.add(t, failed(3, "late")...)
	query.Cursor = first.Next
	second, err := f.pages().Errors(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Concat(errorTypes(first.Report.Types), errorTypes(second.Report.Types)); !slices.Equal(got, []string{"e0", "e1", "e2", "e3"}) {
		t.Errorf("types = %v", got)
	}
	first.Report.Types, second.Report.Types = nil, nil
	a, _ := json.Marshal(first.Report)
	b, _ := json.Marshal(second.Report)
	if string(a) != string(b) || first.Report.Calls != 6 || first.Report.Errors != 5 {
		t.Errorf("the pages disagree:\n%s\n%s", a, b)
	}
}

// Whatever is stored between two pages, and whichever process is asked for
// each, what there was at the start stands on exactly one page, in order.
func TestWalkingPages(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := newFleet()
		f.add(t, failed(rapid.IntRange(0, 30).Draw(rt, "types"), "e")...)
		f.add(t, failed(rapid.IntRange(0, 30).Draw(rt, "types that failed twice"), "e")...)
		processes := []*app.Pages{f.pages(), f.pages()}
		query := app.PageQuery{
			Sort:  rapid.SampledFrom([]string{"", "count", "type", "first_seen", "last_seen"}).Draw(rt, "sort"),
			Order: rapid.SampledFrom([]string{"", "asc", "desc"}).Draw(rt, "order"),
		}
		whole, err := processes[0].Errors(t.Context(), query)
		if err != nil {
			rt.Fatal(err)
		}
		var walked []string
		for more := true; more; more = query.Cursor != "" {
			limit := rapid.IntRange(1, 9).Draw(rt, "limit")
			query.Limit = strconv.Itoa(limit)
			page, err := rapid.SampledFrom(processes).Draw(rt, "process").Errors(t.Context(), query)
			if err != nil {
				rt.Fatal(err)
			}
			if n := len(page.Report.Types); n > limit || page.Next != "" && n < limit {
				rt.Fatalf("a page of %d, want %d; next %q", n, limit, page.Next)
			}
			walked = append(walked, errorTypes(page.Report.Types)...)
			query.Cursor = page.Next
			f.add(t, failed(rapid.IntRange(0, 40).Draw(rt, "meanwhile"), rapid.SampledFrom([]string{"e", "f"}).Draw(rt, "prefix"))...)
			f.clock.Advance(time.Duration(rapid.IntRange(0, 15).Draw(rt, "seconds")) * time.Second)
		}
		if want := errorTypes(whole.Report.Types); !slices.Equal(walked, want) {
			rt.Fatalf("walked %v\nwant %v", walked, want)
		}
	})
}

// An hour that turns, or a day that goes out of reach, ends no walk.
func TestCursorsOutliveTheirWindow(t *testing.T) {
	for name, query := range map[string]app.StatisticsQuery{
		"period":             {Period: "1h"},
		"up to now":          {Start: "2026-11-23T10:00:00Z"},
		"as long as can be":  {Start: "2025-11-23T11:00:00Z"},
		"the last hour kept": {Start: "2026-10-24T09:00:00Z", End: "2026-10-24T11:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet()
			f.clock.Set(time.Date(2026, 11, 23, 10, 59, 0, 0, time.UTC))
			events := failed(3, "e")
			f.add(t, events...)
			for i := range events {
				events[i].Hour = time.Date(2026, 10, 24, 10, 0, 0, 0, time.UTC)
			}
			f.add(t, events...)
			q := app.PageQuery{StatisticsQuery: query, Limit: "2"}
			first, err := f.pages().Errors(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			f.clock.Advance(2 * time.Minute)
			q.Cursor = first.Next
			second, err := f.pages().Errors(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if got := errorTypes(second.Report.Types); !slices.Equal(got, []string{"e2"}) || second.Next != "" {
				t.Errorf("the second page is %v, next %q", got, second.Next)
			}
			if first.Report.Coverage != second.Report.Coverage {
				t.Errorf("coverage = %+v, was %+v", second.Report.Coverage, first.Report.Coverage)
			}
		})
	}
}

func TestCursorExpires(t *testing.T) {
	f := newFleet()
	f.add(t, toolsOf(3)...)
	query := app.PageQuery{Limit: "1"}
	first, err := f.pages().Tools(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	query.Cursor = first.Next
	f.clock.Advance(10*time.Minute - time.Second)
	if _, err := f.pages().Tools(t.Context(), query); err != nil {
		t.Errorf("after less than 10 minutes: %v", err)
	}
	f.clock.Advance(time.Second)
	checkExpired(t, f, query)
}

func checkExpired(t *testing.T, f *fleet, q app.PageQuery) {
	t.Helper()
	const want = "cursor has expired: start again without it"
	if _, err := f.pages().Tools(t.Context(), q); domain.CodeOf(err) != domain.CodeInvalid || domain.MessageOf(err) != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}

func TestLifetimeOfCursors(t *testing.T) {
	f := newFleet()
	f.add(t, toolsOf(3)...)
	u := app.NewPages(app.NewStatistics(f.store, f.clock, app.StatisticsConfig{}), f.cache, app.PagesConfig{Lifetime: time.Hour})
	first, err := u.Tools(t.Context(), app.PageQuery{Limit: "1"})
	if err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(time.Hour - time.Second)
	if _, err := u.Tools(t.Context(), app.PageQuery{Limit: "1", Cursor: first.Next}); err != nil {
		t.Error(err)
	}
}

// A cursor belongs to everything in its query but the limit.
func TestCursorOfAnotherQuery(t *testing.T) {
	f := newFleet()
	f.add(t, slices.Concat(toolsOf(9), failed(9, "e"), toolsOf(3))...)
	query := app.PageQuery{Limit: "1", Sort: "calls", Order: "desc"}
	query.Period, query.Filter.Version = "30d", "1.0"
	first, err := f.pages().Tools(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	query.Cursor = first.Next
	change := func(change func(*app.PageQuery)) app.PageQuery {
		changed := query
		change(&changed)
		return changed
	}
	for name, same := range map[string]app.PageQuery{
		"as it was":       query,
		"another limit":   change(func(q *app.PageQuery) { q.Limit = "7" }),
		"no limit":        change(func(q *app.PageQuery) { q.Limit = "" }),
		"default sorting": change(func(q *app.PageQuery) { q.Sort, q.Order = "", "" }),
		"default period":  change(func(q *app.PageQuery) { q.Period = "" }),
	} {
		if page, err := f.pages().Tools(t.Context(), same); err != nil || len(page.Report.Tools) == 0 {
			t.Errorf("%s: %v, %v", name, page.Report.Tools, err)
		}
	}
	for name, other := range map[string]app.PageQuery{
		"sort":           change(func(q *app.PageQuery) { q.Sort = "p50" }),
		"order":          change(func(q *app.PageQuery) { q.Order = "asc" }),
		"period":         change(func(q *app.PageQuery) { q.Period = "31d" }),
		"the same hours": change(func(q *app.PageQuery) { q.Period = "720h" }),
		"bounds":         change(func(q *app.PageQuery) { q.Period, q.Start = "", "2026-11-23" }),
		"version":        change(func(q *app.PageQuery) { q.Filter.Version = "1.1" }),
		"version moved":  change(func(q *app.PageQuery) { q.Filter.Version, q.Filter.Service = "", "1-0" }),
		"tool":           change(func(q *app.PageQuery) { q.Filter.Tool = "get_alerts" }),
		"country":        change(func(q *app.PageQuery) { q.Filter.Country = "US" }),
		"service":        change(func(q *app.PageQuery) { q.Filter.Service = "noaa" }),
	} {
		_, err := f.pages().Tools(t.Context(), other)
		checkForeign(t, name, err)
	}
	onErrors := change(func(q *app.PageQuery) { q.Sort, q.Order = "", "" })
	_, err = f.pages().Errors(t.Context(), onErrors)
	checkForeign(t, "another list", err)
}

func checkForeign(t *testing.T, what string, err error) {
	t.Helper()
	if domain.CodeOf(err) != domain.CodeInvalid || !strings.HasPrefix(domain.MessageOf(err), "cursor does not belong to this query") {
		t.Errorf("%s: error = %v, want one that names cursor", what, err)
	}
}

func TestTamperedCursor(t *testing.T) {
	f := newFleet()
	f.add(t, toolsOf(3)...)
	first, err := f.pages().Tools(t.Context(), app.PageQuery{Limit: "1"})
	if err != nil {
		t.Fatal(err)
	}
	u := f.pages()
	refuses := func(cursor string) {
		t.Helper()
		_, err := u.Tools(t.Context(), app.PageQuery{Limit: "1", Cursor: cursor})
		checkForeign(t, fmt.Sprintf("%.60q", cursor), err)
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=\n\r \x00\xff"
	for i := range len(first.Next) {
		for _, letter := range []byte(letters) {
			if first.Next[i] != letter {
				refuses(first.Next[:i] + string(letter) + first.Next[i+1:])
			}
		}
		refuses(first.Next[i+1:] + "A")
		refuses(first.Next[:i] + first.Next[i+1:])
		refuses(first.Next[:i] + "\n" + first.Next[i:])
	}
	for _, cursor := range []string{"x", first.Next[1:], first.Next[:47], first.Next + "A", first.Next + "=", first.Next + first.Next, " " + first.Next, strings.Repeat("A", 10<<10)} {
		refuses(cursor)
	}
}

// A seal keeps nobody from making a cursor; it is of no use.
func TestForgedCursor(t *testing.T) {
	f := newFleet()
	f.add(t, toolsOf(3)...)
	u := f.pages()
	query := app.PageQuery{Limit: "1"}
	first, err := u.Tools(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	query.Cursor = first.Next
	forge := func(to app.PageQuery, offset int) app.PageQuery {
		to.Cursor, err = u.ForgeToolsCursor(query, to, offset)
		if err != nil {
			t.Fatal(err)
		}
		return to
	}
	if page, err := u.Tools(t.Context(), forge(query, 2)); err != nil || len(page.Report.Tools) != 1 {
		t.Errorf("an offset within the list: %v, %v", page.Report.Tools, err)
	}
	for _, offset := range []int{4, 100, 1 << 30, 1<<32 - 1} {
		_, err := u.Tools(t.Context(), forge(query, offset))
		checkForeign(t, strconv.Itoa(offset), err)
	}
	other := query
	other.Period = "1h"
	checkExpired(t, f, forge(other, 1))
}

func TestPagesRefuse(t *testing.T) {
	f := newFleet()
	for name, query := range map[string]app.PageQuery{
		"period": {StatisticsQuery: app.StatisticsQuery{Period: "1w"}},
		"start":  {StatisticsQuery: app.StatisticsQuery{End: "2026-11-01"}},
		"end":    {StatisticsQuery: app.StatisticsQuery{Start: "2026-11-01", End: "x"}},
		"tool":   {StatisticsQuery: app.StatisticsQuery{Filter: domain.Filter{Tool: "x"}}},
		"sort":   {Sort: "size"},
		"order":  {Order: "up"},
		"limit":  {Limit: "0"},
		"cursor": {Cursor: "x"},
	} {
		_, err := f.pages().Errors(t.Context(), query)
		if domain.CodeOf(err) != domain.CodeInvalid || !strings.HasPrefix(domain.MessageOf(err), name+" ") {
			t.Errorf("%s: error = %v", name, err)
		}
	}
}

func TestPagesPassTheStoresFailureOn(t *testing.T) {
	failure := domain.NewError(domain.CodeUnavailable, errors.New("disk"), "the store is away")
	reader := mocks.NewMockStatisticsReader(gomock.NewController(t))
	reader.EXPECT().Select(gomock.Any(), gomock.Any()).Return(domain.Selected{}, failure).AnyTimes()
	u := app.NewPages(app.NewStatistics(reader, memory.NewClock(contract.Now), app.StatisticsConfig{}),
		memory.NewCache(memory.CacheConfig{}), app.PagesConfig{})
	if _, err := u.Tools(t.Context(), app.PageQuery{}); !errors.Is(err, failure) {
		t.Errorf("error = %v, want %v", err, failure)
	}
}

// Without the cache there is a first page, and the next when it is back.
func TestPagesWithoutACache(t *testing.T) {
	f := newFleet()
	f.add(t, toolsOf(3)...)
	working := f.cache
	away := domain.NewError(domain.CodeUnavailable, errors.New("refused"), "the cache is away")
	broken := mocks.NewMockStatisticsCache(gomock.NewController(t))
	broken.EXPECT().Set(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).Return(away).AnyTimes()
	broken.EXPECT().Get(gomock.Any(), gomock.Any()).Return(nil, time.Time{}, false, away).AnyTimes()
	f.cache = broken
	query := app.PageQuery{Limit: "2"}
	page, err := f.pages().Tools(t.Context(), query)
	if err != nil || len(page.Report.Tools) != 2 || page.Next == "" {
		t.Fatalf("first page: %+v, %v", page, err)
	}
	query.Cursor = page.Next
	if _, err := f.pages().Tools(t.Context(), query); !errors.Is(err, away) {
		t.Errorf("next page: error = %v, want %v", err, away)
	}
	f.cache = working
	checkExpired(t, f, query)
}

// Nobody waits any more, so nobody keeps a page without a next.
func TestPagesThatAreCancelled(t *testing.T) {
	f := newFleet()
	f.add(t, toolsOf(3)...)
	ctx, cancel := context.WithCancel(t.Context())
	cache := mocks.NewMockStatisticsCache(gomock.NewController(t))
	cache.EXPECT().Set(gomock.Any(), gomock.Any(), gomock.Any(), gomock.Any()).DoAndReturn(
		func(ctx context.Context, _ string, _ []byte, _ time.Duration) error { cancel(); return ctx.Err() })
	f.cache = cache
	if _, err := f.pages().Tools(ctx, app.PageQuery{Limit: "2"}); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want %v", err, context.Canceled)
	}
}

// spyCache remembers what is kept.
type spyCache struct {
	ports.StatisticsCache

	kept map[string][]byte
}

func (c *spyCache) Set(ctx context.Context, key string, value []byte, lifetime time.Duration) error {
	c.kept[key] = value
	return c.StatisticsCache.Set(ctx, key, value, lifetime)
}

func TestSnapshots(t *testing.T) {
	f := newFleet()
	spy := &spyCache{f.cache, make(map[string][]byte)}
	f.cache = spy
	f.add(t, toolsOf(5)...)
	query := app.PageQuery{Limit: "2"}
	query.Filter.Version = "1.0"
	var page app.Page[domain.Tools]
	for _, sort := range []string{"calls", "name", "p50"} {
		var err error
		query.Sort = sort
		if page, err = f.pages().Tools(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	if len(spy.kept) != 1 {
		t.Errorf("%d snapshots are kept of the same list, want 1", len(spy.kept))
	}
	for key := range spy.kept {
		if strings.Contains(key, "1.0") || len(key) > 40 {
			t.Errorf("the key %q tells what was asked", key)
		}
		if err := f.cache.Set(t.Context(), key, []byte("{damaged"), time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	query.Cursor = page.Next
	checkExpired(t, f, query)
}
