package httpapi

import "github.com/weather-mcp/weather-mcp-analytics/domain"

type summaryJSON struct {
	TotalCalls            int64   `json:"total_calls"`
	UniqueVersions        int64   `json:"unique_versions"`
	ActiveInstalls        int64   `json:"active_installs"`
	SuccessRate           float64 `json:"success_rate"`
	AvgResponseTimeMS     float64 `json:"avg_response_time_ms"`
	ResponseTimesObserved int64   `json:"response_times_observed"`
}

type overviewJSON struct {
	windowJSON

	Summary       summaryJSON      `json:"summary"`
	Tools         []shortToolJSON  `json:"tools"`
	Errors        []shortErrorJSON `json:"errors"`
	CacheHitRate  float64          `json:"cache_hit_rate"`
	CacheObserved int64            `json:"cache_observed"`
}

func newOverviewJSON(o *domain.Overview) overviewJSON {
	return overviewJSON{
		windowJSON: newMixedWindowJSON(o.Coverage),
		Summary: summaryJSON{
			TotalCalls:            o.Summary.Calls,
			UniqueVersions:        o.UniqueVersions,
			ActiveInstalls:        o.ActiveInstalls,
			SuccessRate:           o.Summary.SuccessRate,
			AvgResponseTimeMS:     o.Summary.ResponseTimes.Average,
			ResponseTimesObserved: o.Summary.ResponseTimes.Observed,
		},
		Tools:         each(o.Tools, newShortToolJSON),
		Errors:        each(o.Errors, newShortErrorJSON),
		CacheHitRate:  o.Summary.Cache.HitRate(),
		CacheObserved: o.Summary.Cache.Observed(),
	}
}

type allJSON struct {
	windowJSON

	Overview    overviewJSON     `json:"overview"`
	ToolUsage   []map[string]any `json:"toolUsage"`
	Performance latencyJSON      `json:"performance"`
	Errors      []shortErrorJSON `json:"errors"`
	Cache       cacheJSON        `json:"cache"`
	Services    mainServicesJSON `json:"services"`
	Geo         geoJSON          `json:"geo"`
}

type mainServicesJSON struct {
	NOAA      mainServiceJSON `json:"noaa"`
	OpenMeteo mainServiceJSON `json:"openMeteo"`
}

type mainServiceJSON struct {
	Calls       int64   `json:"calls"`
	Percentage  float64 `json:"percentage"`
	SuccessRate float64 `json:"success_rate"`
}

func newAllJSON(a *domain.All) allJSON {
	overview := newOverviewJSON(&a.Overview)
	return allJSON{
		windowJSON:  overview.windowJSON,
		Overview:    overview,
		ToolUsage:   each(a.ToolUsage, newToolUsageJSON),
		Performance: newLatencyJSON(&a.Performance),
		Errors:      overview.Errors,
		Cache:       newCacheJSON(&a.Cache),
		Services:    mainServicesJSON{newMainServiceJSON(a.NOAA), newMainServiceJSON(a.OpenMeteo)},
		Geo:         newGeoJSON(&a.Countries),
	}
}

// newToolUsageJSON gives a flat object: the dashboard draws every key but
// timestamp.
func newToolUsageJSON(u *domain.ToolUsage) map[string]any {
	point := make(map[string]any, len(u.Calls)+1)
	for tool, calls := range u.Calls {
		point[tool] = calls
	}
	point["timestamp"] = instant(u.Bucket)
	return point
}

func newMainServiceJSON(s domain.ServiceShare) mainServiceJSON {
	return mainServiceJSON{Calls: s.Calls, Percentage: s.Percentage, SuccessRate: s.SuccessRate}
}
