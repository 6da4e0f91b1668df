package httpapi_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/weather-mcp/weather-mcp-analytics/api"
)

func TestDocumentIsServed(t *testing.T) {
	s := newService(setup{})
	answer := s.do(t, http.MethodGet, "/openapi.yaml", "")
	checkStatus(t, answer, http.StatusOK)
	checkHeader(t, answer.Header(), "Content-Type", "application/yaml")
	checkHeader(t, answer.Header(), "Cache-Control", "public, max-age=300")
	if answer.Body.String() != api.Document() {
		t.Error("another document is served")
	}
	again := s.do(t, http.MethodGet, "/openapi.yaml", "", "If-None-Match", answer.Header().Get("ETag"))
	checkStatus(t, again, http.StatusNotModified)
}

// The document in JSON is the one in YAML, member for member.
func TestDocumentIsServedAsJSON(t *testing.T) {
	s := newService(setup{})
	answer := s.do(t, http.MethodGet, "/openapi.json", "")
	checkStatus(t, answer, http.StatusOK)
	checkHeader(t, answer.Header(), "Content-Type", "application/json; charset=utf-8")
	checkHeader(t, answer.Header(), "Cache-Control", "public, max-age=300")
	var fromYAML, fromJSON map[string]any
	if err := yaml.Unmarshal([]byte(api.Document()), &fromYAML); err != nil {
		t.Fatal(err)
	}
	decode(t, answer.Body.Bytes(), &fromJSON)
	// Both in one encoding, as the decoders differ in their types of numbers.
	want, got := encode(t, fromYAML), encode(t, fromJSON)
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes in JSON, %d in YAML, and they differ", len(got), len(want))
	}
	again := s.do(t, http.MethodGet, "/openapi.json", "", "If-None-Match", answer.Header().Get("ETag"))
	checkStatus(t, again, http.StatusNotModified)
	zipped := s.do(t, http.MethodGet, "/openapi.json", "", "Accept-Encoding", "gzip")
	checkHeader(t, zipped.Header(), "Content-Encoding", "gzip")
}

func encode(t *testing.T, value any) []byte {
	t.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func TestRootLeadsBrowsersToTheDocs(t *testing.T) {
	s := newService(setup{})
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		led := s.do(t, method, "/", "", "Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
		checkStatus(t, led, http.StatusSeeOther)
		checkHeader(t, led.Header(), "Location", "api-docs")
		checkHeader(t, led.Header(), "Cache-Control", "no-store") // it depends on Accept
	}
	for _, accept := range []string{
		"text/html", "Text/HTML;q=0.1", "text/html;level=1; Q=0.9, */*;q=0.9", "application/json;q=0.5, text/html;q=0.6",
		"text/html;q=0.4, application/json;q=0.3, */*", "text/html, application/json",
	} {
		checkStatus(t, s.do(t, http.MethodGet, "/", "", "Accept", accept), http.StatusSeeOther)
	}
	for _, accept := range []string{
		"", "*/*", "application/json", "text/html;q=0", "text/html; q=0.000, */*;q=0.1", "application/json, text/html;q=0.1",
		"text/html;q=0.5, application/*;q=0.6", "*/*, text/html;q=0.9", "text/html;q=high", `application/json;note="text/html"`,
	} {
		answer := s.do(t, http.MethodGet, "/", "", "Accept", accept)
		checkStatus(t, answer, http.StatusNotFound)
		if !strings.Contains(answer.Body.String(), "/api-docs") {
			t.Errorf("%q is answered %s", accept, answer.Body)
		}
	}
	checkStatus(t, s.do(t, http.MethodPost, "/", ""), http.StatusMethodNotAllowed)
}

// mentioned finds the assets in the page.
var mentioned = regexp.MustCompile(`(?:href|src)="(api-docs/[^"]+)"`)

func TestDocsPage(t *testing.T) {
	s := newService(setup{})
	page := s.do(t, http.MethodGet, "/api-docs", "")
	checkStatus(t, page, http.StatusOK)
	checkHeader(t, page.Header(), "Content-Type", "text/html; charset=utf-8")
	checkHeader(t, page.Header(), "Cache-Control", "no-cache")
	policy := page.Header().Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'; script-src 'self'; style-src 'self';") || strings.Contains(policy, "unsafe") {
		t.Errorf("Content-Security-Policy: %s", policy)
	}
	assets := mentioned.FindAllStringSubmatch(page.Body.String(), -1)
	if len(assets) != 7 {
		t.Fatalf("the page mentions %q", assets)
	}
	types := map[string]string{
		".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".txt": "text/plain; charset=utf-8",
	}
	for _, asset := range assets {
		name := asset[1]
		t.Run(name, func(t *testing.T) {
			if !regexp.MustCompile(`\.[0-9a-f]{32}\.(js|css|txt)$`).MatchString(name) {
				t.Fatalf("the name holds no hash")
			}
			plain := s.do(t, http.MethodGet, "/"+name, "")
			checkStatus(t, plain, http.StatusOK)
			checkHeader(t, plain.Header(), "Content-Type", types[name[strings.LastIndexByte(name, '.'):]])
			checkHeader(t, plain.Header(), "Cache-Control", "public, max-age=31536000, immutable")
			if plain.Body.Len() == 0 || strings.HasPrefix(plain.Body.String(), "\x1f\x8b") {
				t.Errorf("%d bytes that begin with %.4q", plain.Body.Len(), plain.Body)
			}
		})
	}
}

// The large files are kept compressed and go out as they are.
func TestDocsAssetsAreCompressed(t *testing.T) {
	s := newService(setup{})
	page := s.do(t, http.MethodGet, "/api-docs", "").Body.String()
	name := regexp.MustCompile(`api-docs/swagger-ui-bundle\.[0-9a-f]+\.js`).FindString(page)
	plain := s.do(t, http.MethodGet, "/"+name, "")
	zipped := s.do(t, http.MethodGet, "/"+name, "", "Accept-Encoding", "gzip")
	checkHeader(t, zipped.Header(), "Content-Encoding", "gzip")
	if zipped.Body.Len()*3 > plain.Body.Len() {
		t.Errorf("%d bytes compressed, %d plain", zipped.Body.Len(), plain.Body.Len())
	}
	if plain.Header().Get("ETag") == zipped.Header().Get("ETag") {
		t.Error("two codings have one ETag")
	}
}

func TestDocsAssetThatIsNot(t *testing.T) {
	s := newService(setup{})
	for _, path := range []string{"/api-docs/", "/api-docs/page.js", "/api-docs/index.html", "/api-docs/..%2Findex.html"} {
		checkStatus(t, s.do(t, http.MethodGet, path, ""), http.StatusNotFound)
	}
}
