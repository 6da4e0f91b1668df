package domain

import "strings"

// Dimension is a property of events by which statistics can be filtered and
// broken down. Dimensions are bits, so that a set of them is a [Grain].
type Dimension uint8

// The dimensions.
const (
	DimensionTool Dimension = 1 << iota
	DimensionVersion
	DimensionCountry
	DimensionService
	// DimensionNone breaks nothing down.
	DimensionNone Dimension = 0
)

// Dimensions lists the dimensions.
func Dimensions() []Dimension {
	return []Dimension{DimensionTool, DimensionVersion, DimensionCountry, DimensionService}
}

// String names the dimension as query parameters and columns do.
func (d Dimension) String() string {
	switch d {
	case DimensionTool:
		return "tool"
	case DimensionVersion:
		return "version"
	case DimensionCountry:
		return "country"
	case DimensionService:
		return "service"
	case DimensionNone:
		return "none"
	default:
		return "invalid"
	}
}

// Grain is the set of dimensions that a group tells apart; over the others it
// counts everything.
type Grain uint8

// The grains at both ends.
const (
	GrainTotal Grain = 0
	GrainFull  Grain = 1<<4 - 1
)

// GrainOf returns the set of these dimensions.
func GrainOf(dimensions ...Dimension) Grain {
	var g Grain
	for _, d := range dimensions {
		g |= Grain(d)
	}
	return g
}

// Has reports whether the grain tells d apart.
func (g Grain) Has(d Dimension) bool { return g&Grain(d) != 0 }

// Size is the number of dimensions told apart.
func (g Grain) Size() int {
	n := 0
	for _, d := range Dimensions() {
		if g.Has(d) {
			n++
		}
	}
	return n
}

// String lists the grain's dimensions, such as "tool+country", or "total".
func (g Grain) String() string {
	var parts []string
	for _, d := range Dimensions() {
		if g.Has(d) {
			parts = append(parts, d.String())
		}
	}
	if len(parts) == 0 {
		return "total"
	}
	return strings.Join(parts, "+")
}

// Group is one cell of a breakdown: a grain and the value of each of its
// dimensions. A dimension outside the grain is empty; one inside it is empty
// for the events that do not have it (most have no country). Groups are
// comparable.
type Group struct {
	Grain   Grain
	Tool    string
	Version string
	Country string
	Service string
}

// GroupOf returns the event's group at full grain.
func GroupOf(e *Event) Group {
	return Group{Grain: GrainFull, Tool: e.Tool, Version: e.Version, Country: e.Country, Service: e.Service}
}

// At returns the coarser group at grain g that g's events fall into; g must be
// a subset of the group's own grain.
func (k Group) At(g Grain) Group {
	k.Grain = g
	if !g.Has(DimensionTool) {
		k.Tool = ""
	}
	if !g.Has(DimensionVersion) {
		k.Version = ""
	}
	if !g.Has(DimensionCountry) {
		k.Country = ""
	}
	if !g.Has(DimensionService) {
		k.Service = ""
	}
	return k
}

// Value returns the group's value of d.
func (k Group) Value(d Dimension) string {
	switch d {
	case DimensionTool:
		return k.Tool
	case DimensionVersion:
		return k.Version
	case DimensionCountry:
		return k.Country
	case DimensionService:
		return k.Service
	default:
		return ""
	}
}

// Filter keeps the events that have these values; an empty value keeps all.
type Filter struct {
	Tool, Version, Country, Service string
}

// Value returns the filter's value of d, empty where it keeps all.
func (f Filter) Value(d Dimension) string {
	return Group{Tool: f.Tool, Version: f.Version, Country: f.Country, Service: f.Service}.Value(d)
}

// Without returns the filter without its value of these dimensions.
func (f Filter) Without(dimensions ...Dimension) Filter {
	k := Group{Tool: f.Tool, Version: f.Version, Country: f.Country, Service: f.Service}.At(GrainFull &^ GrainOf(dimensions...))
	return Filter{Tool: k.Tool, Version: k.Version, Country: k.Country, Service: k.Service}
}

// Grain is the set of dimensions the filter looks at.
func (f Filter) Grain() Grain {
	var g Grain
	for _, d := range Dimensions() {
		if f.Value(d) != "" {
			g |= Grain(d)
		}
	}
	return g
}

// private reports whether the filter names a group that may be hidden.
func (f Filter) private() bool { return f.Grain()&privateGrain != 0 }

// Matches reports whether the group, whose grain must hold the filter's
// dimensions, passes.
func (f Filter) Matches(k Group) bool {
	for _, d := range Dimensions() {
		if want := f.Value(d); want != "" && want != k.Value(d) {
			return false
		}
	}
	return true
}
