package domain_test

import (
	"slices"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

func TestDimensionNames(t *testing.T) {
	for d, want := range map[domain.Dimension]string{
		domain.DimensionTool: "tool", domain.DimensionVersion: "version", domain.DimensionCountry: "country",
		domain.DimensionService: "service", domain.DimensionNone: "none", 3: "invalid",
	} {
		if got := d.String(); got != want {
			t.Errorf("dimension %d is called %q, want %q", d, got, want)
		}
	}
}

func TestGrains(t *testing.T) {
	for _, c := range []struct {
		dimensions []domain.Dimension
		name       string
	}{
		{nil, "total"},
		{[]domain.Dimension{domain.DimensionNone}, "total"},
		{[]domain.Dimension{domain.DimensionCountry}, "country"},
		{[]domain.Dimension{domain.DimensionCountry, domain.DimensionTool}, "tool+country"},
		{domain.Dimensions(), "tool+version+country+service"},
	} {
		g := domain.GrainOf(c.dimensions...)
		if g.String() != c.name {
			t.Errorf("%v is called %q, want %q", c.dimensions, g, c.name)
		}
		size := 0
		for _, d := range domain.Dimensions() {
			if g.Has(d) != slices.Contains(c.dimensions, d) {
				t.Errorf("%v has %v: %v", g, d, g.Has(d))
			}
			if g.Has(d) {
				size++
			}
		}
		if g.Size() != size {
			t.Errorf("%v has size %d, want %d", g, g.Size(), size)
		}
	}
	if domain.GrainOf(domain.Dimensions()...) != domain.GrainFull {
		t.Error("all dimensions together are not the full grain")
	}
}

// fullGroup tells all dimensions apart.
var fullGroup = domain.Group{Grain: domain.GrainFull, Tool: "t", Version: "v", Country: "c", Service: "s"}

func TestGroupOf(t *testing.T) {
	e := domain.Event{Tool: "t", Version: "v", Country: "c", Service: "s"}
	if got := domain.GroupOf(&e); got != fullGroup {
		t.Errorf("got %+v, want %+v", got, fullGroup)
	}
}

func TestGroupAt(t *testing.T) {
	for grain := domain.GrainTotal; grain <= domain.GrainFull; grain++ {
		coarse := fullGroup.At(grain)
		if coarse.Grain != grain {
			t.Errorf("at %v the grain is %v", grain, coarse.Grain)
		}
		for _, d := range domain.Dimensions() {
			want := ""
			if grain.Has(d) {
				want = fullGroup.Value(d)
			}
			if got := coarse.Value(d); got != want {
				t.Errorf("at %v the %v is %q, want %q", grain, d, got, want)
			}
		}
	}
	for d, want := range map[domain.Dimension]string{
		domain.DimensionTool: "t", domain.DimensionVersion: "v", domain.DimensionCountry: "c",
		domain.DimensionService: "s", domain.DimensionNone: "",
	} {
		if got := fullGroup.Value(d); got != want {
			t.Errorf("the %v is %q, want %q", d, got, want)
		}
	}
}

// filterAt keeps the events of fullGroup, looking at the grain's dimensions.
func filterAt(g domain.Grain) domain.Filter {
	k := fullGroup.At(g)
	return domain.Filter{Tool: k.Tool, Version: k.Version, Country: k.Country, Service: k.Service}
}

func TestFilter(t *testing.T) {
	for grain := domain.GrainTotal; grain <= domain.GrainFull; grain++ {
		f := filterAt(grain)
		if f.Grain() != grain {
			t.Errorf("the filter at %v looks at %v", grain, f.Grain())
		}
		if !f.Matches(fullGroup) || !f.Matches(fullGroup.At(grain)) {
			t.Errorf("the filter at %v refuses what it asks for", grain)
		}
		for _, d := range domain.Dimensions() {
			other := fullGroup.At(domain.GrainFull &^ domain.Grain(d)) // without a value of d
			if f.Matches(other) == grain.Has(d) {
				t.Errorf("the filter at %v passes a group that differs in %v: %v", grain, d, f.Matches(other))
			}
		}
	}
}

func TestKeptGrains(t *testing.T) {
	for name, c := range map[string]struct {
		kept    []domain.Grain
		largest int
	}{
		"rollups": {domain.RollupGrains(), 2},
		"errors":  {domain.ErrorGrains(), 1},
	} {
		for grain := domain.GrainTotal; grain <= domain.GrainFull; grain++ {
			want := grain.Size() <= c.largest || grain == domain.GrainFull
			if slices.Contains(c.kept, grain) != want {
				t.Errorf("%s are kept at %v: %v", name, grain, !want)
			}
		}
		if len(slices.Compact(slices.Sorted(slices.Values(c.kept)))) != len(c.kept) {
			t.Errorf("%s are kept twice: %v", name, c.kept)
		}
	}
}

func TestSelectionReadsTheGrainItNeeds(t *testing.T) {
	for filtered := domain.GrainTotal; filtered <= domain.GrainFull; filtered++ {
		s := domain.Selection{Filter: filterAt(filtered)}
		for _, by := range append(domain.Dimensions(), domain.DimensionNone) {
			want := filtered | domain.Grain(by)
			if want.Size() > 2 {
				want = domain.GrainFull
			}
			if got := s.GrainFor(by); got != want {
				t.Errorf("filter %v by %v reads %v, want %v", filtered, by, got, want)
			}
		}
		want := filtered
		if want.Size() > 1 {
			want = domain.GrainFull
		}
		if got := s.ErrorGrain(); got != want {
			t.Errorf("filter %v reads errors at %v, want %v", filtered, got, want)
		}
	}
}
