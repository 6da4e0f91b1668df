package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/httpapi"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

func TestRefusals(t *testing.T) {
	driver := errors.New("dial tcp 10.9.8.7:5432: connection refused")
	post := func(body string) func(*testing.T, *service) *httptest.ResponseRecorder {
		return func(t *testing.T, s *service) *httptest.ResponseRecorder {
			t.Helper()
			return s.do(t, http.MethodPost, "/v1/events", body)
		}
	}
	ask := func(method, path string) func(*testing.T, *service) *httptest.ResponseRecorder {
		return func(t *testing.T, s *service) *httptest.ResponseRecorder {
			t.Helper()
			return s.do(t, method, path, "")
		}
	}
	tests := map[string]struct {
		setup  setup
		ask    func(*testing.T, *service) *httptest.ResponseRecorder
		status int
		// code is logged; the answer has its own.
		code, level string
		header      map[string]string
	}{
		"refused-events":    {ask: post(batch(badEvent, badEvent)), status: 400, code: "validation_failed", level: "INFO"},
		"refused-body":      {ask: post("{"), status: 400, code: "validation_failed", level: "INFO"},
		"refused-empty":     {ask: post(batch()), status: 400, code: "validation_failed", level: "INFO"},
		"refused-number":    {ask: post(strings.Repeat("9", 40)), status: 400, code: "validation_failed", level: "INFO"},
		"refused-parameter": {ask: ask("GET", "/v1/stats/all?period=1y"), status: 400, code: "validation_failed", level: "INFO"},
		"not-found":         {ask: ask("GET", "/v1/nothing"), status: 404, code: "not_found", level: "INFO"},
		"not-found-slash":   {ask: ask("GET", "/v1/catalogue/"), status: 404, code: "not_found", level: "INFO"},
		"not-found-tool":    {ask: ask("GET", "/v1/stats/tool/no_such"), status: 404, code: "not_found", level: "INFO"},
		"method-get": {
			ask: ask("GET", "/v1/events"), status: 405, code: "method_not_allowed", level: "INFO",
			header: map[string]string{"Allow": "POST"},
		},
		"method-post": {
			ask: ask("POST", "/v1/catalogue"), status: 405, code: "method_not_allowed", level: "INFO",
			header: map[string]string{"Allow": "GET, HEAD"},
		},
		"too-large":   {ask: post(padded("", 200<<10)), status: 413, code: "payload_too_large", level: "INFO"},
		"unsupported": {ask: unsupported, status: 415, code: "unsupported_media_type", level: "INFO"},
		"forbidden":   {ask: foreign, status: 403, code: "forbidden", level: "INFO"},
		"queue-full": {
			setup: setup{maxQueue: 1}, ask: post(batch(goodEvent, goodEvent)),
			status: 503, code: "queue_full", level: "WARN", header: map[string]string{"Retry-After": "5"},
		},
		"queue-down": {
			setup: setup{queue: failing(domain.NewError(domain.CodeUnavailable, driver, "the queue cannot be written"))},
			ask:   post(batch(goodEvent)), status: 503, code: "service_unavailable", level: "WARN",
			header: map[string]string{"Retry-After": "5"},
		},
		"queue-wrapped": {
			setup: setup{queue: failing(fmt.Errorf("enqueue: %w", domain.NewError(domain.CodeUnavailable, driver, "the queue cannot be written")))},
			ask:   post(batch(goodEvent)), status: 503, code: "service_unavailable", level: "WARN",
			header: map[string]string{"Retry-After": "5"},
		},
		"disk-full": {
			setup: setup{queue: failing(domain.NewError(domain.CodeDiskFull, driver, "the disk has no room: try again later"))},
			ask:   post(batch(goodEvent)), status: 503, code: "disk_full", level: "WARN",
			header: map[string]string{"Retry-After": "60"},
		},
		"unclassified": {
			setup: setup{queue: failing(driver)}, ask: post(batch(goodEvent)), status: 500, code: "internal_error", level: "ERROR",
		},
		"internal-message": {
			setup: setup{queue: failing(domain.NewError(domain.CodeInternal, driver, "row 17 of 10.9.8.7 is damaged"))},
			ask:   post(batch(goodEvent)), status: 500, code: "internal_error", level: "ERROR",
		},
		"poison": {
			setup: setup{queue: failing(domain.NewError(domain.CodePoison, driver, "batch"))},
			ask:   post(batch(goodEvent)), status: 500, code: "poison_batch", level: "ERROR",
		},
		"unknown-code": {
			setup: setup{queue: failing(domain.NewError("brand_new", driver, "surprise"))},
			ask:   post(batch(goodEvent)), status: 500, code: "brand_new", level: "ERROR",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newService(test.setup)
			answer := test.ask(t, s)
			checkStatus(t, answer, test.status)
			checkGolden(t, "refusal-"+name, answer.Body.Bytes())
			checkHeader(t, answer.Header(), "Content-Type", "application/json; charset=utf-8")
			checkHeader(t, answer.Header(), "Cache-Control", "no-store")
			for name, want := range test.header {
				checkHeader(t, answer.Header(), name, want)
			}
			if strings.Contains(answer.Body.String(), "10.9.8.7") {
				t.Errorf("the driver's text shows: %s", answer.Body)
			}
			line := s.log.line(t)
			if line["code"] != test.code || line["level"] != test.level {
				t.Errorf("logged %v at %v, want %v at %v", line["code"], line["level"], test.code, test.level)
			}
			if cause := line["error"]; (cause != nil) != (test.status >= 500) {
				t.Errorf("cause %v logged with status %d", cause, test.status)
			}
			if got := s.queued(t); got != 0 {
				t.Errorf("%d events queued, want none", got)
			}
		})
	}
}

func unsupported(t *testing.T, s *service) *httptest.ResponseRecorder {
	t.Helper()
	return s.do(t, http.MethodPost, "/v1/events", batch(goodEvent), "Content-Type", "text/plain")
}

func foreign(t *testing.T, s *service) *httptest.ResponseRecorder {
	t.Helper()
	return s.do(t, http.MethodPost, "/v1/events", batch(goodEvent), "Origin", "https://evil.example")
}

func TestPanicIsAnswered(t *testing.T) {
	tests := map[string]struct {
		panics func(context.Context) error
		logged string
	}{
		"with data":     {func(context.Context) error { panic("canary " + goodEvent) }, "string at "},
		"with an error": {func(context.Context) error { panic(errors.New("canary")) }, "*errors.errorString at "},
		"of the runtime": {func(context.Context) error {
			var queue *domain.Batch
			return errors.New(string(queue.ID))
		}, "invalid memory address or nil pointer dereference at "},
		// The number may be a client's.
		"of the runtime, with a number": {func(ctx context.Context) error {
			telephone := 555_123_4567
			return []error{ctx.Err()}[telephone]
		}, "index out of range [n] with length n at "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newService(setup{queue: brokenQueue(test.panics)})
			answer := s.do(t, http.MethodPost, "/v1/events", batch(goodEvent))
			checkStatus(t, answer, http.StatusInternalServerError)
			checkGolden(t, "refusal-panic", answer.Body.Bytes())
			line := s.log.line(t)
			cause, _ := line["error"].(string)
			if !strings.Contains(cause, test.logged) || !strings.Contains(cause, "httpapi_test.TestPanicIsAnswered") {
				t.Errorf("logged %q, want %q and the function that panicked", cause, test.logged)
			}
			if !strings.Contains(cause, " < github.com/weather-mcp/weather-mcp-analytics/app.(*Ingest).Submit:") {
				t.Errorf("logged %q, want the callers too", cause)
			}
			if strings.Contains(s.log.String(), "canary") || strings.Contains(cause, "555") {
				t.Errorf("the panic's value is in the log: %s", s.log)
			}
		})
	}
}

// brokenWriter panics when the body is written, after the status went out.
type brokenWriter struct{ http.ResponseWriter }

func (brokenWriter) Write([]byte) (int, error) { panic("canary") }

func TestPanicAmidTheAnswerBreaksItOff(t *testing.T) {
	s := newService(setup{})
	defer func() {
		if cause, ok := recover().(error); !ok || !errors.Is(cause, http.ErrAbortHandler) {
			t.Errorf("panic is %v, want http.ErrAbortHandler", cause)
		}
		if line := s.log.line(t); line["code"] != "internal_error" {
			t.Errorf("logged %v, want internal_error", line)
		}
	}()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/catalogue", http.NoBody)
	s.ServeHTTP(brokenWriter{httptest.NewRecorder()}, request)
}

func TestSlowWorkIsUnavailable(t *testing.T) {
	s := newService(setup{
		config: httpapi.Config{RequestTimeout: time.Millisecond},
		queue: brokenQueue(func(ctx context.Context) error {
			<-ctx.Done()
			return fmt.Errorf("enqueue: %w", ctx.Err())
		}),
	})
	answer := s.do(t, http.MethodPost, "/v1/events", batch(goodEvent))
	checkStatus(t, answer, http.StatusServiceUnavailable)
	checkHeader(t, answer.Header(), "Retry-After", "5")
}

func TestClientThatHangsUpIsNoFault(t *testing.T) {
	tests := map[string]func(t *testing.T, c *net.TCPConn){
		"amid the body": func(t *testing.T, c *net.TCPConn) {
			t.Helper()
			_, _ = io.WriteString(c, "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"ev")
			_ = c.SetLinger(0) // resets the connection
		},
		"amid the work": func(t *testing.T, c *net.TCPConn) {
			t.Helper()
			body := batch(goodEvent)
			_, _ = fmt.Fprintf(c, "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		},
	}
	for name, hangUp := range tests {
		t.Run(name, func(t *testing.T) {
			s := newService(setup{queue: brokenQueue(func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			})})
			server := serve(t, s)
			c, err := net.DialTimeout("tcp", server.Listener.Addr().String(), time.Second)
			if err != nil {
				t.Fatal(err)
			}
			hangUp(t, c.(*net.TCPConn))
			_ = c.Close()
			eventually(t, func() bool { return s.log.String() != "" })
			line := s.log.line(t)
			if status, _ := line["status"].(float64); status >= 500 || line["level"] != "INFO" {
				t.Errorf("logged as a fault of ours: %v", line)
			}
		})
	}
}

// A client that stops in the middle of its body and waits learns why.
func TestTruncatedBody(t *testing.T) {
	s := newService(setup{})
	server := serve(t, s)
	c, err := net.DialTimeout("tcp", server.Listener.Addr().String(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = io.WriteString(c, "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"ev")
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 400 ")) {
		t.Errorf("answered %q, %v", answer, err)
	}
}

// A body that does not arrive in time is the client's fault.
func TestSlowBody(t *testing.T) {
	s := newService(setup{})
	server := httptest.NewUnstartedServer(s)
	server.Config.ReadTimeout = 50 * time.Millisecond
	server.Start()
	t.Cleanup(server.Close)
	c, err := net.DialTimeout("tcp", server.Listener.Addr().String(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = io.WriteString(c, "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"ev")
	answer, _ := io.ReadAll(c)
	if !bytes.HasPrefix(answer, []byte("HTTP/1.1 408 ")) {
		t.Errorf("answered %q", answer)
	}
}

// serve puts the service behind a real listener. Its client asks for no
// compression on its own.
func serve(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	transport, _ := server.Client().Transport.(*http.Transport)
	transport.DisableCompression = true
	t.Cleanup(server.Close)
	return server
}

// send asks a real listener; the answer is recorded whole.
func send(t *testing.T, server *httptest.Server, method, path string, body io.Reader) *httptest.ResponseRecorder {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	recorder := httptest.NewRecorder()
	maps.Copy(recorder.Header(), answer.Header)
	recorder.WriteHeader(answer.StatusCode)
	if _, err := io.Copy(recorder, answer.Body); err != nil {
		t.Fatal(err)
	}
	return recorder
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen within 5 s")
		}
	}
}
