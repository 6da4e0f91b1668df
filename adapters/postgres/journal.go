package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// journalSize is how long the journal or a part of it is.
type journalSize struct {
	Rows    int `db:"rows"`
	Entries int `db:"entries"`
}

func (j journalSize) plus(other journalSize) journalSize {
	return journalSize{j.Rows + other.Rows, j.Entries + other.Entries}
}

func (j journalSize) minus(other journalSize) journalSize {
	return journalSize{j.Rows - other.Rows, j.Entries - other.Entries}
}

func (j journalSize) times(n int) journalSize { return journalSize{n * j.Rows, n * j.Entries} }

func (j journalSize) exceeds(limit journalSize) bool {
	return j.Rows > limit.Rows || j.Entries > limit.Entries
}

// maxJournalRows is how many rows are many: small transactions have few
// entries, and a row costs a reader something too.
const maxJournalRows = 500

// journalMeter knows about how long the journal is: what it was when it was last
// measured, and what this process appended since. Measuring it again would cost
// every transaction more.
type journalMeter struct {
	limit journalSize

	mu sync.Mutex
	// appended is all that this process ever appended, and settled what of it
	// had been when the journal, then as long as left, was last measured.
	appended, settled, left journalSize
}

func (m *journalMeter) append(added journalSize) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.appended = m.appended.plus(added)
}

func (m *journalMeter) size() journalSize {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.left.plus(m.appended).minus(m.settled)
}

// isLong reports whether it is time to merge.
func (m *journalMeter) isLong() bool { return m.size().exceeds(m.limit) }

// fullFactor is how many times as long as a long journal a full one is.
const fullFactor = 8

// isFull reports whether merging has stayed behind for long.
func (m *journalMeter) isFull() bool { return m.size().exceeds(m.limit.times(fullFactor)) }

// begin returns what settle wants to know, before the journal is measured.
func (m *journalMeter) begin() journalSize {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.appended
}

// settle takes the journal's length.
func (m *journalMeter) settle(begun, left journalSize) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settled, m.left = begun, left
}

// journalRow is what one transaction added to a day.
type journalRow struct {
	ID      int64     `db:"id"`
	Day     time.Time `db:"day"`
	Events  int64     `db:"events"`
	Entries int       `db:"entries"`
	Payload []byte    `db:"payload"`
	// How many of the events count under another name than their own.
	FoldedVersions   int64 `db:"folded_versions"`
	FoldedErrorTypes int64 `db:"folded_error_types"`
}

// journalRows returns a row for each day of what was counted, which is sorted by
// time.
func journalRows(c counted) ([]journalRow, error) {
	var rows []journalRow
	finest := c.finest
	for len(finest.Rollups) > 0 {
		row := journalRow{Day: domain.Daily.Floor(finest.Rollups[0].Bucket)}
		var day domain.Aggregates
		day, finest = cutDay(finest, row.Day.Add(domain.Daily.Length()))
		for i := range day.Rollups {
			row.Events += day.Rollups[i].Rollup.Calls
		}
		row.FoldedVersions, row.FoldedErrorTypes = foldedOn(c.folded, row.Day)
		row.Entries = len(day.Rollups) + len(day.Errors)
		var err error
		if row.Payload, err = encodePayload(row.Day, day); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// cutDay separates what is before the end of the day.
func cutDay(a domain.Aggregates, end time.Time) (day, rest domain.Aggregates) {
	n, m := 0, 0
	for n < len(a.Rollups) && a.Rollups[n].Bucket.Before(end) {
		n++
	}
	for m < len(a.Errors) && a.Errors[m].Bucket.Before(end) {
		m++
	}
	return domain.Aggregates{Rollups: a.Rollups[:n], Errors: a.Errors[:m]},
		domain.Aggregates{Rollups: a.Rollups[n:], Errors: a.Errors[m:]}
}

const appendToJournal = `INSERT INTO aggregation_journal (day, events, entries, payload, folded_versions, folded_error_types)`

func appendJournal(ctx context.Context, tx *transaction, rows []journalRow) (journalSize, error) {
	var size journalSize
	for _, row := range rows {
		_, err := tx.ExecContext(ctx, appendToJournal+` VALUES ($1, $2, $3, $4, $5, $6)`,
			row.Day, row.Events, row.Entries, row.Payload, row.FoldedVersions, row.FoldedErrorTypes)
		if err != nil {
			return journalSize{}, err
		}
		size = size.plus(journalSize{Rows: 1, Entries: row.Entries})
	}
	return size, nil
}

// everything keeps all rows of a payload.
func everything(time.Time, domain.Group) bool { return true }

// decode returns the rows that keep holds for worth it.
func (j *journalRow) decode(keep func(time.Time, domain.Group) bool) (domain.Aggregates, error) {
	a, err := decodePayload(j.Day.UTC(), j.Payload, keep)
	if err != nil {
		return a, damaged("aggregation_journal", j.Day, fmt.Sprintf("row %d", j.ID), err)
	}
	return a, nil
}

func decodeJournal(rows []journalRow, keep func(time.Time, domain.Group) bool) ([]domain.Aggregates, error) {
	parts := make([]domain.Aggregates, len(rows))
	for i := range rows {
		var err error
		if parts[i], err = rows[i].decode(keep); err != nil {
			return nil, err
		}
	}
	return parts, nil
}
