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
	err = s.export(ctx, b, domain.PackedGrain(domain.GrainFull), func(m *domain.Merge, stored []domain.Packed) (err error) {
		rows, err = m.Calls(b, stored)
		return err
	})
	return rows, err
}

// ExportErrors returns error summaries, as ports.Exporter promises.
func (s *Store) ExportErrors(ctx context.Context, b domain.PackedBucket) (rows []domain.ErrorRow, err error) {
	err = s.export(ctx, b, domain.FinestErrors, func(m *domain.Merge, stored []domain.Packed) (err error) {
		rows, err = m.Errors(b, stored)
		return err
	})
	return rows, err
}

// export reads a bucket's values of a grain and its day's journal, and has unpack
// read both.
func (s *Store) export(
	ctx context.Context, b domain.PackedBucket, grain domain.PackedGrain, unpack func(*domain.Merge, []domain.Packed) error,
) error {
	return s.db.read(ctx, "store.export", func(tx *transaction) error {
		start := domain.Daily.Floor(b.Start)
		m := domain.NewMerge(start, domain.Cutoffs{})
		err := eachInJournal(ctx, tx, domain.Window{Start: start, End: start.Add(day)}, func(row journalRow) error {
			if err := m.Add(row.payload); err != nil {
				return damagedJournal(row.day, row.id, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
		stored, err := readGrains(ctx, tx, b, grain)
		if err != nil {
			return err
		}
		if err := unpack(m, stored); err != nil {
			return damaged(placeOf(b), err)
		}
		return nil
	})
}
