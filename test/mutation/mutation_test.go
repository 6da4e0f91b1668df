package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestSurvivorsAreUntestedRules runs the command on a package of which one
// rule has a test and one has none.
func TestSurvivorsAreUntestedRules(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string]string{
		"go.mod": "module example\n\ngo 1.26\n",
		"rules.go": `package example

// Adult has a test for either side.
func Adult(age int) bool {
	if age >= 18 {
		return true
	}
	return false
}

// Clamp has none for its bound.
func Clamp(n int) int {
	if n > 10 {
		n = 10
	}
	return n
}
`,
		"rules_test.go": `package example

import "testing"

func TestRules(t *testing.T) {
	if Adult(17) || !Adult(18) || Clamp(3) != 3 {
		t.Fatal("wrong")
	}
}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	survivors, err := run(t.Context(), ".", ".", "", "", 1)
	if err != nil {
		t.Fatal(err)
	}
	// The condition of Clamp is never true, its boundary moves, and its
	// assignment is left out.
	if want := 3; survivors != want {
		t.Errorf("%d mutants survive, want %d", survivors, want)
	}
}
