package httpapi

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// parameters says where the value of each query parameter goes.
type parameters map[string]func(*app.PageQuery) *string

// toolParameters are those of the answer about one tool, which is named by the
// path.
func toolParameters() parameters {
	return parameters{
		"period":     func(q *app.PageQuery) *string { return &q.Period },
		"start":      func(q *app.PageQuery) *string { return &q.Start },
		"end":        func(q *app.PageQuery) *string { return &q.End },
		"resolution": func(q *app.PageQuery) *string { return &q.Resolution },
		"version":    func(q *app.PageQuery) *string { return &q.Filter.Version },
		"country":    func(q *app.PageQuery) *string { return &q.Filter.Country },
		"service":    func(q *app.PageQuery) *string { return &q.Filter.Service },
	}
}

func statsParameters() parameters {
	p := toolParameters()
	p["tool"] = func(q *app.PageQuery) *string { return &q.Filter.Tool }
	return p
}

// listParameters are those of an answer that is told page by page.
func listParameters() parameters {
	p := statsParameters()
	p["sort"] = func(q *app.PageQuery) *string { return &q.Sort }
	p["order"] = func(q *app.PageQuery) *string { return &q.Order }
	p["limit"] = func(q *app.PageQuery) *string { return &q.Limit }
	p["cursor"] = func(q *app.PageQuery) *string { return &q.Cursor }
	return p
}

// question is the same for queries that ask for the same, however they were
// written, so that they share an answer. What it can see to be wrong it refuses
// as the use case would.
func (s statistic) question(q app.PageQuery) (string, error) {
	asked := q.WithDefault(s.defaultPeriod)
	span, err := domain.ParseSpan(asked.Period, asked.Start, asked.End, asked.Resolution)
	if err != nil {
		return "", err
	}
	f := q.Filter
	if f.Country != "" { // only the country can be written in two ways
		country, err := domain.ParseFilter(domain.Filter{Country: f.Country})
		if err != nil {
			return "", err
		}
		f.Country = country.Country
	}
	question := strings.Join([]string{
		span.String(), strconv.Quote(f.Tool), strconv.Quote(f.Version), strconv.Quote(f.Country), strconv.Quote(f.Service),
	}, " ")
	if s.sorting == nil {
		return question, nil
	}
	sorting, err := s.sorting(q.Sort, q.Order)
	if err != nil {
		return "", err
	}
	limit, err := domain.ParseLimit(q.Limit)
	return fmt.Sprintf("%s %s %d", question, sorting, limit), err
}

// sortingBy writes a sorting by one of the columns in one way.
func sortingBy[T any](columns domain.Columns[T]) func(sort, order string) (string, error) {
	return func(sort, order string) (string, error) {
		sorting, err := columns.Parse(sort, order)
		if err != nil {
			return "", err
		}
		return sorting.String(), nil
	}
}

// parseStatsQuery reads a query strictly: every parameter is known, stands
// there once and has a value. Otherwise the error is of domain.CodeInvalid and
// names the parameter.
func parseStatsQuery(raw string, known parameters) (app.PageQuery, error) {
	var query app.PageQuery
	if raw == "" {
		return query, nil
	}
	values, err := parsePairs(raw, known)
	if err != nil {
		return query, err
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		field, ok := known[name]
		switch {
		case !ok:
			return query, unknownParameter(name, known)
		case len(values[name]) > 1:
			return query, domain.NewError(domain.CodeInvalid, nil, name+" is given more than once")
		case values[name][0] == "":
			return query, domain.NewError(domain.CodeInvalid, nil, name+" has no value; leave it out for the default")
		}
		*field(&query) = values[name][0]
	}
	return query, nil
}

// parsePairs is [url.ParseQuery], but its error names the parameter whose value
// cannot be decoded.
func parsePairs(raw string, known parameters) (url.Values, error) {
	values := make(url.Values)
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		key, text, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(key)
		if err != nil || strings.Contains(pair, ";") {
			return nil, domain.NewError(domain.CodeInvalid, nil, "the query is not well-formed: percent-encode its values and join them by &")
		}
		value, err := url.QueryUnescape(text)
		switch {
		case err == nil:
			values.Add(name, value)
		case known[name] == nil:
			return nil, unknownParameter(name, known)
		default:
			return nil, domain.NewError(domain.CodeInvalid, nil, name+" cannot be decoded: write a % in its value as %25")
		}
	}
	return values, nil
}

func unknownParameter(name string, known parameters) error {
	there := "there is none"
	if names := slices.Sorted(maps.Keys(known)); len(names) > 0 {
		there = "there is " + strings.Join(names, ", ")
	}
	if !isParameterName(name) {
		return domain.NewError(domain.CodeInvalid, nil, "a parameter is unknown; "+there)
	}
	return domain.NewError(domain.CodeInvalid, nil, fmt.Sprintf("the parameter %s is unknown; %s", name, there))
}

// isParameterName reports whether an unknown name can be repeated to the
// client: anything else might be data that came there by mistake.
func isParameterName(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	const characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
	return strings.Trim(s, characters) == ""
}
