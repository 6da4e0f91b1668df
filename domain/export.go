package domain

import (
	"maps"
	"time"
)

// Calls returns the rows of full grain of a bucket, in order: what stored has,
// which are the bucket's values of that grain with all three columns, and what was
// added to the merge. Bytes of stored are not kept. Damaged ones are an error that
// names the grain.
func (m *Merge) Calls(b PackedBucket, stored []Packed) ([]RollupRow, error) {
	full := make(map[cellKey]*Rollup)
	for i := range stored {
		if stored[i].Grain == PackedGrain(GrainFull) {
			if err := m.readCalls(stored[i], full); err != nil {
				return nil, err
			}
		}
	}
	for key, r := range m.added.rollups {
		if key.isIn(b) {
			entry(full, key.at(PackedGrain(GrainFull))).Merge(r)
		}
	}
	rows := make([]RollupRow, 0, len(full))
	for _, key := range sortGroups(&m.names, PackedGrain(GrainFull), len(full), maps.Keys(full)) {
		rows = append(rows, RollupRow{b.Resolution, b.Start, m.names.group(key), *full[key]})
	}
	return rows, nil
}

// Errors is the same for error summaries of full grain, [FinestErrors].
func (m *Merge) Errors(b PackedBucket, stored []Packed) ([]ErrorRow, error) {
	full := make(errorCells)
	for i := range stored {
		if stored[i].Grain == FinestErrors {
			if err := m.readErrors(stored[i], full); err != nil {
				return nil, err
			}
		}
	}
	for key, f := range m.added.errors {
		if key.isIn(b) {
			if b.Resolution == Daily {
				f.first, f.last = key[axisHour], key[axisHour]
			}
			full.add(key.at(FinestErrors), f)
		}
	}
	rows := make([]ErrorRow, 0, len(full))
	for _, key := range sortGroups(&m.names, FinestErrors, len(full), maps.Keys(full)) {
		f, group := full[key], m.names.group(key)
		rows = append(rows, ErrorRow{ErrorKey{b.Resolution, b.Start, group, m.names.value(axisErrorType, key)}, ErrorSummary{
			Count:     f.count,
			FirstSeen: b.Start.Add(time.Duration(f.first) * time.Hour), LastSeen: b.Start.Add(time.Duration(f.last) * time.Hour),
			Tools: []string{group.Tool}, Versions: []string{group.Version},
		}})
	}
	return rows, nil
}

// isIn reports whether the bucket, of the day of the merge, has the hour.
func (k *cellKey) isIn(b PackedBucket) bool {
	return b.Resolution == Daily || int(k[axisHour]) == hourOf(b.Start)
}
