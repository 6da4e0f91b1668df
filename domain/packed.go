package domain

import (
	"hash/crc32"
	"slices"
	"time"
)

// PackedGrain is the grain of a packed value: the bits of a [Grain], and
// [GrainErrors] for error summaries, which are also broken down by error type.
type PackedGrain uint8

// GrainErrors is the bit of a [PackedGrain] that stands for the error type.
const GrainErrors PackedGrain = 1 << 4

// grain is the set of dimensions alone.
func (g PackedGrain) grain() Grain { return Grain(g) & GrainFull }

// PackedBucket is a bucket of the packed aggregates. Values are comparable when
// Start is in UTC.
type PackedBucket struct {
	Resolution Resolution
	Start      time.Time
}

// PackedKey says where a packed value stands.
type PackedKey struct {
	PackedBucket

	Grain PackedGrain
	// Part is the number of the part, from 0, of a grain that is cut by country.
	Part int
}

// Packed is all groups of one grain, or of a part of it, in one bucket. The three
// values can be read apart: Latency and Sessions say nothing without Counts, and
// are empty where they would hold nothing.
type Packed struct {
	PackedKey

	Counts, Latency, Sessions []byte
	// Calls is how many calls Counts has, of error summaries how many failed
	// ones. [Merge.Bucket] sets it; a reader leaves it 0.
	Calls int64
	// Readable is Counts as JSON for those who read the database, at the grains
	// where the views want it; see docs/adr/0011. Empty elsewhere.
	Readable string
}

// The number of parts into which the finest grains of a bucket are cut: a filter by
// country reads one of them, and a merge has the groups of one in memory at a time.
const (
	hourParts = 4
	dayParts  = 16
	// pairParts and dayErrorsParts divide dayParts, so that a part is made of whole
	// parts of full grain. They are fewer as there are fewer groups: what is not
	// filtered by country reads all of them.
	pairParts      = 4
	dayErrorsParts = 4
)

// Parts is the number of parts into which values of the grain are cut.
func (r Resolution) Parts(g PackedGrain) int {
	isErrors := g&GrainErrors != 0
	switch {
	case !g.grain().Has(DimensionCountry) || g.grain().Size() == 1 || isErrors && r == Hourly:
		return 1
	case isErrors:
		return dayErrorsParts
	case r == Daily && g.grain() == GrainFull:
		return dayParts
	case r == Daily:
		return pairParts
	default:
		return hourParts
	}
}

// partOf is the part that holds the country's groups.
func partOf(country string, parts int) int {
	return int(crc32.ChecksumIEEE([]byte(country)) % uint32(parts)) //nolint:gosec // few parts
}

// PackedGrains lists the grains that are packed at a resolution, coarsest first
// and without error summaries. docs/adr/0011 has the measurements behind it: hours are
// small and few are read, so they have no pairs.
func PackedGrains(r Resolution) []Grain { return slices.Clone(packedGrains(r)) }

func packedGrains(r Resolution) []Grain {
	if r == Daily {
		return dailyGrains
	}
	return hourlyGrains
}

var (
	hourlyGrains = []Grain{
		GrainTotal,
		GrainOf(DimensionTool), GrainOf(DimensionVersion), GrainOf(DimensionCountry), GrainOf(DimensionService),
		GrainOf(DimensionTool, DimensionVersion, DimensionService),
		GrainFull,
	}
	dailyGrains = slices.Insert(slices.Clone(hourlyGrains), 5,
		GrainOf(DimensionTool, DimensionVersion), GrainOf(DimensionTool, DimensionService), GrainOf(DimensionVersion, DimensionService),
		GrainOf(DimensionTool, DimensionCountry), GrainOf(DimensionVersion, DimensionCountry), GrainOf(DimensionCountry, DimensionService),
	)
)

// FinestGrains lists the grains of which a [Merge] makes all others.
func FinestGrains() []PackedGrain {
	return []PackedGrain{PackedGrain(GrainFull), FinestErrors}
}

// The grains of error summaries. CoarseErrors, which is not cut into parts, answers
// without a filter by country or service, and FinestErrors with one.
const (
	FinestErrors = PackedGrain(GrainFull) | GrainErrors
	CoarseErrors = PackedGrain(DimensionTool|DimensionVersion) | GrainErrors
)

// JournalValue is what a transaction adds to the aggregates of one UTC day.
type JournalValue struct {
	// Day is the start of the day.
	Day time.Time
	// Events is how many events it counts, and Entries how many groups and
	// error types of an hour.
	Events  int64
	Entries int
	Payload []byte
}

// AllParts is the part of a [PackedRead] that wants every one.
const AllParts = -1

// PackedRead is a grain that answers some of a [Selection].
type PackedRead struct {
	// Window has the buckets that are wanted, and their resolution.
	Window Window
	Grain  PackedGrain
	// Part is the number of the only part that is wanted, or AllParts.
	Part int
	// Latency and Sessions say that these are wanted beside the counts.
	Latency, Sessions bool

	lists []breakdown
}

// Parts are the numbers of the parts that are wanted, from first up to and without end.
func (r PackedRead) Parts() (first, end int) {
	if r.Part == AllParts {
		return 0, r.Window.Resolution.Parts(r.Grain)
	}
	return r.Part, r.Part + 1
}

// ResolutionsOf lists the resolutions of reads, each once.
func ResolutionsOf(reads []PackedRead) []Resolution {
	var list []Resolution
	for _, r := range reads {
		if !slices.Contains(list, r.Window.Resolution) {
			list = append(list, r.Window.Resolution)
		}
	}
	return list
}
