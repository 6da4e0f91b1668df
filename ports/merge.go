package ports

import (
	"context"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// JournalDay is the part of a store's journal that is about one UTC day.
type JournalDay struct {
	// Day is the start of the day.
	Day time.Time
	// Rows is how many transactions added to it, and Entries how many groups and
	// error types of an hour these have, each transaction by itself.
	Rows, Entries int
	// Age is how long the oldest row has been there, by the store's own clock;
	// never negative.
	Age time.Duration
}

// Merger brings what was stored lately into the packed aggregates. A store
// appends what a transaction adds up to to a journal, which readers add to the
// packed aggregates; so merging changes no answer, and can be put off. A store
// without a journal has nothing to merge.
type Merger interface {
	// Journal lists the days of which the journal holds anything, in order.
	Journal(ctx context.Context) ([]JournalDay, error)

	// Merge brings the oldest rows of one day's journal into the packed
	// aggregates: whole rows with about maxEntries entries together, and one row
	// at least if there is any. Hours and days that are due by cutoffs are left
	// out of the packed aggregates of their kind. It returns the number of
	// entries, and 0 also when another process has the day, for which it does not
	// wait. A large day takes several transactions: none changes an answer, and
	// after an error the next Merge of the day continues with the same rows.
	//
	// A packed value or a journal row that cannot be read gives
	// domain.CodeUnavailable with an error that names the bucket; then nothing is
	// changed.
	Merge(ctx context.Context, day time.Time, maxEntries int, cutoffs domain.Cutoffs) (int, error)
}
