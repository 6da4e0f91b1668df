package bootstrap

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Doubts lists what in the environment and in the file dotenv probably does not
// do what it was meant to do, and yet is no error: unknown variables of the
// environment, which may be another program's, and values of the file that its
// quoting alters. No value is repeated. What [Load] refuses is not in the list.
func Doubts(environ []string, dotenv string) []Problem {
	var doubts, refused problems
	known := knownNames()
	for _, name := range slices.Sorted(maps.Keys(env.ToMap(environ))) {
		if slices.Contains(known, name) {
			continue
		}
		near, distance := nearest(name, known)
		if distance <= max(1, len(name)/4) || hasPrefixOf(name, known) {
			doubts.add(name, "is not a variable of this program and has no effect: "+didYouMean(near))
		}
	}
	text, _ := readFile(dotenv, &refused)
	for _, name := range altered(text) {
		if slices.Contains(known, name) {
			doubts.add(name, fmt.Sprintf("holds # or $ in %s without single quotes, which may alter it: put the value in single quotes", dotenv))
		}
	}
	return doubts
}

// forCompose matches what Docker Compose reads from the same file for itself, and
// the time zone, which is for containers: this program counts in UTC.
var forCompose = regexp.MustCompile(`^(TZ|COMPOSE_[A-Z0-9_]+|DOCKER_[A-Z0-9_]+)$`)

// addUnknown refuses the names in the file that nothing reads.
func (p *problems) addUnknown(file string, values map[string]string) {
	known := knownNames()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if slices.Contains(known, name) || forCompose.MatchString(name) {
			continue
		}
		near, distance := nearest(name, known)
		advice := didYouMean(near)
		if distance > len(name)/2 {
			advice = "remove it; .env.example lists the variables that there are"
		}
		p.add(name, fmt.Sprintf("is in %s and is not a variable of this program: %s", file, advice))
	}
}

func didYouMean(name string) string { return "did you mean " + name + "?" }

// knownNames lists the variables that the program reads.
func knownNames() []string {
	var names []string
	for field := range reflect.TypeFor[Config]().Fields() {
		if name := field.Tag.Get("env"); name != "-" {
			names = append(names, name)
		}
	}
	return names
}

// hasPrefixOf reports whether the name begins with a word with which two or
// more of the known ones begin, such as DB_.
func hasPrefixOf(name string, known []string) bool {
	word, _, ok := strings.Cut(name, "_")
	sharing := 0
	for _, k := range known {
		if strings.HasPrefix(k, word+"_") {
			sharing++
		}
	}
	return ok && sharing > 1
}

// nearest returns the known name that is most like the given one, and by how
// many characters they differ. A name that was cut short, such as DB_PASS,
// differs by one.
func nearest(name string, known []string) (near string, distance int) {
	name = strings.ToUpper(name)
	for _, k := range known {
		d := editDistance(name, k)
		const wholeWord = 4
		if len(name) >= wholeWord && (strings.HasPrefix(k, name) || strings.HasPrefix(name, k)) {
			d = min(d, 1)
		}
		if near == "" || d < distance {
			near, distance = k, d
		}
	}
	return near, distance
}

// editDistance is how many characters must be inserted, deleted, replaced or
// exchanged with their neighbour to make b of a.
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			replace := last[j]
			if a[i] != b[j] {
				replace++
			}
			row[j+1] = min(replace, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

var (
	assignment = regexp.MustCompile(`(?m)^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*[=:][ \t]*(.*)$`)
	// lineComment is what the end of an unquoted value may be.
	lineComment  = regexp.MustCompile(`(?:^|\s)#.*$`)
	doubleQuoted = regexp.MustCompile(`^"(?:[^"\\]|\\.)*`)
	expansion    = regexp.MustCompile(`(?:^|[^\\])\$`)
)

// altered lists the variables whose values hold a # or a $ that may be taken
// for a comment or the name of another variable.
func altered(text []byte) []string {
	var names []string
	for _, match := range assignment.FindAllSubmatch(text, -1) {
		name, value := string(match[1]), string(match[2])
		alters := strings.ContainsAny(lineComment.ReplaceAllString(value, ""), "#$")
		switch {
		case strings.HasPrefix(value, "'"):
			alters = false
		case strings.HasPrefix(value, `"`):
			alters = expansion.MatchString(doubleQuoted.FindString(value))
		}
		if alters {
			names = append(names, name)
		}
	}
	return names
}
