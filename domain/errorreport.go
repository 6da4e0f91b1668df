package domain

import (
	"cmp"
	"slices"
	"time"
)

// ErrorTypeSummary sums up the failed calls of one error type.
type ErrorTypeSummary struct {
	Type  string
	Count int64
	// Percentage is the share of all calls, and ShareOfErrors that of all
	// failed calls, in percent, 0 to 100.
	Percentage, ShareOfErrors float64
	// AffectedTools and AffectedVersions stand there once each. Versions that
	// no list shows, and those beyond [MaxListed], stand there as [OtherName],
	// last.
	AffectedTools, AffectedVersions []string
	// FirstSeen and LastSeen are UTC hours within the window.
	FirstSeen, LastSeen time.Time
}

// errorTypes sums up every error type, the most frequent first.
func (r *Reading) errorTypes() []ErrorTypeSummary {
	sums := make(map[string]*ErrorSummary)
	for _, row := range r.errors {
		row.Versions = r.disclosure.tellVersions(row.Bucket, row.Versions)
		entry(sums, row.ErrorType).Merge(&row.ErrorSummary)
	}
	calls, errs := r.callsFrom(r.coverage.ErrorsFrom)
	shown, _ := r.shown(DimensionVersion)
	shows := make(map[string]bool, len(shown))
	for _, g := range shown {
		shows[g.Value] = true
	}
	types := make([]ErrorTypeSummary, 0, len(sums))
	for name, sum := range sums {
		types = append(types, ErrorTypeSummary{
			Type:             name,
			Count:            sum.Count,
			Percentage:       percentage(sum.Count, calls),
			ShareOfErrors:    percentage(sum.Count, errs),
			AffectedTools:    sum.Tools,
			AffectedVersions: maskVersions(sum.Versions, shows),
			FirstSeen:        sum.FirstSeen,
			LastSeen:         sum.LastSeen,
		})
	}
	slices.SortFunc(types, func(a, b ErrorTypeSummary) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Type, b.Type))
	})
	return types
}

// callsFrom counts the calls since a bucket's start.
func (r *Reading) callsFrom(from time.Time) (calls, errs int64) {
	for _, row := range rowsFrom(r.rollups[DimensionNone], from, func(row *RollupRow) time.Time { return row.Bucket }) {
		calls += row.Rollup.Calls
		errs += row.Rollup.Errors
	}
	return calls, errs
}

// maskVersions keeps the names of versions that are shown, at most [MaxListed],
// and replaces the rest by [OtherName]: what is hidden where that is shown.
func maskVersions(versions []string, shows map[string]bool) []string {
	masked := make([]string, 0, min(len(versions), MaxListed+1))
	hides, cuts := false, false
	for _, v := range versions {
		switch {
		case v == OtherName || !shows[v]:
			hides = true
		case len(masked) == MaxListed:
			cuts = true
		default:
			masked = append(masked, v)
		}
	}
	if cuts || hides && shows[OtherName] {
		masked = append(masked, OtherName)
	}
	return masked
}

// ErrorPoint counts the failed calls of one bucket.
type ErrorPoint struct {
	Bucket        time.Time
	Calls, Errors int64
	// Rate is the fraction of failed calls, 0 to 1.
	Rate float64
}

// ErrorReport tells what fails. All of it counts from Coverage.ErrorsFrom.
type ErrorReport struct {
	Coverage      Coverage
	Calls, Errors int64
	// Rate is the fraction of failed calls, 0 to 1.
	Rate float64
	// Types holds every error type, the most frequent first.
	Types []ErrorTypeSummary
	// Trend holds every bucket of the window.
	Trend []ErrorPoint
}

// ErrorReport needs the breakdown by version, and the errors.
func (r *Reading) ErrorReport() ErrorReport {
	calls, errs := r.callsFrom(r.coverage.ErrorsFrom)
	report := ErrorReport{
		Coverage: r.coverage,
		Calls:    calls,
		Errors:   errs,
		Rate:     ratio(errs, calls),
		Types:    r.errorTypes(),
	}
	for _, p := range r.series() {
		point := ErrorPoint{Bucket: p.Bucket}
		if !p.Bucket.Before(r.coverage.ErrorsFrom) {
			point.Calls, point.Errors, point.Rate = p.Calls, p.Errors, ratio(p.Errors, p.Calls)
		}
		report.Trend = append(report.Trend, point)
	}
	return report
}
