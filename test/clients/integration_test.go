package clients_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/test/service"
)

// example is a fenced block of a page that can be run.
type example struct {
	line           int
	language, code string
	// output is the block of JSON or text that follows, if any.
	output *example
}

// TestIntegrationGuide runs every block of the page, in its order, against one
// server. What cannot be run has no place on the page, but for the output
// after a block.
func TestIntegrationGuide(t *testing.T) {
	needNode(t)
	page, err := os.ReadFile(root + "/docs/integration.md")
	if err != nil {
		t.Fatal(err)
	}
	examples, err := examplesOf(string(page))
	if err != nil {
		t.Fatal(err)
	}
	url := service.Start(t)
	load(t, url)
	for _, e := range examples {
		t.Run(fmt.Sprintf("%s of line %d", e.language, e.line), func(t *testing.T) {
			out := e.run(t, url)
			if e.output != nil {
				e.output.check(t, out)
			}
		})
	}
}

// examplesOf finds the blocks of a page and refuses what is none to be run.
func examplesOf(page string) ([]*example, error) {
	var examples []*example
	var open *example
	closed := 0 // the line where the latest block ended
	for i, line := range strings.Split(page, "\n") {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case !isFence && open != nil:
			open.code += line + "\n"
		case !isFence:
		case open != nil:
			open, closed = nil, i+1
		default:
			open = &example{line: i + 1, language: fence}
			switch fence {
			case "sh", "js", "ts", "go":
				examples = append(examples, open)
			case "json", "text":
				if len(examples) == 0 || examples[len(examples)-1].output != nil || closed != i-1 {
					return nil, fmt.Errorf("line %d: the block is no output of a block before it", i+1)
				}
				examples[len(examples)-1].output = open
			default:
				return nil, fmt.Errorf("line %d: nobody runs blocks of %q", i+1, fence)
			}
		}
	}
	if open != nil || len(examples) == 0 {
		return nil, fmt.Errorf("of %d blocks, the last is open: %t", len(examples), open != nil)
	}
	return examples, nil
}

func TestExamplesOf(t *testing.T) {
	tests := map[string]struct {
		page string
		good bool
	}{
		"a block":                     {"# A\n\n```sh\ntrue\n```\n", true},
		"a block and its output":      {"```sh\ntrue\n```\n\n```json\n1\n```\n", true},
		"a block that nobody runs":    {"```sh\ntrue\n```\n\n```python\n1\n```\n", false},
		"a block without a language":  {"```sh\ntrue\n```\n\n```\n1\n```\n", false},
		"a block within a list":       {"- a\n\n  ```python\n  1\n  ```\n", false},
		"an output of nothing":        {"```json\n1\n```\n", false},
		"an output further down":      {"```sh\ntrue\n```\n\nA\n\n```json\n1\n```\n", false},
		"two outputs":                 {"```sh\ntrue\n```\n\n```json\n1\n```\n\n```json\n1\n```\n", false},
		"a block that does not end":   {"```sh\ntrue\n", false},
		"a page without a block":      {"# A\n", false},
		"blocks one after the other":  {"```sh\ntrue\n```\n```js\n1\n```\n", true},
		"a block of another language": {"```ts\n1\n```\n\n```go\n1\n```\n", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := examplesOf(tt.page); (err == nil) != tt.good {
				t.Errorf("error is %v", err)
			}
		})
	}
}

// publicServer stands in the examples for the server of the test.
const publicServer = "https://analytics.weather-mcp.dev"

// run returns what the block writes, and fails the test if it fails.
func (e *example) run(t *testing.T, url string) string {
	t.Helper()
	dir := t.TempDir()
	code := strings.ReplaceAll(e.code, publicServer, url)
	switch e.language {
	case "sh":
		path := portableTools(t) + string(os.PathListSeparator) + os.Getenv("PATH")
		return run(t, dir, []string{"BASE_URL=" + url, "PATH=" + path}, "bash", "-euo", "pipefail", "-c", code)
	case "js":
		return run(t, dir, nil, "node", write(t, dir, "example.mjs", code))
	case "ts":
		return runTypeScript(t, dir, code)
	default:
		file := write(t, dir, "main.go", code)
		run(t, root, nil, "go", "vet", file)
		return run(t, root, nil, "go", "run", file)
	}
}

// portableTools returns a folder of tools that take only what those of macOS, BSD
// and GNU have in common, as far as the page could go wrong with them.
func portableTools(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, script := range map[string]string{
		"date": `for option; do case $option in -u | +*) ;; *) echo "date $option is not portable" >&2; exit 1 ;; esac; done; exec %s "$@"`,
		"sed":  `exec %s --posix "$@"`,
		"cat":  `for file; do case $file in /proc/*) echo "$file is there on Linux only" >&2; exit 1 ;; esac; done; exec %s "$@"`,
	} {
		program, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		path := write(t, dir, name, "#!/bin/sh\n"+fmt.Sprintf(script, program)+"\n")
		if err := os.Chmod(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// runTypeScript compiles a program as strictly as the client and runs it, with
// the client where npm would install it.
func runTypeScript(t *testing.T, dir, code string) string {
	t.Helper()
	const installed = "node_modules/@weather-mcp/analytics-client/"
	client := compileClient(t, filepath.Join(dir, installed+"dist"))
	description, err := os.ReadFile(filepath.Join(client, "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, installed+"package.json", string(description))
	write(t, dir, "package.json", `{"type":"module"}`)
	write(t, dir, "example.ts", code)
	write(t, dir, "tsconfig.json", fmt.Sprintf(`{"extends":%q,"compilerOptions":{"rootDir":".","outDir":"build","types":[]},"include":["example.ts"]}`,
		filepath.Join(client, "tsconfig.json")))
	run(t, dir, nil, filepath.Join(client, compiler))
	return run(t, dir, nil, "node", "build/example.js")
}

// passing are the times and ids of an answer.
var passing = regexp.MustCompile(`"\d{4}-\d{2}-\d{2}T[0-9:.]+Z"|"[A-Z2-7]{26}"`)

// check compares what was written with the block, times and ids aside.
func (e *example) check(t *testing.T, out string) {
	t.Helper()
	if e.language == "text" {
		if out != e.code {
			t.Errorf("written was %s", out)
		}
		return
	}
	var got, want any
	for text, into := range map[string]*any{out: &got, e.code: &want} {
		if err := json.Unmarshal([]byte(passing.ReplaceAllString(text, `"passing"`)), into); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("written was %s", out)
	}
}

// load has the service count the calls of a real client, of this hour.
func load(t *testing.T, url string) {
	t.Helper()
	captured, err := os.ReadFile("../fixtures/real-client-detailed.json")
	if err != nil {
		t.Fatal(err)
	}
	hour := time.Now().UTC().Truncate(time.Hour).Format(time.RFC3339)
	body := regexp.MustCompile(`"timestamp_hour":"[^"]*"`).ReplaceAllString(string(captured), `"timestamp_hour":"`+hour+`"`)
	answer, err := http.Post(url+"/v1/events", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	for deadline := time.Now().Add(10 * time.Second); processed(t, url) != 26; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the calls, which were answered %d, do not count", answer.StatusCode)
		}
	}
}

func processed(t *testing.T, url string) int {
	t.Helper()
	answer, err := http.Get(url + "/v1/status")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var status struct {
		Events int `json:"events_processed"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&status); err != nil {
		t.Fatal(err)
	}
	return status.Events
}
