package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

// storeUntilStored stores as a worker does: again and again until it succeeds.
func storeUntilStored(t *testing.T, store *postgres.Store, batches ...domain.Batch) error {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		_, err := store.Store(t.Context(), batches)
		if err == nil {
			return nil
		}
		if domain.CodeOf(err) != domain.CodeUnavailable || time.Now().After(deadline) {
			return fmt.Errorf("code %q: %w", domain.CodeOf(err), err)
		}
	}
}

// checkCounted demands that the store holds the batches exactly once, raw and
// counted, as the one in memory does.
func checkCounted(t *testing.T, db *postgres.DB, batches []domain.Batch) {
	t.Helper()
	reference := memory.NewStore()
	mustStore(t, reference, batches...)
	want := selected(t, reference)
	store := postgres.NewStore(db)
	got := selected(t, store)
	if !reflect.DeepEqual(got, want) {
		t.Error("the statistics differ from those of the batches")
	}
	if got, want := len(rawEvents(t, db)), len(reference.Events()); got != want {
		t.Errorf("%d raw events, want %d", got, want)
	}
	if got := count(t, db, "stored_batches"); got != len(batches) {
		t.Errorf("%d batch ids, want %d", got, len(batches))
	}
	if err := store.MergeJournal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := selected(t, store); !reflect.DeepEqual(got, want) {
		t.Error("the statistics differ once the journal is merged")
	}
}

// TestEventsCountOnceHoweverOftenTheServerDies kills the server at random
// moments of four workers who share their batches, and of one that merges.
func TestEventsCountOnceHoweverOftenTheServerDies(t *testing.T) {
	t.Parallel()
	server := servers.Postgres(t)
	config := postgres.Config{URL: server.NewDatabase(t), Clock: contractClock()}
	batches := contract.Batches(1, 20, contract.EventsOver(1, 12_000, 40))
	var workers, merger sync.WaitGroup
	for worker := range 4 {
		db := open(t, config)
		workers.Go(func() {
			for i := worker; i < len(batches); i += 4 {
				if err := storeUntilStored(t, postgres.NewStore(db), batches[i], batches[(i+1)%len(batches)]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		workers.Wait()
	}()
	store := postgres.NewStore(open(t, config))
	merger.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if err := store.MergeJournal(t.Context()); err != nil && domain.CodeOf(err) != domain.CodeUnavailable {
				t.Error(err)
			}
		}
	})
	kills := 0
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-time.After(50*time.Millisecond + rand.N(300*time.Millisecond)):
			if kills < 6 {
				server.Restart(t)
				kills++
			}
		}
	}
	merger.Wait()
	if kills < 2 {
		t.Errorf("the server was killed only %d times", kills)
	}
	checkCounted(t, open(t, config), batches)
}

// TestStoppedServerIsUnavailable asks a server that is down, and one that has
// come back.
func TestStoppedServerIsUnavailable(t *testing.T) {
	server := servers.Postgres(t, "fsync=off")
	clock := contractClock()
	db := open(t, postgres.Config{URL: server.NewDatabase(t), Clock: clock})
	store := postgres.NewStore(db)
	batches := contract.Batches(1, 10, contract.Events(1, 30))
	mustStore(t, store, batches[0])
	server.Kill()
	for name, call := range map[string]func() error{
		"Store":    func() error { _, err := store.Store(t.Context(), batches[1:2]); return err },
		"Activity": func() error { _, err := store.Activity(t.Context()); return err },
		"Expire":   func() error { _, err := store.Expire(t.Context(), domain.Cutoffs{}); return err },
		"Rebuild":  func() error { _, err := store.RebuildDay(t.Context(), today, domain.Cutoffs{}); return err },
		"Check":    func() error { return db.Check(t.Context()) },
	} {
		if err := call(); domain.CodeOf(err) != domain.CodeUnavailable {
			t.Errorf("%s: code %q of %v", name, domain.CodeOf(err), err)
		}
	}
	server.Start(t)
	mustStore(t, store, batches...)
	clock.Advance(time.Second)
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
	checkCounted(t, db, batches)
}

// TestSilentServerHoldsNobodyUp stops the server's processes where they are:
// nothing is refused and nothing is answered.
func TestSilentServerHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	server := servers.Postgres(t, "fsync=off")
	db := open(t, postgres.Config{URL: server.NewDatabase(t)})
	store := postgres.NewStore(db)
	batches := contract.Batches(1, 10, contract.Events(1, 20))
	mustStore(t, store, batches[0])
	server.Pause()
	defer server.Resume()
	for name, call := range map[string]func(context.Context) error{
		"Store":    func(ctx context.Context) error { _, err := store.Store(ctx, batches[1:]); return err },
		"Activity": func(ctx context.Context) error { _, err := store.Activity(ctx); return err },
		"Check":    db.Check,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		start := time.Now()
		err := call(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || domain.CodeOf(err) != domain.CodeUnavailable {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s took %v", name, took)
		}
		cancel()
	}
	server.Resume()
	if err := storeUntilStored(t, store, batches...); err != nil {
		t.Fatal(err)
	}
	checkCounted(t, db, batches)
}

// TestLocksAreNotWaitedForWithoutEnd holds the table of batch ids.
func TestLocksAreNotWaitedForWithoutEnd(t *testing.T) {
	db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t), LockTimeout: 20 * time.Millisecond})
	release := make(chan struct{})
	held := make(chan struct{})
	var holder sync.WaitGroup
	holder.Go(func() {
		if err := db.Hold(t.Context(), `LOCK TABLE stored_batches IN EXCLUSIVE MODE`, held, release); err != nil {
			t.Error(err)
		}
	})
	<-held
	_, err := postgres.NewStore(db).Store(t.Context(), contract.Batches(1, 5, contract.Events(1, 5)))
	if domain.CodeOf(err) != domain.CodeUnavailable || domain.MessageOf(err) != "the database is busy" {
		t.Errorf("%v", err)
	}
	close(release)
	holder.Wait()
}

// TestFourWorkers store the same batches in different orders, beside merging,
// expiry and rebuilds: there must be neither deadlock nor double counting.
func TestFourWorkers(t *testing.T) {
	config := postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t), Clock: contractClock()}
	batches := contract.Batches(1, 10, contract.EventsOver(5, 2_000, 60))
	stop := make(chan struct{})
	var workers, others sync.WaitGroup
	for range 4 {
		db := open(t, config)
		order := rand.Perm(len(batches))
		workers.Go(func() {
			for len(order) > 0 {
				n := min(len(order), 1+rand.IntN(6))
				var call []domain.Batch
				for _, i := range order[:n] {
					call = append(call, batches[i])
				}
				order = order[n:]
				if _, err := postgres.NewStore(db).Store(t.Context(), call); err != nil {
					t.Error(err)
				}
			}
		})
	}
	db := open(t, config)
	store := postgres.NewStore(db)
	for i, call := range []func() error{
		func() error { _, err := store.Expire(t.Context(), domain.Cutoffs{}); return err },
		func() error {
			_, err := store.RebuildDay(t.Context(), today.Add(-time.Duration(rand.IntN(3))*day), domain.Cutoffs{})
			return err
		},
		func() error { return store.MergeJournal(t.Context()) },
	} {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := call(); err != nil {
					t.Error(i, err)
				}
			}
		})
	}
	workers.Wait()
	close(stop)
	others.Wait()
	checkCounted(t, db, batches)
}
