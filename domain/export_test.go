package domain

import (
	"fmt"
	"slices"
	"strconv"
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
		accepted := judge.accept(d, &e)
		judge.scanned, judge.disguised, judge.signs = 0, 0, 0 // only what a batch has much of differs
		listed, omitted := judge.report(index, d, MaxEventViolations)
		if accepted != (len(listed) == 0) || omitted < 0 || omitted > 0 && len(listed) < MaxEventViolations {
			found = fmt.Sprintf("event %d: accepted by hand: %t, reported: %v and %d more", index, accepted, listed, omitted)
			return
		}
		if d.notObject || d.personal != "" || d.overflow {
			return
		}
		if by, ozzo := judge.faults(d).count, judge.described(index, d); by != len(ozzo) {
			found = fmt.Sprintf("event %d: %d faults by hand, reported: %v", index, by, ozzo)
		} else if len(listed) > 0 && !slices.Equal(listed, ozzo[:len(listed)]) {
			found = fmt.Sprintf("event %d: listed %v, reported: %v", index, listed, ozzo)
		}
	})
	return found
}

// ReadBoth reads a body by the scanner of the common form, with the decoder for the
// rest, and by the decoder alone. It describes what each found; whole says that the
// scanner read all.
func ReadBoth(body []byte, maxEvents int) (scanned, decoded string, whole bool) {
	describe := func(read func(event func(int, *draft)) (int, error)) string {
		var found strings.Builder
		n, err := read(func(index int, d *draft) {
			fmt.Fprintf(&found, "%d: %s", index, strings.TrimLeft(string(d.text(d.json)), ", \t\r\n"))
			for f := range fieldCount {
				fmt.Fprintf(&found, " %d=%q", f, d.value(f))
			}
			for _, p := range d.parameters {
				fmt.Fprintf(&found, " %q:%q", d.text(p.name), d.text(p.value))
			}
			fmt.Fprintln(&found, d.parametersBytes, d.personal, d.personalIn, d.overflow, d.notObject)
		})
		if err != nil {
			return err.Error()
		}
		return found.String() + strconv.Itoa(n)
	}
	scanned = describe(func(event func(int, *draft)) (int, error) { return newReader(body).batch(maxEvents, event) })
	decoded = describe(func(event func(int, *draft)) (int, error) {
		r := newReader(body)
		if err := r.checkText(); err != nil {
			return 0, err
		}
		return r.any(maxEvents, event)
	})
	r := newReader(body)
	_, whole = r.common(maxEvents, func(int, *draft) {})
	return scanned, decoded, whole
}

// described lists all that the rules in ozzo say of an event, without knowing
// where the rules by hand found a fault.
func (j *judge) described(index int, d *draft) []Violation {
	j.scanned = 0
	r := &report{judge: j, index: index, draft: d}
	name, _ := r.value(d.value(fieldLevel)).(string)
	level, _ := ParseLevel(name)
	for f := range fieldCount {
		switch {
		case f > fieldErrorType && !level.includes(LevelStandard), f > fieldCountry && !level.includes(LevelDetailed):
		case f != fieldParameters:
			r.describe(place{field: f})
		default:
			r.describe(place{field: f})
			r.describe(place{field: f, part: partCount})
			if len(d.parameters) > MaxParameters {
				continue
			}
			r.describe(place{field: f, part: partBytes})
			for i := range d.parameters {
				r.describe(place{f, partName, i})
				r.describe(place{f, partValue, i})
			}
		}
	}
	return r.violations
}

// ParseTimestamp and LongestName let tests look at the parts.
var ParseTimestamp = parseTimestamp

// FoldName folds a name as the policy does.
func FoldName(name string) string { return string(foldName(nil, []byte(name))) }

// PolicyWords lists the words that the policy on personal data knows.
func PolicyWords() []string {
	all := slices.Clone(calls)
	for _, set := range []*wordSet{addressWords, buildWords, domains, providers, services, latitudeWords, longitudeWords, placeWords, announcers} {
		all = append(all, set.words...)
	}
	for _, words := range []string{
		ownerWords, whichWords, machineWords, formWords, idWords, otherWords, unmistakable, measuringBefore, measuringBehind,
	} {
		all = append(all, strings.Fields(words)...)
	}
	return all
}

// Likenesses maps characters to the sign that they are taken for.
func Likenesses() map[rune]byte { return likenesses }

// Decimal is what was read of a JSON number; its sizes go to 10¹².
type Decimal struct {
	Negative, Whole, Overflows bool
	Truncated, Rounded         int64
}

// ReadDecimal reads a JSON number.
func ReadDecimal(text string) Decimal {
	const most = 1_000_000_000_000
	d, _ := readDecimal([]byte(text))
	return Decimal{d.isNegative(), d.isWhole(), d.overflows(), d.truncated(most), d.rounded(most)}
}

// Bins are the bins of the sketch as packed values have them.
func (s *LatencySketch) Bins() []byte { return s.appendBins(nil) }

// ReadBins replaces the sketch by bins, and reports whether they are undamaged.
func (s *LatencySketch) ReadBins(bins []byte) bool { return s.readBins(bins) }

// DistinctOf returns a sketch that has these registers.
func DistinctOf(registers []uint8) *DistinctSketch { return &DistinctSketch{dense: registers} }

// ValidRegisters reports whether a packed value may have these registers.
func ValidRegisters(registers []uint8) bool { return validRegisters(registers) }
