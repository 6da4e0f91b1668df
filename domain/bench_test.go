package domain_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// capturedAt is the hour in which the captured batches were made.
var capturedAt = time.Date(2026, 11, 23, 14, 20, 0, 0, time.UTC)

func captured(tb testing.TB, name string) []byte {
	tb.Helper()
	body, err := os.ReadFile("../test/fixtures/" + name)
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

// realBatch repeats the captured detailed events until there are n.
func realBatch(tb testing.TB, n int) []byte {
	tb.Helper()
	var batch struct {
		Events []json.RawMessage `json:"events"`
	}
	if err := json.Unmarshal(captured(tb, "real-client-detailed.json"), &batch); err != nil {
		tb.Fatal(err)
	}
	events := make([]string, n)
	for i := range events {
		events[i] = string(batch.Events[i%len(batch.Events)])
	}
	return []byte(`{"events":[` + strings.Join(events, ",") + `]}`)
}

// fullBatch has n events that use every field.
func fullBatch(n int) []byte {
	const event = `{"version":"1.23.0","tool":"get_forecast","status":"success","timestamp_hour":"2026-11-23T14:00:00.000Z",` +
		`"analytics_level":"detailed","response_time_ms":412,"service":"openmeteo","cache_hit":false,"retry_count":0,` +
		`"country":"US","parameters":{"days":7,"units":"metric","hourly":true},"session_id":"147400d0b60e0c72","sequence_number":17}`
	return []byte(`{"events":[` + strings.TrimSuffix(strings.Repeat(event+",", n), ",") + `]}`)
}

type plainBatch struct {
	Events []struct {
		Version        string         `json:"version"`
		Tool           string         `json:"tool"`
		Status         string         `json:"status"`
		TimestampHour  string         `json:"timestamp_hour"`
		AnalyticsLevel string         `json:"analytics_level"`
		ErrorType      string         `json:"error_type"`
		ResponseTimeMS int            `json:"response_time_ms"`
		Service        string         `json:"service"`
		CacheHit       bool           `json:"cache_hit"`
		RetryCount     int            `json:"retry_count"`
		Country        string         `json:"country"`
		Parameters     map[string]any `json:"parameters"`
		SessionID      string         `json:"session_id"`
		SequenceNumber int            `json:"sequence_number"`
	} `json:"events"`
}

// BenchmarkDecode sets the whole judgement of a body beside encoding/json's
// decoding of the same bytes into plain structs, which judges nothing. The
// metric of "both" is the judgement's time as a part of encoding/json's; there
// they take turns, so that a noisy machine disturbs both.
func BenchmarkDecode(b *testing.B) {
	validator := domain.NewValidator(domain.ValidatorConfig{})
	judge := func(b *testing.B, body []byte) {
		b.Helper()
		judgement, err := validator.Batch(body, capturedAt)
		if err != nil || len(judgement.Events) != 100 {
			b.Fatalf("%d accepted, %v", len(judgement.Events), err)
		}
	}
	unmarshal := func(b *testing.B, body []byte) {
		b.Helper()
		var batch plainBatch
		if err := json.Unmarshal(body, &batch); err != nil || len(batch.Events) != 100 {
			b.Fatalf("%d decoded, %v", len(batch.Events), err)
		}
	}
	bodies := map[string][]byte{"captured": realBatch(b, 100), "full": fullBatch(100)}
	for _, name := range slices.Sorted(maps.Keys(bodies)) {
		body := bodies[name]
		for way, decode := range map[string]func(*testing.B, []byte){"judge": judge, "encoding-json": unmarshal} {
			b.Run(name+"/"+way, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(body)))
				for b.Loop() {
					decode(b, body)
				}
			})
		}
		b.Run(name+"/both", func(b *testing.B) {
			var judging, unmarshalling time.Duration
			for b.Loop() {
				start := time.Now()
				judge(b, body)
				turn := time.Now()
				unmarshal(b, body)
				judging, unmarshalling = judging+turn.Sub(start), unmarshalling+time.Since(turn)
			}
			b.ReportMetric(float64(judging)/float64(unmarshalling), "of-encoding-json")
		})
	}
}
