package domain

import "time"

// finestTime is how fine a client may tell the time: zones are whole quarters
// of an hour from UTC, so an hour rounded in local time is one of these.
const finestTime = 15 * time.Minute

func isQuarterHour(t time.Time) bool {
	return t.Nanosecond() == 0 && t.Unix()%int64(finestTime/time.Second) == 0
}

// parseTimestamp reads the date-time of RFC 3339, section 5.6, to the letter;
// [time.Parse] lets other forms pass. A leap second reads as the second after.
func parseTimestamp(s []byte) (time.Time, bool) {
	const shortest = len("2006-01-02T15:04:05Z")
	if len(s) < shortest || s[4] != '-' || s[7] != '-' || s[10]|0x20 != 't' || s[13] != ':' || s[16] != ':' {
		return time.Time{}, false
	}
	year, month, day := number(s[0:4]), number(s[5:7]), number(s[8:10])
	hour, minute, second := number(s[11:13]), number(s[14:16]), number(s[17:19])
	if year < 0 || month < 1 || month > 12 || day < 1 || !isClock(hour, minute) || second < 0 || second > 60 {
		return time.Time{}, false
	}
	nanosecond, rest, ok := parseFraction(s[19:])
	if !ok {
		return time.Time{}, false
	}
	offset, ok := parseOffset(rest)
	if !ok {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if t.Day() != day { // the 31st of a shorter month
		return time.Time{}, false
	}
	clock := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute +
		time.Duration(second)*time.Second + time.Duration(nanosecond)
	return t.Add(clock - offset), true
}

// parseFraction reads an optional fraction of a second. Digits beyond
// nanoseconds are rounded up to the next, so that none is lost.
func parseFraction(s []byte) (nanosecond int, rest []byte, ok bool) {
	if len(s) == 0 || s[0] != '.' {
		return 0, s, true
	}
	s = s[1:]
	digits, more := 0, 0
	for digits < len(s) && s[digits] >= '0' && s[digits] <= '9' {
		switch {
		case digits < 9:
			nanosecond = nanosecond*10 + int(s[digits]-'0')
		case s[digits] != '0':
			more = 1
		}
		digits++
	}
	for i := digits; i < 9; i++ {
		nanosecond *= 10
	}
	return nanosecond + more, s[digits:], digits > 0
}

func parseOffset(s []byte) (time.Duration, bool) {
	if len(s) == 1 && s[0]|0x20 == 'z' {
		return 0, true
	}
	if len(s) != len("+00:00") || s[0] != '+' && s[0] != '-' || s[3] != ':' {
		return 0, false
	}
	hour, minute := number(s[1:3]), number(s[4:6])
	offset := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute
	if s[0] == '-' {
		offset = -offset
	}
	return offset, isClock(hour, minute)
}

func isClock(hour, minute int) bool {
	return hour >= 0 && hour <= 23 && minute >= 0 && minute <= 59
}

// number reads digits only; anything else is -1.
func number(digits []byte) int {
	n := 0
	for _, c := range digits {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}
