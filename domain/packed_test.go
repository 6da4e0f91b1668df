package domain_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// packedStore keeps packed values and a journal as a store does.
type packedStore struct {
	values  map[domain.PackedKey]domain.Packed
	journal []domain.JournalValue
}

func newPackedStore() *packedStore {
	return &packedStore{values: make(map[domain.PackedKey]domain.Packed)}
}

func (s *packedStore) store(events []domain.Event) {
	s.journal = append(s.journal, domain.PackJournal(domain.Finest(events))...)
}

// merge merges the first n rows of a day's journal.
func (s *packedStore) merge(day time.Time, n int, c domain.Cutoffs) error {
	m := domain.NewMerge(day, c)
	kept := slices.Clone(s.journal[:0:0])
	for _, row := range s.journal {
		if n == 0 || !row.Day.Equal(day) {
			kept = append(kept, row)
			continue
		}
		n--
		if err := m.Add(row.Payload); err != nil {
			return err
		}
	}
	var all []domain.Packed
	for _, b := range m.Buckets() {
		var stored []domain.Packed
		for _, g := range domain.FinestGrains() {
			for part := range b.Resolution.Parts(g) {
				if value, ok := s.values[domain.PackedKey{PackedBucket: b, Grain: g, Part: part}]; ok {
					stored = append(stored, value)
				}
			}
		}
		values, err := m.Bucket(b, stored)
		if err != nil {
			return err
		}
		all = append(all, values...)
	}
	for _, value := range all {
		s.values[value.PackedKey] = value
	}
	s.journal = kept
	return nil
}

func (s *packedStore) read(selection domain.Selection) (domain.Selected, error) {
	c := domain.NewCollector(selection)
	for i, read := range selection.Reads() {
		for key, value := range s.values {
			if key.Resolution != selection.Window.Resolution || key.Grain != read.Grain || read.Part != domain.AllParts && read.Part != key.Part {
				continue
			}
			if !read.Latency {
				value.Latency = nil
			}
			if !read.Sessions {
				value.Sessions = nil
			}
			if err := c.Add(i, value); err != nil {
				return domain.Selected{}, err
			}
		}
	}
	for _, row := range s.journal {
		if err := c.AddJournal(row.Day, row.Payload); err != nil {
			return domain.Selected{}, err
		}
	}
	return c.Selected(), nil
}

func drawFor(t *rapid.T, start time.Time) domain.Selection {
	r := rapid.SampledFrom(domain.Resolutions()).Draw(t, "resolution")
	from := r.Floor(start.Add(time.Duration(rapid.IntRange(-2, 50).Draw(t, "from")) * time.Hour))
	value := func(label string, values ...string) string {
		return rapid.SampledFrom(append(values, "", "")).Draw(t, label)
	}
	return domain.Selection{
		Window: domain.Window{Start: from, End: from.Add(time.Duration(rapid.IntRange(1, 70).Draw(t, "buckets")) * r.Length()), Resolution: r},
		Filter: domain.Filter{
			Tool: value("tool", "get_forecast"), Version: value("version", "1.0.0"),
			Country: value("country", "US", "XX"), Service: value("service", "noaa"),
		},
		By:      rapid.SliceOfNDistinct(rapid.SampledFrom(append(domain.Dimensions(), domain.DimensionNone)), 0, 5, rapid.ID).Draw(t, "by"),
		Latency: rapid.Bool().Draw(t, "latency"), Sessions: rapid.Bool().Draw(t, "sessions"), Errors: rapid.Bool().Draw(t, "errors"),
	}
}

// Whatever is merged and however often, answers are those that the events give.
func TestPackedAggregatesAnswerAsTheEvents(t *testing.T) {
	start := domain.Hourly.Floor(contract.Now).Add(-60 * time.Hour)
	rapid.Check(t, func(t *rapid.T) {
		s := newPackedStore()
		var events []domain.Event
		event := rapid.Custom(func(t *rapid.T) domain.Event { return contract.DrawEvent(t, start, 60) })
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			batch := rapid.SliceOfN(event, 0, 12).Draw(t, "batch")
			events = append(events, batch...)
			s.store(batch)
			day := domain.Daily.Floor(start).AddDate(0, 0, rapid.IntRange(0, 3).Draw(t, "day"))
			if err := s.merge(day, rapid.IntRange(0, 3).Draw(t, "rows"), domain.Cutoffs{}); err != nil {
				t.Fatal(err)
			}
			selection := drawFor(t, start)
			got, err := s.read(selection)
			if err != nil {
				t.Fatal(err)
			}
			if d := contract.Difference(got, contract.Expected(events, selection)); d != "" {
				t.Fatalf("select %+v:\n%s", selection, d)
			}
		}
	})
}

// Values are the same bytes whatever the order in which they were made.
func TestPackedValuesAreCanonical(t *testing.T) {
	day := domain.Daily.Floor(contract.Now)
	events := contract.EventsOver(1, 3000, 10)
	pack := func(cut int, order ...int) map[domain.PackedKey]domain.Packed {
		s := newPackedStore()
		chunks := slices.Collect(slices.Chunk(events, cut))
		for i := range chunks {
			if order != nil {
				i = len(chunks) - 1 - i
			}
			s.store(chunks[i])
			for d := range 3 {
				if err := s.merge(day.AddDate(0, 0, -d), 1, domain.Cutoffs{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		return s.values
	}
	want, got := pack(len(events)), pack(100, 1)
	if len(want) < 50 || len(got) != len(want) {
		t.Fatalf("%d and %d values", len(want), len(got))
	}
	for key, value := range want {
		if fmt.Sprint(got[key]) != fmt.Sprint(value) {
			t.Errorf("%+v differs:\n%v\n%v", key, got[key], value)
		}
	}
}
