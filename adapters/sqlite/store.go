package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var (
	_ ports.EventStore       = (*Store)(nil)
	_ ports.StatisticsReader = (*Store)(nil)
	_ ports.Maintainer       = (*Store)(nil)
)

// Store is the event store in a [DB].
type Store struct {
	db *DB
}

// NewStore returns the store in db.
func NewStore(db *DB) *Store { return &Store{db: db} }

// Store stores batches, as ports.EventStore promises.
func (s *Store) Store(ctx context.Context, batches []domain.Batch) (ports.Stored, error) {
	var stored ports.Stored
	var closed []domain.OpenDay
	err := s.db.write(ctx, "store.store", func(tx *sqlx.Tx) error {
		// Watching a context costs more than most of these statements; the
		// transaction itself watches it.
		ctx := context.WithoutCancel(ctx)
		fresh, err := insertBatches(ctx, tx, batches)
		if err != nil {
			return err
		}
		stored = ports.Stored{Batches: len(fresh), Repeated: len(batches) - len(fresh)}
		for _, events := range fresh {
			stored.Events += len(events)
		}
		if err := insertEvents(ctx, tx, fresh); err != nil {
			return err
		}
		finest, days, err := s.fold(ctx, tx, domain.Finest(fresh...), domain.FirstReceived(batches))
		if err != nil {
			return err
		}
		closed = days
		return mergeAggregates(ctx, tx, domain.RollUp(finest))
	})
	if err != nil {
		return ports.Stored{}, err
	}
	s.tellClosed(closed)
	return stored, nil
}

// insertBatches notes the ids and returns the events of the batches whose id
// is new.
func insertBatches(ctx context.Context, tx *sqlx.Tx, batches []domain.Batch) ([][]domain.Event, error) {
	insert, err := tx.PreparexContext(ctx, `
		INSERT INTO stored_batches (id, received_at) VALUES (?, ?) ON CONFLICT DO NOTHING`)
	if err != nil {
		return nil, err
	}
	defer insert.Close()
	var fresh [][]domain.Event
	for _, b := range batches {
		result, err := insert.ExecContext(ctx, b.ID, b.ReceivedAt.UnixMicro())
		if err != nil {
			return nil, err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return nil, err
		}
		if n == 1 {
			fresh = append(fresh, b.Events)
		}
	}
	return fresh, nil
}

func insertEvents(ctx context.Context, tx *sqlx.Tx, batches [][]domain.Event) error {
	insert, err := tx.PreparexContext(ctx, `
		INSERT INTO events (hour, version, tool, status, analytics_level, error_type, response_time_ms, service,
			cache_hit, retry_count, country, parameters, session_id, sequence_number)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return err
	}
	defer insert.Close()
	for _, events := range batches {
		for i := range events {
			e := &events[i]
			_, err := insert.ExecContext(ctx, e.Hour.Unix(), e.Version, e.Tool, string(e.Status), string(e.Level),
				orNull(e.ErrorType), nullable(e.ResponseTimeMS), orNull(e.Service), nullable(e.CacheHit),
				nullable(e.RetryCount), orNull(e.Country), orNull(e.Parameters), orNull(e.SessionID), nullable(e.SequenceNumber))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// orNull stores absent text as NULL.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func nullable[T any](o domain.Optional[T]) sql.Null[T] {
	return sql.Null[T]{V: o.Value, Valid: o.Valid}
}

// Activity tells how much there is, as ports.StatisticsReader promises.
func (s *Store) Activity(ctx context.Context) (domain.Activity, error) {
	var row struct {
		Events           int64         `db:"events"`
		FoldedVersions   int64         `db:"folded_versions"`
		FoldedErrorTypes int64         `db:"folded_error_types"`
		LastReceived     sql.NullInt64 `db:"last_received"`
	}
	err := s.db.read(ctx, "store.activity", func(tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &row, `
			SELECT coalesce(sum(calls), 0) AS events, (SELECT max(received_at) FROM stored_batches) AS last_received,
				(SELECT coalesce(sum(calls), 0) FROM dimension_overflow WHERE dimension = 'version') AS folded_versions,
				(SELECT coalesce(sum(calls), 0) FROM dimension_overflow WHERE dimension = 'error_type') AS folded_error_types
			FROM daily_aggregations WHERE grain = 0`)
	})
	if err != nil {
		return domain.Activity{}, err
	}
	activity := domain.Activity{Events: row.Events, FoldedVersions: row.FoldedVersions, FoldedErrorTypes: row.FoldedErrorTypes}
	if row.LastReceived.Valid {
		activity.LastReceived = time.UnixMicro(row.LastReceived.Int64).UTC()
	}
	return activity, nil
}
