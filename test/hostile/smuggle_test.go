package hostile_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// smuggledTool is what only requests report that hide behind others. None may
// be taken for a request.
const smuggledTool = "save_location"

// TestSmuggledRequests sends what two servers could read in two ways, with a
// request hidden in what follows. It is refused, or answered once and the
// connection closed; what is hidden is never done.
func TestSmuggledRequests(t *testing.T) {
	hidden := postOf(encode([]event{newEvent(smuggledTool, "6.6.6")}))
	g := start(t)
	g.settled = func() {
		if got := g.callsOf(t, smuggledTool); got != 0 {
			t.Errorf("%d hidden requests were done", got)
		}
	}
	g.endure(t, func(ctx context.Context) {
		for round := range full(200, 10) {
			for name, text := range ambiguous(hidden) {
				g.speak(ctx, t, name, attackerAt(round), text)
			}
		}
	})
}

// TestGarbage speaks everything but HTTP, and HTTP with random damage.
func TestGarbage(t *testing.T) {
	g := start(t)
	g.endure(t, func(ctx context.Context) {
		random := newRandom(t)
		request := postOf(encode([]event{newEvent("get_alerts", "1.0.0")}))
		texts := slices.Clone(drawn)
		for i := range full(20_000, 2000) {
			damaged := damage(random, []byte(strings.Repeat(request, 1+i%3)), [][]byte{[]byte(request)})
			texts = append(texts, string(damaged)+hangUp)
		}
		// Many wait for what does not come.
		parallel(ctx, 128, len(texts), func(i int) { g.hold(ctx, attackerAt(i%50), texts[i]) })
	})
}

// hangUp ends whatever a damaged request is still waiting for.
const hangUp = "\r\n\r\nGET /v1/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

// drawn is what scanners and other protocols begin with.
var drawn = []string{
	"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "\x00\x00\x00\x00",
	"*1\r\n$4\r\nPING\r\n", "EHLO x\r\n", "GET\r\n\r\n", "GET /\r\n\r\n", "\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n", "GET * HTTP/1.1\r\nHost: x\r\n\r\n", "CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET // HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: \xff\r\n\r\n", "TRACE / HTTP/1.1\r\nHost: x\r\nCookie: a\r\n\r\n",
	strings.Repeat("\x00", 100_000), strings.Repeat("A", 100_000), strings.Repeat("\r\n", 50_000), strings.Repeat(" ", 100_000),
}

func postOf(body []byte) string {
	return fmt.Sprintf("POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// ambiguous returns texts whose end depends on how they are read, with the
// hidden request behind one of the ends.
func ambiguous(hidden string) map[string]string {
	const line = "POST /v1/events/explain HTTP/1.1\r\nHost: x\r\n"
	chunk := fmt.Sprintf("%x\r\n%s\r\n", len(hidden), hidden)
	withLength := fmt.Sprintf("Content-Length: %d\r\n", len(hidden)+5)
	end := "0\r\n\r\n"
	forms := map[string]string{
		"length, then chunked":        withLength + "Transfer-Encoding: chunked\r\n\r\n" + end + hidden,
		"chunked, then length":        "Transfer-Encoding: chunked\r\n" + withLength + "\r\n" + end + hidden,
		"chunked, short length":       "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + end + hidden,
		"chunked twice":               "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + end + hidden,
		"chunked and identity":        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + end + hidden,
		"chunked, chunked":            "Transfer-Encoding: chunked, chunked\r\n\r\n" + end + hidden,
		"identity":                    "Transfer-Encoding: identity\r\n" + withLength + "\r\n" + end + hidden,
		"xchunked":                    "Transfer-Encoding: xchunked\r\n" + withLength + "\r\n" + end + hidden,
		"quoted":                      "Transfer-Encoding: \"chunked\"\r\n" + withLength + "\r\n" + end + hidden,
		"blank before the colon":      "Transfer-Encoding : chunked\r\n" + withLength + "\r\n" + end + hidden,
		"tab before the value":        "Transfer-Encoding:\tchunked\r\n" + withLength + "\r\n" + end + hidden,
		"vertical tab":                "Transfer-Encoding:\x0bchunked\r\n" + withLength + "\r\n" + end + hidden,
		"continued line":              "Transfer-Encoding:\r\n chunked\r\n" + withLength + "\r\n" + end + hidden,
		"continued first line":        " Transfer-Encoding: chunked\r\n" + withLength + "\r\n" + end + hidden,
		"continued name":              "X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" + hidden,
		"lone line feeds":             "Transfer-Encoding: chunked\n" + withLength + "\n" + end + hidden,
		"lone carriage return":        "X: y\rTransfer-Encoding: chunked\r\n" + withLength + "\r\n" + end + hidden,
		"NUL in a name":               "Transfer-\x00Encoding: chunked\r\n" + withLength + "\r\n" + end + hidden,
		"two lengths":                 withLength + "Content-Length: 5\r\n\r\n" + end + hidden,
		"two lengths in one":          fmt.Sprintf("Content-Length: %d, 5\r\n\r\n", len(hidden)+5) + end + hidden,
		"negative length":             "Content-Length: -5\r\n\r\n" + end + hidden,
		"signed length":               "Content-Length: +5\r\n\r\n" + end + hidden,
		"hexadecimal length":          "Content-Length: 0x5\r\n\r\n" + end + hidden,
		"length with a blank":         "Content-Length: 5 5\r\n\r\n" + end + hidden,
		"huge length":                 "Content-Length: 99999999999999999999\r\n\r\n" + end + hidden,
		"length of 2^64+5":            "Content-Length: 18446744073709551621\r\n\r\n" + end + hidden,
		"fractional length":           "Content-Length: 5.0\r\n\r\n" + end + hidden,
		"length in other digits":      "Content-Length: ٥\r\n\r\n" + end + hidden,
		"negative chunk":              "Transfer-Encoding: chunked\r\n\r\n-1\r\n" + hidden,
		"chunk of 2^64":               "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n" + hidden,
		"chunk with 0x":               "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + hidden,
		"chunk line with a line feed": "Transfer-Encoding: chunked\r\n\r\n0\n\r\n" + hidden,
		"chunk extension":             "Transfer-Encoding: chunked\r\n\r\n0;a=\"\r\n\r\n" + hidden,
		"chunk without its end":       "Transfer-Encoding: chunked\r\n\r\n1\r\nxy0\r\n\r\n" + hidden,
		"endless chunk extension":     "Transfer-Encoding: chunked\r\n\r\n1;" + strings.Repeat("x", 20_000) + "\r\nx\r\n" + end + hidden,
		"trailer":                     "Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\nContent-Length: 500\r\n\r\n" + hidden,
		"endless trailer":             "Transfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("x: y\r\n", 20_000) + "\r\n" + hidden,
	}
	for name, form := range forms {
		forms[name] = line + form
	}
	old := "POST /v1/events/explain HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n"
	forms["chunked in HTTP/1.0"] = old + "Transfer-Encoding: chunked\r\n\r\n" + end + hidden
	forms["kept alive in HTTP/1.0"] = old + "Content-Length: 2\r\n\r\n{}" + hidden
	forms["length of a GET"] = "GET /v1/live HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + end + hidden
	return forms
}

// speak sends text, hangs up its side and wants one answer at most, a refusal
// or of a connection that is closed then.
func (g *target) speak(ctx context.Context, t *testing.T, name, from, text string) {
	t.Helper()
	c, err := dial(ctx, from, g.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.WriteString(c, text) // the server may hang up before the end
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	answers := bufio.NewReader(c)
	var statuses []int
	for {
		answer, err := http.ReadResponse(answers, nil)
		if errors.Is(err, io.ErrUnexpectedEOF) || isEnd(err) {
			break
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			break
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		g.answers.add(answer.StatusCode)
		statuses = append(statuses, answer.StatusCode)
	}
	if len(statuses) > 1 || slices.Contains(statuses, http.StatusInternalServerError) {
		t.Errorf("%s is answered %d", name, statuses)
	}
}
