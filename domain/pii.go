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
	separators := seen.dots + seen.joins + seen.colons
	if seen.at > 0 && holdsEmail(text) || separators >= 2 && seen.letters >= 5 && holdsMailbox(text) {
		return PersonalEmail, true
	}
	// A hardware address, and an IPv6 address without colons, have letters.
	hexadecimal := seen.colons >= 2 || seen.hexadecimal > 0 && (separators >= 2 && seen.digits >= 2 || separators >= 5)
	if seen.digits < 4 && !hexadecimal && seen.pluses == 0 {
		return "", false // nothing below has fewer
	}
	var few [32]figure
	s := scan{text: text, seen: seen}
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
	case seen.digits >= 8 && seen.hemispheres && s.holdsMinutes(), seen.pluses > 0 && holdsPlusCode(text):
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
	// joins counts dashes and underscores; letters other characters of ASCII
	// as well; hexadecimal the letters that are such digits.
	joins, letters, hexadecimal int
	// hemispheres says that there are letters for north or south; wide that
	// there are characters outside ASCII, and disguises that some characters
	// may stand for others.
	hemispheres, wide, disguises bool
}

func countCharacters(text []byte) (c characters) {
	var counts [kindCount]int
	for _, b := range text {
		counts[byteKinds[b]]++
	}
	return characters{
		at: counts[kindAt], digits: counts[kindDigit], dots: counts[kindDot], colons: counts[kindColon], pluses: counts[kindPlus],
		spaces: counts[kindSpace], joins: counts[kindJoin],
		letters:     counts[kindOther] + counts[kindNorth] + counts[kindHexadecimal],
		hexadecimal: counts[kindHexadecimal],
		hemispheres: counts[kindNorth] > 0,
		wide:        counts[kindWide] > 0,
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
	kindHexadecimal
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
		'a': kindHexadecimal, 'b': kindHexadecimal, 'c': kindHexadecimal, 'd': kindHexadecimal, 'e': kindHexadecimal, 'f': kindHexadecimal,
		'A': kindHexadecimal, 'B': kindHexadecimal, 'C': kindHexadecimal, 'D': kindHexadecimal, 'E': kindHexadecimal, 'F': kindHexadecimal,
	} {
		kinds[c] = kind
	}
	return kinds
}()

// figure is a run of digits in a text.
type figure struct {
	start, end int
	// value is exact up to maxNumber; zeros counts those that it begins with, and
	// digits all digits before the number.
	value, zeros, digits int
	// gap is what stands between it and the next number, if that is one byte.
	gap byte
	// letters says that letters stand between it and the number before.
	letters bool
}

const maxNumber = 1 << 30

func (n *figure) length() int { return n.end - n.start }

// scan is a text with its numbers, in order.
type scan struct {
	text    []byte
	seen    *characters
	numbers []figure
}

// readNumbers appends the numbers of a text.
func readNumbers(to []figure, text []byte) []figure {
	digits, letters := 0, false
	for i := 0; i < len(text); i++ {
		if byteKinds[text[i]] != kindDigit {
			letters = letters || isLetter(text[i])
			continue
		}
		n := figure{start: i, digits: digits, letters: letters}
		for ; i < len(text) && byteKinds[text[i]] == kindDigit; i++ {
			if n.value < maxNumber {
				n.value = n.value*10 + int(text[i]-'0')
			}
			if n.value == 0 {
				n.zeros++
			}
		}
		n.end = i
		digits += n.length()
		if last := len(to) - 1; last >= 0 && n.start == to[last].end+1 {
			to[last].gap = text[to[last].end]
		}
		to = append(to, n)
		letters = i < len(text) && isLetter(text[i])
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
