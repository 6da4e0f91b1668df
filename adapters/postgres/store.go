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
	_ ports.Merger           = (*Store)(nil)
	_ ports.Rebuilder        = (*Store)(nil)
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
	err := s.db.write(ctx, "store.store", func(tx *transaction) error {
		fresh, err := insertBatches(ctx, tx, batches)
		if err != nil {
			return err
		}
		stored = ports.Stored{Batches: len(fresh), Repeated: len(batches) - len(fresh)}
		for _, events := range fresh {
			stored.Events += len(events)
		}
		stored.Entries, closed, err = s.insertEvents(ctx, tx, fresh, domain.FirstReceived(batches))
		return err
	})
	if err != nil {
		return ports.Stored{}, err
	}
	s.tellClosed(closed)
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
// to, which is computed while the server takes the events. It returns how many
// entries it appended, and the days that were closed.
func (s *Store) insertEvents(
	ctx context.Context, tx *transaction, batches [][]domain.Event, received time.Time,
) (int, []domain.OpenDay, error) {
	if !slices.ContainsFunc(batches, func(events []domain.Event) bool { return len(events) > 0 }) {
		return 0, nil, nil
	}
	type result struct {
		finest domain.Aggregates
		values []domain.JournalValue
	}
	plain := make(chan result, 1)
	go func() {
		finest := domain.Finest(batches...)
		plain <- result{finest, domain.PackJournal(finest)}
	}()
	if err := copyEvents(ctx, tx, batches); err != nil {
		return 0, nil, err
	}
	journal := <-plain
	counted, err := s.fold(ctx, tx, journal.finest, received)
	if err != nil {
		return 0, nil, err
	}
	if len(counted.folded) > 0 {
		journal.values = domain.PackJournal(counted.finest)
	}
	entries, err := appendJournal(ctx, tx, journal.values, counted.folded)
	return entries, counted.closed, err
}

// Activity tells how much there is, as ports.StatisticsReader promises.
func (s *Store) Activity(ctx context.Context) (domain.Activity, error) {
	var activity domain.Activity
	var received sql.NullTime
	err := s.db.read(ctx, "store.activity", func(tx *transaction) error {
		return tx.QueryRowxContext(ctx, `
			SELECT coalesce((SELECT sum(`+totalCalls+`) FROM packed_aggregates WHERE `+dailyTotals+`), 0)
					+ coalesce(sum(events), 0),
				coalesce((SELECT sum(calls) FROM dimension_overflow WHERE dimension = 'version'), 0)
					+ coalesce(sum(folded_versions), 0),
				coalesce((SELECT sum(calls) FROM dimension_overflow WHERE dimension = 'error_type'), 0)
					+ coalesce(sum(folded_error_types), 0),
				(SELECT max(received_at) FROM stored_batches)
			FROM aggregation_journal`).Scan(&activity.Events, &activity.FoldedVersions, &activity.FoldedErrorTypes, &received)
	})
	if err != nil {
		return domain.Activity{}, err
	}
	if received.Valid {
		activity.LastReceived = received.Time.UTC()
	}
	return activity, nil
}
