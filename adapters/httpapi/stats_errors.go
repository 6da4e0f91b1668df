package httpapi

import (
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

type shortErrorJSON struct {
	Type          string   `json:"type"`
	Count         int64    `json:"count"`
	Percentage    float64  `json:"percentage"`
	AffectedTools []string `json:"affected_tools"`
}

func newShortErrorJSON(e *domain.ErrorTypeSummary) shortErrorJSON {
	return shortErrorJSON{
		Type: e.Type, Count: e.Count, Percentage: e.Percentage, AffectedTools: textsJSON(e.AffectedTools),
	}
}

type errorJSON struct {
	shortErrorJSON

	ShareOfErrors    float64  `json:"share_of_errors"`
	AffectedVersions []string `json:"affected_versions"`
	FirstSeen        string   `json:"first_seen"`
	LastSeen         string   `json:"last_seen"`
}

func newErrorJSON(e *domain.ErrorTypeSummary) errorJSON {
	return errorJSON{
		shortErrorJSON:   newShortErrorJSON(e),
		ShareOfErrors:    e.ShareOfErrors,
		AffectedVersions: textsJSON(e.AffectedVersions),
		FirstSeen:        instant(e.FirstSeen),
		LastSeen:         instant(e.LastSeen),
	}
}

type errorPointJSON struct {
	Timestamp string  `json:"timestamp"`
	Calls     int64   `json:"calls"`
	Errors    int64   `json:"errors"`
	ErrorRate float64 `json:"error_rate"`
}

type errorReportJSON struct {
	windowJSON

	TotalCalls  int64            `json:"total_calls"`
	TotalErrors int64            `json:"total_errors"`
	ErrorRate   float64          `json:"error_rate"`
	Errors      []errorJSON      `json:"errors"`
	Trend       []errorPointJSON `json:"trend"`
	pageJSON
}

// newErrorReportJSON counts all of it from where error types are kept.
func newErrorReportJSON(page *app.Page[domain.ErrorReport]) errorReportJSON {
	r := &page.Report
	coverage := r.Coverage
	coverage.CallsFrom = coverage.ErrorsFrom
	return errorReportJSON{
		windowJSON:  newWindowJSON(coverage),
		TotalCalls:  r.Calls,
		TotalErrors: r.Errors,
		ErrorRate:   r.Rate,
		Errors:      each(r.Types, newErrorJSON),
		Trend: each(r.Trend, func(p *domain.ErrorPoint) errorPointJSON {
			return errorPointJSON{Timestamp: instant(p.Bucket), Calls: p.Calls, Errors: p.Errors, ErrorRate: p.Rate}
		}),
		pageJSON: pageJSON{page.Next},
	}
}
