package privacy_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// message is one request. Empty members mean GET, / and nothing.
type message struct {
	method, path string
	header       http.Header
	body         []byte
}

// clients send messages and keep what they are answered.
type clients struct {
	*canaries

	// version and requestID mark what is accepted, and so may be found.
	version, requestID string
	// remark and deepRemark are in accepted events, and not kept.
	remark, deepRemark string

	answersMu sync.Mutex
	answers   bytes.Buffer
	statuses  map[int]int
	accepted  int
}

func newClients(t *testing.T) *clients {
	t.Helper()
	c := newCanaries(t)
	return &clients{
		canaries: c, version: "7." + draw(c.random, letters, 14), requestID: draw(c.random, "0123456789abcdef", 32), statuses: make(map[int]int),
		remark: c.word("member that is not known"), deepRemark: c.email("member of an unknown member"),
	}
}

// salvo sends every kind of message.
func (c *clients) salvo(t *testing.T, to string) {
	t.Helper()
	var from [6]*http.Client
	for i := range from {
		from[i] = clientFrom(c.source("source of a request"))
		defer from[i].CloseIdleConnections()
	}
	messages := c.messages()
	parallel(len(messages), func(i int) { c.send(t.Context(), from[i%len(from)], to, messages[i]) })
	c.garbage(t.Context(), to)
}

// flood asks more than anybody may, from three addresses and, as far as a proxy
// is believed, for three more.
func (c *clients) flood(t *testing.T, to string) {
	t.Helper()
	const sources, requests = 3, 30
	parallel(2*sources, func(i int) {
		client := clientFrom(c.source("source of a flood"))
		defer client.CloseIdleConnections()
		m := message{path: "/v1/stats/all?period=1h"}
		if i >= sources {
			m.header = http.Header{"X-Forwarded-For": {c.forged("X-Forwarded-For of a flood")}}
		}
		for range requests {
			c.send(t.Context(), client, to, m)
		}
	})
}

// few sends some messages while something is broken.
func (c *clients) few(t *testing.T, to, when string) {
	t.Helper()
	parallel(6, func(i int) {
		client := clientFrom(c.source("source of a request " + when))
		defer client.CloseIdleConnections()
		m := message{path: "/v1/stats/overview?period=24h&version=" + url.QueryEscape(c.email("filter "+when))}
		if i%2 == 0 {
			m = c.events([]any{c.event(), with(c.event(), "user_name", c.word("name of a user "+when))})
		}
		m.header = c.headers()
		c.send(t.Context(), client, to, m)
	})
}

func (c *clients) send(ctx context.Context, client *http.Client, to string, m message) {
	request, err := http.NewRequestWithContext(ctx, or(m.method, http.MethodGet), "http://"+to, bytes.NewReader(m.body))
	if err != nil {
		panic(err) // all methods are well-formed
	}
	path, query, _ := strings.Cut(or(m.path, "/"), "?")
	request.URL.Opaque, request.URL.RawQuery = "//"+to+path, query
	maps.Copy(request.Header, m.header)
	request.Host = or(m.header.Get("Host"), to)
	response, err := client.Do(request)
	if err != nil {
		c.note(0, nil, nil)
		return
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body) // what came is kept
	c.note(response.StatusCode, response.Header, body)
}

// note keeps an answer.
func (c *clients) note(status int, header http.Header, body []byte) {
	var receipt struct {
		Status string
		Count  int
	}
	_ = json.Unmarshal(body, &receipt) // not every answer is a receipt
	c.answersMu.Lock()
	defer c.answersMu.Unlock()
	c.statuses[status]++
	_ = header.Write(&c.answers) // a buffer takes all
	c.answers.Write(append(body, '\n'))
	if receipt.Status == "accepted" {
		c.accepted += receipt.Count
	}
}

// answered says whether an answer told text.
func (c *clients) answered(text string) bool {
	c.answersMu.Lock()
	defer c.answersMu.Unlock()
	return bytes.Contains(c.answers.Bytes(), []byte(text))
}

func (c *clients) answeredWith(status int) bool {
	c.answersMu.Lock()
	defer c.answersMu.Unlock()
	return c.statuses[status] > 0
}

// checkStatuses wants that all of these were answered: what is refused for
// another reason than intended tests nothing.
func (c *clients) checkStatuses(t *testing.T, want ...int) {
	t.Helper()
	t.Logf("answers: %v; %d events accepted; %d canaries", c.statuses, c.accepted, len(c.all()))
	for _, status := range want {
		if c.statuses[status] == 0 {
			t.Errorf("no request was answered with %d: %v", status, c.statuses)
		}
	}
}

// messages are valid, refused and malformed ones, with canaries in every place.
func (c *clients) messages() []message {
	all := slices.Concat(c.batches(), c.malformed(), c.paths(), c.filters(), c.requestIDs(), c.refusals())
	common := c.headers()
	for i := range all {
		header := common.Clone()
		// A repeated key would be answered like the first.
		header.Set("Idempotency-Key", c.email("Idempotency-Key"))
		maps.Copy(header, all[i].header)
		all[i].header = header
	}
	return append(all, c.forgeries()...)
}

// event is one that is accepted, although it has members that are not kept.
func (c *clients) event() map[string]any {
	return map[string]any{
		"version": c.version, "tool": "get_forecast", "status": "error", "error_type": "timeout", "analytics_level": "detailed",
		"timestamp_hour": time.Now().UTC().Truncate(time.Hour).Format(time.RFC3339), "response_time_ms": 12, "service": "noaa",
		"cache_hit": true, "retry_count": 1, "country": "DE", "parameters": map[string]any{"days": 3}, "session_id": "00112233445566ff",
		"sequence_number": 7, "remark": c.remark, "remarks": map[string]any{"deep": []any{c.deepRemark}},
	}
}

// minimal is accepted, too, and says more than its level includes.
func (c *clients) minimal() map[string]any {
	event := with(c.event(), "analytics_level", "minimal")
	for _, field := range []string{"response_time_ms", "service", "cache_hit", "retry_count", "country", "session_id", "sequence_number"} {
		event[field] = c.deepRemark
	}
	return with(event, "parameters", map[string]any{"note": c.remark})
}

func with(event map[string]any, name string, value any) map[string]any {
	event[name] = value
	return event
}

// events is a batch.
func (c *clients) events(events []any) message {
	return message{method: http.MethodPost, path: "/v1/events", body: encode(map[string]any{"events": events})}
}

// batches are sent to be judged leniently, strictly and with an explanation.
func (c *clients) batches() (all []message) {
	for _, batch := range slices.Concat(c.fields(), c.parameters(), c.names(), c.besides()) {
		explained, strict := batch, batch
		explained.path = "/v1/events/explain"
		strict.header = http.Header{"Prefer": {"handling=strict"}}
		all = append(all, batch, explained, strict)
	}
	return all
}

// fields put canaries in place of every value. Where any word may stand, there
// are only those that are recognised.
func (c *clients) fields() (all []message) {
	for field := range c.event() {
		events := []any{c.event(), c.minimal()}
		values := c.kinds(field)
		switch field {
		case "remark", "remarks":
			continue
		case "version", "error_type", "parameters":
		default:
			values = append(values, c.word(field))
		}
		for _, value := range slices.Concat(values, c.cleaned(field)) {
			events = append(events, with(c.event(), field, value))
		}
		for _, value := range append(c.kinds(field+", in a list"), c.word(field+", in a list")) {
			events = append(events, with(c.event(), field, []any{value}))
		}
		for _, value := range append(c.kinds(field+", in an object"), c.word(field+", in an object")) {
			events = append(events, with(c.event(), field, map[string]any{"remark": []any{value}, "email": value}))
		}
		all = append(all, c.events(events))
	}
	return all
}

// parameters have canaries that are recognised in their names and values.
func (c *clients) parameters() []message {
	var events []any
	for _, value := range slices.Concat(c.kinds("parameter"), c.cleaned("parameter")) {
		for name, text := range map[string]any{
			"note": value, "notes": "see " + value + " there", "encoded": eachByte(value, "%%%02X"), "list": []any{value}, value: 1,
		} {
			events = append(events, with(c.event(), "parameters", map[string]any{name: text}))
		}
	}
	return []message{c.events(events)}
}

// names give canaries names that mean personal data, in an event and deep in its
// parameters.
func (c *clients) names() (all []message) {
	for names := range slices.Chunk(domain.PersonalNames(), 40) {
		var beside, within []any
		for _, name := range names {
			beside = append(beside, with(c.event(), name, c.word("member "+name)))
			nested := map[string]any{"a": []any{map[string]any{strings.ToUpper(name): c.word("nested parameter " + name)}}}
			within = append(within, with(c.event(), "parameters", nested))
			relative := map[string]any{name + "_2": c.word("parameter numbered " + name)}
			within = append(within, with(c.event(), "parameters", relative))
		}
		all = append(all, c.events(beside), c.events(within))
	}
	return append(all, c.events([]any{with(c.event(), c.email("name of a member"), c.word("member named like a person"))}))
}

// besides have canaries beside the events.
func (c *clients) besides() (all []message) {
	beside := func(name, value string) {
		all = append(all, message{
			method: http.MethodPost, path: "/v1/events", body: encode(map[string]any{"events": []any{c.event()}, name: value}),
		})
	}
	for _, name := range domain.PersonalNames() {
		beside(name, c.word("member "+name+" beside the events"))
	}
	for _, value := range append(c.kinds("unknown member beside the events"), c.word("unknown member beside the events")) {
		beside("remark", value)
	}
	beside(c.email("name of a member beside the events"), c.word("member beside the events"))
	return all
}

// malformed are bodies that nobody can read.
func (c *clients) malformed() (all []message) {
	good := string(c.events([]any{with(c.event(), "email", c.email("member of a damaged body"))}).body)
	for what, body := range map[string]string{
		"text":          "%s",
		"broken JSON":   `{"events":[{"version":"%s"`,
		"wrong JSON":    `["%s"]`,
		"wrong events":  `{"events":"%s"}`,
		"wrong number":  `{"events":[{"sequence_number":%s}]}`,
		"twice":         `{"events":[{"version":"1.0.0","version":"%s"}]}`,
		"NUL":           `{"events":[{"version":"\u0000%s"}]}`,
		"lone half":     `{"events":[{"version":"\ud800%s"}]}`,
		"no UTF-8":      "{\"events\":[{\"version\":\"\xff%s\"}]}",
		"deep":          strings.Repeat(`{"%s":`, 1),
		"after the end": `{"events":[]} %s`,
		"cut":           good[:len(good)-3] + "%s",
	} {
		for _, value := range []string{c.email("body, " + what), c.forged("body, " + what), c.word("body, " + what)} {
			all = append(all, message{method: http.MethodPost, path: "/v1/events", body: []byte(strings.Replace(body, "%s", value, 1))})
		}
	}
	var squeezed bytes.Buffer
	w := gzip.NewWriter(&squeezed)
	_, _ = io.WriteString(w, c.email("compressed body")) // a buffer takes all
	_ = w.Close()
	return append(all,
		message{
			method: http.MethodPost, path: "/v1/events", body: squeezed.Bytes(), header: http.Header{"Content-Encoding": {"gzip"}},
		},
		message{
			method: http.MethodPost, path: "/v1/events", body: []byte(c.word("body that is not compressed")),
			header: http.Header{"Content-Encoding": {"gzip"}},
		})
}

// paths have canaries in the path, the query and the method.
func (c *clients) paths() (all []message) {
	kinds := c.kinds("path")
	for _, value := range append(kinds, c.word("name of a tool")) {
		all = append(all, message{path: "/v1/stats/tool/" + url.PathEscape(value)})
	}
	for _, value := range append(kinds, c.word("path")) {
		for _, path := range []string{"/", "/v1/stats/", "/v1/events/", "/v1/../"} {
			all = append(all, message{path: path + url.PathEscape(value)})
		}
	}
	return append(all,
		message{method: strings.ToUpper(c.word("method"))},
		message{method: http.MethodDelete, path: "/v1/events?" + c.word("query of a wrong method")},
		message{path: "/v1/stats/all?period=1h;" + c.word("query that is no query")},
		message{path: "/v1/stats/all?%zz" + c.word("query that is no text")})
}

// filters have canaries in the parameters of statistics, known and not.
func (c *clients) filters() (all []message) {
	routes := []string{
		"/v1/stats/all", "/v1/stats/performance", "/v1/stats/tool/get_forecast", "/v1/stats/tools", "/v1/stats/health", "/v1/status",
	}
	for i, route := range routes {
		for _, name := range []string{
			"period", "start", "end", "resolution", "tool", "version", "country", "service", "sort", "order", "limit", "cursor", "user", "email", "",
		} {
			values := append(c.kinds("query "+name), c.forged("query "+name))
			if name != "version" && name != "service" && name != "tool" {
				values = append(values, c.word("query "+name))
			} else if i < 3 { // lists tell in Link what they were asked for
				values = append(values, c.word("query "+name))
			}
			for _, value := range values {
				all = append(all, message{path: route + "?" + name + "=" + url.QueryEscape(value)})
			}
			all = append(all, message{path: route + "?" + url.QueryEscape(values[0])})
		}
	}
	return all
}

// requestIDs have ids of all forms; only the first two are well-formed.
func (c *clients) requestIDs() (all []message) {
	const hexDigits = "0123456789abcdef"
	uuid := func(s string) string { return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:] }
	add := func(alphabet string, length int, format func(string) string) string {
		return c.add("X-Request-Id", func(r *rand.Rand) (string, string) {
			text := format(draw(r, alphabet, length))
			return text, text
		})
	}
	for _, id := range []string{
		c.requestID, uuid(c.requestID), add(letters, 26, strings.ToUpper), add(hexDigits, 31, strings.ToLower),
		add(hexDigits, 33, strings.ToLower), add(letters, 32, uuid), c.email("X-Request-Id"), c.forged("X-Request-Id"), c.ipv6("X-Request-Id"),
	} {
		all = append(all, message{path: "/v1/stats/all", header: http.Header{"X-Request-Id": {id}}})
	}
	return all
}

// refusals are what is refused before anything is read.
func (c *clients) refusals() []message {
	big := bytes.Repeat([]byte(c.email("large body")+" "), 6_000)
	events := make([]any, 150)
	for i := range events {
		events[i] = with(c.minimal(), "password", c.word("member of a large batch"))
	}
	foreign := c.events([]any{c.event()})
	foreign.header = http.Header{"Origin": {"https://" + c.word("Origin") + ".example"}}
	return []message{
		foreign,
		{path: "/v1/stats/all", header: foreign.header},
		{method: http.MethodPost, path: "/v1/events", body: big},
		{path: "/" + strings.Repeat(c.word("long path"), 950)},
		{header: http.Header{"X-Long": {strings.Repeat(c.word("long header"), 1_500)}}},
		{method: http.MethodPost, path: "/v1/events", header: http.Header{"Content-Type": {"text/" + c.word("content type")}}, body: []byte("{}")},
		{
			method: http.MethodPost, path: "/v1/events", header: http.Header{"Content-Encoding": {c.word("content encoding")}},
			body: []byte("{}"),
		},
		{header: http.Header{"Host": {c.word("host") + ".example"}}},
		c.events(events),
	}
}

// headers have a canary each.
func (c *clients) headers() http.Header {
	header := http.Header{
		"Content-Type":    {"application/json"},
		"Authorization":   {"Bearer " + c.word("Authorization")},
		"Cookie":          {"id=" + c.word("Cookie")},
		"Forwarded":       {"for=" + c.forged("Forwarded")},
		"Referer":         {"https://" + c.word("Referer") + ".example/?q=" + c.word("Referer's query")},
		"X-Forwarded-For": {c.forged("X-Forwarded-For")},
		"Idempotency-Key": {c.email("Idempotency-Key")},
	}
	for _, name := range []string{
		"Accept", "Accept-Language", "Baggage", "From", "If-None-Match", "Prefer", "Proxy-Authorization", "Range", "Traceparent",
		"User-Agent", "Via", "X-Forwarded-Host", "X-Forwarded-User", "X-Original-Url", "X-Request-Id",
	} {
		header.Set(name, c.word(name))
	}
	for _, name := range []string{
		"X-Real-Ip", "Cf-Connecting-Ip", "True-Client-Ip", "X-Client-Ip", "Client-Ip", "Fastly-Client-Ip", "X-Cluster-Client-Ip",
	} {
		header.Set(name, c.ipv6(name))
	}
	header.Set("X-"+c.word("name of a header"), "1")
	return header
}

// forgeries claim addresses in every way that they are written.
func (c *clients) forgeries() (all []message) {
	for _, form := range []string{"%s", "%s:8080", "[%s]:443", "%s, 127.0.0.1", "unknown, %s", "%s;%s", "::ffff:%s", `"%s"`, "%s%%eth0"} {
		for _, address := range []string{c.forged("X-Forwarded-For as " + form), c.ipv6("X-Forwarded-For as " + form)} {
			claim := strings.ReplaceAll(form, "%s", address)
			all = append(all,
				message{path: "/v1/stats/all", header: http.Header{"X-Forwarded-For": {claim}}},
				message{path: "/v1/stats/all", header: http.Header{"Forwarded": {`for="` + claim + `";by=` + c.word("Forwarded's by")}}})
			batch := c.events([]any{c.event()})
			batch.header = http.Header{"X-Forwarded-For": {claim}}
			all = append(all, batch)
		}
	}
	return all
}

// garbage is no HTTP, or breaks off.
func (c *clients) garbage(ctx context.Context, to string) {
	word, email := c.word("garbage"), c.email("garbage")
	texts := []string{
		email + "\r\n\r\n",
		"GET /" + word + "\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n" + word,
		"GET / HTTP/1.1\r\nHost: " + email + "/\r\n\r\n",
		"GET / HTTP/9.1\r\nHost: x\r\nX: " + word + "\r\n\r\n",
		"GET http://" + word + ":secret@x/ HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\n" + word + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nX-" + word + "\x01: " + email + "\r\n\r\n",
		"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: " + word + "\r\n\r\n",
		"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n{\"email\":\"" + email,
		"POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + word + "\r\n",
		"POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: " + word + "\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01" + word,
	}
	parallel(2*len(texts), func(i int) {
		reset := i >= len(texts)
		c.shout(ctx, c.source("source of garbage"), to, texts[i%len(texts)], reset)
	})
}

// shout sends text and hears the answer, or resets the connection.
func (c *clients) shout(ctx context.Context, from, to, text string, reset bool) {
	connection, err := dial(ctx, from, to)
	if err != nil {
		return // busy or down: others get through
	}
	defer connection.Close()
	_, _ = io.WriteString(connection, text)
	if tcp, ok := connection.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
		return
	}
	_ = connection.SetReadDeadline(time.Now().Add(time.Second))
	answer, _ := io.ReadAll(connection)
	c.note(statusOf(answer), nil, answer)
}

func statusOf(answer []byte) (status int) {
	_, _ = fmt.Sscanf(string(answer), "HTTP/1.1 %d", &status) // 0 for no answer
	return status
}

func dial(ctx context.Context, from, to string) (net.Conn, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
	return dialer.DialContext(ctx, "tcp", to)
}

// clientFrom speaks from an address of the loopback network.
func clientFrom(address string) *http.Client {
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, to string) (net.Conn, error) { return dial(ctx, address, to) },
	}}
}

// parallel calls do with 0 to count-1, several at once.
func parallel(count int, do func(i int)) {
	const workers = 16
	var group sync.WaitGroup
	turns := make(chan int)
	for range workers {
		group.Go(func() {
			for i := range turns {
				do(i)
			}
		})
	}
	for i := range count {
		turns <- i
	}
	close(turns)
	group.Wait()
}

func encode(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of strings and numbers always marshal
	}
	return body
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
