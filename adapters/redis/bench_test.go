package redis_test

import (
	"strconv"
	"sync"
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

// BenchmarkDrain takes batches of so many events out of the queue, 5,000 events at a
// time as a worker does, and acknowledges them.
func BenchmarkDrain(b *testing.B) {
	for _, size := range []int{1, 100} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			const events = 40_000
			server := servers.Redis(b, "appendonly yes", "appendfsync always")
			q := redis.NewQueue(open(b, redis.Config{URL: server.URL()}), redis.QueueConfig{MaxEvents: events})
			batches := contract.Batches(1, size, contract.Events(1, events))
			for b.Loop() {
				b.StopTimer()
				var group sync.WaitGroup
				for part := range 16 {
					group.Go(func() {
						for i := part; i < len(batches); i += 16 {
							must(b, q.Enqueue(b.Context(), batches[i]))
						}
					})
				}
				group.Wait()
				b.StartTimer()
				for left := events; left > 0; {
					deliveries, err := q.Receive(b.Context(), 5_000, 0)
					must(b, err)
					ids := make([]domain.BatchID, len(deliveries))
					for i, d := range deliveries {
						ids[i] = d.Batch.ID
						left -= len(d.Batch.Events)
					}
					must(b, q.Acknowledge(b.Context(), ids...))
				}
			}

			b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
