package traffic_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/traffic"
)

var day = time.Date(2026, time.November, 23, 0, 0, 0, 0, time.UTC)

func TestEqualSeedsGiveEqualEvents(t *testing.T) {
	s := traffic.Real()
	events := s.Day(1, day, 1000)
	if len(events) != 1000 || !reflect.DeepEqual(events, s.Day(1, day, 1000)) {
		t.Errorf("%d events, and others the second time", len(events))
	}
	if reflect.DeepEqual(events, s.Day(2, day, 1000)) || reflect.DeepEqual(events, s.Day(1, day.AddDate(0, 0, 1), 1000)) {
		t.Error("another seed or day gives the same events")
	}
}

// The numbers are what the project measures with: see docs/benchmarks.md.
func TestShapes(t *testing.T) {
	for _, c := range []struct {
		shape               traffic.Shape
		versions, countries int
	}{{traffic.Real(), 8, 30}, {traffic.Wide(), 200, 250}} {
		t.Run(c.shape.Name, func(t *testing.T) {
			const n = 100_000
			events := c.shape.Day(1, day, n)
			seen := make(map[string]map[string]int)
			failed := 0
			for i := range events {
				e := &events[i]
				for kind, value := range map[string]string{
					"tool": e.Tool, "version": e.Version, "country": e.Country, "service": e.Service,
					"error": e.ErrorType, "level": string(e.Level),
				} {
					if seen[kind] == nil {
						seen[kind] = make(map[string]int)
					}
					seen[kind][value]++
				}
				if e.Status == domain.StatusError {
					failed++
				}
				if domain.Daily.Floor(e.Hour) != day || i > 0 && e.Hour.Before(events[i-1].Hour) {
					t.Fatalf("event %d is of %v", i, e.Hour)
				}
			}
			for kind, want := range map[string]int{
				"tool": 17, "version": c.versions, "country": c.countries + 1, "service": 6 + 1, "error": 10 + 1, "level": 3,
			} {
				if got := len(seen[kind]); got != want {
					t.Errorf("%d values of %s, want %d", got, kind, want)
				}
			}
			if failed < n*25/1000 || failed > n*35/1000 {
				t.Errorf("%d of %d calls failed, want 3 %%", failed, n)
			}
			if absent := seen["country"][""]; absent < n/5 || absent > n/2 {
				t.Errorf("%d of %d events have no country", absent, n)
			}
		})
	}
}

func TestASessionHasOneVersionAndCountry(t *testing.T) {
	first := make(map[string]domain.Event)
	calls := make(map[string]int)
	for _, e := range traffic.Real().Day(1, day, 10_000) {
		if e.SessionID == "" {
			continue
		}
		if f, ok := first[e.SessionID]; ok && (f.Version != e.Version || f.Country != e.Country) {
			t.Errorf("session %s has %s and %s, %s and %s", e.SessionID, f.Version, e.Version, f.Country, e.Country)
		}
		first[e.SessionID] = e
		calls[e.SessionID]++
	}
	lengths := make([]int, 0, len(calls))
	for _, n := range calls {
		lengths = append(lengths, n)
	}
	slices.Sort(lengths)
	if median := lengths[len(lengths)/2]; median < 3 || median > 6 {
		t.Errorf("half of the sessions have more than %d calls", median)
	}
}

func TestTheCatalogueKnowsEveryName(t *testing.T) {
	catalogue := domain.DefaultCatalogue()
	for _, e := range traffic.Real().Day(1, day, 1000) {
		if !slices.Contains(catalogue.Tools(), e.Tool) || e.Service != "" && !slices.Contains(catalogue.Services(), e.Service) {
			t.Errorf("%s by %s is not in the catalogue", e.Tool, e.Service)
		}
	}
}
