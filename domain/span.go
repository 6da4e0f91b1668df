package domain

import (
	"cmp"
	"fmt"
	"time"
)

// Span is the stretch of time that a reader asks for: a [Period], or two
// bounds of which the second may be now; and the resolution, if one is asked
// for. The zero Span is invalid; use [ParseSpan].
//
// Bounds are kept as the hours that they touch, so that Window gives the same
// for all spans with the same String, at any time.
type Span struct {
	period     Period
	start, end time.Time
	// atMost is how long the bounds were apart before they became hours, as
	// far as it matters: MaxHourlyWindow, MaxHourlySeries, maxWindow or longer.
	atMost time.Duration
	// open says that there is no end but now.
	open bool
	// resolution is the one asked for; empty leaves it to the length.
	resolution Resolution
}

// ParseSpan reads either a period or a start, with an end or, if that is
// empty, up to now; and a resolution as [ParseResolution] does. Bounds are
// dates, which mean midnight in UTC, or RFC 3339 instants. Its error is of
// [CodeInvalid] and begins with the name of what to change: period, start, end
// or resolution.
func ParseSpan(period, start, end, resolution string) (Span, error) {
	s, err := parseSpan(period, start, end)
	if err != nil {
		return Span{}, err
	}
	if s.resolution, err = ParseResolution(resolution); err != nil {
		return Span{}, err
	}
	return s, nil
}

func parseSpan(period, start, end string) (Span, error) {
	switch {
	case start == "" && end == "":
		p, err := ParsePeriod(period)
		return Span{period: p}, err
	case period != "":
		return Span{}, invalid("period cannot stand beside start or end: give one or the other")
	case start == "":
		return Span{}, invalid("start is missing: end alone does not say where to begin")
	}
	s := Span{open: end == ""}
	var ok bool
	if s.start, ok = parseBound(start); !ok {
		return Span{}, invalid("start " + boundForm)
	}
	if s.end, ok = parseBound(end); !ok && !s.open {
		return Span{}, invalid("end " + boundForm)
	}
	if !s.open && !s.start.Before(s.end) {
		return Span{}, invalid("start must be before end")
	}
	s.atMost = lengthClass(s.end.Sub(s.start))
	s.start, s.end = Hourly.Floor(s.start), Hourly.ceil(s.end)
	return s, nil
}

func lengthClass(length time.Duration) time.Duration {
	switch {
	case length <= MaxHourlyWindow:
		return MaxHourlyWindow
	case length <= MaxHourlySeries:
		return MaxHourlySeries
	case length <= maxWindow:
		return maxWindow
	default:
		return maxWindow + 1
	}
}

const boundForm = "must be a date or an RFC 3339 instant, such as 2026-11-01 or 2026-11-01T06:00:00Z; " +
	"the + of an offset is written %2B in a query"

func parseBound(s string) (time.Time, bool) {
	if len(s) == len(time.DateOnly) {
		s += "T00:00:00Z"
	}
	return parseTimestamp([]byte(s))
}

// String is the same for spans that ask for the same, however they were
// written.
func (s Span) String() string {
	if s.resolution != "" {
		return s.stretch() + " by " + string(s.resolution)
	}
	return s.stretch()
}

// stretch is String without the resolution.
func (s Span) stretch() string {
	switch {
	case s.period.length > 0:
		return s.period.String()
	case s.open:
		return s.start.Format(time.RFC3339) + "/.."
	default:
		return fmt.Sprintf("%s/%s within %v", s.start.Format(time.RFC3339), s.end.Format(time.RFC3339), s.atMost)
	}
}

// maxWindow is the longest window that can be asked for by its bounds.
const maxWindow = maxPeriodDays * 24 * time.Hour

// Window returns what the span covers at now. Unless a resolution is asked for,
// it is read in hours or days by how long it is. start is floored to its bucket
// and end raised to the next bucket's start, but to none after the bucket of
// now.
//
// Up to now, the length is counted in whole hours, from that of start to that
// of now. Bounds that begin after the hour of now, are longer than 366 days or
// end before anything is kept are refused with [CodeInvalid] and a sentence
// that begins with start. So are hours that are asked for and longer than
// [MaxHourlySeries] or not kept from start on, with one that begins with
// resolution.
func (s Span) Window(now time.Time, kept Cutoffs) (Window, error) {
	w, length := s.window(now.UTC())
	switch from := kept.calls(w.Resolution); {
	case length < 0:
		return Window{}, invalid("start must lie in the past")
	case length > maxWindow:
		return Window{}, invalid(fmt.Sprintf("start lies too early: there can be %d days at most between start and end", maxPeriodDays))
	case s.resolution == Hourly && length > MaxHourlySeries:
		return Window{}, invalid(fmt.Sprintf("resolution=hour is for windows of up to %d hours: ask for a shorter one, or for resolution=day",
			MaxHourlySeries/time.Hour))
	case s.resolution == Hourly && w.Start.Before(from):
		return Window{}, invalid(fmt.Sprintf("resolution=hour is kept from %s on: begin there, or ask for resolution=day",
			from.Format(time.RFC3339)))
	case s.period.length == 0 && !w.End.After(from):
		return Window{}, invalid(fmt.Sprintf("start and end lie before everything that is kept: %s reach back to %s",
			bucketsRead(w.Resolution), from.Format(time.RFC3339)))
	}
	return w, nil
}

// window returns what the span covers at now, kept or not, and how long it is
// before its bounds are moved.
func (s Span) window(now time.Time) (w Window, length time.Duration) {
	if s.period.length > 0 {
		r := cmp.Or(s.resolution, resolutionFor(s.period.length))
		return s.period.window(now, r), s.period.length
	}
	past := !s.open && !s.end.After(now)
	length = s.atMost
	if !past {
		length = Hourly.Floor(now).Sub(s.start)
	}
	r := cmp.Or(s.resolution, resolutionFor(length))
	w = Window{Start: r.Floor(s.start), End: r.Floor(now).Add(r.Length()), Resolution: r}
	if past {
		w.End = r.ceil(s.end)
	}
	return w, length
}

// bucketsRead says why these buckets are read and no others.
func bucketsRead(r Resolution) string {
	if r == Daily {
		return "days"
	}
	return fmt.Sprintf("hours, in which windows of up to %d hours are counted,", MaxHourlyWindow/time.Hour)
}

func invalid(message string) error { return NewError(CodeInvalid, nil, message) }
