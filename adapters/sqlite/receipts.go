package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// EnqueueOnce holds the batch once for each key, as ports.EventQueue promises.
func (q *Queue) EnqueueOnce(
	ctx context.Context, request domain.KeyedRequest, batch domain.Batch, r domain.Receipt,
) (domain.Receipt, error) {
	key, fingerprint := request.Hashes(q.db.secret)
	e := newEntry(batch)
	e.key = &keyed{hash: key, fingerprint: fingerprint, receipt: r, encoded: domain.EncodeReceipt(fingerprint, r)}
	err := q.enqueue(ctx, e)
	if code := domain.CodeOf(err); code == domain.CodeQueueFull || code == domain.CodeDiskFull {
		// A repeat takes no room, and is answered all the same.
		if earlier, known, failure := q.Receipt(ctx, request); known || failure != nil {
			return earlier, failure
		}
	}
	if err != nil {
		return domain.Receipt{}, err
	}
	return e.key.receipt, nil
}

// keyed is what an entry has beside its batch if it came with an idempotency key.
type keyed struct {
	hash        domain.KeyHash
	fingerprint domain.Fingerprint
	// receipt is the new one, and then the one that is held.
	receipt domain.Receipt
	encoded []byte
}

// receiptWriter holds the receipts of one transaction.
type receiptWriter struct {
	config               *QueueConfig
	tx                   *sqlx.Tx
	now                  time.Time
	find, remove, insert *sqlx.Stmt
	added                bool
}

// The statements of newReceiptWriter, in their order.
const (
	selectReceipt = `SELECT receipt FROM receipts WHERE hash = ? AND NOT ` + isOver
	deleteReceipt = `DELETE FROM receipts WHERE hash = ?`
	insertReceipt = `INSERT INTO receipts (hash, expires_at, bytes, receipt) VALUES (?, ?, ?, ?)`
)

func (q *Queue) newReceiptWriter(ctx context.Context, tx *sqlx.Tx, statements []*sqlx.Stmt) *receiptWriter {
	return &receiptWriter{
		config: &q.config, tx: tx, now: q.db.config.Clock.Now(),
		find: tx.StmtxContext(ctx, statements[0]), remove: tx.StmtxContext(ctx, statements[1]), insert: tx.StmtxContext(ctx, statements[2]),
	}
}

// recall looks for a receipt that is held under the key, and makes it the key's.
func (w *receiptWriter) recall(ctx context.Context, key *keyed) (known bool, err error) {
	if key == nil {
		return false, nil
	}
	var earlier []byte
	err = w.find.GetContext(ctx, &earlier, append([]any{key.hash[:]}, overAt(w.now)...)...)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, err
	}
	key.receipt, err = domain.RecallReceipt(earlier, key.fingerprint)
	return true, err
}

// add holds the key's receipt.
func (w *receiptWriter) add(ctx context.Context, key *keyed) error {
	if key == nil {
		return nil
	}
	w.added = true
	// One whose time is over may still be there.
	if _, err := w.remove.ExecContext(ctx, key.hash[:]); err != nil {
		return err
	}
	_, err := w.insert.ExecContext(ctx, key.hash[:], w.now.Add(domain.IdempotencyLifetime).UnixMicro(),
		len(key.encoded)+domain.ReceiptOverhead, key.encoded)
	return err
}

// bound forgets receipts whose time is over, and makes room for those that were added
// at the expense of the oldest.
func (w *receiptWriter) bound(ctx context.Context) error {
	if !w.added {
		return nil
	}
	if _, err := expireReceipts(ctx, w.tx, w.now); err != nil {
		return err
	}
	for {
		result, err := w.tx.ExecContext(ctx, deleteOldestReceipt,
			w.config.MaxReceipts, w.config.MaxReceiptBytes)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return err
		}
	}
}

// Receipt looks a receipt up, as ports.EventQueue promises.
func (q *Queue) Receipt(ctx context.Context, request domain.KeyedRequest) (domain.Receipt, bool, error) {
	key, fingerprint := request.Hashes(q.db.secret)
	var r domain.Receipt
	known := false
	err := q.db.queue.read(ctx, "queue.receipt", func(tx *sqlx.Tx) error {
		var earlier []byte
		err := tx.GetContext(ctx, &earlier, selectReceipt, append([]any{key[:]}, overAt(q.db.config.Clock.Now())...)...)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err == nil {
			r, err = domain.RecallReceipt(earlier, fingerprint)
		}
		known = err == nil
		return err
	})
	if err != nil || !known {
		return domain.Receipt{}, false, err
	}
	return r, true, nil
}

// isOver is the condition of receipts whose time is over, or was set by a clock
// that was wrong. Its parameters are those of overAt.
const isOver = `(expires_at <= ? OR expires_at > ?)`

func overAt(now time.Time) []any {
	return []any{now.UnixMicro(), now.Add(domain.IdempotencyLifetime + domain.ReceiptTolerance).UnixMicro()}
}

const (
	// Without an order, for which SQLite would read all receipts.
	deleteExpiredReceipts = `DELETE FROM receipts WHERE place IN (SELECT place FROM receipts WHERE ` + isOver + ` LIMIT ?)`
	deleteOldestReceipt   = `
		DELETE FROM receipts WHERE place = (SELECT min(place) FROM receipts)
			AND EXISTS (SELECT * FROM receipts_size WHERE receipts > ? OR receipts_size.bytes > ?)`
)

// expireReceipts deletes receipts whose time is over, as many as fit into one
// short transaction.
func expireReceipts(ctx context.Context, tx *sqlx.Tx, now time.Time) (int64, error) {
	result, err := tx.ExecContext(ctx, deleteExpiredReceipts, append(overAt(now), expireChunk)...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
