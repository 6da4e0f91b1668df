package domain

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Reads lists what to read for the selection: the smallest grains that answer it.
// The index in the list is what [Collector.Add] wants to know.
func (s Selection) Reads() []PackedRead {
	var reads []PackedRead
	want := func(w Window, g Grain) *PackedRead {
		grain := PackedGrain(g)
		i := slices.IndexFunc(reads, func(r PackedRead) bool { return r.Grain == grain && r.Window == w })
		if i < 0 {
			i = len(reads)
			reads = append(reads, PackedRead{Window: w, Grain: grain, Part: s.partOf(w.Resolution, grain)})
		}
		return &reads[i]
	}
	for _, list := range s.lists() {
		pieces := []Window{s.Window}
		if !s.spans(list).isBucket() {
			pieces = s.Window.WholeDays()
		}
		for _, w := range pieces {
			r := want(w, s.grainFor(w.Resolution, Grain(list.by), false))
			r.lists = append(r.lists, list)
			r.Latency = r.Latency || s.latencyOf(list)
		}
	}
	if s.Sessions && slices.Contains(s.By, DimensionNone) {
		want(s.Window, s.grainFor(s.Window.Resolution, GrainTotal, true)).Sessions = true
	}
	if s.Errors {
		grain := s.errorGrain()
		reads = append(reads, PackedRead{Window: s.Window, Grain: grain, Part: s.partOf(s.Window.Resolution, grain)})
	}
	return reads
}

// lists are the lists of rows that are asked for.
func (s *Selection) lists() []breakdown {
	var lists []breakdown
	for _, by := range s.By {
		lists = append(lists, breakdown{by: by})
	}
	if s.Usage {
		lists = append(lists, breakdown{by: DimensionTool, usage: true})
	}
	return lists
}

// isWhole reports whether a list's rows have all counters.
func (b breakdown) isWhole() bool { return b.by == DimensionNone || b.by == DimensionTool && !b.usage }

func (s *Selection) latencyOf(b breakdown) bool { return s.Latency && b.isWhole() }

// grainFor is the coarsest grain that answers a breakdown under the filter, with
// sessions if these are wanted.
func (s *Selection) grainFor(r Resolution, by Grain, sessions bool) Grain {
	need := s.Filter.Grain() | by
	grains := packedGrains(r)
	i := slices.IndexFunc(grains, func(g Grain) bool {
		return g&need == need && (!sessions || hasSessions(PackedGrain(g)))
	})
	return grains[i] // full grain answers everything
}

// errorGrain is the same for error summaries.
func (s *Selection) errorGrain() PackedGrain {
	if s.Filter.Country == "" && s.Filter.Service == "" {
		return CoarseErrors
	}
	return FinestErrors
}

// partOf is the only part of a grain that the filter wants, or AllParts.
func (s *Selection) partOf(r Resolution, g PackedGrain) int {
	parts := r.Parts(g)
	if s.Filter.Country == "" || parts == 1 {
		return AllParts
	}
	return partOf(s.Filter.Country, parts)
}

// Collector makes the answer to a [Selection] of packed values and of the
// journal, given in any order. Add and AddJournal are safe for concurrent use, and
// work at the same time.
type Collector struct {
	selection Selection
	reads     []PackedRead
	lists     []breakdown
	// buckets are those of the window.
	buckets spans

	mu sync.Mutex
	// made are all lanes, and idle are those that no call uses.
	made, idle []*lane
}

// lane is what one call after the other adds to.
type lane struct {
	*Collector

	// rollups has the rows of each of lists, by span.
	rollups [][]collected[RollupRow]
	// errors has those of each bucket.
	errors []collected[ErrorRow]
	room   *scratch
}

// collected are the rows of one span of time and their values.
type collected[R any] struct {
	rows   []R
	values []string
	// places has where the row of each value is, once rows do not come in order.
	places map[string]int
}

// place returns where the row of a value is, which is made if there is none. In
// most spans all rows come from one packed value, in order; about that many.
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
	return &Collector{selection: s, reads: s.Reads(), lists: s.lists(), buckets: s.spans(breakdown{by: DimensionNone})}
}

// borrow returns a lane that no other call uses, until it is put back.
func (c *Collector) borrow() *lane {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.idle); n > 0 {
		l := c.idle[n-1]
		c.idle = c.idle[:n-1]
		return l
	}
	l := c.newLane()
	l.room = scratches.Get().(*scratch) //nolint:forcetypeassert // it has no others
	c.made = append(c.made, l)
	return l
}

func (c *Collector) putBack(l *lane) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, l)
}

func (c *Collector) newLane() *lane {
	l := &lane{Collector: c, rollups: make([][]collected[RollupRow], len(c.lists))}
	for i, list := range c.lists {
		l.rollups[i] = make([]collected[RollupRow], c.selection.spans(list).count())
	}
	if c.selection.Errors {
		l.errors = make([]collected[ErrorRow], c.buckets.count())
	}
	return l
}

// Add takes a packed value that the read, an index in [Selection.Reads], asks
// for. Of p, the key and what the read wants are set; Counts are nil where the store
// has no such value. The bytes are not kept.
func (c *Collector) Add(read int, p Packed) error {
	r := c.reads[read]
	if p.Counts == nil || p.Resolution != r.Window.Resolution || !r.Window.Contains(p.Start) || c.selection.Leaves(p.Start) {
		return nil
	}
	l := c.borrow()
	defer c.putBack(l)
	var err error
	if r.Grain&GrainErrors != 0 {
		err = l.addErrors(p, unmerged{})
	} else {
		err = l.addCalls(r, p, unmerged{})
	}
	if err != nil {
		return inValue(p.Grain, err)
	}
	return nil
}

// AddJournal takes what a transaction added to a day, without what packed values have
// since so many steps of its merge were taken. Days outside the window add nothing.
func (c *Collector) AddJournal(day time.Time, payload []byte, steps int) error {
	w := c.selection.Window
	if !day.Before(w.End) || !day.Add(Daily.Length()).After(w.Start) || c.selection.Leaves(day) {
		return nil
	}
	calls, errs, err := openJournal(payload)
	if err != nil {
		return err
	}
	calls.PackedBucket, errs.PackedBucket = PackedBucket{Daily, day}, PackedBucket{Daily, day}
	l := c.borrow()
	defer c.putBack(l)
	for _, read := range c.journalReads(steps) {
		left := unmerged{read.Window, read.Grain, steps}
		if read.Grain&GrainErrors != 0 {
			err = l.addErrors(errs, left)
		} else {
			read.Grain = journalCalls
			err = l.addCalls(read, calls, left)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// journalReads are the reads that a row of the journal answers: all of calls at once,
// unless packed values have some of it, and then not all the same.
func (c *Collector) journalReads(steps int) []PackedRead {
	if steps > 0 {
		return c.reads
	}
	var reads []PackedRead
	if len(c.lists) > 0 {
		reads = append(reads, PackedRead{
			lists: c.lists, Latency: slices.ContainsFunc(c.lists, c.selection.latencyOf),
			Sessions: c.selection.Sessions && slices.Contains(c.selection.By, DimensionNone),
		})
	}
	if c.selection.Errors {
		reads = append(reads, PackedRead{Grain: CoarseErrors})
	}
	return reads
}

// unmerged are the groups of a row of the journal that are in buckets of the window
// of a read, and that the values of its grain do not have, after so many steps of a
// merge. The zero one is all groups.
type unmerged struct {
	window Window
	grain  PackedGrain
	steps  int
}

// leaveOut takes away the other groups of the row about that day.
func (u *unmerged) leaveOut(day time.Time, v *unpacked, buckets []uint32) {
	if u.steps == 0 {
		return
	}
	countries, hours, parts := &v.axes[axisCountry], v.axes[axisHour].numbers, u.window.Resolution.Parts(u.grain)
	isMerged := make([]bool, len(countries.values))
	for number, country := range countries.values {
		isMerged[number] = stepOf(u.grain, partOf(string(country), parts), parts) < u.steps
	}
	for group, number := range countries.numbers {
		bucket := u.window.Resolution.Floor(day.Add(time.Duration(hours[group]) * time.Hour))
		if isMerged[number] || !u.window.Contains(bucket) {
			buckets[group] = 0
		}
	}
}

// matches are the groups of a value that pass the filter.
type matches struct {
	// buckets has for each group the index of its bucket, counted from first and
	// with 1 added; 0 for a group that does not pass.
	buckets []uint32
	// first is the index of the first bucket, and span how many there are from it
	// on to the last.
	first, span int
	// set has a bit for each group that passes, unless all do.
	set []byte
}

// passes reports whether the group passes.
func (m *matches) passes(group int) bool { return m.buckets[group] != 0 }

// seal makes the set in that room, and reports whether any group passes.
func (m *matches) seal(room *scratch) bool {
	set, passing := roomFor(&room.set, (len(m.buckets)+7)/8), 0
	for group, bucket := range m.buckets {
		if bucket != 0 {
			set[group/8] |= 1 << (group % 8)
			passing++
		}
	}
	if passing < len(m.buckets) {
		m.set = set
	}
	return passing > 0
}

// matching finds the groups that pass the filter; ok is false when there are none.
// The buckets are those of the hours of the value's day where it has hours.
func (c *lane) matching(v *unpacked, p Packed, left unmerged) (m matches, ok bool) {
	const hoursOfDay = 24
	var buckets [hoursOfDay]uint32
	switch w := c.selection.Window; {
	case v.axes[axisHour].numbers == nil:
		m.first, m.span, buckets[0] = c.buckets.index(p.Start), 1, 1
	case w.Resolution == Daily:
		m.first, m.span = c.buckets.index(p.Start), 1
		for hour := range buckets {
			buckets[hour] = 1
		}
	default:
		m.first, m.span = c.buckets.index(p.Start), hoursOfDay
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
	left.leaveOut(p.Start, v, m.buckets)
	return m, m.seal(c.room)
}

func (c *lane) addCalls(r PackedRead, p Packed, left unmerged) error {
	c.room.reset()
	v, err := unpackCounts(r.Grain, p.Counts, c.room)
	if err != nil {
		return err
	}
	m, ok := c.matching(v, p, left)
	if !ok {
		return nil
	}
	rows := make([]rowsOf, len(r.lists))
	for i, list := range r.lists {
		rows[i] = c.rowsOf(list, v, m, p.Start)
	}
	times := roomFor(&c.room.times, v.groups)
	if err := addCounters(v, m.set, rows, times); err != nil {
		return err
	}
	if r.Latency {
		err := v.eachLatency(p.Latency, times.of, m.passes, func(group int, lowest, highest int32, s *LatencySketch) {
			for i, list := range r.lists {
				if c.selection.latencyOf(list) {
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
	totals := c.rowsOf(breakdown{by: DimensionNone}, v, m, p.Start)
	if len(totals.rows) == 1 {
		sessions, err := v.sessionsOf(p.Sessions, m.passes)
		if err == nil {
			totals.rows[0].Rollup.Sessions.Merge(sessions)
		}
		return err
	}
	var sketch DistinctSketch
	return v.eachSessions(p.Sessions, m.passes, func(group int, s unpackedSessions) {
		totals.rollup(group).Sessions.Merge(s.sketch(&sketch))
	})
}

// timesOf has the number and the sum of each group's response times.
type timesOf []struct{ timed, sum int64 }

func (t timesOf) of(group int) (timed, sum int64) { return t[group].timed, t[group].sum }

// addCounters adds the counters that the breakdowns have of the groups that pass, a
// set of bits or nil for all. Where rows have response times, times gets those of all
// groups.
func addCounters(v *unpacked, pass []byte, rows []rowsOf, times timesOf) error {
	full := slices.ContainsFunc(rows, func(r rowsOf) bool { return r.full })
	for counter, count := range rollupCount {
		add := func(group int, n int64) {
			if rows[0].slots[group] == 0 { // it passes for none
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
		case len(rows) == 0 || counter > counterErrors && !full:
			v.skipCounter()
		case counter == counterTimed:
			err = v.eachCounter(nil, func(group int, n int64) { // sums follow for each
				times[group].timed = n
				add(group, n)
			})
		case counter == counterSum:
			err = v.eachSum(func(group int) bool { return times[group].timed > 0 }, func(group int, n int64) {
				times[group].sum = n
				add(group, n)
			})
		default:
			err = v.eachCounter(pass, add)
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

// slotsOf gives those groups the same slot, from 1 on, that have the same span and
// the same number; each makes a slot and says whose it is, by span and number. A span
// is a bucket, or the one that is given for all.
func (c *lane) slotsOf(m matches, span int, numbers []uint32, values int, each func(span, number int)) []uint32 {
	if span < 0 {
		span = m.first
	} else {
		m.span = 1
	}
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
		later := 0
		if m.span > 1 {
			later = int(bucket) - 1
		}
		slot := &slotOf[later*values+int(number)]
		if *slot == 0 {
			made++
			*slot = made
			each(span+later, int(number))
		}
		slots[group] = *slot
	}
	return slots
}

// eachBucket is the span of slotsOf that stands for each group's own bucket.
const eachBucket = -1

// rowsOf makes the rows of a list that the groups of a value add to, which begins at
// start.
func (c *lane) rowsOf(list breakdown, v *unpacked, m matches, start time.Time) rowsOf {
	r := rowsOf{full: list.isWhole()}
	var axis unpackedAxis
	values := 1
	if list.by != DimensionNone {
		axis = v.axes[axisOf(list.by)]
		values = len(axis.values)
	}
	most := values
	if c.selection.Filter.Value(list.by) != "" {
		most = 1
	}
	spans, span := c.selection.spans(list), eachBucket
	if !spans.isBucket() {
		span = spans.index(latest(start, c.selection.Window.Start))
	}
	inSpans := c.rollups[slices.Index(c.lists, list)]
	type place struct{ span, place int }
	places := make([]place, 0, most)
	r.slots = c.slotsOf(m, span, axis.numbers, values, func(span, number int) {
		value := ""
		if list.by != DimensionNone {
			value = string(axis.values[number])
		}
		places = append(places, place{span, inSpans[span].place(value, most, func() RollupRow {
			return RollupRow{Resolution: c.selection.Window.Resolution, Bucket: spans.at(span), Group: groupWith(list.by, value)}
		})})
	})
	// Rows move while a span gets more, so it has all of them now.
	r.rows = make([]*RollupRow, len(places))
	for i, p := range places {
		r.rows[i] = &inSpans[p.span].rows[p.place]
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

func (c *lane) addErrors(p Packed, left unmerged) error {
	c.room.reset()
	v, found, err := readFailures(p, c.room)
	if err != nil {
		return err
	}
	m, ok := c.matching(v, p, left)
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
	summaries := make([]summary, 0, len(types.values))
	slots := c.slotsOf(m, eachBucket, types.numbers, len(types.values), func(index, number int) {
		picks := make([]bool, len(tools.values)+len(versions.values))
		summaries = append(summaries, summary{
			index: index, number: number, tools: picks[:len(tools.values)], versions: picks[len(tools.values):],
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
			return ErrorRow{ErrorKey: ErrorKey{Resolution: c.selection.Window.Resolution, Bucket: c.buckets.at(s.index), ErrorType: errorType}}
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
	n := 0
	for _, pick := range picks {
		if pick {
			n++
		}
	}
	list := make([]string, 0, n)
	for i, pick := range picks {
		if pick {
			list = append(list, texts[i])
		}
	}
	return list
}

// Selected returns the answer, once all is added.
func (c *Collector) Selected() Selected {
	all := c.newLane()
	for _, l := range c.made {
		all.merge(l)
		scratches.Put(l.room)
	}
	c.made, c.idle = nil, nil
	selected := Selected{Rollups: make(map[Dimension][]RollupRow, len(c.selection.By))}
	for i, list := range c.lists {
		rows := inOrder(all.rollups[i], func(a, b RollupRow) int {
			return strings.Compare(a.Group.Value(list.by), b.Group.Value(list.by))
		})
		if list.usage {
			selected.Usage = rows
		} else {
			selected.Rollups[list.by] = rows
		}
	}
	if c.selection.Errors {
		selected.Errors = inOrder(all.errors, func(a, b ErrorRow) int { return cmp.Compare(a.ErrorType, b.ErrorType) })
	}
	return selected
}

// merge adds what the other has, which is of no use after it.
func (c *lane) merge(other *lane) {
	for list := range c.rollups {
		for span := range c.rollups[list] {
			mergeRows(&c.rollups[list][span], &other.rollups[list][span], func(to, row *RollupRow) { to.Rollup.Merge(&row.Rollup) })
		}
	}
	for bucket := range c.errors {
		mergeRows(&c.errors[bucket], &other.errors[bucket], func(to, row *ErrorRow) { to.Merge(&row.ErrorSummary) })
	}
}

// mergeRows adds the rows of one lane to those of another.
func mergeRows[R any](to, from *collected[R], add func(to, row *R)) {
	if to.rows == nil {
		*to = *from
		return
	}
	for i := range from.rows {
		made := false
		place := to.place(from.values[i], len(from.rows), func() R {
			made = true
			return from.rows[i]
		})
		if !made {
			add(&to.rows[place], &from.rows[i])
		}
	}
}

// inOrder joins the rows of all spans, each in order.
func inOrder[R any](spans []collected[R], compare func(a, b R) int) []R {
	n := 0
	for i := range spans {
		n += len(spans[i].rows)
	}
	rows := make([]R, 0, n)
	for i := range spans {
		if !slices.IsSortedFunc(spans[i].rows, compare) {
			slices.SortFunc(spans[i].rows, compare)
		}
		rows = append(rows, spans[i].rows...)
	}
	return rows
}
