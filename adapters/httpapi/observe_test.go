package httpapi_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestRequestID(t *testing.T) {
	made := regexp.MustCompile(`^[A-Z2-7]{26}$`)
	tests := map[string]struct {
		given string
		kept  bool
	}{
		"uuid":              {"0199c9a2-7f6e-7b5a-8a54-3a1c2d4e5f60", true},
		"hexadecimal":       {"0199c9a27f6e7b5a8a543a1c2d4e5f60", true},
		"a person":          {"MAXMUSTERMANNMUSTERSTRASSE", false},
		"none":              {"", false},
		"too short":         {"0199c9a27f6e7b5a8a543a1c2d4e5f6", false},
		"too long":          {strings.Repeat("a", 33), false},
		"a dashed address":  {"203-0-113-99_x", false},
		"a number":          {"5551234567", false},
		"an IPv4 address":   {"203.0.113.99", false},
		"an IPv6 address":   {"2001:db8::77aa", false},
		"an e-mail address": {"somebody@example.org", false},
		"a line":            {"abcd1234\n", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newService(setup{})
			request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/nothing", http.NoBody)
			request.Header["X-Request-Id"] = []string{test.given}
			answer := httptest.NewRecorder()
			s.ServeHTTP(answer, request)

			id := answer.Header().Get("X-Request-Id")
			if kept := id == test.given; kept != test.kept || !kept && !made.MatchString(id) {
				t.Errorf("id of the answer is %q", id)
			}
			var refusal struct {
				RequestID string `json:"request_id"`
			}
			decode(t, answer.Body.Bytes(), &refusal)
			if refusal.RequestID != id || s.log.line(t)["request_id"] != id {
				t.Errorf("header has %q, body %q, log %v", id, refusal.RequestID, s.log.line(t)["request_id"])
			}
		})
	}
}

func TestEveryAnswerHasSecurityHeaders(t *testing.T) {
	s := newService(setup{})
	for _, path := range []string{"/v1/catalogue", "/v1/stats/all", "/v1/nothing", "/v1/events"} {
		header := s.do(t, http.MethodGet, path, "").Header()
		checkHeader(t, header, "X-Content-Type-Options", "nosniff")
		checkHeader(t, header, "Referrer-Policy", "no-referrer")
		checkHeader(t, header, "Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		checkHeader(t, header, "Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		checkHeader(t, header, "X-Frame-Options", "DENY")
		checkHeader(t, header, "Strict-Transport-Security", "")
	}
	behindTLS := s.do(t, http.MethodGet, "/v1/catalogue", "", "X-Forwarded-Proto", "https").Header()
	checkHeader(t, behindTLS, "Strict-Transport-Security", "max-age=31536000")
}

func TestAccessLog(t *testing.T) {
	common := []string{"time", "level", "msg", "request_id", "method", "route", "status", "duration_ms", "bytes"}
	tests := map[string]struct {
		method, path, body string
		want               map[string]any
		extra              []string
	}{
		"events": {
			http.MethodPost, "/v1/events", batch(goodEvent, goodEvent, badEvent),
			map[string]any{"route": "/v1/events", "status": 200.0, "accepted": 2.0, "refused": 1.0, "level": "INFO"},
			[]string{"accepted", "refused"},
		},
		"refused": {
			http.MethodPost, "/v1/events", batch(badEvent),
			map[string]any{"route": "/v1/events", "status": 400.0, "code": "validation_failed", "level": "INFO"},
			[]string{"code"},
		},
		"statistics": {
			http.MethodGet, "/v1/stats/tool/get_forecast?period=1h", "",
			map[string]any{"route": "/v1/stats/tool/:name", "method": "GET", "status": 200.0, "level": "INFO"},
			nil,
		},
		"unmatched": {
			http.MethodGet, "/someone@example.org", "",
			map[string]any{"route": "unmatched", "status": 404.0, "code": "not_found"},
			[]string{"code"},
		},
		"wrong method": {
			http.MethodDelete, "/v1/events", "",
			map[string]any{"route": "unmatched", "method": "DELETE", "status": 405.0, "code": "method_not_allowed"},
			[]string{"code"},
		},
		"invented method": {
			"MYNAMEISBOB", "/v1/events", "",
			map[string]any{"route": "unmatched", "method": "other", "status": 405.0, "code": "method_not_allowed"},
			[]string{"code"},
		},
		"health": {
			http.MethodGet, "/v1/health", "", map[string]any{"route": "/v1/health", "level": "DEBUG"}, nil,
		},
		"live": {
			http.MethodGet, "/v1/live", "", map[string]any{"route": "/v1/live", "level": "DEBUG", "bytes": 18.0}, nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newService(setup{})
			s.do(t, test.method, test.path, test.body)
			line := s.log.line(t)
			for key, want := range test.want {
				if line[key] != want {
					t.Errorf("%s = %v, want %v", key, line[key], want)
				}
			}
			want := slices.Sorted(slices.Values(append(slices.Clone(common), test.extra...)))
			if got := slices.Sorted(maps.Keys(line)); !slices.Equal(got, want) {
				t.Errorf("members are %v, want %v", got, want)
			}
		})
	}
}

// The longest request that a client can make leaves a short line.
func TestALogLineIsBounded(t *testing.T) {
	s := newService(setup{})
	long := strings.Repeat("x", 10<<10)
	s.do(t, http.MethodGet, "/v1/stats/tool/"+long+"?period="+long, "", "X-Request-Id", "0199c9a2-7f6e-7b5a-8a54-3a1c2d4e5f60",
		"User-Agent", long, "Referer", long)
	s.do(t, http.MethodPost, "/v1/events", batch(slices.Repeat([]string{badEvent}, 99)...), "Idempotency-Key", strings.Repeat("k", 128))
	s.do(t, http.MethodPost, "/v1/events", batch(append(slices.Repeat([]string{badEvent}, 99), goodEvent)...), "Prefer", long)
	s.do(t, strings.Repeat("M", 1000), "/v1/events/explain", long)
	lines := strings.Split(strings.TrimSpace(s.log.String()), "\n")
	if len(lines) != 4 {
		t.Errorf("%d lines for 4 requests", len(lines))
	}
	for _, line := range lines {
		if len(line) > 512 {
			t.Errorf("a line of %d bytes: %s", len(line), line)
		}
	}
}

// Everything that a client can put into a request carries a canary; none may
// come up in the log at any level, nor in an answer of another request.
func TestNothingOfTheClientIsLogged(t *testing.T) {
	const canary = "203.0.113.77"
	s := newService(setup{})
	event := strings.Replace(goodEvent, "1.23.0", canary, 1)
	named := strings.Replace(goodEvent, "{", `{"canary-`+canary+`":"`+canary+`","ip":"`+canary+`",`, 1)
	header := []string{
		"X-Forwarded-For", canary, "X-Real-Ip", canary, "Forwarded", "for=" + canary, "User-Agent", canary, "Cookie", canary,
		"Authorization", canary, "Referer", canary, "Origin", canary, "X-Request-Id", canary, "Idempotency-Key", canary,
		"Prefer", canary, "If-None-Match", canary,
	}
	bodies := []string{
		batch(event), batch(named), batch(goodEvent, event), canary, `{"` + canary + `":`, `{"events":"` + canary + `"}`,
		`{"` + canary + `":1,"` + canary + `":2}`, "",
	}
	for _, path := range []string{"/v1/events", "/v1/events/explain"} {
		for _, body := range bodies {
			answer := s.do(t, http.MethodPost, path+"?q="+canary, body, header...)
			if strings.Contains(answer.Body.String(), canary) {
				t.Errorf("POST %s of %s repeats a submitted value: %s", path, body, answer.Body)
			}
		}
		s.do(t, http.MethodPost, path, batch(goodEvent), append(header, "Content-Type", canary)...)
		s.do(t, http.MethodPost, path, batch(goodEvent), append(header, "Content-Encoding", canary)...)
	}
	for _, path := range []string{
		"/" + canary, "/v1/stats/tool/" + canary, "/v1/stats/all?period=" + canary, "/v1/stats/all?" + canary + "=1",
		"/v1/stats/overview?version=" + canary, "/v1/health?" + canary, "/v1/catalogue?" + canary, "/v1/status?" + canary,
	} {
		for _, method := range []string{http.MethodGet, http.MethodPut, canary} {
			request := httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody)
			request.RemoteAddr = canary + ":4711"
			for i := 0; i < len(header); i += 2 {
				request.Header.Add(header[i], header[i+1])
			}
			s.ServeHTTP(httptest.NewRecorder(), request)
		}
	}
	if text := s.log.String(); strings.Contains(text, canary) || strings.Count(text, "\n") != 2*(len(bodies)+2)+8*3 {
		t.Errorf("not one line without a canary for every request:\n%s", text)
	}
}
