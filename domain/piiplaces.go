package domain

import (
	"bytes"
	"slices"
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
	whole, part := &s.numbers[i], &s.numbers[i+1]
	f := fraction{start: max(whole.start, whole.end-3), end: part.end, decimals: part.length(), zero: part.zeros == part.length()}
	f.readWhole(s, whole)
	return f
}

func (f *fraction) readWhole(s *scan, whole *figure) {
	f.whole = whole.value
	if whole.length() > 3 {
		f.whole = 0
		for _, c := range s.text[whole.end-3 : whole.end] {
			f.whole = f.whole*10 + int(c-'0')
		}
	}
	if whole.length() <= 3 && f.start > 0 && isSign(s.at(f.start-1)) {
		f.start--
		f.signed = true
	}
}

func isSign(b byte) bool { return b == '-' || b == '+' }

// atMost reports whether the number without its sign is at most limit.
func (f *fraction) atMost(limit int) bool { return f.whole < limit || f.whole == limit && f.zero }

// inRange reports whether one of two is a latitude and the other a longitude.
// Where both are below 1 there is nothing but sea.
func inRange(a, b *fraction) bool {
	return (a.whole > 0 || b.whole > 0) && a.atMost(180) && b.atMost(180) && (a.atMost(90) || b.atMost(90))
}

func (s *scan) holdsCoordinates() bool {
	return s.points > 1 && s.holdsFractions() || s.points > 0 && s.gaps&charComma != 0 && s.holdsWhole() ||
		s.commas > 1 && s.long > 1 && s.holdsCommas() || s.joins > 1 && s.holdsCleaned() || s.gaps&charLabel != 0 && s.holdsNamed() || s.seen.has(charWide) && holdsHemispheres(s.text)
}

// isPoint reports whether only sign stands between numbers i and i+1.
func (s *scan) isPoint(i int, sign byte) bool { return i < len(s.numbers) && s.numbers[i].gap == sign }

// holdsFractions looks at each two decimal fractions that follow each other.
func (s *scan) holdsFractions() bool {
	before := -1
	for i := 0; i+1 < len(s.numbers); i++ {
		if !s.isPoint(i, '.') {
			continue
		}
		// What begins with a dot parts no fractions, and a number with more
		// than one dot is none.
		if before >= 0 && s.numbers[i-1].gap != '.' && !s.isPoint(i+1, '.') {
			if s.mayBeApart(before, i) {
				a, b := s.fraction(before), s.fraction(i)
				if inRange(&a, &b) && s.areApart(&a, &b, before) {
					return true
				}
			}
		}
		before = i
		i++
	}
	return false
}

// mayBeApart decides cheaply whether areApart is worth a look, for the fractions
// that begin with numbers i and j.
func (s *scan) mayBeApart(i, j int) bool {
	decimals := min(s.numbers[i+1].length(), s.numbers[j+1].length())
	first, size := s.text[s.numbers[i+1].end], s.numbers[j].start-s.numbers[i+1].end
	if size == 1 && decimals < 3 && s.isAmidList(i, first) && (decimals < 2 || i >= 2 && s.isPoint(i-2, '.')) {
		return false
	}
	return decimals >= 3 || decimals == 2 && size <= 2 || s.mayBeLabelled(i, j) ||
		isA(first, charComma|charBlank|charNorth|charEast) || first == ';' || first == '!' || first == degreeStart
}

// isAmidList reports whether number i follows another behind the one separator, so
// that it has no sign and no word before it.
func (s *scan) isAmidList(i int, separator byte) bool {
	start := s.numbers[i].start
	return (separator == ';' || isA(separator, charComma|charBlank)) && s.numbers[i].length() <= 3 &&
		start >= 2 && s.text[start-1] == separator && isDigit(s.text[start-2])
}

// mayBeLabelled decides cheaply whether isLabelled is worth a look, for what stands
// before numbers i and j.
func (s *scan) mayBeLabelled(i, j int) bool {
	return s.numbers[i].before&s.numbers[j].before&charLabel != 0 && s.numbers[j].start-s.numbers[j-1].end >= shortestLabel
}

// areApart judges what stands between two fractions: the more decimals both
// have, the less it needs to look like a separator. The first begins with number
// i.
func (s *scan) areApart(a, b *fraction, i int) bool {
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
	case decimals >= 2 && len(between) == 1 && isLikely(a, b) && bytes.IndexByte([]byte(":/_|"), between[0]) >= 0:
		return true
	default:
		return isNear(between) && s.areDegrees(a, b, i) || s.isLabelled(a.start, between)
	}
}

// isLikely reports whether two fractions alone may be coordinates: three
// decimals or a sign say so, and two decimals when neither is below 1.
func isLikely(a, b *fraction) bool {
	decimals := min(a.decimals, b.decimals)
	return decimals >= 3 || a.signed || b.signed || decimals == 2 && a.whole > 0 && b.whole > 0
}

// areDegrees judges two fractions that are near each other, as numbers in lists
// are as well. The first begins with number i.
func (s *scan) areDegrees(a, b *fraction, i int) bool {
	between := s.text[a.end:b.start]
	switch {
	case len(bytes.Trim(between, ",; \t\n\f\r")) > 0: // degrees or hemispheres
		return true
	case isOneOf(s.wordBefore(a.start, 4, `_-:.= "'([`), placeWords):
		return true
	case s.isOfList(i, between):
		return min(a.decimals, b.decimals) >= 2 && (a.signed || b.signed)
	default:
		return isLikely(a, b)
	}
}

// isOfList reports whether the fraction that begins with number i and the next
// one have a third beside them, which what is between the two separates.
func (s *scan) isOfList(i int, between []byte) bool {
	return i >= 2 && s.isPoint(i-2, '.') && s.isSeparated(i-1, between) ||
		i+5 < len(s.numbers) && s.isPoint(i+4, '.') && s.isSeparated(i+3, between)
}

// isSeparated reports whether a separator, and perhaps a sign, stands between
// number i and the next.
func (s *scan) isSeparated(i int, separator []byte) bool {
	rest, separated := bytes.CutPrefix(s.gap(i), separator)
	return separated && (len(rest) == 0 || len(rest) == 1 && isSign(rest[0]))
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

// degreeStart is the first byte of a sign for degrees.
const degreeStart = 0xc2

// degreeSign is the size of a sign for degrees with which text begins.
func degreeSign(text []byte) int {
	if len(text) >= 2 && text[0] == degreeStart && (text[1] == 0xb0 || text[1] == 0xba) {
		return 2
	}
	return 0
}

func isHemisphere(b byte) bool { return bytes.IndexByte([]byte("NSEWnsew"), b) >= 0 }

// shortestLabel is the length of the shortest text with a label between two
// numbers.
const shortestLabel = len("&x=")

// isLabelled reports whether the words before and between two numbers say that
// they are coordinates: one for each, or one for both before the first.
func (s *scan) isLabelled(start int, between []byte) bool {
	const longest, shortest = 24, shortestLabel
	if len(between) < shortest || len(between) > longest || hasDigit(between) {
		return false
	}
	before := s.wordBefore(start, 4, `_-:.= "'([`)
	return isOneOf(before, latitudeWords) && holdsWord(between, longitudeWords) ||
		isOneOf(before, longitudeWords) && holdsWord(between, latitudeWords)
}

// holdsWord reports whether a run of letters in a short text is in a list.
func holdsWord(text []byte, list *wordSet) bool {
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
	latitudeWords  = newWordSet("lat latitude y")
	longitudeWords = newWordSet("lon lng long longitude x")
	// placeWords announce a pair of coordinates.
	placeWords = newWordSet(`lat latitude lon lng long longitude latlon latlng lonlat lnglat point points pt coord coords coordinate
coordinates geo gps location loc position pos place ll at`)
)

// namedLatitude and namedLongitude are the labels of whole degrees: x and y are
// those of anything.
var (
	namedLatitude  = newWordSet("lat latitude")
	namedLongitude = newWordSet("lon lng long longitude")
)

// holdsNamed looks for two numbers, of which one at least is whole, with labels.
func (s *scan) holdsNamed() bool {
	for i := 0; i+1 < len(s.numbers); i++ {
		j, isFraction := i+1, s.isPoint(i, '.')
		if isFraction {
			j++
		}
		if j == len(s.numbers) || isFraction && s.isPoint(j, '.') || !s.mayBeLabelled(i, j) || s.numbers[i].length() > 3 || s.numbers[j].length() > 3 {
			continue
		}
		a, b := s.degrees(i), s.degrees(j)
		between := s.text[a.end:b.start]
		if len(between) > 24 || hasDigit(between) || !inRange(&a, &b) {
			continue
		}
		before := s.wordBefore(a.start, 4, `_-:.= "'([`)
		if isOneOf(before, namedLatitude) && holdsWord(between, namedLongitude) || isOneOf(before, namedLongitude) && holdsWord(between, namedLatitude) {
			return true
		}
	}
	return false
}

// degrees reads number i, and the next one if a dot joins that, as one.
func (s *scan) degrees(i int) fraction {
	if s.isPoint(i, '.') {
		return s.fraction(i)
	}
	n := &s.numbers[i]
	whole := fraction{start: n.start, end: n.end, zero: true}
	whole.readWhole(s, n)
	return whole
}

// holdsWhole looks for a fraction of three decimals and a whole number of at
// most three digits, in either order, with a comma between.
func (s *scan) holdsWhole() bool {
	for i := 0; i+2 < len(s.numbers); i++ {
		if s.isPoint(i, '.') && s.numbers[i+1].length() >= 3 && s.isWhole(i+2) {
			if f := s.fraction(i); s.startsNumber(i, f.start) && s.pairs(&f, i+2, f.end, -1) {
				return true
			}
		}
		if s.isPoint(i+1, '.') && s.numbers[i+2].length() >= 3 && s.isWhole(i) {
			if f := s.fraction(i + 1); s.numbers[i+1].length() <= 3 && s.pairs(&f, i, -1, f.start) {
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
	n := &s.numbers[i]
	return n.length() <= 3 && s.at(n.end) != '.' && s.at(n.start-1) != '.'
}

// pairs reports whether whole number i makes a pair with a fraction, of which
// either the end or the start is given.
func (s *scan) pairs(f *fraction, i, end, start int) bool {
	whole := fraction{start: s.numbers[i].start, end: s.numbers[i].end, zero: true}
	whole.readWhole(s, &s.numbers[i])
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
		if decimals >= 2 && !thousands && isLikely(&a, &b) && isCommaGap(s.text[a.end:b.start]) && inRange(&a, &b) {
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
		sign := s.numbers[i].gap
		if sign != s.numbers[i+2].gap || !isJoin(sign) || s.numbers[i].length() > 3 || s.numbers[i+2].length() > 3 {
			continue
		}
		if !s.mayBeCleaned(i, sign) {
			continue
		}
		a, b := s.fraction(i), s.fraction(i+2)
		if inRange(&a, &b) && s.areCleaned(&a, &b, i, sign) {
			return true
		}
	}
	return false
}

// mayBeCleaned decides cheaply whether areCleaned is worth a look.
func (s *scan) mayBeCleaned(i int, sign byte) bool {
	decimals := min(s.numbers[i+1].length(), s.numbers[i+3].length())
	switch between := s.numbers[i+1].gap; {
	case sign == '.':
		return between == '.' && decimals >= 4
	case s.numbers[i+2].letters(): // labels
		return s.mayBeLabelled(i, i+2)
	case between == 0 || s.numbers[i].letters(): // a sign, or a word before
		return decimals >= 2
	default:
		return decimals >= 4
	}
}

// areCleaned judges what stands around two fractions whose point is another
// sign, as numbers in lists have it as well.
func (s *scan) areCleaned(a, b *fraction, i int, sign byte) bool {
	between, decimals := s.text[s.numbers[i+1].end:s.numbers[i+2].start], min(a.decimals, b.decimals)
	if isYear(&s.numbers[i+1]) && isYear(&s.numbers[i+3]) || s.isPoint(i+3, sign) && sign == '.' {
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

func isYear(n *figure) bool { return n.length() == 4 && n.value >= 1900 && n.value <= 2099 }

// holdsHemispheres looks for two numbers of degrees with letters for the
// hemispheres before both of them, or behind both, on one line.
func holdsHemispheres(text []byte) bool {
	before, behind := -1, -1 // the ends of the last northern ones
	for i := 0; i+1 < len(text); i++ {
		next := bytes.IndexByte(text[i:], degreeStart)
		if next < 0 {
			return false
		}
		if i += next; degreeSign(text[i:]) == 0 {
			continue
		}
		number := backBlank(text, i)
		start := number
		for start > 0 && (isDigit(text[start-1]) || text[start-1] == '.') {
			start--
		}
		if at := backBlank(text, start) - 1; at >= 0 && start < number {
			if before >= 0 && isEast(text[at]) && isUpper(text[at]) && isLine(text[before:at]) {
				return true
			}
			if isNorth(text[at]) && isUpper(text[at]) {
				before = i + 2
			}
		}
		if number == 0 || !isDigit(text[number-1]) {
			continue
		}
		at := i + 2
		for at < len(text) && minuteMark(text[at:]) > 0 {
			at += minuteMark(text[at:])
		}
		if at == len(text) || at+1 < len(text) && isAlphanumeric(text[at+1]) {
			continue
		}
		if behind >= 0 && isEast(text[at]) && isLine(text[behind:number-1]) {
			return true
		}
		if isNorth(text[at]) {
			behind = at + 1
		}
	}
	return false
}

// minuteMark is the size of a character of minutes and seconds with which text
// begins: a digit, a dot, a blank or one of their marks.
func minuteMark(text []byte) int {
	if isDigit(text[0]) || text[0] == '.' {
		return 1
	}
	return markSize(text)
}

// markSize is the size of a blank or a mark of minutes or seconds.
func markSize(text []byte) int {
	switch {
	case isBlank(text[0]) || text[0] == '\'' || text[0] == '"':
		return 1
	case len(text) >= 3 && text[0] == 0xe2 && text[1] == 0x80 && (text[2] == 0xb2 || text[2] == 0xb3 || text[2] == 0x99 || text[2] == 0x9d):
		return 3 // ′ ″ ’ ”
	default:
		return 0
	}
}

func backBlank(text []byte, end int) int {
	for end > 0 && isBlank(text[end-1]) {
		end--
	}
	return end
}

func isLine(text []byte) bool { return bytes.IndexByte(text, '\n') < 0 }

func isUpper(b byte) bool { return b >= 'A' && b <= 'Z' }

func isNorth(b byte) bool { return b|0x20 == 'n' || b|0x20 == 's' }

func isEast(b byte) bool { return b|0x20 == 'e' || b|0x20 == 'w' }

// holdsMinutes looks for degrees, minutes and seconds with hemispheres: apart
// from each other, or on end as pilots and sailors write them.
func (s *scan) holdsMinutes() bool {
	// A letter for north or south stands before one of the numbers of a pair, of
	// which the first angle has at most five.
	const most = 5
	north := 0
	for i := range s.numbers {
		north = max(north, i)
		for north < len(s.numbers) && s.numbers[north].before&charNorth == 0 {
			north++
		}
		if north > i+most {
			continue
		}
		if s.isPilots(i) {
			return true
		}
		last, isAngle := s.angle(i)
		if !isAngle {
			continue
		}
		if next := last + 1; next < len(s.numbers) && s.isAngles(i, last, next) {
			return true
		}
	}
	return false
}

// angle reads degrees and minutes, and seconds where there are, from number i
// on: the last of them.
func (s *scan) angle(i int) (last int, isAngle bool) {
	if s.numbers[i].length() > 3 {
		return i, false
	}
	last = i
	for range 2 {
		next := last + 1
		if next == len(s.numbers) || !isAngleGap(s.gap(last)) || s.numbers[next].length() > 2 {
			break
		}
		last, isAngle = next, true
		if s.isPoint(last, '.') {
			last++
		}
	}
	return last, isAngle
}

// isAngleGap reports whether only signs for degrees and minutes, blanks, colons
// and dashes stand between two numbers.
func isAngleGap(gap []byte) bool {
	for i := 0; i < len(gap); {
		size := markSize(gap[i:])
		if c := gap[i]; gap[i] == '"' || size == 3 && (gap[i+2] == 0xb3 || gap[i+2] == 0x9d) {
			return false // of seconds
		} else if c == ':' || c == '-' || c|0x20 == 'd' || c|0x20 == 'm' {
			size = 1
		} else if size == 0 {
			size = degreeSign(gap[i:])
		}
		if size == 0 {
			return false
		}
		i += size
	}
	return len(gap) > 0
}

// isAngles reports whether the angle from number i to last and one from next on
// are a pair: with the hemispheres behind both, or before both.
func (s *scan) isAngles(i, last, next int) bool {
	between := s.text[s.numbers[last].end:s.numbers[next].start]
	end := len(between)
	for end > 0 && (isBlank(between[end-1]) || bytes.IndexByte([]byte(",;/"), between[end-1]) >= 0) {
		end--
	}
	if before := s.at(s.numbers[i].start - 1); end > 0 && isNorth(between[end-1]) && isMarks(between[:end-1]) && before != '.' && !isLetter(before) {
		if final, isAngle := s.angle(next); isAngle && s.endsEast(s.numbers[final].end) {
			return true
		}
	}
	if s.numbers[next].length() > 3 || next+1 >= len(s.numbers) || !isAngleGap(s.gap(next)) {
		return false
	}
	at := backBlank(s.text, s.numbers[i].start) - 1
	if at < 0 || !isNorth(s.text[at]) || isLetter(s.at(at-1)) {
		return false
	}
	end = backBlank(between, len(between))
	if end == 0 || !isEast(between[end-1]) {
		return false
	}
	for end--; end > 0 && (isBlank(between[end-1]) || bytes.IndexByte([]byte(",;/"), between[end-1]) >= 0); {
		end--
	}
	return isMarks(between[:end])
}

// isMarks reports whether a text is nothing but blanks and marks of minutes and
// seconds.
func isMarks(text []byte) bool {
	for len(text) > 0 {
		size := markSize(text)
		if size == 0 && (text[0]|0x20 == 'm' || text[0]|0x20 == 's') {
			size = 1
		}
		if size == 0 {
			return false
		}
		text = text[size:]
	}
	return true
}

// endsEast reports whether marks and a letter for east or west stand there,
// which no letter or digit follows.
func (s *scan) endsEast(at int) bool {
	for at < len(s.text) && !isEast(s.text[at]) {
		size := markSize(s.text[at:])
		if size == 0 && (s.text[at]|0x20 == 'm' || s.text[at]|0x20 == 's') {
			size = 1
		}
		if size == 0 {
			return false
		}
		at += size
	}
	return at < len(s.text) && !isAlphanumeric(s.at(at+1))
}

// isPilots reports whether number i and the next are degrees, minutes and
// perhaps seconds on end, each with its hemisphere behind.
func (s *scan) isPilots(i int) bool {
	n := &s.numbers[i]
	if n.length() != 4 && n.length() != 6 || isLetter(s.at(n.start-1)) {
		return false
	}
	if s.isPoint(i, '.') {
		i++
	}
	if i+1 == len(s.numbers) {
		return false
	}
	gap := trimBlank(s.gap(i))
	if len(gap) == 0 || !isNorth(gap[0]) || len(bytes.Trim(gap[1:], " \t\n\f\r,;/")) > 0 {
		return false
	}
	i++
	if length := s.numbers[i].length(); length != 5 && length != 7 {
		return false
	}
	if s.isPoint(i, '.') {
		i++
	}
	rest := trimBlank(s.text[s.numbers[i].end:])
	return len(rest) > 0 && isEast(rest[0]) && (len(rest) == 1 || !isAlphanumeric(rest[1]))
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
		if !isPlusCodeDigit(text[i-1]) || end-i < 3 || slices.ContainsFunc(text[start:i], func(c byte) bool { return !isPlusCodeDigit(c) }) {
			continue
		}
		alone := (start == 0 || !isAlphanumeric(text[start-1])) && (end == len(text) || !isAlphanumeric(text[end]))
		if alone && bytes.ContainsAny(text[start:i], plusCodeDigits[8:]) {
			return true
		}
	}
	return false
}

var plusCodeTable = func() (isDigit [256]bool) {
	for _, c := range []byte(plusCodeDigits) {
		isDigit[c] = true
	}
	return isDigit
}()

func isPlusCodeDigit(c byte) bool { return plusCodeTable[c] }
