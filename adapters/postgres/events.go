package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strconv"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

const eventColumns = `hour, version, tool, status, analytics_level, error_type, response_time_ms, service,
	cache_hit, retry_count, country, parameters, session_id, sequence_number`

const copyIntoEvents = `COPY events (` + eventColumns + `) FROM STDIN`

// copyEvents stores events by way of COPY. The driver's own encoding of a row
// costs as much as the server's part in it, so rows are written here.
func copyEvents(ctx context.Context, tx *transaction, batches [][]domain.Event) error {
	return tx.copyRows(ctx, copyIntoEvents, func(send func(rows []byte) error) error {
		const enough = 60 << 10 // the driver sends about as much at once
		rows := make([]byte, 0, enough+8<<10)
		for _, events := range batches {
			for i := range events {
				if rows = appendEvent(rows, &events[i]); len(rows) < enough {
					continue
				}
				if err := send(rows); err != nil {
					return err
				}
				rows = rows[:0]
			}
		}
		return send(rows)
	})
}

func appendEvent(row []byte, e *domain.Event) []byte {
	row = e.Hour.UTC().AppendFormat(row, time.RFC3339)
	for _, text := range []string{e.Version, e.Tool, string(e.Status), string(e.Level)} {
		row = appendText(append(row, '\t'), text)
	}
	row = appendOptionalText(row, e.ErrorType)
	row = appendOptionalNumber(row, e.ResponseTimeMS)
	row = appendOptionalText(row, e.Service)
	row = appendOptionalBool(row, e.CacheHit)
	row = appendOptionalNumber(row, e.RetryCount)
	row = appendOptionalText(row, e.Country)
	row = appendOptionalText(row, e.Parameters)
	row = appendOptionalText(row, e.SessionID)
	row = appendOptionalNumber(row, e.SequenceNumber)
	return append(row, '\n')
}

// null is what stands for a field that is absent.
const null = "\t\\N"

func appendOptionalText(row []byte, s string) []byte {
	if s == "" {
		return append(row, null...)
	}
	return appendText(append(row, '\t'), s)
}

func appendOptionalNumber(row []byte, n domain.Optional[int32]) []byte {
	if !n.Valid {
		return append(row, null...)
	}
	return strconv.AppendInt(append(row, '\t'), int64(n.Value), 10)
}

func appendOptionalBool(row []byte, b domain.Optional[bool]) []byte {
	if !b.Valid {
		return append(row, null...)
	}
	return strconv.AppendBool(append(row, '\t'), b.Value)
}

// appendText hides what has a meaning in COPY's text format.
func appendText(row []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; c {
		case '\\':
			row = append(row, `\\`...)
		case '\t':
			row = append(row, `\t`...)
		case '\n':
			row = append(row, `\n`...)
		case '\r':
			row = append(row, `\r`...)
		default:
			row = append(row, c)
		}
	}
	return row
}

// copyRows runs a COPY with the rows that give sends: in the text format, each
// with the end of its line.
func (tx *transaction) copyRows(ctx context.Context, statement string, give func(send func(rows []byte) error) error) error {
	var failure error
	err := tx.conn.Raw(func(conn any) error {
		failure = copyOn(ctx, conn, statement, give)
		// Raw would take a lost connection away from the transaction that is
		// still on it, and wait for that to end.
		return nil
	})
	return cmp.Or(failure, err)
}

func copyOn(ctx context.Context, conn any, statement string, give func(send func(rows []byte) error) error) error {
	preparer, ok := conn.(driver.ConnPrepareContext)
	if !ok {
		return errNoCopy
	}
	stmt, err := preparer.PrepareContext(ctx, statement)
	if err != nil {
		return err
	}
	copying, ok := stmt.(interface {
		CopyData(ctx context.Context, line string) (driver.Result, error)
	})
	if !ok {
		return errors.Join(errNoCopy, stmt.Close())
	}
	err = give(func(rows []byte) error {
		if len(rows) == 0 {
			return nil
		}
		_, err := copying.CopyData(ctx, string(rows[:len(rows)-1])) // it ends the line
		return err
	})
	return errors.Join(err, stmt.Close())
}

var errNoCopy = errors.New("the driver cannot copy rows that are encoded already")

// eventRow is a row of events.
type eventRow struct {
	Hour           time.Time       `db:"hour"`
	Version        string          `db:"version"`
	Tool           string          `db:"tool"`
	Status         domain.Status   `db:"status"`
	Level          domain.Level    `db:"analytics_level"`
	ErrorType      sql.NullString  `db:"error_type"`
	ResponseTimeMS sql.Null[int32] `db:"response_time_ms"`
	Service        sql.NullString  `db:"service"`
	CacheHit       sql.Null[bool]  `db:"cache_hit"`
	RetryCount     sql.Null[int32] `db:"retry_count"`
	Country        sql.NullString  `db:"country"`
	Parameters     sql.NullString  `db:"parameters"`
	SessionID      sql.NullString  `db:"session_id"`
	SequenceNumber sql.Null[int32] `db:"sequence_number"`
}

func (r *eventRow) event() domain.Event {
	return domain.Event{
		Version: r.Version, Tool: r.Tool, Status: r.Status, Hour: r.Hour.UTC(), Level: r.Level, ErrorType: r.ErrorType.String,
		ResponseTimeMS: optional(r.ResponseTimeMS), Service: r.Service.String, CacheHit: optional(r.CacheHit),
		RetryCount: optional(r.RetryCount), Country: r.Country.String, Parameters: r.Parameters.String,
		SessionID: r.SessionID.String, SequenceNumber: optional(r.SequenceNumber),
	}
}

func optional[T any](n sql.Null[T]) domain.Optional[T] {
	return domain.Optional[T]{Value: n.V, Valid: n.Valid}
}
