package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// fold decides about the values that are new, received then. It returns what the
// events add up to with those folded that have no place, and the days that take
// no others from now on.
func (s *Store) fold(
	ctx context.Context, tx *sqlx.Tx, statements *storeStatements, c counted, received time.Time,
) (counted, []domain.OpenDay, error) {
	census := domain.TakeCensus(c.finest)
	vocabulary := domain.NewVocabulary()
	for _, o := range census {
		if err := readValues(ctx, tx.StmtxContext(ctx, statements.decided), vocabulary, o); err != nil {
			return counted{}, nil, err
		}
	}
	var closed []domain.OpenDay
	for _, undecided := range vocabulary.Undecided(census) {
		admission, err := s.admit(ctx, tx, undecided, received)
		if err != nil {
			return counted{}, nil, err
		}
		vocabulary.Learn(admission)
		if admission.Overflows {
			closed = append(closed, admission.OpenDay)
		}
	}
	if c.finest, c.folded = vocabulary.Fold(c.finest); len(c.folded) > 0 {
		c.journal = domain.PackJournal(c.finest)
	}
	return c, closed, nil
}

// tellClosed warns once a day and dimension.
func (s *Store) tellClosed(closed []domain.OpenDay) {
	for _, o := range closed {
		s.db.config.Log.Warn("a day has more values than are told apart: further ones count as other",
			"dimension", o.Dimension, "day", o.Day.Format(time.DateOnly), "max_values", s.db.config.Limits.Limit(o.Dimension))
	}
}

// readDecided reads which of the values are known, and NULL if the day takes no
// others. Its arguments are the day and the dimension, the values as JSON, and the
// first two again.
const readDecided = `
	SELECT value FROM dimension_values WHERE day = ? AND dimension = ? AND value IN (SELECT value FROM json_each(?))
	UNION ALL
	SELECT NULL FROM dimension_overflow WHERE day = ? AND dimension = ?`

func readValues(ctx context.Context, read *sqlx.Stmt, v *domain.Vocabulary, o domain.OpenValues) error {
	names, _ := json.Marshal(o.Names()) // strings always can be encoded
	day, dimension := o.Day.Unix(), string(o.Dimension)
	var decided []sql.NullString
	if err := read.SelectContext(ctx, &decided, day, dimension, string(names), day, dimension); err != nil {
		return err
	}
	for _, value := range decided {
		if value.Valid {
			v.Know(o.OpenDay, value.String)
		} else {
			v.Close(o.OpenDay)
		}
	}
	return nil
}

func readOverflow(ctx context.Context, tx *sqlx.Tx, v *domain.Vocabulary, o domain.OpenDay) error {
	var closed bool
	err := tx.GetContext(ctx, &closed, `
		SELECT EXISTS (SELECT 1 FROM dimension_overflow WHERE day = ? AND dimension = ?)`, o.Day.Unix(), o.Dimension)
	if closed {
		v.Close(o)
	}
	return err
}

// admit decides about values that were received then.
func (s *Store) admit(ctx context.Context, tx *sqlx.Tx, undecided domain.OpenValues, received time.Time) (domain.Admission, error) {
	o := undecided.OpenDay
	var known int
	err := tx.GetContext(ctx, &known, `SELECT count(*) FROM dimension_values WHERE day = ? AND dimension = ?`, o.Day.Unix(), o.Dimension)
	if err != nil {
		return domain.Admission{}, err
	}
	var week []domain.OpenValues
	if known == 0 {
		if week, err = weekBefore(ctx, tx, o); err != nil {
			return domain.Admission{}, err
		}
	}
	admission := s.db.config.Limits.Admit(undecided, known, week)
	if len(admission.Values) > 0 {
		values, _ := json.Marshal(admission.Values) // strings always can be encoded
		_, err = tx.ExecContext(ctx, `
			INSERT INTO dimension_values (day, dimension, value, late) SELECT ?, ?, value, ? FROM json_each(?)`,
			o.Day.Unix(), o.Dimension, o.IsOver(received), string(values))
	}
	if err == nil && admission.Overflows {
		_, err = tx.ExecContext(ctx, `
			INSERT INTO dimension_overflow (day, dimension, calls) VALUES (?, ?, 0) ON CONFLICT DO NOTHING`, o.Day.Unix(), o.Dimension)
	}
	return admission, err
}

// weekBefore counts the calls of the values that were noted in time. What is
// damaged is left out: merging and reading report it, and it is no reason to store
// nothing today.
func weekBefore(ctx context.Context, tx *sqlx.Tx, o domain.OpenDay) ([]domain.OpenValues, error) {
	days := o.Week()
	journal, err := journalBetween(ctx, tx, days[0].Day, o.Day)
	if err != nil {
		return nil, err
	}
	calls := make(map[domain.OpenDay]map[string]int64)
	for i := range journal {
		counted, err := domain.CountJournal(journal[i].day(), journal[i].Payload, journal[i].Steps)
		if err != nil {
			continue
		}
		for _, values := range counted {
			addCalls(calls, values)
		}
	}
	week := make([]domain.OpenValues, len(days))
	for i, day := range days {
		if err := countPacked(ctx, tx, day, calls); err != nil {
			return nil, err
		}
		week[i].OpenDay = day
		var inTime []string
		err := tx.SelectContext(ctx, &inTime, `
			SELECT value FROM dimension_values WHERE day = ? AND dimension = ? AND NOT late`, day.Day.Unix(), day.Dimension)
		if err != nil {
			return nil, err
		}
		for _, value := range inTime {
			week[i].Values = append(week[i].Values, domain.GroupCount{Value: value, Calls: calls[day][value]})
		}
	}
	return week, nil
}

// countPacked adds the calls that the packed aggregates of a day count.
func countPacked(ctx context.Context, tx *sqlx.Tx, o domain.OpenDay, calls map[domain.OpenDay]map[string]int64) error {
	p := domain.Packed{PackedKey: domain.PackedKey{
		PackedBucket: domain.PackedBucket{Resolution: domain.Daily, Start: o.Day},
		Grain:        domain.PackedGrain(domain.GrainOf(domain.DimensionVersion)),
	}}
	if o.Dimension == domain.OpenErrorType {
		p.Grain = domain.CoarseErrors
	}
	err := tx.GetContext(ctx, &p.Counts, `
		SELECT counts FROM packed_aggregates WHERE resolution = 'day' AND grain = ? AND part = 0 AND bucket = ?`,
		int64(p.Grain), o.Day.Unix())
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if counted, err := domain.CountPacked(p); err == nil {
		addCalls(calls, counted)
	}
	return nil
}

func addCalls(calls map[domain.OpenDay]map[string]int64, counted domain.OpenValues) {
	if calls[counted.OpenDay] == nil {
		calls[counted.OpenDay] = make(map[string]int64)
	}
	for _, v := range counted.Values {
		calls[counted.OpenDay][v.Value] += v.Calls
	}
}

// readDay reads all that is decided about a day.
func readDay(ctx context.Context, tx *sqlx.Tx, day time.Time) (*domain.Vocabulary, error) {
	v := domain.NewVocabulary()
	for _, dimension := range domain.OpenDimensions() {
		o := domain.OpenDay{Day: day, Dimension: dimension}
		var known []string
		err := tx.SelectContext(ctx, &known, `SELECT value FROM dimension_values WHERE day = ? AND dimension = ?`, day.Unix(), dimension)
		if err != nil {
			return nil, err
		}
		v.Know(o, known...)
		if err := readOverflow(ctx, tx, v, o); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// addFolded counts folded calls that were in the journal.
func addFolded(ctx context.Context, tx *sqlx.Tx, day time.Time, versions, errorTypes int64) error {
	if versions == 0 && errorTypes == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `
		UPDATE dimension_overflow SET calls = calls + iif(dimension = 'version', ?, ?) WHERE day = ?`, versions, errorTypes, day.Unix())
	return err
}

// putFolded replaces the counts of a day.
func putFolded(ctx context.Context, tx *sqlx.Tx, day time.Time, folded domain.Folded) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE dimension_overflow SET calls = iif(dimension = 'version', ?, ?) WHERE day = ?`,
		folded[domain.OpenDay{Day: day, Dimension: domain.OpenVersion}],
		folded[domain.OpenDay{Day: day, Dimension: domain.OpenErrorType}], day.Unix())
	return err
}
