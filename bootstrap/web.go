package bootstrap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"go.uber.org/fx"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/httpapi"
	"github.com/weather-mcp/weather-mcp-analytics/app"
)

func webModule() fx.Option {
	return fx.Module("web",
		fx.Provide(
			newUseCases, newLimit, newHTTPConfig, httpapi.New, newConnections, newHTTPServer,
			func(c Config) endpoint { return endpoint{"PORT", c.Port} },
		),
		fx.Invoke(webService.register),
	)
}

// workerHealthModule lets a worker, which serves nobody else, tell how it is.
func workerHealthModule() fx.Option {
	return fx.Module("health",
		fx.Provide(
			newHTTPConfig, httpapi.NewStatusOnly, newConnections, newHTTPServer,
			func(c Config) endpoint { return endpoint{"WORKER_HEALTH_PORT", c.WorkerHealthPort} },
		),
		fx.Invoke(func(lc fx.Lifecycle, w webService) {
			if w.Config.WorkerHealthPort == 0 {
				lc.Append(fx.StartHook(func() { w.ready(nil) }))
				return
			}
			w.register(lc)
		}),
	)
}

// endpoint is a port that an operator chooses by a variable.
type endpoint struct {
	variable string
	port     int
}

func newHTTPConfig(
	c Config, o Options, store StoreName, clock *app.Clock, m *memoryBudget, connections *httpapi.Connections,
) (httpapi.Config, error) {
	origins, err := httpapi.ParseOrigins(c.CORSOrigin)
	return httpapi.Config{
		BodyLimit:      c.BodyLimit(),
		Origins:        origins,
		Bodies:         app.GateConfig{Pressed: m.Pressed},
		TrustedProxies: c.trustedProxies(),
		Connections:    connections,
		DroppedLines:   o.DroppedLines,
		Clock:          clock,
		Version:        o.Version, Store: string(store),
	}, err
}

// The bounds of a connection. A request that takes longer to arrive than
// clients wait for the answer is not worth holding on to. net/http reads 4 KB
// of header more than it is told.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 12 << 10
)

func newHTTPServer(handler *httpapi.Server, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          stdlog.New(connectionLog{log}, "", 0),
	}
}

// connectionLog takes net/http's own complaints. They name the client's
// address, so their text is dropped; only when connections cannot be accepted
// the address in it is our own.
type connectionLog struct{ log *slog.Logger }

// Write counts as written what it does not repeat.
func (l connectionLog) Write(text []byte) (int, error) {
	if cause, ok := bytes.CutPrefix(text, []byte("http: Accept error: ")); ok {
		l.log.Warn("connections cannot be accepted", "error", string(bytes.TrimSpace(cause)))
	} else {
		l.log.Debug("connection problem")
	}
	return len(text), nil
}

// webService listens for requests.
type webService struct {
	fx.In

	Server      *http.Server
	Connections *httpapi.Connections
	Endpoint    endpoint
	Config      Config
	Options     Options
	Store       StoreName
	Failed      failures
	Log         *slog.Logger
}

func (w webService) register(lc fx.Lifecycle) { lc.Append(fx.StartStopHook(w.start, w.stop)) }

func (w webService) start(ctx context.Context) error {
	address := net.JoinHostPort(w.Config.BindAddress, strconv.Itoa(w.Endpoint.port))
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return w.listenError(err)
	}
	go w.serve(listener)
	w.ready(listener.Addr())
	return nil
}

// ready tells that the service works; address is nil when it listens nowhere.
func (w webService) ready(address net.Addr) {
	bound := "none"
	if address != nil {
		bound = address.String()
	}
	attributes := []any{"address", bound, "version", w.Options.Version, "role", w.Config.Role}
	w.Log.Info("ready", append(attributes, w.Config.places(w.Store)...)...)
	w.Options.Ready(address)
}

func (w webService) serve(listener net.Listener) {
	if err := w.Connections.Serve(w.Server, listener); !errors.Is(err, http.ErrServerClosed) {
		w.Failed <- fmt.Errorf("no more connections can be accepted: %w", err)
	}
}

// listenError says what to change.
func (w webService) listenError(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("port %d is in use: stop the program that uses it or set %s to another", w.Endpoint.port, w.Endpoint.variable)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("port %d may not be used by this user: set %s to one above 1023", w.Endpoint.port, w.Endpoint.variable)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("the address %s is not this machine's: correct BIND_ADDRESS", w.Config.BindAddress)
	default:
		return fmt.Errorf("cannot listen: %w", err)
	}
}

// stop finishes the requests in hand and closes what takes too long.
func (w webService) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, finishRequests)
	defer cancel()
	err := w.Server.Shutdown(ctx)
	if err != nil {
		_ = w.Server.Close()
		return fmt.Errorf("requests were broken off: %w", err)
	}
	return nil
}
