package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
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
}

// Queue is the queue in a [DB], which has one only. What is handed out is known
// to the process alone, so whatever a killed process had in hand is waiting
// again as soon as the next one starts.
type Queue struct {
	db     *DB
	config QueueConfig

	mu      sync.Mutex
	held    map[domain.BatchID]struct{}
	arrival chan struct{} // closed, and replaced, when there may be a batch to hand out
	settled time.Duration // when a batch was last acknowledged or buried, on the clock's Elapsed
	resumed time.Duration // when batches are taken again, on the same
}

// NewQueue returns the queue in db.
func NewQueue(db *DB, config QueueConfig) *Queue {
	config.MaxEvents = cmp.Or(config.MaxEvents, domain.DefaultMaxQueueEvents)
	config.MaxBytes = cmp.Or(config.MaxBytes, domain.DefaultMaxQueueBytes)
	config.MaxDeadLetters = cmp.Or(config.MaxDeadLetters, domain.DefaultMaxDeadLetters)
	config.MaxDeadLetterBytes = cmp.Or(config.MaxDeadLetterBytes, domain.DefaultMaxDeadLetterBytes)
	config.MaxReceipts = cmp.Or(config.MaxReceipts, domain.DefaultMaxReceipts)
	config.MaxReceiptBytes = cmp.Or(config.MaxReceiptBytes, domain.DefaultMaxReceiptBytes)
	return &Queue{
		db:      db,
		config:  config,
		held:    make(map[domain.BatchID]struct{}),
		arrival: make(chan struct{}),
		settled: db.config.Clock.Elapsed(),
		resumed: db.config.Clock.Elapsed(),
	}
}

// Enqueue holds the batch, as ports.EventQueue promises.
func (q *Queue) Enqueue(ctx context.Context, batch domain.Batch) error {
	data := encodePayload(batch.Events)
	insert, err := q.db.writing.get(ctx, insertQueued)
	if err != nil {
		return q.db.translate(ctx, "queue.enqueue", err)
	}
	err = q.db.write(ctx, "queue.enqueue", func(tx *sqlx.Tx) error {
		ctx := context.WithoutCancel(ctx) // as in Store
		return q.insert(ctx, tx.StmtxContext(ctx, insert), batch, data)
	})
	if err == nil {
		q.announce()
	}
	return err
}

const insertQueued = `
	INSERT INTO queue (id, received_at, events, payload)
	SELECT ?, ?, ?, ? FROM queue_size WHERE queue_size.events + ? <= ? AND queue_size.bytes + ? <= ?`

// insert adds the batch with insertQueued if there is room for it.
func (q *Queue) insert(ctx context.Context, insert *sqlx.Stmt, batch domain.Batch, data []byte) error {
	if err := q.admit(); err != nil {
		return err
	}
	result, err := insert.ExecContext(ctx, string(batch.ID), batch.ReceivedAt.UnixMicro(), len(batch.Events), data,
		len(batch.Events), q.config.MaxEvents, len(data)+domain.BatchOverhead, q.config.MaxBytes)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return domain.NewError(domain.CodeQueueFull, nil, "the queue is full: try again later")
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

// take hands out what there is. Only a queue that has something to hand out is
// written to, and payloads are read and decoded while others may write. What
// cannot be read is buried. Attempts need no sync: after a loss of power one may
// count for nothing.
func (q *Queue) take(ctx context.Context, maxEvents int) ([]ports.Delivery, error) {
	waiting, err := q.waiting(ctx)
	if err != nil || !waiting {
		return nil, err
	}
	count, err := q.db.writing.get(ctx, countAttempt)
	if err != nil {
		return nil, q.db.translate(ctx, "queue.receive", err)
	}
	var places []queuePlace
	err = q.db.writeUnsynced(ctx, "queue.receive", func(tx *sqlx.Tx) error {
		var err error
		if places, err = q.hold(ctx, tx, maxEvents); err != nil {
			return err
		}
		return countAttempts(ctx, tx.StmtxContext(ctx, count), places)
	})
	var deliveries []ports.Delivery
	if err == nil {
		deliveries, err = q.deliver(ctx, places)
	}
	if err != nil {
		deliveries = nil
	}
	if len(deliveries) < len(places) {
		q.release(notIn(deliveries, places)...)
	}
	return deliveries, err
}

const countAttempt = `
	INSERT INTO queue_attempts (place, attempts) VALUES (?, 1)
	ON CONFLICT DO UPDATE SET attempts = attempts + 1 RETURNING attempts`

func countAttempts(ctx context.Context, count *sqlx.Stmt, places []queuePlace) error {
	for i := range places {
		if err := count.GetContext(ctx, &places[i].Attempts, places[i].Place); err != nil {
			return err
		}
	}
	return nil
}

func (q *Queue) waiting(ctx context.Context) (bool, error) {
	var batches int
	err := q.db.read(ctx, "queue.waiting", func(tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &batches, `SELECT batches FROM queue_size`)
	})
	q.mu.Lock()
	defer q.mu.Unlock()
	return batches > len(q.held), err
}

type queuePlace struct {
	Place  int64          `db:"place"`
	ID     domain.BatchID `db:"id"`
	Events int            `db:"events"`
	// Attempts is how often it was handed out, this time included.
	Attempts int `db:"attempts"`
}

// hold chooses the batches to hand out and holds them. Transactions that write
// come one after the other, so nobody else chooses the same.
func (q *Queue) hold(ctx context.Context, tx *sqlx.Tx, maxEvents int) ([]queuePlace, error) {
	rows, err := tx.QueryxContext(ctx, `SELECT place, id, events FROM queue ORDER BY place`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	q.mu.Lock()
	defer q.mu.Unlock()
	var places []queuePlace
	for events := 0; rows.Next(); {
		var p queuePlace
		if err := rows.StructScan(&p); err != nil {
			return nil, err
		}
		if _, held := q.held[p.ID]; held {
			continue
		}
		if events += p.Events; len(places) > 0 && events > maxEvents {
			break
		}
		places = append(places, p)
	}
	for _, p := range places {
		q.held[p.ID] = struct{}{}
	}
	return places, rows.Err()
}

// deliver reads the batches. No other worker takes away what is held.
func (q *Queue) deliver(ctx context.Context, places []queuePlace) ([]ports.Delivery, error) {
	type queued struct {
		ReceivedAt int64  `db:"received_at"`
		Payload    []byte `db:"payload"`
	}
	read, err := q.db.reading.get(ctx, `SELECT received_at, payload FROM queue WHERE place = ?`)
	if err != nil {
		return nil, q.db.translate(ctx, "queue.deliver", err)
	}
	rows := make([]queued, len(places))
	err = q.db.read(ctx, "queue.deliver", func(tx *sqlx.Tx) error {
		read := tx.StmtxContext(ctx, read) //nolint:sqlclosecheck // the transaction closes it
		for i, p := range places {
			if err := read.GetContext(ctx, &rows[i], p.Place); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	deliveries := make([]ports.Delivery, 0, len(places))
	for i, p := range places {
		events, err := decodePayload(rows[i].Payload)
		if err != nil {
			q.db.config.Log.Error("a batch in the queue cannot be read and is buried", "batch", p.ID)
			if err := q.Bury(ctx, p.ID, "the queue's entry cannot be read"); err != nil {
				return nil, err
			}
			continue
		}
		batch := domain.Batch{ID: p.ID, ReceivedAt: time.UnixMicro(rows[i].ReceivedAt).UTC(), Events: events}
		deliveries = append(deliveries, ports.Delivery{Batch: batch, Attempt: p.Attempts})
	}
	return deliveries, nil
}

// Acknowledge forgets batches, as ports.Deliveries promises. After an error it
// lets go of them, so that they are handed out again. It needs no sync: what comes
// back after a loss of power is known to the store.
func (q *Queue) Acknowledge(ctx context.Context, ids ...domain.BatchID) error {
	list, _ := json.Marshal(ids) // strings always can be encoded
	err := q.db.writeUnsynced(ctx, "queue.acknowledge", func(tx *sqlx.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM queue WHERE id IN (SELECT value FROM json_each(?))`, string(list))
		return err
	})
	if err == nil && len(ids) > 0 {
		q.settle()
	}
	q.release(ids...)
	return err
}

// Return gives batches back, as ports.Deliveries promises.
func (q *Queue) Return(ctx context.Context, ids ...domain.BatchID) error {
	if err := ctx.Err(); err != nil {
		return q.db.translate(ctx, "queue.return", err)
	}
	q.release(ids...)
	return nil
}

// Bury moves a batch to the dead letters, as ports.Deliveries promises. After
// an error it lets go of the batch, so that it is handed out again.
func (q *Queue) Bury(ctx context.Context, id domain.BatchID, reason string) error {
	err := q.db.write(ctx, "queue.bury", func(tx *sqlx.Tx) error {
		return q.bury(ctx, tx, id, reason)
	})
	if err == nil {
		q.settle()
	}
	q.release(id)
	return err
}

func (q *Queue) bury(ctx context.Context, tx *sqlx.Tx, id domain.BatchID, reason string) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO dead_letters (id, received_at, buried_at, events, attempts, reason, payload)
		SELECT id, received_at, ?, events, coalesce(attempts, 0), ?, payload
		FROM queue LEFT JOIN queue_attempts USING (place) WHERE id = ?`,
		q.db.config.Clock.Now().UnixMicro(), reason, id)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM queue WHERE id = ?`, id); err != nil {
		return err
	}
	return q.boundDeadLetters(ctx, tx)
}

// Depth measures the queue, as ports.QueueMeter promises.
func (q *Queue) Depth(ctx context.Context) (ports.QueueDepth, error) {
	var row struct {
		Batches      int           `db:"batches"`
		Events       int           `db:"events"`
		Bytes        int           `db:"bytes"`
		DeadLetters  int           `db:"dead_letters"`
		Receipts     int           `db:"receipts"`
		ReceiptBytes int           `db:"receipt_bytes"`
		Oldest       sql.NullInt64 `db:"oldest"`
	}
	err := q.db.read(ctx, "queue.depth", func(tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &row, `
			SELECT batches, events, queue_size.bytes,
				(SELECT count(*) FROM dead_letters) AS dead_letters,
				receipts_size.receipts, receipts_size.bytes AS receipt_bytes,
				(SELECT received_at FROM queue ORDER BY place LIMIT 1) AS oldest
			FROM queue_size, receipts_size`)
	})
	if err != nil {
		return ports.QueueDepth{}, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	clock := q.db.config.Clock
	depth := ports.QueueDepth{
		MaxEvents: q.config.MaxEvents, MaxBytes: q.config.MaxBytes, Suspended: clock.Elapsed() < q.resumed,
		Batches: row.Batches, Events: row.Events, Bytes: row.Bytes, DeadLetters: row.DeadLetters,
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
		return q.db.translate(ctx, "queue.suspend", err)
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

// settle notes that a batch has left the queue.
func (q *Queue) settle() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.settled = q.db.config.Clock.Elapsed()
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
		delete(q.held, id)
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

// notIn lists the places that were chosen and not delivered.
func notIn(deliveries []ports.Delivery, places []queuePlace) []domain.BatchID {
	var ids []domain.BatchID
	for _, p := range places {
		if !slices.ContainsFunc(deliveries, func(d ports.Delivery) bool { return d.Batch.ID == p.ID }) {
			ids = append(ids, p.ID)
		}
	}
	return ids
}
