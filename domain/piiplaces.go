package domain

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// fraction is a number with a fractional part, or a whole one.
type fraction struct {
	// start is where it begins, sign and at most three digits before the point
	// included; end where it ends.
	start, end int
	whole      int
	decimals   int
	// zero says that the fractional part is 0.
	zero, signed bool
}

// fraction reads numbers i and i+1 as one.
func (s *scan) fraction(i int) fraction {
	whole, part := s.numbers[i], s.numbers[i+1]
	f := fraction{start: max(whole.start, whole.end-3), end: part.end, decimals: part.length(), zero: isZero(s.text[part.start:part.end])}
	f.readWhole(s, whole)
	return f
}

func (f *fraction) readWhole(s *scan, whole figure) {
	for _, c := range s.text[max(whole.start, whole.end-3):whole.end] {
		f.whole = f.whole*10 + int(c-'0')
	}
	if whole.length() <= 3 && isSign(s.at(f.start-1)) {
		f.start--
		f.signed = true
	}
}

func isZero(digits []byte) bool { return len(bytes.TrimLeft(digits, "0")) == 0 }

func isSign(b byte) bool { return b == '-' || b == '+' }

// atMost reports whether the number without its sign is at most limit.
func (f *fraction) atMost(limit int) bool { return f.whole < limit || f.whole == limit && f.zero }

// inRange reports whether one of two is a latitude and the other a longitude.
func inRange(a, b *fraction) bool {
	return a.atMost(180) && b.atMost(180) && (a.atMost(90) || b.atMost(90))
}

func (s *scan) holdsCoordinates() bool {
	return s.holdsFractions() || s.holdsWhole() || s.holdsCommas() || s.holdsCleaned() || holdsHemispheres(s.text)
}

// isPoint reports whether only sign stands between numbers i and i+1.
func (s *scan) isPoint(i int, sign byte) bool {
	return i+1 < len(s.numbers) && s.numbers[i+1].start == s.numbers[i].end+1 && s.text[s.numbers[i].end] == sign
}

// holdsFractions looks at each two decimal fractions that follow each other.
func (s *scan) holdsFractions() bool {
	var before fraction
	for i := 0; i+1 < len(s.numbers); i++ {
		if !s.isPoint(i, '.') {
			continue
		}
		f := s.fraction(i)
		i++
		more := s.isPoint(i, '.') // a number with more than one dot is no fraction
		if before.end > 0 && !more && inRange(&before, &f) && s.areApart(&before, &f) {
			return true
		}
		before = f
	}
	return false
}

// areApart judges what stands between two fractions: the more decimals both
// have, the less it needs to look like a separator.
func (s *scan) areApart(a, b *fraction) bool {
	const short = 16
	between, decimals := s.text[a.end:b.start], min(a.decimals, b.decimals)
	switch {
	case len(between) == 0:
		return decimals >= 3 && b.signed
	case between[0] == '.':
		return len(between) == 1 && decimals >= 3 && b.signed
	case string(between) == "!4d": // what maps of Google write between them
		return true
	case decimals >= 3 && len(between) <= short && !hasDigit(between):
		return true
	case decimals >= 2 && len(between) == 1 && bytes.IndexByte([]byte(":/_|"), between[0]) >= 0:
		return true
	default:
		return isNear(between) || s.isLabelled(a.start, between)
	}
}

func hasDigit(text []byte) bool { return slices.ContainsFunc(text, isDigit) }

// isNear reports whether a text between two numbers is a comma, a semicolon or
// white space, perhaps with letters for hemispheres beside it and signs for
// degrees before.
func isNear(text []byte) bool {
	const longest = 24
	if len(text) > longest {
		return false
	}
	i, blank := 0, false // blank says that white space stands right before
	for i < len(text) {
		if size := degreeSign(text[i:]); size > 0 {
			i, blank = i+size, false
		} else if isBlank(text[i]) {
			i, blank = i+1, true
		} else {
			break
		}
	}
	first := i < len(text) && isHemisphere(text[i])
	if first {
		i++
	}
	rest := text[i:]
	trimmed := trimBlank(rest)
	blankBehind := len(trimmed) < len(rest)
	switch {
	case len(trimmed) > 0 && (trimmed[0] == ',' || trimmed[0] == ';'):
		trimmed = trimBlank(trimmed[1:])
		if len(trimmed) > 0 && isHemisphere(trimmed[0]) {
			trimmed = trimBlank(trimmed[1:])
		}
		return len(trimmed) == 0
	case len(trimmed) == 0:
		return blank || blankBehind
	case first && blankBehind && isHemisphere(trimmed[0]):
		return len(trimBlank(trimmed[1:])) == 0
	default:
		return false
	}
}

func trimBlank(text []byte) []byte {
	for len(text) > 0 && isBlank(text[0]) {
		text = text[1:]
	}
	return text
}

// degreeSign is the size of a sign for degrees with which text begins.
func degreeSign(text []byte) int {
	if len(text) >= 2 && text[0] == 0xc2 && (text[1] == 0xb0 || text[1] == 0xba) {
		return 2
	}
	return 0
}

func isHemisphere(b byte) bool { return bytes.IndexByte([]byte("NSEWnsew"), b) >= 0 }

// isLabelled reports whether the words before and between two numbers say that
// they are coordinates: one for each, or one for both before the first.
func (s *scan) isLabelled(start int, between []byte) bool {
	const longest = 24
	if len(between) == 0 || len(between) > longest || hasDigit(between) {
		return false
	}
	before := s.wordBefore(start, 4, `_-:.= "'([`)
	return isOneOf(before, latitudeWords) && holdsWord(between, longitudeWords) ||
		isOneOf(before, longitudeWords) && holdsWord(between, latitudeWords)
}

// holdsWord reports whether a run of letters in a short text is in a list.
func holdsWord(text []byte, list []string) bool {
	for i := 0; i < len(text); i++ {
		start := i
		for i < len(text) && isLetter(text[i]) {
			i++
		}
		if isOneOf(text[start:i], list) {
			return true
		}
	}
	return false
}

var (
	latitudeWords  = strings.Fields("lat latitude y")
	longitudeWords = strings.Fields("lon lng long longitude x")
	// placeWords announce a pair of coordinates.
	placeWords = strings.Fields(`lat latitude lon lng long longitude latlon latlng lonlat lnglat point points pt coord coords coordinate
coordinates geo gps location loc position pos place ll at`)
)

// holdsWhole looks for a fraction of three decimals and a whole number of at
// most three digits, in either order, with a comma between.
func (s *scan) holdsWhole() bool {
	for i := 0; i+2 < len(s.numbers); i++ {
		if s.isPoint(i, '.') && s.isWhole(i+2) {
			if f := s.fraction(i); f.decimals >= 3 && s.startsNumber(i, f.start) && s.pairs(&f, i+2, f.end, -1) {
				return true
			}
		}
		if s.isPoint(i+1, '.') && s.isWhole(i) {
			if f := s.fraction(i + 1); f.decimals >= 3 && s.numbers[i+1].length() <= 3 && s.pairs(&f, i, -1, f.start) {
				return true
			}
		}
	}
	return false
}

// startsNumber reports whether number i has at most three digits and no number
// or dot right before its sign.
func (s *scan) startsNumber(i, start int) bool {
	before := s.at(start - 1)
	return s.numbers[i].length() <= 3 && before != '.' && !isDigit(before)
}

// isWhole reports whether number i may be a whole number of degrees.
func (s *scan) isWhole(i int) bool {
	n := s.numbers[i]
	return n.length() <= 3 && s.at(n.end) != '.' && s.at(n.start-1) != '.'
}

// pairs reports whether whole number i makes a pair with a fraction, of which
// either the end or the start is given.
func (s *scan) pairs(f *fraction, i, end, start int) bool {
	whole := fraction{start: s.numbers[i].start, end: s.numbers[i].end, zero: true}
	whole.readWhole(s, s.numbers[i])
	if end < 0 {
		if !s.startsNumber(i, whole.start) {
			return false
		}
		end = whole.end
	} else {
		start = whole.start
	}
	between := s.text[end:start]
	comma := bytes.IndexByte(between, ',')
	return comma >= 0 && len(trimBlank(between[:comma])) == 0 && len(trimBlank(between[comma+1:])) == 0 && inRange(f, &whole)
}

// holdsCommas looks for two fractions with decimal commas.
func (s *scan) holdsCommas() bool {
	for i := 0; i+3 < len(s.numbers); i++ {
		if !s.isPoint(i, ',') || !s.isPoint(i+2, ',') || s.numbers[i].length() > 3 || s.numbers[i+2].length() > 3 {
			continue
		}
		a, b := s.fraction(i), s.fraction(i+2)
		decimals := min(a.decimals, b.decimals)
		thousands := a.decimals == 3 && b.decimals == 3 && !a.signed && !b.signed
		if decimals >= 2 && !thousands && isCommaGap(s.text[a.end:b.start]) && inRange(&a, &b) {
			return true
		}
	}
	return false
}

// isCommaGap reports whether a text separates numbers with decimal commas: a
// comma does with white space behind.
func isCommaGap(text []byte) bool {
	if len(text) == 0 {
		return false
	}
	rest := trimBlank(text[1:])
	switch text[0] {
	case ',':
		return len(text) > 1 && len(rest) == 0
	case ' ', '\t', '\n', '\f', '\r':
		return len(rest) == 0 || len(rest) == 1 && (rest[0] == ';' || rest[0] == '/')
	case ';', '/', '|', '_', ':':
		return len(rest) == 0
	default:
		return false
	}
}

// holdsCleaned looks for two fractions with another sign for the point, as in
// 40_7128_-74_0060.
func (s *scan) holdsCleaned() bool {
	for i := 0; i+3 < len(s.numbers); i++ {
		sign := s.at(s.numbers[i].end)
		if !isJoin(sign) || !s.isPoint(i, sign) || !s.isPoint(i+2, sign) || s.numbers[i].length() > 3 || s.numbers[i+2].length() > 3 {
			continue
		}
		a, b := s.fraction(i), s.fraction(i+2)
		if inRange(&a, &b) && s.areCleaned(&a, &b, i, sign) {
			return true
		}
	}
	return false
}

// areCleaned judges what stands around two fractions whose point is another
// sign, as numbers in lists have it as well.
func (s *scan) areCleaned(a, b *fraction, i int, sign byte) bool {
	between, decimals := s.text[s.numbers[i+1].end:s.numbers[i+2].start], min(a.decimals, b.decimals)
	if isYear(s.numbers[i+1]) && isYear(s.numbers[i+3]) || s.isPoint(i+3, sign) && sign == '.' {
		return false
	}
	if s.isLabelled(a.start, between) {
		return sign != '.'
	}
	if len(between) > 3 || len(bytes.Trim(between, `_-:.,;/| +`)) > 0 {
		return false
	}
	signed := len(between) > 1 && isSign(between[len(between)-1])
	announced := isOneOf(s.wordBefore(a.start, 4, `_-:.= "'([`), placeWords)
	switch {
	case sign == '.':
		return len(between) == 1 && decimals >= 4 && between[0] == '.'
	case signed || announced:
		return decimals >= 2
	default:
		return decimals >= 4
	}
}

func isYear(n figure) bool { return n.length() == 4 && n.value >= 1900 && n.value <= 2099 }

var degreesPattern = regexp.MustCompile(`[NS]\s*[0-9.]+\s*[°º].*[EW]\s*[0-9.]+\s*[°º]|[0-9]\s*[°º][\s0-9.'′’"″]*[NSns]\b.*[0-9]\s*[°º][\s0-9.'′’"″]*[EWew]\b`)

func holdsHemispheres(text []byte) bool {
	return bytes.Contains(text, []byte{0xc2}) && degreesPattern.Match(text)
}

// Degrees, minutes and seconds with hemispheres: apart from each other, or on
// end as pilots and sailors write them.
const (
	angle   = `[0-9]{1,3}(?:[\s:dm°º'′’-]+[0-9]{1,2}(?:\.[0-9]+)?){1,2}[\s'′’"″ms]*`
	compact = `(?:[0-9]{2})?(?:\.[0-9]+)?\s*`
)

var (
	anglesPattern  = regexp.MustCompile(`(?i)(?:^|[^0-9a-z.])` + angle + `[NS][\s,;/]*` + angle + `[EW](?:[^0-9a-z]|$)`)
	leadingPattern = regexp.MustCompile(`(?i)(?:^|[^a-z])[NS]\s*` + angle + `[\s,;/]*[EW]\s*` + angle)
	compactPattern = regexp.MustCompile(`(?i)(?:^|[^0-9a-z])[0-9]{4}` + compact + `[NS][\s,;/]*[0-9]{5}` + compact + `[EW](?:[^0-9a-z]|$)`)
)

func holdsDegrees(text []byte) bool {
	return anglesPattern.Match(text) || leadingPattern.Match(text) || compactPattern.Match(text)
}

// plusCodeDigits are those of a plus code.
const plusCodeDigits = "23456789CFGHJMPQRVWX"

// holdsPlusCode looks for a full plus code, which has a letter where a sum has
// none.
func holdsPlusCode(text []byte) bool {
	for i, c := range text {
		if c != '+' || i < 8 {
			continue
		}
		start, end := i-8, i+1
		for end < len(text) && end < i+4 && isPlusCodeDigit(text[end]) {
			end++
		}
		isCode := !slices.ContainsFunc(text[start:i], func(c byte) bool { return !isPlusCodeDigit(c) })
		alone := (start == 0 || !isAlphanumeric(text[start-1])) && (end == len(text) || !isAlphanumeric(text[end]))
		if isCode && alone && end-i > 2 && bytes.ContainsAny(text[start:i], plusCodeDigits[8:]) {
			return true
		}
	}
	return false
}

func isPlusCodeDigit(c byte) bool {
	return c < utf8.RuneSelf && bytes.IndexByte([]byte(plusCodeDigits), c) >= 0
}
