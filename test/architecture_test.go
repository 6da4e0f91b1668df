// Package test_test checks the repository as a whole.
package test_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = ".."
	module = "github.com/weather-mcp/weather-mcp-analytics/"
	fx     = "go.uber.org/fx"
)

// TestImportsPointInward parses every file itself: a test that ran the go
// command would be answered from the test cache after a wrong import appears.
func TestImportsPointInward(t *testing.T) {
	seen := make(map[string]int)
	for _, file := range sourceFiles(t) {
		folder, _, _ := strings.Cut(file, "/")
		seen[folder]++
		for _, imported := range importsOf(t, file) {
			if objection := objectionTo(file, imported); objection != "" {
				t.Errorf("%s imports %s: %s", file, imported, objection)
			}
		}
	}
	for _, folder := range []string{"domain", "ports", "app", "adapters", "bootstrap", "migrations", "api"} {
		if seen[folder] == 0 {
			t.Errorf("no Go file seen in %s", folder)
		}
	}
}

func TestObjectionTo(t *testing.T) {
	tests := []struct {
		file, imported string
		objects        bool
	}{
		{"domain/event.go", "time", false},
		{"domain/event.go", "github.com/go-ozzo/ozzo-validation/v4", false},
		{"domain/event.go", "github.com/go-ozzo/ozzo-validation/v4/is", false},
		{"domain/event.go", "github.com/go-json-experiment/json/jsontext", false},
		{"domain/event.go", "github.com/go-json-experiment/jsonish", true},
		{"domain/event.go", "github.com/gin-gonic/gin", true},
		{"domain/event.go", module + "ports", true},
		{"domain/event.go", "os", true},
		{"domain/event.go", "log/slog", true},
		{"domain/sub/event.go", "net/http", true},
		{"ports/queue.go", module + "domain", false},
		{"ports/queue.go", module + "app", true},
		{"ports/queue.go", "github.com/golang/mock/gomock", true},
		{"ports/queue.go", "database/sql", true},
		{"ports/mocks/queue.go", "github.com/golang/mock/gomock", false},
		{"ports/mocks/queue.go", module + "app", true},
		{"app/ingest.go", module + "ports", false},
		{"app/ingest.go", "log/slog", false},
		{"app/answers.go", "golang.org/x/sync/singleflight", false},
		{"app/ingest.go", module + "ports/mocks", true},
		{"app/ingest.go", module + "adapters/sqlite", true},
		{"app/ingest.go", "github.com/gomodule/redigo/redis", true},
		{"app/ingest.go", "net/http", true},
		{"adapters/sqlite/store.go", "database/sql", false},
		{"adapters/sqlite/store.go", "github.com/jmoiron/sqlx", false},
		{"adapters/sqlite/store.go", module + "migrations", false},
		{"adapters/sqlite/store.go", module + "adapters/sqlite/row", false},
		{"adapters/sqlite/store.go", module + "adapters/memory", true},
		{"adapters/sqlite/store.go", module + "adapters/sqlitex", true},
		{"adapters/sqlite/store.go", module + "bootstrap", true},
		{"adapters/sqlite/store.go", fx, true},
		{"adapters/sqlite/store.go", fx + "/fxevent", true},
		{"adapters/sqlite/store.go", module + "test/contract", true},
		{"bootstrap/module.go", fx, false},
		{"bootstrap/analytics/main.go", fx + "/fxevent", false},
		{"bootstrap/module.go", module + "adapters/httpapi", false},
		{"bootstrap/module.go", module + "ports/mocks", true},
		{"bootstrap/module.go", "testing", true},
		{"migrations/migrations.go", "embed", false},
		{"migrations/migrations.go", module + "domain", true},
		{"adapters/httpapi/docs.go", module + "api", false},
		{"api/api.go", "embed", false},
		{"api/api.go", "github.com/goccy/go-yaml", false},
		{"api/api.go", module + "domain", true},
		{"migrations/migrations.go", fx, true},
		{"test/contract/queue.go", "testing", false},
		{"test/contract/queue.go", module + "adapters/memory", false},
		{"test/contract/queue.go", fx, true},
		{"pkg/tool/tool.go", "strings", true},
		{"main.go", "strings", true},
	}
	for _, tt := range tests {
		t.Run(tt.file+" "+tt.imported, func(t *testing.T) {
			if got := objectionTo(tt.file, tt.imported); (got != "") != tt.objects {
				t.Errorf("objection = %q, want one: %t", got, tt.objects)
			}
		})
	}
}

func TestOnlyKnownFoldersStandAtTheTop(t *testing.T) {
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, entry := range entries {
		if entry.IsDir() {
			folders = append(folders, entry.Name())
		}
	}
	if got := strangeFolders(folders, ignoredFolders(t)); len(got) > 0 {
		t.Errorf("unexpected folders at the top: %q", got)
	}
}

func TestStrangeFolders(t *testing.T) {
	folders := []string{".git", "adapters", "app", "bin", "clients", "domain", "pkg", "util"}
	if got, want := strangeFolders(folders, []string{"bin"}), []string{"pkg", "util"}; !slices.Equal(got, want) {
		t.Errorf("strange folders = %q, want %q", got, want)
	}
}

// rule says what the code of one folder may import.
type rule struct {
	folder string
	// inside lists the folders of this module that may be imported.
	inside []string
	// outside lists the modules that may be imported.
	outside []string
	// anyOutside allows every module but those that one folder has to itself.
	anyOutside bool
	// banned lists packages of the standard library that may not be imported.
	banned []string
}

// objectionTo says why a file that is no test may not import a package; empty
// if it may. The file is named relative to the root.
func objectionTo(file, imported string) string {
	r, ok := ruleFor(file)
	inside, isInside := strings.CutPrefix(imported, module)
	switch {
	case !ok:
		return "no rule allows Go code in this folder"
	case imported == "testing" && !within(file, "test"):
		return "tests stay out of the binary"
	case within(imported, fx) && !within(file, "bootstrap"):
		return "only bootstrap knows the container"
	case within(inside, "ports/mocks") && r.folder != "test":
		return "mocks are for tests"
	case isInside:
		return objectionUnless(withinAny(inside, r.inside), "imports point inward")
	case isStandard(imported):
		return objectionUnless(!slices.Contains(r.banned, imported), r.folder+" touches nothing outside the process")
	default:
		return objectionUnless(r.anyOutside || withinAny(imported, r.outside), r.folder+" does not depend on this module")
	}
}

// ruleFor returns the rule of the innermost folder that has one.
func ruleFor(file string) (rule, bool) {
	outer := []string{"database/sql", "log", "net", "net/http", "os", "os/exec", "os/signal", "syscall"}
	all := []string{"domain", "ports", "app", "adapters", "bootstrap", "migrations", "api"}
	rules := []rule{
		{folder: "domain", inside: all[:1], banned: append(outer, "log/slog"), outside: []string{
			"github.com/go-ozzo/ozzo-validation/v4", "github.com/go-json-experiment/json",
		}},
		{folder: "ports/mocks", inside: all[:2], banned: outer, outside: []string{"github.com/golang/mock"}},
		{folder: "ports", inside: all[:2], banned: outer},
		{folder: "app", inside: all[:3], banned: outer, outside: []string{"golang.org/x/sync"}},
		// An adapter sees no other adapter: bootstrap alone joins them.
		{folder: "adapters", inside: []string{"domain", "ports", "app", "migrations", "api", adapterOf(file)}, anyOutside: true},
		{folder: "bootstrap", inside: all, anyOutside: true},
		{folder: "migrations", inside: []string{"migrations"}, anyOutside: true},
		{folder: "api", banned: outer, outside: []string{"github.com/goccy/go-yaml"}},
		{folder: "test", inside: append(all, "test"), anyOutside: true},
	}
	i := slices.IndexFunc(rules, func(r rule) bool { return within(file, r.folder) })
	if i < 0 {
		return rule{}, false
	}
	return rules[i], true
}

// adapterOf returns the folder of the adapter that the file belongs to.
func adapterOf(file string) string {
	parts := strings.Split(file, "/")
	return strings.Join(parts[:min(2, len(parts))], "/")
}

func objectionUnless(allowed bool, objection string) string {
	if allowed {
		return ""
	}
	return objection
}

// within reports whether the slash-separated path is the folder or inside it.
func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

func withinAny(path string, folders []string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool { return within(path, folder) })
}

// isStandard follows the rule that only the paths of modules begin with a name
// that has a dot.
func isStandard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

// sourceFiles lists the Go files that are no tests, relative to the root.
func sourceFiles(t *testing.T) []string {
	t.Helper()
	ignored := ignoredFolders(t)
	var files []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(path, root+string(filepath.Separator)))
		switch {
		case entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || slices.Contains(ignored, name)):
			return filepath.SkipDir
		case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func importsOf(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	imports := make([]string, len(parsed.Imports))
	for i, spec := range parsed.Imports {
		if imports[i], err = strconv.Unquote(spec.Path.Value); err != nil {
			t.Fatal(err)
		}
	}
	return imports
}

// strangeFolders lists the folders that have no business at the top.
func strangeFolders(folders, ignored []string) []string {
	known := []string{
		"domain", "ports", "app", "adapters", "bootstrap", "migrations",
		"api", "test", "docs", "deploy", "clients",
	}
	return slices.DeleteFunc(slices.Clone(folders), func(name string) bool {
		return strings.HasPrefix(name, ".") || slices.Contains(known, name) || slices.Contains(ignored, name)
	})
}

// ignoredFolders lists the folders at the top that .gitignore names, such as
// those of build results.
func ignoredFolders(t *testing.T) []string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "/"); ok && strings.HasSuffix(name, "/") {
			folders = append(folders, strings.TrimSuffix(name, "/"))
		}
	}
	return folders
}
