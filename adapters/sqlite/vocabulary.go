package sqlite

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// fold decides about the values that are new, received then, and returns what
// the events add up to with those folded that have no place, and the days that
// take no others from now on.
func (s *Store) fold(ctx context.Context, tx *sqlx.Tx, finest domain.Aggregates, received time.Time) (domain.Aggregates, []domain.OpenDay, error) {
	census := domain.TakeCensus(finest)
	vocabulary := domain.NewVocabulary()
	for _, o := range census {
		if err := readValues(ctx, tx, vocabulary, o); err != nil {
			return domain.Aggregates{}, nil, err
		}
	}
	var closed []domain.OpenDay
	for _, undecided := range vocabulary.Undecided(census) {
		admission, err := s.admit(ctx, tx, undecided, received)
		if err != nil {
			return domain.Aggregates{}, nil, err
		}
		vocabulary.Learn(admission)
		if admission.Overflows {
			closed = append(closed, admission.OpenDay)
		}
	}
	finest, folded := vocabulary.Fold(finest)
	return finest, closed, addFolded(ctx, tx, folded)
}

// tellClosed warns once a day and dimension.
func (s *Store) tellClosed(closed []domain.OpenDay) {
	for _, o := range closed {
		s.db.config.Log.Warn("a day has more values than are told apart: further ones count as other",
			"dimension", o.Dimension, "day", o.Day.Format(time.DateOnly), "max_values", s.db.config.Limits.Limit(o.Dimension))
	}
}

// readValues reads which of the values are known, and whether the day takes
// others.
func readValues(ctx context.Context, tx *sqlx.Tx, v *domain.Vocabulary, o domain.OpenValues) error {
	names, _ := json.Marshal(o.Names()) // strings always can be encoded
	var known []string
	err := tx.SelectContext(ctx, &known, `
		SELECT value FROM dimension_values
		WHERE day = ? AND dimension = ? AND value IN (SELECT value FROM json_each(?))`, o.Day.Unix(), o.Dimension, string(names))
	if err != nil {
		return err
	}
	v.Know(o.OpenDay, known...)
	return readOverflow(ctx, tx, v, o.OpenDay)
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

// admit decides about values that were received then. That the day overflows
// is noted when calls are folded.
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
	if len(admission.Values) == 0 {
		return admission, nil
	}
	values, _ := json.Marshal(admission.Values) // strings always can be encoded
	_, err = tx.ExecContext(ctx, `
		INSERT INTO dimension_values (day, dimension, value, late) SELECT ?, ?, value, ? FROM json_each(?)`,
		o.Day.Unix(), o.Dimension, o.IsOver(received), string(values))
	return admission, err
}

// weekBefore counts the calls of the values that were noted in time.
func weekBefore(ctx context.Context, tx *sqlx.Tx, o domain.OpenDay) ([]domain.OpenValues, error) {
	counted := `SELECT value, calls FROM dimension_values JOIN daily_aggregations
		ON grain = 2 AND bucket = day AND tool = '' AND version = value AND country = '' AND service = ''`
	if o.Dimension == domain.OpenErrorType {
		counted = `SELECT value, count AS calls FROM dimension_values JOIN error_summary
			ON resolution = 'day' AND grain = 0 AND bucket = day AND error_type = value`
	}
	var week []domain.OpenValues
	for _, day := range o.Week() {
		values := domain.OpenValues{OpenDay: day}
		err := tx.SelectContext(ctx, &values.Values, counted+`
			WHERE day = ? AND dimension = ? AND NOT late`, day.Day.Unix(), day.Dimension)
		if err != nil {
			return nil, err
		}
		week = append(week, values)
	}
	return week, nil
}

func addFolded(ctx context.Context, tx *sqlx.Tx, folded domain.Folded) error {
	for o, calls := range folded {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO dimension_overflow VALUES (?, ?, ?)
			ON CONFLICT DO UPDATE SET calls = calls + excluded.calls`, o.Day.Unix(), o.Dimension, calls)
		if err != nil {
			return err
		}
	}
	return nil
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

// putFolded replaces the counts of a day.
func putFolded(ctx context.Context, tx *sqlx.Tx, day time.Time, folded domain.Folded) error {
	if _, err := tx.ExecContext(ctx, `UPDATE dimension_overflow SET calls = 0 WHERE day = ?`, day.Unix()); err != nil {
		return err
	}
	return addFolded(ctx, tx, folded)
}
