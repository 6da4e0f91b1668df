package postgres

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// Select reads aggregates, as ports.StatisticsReader promises.
func (s *Store) Select(ctx context.Context, selection domain.Selection) (domain.Selected, error) {
	var selected domain.Selected
	err := s.db.read(ctx, "store.select", func(tx *transaction) error {
		selected = domain.Selected{Rollups: make(map[domain.Dimension][]domain.RollupRow)}
		if err := s.db.holdPartitions(ctx, tx); err != nil {
			return err
		}
		journal, err := selectJournal(ctx, tx, selection)
		if err != nil {
			return err
		}
		for _, by := range selection.By {
			if selected.Rollups[by], err = selectRollups(ctx, tx, selection, by, journal); err != nil {
				return err
			}
		}
		if selection.Errors {
			selected.Errors, err = selectErrors(ctx, tx, selection, journal)
		}
		return err
	})
	if err != nil {
		return domain.Selected{}, err
	}
	return selected, nil
}

// selectJournal reads what answers the selection and is not in the aggregates'
// rows yet.
func selectJournal(ctx context.Context, tx *transaction, s domain.Selection) (domain.Aggregates, error) {
	var rows []journalRow
	err := tx.SelectContext(ctx, &rows, `SELECT id, day, payload FROM aggregation_journal WHERE day >= $1 AND day < $2`,
		domain.Daily.Floor(s.Window.Start), s.Window.End)
	if err != nil {
		return domain.Aggregates{}, err
	}
	parts, err := decodeJournal(rows, func(bucket time.Time, g domain.Group) bool {
		return s.Window.Contains(bucket) && s.Filter.Matches(g)
	})
	var all domain.Aggregates
	for _, part := range parts {
		all.Rollups = append(all.Rollups, part.Rollups...)
		all.Errors = append(all.Errors, part.Errors...)
	}
	return all, err
}

// sums adds up rows that belong together in an answer.
type sums[K comparable, R any] map[K]*R

func (s sums[K, R]) rows(compare func(a, b R) int) []R {
	rows := make([]R, 0, len(s))
	for row := range maps.Values(s) {
		rows = append(rows, *row)
	}
	slices.SortFunc(rows, compare)
	return rows
}

type rollupKey struct {
	bucket int64
	value  string
}

type rollupSums struct {
	sums[rollupKey, domain.RollupRow]

	resolution domain.Resolution
	by         domain.Dimension
}

func (s *rollupSums) add(bucket time.Time, g domain.Group, r *domain.Rollup) {
	bucket = s.resolution.Floor(bucket)
	key := rollupKey{bucket.Unix(), g.Value(s.by)}
	if s.sums[key] == nil {
		s.sums[key] = &domain.RollupRow{Resolution: s.resolution, Bucket: bucket, Group: g.At(domain.GrainOf(s.by))}
	}
	s.sums[key].Rollup.Merge(r)
}

func selectRollups(
	ctx context.Context, tx *transaction, s domain.Selection, by domain.Dimension, journal domain.Aggregates,
) ([]domain.RollupRow, error) {
	sum := rollupSums{make(sums[rollupKey, domain.RollupRow]), s.Window.Resolution, by}
	for i := range journal.Rollups {
		row := &journal.Rollups[i]
		sum.add(row.Bucket, row.Group, &row.Rollup)
	}
	q := rollupQuery(s, by)
	var stored rollupRow
	err := q.each(ctx, tx, stored.values(), func(bucket time.Time, g domain.Group) error {
		rollup, err := stored.rollup()
		if err != nil {
			return damagedRow(tableOf(s.Window.Resolution), bucket, g, err)
		}
		sum.add(bucket, g, &rollup)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return sum.rows(domain.CompareRollupRows), nil
}

type errorSums struct {
	sums[domain.ErrorKey, domain.ErrorRow]

	resolution domain.Resolution
}

func (s *errorSums) add(bucket time.Time, errorType string, summary *domain.ErrorSummary) {
	key := domain.ErrorKey{Resolution: s.resolution, Bucket: s.resolution.Floor(bucket), ErrorType: errorType}
	if s.sums[key] == nil {
		s.sums[key] = &domain.ErrorRow{ErrorKey: key}
	}
	s.sums[key].Merge(summary)
}

func selectErrors(ctx context.Context, tx *transaction, s domain.Selection, journal domain.Aggregates) ([]domain.ErrorRow, error) {
	sum := errorSums{make(sums[domain.ErrorKey, domain.ErrorRow]), s.Window.Resolution}
	for i := range journal.Errors {
		row := &journal.Errors[i]
		sum.add(row.Bucket, row.ErrorType, &row.ErrorSummary)
	}
	q := errorQuery(s)
	var errorType string
	var stored errorRow
	err := q.each(ctx, tx, append([]any{&errorType}, stored.values()...), func(bucket time.Time, g domain.Group) error {
		summary, err := stored.summary()
		if err != nil {
			return damagedRow(errorTable, bucket, g, err)
		}
		sum.add(bucket, errorType, &summary)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return sum.rows(domain.CompareErrorRows), nil
}

// query is a statement with its arguments. It gives the bucket and the group
// of each row before its values.
type query struct {
	text strings.Builder
	args []any
}

// add appends text; each ? in it stands for the next of args.
func (q *query) add(text string, args ...any) {
	for _, arg := range args {
		q.args = append(q.args, arg)
		text = strings.Replace(text, "?", "$"+strconv.Itoa(len(q.args)), 1)
	}
	q.text.WriteString(text)
}

func (q *query) each(ctx context.Context, tx *transaction, values []any, visit func(time.Time, domain.Group) error) error {
	rows, err := tx.QueryContext(ctx, q.text.String(), q.args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var bucket time.Time
	var g domain.Group
	values = append([]any{&bucket, &g.Grain, &g.Tool, &g.Version, &g.Country, &g.Service}, values...)
	for rows.Next() {
		if err := rows.Scan(values...); err != nil {
			return err
		}
		if err := visit(bucket.UTC(), g); err != nil {
			return err
		}
	}
	return rows.Err()
}

const placeColumns = `bucket, grain, tool, version, country, service, `

// maxBuckets is up to how many buckets are looked up one by one.
const maxBuckets = 1_000

// rollupQuery reads the rows of the grain that answers a breakdown. So that it
// touches no others, it goes in by one of three ways:
//
//   - by time, when nothing is filtered: all rows of the grain are wanted;
//   - by an index, when the breakdown is by the first dimension of a pair and
//     the second is filtered;
//   - bucket by bucket along the primary key, when the filter fixes dimensions
//     that stand first in it. Of full grain this reads rows that are not
//     wanted, too, unless the filtered dimensions are the first ones.
func rollupQuery(s domain.Selection, by domain.Dimension) *query {
	grain, filtered := s.GrainFor(by), s.Filter.Grain()
	q := new(query)
	q.add(`SELECT ` + placeColumns + rollupValues + ` FROM ` + tableOf(s.Window.Resolution) + ` WHERE grain = ` + strconv.Itoa(int(grain)))
	q.addWindow(s.Window)
	switch {
	case filtered == domain.GrainTotal:
	case grain.Size() == 2 && filtered.Size() == 1 && domain.Grain(by) < filtered:
		q.add(` AND `+indexedRows(filtered)+` AND `+filtered.String()+` = ?`, s.Filter.Value(domain.Dimension(filtered)))
	default:
		if buckets := s.Window.Buckets(); len(buckets) <= maxBuckets {
			q.add(` AND bucket = ANY(?::timestamptz[])`, texts(buckets))
		}
		q.addGroup(s.Filter, grain)
	}
	return q
}

func texts(times []time.Time) pq.StringArray {
	list := make(pq.StringArray, len(times))
	for i, t := range times {
		list[i] = t.UTC().Format(time.RFC3339)
	}
	return list
}

// indexedRows is the condition of the index on a dimension: rows of which it is
// the last. The migration says the same.
func indexedRows(last domain.Grain) string {
	highest := min(2*last, domain.GrainFull)
	return `grain < ` + strconv.Itoa(int(highest)) + ` AND ` + last.String() + ` <> ''`
}

func (q *query) addWindow(w domain.Window) {
	q.add(` AND bucket >= ?::timestamptz AND bucket < ?::timestamptz`, w.Start, w.End)
}

// addGroup fixes what is filtered and what the grain leaves out.
func (q *query) addGroup(f domain.Filter, grain domain.Grain) {
	for _, d := range domain.Dimensions() {
		if f.Value(d) != "" || !grain.Has(d) {
			q.add(` AND `+d.String()+` = ?`, f.Value(d))
		}
	}
}

// errorQuery reads the rows that answer a selection's errors. Their key begins
// with the group, which only full grain does not fix.
func errorQuery(s domain.Selection) *query {
	grain := s.ErrorGrain()
	q := new(query)
	q.add(`SELECT `+placeColumns+`error_type, `+errorValues+` FROM `+errorTable+
		` WHERE resolution = ? AND grain = `+strconv.Itoa(int(grain)), string(s.Window.Resolution))
	q.addGroup(s.Filter, grain)
	q.addWindow(s.Window)
	return q
}
