package domain

import (
	"fmt"
	"time"
)

// Disagreement judges every event of the body both ways, by hand and by ozzo,
// and says where they differ; empty when nowhere.
func (v *Validator) Disagreement(body []byte, now time.Time) string {
	judge := v.at(now)
	found := ""
	_, _ = newReader(body).batch(v.config.MaxBatchSize, func(index int, d *draft) {
		var e Event
		accepted, report := judge.accept(d, &e), judge.report(index, d)
		if accepted != (len(report) == 0) {
			found = fmt.Sprintf("event %d: accepted by hand: %t, reported: %v", index, accepted, report)
		}
	})
	return found
}

// ParseTimestamp and LongestName let tests look at the parts.
var ParseTimestamp = parseTimestamp

// FoldName folds a name as the policy does.
func FoldName(name string) string { return string(foldName(nil, []byte(name))) }
