package app

import (
	"context"
	"fmt"
	"slices"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// The periods that are answered when none is asked for.
const (
	defaultPeriod            = "24h"
	defaultPerformancePeriod = "30d"
)

// StatisticsConfig says what may be told. Zero values mean the defaults.
type StatisticsConfig struct {
	// Catalogue lists the tools that exist even without calls. Default
	// domain.DefaultCatalogue.
	Catalogue *domain.Catalogue
	// CountUnknownTools makes domain.OtherName one of them.
	CountUnknownTools bool
	// PrivacyMinCount is the least number of calls of a country or version
	// that is told; 0 tells all.
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
	// Period is a length of time ending now, such as 24h or 30d. Default 24h,
	// for Performance 30d.
	Period string
	Filter domain.Filter
}

// Statistics answers what the service was used for. Every answer is computed
// from one look at the store, so its parts agree. A period or filter that
// cannot be is refused with domain.CodeInvalid and a sentence that begins with
// its name.
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
	r, err := u.read(ctx, q, withErrors(domain.DimensionTool, domain.DimensionVersion))
	if err != nil {
		return domain.Overview{}, err
	}
	return r.Overview(), nil
}

// All tells what a dashboard shows, in one answer.
func (u *Statistics) All(ctx context.Context, q StatisticsQuery) (domain.All, error) {
	r, err := u.read(ctx, q, withErrors(
		domain.DimensionTool, domain.DimensionVersion, domain.DimensionCountry, domain.DimensionService))
	if err != nil {
		return domain.All{}, err
	}
	return r.All(), nil
}

// Tools compares the tools.
func (u *Statistics) Tools(ctx context.Context, q StatisticsQuery) (domain.Tools, error) {
	r, err := u.read(ctx, q, parts{by: []domain.Dimension{domain.DimensionTool}})
	if err != nil {
		return domain.Tools{}, err
	}
	return r.Tools(), nil
}

// Tool tells everything about one tool, zeros where it was not called. A name
// that is no tool's, neither in the catalogue nor in what is counted, is
// refused with domain.CodeNotFound; it may become one with the next event.
func (u *Statistics) Tool(ctx context.Context, name string, q StatisticsQuery) (domain.ToolDetail, error) {
	if !domain.IsToolName(name) {
		return domain.ToolDetail{}, noSuchTool()
	}
	known := u.config.Catalogue.HasTool(name) || u.config.CountUnknownTools && name == domain.OtherName
	need := withErrors(domain.DimensionVersion, domain.DimensionCountry, domain.DimensionService)
	need.tool = name
	r, err := u.read(ctx, q, need)
	if err != nil {
		return domain.ToolDetail{}, err
	}
	detail := r.Tool(name)
	if detail.Calls == 0 && !known {
		return domain.ToolDetail{}, noSuchTool()
	}
	return detail, nil
}

func noSuchTool() error {
	return domain.NewError(domain.CodeNotFound, nil, "there is no tool of this name; the catalogue lists the tools")
}

// Errors tells what fails.
func (u *Statistics) Errors(ctx context.Context, q StatisticsQuery) (domain.ErrorReport, error) {
	r, err := u.read(ctx, q, withErrors(domain.DimensionVersion))
	if err != nil {
		return domain.ErrorReport{}, err
	}
	return r.ErrorReport(), nil
}

// Performance tells how fast and how reliable the service is.
func (u *Statistics) Performance(ctx context.Context, q StatisticsQuery) (domain.Performance, error) {
	setDefault(&q.Period, defaultPerformancePeriod)
	r, err := u.read(ctx, q, parts{by: []domain.Dimension{domain.DimensionTool, domain.DimensionService}})
	if err != nil {
		return domain.Performance{}, err
	}
	return r.Performance(), nil
}

// parts is what an answer needs beside the totals.
type parts struct {
	by     []domain.Dimension
	errors bool
	// tool narrows the filter to a tool whose name is not looked up.
	tool string
}

func withErrors(by ...domain.Dimension) parts { return parts{by: by, errors: true} }

// read looks at the store once.
func (u *Statistics) read(ctx context.Context, q StatisticsQuery, need parts) (*domain.Reading, error) {
	setDefault(&q.Period, defaultPeriod)
	period, err := domain.ParsePeriod(q.Period)
	if err != nil {
		return nil, err
	}
	filter, err := domain.ParseFilter(q.Filter, u.config.Catalogue)
	if err != nil {
		return nil, err
	}
	if need.tool != "" {
		filter.Tool = need.tool
	}
	now := u.clock.Now().UTC()
	scope := domain.Scope{
		Window:          period.Window(now),
		Filter:          filter,
		Cutoffs:         u.config.Retention.Cutoffs(now),
		PrivacyMinCount: u.config.PrivacyMinCount,
	}
	if scope.Hidden, err = u.hidden(ctx, scope); err != nil {
		return nil, err
	}
	return u.selectFor(ctx, scope, append([]domain.Dimension{domain.DimensionNone}, need.by...), need.errors)
}

func (u *Statistics) selectFor(
	ctx context.Context, scope domain.Scope, by []domain.Dimension, errs bool,
) (*domain.Reading, error) {
	selected, err := u.reader.Select(ctx, domain.Selection{Window: scope.Window, Filter: scope.Filter, By: by, Errors: errs})
	if err != nil {
		return nil, fmt.Errorf("read statistics: %w", err)
	}
	return domain.NewReading(scope, selected), nil
}

// hidden reports whether the filter asks for a country or version that the
// list of these does not show, be it small itself or hidden for the sake of
// another: subtracting the answer from the whole would find that other. It
// looks at the list under the rest of the filter and at the list without any
// country or version chosen.
func (u *Statistics) hidden(ctx context.Context, scope domain.Scope) (bool, error) {
	if scope.PrivacyMinCount == 0 {
		return false, nil
	}
	filter := scope.Filter
	for _, d := range []domain.Dimension{domain.DimensionCountry, domain.DimensionVersion} {
		if filter.Value(d) == "" {
			continue
		}
		wide, narrow := filter.Without(domain.DimensionCountry, domain.DimensionVersion), filter.Without(d)
		for _, rest := range slices.Compact([]domain.Filter{wide, narrow}) {
			scope.Filter = rest
			list, err := u.selectFor(ctx, scope, []domain.Dimension{domain.DimensionNone, d}, false)
			if err != nil {
				return false, err
			}
			if !list.Shows(d, filter.Value(d)) {
				return true, nil
			}
		}
	}
	return false, nil
}
