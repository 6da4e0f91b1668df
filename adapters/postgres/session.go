package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
)

// timeouts are what the server allows a transaction; 0 is no limit.
type timeouts struct {
	statement, lock, idle time.Duration
}

// open returns a pool of connections with these timeouts. Behind a pooler such as
// PgBouncer two transactions of a connection may run in different sessions of
// the server, and the pooler refuses settings when connecting, so every
// transaction makes its own settings as it begins.
func open(server pq.Config, t timeouts) (*sqlx.DB, error) {
	server = server.Clone()
	// Times are given in UTC whatever the database's setting is. Poolers keep
	// track of this one.
	server.Runtime["timezone"] = "UTC"
	inner, err := pq.NewConnectorConfig(server)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return sqlx.NewDb(sql.OpenDB(connector{inner, t.settings()}), "postgres"), nil
}

// parametersOf lists the parameters that the server takes, beside those that every
// pooler takes.
func parametersOf(server pq.Config) []string {
	names := slices.Sorted(maps.Keys(server.Runtime))
	if server.Options != "" {
		names = append([]string{"options"}, names...)
	}
	return names
}

// settings are the statements that follow BEGIN. A process that was cut off in the
// middle of a transaction may hold a lock that all others wait for, so the
// server ends what idles. To compile a query takes longer than any of ours.
func (t timeouts) settings() string {
	return fmt.Sprintf("; SET LOCAL statement_timeout = %d; SET LOCAL lock_timeout = %d; SET LOCAL idle_in_transaction_session_timeout = %d; SET LOCAL jit = off",
		t.statement.Milliseconds(), t.lock.Milliseconds(), t.idle.Milliseconds())
}

// durableCommit has a transaction commit durably, whatever the database, the role
// or the URL say: a batch that was acknowledged is nowhere else. Settings that
// ask for more than that stay.
const durableCommit = "; SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"

// connector makes connections whose transactions begin with settings.
type connector struct {
	driver.Connector

	settings string
}

// Connect makes a connection, as [driver.Connector] promises.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	inner, ok := conn.(driverConn)
	if !ok {
		return nil, errors.Join(errors.New("the driver's connections lack a method"), conn.Close())
	}
	return connection{inner, c.settings}, nil
}

// driverConn is what a connection of the driver can do. It is a transaction, too.
type driverConn interface {
	driver.Conn
	driver.Tx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
	driver.NamedValueChecker
}

// connection is one whose transactions begin with settings.
type connection struct {
	driverConn

	settings string
}

// BeginTx begins a transaction and makes its settings in one round trip.
func (c connection) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	// Whoever has waited for a lock must see what its holder did.
	level := "READ COMMITTED"
	if sql.IsolationLevel(options.Isolation) == sql.LevelRepeatableRead {
		level = "REPEATABLE READ"
	}
	begin := "BEGIN ISOLATION LEVEL " + level + " READ WRITE" + c.settings + durableCommit
	if options.ReadOnly {
		// What a transaction sees is as of its first query, which this leaves to it.
		begin = "BEGIN ISOLATION LEVEL " + level + " READ ONLY" + c.settings
	}
	if _, err := c.ExecContext(ctx, begin, nil); err != nil {
		_ = c.Rollback() // nothing has begun, or the connection is lost
		return nil, err
	}
	return c.driverConn, nil
}
