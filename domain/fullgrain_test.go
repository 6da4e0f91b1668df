package domain_test

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// The rows of full grain are those of the store in memory, whatever part of the
// events is packed and whatever is new.
func TestRowsOfFullGrain(t *testing.T) {
	day := domain.Daily.Floor(contract.Now)
	rapid.Check(t, func(t *rapid.T) {
		event := rapid.Custom(func(t *rapid.T) domain.Event { return contract.DrawEvent(t, day, 24) })
		packed := rapid.SliceOfN(event, 0, 20).Draw(t, "packed")
		added := rapid.SliceOfN(event, 0, 20).Draw(t, "added")
		reference := memory.NewStore()
		_, err := reference.Store(t.Context(), []domain.Batch{contract.NewBatch(1, packed...), contract.NewBatch(2, added...)})
		if err != nil {
			t.Fatal(err)
		}
		s := newPackedStore()
		s.store(packed)
		if err := s.merge(day, 1, domain.Cutoffs{}); err != nil {
			t.Fatal(err)
		}
		m := domain.NewMerge(day, domain.Cutoffs{})
		m.AddFinest(domain.Finest(added))
		for _, r := range domain.Resolutions() {
			for start := day; start.Before(day.AddDate(0, 0, 1)); start = start.Add(r.Length()) {
				b := domain.PackedBucket{Resolution: r, Start: start}
				calls, err := m.Calls(b, s.finest(b))
				want, _ := reference.ExportCalls(t.Context(), b)
				if err != nil || len(calls)+len(want) > 0 && !reflect.DeepEqual(calls, want) {
					t.Fatalf("calls of %v: %v\n%+v\nwant %+v", b, err, calls, want)
				}
				failures, err := m.Errors(b, s.finest(b))
				wanted, _ := reference.ExportErrors(t.Context(), b)
				if err != nil || len(failures)+len(wanted) > 0 && !reflect.DeepEqual(failures, wanted) {
					t.Fatalf("errors of %v: %v\n%+v\nwant %+v", b, err, failures, wanted)
				}
			}
		}
	})
}

// finest lists the values of which all others of a bucket are made.
func (s *packedStore) finest(b domain.PackedBucket) []domain.Packed {
	var values []domain.Packed
	for key, value := range s.values {
		if key.PackedBucket == b && isFinest(value) {
			values = append(values, value)
		}
	}
	return values
}

func TestRowsOfDamagedValuesAreErrors(t *testing.T) {
	day := domain.Daily.Floor(contract.Now)
	m := domain.NewMerge(day, domain.Cutoffs{})
	for _, value := range valuesOf(t, day, eventsOn(day, 100), domain.Cutoffs{}) {
		if !isFinest(value) {
			continue
		}
		value.Counts = value.Counts[:len(value.Counts)-1]
		_, calls := m.Calls(value.PackedBucket, []domain.Packed{value})
		_, failures := m.Errors(value.PackedBucket, []domain.Packed{value})
		if isErrors := value.Grain == domain.FinestErrors; (failures != nil) != isErrors || (calls != nil) == isErrors {
			t.Errorf("%+v: %v, %v", value.PackedKey, calls, failures)
		}
	}
	if rows, err := m.Calls(domain.PackedBucket{Resolution: domain.Hourly, Start: day.Add(time.Hour)}, nil); err != nil || len(rows) > 0 {
		t.Errorf("an empty hour: %v, %v", rows, err)
	}
}
