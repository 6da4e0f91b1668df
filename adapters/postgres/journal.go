package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

const appendToJournal = `INSERT INTO aggregation_journal (day, events, entries, payload, folded_versions, folded_error_types)`

// journalChunk is how many rows one statement appends.
const journalChunk = 1_000

// appendJournal appends what a transaction adds to each day, and returns the
// number of entries.
func appendJournal(ctx context.Context, tx *transaction, values []domain.JournalValue, folded domain.Folded) (int, error) {
	entries := 0
	for chunk := range slices.Chunk(values, journalChunk) {
		q := newValueList()
		for _, v := range chunk {
			versions, errorTypes := foldedOn(folded, v.Day)
			q.add(`?::timestamptz, ?::bigint, ?::bigint, ?::bytea, ?::bigint, ?::bigint`,
				v.Day, v.Events, v.Entries, v.Payload, versions, errorTypes)
			entries += v.Entries
		}
		if _, err := tx.ExecContext(ctx, appendToJournal+` VALUES `+q.String(), q.args...); err != nil {
			return 0, err
		}
	}
	return entries, nil
}

// Journal lists the days of the journal, as ports.Merger promises.
func (s *Store) Journal(ctx context.Context) ([]ports.JournalDay, error) {
	var days []ports.JournalDay
	err := s.db.read(ctx, "store.journal", func(tx *transaction) error {
		days = nil
		var rows []struct {
			Day           time.Time `db:"day"`
			Rows, Entries int
			Age           float64
		}
		err := tx.SelectContext(ctx, &rows, `
			SELECT day, count(*) AS rows, sum(entries) AS entries,
				greatest(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::double precision AS age
			FROM aggregation_journal GROUP BY day ORDER BY day`)
		for _, row := range rows {
			days = append(days, ports.JournalDay{
				Day: row.Day.UTC(), Rows: row.Rows, Entries: row.Entries, Age: time.Duration(row.Age * float64(time.Second)),
			})
		}
		return err
	})
	return days, err
}

// journalRow is what one transaction added to a day.
type journalRow struct {
	id      int64
	day     time.Time
	payload []byte
	// steps is how many steps of its merge have been taken.
	steps int
}

// eachInJournal calls visit for each row of the days in the window.
func eachInJournal(ctx context.Context, tx *transaction, w domain.Window, visit func(journalRow) error) error {
	const query = `SELECT id, day, payload, merge_steps FROM aggregation_journal WHERE day >= $1 AND day < $2 ORDER BY id`
	return tx.eachBinary(ctx, query, []any{domain.Daily.Floor(w.Start), w.End}, func(rows *sql.Rows) error {
		var row journalRow
		if err := rows.Scan(&row.id, &row.day, &row.payload, &row.steps); err != nil {
			return err
		}
		row.day = row.day.UTC()
		return visit(row)
	})
}

func damagedJournal(day time.Time, id int64, err error) error {
	return damaged(fmt.Sprintf("aggregation_journal, day %s, row %d", day.UTC().Format(time.RFC3339), id), err)
}
