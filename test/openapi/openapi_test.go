package openapi_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/test/openapi"
)

const text = `
openapi: 3.1.0
x-every-answer:
  headers:
    Server: { required: true, schema: { enum: [here, there] }, example: here }
    Age: { schema: { const: 0 }, example: 0 }
  responses:
    "503":
      headers: { Retry-After: { required: true, schema: { type: integer }, example: 5 } }
      content: { application/json: { schema: { $ref: "#/components/schemas/Named" }, example: { name: busy } } }
paths:
  /things/{name}:
    get:
      parameters:
        - { name: name, in: path, required: true, schema: { pattern: "^[a-z/]+$" }, example: a }
        - { $ref: "#/components/parameters/Limit" }
      responses:
        "200":
          headers:
            ETag: { required: true, schema: { pattern: '^".*"$' }, example: '"1"' }
            Age: { schema: { type: integer }, example: 1 }
          content:
            application/json:
              schema: { $ref: "#/components/schemas/Thing" }
              examples: { one: { value: { name: a, part: { n: 1 } } } }
        "304": { description: not again }
  /things/all:
    post:
      requestBody:
        $ref: "#/components/requestBodies/Things"
      responses:
        "200": { description: done }
components:
  parameters:
    Limit: { name: limit, in: query, schema: { type: integer, maximum: 10 }, example: 1 }
  requestBodies:
    Things:
      content:
        application/json:
          schema: { type: object, required: [things], properties: { things: { type: array } } }
          example: { things: [], more: 1 }
  responses:
    NotFound:
      content: { text/plain: { schema: { const: nothing }, example: nothing } }
    MethodNotAllowed:
      headers: { Allow: { required: true, schema: { type: string }, example: GET } }
    RateLimitExceeded: { description: wait }
  schemas:
    Named: { type: object, required: [name], properties: { name: { type: string } } }
    Part: { type: object, properties: { n: { type: integer } } }
    Thing:
      type: object
      allOf: [{ $ref: "#/components/schemas/Named" }]
      properties: { part: { $ref: "#/components/schemas/Part" } }
`

func load(t *testing.T, text string) *openapi.Document {
	t.Helper()
	d, err := openapi.Load(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestOperations(t *testing.T) {
	if got, want := load(t, text).Operations(), []string{"GET /things/{name}", "POST /things/all"}; !slices.Equal(got, want) {
		t.Errorf("operations are %q, want %q", got, want)
	}
}

// answered is an exchange that is as the document says.
func answered() *openapi.Exchange {
	return &openapi.Exchange{
		Request:  httptest.NewRequest(http.MethodGet, "/things/a", http.NoBody),
		Status:   http.StatusOK,
		Header:   http.Header{"Content-Type": {"application/json; charset=utf-8"}, "Etag": {`"1"`}, "Server": {"here"}},
		Received: []byte(`{"name":"a","part":{"n":1}}`),
	}
}

// fromHere is a header, of pairs of name and value, with what every answer has.
func fromHere(pairs ...string) http.Header {
	h := http.Header{"Server": {"here"}}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

func TestCheckAnswer(t *testing.T) {
	tests := map[string]struct {
		change func(*openapi.Exchange)
		says   string
	}{
		"as described":         {func(*openapi.Exchange) {}, ""},
		"unknown status":       {func(e *openapi.Exchange) { e.Status = 202 }, "status 202 of GET /things/a is not described"},
		"missing header":       {func(e *openapi.Exchange) { e.Header.Del("ETag") }, "header ETag is missing"},
		"wrong header":         {func(e *openapi.Exchange) { e.Header.Set("ETag", "1") }, "header ETag: "},
		"number in a header":   {func(e *openapi.Exchange) { e.Header.Set("Age", "12") }, ""},
		"word for a number":    {func(e *openapi.Exchange) { e.Header.Set("Age", "old") }, "header Age: "},
		"unknown header":       {func(e *openapi.Exchange) { e.Header.Set("X-Secret", "1") }, "header X-Secret is not described"},
		"other media type":     {func(e *openapi.Exchange) { e.Header.Set("Content-Type", "text/html") }, "is not described"},
		"no JSON":              {func(e *openapi.Exchange) { e.Received = []byte("{") }, "body: "},
		"nothing":              {func(e *openapi.Exchange) { e.Received = nil }, "is not described|body: "},
		"missing member":       {func(e *openapi.Exchange) { e.Received = []byte(`{"part":{}}`) }, "missing property 'name'"},
		"unknown member":       {func(e *openapi.Exchange) { e.Received = []byte(`{"name":"a","more":1}`) }, "/more"},
		"unknown inner member": {func(e *openapi.Exchange) { e.Received = []byte(`{"name":"a","part":{"more":1}}`) }, "/part/more"},
		"null":                 {func(e *openapi.Exchange) { e.Received = []byte(`{"name":null}`) }, "/name"},
		"HEAD": {func(e *openapi.Exchange) {
			e.Request.Method, e.Received = http.MethodHead, nil
		}, ""},
		"304": {func(e *openapi.Exchange) { e.Status, e.Header, e.Received = 304, fromHere(), nil }, ""},
		"304 with a body": {func(e *openapi.Exchange) {
			e.Status, e.Header = 304, fromHere()
		}, "a body of 27 bytes is not described"},
		"unknown path": {func(e *openapi.Exchange) {
			e.Request.URL.Path, e.Status, e.Received = "/", 404, []byte("nothing")
			e.Header = fromHere("Content-Type", "text/plain")
		}, ""},
		"unknown path that is there": {func(e *openapi.Exchange) { e.Request.URL.Path = "/" }, "status 200 of GET / is not described"},
		"unknown path, unknown method": {func(e *openapi.Exchange) {
			e.Request.URL.Path, e.Status, e.Received, e.Header = "/", 405, nil, fromHere("Allow", "GET")
		}, "status 405 of GET / is not described"},
		"known path, not found": {func(e *openapi.Exchange) {
			e.Request.Method, e.Status, e.Received, e.Header = "PUT", 404, nil, fromHere()
		}, "status 404 of PUT /things/a is not described"},
		"unknown path, too often": {func(e *openapi.Exchange) {
			e.Request.URL.Path, e.Status, e.Received, e.Header = "/", 429, nil, fromHere()
		}, ""},
		"unknown method, too often": {func(e *openapi.Exchange) {
			e.Request.Method, e.Status, e.Received, e.Header = "PUT", 429, nil, fromHere()
		}, ""},
		"known, too often": {func(e *openapi.Exchange) { e.Status = 429 }, "status 429 of GET /things/a is not described"},
		"busy": {func(e *openapi.Exchange) {
			e.Status, e.Received, e.Header = 503, []byte(`{"name":"busy"}`), fromHere("Retry-After", "5", "Content-Type", "application/json")
		}, ""},
		"busy without advice": {func(e *openapi.Exchange) {
			e.Status, e.Received, e.Header = 503, []byte(`{"name":"busy"}`), fromHere("Content-Type", "application/json")
		}, "header Retry-After is missing"},
		"busy at an unknown path": {func(e *openapi.Exchange) {
			e.Request.URL.Path, e.Status, e.Received = "/", 503, []byte(`{"name":"busy"}`)
			e.Header = fromHere("Retry-After", "5", "Content-Type", "application/json")
		}, ""},
		"missing general header": {func(e *openapi.Exchange) { e.Header.Del("Server") }, "header Server is missing"},
		"wrong general header":   {func(e *openapi.Exchange) { e.Header.Set("Server", "nowhere") }, "header Server: "},
		"unknown method": {func(e *openapi.Exchange) {
			e.Request.Method, e.Status, e.Received, e.Header = "PUT", 405, nil, fromHere("Allow", "GET")
		}, ""},
		"unknown method without advice": {func(e *openapi.Exchange) {
			e.Request.Method, e.Status, e.Received, e.Header = "PUT", 405, nil, fromHere()
		}, "header Allow is missing"},
		"not gzip": {func(e *openapi.Exchange) { e.Header.Set("Content-Encoding", "gzip") }, "gzip: invalid header"},
		"strange":  {func(e *openapi.Exchange) { e.Header.Set("Content-Encoding", "br") }, `coding "br"`},
		"preflight": {func(e *openapi.Exchange) {
			e.Request.Method, e.Status, e.Received = "OPTIONS", 204, nil
		}, ""},
	}
	d := load(t, text)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := answered()
			test.change(e)
			checkError(t, d.CheckAnswer(e), test.says)
		})
	}
}

func TestCheckRequest(t *testing.T) {
	tests := map[string]struct{ method, target, sent, says string }{
		"as described":       {"GET", "/things/a?limit=10", "", ""},
		"escaped in a path":  {"GET", "/things/a%2Fb", "", ""},
		"wrong in a path":    {"GET", "/things/A", "", "parameter name: "},
		"too large":          {"GET", "/things/a?limit=11", "", "parameter limit: "},
		"no number":          {"GET", "/things/a?limit=0x1", "", "parameter limit: "},
		"repeated":           {"GET", "/things/a?limit=1&limit=1", "", "parameter limit is repeated"},
		"unknown parameter":  {"GET", "/things/a?limits=1", "", "parameter limits is not described"},
		"malformed query":    {"GET", "/things/a?limit=%zz", "", "invalid URL escape"},
		"body":               {"POST", "/things/all", `{"things":[],"more":1}`, ""},
		"wrong body":         {"POST", "/things/all", `{"thing":[]}`, "missing property 'things'"},
		"unknown path":       {"GET", "/", "", "is not described"},
		"more specific path": {"GET", "/things/all", "", ""},
	}
	d := load(t, text)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := &openapi.Exchange{
				Request: httptest.NewRequest(test.method, test.target, http.NoBody), Sent: []byte(test.sent),
			}
			checkError(t, d.CheckRequest(e), test.says)
		})
	}
}

func TestCheckExamples(t *testing.T) {
	checkError(t, load(t, text).CheckExamples(), "")
	tests := map[string]struct{ old, new, says string }{
		"of a parameter":     {"maximum: 10 }, example: 1", "maximum: 10 }, example: 11", "components/parameters/Limit"},
		"of a header":        {`example: '"1"'`, `example: '1'`, "headers/ETag"},
		"of an answer":       {"part: { n: 1 }", "part: { n: x }", "content/application/json"},
		"too much":           {"part: { n: 1 }", "part: { m: 1 }", "content/application/json"},
		"of a request":       {"example: { things: []", "example: { thing: []", "requestBodies/Things"},
		"missing altogether": {", example: GET", "", "Allow has no example"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(text, test.old, test.new, 1)
			if changed == text {
				t.Fatal("nothing was changed")
			}
			checkError(t, load(t, changed).CheckExamples(), test.says)
		})
	}
}

func TestLoadRefusesWhatIsNoDocument(t *testing.T) {
	for _, text := range []string{"[]", "a: b: c", ""} {
		if _, err := openapi.Load(text); err == nil {
			t.Errorf("%q is a document", text)
		}
	}
}

// checkError wants an error that says one of the things, or none.
func checkError(t *testing.T, err error, says string) {
	t.Helper()
	if says == "" {
		if err != nil {
			t.Errorf("error: %v", err)
		}
		return
	}
	if err == nil || !slices.ContainsFunc(strings.Split(says, "|"), func(s string) bool { return strings.Contains(err.Error(), s) }) {
		t.Errorf("error is %v, want one that says %s", err, says)
	}
}
