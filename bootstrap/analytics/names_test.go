package main

import (
	"bytes"
	"strings"
	"testing"
)

// tryFile runs the command beside a file .env with that text.
func tryFile(t *testing.T, dotenv string, environ []string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := program{
		stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, environ: environ, dotenv: file(t, ".env", dotenv),
	}.run(t.Context(), args)
	return result{code, stdout.String(), stderr.String()}
}

func TestMistypedNamesDoNotFallBackToTheDefault(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{{"serve"}, {"config"}, {"migrate", "up"}, {"deadletters", "list"}, {"validate", "-"}} {
		got := tryFile(t, "DATABASE_ULR=postgres://u:hunter2@h/d\n", []string{"DATA_DIR=" + dir, "PORT=0"}, args...)
		if got.code != 2 || !strings.Contains(got.stderr, "DATABASE_ULR: is in ") || !strings.Contains(got.stderr, "did you mean DATABASE_URL?") ||
			strings.Contains(got.stdout+got.stderr, "hunter2") {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

func TestDoubtsAreLoggedOrPrinted(t *testing.T) {
	const dotenv = "DB_PASSWORD=p@ss#$1\nDB_HOST=\n" // which lacks Redis
	environ := []string{"DATABASE_ULR=x", "DATA_DIR=" + t.TempDir()}
	for _, args := range [][]string{{"serve"}, {"config"}, {"migrate", "status"}} {
		got := tryFile(t, dotenv, environ, args...)
		for _, line := range []string{
			"analytics: warning: DATABASE_ULR is not a variable of this program and has no effect: did you mean DATABASE_URL?\n",
			"analytics: warning: DB_PASSWORD holds # or $ in ",
		} {
			if got.code != 2 || !strings.Contains(got.stderr, line) || strings.Contains(got.stdout+got.stderr, "p@ss") {
				t.Errorf("%v: %+v lacks %q", args, got, line)
			}
		}
	}
	// A server that starts logs them. This one fails for its port.
	got := tryFile(t, "SLOW_QUERY_MS=200\n", append(environ, "BIND_ADDRESS=192.0.2.1"), "serve")
	if got.code != 1 || !strings.Contains(got.stderr, `"level":"WARN","msg":"a variable probably does not do what it was meant to do","variable":"DATABASE_ULR"`) {
		t.Errorf("serve: %+v", got)
	}
}
