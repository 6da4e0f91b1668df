package httpapi

import (
	"encoding/json"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// EventJSON is an event as the server keeps it, under the names that clients
// give its fields.
type EventJSON struct {
	Version        string          `json:"version"`
	Tool           string          `json:"tool"`
	Status         domain.Status   `json:"status"`
	TimestampHour  string          `json:"timestamp_hour"`
	AnalyticsLevel domain.Level    `json:"analytics_level"`
	ErrorType      string          `json:"error_type,omitempty"`
	ResponseTimeMS *int32          `json:"response_time_ms,omitempty"`
	Service        string          `json:"service,omitempty"`
	CacheHit       *bool           `json:"cache_hit,omitempty"`
	RetryCount     *int32          `json:"retry_count,omitempty"`
	Country        string          `json:"country,omitempty"`
	Parameters     json.RawMessage `json:"parameters,omitempty"`
	SessionID      string          `json:"session_id,omitempty"`
	SequenceNumber *int32          `json:"sequence_number,omitempty"`
}

// NewEventJSON takes any event, also one that cannot be stored: parameters that
// are no JSON become a JSON string.
func NewEventJSON(e *domain.Event) *EventJSON {
	return &EventJSON{
		Version:        e.Version,
		Tool:           e.Tool,
		Status:         e.Status,
		TimestampHour:  instant(e.Hour),
		AnalyticsLevel: e.Level,
		ErrorType:      e.ErrorType,
		ResponseTimeMS: present(e.ResponseTimeMS),
		Service:        e.Service,
		CacheHit:       present(e.CacheHit),
		RetryCount:     present(e.RetryCount),
		Country:        e.Country,
		Parameters:     parametersJSON(e.Parameters),
		SessionID:      e.SessionID,
		SequenceNumber: present(e.SequenceNumber),
	}
}

func parametersJSON(text string) json.RawMessage {
	if text == "" || json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	quoted, _ := json.Marshal(text) // strings always can be encoded
	return quoted
}

func present[T any](o domain.Optional[T]) *T {
	if !o.Valid {
		return nil
	}
	return &o.Value
}
