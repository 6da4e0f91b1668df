package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/lib/pq"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var _ ports.HealthCheck = (*DB)(nil)

// The bounds of a check, which together are well below the time for a health
// answer. Maintenance holds its locks for less.
const (
	checkLockTimeout      = time.Second
	checkStatementTimeout = 1500 * time.Millisecond
)

// checkInterval is how long the outcome of a check is good for.
const checkInterval = time.Second

// health remembers the last check.
type health struct {
	mu sync.Mutex
	// checkedAt is when the last check was, on the clock's Elapsed; nil for
	// never.
	checkedAt *time.Duration
	outcome   error
}

// Name is "store".
func (db *DB) Name() string { return "store" }

// Check does, at most once a second, what storing lives by: it takes the locks
// that a transaction of [Store.Store] or of the journal takes, tries the rights
// and columns that these need, and commits a heartbeat. It fails within two
// seconds where a table is missing or locked by others or has no partition for
// today, a right was taken away, or the database cannot be written. Missing
// partitions it has made in the background.
func (db *DB) Check(ctx context.Context) error {
	h, at := &db.health, db.config.Clock.Elapsed()
	h.mu.Lock()
	recent, outcome := h.checkedAt != nil && at-*h.checkedAt < checkInterval, h.outcome
	h.mu.Unlock()
	if recent {
		return outcome
	}
	err := db.transact(ctx, db.pool, "health.check", nil, db.tryToStore(ctx))
	if isOutage(err) && ctx.Err() == nil { // the connection may have been closed meanwhile
		err = db.transact(ctx, db.pool, "health.check", nil, db.tryToStore(ctx))
	}
	db.learn(ctx, err)
	if errors.Is(err, errUnplaced) {
		db.mending.start(ctx, db.mendInBackground)
	}
	err = db.config.translate(ctx, "health.check", err)
	if ctx.Err() != nil {
		return err // says nothing about the database
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checkedAt, h.outcome = &at, err
	return err
}

// writtenTables are those that storing and merging write.
var writtenTables = []string{
	"events", "stored_batches", "aggregation_journal", "dimension_values", "dimension_overflow",
	"packed_aggregates", "aggregate_buckets",
}

// neededRights are what storing, merging, expiry and rebuilds do to each table.
// What they do to heartbeat the check does itself.
var neededRights = map[string][]string{
	"events":              {"SELECT", "INSERT", "DELETE"},
	"stored_batches":      {"SELECT", "INSERT", "DELETE"},
	"aggregation_journal": {"SELECT", "INSERT", "DELETE"},
	"dimension_values":    {"SELECT", "INSERT", "DELETE"},
	"dimension_overflow":  {"SELECT", "INSERT", "UPDATE", "DELETE"},
	"packed_aggregates":   {"SELECT", "INSERT", "UPDATE", "DELETE"},
	"aggregate_buckets":   {"SELECT", "INSERT", "UPDATE", "DELETE"},
	"last_expiry":         {"SELECT", "INSERT", "UPDATE"},
}

// tryToStore is a transaction that could store a batch and stores none.
// Partitions are not locked, as they come and go.
func (db *DB) tryToStore(ctx context.Context) work {
	return func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, fmt.Sprintf(`SET LOCAL lock_timeout = %d; SET LOCAL statement_timeout = %d;
			LOCK TABLE ONLY %s IN ROW EXCLUSIVE MODE`,
			checkLockTimeout.Milliseconds(), checkStatementTimeout.Milliseconds(), strings.Join(writtenTables, ", ONLY ")))
		if err != nil {
			return err
		}
		if err := checkRights(ctx, tx); err != nil {
			return err
		}
		if err := db.checkPartitions(ctx, tx); err != nil {
			return err
		}
		none := func(func([]byte) error) error { return nil }
		if err := tx.copyRows(ctx, copyIntoEvents, none); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, appendToJournal+` SELECT $1, $2, $3, $4, $5, $6 WHERE false`,
			db.config.Clock.Now(), 0, 0, []byte{}, 0, 0); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE heartbeat SET at = to_timestamp($1)`, db.config.Clock.Now().Unix())
		return err
	}
}

// checkRights fails where a right is missing.
func checkRights(ctx context.Context, tx *transaction) error {
	var tables, verbs pq.StringArray
	for table, needed := range neededRights {
		for _, verb := range needed {
			tables, verbs = append(tables, table), append(verbs, verb)
		}
	}
	var lacking []string
	err := tx.SelectContext(ctx, &lacking, `
		SELECT verb || ' on ' || name FROM unnest($1::text[], $2::text[]) AS needed (name, verb)
		WHERE NOT has_table_privilege(name, verb) ORDER BY name, verb`, tables, verbs)
	if err != nil || len(lacking) == 0 {
		return err
	}
	return domain.NewError(domain.CodeUnavailable,
		fmt.Errorf("the role of DATABASE_URL lacks %s: grant it, or make it owner of the tables", strings.Join(lacking, ", ")),
		"the database refuses what the program must do")
}
