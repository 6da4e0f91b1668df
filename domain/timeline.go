package domain

import (
	"maps"
	"time"
)

// CallPoint sums up the calls of one bucket.
type CallPoint struct {
	Bucket time.Time
	CallSummary
}

// series sums up every bucket of the window, empty ones included.
func (r *Reading) series() []CallPoint {
	filled := make(map[int64]*Rollup, len(r.rollups[DimensionNone]))
	for i := range r.rollups[DimensionNone] {
		row := &r.rollups[DimensionNone][i]
		filled[row.Bucket.Unix()] = &row.Rollup
	}
	buckets := r.coverage.Window.Buckets()
	points := make([]CallPoint, len(buckets))
	for i, bucket := range buckets {
		points[i].Bucket = bucket
		if rollup, ok := filled[bucket.Unix()]; ok {
			points[i].CallSummary = callSummaryOf(rollup)
		}
	}
	return points
}

// ToolUsage counts the calls of one bucket by tool.
type ToolUsage struct {
	Bucket time.Time
	// Calls has an entry for every tool that was called in the window.
	Calls map[string]int64
}

// toolUsage holds every bucket of the window, or nothing when there are no
// calls at all.
func (r *Reading) toolUsage() []ToolUsage {
	if len(r.usage) == 0 {
		return []ToolUsage{}
	}
	zeros := make(map[string]int64)
	for i := range r.usage {
		zeros[r.usage[i].Group.Tool] = 0
	}
	buckets := r.coverage.Window.Buckets()
	usage := make([]ToolUsage, len(buckets))
	places := make(map[int64]int, len(buckets))
	for i, bucket := range buckets {
		usage[i] = ToolUsage{bucket, maps.Clone(zeros)}
		places[bucket.Unix()] = i
	}
	for i := range r.usage {
		row := &r.usage[i]
		usage[places[row.Bucket.Unix()]].Calls[row.Group.Tool] += row.Rollup.Calls
	}
	return usage
}

// LatencyPoint tells the response times of one bucket.
type LatencyPoint struct {
	Bucket        time.Time
	ResponseTimes ResponseTimes
}

// timeline leaves out the buckets in which no call told a response time.
func timeline(series []CallPoint) []LatencyPoint {
	points := make([]LatencyPoint, 0, len(series))
	for _, p := range series {
		if p.ResponseTimes.Observed > 0 {
			points = append(points, LatencyPoint{p.Bucket, p.ResponseTimes})
		}
	}
	return points
}
