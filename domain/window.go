package domain

import (
	"fmt"
	"strconv"
	"time"
)

// Resolution is the length of the time buckets in which aggregates are kept.
type Resolution string

// The resolutions, finest first.
const (
	Hourly Resolution = "hour"
	Daily  Resolution = "day"
)

// Resolutions lists the resolutions, finest first.
func Resolutions() []Resolution { return []Resolution{Hourly, Daily} }

// Length is the length of a bucket.
func (r Resolution) Length() time.Duration {
	if r == Daily {
		return 24 * time.Hour
	}
	return time.Hour
}

// Floor returns the start of the UTC bucket that holds t.
func (r Resolution) Floor(t time.Time) time.Time { return t.UTC().Truncate(r.Length()) }

// ceil returns the first bucket start that is not before t.
func (r Resolution) ceil(t time.Time) time.Time {
	floor := r.Floor(t)
	if floor.Equal(t) {
		return floor
	}
	return floor.Add(r.Length())
}

// ParseResolution reads a resolution; empty leaves the choice to the length of
// the window.
func ParseResolution(s string) (Resolution, error) {
	switch r := Resolution(s); r {
	case "", Hourly, Daily:
		return r, nil
	default:
		return "", invalid("resolution must be hour or day; without it, windows of up to 168 hours come in hours and longer ones in days")
	}
}

// MaxHourlyWindow is the longest window that is read from hourly buckets unless
// they are asked for.
const MaxHourlyWindow = 168 * time.Hour

// MaxHourlySeries is the longest window that is read from hourly buckets when
// they are asked for: 15 days, so that no answer reads or holds more buckets
// than one of a year in days.
const MaxHourlySeries = 360 * time.Hour

// The bounds of a period.
const (
	maxPeriodHours = 720
	maxPeriodDays  = 366 // a leap year
)

// Period is a length of time ending now, as a client asks for it: 1h to 720h
// or 1d to 366d. The zero Period is invalid; use [ParsePeriod].
type Period struct {
	text   string
	length time.Duration
}

// ParsePeriod reads a period. Its error says which forms there are.
func ParsePeriod(s string) (Period, error) {
	if len(s) >= 2 && len(s) <= 4 && s[0] >= '1' && s[0] <= '9' {
		n, err := strconv.Atoi(s[:len(s)-1])
		switch unit := s[len(s)-1]; {
		case err != nil:
		case unit == 'h' && n <= maxPeriodHours:
			return Period{text: s, length: time.Duration(n) * time.Hour}, nil
		case unit == 'd' && n <= maxPeriodDays:
			return Period{text: s, length: time.Duration(n) * 24 * time.Hour}, nil
		}
	}
	return Period{}, NewError(CodeInvalid, nil, fmt.Sprintf(
		"period must be 1h to %dh or 1d to %dd, such as 24h or 30d", maxPeriodHours, maxPeriodDays))
}

// String returns the period as it was asked for.
func (p Period) String() string { return p.text }

// Length is how long the period is.
func (p Period) Length() time.Duration { return p.length }

// Window is the half-open range of time [Start, End) that an answer counts,
// aligned to the buckets of its resolution.
type Window struct {
	Start, End time.Time
	Resolution Resolution
	// Period is the period asked for, or empty when bounds were asked for.
	Period string
}

// Window returns what the period covers at now: from the bucket in which it
// begins up to and including the bucket of now. Periods up to
// [MaxHourlyWindow] are read in hours, longer ones in days.
func (p Period) Window(now time.Time) Window { return p.window(now, resolutionFor(p.length)) }

func (p Period) window(now time.Time, r Resolution) Window {
	return Window{
		Start:      r.Floor(now.Add(-p.length)),
		End:        r.Floor(now).Add(r.Length()),
		Resolution: r,
		Period:     p.text,
	}
}

func resolutionFor(length time.Duration) Resolution {
	if length <= MaxHourlyWindow {
		return Hourly
	}
	return Daily
}

// Buckets returns the start of every bucket, ascending.
func (w Window) Buckets() []time.Time {
	n := int(w.End.Sub(w.Start) / w.Resolution.Length())
	buckets := make([]time.Time, n)
	for i := range buckets {
		buckets[i] = w.Start.Add(time.Duration(i) * w.Resolution.Length())
	}
	return buckets
}

// Days returns the whole UTC days that the window touches.
func (w Window) Days() Window {
	return Window{Start: Daily.Floor(w.Start), End: Daily.ceil(w.End), Resolution: Daily}
}

// Contains reports whether t lies in the window.
func (w Window) Contains(t time.Time) bool { return !t.Before(w.Start) && t.Before(w.End) }
