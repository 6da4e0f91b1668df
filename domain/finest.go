package domain

import "time"

// Finest adds events up no further than to hourly rows of full grain, of which
// [RollUp] makes all others.
func Finest(batches ...[]Event) Aggregates {
	rollups, errs := finest(batches)
	return Aggregates{Rollups: rollupRows(rollups), Errors: errorRows(errs)}
}

func finest(batches [][]Event) (map[rollupKey]*Rollup, map[errorKey]*ErrorSummary) {
	rollups := make(map[rollupKey]*Rollup)
	errs := make(map[errorKey]*ErrorSummary)
	for _, events := range batches {
		for i := range events {
			e := &events[i]
			key := rollupKey{Hourly, Hourly.Floor(e.Hour).Unix(), GroupOf(e)}
			entry(rollups, key).Add(e)
			if e.Status == StatusError {
				entry(errs, errorKey{key, errorTypeOf(e)}).add(e)
			}
		}
	}
	return rollups, errs
}

// RollUp adds up what [Finest] gave, in any number of parts: it returns what
// [Aggregate] returns for all their events.
func RollUp(parts ...Aggregates) Aggregates {
	rollups := make(map[rollupKey]*Rollup)
	errs := make(map[errorKey]*ErrorSummary)
	for _, part := range parts {
		for i := range part.Rollups {
			row := &part.Rollups[i]
			entry(rollups, rollupKey{row.Resolution, row.Bucket.Unix(), row.Group}).Merge(&row.Rollup)
		}
		for i := range part.Errors {
			row := &part.Errors[i]
			key := errorKey{rollupKey{row.Resolution, row.Bucket.Unix(), row.Group}, row.ErrorType}
			entry(errs, key).Merge(&row.ErrorSummary)
		}
	}
	return Aggregates{Rollups: rollupRows(allGrains(rollups)), Errors: errorRows(allErrorGrains(errs))}
}

// Kept leaves out the rows that are due by cutoffs.
func (a Aggregates) Kept(c Cutoffs) Aggregates {
	rollups := map[Resolution]time.Time{Hourly: c.Hourly, Daily: c.Daily}
	errs := map[Resolution]time.Time{Hourly: c.HourlyErrors, Daily: c.DailyErrors}
	var kept Aggregates
	for _, row := range a.Rollups {
		if !row.Bucket.Before(rollups[row.Resolution]) {
			kept.Rollups = append(kept.Rollups, row)
		}
	}
	for _, row := range a.Errors {
		if !row.Bucket.Before(errs[row.Resolution]) {
			kept.Errors = append(kept.Errors, row)
		}
	}
	return kept
}
