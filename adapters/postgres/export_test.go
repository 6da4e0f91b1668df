package postgres

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// SSLModeOf returns the sslmode with which the database is connected to.
func SSLModeOf(url string) (string, error) {
	server, err := Config{URL: url}.withDefaults().server()
	return string(server.SSLMode), err
}

// ServerOf tells how the driver understands a URL: hosts with ports, user, password
// and database.
func ServerOf(url string) (string, error) {
	server, err := Config{URL: url}.withDefaults().server()
	hosts := make([]string, 0, 1+len(server.Multi))
	for _, h := range append([]pq.ConfigMultihost{{Host: server.Host, Hostaddr: server.Hostaddr, Port: server.Port}}, server.Multi...) {
		host := h.Host
		if h.Hostaddr.IsValid() {
			host = h.Hostaddr.String()
		}
		hosts = append(hosts, host+":"+strconv.Itoa(int(h.Port)))
	}
	return strings.Join([]string{strings.Join(hosts, ","), server.User, server.Password, server.Database}, " "), err
}

// CheckVersion refuses old servers.
func CheckVersion(version int) error { return checkVersion(version) }

// Translate gives an error its code.
func Translate(ctx context.Context, err error) error { return Config{}.translate(ctx, "test", err) }

// RawEvents lists the raw events.
func (s *Store) RawEvents(ctx context.Context) ([]domain.Event, error) {
	var events []domain.Event
	err := s.db.read(ctx, "test.events", func(tx *transaction) error {
		var rows []eventRow
		err := tx.SelectContext(ctx, &rows, `SELECT `+eventColumns+` FROM events ORDER BY id`)
		events = nil
		for _, row := range rows {
			events = append(events, row.event())
		}
		return err
	})
	return events, err
}

// Get reads one row.
func (db *DB) Get(ctx context.Context, into any, query string, args ...any) error {
	return db.read(ctx, "test.get", func(tx *transaction) error { return tx.GetContext(ctx, into, query, args...) })
}

// Write reads one row as a worker does.
func (db *DB) Write(ctx context.Context, into any, query string, args ...any) error {
	return db.write(ctx, "test.write", func(tx *transaction) error { return tx.GetContext(ctx, into, query, args...) })
}

// Maintain reads one row as maintenance does.
func (db *DB) Maintain(ctx context.Context, into any, query string, args ...any) error {
	return db.maintain(ctx, "test.maintain", func(tx *transaction) error { return tx.GetContext(ctx, into, query, args...) })
}

// List reads many rows of one column.
func (db *DB) List(ctx context.Context, into any, query string, args ...any) error {
	return db.read(ctx, "test.list", func(tx *transaction) error { return tx.SelectContext(ctx, into, query, args...) })
}

// Exec runs statements that no caller of the package can run.
func (db *DB) Exec(ctx context.Context, statements ...string) error {
	return db.maintain(ctx, "test.exec", func(tx *transaction) error {
		for _, statement := range statements {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}

// MergeJournal merges all of the journal.
func (s *Store) MergeJournal(ctx context.Context) error {
	days, err := s.Journal(ctx)
	errs := []error{err}
	for _, d := range days {
		for left := d.Entries; left > 0; {
			merged, err := s.Merge(ctx, d.Day, d.Entries, domain.Cutoffs{})
			errs = append(errs, err)
			if merged == 0 {
				break
			}
			left -= merged
		}
	}
	return errors.Join(errs...)
}

// BoundRebuild bounds the events that a rebuild reads at once, and the entries
// that it holds in memory.
func (db *DB) BoundRebuild(events, entries int) { db.rebuild = rebuildBounds{events, entries} }

// MergeStepwise has every merge take a transaction for each step.
func (db *DB) MergeStepwise() { db.mergeAtOnce = -1 }

// MergeAtOnce has every merge take one transaction.
func (db *DB) MergeAtOnce() { db.mergeAtOnce = math.MaxInt64 }

// MergeStep takes one step of a day's merge, if there is anything to merge.
func (s *Store) MergeStep(ctx context.Context, day time.Time, maxEntries int) error {
	_, err := s.mergeNext(ctx, day, maxEntries, domain.Cutoffs{})
	return err
}

// URL is that of the configuration.
func (db *DB) URL() string { return db.config.URL }

// Hold runs a statement in a transaction that lasts until release is closed.
func (db *DB) Hold(ctx context.Context, statement string, held chan<- struct{}, release <-chan struct{}) error {
	return db.maintain(ctx, "test.hold", func(tx *transaction) error {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
		close(held)
		<-release
		return nil
	})
}

// HoldOne keeps a connection of workers and readers until release is closed.
func (db *DB) HoldOne(ctx context.Context, held chan<- struct{}, release <-chan struct{}) error {
	return db.read(ctx, "test.hold", func(*transaction) error {
		close(held)
		<-release
		return nil
	})
}

// WrittenTables lists what storing writes.
func WrittenTables() []string { return slices.Clone(writtenTables) }

// NeededRights lists what the program does to each table.
func NeededRights() map[string][]string { return maps.Clone(neededRights) }
