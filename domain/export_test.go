package domain

import (
	"fmt"
	"regexp"
	"strings"
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

// PolicyPatterns lists the regular expressions of the policy on personal data,
// without the flag that they ignore case.
func PolicyPatterns() []string {
	patterns := []*regexp.Regexp{
		emailPattern, dottedPattern, joinedPattern, colonPattern, colonsPattern, hardwarePattern,
		decimalPattern, nearPattern, tightPattern, wholePattern, commaPattern, degreesPattern,
		anglesPattern, leadingPattern, compactPattern, plusCodePattern,
		phonePattern, callPattern, extensionPattern,
		percentPattern, escapePattern, bracketedPattern, spelledPattern, wordSignPattern,
	}
	texts := make([]string, len(patterns))
	for i, p := range patterns {
		texts[i] = strings.TrimPrefix(p.String(), "(?i)")
	}
	return texts
}

// Likenesses maps characters to the sign that they are taken for.
func Likenesses() map[rune]byte { return likenesses }
