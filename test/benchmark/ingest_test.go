package benchmark_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/httpapi"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/system"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// BenchmarkIngest compares POST /v1/events, of 100 events that end in Redis,
// with a handler that only reads the body and answers. The clients, that are
// the same for both, run beside the server. They take turns by the thousand:
// ratio is the one rate of requests divided by the other. The name is how often
// Redis syncs its file: where that is always, the disk sets the pace.
func BenchmarkIngest(b *testing.B) {
	for _, appendfsync := range []string{"everysec", advised} {
		b.Run(appendfsync, func(b *testing.B) { benchmarkIngest(b, appendfsync) })
	}
}

func benchmarkIngest(b *testing.B, appendfsync string) {
	b.Helper()
	const turn, clients = 1_000, 16
	body := hundredEvents(b)
	service := httptest.NewServer(newServer(b, appendfsync))
	defer service.Close()
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			b.Error(err)
		}
		w.WriteHeader(http.StatusOK)
	}))
	defer plain.Close()
	var ingesting, reading time.Duration
	for b.Loop() {
		ingesting += timed(func() { post(b, service.URL+"/v1/events", body, turn, clients) })
		reading += timed(func() { post(b, plain.URL, body, turn, clients) })
	}
	rate := func(d time.Duration) float64 { return float64(b.N*turn) / d.Seconds() }
	b.ReportMetric(rate(ingesting), "ingested/s")
	b.ReportMetric(rate(reading), "read/s")
	b.ReportMetric(rate(ingesting)/rate(reading), "ratio")
}

// newServer has a queue in Redis that nobody empties.
func newServer(b *testing.B, appendfsync string) *httpapi.Server {
	b.Helper()
	const plenty = 1 << 30
	queue, store := openQueue(b, plenty, appendfsync), memory.NewStore()
	validator := domain.NewValidator(domain.ValidatorConfig{})
	return httpapi.New(httpapi.UseCases{
		Ingest:     app.NewIngest(validator, queue, system.BatchIDs{}, system.Clock{}),
		Explain:    app.NewExplain(validator, domain.DefaultRetention(), system.Clock{}),
		Statistics: app.NewStatistics(store, system.Clock{}, app.StatisticsConfig{}),
		Status:     app.NewStatus(nil, queue, store, system.Clock{}, nil, nil),
	}, domain.DefaultCatalogue(), quiet(), httpapi.Config{})
}

// hundredEvents repeats the events of a captured batch.
func hundredEvents(b *testing.B) []byte {
	b.Helper()
	captured, err := os.ReadFile("../fixtures/real-client-detailed.json")
	if err != nil {
		b.Fatal(err)
	}
	var batch struct {
		Events []json.RawMessage `json:"events"`
	}
	if err := json.Unmarshal(captured, &batch); err != nil {
		b.Fatal(err)
	}
	for i := 0; len(batch.Events) < 100; i++ {
		batch.Events = append(batch.Events, batch.Events[i])
	}
	body, err := json.Marshal(batch)
	if err != nil {
		b.Fatal(err)
	}
	return body
}

// post has several clients send the body n times in all.
func post(b *testing.B, url string, body []byte, n, clients int) {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	done := make(chan error, clients)
	for range clients {
		go func() { done <- postMany(b, client, url, body, n/clients) }()
	}
	for range clients {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}

func postMany(b *testing.B, client *http.Client, url string, body []byte, n int) error {
	b.Helper()
	for range n {
		request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		answer, err := io.ReadAll(response.Body)
		if err := response.Body.Close(); err != nil {
			return err
		}
		if err != nil || response.StatusCode != http.StatusOK {
			b.Errorf("status %d %s, %v", response.StatusCode, answer, err)
		}
	}
	return nil
}
