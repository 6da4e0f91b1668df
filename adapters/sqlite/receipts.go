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
	data := encodePayload(batch.Events)
	key, fingerprint := request.Hashes(q.db.secret)
	receipt := domain.EncodeReceipt(fingerprint, r)

	insert, err := q.db.writing.get(ctx, insertQueued)
	if err != nil {
		return domain.Receipt{}, q.db.translate(ctx, "queue.enqueue_once", err)
	}
	err = q.db.write(ctx, "queue.enqueue_once", func(tx *sqlx.Tx) error {
		now := q.db.config.Clock.Now()
		earlier, err := earlierReceipt(ctx, tx, key, now)
		if err == nil {
			r, err = domain.RecallReceipt(earlier, fingerprint)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err := q.insert(ctx, tx.StmtxContext(ctx, insert), batch, data); err != nil {
			return err
		}
		return q.keepReceipt(ctx, tx, key, receipt, now)
	})
	if err != nil {
		return domain.Receipt{}, err
	}
	q.announce()
	return r, nil
}

// Receipt looks a receipt up, as ports.EventQueue promises.
func (q *Queue) Receipt(ctx context.Context, request domain.KeyedRequest) (domain.Receipt, bool, error) {
	key, fingerprint := request.Hashes(q.db.secret)
	var r domain.Receipt
	known := false
	err := q.db.read(ctx, "queue.receipt", func(tx *sqlx.Tx) error {
		earlier, err := earlierReceipt(ctx, tx, key, q.db.config.Clock.Now())
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

// earlierReceipt returns what is kept for the key, or sql.ErrNoRows.
func earlierReceipt(ctx context.Context, tx *sqlx.Tx, key domain.KeyHash, now time.Time) ([]byte, error) {
	var data []byte
	err := tx.GetContext(ctx, &data, `SELECT receipt FROM receipts WHERE hash = ? AND NOT `+isOver,
		append([]any{key[:]}, overAt(now)...)...)
	return data, err
}

// keepReceipt keeps a receipt, forgets those whose time is over, and makes room
// at the expense of the oldest.
func (q *Queue) keepReceipt(ctx context.Context, tx *sqlx.Tx, key domain.KeyHash, receipt []byte, now time.Time) error {
	if _, err := expireReceipts(ctx, tx, now); err != nil {
		return err
	}
	// One whose time is over may be left of more than one transaction deletes.
	if _, err := tx.ExecContext(ctx, `DELETE FROM receipts WHERE hash = ?`, key[:]); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO receipts (hash, expires_at, bytes, receipt) VALUES (?, ?, ?, ?)`,
		key[:], now.Add(domain.IdempotencyLifetime).UnixMicro(), len(receipt)+domain.ReceiptOverhead, receipt)
	if err != nil {
		return err
	}
	for {
		result, err := tx.ExecContext(ctx, `
			DELETE FROM receipts WHERE place = (SELECT min(place) FROM receipts)
				AND EXISTS (SELECT * FROM receipts_size WHERE receipts > ? OR receipts_size.bytes > ?)`,
			q.config.MaxReceipts, q.config.MaxReceiptBytes)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return err
		}
	}
}

// expireReceipts deletes receipts whose time is over, as many as fit into one
// short transaction.
func expireReceipts(ctx context.Context, tx *sqlx.Tx, now time.Time) (int64, error) {
	result, err := tx.ExecContext(ctx,
		`DELETE FROM receipts WHERE place IN (SELECT place FROM receipts WHERE `+isOver+` ORDER BY place LIMIT ?)`,
		append(overAt(now), expireChunk)...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
