package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// RawEvents lists the raw events.
func (s *Store) RawEvents(ctx context.Context) ([]domain.Event, error) {
	var rows []struct {
		eventRow

		Hour           int64           `db:"hour"`
		Parameters     sql.NullString  `db:"parameters"`
		SequenceNumber sql.Null[int32] `db:"sequence_number"`
	}
	err := s.db.readers.SelectContext(ctx, &rows, `
		SELECT hour, version, tool, status, analytics_level, error_type, response_time_ms, service,
			cache_hit, retry_count, country, parameters, session_id, sequence_number FROM events ORDER BY id`)
	events := make([]domain.Event, len(rows))
	for i, r := range rows {
		events[i] = r.event(time.Unix(r.Hour, 0).UTC())
		events[i].Parameters, events[i].SequenceNumber = r.Parameters.String, present(r.SequenceNumber)
	}
	return events, err
}

// Buried is a dead letter.
type Buried struct {
	Batch  domain.Batch
	Reason string
}

// Buried lists the dead letters that can be read, oldest burial first.
func (db *DB) Buried(ctx context.Context) ([]Buried, error) {
	var rows []struct {
		ID         string `db:"id"`
		ReceivedAt int64  `db:"received_at"`
		Reason     string `db:"reason"`
		Payload    []byte `db:"payload"`
	}
	err := db.readers.SelectContext(ctx, &rows, `SELECT id, received_at, reason, payload FROM dead_letters ORDER BY place`)
	var buried []Buried
	for _, r := range rows {
		events, decodeErr := decodePayload(r.Payload)
		if decodeErr != nil {
			return nil, fmt.Errorf("%s: %w", r.ID, decodeErr)
		}
		batch := domain.Batch{ID: domain.BatchID(r.ID), ReceivedAt: time.UnixMicro(r.ReceivedAt).UTC(), Events: events}
		buried = append(buried, Buried{batch, r.Reason})
	}
	return buried, err
}

// Exec runs a statement that no caller of the package can run.
func (db *DB) Exec(ctx context.Context, statement string, args ...any) error {
	_, err := db.writer.ExecContext(ctx, statement, args...)
	return err
}

// Write runs statements in one transaction.
func (db *DB) Write(ctx context.Context, name string, statements ...string) error {
	return db.write(ctx, name, func(tx *sqlx.Tx) error {
		for _, s := range statements {
			if _, err := tx.ExecContext(ctx, s); err != nil {
				return err
			}
		}
		return nil
	})
}

// PlanOf tells how SQLite reads a selection's rollups.
func (db *DB) PlanOf(ctx context.Context, s domain.Selection, by domain.Dimension) ([]string, error) {
	return db.plan(ctx, rollupQuery(s, by))
}

// PlanOfErrors tells how SQLite reads a selection's errors.
func (db *DB) PlanOfErrors(ctx context.Context, s domain.Selection) ([]string, error) {
	return db.plan(ctx, errorQuery(s))
}

func (db *DB) plan(ctx context.Context, q *query) ([]string, error) {
	var rows []struct {
		ID, Parent, NotUsed int
		Detail              string
	}
	err := db.readers.SelectContext(ctx, &rows, `EXPLAIN QUERY PLAN `+q.text.String(), q.args...)
	var plan []string
	for _, r := range rows {
		plan = append(plan, r.Detail)
	}
	return plan, err
}

// Count counts the rows of a table.
func (db *DB) Count(ctx context.Context, table string) (n int, err error) {
	err = db.readers.GetContext(ctx, &n, `SELECT count(*) FROM `+table)
	return n, err
}

// Reconnect closes every connection of readers and the writer, as happens after an
// interruption. One in use, which the checkpoint may hold, is closed when it is free.
func (db *DB) Reconnect(t *testing.T) {
	t.Helper()
	for _, pool := range []*sqlx.DB{db.readers, db.writer} {
		for until := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			pool.SetMaxIdleConns(-1)
			if pool.Stats().OpenConnections == 0 {
				break
			}
			if time.Now().After(until) {
				t.Fatalf("%d connections stay open", pool.Stats().OpenConnections)
			}
		}
		pool.SetMaxIdleConns(1)
	}
}

// Tables lists the tables that there are to be.
func (db *DB) Tables() []string { return db.tables }

// WithFile opens a database by itself and lets do run statements on it.
func WithFile(path string, do func(ctx context.Context, exec func(context.Context, string) error) error) error {
	return withFile(path, "rwc", func(db *sql.DB) error {
		return do(context.Background(), func(ctx context.Context, statement string) error {
			_, err := db.ExecContext(ctx, statement)
			return err
		})
	})
}
