package sqlite

import (
	"context"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// mergeAggregates adds to the stored aggregates. Rows that exist are read,
// merged in Go, as only the domain knows how, and written back.
func mergeAggregates(ctx context.Context, tx *sqlx.Tx, a domain.Aggregates) error {
	for _, r := range domain.Resolutions() {
		rows := slices.DeleteFunc(slices.Clone(a.Rollups), func(row domain.RollupRow) bool { return row.Resolution != r })
		if err := merge(ctx, tx, rollupTable(r), &addedRollups{table: tableOf(r), rows: rows}); err != nil {
			return err
		}
	}
	return merge(ctx, tx, errorTable, addedErrors(a.Errors))
}

// mergeTable is a table of aggregates whose rows have the form R.
type mergeTable[R any] struct {
	name string
	// keys and values are columns; together they are all there are.
	keys, values []string
	// fields points to the values in a row.
	fields func(*R) []any
}

// additions are rows to be added to those of a table.
type additions[R any] interface {
	count() int
	// place returns the keys of the i-th row.
	place(i int) []any
	// add merges the row that is stored at its place.
	add(i int, stored *R) error
	// row returns the values to be stored.
	row(i int) *R
}

// mergeChunk is how many rows one statement reads or writes. Most of the cost
// of a row is that of its statement.
const mergeChunk = 64

func merge[R any](ctx context.Context, tx *sqlx.Tx, table mergeTable[R], added additions[R]) error {
	chunks := added.count() / mergeChunk * mergeChunk
	if err := mergeRange(ctx, tx, table, added, 0, chunks, mergeChunk); err != nil {
		return err
	}
	return mergeRange(ctx, tx, table, added, chunks, added.count(), 1)
}

// mergeRange merges the rows from the first up to and without end, size at
// once.
func mergeRange[R any](ctx context.Context, tx *sqlx.Tx, table mergeTable[R], added additions[R], first, end, size int) error {
	if first == end {
		return nil
	}
	get, err := tx.PreparexContext(ctx, table.getSQL(size))
	if err != nil {
		return err
	}
	defer get.Close()
	put, err := tx.PreparexContext(ctx, table.putSQL(size))
	if err != nil {
		return err
	}
	defer put.Close()
	m := merger[R]{size: size, fields: table.fields, get: get, put: put}
	for ; first < end; first += size {
		if err := m.merge(ctx, added, first); err != nil {
			return err
		}
	}
	return nil
}

// merger merges that many rows at once.
type merger[R any] struct {
	size     int
	fields   func(*R) []any
	get, put *sqlx.Stmt
}

func (m *merger[R]) merge(ctx context.Context, added additions[R], from int) error {
	if err := m.addStored(ctx, added, from); err != nil {
		return err
	}
	var args []any
	for i := range m.size {
		args = append(args, added.place(from+i)...)
		args = append(args, m.fields(added.row(from+i))...)
	}
	_, err := m.put.ExecContext(ctx, args...)
	return err
}

func (m *merger[R]) addStored(ctx context.Context, added additions[R], from int) error {
	var args []any
	for i := range m.size {
		args = append(append(args, i), added.place(from+i)...)
	}
	rows, err := m.get.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var i int
	var stored R
	columns := append([]any{&i}, m.fields(&stored)...)
	for rows.Next() {
		if err := rows.Scan(columns...); err != nil {
			return err
		}
		if err := added.add(from+i, &stored); err != nil {
			return err
		}
	}
	return rows.Err()
}

// getSQL reads the rows that exist at the given places, with the number of
// each place.
func (t mergeTable[R]) getSQL(size int) string {
	matches := make([]string, len(t.keys))
	for i, key := range t.keys {
		matches[i] = "stored." + key + " = wanted." + key
	}
	return `WITH wanted (number, ` + strings.Join(t.keys, ", ") + `) AS (VALUES ` + placeholders(size, 1+len(t.keys)) + `)
		SELECT wanted.number, stored.` + strings.Join(t.values, ", stored.") + `
		FROM wanted CROSS JOIN ` + t.name + ` AS stored
		WHERE ` + strings.Join(matches, " AND ")
}

func (t mergeTable[R]) putSQL(size int) string {
	columns := slices.Concat(t.keys, t.values)
	updates := make([]string, len(t.values))
	for i, value := range t.values {
		updates[i] = value + " = excluded." + value
	}
	return `INSERT INTO ` + t.name + ` (` + strings.Join(columns, ", ") + `)
		VALUES ` + placeholders(size, len(columns)) + `
		ON CONFLICT DO UPDATE SET ` + strings.Join(updates, ", ")
}

// placeholders is a list of that many rows of question marks.
func placeholders(rows, columns int) string {
	row := "(" + strings.Repeat("?, ", columns-1) + "?)"
	return strings.Repeat(row+", ", rows-1) + row
}

type addedRollups struct {
	table string
	rows  []domain.RollupRow
}

func (a *addedRollups) count() int { return len(a.rows) }

func (a *addedRollups) place(i int) []any {
	g := &a.rows[i].Group
	return []any{int64(g.Grain), a.rows[i].Bucket.Unix(), g.Tool, g.Version, g.Country, g.Service}
}

func (a *addedRollups) add(i int, stored *rollupRow) error {
	stored.groupColumns = newGroupColumns(a.rows[i].Group, a.rows[i].Bucket)
	rollup, err := stored.rollup(a.table)
	if err != nil {
		return err
	}
	a.rows[i].Rollup.Merge(&rollup)
	return nil
}

func (a *addedRollups) row(i int) *rollupRow { return newRollupRow(&a.rows[i].Rollup) }

type addedErrors []domain.ErrorRow

func (a addedErrors) count() int { return len(a) }

func (a addedErrors) place(i int) []any {
	g := &a[i].Group
	return []any{string(a[i].Resolution), int64(g.Grain), g.Tool, g.Version, g.Country, g.Service, a[i].Bucket.Unix(), a[i].ErrorType}
}

func (a addedErrors) add(i int, stored *errorRow) error {
	stored.groupColumns = newGroupColumns(a[i].Group, a[i].Bucket)
	summary, err := stored.summary()
	if err != nil {
		return err
	}
	a[i].Merge(&summary)
	return nil
}

func (a addedErrors) row(i int) *errorRow { return newErrorRow(&a[i].ErrorSummary) }
