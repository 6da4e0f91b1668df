package benchmark_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/httpapi"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/system"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// BenchmarkCachedMiddleware answers a cached statistic without a network, once as it
// is, and once each with a log line, with limits and with both. cpu-µs/op is the
// processor time of all that, the writing of the log included: what a log line and
// the limiter cost is the difference. The light clients are those that a process judges
// alone although it shares the limits.
func BenchmarkCachedMiddleware(b *testing.B) {
	for _, variant := range []struct {
		name                    string
		logged, limited, shared bool
	}{
		{"bare", false, false, false},
		{"log", true, false, false},
		{"limits", false, true, false},
		{"limits-light", false, true, true},
		{"both", true, true, false},
		{"both-light", true, true, true},
	} {
		b.Run(variant.name, func(b *testing.B) {
			log := quiet()
			if variant.logged {
				log = fileLog(b)
			}
			var limit *app.Limit
			if variant.limited {
				limits := ports.Limits{Requests: 60, Burst: 10, Events: 1000}
				limiter := memory.NewLimiter(memory.LimiterConfig{Limits: limits})
				var shared ports.Limiter = limiter
				if variant.shared {
					shared = app.NewLightLimiter(limits, memory.NewLimiter(memory.LimiterConfig{Limits: limits}), limiter)
				}
				limit = app.NewLimit(limits, shared, limiter)
			}
			s := newCachingServer(log, limit)
			request := httptest.NewRequestWithContext(b.Context(), http.MethodGet, cachedPath, http.NoBody)
			request.Header.Set("Accept-Encoding", "gzip")
			refused, number, before := 0, 0, cpuOfSelf(b)
			for b.Loop() {
				number++
				request.RemoteAddr = clientAddress(number%readers) + ":4711"
				w := discarded{header: make(http.Header)}
				s.ServeHTTP(&w, request)
				if w.status != 0 && w.status != http.StatusOK {
					refused++
				}
			}
			b.ReportMetric(float64((cpuOfSelf(b)-before).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
			b.ReportMetric(float64(refused)/float64(b.N), "refused/op")
		})
	}
}

// fileLog logs into a file as the program does.
func fileLog(b *testing.B) *slog.Logger {
	b.Helper()
	file, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	writer := bootstrap.NewLogWriter(file)
	b.Cleanup(func() {
		writer.Close(time.Second)
		_ = file.Close()
	})
	return bootstrap.NewLogger(writer, bootstrap.Config{LogFormat: bootstrap.LogJSON})
}

// newCachingServer answers statistics of an empty store.
func newCachingServer(log *slog.Logger, limit *app.Limit) *httpapi.Server {
	store, cache := memory.NewStore(), memory.NewCache(memory.CacheConfig{})
	statistics := app.NewStatistics(store, system.Clock{}, app.StatisticsConfig{})
	return httpapi.New(httpapi.UseCases{
		Statistics: statistics,
		Pages:      app.NewPages(statistics, cache, app.PagesConfig{}),
		Answers:    app.NewAnswers(cache, system.Clock{}, log, app.AnswersConfig{Fresh: time.Hour}),
		Limit:      limit,
	}, domain.DefaultCatalogue(), log, httpapi.Config{})
}

// discarded is an answer that is not read.
type discarded struct {
	header http.Header
	status int
}

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d *discarded) WriteHeader(status int)      { d.status = status }
