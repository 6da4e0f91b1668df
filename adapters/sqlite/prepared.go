package sqlite

import (
	"context"
	"sync"

	"github.com/jmoiron/sqlx"
)

// prepared holds the statements that run often. SQLite compiles each of them
// once per connection; for most that takes longer than running them.
type prepared struct {
	pool *sqlx.DB

	mu         sync.Mutex
	statements map[string]*sqlx.Stmt
}

func newPrepared(pool *sqlx.DB) *prepared {
	return &prepared{pool: pool, statements: make(map[string]*sqlx.Stmt)}
}

// get returns the statement, which a transaction can use with its StmtxContext.
// It may wait for a connection, so no transaction of the pool may be waiting for
// it.
func (p *prepared) get(ctx context.Context, query string) (*sqlx.Stmt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s, ok := p.statements[query]; ok {
		return s, nil
	}
	s, err := p.pool.PreparexContext(ctx, query) //nolint:sqlclosecheck // the pool closes it
	if err != nil {
		return nil, err
	}
	p.statements[query] = s
	return s, nil
}

// list returns several.
func (p *prepared) list(ctx context.Context, queries ...string) ([]*sqlx.Stmt, error) {
	statements := make([]*sqlx.Stmt, len(queries))
	for i, query := range queries {
		var err error
		if statements[i], err = p.get(ctx, query); err != nil { //nolint:sqlclosecheck // the pool closes it
			return nil, err
		}
	}
	return statements, nil
}
