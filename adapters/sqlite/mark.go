package sqlite

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// What was committed last is in the write-ahead log, a file beside the database
// file, and a copy of the database file alone lacks it. So while a process uses
// the database, the database file itself says so, in the header that SQLite
// leaves to programs: one that says so and has no log beside it was copied
// without it.
const (
	// markClosed is also what a new database has.
	markClosed = 0
	markInUse  = 1
)

func (f *file) setMark(ctx context.Context, mark int) error {
	_, err := f.keeper.ExecContext(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, mark))
	return err
}

// fileState is what the database file says without its log.
type fileState struct {
	// empty is a file of no bytes, bare one with a header and no tables.
	empty, bare bool
	// logged says that what is committed goes to the log first.
	logged bool
	inUse  bool
	// logBytes is the size of the log; -1 where there is none.
	logBytes int64
}

// The header of a database file, as SQLite's file format defines it.
const (
	headerSize       = 108
	readVersionAt    = 19 // 2 with a write-ahead log
	userVersionAt    = 60
	cellsOfSchemaAt  = 103
	versionWithLog   = 2
	logSuffix        = "-wal"
	headerStart      = "SQLite format 3\x00"
	pageSizeAt       = 16
	largestPageCoded = 1
	largestPage      = 65536
)

// readState reads the database file before SQLite does, which would make a log.
// A file that is no database is left for SQLite to refuse.
func readState(file *os.File) (fileState, error) {
	state := fileState{logBytes: -1}
	switch log, err := os.Stat(file.Name() + logSuffix); {
	case err == nil:
		state.logBytes = log.Size()
	case !errors.Is(err, fs.ErrNotExist):
		return state, err
	}
	info, err := file.Stat()
	if err != nil {
		return state, err
	}
	state.empty = info.Size() == 0
	header := make([]byte, headerSize)
	if _, err := file.ReadAt(header, 0); err != nil && !errors.Is(err, io.EOF) {
		return state, err
	}
	if string(header[:len(headerStart)]) != headerStart {
		return state, nil
	}
	page := int64(binary.BigEndian.Uint16(header[pageSizeAt:]))
	if page == largestPageCoded {
		page = largestPage
	}
	state.logged = header[readVersionAt] == versionWithLog
	state.inUse = binary.BigEndian.Uint32(header[userVersionAt:]) == markInUse
	state.bare = info.Size() <= page && binary.BigEndian.Uint16(header[cellsOfSchemaAt:]) == 0
	return state, nil
}

// objection refuses files that are not what they seem. Without it SQLite would
// begin with nothing, or mix two databases.
func (s fileState) objection(path string) error {
	switch {
	case s.bare && s.logged && s.logBytes < 0:
		return fmt.Errorf("%s holds nothing but its header, because it was copied while a process used it and without %s%s, "+
			"which held the data: copy both while that process is stopped, or use analytics backup; for a new database, delete the file",
			path, path, logSuffix)
	case !s.empty && !s.logged && s.logBytes > 0:
		return fmt.Errorf("%s is a backup, and %s%s beside it is of another database: move %s%s and %s-shm away",
			path, path, logSuffix, path, logSuffix, path)
	default:
		return nil
	}
}

// incomplete reports whether the file was copied, or its log removed, while a
// process used it. That process's log held the mark, so an empty one is new.
func (s fileState) incomplete() bool { return s.logged && s.inUse && s.logBytes <= 0 }

// markOpen says in the database file that it is in use. What was copied without
// its log is checked as a whole, and told in the log: it lacks what was
// committed last, and may be torn.
func (f *file) markOpen(ctx context.Context, found fileState) error {
	if found.incomplete() {
		if err := checkIntegrity(ctx, f.writer.DB); err != nil {
			return fmt.Errorf("%s was copied without %s%s, or that was removed, while a process used it, and cannot be read: restore a backup: %w",
				f.path, f.path, logSuffix, err)
		}
		f.db.config.Log.Error("the database was copied without its log, or its log removed, while a process used it: what was stored and accepted last is missing",
			"missing", filepath.Base(f.path)+logSuffix)
	}
	if err := f.setMark(ctx, markInUse); err != nil {
		return err
	}
	// Into the file itself: what of it others still read stays in the log.
	if _, err := f.writer.ExecContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`); err != nil {
		return err
	}
	f.marked = true
	return nil
}

// unmark is the last thing that is written. Where that fails, the next start
// finds the log.
func (f *file) unmark() {
	if f.marked {
		_ = f.setMark(context.Background(), markClosed)
	}
}
