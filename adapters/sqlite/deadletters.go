package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var _ ports.DeadLetters = (*Queue)(nil)

type deadLetterRow struct {
	Place      int64          `db:"place"`
	ID         domain.BatchID `db:"id"`
	ReceivedAt int64          `db:"received_at"`
	BuriedAt   int64          `db:"buried_at"`
	Attempts   int            `db:"attempts"`
	Reason     string         `db:"reason"`
	Payload    []byte         `db:"payload"`
}

const selectDeadLetters = `SELECT place, id, received_at, buried_at, attempts, reason, payload FROM dead_letters `

// batch returns what was buried, or the error of a payload that cannot be read.
func (r *deadLetterRow) batch() (domain.Batch, error) {
	events, err := domain.DecodeEvents(r.Payload)
	return domain.Batch{ID: r.ID, ReceivedAt: time.UnixMicro(r.ReceivedAt).UTC(), Events: events}, err
}

func (r *deadLetterRow) letter() ports.DeadLetter {
	batch, _ := r.batch() // what cannot be read has no events
	return ports.DeadLetter{
		ID: r.ID, Batch: batch, Reason: r.Reason, Attempts: r.Attempts,
		BuriedAt: time.UnixMicro(r.BuriedAt).UTC(),
	}
}

// List lists dead letters, as ports.DeadLetters promises. An id that is not
// there gives domain.CodeNotFound.
func (q *Queue) List(ctx context.Context, after domain.BatchID, limit int) ([]ports.DeadLetter, error) {
	var rows []deadLetterRow
	err := q.db.queue.read(ctx, "deadletters.list", func(tx *sqlx.Tx) error {
		var last deadLetterRow
		if after != "" {
			var err error
			if last, err = deadLetter(ctx, tx, after); err != nil {
				return err
			}
		}
		return tx.SelectContext(ctx, &rows, selectDeadLetters+`WHERE place > ? ORDER BY place LIMIT ?`, last.Place, max(limit, 0))
	})
	if err != nil {
		return nil, err
	}
	letters := make([]ports.DeadLetter, len(rows))
	for i := range rows {
		letters[i] = rows[i].letter()
	}
	return letters, nil
}

// Get returns one dead letter, as ports.DeadLetters promises.
func (q *Queue) Get(ctx context.Context, id domain.BatchID) (ports.DeadLetter, error) {
	var row deadLetterRow
	err := q.db.queue.read(ctx, "deadletters.get", func(tx *sqlx.Tx) (err error) {
		row, err = deadLetter(ctx, tx, id)
		return err
	})
	if err != nil {
		return ports.DeadLetter{}, err
	}
	return row.letter(), nil
}

func deadLetter(ctx context.Context, tx *sqlx.Tx, id domain.BatchID) (deadLetterRow, error) {
	var row deadLetterRow
	err := tx.GetContext(ctx, &row, selectDeadLetters+`WHERE id = ?`, id)
	if errors.Is(err, sql.ErrNoRows) {
		return row, domain.NewError(domain.CodeNotFound, nil, "there is no dead letter of that id")
	}
	return row, err
}

// Replay moves a dead letter back to the queue, as ports.DeadLetters promises.
func (q *Queue) Replay(ctx context.Context, id domain.BatchID) error {
	insert, err := q.db.queue.writing.get(ctx, insertQueued)
	if err != nil {
		return q.db.queue.translate(ctx, "deadletters.replay", err)
	}
	var reserved size
	err = q.db.queue.write(ctx, "deadletters.replay", func(tx *sqlx.Tx) error {
		row, err := deadLetter(ctx, tx, id)
		if err != nil {
			return err
		}
		batch, err := row.batch()
		if err != nil {
			return domain.NewError(domain.CodeInvalid, err, "the dead letter cannot be read, so there is nothing to replay")
		}
		e := newEntry(batch)
		if err := q.reserve(e.size); err != nil {
			return err
		}
		reserved = e.size
		if err := q.insert(ctx, tx.StmtxContext(ctx, insert), e); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM dead_letters WHERE place = ?`, row.Place)
		return err
	})
	q.db.sizes.settle(reserved, err == nil)
	if err == nil {
		q.announce()
	}
	return err
}

// Purge deletes dead letters, as ports.DeadLetters promises.
func (q *Queue) Purge(ctx context.Context, ids ...domain.BatchID) (int, error) {
	list, _ := json.Marshal(ids) // strings always can be encoded
	var purged int64
	err := q.db.queue.write(ctx, "deadletters.purge", func(tx *sqlx.Tx) error {
		result, err := tx.ExecContext(ctx, `DELETE FROM dead_letters WHERE id IN (SELECT value FROM json_each(?))`, string(list))
		if err != nil {
			return err
		}
		purged, err = result.RowsAffected()
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(purged), nil
}

// boundDeadLetters deletes those that were buried first, of too many.
func (q *Queue) boundDeadLetters(ctx context.Context, tx *sqlx.Tx) error {
	result, err := tx.ExecContext(ctx, `
		DELETE FROM dead_letters WHERE place <= (
			SELECT max(place) FROM (
				SELECT place, row_number() OVER newest AS number,
					sum(length(payload) + length(reason) + ?) OVER newest AS bytes
				FROM dead_letters WINDOW newest AS (ORDER BY place DESC))
			WHERE number > ? OR bytes > ?)`,
		domain.BatchOverhead, q.config.MaxDeadLetters, q.config.MaxDeadLetterBytes)
	if err != nil {
		return err
	}
	deleted, err := result.RowsAffected()
	if deleted > 0 {
		q.db.config.Log.Error("there are too many dead letters: the oldest are deleted", "deleted", deleted)
	}
	return err
}
