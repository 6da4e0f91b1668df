package domain

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// The policy on personal data: names of members that are refused wherever they
// stand (piinames.go), and what free text may not look like. docs/pii-policy.md
// says the same for those who write clients, and testdata/pii-vectors.json
// proves that both are meant. Every rule takes time in proportion to the length
// of a text.

// Personal says what a text looks like.
type Personal string

// What a text can look like. The texts read on after "looks like".
const (
	PersonalEmail       Personal = "an e-mail address"
	PersonalIP          Personal = "a network address"
	PersonalCoordinates Personal = "a pair of coordinates"
	PersonalPhone       Personal = "a telephone number"
	// PersonalDisguise stands for a text that cannot be judged: too much of it has
	// to be read again and again to take off what lies over it.
	PersonalDisguise Personal = "data under several encodings"
)

// PersonalValue reports whether free text holds something that looks like
// personal data: an e-mail address, a network address, a pair of coordinates or
// a telephone number. The text is judged as it is and, where characters may
// stand for others, as what they stand for. Addresses, coordinates and numbers
// are found as well in the forms that ordinary cleaning makes of them, with
// other separators between their parts and with ports and words around.
func PersonalValue(text string) (looksLike Personal, personal bool) {
	return personalValue([]byte(text))
}

// PersonalVersion is [PersonalValue] for the version of a program, which may
// have four numbers between dots: they are no address when the first is below
// 10, or when all are below 100 and the first is not 10. Every private, shared,
// loopback, link-local and documentation network is beyond that.
func PersonalVersion(version string) (looksLike Personal, personal bool) {
	return personalVersion([]byte(version))
}

func personalValue(text []byte) (Personal, bool)   { return new(scanner).scan(text, false) }
func personalVersion(text []byte) (Personal, bool) { return new(scanner).scan(text, true) }

// scanner judges texts, one after the other. It keeps its memory for the next
// one.
type scanner struct {
	numbers []figure
	groups  []group
	// plainer holds what a text becomes, spare what that is made from.
	plainer, spare []byte
	layers         [1 + maxLayers]layer
	// tookOff says that the last text may have been disguised, and signs how many
	// numbers and separators it had.
	tookOff bool
	signs   int
}

// maxLayers is how many disguises may lie over each other, and maxSigns how many
// signs a text and all that it becomes may have with so many. What is beyond is
// refused unjudged, so that no text costs many times the time of another. Two times
// whose colons are percent-encoded have 49.
const maxLayers = 2

var maxSigns = [maxLayers + 1]int{1: 50, 2: 20}

func (c *scanner) scan(text []byte, version bool) (Personal, bool) {
	seen := countCharacters(text)
	c.signs = seen.signs
	if c.tookOff = seen.mayBeDisguised(text); !c.tookOff {
		return c.scanPlain(text, &seen, version)
	}
	layers, isReadable := c.takeOff(text, seen)
	if !isReadable {
		return PersonalDisguise, true
	}
	for i := range layers {
		if looksLike, personal := c.scanPlain(layers[i].text, &layers[i].seen, version); personal {
			return looksLike, true
		}
	}
	return "", false
}

// layer is a text, or what it becomes when disguises are taken off.
type layer struct {
	text []byte
	seen characters
}

var takeOffs = [...]func(*scanner, []byte, *characters) ([]byte, bool){(*scanner).unwrap, (*scanner).unveil}

// takeOff returns a text and all that it becomes, or reports that this is too much.
func (c *scanner) takeOff(text []byte, seen characters) (layers []layer, isReadable bool) {
	n, signs := 0, seen.signs
	kept := &c.layers
	kept[0] = layer{text, seen}
	for changed := true; changed && seen.mayBeDisguised(text); {
		changed = false
		for _, step := range takeOffs {
			plainer, differs := step(c, text, &seen)
			if !differs {
				continue
			}
			if n++; n > maxLayers {
				return nil, false
			}
			changed, seen = true, countCharacters(plainer)
			if signs += seen.signs; signs > maxSigns[n] {
				return nil, false
			}
			kept[n] = layer{append(kept[n].text[:0], plainer...), seen}
			text = kept[n].text
		}
	}
	return kept[:n+1], true
}

// scanPlain takes every character for what it is.
func (c *scanner) scanPlain(text []byte, seen *characters, version bool) (Personal, bool) {
	if seen.has(charAt) && holdsEmail(text) || seen.separators >= 2 && seen.letters >= 5 && holdsMailbox(text) {
		return PersonalEmail, true
	}
	// A hardware address, and an IPv6 address without colons, have letters.
	hexadecimal := seen.colons >= 2 || seen.has(charHexadecimal) && (seen.separators >= 2 && seen.digits >= 2 || seen.separators >= 5)
	hexadecimal = hexadecimal && mayBeHexadecimal(text)
	if seen.digits < 4 && !hexadecimal && !seen.has(charPlus) {
		return "", false // nothing below has fewer
	}
	s := scan{text: text, seen: seen}
	if seen.digits >= 4 {
		c.numbers = s.readNumbers(c.numbers[:0])
		s.numbers = c.numbers
	}
	switch {
	case s.joins >= 3 && s.holdsIPv4(version), len(s.numbers) == 4 && s.holdsSpacedIPv4():
		return PersonalIP, true
	case hexadecimal && c.holdsHexadecimal(text):
		return PersonalIP, true
	case seen.digits >= 4 && s.holdsCoordinates():
		return PersonalCoordinates, true
	case seen.digits >= 8 && s.gaps&charNorth != 0 && seen.has(charEast) && s.holdsMinutes(), seen.has(charPlus) && holdsPlusCode(text):
		return PersonalCoordinates, true
	case seen.digits >= 7 && s.holdsPhone():
		return PersonalPhone, true
	default:
		return "", false
	}
}

// characters says which characters a text has. It decides cheaply which rules
// are worth a look.
type characters struct {
	// separators counts dots, colons, dashes and underscores; letters what else
	// of ASCII is not counted for itself.
	digits, separators, colons, spaces, letters int
	// signs is what rules look at most: numbers, separators and at signs.
	signs int
	kinds character
}

func (c *characters) has(kinds character) bool { return c.kinds&kinds != 0 }

// character is a set of kinds of bytes that rules ask for.
type character uint32

const (
	charDigit character = 1 << iota
	charSign            // joins and at signs
	charDot
	charAt
	charColon
	charPlus
	charSpace
	charDash
	charUnderscore
	charComma
	charNorth // letters for north and south
	charEast  // letters for east and west
	charLabel // letters of which every word for latitude or longitude has one
	charHexadecimal
	charLetter
	charWide // bytes of characters outside ASCII
	// What begins or is a disguise: charLook a character that is taken for
	// another.
	charControl
	charPercent
	charEscape
	charOpening
	charLook
	// What stands in telephone numbers beside digits, underscores and separators.
	charBlank
	charPhone

	charJoin     = charDot | charColon | charDash | charUnderscore
	charWord     = charDigit | charLetter | charWide
	charDisguise = charControl | charPercent | charEscape | charOpening | charLook
)

// Where the counts stand, and how many bytes may be counted before one
// overflows.
const (
	countBits = 12
	countMost = 1<<countBits - 1
)

const (
	countDigit = iota * countBits
	countSeparator
	countColon
	countSpace
	countLetter
)

func countCharacters(text []byte) (c characters) {
	before := character(0)
	for rest := text; len(rest) > 0; {
		part := rest[:min(len(rest), countMost)]
		rest = rest[len(part):]
		var counts uint64
		var signs, kinds character
		for _, b := range part {
			kind := kindsOf[b]
			counts += countsOf[b]
			kinds |= kind
			signs += kind&charDigit&^before + kind&charSign/charSign
			before = kind
		}
		c.signs += int(signs)
		c.kinds |= kinds
		c.digits += int(counts >> countDigit & countMost)
		c.separators += int(counts >> countSeparator & countMost)
		c.colons += int(counts >> countColon & countMost)
		c.spaces += int(counts >> countSpace & countMost)
		c.letters += int(counts >> countLetter & countMost)
	}
	if c.has(charWide) && hasDisguise(text) {
		c.kinds |= charLook
	}
	return c
}

// kindsOf has the kinds of each byte, and countsOf what it adds to the counts of
// characters, each in bits of its own.
var (
	kindsOf  = kindsOfBytes()
	countsOf = countsOfBytes()
)

func kindsOfBytes() (kinds [256]character) {
	for c, kind := range map[string]character{
		"0123456789": charDigit, ".": charDot, "@": charAt, ":": charColon, "+": charPlus, " ": charSpace, "-": charDash, "_": charUnderscore,
		",": charComma, "NSns": charNorth, "EWew": charEast, "LXYlxy": charLabel,
		"abcdefABCDEF": charHexadecimal, "%": charPercent | charEscape, "&\\": charEscape, "[({<": charOpening,
		" \t\n\f\r": charBlank, ".-/()": charPhone, ".-_:@": charSign,
	} {
		for _, b := range []byte(c) {
			kinds[b] |= kind
		}
	}
	for b := range kinds {
		switch {
		case b >= utf8.RuneSelf:
			kinds[b] |= charWide
		case b < ' ' || b == 0x7f:
			kinds[b] |= charControl
		case isLetter(byte(b)):
			kinds[b] |= charLetter
		}
	}
	return kinds
}

func countsOfBytes() (counts [256]uint64) {
	for b, kinds := range kindsOfBytes() {
		switch {
		case kinds&charDigit != 0:
			counts[b] = 1 << countDigit
		case kinds&charColon != 0:
			counts[b] = 1<<countColon | 1<<countSeparator
		case kinds&charJoin != 0:
			counts[b] = 1 << countSeparator
		case kinds&charSpace != 0:
			counts[b] = 1 << countSpace
		case kinds&(charAt|charPlus|charDisguise|charWide) == 0:
			counts[b] = 1 << countLetter
		}
	}
	return counts
}

// isA reports whether a byte is of one of the kinds.
func isA(b byte, kinds character) bool { return kindsOf[b]&kinds != 0 }

// figure is a run of digits in a text.
type figure struct {
	start, end int
	// value is exact up to maxNumber; zeros counts those that it begins with, and
	// digits all digits before the number.
	value, zeros, digits int
	// before has the kinds of what stands between it and the number before, or the
	// start; other says that this has bytes that no telephone number has.
	before character
	other  bool
	// gap is what stands between it and the next number, if that is one byte.
	gap byte
}

// letters says that letters stand between it and the number before.
func (n *figure) letters() bool { return n.before&charLetter != 0 }

const maxNumber = 1 << 30

func (n *figure) length() int { return n.end - n.start }

// scan is a text with its numbers, in order.
type scan struct {
	text    []byte
	seen    *characters
	numbers []figure
	// points, commas and joins count the numbers that a dot, a comma or any join
	// joins to the next, long those of two digits or more.
	points, commas, joins, long int
	// runDigits is the most digits in numbers on end between which nothing stands
	// that telephone numbers do not have.
	runDigits int
	// gaps has the kinds of all that stands before numbers.
	gaps character
}

// readNumbers appends the numbers of the text.
func (s *scan) readNumbers(to []figure) []figure {
	text, digits, run := s.text, 0, 0
	var before character
	other := false
	for i := 0; i < len(text); i++ {
		kind := kindsOf[text[i]]
		if kind&charDigit == 0 {
			before |= kind
			other = other || kind&(charPhone|charBlank|charUnderscore) == 0
			continue
		}
		n := figure{start: i, digits: digits, before: before, other: other}
		for ; i < len(text) && isDigit(text[i]); i++ {
			if n.value < maxNumber {
				n.value = n.value*10 + int(text[i]-'0')
			}
			if n.value == 0 {
				n.zeros++
			}
		}
		n.end = i
		if other {
			run = digits
		}
		digits += n.length()
		s.runDigits = max(s.runDigits, digits-run)
		if n.length() > 1 {
			s.long++
		}
		if last := len(to) - 1; last >= 0 && n.start == to[last].end+1 {
			to[last].gap = text[to[last].end]
			s.noteGap(to[last].gap)
		}
		s.gaps |= before
		to = append(to, n)
		before, other = 0, false
		i--
	}
	return to
}

func (s *scan) noteGap(gap byte) {
	switch {
	case gap == '.':
		s.points++
		s.joins++
	case gap == ',':
		s.commas++
	case isA(gap, charJoin):
		s.joins++
	}
}

// gap is what stands between number i and the next one.
func (s *scan) gap(i int) []byte { return s.text[s.numbers[i].end:s.numbers[i+1].start] }

// at is the byte at i, or 0 beyond the ends.
func (s *scan) at(i int) byte {
	if i < 0 || i >= len(s.text) {
		return 0
	}
	return s.text[i]
}

// wordBefore is the run of ASCII letters that ends at end, behind at most most
// of the separators given.
func (s *scan) wordBefore(end, most int, separators string) []byte {
	for ; most > 0 && end > 0 && bytes.IndexByte([]byte(separators), s.text[end-1]) >= 0; most-- {
		end--
	}
	start := end
	for start > 0 && isLetter(s.text[start-1]) && end-start <= longestAnnouncement {
		start--
	}
	return s.text[start:end]
}

// longestAnnouncement is more than the length of any word that announces a
// kind of data.
const longestAnnouncement = 16

func isLetter(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

func isWord(b byte) bool { return isA(b, charWord) }

// wordSet is a list of words in lower case.
type wordSet struct {
	words []string
	// lengths has for each first letter the lengths of its words, as bits.
	lengths ['z' + 1]uint32
}

func newWordSet(words string) *wordSet {
	set := &wordSet{words: strings.Fields(words)}
	for _, word := range set.words {
		set.lengths[word[0]] |= 1 << len(word)
	}
	return set
}

// isOneOf reports whether a word is in a list, ignoring case.
func isOneOf(word []byte, list *wordSet) bool {
	if len(word) == 0 || len(word) > 31 || !isLetter(word[0]) || list.lengths[word[0]|0x20]&(1<<len(word)) == 0 {
		return false
	}
	return slices.ContainsFunc(list.words, func(w string) bool { return len(w) == len(word) && equalsLower(word, w) })
}

// equalsLower reports whether a text is word, which is in lower case, but for
// the case of its letters.
func equalsLower(text []byte, word string) bool {
	for i, c := range text {
		if c != word[i] && (c|0x20 != word[i] || !isLetter(c)) {
			return false
		}
	}
	return true
}
