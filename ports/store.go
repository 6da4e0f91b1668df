package ports

import (
	"context"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// Stored tells what became of the batches given to a store.
type Stored struct {
	// Batches and Events were stored now.
	Batches, Events int
	// Repeated counts the batches that had been stored before.
	Repeated int
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
	// else, and returns how many rows that were. It is safe beside running
	// workers, and to run twice.
	Expire(ctx context.Context, cutoffs domain.Cutoffs) (int64, error)
}
