// Package web asks a running service what tests want to know.
package web

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Fresh makes a connection for each request, so that none is left over.
var Fresh = &http.Client{
	Transport: &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: 20 * time.Second},
	Timeout:   20 * time.Second,
}

// Ask sends a request with [Fresh] and returns what is answered.
func Ask(tb testing.TB, method, url, body string) (status int, answer string) {
	tb.Helper()
	request, err := http.NewRequestWithContext(tb.Context(), method, url, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	return Send(tb, request)
}

// Send sends the request with [Fresh] and returns what is answered.
func Send(tb testing.TB, request *http.Request) (status int, answer string) {
	tb.Helper()
	response, err := Fresh.Do(request)
	if err != nil {
		tb.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return response.StatusCode, string(text)
}
