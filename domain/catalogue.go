package domain

import (
	"crypto/sha256"
	_ "embed" // the default catalogue
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Catalogue is the list of names that events may use: the tools and the
// services behind them. It is data: a new tool is a new line in a file.
type Catalogue struct {
	tools    names
	services names
	revision string
}

// names are interned by membership: looking a name up in a byte slice costs no
// allocation and returns the catalogue's own string.
type names struct {
	list []string
	set  map[string]string
	// quoted finds a name by its JSON.
	quoted map[string]string
}

//go:embed catalogue.json
var defaultCatalogue []byte

// DefaultCatalogue returns the names that Weather MCP's current release uses.
func DefaultCatalogue() *Catalogue {
	c, err := ParseCatalogue(defaultCatalogue)
	if err != nil {
		panic(err) // the embedded file is tested
	}
	return c
}

// ParseCatalogue reads a catalogue from JSON: an object with the members
// tools and services, each a list of names of 1 to 64 characters of
// [0-9a-z_-]. Every problem is reported at once.
func ParseCatalogue(data []byte) (*Catalogue, error) {
	var file struct {
		Tools    []string `json:"tools"`
		Services []string `json:"services"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("catalogue: not a JSON object with lists of names: %w", err)
	}
	tools, toolsErr := newNames("tools", file.Tools)
	services, servicesErr := newNames("services", file.Services)
	if err := errors.Join(toolsErr, servicesErr); err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	c := &Catalogue{tools: tools, services: services}
	canonical, err := json.Marshal(map[string][]string{"tools": tools.list, "services": services.list})
	if err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	sum := sha256.Sum256(canonical)
	c.revision = hex.EncodeToString(sum[:8])
	return c, nil
}

func newNames(member string, list []string) (names, error) {
	n := names{
		list: slices.Clone(list), set: make(map[string]string, len(list)), quoted: make(map[string]string, len(list)),
	}
	var problems []error
	if len(list) == 0 {
		problems = append(problems, fmt.Errorf("%s is empty or missing: list at least one name", member))
	}
	for i, name := range list {
		switch _, seen := n.set[name]; {
		case !isCatalogueName(name):
			problems = append(problems, fmt.Errorf("%s[%d]: %q is no name of 1 to 64 characters of [0-9a-z_-]", member, i, name))
		case name == OtherName, name == TimestampName:
			problems = append(problems, fmt.Errorf("%s[%d]: %q is reserved: statistics use it for something else", member, i, name))
		case seen:
			problems = append(problems, fmt.Errorf("%s[%d]: %q stands there twice", member, i, name))
		}
		n.set[name], n.quoted[`"`+name+`"`] = name, name
	}
	return n, errors.Join(problems...)
}

func isCatalogueName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// Tools lists the tools in the catalogue's order.
func (c *Catalogue) Tools() []string { return slices.Clone(c.tools.list) }

// Services lists the services in the catalogue's order.
func (c *Catalogue) Services() []string { return slices.Clone(c.services.list) }

// HasTool reports whether the catalogue lists the tool.
func (c *Catalogue) HasTool(name string) bool { _, ok := c.tools.set[name]; return ok }

// HasService reports whether the catalogue lists the service.
func (c *Catalogue) HasService(name string) bool { _, ok := c.services.set[name]; return ok }

// Revision names this content: two catalogues with the same names in the same
// order have the same revision.
func (c *Catalogue) Revision() string { return c.revision }
