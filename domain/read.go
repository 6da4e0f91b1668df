package domain

import "time"

// Selection is what a statistic needs to be read: for one window and filter,
// the calls broken down in each of several ways. All parts of one selection
// are answered from one state of the store, so that they agree.
type Selection struct {
	Window Window
	Filter Filter
	// By lists the breakdowns; [DimensionNone] asks for totals.
	By []Dimension
	// Latency asks for the range and the quantiles of the response times of
	// totals and of the breakdown by tool, and Sessions for the sessions of
	// totals. Without them these fields of a Rollup are zero. In the breakdowns by
	// version, country and service all but Calls and Errors are.
	Latency, Sessions bool
	// Errors asks for the error summaries too.
	Errors bool
}

// Selected answers a [Selection].
type Selected struct {
	// Rollups holds, for each breakdown asked for, one row per bucket and
	// group that has calls, by bucket and then by the group's value,
	// ascending. Row groups tell only the breakdown's dimension apart.
	Rollups map[Dimension][]RollupRow
	// Errors holds one row per bucket and error type, by bucket and then by
	// error type, ascending. Row groups are [GrainTotal].
	Errors []ErrorRow
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
