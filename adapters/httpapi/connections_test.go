package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/httpapi"
)

// bounded is a server with bounds on what clients hold.
type bounded struct {
	*httpapi.Connections

	address string
	log     *logBuffer
}

func newBounded(t *testing.T, handler http.Handler, config httpapi.ConnectionsConfig) *bounded {
	t.Helper()
	log := &logBuffer{}
	b := &bounded{Connections: httpapi.NewConnections(log.debug(), config), log: log}
	b.address = serveOn(t, handler, b.Connections, listen(t))
	return b
}

// debug writes all levels.
func (b *logBuffer) debug() *slog.Logger {
	return slog.New(slog.NewJSONHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// linesAt returns the lines of that level.
func (b *logBuffer) linesAt(t *testing.T, level slog.Level) []map[string]any {
	t.Helper()
	var found []map[string]any
	for text := range strings.Lines(b.String()) {
		var line map[string]any
		decode(t, []byte(text), &line)
		if line["level"] == level.String() {
			found = append(found, line)
		}
	}
	return found
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func serveOn(t *testing.T, handler http.Handler, connections *httpapi.Connections, listener net.Listener) (address string) {
	t.Helper()
	return serveWith(t, &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 12 << 10}, connections, listener)
}

func serveWith(t *testing.T, server *http.Server, connections *httpapi.Connections, listener net.Listener) (address string) {
	t.Helper()
	served := make(chan error, 1)
	go func() { served <- connections.Serve(server, listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("served until %v", err)
		}
	})
	return listener.Addr().String()
}

// dial connects from an address of the loopback network.
func dial(t *testing.T, from, to string) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
	c, err := dialer.DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// rawAnswer is an answer that was read whole.
type rawAnswer struct {
	StatusCode int
	Header     http.Header
	Body       string
	// Close says that the server announces to hang up.
	Close bool
}

// answerOn reads one answer.
func answerOn(t *testing.T, c net.Conn) rawAnswer {
	t.Helper()
	answer, err := readAnswer(bufio.NewReader(c))
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	return answer
}

func readAnswer(from *bufio.Reader) (rawAnswer, error) {
	answer, err := http.ReadResponse(from, nil)
	if err != nil {
		return rawAnswer{}, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	return rawAnswer{answer.StatusCode, answer.Header, string(body), answer.Close}, err
}

// isClosed reports whether the server has closed the connection; it waits for
// that when it is expected.
func isClosed(c net.Conn, expected bool) bool {
	patience := 50 * time.Millisecond
	if expected {
		patience = 5 * time.Second
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	_, err := c.Read(make([]byte, 1))
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	var timeout net.Error
	return err != nil && (!errors.As(err, &timeout) || !timeout.Timeout())
}

var answersOK = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })

const (
	attacker  = "127.0.0.66"
	neighbour = "127.0.0.7"
	// idleBytes is what a connection counts for that does nothing.
	idleBytes = 16 << 10
	getLine   = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
)

// The client that holds most competes with itself; nobody else notices.
func TestConnectionsOfTheGreediestGoFirst(t *testing.T) {
	b := newBounded(t, answersOK, httpapi.ConnectionsConfig{Max: 4})
	kept := dial(t, neighbour, b.address)
	say(t, kept, getLine)
	if answer := answerOn(t, kept); answer.StatusCode != http.StatusOK {
		t.Fatalf("status %d", answer.StatusCode)
	}
	var slow []net.Conn
	for range 8 {
		c := dial(t, attacker, b.address)
		say(t, c, "GET / HTTP/1.1\r\nHost")
		slow = append(slow, c)
	}
	eventually(t, func() bool { return b.Counts().ClosedEarly == 5 })
	for i, c := range slow {
		if want := i < 5; isClosed(c, want) != want {
			t.Errorf("connection %d of the attacker is closed: %t, want %t", i, !want, want)
		}
	}
	say(t, kept, getLine)
	if answer := answerOn(t, kept); answer.StatusCode != http.StatusOK {
		t.Errorf("the neighbour got status %d", answer.StatusCode)
	}
	newcomer := dial(t, "127.0.0.8", b.address)
	say(t, newcomer, getLine)
	if answer := answerOn(t, newcomer); answer.StatusCode != http.StatusOK {
		t.Errorf("the newcomer got status %d", answer.StatusCode)
	}
	if got := b.Counts(); got.Open != 4 || got.Refused != 0 {
		t.Errorf("counts are %+v", got)
	}
	if text := b.log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "closed_early") || strings.Contains(text, "127.0.0.") {
		t.Errorf("not one line, without an address:\n%s", text)
	}
}

// disguised makes connections come from addresses of its choice.
type disguised struct {
	net.Listener

	addresses chan string
}

func (l disguised) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return disguisedConn{c, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(<-l.addresses))}, nil
}

type disguisedConn struct {
	net.Conn

	address net.Addr
}

func (c disguisedConn) RemoteAddr() net.Addr { return c.address }

// A whole /64 is one client, and an IPv4 address is one however it is written.
func TestClientsAreToldApartByNetwork(t *testing.T) {
	tests := map[string]struct{ older, first, second string }{
		"one /64":           {"[2001:db8:1::1]:1", "[2001:db8:2::1]:1", "[2001:db8:2:0:ffff::1]:1"},
		"two ports":         {"192.0.2.1:1", "192.0.2.2:1", "192.0.2.2:2"},
		"mapped":            {"192.0.2.1:1", "192.0.2.2:1", "[::ffff:192.0.2.2]:1"},
		"mapped, not a /64": {"[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:1", "[::ffff:192.0.2.2]:2"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			listener := disguised{listen(t), make(chan string, 4)}
			connections := httpapi.NewConnections(slog.New(slog.DiscardHandler), httpapi.ConnectionsConfig{Max: 3})
			address := serveOn(t, answersOK, connections, listener)
			var opened []net.Conn
			for i, from := range []string{test.older, test.first, test.second, "198.51.100.1:1"} {
				listener.addresses <- from
				opened = append(opened, dial(t, neighbour, address))
				eventually(t, func() bool { return connections.Counts().Open == min(i+1, 3) })
			}
			eventually(t, func() bool { return connections.Counts().ClosedEarly == 1 })
			if isClosed(opened[0], false) || !isClosed(opened[1], true) {
				t.Error("not the older of the client with two connections was closed")
			}
		})
	}
}

// idle opens connections from as many addresses, each of which was answered.
func idle(t *testing.T, b *bounded, clients int) []net.Conn {
	t.Helper()
	var opened []net.Conn
	for i := range clients {
		c := dial(t, fmt.Sprintf("127.0.1.%d", i+1), b.address)
		say(t, c, getLine)
		answerOn(t, c)
		opened = append(opened, c)
	}
	eventually(t, func() bool { return b.Counts().Bytes == int64(clients)*idleBytes })
	return opened
}

// Whoever takes more than others takes it from nobody else, but for what one
// ordinary request needs.
func TestOneClientPushesNobodyAside(t *testing.T) {
	const clients, tolerated = 60, 8
	long := strings.Repeat("X: "+strings.Repeat("x", 400)+"\r\n", 25)
	for name, test := range map[string]struct {
		connections int
		text        string
	}{
		"a header":      {1, "GET / HTTP/1.1\r\nHost: x\r\n" + long},
		"headers":       {20, "GET / HTTP/1.1\r\nHost: x\r\n" + long},
		"a body":        {1, "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat(" ", 90<<10)},
		"connections":   {50, ""},
		"short headers": {50, "GET / HTTP/1.1\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBounded(t, newService(setup{}), httpapi.ConnectionsConfig{MaxBytes: 1 << 20})
			honest := idle(t, b, clients)
			for range test.connections {
				c := dial(t, attacker, b.address)
				for _, line := range strings.SplitAfter(test.text, "\n") {
					_, _ = io.WriteString(c, line) // may be closed already
				}
			}
			eventually(t, func() bool { return b.Counts().Refused+b.Counts().ClosedEarly > 0 })
			var closed atomic.Int32
			var group sync.WaitGroup
			for _, c := range honest {
				group.Go(func() {
					if isClosed(c, false) {
						closed.Add(1)
					}
				})
			}
			group.Wait()
			if got := closed.Load(); got > tolerated {
				t.Errorf("%d of %d idle connections of others are closed", got, clients)
			}
		})
	}
}

// Many who do nothing, each from an address of its own, keep out nobody who
// does something.
func TestIdleClientsLockNobodyOut(t *testing.T) {
	s := newService(setup{})
	b := newBounded(t, s, httpapi.ConnectionsConfig{MaxBytes: 1 << 20})
	idle(t, b, 63)
	c := dial(t, neighbour, b.address)
	body := padded(batch(goodEvent), 20<<10)
	say(t, c, fmt.Sprintf("POST /v1/events HTTP/1.1\r\nHost: x\r\nX: %s\r\nContent-Length: %d\r\n\r\n%s",
		strings.Repeat("x", 1000), len(body), body))
	if answer := answerOn(t, c); answer.StatusCode != http.StatusOK {
		t.Errorf("status %d %s", answer.StatusCode, answer.Body)
	}
}

// working holds requests until release is called.
func working(t *testing.T) (handler http.Handler, begun <-chan struct{}, release func()) {
	t.Helper()
	begins, ends := make(chan struct{}, 16), make(chan struct{})
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		begins <- struct{}{}
		<-ends
		_, _ = io.WriteString(w, "ok")
	}), begins, func() { close(ends) }
}

func TestConnectionsThatAreWorkedForAreKept(t *testing.T) {
	handler, begun, release := working(t)
	b := newBounded(t, handler, httpapi.ConnectionsConfig{Max: 2})
	var busy []net.Conn
	for range 2 {
		c := dial(t, attacker, b.address)
		say(t, c, getLine)
		<-begun
		busy = append(busy, c)
	}
	late := answerOn(t, dial(t, neighbour, b.address))
	checkRaw(t, late, http.StatusServiceUnavailable, "service_unavailable")
	checkHeader(t, late.Header, "Retry-After", "5")
	release()
	for _, c := range busy {
		if answer := answerOn(t, c); answer.StatusCode != http.StatusOK {
			t.Errorf("status %d", answer.StatusCode)
		}
	}
	if got := b.Counts(); got.Refused != 1 || got.ClosedEarly != 0 {
		t.Errorf("counts are %+v", got)
	}
}

// A second request that came with the first was never waited for.
func TestPipelinedRequestsThatAreWorkedForAreKept(t *testing.T) {
	slow, begun, release := working(t)
	handler := http.NewServeMux()
	handler.Handle("/", answersOK)
	handler.Handle("/slow", slow)
	b := newBounded(t, handler, httpapi.ConnectionsConfig{Max: 1})
	c := dial(t, attacker, b.address)
	say(t, c, getLine+"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	checkRaw(t, answerOn(t, dial(t, neighbour, b.address)), http.StatusServiceUnavailable, "service_unavailable")
	release()
	answers := bufio.NewReader(c)
	for range 2 {
		if answer, err := readAnswer(answers); err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("answer is %+v, %v", answer, err)
		}
	}
}

// halted stops its first connection between the end of a header and the handler.
type halted struct {
	net.Listener

	first           sync.Once
	reached, resume chan struct{}
	closed          chan struct{}
}

func (l *halted) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	l.first.Do(func() { c = &haltedConn{Conn: c, halted: l} })
	return c, err
}

type haltedConn struct {
	net.Conn
	*halted

	once sync.Once
}

func (c *haltedConn) Close() error {
	err := c.Conn.Close()
	c.closed <- struct{}{}
	return err
}

// SetReadDeadline is called without a deadline when the header is complete.
func (c *haltedConn) SetReadDeadline(deadline time.Time) error {
	if deadline.IsZero() {
		c.once.Do(func() { close(c.reached); <-c.resume })
	}
	return c.Conn.SetReadDeadline(deadline)
}

// What was closed before its request was begun is not worked on: the client
// may well send it again.
func TestRequestsOfTheClosedAreNotBegun(t *testing.T) {
	l := &halted{Listener: listen(t), reached: make(chan struct{}), resume: make(chan struct{}), closed: make(chan struct{}, 8)}
	var served atomic.Int32
	connections := httpapi.NewConnections(slog.New(slog.DiscardHandler), httpapi.ConnectionsConfig{Max: 1})
	address := serveOn(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) }), connections, l)
	first := dial(t, attacker, address)
	say(t, first, getLine)
	<-l.reached
	second := dial(t, neighbour, address)
	say(t, second, getLine)
	if answer := answerOn(t, second); answer.StatusCode != http.StatusOK {
		t.Fatalf("status %d", answer.StatusCode)
	}
	<-l.closed // to make room
	close(l.resume)
	<-l.closed // as the server has finished with it
	if got := served.Load(); got != 1 {
		t.Errorf("%d requests were worked on, want 1", got)
	}
}

// checkRaw wants a refusal like any other, though no handler made it.
func checkRaw(t *testing.T, answer rawAnswer, status int, code string) {
	t.Helper()
	var body struct {
		Error     string
		Details   []string
		RequestID string `json:"request_id"`
	}
	decode(t, []byte(answer.Body), &body)
	id := answer.Header.Get("X-Request-Id")
	if answer.StatusCode != status || body.Error != code || len(body.Details) != 1 || body.RequestID != id || id == "" {
		t.Errorf("status %d with %+v and id %q, want %d %s", answer.StatusCode, body, id, status, code)
	}
	if !answer.Close {
		t.Error("the connection is not announced to be closed")
	}
	checkHeader(t, answer.Header, "Content-Type", "application/json; charset=utf-8")
	checkHeader(t, answer.Header, "X-Content-Type-Options", "nosniff")
	checkHeader(t, answer.Header, "Cache-Control", "no-store")
}

func TestWhatIsNoRequestIsRefusedLikeRequests(t *testing.T) {
	tests := map[string]struct {
		text   string
		status int
		code   string
	}{
		"garbage":           {"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400, "malformed_request"},
		"bad escape":        {"GET /v1/stats/tool/%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed_request"},
		"no host":           {"GET / HTTP/1.1\r\n\r\n", 400, "malformed_request"},
		"two hosts":         {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "malformed_request"},
		"bad header name":   {"GET / HTTP/1.1\r\nHost: a\r\nX y: 1\r\n\r\n", 400, "malformed_request"},
		"two lengths":       {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "malformed_request"},
		"negative length":   {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, "malformed_request"},
		"long header":       {"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 16<<10) + "\r\n\r\n", 431, "request_header_fields_too_large"},
		"transfer encoding": {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "not_implemented"},
		"expectation":       {"POST / HTTP/1.1\r\nHost: a\r\nExpect: cake\r\n\r\n", 417, "expectation_failed"},
		"version":           {"GET / HTTP/9.9\r\nHost: a\r\n\r\n", 505, "http_version_not_supported"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBounded(t, answersOK, httpapi.ConnectionsConfig{})
			c := dial(t, attacker, b.address)
			say(t, c, test.text)
			checkRaw(t, answerOn(t, c), test.status, test.code)
			if got := b.Counts().Malformed; got != 1 {
				t.Errorf("%d are counted", got)
			}
			lines, told := b.log.linesAt(t, slog.LevelDebug), b.log.linesAt(t, slog.LevelInfo)
			if len(lines) != 1 || lines[0]["route"] != "unread" || lines[0]["status"] != float64(test.status) || lines[0]["code"] != test.code {
				t.Errorf("logged %v", lines)
			}
			if len(told) != 1 || told[0]["malformed"] != 1.0 {
				t.Errorf("told %v", told)
			}
		})
	}
}

// Who breaks off is owed no answer, and gets no other than ours.
func TestWhatIsBrokenOffIsNotAnswered(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		// ends says that the client announces that nothing more comes.
		ends bool
	}{
		"silence in the request line": {"GET /v1/l", false},
		"silence in a header line":    {"GET / HTTP/1.1\r\nHost: x\r\nX-A", false},
		"silence after a header line": {"GET / HTTP/1.1\r\nHost: x\r\n", false},
		"end of the request line":     {"GET /v1/l", true},
		"end of a header line":        {"GET / HTTP/1.1\r\nHost: x\r\nX-A", true},
		"end after a header line":     {"GET / HTTP/1.1\r\nHost: x\r\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			connections := httpapi.NewConnections(slog.New(slog.DiscardHandler), httpapi.ConnectionsConfig{})
			c := dial(t, attacker, serveWith(t, &http.Server{Handler: answersOK, ReadHeaderTimeout: 100 * time.Millisecond}, connections, listen(t)))
			say(t, c, test.text)
			if tcp, ok := c.(*net.TCPConn); test.ends && ok {
				if err := tcp.CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			if answer, err := io.ReadAll(c); err != nil || len(answer) > 0 {
				t.Errorf("answer is %q, %v", answer, err)
			}
			eventually(t, func() bool { return connections.Counts() == httpapi.ConnectionCounts{} })
		})
	}
}

// Nobody can fill the log with what counts against no limit.
func TestRefusalsBeforeRequestsAreToldOnceAMinute(t *testing.T) {
	handler, begun, release := working(t)
	defer release()
	b := newBounded(t, handler, httpapi.ConnectionsConfig{Max: 2})
	say(t, dial(t, neighbour, b.address), getLine)
	<-begun
	for range 10 {
		c := dial(t, attacker, b.address)
		say(t, c, "garbage\r\n\r\n")
		checkRaw(t, answerOn(t, c), http.StatusBadRequest, "malformed_request")
	}
	say(t, dial(t, neighbour, b.address), getLine)
	<-begun
	for range 10 {
		checkRaw(t, answerOn(t, dial(t, attacker, b.address)), http.StatusServiceUnavailable, "service_unavailable")
	}
	for level, want := range map[slog.Level]int{slog.LevelDebug: 20, slog.LevelInfo: 1, slog.LevelWarn: 1, slog.LevelError: 0} {
		if got := b.log.linesAt(t, level); len(got) != want {
			t.Errorf("%d lines at %v, want %d: %v", len(got), level, want, got)
		}
	}
}

// Answers of handlers pass as they are, whatever their status.
func TestAnswersOfHandlersPass(t *testing.T) {
	b := newBounded(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "mine", http.StatusBadRequest)
	}), httpapi.ConnectionsConfig{})
	c := dial(t, neighbour, b.address)
	for range 2 {
		say(t, c, getLine)
		answer := answerOn(t, c)
		if answer.Body != "mine\n" || answer.StatusCode != http.StatusBadRequest {
			t.Errorf("answer is %d %q", answer.StatusCode, answer.Body)
		}
	}
	if got := b.Counts(); got.Malformed != 0 || got.Open != 1 {
		t.Errorf("counts are %+v", got)
	}
}

// Headers count many times what they have on the wire, as they take that.
func TestHeadersCountAgainstMemory(t *testing.T) {
	const clients = 20
	b := newBounded(t, answersOK, httpapi.ConnectionsConfig{MaxBytes: 1 << 20})
	kept := dial(t, neighbour, b.address)
	say(t, kept, "GET / HTTP/1.1\r\n")
	for range clients {
		say(t, dial(t, attacker, b.address), "GET / HTTP/1.1\r\n"+strings.Repeat("x: y\r\n", 700))
	}
	eventually(t, func() bool { return b.Counts().ClosedEarly > clients/2 })
	say(t, kept, "Host: x\r\n\r\n")
	if answer := answerOn(t, kept); answer.StatusCode != http.StatusOK {
		t.Errorf("status %d", answer.StatusCode)
	}
}

// A body that is on its way takes no place of those that are worked on, and
// the greediest loses its own when memory is short.
func TestSlowBodiesLockNobodyOut(t *testing.T) {
	s := newService(setup{})
	b := newBounded(t, s, httpapi.ConnectionsConfig{MaxBytes: 2 << 20})
	const slow = 100
	for range slow {
		say(t, dial(t, attacker, b.address), fmt.Sprintf(
			"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", 90<<10, strings.Repeat(" ", 60<<10)))
	}
	eventually(t, func() bool { return b.Counts().ClosedEarly > slow/2 })
	c := dial(t, neighbour, b.address)
	body := batch(goodEvent)
	say(t, c, fmt.Sprintf("POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	if answer := answerOn(t, c); answer.StatusCode != http.StatusOK {
		t.Errorf("status %d", answer.StatusCode)
	}
	if got := s.queued(t); got != 1 {
		t.Errorf("%d events are queued, want 1", got)
	}
}

// A header for which there is no room, and nobody to close, is no bad request.
func TestHeaderWithoutRoomIsTold(t *testing.T) {
	handler, begun, release := working(t)
	defer release()
	b := newBounded(t, handler, httpapi.ConnectionsConfig{MaxBytes: 160 << 10})
	for range 2 {
		c := dial(t, attacker, b.address)
		say(t, c, getLine)
		<-begun
	}
	c := dial(t, neighbour, b.address)
	say(t, c, "GET / HTTP/1.1\r\nX: "+strings.Repeat("x", 5000)+"\r\n")
	answer := answerOn(t, c)
	checkRaw(t, answer, http.StatusServiceUnavailable, "service_unavailable")
	checkHeader(t, answer.Header, "Retry-After", "5")
	if got := b.Counts(); got.Refused != 1 || got.Malformed != 0 {
		t.Errorf("counts are %+v", got)
	}
}

// What was held for a request is free with the end of its answer, while the
// connection stays.
func TestAnswerFreesWhatTheRequestTook(t *testing.T) {
	s := newService(setup{})
	b := newBounded(t, s, httpapi.ConnectionsConfig{})
	c := dial(t, neighbour, b.address)
	body := padded(batch(goodEvent), 90<<10)
	for range 2 {
		say(t, c, fmt.Sprintf("POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:1000]))
		eventually(t, func() bool { return b.Counts().Bytes > idleBytes })
		say(t, c, body[1000:])
		if answer := answerOn(t, c); answer.StatusCode != http.StatusOK {
			t.Fatalf("status %d", answer.StatusCode)
		}
		eventually(t, func() bool { return b.Counts() == httpapi.ConnectionCounts{Open: 1, Bytes: idleBytes} })
	}
}

// When all memory is in work there is nobody to close.
func TestBodyWithoutRoomIsRefused(t *testing.T) {
	begun, ends := make(chan struct{}), make(chan struct{})
	s := newService(setup{queue: brokenQueue(func(context.Context) error {
		begun <- struct{}{}
		<-ends
		return nil
	})})
	b := newBounded(t, s, httpapi.ConnectionsConfig{MaxBytes: 256 << 10})
	post := func(from string, padding int) net.Conn {
		c := dial(t, from, b.address)
		body := padded(batch(goodEvent), padding)
		say(t, c, fmt.Sprintf("POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		return c
	}
	first := post(attacker, 40<<10)
	<-begun
	second := answerOn(t, post(neighbour, 90<<10))
	if second.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", second.StatusCode)
	}
	checkHeader(t, second.Header, "Retry-After", "5")
	close(ends)
	if answer := answerOn(t, first); answer.StatusCode != http.StatusOK {
		t.Errorf("the first got status %d", answer.StatusCode)
	}
	eventually(t, func() bool { return b.Counts().Bytes <= 2*idleBytes })
	go func() { <-begun }()
	if answer := answerOn(t, post(neighbour, 40<<10)); answer.StatusCode != http.StatusOK {
		t.Errorf("with the room free again: status %d", answer.StatusCode)
	}
}

// A client that asks and does not read the answers loses its connection to
// others, though the server is in the middle of an answer.
func TestWhoDoesNotReadIsClosed(t *testing.T) {
	b := newBounded(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 64 {
			_, _ = w.Write(make([]byte, 1<<20))
		}
	}), httpapi.ConnectionsConfig{Max: 1})
	deaf := dial(t, attacker, b.address)
	say(t, deaf, getLine)
	eventually(t, func() bool {
		c := dial(t, neighbour, b.address)
		_, _ = io.WriteString(c, getLine)
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
}

// A connection that was refused lingers for half a second, lest the client miss
// the answer. It must not keep room from others meanwhile.
func TestRefusedConnectionsMakeRoom(t *testing.T) {
	b := newBounded(t, answersOK, httpapi.ConnectionsConfig{MaxBytes: 2 << 20})
	kept := dial(t, neighbour, b.address)
	say(t, kept, getLine)
	answerOn(t, kept)
	for i := range 40 {
		c := dial(t, fmt.Sprintf("127.0.66.%d", i+1), b.address)
		say(t, c, "GET / HTTP/1.1\r\nX: "+strings.Repeat("x", 17<<10)+"\r\n")
		if status := answerOn(t, c).StatusCode; status != http.StatusRequestHeaderFieldsTooLarge {
			t.Fatalf("status %d", status)
		}
	}
	say(t, kept, getLine)
	if answer := answerOn(t, kept); answer.StatusCode != http.StatusOK {
		t.Errorf("status %d", answer.StatusCode)
	}
}

func TestConnectionsThatEndAreForgotten(t *testing.T) {
	b := newBounded(t, answersOK, httpapi.ConnectionsConfig{})
	for _, end := range []string{"", "GET / HTTP/1.1\r\nHo", getLine, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "garbage\r\n\r\n"} {
		c := dial(t, neighbour, b.address)
		_, _ = io.WriteString(c, end)
		_ = c.Close()
	}
	eventually(t, func() bool { return b.Counts() == httpapi.ConnectionCounts{Malformed: 1} })
}
