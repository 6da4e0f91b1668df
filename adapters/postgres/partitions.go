package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// daysAhead is for how many days after the current one partitions of events are
// made.
const daysAhead = 7

const day = 24 * time.Hour

// The partition of a day is named for it; one that is due is renamed before it
// is dropped, so that a crash in between leaves no doubt.
const (
	partitionDate = "events_20060102"
	expiredSuffix = "_expired"
)

func partitionOf(start time.Time) string { return start.Format(partitionDate) }

// partitions lists the days that have a partition.
func partitions(ctx context.Context, tx *transaction) ([]time.Time, error) {
	var names []string
	err := tx.SelectContext(ctx, &names, `
		SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'events'::regclass ORDER BY relname`)
	var days []time.Time
	for _, name := range names {
		if start, err := time.Parse(partitionDate, name); err == nil {
			days = append(days, start)
		}
	}
	return days, err
}

// maintenanceLock keeps processes from making and dropping partitions at once.
const maintenanceLock = 7_732_816_002

// change runs work that makes or drops partitions. It does not wait for long,
// as others wait behind it.
func (db *DB) change(ctx context.Context, name string, w work) error {
	return db.maintain(ctx, name, func(tx *transaction) error {
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(maintenanceLock)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `SET LOCAL lock_timeout = '2s'`); err != nil {
			return err
		}
		return w(tx)
	})
}

// placing runs write, and once more where a row found no partition, as those
// that are missing are made then.
func (db *DB) placing(ctx context.Context, write func() error) error {
	err := write()
	if !errors.Is(err, errUnplaced) {
		return err
	}
	mended := db.mend(ctx)
	if err = write(); err != nil {
		return errors.Join(err, mended)
	}
	return nil
}

// mend makes the partitions that were dropped behind the program's back.
func (db *DB) mend(ctx context.Context) error {
	err := db.makeAhead(ctx)
	if err == nil {
		db.config.Log.Warn("partitions were missing and have been made")
	}
	return err
}

// mendInBackground is mend for the health check, which fails until it is done.
func (db *DB) mendInBackground(ctx context.Context) {
	if err := db.mend(ctx); err != nil && ctx.Err() == nil {
		db.config.Log.Error("partitions not made", "code", domain.CodeOf(err), "error", err)
	}
}

// checkPartitions fails where there is no place for the events of today.
func (db *DB) checkPartitions(ctx context.Context, tx *transaction) error {
	if db.timescale {
		return nil
	}
	var placed bool
	err := tx.GetContext(ctx, &placed, `
		SELECT EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = 'events'::regclass AND partdefid <> 0) OR EXISTS (
			SELECT FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'events'::regclass AND relname = $1)`,
		partitionOf(domain.Daily.Floor(db.config.Clock.Now())))
	if err == nil && !placed {
		err = unplaced(errors.New(`table "events"`))
	}
	return err
}

// makeDefault makes the default partition, where it is missing.
func (db *DB) makeDefault(ctx context.Context) error {
	const missing = `SELECT partdefid = 0 FROM pg_partitioned_table WHERE partrelid = 'events'::regclass`
	var lacks bool
	err := db.maintain(ctx, "partitions.list", func(tx *transaction) error { return tx.GetContext(ctx, &lacks, missing) })
	if err != nil || !lacks {
		return err
	}
	return db.change(ctx, "partitions.make", func(tx *transaction) error {
		if err := tx.GetContext(ctx, &lacks, missing); err != nil || !lacks {
			return err
		}
		_, err := tx.ExecContext(ctx, `CREATE TABLE events_default PARTITION OF events DEFAULT`)
		return err
	})
}

// makeAhead makes the default partition where it is missing, the partitions of
// the days ahead, and those of all days that have rows in the default one, which
// move to their own.
func (db *DB) makeAhead(ctx context.Context) error {
	if db.timescale {
		return nil // it makes chunks as rows come
	}
	if err := db.makeDefault(ctx); err != nil {
		return err
	}
	today := domain.Daily.Floor(db.config.Clock.Now())
	last := today.Add(daysAhead * day)
	var missing []time.Time
	err := db.maintain(ctx, "partitions.list", func(tx *transaction) error {
		missing = nil
		err := tx.SelectContext(ctx, &missing, `SELECT DISTINCT date_trunc('day', hour, 'UTC') FROM events_default WHERE hour < $1`, last)
		if err != nil {
			return err
		}
		for start := today; !start.After(last); start = start.Add(day) {
			missing = append(missing, start)
		}
		have, err := partitions(ctx, tx)
		missing = slices.DeleteFunc(missing, func(start time.Time) bool { return slices.ContainsFunc(have, start.Equal) })
		return err
	})
	if err != nil {
		return err
	}
	for _, start := range missing {
		if err := db.makePartition(ctx, start.UTC()); err != nil {
			return err
		}
	}
	return nil
}

func (db *DB) makePartition(ctx context.Context, start time.Time) error {
	name, from, to := partitionOf(start), start.Format(time.RFC3339), start.Add(day).Format(time.RFC3339)
	return db.change(ctx, "partitions.make", func(tx *transaction) error {
		have, err := partitions(ctx, tx)
		if err != nil || slices.ContainsFunc(have, start.Equal) {
			return err
		}
		// Rows move while nobody reads or writes the table. Whoever waits for the
		// table itself sees the new partition afterwards; whoever waited for the
		// default one would go on without it, and miss what has moved.
		_, err = tx.ExecContext(ctx, strings.NewReplacer("{partition}", name, "{from}", from, "{to}", to).Replace(`
			CREATE TABLE {partition} (LIKE events INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE);
			LOCK TABLE ONLY events IN ACCESS EXCLUSIVE MODE;
			WITH moved AS (
				DELETE FROM events_default WHERE hour >= '{from}' AND hour < '{to}' RETURNING *
			) INSERT INTO {partition} SELECT * FROM moved;
			ALTER TABLE events ATTACH PARTITION {partition} FOR VALUES FROM ('{from}') TO ('{to}')`))
		return err
	})
}

// dropWhole drops the partitions that have nothing but due events, and returns how
// many these were.
func (db *DB) dropWhole(ctx context.Context, cutoff time.Time) (int64, error) {
	if db.timescale {
		return db.dropChunks(ctx, cutoff)
	}
	return db.dropPartitions(ctx, cutoff)
}

// dropPartitions drops the partitions of past days of which everything is
// before the cutoff, and returns how many rows they had.
func (db *DB) dropPartitions(ctx context.Context, cutoff time.Time) (int64, error) {
	today := domain.Daily.Floor(db.config.Clock.Now())
	var due []time.Time
	err := db.maintain(ctx, "partitions.list", func(tx *transaction) (err error) {
		due, err = partitions(ctx, tx)
		return err
	})
	due = slices.DeleteFunc(due, func(start time.Time) bool { return !start.Before(today) || start.Add(day).After(cutoff) })
	for _, start := range due {
		if err == nil {
			err = db.detachPartition(ctx, start)
		}
	}
	if err != nil {
		return 0, err
	}
	return db.dropExpired(ctx)
}

func (db *DB) detachPartition(ctx context.Context, start time.Time) error {
	return db.change(ctx, "partitions.detach", func(tx *transaction) error {
		have, err := partitions(ctx, tx)
		if err != nil || !slices.ContainsFunc(have, start.Equal) {
			return err
		}
		name := partitionOf(start)
		_, err = tx.ExecContext(ctx, fmt.Sprintf(
			`ALTER TABLE events DETACH PARTITION %s; ALTER TABLE %s RENAME TO %s`, name, name, name+expiredSuffix))
		return err
	})
}

// dropExpired drops what is detached, be it by a process that has died since.
func (db *DB) dropExpired(ctx context.Context) (int64, error) {
	var rows int64
	err := db.change(ctx, "partitions.drop", func(tx *transaction) error {
		rows = 0
		var names []string
		err := tx.SelectContext(ctx, &names, `
			SELECT relname FROM pg_class WHERE relkind = 'r' AND NOT relispartition AND relname ~ $1
				AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'events'::regclass)`,
			`^events_[0-9]+`+expiredSuffix+`$`)
		for _, name := range names {
			var n int64
			if err := tx.GetContext(ctx, &n, `SELECT count(*) FROM `+name); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `DROP TABLE `+name); err != nil {
				return err
			}
			rows += n
		}
		return err
	})
	return rows, err
}

// dropChunks is dropPartitions for TimescaleDB.
func (db *DB) dropChunks(ctx context.Context, cutoff time.Time) (int64, error) {
	var rows int64
	err := db.change(ctx, "chunks.drop", func(tx *transaction) error {
		rows = 0
		err := tx.GetContext(ctx, &rows, `
			SELECT count(*) FROM events WHERE hour < (
				SELECT max(range_end) FROM timescaledb_information.chunks
				WHERE hypertable_schema = current_schema() AND hypertable_name = 'events' AND range_end <= $1)`, cutoff)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `SELECT drop_chunks('events'::regclass, older_than => $1::timestamptz)`, cutoff)
		return err
	})
	return rows, err
}
