package test_test

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A number in a log line means nothing without its unit, and a time.Duration
// looks different in each format: the unit stands in the name, as in
// duration_ms, and the value is a number.
func TestLoggedQuantitiesNameTheirUnit(t *testing.T) {
	folders := make(map[string][]string)
	for _, file := range sourceFiles(t) {
		folders[filepath.Dir(file)] = append(folders[filepath.Dir(file)], file)
	}
	calls := 0
	check := newLogCheck()
	for _, folder := range slices.Sorted(maps.Keys(folders)) {
		files := make(map[string]any)
		for _, file := range folders[folder] {
			files[filepath.Join(root, file)] = nil
		}
		objections, n := check.objections(t, files)
		calls += n
		for _, objection := range objections {
			t.Error(objection)
		}
	}
	if calls < 20 {
		t.Errorf("only %d calls of a logger were seen", calls)
	}
}

func TestLogCheckSeesQuantitiesWithoutUnit(t *testing.T) {
	const head = `package p
import ("time"; "log/slog")
type config struct{ Wait time.Duration }
func f(log *slog.Logger, c config, start time.Time, n int) {
	d := c.Wait
	_ = d
	`
	for statement, objects := range map[string]bool{
		`log.Warn("x", "error", "y", "wait_ms", d.Milliseconds())`:        false,
		`log.Warn("x", "error", "y", "wait_ms", d)`:                       true,
		`log.Info("x", "outage_ms", time.Since(start))`:                   true,
		`log.Info("x", slog.Any("age_ms", c.Wait))`:                       true,
		`log.Info("x", slog.Duration("age_ms", c.Wait))`:                  true,
		`log.With("age_ms", 2*d).Info("x")`:                               true,
		`log.Info("x", "took", d.Milliseconds())`:                         true,
		`log.Info("x", slog.Int("limit", n))`:                             true,
		`log.Info("x", "events", n)`:                                      false,
		`log.Info("x", slog.Int("limit_mb", n), slog.Int("status", 200))`: false,
	} {
		objections, calls := newLogCheck().objections(t, map[string]any{"p.go": head + statement + "\n}"})
		if calls == 0 || (len(objections) > 0) != objects {
			t.Errorf("%s: objections %q, want some: %t", statement, objections, objects)
		}
	}
}

// logCheck knows the types of the standard library alone. Expressions whose
// types come from elsewhere have none, and are not judged.
type logCheck struct {
	files    *token.FileSet
	standard types.Importer
}

func newLogCheck() *logCheck {
	files := token.NewFileSet()
	return &logCheck{files: files, standard: importer.ForCompiler(files, "source", nil)}
}

// Import gives time, and an empty package for any other.
func (c *logCheck) Import(path string) (*types.Package, error) {
	if path == "time" {
		return c.standard.Import(path)
	}
	p := types.NewPackage(path, path[strings.LastIndex(path, "/")+1:])
	p.MarkComplete()
	return p, nil
}

var loggers = []string{"Debug", "Info", "Warn", "Error", "DebugContext", "InfoContext", "WarnContext", "ErrorContext", "Log", "LogAttrs", "With"}

// objections judges one package, given by the names of its files and, where
// these are not to be read, their texts. It counts the calls of loggers too.
func (c *logCheck) objections(t *testing.T, sources map[string]any) (objections []string, calls int) {
	t.Helper()
	var files []*ast.File
	for name, text := range sources {
		file, err := parser.ParseFile(c.files, name, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	known := types.Info{Types: make(map[ast.Expr]types.TypeAndValue)}
	config := types.Config{Importer: c, Error: func(error) {}}
	_, _ = config.Check("p", c.files, files, &known) // what it cannot know is no fault
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !isLogCall(call) {
				return true
			}
			calls++
			for _, argument := range call.Args {
				if typed, ok := known.Types[argument]; ok && types.TypeString(typed.Type, nil) == "time.Duration" {
					objections = append(objections, c.files.Position(argument.Pos()).String()+": a time.Duration is logged: give a number and its unit")
				}
				if name, ok := stringOf(argument); ok && slices.Contains(unitless, name) {
					objections = append(objections, c.files.Position(argument.Pos()).String()+": "+name+" names no unit")
				}
			}
			return true
		})
	}
	return objections, calls
}

// unitless are names of quantities that are understood only with a unit.
var unitless = []string{
	"after", "age", "ahead", "behind", "delay", "duration", "elapsed", "free", "interval", "lag", "latency", "limit", "memory",
	"outage", "pause", "period", "reserve", "size", "skew", "timeout", "took", "tolerance", "uptime", "wait", "waited",
}

// isLogCall takes a method of a logger by its name and its message, and
// functions of slog that make attributes.
func isLogCall(call *ast.CallExpr) bool {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 {
		return false
	}
	if of, ok := method.X.(*ast.Ident); ok && of.Name == "slog" {
		_, named := stringOf(call.Args[0])
		return named
	}
	if !slices.Contains(loggers, method.Sel.Name) {
		return false
	}
	return slices.ContainsFunc(call.Args, func(e ast.Expr) bool { _, ok := stringOf(e); return ok })
}

func stringOf(e ast.Expr) (string, bool) {
	literal, ok := e.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(literal.Value)
	return text, err == nil
}
