package httpapi

import (
	"encoding/json"

	"github.com/gin-gonic/gin"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

type catalogueHandler struct{ catalogue *domain.Catalogue }

type catalogueJSON struct {
	Revision string   `json:"revision"`
	Tools    []string `json:"tools"`
	Services []string `json:"services"`
}

func newCatalogueHandler(c *domain.Catalogue) *catalogueHandler { return &catalogueHandler{c} }

func (h *catalogueHandler) routes(r gin.IRoutes, wrap func(handlerFunc) gin.HandlerFunc) {
	r.GET("/v1/catalogue", wrap(h.get))
}

func (h *catalogueHandler) get(c *gin.Context) error {
	body, err := json.Marshal(catalogueJSON{
		Revision: h.catalogue.Revision(), Tools: h.catalogue.Tools(), Services: h.catalogue.Services(),
	})
	if err != nil {
		return err
	}
	c.Header("Cache-Control", "public, max-age=300")
	content := app.NewContent(body, "")
	content.Tag = h.catalogue.Revision()
	return newRepresentation(jsonType, content).write(c)
}
