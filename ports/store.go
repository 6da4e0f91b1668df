package ports

import (
	"context"
	"log/slog"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// Stored tells what became of the batches given to a store.
type Stored struct {
	// Batches and Events were stored now.
	Batches, Events int
	// Repeated counts the batches that had been stored before.
	Repeated int
	// Entries is how many entries were appended to the journal; see [Merger].
	Entries int
}

// EventStore keeps events and what they add up to.
type EventStore interface {
	// Store stores the batches in one transaction: the ids, the raw events and
	// domain.Aggregate of these, merged into the stored aggregates. Batches
	// whose id was stored before are skipped, so a batch counts exactly once
	// however often it is given. After an error nothing is stored, but for a
	// connection lost at commit, after which everything may be; giving the
	// same batches again is right in every case. domain.CodePoison says that a
	// batch among them can never be stored, domain.CodeUnavailable that none
	// can be stored now.
	//
	// The aggregates of a day tell apart no more values than the store's
	// domain.Cardinality allows, however many workers store. Which these are is
	// decided by domain.Cardinality.Admit, once and for ever: all calls of any
	// other value count as domain.OtherName, on that day. Raw events keep what
	// they said.
	Store(ctx context.Context, batches []domain.Batch) (Stored, error)
}

// StatisticsReader reads aggregates.
type StatisticsReader interface {
	// Select answers every part of the selection from one state of the store.
	// The cost grows with the rows it returns, not with the events stored,
	// unless filter and breakdown together name three dimensions or more. An
	// empty store gives empty lists.
	Select(ctx context.Context, selection domain.Selection) (domain.Selected, error)

	// Activity tells how much the store holds and how fresh it is.
	Activity(ctx context.Context) (domain.Activity, error)
}

// Maintainer keeps the store from growing for ever.
type Maintainer interface {
	// Expire deletes everything that starts before its cutoff and nothing
	// else, and counts it. It is safe beside running workers, and to run twice. It
	// merges nothing: of the journal of [Merger] it deletes the days of which all
	// aggregates are due, uncounted, and a Merge leaves out what is due of others.
	Expire(ctx context.Context, cutoffs domain.Cutoffs) (Expired, error)

	// Due counts what Expire would delete now, and deletes nothing.
	Due(ctx context.Context, cutoffs domain.Cutoffs) (Expired, error)

	// NoteExpiry remembers, durably and for all processes, the moment that the
	// cutoffs of an expiry are counted from. It takes an earlier one's place.
	NoteExpiry(ctx context.Context, at time.Time) error

	// LastExpiry returns what was noted last. Where nothing was, it returns
	// when the newest stored batch was received, and zero for a store that has
	// none.
	LastExpiry(ctx context.Context) (time.Time, error)
}

// Expired counts what an expiry deletes.
type Expired struct {
	// Events are raw events. Hourly, Daily and Errors are hours and days of
	// which calls, and error summaries, were kept.
	Events, Hourly, Daily, Errors int64
	// Batches are ids of stored batches, and Values the values that a day's
	// aggregates tell apart, with the counts of those that they do not.
	Batches, Values int64
	// Receipts are those of idempotency keys whose time is over, where they
	// are in the same database.
	Receipts int64
}

// LogValue is a group with a member for each kind.
func (e Expired) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Int64("events", e.Events), slog.Int64("hourly_aggregations", e.Hourly), slog.Int64("daily_aggregations", e.Daily),
		slog.Int64("error_summary", e.Errors), slog.Int64("stored_batches", e.Batches), slog.Int64("dimension_values", e.Values),
		slog.Int64("receipts", e.Receipts))
}

// Total is how many these are together.
func (e Expired) Total() int64 {
	return e.Events + e.Hourly + e.Daily + e.Errors + e.Batches + e.Values + e.Receipts
}
