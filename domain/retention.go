package domain

import (
	"slices"
	"time"
)

// Retention is how long each kind of data is kept. A bucket is due for
// deletion as soon as all of it is older.
type Retention struct {
	Events time.Duration
	Hourly time.Duration
	Daily  time.Duration
	Errors time.Duration
}

// DefaultRetention keeps raw events for 90 days, hourly aggregates for 30,
// daily aggregates for 730 and error summaries for 90.
func DefaultRetention() Retention {
	const day = 24 * time.Hour
	return Retention{Events: 90 * day, Hourly: 30 * day, Daily: 730 * day, Errors: 90 * day}
}

// Cutoffs are bucket starts; whatever starts before its cutoff is due.
type Cutoffs struct {
	// Events cuts raw events and Hourly hourly aggregates, both by hours.
	Events, Hourly time.Time
	// Daily cuts daily aggregates, by days.
	Daily time.Time
	// HourlyErrors and DailyErrors cut error summaries.
	HourlyErrors, DailyErrors time.Time
	// Batches cuts the ids of stored batches, by the time of their receipt. A
	// batch that is delivered again after that counts again.
	Batches time.Time
}

// Days is the start of the first UTC day of which anything is kept but ids of
// batches.
func (c Cutoffs) Days() time.Time {
	return earliest(Daily.Floor(c.Events), c.Aggregates())
}

// Aggregates is the start of the first day of which some aggregates are kept.
func (c Cutoffs) Aggregates() time.Time {
	return Daily.Floor(slices.MinFunc([]time.Time{c.Hourly, c.Daily, c.HourlyErrors, c.DailyErrors}, time.Time.Compare))
}

// minBatchRetention is how long the ids of stored batches are kept at least: no
// queue is expected to hold on to a batch for longer.
const minBatchRetention = 30 * 24 * time.Hour

// Cutoffs returns what is due at now.
func (r Retention) Cutoffs(now time.Time) Cutoffs {
	return Cutoffs{
		Events:       Hourly.Floor(now.Add(-r.Events)),
		Hourly:       Hourly.Floor(now.Add(-r.Hourly)),
		Daily:        Daily.Floor(now.Add(-r.Daily)),
		HourlyErrors: Hourly.Floor(now.Add(-r.Errors)),
		DailyErrors:  Daily.Floor(now.Add(-r.Errors)),
		Batches:      now.Add(-max(r.Events, minBatchRetention)),
	}
}

// ForErrors cuts calls where error types are cut, for an answer that is about
// these alone.
func (c Cutoffs) ForErrors() Cutoffs {
	c.Hourly, c.Daily = latest(c.Hourly, c.HourlyErrors), latest(c.Daily, c.DailyErrors)
	return c
}

// calls cuts the aggregates of the resolution, and errors its error summaries.
func (c Cutoffs) calls(r Resolution) time.Time {
	if r == Daily {
		return c.Daily
	}
	return c.Hourly
}

func (c Cutoffs) errors(r Resolution) time.Time {
	if r == Daily {
		return c.DailyErrors
	}
	return c.HourlyErrors
}
