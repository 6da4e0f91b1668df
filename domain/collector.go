package domain

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Reads lists what to read for the selection: the smallest grains that answer it.
// The index in the list is what [Collector.Add] wants to know.
func (s Selection) Reads() []PackedRead {
	var reads []PackedRead
	for _, by := range s.By {
		g := PackedGrain(s.grainFor(by))
		i := slices.IndexFunc(reads, func(r PackedRead) bool { return r.Grain == g })
		if i < 0 {
			i = len(reads)
			reads = append(reads, PackedRead{Grain: g, Part: s.partOf(g)})
		}
		r := &reads[i]
		r.by = append(r.by, by)
		r.Latency = r.Latency || s.latencyBy(by)
		r.Sessions = r.Sessions || s.sessionsBy(by)
	}
	if s.Errors {
		reads = append(reads, PackedRead{Grain: s.errorGrain(), Part: AllParts})
	}
	return reads
}

func (s Selection) latencyBy(by Dimension) bool {
	return s.Latency && (by == DimensionNone || by == DimensionTool)
}

func (s Selection) sessionsBy(by Dimension) bool { return s.Sessions && by == DimensionNone }

// grainFor is the coarsest grain that answers a breakdown under the filter.
func (s Selection) grainFor(by Dimension) Grain {
	need := s.Filter.Grain() | Grain(by)
	grains := hourlyGrains
	if s.Window.Resolution == Daily {
		grains = dailyGrains
	}
	i := slices.IndexFunc(grains, func(g Grain) bool {
		return g&need == need && (!s.sessionsBy(by) || hasSessions(PackedGrain(g)))
	})
	return grains[i] // full grain answers everything
}

// errorGrain is the same for error summaries.
func (s Selection) errorGrain() PackedGrain {
	if s.Filter.Country == "" && s.Filter.Service == "" {
		return coarseErrors
	}
	return PackedGrain(GrainFull) | GrainErrors
}

// partOf is the only part of a grain that the filter wants, or AllParts.
func (s Selection) partOf(g PackedGrain) int {
	parts := s.Window.Resolution.Parts(g)
	if s.Filter.Country == "" || parts == 1 {
		return AllParts
	}
	return partOf(s.Filter.Country, parts)
}

// Collector makes the answer to a [Selection] of packed values and of the
// journal, given in any order. It is not safe for concurrent use.
type Collector struct {
	selection Selection
	reads     []PackedRead
	rollups   map[Dimension][]collected[RollupRow]
	errors    []collected[ErrorRow]
}

// collected are the rows of one bucket, and where those of each value are.
type collected[R any] struct {
	rows   []R
	places map[string]int
}

// at returns the row of a value, made anew if there is none.
func (c *collected[R]) at(value string, made func() R) *R {
	place, ok := c.places[value]
	if !ok {
		if c.places == nil {
			c.places = make(map[string]int)
		}
		place = len(c.rows)
		c.places[value] = place
		c.rows = append(c.rows, made())
	}
	return &c.rows[place]
}

// NewCollector returns one for the selection.
func NewCollector(s Selection) *Collector {
	c := &Collector{selection: s, reads: s.Reads(), rollups: make(map[Dimension][]collected[RollupRow], len(s.By))}
	buckets := c.index(s.Window.End)
	for _, by := range s.By {
		c.rollups[by] = make([]collected[RollupRow], buckets)
	}
	if s.Errors {
		c.errors = make([]collected[ErrorRow], buckets)
	}
	return c
}

// index is the place of a bucket in the window.
func (c *Collector) index(start time.Time) int {
	return int(start.Sub(c.selection.Window.Start) / c.selection.Window.Resolution.Length())
}

func (c *Collector) start(index int) time.Time {
	return c.selection.Window.Start.Add(time.Duration(index) * c.selection.Window.Resolution.Length())
}

// Add takes a packed value that the read, an index in [Selection.Reads], asks
// for. Of p, the key and what the read wants are set. The bytes are not kept.
func (c *Collector) Add(read int, p Packed) error {
	if len(p.Counts) == 0 || !c.selection.Window.Contains(p.Start) {
		return nil
	}
	bucket := func(uint32) int { return c.index(p.Start) }
	var err error
	if r := c.reads[read]; r.Grain&GrainErrors != 0 {
		err = c.addErrors(p, bucket)
	} else {
		err = c.addCalls(r, p, bucket)
	}
	if err != nil {
		return inValue(p.Grain, err)
	}
	return nil
}

// AddJournal takes what a transaction added to a day. Days outside the window
// add nothing.
func (c *Collector) AddJournal(day time.Time, payload []byte) error {
	calls, errs, err := openJournal(payload)
	if err != nil {
		return err
	}
	calls.PackedBucket, errs.PackedBucket = PackedBucket{Daily, day}, PackedBucket{Daily, day}
	bucket := func(hour uint32) int {
		at := day.Add(time.Duration(hour) * time.Hour)
		if at = c.selection.Window.Resolution.Floor(at); !c.selection.Window.Contains(at) {
			return -1
		}
		return c.index(at)
	}
	if len(c.selection.By) > 0 {
		read := PackedRead{Grain: journalCalls, by: c.selection.By, Latency: c.selection.Latency, Sessions: c.selection.Sessions}
		if err := c.addCalls(read, calls, bucket); err != nil {
			return err
		}
	}
	if c.selection.Errors {
		return c.addErrors(errs, bucket)
	}
	return nil
}

// matching gives the bucket's index for each group that passes the filter, and -1
// for the others; nil when there is no such group.
func (c *Collector) matching(v *unpacked, bucket func(hour uint32) int) []int {
	type want struct {
		numbers []uint32
		number  uint32
	}
	var wants []want
	for _, d := range Dimensions() {
		value := c.selection.Filter.Value(d)
		if value == "" {
			continue
		}
		axis := &v.axes[axisOf(d)]
		number, ok := axis.find(value)
		if !ok {
			return nil
		}
		wants = append(wants, want{axis.numbers, number})
	}
	indexes := make([]int, v.groups)
	hours := v.axes[axisHour].numbers
	one := bucket(0)
	any := false
groups:
	for i := range indexes {
		indexes[i] = -1
		for _, w := range wants {
			if w.numbers[i] != w.number {
				continue groups
			}
		}
		indexes[i] = one
		if hours != nil {
			indexes[i] = bucket(hours[i])
		}
		any = any || indexes[i] >= 0
	}
	if !any {
		return nil
	}
	return indexes
}

func (c *Collector) addCalls(r PackedRead, p Packed, bucket func(hour uint32) int) error {
	v, err := unpackCounts(r.Grain, p.Counts)
	if err != nil {
		return err
	}
	indexes := c.matching(v, bucket)
	if indexes == nil {
		return nil
	}
	// rows are those that each group adds to, of each breakdown.
	rows := make([][]*RollupRow, len(r.by))
	for i, by := range r.by {
		rows[i] = c.rowsBy(by, v, indexes)
	}
	wants := func(group int) bool { return indexes[group] >= 0 }
	var timed, sums []int64
	for counter, count := range rollupCount {
		var has func(int) bool
		if counter == counterSum {
			has = func(group int) bool { return timed[group] > 0 }
		}
		numbers, err := v.numbers(has)
		if err != nil {
			return err
		}
		switch counter {
		case counterTimed:
			timed = numbers
		case counterSum:
			sums = numbers
		}
		for _, to := range rows {
			for group, n := range numbers {
				if n != 0 && wants(group) {
					*count(&to[group].Rollup) += n
				}
			}
		}
	}
	if r.Latency {
		if err := c.addLatency(r, p, v, timed, sums, wants, rows); err != nil {
			return err
		}
	}
	if !r.Sessions {
		return nil
	}
	return v.eachSessions(p.Sessions, wants, func(group int, d *DistinctSketch) {
		for i, by := range r.by {
			if c.selection.sessionsBy(by) {
				rows[i][group].Rollup.Sessions.Merge(d)
			}
		}
	})
}

func (c *Collector) addLatency(
	r PackedRead, p Packed, v *unpacked, timed, sums []int64, wants func(int) bool, rows [][]*RollupRow,
) error {
	times := func(group int) (int64, int64) { return timed[group], sums[group] }
	return v.eachLatency(p.Latency, times, wants, func(group int, lowest, highest int32, s *LatencySketch) {
		for i, by := range r.by {
			if c.selection.latencyBy(by) {
				rollup := &rows[i][group].Rollup
				if rollup.Latency.Count() == 0 {
					rollup.ResponseTimeMinMS, rollup.ResponseTimeMaxMS = lowest, highest
				}
				rollup.ResponseTimeMinMS = min(rollup.ResponseTimeMinMS, lowest)
				rollup.ResponseTimeMaxMS = max(rollup.ResponseTimeMaxMS, highest)
				rollup.Latency.Merge(s)
			}
		}
	})
}

// rowsBy returns the row of a breakdown that each matching group adds to.
func (c *Collector) rowsBy(by Dimension, v *unpacked, indexes []int) []*RollupRow {
	axis := &v.axes[axisHour] // of the total; its numbers are not used
	if by != DimensionNone {
		axis = &v.axes[axisOf(by)]
	}
	// Rows move while more are made, so all are made first.
	type place struct {
		index  int
		number uint32
	}
	places := make(map[place]*RollupRow)
	at := func(group int) place {
		if by == DimensionNone {
			return place{indexes[group], 0}
		}
		return place{indexes[group], axis.numbers[group]}
	}
	row := func(p place) *RollupRow {
		value := ""
		if by != DimensionNone {
			value = string(axis.values[p.number])
		}
		return c.rollups[by][p.index].at(value, func() RollupRow {
			return RollupRow{Resolution: c.selection.Window.Resolution, Bucket: c.start(p.index), Group: groupWith(by, value)}
		})
	}
	for group, index := range indexes {
		if index >= 0 {
			if p := at(group); places[p] == nil {
				places[p] = row(p)
			}
		}
	}
	for p := range places {
		places[p] = row(p)
	}
	rows := make([]*RollupRow, len(indexes))
	for group, index := range indexes {
		if index >= 0 {
			rows[group] = places[at(group)]
		}
	}
	return rows
}

// groupWith is the group of a breakdown.
func groupWith(by Dimension, value string) Group {
	g := Group{Grain: GrainOf(by)}
	switch by {
	case DimensionTool:
		g.Tool = value
	case DimensionVersion:
		g.Version = value
	case DimensionCountry:
		g.Country = value
	case DimensionService:
		g.Service = value
	case DimensionNone:
	}
	return g
}

func (c *Collector) addErrors(p Packed, bucket func(hour uint32) int) error {
	v, found, err := readFailures(p)
	if err != nil {
		return err
	}
	indexes := c.matching(v, bucket)
	hours := v.axes[axisHour].numbers
	value := func(axis, group int) string { return string(v.axes[axis].values[v.axes[axis].numbers[group]]) }
	for group, index := range indexes {
		if index < 0 {
			continue
		}
		f := found[group]
		first, last := p.Start.Add(time.Duration(f.first)*time.Hour), p.Start.Add(time.Duration(f.last)*time.Hour)
		if hours != nil {
			first = p.Start.Add(time.Duration(hours[group]) * time.Hour)
			last = first
		}
		errorType := value(axisErrorType, group)
		row := c.errors[index].at(errorType, func() ErrorRow {
			return ErrorRow{ErrorKey: ErrorKey{Resolution: c.selection.Window.Resolution, Bucket: c.start(index), ErrorType: errorType}}
		})
		row.Merge(&ErrorSummary{
			Count: f.count, FirstSeen: first, LastSeen: last,
			Tools: []string{value(axisTool, group)}, Versions: []string{value(axisVersion, group)},
		})
	}
	return nil
}

// Selected returns the answer.
func (c *Collector) Selected() Selected {
	selected := Selected{Rollups: make(map[Dimension][]RollupRow, len(c.selection.By))}
	for _, by := range c.selection.By {
		selected.Rollups[by] = inOrder(c.rollups[by], func(a, b RollupRow) int {
			return strings.Compare(a.Group.Value(by), b.Group.Value(by))
		})
	}
	if c.selection.Errors {
		selected.Errors = inOrder(c.errors, func(a, b ErrorRow) int { return cmp.Compare(a.ErrorType, b.ErrorType) })
	}
	return selected
}

// inOrder joins the rows of all buckets, each in order.
func inOrder[R any](buckets []collected[R], compare func(a, b R) int) []R {
	n := 0
	for i := range buckets {
		n += len(buckets[i].rows)
	}
	rows := make([]R, 0, n)
	for i := range buckets {
		if !slices.IsSortedFunc(buckets[i].rows, compare) {
			slices.SortFunc(buckets[i].rows, compare)
		}
		rows = append(rows, buckets[i].rows...)
	}
	return rows
}
