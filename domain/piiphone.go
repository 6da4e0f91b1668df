package domain

import (
	"bytes"
	"strings"
)

// longestPhone is how long a number with spaces may be.
const longestPhone = 40

// announcers are the words that announce a telephone number.
var announcers = newWordSet("tel telephone phone mobile fax sms whatsapp")

// calls are the words that may be joined to a telephone number.
var calls = strings.Fields("tel phone mobile cell fax call sms whatsapp whatſapp")

// holdsPhone looks at runs of numbers with brackets and separators between: at
// a whole run, at each part of it between spaces, and from a part with + or (
// on, up to any other. Underscores are taken for words' ends and for dashes.
func (s *scan) holdsPhone() bool {
	if s.runDigits >= leastPhone && (s.holdsPhoneJoined(false) || s.gaps&charUnderscore != 0 && s.holdsPhoneJoined(true) ||
		s.gaps&charLetter != 0 && s.holdsAnnounced()) {
		return true
	}
	return s.seen.colons >= 2 && s.holdsColonPhone()
}

// goesOn reports whether a telephone number may go on with number i.
func (s *scan) goesOn(i int, underscores bool) bool {
	n := &s.numbers[i]
	return !n.other && (underscores || n.before&charUnderscore == 0)
}

// endOfRun is the last number of the run that number i is in.
func (s *scan) endOfRun(i int, underscores bool) int {
	for i+1 < len(s.numbers) && s.goesOn(i+1, underscores) {
		i++
	}
	return i
}

func (s *scan) holdsPhoneJoined(underscores bool) bool {
	for i := 0; i < len(s.numbers); {
		j := s.endOfRun(i, underscores)
		if s.digitsOf(i, j) >= leastPhone && s.runHoldsPhone(i, j) {
			return true
		}
		i = j + 1
	}
	return false
}

// leastPhone is how many digits a telephone number has at least, mostPhone at
// most.
const leastPhone, mostPhone = 7, 18

// openPhone finds where a candidate that begins with number i starts, and the
// sign that it starts with.
func (s *scan) openPhone(i int) (start int, sign byte) {
	start = s.numbers[i].start
	for s.at(start-1) == '(' {
		start--
		sign = '('
	}
	if s.at(start-1) == '+' {
		start--
		sign = '+'
	}
	return start, sign
}

// endOfPart finds the last number up to j before white space.
func (s *scan) endOfPart(i, j int) int {
	for i < j && s.numbers[i+1].before&charBlank == 0 {
		i++
	}
	return i
}

// runHoldsPhone looks at the candidates in a run of numbers.
func (s *scan) runHoldsPhone(i, j int) bool {
	if s.timesEnd(i) {
		if i++; i > j {
			return false
		}
	}
	if start, _ := s.openPhone(i); s.isPhone(i, j, start) {
		return true
	}
	for first := i; first <= j; {
		last := s.endOfPart(first, j)
		start, sign := s.openPhone(first)
		if s.isPhone(first, last, start) {
			return true
		}
		next := last + 1
		for ; sign != 0 && last < j; last = s.endOfPart(last+1, j) {
			if _, other := s.openPhone(last + 1); other == sign {
				break // another number opens
			}
			end := s.endOfPart(last+1, j)
			if s.numbers[end].end-start > longestPhone || s.digitsOf(first, end) > mostPhone {
				break
			}
			if s.isPhone(first, end, start) {
				return true
			}
		}
		first = next
	}
	return false
}

// timesEnd reports whether number i is the end of a time, minutes or seconds.
// Taken for the 00 before a country, it would make telephone numbers of dates.
func (s *scan) timesEnd(i int) bool {
	n := &s.numbers[i]
	return n.length() == 2 && n.value < 60 && s.at(n.start-1) == ':' && isDigit(s.at(n.start-2)) && s.at(n.end) != '('
}

// isPhone reports whether numbers i to j, which begin at start with their sign,
// are a telephone number and no part of a word or a UUID.
func (s *scan) isPhone(i, j, start int) bool {
	digits := s.digitsOf(i, j)
	return digits >= leastPhone && digits <= mostPhone && s.standsAsPhone(start, s.numbers[j].end) &&
		s.areGroups(i, j, start, digits) && !s.isOfUUID(start, s.numbers[j].end)
}

// areGroups judges numbers i to j as the groups of a telephone number. The lengths are those of ITU-T E.164: at most
// 15 digits.
func (s *scan) areGroups(i, j, start, digits int) bool {
	groups := s.numbers[i : j+1]
	switch {
	case s.text[start] == '+':
		return digits <= 15
	case isDialled(groups, digits):
		return true
	}
	trunk := len(groups) > 1 && groups[0].length() == 1 && (groups[0].value <= 1 || groups[0].value == 8)
	if trunk {
		groups = groups[1:]
	}
	if len(groups) == 1 {
		return digits >= 10 && digits <= 15 && (trunk || !s.isInstant(&groups[0]))
	}
	bracket := s.text[start] == '('
	dash := bytes.ContainsAny(s.text[start:s.numbers[j].end], "-_")
	return isLocal(groups, bracket, trunk || bracket || dash, s.at(groups[0].end) == '.')
}

func (s *scan) digitsOf(i, j int) int {
	last := &s.numbers[j]
	return last.digits + last.length() - s.numbers[i].digits
}

// standsAsPhone reports whether text[start:end] is no part of a longer word,
// but for words that announce a number and for extensions.
func (s *scan) standsAsPhone(start, end int) bool {
	if start > 0 && isWord(s.text[start-1]) && !s.isCalled(start) {
		return false
	}
	if end == len(s.text) || !isWord(s.text[end]) {
		return true
	}
	rest := s.text[end:]
	if len(rest) > 3 && bytes.EqualFold(rest[:3], []byte("ext")) {
		return isDigit(rest[3])
	}
	return len(rest) > 1 && rest[0]|0x20 == 'x' && isDigit(rest[1])
}

func (s *scan) isCalled(start int) bool {
	for _, call := range calls {
		if start >= len(call) && bytes.EqualFold(s.text[start-len(call):start], []byte(call)) {
			return true
		}
	}
	return false
}

// isInstant reports whether digits on end are a time: seconds or milliseconds
// since 1970 that begin with 1, as no telephone number of ten or thirteen
// digits does, or a date with hours, minutes and perhaps seconds.
func (s *scan) isInstant(n *figure) bool {
	digits := s.text[n.start:n.end]
	two := func(i int) int { return int(digits[i]-'0')*10 + int(digits[i+1]-'0') }
	switch len(digits) {
	case 10, 13:
		return digits[0] == '1'
	case 12, 14:
		return isDate(two(0)*100+two(2), two(4), two(6)) && two(8) < 24 && two(10) < 60 && (len(digits) == 12 || two(12) <= 60)
	default:
		return false
	}
}

// uuidForm has a dot for each hexadecimal digit of a UUID.
const uuidForm = "........-....-....-....-............"

// isOfUUID reports whether text[start:end] is parts of a UUID.
func (s *scan) isOfUUID(start, end int) bool {
	for i, c := range []byte(uuidForm) {
		if base := start - i; (i == 0 || uuidForm[i-1] == '-') && c == '.' && base >= 0 && end <= base+len(uuidForm) && s.isUUID(base) {
			return true
		}
	}
	return false
}

// isUUID reports whether a UUID begins there.
func (s *scan) isUUID(at int) bool {
	if at+len(uuidForm) > len(s.text) || at > 0 && isAlphanumeric(s.text[at-1]) || isAlphanumeric(s.at(at+len(uuidForm))) {
		return false
	}
	for i, c := range s.text[at : at+len(uuidForm)] {
		if uuidForm[i] == '-' && c != '-' && c != '_' || uuidForm[i] == '.' && hexDigit(c) < 0 {
			return false
		}
	}
	return true
}

// isDialled reports whether groups begin with what is dialled before an area or
// a country.
func isDialled(groups []figure, digits int) bool {
	if len(groups) < 2 || digits < 9 {
		return false
	}
	first, length := groups[0].value, groups[0].length()
	zeros := groups[0].zeros
	switch {
	case first == 11 && length == 3, first == 0 && length == 2 && groups[1].zeros == 0:
		return digits <= 18
	case length > 2 && zeros == 2 && digits > 12:
		for _, g := range groups[1:] {
			if g.zeros >= 2 {
				return false
			}
		}
		return digits <= 17
	default:
		return length >= 2 && zeros >= 1 && digits <= 12
	}
}

// isLocal reports whether groups are as in one of the countries that write them
// in a way of their own; some only count where brackets or dashes make clear
// that these are no numbers in a list.
func isLocal(groups []figure, bracket, isClear, dotted bool) bool {
	first := firstDigit(&groups[0])
	switch {
	case isGrouped(groups, 3, 3, 4), isGrouped(groups, 3, 7):
		return true
	case isGrouped(groups, 3, 3, 2, 2):
		return isClear
	case isGrouped(groups, 3, 4, 4):
		return groups[0].value >= 130 && groups[0].value <= 199
	case isGrouped(groups, 2, 5, 4):
		return bracket || firstDigit(&groups[1]) == 9
	case isGrouped(groups, 2, 4, 4):
		return bracket
	case isGrouped(groups, 2, 10):
		return groups[0].value == 91 && firstDigit(&groups[1]) >= 6
	case isGrouped(groups, 2, 4, 6):
		return groups[0].value == 44 && firstDigit(&groups[1]) == 7
	case isGrouped(groups, 5, 5):
		return first >= 6 && !dotted && (groups[0].value%100 != 0 || groups[1].value%100 != 0)
	case isGrouped(groups, 3, 2, 2, 2):
		return first >= 6
	default:
		return false
	}
}

func firstDigit(n *figure) int {
	if n.zeros > 0 {
		return 0
	}
	value := n.value
	for value >= 10 {
		value /= 10
	}
	return value
}

func isGrouped(groups []figure, lengths ...int) bool {
	if len(groups) != len(lengths) {
		return false
	}
	for i, g := range groups {
		if g.length() != lengths[i] {
			return false
		}
	}
	return true
}

// holdsAnnounced looks for a number of seven digits or more behind a word for
// telephones. Letters stand only before the first number of a run.
func (s *scan) holdsAnnounced() bool {
	for i := 0; i < len(s.numbers); {
		n, j := &s.numbers[i], s.endOfRun(i, true)
		digits := s.digitsOf(i, j)
		if n.letters() && digits >= 7 && digits <= 15 && !isWord(s.at(s.numbers[j].end)) && !s.isDay(i, j) &&
			isOneOf(s.wordBefore(n.start, 4, "_-:.= #(+"), announcers) {
			return true
		}
		i = j + 1
	}
	return false
}

// isDay reports whether numbers i to j are a date.
func (s *scan) isDay(i, j int) bool {
	a := s.numbers[i]
	switch {
	case i == j:
		return a.length() == 8 && isDate(a.value/10000, a.value/100%100, a.value%100)
	case j != i+2:
		return false
	default:
		b, c := s.numbers[i+1].value, s.numbers[j].value
		return isDate(a.value, b, c) || isDate(c, b, a.value) || isDate(c, a.value, b)
	}
}

// holdsColonPhone looks for three groups or more with single colons between.
func (s *scan) holdsColonPhone() bool {
	for i := 0; i+2 < len(s.numbers); {
		j := i
		for j+1 < len(s.numbers) && s.isPoint(j, ':') {
			j++
		}
		if j-i >= 2 && s.isColonPhone(i, j) {
			return true
		}
		i = j + 1
	}
	return false
}

func (s *scan) isColonPhone(i, j int) bool {
	groups, digits := s.numbers[i:j+1], s.digitsOf(i, j)
	start, _ := s.openPhone(i)
	if digits < 9 || digits > 15 || !s.standsAsPhone(start, s.numbers[j].end) {
		return false
	}
	if s.text[start] == '+' {
		return true
	}
	if groups[0].length() == 1 && (groups[0].value <= 1 || groups[0].value == 8) {
		groups = groups[1:]
	}
	return isGrouped(groups, 3, 3, 4) || isGrouped(groups, 3, 4, 4) || isGrouped(groups, 2, 5, 4) ||
		isGrouped(groups, 2, 2, 2, 2, 2) && groups[0].zeros == 1
}
