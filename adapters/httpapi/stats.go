package httpapi

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// handlerFunc decodes a request, calls one use case and writes the answer. An
// error it returns is answered in one place, for all handlers alike.
type handlerFunc func(*gin.Context) error

// statsHandler answers /v1/stats.
type statsHandler struct {
	stats  *app.Statistics
	status *app.Status
	gate   *app.Gate
}

func newStatsHandler(stats *app.Statistics, status *app.Status, gate *app.Gate) *statsHandler {
	return &statsHandler{stats: stats, status: status, gate: gate}
}

func (h *statsHandler) routes(r gin.IRoutes, wrap func(handlerFunc) gin.HandlerFunc) {
	r.GET("/v1/stats/overview", wrap(answerQuery(h.gate, h.stats.Overview, newOverviewJSON)))
	r.GET("/v1/stats/all", wrap(answerQuery(h.gate, h.stats.All, newAllJSON)))
	r.GET("/v1/stats/tools", wrap(answerQuery(h.gate, h.stats.Tools, newToolsJSON)))
	r.GET("/v1/stats/tool/:name", wrap(h.tool))
	r.GET("/v1/stats/errors", wrap(answerQuery(h.gate, h.stats.Errors, newErrorReportJSON)))
	r.GET("/v1/stats/performance", wrap(answerQuery(h.gate, h.stats.Performance, newPerformanceJSON)))
	r.GET("/v1/stats/health", wrap(h.health))
}

// answerQuery answers what the use case tells of the query's window and filter,
// when it is its turn.
func answerQuery[Told, Answer any](
	gate *app.Gate, ask func(context.Context, app.StatisticsQuery) (Told, error), encode func(*Told) Answer,
) handlerFunc {
	known := statsParameters()
	return func(c *gin.Context) error {
		query, err := parseStatsQuery(c.Request.URL.RawQuery, known)
		if err != nil {
			return err
		}
		return compute(c, gate, encode, func(ctx context.Context) (Told, error) { return ask(ctx, query) })
	}
}

func (h *statsHandler) tool(c *gin.Context) error {
	query, err := parseStatsQuery(c.Request.URL.RawQuery, toolParameters())
	if err != nil {
		return err
	}
	return compute(c, h.gate, newToolDetailJSON, func(ctx context.Context) (domain.ToolDetail, error) {
		return h.stats.Tool(ctx, c.Param("name"), query)
	})
}

// compute asks behind the gate, and answers in front of it: a client that reads
// slowly takes no place.
func compute[Told, Answer any](
	c *gin.Context, gate *app.Gate, encode func(*Told) Answer, ask func(context.Context) (Told, error),
) error {
	var told Told
	err := gate.Do(c.Request.Context(), func() (err error) {
		told, err = ask(c.Request.Context())
		return err
	})
	if err != nil {
		return err
	}
	answerStats(c, encode(&told))
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
