package openapi

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// CheckRequest holds a request against the document.
func (d *Document) CheckRequest(e *Exchange) error {
	o, _ := d.find(e.Request)
	if o == nil {
		return fmt.Errorf("%s %s is not described", e.Request.Method, e.Request.URL.Path)
	}
	given, err := givenParameters(o, e.Request)
	if err != nil {
		return err
	}
	return errors.Join(d.checkParameters(o, given), d.checkSent(o, e))
}

// parameters are texts by where they stand and what they are called.
type parameters map[string]map[string][]string

func givenParameters(o *operation, r *http.Request) (parameters, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	inPath, err := o.pathParameters(r.URL)
	if err != nil {
		return nil, err
	}
	given := parameters{"query": query, "path": {}, "header": r.Header}
	for name, value := range inPath {
		given["path"][name] = []string{value}
	}
	return given, nil
}

func (d *Document) checkParameters(o *operation, given parameters) error {
	var errs []error
	described := map[string][]string{}
	for i := range d.count(o.node.to("parameters")) {
		parameter, at := d.at(o.node.to("parameters", strconv.Itoa(i)))
		in, name := fmt.Sprint(parameter["in"]), fmt.Sprint(parameter["name"])
		described[in] = append(described[in], name)
		values := given[in][name]
		if in == "header" {
			values = http.Header(given[in]).Values(name)
		}
		if len(values) == 0 && parameter["required"] == true {
			errs = append(errs, fmt.Errorf("parameter %s is missing", name))
		}
		if len(values) > 1 && in == "query" {
			errs = append(errs, fmt.Errorf("parameter %s is repeated", name))
		}
		errs = append(errs, d.checkTexts(at.to("schema"), "parameter "+name, values))
	}
	for _, name := range slices.Sorted(maps.Keys(given["query"])) {
		// Where there is no query at all, none is looked at.
		if len(described["query"]) > 0 && !slices.Contains(described["query"], name) {
			errs = append(errs, fmt.Errorf("parameter %s is not described", name))
		}
	}
	return errors.Join(errs...)
}

// count is the length of the list at a place.
func (d *Document) count(p pointer) int {
	node, _ := d.at(p[:len(p)-1])
	list, _ := node[p[len(p)-1]].([]any)
	return len(list)
}

func (d *Document) checkSent(o *operation, e *Exchange) error {
	at := o.node.to("requestBody")
	if node, _ := d.at(at); node == nil {
		return nil
	}
	sent, err := decoded(e.Request.Header, e.Sent)
	if err != nil {
		return err
	}
	sent = bytes.TrimPrefix(sent, []byte("\ufeff")) // a mark is no part of the JSON
	_, at = d.at(at.to("content", "application/json"))
	return d.checkBody(asWritten, at, "application/json", sent)
}
