package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/httpapi"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/system"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/logs"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// now is the time in all tests: 10:30 on a Monday.
var now = time.Date(2026, 11, 23, 10, 30, 0, 0, time.UTC)

const (
	requestID = "0199c9a27f6e7b5a8a543a1c2d4e5f60"

	goodEvent = `{"version":"1.23.0","tool":"get_forecast","status":"success",` +
		`"timestamp_hour":"2026-11-23T10:00:00Z","analytics_level":"minimal"}`
	badEvent = `{"version":"1.23.0","tool":"get_secrets","status":"success",` +
		`"timestamp_hour":"2026-11-23T10:00:00Z","analytics_level":"minimal"}`
)

func batch(events ...string) string { return `{"events":[` + strings.Join(events, ",") + `]}` }

// service is a server over memory adapters.
type service struct {
	checked

	queue *memory.Queue
	store *memory.Store
	// away makes reading the store fail.
	away  *atomic.Bool
	clock *memory.Clock
	log   *logBuffer
	// work takes what is queued into the store.
	work func(t *testing.T)
}

// setup is what a test may choose; zero values give a working service.
type setup struct {
	queue    ports.EventQueue
	meter    ports.QueueMeter
	reader   ports.StatisticsReader // of what the status tells
	merger   ports.Merger           // likewise
	checks   []ports.HealthCheck
	maxQueue int
	answers  app.AnswersConfig
	limit    *app.Limit
	config   httpapi.Config
	// explaining is the clock by which batches are explained.
	explaining ports.Clock
}

func newService(s setup) *service {
	if s.maxQueue == 0 {
		s.maxQueue = 10_000
	}
	clock := memory.NewClock(now)
	queue := memory.NewQueue(memory.QueueConfig{MaxEvents: s.maxQueue, Clock: clock})
	store := memory.NewStore()
	if s.queue == nil {
		s.queue = queue
	}
	if s.meter == nil {
		s.meter = queue
	}
	buffer := &logBuffer{}
	log := slog.New(slog.NewJSONHandler(buffer, &slog.HandlerOptions{Level: slog.LevelDebug}))
	catalogue := domain.DefaultCatalogue()
	validator := domain.NewValidator(domain.ValidatorConfig{Catalogue: catalogue})
	process := app.NewProcess(queue, store, slog.New(slog.DiscardHandler), app.ProcessConfig{PollInterval: time.Millisecond})
	reader := &leavingReader{StatisticsReader: store}
	useCases := reading(app.NewStatistics(reader, clock, app.StatisticsConfig{Catalogue: catalogue}), clock, log, s.answers)
	useCases.Ingest = app.NewIngest(validator, s.queue, system.BatchIDs{}, clock)
	if s.explaining == nil {
		s.explaining = clock
	}
	useCases.Explain = app.NewExplain(validator, domain.DefaultRetention(), s.explaining)
	if s.reader == nil {
		s.reader = store
	}
	if s.merger == nil {
		s.merger = store
	}
	merge := app.NewMerge(s.merger, store, clock, log, app.MergeConfig{})
	useCases.Status = app.NewStatus(s.checks, s.meter, s.reader, clock, nil, merge)
	useCases.Limit = s.limit
	server := newServer(useCases, catalogue, log, s.config)
	return &service{checked: server, queue: queue, store: store, away: &reader.away, clock: clock, log: buffer, work: func(t *testing.T) {
		t.Helper()
		if err := process.Step(t.Context(), t.Context()); err != nil {
			t.Fatalf("worker: %v", err)
		}
	}}
}

// reading are the use cases by which the statistics are read.
func reading(s *app.Statistics, clock ports.Clock, log *slog.Logger, config app.AnswersConfig) httpapi.UseCases {
	cache := memory.NewCache(memory.CacheConfig{Clock: clock})
	return httpapi.UseCases{
		Statistics: s,
		Pages:      app.NewPages(s, cache, app.PagesConfig{}),
		Answers:    app.NewAnswers(cache, clock, log, config),
	}
}

// do asks the service; header holds pairs of name and value.
func (s *service) do(t *testing.T, method, path, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	request.Header.Set("X-Request-Id", requestID)
	for i := 0; i < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	recorder := httptest.NewRecorder()
	s.ServeHTTP(recorder, request)
	return recorder
}

func (s *service) queued(t *testing.T) int {
	t.Helper()
	depth, err := s.queue.Depth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return depth.Events
}

// logBuffer keeps log lines of JSON.
type logBuffer struct{ logs.Buffer }

// line returns the only line there is.
func (b *logBuffer) line(t *testing.T) map[string]any {
	t.Helper()
	text := b.String()
	if strings.Count(text, "\n") != 1 {
		t.Fatalf("not one log line but:\n%s", text)
	}
	var line map[string]any
	decode(t, []byte(text), &line)
	return line
}

func decode(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
}

// checkGolden compares an answer with testdata.
func checkGolden(t *testing.T, name string, answer []byte) {
	t.Helper()
	var indented bytes.Buffer
	if err := json.Indent(&indented, answer, "", "  "); err != nil {
		t.Fatalf("%v in %s", err, answer)
	}
	indented.WriteByte('\n')
	path := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(path, indented.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(indented.Bytes(), want) {
		t.Errorf("answer differs from %s:\n%s", path, indented.Bytes())
	}
}

// leavingReader fails while it is away.
type leavingReader struct {
	ports.StatisticsReader

	away atomic.Bool
}

func (r *leavingReader) Select(ctx context.Context, selection domain.Selection) (domain.Selected, error) {
	if r.away.Load() {
		return domain.Selected{}, domain.NewError(domain.CodeUnavailable, errors.New("dial tcp 10.9.8.7:5432"), "the store cannot be read")
	}
	return r.StatisticsReader.Select(ctx, selection)
}

// brokenQueue fails or panics instead of queueing.
type brokenQueue func(context.Context) error

func (q brokenQueue) Enqueue(ctx context.Context, _ domain.Batch) error { return q(ctx) }

func (q brokenQueue) EnqueueOnce(ctx context.Context, _ domain.KeyedRequest, _ domain.Batch, r domain.Receipt) (domain.Receipt, error) {
	return r, q(ctx)
}

func (q brokenQueue) Receipt(ctx context.Context, _ domain.KeyedRequest) (domain.Receipt, bool, error) {
	return domain.Receipt{}, false, q(ctx)
}

func failing(err error) brokenQueue { return func(context.Context) error { return err } }

// journal is that of a store, unless err says why it cannot be read.
type journal struct {
	ports.Merger

	days []ports.JournalDay
	err  error
}

func (j journal) Journal(context.Context) ([]ports.JournalDay, error) { return j.days, j.err }

type brokenMeter struct{ err error }

func (m brokenMeter) Depth(context.Context) (ports.QueueDepth, error) {
	return ports.QueueDepth{}, m.err
}

// brokenReader cannot read the store.
type brokenReader struct{ err error }

func (r brokenReader) Select(context.Context, domain.Selection) (domain.Selected, error) {
	return domain.Selected{}, r.err
}

func (r brokenReader) Activity(context.Context) (domain.Activity, error) {
	return domain.Activity{}, r.err
}

type check struct {
	name string
	err  error
}

func (c check) Name() string                { return c.name }
func (c check) Check(context.Context) error { return c.err }

// checkStatus is the first thing every test asks of an answer.
func checkStatus(t *testing.T, answer *httptest.ResponseRecorder, want int) {
	t.Helper()
	if answer.Code != want {
		t.Fatalf("status = %d, want %d: %s", answer.Code, want, answer.Body)
	}
}

func checkHeader(t *testing.T, header http.Header, name, want string) {
	t.Helper()
	if got := header.Get(name); got != want {
		t.Errorf("%s = %q, want %q", name, got, want)
	}
}
