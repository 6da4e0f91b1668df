package sqlite

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/jmoiron/sqlx"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// Enqueue holds the batch, as ports.EventQueue promises. Callers share
// transactions, and so the wait for the disk. One whose ctx ends waits no longer;
// its batch is held all the same if its transaction had begun.
func (q *Queue) Enqueue(ctx context.Context, batch domain.Batch) error {
	return q.enqueue(ctx, newEntry(batch))
}

// entry is a batch whose caller waits until it is held.
type entry struct {
	id         domain.BatchID
	receivedAt int64 // in Unix microseconds
	size       size
	payload    []byte
	key        *keyed // nil for none
	// abandoned is set by a caller that waits no longer.
	abandoned atomic.Bool
	// done is closed when held and err are set: whether the batch was added, which
	// a repeat under its key is not, and why not.
	done chan struct{}
	held bool
	err  error
}

func newEntry(batch domain.Batch) *entry {
	payload := domain.EncodeEvents(batch.Events)
	return &entry{
		id: batch.ID, receivedAt: batch.ReceivedAt.UnixMicro(), payload: payload,
		size: size{Batches: 1, Events: len(batch.Events), Bytes: len(payload) + domain.BatchOverhead},
		done: make(chan struct{}),
	}
}

// enqueue returns when the entry is held or refused.
func (q *Queue) enqueue(ctx context.Context, e *entry) error {
	const name = "queue.enqueue"
	if err := ctx.Err(); err != nil {
		return q.db.queue.translate(ctx, name, err)
	}
	if err := q.reserve(e.size); err != nil {
		return err
	}
	if !q.db.groups.join(e, q.commit) {
		q.db.sizes.settle(e.size, false)
		return q.db.queue.translate(ctx, name, errClosed)
	}
	select {
	case <-e.done:
		return e.err
	case <-ctx.Done():
		e.abandoned.Store(true)
		return q.db.queue.translate(ctx, name, ctx.Err())
	}
}

// reserve makes room for a batch while the way in is open.
func (q *Queue) reserve(batch size) error {
	if err := q.admit(); err != nil {
		return err
	}
	return q.db.sizes.reserve(batch, &q.config)
}

var errClosed = errors.New("the database is closed")

// groups collects the entries that wait while a transaction is written and synced.
// The next one holds them all.
type groups struct {
	mu      sync.Mutex
	waiting []*entry
	running bool // whether a goroutine commits
	ended   bool
	commits sync.WaitGroup
}

// maxGroupBytes bounds a transaction, and so how long its callers wait.
const maxGroupBytes = 4 << 20

// join adds the entry to the next group, and reports false after the end. A
// goroutine commits groups for as long as there are any.
func (g *groups) join(e *entry, commit func([]*entry)) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return false
	}
	g.waiting = append(g.waiting, e)
	if !g.running {
		g.running = true
		g.commits.Go(func() {
			for group := g.next(); len(group) > 0; group = g.next() {
				commit(group)
			}
		})
	}
	return true
}

// next takes the entries of a transaction.
func (g *groups) next() []*entry {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, bytes := 0, 0
	for n < len(g.waiting) && (n == 0 || bytes+g.waiting[n].size.Bytes <= maxGroupBytes) {
		bytes += g.waiting[n].size.Bytes
		n++
	}
	group := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	if len(g.waiting) == 0 {
		g.waiting = nil
	}
	g.running = n > 0
	return group
}

// end lets no more entries in and waits until those that wait are committed.
func (g *groups) end() {
	g.mu.Lock()
	g.ended = true
	g.mu.Unlock()
	g.commits.Wait()
}

// commit holds the entries in one transaction and answers their callers.
func (q *Queue) commit(group []*entry) {
	entries := make([]*entry, 0, len(group))
	for _, e := range group {
		if e.abandoned.Load() {
			q.db.sizes.settle(e.size, false)
			continue
		}
		entries = append(entries, e)
	}
	if len(entries) == 0 {
		return
	}
	err := q.holdAll(entries)
	for _, e := range entries {
		if err != nil && e.err == nil {
			e.err = err
		}
		q.db.sizes.settle(e.size, e.held && e.err == nil)
		close(e.done)
	}
	if err == nil {
		q.announce()
	}
}

// holdAll writes the entries. What is wrong with one of them is its error, and no
// error of the others; after an error of holdAll none is held.
func (q *Queue) holdAll(entries []*entry) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = app.PanicError(cause)
		}
	}()
	ctx := context.Background() // callers come and go
	statements, err := q.db.queue.writing.list(ctx, insertQueued, selectReceipt, deleteReceipt, insertReceipt)
	if err != nil {
		return q.db.queue.translate(ctx, "queue.enqueue", err)
	}
	return q.db.queue.write(ctx, "queue.enqueue", func(tx *sqlx.Tx) error {
		insert := tx.StmtxContext(ctx, statements[0])
		keys := q.newReceiptWriter(ctx, tx, statements[1:])
		for _, e := range entries {
			known, err := keys.recall(ctx, e.key)
			if err == nil && !known {
				err = q.insert(ctx, insert, e)
			}
			switch {
			case err == nil:
			case isOfEntry(err):
				e.err = q.db.queue.translate(ctx, "queue.enqueue", err)
			default:
				return err
			}
			if e.held {
				if err := keys.add(ctx, e.key); err != nil {
					return err
				}
			}
		}
		return keys.bound(ctx)
	})
}

// isOfEntry reports whether an error concerns one entry: SQLite has then undone its
// statement, and the transaction goes on.
func isOfEntry(err error) bool {
	if _, ok := errors.AsType[*domain.Error](err); ok {
		return true
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	code := e.Code() & 0xff
	return code == sqlite3.SQLITE_CONSTRAINT || code == sqlite3.SQLITE_TOOBIG
}

const insertQueued = `INSERT INTO queue (place, id, received_at, events, payload) VALUES (?, ?, ?, ?, ?)`

// insert adds a batch for which there is room, with insertQueued.
func (q *Queue) insert(ctx context.Context, insert *sqlx.Stmt, e *entry) error {
	_, err := insert.ExecContext(ctx, q.db.sizes.place(), string(e.id), e.receivedAt, e.size.Events, e.payload)
	e.held = err == nil
	return err
}
