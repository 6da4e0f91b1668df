package domain

import "time"

// Rollup adds up calls. Adding is commutative and associative, and the empty
// Rollup changes nothing, so rollups of any parts of a set of events, merged in
// any order, equal the rollup of the whole.
type Rollup struct {
	Calls  int64
	Errors int64

	// CacheHits and CacheMisses count the calls that said which they were.
	CacheHits   int64
	CacheMisses int64

	// Retries adds up the retries of the RetriesObserved calls that told
	// them; Retried of these had at least one.
	Retries         int64
	RetriesObserved int64
	Retried         int64

	// ResponseTimeSumMS, MinMS and MaxMS are over the calls that told a
	// response time; their number is Latency.Count.
	ResponseTimeSumMS int64
	ResponseTimeMinMS int32
	ResponseTimeMaxMS int32
	Latency           LatencySketch

	// Sessions estimates the distinct session hashes (detailed level only).
	Sessions DistinctSketch
}

// Add counts one event.
func (r *Rollup) Add(e *Event) {
	r.Calls++
	if e.Status == StatusError {
		r.Errors++
	}
	if e.CacheHit.Valid {
		if e.CacheHit.Value {
			r.CacheHits++
		} else {
			r.CacheMisses++
		}
	}
	if e.RetryCount.Valid {
		r.RetriesObserved++
		r.Retries += int64(e.RetryCount.Value)
		if e.RetryCount.Value > 0 {
			r.Retried++
		}
	}
	if e.ResponseTimeMS.Valid {
		r.addTime(e.ResponseTimeMS.Value, e.ResponseTimeMS.Value, int64(e.ResponseTimeMS.Value))
		r.Latency.Add(e.ResponseTimeMS.Value)
	}
	if e.SessionID != "" {
		r.Sessions.Add(e.SessionID)
	}
}

// Merge adds other's calls.
func (r *Rollup) Merge(other *Rollup) {
	r.Calls += other.Calls
	r.Errors += other.Errors
	r.CacheHits += other.CacheHits
	r.CacheMisses += other.CacheMisses
	r.Retries += other.Retries
	r.RetriesObserved += other.RetriesObserved
	r.Retried += other.Retried
	if other.Latency.Count() > 0 {
		r.addTime(other.ResponseTimeMinMS, other.ResponseTimeMaxMS, other.ResponseTimeSumMS)
		r.Latency.Merge(&other.Latency)
	}
	r.Sessions.Merge(&other.Sessions)
}

// addTime must run before the sketch is told, which still knows whether this
// is the first time.
func (r *Rollup) addTime(lowest, highest int32, sum int64) {
	if r.Latency.Count() == 0 {
		r.ResponseTimeMinMS, r.ResponseTimeMaxMS = lowest, highest
	} else {
		r.ResponseTimeMinMS = min(r.ResponseTimeMinMS, lowest)
		r.ResponseTimeMaxMS = max(r.ResponseTimeMaxMS, highest)
	}
	r.ResponseTimeSumMS += sum
}

// Successes is the number of calls that were no errors.
func (r *Rollup) Successes() int64 { return r.Calls - r.Errors }

// Timed is the number of calls that told a response time.
func (r *Rollup) Timed() int64 { return r.Latency.Count() }

// Quantile returns the q-quantile of the response times in milliseconds, to
// within [LatencyRelativeError]; 0 when no call told one.
func (r *Rollup) Quantile(q float64) float64 {
	if r.Latency.Count() == 0 {
		return 0
	}
	return min(max(r.Latency.Quantile(q), float64(r.ResponseTimeMinMS)), float64(r.ResponseTimeMaxMS))
}

// RollupRow is a rollup at its place: the calls of one group in one bucket.
type RollupRow struct {
	Resolution Resolution
	// Bucket is the bucket's start in UTC.
	Bucket time.Time
	Group  Group
	Rollup Rollup
}

// ErrorKey is the place of an [ErrorSummary]: the failed calls of one error
// type in one group and bucket.
type ErrorKey struct {
	Resolution Resolution
	Bucket     time.Time
	Group      Group
	ErrorType  string
}

// ErrorSummary adds up the failed calls of one error type. Merging is
// commutative and associative.
type ErrorSummary struct {
	Count int64
	// FirstSeen and LastSeen are UTC hours: events know no finer time.
	FirstSeen, LastSeen time.Time
	// Tools and Versions are those affected, sorted, each once.
	Tools, Versions []string
}

// ErrorRow is an error summary at its place.
type ErrorRow struct {
	ErrorKey
	ErrorSummary
}
