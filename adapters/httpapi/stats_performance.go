package httpapi

import "github.com/weather-mcp/weather-mcp-analytics/domain"

type timesJSON struct {
	P50      float64 `json:"p50"`
	P95      float64 `json:"p95"`
	P99      float64 `json:"p99"`
	Avg      float64 `json:"avg"`
	Min      int32   `json:"min"`
	Max      int32   `json:"max"`
	Observed int64   `json:"observed"`
}

func newTimesJSON(t domain.ResponseTimes) timesJSON {
	return timesJSON{P50: t.P50, P95: t.P95, P99: t.P99, Avg: t.Average, Min: t.Min, Max: t.Max, Observed: t.Observed}
}

type latencyPointJSON struct {
	Timestamp string `json:"timestamp"`
	timesJSON
}

type latencyJSON struct {
	Overall  timesJSON            `json:"overall"`
	ByTool   map[string]timesJSON `json:"by_tool"`
	Timeline []latencyPointJSON   `json:"timeline"`
}

func newLatencyJSON(l *domain.LatencyReport) latencyJSON {
	return latencyJSON{
		Overall: newTimesJSON(l.Overall),
		ByTool:  eachNamed(l.ByTool, newTimesJSON),
		Timeline: each(l.Timeline, func(p *domain.LatencyPoint) latencyPointJSON {
			return latencyPointJSON{instant(p.Bucket), newTimesJSON(p.ResponseTimes)}
		}),
	}
}

type toolCacheJSON struct {
	HitRate float64 `json:"hit_rate"`
	Hits    int64   `json:"hits"`
	Misses  int64   `json:"misses"`
}

type cacheJSON struct {
	HitRate       float64                  `json:"hit_rate"`
	TotalRequests int64                    `json:"total_requests"`
	CacheHits     int64                    `json:"cache_hits"`
	CacheMisses   int64                    `json:"cache_misses"`
	SavedRequests int64                    `json:"saved_requests"`
	ByTool        map[string]toolCacheJSON `json:"by_tool"`
}

func newCacheJSON(r *domain.CacheReport) cacheJSON {
	return cacheJSON{
		HitRate:       r.HitPercentage(),
		TotalRequests: r.Observed(),
		CacheHits:     r.Hits,
		CacheMisses:   r.Misses,
		SavedRequests: r.Hits, // what the cache answered, no service was asked
		ByTool: eachNamed(r.ByTool, func(c domain.CacheUse) toolCacheJSON {
			return toolCacheJSON{HitRate: c.HitPercentage(), Hits: c.Hits, Misses: c.Misses}
		}),
	}
}

type retriesJSON struct {
	Total       int64   `json:"total"`
	Observed    int64   `json:"observed"`
	Average     float64 `json:"average"`
	Retried     int64   `json:"retried"`
	RetriedRate float64 `json:"retried_rate"`
}

type performanceJSON struct {
	windowJSON
	latencyJSON

	Cache               cacheJSON     `json:"cache"`
	Services            []serviceJSON `json:"services"`
	CallsWithoutService int64         `json:"calls_without_service"`
	Retries             retriesJSON   `json:"retries"`
}

func newPerformanceJSON(p *domain.Performance) performanceJSON {
	return performanceJSON{
		windowJSON:          newWindowJSON(p.Coverage),
		latencyJSON:         newLatencyJSON(&p.LatencyReport),
		Cache:               newCacheJSON(&p.Cache),
		Services:            each(p.Services.Services, newServiceJSON),
		CallsWithoutService: p.Services.Without,
		Retries: retriesJSON{
			Total: p.Retries.Total, Observed: p.Retries.Observed, Average: p.Retries.Average,
			Retried: p.Retries.Retried, RetriedRate: p.Retries.RetriedRate,
		},
	}
}
