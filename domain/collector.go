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
	want := func(g Grain) *PackedRead {
		grain := PackedGrain(g)
		i := slices.IndexFunc(reads, func(r PackedRead) bool { return r.Grain == grain })
		if i < 0 {
			i = len(reads)
			reads = append(reads, PackedRead{Grain: grain, Part: s.partOf(grain)})
		}
		return &reads[i]
	}
	for _, by := range s.By {
		r := want(s.grainFor(Grain(by), false))
		r.by = append(r.by, by)
		r.Latency = r.Latency || s.latencyBy(by)
	}
	if s.Sessions && slices.Contains(s.By, DimensionNone) {
		want(s.grainFor(GrainTotal, true)).Sessions = true
	}
	if s.Errors {
		grain := s.errorGrain()
		reads = append(reads, PackedRead{Grain: grain, Part: s.partOf(grain)})
	}
	return reads
}

func (s Selection) latencyBy(by Dimension) bool {
	return s.Latency && (by == DimensionNone || by == DimensionTool)
}

// grainFor is the coarsest grain that answers a breakdown under the filter, with
// sessions if these are wanted.
func (s Selection) grainFor(by Grain, sessions bool) Grain {
	need := s.Filter.Grain() | by
	grains := packedGrains(s.Window.Resolution)
	i := slices.IndexFunc(grains, func(g Grain) bool {
		return g&need == need && (!sessions || hasSessions(PackedGrain(g)))
	})
	return grains[i] // full grain answers everything
}

// errorGrain is the same for error summaries.
func (s Selection) errorGrain() PackedGrain {
	if s.Filter.Country == "" && s.Filter.Service == "" {
		return CoarseErrors
	}
	return FinestErrors
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
	room      scratch
}

// collected are the rows of one bucket and their values.
type collected[R any] struct {
	rows   []R
	values []string
	// places has where the row of each value is, once rows do not come in order.
	places map[string]int
}

// place returns where the row of a value is, which is made if there is none. In
// most buckets all rows come from one packed value, in order; about that many.
func (c *collected[R]) place(value string, most int, made func() R) int {
	if c.rows == nil {
		c.rows, c.values = make([]R, 0, most), make([]string, 0, most)
	}
	if n := len(c.values); c.places == nil && n > 0 && c.values[n-1] >= value {
		c.places = make(map[string]int)
		for i, v := range c.values {
			c.places[v] = i
		}
	}
	if c.places != nil {
		if place, ok := c.places[value]; ok {
			return place
		}
		c.places[value] = len(c.rows)
	}
	c.values = append(c.values, value)
	c.rows = append(c.rows, made())
	return len(c.rows) - 1
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
// for. Of p, the key and what the read wants are set; Counts are nil where the store
// has no such value. The bytes are not kept.
func (c *Collector) Add(read int, p Packed) error {
	if p.Counts == nil || !c.selection.Window.Contains(p.Start) {
		return nil
	}
	var err error
	if r := c.reads[read]; r.Grain&GrainErrors != 0 {
		err = c.addErrors(p)
	} else {
		err = c.addCalls(r, p)
	}
	if err != nil {
		return inValue(p.Grain, err)
	}
	return nil
}

// AddJournal takes what a transaction added to a day. Days outside the window
// add nothing.
func (c *Collector) AddJournal(day time.Time, payload []byte) error {
	w := c.selection.Window
	if !day.Before(w.End) || !day.Add(Daily.Length()).After(w.Start) {
		return nil
	}
	calls, errs, err := openJournal(payload)
	if err != nil {
		return err
	}
	calls.PackedBucket, errs.PackedBucket = PackedBucket{Daily, day}, PackedBucket{Daily, day}
	if len(c.selection.By) > 0 {
		read := PackedRead{
			Grain: journalCalls, by: c.selection.By, Latency: c.selection.Latency,
			Sessions: c.selection.Sessions && slices.Contains(c.selection.By, DimensionNone),
		}
		if err := c.addCalls(read, calls); err != nil {
			return err
		}
	}
	if c.selection.Errors {
		return c.addErrors(errs)
	}
	return nil
}

// matches are the groups of a value that pass the filter.
type matches struct {
	// buckets has for each group the index of its bucket, counted from first and
	// with 1 added; 0 for a group that does not pass.
	buckets []uint32
	// first is the index of the first bucket, and span how many there are from it
	// on to the last.
	first, span int
}

// passes reports whether the group passes.
func (m *matches) passes(group int) bool { return m.buckets[group] != 0 }

// matching finds the groups that pass the filter; ok is false when there are none.
// The buckets are those of the hours of the value's day where it has hours.
func (c *Collector) matching(v *unpacked, p Packed) (m matches, ok bool) {
	const hoursOfDay = 24
	var buckets [hoursOfDay]uint32
	switch w := c.selection.Window; {
	case v.axes[axisHour].numbers == nil:
		m.first, m.span, buckets[0] = c.index(p.Start), 1, 1
	case w.Resolution == Daily:
		m.first, m.span = c.index(p.Start), 1
		for hour := range buckets {
			buckets[hour] = 1
		}
	default:
		m.first, m.span = c.index(p.Start), hoursOfDay
		for hour := range buckets {
			if w.Contains(p.Start.Add(time.Duration(hour) * time.Hour)) {
				buckets[hour] = uint32(hour + 1)
			}
		}
	}
	m.buckets = c.room.take(v.groups)
	hours := v.axes[axisHour].numbers
	for group := range m.buckets {
		m.buckets[group] = buckets[0]
		if hours != nil {
			m.buckets[group] = buckets[hours[group]]
		}
	}
	for _, d := range Dimensions() {
		value := c.selection.Filter.Value(d)
		if value == "" {
			continue
		}
		axis := &v.axes[axisOf(d)]
		number, found := axis.find(value)
		if !found {
			return matches{}, false
		}
		for group, n := range axis.numbers {
			if n != number {
				m.buckets[group] = 0
			}
		}
	}
	return m, slices.ContainsFunc(m.buckets, func(n uint32) bool { return n != 0 })
}

func (c *Collector) addCalls(r PackedRead, p Packed) error {
	c.room.reset()
	v, err := unpackCounts(r.Grain, p.Counts, &c.room)
	if err != nil {
		return err
	}
	m, ok := c.matching(v, p)
	if !ok {
		return nil
	}
	var times timesOf
	if r.Latency {
		times = make(timesOf, v.groups)
	}
	rows := make([]rowsOf, len(r.by))
	for i, by := range r.by {
		rows[i] = c.rowsBy(by, v, m)
	}
	if err := addCounters(v, rows, times); err != nil {
		return err
	}
	if r.Latency {
		err := v.eachLatency(p.Latency, times.of, m.passes, func(group int, lowest, highest int32, s *LatencySketch) {
			for i, by := range r.by {
				if c.selection.latencyBy(by) {
					rows[i].rollup(group).addLatency(lowest, highest, s)
				}
			}
		})
		if err != nil {
			return err
		}
	}
	if !r.Sessions {
		return nil
	}
	totals := c.rowsBy(DimensionNone, v, m)
	if len(totals.rows) == 1 {
		sessions, err := v.sessionsOf(p.Sessions, m.passes)
		if err == nil {
			totals.rows[0].Rollup.Sessions.Merge(sessions)
		}
		return err
	}
	var room DistinctSketch
	return v.eachSessions(p.Sessions, m.passes, func(group int, s unpackedSessions) {
		totals.rollup(group).Sessions.Merge(s.sketch(&room))
	})
}

// timesOf has the number and the sum of each group's response times.
type timesOf []struct{ timed, sum int64 }

func (t timesOf) of(group int) (timed, sum int64) { return t[group].timed, t[group].sum }

// addCounters adds the counters that the breakdowns have.
func addCounters(v *unpacked, rows []rowsOf, times timesOf) error {
	timed := make([]bool, v.groups)
	for counter, count := range rollupCount {
		add := func(group int, n int64) {
			if len(rows) == 0 || rows[0].slots[group] == 0 { // it passes for none
				return
			}
			for i := range rows {
				if r := &rows[i]; counter <= counterErrors || r.full {
					*count(r.rollup(group)) += n
				}
			}
		}
		var err error
		switch {
		case counter > counterErrors && times == nil && !slices.ContainsFunc(rows, func(r rowsOf) bool { return r.full }):
			v.skipCounter()
		case counter == counterTimed:
			err = v.eachCounter(func(group int, n int64) {
				timed[group] = true
				if times != nil {
					times[group].timed = n
				}
				add(group, n)
			})
		case counter == counterSum:
			err = v.eachSum(func(group int) bool { return timed[group] }, func(group int, n int64) {
				if times != nil {
					times[group].sum = n
				}
				add(group, n)
			})
		default:
			err = v.eachCounter(add)
		}
		if err != nil {
			return err
		}
	}
	return v.counters.err
}

// rowsOf are the rows of a breakdown that the groups of a value add to.
type rowsOf struct {
	// slots has the place in rows for each group, with 1 added; 0 for one that does
	// not pass.
	slots []uint32
	rows  []*RollupRow
	// full says that the rows have all counters.
	full bool
}

func (r *rowsOf) rollup(group int) *Rollup { return &r.rows[r.slots[group]-1].Rollup }

// slotsOf gives those groups the same slot, from 1 on, that have the same bucket and
// the same number; each makes a slot and says whose it is, by bucket and number.
func (c *Collector) slotsOf(m matches, numbers []uint32, values int, each func(index, number int)) []uint32 {
	slots, slotOf := c.room.take(len(m.buckets)), c.room.take(m.span*values)
	made := uint32(0)
	for group, bucket := range m.buckets {
		if bucket == 0 {
			continue
		}
		number := uint32(0)
		if numbers != nil {
			number = numbers[group]
		}
		slot := &slotOf[(int(bucket)-1)*values+int(number)]
		if *slot == 0 {
			made++
			*slot = made
			each(m.first+int(bucket)-1, int(number))
		}
		slots[group] = *slot
	}
	return slots
}

func (c *Collector) rowsBy(by Dimension, v *unpacked, m matches) rowsOf {
	r := rowsOf{full: by == DimensionNone || by == DimensionTool}
	var axis unpackedAxis
	values := 1
	if by != DimensionNone {
		axis = v.axes[axisOf(by)]
		values = len(axis.values)
	}
	type place struct{ index, place int }
	places := make([]place, 0, values)
	r.slots = c.slotsOf(m, axis.numbers, values, func(index, number int) {
		value := ""
		if by != DimensionNone {
			value = string(axis.values[number])
		}
		bucket := &c.rollups[by][index]
		places = append(places, place{index, bucket.place(value, values, func() RollupRow {
			return RollupRow{Resolution: c.selection.Window.Resolution, Bucket: c.start(index), Group: groupWith(by, value)}
		})})
	})
	// Rows move while a bucket gets more, so it has all of them now.
	r.rows = make([]*RollupRow, len(places))
	for i, p := range places {
		r.rows[i] = &c.rollups[by][p.index].rows[p.place]
	}
	return r
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

func (c *Collector) addErrors(p Packed) error {
	c.room.reset()
	v, found, err := readFailures(p, &c.room)
	if err != nil {
		return err
	}
	m, ok := c.matching(v, p)
	if !ok {
		return nil
	}
	tools, versions, types := v.axes[axisTool], v.axes[axisVersion], v.axes[axisErrorType]
	hours := v.axes[axisHour].numbers
	type summary struct {
		failures

		index, number   int
		tools, versions []bool
	}
	var summaries []summary
	slots := c.slotsOf(m, types.numbers, len(types.values), func(index, number int) {
		summaries = append(summaries, summary{
			index: index, number: number, tools: make([]bool, len(tools.values)), versions: make([]bool, len(versions.values)),
		})
	})
	for group, slot := range slots {
		if slot == 0 {
			continue
		}
		f := found[group]
		if hours != nil {
			f.first, f.last = hours[group], hours[group]
		}
		s := &summaries[slot-1]
		s.merge(f)
		s.tools[tools.numbers[group]], s.versions[versions.numbers[group]] = true, true
	}
	toolNames, versionNames := textsOf(tools.values), textsOf(versions.values)
	for _, s := range summaries {
		errorType := string(types.values[s.number])
		place := c.errors[s.index].place(errorType, len(types.values), func() ErrorRow {
			return ErrorRow{ErrorKey: ErrorKey{Resolution: c.selection.Window.Resolution, Bucket: c.start(s.index), ErrorType: errorType}}
		})
		c.errors[s.index].rows[place].Merge(&ErrorSummary{
			Count:     s.count,
			FirstSeen: p.Start.Add(time.Duration(s.first) * time.Hour), LastSeen: p.Start.Add(time.Duration(s.last) * time.Hour),
			Tools: picked(toolNames, s.tools), Versions: picked(versionNames, s.versions),
		})
	}
	return nil
}

func textsOf(values [][]byte) []string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = string(value)
	}
	return texts
}

// picked lists the texts that are picked, in order.
func picked(texts []string, picks []bool) []string {
	var list []string
	for i, pick := range picks {
		if pick {
			list = append(list, texts[i])
		}
	}
	return list
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
