package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every command keeps to the exit codes that help and README promise, and says
// why in one sentence when it is not 0.
func TestExitCodes(t *testing.T) {
	data := func(t *testing.T) string {
		t.Helper()
		first, _ := letterBatches()
		return graveyard(t, first)
	}
	notADirectory := file(t, "data", "")
	good, bad := file(t, "good.json", batch(event("get_forecast"))), file(t, "bad.json", batch(event("get_rich")))
	today := time.Now().UTC()
	day := func(days int) string { return today.AddDate(0, 0, days).Format(time.DateOnly) }
	tests := []struct {
		code    int
		line    string
		environ string // beside DATA_DIR
	}{
		{0, "serve", ""},
		{1, "serve", "DATA_DIR=" + notADirectory},
		{2, "serve", "PORT=x"},
		{2, "serve now", ""},
		{2, "api", ""},
		{2, "api", "DATABASE_URL=postgres://u@h/d?sslmode=maybe"},
		{2, "api --port=1", ""},
		{2, "worker", ""},
		{2, "worker --port=1", ""},
		{0, "config", ""},
		{2, "config", "PORT=x"},
		{2, "config all", ""},
		{0, "migrate up", ""},
		{0, "migrate status", ""},
		{0, "migrate redo --yes", ""},
		{0, "migrate down --yes", ""},
		{1, "migrate up", "DATA_DIR=" + notADirectory},
		{1, "migrate down", ""},
		{1, "migrate redo", ""},
		{2, "migrate", ""},
		{2, "migrate sideways", ""},
		{2, "migrate up --yes", ""},
		{2, "migrate up", "PORT=x"},
		{0, "rebuild --from " + day(-2) + " --to " + day(0), ""},
		{1, "rebuild --from " + day(-200) + " --to " + day(0), ""},
		{1, "rebuild --from " + day(-2) + " --to " + day(0), "DATA_DIR=" + notADirectory},
		{2, "rebuild --from yesterday --to " + day(0), ""},
		{2, "rebuild --from " + day(0) + " --to " + day(-2), ""},
		{2, "rebuild --from 2026-13-01 --to 2026-13-02", ""},
		{2, "rebuild", ""},
		{0, "backup " + filepath.Join(t.TempDir(), "new"), ""},
		{1, "backup " + good, ""},
		{1, "backup " + filepath.Join(t.TempDir(), "new"), "DATA_DIR=" + t.TempDir()},
		{2, "backup", ""},
		{2, "backup a b", ""},
		{0, "export", ""},
		{0, "export --output " + filepath.Join(t.TempDir(), "new"), ""},
		{1, "export --output " + good, ""},
		{1, "export", "DATA_DIR=" + t.TempDir()},
		{1, "export", "DATA_DIR=" + notADirectory},
		{2, "export all", ""},
		{2, "export --what all", ""},
		{2, "export --format xml", ""},
		{2, "export --resolution week", ""},
		{2, "export --from " + day(0) + " --to " + day(-2), ""},
		{2, "export", "PORT=x"},
		{0, "deadletters list", ""},
		{0, "deadletters replay --all", ""},
		{0, "deadletters purge --all", ""},
		{1, "deadletters list", "DATA_DIR=" + notADirectory},
		{1, "deadletters show unknown", ""},
		{1, "deadletters replay unknown", ""},
		{1, "deadletters purge unknown", ""},
		{2, "deadletters", ""},
		{2, "deadletters show", ""},
		{2, "deadletters replay", ""},
		{2, "deadletters purge a --all", ""},
		{2, "deadletters list", "PORT=x"},
		{0, "validate " + good, ""},
		{1, "validate " + bad, ""},
		{1, "validate /no/such/file", ""},
		{2, "validate", ""},
		{2, "validate " + good, "PORT=x"},
		{0, "version", ""},
		{2, "version long", ""},
		{0, "help", ""},
		{2, "unheard", ""},
	}
	seen := make(map[string]bool)
	for _, test := range tests {
		words := strings.Fields(test.line)
		seen[words[0]] = true
		if len(words) > 1 {
			seen[words[0]+" "+words[1]] = true
		}
		t.Run(strings.TrimSpace(strings.Join(words[:min(2, len(words))], " ")+" "+test.environ), func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			if test.line == "serve" && test.code == 0 {
				stop() // at once, in order
			}
			environ := append(on(data(t)), "PORT=0", "BIND_ADDRESS=127.0.0.1", "LOG_LEVEL=error")
			if test.environ != "" {
				environ = append(environ, test.environ)
			}
			code := program{
				stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr,
				environ: environ, dotenv: filepath.Join(t.TempDir(), ".env"),
			}.run(ctx, words)
			if code != test.code {
				t.Errorf("exit code %d, want %d: %s%s", code, test.code, &stdout, &stderr)
			}
			lines, most := strings.Count(stderr.String(), "\n"), min(code, 1)
			if strings.HasPrefix(stderr.String(), "analytics: the configuration cannot be used:\n") {
				most = lines // one for each problem
			}
			if lines > most || code == 2 && lines == 0 {
				t.Errorf("standard error is\n%s", &stderr)
			}
		})
	}
	for _, match := range regexp.MustCompile(`(?m)^  ([a-z]+)((?: [a-z]+)?)`).FindAllStringSubmatch(usage, -1) {
		if match[1] == "deadletters" || match[1] == "migrate" {
			match[1] += match[2]
		}
		if !seen[match[1]] {
			t.Errorf("the exit codes of %q are not tested", match[1])
		}
	}
}

// Help and README promise the same codes for the same commands.
func TestHelpAndReadmeAgree(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	words := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	readme, help := words(string(text)), words(usage)
	for _, promise := range []string{
		"all is done", "1", "was refused for the state of the data or the servers", "2", "arguments or configuration are wrong", "nothing was done",
	} {
		if !strings.Contains(readme, promise) || !strings.Contains(help, promise) {
			t.Errorf("%q is not in both", promise)
		}
	}
	commands := func(text string) (names []string) {
		for _, match := range regexp.MustCompile(`(?m)^ +(?:analytics )?(serve|api|worker|config|migrate|rebuild|backup|deadletters|validate|version|help) `).
			FindAllStringSubmatch(text, -1) {
			names = append(names, match[1])
		}
		slices.Sort(names)
		return slices.Compact(names)
	}
	if got, want := commands(string(text)), commands(usage); !slices.Equal(got, want) || len(want) != 11 {
		t.Errorf("README lists %v, help %v", got, want)
	}
}
