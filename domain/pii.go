package domain

import (
	"bytes"
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

func personalValue(text []byte) (Personal, bool)   { return scanDisguised(text, false) }
func personalVersion(text []byte) (Personal, bool) { return scanDisguised(text, true) }

// maxDisguises is how many disguises of a kind may lie over each other.
const maxDisguises = 3

func scanDisguised(text []byte, version bool) (Personal, bool) {
	seen := countCharacters(text)
	looksLike, personal := scanPlain(text, &seen, version)
	for round := 0; round < maxDisguises && !personal && seen.mayBeDisguised(text); round++ {
		for _, takeOff := range []func([]byte) ([]byte, bool){unwrap, unveil} {
			plainer, changed := takeOff(text)
			if !changed || personal {
				continue
			}
			text, seen = plainer, countCharacters(plainer)
			looksLike, personal = scanPlain(text, &seen, version)
		}
	}
	return looksLike, personal
}

// scanPlain takes every character for what it is.
func scanPlain(text []byte, seen *characters, version bool) (Personal, bool) {
	if seen.at > 0 && holdsEmail(text) {
		return PersonalEmail, true
	}
	if seen.joins+seen.dots+seen.colons >= 2 && holdsMailbox(text) {
		return PersonalEmail, true
	}
	separators := seen.dots + seen.joins + seen.colons
	hexadecimal := seen.colons >= 2 || separators >= 2 && seen.digits >= 2 || separators >= 5
	if seen.digits < 4 && !hexadecimal && seen.pluses == 0 {
		return "", false // nothing below has fewer
	}
	var few [32]figure
	s := scan{text: text}
	if seen.digits >= 4 {
		s.numbers = readNumbers(few[:0], text)
	}
	switch {
	case seen.digits >= 4 && separators >= 3 && s.holdsIPv4(version):
		return PersonalIP, true
	case hexadecimal && holdsHexadecimal(text):
		return PersonalIP, true
	case seen.digits >= 4 && s.holdsCoordinates():
		return PersonalCoordinates, true
	case seen.digits >= 8 && seen.hemispheres && holdsDegrees(text), seen.pluses > 0 && holdsPlusCode(text):
		return PersonalCoordinates, true
	case seen.digits >= 7 && s.holdsPhone():
		return PersonalPhone, true
	default:
		return "", false
	}
}

// characters decides cheaply which rules are worth a look.
type characters struct {
	at, digits, dots, colons, pluses, spaces int
	// joins counts dashes and underscores.
	joins int
	// hemispheres says that there are letters for north or south; disguises
	// that some characters may stand for others.
	hemispheres, disguises bool
}

func countCharacters(text []byte) (c characters) {
	var counts [kindCount]int
	for _, b := range text {
		counts[byteKinds[b]]++
	}
	return characters{
		at: counts[kindAt], digits: counts[kindDigit], dots: counts[kindDot], colons: counts[kindColon], pluses: counts[kindPlus],
		spaces: counts[kindSpace], joins: counts[kindJoin],
		hemispheres: counts[kindNorth] > 0,
		disguises:   counts[kindDisguise] > 0 || counts[kindWide] > 0 && hasDisguise(text),
	}
}

// The kinds of bytes that rules ask for.
const (
	kindOther = iota
	kindDigit
	kindDot
	kindAt
	kindColon
	kindPlus
	kindSpace
	kindJoin
	kindNorth
	kindDisguise
	kindWide
	kindCount
)

var byteKinds = func() (kinds [256]uint8) {
	for b := range kinds {
		switch c := byte(b); {
		case isDigit(c):
			kinds[b] = kindDigit
		case b >= utf8.RuneSelf:
			kinds[b] = kindWide
		case c < ' ' || c == 0x7f || bytes.IndexByte([]byte(`%&\[({<`), c) >= 0:
			kinds[b] = kindDisguise
		}
	}
	for c, kind := range map[byte]uint8{
		'.': kindDot, '@': kindAt, ':': kindColon, '+': kindPlus, ' ': kindSpace, '-': kindJoin, '_': kindJoin,
		'N': kindNorth, 'S': kindNorth, 'n': kindNorth, 's': kindNorth,
	} {
		kinds[c] = kind
	}
	return kinds
}()

// figure is a run of digits in a text.
type figure struct {
	start, end int
	// value is at most maxNumber; zeros counts those that it begins with, and
	// digits all digits before the number.
	value, zeros, digits int
}

const maxNumber = 1 << 30

func (n figure) length() int { return n.end - n.start }

// scan is a text with its numbers, in order.
type scan struct {
	text    []byte
	numbers []figure
}

// readNumbers appends the numbers of a text.
func readNumbers(to []figure, text []byte) []figure {
	digits := 0
	for i := 0; i < len(text); i++ {
		if !isDigit(text[i]) {
			continue
		}
		n := figure{start: i, digits: digits}
		for ; i < len(text) && isDigit(text[i]); i++ {
			n.value = min(n.value*10+int(text[i]-'0'), maxNumber)
			if n.value == 0 {
				n.zeros++
			}
		}
		n.end = i
		digits += n.length()
		to = append(to, n)
	}
	return to
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

func isWord(b byte) bool { return isAlphanumeric(b) || b >= utf8.RuneSelf }

// isOneOf reports whether a word is in a list, ignoring case.
func isOneOf(word []byte, list []string) bool {
	if len(word) == 0 {
		return false
	}
	for _, w := range list {
		if len(w) == len(word) && bytes.EqualFold(word, []byte(w)) {
			return true
		}
	}
	return false
}
