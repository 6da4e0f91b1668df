package domain

import (
	"cmp"
	"slices"
)

// ToolSummary sums up the calls of one tool.
type ToolSummary struct {
	Name string
	CallSummary
}

// Overview is the service at a glance.
type Overview struct {
	Coverage Coverage
	Summary  CallSummary
	// UniqueVersions is how many client versions were seen; all those that are
	// hidden count as one.
	UniqueVersions int64
	// ActiveInstalls is how many distinct session hashes were seen, an
	// estimate and a lower bound: only clients at the detailed level send one.
	ActiveInstalls int64
	// Tools holds the tools with calls, the most called first.
	Tools []ToolSummary
	// Errors holds the most frequent error types, at most [MaxErrorsShown].
	Errors []ErrorTypeSummary
}

// MaxErrorsShown bounds the list of error types in [Overview] and [All].
const MaxErrorsShown = 10

// Overview needs the breakdowns by tool and version, and the errors.
func (r *Reading) Overview() Overview {
	errs := r.errorTypes()
	return Overview{
		Coverage:       r.coverage,
		Summary:        callSummaryOf(&r.total),
		UniqueVersions: r.uniqueVersions(),
		ActiveInstalls: r.total.Sessions.Estimate(),
		Tools:          r.tools(),
		Errors:         errs[:min(len(errs), MaxErrorsShown)],
	}
}

func (r *Reading) uniqueVersions() int64 {
	named, rest := int64(0), r.total.Calls
	for _, t := range r.tallies(DimensionVersion) {
		if t.Value != OtherName {
			named++
			rest -= t.Calls
		}
	}
	if rest > 0 {
		named++
	}
	return named
}

// tools lists the tools with calls, the most called first.
func (r *Reading) tools() []ToolSummary {
	rows := r.rollups[DimensionTool]
	tools := make([]ToolSummary, len(rows))
	for i := range rows {
		tools[i] = ToolSummary{Name: rows[i].Group.Tool, CallSummary: callSummaryOf(&rows[i].Rollup)}
	}
	slices.SortFunc(tools, func(a, b ToolSummary) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Name, b.Name))
	})
	return tools
}

// Tools compares the tools.
type Tools struct {
	Coverage Coverage
	// Tools holds the tools with calls, the most called first.
	Tools []ToolSummary
}

// Tools needs the breakdown by tool.
func (r *Reading) Tools() Tools { return Tools{Coverage: r.coverage, Tools: r.tools()} }

// All is everything a dashboard shows, in one answer.
type All struct {
	Overview    Overview
	ToolUsage   []ToolUsage
	Performance LatencyReport
	Cache       CacheReport
	// NOAA and OpenMeteo share 100 percent between them, whatever other
	// services there are.
	NOAA, OpenMeteo ServiceShare
	Countries       CountryReport
}

// All needs the breakdowns by tool, version, country and service, the usage and
// the errors.
func (r *Reading) All() All {
	noaa, openMeteo := r.mainServices()
	overview := r.Overview()
	return All{
		Overview:    overview,
		ToolUsage:   r.toolUsage(),
		Performance: r.latency(overview.Tools),
		Cache:       r.cache(overview.Tools),
		NOAA:        noaa,
		OpenMeteo:   openMeteo,
		Countries:   r.countries(),
	}
}

// ToolDetail is one tool in detail.
type ToolDetail struct {
	Coverage Coverage
	ToolSummary
	// Series holds every bucket of the window.
	Series    []CallPoint
	Versions  []VersionShare
	Countries CountryReport
	Services  ServiceReport
	// ErrorTypes holds the most frequent ones, at most [MaxListed].
	ErrorTypes []ErrorTypeSummary
}

// Tool describes the tool by which the reading is filtered. It needs the
// breakdowns by version, country and service, and the errors.
func (r *Reading) Tool(name string) ToolDetail {
	errs := r.errorTypes()
	return ToolDetail{
		Coverage:    r.coverage,
		ToolSummary: ToolSummary{Name: name, CallSummary: callSummaryOf(&r.total)},
		Series:      r.series(),
		Versions:    r.versions(),
		Countries:   r.countries(),
		Services:    r.services(),
		ErrorTypes:  errs[:min(len(errs), MaxListed)],
	}
}
