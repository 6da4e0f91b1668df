package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var _ ports.HealthCheck = (*file)(nil)

const (
	// checkInterval is how long the outcome of a check is good for.
	checkInterval = time.Second
	// fillerSize is more than any batch has. A nearly full disk may have room
	// for a heartbeat and none for a batch.
	fillerSize = 256 << 10
)

// health remembers how writing went.
type health struct {
	mu sync.Mutex
	// failed is set when a write failed for want of a working disk, and until
	// a check has proved that there is room again.
	failed bool
	// checkedAt is when the last check was, on the clock's Elapsed; nil for
	// never.
	checkedAt *time.Duration
	outcome   error
}

func (h *health) fail() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failed, h.checkedAt = true, nil
}

// Name is "store" or "queue".
func (f *file) Name() string { return f.name }

// Check tries, at most once a second, what writing needs: that file and log are
// where they were opened, that every table is there, and that a heartbeat can
// be committed. After a failed write it demands room for a whole batch.
func (f *file) Check(ctx context.Context) error {
	h, at := &f.health, f.db.config.Clock.Elapsed()
	h.mu.Lock()
	failed, recent, outcome := h.failed, h.checkedAt != nil && at-*h.checkedAt < checkInterval, h.outcome
	h.mu.Unlock()
	if recent {
		return outcome
	}

	filler := 0
	if failed {
		filler = fillerSize
	}
	err := f.write(ctx, f.name+".check", func(tx *sqlx.Tx) error {
		for _, table := range f.tables {
			if _, err := tx.ExecContext(ctx, `INSERT INTO `+table+` SELECT * FROM `+table+` WHERE false`); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `UPDATE heartbeat SET at = ?, filler = zeroblob(?)`, f.db.config.Clock.Now().Unix(), filler)
		return err
	})
	if ctx.Err() != nil {
		return err // says nothing about the disk
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if failed && err == nil {
		h.failed = false
	}
	if !h.failed || err != nil {
		h.checkedAt, h.outcome = &at, err
	}
	return err
}

// readTables notes which tables the schema has.
func (f *file) readTables(ctx context.Context) error {
	return f.writer.SelectContext(ctx, &f.tables,
		`SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'`)
}

// checkFile fails when another file, or none, stands where the database or its
// write-ahead log was opened: what is written would be gone with this process.
// The log keeps its place and identity from the first write to the end, since
// SQLite overwrites it from the start or shortens it.
func (f *file) checkFile() error {
	if !isFile(f.path, f.opened) {
		return domain.NewError(domain.CodeUnavailable,
			fmt.Errorf("%s is not the file that is open: restore the data directory and restart", filepath.Base(f.path)),
			"the data directory was removed or replaced")
	}
	if f.log != nil && !isFile(f.path+logSuffix, f.log) {
		return domain.NewError(domain.CodeUnavailable,
			fmt.Errorf("%s is not the file that is open", filepath.Base(f.path)+logSuffix),
			"the write-ahead log beside a database was removed or replaced: "+
				"stop the server with SIGTERM, which saves what it accepted, and start it again")
	}
	return nil
}

func isFile(path string, opened os.FileInfo) bool {
	info, err := os.Stat(path)
	return err == nil && os.SameFile(info, opened)
}
