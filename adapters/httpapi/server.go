package httpapi

import (
	"cmp"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// UseCases are what the server offers.
type UseCases struct {
	Ingest     *app.Ingest
	Explain    *app.Explain
	Statistics *app.Statistics
	Pages      *app.Pages
	Answers    *app.Answers
	Status     *app.Status
	// Limit may be nil: then clients are not limited.
	Limit *app.Limit
}

// Config tunes a [Server]. Zero values mean the defaults.
type Config struct {
	// BodyLimit is the longest request body in bytes, after decompression
	// too. Default 100 KB.
	BodyLimit int64
	// RequestTimeout bounds the work on one request. Default 10 s.
	RequestTimeout time.Duration
	// Origins are the web pages that may read the answers and post. Default none
	// but the server's own.
	Origins Origins
	// Bodies bounds how many request bodies are worked on at once. Default 64
	// places, 1024 in line for 3 s.
	Bodies app.GateConfig
	// Explains bounds how many batches are explained at once. Default 1 place, 16
	// in line for 1 s, and pressed when Bodies is.
	Explains app.GateConfig
	// TrustedProxies are the networks of proxies whose word about the client's
	// address is believed. Default none.
	TrustedProxies []netip.Prefix
	// Connections, if there are any, are told of by /v1/status.
	Connections *Connections
	// DroppedLines, if there is one, counts the log lines that were lost.
	DroppedLines func() int64
	// Clock, if there is one, is told of by /v1/status.
	Clock *app.Clock
	// Version of the program and Store, the kind of store it uses, are told
	// by /v1/status.
	Version, Store string
}

const (
	defaultBodyLimit      = 100 << 10
	defaultRequestTimeout = 10 * time.Second
)

// Server answers HTTP requests.
type Server struct {
	engine           *gin.Engine
	log              *slog.Logger
	config           Config
	bodies, explains *app.Gate
	// answers is nil where none are given.
	answers *app.Answers
}

// New returns a server of the use cases and the catalogue.
func New(u UseCases, catalogue *domain.Catalogue, log *slog.Logger, config Config) *Server {
	s := newServer(u.Limit, log, config)
	s.answers = u.Answers
	read := readRoutes{s.engine}
	ingest := &ingestHandler{
		ingest: u.Ingest, bodies: newBodies(s.config.BodyLimit, s.bodies),
		explain: u.Explain, tried: newBodies(s.config.BodyLimit, s.explains),
	}
	ingest.routes(s.engine, s.handlePost)
	newCatalogueHandler(catalogue).routes(read, s.handle)
	newStatusHandler(u.Status, u.Answers, u.Limit, s.config, s.Load).routes(read, s.handle)
	newStatsHandler(u).routes(read, s.handle)
	newDocsHandler().routes(read, s.handle)
	return s
}

// NewStatusOnly returns a server that tells how the process is, at /v1/live,
// /v1/health and /v1/status, and offers nothing else.
func NewStatusOnly(status *app.Status, log *slog.Logger, config Config) *Server {
	s := newServer(nil, log, config)
	newStatusHandler(status, nil, nil, s.config, s.Load).routes(readRoutes{s.engine}, s.handle)
	return s
}

func newServer(limit *app.Limit, log *slog.Logger, config Config) *Server {
	config.BodyLimit = cmp.Or(config.BodyLimit, defaultBodyLimit)
	config.RequestTimeout = cmp.Or(config.RequestTimeout, defaultRequestTimeout)
	s := &Server{engine: newEngine(), log: log, config: config, bodies: newBodyGate(config), explains: newExplainGate(config)}
	s.engine.Use(s.observe, s.cors)
	if limit != nil {
		limiting := &limiting{limit: limit, addresses: addresses{config.TrustedProxies}}
		s.engine.Use(limiting.middleware)
	}
	s.engine.Use(checkAddress)
	s.engine.NoRoute(s.handle(noRoute))
	s.engine.NoMethod(s.handle(noMethod))
	return s
}

func newEngine() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	engine.RedirectTrailingSlash = false
	// A name in the path may hold an encoded slash.
	engine.UseRawPath = true
	// Whose word about the client's address is believed is decided elsewhere; nil
	// cannot fail.
	_ = engine.SetTrustedProxies(nil)
	return engine
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.engine.ServeHTTP(w, r)
	if w.Header().Get("Connection") == "close" {
		drain(w, r)
	}
}

// Routes lists what is answered, as method and path; a part of a path that
// begins with a colon stands for any text.
func (s *Server) Routes() []string {
	var routes []string
	for _, route := range s.engine.Routes() {
		routes = append(routes, route.Method+" "+route.Path)
	}
	return routes
}

// handle makes a handler of h that answers its error.
func (*Server) handle(h handlerFunc) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := h(c); err != nil {
			refuse(c, err)
		}
	}
}

// handlePost is handle for what other pages must not have their visitors send.
func (s *Server) handlePost(h handlerFunc) gin.HandlerFunc {
	return s.handle(func(c *gin.Context) error {
		if err := s.config.Origins.check(c.Request); err != nil {
			return admissionOf(c).settle(c.Request.Context(), err)
		}
		return h(c)
	})
}

// readRoutes lets HEAD ask for whatever GET may; net/http drops the body.
type readRoutes struct{ gin.IRoutes }

// GET registers the handlers for GET and HEAD.
func (r readRoutes) GET(path string, handlers ...gin.HandlerFunc) gin.IRoutes {
	r.IRoutes.GET(path, handlers...)
	return r.HEAD(path, handlers...)
}

func noRoute(*gin.Context) error {
	return domain.NewError(domain.CodeNotFound, nil, "there is nothing at this path")
}

// noMethod finds the Allow header already set.
func noMethod(*gin.Context) error {
	return domain.NewError(codeMethodNotAllowed, nil, "this path does not know the method: see the Allow header")
}
