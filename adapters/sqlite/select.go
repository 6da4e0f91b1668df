package sqlite

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// Select reads aggregates, as ports.StatisticsReader promises.
func (s *Store) Select(ctx context.Context, selection domain.Selection) (domain.Selected, error) {
	selected := domain.Selected{Rollups: make(map[domain.Dimension][]domain.RollupRow)}
	err := s.db.read(ctx, "store.select", func(tx *sqlx.Tx) (err error) {
		for _, by := range selection.By {
			if selected.Rollups[by], err = selectRollups(ctx, tx, selection, by); err != nil {
				return err
			}
		}
		if selection.Errors {
			selected.Errors, err = selectErrors(ctx, tx, selection)
		}
		return err
	})
	if err != nil {
		return domain.Selected{}, err
	}
	return selected, nil
}

func selectRollups(ctx context.Context, tx *sqlx.Tx, s domain.Selection, by domain.Dimension) ([]domain.RollupRow, error) {
	q := rollupQuery(s, by)
	var stored []rollupRow
	if err := tx.SelectContext(ctx, &stored, q.text.String(), q.args...); err != nil {
		return nil, err
	}
	type key struct {
		bucket int64
		group  domain.Group
	}
	merged := make(map[key]*domain.RollupRow)
	for i := range stored {
		row := &stored[i]
		rollup, err := row.rollup(tableOf(s.Window.Resolution))
		if err != nil {
			return nil, err
		}
		k := key{row.Bucket, row.group().At(domain.GrainOf(by))}
		if merged[k] == nil {
			merged[k] = &domain.RollupRow{Resolution: s.Window.Resolution, Bucket: row.start(), Group: k.group, Rollup: rollup}
		} else {
			merged[k].Rollup.Merge(&rollup)
		}
	}
	return sortedRows(maps.Values(merged), domain.CompareRollupRows), nil
}

func selectErrors(ctx context.Context, tx *sqlx.Tx, s domain.Selection) ([]domain.ErrorRow, error) {
	q := errorQuery(s)
	var stored []errorRow
	if err := tx.SelectContext(ctx, &stored, q.text.String(), q.args...); err != nil {
		return nil, err
	}
	merged := make(map[domain.ErrorKey]*domain.ErrorRow)
	for i := range stored {
		row := &stored[i]
		summary, err := row.summary()
		if err != nil {
			return nil, err
		}
		k := domain.ErrorKey{Resolution: s.Window.Resolution, Bucket: row.start(), ErrorType: row.ErrorType}
		if merged[k] == nil {
			merged[k] = &domain.ErrorRow{ErrorKey: k, ErrorSummary: summary}
		} else {
			merged[k].Merge(&summary)
		}
	}
	return sortedRows(maps.Values(merged), domain.CompareErrorRows), nil
}

func sortedRows[T any](rows func(func(*T) bool), compare func(a, b T) int) []T {
	list := []T{}
	for row := range rows {
		list = append(list, *row)
	}
	slices.SortFunc(list, compare)
	return list
}

// query is a statement with its arguments.
type query struct {
	text strings.Builder
	args []any
}

func (q *query) add(text string, args ...any) {
	q.text.WriteString(text)
	q.args = append(q.args, args...)
}

// rollupQuery reads the rows of the grain that answers a breakdown. So that it
// touches no others, it goes in by one of three ways:
//
//   - by time, when nothing is filtered: all rows of the grain are wanted;
//   - by an index, when the breakdown is by the first dimension of a pair and
//     the second is filtered;
//   - bucket by bucket along the primary key, when the filter fixes dimensions
//     that stand first in it. The buckets that hold anything are those of the
//     total. Of full grain this reads rows that are not wanted, too, unless
//     the filtered dimensions are the first ones.
func rollupQuery(s domain.Selection, by domain.Dimension) *query {
	grain, filtered := s.GrainFor(by), s.Filter.Grain()
	table := tableOf(s.Window.Resolution)
	q := new(query)
	switch {
	case filtered == domain.GrainTotal:
		q.add(`SELECT r.* FROM ` + table + ` AS r WHERE`)
		q.addWindow("r", s.Window)
	case grain.Size() == 2 && filtered.Size() == 1 && domain.Grain(by) < filtered:
		q.add(`SELECT r.* FROM ` + table + ` AS r INDEXED BY ` + table + "_" + filtered.String() +
			` WHERE ` + indexedRows(filtered) + ` AND`)
		q.addWindow("r", s.Window)
	default:
		q.add(`SELECT r.* FROM ` + table + ` AS total CROSS JOIN ` + table + ` AS r
			WHERE total.grain = 0 AND r.bucket = total.bucket AND`)
		q.addWindow("total", s.Window)
	}
	q.addGroup(s.Filter, grain)
	return q
}

// indexedRows is the condition of the index on a dimension: rows of which it is
// the last. The migration says the same.
func indexedRows(last domain.Grain) string {
	highest := min(2*last, domain.GrainFull)
	return `r.grain < ` + strconv.Itoa(int(highest)) + ` AND r.` + last.String() + ` <> ''`
}

func (q *query) addWindow(table string, w domain.Window) {
	q.add(` `+table+`.bucket >= ? AND `+table+`.bucket < ?`, w.Start.Unix(), w.End.Unix())
}

// addGroup fixes the grain, what is filtered and what the grain leaves out.
func (q *query) addGroup(f domain.Filter, grain domain.Grain) {
	q.add(` AND r.grain = ?`, int64(grain))
	for _, d := range domain.Dimensions() {
		if f.Value(d) != "" || !grain.Has(d) {
			q.add(` AND r.`+d.String()+` = ?`, f.Value(d))
		}
	}
}

// errorQuery reads the rows that answer a selection's errors. Their key begins
// with the group, which only full grain does not fix.
func errorQuery(s domain.Selection) *query {
	grain := s.ErrorGrain()
	q := new(query)
	q.add(`SELECT r.grain, r.bucket, r.tool, r.version, r.country, r.service, r.error_type, r.count,
			r.first_seen, r.last_seen, r.tools, r.versions
		FROM error_summary AS r`)
	if grain == domain.GrainFull && s.Filter.Grain() != domain.GrainFull {
		q.add(` INDEXED BY error_summary_bucket`)
	}
	q.add(` WHERE r.resolution = ? AND`, string(s.Window.Resolution))
	q.addWindow("r", s.Window)
	q.addGroup(s.Filter, grain)
	return q
}
