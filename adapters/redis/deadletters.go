package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	redigo "github.com/gomodule/redigo/redis"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// letter is a dead letter as it stands in the stream. Its name is the id of
// its batch; one without an id, or with the id of another letter, has that of
// its entry in the queue.
type letter struct {
	place  string
	fields map[string][]byte
}

// List lists dead letters, as ports.DeadLetters promises. An id that is not
// there gives domain.CodeNotFound.
func (q *Queue) List(ctx context.Context, after domain.BatchID, limit int) ([]ports.DeadLetter, error) {
	found, err := q.letters(ctx, "dead_letters.list", func(place string) []any {
		from := "-"
		if after != "" {
			from = "(" + place
		}
		return []any{from, "+", "COUNT", max(limit, 1)}
	}, after)
	if err != nil {
		return nil, err
	}
	found = found[:min(len(found), max(limit, 0))]
	letters := make([]ports.DeadLetter, len(found))
	for i := range found {
		letters[i] = found[i].deadLetter()
	}
	return letters, nil
}

// Get returns a dead letter, as ports.DeadLetters promises.
func (q *Queue) Get(ctx context.Context, id domain.BatchID) (ports.DeadLetter, error) {
	found, err := q.letter(ctx, "dead_letters.get", id)
	if err != nil {
		return ports.DeadLetter{}, err
	}
	return found.deadLetter(), nil
}

func (q *Queue) letter(ctx context.Context, name string, id domain.BatchID) (letter, error) {
	found, err := q.letters(ctx, name, func(place string) []any { return []any{place, place} }, id)
	if err != nil {
		return letter{}, err
	}
	if len(found) == 0 { // purged meanwhile
		return letter{}, errNoLetter()
	}
	return found[0], nil
}

func errNoLetter() error {
	return domain.NewError(domain.CodeNotFound, nil, "there is no dead letter of that id")
}

// letters reads the range of dead letters that rangeOf gives for the place of
// the one called name; an empty name has no place.
func (q *Queue) letters(
	ctx context.Context, operation string, rangeOf func(place string) []any, name domain.BatchID,
) ([]letter, error) {
	k := &q.pool.keys
	var answer []any
	err := q.pool.call(ctx, operation, func(ctx context.Context, c redigo.Conn) error {
		var place string
		var err error
		if name != "" {
			place, err = redigo.String(redigo.DoContext(c, ctx, "HGET", k.names, string(name)))
		}
		if errors.Is(err, redigo.ErrNil) {
			return errNoLetter()
		}
		if err == nil {
			answer, err = redigo.Values(redigo.DoContext(c, ctx, "XRANGE", append([]any{k.dead}, rangeOf(place)...)...))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return parseLetters(answer)
}

func parseLetters(answer []any) ([]letter, error) {
	letters := make([]letter, len(answer))
	for i := range answer {
		parts, err := redigo.Values(answer[i], nil)
		if err != nil {
			return nil, fmt.Errorf("dead letters: %w", err)
		}
		var fields []any
		if _, err := redigo.Scan(parts, &letters[i].place, &fields); err != nil {
			return nil, fmt.Errorf("dead letters: %w", err)
		}
		if letters[i].fields, err = parseFields(fields); err != nil {
			return nil, fmt.Errorf("dead letters: %w", err)
		}
	}
	return letters, nil
}

func (l *letter) deadLetter() ports.DeadLetter {
	d := ports.DeadLetter{ID: domain.BatchID(l.fields["name"]), Reason: string(l.fields["reason"])}
	batch, err := batchOf(l.fields)
	if err != nil && batch.ID == "" {
		batch.ID = d.ID
	}
	d.Batch = batch
	// Both were written by us.
	d.Attempts, _ = strconv.Atoi(string(l.fields["attempts"]))
	d.BuriedAt, _ = parseTime(string(l.fields["buried"]))
	return d
}

// Replay moves a dead letter back, as ports.DeadLetters promises.
func (q *Queue) Replay(ctx context.Context, id domain.BatchID) error {
	const name = "dead_letters.replay"
	found, err := q.letter(ctx, name, id)
	if err != nil {
		return err
	}
	if _, err := batchOf(found.fields); err != nil {
		return domain.NewError(domain.CodeInvalid, err, "the dead letter cannot be read, so it cannot be replayed")
	}
	k, f := &q.pool.keys, found.fields
	outcome, err := redigo.String(q.pool.run(ctx, name, replayScript, k.stream, k.size, k.arrivals, k.dead, k.names, k.deadSize,
		q.config.MaxEvents, q.config.MaxBytes, f["id"], f["n"], f["t"], f["b"], string(id), found.place))
	switch {
	case err != nil:
		return err
	case outcome == "full":
		return errFull()
	case outcome == "gone":
		return errNoLetter()
	}
	return nil
}

// purgeSize is how many dead letters one step deletes.
const purgeSize = 1000

// Purge deletes dead letters, as ports.DeadLetters promises. Many are deleted
// in several steps; after an error the number counts those that are done.
func (q *Queue) Purge(ctx context.Context, ids ...domain.BatchID) (int, error) {
	deleted := 0
	for chunk := range slices.Chunk(ids, purgeSize) {
		args := []any{q.pool.keys.dead, q.pool.keys.names, q.pool.keys.deadSize}
		for _, id := range chunk {
			args = append(args, string(id))
		}
		n, err := redigo.Int(q.pool.run(ctx, "dead_letters.purge", purgeScript, args...))
		if err != nil {
			return deleted, err
		}
		deleted += n
	}
	return deleted, nil
}
