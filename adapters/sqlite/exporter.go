package sqlite

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/migrations"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var _ ports.Exporter = (*Exporter)(nil)

// Exporter reads the aggregates of a database. A process may work on it meanwhile,
// which is not hindered, as it would be by a second [DB].
type Exporter struct {
	db *DB
}

// OpenExporter opens the database of a data directory, which must be there, and
// changes nothing in it. Of config it takes Dir, SlowQuery and Log. Its errors are
// sentences for the operator: no database, or one with the schema of another
// version of the program.
func OpenExporter(ctx context.Context, config Config) (*Exporter, error) {
	e := &Exporter{db: &DB{config: config.withDefaults()}}
	e.db.store, e.db.queue = &file{db: e.db}, &file{db: e.db}
	if err := e.open(ctx); err != nil {
		_ = e.Close() //nolint:contextcheck // it was opened for reading, and has nothing to write
		return nil, err
	}
	return e, nil
}

func (e *Exporter) open(ctx context.Context) error {
	path, err := filepath.Abs(filepath.Join(e.db.config.Dir, storeFile))
	if err != nil {
		return err
	}
	file, err := os.Open(path) //nolint:gosec // the operator's directory
	if err != nil {
		return fmt.Errorf("there is no database in DATA_DIR (%s) that can be read: %w", e.db.config.Dir, bottom(err))
	}
	found, err := readState(file)
	_ = file.Close()
	if err == nil {
		err = found.objection(path)
	}
	if err != nil {
		return err
	}
	query := url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(5000)", "temp_store(memory)"}, "_txlock": {"deferred"}, "_dqs": {"0"}}
	e.db.store.readers, err = sqlx.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}).String())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	e.db.store.readers.SetMaxOpenConns(1)
	return e.db.store.translate(ctx, path, e.checkSchema(ctx, path))
}

// checkSchema refuses a schema that is not this program's.
func (e *Exporter) checkSchema(ctx context.Context, path string) error {
	var tables struct {
		Versions, Packed, Earlier bool
	}
	err := e.db.store.readers.GetContext(ctx, &tables, `
		SELECT coalesce(max(name = 'schema_versions'), 0) AS versions, coalesce(max(name = 'packed_aggregates'), 0) AS packed,
			`+isEarlier+` AS earlier
		FROM sqlite_schema WHERE type = 'table'`)
	switch {
	case err != nil:
		return err
	case tables.Earlier:
		return errEarlier(path)
	case !tables.Versions || !tables.Packed:
		return fmt.Errorf("%s holds no data yet: start the server first", path)
	}
	steps, err := migrations.SQLite(e.db.store.readers.DB)
	if err != nil {
		return err
	}
	if err := migrations.RefuseNewer(ctx, steps); err != nil {
		return err
	}
	taken, err := migrations.Status(ctx, steps)
	if err != nil {
		return err
	}
	for _, step := range taken {
		if step.TakenAt.IsZero() {
			return fmt.Errorf("%s has not taken step %s of the schema yet: start the server of this version first", path, step.Name)
		}
	}
	return nil
}

// Close closes the database.
func (e *Exporter) Close() error { return e.db.Close() }

// ExportDays lists the days, as ports.Exporter promises.
func (e *Exporter) ExportDays(ctx context.Context, resolution domain.Resolution) ([]time.Time, error) {
	const day = int64(24 * time.Hour / time.Second)
	var starts []int64
	err := e.db.store.read(ctx, "store.export_days", func(tx *sqlx.Tx) error {
		return tx.SelectContext(ctx, &starts, `
			SELECT bucket - ((bucket % ?1) + ?1) % ?1 AS day FROM aggregate_buckets WHERE resolution = ?2
			UNION SELECT day FROM aggregation_journal ORDER BY day`, day, string(resolution))
	})
	days := make([]time.Time, len(starts))
	for i, start := range starts {
		days[i] = time.Unix(start, 0).UTC()
	}
	return days, err
}

// ExportCalls returns groups, as ports.Exporter promises.
func (e *Exporter) ExportCalls(ctx context.Context, b domain.PackedBucket) (rows []domain.RollupRow, err error) {
	err = e.export(ctx, b, func(m *domain.Merge, read domain.ReadPart) (err error) {
		rows, err = m.Calls(b, read)
		return err
	})
	return rows, err
}

// ExportErrors returns error summaries, as ports.Exporter promises.
func (e *Exporter) ExportErrors(ctx context.Context, b domain.PackedBucket) (rows []domain.ErrorRow, err error) {
	err = e.export(ctx, b, func(m *domain.Merge, read domain.ReadPart) (err error) {
		rows, err = m.Errors(b, read)
		return err
	})
	return rows, err
}

// export reads the journal of a bucket's day, and has unpack read that and the bucket's
// values.
func (e *Exporter) export(ctx context.Context, b domain.PackedBucket, unpack func(*domain.Merge, domain.ReadPart) error) error {
	return e.db.store.read(ctx, "store.export", func(tx *sqlx.Tx) error {
		day := domain.Daily.Floor(b.Start)
		m := domain.NewMerge(day, domain.Cutoffs{})
		journal, err := journalBetween(ctx, tx, day, day.Add(domain.Daily.Length()))
		if err != nil {
			return err
		}
		for i := range journal {
			if err := m.AddRest(b.Resolution, journal[i].Payload, journal[i].Steps); err != nil {
				return damagedJournal(day, journal[i].ID, err)
			}
		}
		read, err := tx.PreparexContext(ctx, readPart)
		if err != nil {
			return err
		}
		defer read.Close()
		return inBucket(b, unpack(m, func(g domain.PackedGrain, part int) (domain.Packed, error) {
			return partOf(ctx, read, domain.PackedKey{PackedBucket: b, Grain: g, Part: part})
		}))
	})
}
