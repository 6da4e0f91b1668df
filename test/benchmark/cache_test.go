package benchmark_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/report"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
	"github.com/weather-mcp/weather-mcp-analytics/test/traffic"
)

// cachedPath is the statistic that the dashboard asks for.
const cachedPath = "/v1/stats/all"

// readers is from how many client addresses the statistic is asked for.
const readers = 100_000

// codings are the ways in which a client takes an answer.
var codings = []struct{ name, accept string }{{"plain", "identity"}, {"compressed", "gzip"}}

// TestCachedFigures compares a cached statistic, with limits and logs on, with the
// handler that only reads and answers, each in a process of its own. Clients on 16
// connections ask them in turn, without a pause. Then a load of 500 requests a
// second, whether answers come or not, measures how long each takes.
func TestCachedFigures(t *testing.T) {
	whenMeasuring(t)
	section := newSection(t, "cache")
	throughput := report.NewTable("engine", "answer", "bytes", "requests/s", "reading handler", "ratio", "with the same bytes", "CPU µs a request", "reading handler", "with the same bytes")
	latency := report.NewTable("engine", "answer", "requests/s", "p50 ms", "p99 ms", "longest ms")
	reader := startReader(t)
	for _, name := range list(*engines) {
		s := startCaching(t, name)
		for _, coding := range codings {
			measureCached(t, throughput, name, coding.name, coding.accept, s, reader)
		}
		for _, coding := range codings {
			m := attack(t, s, coding.accept)
			latency.Add(name, coding.name, fmt.Sprintf("%.0f", m.Rate), milliseconds(m.Latencies.P50), milliseconds(m.Latencies.P99), milliseconds(m.Latencies.Max))
		}
	}
	m := attack(t, reader, "identity")
	latency.Add("reading handler", "", fmt.Sprintf("%.0f", m.Rate), milliseconds(m.Latencies.P50), milliseconds(m.Latencies.P99), milliseconds(m.Latencies.Max))
	section.Table(throughput)
	section.Printf("%d requests a second, sent whether answers come or not, for %v:", steadyRate, *steady)
	section.Table(latency)
}

// startCaching starts the program with a day of events. The clients' addresses come
// from a proxy, and each stays within its limits, which are those of the defaults.
func startCaching(t *testing.T, name string) server {
	t.Helper()
	environ := []string{"TRUSTED_PROXIES=127.0.0.1", "CACHE_TTL_SECONDS=86400", "PRIVACY_MIN_COUNT=0"}
	if name == "postgres" {
		environ = append(environ, "DATABASE_URL="+servers.Postgres(t).NewDatabase(t), "REDIS_URL="+servers.Redis(t, "maxmemory-policy noeviction").URL())
	}
	s := startProgram(t, "serve", environ...)
	batches := batchesOfToday()
	for i, body := range batches {
		post := fmt.Appendf(nil, "POST /v1/events HTTP/1.1\r\nHost: benchmark\r\nX-Forwarded-For: %s\r\n"+
			"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", clientAddress(i), len(body), body)
		if _, err := ask(s.address, func(int) []byte { return post }, func(answered int) bool { return answered == 1 }); err != nil {
			t.Fatal(err)
		}
	}
	awaitProcessed(t, s, 100*len(batches))
	return s
}

// batchesOfToday are 10,000 events of the last two days in bodies of 100.
func batchesOfToday() [][]byte {
	now := time.Now().UTC()
	today := domain.Daily.Floor(now)
	var bodies [][]byte
	var batch []map[string]any
	for _, day := range []time.Time{today.AddDate(0, 0, -1), today} {
		for _, e := range traffic.Real().Day(1, day, 5_000) {
			if e.Hour.After(now) {
				continue
			}
			batch = append(batch, eventJSON(e))
			if len(batch) == 100 {
				body, _ := json.Marshal(map[string]any{"events": batch}) // texts and numbers
				bodies, batch = append(bodies, body), nil
			}
		}
	}
	return bodies
}

// eventJSON is the event as a client sends it.
func eventJSON(e domain.Event) map[string]any {
	fields := map[string]any{
		"version": e.Version, "tool": e.Tool, "status": e.Status, "timestamp_hour": e.Hour.Format(time.RFC3339), "analytics_level": e.Level,
	}
	for name, text := range map[string]string{"error_type": e.ErrorType, "service": e.Service, "country": e.Country, "session_id": e.SessionID} {
		if text != "" {
			fields[name] = text
		}
	}
	if e.CacheHit.Valid {
		fields["cache_hit"] = e.CacheHit.Value
	}
	for name, number := range map[string]domain.Optional[int32]{
		"response_time_ms": e.ResponseTimeMS, "retry_count": e.RetryCount, "sequence_number": e.SequenceNumber,
	} {
		if number.Valid {
			fields[name] = number.Value
		}
	}
	return fields
}

// appendAddress writes the address of a client in 198.18.0.0/15, which is for
// benchmarks.
func appendAddress(b []byte, client int) []byte {
	b = append(b, "198."...)
	for i, part := range []int{18 + client>>16&1, client >> 8 & 0xff, client & 0xff} {
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendInt(b, int64(part), 10)
	}
	return b
}

func clientAddress(client int) string { return string(appendAddress(nil, client)) }

// awaitProcessed waits until the worker has stored so many events.
func awaitProcessed(t *testing.T, s server, events int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); processed(t, s) < events; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d events are stored", processed(t, s), events)
		}
	}
}

func getJSON(t *testing.T, s server, path string, into any) {
	t.Helper()
	if err := askJSON(t.Context(), s, path, into); err != nil {
		t.Fatal(err)
	}
}

func askJSON(ctx context.Context, s server, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+path, http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("X-Forwarded-For", clientAddress(rand.IntN(readers)))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d", path, response.StatusCode)
	}
	return json.NewDecoder(response.Body).Decode(into)
}

// measureCached has the program and the reading handler answer in turn.
func measureCached(t *testing.T, results *report.Table, engine, coding, accept string, s, reader server) {
	t.Helper()
	const clients = 16
	first := 0 // address of the turn, so that none comes back soon
	ask := func(s server, path string) turn {
		turn := hammer(t, s, clients, *turnLength, func(client int) func(number int) []byte {
			var buffer []byte
			return func(number int) []byte {
				buffer = append(buffer[:0], "GET "+path+" HTTP/1.1\r\nHost: benchmark\r\nAccept-Encoding: "...)
				buffer = append(append(buffer, accept...), "\r\nX-Forwarded-For: "...)
				buffer = appendAddress(buffer, (first+number*clients+client)%readers)
				buffer = append(buffer, "\r\n\r\n"...)
				return buffer
			}
		})
		first += turn.requests
		return turn
	}
	bytes := strconv.Itoa(ask(s, cachedPath).bodyBytes) // computes the answer, too
	var ours, theirs, same []turn
	for range *rounds {
		ours, theirs = append(ours, ask(s, cachedPath)), append(theirs, ask(reader, "/"))
		same = append(same, ask(reader, "/bytes/"+bytes))
	}
	results.Add(engine, coding, bytes, number("%.0f", ours, turn.rate), number("%.0f", theirs, turn.rate),
		fmt.Sprintf("%.2f", ratioOf(ours, theirs)), fmt.Sprintf("%.2f", ratioOf(ours, same)),
		number("%.1f", ours, turn.cpuMicros), number("%.1f", theirs, turn.cpuMicros), number("%.1f", same, turn.cpuMicros))
}

// ratioOf is the median of the ratios of turns that followed each other.
func ratioOf(of, to []turn) float64 {
	ratios := make([]float64, len(of))
	for i := range of {
		ratios[i] = of[i].rate() / to[i].rate()
	}
	return medianOf(ratios)
}

// steadyRate is the load, in requests a second, at which latency is measured.
const steadyRate = 500

// attack sends requests at a constant rate, from another client address each. A
// request that is late because the one before was slow counts from when it was due.
func attack(t *testing.T, s server, accept string) *vegeta.Metrics {
	t.Helper()
	var client atomic.Int64
	targets := func(target *vegeta.Target) error {
		*target = vegeta.Target{Method: http.MethodGet, URL: "http://" + s.address + cachedPath, Header: http.Header{
			"Accept-Encoding": {accept}, "X-Forwarded-For": {clientAddress(int(client.Add(1)) % readers)},
		}}
		return nil
	}
	metrics := new(vegeta.Metrics)
	attacker := vegeta.NewAttacker(vegeta.Connections(100))
	for result := range attacker.Attack(targets, vegeta.ConstantPacer{Freq: steadyRate, Per: time.Second}, *steady, "") {
		metrics.Add(result)
	}
	metrics.Close()
	if metrics.Success != 1 {
		t.Errorf("%.4f of the requests succeeded: %v", metrics.Success, metrics.Errors)
	}
	return metrics
}
