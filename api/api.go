// Package api holds the description of the HTTP interface and the page to read
// it on.
package api

import (
	"embed"
	"io/fs"
)

//go:embed openapi.yaml
var document string

// Document is the interface in OpenAPI 3.1, as YAML.
func Document() string { return document }

//go:embed docs
var docs embed.FS

// Docs holds the page index.html and the files that it mentions. One that ends
// in .gz is mentioned without that ending and meant decompressed.
func Docs() fs.FS {
	sub, _ := fs.Sub(docs, "docs") // fails for malformed names only
	return sub
}
