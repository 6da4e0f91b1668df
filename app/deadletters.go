package app

import (
	"context"
	"fmt"
	"slices"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// deadLetterPage is how many dead letters are read, or deleted, at a time.
// Each may hold a whole batch.
const deadLetterPage = 100

// DeadLetters lets an operator look at what was buried and decide what becomes
// of it.
type DeadLetters struct {
	letters ports.DeadLetters
}

// NewDeadLetters returns the use case.
func NewDeadLetters(l ports.DeadLetters) *DeadLetters {
	return &DeadLetters{letters: l}
}

// Each calls do with every dead letter, oldest burial first, until do fails.
func (u *DeadLetters) Each(ctx context.Context, do func(ports.DeadLetter) error) error {
	var after domain.BatchID
	for {
		page, err := u.letters.List(ctx, after, deadLetterPage)
		if err != nil {
			return fmt.Errorf("list dead letters: %w", err)
		}
		for _, letter := range page {
			if err := do(letter); err != nil {
				return err
			}
			after = letter.ID
		}
		if len(page) < deadLetterPage {
			return nil
		}
	}
}

// IDs lists the ids of all dead letters, oldest burial first.
func (u *DeadLetters) IDs(ctx context.Context) ([]domain.BatchID, error) {
	var ids []domain.BatchID
	err := u.Each(ctx, func(letter ports.DeadLetter) error {
		ids = append(ids, letter.ID)
		return nil
	})
	return ids, err
}

// Get returns one dead letter, or domain.CodeNotFound.
func (u *DeadLetters) Get(ctx context.Context, id domain.BatchID) (ports.DeadLetter, error) {
	return u.letters.Get(ctx, id)
}

// Replayed tells what became of a dead letter that was to be replayed.
type Replayed struct {
	ID domain.BatchID
	// Err is nil when the batch is in the queue again; otherwise the dead
	// letter stays, if there is one.
	Err error
}

// Replay moves dead letters back to the queue in the order given and calls
// done after each. One that is refused does not keep the next from its turn;
// only a queue that is away ends the replay, with domain.CodeUnavailable.
func (u *DeadLetters) Replay(ctx context.Context, ids []domain.BatchID, done func(Replayed)) error {
	for _, id := range ids {
		err := u.letters.Replay(ctx, id)
		if domain.CodeOf(err) == domain.CodeUnavailable {
			return fmt.Errorf("replay %s: %w", id, err)
		}
		done(Replayed{ID: id, Err: err})
	}
	return nil
}

// Purge deletes dead letters for good and returns how many there were.
func (u *DeadLetters) Purge(ctx context.Context, ids ...domain.BatchID) (int, error) {
	purged := 0
	for chunk := range slices.Chunk(ids, deadLetterPage) {
		n, err := u.letters.Purge(ctx, chunk...)
		purged += n
		if err != nil {
			return purged, fmt.Errorf("purge dead letters: %w", err)
		}
	}
	return purged, nil
}
