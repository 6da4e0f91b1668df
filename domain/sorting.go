package domain

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Columns are the properties by which a list of T can be sorted.
type Columns[T any] struct {
	// list begins with the column that is sorted by if none is asked for.
	list []column[T]
	// name breaks ties.
	name func(*T) string
}

type column[T any] struct {
	name string
	// ascends says that the order is ascending if none is asked for.
	ascends bool
	compare func(a, b *T) int
}

// ToolColumns returns the columns of a list of tools: calls, name,
// success_rate, avg_response_time_ms, p50, p95 and p99.
func ToolColumns() Columns[ToolSummary] {
	name := func(t *ToolSummary) string { return t.Name }
	return Columns[ToolSummary]{
		name: name,
		list: []column[ToolSummary]{
			byNumber("calls", func(t *ToolSummary) int64 { return t.Calls }),
			byName("name", name),
			byNumber("success_rate", func(t *ToolSummary) float64 { return t.SuccessRate }),
			byNumber("avg_response_time_ms", func(t *ToolSummary) float64 { return t.ResponseTimes.Average }),
			byNumber("p50", func(t *ToolSummary) float64 { return t.ResponseTimes.P50 }),
			byNumber("p95", func(t *ToolSummary) float64 { return t.ResponseTimes.P95 }),
			byNumber("p99", func(t *ToolSummary) float64 { return t.ResponseTimes.P99 }),
		},
	}
}

// ErrorColumns returns the columns of a list of error types: count, type,
// first_seen and last_seen.
func ErrorColumns() Columns[ErrorTypeSummary] {
	name := func(e *ErrorTypeSummary) string { return e.Type }
	return Columns[ErrorTypeSummary]{
		name: name,
		list: []column[ErrorTypeSummary]{
			byNumber("count", func(e *ErrorTypeSummary) int64 { return e.Count }),
			byName("type", name),
			byNumber("first_seen", func(e *ErrorTypeSummary) int64 { return e.FirstSeen.Unix() }),
			byNumber("last_seen", func(e *ErrorTypeSummary) int64 { return e.LastSeen.Unix() }),
		},
	}
}

// byNumber puts the highest first, unless asked otherwise.
func byNumber[T any, N cmp.Ordered](name string, value func(*T) N) column[T] {
	return column[T]{name: name, compare: func(a, b *T) int { return cmp.Compare(value(a), value(b)) }}
}

func byName[T any](name string, value func(*T) string) column[T] {
	c := byNumber(name, value)
	c.ascends = true
	return c
}

// Sorting is an order of a list of T. Items that are equal in it stand there
// by name, ascending.
type Sorting[T any] struct {
	by      column[T]
	ascends bool
	name    func(*T) string
}

// The directions of a sorting.
const (
	ascending  = "asc"
	descending = "desc"
)

// Parse reads a column's name and a direction, asc or desc. Without a name the
// first column is meant, without a direction ascending for names and
// descending for numbers and times. Its error is of [CodeInvalid] and begins
// with sort or order.
func (c Columns[T]) Parse(sort, order string) (Sorting[T], error) {
	i := 0
	if sort != "" {
		i = slices.IndexFunc(c.list, func(column column[T]) bool { return column.name == sort })
	}
	if i < 0 {
		return Sorting[T]{}, invalid("sort must be one of " + strings.Join(c.names(), ", "))
	}
	s := Sorting[T]{by: c.list[i], ascends: c.list[i].ascends, name: c.name}
	switch order {
	case "":
	case ascending, descending:
		s.ascends = order == ascending
	default:
		return Sorting[T]{}, invalid(fmt.Sprintf("order must be %s or %s", ascending, descending))
	}
	return s, nil
}

func (c Columns[T]) names() []string {
	names := make([]string, len(c.list))
	for i := range c.list {
		names[i] = c.list[i].name
	}
	return names
}

// String is the same for sortings that are the same, such as "calls desc".
func (s Sorting[T]) String() string {
	if s.ascends {
		return s.by.name + " " + ascending
	}
	return s.by.name + " " + descending
}

// Sort puts the list in this order.
func (s Sorting[T]) Sort(list []T) {
	slices.SortFunc(list, func(a, b T) int {
		c := s.by.compare(&a, &b)
		if !s.ascends {
			c = -c
		}
		return cmp.Or(c, cmp.Compare(s.name(&a), s.name(&b)))
	})
}

// MaxPageSize is how many items of a list one answer has at most, and if not
// asked otherwise.
const MaxPageSize = 100

// ParseLimit reads how many items of a list are asked for, 1 to [MaxPageSize];
// empty means as many as there can be. Its error is of [CodeInvalid] and begins
// with limit.
func ParseLimit(s string) (int, error) {
	if s == "" {
		return MaxPageSize, nil
	}
	if len(s) <= len(strconv.Itoa(MaxPageSize)) && s[0] != '0' {
		if n := number([]byte(s)); n >= 1 && n <= MaxPageSize {
			return n, nil
		}
	}
	return 0, invalid(fmt.Sprintf("limit must be a whole number from 1 to %d", MaxPageSize))
}
