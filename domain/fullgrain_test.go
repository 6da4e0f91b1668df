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
		s.store(added)
		if err := s.mergeUpTo(day, 1, domain.Cutoffs{}, rapid.IntRange(0, domain.MergeSteps).Draw(t, "steps")); err != nil {
			t.Fatal(err)
		}
		for _, r := range domain.Resolutions() {
			m := domain.NewMerge(day, domain.Cutoffs{})
			for _, row := range s.journal {
				if err := m.AddRest(r, row.Payload, row.steps); err != nil {
					t.Fatal(err)
				}
			}
			for start := day; start.Before(day.AddDate(0, 0, 1)); start = start.Add(r.Length()) {
				b := domain.PackedBucket{Resolution: r, Start: start}
				calls, err := m.Calls(b, partsOf(b, s.part))
				want, _ := reference.ExportCalls(t.Context(), b)
				if err != nil || len(calls)+len(want) > 0 && !reflect.DeepEqual(calls, want) {
					t.Fatalf("calls of %v: %v\n%+v\nwant %+v", b, err, calls, want)
				}
				failures, err := m.Errors(b, partsOf(b, s.part))
				wanted, _ := reference.ExportErrors(t.Context(), b)
				if err != nil || len(failures)+len(wanted) > 0 && !reflect.DeepEqual(failures, wanted) {
					t.Fatalf("errors of %v: %v\n%+v\nwant %+v", b, err, failures, wanted)
				}
			}
		}
	})
}

// partsOf reads the values of a bucket.
func partsOf(b domain.PackedBucket, part func(domain.PackedKey) domain.Packed) domain.ReadPart {
	return func(g domain.PackedGrain, number int) (domain.Packed, error) {
		return part(domain.PackedKey{PackedBucket: b, Grain: g, Part: number}), nil
	}
}

func TestRowsOfDamagedValuesAreErrors(t *testing.T) {
	day := domain.Daily.Floor(contract.Now)
	m := domain.NewMerge(day, domain.Cutoffs{})
	for _, value := range valuesOf(t, day, eventsOn(day, 100), domain.Cutoffs{}) {
		if !isFinest(value) {
			continue
		}
		value.Counts = value.Counts[:len(value.Counts)-1]
		damaged := &packedStore{values: map[domain.PackedKey]domain.Packed{value.PackedKey: value}}
		_, calls := m.Calls(value.PackedBucket, partsOf(value.PackedBucket, damaged.part))
		_, failures := m.Errors(value.PackedBucket, partsOf(value.PackedBucket, damaged.part))
		if isErrors := value.Grain == domain.FinestErrors; (failures != nil) != isErrors || (calls != nil) == isErrors {
			t.Errorf("%+v: %v, %v", value.PackedKey, calls, failures)
		}
	}
	empty := domain.PackedBucket{Resolution: domain.Hourly, Start: day.Add(time.Hour)}
	if rows, err := m.Calls(empty, partsOf(empty, nothingStored)); err != nil || len(rows) > 0 {
		t.Errorf("an empty hour: %v, %v", rows, err)
	}
}
