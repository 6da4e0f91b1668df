package domain

import "math"

// ResponseTimes sums up the calls that told a response time, in milliseconds.
// All is 0 when none did.
type ResponseTimes struct {
	// Observed is the number of these calls.
	Observed int64
	// Average is over the observed calls only.
	Average float64
	// P50, P95 and P99 are quantiles by nearest rank, within 1 % of the exact.
	P50, P95, P99 float64
	Min, Max      int32
}

func responseTimesOf(r *Rollup) ResponseTimes {
	t := ResponseTimes{
		Observed: r.Timed,
		P50:      roundMS(r.Quantile(0.50)),
		P95:      roundMS(r.Quantile(0.95)),
		P99:      roundMS(r.Quantile(0.99)),
		Min:      r.ResponseTimeMinMS,
		Max:      r.ResponseTimeMaxMS,
	}
	if t.Observed > 0 {
		t.Average = roundMS(float64(r.ResponseTimeSumMS) / float64(t.Observed))
	}
	return t
}

// CacheUse sums up the calls that said whether the cache answered them.
type CacheUse struct {
	Hits, Misses int64
}

// Observed is the number of calls that said so.
func (c CacheUse) Observed() int64 { return c.Hits + c.Misses }

// HitRate is the fraction of hits, 0 to 1.
func (c CacheUse) HitRate() float64 { return ratio(c.Hits, c.Observed()) }

// HitPercentage is the share of hits in percent, 0 to 100.
func (c CacheUse) HitPercentage() float64 { return percentage(c.Hits, c.Observed()) }

// Retries sums up the calls that told how often they were retried.
type Retries struct {
	// Observed is the number of these calls and Retried that of those with at
	// least one retry.
	Observed, Retried int64
	// Total is the number of retries.
	Total int64
	// Average is retries per observed call.
	Average float64
	// RetriedRate is the fraction of the observed calls that were retried.
	RetriedRate float64
}

func retriesOf(r *Rollup) Retries {
	return Retries{
		Observed:    r.RetriesObserved,
		Retried:     r.Retried,
		Total:       r.Retries,
		Average:     ratio(r.Retries, r.RetriesObserved),
		RetriedRate: ratio(r.Retried, r.RetriesObserved),
	}
}

// CallSummary sums up calls.
type CallSummary struct {
	Calls, Errors int64
	// SuccessRate is the fraction of calls that were no errors; 0 without
	// calls.
	SuccessRate   float64
	ResponseTimes ResponseTimes
	Cache         CacheUse
}

func callSummaryOf(r *Rollup) CallSummary {
	return CallSummary{
		Calls:         r.Calls,
		Errors:        r.Errors,
		SuccessRate:   ratio(r.Successes(), r.Calls),
		ResponseTimes: responseTimesOf(r),
		Cache:         CacheUse{r.CacheHits, r.CacheMisses},
	}
}

// ratio is part of whole, rounded; 0 of nothing.
func ratio(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return roundRate(float64(part) / float64(whole))
}

// percentage is 100 times ratio, rounded after that.
func percentage(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return roundRate(100 * float64(part) / float64(whole))
}

func roundRate(x float64) float64 { return math.Round(x*1e4) / 1e4 }

func roundMS(x float64) float64 { return math.Round(x*10) / 10 }
