package memory

import (
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// count decides about the values that are new and adds the rest up.
func (s *Store) count(finest domain.Aggregates) {
	census := domain.TakeCensus(finest)
	vocabulary := s.vocabulary()
	for _, undecided := range vocabulary.Undecided(census) {
		o := undecided.OpenDay
		admission := s.limits.Admit(undecided, len(s.values[o]), s.callsOn(o.Before()))
		s.values[o] = append(s.values[o], admission.Values...)
		vocabulary.Learn(admission)
	}
	finest, folded := vocabulary.Fold(finest)
	s.folded.Add(folded)
	s.merge(domain.RollUp(finest))
}

func (s *Store) vocabulary() *domain.Vocabulary {
	v := domain.NewVocabulary()
	for o, values := range s.values {
		v.Know(o, values...)
	}
	for o := range s.folded {
		v.Close(o)
	}
	return v
}

// callsOn counts the calls of each value on an open day.
func (s *Store) callsOn(o domain.OpenDay) []domain.GroupCount {
	var counts []domain.GroupCount
	if o.Dimension == domain.OpenVersion {
		for p, rollup := range s.rollups {
			if p.isOfDay(o, domain.GrainOf(domain.DimensionVersion)) {
				counts = append(counts, domain.GroupCount{Value: p.group.Version, Calls: rollup.Calls})
			}
		}
		return counts
	}
	for p, summary := range s.errors {
		if p.isOfDay(o, domain.GrainTotal) {
			counts = append(counts, domain.GroupCount{Value: p.errorType, Calls: summary.Count})
		}
	}
	return counts
}

func (p place) isOfDay(o domain.OpenDay, grain domain.Grain) bool {
	return p.resolution == domain.Daily && p.group.Grain == grain && p.start().Equal(o.Day)
}
