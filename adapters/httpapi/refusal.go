package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// Codes for what only HTTP can get wrong.
const (
	codeForbidden        domain.Code = "forbidden"
	codeMethodNotAllowed domain.Code = "method_not_allowed"
	codeRequestTimeout   domain.Code = "request_timeout"
	codePayloadTooLarge  domain.Code = "payload_too_large"
	codeUnsupportedMedia domain.Code = "unsupported_media_type"
	codeAddressTooLong   domain.Code = "uri_too_long"
	codeRateLimited      domain.Code = "rate_limit_exceeded"
	// codeClientGone is logged when nobody waits for the answer any more.
	codeClientGone domain.Code = "client_closed_request"
)

// Codes for what cannot be read as a request, which no handler sees.
const (
	codeMalformed           domain.Code = "malformed_request"
	codeHeaderTooLarge      domain.Code = "request_header_fields_too_large"
	codeExpectationFailed   domain.Code = "expectation_failed"
	codeNotImplemented      domain.Code = "not_implemented"
	codeVersionNotSupported domain.Code = "http_version_not_supported"
)

// statusClientGone has no name in the standard; proxies use it in their logs.
const statusClientGone = 499

// retrySeconds is how long a client should wait before it repeats a request
// that came at a bad time.
const retrySeconds = 5

// diskRetrySeconds is the same for a full disk, which takes a person to cure.
const diskRetrySeconds = 60

// busySentence tells the client that there was too much to do.
const busySentence = "the server is busy: try again later"

// refusal is how a code is answered.
type refusal struct {
	status int
	// code is the error member of the answer.
	code domain.Code
	// retryAfter is in seconds; 0 gives no advice.
	retryAfter int
}

var internalRefusal = refusal{http.StatusInternalServerError, domain.CodeInternal, 0}

var refusals = map[domain.Code]refusal{
	domain.CodeInvalid:              {http.StatusBadRequest, domain.CodeInvalid, 0},
	domain.CodeNotFound:             {http.StatusNotFound, domain.CodeNotFound, 0},
	domain.CodeUnavailable:          {http.StatusServiceUnavailable, domain.CodeUnavailable, retrySeconds},
	domain.CodeQueueFull:            {http.StatusServiceUnavailable, domain.CodeUnavailable, retrySeconds},
	domain.CodeDiskFull:             {http.StatusServiceUnavailable, domain.CodeUnavailable, diskRetrySeconds},
	domain.CodePoison:               internalRefusal,
	domain.CodeInternal:             internalRefusal,
	domain.CodeIdempotencyKeyReused: {http.StatusUnprocessableEntity, domain.CodeIdempotencyKeyReused, 0},
	codeForbidden:                   {http.StatusForbidden, codeForbidden, 0},
	codeMethodNotAllowed:            {http.StatusMethodNotAllowed, codeMethodNotAllowed, 0},
	codeRequestTimeout:              {http.StatusRequestTimeout, codeRequestTimeout, 0},
	codePayloadTooLarge:             {http.StatusRequestEntityTooLarge, codePayloadTooLarge, 0},
	codeUnsupportedMedia:            {http.StatusUnsupportedMediaType, codeUnsupportedMedia, 0},
	codeAddressTooLong:              {http.StatusRequestURITooLong, codeAddressTooLong, 0},
	codeRateLimited:                 {http.StatusTooManyRequests, codeRateLimited, retrySeconds},
	codeClientGone:                  {statusClientGone, codeClientGone, 0},
}

type refusalJSON struct {
	Error         domain.Code     `json:"error"`
	Details       []string        `json:"details,omitempty"`
	Errors        []violationJSON `json:"errors,omitempty"`
	ErrorsOmitted int             `json:"errors_omitted,omitempty"`
	RetryAfter    int             `json:"retry_after,omitempty"`
	RequestID     string          `json:"request_id,omitempty"`
}

type violationJSON struct {
	// Index is nil where there is no event to point to.
	Index   *int                 `json:"index,omitempty"`
	Field   string               `json:"field,omitempty"`
	Code    domain.ViolationCode `json:"code"`
	Message string               `json:"message"`
}

func newViolationsJSON(violations []domain.Violation) []violationJSON {
	bodies := make([]violationJSON, len(violations))
	for i, v := range violations {
		bodies[i] = violationJSON{Field: v.Field, Code: v.Code, Message: v.Message}
		if v.Index != domain.WholeBody {
			bodies[i].Index = &v.Index
		}
	}
	return bodies
}

// refuse answers err: the only place that turns errors into answers.
func refuse(c *gin.Context, err error) {
	err = classify(c.Request.Context(), err)
	record := recordOf(c)
	record.code, record.err = domain.CodeOf(err), err
	if c.Writer.Written() {
		return
	}
	answer, known := refusals[record.code]
	if !known {
		answer = internalRefusal
	}
	if wait, ok := errors.AsType[waitError](err); ok {
		answer.retryAfter = wholeSeconds(time.Duration(wait))
	}
	if answer.retryAfter > 0 {
		c.Header("Retry-After", strconv.Itoa(answer.retryAfter))
	}
	takeBack(c.Writer.Header())
	if answer.status == http.StatusRequestEntityTooLarge {
		c.Header("Connection", "close") // the rest of the body is drained
	}
	body := refusalJSON{Error: answer.code, RetryAfter: answer.retryAfter, RequestID: record.id}
	body.explain(err)
	c.JSON(answer.status, body)
}

// takeBack removes what a handler has already said of the answer that it
// failed to give.
func takeBack(h http.Header) {
	h.Set("Cache-Control", "no-store")
	for _, name := range []string{"Age", "Cache-Status", "Link"} {
		h.Del(name)
	}
}

// classify finds the reasons that lie in the request's own end.
func classify(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return domain.NewError(codeClientGone, err, "the client closed the connection")
	case errors.Is(err, context.DeadlineExceeded):
		return domain.NewError(domain.CodeUnavailable, err, "the answer took too long to make")
	default:
		return err
	}
}

// explain says what went wrong, in a sentence and field by field.
func (b *refusalJSON) explain(err error) {
	e, ok := errors.AsType[*domain.Error](err)
	if !ok || b.Error == domain.CodeInternal {
		b.Details = []string{domain.MessageOf(nil)}
		return
	}
	b.Details = []string{e.Message}
	b.Errors, b.ErrorsOmitted = newViolationsJSON(e.Violations), e.Omitted
}
