package benchmark_test

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/system"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// BenchmarkReplay stores events of 90 days, each batch of which spans all of them, in
// the transactions of a worker that waits while the journal is full. events/s counts
// until they are committed, and merged/s until the journal is empty. cpu-µs/event is the
// processor time of all that and of the server; on a busy machine it says more.
func BenchmarkReplay(b *testing.B) {
	for name, open := range map[string]func(b *testing.B) replayed{
		"postgres": func(b *testing.B) replayed {
			b.Helper()
			db, err := postgres.Open(b.Context(), postgres.Config{URL: servers.Postgres(b, "shared_buffers = 256MB").NewDatabase(b), Clock: clock()})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = db.Close() })
			return postgres.NewStore(db)
		},
		"sqlite": func(b *testing.B) replayed {
			b.Helper()
			db, err := sqlite.Open(b.Context(), sqlite.Config{Dir: b.TempDir(), Clock: clock()})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = db.Close() })
			return sqlite.NewStore(db)
		},
	} {
		b.Run(name, func(b *testing.B) {
			replay(b, open(b))
		})
	}
}

type replayed interface {
	ports.EventStore
	ports.Maintainer
	ports.Merger
}

func replay(b *testing.B, store replayed) {
	b.Helper()
	const block, perTransaction, batchEvents = 100_000, 5_000, 100
	// As maintenance does: it makes partitions, and notes what is due.
	if _, err := store.Expire(b.Context(), domain.DefaultRetention().Cutoffs(contract.Now)); err != nil {
		b.Fatal(err)
	}
	events := contract.EventsOver(1, block, 90*24)
	merge := app.NewMerge(store, store, system.Clock{}, quiet(), app.MergeConfig{})
	ctx, stop := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { merge.Run(ctx, b.Context()) })
	computed := cpuOfSelf(b) + cpuOfChildren(os.Getpid())
	for round := 0; b.Loop(); round++ {
		for at := 0; at < block; at += perTransaction {
			if err := merge.Room(b.Context()); err != nil {
				b.Fatal(err)
			}
			stored, err := store.Store(b.Context(), contract.Batches((round*block+at)/batchEvents, batchEvents, events[at:at+perTransaction]))
			if err != nil {
				b.Fatal(err)
			}
			merge.Note(stored.Entries)
		}
	}
	elapsed := b.Elapsed()
	stop()
	running.Wait()
	start := time.Now()
	if _, err := mergeRest(b.Context(), store); err != nil {
		b.Fatal(err)
	}
	merging := time.Since(start)
	n := float64(b.N * block)
	b.ReportMetric(n/elapsed.Seconds(), "events/s")
	b.ReportMetric(float64((cpuOfSelf(b)+cpuOfChildren(os.Getpid())-computed).Microseconds())/n, "cpu-µs/event")
	b.ReportMetric(n/(elapsed+merging).Seconds(), "merged/s")
}
