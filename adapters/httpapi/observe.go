package httpapi

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// requestIDHeader carries the request id both ways.
const requestIDHeader = "X-Request-Id"

// record gathers what is logged of one request.
type record struct {
	id   string
	code domain.Code
	err  error
	// accepted and refused count events; both are 0 where none were sent.
	accepted, refused int
	// quiet marks requests that are repeated all day, or without limit.
	quiet bool
}

type recordKey struct{}

func recordOf(c *gin.Context) *record {
	r, ok := c.Request.Context().Value(recordKey{}).(*record)
	if !ok {
		return &record{}
	}
	return r
}

// observe stands around every request: it gives it an id and a deadline, sets
// the headers that every answer has, survives a panic and writes one line.
func (s *Server) observe(c *gin.Context) {
	start := time.Now()
	r := &record{id: requestID(c.GetHeader(requestIDHeader))}
	setHeaders(c.Writer.Header(), r.id)
	secure(c.Writer.Header(), c.Request)
	ctx := context.WithValue(c.Request.Context(), recordKey{}, r)
	ctx, cancel := context.WithTimeout(ctx, s.config.RequestTimeout)
	defer cancel()
	c.Request = c.Request.WithContext(ctx)

	abort := protect(c)
	s.write(c, r, time.Since(start))
	if abort {
		panic(http.ErrAbortHandler) // net/http closes the connection, silently
	}
}

// wellFormedID knows the forms that machines make and nobody writes: 32
// hexadecimal digits (nginx) and UUIDs. Free text, and 26 letters are that,
// could carry anything into a log.
var wellFormedID = regexp.MustCompile(`^(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$`)

// requestID keeps the id that a client or proxy gave, if it is well-formed.
func requestID(given string) string {
	if wellFormedID.MatchString(given) {
		return given
	}
	return rand.Text()
}

// write logs the request.
func (s *Server) write(c *gin.Context, r *record, took time.Duration) {
	status := c.Writer.Status()
	attributes := []slog.Attr{
		slog.String("request_id", r.id),
		slog.String("method", knownMethod(c.Request.Method)),
		slog.String("route", cmp.Or(c.FullPath(), "unmatched")),
		slog.Int("status", status),
		slog.Float64("duration_ms", milliseconds(took)),
		slog.Int("bytes", max(c.Writer.Size(), 0)),
	}
	if r.accepted+r.refused > 0 {
		attributes = append(attributes, slog.Int("accepted", r.accepted), slog.Int("refused", r.refused))
	}
	if r.code != "" {
		attributes = append(attributes, slog.String("code", string(r.code)))
	}
	// Causes below 500 may quote what the client sent.
	if r.err != nil && status >= http.StatusInternalServerError {
		attributes = append(attributes, slog.String("error", r.err.Error()))
	}
	s.log.LogAttrs(c.Request.Context(), severity(status, r), "request", attributes...)
}

func severity(status int, r *record) slog.Level {
	switch {
	case status >= http.StatusInternalServerError && status != http.StatusServiceUnavailable:
		return slog.LevelError
	case r.quiet:
		return slog.LevelDebug
	case status == http.StatusServiceUnavailable:
		return slog.LevelWarn
	default:
		return slog.LevelInfo
	}
}

var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
	http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace,
}

// knownMethod keeps words of the client's own making out of the log.
func knownMethod(method string) string {
	if slices.Contains(methods, method) {
		return method
	}
	return "other"
}
