package httpapi

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

type catalogueHandler struct {
	body catalogueJSON
	etag string
}

type catalogueJSON struct {
	Revision string   `json:"revision"`
	Tools    []string `json:"tools"`
	Services []string `json:"services"`
}

func newCatalogueHandler(c *domain.Catalogue) *catalogueHandler {
	return &catalogueHandler{
		body: catalogueJSON{Revision: c.Revision(), Tools: c.Tools(), Services: c.Services()},
		etag: `"` + c.Revision() + `"`,
	}
}

func (h *catalogueHandler) routes(r gin.IRoutes, wrap func(handlerFunc) gin.HandlerFunc) {
	r.GET("/v1/catalogue", wrap(h.get))
}

func (h *catalogueHandler) get(c *gin.Context) error {
	c.Header("ETag", h.etag)
	c.Header("Cache-Control", "public, max-age=300")
	if matchesETag(c.Request.Header.Values("If-None-Match"), h.etag) {
		c.Status(http.StatusNotModified)
		return nil
	}
	c.JSON(http.StatusOK, h.body)
	return nil
}

// matchesETag compares weakly, as If-None-Match asks for (RFC 9110, section
// 13.1.2). The tag itself must hold no comma.
func matchesETag(headers []string, etag string) bool {
	for candidate := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == etag || candidate == "*" {
			return true
		}
	}
	return false
}
