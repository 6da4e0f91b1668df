package postgres

import (
	"context"
	"time"

	"github.com/lib/pq"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// counted is what events add up to, with those values folded that have no
// place.
type counted struct {
	finest domain.Aggregates
	folded domain.Folded
	// closed are the days that take no other values from now on.
	closed []domain.OpenDay
}

// fold decides about the values that are new, received then. Nearly always
// there are none, and then it takes no lock; who has some is alone with their
// days until the transaction ends.
func (s *Store) fold(ctx context.Context, tx *transaction, finest domain.Aggregates, received time.Time) (counted, error) {
	census := domain.TakeCensus(finest)
	vocabulary, err := readVocabulary(ctx, tx, census)
	if err != nil {
		return counted{}, err
	}
	var closed []domain.OpenDay
	if undecided := vocabulary.Undecided(census); len(undecided) > 0 {
		if err := lockValues(ctx, tx, undecided); err != nil {
			return counted{}, err
		}
		if vocabulary, err = readVocabulary(ctx, tx, census); err != nil {
			return counted{}, err
		}
		for _, values := range vocabulary.Undecided(census) {
			admission, err := s.admit(ctx, tx, values, received)
			if err != nil {
				return counted{}, err
			}
			vocabulary.Learn(admission)
			if admission.Overflows {
				closed = append(closed, admission.OpenDay)
			}
		}
	}
	finest, folded := vocabulary.Fold(finest)
	return counted{finest, folded, closed}, nil
}

// tellClosed warns once a day and dimension.
func (s *Store) tellClosed(closed []domain.OpenDay) {
	for _, o := range closed {
		s.db.config.Log.Warn("a day has more values than are told apart: further ones count as other",
			"dimension", o.Dimension, "day", o.Day.Format(time.DateOnly), "max_values", s.db.config.Limits.Limit(o.Dimension))
	}
}

// valueLocks is the first half of the number of every lock on a day's values.
const valueLocks = dayLocks + 1

// lockValues waits until nobody else decides about values of these days, which
// are in order.
func lockValues(ctx context.Context, tx *transaction, values []domain.OpenValues) error {
	var locked time.Time
	for i, v := range values {
		if i > 0 && v.Day.Equal(locked) {
			continue
		}
		locked = v.Day
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1, $2)`, valueLocks, dayNumber(v.Day)); err != nil {
			return err
		}
	}
	return nil
}

// readVocabulary reads which of the values are known, and which of their days
// are closed.
func readVocabulary(ctx context.Context, tx *transaction, census []domain.OpenValues) (*domain.Vocabulary, error) {
	var days, dimensions, values pq.StringArray
	for _, o := range census {
		for _, name := range o.Names() {
			days = append(days, o.Day.Format(time.RFC3339))
			dimensions = append(dimensions, string(o.Dimension))
			values = append(values, name)
		}
	}
	v := domain.NewVocabulary()
	if len(values) == 0 {
		return v, nil
	}
	return v, addDecided(ctx, tx, v, `
		SELECT day, dimension, value, false AS closed FROM dimension_values
		JOIN unnest($1::timestamptz[], $2::text[], $3::text[]) AS wanted (day, dimension, value) USING (day, dimension, value)
		UNION ALL
		SELECT day, dimension, '', true FROM dimension_overflow WHERE day = ANY($1::timestamptz[])`, days, dimensions, values)
}

// readDay reads all that is decided about a day.
func readDay(ctx context.Context, tx *transaction, day time.Time) (*domain.Vocabulary, error) {
	v := domain.NewVocabulary()
	return v, addDecided(ctx, tx, v, `
		SELECT day, dimension, value, false AS closed FROM dimension_values WHERE day = $1
		UNION ALL
		SELECT day, dimension, '', true FROM dimension_overflow WHERE day = $1`, day)
}

func addDecided(ctx context.Context, tx *transaction, v *domain.Vocabulary, query string, args ...any) error {
	var rows []struct {
		Day       time.Time            `db:"day"`
		Dimension domain.OpenDimension `db:"dimension"`
		Value     string               `db:"value"`
		Closed    bool                 `db:"closed"`
	}
	err := tx.SelectContext(ctx, &rows, query, args...)
	for _, row := range rows {
		o := domain.OpenDay{Day: row.Day.UTC(), Dimension: row.Dimension}
		if row.Closed {
			v.Close(o)
		} else {
			v.Know(o, row.Value)
		}
	}
	return err
}

// admit decides about values of a day that is locked, received then.
func (s *Store) admit(ctx context.Context, tx *transaction, undecided domain.OpenValues, received time.Time) (domain.Admission, error) {
	o := undecided.OpenDay
	var known int
	err := tx.GetContext(ctx, &known, `SELECT count(*) FROM dimension_values WHERE day = $1 AND dimension = $2`, o.Day, string(o.Dimension))
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
	_, err = tx.ExecContext(ctx, `
		INSERT INTO dimension_values (day, dimension, value, late) SELECT $1, $2, unnest($3::text[]), $4
		ON CONFLICT DO NOTHING`,
		o.Day, string(o.Dimension), pq.StringArray(admission.Values), o.IsOver(received))
	if err == nil && admission.Overflows {
		_, err = tx.ExecContext(ctx, `
			INSERT INTO dimension_overflow (day, dimension, calls) VALUES ($1, $2, 0)
			ON CONFLICT DO NOTHING`, o.Day, string(o.Dimension))
	}
	return admission, err
}

// weekBefore counts the calls of the values that were noted in time. A merge
// meanwhile may have some of them counted twice, which only weighs.
func weekBefore(ctx context.Context, tx *transaction, o domain.OpenDay) ([]domain.OpenValues, error) {
	days := o.Week()
	calls, err := callsOfWeek(ctx, tx, o.Dimension, domain.Window{Start: days[0].Day, End: o.Day, Resolution: domain.Daily})
	if err != nil {
		return nil, err
	}
	var rows []struct {
		Day   time.Time `db:"day"`
		Value string    `db:"value"`
	}
	err = tx.SelectContext(ctx, &rows, `
		SELECT day, value FROM dimension_values WHERE dimension = $1 AND day >= $2 AND day < $3 AND NOT late`,
		string(o.Dimension), days[0].Day, o.Day)
	if err != nil {
		return nil, err
	}
	week := make([]domain.OpenValues, len(days))
	for _, row := range rows {
		i := int(row.Day.Sub(days[0].Day) / day)
		week[i].OpenDay = days[i]
		week[i].Values = append(week[i].Values, domain.GroupCount{Value: row.Value, Calls: calls[days[i]][row.Value]})
	}
	return week, nil
}

// callsByValue counts calls by day and value.
type callsByValue map[domain.OpenDay]map[string]int64

func (c callsByValue) add(values domain.OpenValues) {
	if c[values.OpenDay] == nil {
		c[values.OpenDay] = make(map[string]int64)
	}
	for _, v := range values.Values {
		c[values.OpenDay][v.Value] += v.Calls
	}
}

// callsOfWeek counts the calls of the dimension's values. What is damaged counts
// nothing: a reader or a merge reports it, and it is no reason to store nothing
// today.
func callsOfWeek(ctx context.Context, tx *transaction, d domain.OpenDimension, week domain.Window) (callsByValue, error) {
	calls := make(callsByValue)
	err := eachInJournal(ctx, tx, week, func(row journalRow) error {
		if counted, err := domain.CountJournal(row.day, row.payload, row.steps); err == nil {
			for _, values := range counted {
				calls.add(values)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	grain := domain.PackedGrain(domain.GrainOf(domain.DimensionVersion))
	if d == domain.OpenErrorType {
		grain = domain.CoarseErrors
	}
	var wants []packedWant
	for _, start := range week.Buckets() {
		wants = append(wants, packedWant{PackedKey: domain.PackedKey{
			PackedBucket: domain.PackedBucket{Resolution: domain.Daily, Start: start}, Grain: grain,
		}})
	}
	return calls, readPacked(ctx, tx, wants, func(_ int, p domain.Packed) error {
		if values, err := domain.CountPacked(p); err == nil {
			calls.add(values)
		}
		return nil
	})
}

// addFolded counts folded calls that were in the journal. The day is locked.
func addFolded(ctx context.Context, tx *transaction, day time.Time, versions, errorTypes int64) error {
	if versions == 0 && errorTypes == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `
		UPDATE dimension_overflow SET calls = calls + CASE dimension WHEN 'version' THEN $2::bigint ELSE $3::bigint END
		WHERE day = $1`, day, versions, errorTypes)
	return err
}

// putFolded replaces the counts of a day that is locked.
func putFolded(ctx context.Context, tx *transaction, day time.Time, folded domain.Folded) error {
	versions, errorTypes := foldedOn(folded, day)
	_, err := tx.ExecContext(ctx, `
		UPDATE dimension_overflow SET calls = CASE dimension WHEN 'version' THEN $2::bigint ELSE $3::bigint END
		WHERE day = $1`, day, versions, errorTypes)
	return err
}

func foldedOn(folded domain.Folded, day time.Time) (versions, errorTypes int64) {
	return folded[domain.OpenDay{Day: day, Dimension: domain.OpenVersion}], folded[domain.OpenDay{Day: day, Dimension: domain.OpenErrorType}]
}
