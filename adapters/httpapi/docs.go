package httpapi

import (
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"

	"github.com/weather-mcp/weather-mcp-analytics/api"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// docsPolicy lets the page run the scripts and ask the operations of this
// server, and reach no other. Swagger UI draws with inline images.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const (
	docsPath = "/api-docs"
	docsPage = "index.html"
)

// docsTypes are told here rather than by the machine's own table.
var docsTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".txt": "text/plain; charset=utf-8",
}

// docsHandler tells what this server offers, to programs and to people.
type docsHandler struct {
	document, page *representation
	// asJSON makes the document in JSON when it is first asked for.
	asJSON func() (*representation, error)
	// assets are the files of the page, under names that change with the
	// content.
	assets map[string]*representation
}

func newDocsHandler() *docsHandler {
	h := &docsHandler{
		document: newRepresentation("application/yaml", app.NewContent([]byte(api.Document()), "")),
		asJSON:   sync.OnceValues(documentAsJSON),
		assets:   make(map[string]*representation),
	}
	files := api.Docs()
	// What is embedded can be read.
	page, _ := fs.ReadFile(files, docsPage)
	html := string(page)
	names, _ := fs.Glob(files, "*")
	for _, file := range names {
		if file == docsPage {
			continue
		}
		content, _ := fs.ReadFile(files, file)
		name, asset := newAsset(file, content)
		tagged := taggedName(name, asset.Tag)
		h.assets[tagged] = asset
		html = strings.ReplaceAll(html, `"`+docsPath[1:]+"/"+name+`"`, `"`+docsPath[1:]+"/"+tagged+`"`)
	}
	h.page = newRepresentation("text/html; charset=utf-8", app.NewContent([]byte(html), ""))
	return h
}

func documentAsJSON() (*representation, error) {
	document, err := api.DocumentJSON()
	if err != nil {
		return nil, err
	}
	return newRepresentation(jsonType, app.NewContent(document, "")), nil
}

// newAsset returns the file and the name by which the page mentions it.
func newAsset(file string, content []byte) (name string, asset *representation) {
	name, zipped := strings.CutSuffix(file, ".gz")
	contentType := docsTypes[path.Ext(name)]
	if zipped {
		return name, newRepresentation(contentType, app.Content{Tag: app.TagOf(content), Gzip: content})
	}
	return name, newRepresentation(contentType, app.NewContent(content, ""))
}

// taggedName puts the tag before the extension.
func taggedName(name, tag string) string {
	extension := path.Ext(name)
	return strings.TrimSuffix(name, extension) + "." + tag + extension
}

func (h *docsHandler) routes(r gin.IRoutes, wrap func(handlerFunc) gin.HandlerFunc) {
	r.GET("/", wrap(leadToDocs))
	r.GET("/openapi.yaml", wrap(h.getDocument))
	r.GET("/openapi.json", wrap(h.getDocumentJSON))
	r.GET(docsPath, wrap(h.getPage))
	r.GET(docsPath+"/:asset", wrap(h.getAsset))
}

// leadToDocs leads a person's browser to the page. A program asks for no page, and
// gets what it gets at any path that is not there.
func leadToDocs(c *gin.Context) error {
	if !prefersPage(c.Request.Header.Values("Accept")) {
		return domain.NewError(domain.CodeNotFound, nil, "there is nothing at this path; "+docsPath+" describes what there is")
	}
	c.Header("Location", docsPath[1:]) // a proxy may have put its own path before
	c.Status(http.StatusSeeOther)
	return nil
}

func (h *docsHandler) getDocument(c *gin.Context) error {
	c.Header("Cache-Control", "public, max-age=300")
	return h.document.write(c)
}

func (h *docsHandler) getDocumentJSON(c *gin.Context) error {
	document, err := h.asJSON()
	if err != nil {
		return err
	}
	c.Header("Cache-Control", "public, max-age=300")
	return document.write(c)
}

// getPage has the page asked for each time, since its assets change with it.
func (h *docsHandler) getPage(c *gin.Context) error {
	c.Header("Cache-Control", "no-cache")
	c.Header("Content-Security-Policy", docsPolicy)
	return h.page.write(c)
}

func (h *docsHandler) getAsset(c *gin.Context) error {
	asset, ok := h.assets[c.Param("asset")]
	if !ok {
		return domain.NewError(domain.CodeNotFound, nil, "there is no such file; "+docsPath+" mentions those that there are")
	}
	c.Header("Cache-Control", "public, max-age=31536000, immutable")
	return asset.write(c)
}
