package httpapi

import "github.com/weather-mcp/weather-mcp-analytics/app"

type statsHealthJSON struct {
	Status             app.Condition `json:"status"`
	UptimeSeconds      int64         `json:"uptime_seconds"`
	EventsProcessed24h int64         `json:"events_processed_24h"`
	// LastEventReceived is empty when there has been none.
	LastEventReceived string `json:"last_event_received"`
}

func newStatsHealthJSON(p app.PublicHealth) statsHealthJSON {
	health := statsHealthJSON{
		Status:             p.Condition,
		UptimeSeconds:      int64(p.Uptime.Seconds()),
		EventsProcessed24h: p.Events24h,
	}
	if !p.LastReceived.IsZero() {
		health.LastEventReceived = instant(p.LastReceived)
	}
	return health
}
