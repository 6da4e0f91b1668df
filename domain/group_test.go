package domain_test

import (
	"slices"
	"testing"
	"time"

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

func TestPackedGrains(t *testing.T) {
	for _, r := range domain.Resolutions() {
		grains := domain.PackedGrains(r)
		for i, grain := range grains {
			if slices.Contains(grains[:i], grain) || i > 0 && grain.Size() < grains[i-1].Size() {
				t.Errorf("%v: %v is packed twice, or after a finer one: %v", r, grain, grains)
			}
		}
		for _, needed := range []domain.Grain{domain.GrainTotal, 1, 2, 4, 8, domain.GrainFull} {
			if !slices.Contains(grains, needed) {
				t.Errorf("%v: %v is not packed", r, needed)
			}
		}
	}
	for grain := domain.GrainTotal; grain <= domain.GrainFull; grain++ {
		if grain.Size() <= 2 && !slices.Contains(domain.PackedGrains(domain.Daily), grain) {
			t.Errorf("%v is not packed by the day", grain)
		}
	}
}

// Every breakdown is read from the coarsest grain that has its dimensions, and a
// filter by country reads one part.
func TestSelectionReadsTheGrainItNeeds(t *testing.T) {
	for _, r := range domain.Resolutions() {
		for filtered := domain.GrainTotal; filtered <= domain.GrainFull; filtered++ {
			for _, by := range append(domain.Dimensions(), domain.DimensionNone) {
				s := domain.Selection{Window: domain.Window{Resolution: r}, Filter: filterAt(filtered), By: []domain.Dimension{by}}
				reads := s.Reads()
				if len(reads) != 1 {
					t.Fatalf("%d reads", len(reads))
				}
				got, need := domain.Grain(reads[0].Grain), filtered|domain.Grain(by)
				for _, grain := range domain.PackedGrains(r) {
					if grain&need == need {
						if got != grain {
							t.Errorf("%v: filter %v by %v reads %v, want %v", r, filtered, by, got, grain)
						}
						break
					}
				}
				cut := r.Parts(reads[0].Grain) > 1 && filtered.Has(domain.DimensionCountry)
				if (reads[0].Part != domain.AllParts) != cut || reads[0].Latency || reads[0].Sessions {
					t.Errorf("%v: filter %v by %v reads %+v", r, filtered, by, reads[0])
				}
			}
			s := domain.Selection{Window: domain.Window{Resolution: r}, Filter: filterAt(filtered), Errors: true}
			want := domain.CoarseErrors
			if filtered.Has(domain.DimensionCountry) || filtered.Has(domain.DimensionService) {
				want = domain.FinestErrors
			}
			if reads := s.Reads(); len(reads) != 1 || reads[0].Grain != want {
				t.Errorf("filter %v reads errors by %+v, want %v", filtered, reads, want)
			}
		}
	}
}

func TestSelectionReadsNoMoreThanItAsksFor(t *testing.T) {
	s := domain.Selection{
		Window: domain.Window{Resolution: domain.Daily}, Filter: domain.Filter{Service: "noaa", Version: "1"},
		By: []domain.Dimension{domain.DimensionNone, domain.DimensionService, domain.DimensionCountry}, Latency: true, Sessions: true,
	}
	pair := domain.PackedGrain(domain.DimensionService | domain.DimensionVersion)
	for _, read := range s.Reads() {
		latency, sessions := read.Grain == pair, read.Grain == domain.PackedGrain(domain.GrainFull)
		if read.Latency != latency || read.Sessions != sessions {
			t.Errorf("%+v", read)
		}
	}
}

// What is added up over days is read by whole days, and the hours at the ends by
// themselves; buckets are read as they are.
func TestSelectionReadsWholeDaysByTheDay(t *testing.T) {
	at := func(day, hour int) time.Time { return time.Date(2026, 11, day, hour, 0, 0, 0, time.UTC) }
	hours := func(from, to time.Time) domain.Window {
		return domain.Window{Start: from, End: to, Resolution: domain.Hourly}
	}
	days := func(from, to time.Time) domain.Window {
		return domain.Window{Start: from, End: to, Resolution: domain.Daily}
	}
	for _, tt := range []struct {
		name   string
		window domain.Window
		want   []domain.Window
	}{
		{"hours of one day", hours(at(3, 4), at(3, 9)), []domain.Window{hours(at(3, 4), at(3, 9))}},
		{"a night", hours(at(3, 20), at(4, 5)), []domain.Window{hours(at(3, 20), at(4, 5))}},
		{"a day", hours(at(3, 0), at(4, 0)), []domain.Window{days(at(3, 0), at(4, 0))}},
		{"days and hours", hours(at(3, 20), at(6, 5)), []domain.Window{hours(at(3, 20), at(4, 0)), days(at(4, 0), at(6, 0)), hours(at(6, 0), at(6, 5))}},
		{"days", days(at(3, 0), at(6, 0)), []domain.Window{days(at(3, 0), at(6, 0))}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, by := range domain.Dimensions() {
				var got []domain.Window
				for _, read := range (domain.Selection{Window: tt.window, By: []domain.Dimension{by}}).Reads() {
					got = append(got, read.Window)
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("by %v reads %v, want %v", by, got, tt.want)
				}
			}
			for _, s := range []domain.Selection{{By: []domain.Dimension{domain.DimensionNone}}, {Usage: true}, {Errors: true}} {
				s.Window = tt.window
				if reads := s.Reads(); len(reads) != 1 || reads[0].Window != tt.window {
					t.Errorf("%+v is read by %+v, want buckets of the window alone", s, reads)
				}
			}
		})
	}
}
