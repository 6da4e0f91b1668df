package app

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// PagesConfig tunes [Pages]. Zero values mean the defaults.
type PagesConfig struct {
	// Lifetime is how long the next page can be asked for after the first was
	// computed. It must be longer than a first page is served from a cache.
	// Default 10 minutes.
	Lifetime time.Duration
}

// PageQuery says what to count and which part of the list to tell. Empty
// members mean the defaults.
type PageQuery struct {
	StatisticsQuery

	// Sort and Order are as in domain.Columns, and Limit as in
	// domain.ParseLimit.
	Sort, Order, Limit string
	// Cursor is the Next of the page before.
	Cursor string
}

// Page is a statistic of whose list only a part is told.
type Page[T any] struct {
	Report T
	// Next is the cursor of the page that follows, empty on the last.
	Next string
}

// Pages answers the statistics that are long lists, page by page. All pages
// are cut from what the first was computed from, whatever is counted meanwhile
// and whichever process is asked, so an item stands on exactly one of them.
//
// Between two pages the limit may change and nothing else. A cursor that is no
// such query's, or too old, is refused with domain.CodeInvalid and a sentence
// that begins with its name, as is whatever else cannot be.
type Pages struct {
	stats  *Statistics
	cache  ports.StatisticsCache
	config PagesConfig
}

// NewPages returns the use case. Processes that share the cache continue each
// other's lists.
func NewPages(s *Statistics, c ports.StatisticsCache, config PagesConfig) *Pages {
	setDefault(&config.Lifetime, 10*time.Minute)
	return &Pages{stats: s, cache: c, config: config}
}

// Tools is [Statistics.Tools] page by page.
func (u *Pages) Tools(ctx context.Context, q PageQuery) (Page[domain.Tools], error) {
	return tell(ctx, u, q, paged[domain.Tools, domain.ToolSummary]{
		name:    "tools",
		compute: u.stats.Tools,
		columns: domain.ToolColumns(),
		list:    func(t *domain.Tools) *[]domain.ToolSummary { return &t.Tools },
	})
}

// Errors is [Statistics.Errors] page by page.
func (u *Pages) Errors(ctx context.Context, q PageQuery) (Page[domain.ErrorReport], error) {
	return tell(ctx, u, q, paged[domain.ErrorReport, domain.ErrorTypeSummary]{
		name:    "errors",
		compute: u.stats.Errors,
		columns: domain.ErrorColumns(),
		list:    func(r *domain.ErrorReport) *[]domain.ErrorTypeSummary { return &r.Types },
	})
}

// paged is a statistic of type T with a list of Items.
type paged[T, Item any] struct {
	name    string
	compute func(context.Context, StatisticsQuery) (T, error)
	columns domain.Columns[Item]
	list    func(*T) *[]Item
}

func tell[T, Item any](ctx context.Context, u *Pages, q PageQuery, p paged[T, Item]) (Page[T], error) {
	cut, err := p.cut(u.stats, q)
	if err != nil {
		return Page[T]{}, err
	}
	report, err := p.whole(ctx, u, q, &cut)
	if err != nil {
		return Page[T]{}, err
	}
	page := Page[T]{Report: report}
	list := p.list(&page.Report)
	cut.sorting.Sort(*list)
	from, to := cut.from.offset, cut.from.offset+cut.limit
	if from > len(*list) {
		return Page[T]{}, foreignCursor()
	}
	if to < len(*list) {
		page.Next = cut.view.cursor(place{cut.from.snapshot, to})
	}
	*list = (*list)[from:min(to, len(*list))]
	return page, nil
}

// cut says which page is asked for.
type cut[Item any] struct {
	view    view
	sorting domain.Sorting[Item]
	from    place
	limit   int
}

func (p paged[T, Item]) cut(stats *Statistics, q PageQuery) (cut[Item], error) {
	var c cut[Item]
	want, err := stats.parse(q.WithDefault(DefaultDetailPeriod))
	if err != nil {
		return c, err
	}
	if c.sorting, err = p.columns.Parse(q.Sort, q.Order); err != nil {
		return c, err
	}
	if c.limit, err = domain.ParseLimit(q.Limit); err != nil {
		return c, err
	}
	c.view = view{list: p.name + " " + want.String(), sorting: c.sorting.String()}
	if q.Cursor != "" {
		c.from, err = c.view.parse(q.Cursor)
	}
	return c, err
}

// whole returns the statistic with all of its list: for the first page
// computed, and kept if more pages follow, else as it was kept.
func (p paged[T, Item]) whole(ctx context.Context, u *Pages, q PageQuery, c *cut[Item]) (report T, err error) {
	if q.Cursor != "" {
		return recall[T](ctx, u, c.view.key(c.from.snapshot))
	}
	if report, err = p.compute(ctx, q.StatisticsQuery); err != nil || len(*p.list(&report)) <= c.limit {
		return report, err
	}
	c.from.snapshot, err = u.keep(ctx, c.view, report)
	return report, err
}

// keep keeps a snapshot under a name made from its content, so that one and
// the same is kept once however often it is computed and sorted. A cache that
// cannot be written costs no more than one that forgets: the first page holds
// all the same.
func (u *Pages) keep(ctx context.Context, v view, report any) (snapshot digest, err error) {
	content, err := json.Marshal(report)
	if err != nil {
		return snapshot, fmt.Errorf("keep pages: %w", err)
	}
	snapshot = digestOf(content)
	_ = u.cache.Set(ctx, v.key(snapshot), content, u.config.Lifetime)
	return snapshot, ctx.Err()
}

func recall[T any](ctx context.Context, u *Pages, key string) (report T, err error) {
	content, _, ok, err := u.cache.Get(ctx, key)
	if err != nil {
		return report, fmt.Errorf("recall pages: %w", err)
	}
	if ok {
		err = json.Unmarshal(content, &report)
	}
	if !ok || err != nil { // another release may have kept it
		return report, domain.NewError(domain.CodeInvalid, err, "cursor has expired: start again without it")
	}
	return report, nil
}
