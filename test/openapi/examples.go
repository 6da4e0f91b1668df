package openapi

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// CheckExamples holds every example of the document against its schema, and
// wants one wherever something has a schema of its own: parameters, headers
// and bodies.
func (d *Document) CheckExamples() error { return d.checkExamples(nil, d.root) }

func (d *Document) checkExamples(at pointer, value any) error {
	var errs []error
	switch value := value.(type) {
	case []any:
		for i, item := range value {
			errs = append(errs, d.checkExamples(at.to(strconv.Itoa(i)), item))
		}
	case object:
		if value["schema"] != nil {
			return d.checkExamplesOf(at, value)
		}
		for _, name := range slices.Sorted(maps.Keys(value)) {
			if name != "schemas" {
				errs = append(errs, d.checkExamples(at.to(name), value[name]))
			}
		}
	}
	return errors.Join(errs...)
}

func (d *Document) checkExamplesOf(at pointer, described object) error {
	examples := map[string]any{}
	if example, ok := described["example"]; ok {
		examples["example"] = example
	}
	for _, name := range d.names(at.to("examples")) {
		node, _ := d.at(at.to("examples", name))
		examples[name] = node["value"]
	}
	if len(examples) == 0 {
		return fmt.Errorf("%s has no example", strings.Join(at, "/"))
	}
	document := closed
	if slices.Contains(at, "requestBodies") {
		document = asWritten
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(examples)) {
		if err := d.schemas.check(document, at.to("schema"), examples[name]); err != nil {
			errs = append(errs, fmt.Errorf("example %s of %s: %w", name, strings.Join(at, "/"), err))
		}
	}
	return errors.Join(errs...)
}
