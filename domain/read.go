package domain

import (
	"slices"
	"time"
)

// Selection is what a statistic needs to be read: for one window and filter,
// the calls broken down in each of several ways. All parts of one selection
// are answered from one state of the store, so that they agree.
type Selection struct {
	Window Window
	Filter Filter
	// Without lists UTC days by their start. Nothing of them is read.
	Without []time.Time
	// By lists the breakdowns; [DimensionNone] asks for totals.
	By []Dimension
	// Usage asks for the calls of each tool in each bucket.
	Usage bool
	// Latency asks for the range and the quantiles of the response times of
	// totals and of the breakdown by tool, and Sessions for the sessions of
	// totals. Without them these fields of a Rollup are zero. In the breakdowns by
	// version, country and service all but Calls and Errors are.
	Latency, Sessions bool
	// Errors asks for the error summaries too.
	Errors bool
}

// Selected answers a [Selection]. Its rows have the window's resolution. They stand
// by Bucket and then by the value of their group, ascending; the group has no other
// dimension than that of its breakdown.
type Selected struct {
	// Rollups holds, for each breakdown asked for, a row for each group that has
	// calls in a span of time: totals for each bucket, versions and countries for each
	// UTC day, tools and services for the whole window. Bucket is the start of the
	// span, or of the window where that is later.
	//
	// A UTC day that lies in the window as a whole is counted by its daily
	// aggregates where the span is not a bucket.
	Rollups map[Dimension][]RollupRow
	// Usage holds the Calls and Errors of each tool in each bucket.
	Usage []RollupRow
	// Errors holds one row per bucket and error type, by bucket and then by
	// error type, ascending. Row groups are [GrainTotal].
	Errors []ErrorRow
}

// breakdown is a list of rows in an answer.
type breakdown struct {
	by    Dimension
	usage bool
}

// spans are the spans of time for which a breakdown has rows.
type spans struct {
	window Window
	// start is that of the first, and length is that of each.
	start  time.Time
	length time.Duration
}

func (s *Selection) spans(b breakdown) spans {
	switch w := s.Window; {
	case b.by == DimensionNone || b.usage:
		return spans{w, w.Start, w.Resolution.Length()}
	case privateGrain.Has(b.by):
		return spans{w, Daily.Floor(w.Start), Daily.Length()}
	default:
		return spans{w, w.Start, w.End.Sub(w.Start)}
	}
}

// count is the number of spans.
func (s spans) count() int {
	if s.length == 0 {
		return 0
	}
	return int((s.window.End.Sub(s.start) + s.length - 1) / s.length)
}

// isBucket reports whether a span is one bucket.
func (s spans) isBucket() bool { return s.length == s.window.Resolution.Length() }

// at is the start of a span as a row has it.
func (s spans) at(index int) time.Time {
	return latest(s.start.Add(time.Duration(index)*s.length), s.window.Start)
}

// index is the number of the span that holds t, an instant of the window. A bucket
// before the window has a negative one.
func (s spans) index(t time.Time) int { return int(t.Sub(s.start) / s.length) }

// SpanOf returns the Bucket of the row that counts a call at t, an instant of the
// window, in the breakdown by that dimension.
func (s *Selection) SpanOf(by Dimension, t time.Time) time.Time {
	spans := s.spans(breakdown{by: by})
	return spans.at(spans.index(t))
}

// Leaves reports whether t is on a day that is left out.
func (s *Selection) Leaves(t time.Time) bool {
	return len(s.Without) > 0 && slices.ContainsFunc(s.Without, Daily.Floor(t).Equal)
}

// WholeDays splits the window into pieces that are counted by aggregates of their
// resolution: the UTC days that lie in it as a whole, and the hours before and after
// them.
func (w Window) WholeDays() []Window {
	first, end := Daily.ceil(w.Start), Daily.Floor(w.End)
	if w.Resolution == Daily || !first.Before(end) {
		return []Window{w}
	}
	pieces := []Window{
		{Start: w.Start, End: first, Resolution: w.Resolution},
		{Start: first, End: end, Resolution: Daily},
		{Start: end, End: w.End, Resolution: w.Resolution},
	}
	return slices.DeleteFunc(pieces, func(p Window) bool { return !p.Start.Before(p.End) })
}

// Activity is what the store knows about the pipeline as a whole.
type Activity struct {
	// Events counts the events that the daily aggregates hold.
	Events int64
	// FoldedVersions and FoldedErrorTypes count those of them that stand under
	// [OtherName] because their day had more versions or error types than a
	// [Cardinality] allows.
	FoldedVersions, FoldedErrorTypes int64
	// LastReceived is when the newest stored batch was accepted; zero when
	// there has been none.
	LastReceived time.Time
}
