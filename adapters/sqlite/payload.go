package sqlite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// payloadFormat changes with the meaning of a queued payload.
const payloadFormat = 1

// payload is how the events of a batch wait in the queue. Its names are short,
// as every event repeats them.
type payload struct {
	Format int           `json:"format"`
	Events []queuedEvent `json:"events"`
}

type queuedEvent struct {
	Version        string        `json:"v"`
	Tool           string        `json:"t"`
	Status         domain.Status `json:"s"`
	Hour           int64         `json:"h"` // Unix seconds
	Level          domain.Level  `json:"l"`
	ErrorType      string        `json:"e,omitempty"`
	ResponseTimeMS *int32        `json:"ms,omitempty"`
	Service        string        `json:"sv,omitempty"`
	CacheHit       *bool         `json:"ch,omitempty"`
	RetryCount     *int32        `json:"rc,omitempty"`
	Country        string        `json:"c,omitempty"`
	Parameters     string        `json:"p,omitempty"`
	SessionID      string        `json:"id,omitempty"`
	SequenceNumber *int32        `json:"n,omitempty"`
}

func encodePayload(events []domain.Event) []byte {
	p := payload{Format: payloadFormat, Events: make([]queuedEvent, len(events))}
	for i := range events {
		p.Events[i] = newQueuedEvent(&events[i])
	}
	var data bytes.Buffer
	encoder := json.NewEncoder(&data)
	encoder.SetEscapeHTML(false) // six bytes for one
	_ = encoder.Encode(p)        // strings and numbers always can be encoded
	return data.Bytes()
}

func decodePayload(data []byte) ([]domain.Event, error) {
	var p payload
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("decode events: %w", err)
	}
	if p.Format != payloadFormat {
		return nil, fmt.Errorf("decode events: format %d is unknown", p.Format)
	}
	events := make([]domain.Event, len(p.Events))
	for i := range p.Events {
		events[i] = p.Events[i].event()
	}
	return events, nil
}

func newQueuedEvent(e *domain.Event) queuedEvent {
	return queuedEvent{
		Version:        e.Version,
		Tool:           e.Tool,
		Status:         e.Status,
		Hour:           e.Hour.Unix(),
		Level:          e.Level,
		ErrorType:      e.ErrorType,
		ResponseTimeMS: pointer(e.ResponseTimeMS),
		Service:        e.Service,
		CacheHit:       pointer(e.CacheHit),
		RetryCount:     pointer(e.RetryCount),
		Country:        e.Country,
		Parameters:     e.Parameters,
		SessionID:      e.SessionID,
		SequenceNumber: pointer(e.SequenceNumber),
	}
}

func (e *queuedEvent) event() domain.Event {
	return domain.Event{
		Version:        e.Version,
		Tool:           e.Tool,
		Status:         e.Status,
		Hour:           time.Unix(e.Hour, 0).UTC(),
		Level:          e.Level,
		ErrorType:      e.ErrorType,
		ResponseTimeMS: optional(e.ResponseTimeMS),
		Service:        e.Service,
		CacheHit:       optional(e.CacheHit),
		RetryCount:     optional(e.RetryCount),
		Country:        e.Country,
		Parameters:     e.Parameters,
		SessionID:      e.SessionID,
		SequenceNumber: optional(e.SequenceNumber),
	}
}

func pointer[T any](o domain.Optional[T]) *T {
	if !o.Valid {
		return nil
	}
	return &o.Value
}

func optional[T any](p *T) domain.Optional[T] {
	if p == nil {
		return domain.Optional[T]{}
	}
	return domain.Some(*p)
}
