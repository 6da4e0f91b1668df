// Package api holds the description of the HTTP interface and the page to read
// it on.
package api

import (
	"embed"
	"fmt"
	"io/fs"
	"sync"

	"github.com/goccy/go-yaml"
)

//go:embed openapi.yaml
var document string

// Document is the interface in OpenAPI 3.1, as YAML.
func Document() string { return document }

// DocumentJSON is the same in JSON. It is converted once, when it is first
// asked for.
func DocumentJSON() ([]byte, error) { return documentJSON() }

var documentJSON = sync.OnceValues(func() ([]byte, error) {
	encoded, err := yaml.YAMLToJSON([]byte(document))
	if err != nil {
		return nil, fmt.Errorf("convert the description of the API to JSON: %w", err)
	}
	return encoded, nil
})

//go:embed docs
var docs embed.FS

// Docs holds the page index.html and the files that it mentions. One that ends
// in .gz is mentioned without that ending and meant decompressed.
func Docs() fs.FS {
	sub, _ := fs.Sub(docs, "docs") // fails for malformed names only
	return sub
}
