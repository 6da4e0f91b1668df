package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// busyDisk is a queue whose file somebody else writes to until release is called, so
// that everybody waits for it as for a disk that syncs slowly.
type busyDisk struct {
	db      *sqlite.DB
	queue   *sqlite.Queue
	release func() error
	// transactions returns how often the queue was written to.
	transactions func() int
	calls        sync.WaitGroup
}

func newBusyDisk(t *testing.T, dir string, config sqlite.QueueConfig) *busyDisk {
	t.Helper()
	var log syncBuffer
	d := &busyDisk{db: open(t, sqlite.Config{Dir: dir, SlowQuery: time.Nanosecond, Log: slog.New(slog.NewTextHandler(&log, nil))})}
	d.queue = sqlite.NewQueue(d.db, config)
	d.transactions = func() int { return strings.Count(log.String(), "query=queue.enqueue") }
	var err error
	if _, d.release, err = d.db.QueueFile().Hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// start has a caller enqueue, and returns once its batch waits. The channel has the
// call's outcome.
func (d *busyDisk) start(t *testing.T, enqueue func() error) <-chan error {
	t.Helper()
	before, outcome := d.db.Waiting(), make(chan error, 1)
	d.calls.Go(func() { outcome <- enqueue() })
	d.await(t, before+1)
	return outcome
}

func (d *busyDisk) await(t *testing.T, waiting int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); d.db.Waiting() != waiting; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d batches wait, want %d", d.db.Waiting(), waiting)
		}
	}
}

func (d *busyDisk) end(t *testing.T) {
	t.Helper()
	if err := d.release(); err != nil {
		t.Error(err)
	}
	d.calls.Wait()
}

func (d *busyDisk) enqueue(t *testing.T, number int) func() error {
	t.Helper()
	return func() error {
		return d.queue.Enqueue(t.Context(), contract.NewBatch(number, contract.Events(1, 2)...))
	}
}

func (d *busyDisk) once(t *testing.T, key string, number int) func() error {
	t.Helper()
	return func() error {
		_, err := d.queue.EnqueueOnce(t.Context(), domain.KeyedRequest{Key: key}, contract.NewBatch(number, contract.Events(1, 2)...),
			domain.Receipt{Accepted: number})
		return err
	}
}

func checkDepth(t *testing.T, queue *sqlite.Queue, batches int) {
	t.Helper()
	depth, err := queue.Depth(t.Context())
	if err != nil || depth.Batches != batches || depth.Events != 2*batches {
		t.Errorf("the queue holds %+v, %v; want %d batches of 2 events", depth, err, batches)
	}
}

func TestCallersThatWaitShareATransaction(t *testing.T) {
	const callers = 300
	d := newBusyDisk(t, t.TempDir(), sqlite.QueueConfig{})
	outcomes := make(chan error, callers)
	for n := range callers {
		enqueue := d.enqueue(t, n)
		if n%10 == 0 {
			enqueue = d.once(t, fmt.Sprint("key ", n), n)
		}
		d.calls.Go(func() { outcomes <- enqueue() })
	}
	d.await(t, callers)
	d.end(t)
	for range callers {
		if err := <-outcomes; err != nil {
			t.Error(err)
		}
	}
	// Those who came before the first transaction began, and all others.
	if n := d.transactions(); n > 2 {
		t.Errorf("%d callers took %d transactions", callers, n)
	}
	checkDepth(t, d.queue, callers)
}

func TestWhatIsWrongWithAnEntryIsItsErrorAlone(t *testing.T) {
	dir := t.TempDir()
	db := open(t, sqlite.Config{Dir: dir})
	queue := sqlite.NewQueue(db, sqlite.QueueConfig{})
	for n := range 2 {
		if err := queue.Enqueue(t.Context(), contract.NewBatch(n, contract.Events(1, 2)...)); err != nil {
			t.Fatal(err)
		}
	}
	closeDB(t, db)

	d := newBusyDisk(t, dir, sqlite.QueueConfig{})
	first := d.start(t, d.enqueue(t, 2)) // has a transaction of its own
	there := d.start(t, d.enqueue(t, 0))
	thereWithKey := d.start(t, d.once(t, "a", 1))
	sound, soundWithKey := d.start(t, d.enqueue(t, 3)), d.start(t, d.once(t, "b", 4))
	reused := d.start(t, func() error {
		_, err := d.queue.EnqueueOnce(t.Context(), domain.KeyedRequest{Key: "b", Body: []byte("other")}, contract.NewBatch(5), domain.Receipt{})
		return err
	})
	repeat := d.start(t, d.once(t, "b", 6))
	d.end(t)
	if n := d.transactions(); n > 2 {
		t.Fatalf("%d transactions: this test tests nothing", n)
	}
	for name, c := range map[string]struct {
		outcome <-chan error
		want    domain.Code
	}{
		"the first":            {first, ""},
		"there already":        {there, domain.CodeInternal},
		"there, with a key":    {thereWithKey, domain.CodeInternal},
		"sound":                {sound, ""},
		"sound, with a key":    {soundWithKey, ""},
		"a key of other bytes": {reused, domain.CodeIdempotencyKeyReused},
		"a repeat":             {repeat, ""},
	} {
		checkCode(t, name, <-c.outcome, c.want)
	}
	checkDepth(t, d.queue, 5)
	if d.db.Waiting() != 0 {
		t.Errorf("%d batches wait after all is answered", d.db.Waiting())
	}
	if _, known, err := d.queue.Receipt(t.Context(), domain.KeyedRequest{Key: "a"}); known || err != nil {
		t.Errorf("a batch that is not held has a receipt: %v, %v", known, err)
	}
}

func TestNoMoreWaitThanMay(t *testing.T) {
	for name, c := range map[string]struct {
		config sqlite.QueueConfig
		want   domain.Code
	}{
		"in number":                 {sqlite.QueueConfig{MaxWaiting: 3}, domain.CodeUnavailable},
		"in bytes":                  {sqlite.QueueConfig{MaxWaitingBytes: 1_200}, domain.CodeUnavailable},
		"events of the queue":       {sqlite.QueueConfig{MaxEvents: 7}, domain.CodeQueueFull},
		"bytes of the queue":        {sqlite.QueueConfig{MaxBytes: 1_200}, domain.CodeQueueFull},
		"in number, though no room": {sqlite.QueueConfig{MaxWaiting: 3, MaxEvents: 7}, domain.CodeQueueFull},
	} {
		t.Run(name, func(t *testing.T) {
			d := newBusyDisk(t, t.TempDir(), c.config)
			var waiting []<-chan error
			for n := range 3 {
				waiting = append(waiting, d.start(t, d.enqueue(t, n)))
			}
			// These do not wait for the disk, which is busy until the end.
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			batch := contract.NewBatch(3, contract.Events(1, 2)...)
			checkCode(t, "one too many", d.queue.Enqueue(ctx, batch), c.want)
			_, err := d.queue.EnqueueOnce(ctx, domain.KeyedRequest{Key: "key"}, batch, domain.Receipt{})
			checkCode(t, "one too many, with a key", err, c.want)
			if ctx.Err() != nil {
				t.Fatal("one too many waits")
			}
			d.end(t)
			for _, outcome := range waiting {
				checkCode(t, "one that waited", <-outcome, "")
			}
			checkDepth(t, d.queue, 3)
			if c.want == domain.CodeUnavailable {
				checkCode(t, "afterwards", d.enqueue(t, 4)(), "")
			}
		})
	}
}

// A full queue answers repeats, also while the disk is busy.
func TestRepeatsNeedNoRoom(t *testing.T) {
	dir := t.TempDir()
	db := open(t, sqlite.Config{Dir: dir})
	d := &busyDisk{queue: sqlite.NewQueue(db, sqlite.QueueConfig{MaxEvents: 2})}
	checkCode(t, "the first", d.once(t, "key", 1)(), "")
	closeDB(t, db)
	d = newBusyDisk(t, dir, sqlite.QueueConfig{MaxEvents: 2})
	checkCode(t, "a repeat", d.once(t, "key", 2)(), "")
	checkCode(t, "another key", d.once(t, "other", 3)(), domain.CodeQueueFull)
	d.end(t)
	checkDepth(t, d.queue, 1)
}

func TestACallerThatGivesUp(t *testing.T) {
	d := newBusyDisk(t, t.TempDir(), sqlite.QueueConfig{})
	begun, giveUpBegun := context.WithCancel(t.Context())
	waiting, giveUpWaiting := context.WithCancel(t.Context())
	once := func(ctx context.Context, key string, number int) error {
		_, err := d.queue.EnqueueOnce(ctx, domain.KeyedRequest{Key: key}, contract.NewBatch(number, contract.Events(1, 2)...), domain.Receipt{Accepted: 7})
		return err
	}
	first := d.start(t, func() error { return once(begun, "a", 1) })
	second := d.start(t, func() error { return once(waiting, "b", 2) })
	giveUpBegun()
	giveUpWaiting()
	for _, outcome := range []<-chan error{first, second} {
		if err := <-outcome; !errors.Is(err, context.Canceled) || domain.CodeOf(err) != domain.CodeUnavailable {
			t.Errorf("outcome is %v", err)
		}
	}
	d.end(t)
	d.await(t, 0)
	// Whatever became of the batches, a repeat under the key counts once.
	checkCode(t, "a repeat", once(t.Context(), "a", 3), "")
	checkCode(t, "a repeat", once(t.Context(), "b", 4), "")
	checkDepth(t, d.queue, 2)
}

func TestCloseHoldsWhatWaits(t *testing.T) {
	dir := t.TempDir()
	d := newBusyDisk(t, dir, sqlite.QueueConfig{})
	var waiting []<-chan error
	for n := range 5 {
		waiting = append(waiting, d.start(t, d.enqueue(t, n)))
	}
	closed := make(chan error, 1)
	go func() { closed <- d.db.Close() }()
	d.end(t)
	for _, outcome := range waiting {
		checkCode(t, "one that waited", <-outcome, "")
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	checkCode(t, "after the end", d.enqueue(t, 9)(), domain.CodeUnavailable)
	checkDepth(t, sqlite.NewQueue(open(t, sqlite.Config{Dir: dir}), sqlite.QueueConfig{}), 5)
}

// A crash after the commit of the store and before that of the queue has the batch
// delivered again, however late: it counts once.
func TestCrashBetweenTheCommitsCountsOnce(t *testing.T) {
	dir, crashed := t.TempDir(), t.TempDir()
	db := open(t, sqlite.Config{Dir: dir})
	queue, store := sqlite.NewQueue(db, sqlite.QueueConfig{}), sqlite.NewStore(db)
	batch := contract.NewBatch(1, contract.Events(1, 2)...)
	if err := queue.Enqueue(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	deliveries, err := queue.Receive(t.Context(), 10, 0)
	if err != nil || len(deliveries) != 1 {
		t.Fatalf("received %+v, %v", deliveries, err)
	}
	if _, err := store.Store(t.Context(), []domain.Batch{deliveries[0].Batch}); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil { // as a kill leaves it
		t.Fatal(err)
	}

	db = open(t, sqlite.Config{Dir: crashed})
	queue, store = sqlite.NewQueue(db, sqlite.QueueConfig{}), sqlite.NewStore(db)
	cutoffs := domain.Cutoffs{Batches: batch.ReceivedAt.Add(365 * 24 * time.Hour)}
	if due, err := store.Due(t.Context(), cutoffs); err != nil || due.Batches != 0 {
		t.Errorf("%+v is due, %v", due, err)
	}
	if _, err := store.Expire(t.Context(), cutoffs); err != nil { // before a worker gets to it
		t.Fatal(err)
	}
	deliveries, err = queue.Receive(t.Context(), 10, 0)
	if err != nil || len(deliveries) != 1 || deliveries[0].Attempt != 2 {
		t.Fatalf("received %+v, %v", deliveries, err)
	}
	stored, err := store.Store(t.Context(), []domain.Batch{deliveries[0].Batch})
	if err != nil || stored.Repeated != 1 || stored.Events != 0 {
		t.Errorf("stored %+v, %v", stored, err)
	}
	if activity, err := store.Activity(t.Context()); err != nil || activity.Events != 2 {
		t.Errorf("%+v is counted, %v", activity, err)
	}
	if err := queue.Acknowledge(t.Context(), batch.ID); err != nil {
		t.Fatal(err)
	}
	if expired, err := store.Expire(t.Context(), cutoffs); err != nil || expired.Batches != 1 {
		t.Errorf("%+v has expired, %v", expired, err)
	}
}

func TestAQueueThatIsMissingIsNoticed(t *testing.T) {
	dir := t.TempDir()
	reopened := func() string {
		var log bytes.Buffer
		closeDB(t, open(t, sqlite.Config{Dir: dir, SlowQuery: time.Hour, Log: slog.New(slog.NewTextHandler(&log, nil))}))
		return log.String()
	}
	if log := reopened(); log != "" {
		t.Errorf("a first start logs %s", log)
	}
	if err := os.Remove(filepath.Join(dir, "analytics-queue.db")); err != nil {
		t.Fatal(err)
	}
	if log := reopened(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "missing=analytics-queue.db") {
		t.Errorf("without a queue a start logs %q", log)
	}
	if log := reopened(); log != "" {
		t.Errorf("the start after that logs %s", log)
	}
	// A new store beside a queue is the operator's loss alone.
	if err := os.Remove(filepath.Join(dir, "analytics.db")); err != nil {
		t.Fatal(err)
	}
	if log := reopened(); log != "" {
		t.Errorf("without a store a start logs %s", log)
	}
}

// A worker with many batches in hand writes in transactions so short that those who
// enqueue do not notice.
func TestManyBatchesAreReceivedAndAcknowledgedInParts(t *testing.T) {
	const batches = 1_100
	var log syncBuffer
	db := open(t, sqlite.Config{Dir: t.TempDir(), SlowQuery: time.Nanosecond, Log: slog.New(slog.NewTextHandler(&log, nil))})
	queue := sqlite.NewQueue(db, sqlite.QueueConfig{MaxWaiting: batches})
	var calls sync.WaitGroup
	for n := range batches {
		calls.Go(func() {
			checkCode(t, "enqueue", queue.Enqueue(t.Context(), contract.NewBatch(n, contract.Events(1, 2)...)), "")
		})
	}
	calls.Wait()
	receive := func(want, attempt int) []domain.BatchID {
		t.Helper()
		deliveries, err := queue.Receive(t.Context(), 1_000_000, 0)
		if err != nil || len(deliveries) != want {
			t.Fatalf("received %d batches, %v; want %d", len(deliveries), err, want)
		}
		ids := make([]domain.BatchID, len(deliveries))
		for i, d := range deliveries {
			if ids[i] = d.Batch.ID; d.Attempt != attempt {
				t.Fatalf("batch %d of %d is in attempt %d, want %d", i, want, d.Attempt, attempt)
			}
		}
		return ids
	}
	ids := receive(batches, 1)
	exec1(t, db.QueueFile(), `CREATE TRIGGER refusal BEFORE DELETE ON queue WHEN old.id = '`+string(ids[700])+`' BEGIN SELECT raise(ABORT, 'refused'); END`)
	if err := queue.Acknowledge(t.Context(), ids...); err == nil {
		t.Error("the trigger refuses nothing")
	}
	exec1(t, db.QueueFile(), `DROP TRIGGER refusal`)
	checkDepth(t, queue, 600)
	if err := queue.Acknowledge(t.Context(), receive(600, 2)...); err != nil {
		t.Error(err)
	}
	checkDepth(t, queue, 0)
	if n := strings.Count(log.String(), "query=queue.acknowledge"); n != 4 {
		t.Errorf("%d transactions acknowledge", n)
	}
}
