package memory

import (
	"context"
	"slices"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// DeadLetters lists the buried batches, oldest burial first.
func (q *Queue) DeadLetters() []ports.DeadLetter {
	q.mu.Lock()
	defer q.mu.Unlock()
	return copyOfLetters(q.buried)
}

// List lists dead letters, as ports.DeadLetters promises. An id that is not
// there gives domain.CodeNotFound.
func (q *Queue) List(ctx context.Context, after domain.BatchID, limit int) ([]ports.DeadLetter, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	from := 0
	if after != "" {
		at, err := q.find(after)
		if err != nil {
			return nil, err
		}
		from = at + 1
	}
	rest := q.buried[from:]
	return copyOfLetters(rest[:min(len(rest), max(limit, 0))]), nil
}

// Get returns a dead letter, as ports.DeadLetters promises.
func (q *Queue) Get(ctx context.Context, id domain.BatchID) (ports.DeadLetter, error) {
	if err := alive(ctx); err != nil {
		return ports.DeadLetter{}, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	at, err := q.find(id)
	if err != nil {
		return ports.DeadLetter{}, err
	}
	return copyOfLetter(q.buried[at]), nil
}

// Replay moves a dead letter back, as ports.DeadLetters promises.
func (q *Queue) Replay(ctx context.Context, id domain.BatchID) error {
	if err := alive(ctx); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	at, err := q.find(id)
	if err != nil {
		return err
	}
	if err := q.add(q.buried[at].Batch); err != nil {
		return err
	}
	q.buried = slices.Delete(q.buried, at, at+1)
	return nil
}

// Purge deletes dead letters, as ports.DeadLetters promises.
func (q *Queue) Purge(ctx context.Context, ids ...domain.BatchID) (int, error) {
	if err := alive(ctx); err != nil {
		return 0, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	before := len(q.buried)
	q.buried = slices.DeleteFunc(q.buried, func(l ports.DeadLetter) bool { return slices.Contains(ids, l.ID) })
	return before - len(q.buried), nil
}

func (q *Queue) find(id domain.BatchID) (int, error) {
	at := slices.IndexFunc(q.buried, func(l ports.DeadLetter) bool { return l.ID == id })
	if at < 0 {
		return 0, domain.NewError(domain.CodeNotFound, nil, "there is no such dead letter")
	}
	return at, nil
}

func copyOfLetters(letters []ports.DeadLetter) []ports.DeadLetter {
	copies := slices.Clone(letters)
	for i := range copies {
		copies[i] = copyOfLetter(copies[i])
	}
	return copies
}

func copyOfLetter(l ports.DeadLetter) ports.DeadLetter {
	l.Batch = copyOf(l.Batch)
	return l
}
