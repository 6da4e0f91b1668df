package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// translate gives an error of the database its code. name is the operation.
func (f *file) translate(ctx context.Context, name string, err error) error {
	if err == nil {
		return nil
	}
	wrapped := fmt.Errorf("%s: %w", name, err)
	if _, ok := errors.AsType[*domain.Error](err); ok {
		return wrapped
	}
	if cause := ctx.Err(); cause != nil {
		// The driver tells an interruption in words of its own.
		return domain.NewError(domain.CodeUnavailable, errors.Join(cause, wrapped), "the call was given up")
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return translateCode(e.Code(), wrapped)
	}
	if f.db.closed.Load() {
		return domain.NewError(domain.CodeUnavailable, wrapped, "the database is closed")
	}
	return wrapped
}

// translateCode knows the codes that can happen. Others are defects and stay
// without a code.
func translateCode(code int, err error) error {
	const primary = 0xff // the rest of an extended code only refines it
	switch code & primary {
	case sqlite3.SQLITE_FULL:
		return domain.NewError(domain.CodeDiskFull, err, "the disk is full")
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM,
		sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_NOLFS, sqlite3.SQLITE_AUTH:
		return domain.NewError(domain.CodeUnavailable, err, "the database cannot be read or written")
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return domain.NewError(domain.CodeUnavailable, err, "the database file is damaged")
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_ABORT:
		return domain.NewError(domain.CodeUnavailable, err, "the database is busy")
	case sqlite3.SQLITE_SCHEMA:
		return domain.NewError(domain.CodeUnavailable, err, otherSchema)
	case sqlite3.SQLITE_ERROR:
		if isMissing(err) {
			return domain.NewError(domain.CodeUnavailable, err, otherSchema)
		}
	case sqlite3.SQLITE_TOOBIG:
		return domain.NewError(domain.CodePoison, err, "an event holds what cannot be stored")
	case sqlite3.SQLITE_CONSTRAINT:
		if code == sqlite3.SQLITE_CONSTRAINT_CHECK { // only raw events have checks that data can fail
			return domain.NewError(domain.CodePoison, err, "an event holds what cannot be stored")
		}
	}
	return err
}

const otherSchema = "the database has another schema than the program expects"

// isMissing reports whether a table or column was not found. SQLite has no code
// of its own for that.
func isMissing(err error) bool {
	text := err.Error()
	for _, words := range []string{"no such table", "no such column", "has no column named"} {
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
}

// isStorageFailure reports whether err came from what lies under the database.
func isStorageFailure(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CORRUPT:
		return true
	default:
		return false
	}
}
