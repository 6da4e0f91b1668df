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

	// Timed counts the calls that have a response time, and
	// ResponseTimeSumMS, MinMS and MaxMS and Latency are over these.
	Timed             int64
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
	if ms := e.ResponseTimeMS; ms.Valid {
		r.addTimes(1, int64(ms.Value), ms.Value, ms.Value)
		r.Latency.Add(ms.Value)
	}
	if e.SessionID != "" {
		r.Sessions.Add(e.SessionID)
	}
}

// Merge adds other's calls.
func (r *Rollup) Merge(other *Rollup) { r.merge(other, true) }

// merge adds other's calls, with its sessions or without.
func (r *Rollup) merge(other *Rollup, sessions bool) {
	r.Calls += other.Calls
	r.Errors += other.Errors
	r.CacheHits += other.CacheHits
	r.CacheMisses += other.CacheMisses
	r.Retries += other.Retries
	r.RetriesObserved += other.RetriesObserved
	r.Retried += other.Retried
	r.addTimes(other.Timed, other.ResponseTimeSumMS, other.ResponseTimeMinMS, other.ResponseTimeMaxMS)
	r.Latency.Merge(&other.Latency)
	if sessions {
		r.Sessions.Merge(&other.Sessions)
	}
}

// addTimes adds response times but for their sketch. It comes before that of the
// sketch.
func (r *Rollup) addTimes(timed, sum int64, lowest, highest int32) {
	if timed == 0 {
		return
	}
	if r.Timed == 0 {
		r.ResponseTimeMinMS, r.ResponseTimeMaxMS = lowest, highest
	}
	r.ResponseTimeMinMS = min(r.ResponseTimeMinMS, lowest)
	r.ResponseTimeMaxMS = max(r.ResponseTimeMaxMS, highest)
	r.Timed += timed
	r.ResponseTimeSumMS += sum
}

// addLatency adds the range and the sketch of response times.
func (r *Rollup) addLatency(lowest, highest int32, s *LatencySketch) {
	if r.Latency.Count() == 0 {
		r.ResponseTimeMinMS, r.ResponseTimeMaxMS = lowest, highest
	}
	r.ResponseTimeMinMS = min(r.ResponseTimeMinMS, lowest)
	r.ResponseTimeMaxMS = max(r.ResponseTimeMaxMS, highest)
	r.Latency.Merge(s)
}

// Successes is the number of calls that were no errors.
func (r *Rollup) Successes() int64 { return r.Calls - r.Errors }

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
