package sqlite

import (
	"context"
	"database/sql"
	"strings"
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

// Store stores batches, as ports.EventStore promises. Whatever needs no look at
// the database is computed before the transaction begins, as everybody else who
// writes waits for it.
func (s *Store) Store(ctx context.Context, batches []domain.Batch) (ports.Stored, error) {
	statements, err := s.prepareStore(ctx)
	if err != nil {
		return ports.Stored{}, s.db.store.translate(ctx, "store.store", err)
	}
	all := make([][]domain.Event, len(batches))
	for i := range batches {
		all[i] = batches[i].Events
	}
	plain := count(all)
	var stored ports.Stored
	var closed []domain.OpenDay
	err = s.db.store.write(ctx, "store.store", func(tx *sqlx.Tx) error {
		// Watching a context costs more than most of these statements; the
		// transaction itself watches it.
		ctx := context.WithoutCancel(ctx)
		fresh, err := statements.insertBatches(ctx, tx, batches)
		if err != nil {
			return err
		}
		stored = ports.Stored{Batches: len(fresh), Repeated: len(batches) - len(fresh)}
		for _, events := range fresh {
			stored.Events += len(events)
		}
		if err := statements.insertEvents(ctx, tx, fresh, stored.Events); err != nil {
			return err
		}
		counted := plain
		if stored.Repeated > 0 {
			counted = count(fresh)
		}
		if counted, closed, err = s.fold(ctx, tx, &statements, counted, domain.FirstReceived(batches)); err != nil {
			return err
		}
		stored.Entries, err = s.appendJournal(ctx, tx.StmtxContext(ctx, statements.journal), counted)
		return err
	})
	if err != nil {
		return ports.Stored{}, err
	}
	s.tellClosed(closed)
	return stored, nil
}

// counted is what events add up to.
type counted struct {
	finest  domain.Aggregates
	journal []domain.JournalValue
	// folded counts the events that count under another name than their own.
	folded domain.Folded
}

func count(events [][]domain.Event) counted {
	finest := domain.Finest(events...)
	return counted{finest: finest, journal: domain.PackJournal(finest)}
}

// storeStatements are what Store runs.
type storeStatements struct {
	batch, decided, journal *sqlx.Stmt
	// events has a statement for each of eventChunks.
	events []*sqlx.Stmt
}

// eventChunks is how many events one statement inserts. Most of the cost of an
// event is that of its statement.
var eventChunks = []int{100, 10, 1}

func (s *Store) prepareStore(ctx context.Context) (storeStatements, error) {
	queries := []string{`INSERT INTO stored_batches (id, received_at) VALUES (?, ?) ON CONFLICT DO NOTHING`, readDecided, insertJournal}
	for _, n := range eventChunks {
		queries = append(queries, insertEvents(n))
	}
	list, err := s.db.store.writing.list(ctx, queries...)
	if err != nil {
		return storeStatements{}, err
	}
	return storeStatements{list[0], list[1], list[2], list[3:]}, nil
}

func insertEvents(n int) string {
	return `INSERT INTO events (hour, version, tool, status, analytics_level, error_type, response_time_ms, service,
			cache_hit, retry_count, country, parameters, session_id, sequence_number)
		VALUES ` + placeholders(n, eventColumns)
}

// placeholders is a list of that many rows of question marks.
func placeholders(rows, columns int) string {
	row := "(" + strings.Repeat("?, ", columns-1) + "?)"
	return strings.Repeat(row+", ", rows-1) + row
}

// insertBatches notes the ids and returns the events of the batches whose id
// is new.
func (s *storeStatements) insertBatches(ctx context.Context, tx *sqlx.Tx, batches []domain.Batch) ([][]domain.Event, error) {
	insert := tx.StmtxContext(ctx, s.batch)
	fresh := make([][]domain.Event, 0, len(batches))
	for _, b := range batches {
		result, err := insert.ExecContext(ctx, string(b.ID), b.ReceivedAt.UnixMicro())
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

// insertEvents stores the events of the batches, of which there are count.
func (s *storeStatements) insertEvents(ctx context.Context, tx *sqlx.Tx, batches [][]domain.Event, count int) error {
	args := make([]any, 0, eventChunks[0]*eventColumns)
	batch, at := 0, 0
	for i, n := range eventChunks {
		insert := tx.StmtxContext(ctx, s.events[i])
		for ; count >= n; count -= n {
			args = args[:0]
			for range n {
				for at == len(batches[batch]) {
					batch, at = batch+1, 0
				}
				args = appendEvent(args, &batches[batch][at])
				at++
			}
			if _, err := insert.ExecContext(ctx, args...); err != nil {
				return err
			}
		}
	}
	return nil
}

// eventColumns is how many values appendEvent appends.
const eventColumns = 14

func appendEvent(args []any, e *domain.Event) []any {
	return append(args, e.Hour.Unix(), e.Version, e.Tool, string(e.Status), string(e.Level),
		orNull(e.ErrorType), integer(e.ResponseTimeMS), orNull(e.Service), nullable(e.CacheHit),
		integer(e.RetryCount), orNull(e.Country), orNull(e.Parameters), orNull(e.SessionID), integer(e.SequenceNumber))
}

// orNull stores absent text as NULL.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func nullable[T any](o domain.Optional[T]) any {
	if !o.Valid {
		return nil
	}
	return o.Value
}

func integer(o domain.Optional[int32]) any {
	if !o.Valid {
		return nil
	}
	return int64(o.Value)
}

// Activity tells how much there is, as ports.StatisticsReader promises.
func (s *Store) Activity(ctx context.Context) (domain.Activity, error) {
	var row struct {
		Events           int64         `db:"events"`
		FoldedVersions   int64         `db:"folded_versions"`
		FoldedErrorTypes int64         `db:"folded_error_types"`
		LastReceived     sql.NullInt64 `db:"last_received"`
	}
	err := s.db.store.read(ctx, "store.activity", func(tx *sqlx.Tx) error {
		return tx.GetContext(ctx, &row, `
			SELECT coalesce(sum(events), 0)
					+ (SELECT coalesce(sum(calls), 0) FROM aggregate_buckets WHERE resolution = 'day') AS events,
				coalesce(sum(folded_versions), 0)
					+ (SELECT coalesce(sum(calls), 0) FROM dimension_overflow WHERE dimension = 'version') AS folded_versions,
				coalesce(sum(folded_error_types), 0)
					+ (SELECT coalesce(sum(calls), 0) FROM dimension_overflow WHERE dimension = 'error_type') AS folded_error_types,
				(SELECT max(received_at) FROM stored_batches) AS last_received
			FROM aggregation_journal`)
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
