package ports

import (
	"context"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// DeadLetter is a batch that was buried.
type DeadLetter struct {
	ID domain.BatchID
	// Batch is what was buried; without events when the entry could not be
	// read.
	Batch domain.Batch
	// Reason says why, without any submitted value.
	Reason string
	// Attempts counts how often the batch had been handed out.
	Attempts int
	BuriedAt time.Time
}

// DeadLetters gives access to what was buried.
type DeadLetters interface {
	// List returns at most limit dead letters that were buried after the one
	// with the id after, oldest burial first; an empty id means from the
	// first, an unknown one gives domain.CodeNotFound.
	List(ctx context.Context, after domain.BatchID, limit int) ([]DeadLetter, error)

	// Get returns one, or domain.CodeNotFound.
	Get(ctx context.Context, id domain.BatchID) (DeadLetter, error)

	// Replay moves a dead letter back to the end of the queue in one step,
	// under its old id, so that a batch that was stored after all is not
	// counted again. domain.CodeNotFound when there is none,
	// domain.CodeQueueFull when it does not fit, domain.CodeInvalid when it
	// cannot be read; in each case it stays.
	Replay(ctx context.Context, id domain.BatchID) error

	// Purge deletes dead letters for good and returns how many there were.
	Purge(ctx context.Context, ids ...domain.BatchID) (int, error)
}
