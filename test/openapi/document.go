// Package openapi holds what goes over HTTP, and the examples that a document
// gives, against an OpenAPI 3.1 document. It knows the parts of the standard
// that the document of this project uses.
package openapi

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Document is a document, read and indexed. It is safe for concurrent use.
type Document struct {
	root       object
	operations []*operation
	schemas    *schemas
}

// operation is one method of one path.
type operation struct {
	method, template string
	path             *regexp.Regexp
	node             pointer
}

// name is the operation as [Document.Operations] lists it.
func (o *operation) name() string { return o.method + " " + o.template }

// Load reads a document in YAML.
func Load(text string) (*Document, error) {
	encoded, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
	if err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	root, ok := value.(object)
	if !ok {
		return nil, fmt.Errorf("the document is a %T", value)
	}
	d := &Document{root: root}
	if d.schemas, err = newSchemas(encoded); err != nil {
		return nil, err
	}
	for _, template := range d.names(pointer{"paths"}) {
		for _, method := range d.names(pointer{"paths", template}) {
			if isMethod(strings.ToUpper(method)) {
				d.operations = append(d.operations, newOperation(template, method))
			}
		}
	}
	// A template that says more comes first.
	slices.SortFunc(d.operations, func(a, b *operation) int {
		return strings.Compare(strings.ReplaceAll(a.template, "{", "~"), strings.ReplaceAll(b.template, "{", "~"))
	})
	return d, nil
}

func newOperation(template, method string) *operation {
	pattern := parameterInPath.ReplaceAllString(regexp.QuoteMeta(template), `(?P<$1>[^/]+)`)
	return &operation{
		method:   strings.ToUpper(method),
		template: template,
		path:     regexp.MustCompile("^" + pattern + "$"),
		node:     pointer{"paths", template, method},
	}
}

// parameterInPath finds {name}, quoted.
var parameterInPath = regexp.MustCompile(`\\\{(\w+)\\\}`)

func isMethod(s string) bool {
	return slices.Contains([]string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut,
		http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodTrace,
	}, s)
}

// Operations lists what is described, such as GET /v1/stats/tool/{name}.
func (d *Document) Operations() []string {
	names := make([]string, len(d.operations))
	for i, o := range d.operations {
		names[i] = o.name()
	}
	return slices.Sorted(slices.Values(names))
}

// find returns the operation that the request is for. HEAD asks for what GET
// does. Without one, known reports whether there is another for the path.
func (d *Document) find(r *http.Request) (found *operation, known bool) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, o := range d.operations {
		if !o.path.MatchString(pathOf(r.URL)) {
			continue
		}
		if o.method == method {
			return o, true
		}
		known = true
	}
	return nil, known
}

// pathOf is the path as it was sent. The URL's own EscapedPath makes a slash of
// %2f when the path holds a character that should have been escaped too.
func pathOf(u *url.URL) string { return cmp.Or(u.RawPath, u.EscapedPath()) }

// pathParameters returns the values that stand in the path.
func (o *operation) pathParameters(u *url.URL) (map[string]string, error) {
	parameters := make(map[string]string)
	match := o.path.FindStringSubmatch(pathOf(u))
	for i, name := range o.path.SubexpNames() {
		if name == "" {
			continue
		}
		value, err := url.PathUnescape(match[i])
		if err != nil {
			return nil, err
		}
		parameters[name] = value
	}
	return parameters, nil
}

// object is a JSON object of the document.
type object = map[string]any

// pointer is the place of a part of the document.
type pointer []string

func (p pointer) to(steps ...string) pointer { return slices.Concat(p, steps) }

// fragment is p as a JSON pointer (RFC 6901) in a URL.
func (p pointer) fragment() string {
	var text strings.Builder
	for _, step := range p {
		step = strings.NewReplacer("~", "~0", "/", "~1").Replace(step)
		text.WriteString("/" + url.PathEscape(step))
	}
	return text.String()
}

// parseReference reads a local reference, such as #/components/headers/Age.
func parseReference(reference string) pointer {
	steps := strings.Split(strings.TrimPrefix(reference, "#/"), "/")
	for i, step := range steps {
		steps[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
	}
	return steps
}

// at returns the object at a place, and the place to which references led.
// There is nothing at a place that does not exist.
func (d *Document) at(p pointer) (object, pointer) {
	value := any(d.root)
	for i, step := range p {
		node, _ := value.(object)
		if reference, ok := node["$ref"].(string); ok {
			return d.at(parseReference(reference).to(p[i:]...))
		}
		if list, ok := value.([]any); ok {
			value = listItem(list, step)
			continue
		}
		value = node[step]
	}
	node, _ := value.(object)
	if reference, ok := node["$ref"].(string); ok && !slices.Contains(p, "schema") {
		return d.at(parseReference(reference))
	}
	return node, p
}

func listItem(list []any, step string) any {
	var i int
	if _, err := fmt.Sscan(step, &i); err != nil || i >= len(list) {
		return nil
	}
	return list[i]
}

// names lists the members of the object at a place.
func (d *Document) names(p pointer) []string {
	node, _ := d.at(p)
	return slices.Sorted(maps.Keys(node))
}
