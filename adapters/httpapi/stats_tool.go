package httpapi

import (
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

type shortToolJSON struct {
	Name                  string  `json:"name"`
	Calls                 int64   `json:"calls"`
	SuccessRate           float64 `json:"success_rate"`
	AvgResponseTimeMS     float64 `json:"avg_response_time_ms"`
	ResponseTimesObserved int64   `json:"response_times_observed"`
}

func newShortToolJSON(t *domain.ToolSummary) shortToolJSON {
	return shortToolJSON{
		Name:                  t.Name,
		Calls:                 t.Calls,
		SuccessRate:           t.SuccessRate,
		AvgResponseTimeMS:     t.ResponseTimes.Average,
		ResponseTimesObserved: t.ResponseTimes.Observed,
	}
}

type toolJSON struct {
	shortToolJSON

	Errors            int64   `json:"errors"`
	P50               float64 `json:"p50"`
	P95               float64 `json:"p95"`
	P99               float64 `json:"p99"`
	MinResponseTimeMS int32   `json:"min_response_time_ms"`
	MaxResponseTimeMS int32   `json:"max_response_time_ms"`
	CacheHitRate      float64 `json:"cache_hit_rate"`
	CacheObserved     int64   `json:"cache_observed"`
}

type toolsJSON struct {
	windowJSON

	Tools []toolJSON `json:"tools"`
	pageJSON
}

func newToolsJSON(page *app.Page[domain.Tools]) toolsJSON {
	return toolsJSON{
		windowJSON: newWindowJSON(page.Report.Coverage),
		Tools:      each(page.Report.Tools, newToolJSON),
		pageJSON:   pageJSON{page.Next},
	}
}

func newToolJSON(t *domain.ToolSummary) toolJSON {
	return toolJSON{
		shortToolJSON:     newShortToolJSON(t),
		Errors:            t.Errors,
		P50:               t.ResponseTimes.P50,
		P95:               t.ResponseTimes.P95,
		P99:               t.ResponseTimes.P99,
		MinResponseTimeMS: t.ResponseTimes.Min,
		MaxResponseTimeMS: t.ResponseTimes.Max,
		CacheHitRate:      t.Cache.HitRate(),
		CacheObserved:     t.Cache.Observed(),
	}
}

type callPointJSON struct {
	Timestamp             string  `json:"timestamp"`
	Calls                 int64   `json:"calls"`
	Errors                int64   `json:"errors"`
	SuccessRate           float64 `json:"success_rate"`
	AvgResponseTimeMS     float64 `json:"avg_response_time_ms"`
	ResponseTimesObserved int64   `json:"response_times_observed"`
}

func newCallPointJSON(p *domain.CallPoint) callPointJSON {
	return callPointJSON{
		Timestamp:             instant(p.Bucket),
		Calls:                 p.Calls,
		Errors:                p.Errors,
		SuccessRate:           p.SuccessRate,
		AvgResponseTimeMS:     p.ResponseTimes.Average,
		ResponseTimesObserved: p.ResponseTimes.Observed,
	}
}

type percentilesJSON struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

// toolDetailJSON has the tool's summary at the top level, where the dashboard
// looks for it. Its errors are a list and their number is error_count.
type toolDetailJSON struct {
	windowJSON
	shortToolJSON

	ErrorCount          int64           `json:"error_count"`
	MinResponseTimeMS   int32           `json:"min_response_time_ms"`
	MaxResponseTimeMS   int32           `json:"max_response_time_ms"`
	CacheHitRate        float64         `json:"cache_hit_rate"`
	CacheObserved       int64           `json:"cache_observed"`
	Percentiles         percentilesJSON `json:"percentiles"`
	DailyData           []callPointJSON `json:"daily_data"`
	Versions            []versionJSON   `json:"versions"`
	Countries           []countryJSON   `json:"countries"`
	CallsWithoutCountry int64           `json:"calls_without_country"`
	Services            []serviceJSON   `json:"services"`
	CallsWithoutService int64           `json:"calls_without_service"`
	Errors              []errorJSON     `json:"errors"`
}

func newToolDetailJSON(t *domain.ToolDetail) toolDetailJSON {
	geo := newGeoJSON(&t.Countries)
	return toolDetailJSON{
		windowJSON:        newMixedWindowJSON(t.Coverage),
		shortToolJSON:     newShortToolJSON(&t.ToolSummary),
		ErrorCount:        t.Errors,
		MinResponseTimeMS: t.ResponseTimes.Min,
		MaxResponseTimeMS: t.ResponseTimes.Max,
		CacheHitRate:      t.Cache.HitRate(),
		CacheObserved:     t.Cache.Observed(),
		Percentiles:       percentilesJSON{t.ResponseTimes.P50, t.ResponseTimes.P95, t.ResponseTimes.P99},
		DailyData:         each(t.Series, newCallPointJSON),
		Versions: each(t.Versions, func(s *domain.VersionShare) versionJSON {
			return versionJSON{Version: s.Version, Calls: s.Calls, Percentage: s.Percentage}
		}),
		Countries:           geo.Countries,
		CallsWithoutCountry: geo.CallsWithoutCountry,
		Services:            each(t.Services.Services, newServiceJSON),
		CallsWithoutService: t.Services.Without,
		Errors:              each(t.ErrorTypes, newErrorJSON),
	}
}
