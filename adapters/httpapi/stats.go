package httpapi

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/weather-mcp/weather-mcp-analytics/app"
)

// handlerFunc decodes a request, calls one use case and writes the answer. An
// error it returns is answered in one place, for all handlers alike.
type handlerFunc func(*gin.Context) error

// statsHandler answers /v1/stats.
type statsHandler struct {
	stats  *app.Statistics
	status *app.Status
}

func newStatsHandler(stats *app.Statistics, status *app.Status) *statsHandler {
	return &statsHandler{stats: stats, status: status}
}

func (h *statsHandler) routes(r gin.IRoutes, wrap func(handlerFunc) gin.HandlerFunc) {
	r.GET("/v1/stats/overview", wrap(answerQuery(h.stats.Overview, newOverviewJSON)))
	r.GET("/v1/stats/all", wrap(answerQuery(h.stats.All, newAllJSON)))
	r.GET("/v1/stats/tools", wrap(answerQuery(h.stats.Tools, newToolsJSON)))
	r.GET("/v1/stats/tool/:name", wrap(h.tool))
	r.GET("/v1/stats/errors", wrap(answerQuery(h.stats.Errors, newErrorReportJSON)))
	r.GET("/v1/stats/performance", wrap(answerQuery(h.stats.Performance, newPerformanceJSON)))
	r.GET("/v1/stats/health", wrap(h.health))
}

// answerQuery answers what the use case tells of the query's window and filter.
func answerQuery[Told, Answer any](
	ask func(context.Context, app.StatisticsQuery) (Told, error), encode func(*Told) Answer,
) handlerFunc {
	known := statsParameters()
	return func(c *gin.Context) error {
		query, err := parseStatsQuery(c.Request.URL.RawQuery, known)
		if err != nil {
			return err
		}
		told, err := ask(c.Request.Context(), query)
		if err != nil {
			return err
		}
		answerStats(c, encode(&told))
		return nil
	}
}

func (h *statsHandler) tool(c *gin.Context) error {
	query, err := parseStatsQuery(c.Request.URL.RawQuery, toolParameters())
	if err != nil {
		return err
	}
	detail, err := h.stats.Tool(c.Request.Context(), c.Param("name"), query)
	if err != nil {
		return err
	}
	answerStats(c, newToolDetailJSON(&detail))
	return nil
}

// health answers 200 in every condition: what it tells is in the body.
func (h *statsHandler) health(c *gin.Context) error {
	if _, err := parseStatsQuery(c.Request.URL.RawQuery, nil); err != nil {
		return err
	}
	answerStats(c, newStatsHealthJSON(h.status.Public(c.Request.Context())))
	return nil
}

// answerStats lets caches keep an answer only to ask whether it still holds:
// the next event changes it.
func answerStats(c *gin.Context, body any) {
	c.Header("Cache-Control", "no-cache")
	c.JSON(http.StatusOK, body)
}
