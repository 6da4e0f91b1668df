package domain

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"
)

// PackJournal packs what [Finest] gave, a value for each UTC day, in order.
func PackJournal(finest Aggregates) []JournalValue {
	days := make(map[int64]*journalDay)
	at := func(bucket time.Time) *journalDay {
		day := entry(days, Daily.Floor(bucket).Unix())
		if day.rollups == nil {
			day.cells = newCells()
		}
		return day
	}
	for i := range finest.Rollups {
		row := &finest.Rollups[i]
		day := at(row.Bucket)
		day.rollups[day.names.key(hourOf(row.Bucket), row.Group, "")] = &row.Rollup
		day.events += row.Rollup.Calls
	}
	for i := range finest.Errors {
		row := &finest.Errors[i]
		day := at(row.Bucket)
		day.errors[day.names.key(hourOf(row.Bucket), row.Group, row.ErrorType)] = failures{count: row.Count}
	}
	values := make([]JournalValue, 0, len(days))
	for _, start := range slices.Sorted(maps.Keys(days)) {
		day := days[start]
		values = append(values, JournalValue{
			Day: time.Unix(start, 0).UTC(), Events: day.events, Entries: day.len(), Payload: day.payload(),
		})
	}
	return values
}

// journalDay is what a transaction adds to a day.
type journalDay struct {
	cells

	names  lexicon
	events int64
}

// The grains of a journal's payload.
const (
	journalCalls  = PackedGrain(GrainFull) | grainHours
	journalErrors = journalCalls | GrainErrors
)

// payload is the columns of the calls and the counts of the errors, each with its
// length before it.
func (d *journalDay) payload() []byte {
	p := packing{names: &d.names}
	calls, errs := p.calls(journalCalls, d.rollups), p.errors(journalErrors, d.errors)
	var b []byte
	for _, column := range [][]byte{calls.Counts, calls.Latency, calls.Sessions, errs.Counts} {
		b = append(binary.AppendUvarint(b, uint64(len(column))), column...)
	}
	return b
}

// openJournal takes a payload apart into calls and errors.
func openJournal(payload []byte) (calls, errs Packed, err error) {
	u := unpacking{data: payload}
	calls.Grain, errs.Grain = journalCalls, journalErrors
	for _, column := range []*[]byte{&calls.Counts, &calls.Latency, &calls.Sessions, &errs.Counts} {
		*column = u.bytes(u.upTo(u.left()))
	}
	if u.err == nil && u.left() > 0 {
		u.fail()
	}
	return calls, errs, u.err
}

// Merge adds what is new of one UTC day to its packed aggregates. It is not safe for
// concurrent use.
type Merge struct {
	day     time.Time
	cutoffs Cutoffs
	names   lexicon
	// added are the groups that are new, by the hour.
	added cells
}

// NewMerge returns one for the day that begins at day. It leaves out what is due
// by cutoffs.
func NewMerge(day time.Time, c Cutoffs) *Merge {
	return &Merge{day: day.UTC(), cutoffs: c, added: newCells()}
}

// Add takes the payload of a [JournalValue] of the day. Damaged bytes are an
// error, and leave the merge as it was.
func (m *Merge) Add(payload []byte) error {
	calls, errs, err := openJournal(payload)
	if err != nil {
		return err
	}
	read := newCells()
	if err := m.readCalls(calls, read.rollups); err != nil {
		return err
	}
	if err := m.readErrors(errs, read.errors); err != nil {
		return err
	}
	m.add(read)
	return nil
}

// AddFinest takes what [Finest] gave for events of the day.
func (m *Merge) AddFinest(finest Aggregates) {
	read := newCells()
	for i := range finest.Rollups {
		row := &finest.Rollups[i]
		read.rollups[m.names.key(hourOf(row.Bucket), row.Group, "")] = &row.Rollup
	}
	for i := range finest.Errors {
		row := &finest.Errors[i]
		read.errors[m.names.key(hourOf(row.Bucket), row.Group, row.ErrorType)] = failures{count: row.Count}
	}
	m.add(read)
}

func (m *Merge) add(read cells) {
	for key, r := range read.rollups {
		entry(m.added.rollups, key).Merge(r)
	}
	for key, f := range read.errors {
		m.added.errors.add(key, f)
	}
}

// Entries is how many groups and error types of an hour were added.
func (m *Merge) Entries() int { return m.added.len() }

// Buckets lists the buckets that change: hours in order and then the day.
func (m *Merge) Buckets() []PackedBucket {
	hours := make(map[uint32]struct{})
	for key := range m.added.rollups {
		hours[key[axisHour]] = struct{}{}
	}
	buckets := make([]PackedBucket, 0, len(hours)+1)
	for _, hour := range slices.Sorted(maps.Keys(hours)) {
		buckets = append(buckets, PackedBucket{Hourly, m.day.Add(time.Duration(hour) * time.Hour)})
	}
	if len(hours) > 0 {
		buckets = append(buckets, PackedBucket{Daily, m.day})
	}
	return slices.DeleteFunc(buckets, func(b PackedBucket) bool {
		return b.Start.Before(m.cutoffs.calls(b.Resolution)) && b.Start.Before(m.cutoffs.errors(b.Resolution))
	})
}

// Bucket returns every value of a bucket, given those of [FinestGrains] that are
// stored for it, with all three columns. They replace whatever stands there.
// Bytes of stored are not kept. Damaged ones are an error that names the grain.
func (m *Merge) Bucket(b PackedBucket, stored []Packed) ([]Packed, error) {
	var values []Packed
	p := packing{names: &m.names}
	if !b.Start.Before(m.cutoffs.calls(b.Resolution)) {
		calls, err := m.mergeCalls(b, stored, &p)
		if err != nil {
			return nil, err
		}
		values = calls
	}
	if !b.Start.Before(m.cutoffs.errors(b.Resolution)) {
		errs, err := m.mergeErrors(b, stored, &p)
		if err != nil {
			return nil, err
		}
		values = append(values, errs...)
	}
	for i := range values {
		values[i].PackedBucket = b
	}
	return values, nil
}

// mergeCalls goes part by part, so that the groups of one only are in memory at a
// time, beside those of grains without a country.
func (m *Merge) mergeCalls(b PackedBucket, stored []Packed, p *packing) ([]Packed, error) {
	parts := b.Resolution.Parts(PackedGrain(GrainFull))
	added := m.addedTo(b, parts)
	// Grains that are not cut are complete when all parts have been added.
	whole := make(map[PackedGrain]map[cellKey]*Rollup)
	var cut []PackedGrain
	for _, g := range packedGrains(b.Resolution) {
		switch grain := PackedGrain(g); {
		case g == GrainFull:
		case b.Resolution.Parts(grain) > 1:
			cut = append(cut, grain)
		default:
			whole[grain] = make(map[cellKey]*Rollup)
		}
	}
	var values []Packed
	pack := func(g PackedGrain, part int, groups map[cellKey]*Rollup) {
		if len(groups) > 0 {
			value := p.calls(g, groups)
			value.Part = part
			values = append(values, value)
		}
	}
	// A part of pairs is made of every pairParts-th part of full grain.
	for pairPart := range min(parts, pairParts) {
		pairs := make(map[PackedGrain]map[cellKey]*Rollup, len(cut))
		for _, g := range cut {
			pairs[g] = make(map[cellKey]*Rollup)
		}
		for part := pairPart; part < parts; part += pairParts {
			full, err := m.mergePart(part, stored, added[part])
			if err != nil {
				return nil, err
			}
			pack(PackedGrain(GrainFull), part, full)
			for g, groups := range pairs {
				coarsen(g, full, groups)
			}
			addToWhole(full, whole)
		}
		for _, g := range cut {
			pack(g, pairPart, pairs[g])
		}
	}
	return append(values, packWhole(p, whole)...), nil
}

// mergePart returns the groups of a part of full grain.
func (m *Merge) mergePart(part int, stored []Packed, added []addedGroup) (map[cellKey]*Rollup, error) {
	full := make(map[cellKey]*Rollup)
	for i := range stored {
		if stored[i].Grain == PackedGrain(GrainFull) && stored[i].Part == part {
			if err := m.readCalls(stored[i], full); err != nil {
				return nil, err
			}
		}
	}
	for _, a := range added {
		entry(full, a.key).Merge(a.rollup)
	}
	return full, nil
}

// addToWhole adds a part of full grain to the grains without parts, but for those
// that are made of others of these.
func addToWhole(full map[cellKey]*Rollup, whole map[PackedGrain]map[cellKey]*Rollup) {
	for g, groups := range whole {
		switch isMade, sessions := madeOfWhole(g); {
		case !isMade:
			coarsen(g, full, groups)
		case !sessions && hasSessions(g):
			coarsenSessions(g, full, groups)
		}
	}
}

// wholeOf says of which other grain without parts one is made, as that has fewer
// groups than full grain; finer ones come first.
var wholeOf = []struct{ grain, finer PackedGrain }{
	{PackedGrain(DimensionTool | DimensionVersion), PackedGrain(DimensionTool | DimensionVersion | DimensionService)},
	{PackedGrain(DimensionTool | DimensionService), PackedGrain(DimensionTool | DimensionVersion | DimensionService)},
	{PackedGrain(DimensionVersion | DimensionService), PackedGrain(DimensionTool | DimensionVersion | DimensionService)},
	{PackedGrain(DimensionTool), PackedGrain(DimensionTool | DimensionVersion | DimensionService)},
	{PackedGrain(DimensionVersion), PackedGrain(DimensionTool | DimensionVersion | DimensionService)},
	{PackedGrain(DimensionService), PackedGrain(DimensionTool | DimensionVersion | DimensionService)},
	{PackedGrain(GrainTotal), PackedGrain(DimensionVersion)},
}

// madeOfWhole reports whether a grain is one of [wholeOf], and whether the finer one
// has its sessions, too.
func madeOfWhole(g PackedGrain) (isMade, sessions bool) {
	for _, made := range wholeOf {
		if made.grain == g {
			return true, hasSessions(made.finer)
		}
	}
	return false, false
}

func packWhole(p *packing, whole map[PackedGrain]map[cellKey]*Rollup) []Packed {
	for _, made := range wholeOf {
		if groups, has := whole[made.grain]; has {
			coarsen(made.grain, whole[made.finer], groups)
		}
	}
	values := make([]Packed, 0, len(whole))
	for _, g := range slices.Sorted(maps.Keys(whole)) {
		if len(whole[g]) > 0 {
			values = append(values, p.calls(g, whole[g]))
		}
	}
	return values
}

// coarsen adds groups to the groups of a coarser grain that they fall into.
func coarsen(g PackedGrain, from, to map[cellKey]*Rollup) {
	sessions := hasSessions(g)
	for key, r := range from {
		entry(to, key.at(g)).merge(r, sessions)
	}
}

// coarsenSessions is coarsen for sessions alone.
func coarsenSessions(g PackedGrain, from, to map[cellKey]*Rollup) {
	for key, r := range from {
		if !r.Sessions.isEmpty() {
			entry(to, key.at(g)).Sessions.Merge(&r.Sessions)
		}
	}
}

type addedGroup struct {
	key    cellKey
	rollup *Rollup
}

// addedTo lists what is added to a bucket, by its parts, without the hour.
func (m *Merge) addedTo(b PackedBucket, parts int) [][]addedGroup {
	partOfCountry := m.partsOfCountries(parts)
	added := make([][]addedGroup, parts)
	for key, r := range m.added.rollups {
		if key.isIn(b) {
			part := partOfCountry[key[axisCountry]]
			added[part] = append(added[part], addedGroup{key.at(PackedGrain(GrainFull)), r})
		}
	}
	return added
}

// partsOfCountries has the part of each country by its number.
func (m *Merge) partsOfCountries(parts int) []int {
	list := make([]int, len(m.names.lists[axisCountry]))
	for number, country := range m.names.lists[axisCountry] {
		list[number] = partOf(country, parts)
	}
	return list
}

func (m *Merge) mergeErrors(b PackedBucket, stored []Packed, p *packing) ([]Packed, error) {
	parts := b.Resolution.Parts(FinestErrors)
	partOfCountry := m.partsOfCountries(parts)
	added := make([][]cellKey, parts)
	for key := range m.added.errors {
		if key.isIn(b) {
			part := partOfCountry[key[axisCountry]]
			added[part] = append(added[part], key)
		}
	}
	coarse := make(errorCells)
	var values []Packed
	for part := range parts {
		full := make(errorCells)
		for i := range stored {
			if stored[i].Grain == FinestErrors && stored[i].Part == part {
				if err := m.readErrors(stored[i], full); err != nil {
					return nil, err
				}
			}
		}
		for _, key := range added[part] {
			f := m.added.errors[key]
			if b.Resolution == Daily {
				f.first, f.last = key[axisHour], key[axisHour]
			}
			full.add(key.at(FinestErrors), f)
		}
		if len(full) == 0 {
			continue
		}
		value := p.errors(FinestErrors, full)
		value.Part = part
		values = append(values, value)
		for key, f := range full {
			coarse.add(key.at(CoarseErrors), f)
		}
	}
	if len(coarse) > 0 {
		values = append(values, p.errors(CoarseErrors, coarse))
	}
	return values, nil
}

// keysOf are the keys of a value's groups.
func (m *Merge) keysOf(v *unpacked) []cellKey {
	keys := make([]cellKey, v.groups)
	for axis := range axes {
		a := &v.axes[axis]
		if a.numbers == nil {
			continue
		}
		numbers := make([]uint32, len(a.values))
		for i, value := range a.values {
			numbers[i] = m.names.number(axis, string(value))
		}
		for i, number := range a.numbers {
			if axis != axisHour {
				number = numbers[number]
			}
			keys[i][axis] = number
		}
	}
	return keys
}

func inValue(g PackedGrain, err error) error {
	return fmt.Errorf("the packed value of grain %d cannot be read: %w", g&^grainHours, err)
}

// readCalls reads the groups of a value into an empty map or beside others.
func (m *Merge) readCalls(p Packed, to map[cellKey]*Rollup) error {
	v, err := unpackCounts(p.Grain, p.Counts, nil)
	if err != nil {
		return inValue(p.Grain, err)
	}
	rollups := make([]Rollup, v.groups)
	if err := readRollups(v, p, rollups); err != nil {
		return inValue(p.Grain, err)
	}
	for i, key := range m.keysOf(v) {
		to[key] = &rollups[i]
	}
	return nil
}

func readRollups(v *unpacked, p Packed, rollups []Rollup) error {
	all := func(int) bool { return true }
	for counter, count := range rollupCount {
		visit := func(i int, n int64) { *count(&rollups[i]) = n }
		var err error
		if counter == counterSum {
			err = v.eachSum(func(i int) bool { return rollups[i].Timed > 0 }, visit)
		} else {
			err = v.eachCounter(visit)
		}
		if err != nil {
			return err
		}
	}
	times := func(i int) (timed, sum int64) { return rollups[i].Timed, rollups[i].ResponseTimeSumMS }
	err := v.eachLatency(p.Latency, times, all, func(i int, lowest, highest int32, s *LatencySketch) {
		rollups[i].ResponseTimeMinMS, rollups[i].ResponseTimeMaxMS = lowest, highest
		rollups[i].Latency.Merge(s)
	})
	if err != nil {
		return err
	}
	var room DistinctSketch
	return v.eachSessions(p.Sessions, all, func(i int, s unpackedSessions) { rollups[i].Sessions.Merge(s.sketch(&room)) })
}

func (m *Merge) readErrors(p Packed, to errorCells) error {
	v, found, err := readFailures(p, nil)
	if err != nil {
		return inValue(p.Grain, err)
	}
	for i, key := range m.keysOf(v) {
		to[key] = found[i]
	}
	return nil
}

func readFailures(p Packed, room *scratch) (*unpacked, []failures, error) {
	v, err := unpackCounts(p.Grain, p.Counts, room)
	if err != nil {
		return nil, nil, err
	}
	found := make([]failures, v.groups)
	hours := true
	for counter := range errorCounters {
		err := v.eachCounter(func(i int, n int64) {
			switch f := &found[i]; counter {
			case counterFailures:
				f.count = n
			case counterFirst:
				f.first, f.last = uint32(n), uint32(n) //nolint:gosec // hours is checked
				hours = hours && n < 24
			default:
				f.last += uint32(n) //nolint:gosec // hours is checked
				hours = hours && n < 24
			}
		})
		if err != nil {
			return nil, nil, err
		}
	}
	if !hours {
		return nil, nil, errDamaged
	}
	return v, found, nil
}

// CountJournal returns how many calls the payload of a [JournalValue] counts of
// each value of the open dimensions, as [TakeCensus] does.
func CountJournal(day time.Time, payload []byte) ([]OpenValues, error) {
	calls, errs, err := openJournal(payload)
	if err != nil {
		return nil, err
	}
	var census []OpenValues
	for _, p := range []Packed{calls, errs} {
		p.PackedBucket = PackedBucket{Daily, day.UTC()}
		values, err := CountPacked(p)
		if err != nil {
			return nil, err
		}
		if len(values.Values) > 0 {
			census = append(census, values)
		}
	}
	slices.SortFunc(census, func(a, b OpenValues) int { return compareOpenDays(a.OpenDay, b.OpenDay) })
	return census, nil
}

// CountPacked is the same for a packed value of the grain of versions alone, or of
// [GrainErrors] with any grain.
func CountPacked(p Packed) (OpenValues, error) {
	v, err := unpackCounts(p.Grain, p.Counts, nil)
	if err != nil {
		return OpenValues{}, inValue(p.Grain, err)
	}
	counted := OpenValues{OpenDay: openDay(p.Start, OpenVersion)}
	axis := &v.axes[axisVersion]
	if p.Grain&GrainErrors != 0 {
		counted.Dimension, axis = OpenErrorType, &v.axes[axisErrorType]
	}
	if axis.numbers == nil {
		return OpenValues{}, inValue(p.Grain, errDamaged)
	}
	calls := make(map[string]int64)
	err = v.eachCounter(func(i int, n int64) {
		if value := string(axis.values[axis.numbers[i]]); counted.Dimension.takesPlace(value) {
			calls[value] += n
		}
	})
	if err != nil {
		return OpenValues{}, inValue(p.Grain, err)
	}
	counted.Values = ranked(calls)
	return counted, nil
}
