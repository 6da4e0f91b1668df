package httpapi

import (
	"context"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// handlerFunc decodes a request, calls one use case and writes the answer. An
// error it returns is answered in one place, for all handlers alike.
type handlerFunc func(*gin.Context) error

// statsHandler answers /v1/stats.
type statsHandler struct {
	stats   *app.Statistics
	pages   *app.Pages
	answers *app.Answers
	status  *app.Status
}

func newStatsHandler(u UseCases) *statsHandler {
	return &statsHandler{stats: u.Statistics, pages: u.Pages, answers: u.Answers, status: u.Status}
}

func (h *statsHandler) routes(r gin.IRoutes, wrap func(handlerFunc) gin.HandlerFunc) {
	about := func(defaultPeriod string, tell teller) gin.HandlerFunc {
		return wrap(h.answer(statistic{known: statsParameters(), defaultPeriod: defaultPeriod, tell: tell}))
	}
	list := func(sorting func(sort, order string) (string, error), tell teller) gin.HandlerFunc {
		return wrap(h.answer(statistic{known: listParameters(), defaultPeriod: app.DefaultDetailPeriod, tell: tell, sorting: sorting}))
	}
	r.GET("/v1/stats/overview", about(app.DefaultPeriod, telling(h.stats.Overview, newOverviewJSON)))
	r.GET("/v1/stats/all", about(app.DefaultPeriod, telling(h.stats.All, newAllJSON)))
	r.GET("/v1/stats/tools", list(sortingBy(domain.ToolColumns()), tellingPage(h.pages.Tools, newToolsJSON)))
	r.GET("/v1/stats/tool/:name", wrap(h.tool))
	r.GET("/v1/stats/errors", list(sortingBy(domain.ErrorColumns()), tellingPage(h.pages.Errors, newErrorReportJSON)))
	r.GET("/v1/stats/performance", about(app.DefaultDetailPeriod, telling(h.stats.Performance, newPerformanceJSON)))
	r.GET("/v1/stats/health", wrap(h.health))
}

// statistic is what is told at one path.
type statistic struct {
	known         parameters
	defaultPeriod string
	tell          teller
	// sorting writes the order of a list in one way; nil says that it is none.
	sorting func(sort, order string) (string, error)
}

// teller tells what a query asks for, encoded to be kept.
type teller func(context.Context, app.PageQuery) (app.Content, error)

// telling encodes what the use case tells of the query's window and filter.
func telling[Told, Answer any](
	ask func(context.Context, app.StatisticsQuery) (Told, error), encode func(*Told) Answer,
) teller {
	return func(ctx context.Context, q app.PageQuery) (app.Content, error) {
		told, err := ask(ctx, q.StatisticsQuery)
		if err != nil {
			return app.Content{}, err
		}
		return encodeContent(encode(&told), "")
	}
}

// tellingPage encodes what the use case tells of one page of a list.
func tellingPage[Told, Answer any](
	ask func(context.Context, app.PageQuery) (app.Page[Told], error), encode func(*app.Page[Told]) Answer,
) teller {
	return func(ctx context.Context, q app.PageQuery) (app.Content, error) {
		page, err := ask(ctx, q)
		if err != nil {
			return app.Content{}, err
		}
		return encodeContent(encode(&page), page.Next)
	}
}

func (h *statsHandler) tool(c *gin.Context) error {
	name := c.Param("name") // the computation may outlive c
	ask := func(ctx context.Context, q app.StatisticsQuery) (domain.ToolDetail, error) {
		return h.stats.Tool(ctx, name, q)
	}
	return h.answer(statistic{
		known: toolParameters(), defaultPeriod: app.DefaultDetailPeriod, tell: telling(ask, newToolDetailJSON),
	})(c)
}

// answer answers from what is kept, as far as that goes.
func (h *statsHandler) answer(s statistic) handlerFunc {
	return func(c *gin.Context) error {
		query, err := parseStatsQuery(c.Request.URL.RawQuery, s.known)
		if err != nil {
			return err
		}
		found, err := h.find(c, s, query)
		if err != nil {
			return err
		}
		setFreshness(c.Writer.Header(), found)
		if s.sorting != nil {
			c.Header("Link", pageLinks(c.Request.URL, found.Next))
		}
		kept := representation{contentType: jsonType, Content: found.Content}
		return kept.write(c)
	}
}

// find keeps no page after the first, which is cut from a list that is kept.
func (h *statsHandler) find(c *gin.Context, s statistic, q app.PageQuery) (app.Answer, error) {
	compute := func(ctx context.Context) (app.Content, error) { return s.tell(ctx, q) }
	if q.Cursor != "" {
		content, err := compute(c.Request.Context())
		return app.Answer{Content: &content}, err
	}
	question, err := s.question(q)
	if err != nil {
		return app.Answer{}, err
	}
	question = c.FullPath() + " " + strconv.Quote(c.Param("name")) + " " + question
	return h.answers.Get(c.Request.Context(), question, compute)
}
