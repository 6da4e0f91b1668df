// Package report writes what benchmarks measure into docs/benchmarks.md: tables, and
// charts beside them.
package report

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Section is what one benchmark measures. Its place in the document is between the
// comments
//
//	<!-- measured: NAME -->
//	<!-- end: NAME -->
//
// and the text around them is written by hand.
type Section struct {
	name   string
	text   strings.Builder
	charts []chart
}

type chart struct {
	name   string
	panels []Panel
}

// ErrNoPlace means that the document has no place for a section.
var ErrNoPlace = errors.New("the document has no place for this section")

// NewSection returns an empty section.
func NewSection(name string) *Section { return &Section{name: name} }

// Printf adds a paragraph.
func (s *Section) Printf(format string, args ...any) {
	s.text.WriteString("\n")
	fmt.Fprintf(&s.text, format, args...)
	s.text.WriteString("\n")
}

// Table adds a table.
func (s *Section) Table(t *Table) {
	s.text.WriteString("\n" + t.String())
}

// Chart adds a chart of one or more panels, which is the file benchmarks/NAME.svg beside
// the document. Its caption is what is shown where pictures are not.
func (s *Section) Chart(name, caption string, panels ...Panel) {
	s.charts = append(s.charts, chart{name, panels})
	s.Printf("![%s](benchmarks/%s.svg)", caption, name)
}

// String is the section as Markdown.
func (s *Section) String() string { return s.text.String() }

// Write replaces the section in docs/benchmarks.md, where docs is the folder, and draws
// its charts. The rest of the document stays as it is; [ErrNoPlace] when the document has
// no such section.
func (s *Section) Write(docs string) error {
	name := filepath.Join(docs, "benchmarks.md")
	document, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	begin, end := fmt.Sprintf("<!-- measured: %s -->\n", s.name), fmt.Sprintf("<!-- end: %s -->\n", s.name)
	before, rest, found := bytes.Cut(document, []byte(begin))
	_, after, ended := bytes.Cut(rest, []byte(end))
	if !found || !ended {
		return fmt.Errorf("%w: write %q and %q into %s", ErrNoPlace, begin, end, name)
	}
	for _, c := range s.charts {
		if err := writeSVG(filepath.Join(docs, "benchmarks", c.name+".svg"), c.panels); err != nil {
			return fmt.Errorf("chart %s: %w", c.name, err)
		}
	}
	whole := slices.Concat(before, []byte(begin), []byte(s.String()), []byte("\n"+end), after)
	return os.WriteFile(name, whole, 0o644)
}

// Table has a row for each thing that is measured.
type Table struct{ rows [][]string }

// NewTable returns a table with the heads of its columns.
func NewTable(heads ...string) *Table {
	return &Table{[][]string{heads, slices.Repeat([]string{"---"}, len(heads))}}
}

// Add adds a row. A cell that is missing is empty.
func (t *Table) Add(cells ...string) {
	t.rows = append(t.rows, slices.Concat(cells, make([]string, max(0, len(t.rows[0])-len(cells)))))
}

// String is the table as Markdown.
func (t *Table) String() string {
	var b strings.Builder
	for i, row := range t.rows {
		if i == 1 {
			b.WriteString("|" + strings.Join(row, "|") + "|\n")
			continue
		}
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
	}
	return b.String()
}
