package test_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// TestClaimsOfSecurityAreShown sees to it that what we say about security links
// only what exists, and names for every threat a test that stands where it says.
func TestClaimsOfSecurityAreShown(t *testing.T) {
	files := os.DirFS(root)
	for _, page := range []string{"SECURITY.md", "docs/threat-model.md"} {
		text, err := fs.ReadFile(files, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range unshown(files, page, string(text)) {
			t.Errorf("%s: %s", page, problem)
		}
		if len(linksIn(string(text))) == 0 {
			t.Errorf("%s: no link seen", page)
		}
	}
}

func TestUnshown(t *testing.T) {
	const header = "| threat | what stands against it | shown by |\n|---|---|---|\n"
	files := fstest.MapFS{
		"docs/limits.md": {},
		"app/limit_test.go": {Data: []byte(
			"package app_test\n// func TestCommented(t *testing.T) {}\nfunc TestLimit(t *testing.T) {}\nfunc (s suite) TestMethod() {}\nfunc helper() {}\n")},
		"app/broken_test.go": {Data: []byte("package")},
	}
	tests := []struct {
		name, text, want string
	}{
		{"a test", "[TestLimit](../app/limit_test.go)", ""},
		{"a page", "[limits](limits.md) and [a folder](../app)", ""},
		{"elsewhere", "[report](https://github.com/)", ""},
		{"shown", header + "| a flood | limits | [TestLimit](../app/limit_test.go) |", ""},
		{"another table", "| asset | value |\n|---|---|\n| a | b |", ""},
		{"no file", "[limits](limit.md)", "limit.md does not exist"},
		{"no file of tests", "[TestLimit](../app/limits_test.go)", "../app/limits_test.go does not exist"},
		{"outside", "[passwords](../../etc/passwd)", "../../etc/passwd does not exist"},
		{"no test", "[TestLimits](../app/limit_test.go)", "../app/limit_test.go has no TestLimits"},
		{"a comment", "[TestCommented](../app/limit_test.go)", "../app/limit_test.go has no TestCommented"},
		{"a method", "[TestMethod](../app/limit_test.go)", "../app/limit_test.go has no TestMethod"},
		{"no test function", "[helper](../app/limit_test.go)", "../app/limit_test.go has no test helper"},
		{"a test in a page", "[TestLimit](limits.md)", "limits.md has no TestLimit"},
		{"no Go", "[TestLimit](../app/broken_test.go)", "../app/broken_test.go has no TestLimit"},
		{"not shown", header + "| a flood | limits | [limits](limits.md) |", `no test shows "a flood"`},
		{"not shown after one that is", header + "| a | b | [TestLimit](../app/limit_test.go) |\n| c | d | |", `no test shows "c"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var want []string
			if tt.want != "" {
				want = []string{tt.want}
			}
			if got := unshown(files, "docs/threats.md", tt.text); !slices.Equal(got, want) {
				t.Errorf("problems = %q, want %q", got, want)
			}
		})
	}
}

// link is one of Markdown to a file of the repository.
type link struct{ text, target string }

var (
	markdownLink = regexp.MustCompile(`\[([^\]]*)\]\(([^)\s]+)\)`)
	testName     = regexp.MustCompile(`^(Test|Fuzz)[A-Z]\w*$`)
)

func linksIn(text string) []link {
	var links []link
	for _, match := range markdownLink.FindAllStringSubmatch(text, -1) {
		if !strings.Contains(match[2], "://") {
			links = append(links, link{text: match[1], target: match[2]})
		}
	}
	return links
}

// unshown lists the links of a page that lead nowhere or to a test that is not
// there, and the threats beside which there is no link to a test.
func unshown(files fs.FS, page, text string) []string {
	var problems []string
	for _, l := range linksIn(text) {
		if problem := l.problem(files, page); problem != "" {
			problems = append(problems, problem)
		}
	}
	for _, row := range threatsIn(text) {
		if !slices.ContainsFunc(linksIn(row), func(l link) bool { return testName.MatchString(l.text) }) {
			threat, _, _ := strings.Cut(strings.TrimPrefix(row, "|"), "|")
			problems = append(problems, fmt.Sprintf("no test shows %q", strings.TrimSpace(threat)))
		}
	}
	return problems
}

func (l link) problem(files fs.FS, page string) string {
	file := path.Join(path.Dir(page), l.target)
	if _, err := fs.Stat(files, file); err != nil {
		return l.target + " does not exist"
	}
	switch isTest := testName.MatchString(l.text); {
	case isTest && !declares(files, file, l.text):
		return l.target + " has no " + l.text
	case !isTest && strings.HasSuffix(file, "_test.go"):
		return l.target + " has no test " + l.text
	}
	return ""
}

// threatsIn returns the rows of the tables whose last column says what a threat
// is shown by.
func threatsIn(text string) []string {
	var rows []string
	inside := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasSuffix(line, "| shown by |"):
			inside = true
		case !strings.HasPrefix(line, "|"):
			inside = false
		case inside && !strings.HasPrefix(line, "|---"):
			rows = append(rows, line)
		}
	}
	return rows
}

// declares reports whether the file is Go code with a function of this name.
func declares(files fs.FS, file, function string) bool {
	source, err := fs.ReadFile(files, file)
	if err != nil {
		return false
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.SkipObjectResolution)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(parsed.Decls, func(d ast.Decl) bool {
		f, ok := d.(*ast.FuncDecl)
		return ok && f.Recv == nil && f.Name.Name == function
	})
}
