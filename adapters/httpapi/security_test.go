package httpapi_test

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/httpapi"
)

func TestLongAddress(t *testing.T) {
	s := newService(setup{})
	const limit = 12 << 10
	for path, names := range map[string]string{"/v1/stats/tool/": "name", "/v1/stats/all?period=": "period", "/v1/nothing/": ""} {
		fits := strings.Repeat("x", limit-len(path))
		if answer := s.do(t, http.MethodGet, path+fits, ""); names == "" {
			checkStatus(t, answer, http.StatusNotFound)
		} else {
			checkInvalid(t, answer, names+" must be")
		}
		answer := s.do(t, http.MethodGet, path+fits+"x", "")
		checkStatus(t, answer, http.StatusRequestURITooLong)
		checkGolden(t, "refusal-uri-too-long", answer.Body.Bytes())
	}
}

// Where two servers may disagree on the end of a request, what follows is read
// as no request by this one.
func TestNothingIsSmuggledBehindADoubtfulEnd(t *testing.T) {
	body := batch(goodEvent)
	smuggled := fmt.Sprintf("POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	chunk := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	tests := map[string]string{
		"length and chunks": fmt.Sprintf("POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n%s",
			len(chunk)+len(smuggled), chunk),
		"chunks": "POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk,
		"HTTP/1.0 that is kept alive": fmt.Sprintf(
			"POST /v1/events HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nContent-Length: %d\r\n\r\n%s", len(body), body),
	}
	for name, request := range tests {
		t.Run(name, func(t *testing.T) {
			s := newService(setup{})
			b := newBounded(t, s, httpapi.ConnectionsConfig{})
			c := dial(t, attacker, b.address)
			say(t, c, request+smuggled)
			answers := bufio.NewReader(c)
			answer, err := readAnswer(answers)
			if err != nil || answer.StatusCode != http.StatusOK || !answer.Close {
				t.Fatalf("answer is %+v, %v", answer, err)
			}
			if answer, err := readAnswer(answers); err == nil {
				t.Errorf("a second answer: %d", answer.StatusCode)
			}
			if got := s.queued(t); got != 1 {
				t.Errorf("%d events are queued, want 1", got)
			}
		})
	}
}

// net/http answers OPTIONS * by itself, if it is let.
func TestAnswerToOptionsOfTheServerIsOurs(t *testing.T) {
	b := newBounded(t, newService(setup{}), httpapi.ConnectionsConfig{})
	c := dial(t, neighbour, b.address)
	say(t, c, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
	answer := answerOn(t, c)
	checkHeader(t, answer.Header, "X-Content-Type-Options", "nosniff")
	if answer.StatusCode != http.StatusNotFound || !strings.Contains(answer.Body, "not_found") {
		t.Errorf("answer is %d %s", answer.StatusCode, answer.Body)
	}
}
