package postgres

import (
	"context"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var _ ports.Exporter = (*Store)(nil)

// ExportDays lists the days, as ports.Exporter promises.
func (s *Store) ExportDays(ctx context.Context, resolution domain.Resolution) ([]time.Time, error) {
	var days []time.Time
	err := s.db.read(ctx, "store.export_days", func(tx *transaction) error {
		days = nil
		return tx.SelectContext(ctx, &days, `
			SELECT date_trunc('day', bucket) AS day FROM aggregate_buckets WHERE resolution = $1
			UNION SELECT day FROM aggregation_journal ORDER BY day`, string(resolution))
	})
	for i := range days {
		days[i] = days[i].UTC()
	}
	return days, err
}

// ExportCalls returns groups, as ports.Exporter promises.
func (s *Store) ExportCalls(ctx context.Context, b domain.PackedBucket) (rows []domain.RollupRow, err error) {
	err = s.export(ctx, b, func(m *domain.Merge, read domain.ReadPart) (err error) {
		rows, err = m.Calls(b, read)
		return err
	})
	return rows, err
}

// ExportErrors returns error summaries, as ports.Exporter promises.
func (s *Store) ExportErrors(ctx context.Context, b domain.PackedBucket) (rows []domain.ErrorRow, err error) {
	err = s.export(ctx, b, func(m *domain.Merge, read domain.ReadPart) (err error) {
		rows, err = m.Errors(b, read)
		return err
	})
	return rows, err
}

// export reads the journal of a bucket's day, and has unpack read that and the bucket's
// values.
func (s *Store) export(ctx context.Context, b domain.PackedBucket, unpack func(*domain.Merge, domain.ReadPart) error) error {
	return s.db.read(ctx, "store.export", func(tx *transaction) error {
		start := domain.Daily.Floor(b.Start)
		m := domain.NewMerge(start, domain.Cutoffs{})
		err := eachInJournal(ctx, tx, domain.Window{Start: start, End: start.Add(day)}, func(row journalRow) error {
			if err := m.AddRest(b.Resolution, row.payload, row.steps); err != nil {
				return damagedJournal(row.day, row.id, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return inBucket(b, unpack(m, partsOf(ctx, tx, b)))
	})
}
