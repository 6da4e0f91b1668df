package chaos_test

import (
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPoisonBatchIsBuriedAlone has PostgreSQL refuse one batch of several that
// a worker takes together.
func TestPoisonBatchIsBuriedAlone(t *testing.T) {
	t.Parallel()
	random := newRandom(t)
	f := newFleet(t, random, 1, 1)
	load := drawLoad(random, shape{batches: 9, events: 4, flawless: true})
	poison := load[4]
	f.postgres.Exec(t, f.database, `ALTER TABLE events ADD CONSTRAINT no_poison CHECK (version <> '`+poison.version()+`')`)

	outcomes := f.postAll(t, load)
	address := f.api(t)
	awaitStatus(t, address, "the batch is buried and its neighbours are stored", func(s status) bool {
		return s.DeadLetters == 1 && s.Queue.Batches == 0
	})
	if stored := read[int](t, f.open(t), `SELECT COUNT(DISTINCT version) FROM events`); stored != len(load)-1 {
		t.Errorf("%d of %d neighbours are stored", stored, len(load)-1)
	}
	list, err := f.run(t, "deadletters", "list")
	if err != nil || !strings.Contains(list, "23514") || !strings.Contains(list, "no_poison") {
		t.Errorf("deadletters list: %v\n%s\nwant the reason, SQLSTATE 23514 of no_poison", err, list)
	}

	f.postgres.Exec(t, f.database, `ALTER TABLE events DROP CONSTRAINT no_poison`)
	if out, err := f.run(t, "deadletters", "replay", "--all"); err != nil {
		t.Fatalf("deadletters replay: %v\n%s", err, out)
	}
	drain(t, address, patience)
	f.settle(t, load, outcomes)
}

// TestOutageOfPostgreSQL fills the queue while PostgreSQL is away.
func TestOutageOfPostgreSQL(t *testing.T) {
	t.Parallel()
	const room = 150
	random := newRandom(t)
	f := newFleet(t, random, 1, 1, "MAX_QUEUE_SIZE=150")
	load := drawLoad(random, shape{batches: 200, events: 4, flawless: true})
	f.postgres.Kill()

	client := newClient(t)
	address := f.api(t)
	outcomes := make([]outcome, len(load))
	full := int64(0)
	next := 0
	for outcomes[max(0, next-1)] != refused {
		if next == len(load) {
			t.Fatalf("%d events were accepted into a queue for %d", full, room)
		}
		got, err := post(t.Context(), client, job{load[next], address})
		if err != nil || got == unknown {
			t.Fatalf("batch %d with %d events queued: %s (%v), want accepted until the queue is full", next, full, got, err)
		}
		if outcomes[next] = got; got == accepted {
			full += load[next].want.Events
		}
		next++
	}
	if last := load[next-1].want.Events; full > room || full+last <= room {
		t.Errorf("refused %d events with %d of %d queued", last, full, room)
	}
	if _, header := answerTo(t, client, address, load[next-1]); header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	f.awaitHealth(t, client, http.StatusServiceUnavailable)

	f.postgres.Start(t)
	for ; next < len(load); next++ {
		outcomes[next] = f.postUntilAccepted(t, client, load[next])
	}
	drain(t, address, patience)
	f.settle(t, load, outcomes)
}

// TestOutageOfRedis takes Redis away, dead or silent, under an API that nobody
// restarts.
func TestOutageOfRedis(t *testing.T) {
	t.Parallel()
	random := newRandom(t)
	f := newFleet(t, random, 1, 1)
	load := drawLoad(random, shape{batches: 100, events: 4, flawless: true})
	outcomes := make([]outcome, 0, len(load))
	outages := []struct {
		name       string
		begin, end func()
	}{
		{"killed", f.redis.Kill, func() { f.redis.Start(t) }},
		{"silent", f.redis.Pause, f.redis.Resume},
	}
	client := newClient(t)
	address := f.api(t)
	for _, outage := range outages {
		outcomes = append(outcomes, f.postUntilAccepted(t, client, load[len(outcomes)]))
		outage.begin()
		outcomes = append(outcomes, outcomeOf(t, client, address, load[len(outcomes)]))
		if got := outcomes[len(outcomes)-1]; got != unknown {
			t.Errorf("%s: the first batch is %s, want 503", outage.name, got)
		}
		var took []time.Duration
		for range 15 {
			start := time.Now()
			outcomes = append(outcomes, outcomeOf(t, client, address, load[len(outcomes)]))
			if got := outcomes[len(outcomes)-1]; got != unknown {
				t.Errorf("%s: a later batch is %s, want 503", outage.name, got)
			}
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		t.Logf("%s: refused in %v, at most %v", outage.name, took[len(took)/2], took[len(took)-1])
		if median := took[len(took)/2]; median > 100*time.Millisecond {
			t.Errorf("%s: 503 takes %v, want less than 100 ms", outage.name, median)
		}
		start := time.Now()
		if health, _ := get(t, client, address, "/v1/health"); health != http.StatusServiceUnavailable || time.Since(start) > 4*time.Second {
			t.Errorf("%s: health = %d after %v, want 503 within 2 s", outage.name, health, time.Since(start))
		}
		outage.end()
		f.awaitHealth(t, client, http.StatusOK)
		outcomes = append(outcomes, f.postUntilAccepted(t, client, load[len(outcomes)]))
	}
	drain(t, address, patience)
	f.settle(t, load[:len(outcomes)], outcomes)
}

// postAll posts everything before the worker sees any of it, so that it takes
// the batches together.
func (f *fleet) postAll(t *testing.T, load []batch) []outcome {
	t.Helper()
	client := newClient(t)
	outcomes := make([]outcome, len(load))
	for _, w := range f.workers {
		w.signal(t, syscall.SIGSTOP)
	}
	for i, b := range load {
		outcomes[i] = outcomeOf(t, client, f.api(t), b)
	}
	for _, w := range f.workers {
		w.signal(t, syscall.SIGCONT)
	}
	return outcomes
}

// postUntilAccepted posts a batch until there is room for it.
func (f *fleet) postUntilAccepted(t *testing.T, client *http.Client, b batch) outcome {
	t.Helper()
	deadline := time.Now().Add(patience)
	for tick := time.Tick(20 * time.Millisecond); ; <-tick {
		switch got := outcomeOf(t, client, f.api(t), b); {
		case got == accepted:
			return got
		case got == unknown:
			t.Fatalf("batch %d: the queue fails", b.number)
		case time.Now().After(deadline):
			t.Fatalf("batch %d is not accepted after %v", b.number, patience)
		}
	}
}

// awaitHealth waits until the API answers for its health as wanted: checks are
// remembered for a moment.
func (f *fleet) awaitHealth(t *testing.T, client *http.Client, want int) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for tick := time.Tick(20 * time.Millisecond); ; <-tick {
		health, _ := get(t, client, f.api(t), "/v1/health")
		if health == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("health = %d after %v, want %d", health, patience, want)
		}
	}
}

func outcomeOf(t *testing.T, client *http.Client, address string, b batch) outcome {
	t.Helper()
	got, err := post(t.Context(), client, job{b, address})
	if err != nil {
		t.Fatalf("batch %d: %v", b.number, err)
	}
	return got
}

// awaitStatus waits until the status is as wanted.
func awaitStatus(t *testing.T, address, what string, wanted func(status) bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for tick := time.Tick(20 * time.Millisecond); ; <-tick {
		var now status
		err := tryGet(t.Context(), address, "/v1/status", &now)
		if err == nil && wanted(now) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not after %v: %s: %+v (%v)", patience, what, now, err)
		}
	}
}

// settle stops the processes and checks the ledger. The queue is empty.
func (f *fleet) settle(t *testing.T, load []batch, outcomes []outcome) {
	t.Helper()
	counted := totalCalls(t, f.api(t))
	awaitMerged(t, f.api(t), patience)
	f.stop(t)
	check(t, f.open(t), load, outcomes, counted)
}

func get(t *testing.T, client *http.Client, address, path string) (int, http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, client, request)
}

func answerTo(t *testing.T, client *http.Client, address string, b batch) (int, http.Header) {
	t.Helper()
	request, err := newPost(t.Context(), job{b, address})
	if err != nil {
		t.Fatal(err)
	}
	return do(t, client, request)
}

func do(t *testing.T, client *http.Client, request *http.Request) (int, http.Header) {
	t.Helper()
	response, err := client.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", request.Method, request.URL.Path, err)
	}
	defer response.Body.Close()
	return response.StatusCode, response.Header
}
