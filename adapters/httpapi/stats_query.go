package httpapi

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
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
		"period":  func(q *app.PageQuery) *string { return &q.Period },
		"start":   func(q *app.PageQuery) *string { return &q.Start },
		"end":     func(q *app.PageQuery) *string { return &q.End },
		"version": func(q *app.PageQuery) *string { return &q.Filter.Version },
		"country": func(q *app.PageQuery) *string { return &q.Filter.Country },
		"service": func(q *app.PageQuery) *string { return &q.Filter.Service },
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

// canonical writes a query in one way for all orders of its parameters, with
// the period that is meant when it names no time.
func (known parameters) canonical(q app.PageQuery, defaultPeriod string) string {
	q.StatisticsQuery = q.WithDefault(defaultPeriod)
	values := make(url.Values, len(known))
	for name, field := range known {
		if value := *field(&q); value != "" {
			values.Set(name, value)
		}
	}
	return values.Encode()
}

// parseStatsQuery reads a query strictly: every parameter is known, stands
// there once and has a value. Otherwise the error is of domain.CodeInvalid and
// names the parameter.
func parseStatsQuery(raw string, known parameters) (app.PageQuery, error) {
	var query app.PageQuery
	values, err := url.ParseQuery(raw)
	if err != nil {
		return query, domain.NewError(domain.CodeInvalid, nil, "the query is not well-formed: percent-encode its values and join them by &")
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		field, ok := known[name]
		switch {
		case !ok:
			return query, unknownParameter(name, known)
		case len(values[name]) > 1:
			return query, domain.NewError(domain.CodeInvalid, nil, name+" stands there more than once")
		case values[name][0] == "":
			return query, domain.NewError(domain.CodeInvalid, nil, name+" has no value; leave it out for the default")
		}
		*field(&query) = values[name][0]
	}
	return query, nil
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
	for i := range len(s) {
		if (s[i] < 'a' || s[i] > 'z') && s[i] != '_' {
			return false
		}
	}
	return true
}
