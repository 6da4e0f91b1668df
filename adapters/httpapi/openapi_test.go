package httpapi_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/httpapi"
	"github.com/weather-mcp/weather-mcp-analytics/api"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/openapi"
)

// TestMain fails when any exchange of any test was not as the document says.
func TestMain(m *testing.M) {
	code := m.Run()
	if found := departures.list(); len(found) > 0 {
		fmt.Fprintf(os.Stderr, "FAIL: api/openapi.yaml and the server disagree:\n\n%s\n", strings.Join(found, "\n"))
		code = max(code, 1)
	}
	os.Exit(code)
}

var document = sync.OnceValue(func() *openapi.Document {
	d, err := openapi.Load(api.Document())
	if err != nil {
		panic(err)
	}
	return d
})

// newServer returns a server that is held against the document, request by
// request. Tests make no other.
func newServer(u httpapi.UseCases, c *domain.Catalogue, log *slog.Logger, config httpapi.Config) checked {
	return checked{httpapi.New(u, c, log, config)}
}

// departures are the exchanges that were not as the document says. They are
// told at the end: some have no test that still waits for them.
var departures departureList

type departureList struct {
	mu    sync.Mutex
	found map[string]bool
}

func (l *departureList) add(e *openapi.Exchange, what string, err error) {
	if err == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.found == nil {
		l.found = make(map[string]bool)
	}
	l.found[fmt.Sprintf("%s of %.200s %.200s, %d: %v\n", what, e.Request.Method, e.Request.RequestURI, e.Status, err)] = true
}

func (l *departureList) list() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for text := range l.found {
		found = append(found, text)
	}
	return slices.Sorted(slices.Values(found))
}

// checked holds what goes through a handler against the document.
type checked struct{ *httpapi.Server }

func (h checked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	asked := r.Clone(r.Context())
	var sent bytes.Buffer
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.TeeReader(r.Body, &sent), r.Body}
	answer := &answerRecorder{ResponseWriter: w}
	h.Server.ServeHTTP(answer, r)
	checkExchange(&openapi.Exchange{
		Request: asked, Sent: sent.Bytes(),
		Status: answer.status, Header: answer.header, Received: answer.body.Bytes(),
	})
}

// checkExchange wants every answer as the document says, and every request that is not
// refused: what the server takes, the document must allow.
func checkExchange(e *openapi.Exchange) {
	if e.Status == statusClientGone {
		return // nobody was told
	}
	departures.add(e, "answer", document().CheckAnswer(e))
	if e.Status < 400 && !refusesEvents(e.Received) && e.Request.Method != http.MethodOptions {
		departures.add(e, "request", document().CheckRequest(e))
	}
}

const statusClientGone = 499

// refusesEvents reports whether an answer of status 200 refuses a part of what
// was sent.
func refusesEvents(answer []byte) bool {
	return bytes.Contains(answer, []byte(`"rejected":`)) || bytes.Contains(answer, []byte(`"accepted":false`))
}

// answerRecorder keeps what passes through it.
type answerRecorder struct {
	http.ResponseWriter

	status int
	header http.Header
	body   bytes.Buffer
}

func (r *answerRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *answerRecorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status, r.header = status, r.Header().Clone()
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *answerRecorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	r.body.Write(p)
	return r.ResponseWriter.Write(p)
}

// Every route is described, and every description has a route. HEAD goes
// without saying.
func TestDocumentHasExactlyTheRoutes(t *testing.T) {
	server := httpapi.New(httpapi.UseCases{}, domain.DefaultCatalogue(), slog.New(slog.DiscardHandler), httpapi.Config{})
	var routes []string
	for _, route := range server.Routes() {
		if !strings.HasPrefix(route, http.MethodHead+" ") {
			routes = append(routes, regexp.MustCompile(`:(\w+)`).ReplaceAllString(route, "{$1}"))
		}
	}
	slices.Sort(routes)
	described := document().Operations()
	for _, route := range routes {
		if !slices.Contains(described, route) {
			t.Errorf("%s is not described", route)
		}
	}
	for _, operation := range described {
		if !slices.Contains(routes, operation) {
			t.Errorf("%s is described and not there", operation)
		}
	}
}

func TestEveryServerIsChecked(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if file != "openapi_test.go" && bytes.Contains(source, []byte("httpapi.New(")) {
			t.Errorf("%s makes a server by httpapi.New, which nothing checks: use newServer", file)
		}
	}
}
