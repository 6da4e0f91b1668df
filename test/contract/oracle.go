package contract

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// Expected answers a selection the slow way: by looking at every event.
func Expected(events []domain.Event, s domain.Selection) domain.Selected {
	var matching []domain.Event
	for _, e := range events {
		if s.Window.Contains(e.Hour) && passes(&e, s.Filter) && !slices.Contains(s.Without, bucketOf(&e, domain.Daily)) {
			matching = append(matching, e)
		}
	}
	selected := domain.Selected{Rollups: make(map[domain.Dimension][]domain.RollupRow)}
	for _, by := range s.By {
		selected.Rollups[by] = rollupsOf(matching, s.Window.Resolution, by, func(e *domain.Event) time.Time { return spanOf(e, s.Window, by) })
		for i := range selected.Rollups[by] {
			leaveOut(&selected.Rollups[by][i].Rollup, s, by)
		}
	}
	if s.Usage {
		selected.Usage = rollupsOf(matching, s.Window.Resolution, domain.DimensionTool, func(e *domain.Event) time.Time {
			return bucketOf(e, s.Window.Resolution)
		})
		for i := range selected.Usage {
			r := &selected.Usage[i].Rollup
			*r = domain.Rollup{Calls: r.Calls, Errors: r.Errors}
		}
	}
	if s.Errors {
		selected.Errors = errorsOf(matching, s.Window.Resolution)
	}
	return selected
}

// spanOf is the start of the span of time in which a breakdown counts the event.
func spanOf(e *domain.Event, w domain.Window, by domain.Dimension) time.Time {
	switch by {
	case domain.DimensionNone:
		return bucketOf(e, w.Resolution)
	case domain.DimensionVersion, domain.DimensionCountry:
		if day := bucketOf(e, domain.Daily); day.After(w.Start) {
			return day
		}
		return w.Start
	default:
		return w.Start
	}
}

// leaveOut makes zero what the selection does not ask for.
func leaveOut(r *domain.Rollup, s domain.Selection, by domain.Dimension) {
	if by != domain.DimensionNone && by != domain.DimensionTool {
		*r = domain.Rollup{Calls: r.Calls, Errors: r.Errors}
	}
	if !s.Latency {
		r.Latency, r.ResponseTimeMinMS, r.ResponseTimeMaxMS = domain.LatencySketch{}, 0, 0
	}
	if !s.Sessions || by != domain.DimensionNone {
		r.Sessions = domain.DistinctSketch{}
	}
}

func passes(e *domain.Event, f domain.Filter) bool {
	return (f.Tool == "" || f.Tool == e.Tool) && (f.Version == "" || f.Version == e.Version) &&
		(f.Country == "" || f.Country == e.Country) && (f.Service == "" || f.Service == e.Service)
}

func bucketOf(e *domain.Event, r domain.Resolution) time.Time {
	if r == domain.Daily {
		return time.Date(e.Hour.Year(), e.Hour.Month(), e.Hour.Day(), 0, 0, 0, 0, time.UTC)
	}
	return e.Hour
}

func groupBy(e *domain.Event, by domain.Dimension) domain.Group {
	switch by {
	case domain.DimensionTool:
		return domain.Group{Grain: domain.GrainOf(by), Tool: e.Tool}
	case domain.DimensionVersion:
		return domain.Group{Grain: domain.GrainOf(by), Version: e.Version}
	case domain.DimensionCountry:
		return domain.Group{Grain: domain.GrainOf(by), Country: e.Country}
	case domain.DimensionService:
		return domain.Group{Grain: domain.GrainOf(by), Service: e.Service}
	case domain.DimensionNone:
		return domain.Group{}
	default:
		panic("no dimension")
	}
}

func rollupsOf(events []domain.Event, r domain.Resolution, by domain.Dimension, span func(*domain.Event) time.Time) []domain.RollupRow {
	var rows []domain.RollupRow
	for _, e := range events {
		bucket, group := span(&e), groupBy(&e, by)
		i := slices.IndexFunc(rows, func(row domain.RollupRow) bool { return row.Bucket.Equal(bucket) && row.Group == group })
		if i < 0 {
			i = len(rows)
			rows = append(rows, domain.RollupRow{Resolution: r, Bucket: bucket, Group: group})
		}
		rows[i].Rollup.Add(&e)
	}
	slices.SortFunc(rows, func(a, b domain.RollupRow) int {
		return cmp.Or(a.Bucket.Compare(b.Bucket), strings.Compare(a.Group.Value(by), b.Group.Value(by)))
	})
	return rows
}

func errorsOf(events []domain.Event, r domain.Resolution) []domain.ErrorRow {
	var rows []domain.ErrorRow
	for _, e := range events {
		if e.Status != domain.StatusError {
			continue
		}
		key := domain.ErrorKey{Resolution: r, Bucket: bucketOf(&e, r), ErrorType: cmp.Or(e.ErrorType, domain.UnspecifiedError)}
		i := slices.IndexFunc(rows, func(row domain.ErrorRow) bool { return row.ErrorKey == key })
		if i < 0 {
			i = len(rows)
			rows = append(rows, domain.ErrorRow{ErrorKey: key, ErrorSummary: domain.ErrorSummary{FirstSeen: e.Hour, LastSeen: e.Hour}})
		}
		row := &rows[i]
		row.Count++
		row.FirstSeen = slices.MinFunc([]time.Time{row.FirstSeen, e.Hour}, time.Time.Compare)
		row.LastSeen = slices.MaxFunc([]time.Time{row.LastSeen, e.Hour}, time.Time.Compare)
		row.Tools = withName(row.Tools, e.Tool)
		row.Versions = withName(row.Versions, e.Version)
	}
	slices.SortFunc(rows, func(a, b domain.ErrorRow) int {
		return cmp.Or(a.Bucket.Compare(b.Bucket), strings.Compare(a.ErrorType, b.ErrorType))
	})
	return rows
}

func withName(names []string, name string) []string {
	if slices.Contains(names, name) {
		return names
	}
	names = append(names, name)
	slices.Sort(names)
	return names
}

// Difference says where two answers differ, or nothing. A list that is empty
// equals one that is missing.
func Difference(got, want domain.Selected) string {
	if len(got.Rollups) != len(want.Rollups) {
		return fmt.Sprintf("%d breakdowns, want %d", len(got.Rollups), len(want.Rollups))
	}
	for by, rows := range want.Rollups {
		if d := firstDifference(got.Rollups[by], rows); d != "" {
			return fmt.Sprintf("by %v: %s", by, d)
		}
	}
	if d := firstDifference(got.Usage, want.Usage); d != "" {
		return "usage: " + d
	}
	if d := firstDifference(got.Errors, want.Errors); d != "" {
		return "errors: " + d
	}
	return ""
}

func firstDifference[T any](got, want []T) string {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			return fmt.Sprintf("row %d is missing: %+v", i, want[i])
		case i >= len(want):
			return fmt.Sprintf("row %d is too many: %+v", i, got[i])
		case !reflect.DeepEqual(got[i], want[i]):
			return fmt.Sprintf("row %d is %+v\nwant %+v", i, got[i], want[i])
		}
	}
	return ""
}
