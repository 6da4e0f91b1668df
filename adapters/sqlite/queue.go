package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var (
	_ ports.EventQueue = (*Queue)(nil)
	_ ports.Deliveries = (*Queue)(nil)
	_ ports.QueueMeter = (*Queue)(nil)
	_ ports.Intake     = (*Queue)(nil)
)

// QueueConfig tunes a queue. Zero values mean the defaults.
type QueueConfig struct {
	// MaxEvents and MaxBytes bound what the queue holds. Defaults those of
	// package domain.
	MaxEvents, MaxBytes int
	// MaxDeadLetters and MaxDeadLetterBytes bound what was buried. Defaults those
	// of package domain.
	MaxDeadLetters, MaxDeadLetterBytes int
	// MaxReceipts and MaxReceiptBytes bound what is kept for idempotency keys.
	// Defaults those of package domain.
	MaxReceipts, MaxReceiptBytes int
	// MaxWaiting and MaxWaitingBytes bound the batches that wait for the disk;
	// others are refused at once. Defaults 1,024 and 8 MB.
	MaxWaiting, MaxWaitingBytes int
}

// The defaults of what waits for the disk.
const (
	defaultMaxWaiting      = 1_024
	defaultMaxWaitingBytes = 8 << 20
)

// Queue is the queue in a [DB], which has one only. What is handed out is known
// to the process alone, so whatever a killed process had in hand is waiting
// again as soon as the next one starts.
type Queue struct {
	db     *DB
	config QueueConfig

	choosing sync.Mutex // held by the one who chooses what to hand out

	mu   sync.Mutex
	held map[domain.BatchID]int64 // by their places
	// No place before from has a batch that is not held. returned is the first at
	// which one was let go of since unheld was called.
	from, returned int64
	arrival        chan struct{} // closed, and replaced, when there may be a batch to hand out
	settled        time.Duration // when a batch was last acknowledged or buried, on the clock's Elapsed
	resumed        time.Duration // when batches are taken again, on the same
}

// NewQueue returns the queue in db.
func NewQueue(db *DB, config QueueConfig) *Queue {
	config.MaxEvents = cmp.Or(config.MaxEvents, domain.DefaultMaxQueueEvents)
	config.MaxBytes = cmp.Or(config.MaxBytes, domain.DefaultMaxQueueBytes)
	config.MaxDeadLetters = cmp.Or(config.MaxDeadLetters, domain.DefaultMaxDeadLetters)
	config.MaxDeadLetterBytes = cmp.Or(config.MaxDeadLetterBytes, domain.DefaultMaxDeadLetterBytes)
	config.MaxReceipts = cmp.Or(config.MaxReceipts, domain.DefaultMaxReceipts)
	config.MaxReceiptBytes = cmp.Or(config.MaxReceiptBytes, domain.DefaultMaxReceiptBytes)
	config.MaxWaiting = cmp.Or(config.MaxWaiting, defaultMaxWaiting)
	config.MaxWaitingBytes = cmp.Or(config.MaxWaitingBytes, defaultMaxWaitingBytes)
	return &Queue{
		db:      db,
		config:  config,
		held:    make(map[domain.BatchID]int64),
		arrival: make(chan struct{}),
		settled: db.config.Clock.Elapsed(),
		resumed: db.config.Clock.Elapsed(),
	}
}

// Receive hands out batches, as ports.Deliveries promises.
func (q *Queue) Receive(ctx context.Context, maxEvents int, wait time.Duration) ([]ports.Delivery, error) {
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for {
		arrival := q.nextArrival() // before looking, so that none is missed
		deliveries, err := q.take(ctx, maxEvents)
		if err != nil || len(deliveries) > 0 {
			return deliveries, err
		}
		select {
		case <-arrival:
		case <-timeout.C:
			return nil, nil
		case <-ctx.Done():
		}
	}
}

// take hands out what there is. What cannot be read is buried. Attempts need no
// sync: after a loss of power one may count for nothing.
func (q *Queue) take(ctx context.Context, maxEvents int) ([]ports.Delivery, error) {
	chosen, err := q.choose(ctx, maxEvents)
	if err != nil || len(chosen) == 0 {
		return nil, err
	}
	var deliveries []ports.Delivery
	for chunk := range slices.Chunk(chosen, queueChunk) {
		if err = q.countAttempts(ctx, chunk); err != nil {
			break
		}
	}
	if err == nil {
		deliveries, err = q.deliver(ctx, chosen)
	}
	if err != nil {
		q.release(idsOf(chosen)...)
		return nil, err
	}
	return deliveries, nil
}

// queued is a batch that was chosen to be handed out.
type queued struct {
	place int64
	batch domain.Batch
	// damage is why its events cannot be read.
	damage   error
	attempts int
}

func idsOf(chosen []queued) []domain.BatchID {
	ids := make([]domain.BatchID, len(chosen))
	for i := range chosen {
		ids[i] = chosen[i].batch.ID
	}
	return ids
}

// choose reads the oldest batches that are not held, and holds them.
func (q *Queue) choose(ctx context.Context, maxEvents int) ([]queued, error) {
	const name = "queue.receive"
	q.choosing.Lock()
	defer q.choosing.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, q.db.queue.translate(ctx, name, err)
	}
	if q.db.closed.Load() {
		return nil, q.db.queue.translate(ctx, name, errClosed)
	}
	from, waiting := q.unheld()
	if !waiting {
		return nil, nil
	}
	read, err := q.db.queue.reading.get(ctx, `SELECT place, id, received_at, events, payload FROM queue WHERE place >= ? ORDER BY place`)
	if err != nil {
		return nil, q.db.queue.translate(ctx, name, err)
	}
	var chosen []queued
	err = q.db.queue.read(ctx, name, func(tx *sqlx.Tx) error {
		rows, err := tx.StmtxContext(ctx, read).QueryContext(ctx, from)
		if err != nil {
			return err
		}
		defer rows.Close()
		for events := 0; rows.Next(); {
			b, size, err := q.scan(rows)
			if err != nil {
				return err
			}
			if b == nil {
				continue
			}
			if events += size; len(chosen) > 0 && events > maxEvents {
				break
			}
			chosen = append(chosen, *b)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	q.hold(chosen)
	return chosen, nil
}

// scan reads a row of choose and how many events it has; nil for a batch that is
// held.
func (q *Queue) scan(rows *sql.Rows) (*queued, int, error) {
	var (
		b          queued
		receivedAt int64
		events     int
		payload    sql.RawBytes // copied by decoding
	)
	if err := rows.Scan(&b.place, &b.batch.ID, &receivedAt, &events, &payload); err != nil {
		return nil, 0, err
	}
	if q.isHeld(b.batch.ID) {
		return nil, 0, nil
	}
	b.batch.ReceivedAt = time.UnixMicro(receivedAt).UTC()
	b.batch.Events, b.damage = domain.DecodeEvents(payload)
	return &b, events, nil
}

// countAttempts notes durably that the batches are handed out.
func (q *Queue) countAttempts(ctx context.Context, chosen []queued) error {
	at := make(map[int64]int, len(chosen))
	places := make([]int64, len(chosen))
	for i := range chosen {
		places[i] = chosen[i].place
		at[places[i]] = i
	}
	list, _ := json.Marshal(places) // numbers always can be encoded
	return q.db.queue.writeUnsynced(ctx, "queue.receive", func(tx *sqlx.Tx) error {
		rows, err := tx.QueryContext(ctx, `
			INSERT INTO queue_attempts (place, attempts) SELECT value, 1 FROM json_each(?) WHERE true
			ON CONFLICT DO UPDATE SET attempts = attempts + 1 RETURNING place, attempts`, string(list))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var place int64
			var attempts int
			if err := rows.Scan(&place, &attempts); err != nil {
				return err
			}
			chosen[at[place]].attempts = attempts
		}
		return rows.Err()
	})
}

// deliver returns what can be read and buries the rest.
func (q *Queue) deliver(ctx context.Context, chosen []queued) ([]ports.Delivery, error) {
	deliveries := make([]ports.Delivery, 0, len(chosen))
	for _, b := range chosen {
		if b.damage == nil {
			deliveries = append(deliveries, ports.Delivery{Batch: b.batch, Attempt: b.attempts})
			continue
		}
		q.db.config.Log.Error("a batch in the queue cannot be read and is buried", "batch", b.batch.ID)
		if err := q.Bury(ctx, b.batch.ID, "the queue's entry cannot be read"); err != nil {
			return nil, err
		}
	}
	return deliveries, nil
}

// Acknowledge forgets batches, as ports.Deliveries promises. After an error it
// lets go of them, so that they are handed out again. It needs no sync: what comes
// back after a loss of power is known to the store.
func (q *Queue) Acknowledge(ctx context.Context, ids ...domain.BatchID) error {
	for chunk := range slices.Chunk(ids, queueChunk) {
		if err := q.acknowledge(ctx, chunk); err != nil {
			q.release(ids...)
			return err
		}
	}
	return nil
}

// queueChunk is how many batches a transaction of a worker changes: those who enqueue
// wait for it, so it is short.
const queueChunk = 500

func (q *Queue) acknowledge(ctx context.Context, ids []domain.BatchID) error {
	list, _ := json.Marshal(ids) // strings always can be encoded
	var deleted size
	err := q.db.queue.writeUnsynced(ctx, "queue.acknowledge", func(tx *sqlx.Tx) (err error) {
		deleted, err = deleteQueued(ctx, tx, `id IN (SELECT value FROM json_each(?))`, string(list))
		return err
	})
	q.settle(deleted, err, ids)
	return err
}

// deleteQueued deletes batches, and returns what they counted with.
func deleteQueued(ctx context.Context, tx *sqlx.Tx, where string, args ...any) (size, error) {
	var deleted size
	rows, err := tx.QueryContext(ctx, `DELETE FROM queue WHERE `+where+` RETURNING events, length(payload)`, args...)
	if err != nil {
		return deleted, err
	}
	defer rows.Close()
	for rows.Next() {
		one := size{Batches: 1}
		if err := rows.Scan(&one.Events, &one.Bytes); err != nil {
			return deleted, err
		}
		one.Bytes += domain.BatchOverhead
		deleted.add(one)
	}
	return deleted, rows.Err()
}

// Return gives batches back, as ports.Deliveries promises.
func (q *Queue) Return(ctx context.Context, ids ...domain.BatchID) error {
	if err := ctx.Err(); err != nil {
		return q.db.queue.translate(ctx, "queue.return", err)
	}
	q.release(ids...)
	return nil
}

// Bury moves a batch to the dead letters, as ports.Deliveries promises. After
// an error it lets go of the batch, so that it is handed out again.
func (q *Queue) Bury(ctx context.Context, id domain.BatchID, reason string) error {
	var deleted size
	err := q.db.queue.write(ctx, "queue.bury", func(tx *sqlx.Tx) (err error) {
		deleted, err = q.bury(ctx, tx, id, reason)
		return err
	})
	q.settle(deleted, err, []domain.BatchID{id})
	return err
}

func (q *Queue) bury(ctx context.Context, tx *sqlx.Tx, id domain.BatchID, reason string) (size, error) {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO dead_letters (id, received_at, buried_at, events, attempts, reason, payload)
		SELECT id, received_at, ?, events, coalesce(attempts, 0), ?, payload
		FROM queue LEFT JOIN queue_attempts USING (place) WHERE id = ?`,
		q.db.config.Clock.Now().UnixMicro(), reason, id)
	if err != nil {
		return size{}, err
	}
	deleted, err := deleteQueued(ctx, tx, `id = ?`, id)
	if err != nil {
		return size{}, err
	}
	return deleted, q.boundDeadLetters(ctx, tx)
}

// Depth measures the queue, as ports.QueueMeter promises.
func (q *Queue) Depth(ctx context.Context) (ports.QueueDepth, error) {
	var row struct {
		DeadLetters  int           `db:"dead_letters"`
		Receipts     int           `db:"receipts"`
		ReceiptBytes int           `db:"receipt_bytes"`
		Oldest       sql.NullInt64 `db:"oldest"`
	}
	err := q.db.queue.read(ctx, "queue.depth", func(tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &row, `
			SELECT (SELECT count(*) FROM dead_letters) AS dead_letters,
				receipts_size.receipts, receipts_size.bytes AS receipt_bytes,
				(SELECT received_at FROM queue ORDER BY place LIMIT 1) AS oldest
			FROM receipts_size`)
	})
	if err != nil {
		return ports.QueueDepth{}, err
	}
	held := q.db.sizes.now()
	q.mu.Lock()
	defer q.mu.Unlock()
	clock := q.db.config.Clock
	depth := ports.QueueDepth{
		MaxEvents: q.config.MaxEvents, MaxBytes: q.config.MaxBytes, Suspended: clock.Elapsed() < q.resumed,
		Batches: held.Batches, Events: held.Events, Bytes: held.Bytes, DeadLetters: row.DeadLetters,
		Receipts: row.Receipts, ReceiptBytes: row.ReceiptBytes,
	}
	if row.Oldest.Valid {
		depth.Oldest = time.UnixMicro(row.Oldest.Int64).UTC()
		depth.OldestAge = max(0, clock.Now().Sub(depth.Oldest))
		depth.Waiting = max(0, min(depth.OldestAge, clock.Elapsed()-q.settled))
	}
	return depth, nil
}

// Suspend closes the way in, as ports.Intake promises.
func (q *Queue) Suspend(ctx context.Context, lifetime time.Duration) error {
	if err := ctx.Err(); err != nil {
		return q.db.queue.translate(ctx, "queue.suspend", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.resumed = q.db.config.Clock.Elapsed() + lifetime
	return nil
}

// Resume opens the way in, as ports.Intake promises.
func (q *Queue) Resume(ctx context.Context) error { return q.Suspend(ctx, 0) }

// admit refuses batches while the way in is closed.
func (q *Queue) admit() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.db.config.Clock.Elapsed() < q.resumed {
		return domain.NewError(domain.CodeDiskFull, nil, "the disk has no room: try again later")
	}
	return nil
}

// settle forgets batches that were deleted. After an error they were not, and are
// handed out again.
func (q *Queue) settle(deleted size, failure error, ids []domain.BatchID) {
	if failure != nil {
		q.release(ids...)
		return
	}
	q.db.sizes.remove(deleted)
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		delete(q.held, id)
	}
	if deleted.Batches > 0 {
		q.settled = q.db.config.Clock.Elapsed()
	}
}

// unheld returns the first place at which there may be a batch that is not held,
// and whether there is one at all.
func (q *Queue) unheld() (from int64, waiting bool) {
	batches := q.db.sizes.now().Batches
	q.mu.Lock()
	defer q.mu.Unlock()
	q.returned = math.MaxInt64
	return q.from, batches > len(q.held)
}

func (q *Queue) isHeld(id domain.BatchID) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	_, held := q.held[id]
	return held
}

// hold notes the batches that were chosen since the last call of unheld.
func (q *Queue) hold(chosen []queued) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range chosen {
		q.held[chosen[i].batch.ID] = chosen[i].place
		q.from = min(chosen[i].place+1, q.returned)
	}
}

func (q *Queue) nextArrival() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.arrival
}

// release lets go of batches; those still in the queue can be handed out again.
func (q *Queue) release(ids ...domain.BatchID) {
	q.mu.Lock()
	for _, id := range ids {
		if place, held := q.held[id]; held {
			q.from, q.returned = min(q.from, place), min(q.returned, place)
			delete(q.held, id)
		}
	}
	q.mu.Unlock()
	q.announce()
}

func (q *Queue) announce() {
	q.mu.Lock()
	defer q.mu.Unlock()
	close(q.arrival)
	q.arrival = make(chan struct{})
}
