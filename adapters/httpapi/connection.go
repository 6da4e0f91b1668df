package httpapi

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// connection knows what its client takes and whether it is waited for. The
// table's lock guards what changes.
type connection struct {
	net.Conn

	table  *Connections
	client uint64

	place int
	gone  bool
	bytes int64
	// ended is set when nothing more comes from the client.
	ended bool
	// crowded is set when there was no room for a header.
	crowded bool
	// handling is set from the end of a request's header to the end of its
	// answer.
	handling bool
	// awaiting is set while the server can do nothing but wait for the client.
	awaiting bool
	// since is when the client began what it is doing: connecting, a request
	// or a pause.
	since time.Time
}

var (
	errNoRoom    = errors.New("there is no room for what clients send")
	errBrokenOff = errors.New("the client broke off, and is owed no answer")
)

// Read counts header bytes; bodies are counted by who keeps them.
func (c *connection) Read(p []byte) (int, error) {
	// While a handler works, net/http reads a single byte to learn whether the
	// client hangs up.
	if len(p) == 1 {
		return c.Conn.Read(p)
	}
	c.await(true)
	n, err := c.Conn.Read(p)
	if !c.received(n, err) {
		return 0, errNoRoom
	}
	return n, err
}

// Write puts a refusal of ours in place of the plain text with which net/http
// answers what it cannot read as a request.
func (c *connection) Write(p []byte) (int, error) {
	c.await(true)
	defer c.await(false)
	status, ok := c.unread(p)
	switch {
	case !ok:
		return c.Conn.Write(p)
	case status == statusClientGone:
		return 0, errBrokenOff
	}
	if _, err := c.Conn.Write(c.table.refusalOf(status)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// CloseWrite begins the pause that net/http makes before it hangs up on a client
// that may still be sending. Nothing is kept for the client any more.
func (c *connection) CloseWrite() error {
	c.rest()
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close frees what the client took.
func (c *connection) Close() error {
	c.table.mu.Lock()
	c.table.remove(c)
	c.table.mu.Unlock()
	return c.Conn.Close()
}

func (c *connection) await(awaiting bool) {
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	c.awaiting = awaiting
}

// begin marks that the header is complete, and counts it for what it is. It
// reports false for a connection that was closed before: who sends the request
// again must not have it counted twice.
func (c *connection) begin(header http.Header) bool {
	bytes := int64(connectionBytes)
	for name, values := range header {
		bytes += int64(len(name)) + fieldBytes
		for _, value := range values {
			bytes += int64(len(value)) + valueBytes
		}
	}
	open := c == nil
	c.change(func() {
		open = true
		// A pipelined request was there before it was waited for.
		c.awaiting, c.handling, c.since = false, true, time.Now()
		c.table.add(c, bytes-c.bytes)
	})
	return open
}

// rest marks that the answer is complete; what comes next begins from nothing.
func (c *connection) rest() {
	c.change(func() {
		c.handling, c.awaiting, c.since = false, true, time.Now()
		c.table.add(c, connectionBytes-c.bytes)
	})
}

func (c *connection) change(do func()) {
	if c == nil {
		return
	}
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	if !c.gone {
		do()
	}
}

// received ends the wait for n bytes, and reports whether there is room for
// them.
func (c *connection) received(n int, err error) bool {
	fits := true
	c.change(func() {
		c.awaiting, c.ended = false, err != nil
		if !c.handling {
			fits = c.table.grow(c, int64(n)*headerFactor)
			c.crowded = !fits
		}
	})
	return fits
}

// hold counts bytes that are kept for the client until the end of the answer,
// and reports whether there is room for them.
func (c *connection) hold(bytes int64) bool {
	fits := true
	c.change(func() { fits = c.table.grow(c, bytes) })
	return fits
}

// unread reports whether p is net/http's answer to something that is no request,
// and the status to answer instead: [statusClientGone] for nothing, when it was
// never sent to its end.
func (c *connection) unread(p []byte) (status int, ok bool) {
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	const code = len("HTTP/1.1 ")
	if c.handling || c.gone || len(p) < code+3 {
		return 0, false
	}
	status, err := strconv.Atoi(string(p[code : code+3]))
	switch {
	case err != nil || status < http.StatusBadRequest:
		return 0, false
	case c.ended:
		return statusClientGone, true
	case c.crowded:
		c.table.countRefused()
		return http.StatusServiceUnavailable, true
	default:
		c.table.countMalformed()
		return status, true
	}
}

// refusalOf makes the answer to something that no handler sees. It is logged as
// requests are that may come without end.
func (t *Connections) refusalOf(status int) []byte {
	body := refusalJSON{Error: codeMalformed, RequestID: rand.Text()}
	sentence := "this is no HTTP/1.1 request that can be read"
	switch status {
	case http.StatusRequestHeaderFieldsTooLarge:
		body.Error, sentence = codeHeaderTooLarge, "the header of the request is too long"
	case http.StatusNotImplemented:
		body.Error, sentence = codeNotImplemented, "the only Transfer-Encoding that is understood is chunked"
	case http.StatusExpectationFailed:
		body.Error, sentence = codeExpectationFailed, "the only Expect that is understood is 100-continue"
	case http.StatusHTTPVersionNotSupported:
		body.Error, sentence = codeVersionNotSupported, "only HTTP/1.1 is supported"
	case http.StatusServiceUnavailable:
		body.Error, body.RetryAfter, sentence = domain.CodeUnavailable, retrySeconds, busySentence
	}
	body.Details = []string{sentence}
	t.log.Debug("request", slog.String("request_id", body.RequestID), slog.String("route", "unread"),
		slog.Int("status", status), slog.String("code", string(body.Error)))
	return rawRefusal(status, body)
}

// turnAway answers before anything was read, and hangs up.
func (t *Connections) turnAway(c net.Conn) {
	_ = c.SetWriteDeadline(time.Now().Add(time.Second)) // the first bytes never block
	_, _ = c.Write(t.refusalOf(http.StatusServiceUnavailable))
	_ = c.Close()
}

// rawRefusal writes out by hand what net/http writes for handlers.
func rawRefusal(status int, body refusalJSON) []byte {
	text, err := json.Marshal(body)
	if err != nil {
		return nil // strings and numbers always marshal
	}
	header := http.Header{}
	setHeaders(header, body.RequestID)
	header.Set("Connection", "close")
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(text)))
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	if body.RetryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(body.RetryAfter))
	}
	var raw bytes.Buffer
	_, _ = fmt.Fprintf(&raw, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	_ = header.Write(&raw) // a buffer takes everything
	raw.WriteString("\r\n")
	raw.Write(text)
	return raw.Bytes()
}
