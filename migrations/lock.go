package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pressly/goose/v3/lock"
)

// The lock under which a PostgreSQL database is changed: its number, how often
// it is tried, and for how long. A step on a large database may take long.
const (
	postgresLock = 7_732_816_001
	lockPeriod   = time.Second
	lockPatience = 30 * time.Minute
)

var _ lock.Locker = (*transactionLock)(nil)

// transactionLock is an advisory lock that a transaction of its own holds. The
// lock of a session would be lost or stay behind in a pooler such as PgBouncer,
// which gives each transaction another session.
type transactionLock struct{ holder *sql.Tx }

// Lock waits for the lock.
func (l *transactionLock) Lock(ctx context.Context, db *sql.DB) error {
	for end := time.Now().Add(lockPatience); ; {
		locked, err := l.try(ctx, db)
		if err != nil {
			return fmt.Errorf("lock: %w", err)
		}
		if locked {
			return nil
		}
		if time.Now().After(end) {
			return errors.New("another process has been changing the schema for half an hour")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockPeriod):
		}
	}
}

func (l *transactionLock) try(ctx context.Context, db *sql.DB) (bool, error) {
	// The holder waits for statements of others, however long they take.
	tx, err := db.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return false, err
	}
	_, err = tx.ExecContext(ctx, `SET LOCAL idle_in_transaction_session_timeout = 0`)
	var locked bool
	if err == nil {
		err = tx.QueryRowContext(ctx, `SELECT pg_try_advisory_xact_lock($1)`, int64(postgresLock)).Scan(&locked)
	}
	if err == nil && locked {
		l.holder = tx
		return true, nil
	}
	return false, errors.Join(err, tx.Rollback())
}

// Unlock gives the lock back.
func (l *transactionLock) Unlock(context.Context, *sql.DB) error {
	if err := l.holder.Rollback(); err != nil {
		return fmt.Errorf("unlock: %w", err)
	}
	return nil
}
