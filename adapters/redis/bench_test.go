package redis_test

import (
	"sync/atomic"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/redis"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

var syncs = map[string][]string{
	"none":     nil,
	"everysec": {"appendonly yes", "appendfsync everysec"},
	"always":   {"appendonly yes", "appendfsync always"},
}

// BenchmarkEnqueue has 16 callers for every processor enqueue batches of 100
// events, against a server that writes nothing to disk, every second, and
// before every answer.
func BenchmarkEnqueue(b *testing.B) {
	for name, directives := range syncs {
		b.Run(name, func(b *testing.B) {
			q := openQueue(b, servers.Redis(b, directives...).URL(), 1<<40)
			events := contract.Events(1, 100)
			var number atomic.Int64
			b.SetParallelism(16)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := q.Enqueue(b.Context(), contract.NewBatch(int(number.Add(1)), events...)); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(100*b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkReceive takes 1,000 events at a time out of a queue of such batches
// and acknowledges them.
func BenchmarkReceive(b *testing.B) {
	for name, directives := range syncs {
		b.Run(name, func(b *testing.B) {
			q := openQueue(b, servers.Redis(b, directives...).URL(), 1<<40)
			events := contract.Events(1, 100)
			number := 0
			for b.Loop() {
				b.StopTimer()
				for range 10 {
					number++
					if err := q.Enqueue(b.Context(), contract.NewBatch(number, events...)); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
				takeAll(b, q, 10)
			}
			b.ReportMetric(float64(1000*b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func takeAll(b *testing.B, q *redis.Queue, want int) {
	b.Helper()
	deliveries, err := q.Receive(b.Context(), 1000, 0)
	if err != nil || len(deliveries) != want {
		b.Fatalf("received %d batches, %v", len(deliveries), err)
	}
	ids := make([]domain.BatchID, len(deliveries))
	for i, d := range deliveries {
		ids[i] = d.Batch.ID
	}
	if err := q.Acknowledge(b.Context(), ids...); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkPayload encodes and decodes 100 events.
func BenchmarkPayload(b *testing.B) {
	events := contract.Events(1, 100)
	data := redis.EncodeEvents(events)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			redis.EncodeEvents(events)
		}
		b.ReportMetric(float64(len(data)), "bytes")
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := redis.DecodeEvents(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
