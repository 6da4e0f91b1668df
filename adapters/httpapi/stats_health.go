package httpapi

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/weather-mcp/weather-mcp-analytics/app"
)

// statsHealthJSON leaves out what is not known while queue or store do not
// answer. The website wants the first four members of every answer with 200.
type statsHealthJSON struct {
	Status        app.Condition `json:"status"`
	UptimeSeconds int64         `json:"uptime_seconds"`
	// EventsProcessed24h is EventsDated24h under the name that the website knows.
	EventsProcessed24h *int64 `json:"events_processed_24h,omitempty"`
	// LastEventReceived is empty when there has been none.
	LastEventReceived *string `json:"last_event_received,omitempty"`
	EventsDated24h    *int64  `json:"events_dated_24h,omitempty"`
}

func newStatsHealthJSON(p *app.PublicHealth) statsHealthJSON {
	health := statsHealthJSON{Status: p.Condition, UptimeSeconds: seconds(p.Uptime)}
	if p.Dated24h.Err == nil {
		health.EventsProcessed24h, health.EventsDated24h = &p.Dated24h.Value, &p.Dated24h.Value
	}
	if p.LastReceived.Err == nil {
		received := instantOrNone(p.LastReceived.Value)
		health.LastEventReceived = &received
	}
	return health
}

// health answers 503 when the pipeline is down, and 200 otherwise.
func (h *statsHandler) health(c *gin.Context) error {
	if _, err := parseStatsQuery(c.Request.URL.RawQuery, nil); err != nil {
		return err
	}
	public := h.status.Public(c.Request.Context())
	status := http.StatusOK
	if public.Condition == app.ConditionDown {
		status = http.StatusServiceUnavailable
	}
	c.JSON(status, newStatsHealthJSON(&public))
	return nil
}
