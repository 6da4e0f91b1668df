package domain

// LatencyReport tells how long calls take.
type LatencyReport struct {
	Overall ResponseTimes
	// ByTool leaves out tools of which no call told a response time.
	ByTool map[string]ResponseTimes
	// Timeline leaves out such buckets and is ascending.
	Timeline []LatencyPoint
}

func (r *Reading) latency(tools []ToolSummary) LatencyReport {
	report := LatencyReport{
		Overall:  responseTimesOf(&r.total),
		ByTool:   make(map[string]ResponseTimes, len(tools)),
		Timeline: timeline(r.series()),
	}
	for _, t := range tools {
		if t.ResponseTimes.Observed > 0 {
			report.ByTool[t.Name] = t.ResponseTimes
		}
	}
	return report
}

// CacheReport tells what the clients' cache saves.
type CacheReport struct {
	CacheUse
	// ByTool leaves out tools of which no call said whether it was a hit.
	ByTool map[string]CacheUse
}

func (r *Reading) cache(tools []ToolSummary) CacheReport {
	report := CacheReport{
		CacheUse: CacheUse{r.total.CacheHits, r.total.CacheMisses},
		ByTool:   make(map[string]CacheUse, len(tools)),
	}
	for _, t := range tools {
		if t.Cache.Observed() > 0 {
			report.ByTool[t.Name] = t.Cache
		}
	}
	return report
}

// Performance tells how fast and how reliable the service is.
type Performance struct {
	Coverage Coverage
	LatencyReport
	Cache    CacheReport
	Services ServiceReport
	Retries  Retries
}

// Performance needs the breakdowns by tool and service.
func (r *Reading) Performance() Performance {
	tools := r.tools()
	return Performance{
		Coverage:      r.coverage,
		LatencyReport: r.latency(tools),
		Cache:         r.cache(tools),
		Services:      r.services(),
		Retries:       retriesOf(&r.total),
	}
}
