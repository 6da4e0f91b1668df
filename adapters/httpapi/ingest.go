package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

type ingestHandler struct {
	ingest  *app.Ingest
	explain *app.Explain
	// bodies are those of events, and tried those to explain: each has a gate of
	// its own.
	bodies, tried *bodies
}

const (
	eventsPath  = "/v1/events"
	explainPath = "/v1/events/explain"
)

func (h *ingestHandler) routes(r gin.IRoutes, wrap func(handlerFunc) gin.HandlerFunc) {
	r.POST(eventsPath, wrap(h.postEvents))
	r.POST(explainPath, wrap(h.postExplain))
}

type receiptJSON struct {
	Status        string          `json:"status"`
	Count         int             `json:"count"`
	Timestamp     string          `json:"timestamp"`
	Rejected      int             `json:"rejected,omitempty"`
	Errors        []violationJSON `json:"errors,omitempty"`
	ErrorsOmitted int             `json:"errors_omitted,omitempty"`
}

func (h *ingestHandler) postEvents(c *gin.Context) error {
	strict := preference(c.Request.Header.Values("Prefer"), "handling") == "strict"
	admission := admissionOf(c)
	err := h.bodies.with(c, func(body []byte) error {
		receipt, err := h.ingest.Submit(c.Request.Context(), app.Submission{
			Body:   body,
			Strict: strict,
			// Two keys become one with a space in it, which no key may have.
			IdempotencyKey: strings.Join(c.Request.Header.Values("Idempotency-Key"), ", "),
			Admit:          admission.admit,
		})
		// A strict repeat of a batch that was accepted in part is answered as that was.
		if strict && (err == nil && receipt.Refused == 0 || domain.CodeOf(err) == domain.CodeInvalid) {
			c.Header("Preference-Applied", "handling=strict")
		}
		if err != nil {
			return err
		}
		record := recordOf(c)
		record.accepted, record.refused = receipt.Accepted, receipt.Refused
		c.JSON(http.StatusOK, receiptJSON{
			Status:        "accepted",
			Count:         receipt.Accepted,
			Timestamp:     instant(receipt.AcceptedAt),
			Rejected:      receipt.Refused,
			Errors:        newViolationsJSON(receipt.Violations),
			ErrorsOmitted: receipt.Omitted,
		})
		return nil
	})
	return admission.settle(c.Request.Context(), err)
}

func (h *ingestHandler) postExplain(c *gin.Context) error {
	admission := admissionOf(c)
	var answer []byte
	err := h.tried.with(c, func(body []byte) error {
		explanations, err := h.explain.Batch(body)
		if err != nil {
			return err
		}
		if err := admission.admit(c.Request.Context(), len(explanations)); err != nil {
			return err
		}
		answer, err = encodeExplanations(explanations)
		return err
	})
	if err != nil {
		return admission.settle(c.Request.Context(), err)
	}
	// Who reads slowly holds no place in the gate, but the memory.
	if !connectionOf(c.Request.Context()).hold(int64(len(answer))) {
		return domain.NewError(domain.CodeUnavailable, errNoRoom, busySentence)
	}
	c.Data(http.StatusOK, jsonType, answer)
	return nil
}

func encodeExplanations(explanations []app.Explanation) ([]byte, error) {
	answer := explanationsJSON{Events: make([]explanationJSON, len(explanations))}
	for i := range explanations {
		answer.Events[i] = newExplanationJSON(&explanations[i])
	}
	data, err := json.Marshal(answer)
	if err != nil {
		return nil, fmt.Errorf("encode explanations: %w", err)
	}
	return data, nil
}

type explanationsJSON struct {
	Events []explanationJSON `json:"events"`
}

type explanationJSON struct {
	Index    int  `json:"index"`
	Accepted bool `json:"accepted"`
	// SameAs stands alone.
	SameAs        *int            `json:"same_as,omitempty"`
	Errors        []violationJSON `json:"errors,omitempty"`
	ErrorsOmitted int             `json:"errors_omitted,omitempty"`
	// What follows is there for accepted events only: aggregates in one of three
	// ways.
	Stored            *EventJSON    `json:"stored,omitempty"`
	RawDeletedAt      string        `json:"raw_deleted_at,omitempty"`
	Aggregates        []countedJSON `json:"aggregates,omitempty"`
	AggregatesSameAs  *int          `json:"aggregates_same_as,omitempty"`
	AggregatesOmitted bool          `json:"aggregates_omitted,omitempty"`
}

type countedJSON struct {
	Table      app.AggregateKind `json:"table"`
	Resolution domain.Resolution `json:"resolution"`
	Bucket     string            `json:"bucket"`
	// Dimensions maps each dimension that the aggregate tells apart to the
	// event's value, empty where the event has none.
	Dimensions map[string]string `json:"dimensions"`
	ErrorType  string            `json:"error_type,omitempty"`
	DeletedAt  string            `json:"deleted_at"`
}

func newExplanationJSON(e *app.Explanation) explanationJSON {
	body := explanationJSON{
		Index:             e.Index,
		Accepted:          e.Accepted,
		SameAs:            present(e.SameAs),
		ErrorsOmitted:     e.Omitted,
		RawDeletedAt:      instantOrNone(e.RawDeletedAt),
		AggregatesSameAs:  present(e.CountedAs),
		AggregatesOmitted: e.CountedOmitted,
	}
	for _, v := range newViolationsJSON(e.Violations) {
		v.Index = nil // the explanation has it
		body.Errors = append(body.Errors, v)
	}
	if e.Event != nil {
		body.Stored = NewEventJSON(e.Event)
	}
	for _, counted := range e.Counted {
		body.Aggregates = append(body.Aggregates, newCountedJSON(counted))
	}
	return body
}

func newCountedJSON(counted app.Counted) countedJSON {
	dimensions := map[string]string{}
	for _, d := range domain.Dimensions() {
		if counted.Group.Grain.Has(d) {
			dimensions[d.String()] = counted.Group.Value(d)
		}
	}
	return countedJSON{
		Table:      counted.Kind,
		Resolution: counted.Resolution,
		Bucket:     instant(counted.Bucket),
		Dimensions: dimensions,
		ErrorType:  counted.ErrorType,
		DeletedAt:  instant(counted.DeletedAt),
	}
}
