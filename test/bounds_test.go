package test_test

import (
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// TestBoundsAreShown holds the table of bounds to the code: every test that it
// names exists, every variable has the default that it states, and no variable
// that sets a bound is missing.
func TestBoundsAreShown(t *testing.T) {
	files := os.DirFS(root)
	page := read(t, files, "docs/bounds.md")
	for _, problem := range unshown(files, "docs/bounds.md", page) {
		t.Error(problem)
	}
	for _, problem := range wrongBounds(page, read(t, files, ".env.example")) {
		t.Error(problem)
	}
	if rows := threatsIn(page); len(rows) < 20 {
		t.Errorf("%d rows seen", len(rows))
	}
}

func read(t *testing.T, files fs.FS, name string) string {
	t.Helper()
	text, err := fs.ReadFile(files, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	boundVariable = regexp.MustCompile("`([A-Z][A-Z_]+)` \\(([^)]*)\\)")
	// boundName matches the names of variables that set a bound.
	boundName = regexp.MustCompile(`^MAX_|^RATE_LIMIT_|_RETENTION_DAYS$|_LIMIT_[KM]B$|^CACHE_|^EVENT_MAX_|_RESERVE_MB$`)
	example   = regexp.MustCompile(`(?m)^([A-Z][A-Z_]*)=(.*)$`)
)

// wrongBounds compares the variables of the table's rows with the example of a
// configuration, which holds the defaults.
func wrongBounds(page, configuration string) []string {
	defaults := make(map[string]string)
	var wanted []string
	for _, match := range example.FindAllStringSubmatch(configuration, -1) {
		defaults[match[1]] = match[2]
		if boundName.MatchString(match[1]) {
			wanted = append(wanted, match[1])
		}
	}
	var problems, named []string
	for _, row := range threatsIn(page) {
		for _, match := range boundVariable.FindAllStringSubmatch(row, -1) {
			named = append(named, match[1])
			if value, ok := defaults[match[1]]; !ok || value != match[2] {
				problems = append(problems, fmt.Sprintf("%s (%s) has the default %q", match[1], match[2], value))
			}
		}
	}
	for _, name := range wanted {
		if !slices.Contains(named, name) {
			problems = append(problems, name+" sets a bound and is not in the table")
		}
	}
	return problems
}

func TestWrongBounds(t *testing.T) {
	const (
		header        = "| what | in number | variable | shown by |\n|---|---|---|---|\n"
		configuration = "# MAX_OTHER=1\nMAX_THINGS=5\nPORT=1\n"
	)
	for name, c := range map[string]struct{ page, want string }{
		"right":         {header + "| a | 5 | `MAX_THINGS` (5) | [TestA](a_test.go) |\n", ""},
		"wrong default": {header + "| a | 5 | `MAX_THINGS` (6) | |\n", `MAX_THINGS (6) has the default "5"`},
		"unknown":       {header + "| a | 5 | `MAX_THINGS` (5), `MAX_OTHER` (1) | |\n", `MAX_OTHER (1) has the default ""`},
		"missing":       {header + "| a | 5 | fixed | |\n\n`MAX_THINGS` (5)\n", "MAX_THINGS sets a bound and is not in the table"},
	} {
		if got := strings.Join(wrongBounds(c.page, configuration), "; "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	missing := header + "| a | 5 | fixed | |\n| b | 5 | fixed | [TestB](b_test.go) |\n"
	files := fstest.MapFS{"docs/b_test.go": {Data: []byte("package b\nfunc TestC() {}\n")}}
	if got := unshown(files, "docs/bounds.md", missing); len(got) != 2 {
		t.Errorf("problems are %q", got)
	}
}
