package bootstrap

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
	"github.com/joho/godotenv"
)

// Source is where a setting came from.
type Source string

// The sources, strongest first.
const (
	SourceEnvironment Source = "environment"
	SourceFile        Source = ".env"
	SourceDefault     Source = "default"
)

// Setting is the effective value of one variable.
type Setting struct {
	Name string
	// Value is fit to print: a secret is ***, and a URL has no password.
	Value  string
	Source Source
}

// Load reads the configuration of a role from the environment, given as
// os.Environ gives it, and from the file dotenv, which need not exist. A
// variable of the environment wins over the file's, and an empty one means the
// default. A name in the file that is not known is a problem. Every problem is
// reported at once, in a [*ConfigError].
func Load(environ []string, dotenv string, role Role) (Config, []Setting, error) {
	var (
		found    problems
		config   = Config{Role: role}
		settings []Setting
	)
	environment := env.ToMap(environ)
	merged := readDotenv(dotenv, &found)
	maps.Copy(merged, environment)
	err := env.ParseWithOptions(&config, env.Options{
		Environment: merged,
		OnSet: func(name string, value any, isDefault bool) {
			source := SourceFile
			if _, ok := environment[name]; ok {
				source = SourceEnvironment
			}
			if isDefault || value == "" {
				source = SourceDefault
			}
			settings = append(settings, Setting{Name: name, Value: fmt.Sprint(value), Source: source})
		},
	})
	found.addParseErrors(err, merged)
	config.check(&found)
	config.loadCatalogue(&found)
	if len(found) > 0 {
		return Config{}, printable(settings), &ConfigError{Problems: found}
	}
	return config, printable(settings), nil
}

// printable hides secrets.
func printable(settings []Setting) []Setting {
	for field := range reflect.TypeFor[Config]().Fields() {
		i := slices.IndexFunc(settings, func(s Setting) bool { return s.Name == field.Tag.Get("env") })
		switch {
		case i < 0 || field.Type != reflect.TypeFor[Secret]():
		case field.Tag.Get("shown") == "url":
			settings[i].Value = withoutPassword(settings[i].Name, settings[i].Value)
		default:
			settings[i].Value = Secret(settings[i].Value).String()
		}
	}
	return settings
}

// addParseErrors names variables where the library names fields.
func (p *problems) addParseErrors(err error, values map[string]string) {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return
	}
	for _, err := range all.Errors {
		var parse env.ParseError
		if !errors.As(err, &parse) {
			p.add("configuration", err.Error())
			continue
		}
		field, _ := reflect.TypeFor[Config]().FieldByName(parse.Name)
		name := field.Tag.Get("env")
		p.add(name, fmt.Sprintf("is %q: give %s", values[name], wanted(field.Type)))
	}
}

// wanted says what a variable of that type may hold.
func wanted(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[slog.Level]():
		return "debug, info, warn or error"
	case reflect.TypeFor[bool]():
		return "true or false"
	default:
		return "a whole number"
	}
}

// readDotenv returns the variables of the file. Its text goes into no problem,
// since it may hold secrets.
func readDotenv(path string, p *problems) map[string]string {
	data, ok := readFile(path, p)
	if !ok {
		return map[string]string{}
	}
	values, ok := parseDotenv(data)
	if !ok {
		p.add(path, fmt.Sprintf("line %d is not of the form NAME=value", malformedLine(data)))
		return map[string]string{}
	}
	p.addUnknown(path, values)
	p.addRepeated(path, data)
	return values
}

// addRepeated refuses names that the file sets more than once, since only one of
// their values would count. The file is one that can be read.
func (p *problems) addRepeated(file string, data []byte) {
	seen := make(map[string]int)
	statement := ""
	for line := range strings.Lines(string(data)) {
		statement += line
		values, ok := parseDotenv([]byte(statement))
		if !ok { // its value goes on in the next line
			continue
		}
		statement = ""
		for name := range values {
			if seen[name]++; seen[name] == 2 {
				p.add(name, fmt.Sprintf("is in %s more than once: keep one of the lines", file))
			}
		}
	}
}

// readFile reads a file that need not exist, without the byte order mark that
// some editors put first; ok is false when there is nothing to read.
func readFile(path string, p *problems) (data []byte, ok bool) {
	data, err := os.ReadFile(path) //nolint:gosec // the program names the file
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false
	case err != nil:
		p.add(path, fmt.Sprintf("cannot be read: %v", err))
		return nil, false
	default:
		return bytes.TrimPrefix(data, []byte("\ufeff")), true
	}
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// parseDotenv is stricter than the library, which takes a last line without =
// for the value of a variable without a name.
func parseDotenv(data []byte) (map[string]string, bool) {
	values, err := godotenv.UnmarshalBytes(data)
	if err != nil {
		return nil, false
	}
	for name := range values {
		if !variableName.MatchString(name) {
			return nil, false
		}
	}
	return values, true
}

// malformedLine counts from 1. The statement that cannot be read begins after
// the longest part of the file that can; a value may span several lines.
func malformedLine(data []byte) int {
	lines := strings.SplitAfter(string(data), "\n")
	for n := len(lines) - 1; n > 0; n-- {
		if _, ok := parseDotenv([]byte(strings.Join(lines[:n], ""))); ok {
			return n + 1
		}
	}
	return 1
}
