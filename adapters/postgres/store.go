package postgres

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var (
	_ ports.EventStore       = (*Store)(nil)
	_ ports.StatisticsReader = (*Store)(nil)
	_ ports.Maintainer       = (*Store)(nil)
	_ ports.Rebuilder        = (*Store)(nil)
)

// Store is the event store in a [DB].
type Store struct {
	db *DB
}

// NewStore returns the store in db.
func NewStore(db *DB) *Store { return &Store{db: db} }

// Store stores batches, as ports.EventStore promises. Where the journal cannot
// be merged and has grown too long it stores nothing more.
func (s *Store) Store(ctx context.Context, batches []domain.Batch) (ports.Stored, error) {
	if s.db.journal.isFull() {
		if err := s.mergeJournal(ctx, room); err != nil {
			return ports.Stored{}, err
		}
	}
	var stored ports.Stored
	var added journalSize
	err := s.db.write(ctx, "store.store", func(tx *transaction) error {
		fresh, err := insertBatches(ctx, tx, batches)
		if err != nil {
			return err
		}
		stored = ports.Stored{Batches: len(fresh), Repeated: len(batches) - len(fresh)}
		for _, events := range fresh {
			stored.Events += len(events)
		}
		added, err = insertEvents(ctx, tx, fresh)
		return err
	})
	if err != nil {
		return ports.Stored{}, err
	}
	s.db.journal.append(added)
	if s.db.journal.isLong() {
		s.db.background.start(ctx, s.shortenJournal)
	}
	s.db.background.startLater(ctx, s.db.config.JournalDelay, s.clearJournal)
	return stored, nil
}

// insertBatches notes the ids and returns the events of the batches whose id
// is new. Ids are noted in their order, so that no two transactions wait for
// each other.
func insertBatches(ctx context.Context, tx *transaction, batches []domain.Batch) ([][]domain.Event, error) {
	sorted := slices.Clone(batches)
	slices.SortStableFunc(sorted, func(a, b domain.Batch) int { return strings.Compare(string(a.ID), string(b.ID)) })
	ids, received := make(pq.StringArray, len(sorted)), make(pq.StringArray, len(sorted))
	for i, b := range sorted {
		ids[i], received[i] = string(b.ID), b.ReceivedAt.UTC().Format(time.RFC3339Nano)
	}
	var inserted []string
	err := tx.SelectContext(ctx, &inserted, `
		INSERT INTO stored_batches (id, received_at)
		SELECT * FROM unnest($1::text[], $2::timestamptz[])
		ON CONFLICT DO NOTHING
		RETURNING id`, ids, received)
	if err != nil {
		return nil, err
	}
	fresh := make([][]domain.Event, 0, len(inserted))
	for _, b := range sorted {
		// Both are sorted, so what was inserted comes in turn.
		if len(inserted) > 0 && inserted[0] == string(b.ID) {
			fresh, inserted = append(fresh, b.Events), inserted[1:]
		}
	}
	return fresh, nil
}

// insertEvents stores raw events and appends to the journal what they add up
// to, which is computed while the server takes the events.
func insertEvents(ctx context.Context, tx *transaction, batches [][]domain.Event) (journalSize, error) {
	if !slices.ContainsFunc(batches, func(events []domain.Event) bool { return len(events) > 0 }) {
		return journalSize{}, nil
	}
	type result struct {
		rows []journalRow
		err  error
	}
	counted := make(chan result, 1)
	go func() {
		rows, err := journalRows(domain.Finest(batches...))
		counted <- result{rows, err}
	}()
	if err := copyEvents(ctx, tx, batches); err != nil {
		return journalSize{}, err
	}
	journal := <-counted
	if journal.err != nil {
		return journalSize{}, journal.err
	}
	return appendJournal(ctx, tx, journal.rows)
}

// Activity tells how much there is, as ports.StatisticsReader promises.
func (s *Store) Activity(ctx context.Context) (domain.Activity, error) {
	var events int64
	var received sql.NullTime
	err := s.db.read(ctx, "store.activity", func(tx *transaction) error {
		return tx.QueryRowxContext(ctx, `
			SELECT coalesce((SELECT sum(calls) FROM daily_aggregations WHERE grain = 0), 0)
					+ coalesce((SELECT sum(events) FROM aggregation_journal), 0),
				(SELECT max(received_at) FROM stored_batches)`).Scan(&events, &received)
	})
	if err != nil {
		return domain.Activity{}, err
	}
	activity := domain.Activity{Events: events}
	if received.Valid {
		activity.LastReceived = received.Time.UTC()
	}
	return activity, nil
}
