package memory

import (
	"maps"
	"slices"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// count decides about the values that are new, received then, and adds the
// rest up.
func (s *Store) count(finest domain.Aggregates, received time.Time) {
	census := domain.TakeCensus(finest)
	vocabulary := s.vocabulary()
	for _, undecided := range vocabulary.Undecided(census) {
		o := undecided.OpenDay
		admission := s.limits.Admit(undecided, len(s.values[o]), s.weekBefore(o))
		s.note(admission, o.IsOver(received))
		vocabulary.Learn(admission)
	}
	finest, folded := vocabulary.Fold(finest)
	s.folded.Add(folded)
	s.merge(finest, domain.Cutoffs{})
}

func (s *Store) note(a domain.Admission, late bool) {
	if s.values[a.OpenDay] == nil {
		s.values[a.OpenDay] = make(map[string]bool)
	}
	for _, value := range a.Values {
		s.values[a.OpenDay][value] = late
	}
}

func (s *Store) vocabulary() *domain.Vocabulary {
	v := domain.NewVocabulary()
	for o, values := range s.values {
		v.Know(o, slices.Collect(maps.Keys(values))...)
	}
	for o := range s.folded {
		v.Close(o)
	}
	return v
}

// weekBefore counts the calls of the values that were noted in time.
func (s *Store) weekBefore(o domain.OpenDay) []domain.OpenValues {
	var week []domain.OpenValues
	for _, day := range o.Week() {
		counts := domain.OpenValues{OpenDay: day}
		for value, late := range s.values[day] {
			if !late {
				counts.Values = append(counts.Values, domain.GroupCount{Value: value, Calls: s.callsOn(day, value)})
			}
		}
		week = append(week, counts)
	}
	return week
}

func (s *Store) callsOn(o domain.OpenDay, value string) int64 {
	var calls int64
	isOn := func(p place) bool { return p.resolution == domain.Daily && p.bucket == o.Day.Unix() }
	if o.Dimension == domain.OpenErrorType {
		for p, summary := range s.errors {
			if isOn(p.place) && p.errorType == value {
				calls += summary.Count
			}
		}
		return calls
	}
	for p, rollup := range s.rollups {
		if isOn(p) && p.group.Version == value {
			calls += rollup.Calls
		}
	}
	return calls
}
