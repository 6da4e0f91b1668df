package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/httpapi"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

func TestAcceptedEventsAreQueued(t *testing.T) {
	tests := map[string]struct {
		body   string
		queued int
	}{
		"accepted-all":  {batch(goodEvent, goodEvent), 2},
		"accepted-some": {batch(badEvent, goodEvent), 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newService(setup{})
			answer := s.do(t, http.MethodPost, "/v1/events", test.body)
			checkStatus(t, answer, http.StatusOK)
			checkGolden(t, name, answer.Body.Bytes())
			checkHeader(t, answer.Header(), "Cache-Control", "no-store")
			if got := s.queued(t); got != test.queued {
				t.Errorf("%d events queued, want %d", got, test.queued)
			}
		})
	}
}

// One good event and 99 of 13 faults: 360 bytes when zipped, once answered with
// 134 KB.
func TestAnswersListAtMostAHundredErrors(t *testing.T) {
	const wrong = `{"version":1,"tool":{},"status":[],"timestamp_hour":true,"analytics_level":"detailed","error_type":1,` +
		`"response_time_ms":"1","service":1,"cache_hit":0,"retry_count":true,"country":false,"parameters":[],"session_id":1,"sequence_number":""}`
	for status, first := range map[int]string{http.StatusOK: goodEvent, http.StatusBadRequest: wrong} {
		s := newService(setup{})
		body := batch(append([]string{first}, slices.Repeat([]string{wrong}, 99)...)...)
		answer := s.do(t, http.MethodPost, "/v1/events", zipped(t, body), "Content-Encoding", "gzip")
		checkStatus(t, answer, status)
		var told struct {
			Errors        []struct{ Index int }
			ErrorsOmitted int `json:"errors_omitted"`
		}
		decode(t, answer.Body.Bytes(), &told)
		refused := 99
		if status != http.StatusOK {
			refused = 100
		}
		if len(told.Errors) != 100 || told.ErrorsOmitted != 13*refused-100 || answer.Body.Len() > 16<<10 {
			t.Errorf("%d errors are listed and %d omitted in %d bytes", len(told.Errors), told.ErrorsOmitted, answer.Body.Len())
		}
	}
}

func TestBodyForms(t *testing.T) {
	body := batch(goodEvent)
	tests := map[string]struct {
		body   string
		header []string
		status int
		code   string
	}{
		"no type":           {body, nil, 200, ""},
		"empty type":        {body, []string{"Content-Type", ""}, 200, ""},
		"json":              {body, []string{"Content-Type", "application/json"}, 200, ""},
		"json in UTF-8":     {body, []string{"Content-Type", `Application/JSON; charset="UTF-8"`}, 200, ""},
		"json by suffix":    {body, []string{"Content-Type", "application/vnd.weather+json"}, 200, ""},
		"json in Latin-1":   {body, []string{"Content-Type", "application/json; charset=iso-8859-1"}, 415, "unsupported_media_type"},
		"a form":            {body, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"},
		"text by suffix":    {body, []string{"Content-Type", "text/x+json"}, 415, "unsupported_media_type"},
		"no type at all":    {body, []string{"Content-Type", ";;"}, 415, "unsupported_media_type"},
		"two types":         {body, []string{"Content-Type", "application/json", "Content-Type", "text/plain"}, 415, "unsupported_media_type"},
		"identity":          {body, []string{"Content-Encoding", "identity"}, 200, ""},
		"gzip":              {zipped(t, body), []string{"Content-Encoding", "gzip"}, 200, ""},
		"GZIP":              {zipped(t, body), []string{"Content-Encoding", "GZIP"}, 200, ""},
		"x-gzip":            {zipped(t, body), []string{"Content-Encoding", "x-gzip"}, 200, ""},
		"deflate":           {body, []string{"Content-Encoding", "deflate"}, 415, "unsupported_media_type"},
		"gzip twice":        {body, []string{"Content-Encoding", "gzip, gzip"}, 415, "unsupported_media_type"},
		"not gzip":          {body, []string{"Content-Encoding", "gzip"}, 400, "validation_failed"},
		"half a gzip":       {zipped(t, body)[:60], []string{"Content-Encoding", "gzip"}, 400, "validation_failed"},
		"empty gzip":        {"", []string{"Content-Encoding", "gzip"}, 400, "validation_failed"},
		"byte order mark":   {"\ufeff" + body, nil, 200, ""},
		"zipped, with mark": {zipped(t, "\ufeff"+body), []string{"Content-Encoding", "gzip"}, 200, ""},
		"nothing":           {"", nil, 400, "validation_failed"},
		"no batch":          {"[]", nil, 400, "validation_failed"},
		"no JSON":           {"{", nil, 400, "validation_failed"},
		"at the limit":      {padded(body, 2048), nil, 200, ""},
		"above the limit":   {padded(body, 2049), nil, 413, "payload_too_large"},
		"zipped, at":        {zipped(t, padded(body, 2048)), []string{"Content-Encoding", "gzip"}, 200, ""},
		"zipped, above":     {zipped(t, padded(body, 2049)), []string{"Content-Encoding", "gzip"}, 413, "payload_too_large"},
		"a bomb":            {zipped(t, padded(body, 4<<20)), []string{"Content-Encoding", "gzip"}, 413, "payload_too_large"},
		"a bomb in members": {zipped(t, padded(body, 2000)) + zipped(t, padded("", 2000)), []string{"Content-Encoding", "gzip"}, 413, "payload_too_large"},
	}
	// One service for all: what one body leaves behind may not reach the next.
	s := newService(setup{config: httpapi.Config{BodyLimit: 2048}})
	for name, test := range tests {
		for _, path := range []string{"/v1/events", "/v1/events/explain"} {
			t.Run(name+path, func(t *testing.T) {
				answer := s.do(t, http.MethodPost, path, test.body, test.header...)
				checkStatus(t, answer, test.status)
				var refusal struct{ Error string }
				decode(t, answer.Body.Bytes(), &refusal)
				if refusal.Error != test.code {
					t.Errorf("error = %q, want %q", refusal.Error, test.code)
				}
			})
		}
	}
}

// Without Content-Length the limit must hold while reading.
func TestBodyLimitWithoutLength(t *testing.T) {
	s := newService(setup{config: httpapi.Config{BodyLimit: 2048}})
	server := serve(t, s)
	tests := map[string]struct {
		size, status int
	}{
		"at the limit": {2048, 200},
		"above":        {2049, 413},
		"far above":    {1 << 20, 413},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			// A reader of unknown kind makes the client send chunks.
			body := struct{ *strings.Reader }{strings.NewReader(padded(batch(goodEvent), test.size))}
			answer := send(t, server, http.MethodPost, "/v1/events", body)
			checkStatus(t, answer, test.status)
		})
	}
}

// A client that reads nothing before it has written everything learns why, and
// one that waits for leave to send is not given it.
func TestTooLargeBodiesAreDrained(t *testing.T) {
	t.Parallel()
	const size = 12 << 20 // more than the buffers between two sockets hold
	const chunk = 64 << 10
	chunked := strings.Repeat(fmt.Sprintf("%x\r\n%s\r\n", chunk, strings.Repeat(" ", chunk)), size/chunk) + "0\r\n\r\n"
	tests := map[string]struct{ header, body string }{
		"without length": {"Transfer-Encoding: chunked\r\n", chunked},
		"with length":    {fmt.Sprintf("Content-Length: %d\r\n", size), strings.Repeat(" ", size)},
		"stalled":        {"Transfer-Encoding: chunked\r\n", chunked[:9000]},
		"expecting":      {fmt.Sprintf("Content-Length: %d\r\nExpect: 100-continue\r\n", size), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(setup{config: httpapi.Config{BodyLimit: 2048}})
			c := dial(t, "127.0.0.1", serve(t, s).Listener.Addr().String())
			if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			say(t, c, "POST /v1/events HTTP/1.1\r\nHost: x\r\n"+test.header+"\r\n")
			say(t, c, test.body)
			answer, err := io.ReadAll(c) // to the end: the server hangs up
			if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 413 ")) || bytes.Contains(answer, []byte("100 Continue")) {
				t.Errorf("answered %.100q, %v", answer, err)
			}
		})
	}
}

// Who never ends is not read without end.
func TestEndlessBodiesAreBrokenOff(t *testing.T) {
	s := newService(setup{config: httpapi.Config{BodyLimit: 2048}})
	c := dial(t, "127.0.0.1", serve(t, s).Listener.Addr().String())
	_, _ = io.WriteString(c, "POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	chunk := fmt.Sprintf("%x\r\n%s\r\n", 64<<10, strings.Repeat(" ", 64<<10))
	for sent := 0; ; sent += len(chunk) {
		if _, err := io.WriteString(c, chunk); err != nil {
			break
		}
		if sent > 64<<20 {
			t.Fatal("64 MB are taken")
		}
	}
}

// Much to read and nothing in it: the limit holds before decompression too.
func TestBodyLimitOfEmptyGzip(t *testing.T) {
	s := newService(setup{config: httpapi.Config{BodyLimit: 2048}})
	body := strings.Repeat(zipped(t, ""), 1000)
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/events", strings.NewReader(body))
	request.ContentLength = -1
	request.Header.Set("Content-Encoding", "gzip")
	answer := httptest.NewRecorder()
	s.ServeHTTP(answer, request)
	checkStatus(t, answer, http.StatusRequestEntityTooLarge)
}

func TestGzipAdvice(t *testing.T) {
	answer := newService(setup{}).do(t, http.MethodPost, "/v1/events", "x", "Content-Encoding", "br")
	checkStatus(t, answer, http.StatusUnsupportedMediaType)
	checkHeader(t, answer.Header(), "Accept-Encoding", "gzip")
}

func TestStrictHandling(t *testing.T) {
	tests := map[string]struct {
		prefer []string
		strict bool
	}{
		"plain":                {[]string{"handling=strict"}, true},
		"case":                 {[]string{"Handling=STRICT"}, true},
		"quoted":               {[]string{`handling="strict"`}, true},
		"quoted with escape":   {[]string{`handling="s\trict"`}, true},
		"blanks":               {[]string{" handling \t=  strict "}, true},
		"parameters":           {[]string{"handling=strict; reason=backfill; x"}, true},
		"in a list":            {[]string{"respond-async, wait=10, handling=strict"}, true},
		"second header":        {[]string{"return=minimal", "handling=strict"}, true},
		"after a quoted comma": {[]string{`note="a, handling=lenient \" ;", handling=strict`}, true},
		"first counts":         {[]string{"handling=strict", "handling=lenient"}, true},
		"first counts too":     {[]string{"handling=lenient, handling=strict"}, false},
		"lenient":              {[]string{"handling=lenient"}, false},
		"no value":             {[]string{"handling"}, false},
		"inside quotes":        {[]string{`note="handling=strict"`}, false},
		"as a parameter":       {[]string{"return=minimal; handling=strict"}, false},
		"unterminated":         {[]string{`note="x, handling=strict`}, false},
		"none":                 {nil, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newService(setup{})
			var header []string
			for _, value := range test.prefer {
				header = append(header, "Prefer", value)
			}
			answer := s.do(t, http.MethodPost, "/v1/events", batch(goodEvent, badEvent), header...)
			status, queued, applied := http.StatusOK, 1, ""
			if test.strict {
				status, queued, applied = http.StatusBadRequest, 0, "handling=strict"
			}
			checkStatus(t, answer, status)
			checkHeader(t, answer.Header(), "Preference-Applied", applied)
			if got := s.queued(t); got != queued {
				t.Errorf("%d events queued, want %d", got, queued)
			}
		})
	}
}

func TestStrictHandlingOfAGoodBatch(t *testing.T) {
	answer := newService(setup{}).do(t, http.MethodPost, "/v1/events", batch(goodEvent), "Prefer", "handling=strict")
	checkStatus(t, answer, http.StatusOK)
	checkHeader(t, answer.Header(), "Preference-Applied", "handling=strict")
}

func TestIdempotencyKey(t *testing.T) {
	s := newService(setup{})
	first := s.do(t, http.MethodPost, "/v1/events", batch(goodEvent, badEvent), "Idempotency-Key", "key-1")
	checkStatus(t, first, http.StatusOK)
	again := s.do(t, http.MethodPost, "/v1/events", batch(goodEvent, badEvent), "Idempotency-Key", "key-1")
	checkStatus(t, again, http.StatusOK)
	if first.Body.String() != again.Body.String() {
		t.Errorf("the repeat is answered %s, not %s", again.Body, first.Body)
	}
	if got := s.queued(t); got != 1 {
		t.Errorf("%d events queued, want 1", got)
	}
	s.do(t, http.MethodPost, "/v1/events", batch(goodEvent), "Idempotency-Key", "key-2")
	if got := s.queued(t); got != 2 {
		t.Errorf("%d events queued after another key, want 2", got)
	}
}

func TestIdempotencyKeyOfAnotherBody(t *testing.T) {
	s := newService(setup{})
	first := s.do(t, http.MethodPost, "/v1/events", batch(goodEvent), "Idempotency-Key", "K")
	checkStatus(t, first, http.StatusOK)
	// Another client, by chance or not, takes the same key.
	other := s.do(t, http.MethodPost, "/v1/events", batch(goodEvent, goodEvent), "Idempotency-Key", "K")
	checkStatus(t, other, http.StatusUnprocessableEntity)
	checkGolden(t, "refusal-key-reused", other.Body.Bytes())
	if again := s.do(t, http.MethodPost, "/v1/events", batch(goodEvent), "Idempotency-Key", "K"); again.Body.String() != first.Body.String() {
		t.Errorf("the repeat is answered %s, not %s", again.Body, first.Body)
	}
	if got := s.queued(t); got != 1 {
		t.Errorf("%d events queued, want 1", got)
	}
}

func TestIdempotencyKeyOfABodyThatIsNoBatch(t *testing.T) {
	s := newService(setup{})
	first := s.do(t, http.MethodPost, "/v1/events", batch(goodEvent, badEvent), "Idempotency-Key", "K")
	checkStatus(t, first, http.StatusOK)
	for _, body := range []string{"", `{"events":[]}`, `{"events":`, batch(badEvent)} {
		answer := s.do(t, http.MethodPost, "/v1/events", body, "Idempotency-Key", "K")
		if answer.Code != http.StatusUnprocessableEntity {
			t.Errorf("%q under a used key is answered %d: %s", body, answer.Code, answer.Body)
		}
	}
	// How the repeat wants to be judged changes nothing: it is not judged.
	again := s.do(t, http.MethodPost, "/v1/events", batch(goodEvent, badEvent), "Idempotency-Key", "K", "Prefer", "handling=strict")
	checkStatus(t, again, http.StatusOK)
	if again.Body.String() != first.Body.String() {
		t.Errorf("the repeat is answered %s, not %s", again.Body, first.Body)
	}
	checkHeader(t, again.Header(), "Preference-Applied", "")
	if got := s.queued(t); got != 1 {
		t.Errorf("%d events queued, want 1", got)
	}
}

func TestIdempotencyKeyWhileTheQueueIsAway(t *testing.T) {
	s := newService(setup{queue: failing(domain.NewError(domain.CodeUnavailable, nil, "away"))})
	for _, body := range []string{batch(goodEvent), batch(badEvent)} {
		answer := s.do(t, http.MethodPost, "/v1/events", body, "Idempotency-Key", "K")
		checkStatus(t, answer, http.StatusServiceUnavailable)
	}
}

func TestIdempotencyKeyThatIsNone(t *testing.T) {
	tests := map[string][]string{
		"too long": {"Idempotency-Key", strings.Repeat("k", 129)},
		"blank":    {"Idempotency-Key", "a b"},
		"two":      {"Idempotency-Key", "a", "Idempotency-Key", "b"},
	}
	for name, header := range tests {
		t.Run(name, func(t *testing.T) {
			s := newService(setup{})
			checkStatus(t, s.do(t, http.MethodPost, "/v1/events", batch(goodEvent), header...), http.StatusBadRequest)
			if got := s.queued(t); got != 0 {
				t.Errorf("%d events queued, want none", got)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	const full = `{"version":"1.23.0","tool":"get_forecast","status":"error","timestamp_hour":"2026-11-23T10:15:00Z",` +
		`"analytics_level":"detailed","error_type":"timeout","response_time_ms":125336,"service":"noaa","cache_hit":false,` +
		`"retry_count":0,"country":"ch","parameters":{"days":3,"unit":"metric","hourly":true},` +
		`"session_id":"147400D0B60E0C72","sequence_number":0,"extra":1}`
	tests := map[string]string{
		"explain-minimal":  batch(goodEvent),
		"explain-detailed": batch(badEvent, full),
		"explain-same":     batch(goodEvent, badEvent, goodEvent, strings.Replace(goodEvent, "minimal", "standard", 1), badEvent),
		"explain-refused":  batch(badEvent, `{"tool":"get_forecast","Email":"x"}`),
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			s := newService(setup{})
			answer := s.do(t, http.MethodPost, "/v1/events/explain", body)
			checkStatus(t, answer, http.StatusOK)
			checkGolden(t, name, answer.Body.Bytes())
			if got := s.queued(t); got != 0 {
				t.Errorf("%d events queued, want none", got)
			}
		})
	}
}

// The same event a hundred times is 281 bytes when zipped, and was answered with
// 627 KB.
func TestExplanationsAreShort(t *testing.T) {
	const event = `{"version":"1.23.0","tool":"get_forecast","status":"error","timestamp_hour":"2026-11-23T10:00:00Z",` +
		`"analytics_level":"detailed","error_type":"timeout","service":"noaa","country":"CH","sequence_number":1}`
	other := func(old, pattern string) []string {
		events := make([]string, 100)
		for i := range events {
			events[i] = strings.Replace(event, old, fmt.Sprintf(pattern, i), 1)
		}
		return events
	}
	tests := map[string]struct {
		events []string
		most   int
	}{
		"the same":            {slices.Repeat([]string{event}, 100), 16 << 10},
		"in the same numbers": {other(`"sequence_number":1`, `"sequence_number":%d`), 64 << 10},
		"in other numbers":    {other("1.23.0", "1.23.%d"), 128 << 10},
		"all broken":          {other(event, `{"n":%d}`), 64 << 10},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			answer := newService(setup{}).do(t, http.MethodPost, "/v1/events/explain", batch(test.events...))
			checkStatus(t, answer, http.StatusOK)
			var told struct{ Events []any }
			decode(t, answer.Body.Bytes(), &told)
			if len(told.Events) != 100 || answer.Body.Len() > test.most {
				t.Errorf("%d events are explained in %d bytes, want 100 in at most %d", len(told.Events), answer.Body.Len(), test.most)
			}
		})
	}
}

// The default limit is what the specification says: 100 KB.
func TestDefaultBodyLimit(t *testing.T) {
	s := newService(setup{})
	checkStatus(t, s.do(t, http.MethodPost, "/v1/events", padded(batch(goodEvent), 100<<10)), http.StatusOK)
	checkStatus(t, s.do(t, http.MethodPost, "/v1/events", padded(batch(goodEvent), 100<<10+1)), http.StatusRequestEntityTooLarge)
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// padded adds blanks, which JSON allows at its end, up to size.
func padded(text string, size int) string {
	return text + strings.Repeat(" ", size-len(text))
}
