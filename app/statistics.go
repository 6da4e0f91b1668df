package app

import (
	"context"
	"fmt"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// The periods that are answered when neither a period nor bounds are asked for:
// by Overview and All, and by every other statistic.
const (
	DefaultPeriod       = "24h"
	DefaultDetailPeriod = "30d"
)

// StatisticsConfig says what may be told. Zero values mean the defaults.
type StatisticsConfig struct {
	// Catalogue lists the tools that exist even without calls. Default
	// domain.DefaultCatalogue.
	Catalogue *domain.Catalogue
	// CountUnknownTools makes domain.OtherName one of them.
	CountUnknownTools bool
	// PrivacyMinCount is the least number of calls of a country or version
	// that is told, in an answer and on a day; 0 tells all.
	PrivacyMinCount int
	// Retention is how long data is kept. Default domain.DefaultRetention.
	Retention domain.Retention
}

func (c StatisticsConfig) withDefaults() StatisticsConfig {
	if c.Catalogue == nil {
		c.Catalogue = domain.DefaultCatalogue()
	}
	setDefault(&c.Retention, domain.DefaultRetention())
	return c
}

// StatisticsQuery says what to count.
type StatisticsQuery struct {
	// Period is a length of time ending now, such as 24h or 30d. Default
	// [DefaultPeriod] for Overview and All, else [DefaultDetailPeriod].
	Period string
	// Start and End are bounds in place of a period: dates or RFC 3339
	// instants. Without an End, now is meant.
	Start, End string
	// Resolution is hour or day. Default by the length of the window.
	Resolution string
	Filter     domain.Filter
}

// WithDefault returns the query with the period, if it asks for no time.
func (q StatisticsQuery) WithDefault(period string) StatisticsQuery {
	if q.Start == "" && q.End == "" {
		setDefault(&q.Period, period)
	}
	return q
}

// Statistics answers what the service was used for. Every answer is computed
// from one look at the store, so its parts agree. A period, bound, resolution or
// filter that cannot be is refused with domain.CodeInvalid and a sentence that begins
// with its name.
type Statistics struct {
	reader ports.StatisticsReader
	clock  ports.Clock
	config StatisticsConfig
}

// NewStatistics returns the use case.
func NewStatistics(r ports.StatisticsReader, c ports.Clock, config StatisticsConfig) *Statistics {
	return &Statistics{reader: r, clock: c, config: config.withDefaults()}
}

// Overview tells the most important figures.
func (u *Statistics) Overview(ctx context.Context, q StatisticsQuery) (domain.Overview, error) {
	need := withErrors(domain.DimensionTool, domain.DimensionVersion)
	need.latency, need.sessions = true, true
	r, err := u.read(ctx, q, need)
	if err != nil {
		return domain.Overview{}, err
	}
	return r.Overview(), nil
}

// All tells what a dashboard shows, in one answer.
func (u *Statistics) All(ctx context.Context, q StatisticsQuery) (domain.All, error) {
	need := withErrors(domain.DimensionTool, domain.DimensionVersion, domain.DimensionCountry, domain.DimensionService)
	need.usage, need.latency, need.sessions = true, true, true
	r, err := u.read(ctx, q, need)
	if err != nil {
		return domain.All{}, err
	}
	return r.All(), nil
}

// Tools compares the tools.
func (u *Statistics) Tools(ctx context.Context, q StatisticsQuery) (domain.Tools, error) {
	r, err := u.read(ctx, q.WithDefault(DefaultDetailPeriod), parts{by: []domain.Dimension{domain.DimensionTool}, latency: true})
	if err != nil {
		return domain.Tools{}, err
	}
	return r.Tools(), nil
}

// Tool tells everything about one tool, zeros where it was not called. A name
// that is no tool's, neither in the catalogue nor in what is kept, is refused
// with domain.CodeNotFound; it may become one with the next event. One that
// cannot be a tool's is refused with domain.CodeInvalid.
func (u *Statistics) Tool(ctx context.Context, name string, q StatisticsQuery) (domain.ToolDetail, error) {
	if !domain.IsToolName(name) {
		return domain.ToolDetail{}, domain.NewError(domain.CodeInvalid, nil,
			"name must be that of a tool: 1 to 64 characters of [0-9a-z_-], and nothing like personal data")
	}
	known := u.config.CountUnknownTools && name == domain.OtherName
	if !known {
		var err error
		if known, err = u.hasTool(ctx, name); err != nil {
			return domain.ToolDetail{}, err
		}
	}
	if !known {
		return domain.ToolDetail{}, domain.NewError(domain.CodeNotFound, nil, "there is no tool of this name; the catalogue lists the tools")
	}
	need := withErrors(domain.DimensionVersion, domain.DimensionCountry, domain.DimensionService)
	need.tool, need.latency = name, true
	r, err := u.read(ctx, q.WithDefault(DefaultDetailPeriod), need)
	if err != nil {
		return domain.ToolDetail{}, err
	}
	return r.Tool(name), nil
}

// hasTool reports whether the tool is in the catalogue, or has been called on a
// day that is still kept: one that has left the catalogue stays asked for as
// long as it is listed. A look at the store takes one row a day.
func (u *Statistics) hasTool(ctx context.Context, name string) (bool, error) {
	if u.config.Catalogue.HasTool(name) {
		return true, nil
	}
	now := u.clock.Now().UTC()
	kept := domain.Window{
		Start: u.config.Retention.Cutoffs(now).Daily, Resolution: domain.Daily,
		End: domain.Daily.Floor(now).Add(2 * domain.Daily.Length()), // the hour of an event may lie ahead
	}
	selected, err := u.selection(ctx, domain.Selection{
		Window: kept, Filter: domain.Filter{Tool: name}, By: []domain.Dimension{domain.DimensionNone},
	})
	return len(selected.Rollups[domain.DimensionNone]) > 0, err
}

// Errors tells what fails.
func (u *Statistics) Errors(ctx context.Context, q StatisticsQuery) (domain.ErrorReport, error) {
	need := withErrors(domain.DimensionVersion)
	need.onlyErrors = true
	r, err := u.read(ctx, q.WithDefault(DefaultDetailPeriod), need)
	if err != nil {
		return domain.ErrorReport{}, err
	}
	return r.ErrorReport(), nil
}

// Performance tells how fast and how reliable the service is.
func (u *Statistics) Performance(ctx context.Context, q StatisticsQuery) (domain.Performance, error) {
	need := parts{by: []domain.Dimension{domain.DimensionTool, domain.DimensionService}, latency: true}
	r, err := u.read(ctx, q.WithDefault(DefaultDetailPeriod), need)
	if err != nil {
		return domain.Performance{}, err
	}
	return r.Performance(), nil
}

// parts is what an answer needs beside the totals.
type parts struct {
	by []domain.Dimension
	// usage asks for the calls of each tool by bucket, latency for response times,
	// sessions for the number of sessions, and errors for error types.
	usage, latency, sessions, errors bool
	// onlyErrors says that without error types there is no answer.
	onlyErrors bool
	// tool narrows the filter to a tool whose name is not looked up.
	tool string
}

func withErrors(by ...domain.Dimension) parts { return parts{by: by, errors: true} }

// asked is what a query means.
type asked struct {
	span   domain.Span
	filter domain.Filter
}

// String is the same for queries that mean the same.
func (a asked) String() string { return fmt.Sprintf("%s %q", a.span, a.filter) }

func (u *Statistics) parse(q StatisticsQuery) (asked, error) {
	q = q.WithDefault(DefaultPeriod)
	span, err := domain.ParseSpan(q.Period, q.Start, q.End, q.Resolution)
	if err != nil {
		return asked{}, err
	}
	filter, err := domain.ParseFilter(q.Filter)
	return asked{span: span, filter: filter}, err
}

// read looks at the store once.
func (u *Statistics) read(ctx context.Context, q StatisticsQuery, need parts) (*domain.Reading, error) {
	want, err := u.parse(q)
	if err != nil {
		return nil, err
	}
	if need.tool != "" {
		want.filter.Tool = need.tool
	} else if err := u.checkTool(ctx, want.filter.Tool); err != nil {
		return nil, err
	}
	scope, err := u.scope(want, need)
	if err != nil {
		return nil, err
	}
	if err := u.protect(ctx, &scope, need.by); err != nil {
		return nil, err
	}
	return u.selectFor(ctx, scope, need)
}

// checkTool refuses a filter by a tool that there is not.
func (u *Statistics) checkTool(ctx context.Context, name string) error {
	if name == "" || name == domain.OtherName {
		return nil
	}
	known, err := u.hasTool(ctx, name)
	if err == nil && !known {
		err = domain.NewError(domain.CodeInvalid, nil, "tool must be a name in the catalogue, one that has been called, or other")
	}
	return err
}

// scope is what is asked for, as of now.
func (u *Statistics) scope(want asked, need parts) (domain.Scope, error) {
	now := u.clock.Now().UTC()
	cutoffs := u.config.Retention.Cutoffs(now)
	kept := cutoffs
	if need.onlyErrors {
		kept = cutoffs.ForErrors()
	}
	window, err := want.span.Window(now, kept)
	return domain.Scope{
		Window:          window,
		Filter:          want.filter,
		Cutoffs:         cutoffs,
		PrivacyMinCount: u.config.PrivacyMinCount,
	}, err
}

// selectFor reads the totals and what is needed beside them.
func (u *Statistics) selectFor(ctx context.Context, scope domain.Scope, need parts) (*domain.Reading, error) {
	selection := scope.Selection(need.by...)
	selection.Usage, selection.Latency, selection.Sessions, selection.Errors = need.usage, need.latency, need.sessions, need.errors
	selected, err := u.selection(ctx, selection)
	if err != nil {
		return nil, err
	}
	return domain.NewReading(scope, selected), nil
}

func (u *Statistics) selection(ctx context.Context, s domain.Selection) (domain.Selected, error) {
	selected, err := u.reader.Select(ctx, s)
	if err != nil {
		return selected, fmt.Errorf("read statistics: %w", err)
	}
	return selected, nil
}
