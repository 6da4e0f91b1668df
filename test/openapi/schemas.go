package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemas compiles the schemas of a document, each once.
type schemas struct {
	mu       sync.Mutex
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema
}

// The document stands there twice: as it is, for what clients send, and with
// closed objects, for what the server tells. Clients must bear members that
// they do not know, but the document must know all of the server's.
const (
	asWritten = "urn:document"
	closed    = "urn:document:closed"
)

func newSchemas(document []byte) (*schemas, error) {
	s := &schemas{compiler: jsonschema.NewCompiler(), compiled: make(map[string]*jsonschema.Schema)}
	s.compiler.DefaultDraft(jsonschema.Draft2020)
	s.compiler.AssertFormat()
	for _, name := range []string{asWritten, closed} {
		root, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
		if err != nil {
			return nil, err
		}
		if name == closed {
			closeAll(root)
		}
		if err := s.compiler.AddResource(name, root); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// closeAll closes the objects of every schema in the document.
func closeAll(value any) {
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			closeAll(item)
		}
	case object:
		for name, item := range value {
			switch name {
			case "schema":
				closeSchema(item, false)
			case "schemas":
				for _, schema := range objectOf(item) {
					closeSchema(schema, true)
				}
			default:
				closeAll(item)
			}
		}
	}
}

func objectOf(value any) object {
	o, _ := value.(object)
	return o
}

// closeSchema lets objects have no other members than are described. A part
// of another schema stays open, for it does not see the members of the rest.
func closeSchema(value any, part bool) {
	schema, ok := value.(object)
	if !ok {
		return
	}
	for _, property := range objectOf(schema["properties"]) {
		closeSchema(property, false)
	}
	closeSchema(schema["items"], false)
	closeSchema(schema["additionalProperties"], false)
	for _, keyword := range []string{"allOf", "anyOf", "oneOf"} {
		parts, _ := schema[keyword].([]any)
		for _, each := range parts {
			closeSchema(each, true)
		}
	}
	describes := slices.ContainsFunc([]string{"$ref", "properties", "allOf"}, func(keyword string) bool { return schema[keyword] != nil })
	if describes && !part {
		schema["unevaluatedProperties"] = false
	}
}

// check holds a value against the schema at a place.
func (s *schemas) check(document string, at pointer, value any) error {
	schema, err := s.compile(document + "#" + at.fragment())
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

func (s *schemas) compile(location string) (*jsonschema.Schema, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if schema, ok := s.compiled[location]; ok {
		return schema, nil
	}
	schema, err := s.compiler.Compile(location)
	if err != nil {
		return nil, fmt.Errorf("schema %s: %w", location, err)
	}
	s.compiled[location] = schema
	return schema, nil
}

// textValue reads a text as the schema means it: as a number where it wants
// one.
func (d *Document) textValue(at pointer, text string) any {
	schema, _ := d.at(at)
	for schema["$ref"] != nil {
		reference, _ := schema["$ref"].(string)
		schema, _ = d.at(parseReference(reference))
	}
	if schema["type"] == "integer" || schema["type"] == "number" {
		if number := json.Number(text); isNumber(number) {
			return number
		}
	}
	return text
}

func isNumber(n json.Number) bool {
	_, err := n.Float64()
	return err == nil && json.Valid([]byte(n))
}
