package httpapi

import (
	"errors"
	"math"
	"net/http"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

type statusHandler struct {
	status *app.Status
	// answers and limit are nil where there are none.
	answers        *app.Answers
	limit          *app.Limit
	load           func() Load
	clock          *app.Clock // nil where there is none
	version, store string
	// failing tells of bad health, for which anybody may ask without limit.
	failing minutely
}

func newStatusHandler(s *app.Status, a *app.Answers, l *app.Limit, config Config, load func() Load) *statusHandler {
	return &statusHandler{status: s, answers: a, limit: l, load: load, clock: config.Clock, version: config.Version, store: config.Store}
}

// What asks for these does so without end.
const (
	livePath   = "/v1/live"
	healthPath = "/v1/health"
)

func (h *statusHandler) routes(r gin.IRoutes, wrap func(handlerFunc) gin.HandlerFunc) {
	r.GET(livePath, wrap(getLive))
	r.GET(healthPath, wrap(h.getHealth))
	r.GET("/v1/status", wrap(h.getStatus))
}

type liveJSON struct {
	Status string `json:"status"`
}

// getLive says that the process answers, whatever may be wrong around it.
func getLive(c *gin.Context) error {
	recordOf(c).quiet = true
	c.JSON(http.StatusOK, liveJSON{Status: "alive"})
	return nil
}

// The words for the state of a check and of the whole.
const (
	healthy   = "healthy"
	unhealthy = "unhealthy"
)

type healthJSON struct {
	Status        string      `json:"status"`
	Timestamp     string      `json:"timestamp"`
	UptimeSeconds int64       `json:"uptime_seconds"`
	Checks        []checkJSON `json:"checks"`
}

type checkJSON struct {
	Name       string  `json:"name"`
	Status     string  `json:"status"`
	DurationMS float64 `json:"duration_ms"`
	// Error is a sentence of our own, never a driver's.
	Error string `json:"error,omitempty"`
}

func (h *statusHandler) getHealth(c *gin.Context) error {
	health := h.status.Health(c.Request.Context())
	body := healthJSON{
		Status: stateOf(health.Healthy), Timestamp: instant(health.At), UptimeSeconds: seconds(health.Uptime),
		Checks: newChecksJSON(health.Checks),
	}
	record := recordOf(c)
	record.quiet = health.Healthy || !h.failing.due()
	for _, check := range health.Checks {
		record.err = errors.Join(record.err, check.Err)
	}
	status := http.StatusOK
	if !health.Healthy {
		status, record.code = http.StatusServiceUnavailable, domain.CodeUnavailable
	}
	c.JSON(status, body)
	return nil
}

func stateOf(works bool) string {
	if works {
		return healthy
	}
	return unhealthy
}

func newChecksJSON(results []app.CheckResult) []checkJSON {
	checks := make([]checkJSON, len(results))
	for i, r := range results {
		checks[i] = checkJSON{Name: r.Name, Status: stateOf(r.Err == nil), DurationMS: milliseconds(r.Took)}
		if r.Err != nil {
			checks[i].Error = domain.MessageOf(r.Err)
		}
	}
	return checks
}

// statusJSON leaves out what is not known now: a part that does not answer is
// unhealthy, and has no numbers.
type statusJSON struct {
	Status          string      `json:"status"`
	Timestamp       string      `json:"timestamp"`
	Version         string      `json:"version"`
	GoVersion       string      `json:"go_version"`
	Store           string      `json:"store"`
	UptimeSeconds   int64       `json:"uptime_seconds"`
	Checks          []checkJSON `json:"checks"`
	Queue           queueJSON   `json:"queue"`
	Journal         journalJSON `json:"journal"`
	DeadLetters     *int        `json:"dead_letters,omitempty"`
	EventsProcessed *int64      `json:"events_processed,omitempty"`
	Folded          *foldedJSON `json:"folded,omitempty"`
	LastReceived    *string     `json:"last_event_received,omitempty"`
	Disk            diskJSON    `json:"disk"`
	Memory          memoryJSON  `json:"memory"`
	// Cache is there where statistics are answered.
	Cache *cacheUseJSON `json:"cache,omitempty"`
	Load  loadJSON      `json:"load"`
	// RateLimit is nil where nothing is limited.
	RateLimit *rateLimitJSON `json:"rate_limit,omitempty"`
	Clock     *clockJSON     `json:"clock,omitempty"`
}

// foldedJSON counts those of the processed events that stand under "other"
// because their day has too many values.
type foldedJSON struct {
	Versions   int64 `json:"versions"`
	ErrorTypes int64 `json:"error_types"`
}

// rateLimitJSON counts requests since the start.
type rateLimitJSON struct {
	Granted int64 `json:"granted"`
	Refused int64 `json:"refused"`
	// Unshared were judged without the other processes.
	Unshared int64 `json:"unshared"`
}

func newRateLimitJSON(limit *app.Limit) *rateLimitJSON {
	if limit == nil {
		return nil
	}
	counts := rateLimitJSON(limit.Counts())
	return &counts
}

// loadJSON counts what was too much since the start, but for the connections
// that are open.
type loadJSON struct {
	Connections         int   `json:"connections"`
	ConnectionBytes     int64 `json:"connection_bytes"`
	ConnectionsClosed   int64 `json:"connections_closed_early"`
	ConnectionsRefused  int64 `json:"connections_refused"`
	Malformed           int64 `json:"malformed_requests"`
	RefusedBodies       int64 `json:"refused_bodies"`
	RefusedComputations int64 `json:"refused_computations"`
	DroppedLines        int64 `json:"dropped_log_lines"`
}

func newLoadJSON(l Load) loadJSON {
	return loadJSON{
		Connections:         l.Connections.Open,
		ConnectionBytes:     l.Connections.Bytes,
		ConnectionsClosed:   l.Connections.ClosedEarly,
		ConnectionsRefused:  l.Connections.Refused,
		Malformed:           l.Connections.Malformed,
		RefusedBodies:       l.RefusedBodies,
		RefusedComputations: l.RefusedComputations,
		DroppedLines:        l.DroppedLines,
	}
}

// queueJSON counts what is accepted and not yet in the statistics. Its numbers
// are nil while the queue does not answer.
type queueJSON struct {
	Status    string `json:"status"`
	Batches   *int   `json:"batches,omitempty"`
	Events    *int   `json:"events,omitempty"`
	MaxEvents *int   `json:"max_events,omitempty"`
	Bytes     *int   `json:"bytes,omitempty"`
	MaxBytes  *int   `json:"max_bytes,omitempty"`
	// Oldest is empty when the queue is.
	Oldest *string `json:"oldest_received,omitempty"`
	// WaitingSeconds is for how long batches have waited and none was stored.
	WaitingSeconds *int64 `json:"waiting_seconds,omitempty"`
}

// addQueue tells of the queue if it answered.
func (s *statusJSON) addQueue(measured app.Measured[ports.QueueDepth]) {
	s.Queue.Status = stateOf(measured.Err == nil)
	if measured.Err != nil {
		return
	}
	depth := measured.Value
	oldest, waiting := instantOrNone(depth.Oldest), seconds(depth.Waiting)
	s.Queue.Batches, s.Queue.Events, s.Queue.MaxEvents = &depth.Batches, &depth.Events, &depth.MaxEvents
	s.Queue.Bytes, s.Queue.MaxBytes = &depth.Bytes, &depth.MaxBytes
	s.Queue.Oldest, s.Queue.WaitingSeconds = &oldest, &waiting
	s.DeadLetters = &depth.DeadLetters
}

// journalJSON measures what is stored and not yet merged into the aggregates. Its
// numbers are nil while the store does not answer.
type journalJSON struct {
	Status     string `json:"status"`
	Rows       *int   `json:"rows,omitempty"`
	MaxRows    *int   `json:"max_rows,omitempty"`
	Entries    *int   `json:"entries,omitempty"`
	MaxEntries *int   `json:"max_entries,omitempty"`
	Days       *int   `json:"days,omitempty"`
	// OldestSeconds is how long the oldest row has waited.
	OldestSeconds *int64 `json:"oldest_seconds,omitempty"`
}

// addJournal adds the journal's backlog if the store answered.
func (s *statusJSON) addJournal(measured app.Measured[app.JournalBacklog]) {
	s.Journal.Status = stateOf(measured.Err == nil)
	if measured.Err != nil {
		return
	}
	backlog := measured.Value
	oldest := seconds(backlog.Oldest)
	s.Journal.Rows, s.Journal.MaxRows = &backlog.Rows, &backlog.MaxRows
	s.Journal.Entries, s.Journal.MaxEntries = &backlog.Entries, &backlog.MaxEntries
	s.Journal.Days, s.Journal.OldestSeconds = &backlog.Days, &oldest
}

// addActivity tells of the store if it answered.
func (s *statusJSON) addActivity(measured app.Measured[domain.Activity]) {
	if measured.Err != nil {
		return
	}
	activity := measured.Value
	received := instantOrNone(activity.LastReceived)
	s.EventsProcessed, s.LastReceived = &activity.Events, &received
	s.Folded = &foldedJSON{Versions: activity.FoldedVersions, ErrorTypes: activity.FoldedErrorTypes}
}

// diskJSON lists the disks that can be measured from here.
type diskJSON struct {
	ReserveBytes int64        `json:"reserve_bytes"`
	Volumes      []volumeJSON `json:"volumes"`
}

type volumeJSON struct {
	Name       string `json:"name"`
	Status     string `json:"status"`
	FreeBytes  int64  `json:"free_bytes"`
	TotalBytes int64  `json:"total_bytes"`
}

func newDiskJSON(p *app.Pipeline) diskJSON {
	disk := diskJSON{ReserveBytes: p.Reserve, Volumes: make([]volumeJSON, len(p.Disks))}
	for i, d := range p.Disks {
		disk.Volumes[i] = volumeJSON{Name: d.Name, Status: stateOf(!d.Low), FreeBytes: d.Free, TotalBytes: d.Total}
	}
	return disk
}

// cacheUseJSON counts, since the start, how readers of statistics were served.
type cacheUseJSON struct {
	Hits         int64   `json:"hits"`
	Stale        int64   `json:"stale"`
	Misses       int64   `json:"misses"`
	HitRate      float64 `json:"hit_rate"`
	Computations int64   `json:"computations"`
	Failures     int64   `json:"failures"`
	Errors       int64   `json:"errors"`
}

func (h *statusHandler) cacheUse() *cacheUseJSON {
	if h.answers == nil {
		return nil
	}
	n := h.answers.Counts()
	return &cacheUseJSON{
		Hits: n.Hits, Stale: n.Stale, Misses: n.Misses, HitRate: math.Round(n.HitRate()*10_000) / 10_000,
		Computations: n.Computations, Failures: n.Failures, Errors: n.CacheErrors,
	}
}

// memoryJSON is in bytes.
type memoryJSON struct {
	Heap  uint64 `json:"heap_bytes"`
	Total uint64 `json:"total_bytes"`
}

// getStatus answers 200 whatever does not work, with what is known.
func (h *statusHandler) getStatus(c *gin.Context) error {
	pipeline := h.status.Pipeline(c.Request.Context())
	body := statusJSON{
		Status:        stateOf(pipeline.Healthy()),
		Timestamp:     instant(pipeline.At),
		Version:       h.version,
		GoVersion:     runtime.Version(),
		Store:         h.store,
		UptimeSeconds: seconds(pipeline.Health.Uptime),
		Checks:        newChecksJSON(pipeline.Health.Checks),
		Disk:          newDiskJSON(&pipeline),
		Memory:        readMemory(),
		Cache:         h.cacheUse(),
		Load:          newLoadJSON(h.load()),
		RateLimit:     newRateLimitJSON(h.limit),
		Clock:         newClockJSON(c.Request.Context(), h.clock),
	}
	body.addQueue(pipeline.Queue)
	body.addJournal(pipeline.Journal)
	body.addActivity(pipeline.Activity)
	c.JSON(http.StatusOK, body)
	return nil
}

// readMemory costs less than runtime.ReadMemStats, which stops the world.
func readMemory() memoryJSON {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"},
	}
	metrics.Read(samples)
	return memoryJSON{Heap: samples[0].Value.Uint64(), Total: samples[1].Value.Uint64()}
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// instantOrNone is empty for no time.
func instantOrNone(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return instant(t)
}
