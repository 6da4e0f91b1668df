package app_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/logs"
)

const megabyte = 1 << 20

// disk is a volume with the room that a test wants.
type disk struct {
	free, total int64
	unknown     bool
	asked       int
}

func (*disk) VolumeName() string { return "store" }

func (d *disk) Space(context.Context) (ports.DiskSpace, bool) {
	d.asked++
	return ports.DiskSpace{Free: d.free, Total: d.total}, !d.unknown
}

func checkOutcome(t *testing.T, what string, err error, want domain.Code) {
	t.Helper()
	if got := domain.CodeOf(err); got != want {
		t.Errorf("%s: code %q of %v, want %q", what, got, err, want)
	}
}

func TestReserve(t *testing.T) {
	clock := memory.NewClock(pipelineNow)
	d := &disk{free: 500 * megabyte, total: 1000 * megabyte}
	reserve := app.NewReserve([]ports.Volume{d, &disk{unknown: true}}, clock, 256*megabyte)
	if reserve.Name() != "disk" {
		t.Errorf("the check is called %q", reserve.Name())
	}
	for i, step := range []struct {
		free int64
		want domain.Code
	}{
		{500 * megabyte, ""},
		{256 * megabyte, ""},
		{256*megabyte - 1, domain.CodeDiskFull},
		{256 * megabyte, domain.CodeDiskFull}, // an eighth more is wanted to begin again
		{288*megabyte - 1, domain.CodeDiskFull},
		{288 * megabyte, ""},
		{256 * megabyte, ""},
		{0, domain.CodeDiskFull},
	} {
		d.free = step.free
		clock.Advance(time.Second)
		err := reserve.Check(t.Context())
		if domain.CodeOf(err) != step.want {
			t.Errorf("step %d: with %d bytes free: %v, want %q", i, step.free, err, step.want)
		}
		if step.want != "" && !strings.Contains(err.Error(), "DISK_RESERVE_MB is 256") {
			t.Errorf("the log is not told of the variable: %v", err)
		}
	}
	asked := d.asked
	d.free = 500 * megabyte
	checkOutcome(t, "within the same second", reserve.Check(t.Context()), domain.CodeDiskFull)
	if d.asked != asked {
		t.Error("the disk is measured more often than once a second")
	}
	if found := reserve.Measure(t.Context()); len(found) != 1 || found[0].Name != "store" || !found[0].Low {
		t.Errorf("measured %+v", found)
	}
}

func TestReserveOfNothing(t *testing.T) {
	reserve := app.NewReserve([]ports.Volume{&disk{free: 0, total: 1}}, memory.NewClock(pipelineNow), 0)
	checkOutcome(t, "no reserve", reserve.Check(t.Context()), "")
	checkOutcome(t, "no reserve", reserve.CheckSize(t.Context()), "")
}

func TestReserveLargerThanTheDisk(t *testing.T) {
	for total, want := range map[int64]domain.Code{
		255 * megabyte: domain.CodeInvalid, 256 * megabyte: domain.CodeInvalid, 257 * megabyte: "",
	} {
		reserve := app.NewReserve([]ports.Volume{&disk{free: 1, total: total}}, memory.NewClock(pipelineNow), 256*megabyte)
		checkOutcome(t, "size", reserve.CheckSize(t.Context()), want)
	}
}

// fickleStore fails as long as it is told to.
type fickleStore struct {
	ports.EventStore

	err error
}

func (s *fickleStore) Store(ctx context.Context, batches []domain.Batch) (ports.Stored, error) {
	if s.err != nil {
		return ports.Stored{}, s.err
	}
	return s.EventStore.Store(ctx, batches)
}

// steps has a worker take steps until the store has seen enough of them.
func steps(t *testing.T, process *app.Process, until func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); process.Run(ctx, t.Context()) }()
	for deadline := time.Now().Add(10 * time.Second); !until(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error("it did not come to that within 10 s")
			break
		}
	}
	cancel()
	<-done
}

// TestWorkerThatFindsNoRoomClosesTheQueue has the store, or the disk that the
// worker sees, run full and become free again.
func TestWorkerThatFindsNoRoomClosesTheQueue(t *testing.T) {
	full := domain.NewError(domain.CodeDiskFull, errors.New("53100"), "the database has no room left")
	for name, spoil := range map[string]func(s *fickleStore, d *disk) (undo func()){
		"the store says so": func(s *fickleStore, _ *disk) func() { s.err = full; return func() { s.err = nil } },
		"the disk is low":   func(_ *fickleStore, d *disk) func() { d.free = 0; return func() { d.free = d.total } },
	} {
		t.Run(name, func(t *testing.T) {
			clock := memory.NewClock(pipelineNow)
			queue := memory.NewQueue(memory.QueueConfig{Clock: clock})
			store, d := &fickleStore{EventStore: memory.NewStore()}, &disk{free: 1000 * megabyte, total: 1000 * megabyte}
			reserve := app.NewReserve([]ports.Volume{d}, clock, megabyte)
			log := new(logs.Buffer)
			process := app.NewProcess(queue, store, slog.New(slog.DiscardHandler), app.ProcessConfig{
				PollInterval: time.Millisecond, BackoffMin: time.Millisecond, BackoffMax: time.Millisecond,
				Guard: app.NewGuard(queue, reserve, slog.New(slog.NewTextHandler(log, nil))),
			})
			backlog := app.NewBacklog(queue, app.BacklogConfig{})
			suspended := func() bool { return depth(t, queue).Suspended }
			accepted := domain.Batch{ID: "accepted", ReceivedAt: pipelineNow, Events: []domain.Event{{Tool: "t", Hour: pipelineNow}}}
			if err := queue.Enqueue(t.Context(), accepted); err != nil {
				t.Fatal(err)
			}

			undo := spoil(store, d)
			clock.Advance(time.Second)
			steps(t, process, suspended)
			checkOutcome(t, "a post", queue.Enqueue(t.Context(), domain.Batch{ID: "refused"}), domain.CodeDiskFull)
			checkOutcome(t, "the backlog", backlog.Check(t.Context()), domain.CodeDiskFull)

			undo()
			clock.Advance(time.Second)
			steps(t, process, func() bool { return !suspended() && depth(t, queue).Batches == 0 })
			checkOutcome(t, "the backlog", backlog.Check(t.Context()), "")
			checkOutcome(t, "a post", queue.Enqueue(t.Context(), domain.Batch{ID: "next"}), "")
			if text := log.String(); strings.Count(text, "no events are taken in") != 1 || strings.Count(text, "taken in again") != 1 {
				t.Errorf("the log is\n%s", text)
			}
		})
	}
}

// A queue that is full of few large batches is full, too.
func TestBacklogThatIsFullInBytes(t *testing.T) {
	queue := memory.NewQueue(memory.QueueConfig{MaxBytes: 2 * domain.BatchOverhead})
	backlog := app.NewBacklog(queue, app.BacklogConfig{})
	for i, want := range []domain.Code{"", "", domain.CodeQueueFull} {
		checkOutcome(t, fmt.Sprintf("the check with %d batches", i), backlog.Check(t.Context()), want)
		if err := queue.Enqueue(t.Context(), domain.Batch{ID: domain.BatchID(rune('a' + i))}); domain.CodeOf(err) != want {
			t.Errorf("batch %d: %v", i, err)
		}
	}
}

func TestBacklogThatStandsStill(t *testing.T) {
	clock := memory.NewClock(pipelineNow)
	queue := memory.NewQueue(memory.QueueConfig{MaxEvents: 1000, Clock: clock})
	backlog := app.NewBacklog(queue, app.BacklogConfig{})
	if backlog.Name() != "backlog" {
		t.Errorf("the check is called %q", backlog.Name())
	}
	check := func(what string, want domain.Code) {
		t.Helper()
		checkOutcome(t, what, backlog.Check(t.Context()), want)
	}
	put := func(id domain.BatchID, events int) {
		t.Helper()
		if err := queue.Enqueue(t.Context(), domain.Batch{ID: id, ReceivedAt: clock.Now(), Events: make([]domain.Event, events)}); err != nil {
			t.Fatal(err)
		}
	}
	clock.Advance(time.Hour)
	check("an idle queue", "")
	put("1", 10)
	put("2", 10)
	put("3", 10)
	clock.Advance(app.StallAfter)
	check("for as long as a batch may take", "")
	clock.Advance(time.Second)
	check("nothing is stored", domain.CodeUnavailable)

	// Whatever moves is healthy, however old it is.
	for _, id := range []domain.BatchID{"1", "2"} {
		if err := queue.Acknowledge(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		check("it moves", "")
		clock.Advance(app.StallAfter - time.Second)
		check("it moves", "")
	}
	clock.Advance(2 * time.Second)
	check("it stands again", domain.CodeUnavailable)
	if err := queue.Acknowledge(t.Context(), "3"); err != nil {
		t.Fatal(err)
	}
	put("4", 989)
	check("room is left", "")
	put("5", 1)
	check("no room is left", domain.CodeQueueFull)
}

// TestWorkerThatCannotStoreIsUnhealthy lets single failures pass.
func TestWorkerThatCannotStoreIsUnhealthy(t *testing.T) {
	queue := memory.NewQueue(memory.QueueConfig{})
	store := &fickleStore{EventStore: memory.NewStore(), err: domain.NewError(domain.CodeUnavailable, errors.New("driver"), "the database is busy")}
	process := app.NewProcess(queue, store, slog.New(slog.DiscardHandler), app.ProcessConfig{
		PollInterval: time.Millisecond, BackoffMin: time.Millisecond, BackoffMax: time.Millisecond,
	})
	if process.Name() != "worker" {
		t.Errorf("the check is called %q", process.Name())
	}
	if err := queue.Enqueue(t.Context(), domain.Batch{ID: "1", ReceivedAt: pipelineNow, Events: []domain.Event{{Tool: "t", Hour: pipelineNow}}}); err != nil {
		t.Fatal(err)
	}
	checkOutcome(t, "at first", process.Check(t.Context()), "")
	steps(t, process, func() bool { return process.Check(t.Context()) != nil })
	err := process.Check(t.Context())
	checkOutcome(t, "failing", err, domain.CodeUnavailable)
	if got := domain.MessageOf(err); got != "the worker cannot store: the database is busy" {
		t.Errorf("it says %q", got)
	}
	store.err = nil
	steps(t, process, func() bool { return process.Check(t.Context()) == nil })
}

// hangingQueue never answers, whatever becomes of the context.
type hangingQueue struct{ release chan struct{} }

func (q hangingQueue) Enqueue(context.Context, domain.Batch) error { <-q.release; return nil }

func (q hangingQueue) EnqueueOnce(context.Context, domain.KeyedRequest, domain.Batch, domain.Receipt) (domain.Receipt, error) {
	<-q.release
	return domain.Receipt{}, nil
}

func (q hangingQueue) Receipt(context.Context, domain.KeyedRequest) (domain.Receipt, bool, error) {
	<-q.release
	return domain.Receipt{}, false, nil
}

// boundedQueue notes whether its caller set a deadline.
type boundedQueue struct {
	ports.EventQueue

	timeout  time.Duration
	deadline *bool
}

func (q boundedQueue) CallTimeout() time.Duration { return q.timeout }

func (q boundedQueue) Enqueue(ctx context.Context, b domain.Batch) error {
	_, *q.deadline = ctx.Deadline()
	return q.EventQueue.Enqueue(ctx, b)
}

func TestGuardedQueue(t *testing.T) {
	clock := memory.NewClock(pipelineNow)
	d := &disk{free: 0, total: 1000 * megabyte}
	reserve := app.NewReserve([]ports.Volume{d}, clock, megabyte)
	queue := memory.NewQueue(memory.QueueConfig{Clock: clock})
	batch := domain.Batch{ID: "1", Events: make([]domain.Event, 1)}
	post := func(q *app.GuardedQueue, want domain.Code) {
		t.Helper()
		checkOutcome(t, "enqueue", q.Enqueue(t.Context(), batch), want)
		_, err := q.EnqueueOnce(t.Context(), domain.KeyedRequest{Key: "key"}, batch, domain.Receipt{Accepted: 1})
		checkOutcome(t, "enqueue once", err, want)
	}
	post(app.NewGuardedQueue(queue, reserve), domain.CodeDiskFull)
	if got := depth(t, queue).Batches; got != 0 {
		t.Errorf("%d batches are held", got)
	}
	d.free = d.total
	clock.Advance(time.Second)
	post(app.NewGuardedQueue(queue, reserve), "")
	// A repeat needs no room.
	d.free = 0
	clock.Advance(time.Second)
	receipt, known, err := app.NewGuardedQueue(queue, reserve).Receipt(t.Context(), domain.KeyedRequest{Key: "key"})
	if err != nil || !known || receipt.Accepted != 1 {
		t.Errorf("looked up %+v, known %v, %v", receipt, known, err)
	}
	d.free = d.total
	clock.Advance(time.Second)

	// A queue that ends its calls in time is asked on the caller's goroutine.
	for _, watched := range []bool{false, true} {
		bound := app.AcceptTimeout
		if watched {
			bound++
		}
		q := boundedQueue{EventQueue: queue, timeout: bound, deadline: new(bool)}
		checkOutcome(t, "enqueue", app.NewGuardedQueue(q, reserve).Enqueue(t.Context(), batch), "")
		if *q.deadline != watched {
			t.Errorf("calls bounded by %v: watched over is %v", bound, *q.deadline)
		}
	}

	hanging := hangingQueue{make(chan struct{})}
	defer close(hanging.release)
	start := time.Now()
	post(app.NewGuardedQueue(hanging, reserve), domain.CodeUnavailable)
	_, _, err = app.NewGuardedQueue(hanging, reserve).Receipt(t.Context(), domain.KeyedRequest{Key: "key"})
	checkOutcome(t, "receipt", err, domain.CodeUnavailable)
	if took := time.Since(start); took < 3*app.AcceptTimeout || took > 6*app.AcceptTimeout {
		t.Errorf("three calls that hang took %v", took)
	}
}

// TestNothingIsWaitedForTooLong lets every part hang.
func TestNothingIsWaitedForTooLong(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	hang := check{"hanging", func(context.Context) error { <-release; return nil }}
	status := app.NewStatus([]ports.HealthCheck{hang}, hangingMeter{release}, hangingReader{release}, memory.NewClock(pipelineNow), nil, nil)
	start := time.Now()
	if public := status.Public(t.Context()); public.Condition != app.ConditionDown || public.Dated24h.Err == nil || public.LastReceived.Err == nil {
		t.Errorf("in public: %+v", public)
	}
	if took := time.Since(start); took > 2*app.HealthTimeout {
		t.Errorf("it took %v", took)
	}
	if app.HealthTimeout >= 2*time.Second || app.AcceptTimeout >= app.HealthTimeout {
		t.Error("nothing may take two seconds")
	}
}

type hangingMeter struct{ release chan struct{} }

func (m hangingMeter) Depth(context.Context) (ports.QueueDepth, error) {
	<-m.release
	return ports.QueueDepth{}, nil
}

type hangingReader struct{ release chan struct{} }

func (r hangingReader) Activity(context.Context) (domain.Activity, error) {
	<-r.release
	return domain.Activity{}, nil
}

func (r hangingReader) Select(context.Context, domain.Selection) (domain.Selected, error) {
	<-r.release
	return domain.Selected{}, nil
}
