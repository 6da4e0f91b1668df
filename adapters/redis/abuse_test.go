package redis_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/system"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// oneOfAHundred is the body that makes the most of the smallest effort: one valid
// event and 99 in which every field has the wrong type, 360 bytes in gzip.
const oneOfAHundred = `{"events":[{"version":"1.0","tool":"get_alerts","status":"success",` +
	`"timestamp_hour":"2026-11-23T10:00:00Z","analytics_level":"minimal"}%s]}`

const allWrong = `,{"version":1,"tool":1,"status":1,"timestamp_hour":1,"analytics_level":"detailed","error_type":1,` +
	`"response_time_ms":"","service":1,"cache_hit":1,"retry_count":"","country":1,"parameters":1,"session_id":1,"sequence_number":""}`

func newIngest(q *redis.Queue) *app.Ingest {
	return app.NewIngest(domain.NewValidator(domain.ValidatorConfig{}), q, system.BatchIDs{}, memory.NewClock(contract.Now))
}

// Fresh keys by the thousand, as 45 addresses within their limits can send, take
// no memory from the queue of a small server.
func TestReceiptsLeaveTheQueueItsMemory(t *testing.T) {
	const requests, room = 2000, 512 << 10
	server := servers.Redis(t, "maxmemory 16mb", "maxmemory-policy noeviction")
	console := newConsole(t, server.URL())
	q := redis.NewQueue(open(t, redis.Config{URL: server.URL(), Prefix: "q"}), redis.QueueConfig{MaxReceiptBytes: room})
	ingest := newIngest(q)
	body := []byte(fmt.Sprintf(oneOfAHundred, strings.Repeat(allWrong, 99)))
	for i := range requests {
		key := fmt.Sprintf("fresh key %d", i)
		receipt, err := ingest.Submit(t.Context(), app.Submission{Body: body, IdempotencyKey: strings.ReplaceAll(key, " ", "-")})
		if err != nil || receipt.Accepted != 1 || receipt.Refused != 99 {
			t.Fatalf("after %d requests: %+v, %v", i, receipt, err)
		}
	}
	depth, err := q.Depth(t.Context())
	must(t, err)
	if depth.Events != requests || depth.ReceiptBytes > room || depth.ReceiptBytes < room*9/10 {
		t.Errorf("the queue holds %+v", depth)
	}
	if each := depth.ReceiptBytes / depth.Receipts; each > 1000 {
		t.Errorf("a receipt takes %d bytes", each)
	}
	// What is counted is what it takes.
	taken := console.number("MEMORY", "USAGE", "q:receipts", "SAMPLES", 0) + console.number("MEMORY", "USAGE", "q:receipts:order", "SAMPLES", 0)
	t.Logf("%d receipts count as %d bytes and take %d", depth.Receipts, depth.ReceiptBytes, taken)
	if taken > depth.ReceiptBytes {
		t.Errorf("%d receipts take %d bytes and count as %d", depth.Receipts, taken, depth.ReceiptBytes)
	}
	stream := console.number("MEMORY", "USAGE", "q", "SAMPLES", 0)
	t.Logf("%d batches count as %d bytes and take %d", depth.Batches, depth.Bytes, stream)
	if stream > depth.Bytes {
		t.Errorf("%d batches take %d bytes and count as %d", depth.Batches, stream, depth.Bytes)
	}
	// The last one is known, and others are let in.
	again, err := ingest.Submit(t.Context(), app.Submission{Body: body, IdempotencyKey: fmt.Sprint("fresh-key-", requests-1)})
	if err != nil || again.Accepted != 1 || len(again.Violations) != domain.MaxBatchViolations {
		t.Errorf("a repeat gives %+v, %v", again, err)
	}
	must(t, q.Enqueue(t.Context(), batchOf(1, 100)))
}

// A queue of the largest parameters is bounded, whatever Redis makes of them.
func TestTheQueueTakesWhatItCounts(t *testing.T) {
	const room = 4 << 20
	url, prefix := servers.SharedRedis(t).URL(), newPrefix()
	q := redis.NewQueue(open(t, redis.Config{URL: url, Prefix: prefix}), redis.QueueConfig{MaxBytes: room})
	var err error
	n := 0
	for ; err == nil; n++ {
		events := contract.Events(uint64(n), 50)
		for i := range events {
			events[i].Level = domain.LevelDetailed
			events[i].Parameters = fmt.Sprintf(`{"%04d":"%02d%s"}`, n, i, strings.Repeat("p", domain.MaxParametersBytes-20))
		}
		err = q.Enqueue(t.Context(), contract.NewBatch(n, events...))
	}
	checkCode(t, err, domain.CodeQueueFull)
	taken := newConsole(t, url).number("MEMORY", "USAGE", prefix, "SAMPLES", 0)
	t.Logf("%d batches of 50 events take %d bytes", n, taken)
	if taken > room+room/4 || taken < room/2 {
		t.Errorf("a queue of %d bytes takes %d", room, taken)
	}
}

// An account that uses all of its allowance takes what is reckoned with.
func TestAnAccountIsBounded(t *testing.T) {
	s := newSite(t, 0)
	l, advance := onClock(t, s, redis.LimiterConfig{}) // of 60 requests a minute
	for range 3 * 60 {
		if _, err := l.Take(t.Context(), "192.0.2.1", 10); err != nil {
			t.Fatal(err)
		}
		advance(1010 * time.Millisecond)
	}
	account := s.console.number("MEMORY", "USAGE", s.prefix+":limit:"+l.Account("192.0.2.1"), "SAMPLES", 0)
	t.Logf("an account takes %d bytes", account)
	if account > 1024-150 { // which its place among the others takes
		t.Errorf("an account takes %d bytes", account)
	}
}
