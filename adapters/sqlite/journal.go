package sqlite

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

const insertJournal = `
	INSERT INTO aggregation_journal (day, events, entries, created_at, folded_versions, folded_error_types, payload)
	VALUES (?, ?, ?, ?, ?, ?, ?)`

// appendJournal appends what a transaction adds, a row for each day, and returns
// the number of entries.
func (s *Store) appendJournal(ctx context.Context, insert *sqlx.Stmt, c counted) (int, error) {
	entries := 0
	for _, day := range c.journal {
		_, err := insert.ExecContext(ctx,
			day.Day.Unix(), day.Events, day.Entries, s.db.config.Clock.Now().UnixMicro(),
			c.folded[domain.OpenDay{Day: day.Day, Dimension: domain.OpenVersion}],
			c.folded[domain.OpenDay{Day: day.Day, Dimension: domain.OpenErrorType}], day.Payload)
		if err != nil {
			return 0, err
		}
		entries += day.Entries
	}
	return entries, nil
}

// Journal lists the days of the journal, as ports.Merger promises.
func (s *Store) Journal(ctx context.Context) ([]ports.JournalDay, error) {
	var rows []struct {
		Day     int64 `db:"day"`
		Rows    int   `db:"rows"`
		Entries int   `db:"entries"`
		Oldest  int64 `db:"oldest"`
	}
	err := s.db.store.read(ctx, "store.journal", func(tx *sqlx.Tx) error {
		return tx.SelectContext(ctx, &rows, `
			SELECT day, count(*) AS rows, sum(entries) AS entries, min(created_at) AS oldest
			FROM aggregation_journal GROUP BY day ORDER BY day`)
	})
	if err != nil {
		return nil, err
	}
	now := s.db.config.Clock.Now()
	days := make([]ports.JournalDay, len(rows))
	for i, r := range rows {
		days[i] = ports.JournalDay{
			Day: time.Unix(r.Day, 0).UTC(), Rows: r.Rows, Entries: r.Entries, Age: max(0, now.Sub(time.UnixMicro(r.Oldest))),
		}
	}
	return days, nil
}

// journalRow is what one transaction added to a day.
type journalRow struct {
	ID      int64  `db:"id"`
	Day     int64  `db:"day"`
	Payload []byte `db:"payload"`
	// Steps is how many steps of its merge have been taken.
	Steps int `db:"merge_steps"`
}

func (r *journalRow) day() time.Time { return time.Unix(r.Day, 0).UTC() }

// journalBetween reads the rows about days from the first up to and without end.
func journalBetween(ctx context.Context, tx *sqlx.Tx, first, end time.Time) ([]journalRow, error) {
	var rows []journalRow
	err := tx.SelectContext(ctx, &rows, `
		SELECT id, day, payload, merge_steps FROM aggregation_journal WHERE day >= ? AND day < ? ORDER BY day, id`, first.Unix(), end.Unix())
	return rows, err
}
