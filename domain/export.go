package domain

import (
	"maps"
	"time"
)

// Calls returns the rows of full grain of a bucket, in order: what is stored, and what
// was added to the merge, which takes all steps. Errors are those of [Merge.Bucket].
func (m *Merge) Calls(b PackedBucket, read ReadPart) ([]RollupRow, error) {
	w := mergeWriter{Merge: m, bucket: b, read: read}
	full := make(map[cellKey]*Rollup)
	for part, added := range w.addedCalls() {
		groups, err := w.full(part, added)
		if err != nil {
			return nil, err
		}
		maps.Copy(full, groups)
	}
	rows := make([]RollupRow, 0, len(full))
	for _, key := range sortGroups(&m.names, PackedGrain(GrainFull), len(full), maps.Keys(full)) {
		rows = append(rows, RollupRow{b.Resolution, b.Start, m.names.group(key), *full[key]})
	}
	return rows, nil
}

// Errors is the same for error summaries of full grain, [FinestErrors].
func (m *Merge) Errors(b PackedBucket, read ReadPart) ([]ErrorRow, error) {
	w := mergeWriter{Merge: m, bucket: b, read: read}
	full := make(errorCells)
	for part, added := range w.addedErrors() {
		groups, err := w.fullErrors(part, added)
		if err != nil {
			return nil, err
		}
		maps.Copy(full, groups)
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
