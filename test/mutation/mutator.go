package main

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// variable selects a mutant by its number; 0 is the code as it stands.
const variable = "MUTANT"

// mutant is one way to break the package.
type mutant struct {
	id   int
	at   token.Position
	what string
}

func (m mutant) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", m.at.Filename, m.at.Line, m.at.Column, m.what)
}

// insertion puts text into a file. Of those at one place, the outermost piece
// of code opens first and closes last.
type insertion struct {
	offset int
	text   string
	closes bool
	size   int
}

// mutator rewrites files so that they contain all mutants.
type mutator struct {
	mutants []mutant
	name    string // of the package

	set        *token.FileSet
	source     []byte
	insertions []insertion
}

// file returns the text of the file with its mutants.
func (m *mutator) file(path string) ([]byte, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m.set, m.source, m.insertions = token.NewFileSet(), source, nil
	parsed, err := parser.ParseFile(m.set, path, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	m.name = parsed.Name.Name
	for _, declaration := range parsed.Decls {
		if function, ok := declaration.(*ast.FuncDecl); ok && function.Body != nil {
			ast.Inspect(function.Body, m.visit)
		}
	}
	return m.apply(), nil
}

func (m *mutator) visit(node ast.Node) bool {
	switch n := node.(type) {
	case *ast.IfStmt:
		m.condition(n.Cond, true)
	case *ast.ForStmt:
		if n.Cond != nil {
			m.condition(n.Cond, false) // forced to true it never ends
		}
	case *ast.SwitchStmt:
		if n.Tag == nil {
			m.cases(n.Body)
		}
	case *ast.BinaryExpr:
		m.binary(n)
	case *ast.BlockStmt:
		m.statements(n.List)
	case *ast.CaseClause:
		m.statements(n.Body)
	case *ast.CommClause:
		m.statements(n.Body)
	}
	return true
}

func (m *mutator) cases(body *ast.BlockStmt) {
	for _, statement := range body.List {
		if clause, ok := statement.(*ast.CaseClause); ok {
			for _, condition := range clause.List {
				m.condition(condition, true)
			}
		}
	}
}

func (m *mutator) condition(condition ast.Expr, both bool) {
	m.wrap(condition, fmt.Sprintf("mutantFalse(%d, ", m.add(condition, "never: "+m.text(condition))), ")")
	if both {
		m.wrap(condition, fmt.Sprintf("mutantTrue(%d, ", m.add(condition, "always: "+m.text(condition))), ")")
	}
}

func (m *mutator) binary(n *ast.BinaryExpr) {
	switch n.Op { //nolint:exhaustive // the other operators have no mutants
	case token.LAND:
		for _, operand := range []ast.Expr{n.X, n.Y} {
			m.wrap(operand, fmt.Sprintf("mutantTrue(%d, ", m.add(operand, "left out: "+m.text(operand)+" of "+m.text(n))), ")")
		}
	case token.LOR:
		for _, operand := range []ast.Expr{n.X, n.Y} {
			m.wrap(operand, fmt.Sprintf("mutantFalse(%d, ", m.add(operand, "left out: "+m.text(operand)+" of "+m.text(n))), ")")
		}
	case token.LSS, token.GTR:
		m.wrap(n, "(", fmt.Sprintf(" || mutant(%d) && (%s) == (%s))", m.add(n, "or equal: "+m.text(n)), m.text(n.X), m.text(n.Y)))
	case token.LEQ, token.GEQ:
		m.wrap(n, "(", fmt.Sprintf(" && !(mutant(%d) && (%s) == (%s)))", m.add(n, "not equal: "+m.text(n)), m.text(n.X), m.text(n.Y)))
	}
}

func (m *mutator) statements(list []ast.Stmt) {
	for i, statement := range list {
		if !removable(statement) || i == len(list)-1 && isPanic(statement) {
			continue
		}
		m.wrap(statement, fmt.Sprintf("if !mutant(%d) { ", m.add(statement, "left out: "+m.text(statement))), " }")
	}
}

// removable statements can be left out and the rest still compiles.
func removable(statement ast.Stmt) bool {
	switch s := statement.(type) {
	case *ast.AssignStmt:
		return s.Tok != token.DEFINE
	case *ast.BranchStmt:
		return s.Tok == token.CONTINUE || s.Tok == token.BREAK && s.Label != nil
	case *ast.ExprStmt, *ast.IncDecStmt, *ast.DeferStmt, *ast.SendStmt:
		return true
	default:
		return false
	}
}

func isPanic(statement ast.Stmt) bool {
	expression, ok := statement.(*ast.ExprStmt)
	if !ok {
		return false
	}
	call, ok := expression.X.(*ast.CallExpr)
	if !ok {
		return false
	}
	name, ok := call.Fun.(*ast.Ident)
	return ok && name.Name == "panic"
}

func (m *mutator) add(node ast.Node, what string) int {
	what = strings.Join(strings.Fields(what), " ")
	if len(what) > 140 {
		what = what[:140] + "…"
	}
	at := m.set.Position(node.Pos())
	at.Filename = filepath.ToSlash(at.Filename)
	m.mutants = append(m.mutants, mutant{len(m.mutants) + 1, at, what})
	return len(m.mutants)
}

func (m *mutator) offset(p token.Pos) int { return m.set.Position(p).Offset }

func (m *mutator) text(node ast.Node) string {
	return string(m.source[m.offset(node.Pos()):m.offset(node.End())])
}

func (m *mutator) wrap(node ast.Node, before, after string) {
	start, end := m.offset(node.Pos()), m.offset(node.End())
	m.insertions = append(m.insertions,
		insertion{start, before, false, end - start},
		insertion{end, after, true, end - start})
}

// apply makes the insertions. At one place, what closes comes before what
// opens, and a wrapping that was made later is inside an earlier one of the
// same size.
func (m *mutator) apply() []byte {
	order := make([]int, len(m.insertions))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := m.insertions[i], m.insertions[j]
		switch {
		case a.offset != b.offset:
			return cmp.Compare(a.offset, b.offset)
		case a.closes != b.closes:
			if a.closes {
				return -1
			}
			return 1
		case a.closes:
			return cmp.Or(cmp.Compare(a.size, b.size), cmp.Compare(j, i))
		default:
			return cmp.Or(cmp.Compare(b.size, a.size), cmp.Compare(i, j))
		}
	})
	var out bytes.Buffer
	written := 0
	for _, i := range order {
		in := m.insertions[i]
		out.Write(m.source[written:in.offset])
		out.WriteString(in.text)
		written = in.offset
	}
	out.Write(m.source[written:])
	return out.Bytes()
}

// support is the file that selects a mutant.
func (m *mutator) support() []byte {
	return fmt.Appendf(nil, `package %s

import (
	"os"
	"strconv"
)

var selectedMutant = func() int {
	id, _ := strconv.Atoi(os.Getenv(%q))
	return id
}()

func mutant(id int) bool { return id == selectedMutant }

func mutantFalse(id int, condition bool) bool { return condition && id != selectedMutant }

func mutantTrue(id int, condition bool) bool { return condition || id == selectedMutant }
`, m.name, variable)
}
