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

// MergeSteps is how many steps a merge has. Each writes some of the values of every
// bucket that changes, as [stepOf] says, so that a merge of a large day can be spread
// over as many transactions: a store notes in the rows of its journal how many steps
// have been taken, and a reader leaves out of a row what these steps have written.
const MergeSteps = stepWhole + 1

// The steps. The first pairParts write the parts of full grain, each with the part of
// the pairs with a country that is made of these. The steps from stepFullErrors on write
// a part of the error summaries at full grain. All else is made of full grain, and is
// written last.
const (
	stepFullErrors   = pairParts
	stepCoarseErrors = stepFullErrors + dayErrorsParts
	stepWhole        = stepCoarseErrors + 1
)

// stepOf is the step that writes a part of a grain, which has so many.
func stepOf(g PackedGrain, part, parts int) int {
	switch {
	case g == CoarseErrors:
		return stepCoarseErrors
	case g&GrainErrors != 0:
		return stepFullErrors + part
	case parts > 1:
		return part % pairParts
	default:
		return stepWhole
	}
}

// MergeAtOnce is how many bytes the stored [FinestGrains] of a day have at most that is
// merged in one transaction. Days of a million ordinary events have less.
const MergeAtOnce = 4 << 20

// NextMergeSteps returns up to which step the next transaction merges, when so many
// steps have been taken and the finest values of the day have bytes. What a transaction
// replaces stays on the disk until it ends, and what it writes may stay in memory, so a
// day that has more than atOnce is merged step by step.
func NextMergeSteps(taken int, bytes, atOnce int64) int {
	if bytes <= atOnce {
		return MergeSteps
	}
	return taken + 1
}

// Merge adds what is new of one UTC day to its packed aggregates. It is not safe for
// concurrent use.
type Merge struct {
	day     time.Time
	cutoffs Cutoffs
	// The steps from first up to and without end are taken.
	first, end int
	names      lexicon
	// added are the groups that are new, by the hour, as far as the steps write them.
	added cells
	// hours are those of all groups that are new.
	hours [24]bool
}

// NewMerge returns one for the day that begins at day. It leaves out what is due
// by cutoffs.
func NewMerge(day time.Time, c Cutoffs) *Merge {
	return &Merge{day: day.UTC(), cutoffs: c, end: MergeSteps, added: newCells()}
}

// Steps has the merge take only the steps from first up to and without end. It comes
// before all else.
func (m *Merge) Steps(first, end int) { m.first, m.end = first, end }

func (m *Merge) takes(step int) bool { return m.first <= step && step < m.end }

// Add takes the payload of a [JournalValue] of the day. Damaged bytes are an
// error, and leave the merge as it was.
func (m *Merge) Add(payload []byte) error {
	read, err := m.read(payload)
	if err == nil {
		m.add(read)
	}
	return err
}

// AddRest is Add for readers of full grain at a resolution: it leaves out what these
// values have since so many steps of the payload's merge were taken.
func (m *Merge) AddRest(r Resolution, payload []byte, steps int) error {
	read, err := m.read(payload)
	if err != nil {
		return err
	}
	isMerged := func(g PackedGrain, key cellKey) bool {
		parts := r.Parts(g)
		return stepOf(g, partOf(m.names.value(axisCountry, key), parts), parts) < steps
	}
	maps.DeleteFunc(read.rollups, func(key cellKey, _ *Rollup) bool { return isMerged(PackedGrain(GrainFull), key) })
	maps.DeleteFunc(read.errors, func(key cellKey, _ failures) bool { return isMerged(FinestErrors, key) })
	m.add(read)
	return nil
}

func (m *Merge) read(payload []byte) (cells, error) {
	calls, errs, err := openJournal(payload)
	if err != nil {
		return cells{}, err
	}
	read := newCells()
	if err := m.readCalls(calls, read.rollups); err != nil {
		return cells{}, err
	}
	return read, m.readErrors(errs, read.errors)
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
	full := m.countriesIn(func(country string) int { return partOf(country, pairParts) })
	for key, r := range read.rollups {
		m.hours[key[axisHour]] = true
		if full[key[axisCountry]] {
			entry(m.added.rollups, key).Merge(r)
		}
	}
	errs := m.countriesIn(func(country string) int { return stepFullErrors + partOf(country, dayErrorsParts) })
	for key, f := range read.errors {
		if errs[key[axisCountry]] || m.takes(stepFullErrors) { // which writes those of hours
			m.added.errors.add(key, f)
		}
	}
}

// countriesIn says of each country, by its number, whether its step is taken.
func (m *Merge) countriesIn(step func(country string) int) []bool {
	list := make([]bool, len(m.names.lists[axisCountry]))
	for number, country := range m.names.lists[axisCountry] {
		list[number] = m.takes(step(country))
	}
	return list
}

// Entries is how many groups and error types of an hour were added.
func (m *Merge) Entries() int { return m.added.len() }

// Buckets lists the buckets that change: hours in order and then the day.
func (m *Merge) Buckets() []PackedBucket {
	return slices.DeleteFunc(m.touched(), func(b PackedBucket) bool { return m.isDue(b, false) && m.isDue(b, true) })
}

// touched lists the buckets of all groups that were added.
func (m *Merge) touched() []PackedBucket {
	var buckets []PackedBucket
	for hour, has := range m.hours {
		if has {
			buckets = append(buckets, PackedBucket{Hourly, m.day.Add(time.Duration(hour) * time.Hour)})
		}
	}
	if len(buckets) > 0 {
		buckets = append(buckets, PackedBucket{Daily, m.day})
	}
	return buckets
}

// isDue reports whether the calls of a bucket, or its errors, are left out.
func (m *Merge) isDue(b PackedBucket, errs bool) bool {
	if errs {
		return b.Start.Before(m.cutoffs.errors(b.Resolution))
	}
	return b.Start.Before(m.cutoffs.calls(b.Resolution))
}

// LeftOut are the calls of a bucket, or its errors, that a merge leaves out as they are
// due.
type LeftOut struct {
	PackedBucket

	Errors bool
}

// LeftOut lists what the merge leaves out.
func (m *Merge) LeftOut() []LeftOut {
	var list []LeftOut
	for _, b := range m.touched() {
		for _, errs := range []bool{false, true} {
			if m.isDue(b, errs) {
				list = append(list, LeftOut{b, errs})
			}
		}
	}
	return list
}

// ReadPart returns the value of a part of a grain that is stored for the bucket of a
// merge, with all three columns, or one without counts where there is none.
type ReadPart func(g PackedGrain, part int) (Packed, error)

// Bucket gives write every value of a bucket that the steps of the merge write, given
// those of [FinestGrains] that are stored. They replace whatever stands there. Bytes of
// what read returns are not kept. Damaged ones are a [ValueError]; errors of read and
// write are returned as they are.
func (m *Merge) Bucket(b PackedBucket, read ReadPart, write func(Packed) error) error {
	w := mergeWriter{Merge: m, bucket: b, packing: packing{names: &m.names}, read: read, write: write}
	if !m.isDue(b, false) {
		if err := w.calls(); err != nil {
			return err
		}
	}
	if !m.isDue(b, true) {
		return w.errors()
	}
	return nil
}

// mergeWriter writes the values of a bucket.
type mergeWriter struct {
	*Merge

	bucket  PackedBucket
	packing packing
	read    ReadPart
	write   func(Packed) error
}

// put writes the part of a grain.
func (w *mergeWriter) put(p Packed, part int) error {
	p.PackedBucket, p.Part = w.bucket, part
	return w.write(p)
}

func (w *mergeWriter) putCalls(g PackedGrain, part int, groups map[cellKey]*Rollup) error {
	if len(groups) == 0 {
		return nil
	}
	return w.put(w.packing.calls(g, groups), part)
}

// calls goes part by part, so that the groups of one only are in memory at a
// time, beside those of grains without a country.
func (w *mergeWriter) calls() error {
	added := w.addedCalls()
	parts := len(added)
	// Grains that are not cut are complete when all parts have been added.
	whole := make(map[PackedGrain]map[cellKey]*Rollup)
	var cut []PackedGrain
	for _, g := range packedGrains(w.bucket.Resolution) {
		switch grain := PackedGrain(g); {
		case g == GrainFull:
		case w.bucket.Resolution.Parts(grain) > 1:
			cut = append(cut, grain)
		case w.takes(stepWhole):
			whole[grain] = make(map[cellKey]*Rollup)
		}
	}
	for pairPart := range pairParts {
		if !w.takes(pairPart) && len(whole) == 0 {
			continue
		}
		// A part of pairs is made of every pairParts-th part of full grain.
		pairs := make(map[PackedGrain]map[cellKey]*Rollup, len(cut))
		for _, g := range cut {
			pairs[g] = make(map[cellKey]*Rollup)
		}
		for part := pairPart; part < parts; part += pairParts {
			full, err := w.full(part, added[part])
			if err != nil {
				return err
			}
			if w.takes(pairPart) {
				if err := w.putCalls(PackedGrain(GrainFull), part, full); err != nil {
					return err
				}
				for g, groups := range pairs {
					coarsen(g, full, groups)
				}
			}
			addToWhole(full, whole)
		}
		for _, g := range cut {
			if err := w.putCalls(g, pairPart, pairs[g]); err != nil {
				return err
			}
		}
	}
	return w.putWhole(whole)
}

// full returns the groups of a part of full grain.
func (w *mergeWriter) full(part int, added []addedGroup) (map[cellKey]*Rollup, error) {
	stored, err := w.read(PackedGrain(GrainFull), part)
	if err != nil {
		return nil, err
	}
	full := make(map[cellKey]*Rollup)
	if stored.Counts != nil {
		if err := w.readCalls(stored, full); err != nil {
			return nil, err
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

func (w *mergeWriter) putWhole(whole map[PackedGrain]map[cellKey]*Rollup) error {
	for _, made := range wholeOf {
		if groups, has := whole[made.grain]; has {
			coarsen(made.grain, whole[made.finer], groups)
		}
	}
	for _, g := range slices.Sorted(maps.Keys(whole)) {
		if err := w.putCalls(g, 0, whole[g]); err != nil {
			return err
		}
	}
	return nil
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

// addedCalls lists what is added to the bucket, by its parts, without the hour.
func (w *mergeWriter) addedCalls() [][]addedGroup {
	parts := w.bucket.Resolution.Parts(PackedGrain(GrainFull))
	partOfCountry := w.partsOfCountries(parts)
	added := make([][]addedGroup, parts)
	for key, r := range w.added.rollups {
		if key.isIn(w.bucket) {
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

func (w *mergeWriter) errors() error {
	added := w.addedErrors()
	coarse := make(errorCells)
	for part := range added {
		if !w.takes(stepFullErrors+part) && !w.takes(stepCoarseErrors) {
			continue
		}
		full, err := w.fullErrors(part, added[part])
		if err != nil {
			return err
		}
		if len(full) > 0 && w.takes(stepFullErrors+part) {
			if err := w.put(w.packing.errors(FinestErrors, full), part); err != nil {
				return err
			}
		}
		if w.takes(stepCoarseErrors) {
			for key, f := range full {
				coarse.add(key.at(CoarseErrors), f)
			}
		}
	}
	if len(coarse) == 0 {
		return nil
	}
	return w.put(w.packing.errors(CoarseErrors, coarse), 0)
}

// addedErrors lists the error summaries that are added to the bucket, by their parts.
func (w *mergeWriter) addedErrors() [][]cellKey {
	parts := w.bucket.Resolution.Parts(FinestErrors)
	partOfCountry := w.partsOfCountries(parts)
	added := make([][]cellKey, parts)
	for key := range w.added.errors {
		part := partOfCountry[key[axisCountry]]
		if key.isIn(w.bucket) && w.takes(stepFullErrors+part) {
			added[part] = append(added[part], key)
		}
	}
	return added
}

// fullErrors returns a part of the error summaries at full grain.
func (w *mergeWriter) fullErrors(part int, added []cellKey) (errorCells, error) {
	stored, err := w.read(FinestErrors, part)
	if err != nil {
		return nil, err
	}
	full := make(errorCells)
	if stored.Counts != nil {
		if err := w.readErrors(stored, full); err != nil {
			return nil, err
		}
	}
	for _, key := range added {
		f := w.added.errors[key]
		if w.bucket.Resolution == Daily {
			f.first, f.last = key[axisHour], key[axisHour]
		}
		full.add(key.at(FinestErrors), f)
	}
	return full, nil
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

// ValueError says that a packed value cannot be read.
type ValueError struct {
	grain PackedGrain
	err   error
}

func inValue(g PackedGrain, err error) error { return &ValueError{g &^ grainHours, err} }

// Error names the grain of the value.
func (e *ValueError) Error() string {
	return fmt.Sprintf("the packed value of grain %d cannot be read: %v", e.grain, e.err)
}

// Unwrap returns what is wrong with the value.
func (e *ValueError) Unwrap() error { return e.err }

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
			err = v.eachCounter(nil, visit)
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
	found := roomFor(&v.room.failures, v.groups)
	hours := true
	for counter := range errorCounters {
		err := v.eachCounter(nil, func(i int, n int64) {
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
// each value of the open dimensions, as [TakeCensus] does, without those that
// [CountPacked] counts since so many steps of its merge were taken.
func CountJournal(day time.Time, payload []byte, steps int) ([]OpenValues, error) {
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
		isMerged := values.Dimension == OpenErrorType && stepCoarseErrors < steps
		if len(values.Values) > 0 && !isMerged {
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
	err = v.eachCounter(nil, func(i int, n int64) {
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
