package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// Receive hands out batches, as ports.Deliveries promises. What a worker held
// that has died, or that has been cut off for the time of its heartbeat, is
// handed out again.
func (q *Queue) Receive(ctx context.Context, maxEvents int, wait time.Duration) ([]ports.Delivery, error) {
	q.join.Do(func() { q.pool.tasks.start(q.beat) })
	// To look into a queue that was empty is in vain: what comes is announced.
	idle := wait > 0 && q.idle.Load()
	for end := time.Now().Add(wait); ; {
		if !idle {
			deliveries, err := q.take(ctx, maxEvents)
			if err != nil || len(deliveries) > 0 {
				return deliveries, err
			}
		}
		left := time.Until(end)
		if left <= 0 {
			return nil, nil
		}
		arrived, err := q.await(ctx, min(left, q.patience(idle)))
		if err != nil {
			return nil, err
		}
		idle = !arrived
		q.idle.Store(idle)
	}
}

// patience is for how long to wait for an announcement before the queue is looked
// into again, for what a dead worker leaves is not announced: when others hold all
// that there is, their time may be over soon.
func (q *Queue) patience(empty bool) time.Duration {
	if empty {
		return q.config.Heartbeat / 3
	}
	return q.config.Heartbeat / 6
}

// take hands out what there is, and buries on the way what cannot be read.
func (q *Queue) take(ctx context.Context, maxEvents int) ([]ports.Delivery, error) {
	for {
		deliveries, unreadable, err := q.claim(ctx, maxEvents)
		if err != nil {
			return nil, err
		}
		for _, e := range unreadable { // what is not buried now is claimed again
			if err := q.buryUnreadable(ctx, e); err != nil && len(deliveries) == 0 {
				return nil, err
			}
		}
		if len(deliveries) > 0 || len(unreadable) == 0 {
			return deliveries, nil
		}
	}
}

// claim takes the entries that may be handed out. Only one caller does so at a
// time: entries that the server says are ours and that we do not know of were
// handed to us by a call whose answer was lost, and are claimed anew.
func (q *Queue) claim(ctx context.Context, maxEvents int) ([]ports.Delivery, []entry, error) {
	select {
	case q.turn <- struct{}{}:
		defer func() { <-q.turn }()
	case <-ctx.Done():
		return nil, nil, q.pool.config.translate(ctx, "queue.receive", ctx.Err())
	}
	k := &q.pool.keys
	args := []any{
		k.stream, k.size, k.workers, k.arrivals,
		q.worker, q.config.Heartbeat.Milliseconds(), max(maxEvents, 1), domain.PayloadFormat,
	}
	answer, err := redigo.Values(q.pool.run(ctx, "queue.receive", receiveScript, append(args, q.heldEntries()...)...))
	if err != nil {
		return nil, nil, err
	}
	var newest int
	var handed []any
	if _, err := redigo.Scan(answer, &newest, &handed); err != nil {
		return nil, nil, fmt.Errorf("queue.receive: %w", err)
	}
	if newest > 0 {
		q.logNewer(newest)
	}
	entries, err := parseEntries(handed)
	if err != nil {
		return nil, nil, fmt.Errorf("queue.receive: %w", err)
	}
	deliveries, unreadable := q.hold(entries)
	return deliveries, unreadable, nil
}

// logNewer says once that there are batches which this program cannot read.
func (q *Queue) logNewer(format int) {
	q.newer.Do(func() {
		q.pool.config.Log.Warn("a newer version has queued batches that this one cannot read: they wait for a worker of that version",
			"format", format, "known", domain.PayloadFormat)
	})
}

func (q *Queue) holdsAny() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.held) > 0
}

func (q *Queue) heldEntries() []any {
	q.mu.Lock()
	defer q.mu.Unlock()
	entries := make([]any, 0, len(q.held))
	for _, h := range q.held {
		entries = append(entries, h.entry)
	}
	return entries
}

// hold notes what has been handed to us.
func (q *Queue) hold(entries []entry) (deliveries []ports.Delivery, unreadable []entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range entries {
		batch, err := e.batch()
		if err != nil {
			q.pool.config.Log.Error("an entry in the queue cannot be read and is buried", "entry", e.id, "error", err)
			e.reason = err.Error()
			unreadable = append(unreadable, e)
			continue
		}
		q.held[batch.ID] = holding{entry: e.id, attempt: e.attempt, events: len(batch.Events), bytes: len(e.fields["b"])}
		deliveries = append(deliveries, ports.Delivery{Batch: batch, Attempt: e.attempt})
	}
	return deliveries, unreadable
}

// await waits until there may be something to hand out. It returns false when the
// queue was empty at the end. An idle worker does nothing else, so this is two
// commands and no script.
func (q *Queue) await(ctx context.Context, wait time.Duration) (arrived bool, err error) {
	// Rounded up: 0 would be for ever, and an end that is missed by a part of a
	// millisecond costs another look.
	wait = wait.Truncate(time.Millisecond) + time.Millisecond
	seconds := strconv.FormatFloat(wait.Seconds(), 'f', 3, 64)
	p := q.pool
	err = p.use(ctx, p.waits, wait+p.config.CallTimeout, "queue.await", func(ctx context.Context, c redigo.Conn) error {
		announced, err := redigo.DoContext(c, ctx, "BLPOP", p.keys.arrivals, seconds)
		if err != nil || announced != nil {
			arrived = true
			return err
		}
		held, err := redigo.Int(redigo.DoContext(c, ctx, "XLEN", p.keys.stream))
		arrived = held > 0
		return err
	})
	return arrived, err
}

// Acknowledge forgets batches, as ports.Deliveries promises. After an error it
// lets go of them, so that they are handed out again.
func (q *Queue) Acknowledge(ctx context.Context, ids ...domain.BatchID) error {
	holdings := q.holdingsOf(ids)
	args := []any{q.pool.keys.stream, q.pool.keys.size, q.pool.keys.settled, len(holdings)}
	for _, h := range holdings {
		args = append(args, h.entry, h.events, h.bytes)
	}
	for _, id := range ids {
		if _, ok := holdings[id]; !ok {
			args = append(args, string(id))
		}
	}
	_, err := q.pool.run(ctx, "queue.acknowledge", acknowledgeScript, args...)
	q.release(holdings)
	return err
}

// Return gives batches back, as ports.Deliveries promises. After an error it
// lets go of them all the same.
func (q *Queue) Return(ctx context.Context, ids ...domain.BatchID) error {
	args := []any{q.pool.keys.stream, q.pool.keys.arrivals, q.worker}
	holdings := q.holdingsOf(ids)
	for _, h := range holdings {
		args = append(args, h.entry, h.attempt)
	}
	_, err := q.pool.run(ctx, "queue.return", returnScript, args...)
	q.release(holdings)
	return err
}

// Bury moves a batch to the dead letters, as ports.Deliveries promises. After
// an error it lets go of the batch, so that it is handed out again.
func (q *Queue) Bury(ctx context.Context, id domain.BatchID, reason string) error {
	holdings := q.holdingsOf([]domain.BatchID{id})
	err := q.bury(ctx, holdings[id].entry, id, reason)
	q.release(holdings)
	return err
}

func (q *Queue) buryUnreadable(ctx context.Context, e entry) error {
	return q.bury(ctx, e.id, domain.BatchID(e.fields["id"]), e.reason)
}

func (q *Queue) bury(ctx context.Context, entry string, name domain.BatchID, reason string) error {
	k := &q.pool.keys
	deleted, err := redigo.Int(q.pool.run(ctx, "queue.bury", buryScript, k.stream, k.size, k.dead, k.names, k.deadSize, k.settled,
		entry, string(name), reason, q.pool.config.Clock.Now().UnixNano(), q.config.MaxDeadLetters, q.config.MaxDeadLetterBytes))
	if deleted > 0 {
		q.pool.config.Log.Error("there are too many dead letters: the oldest are deleted", "deleted", deleted)
	}
	return err
}

// holdingsOf returns those of the batches that we hold.
func (q *Queue) holdingsOf(ids []domain.BatchID) map[domain.BatchID]holding {
	q.mu.Lock()
	defer q.mu.Unlock()
	holdings := make(map[domain.BatchID]holding, len(ids))
	for _, id := range ids {
		if h, ok := q.held[id]; ok {
			holdings[id] = h
		}
	}
	return holdings
}

// release lets go of batches, unless they have been handed to us again
// meanwhile.
func (q *Queue) release(holdings map[domain.BatchID]holding) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for id, h := range holdings {
		if q.held[id] == h {
			delete(q.held, id)
		}
	}
}

// tidyEvery is how many beats there are from one tidying to the next: a minute by
// default.
const tidyEvery = 60

// beat shows that this worker is alive while it holds anything, until ctx ends,
// and tidies up now and then. At the end it gives back what it holds. A worker that
// holds nothing need not be alive: claiming shows it before anything is handed out.
func (q *Queue) beat(ctx context.Context) {
	ticker := time.NewTicker(q.config.Heartbeat / 3)
	defer ticker.Stop()
	k := &q.pool.keys
	for n := 1; ctx.Err() == nil; n++ {
		select {
		case <-ticker.C:
			// An outage is logged where it begins; others wait for nothing.
			switch {
			case n%tidyEvery == 0:
				q.logFailure(ctx, q.tidy(ctx))
			case q.holdsAny():
				q.logFailure(ctx, q.show(ctx))
			}
		case <-ctx.Done():
		}
	}
	last := context.WithoutCancel(ctx)
	_, err := q.pool.run(last, "queue.leave", leaveScript, k.stream, k.workers, k.arrivals, q.worker)
	q.logFailure(last, err)
}

// show shows that this worker is alive, and forgets others that are not.
func (q *Queue) show(ctx context.Context) error {
	k := &q.pool.keys
	_, err := q.pool.run(ctx, "queue.beat", beatScript, k.stream, k.workers, q.worker, q.config.Heartbeat.Milliseconds())
	return err
}

// tidy is show, and deletes expired receipts.
func (q *Queue) tidy(ctx context.Context) error {
	return errors.Join(q.show(ctx), q.expireReceipts(ctx))
}

// logFailure logs a failure of the background, but not each one of an outage.
func (q *Queue) logFailure(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil && q.pool.away.Load() == nil {
		q.pool.config.Log.Warn("the queue's background work failed", "error", err)
	}
}

// entry is an entry of the stream that was handed to us.
type entry struct {
	id      string
	attempt int
	fields  map[string][]byte
	reason  string // why it cannot be read
}

// parseEntries reads the answer of the script.
func parseEntries(answer []any) ([]entry, error) {
	entries := make([]entry, len(answer))
	for i := range answer {
		parts, err := redigo.Values(answer[i], nil)
		if err != nil {
			return nil, err
		}
		var fields []any
		if _, err := redigo.Scan(parts, &entries[i].id, &entries[i].attempt, &fields); err != nil {
			return nil, err
		}
		if entries[i].fields, err = parseFields(fields); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

func parseFields(pairs []any) (map[string][]byte, error) {
	values, err := redigo.ByteSlices(pairs, nil)
	if err != nil {
		return nil, err
	}
	fields := make(map[string][]byte, len(values)/2)
	for i := 0; i+1 < len(values); i += 2 {
		if _, ok := fields[string(values[i])]; !ok { // the first counts
			fields[string(values[i])] = values[i+1]
		}
	}
	return fields, nil
}

// batch reads the batch. The error tells, without any value, why it cannot.
func (e *entry) batch() (domain.Batch, error) { return batchOf(e.fields) }

func batchOf(fields map[string][]byte) (domain.Batch, error) {
	for _, name := range []string{"id", "n", "t", "b"} {
		if len(fields[name]) == 0 {
			return domain.Batch{}, fmt.Errorf("not an entry of ours: it has no %s", name)
		}
	}
	receivedAt, err := parseTime(string(fields["t"]))
	if err != nil {
		return domain.Batch{}, errors.New("its time cannot be read")
	}
	batch := domain.Batch{ID: domain.BatchID(fields["id"]), ReceivedAt: receivedAt}
	events, err := domain.DecodeEvents(fields["b"])
	if err != nil {
		return batch, err
	}
	if strconv.Itoa(len(events)) != string(fields["n"]) {
		return batch, errors.New("it has another number of events than it says")
	}
	batch.Events = events
	return batch, nil
}
