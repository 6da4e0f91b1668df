package redis

import (
	"context"

	redigo "github.com/gomodule/redigo/redis"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// EnqueueOnce holds the batch once for each key, as ports.EventQueue promises.
// The secret that hashes keys and bodies is made by whoever comes first and kept
// with the queue.
func (q *Queue) EnqueueOnce(
	ctx context.Context, request domain.KeyedRequest, batch domain.Batch, r domain.Receipt,
) (domain.Receipt, error) {
	entry := entryOf(batch)
	for {
		secret := q.hashSecret()
		key, fingerprint := request.Hashes([]byte(secret))
		outcome, err := q.enqueueOnce(ctx, secret, key, entry, domain.EncodeReceipt(fingerprint, r))
		if err != nil {
			return domain.Receipt{}, err
		}
		switch outcome[0] {
		case "held":
			return r, nil
		case "known":
			return domain.RecallReceipt([]byte(outcome[1]), fingerprint)
		case "full":
			return domain.Receipt{}, errFull()
		case "suspended":
			return domain.Receipt{}, errSuspended()
		default: // another secret has been agreed on
			q.adoptSecret(outcome[1])
		}
	}
}

// Receipt looks a receipt up, as ports.EventQueue promises.
func (q *Queue) Receipt(ctx context.Context, request domain.KeyedRequest) (domain.Receipt, bool, error) {
	k := &q.pool.keys
	for {
		secret := q.hashSecret()
		key, fingerprint := request.Hashes([]byte(secret))
		outcome, err := redigo.Strings(q.pool.run(ctx, "queue.receipt", q.receiptScript,
			k.secret, k.receipts, k.receiptOrder, secret, key[:], lifetimes()[1]))
		if err != nil {
			return domain.Receipt{}, false, err
		}
		switch outcome[0] {
		case "unknown":
			return domain.Receipt{}, false, nil
		case "known":
			r, err := domain.RecallReceipt([]byte(outcome[1]), fingerprint)
			return r, err == nil, err
		default: // another secret has been agreed on
			q.adoptSecret(outcome[1])
		}
	}
}

// hashSecret is what keys and bodies are hashed with, as far as we know.
func (q *Queue) hashSecret() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.secret
}

func (q *Queue) adoptSecret(secret string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.secret = secret
}

func (q *Queue) enqueueOnce(ctx context.Context, secret string, key domain.KeyHash, entry []any, receipt []byte) ([]string, error) {
	k := &q.pool.keys
	args := append([]any{
		k.stream, k.size, k.arrivals, k.secret, k.receipts, k.receiptOrder, k.suspended,
		q.config.MaxEvents, q.config.MaxBytes,
	}, entry...)
	args = append(args, secret, key[:], receipt)
	args = append(args, lifetimes()...)
	args = append(args, domain.ReceiptOverhead, q.config.MaxReceipts, q.config.MaxReceiptBytes)
	return redigo.Strings(q.pool.run(ctx, "queue.enqueue_once", q.enqueueOnceScript, args...))
}

// lifetimes is how long a receipt is held, and for how long at most it may seem
// to be held, in milliseconds.
func lifetimes() []any {
	return []any{
		domain.IdempotencyLifetime.Milliseconds(),
		(domain.IdempotencyLifetime + domain.ReceiptTolerance).Milliseconds(),
	}
}

// expireReceipts deletes receipts whose time is over, so that they do not wait
// for the next request with a key.
func (q *Queue) expireReceipts(ctx context.Context) error {
	k := &q.pool.keys
	_, err := q.pool.run(ctx, "queue.expire_receipts", q.expireScript,
		k.receipts, k.receiptOrder, lifetimes()[1], domain.ReceiptOverhead)
	return err
}
