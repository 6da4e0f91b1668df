package domain

import (
	"bytes"
	"maps"
	"slices"
	"unicode"
	"unicode/utf8"
)

// mayBeDisguised reports whether a text can hold anything that unwrap or
// unveil change.
func (c *characters) mayBeDisguised(text []byte) bool {
	return c.has(charDisguise) || c.spaces >= 2 && spellsDot(text)
}

// swap takes what was written to the spare memory for the text.
func (c *scanner) swap(written []byte) []byte {
	c.spare, c.plainer = c.plainer, written
	return written
}

// A text is undisguised in two steps, which are taken in turn and judged after
// each: what one step makes plain may look like nothing after the other. Each
// reports whether it changed anything. What it returns is valid until the next
// step.
//
// unwrap decodes percent-encoding and full-width characters, makes plain
// dashes and spaces of their likes, and drops what only formats.
func (c *scanner) unwrap(text []byte, seen *characters) (plainer []byte, changed bool) {
	wide := seen.has(charLook | charControl)
	if seen.has(charPercent) {
		if decoded, special := appendPercentDecoded(c.spare[:0], text); len(decoded) > 0 {
			text, changed, wide = c.swap(decoded), true, wide || special
		}
	}
	if wide {
		if mapped, differs := appendMapped(c.spare[:0], text, &unwrapped); differs {
			text, changed = c.swap(mapped), true
		}
	}
	return text, changed
}

// appendPercentDecoded appends a text with the bytes that percent signs stand for,
// or nothing when there are none, and reports whether one is outside printable ASCII.
func appendPercentDecoded(to, text []byte) (decoded []byte, special bool) {
	done := 0
	for i := 0; i+2 < len(text); i++ {
		if text[i] != '%' {
			continue
		}
		high, low := hexDigit(text[i+1]), hexDigit(text[i+2])
		if high < 0 || low < 0 {
			continue
		}
		c := byte(high<<4 | low) //nolint:gosec // two digits are one byte
		special = special || isA(c, charWide|charControl)
		to = append(append(to, text[done:i]...), c)
		i += 2
		done = i + 1
	}
	if done == 0 {
		return to, false
	}
	return append(to, text[done:]...), special
}

func hexDigit(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	default:
		return -1
	}
}

// appendMapped appends what the characters of a text become in a step. Bytes that
// are no part of a character become replacement characters. It appends nothing when
// nothing changes.
func appendMapped(to, text []byte, step *[lookCount]func(rune) rune) (mapped []byte, changed bool) {
	done := 0
	for i := 0; i < len(text); {
		if c := text[i]; c >= ' ' && c < 0x7f {
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		become := step[lookOf(r)]
		broken := r == utf8.RuneError && size == 1
		if become == nil && !broken {
			i += size
			continue
		}
		to, changed = append(to, text[done:i]...), true
		i += size
		done = i
		if become != nil {
			r = become(r)
		}
		if r >= 0 {
			to = utf8.AppendRune(to, r)
		}
	}
	if !changed {
		return to, false
	}
	return append(to, text[done:]...), true
}

// What characters become when a text is unwrapped and when it is unveiled, by
// their look; nil where they stay. A negative rune drops them.
var (
	unwrapped = [lookCount]func(rune) rune{lookWide: narrow, lookWideDigit: narrow, lookDash: toDash, lookSpace: toSpace, lookFormat: drop}
	unveiled  = [lookCount]func(rune) rune{
		lookSign: plainOf, lookDigit: plainOf, lookWideDigit: narrow, lookSpace: toSpace, lookNothing: drop,
	}
)

func narrow(r rune) rune { return r - fullWidth }
func toDash(rune) rune   { return '-' }
func toSpace(rune) rune  { return ' ' }
func drop(rune) rune     { return -1 }

// unveil decodes escapes of JavaScript and HTML, makes plain digits and signs of
// their likes, drops what cannot be seen, and makes signs of the words for them.
func (c *scanner) unveil(text []byte, seen *characters) (plainer []byte, changed bool) {
	wide := seen.has(charLook | charControl)
	opens := seen.has(charOpening)
	if seen.has(charEscape) {
		if decoded := appendUnescaped(c.spare[:0], text); len(decoded) > 0 {
			text, changed, wide, opens = c.swap(decoded), true, true, true
		}
	}
	if wide {
		if mapped, differs := appendMapped(c.spare[:0], text, &unveiled); differs {
			text, changed = c.swap(mapped), true
		}
	}
	if opens {
		if opened := appendOpened(c.spare[:0], text); len(opened) > 0 {
			text, changed = c.swap(opened), true
		}
	}
	if (changed || seen.spaces >= 2) && bytes.IndexByte(text, ' ') >= 0 && spellsDot(text) {
		c.spare = appendSigns(c.spare[:0], text)
		changed = changed || len(c.spare) != len(text)
		text = c.swap(c.spare)
	}
	return text, changed
}

// appendUnescaped appends a text with what escapes stand for, or nothing when there
// are none.
func appendUnescaped(to, text []byte) []byte {
	done := 0
	for i := 0; i < len(text); i++ {
		if !isA(text[i], charEscape) {
			continue
		}
		read := readScriptEscape
		if text[i] == '&' {
			read = readEntity
		}
		r, length := read(text[i:])
		if length == 0 {
			continue
		}
		to = utf8.AppendRune(append(to, text[done:i]...), r)
		i += length - 1
		done = i + 1
	}
	if done == 0 {
		return to
	}
	return append(to, text[done:]...)
}

// readScriptEscape reads the character that \u and four digits stand for, and the
// length of that; 0 when text does not begin so.
func readScriptEscape(text []byte) (r rune, length int) {
	const escape = len("%u0040")
	if len(text) < escape || text[1] != 'u' {
		return 0, 0
	}
	for _, c := range text[2:escape] {
		if hexDigit(c) < 0 {
			return 0, 0
		}
		r = r<<4 | rune(hexDigit(c)) //nolint:gosec // a digit
	}
	return r, escape
}

// longestEntity is the length of the longest one that is read.
const longestEntity = len("&#1114111;")

// readEntity reads the character that an entity of HTML stands for, as
// readScriptEscape does.
func readEntity(text []byte) (r rune, length int) {
	end := bytes.IndexByte(text[:min(len(text), longestEntity)], ';')
	if end < len("&#1") {
		return 0, 0
	}
	name := text[1:end]
	if name[0] != '#' {
		sign, known := entities[string(name)]
		if !known {
			return 0, 0
		}
		return sign, end + 1
	}
	digits, base, most := name[1:], rune(10), 7
	if digits[0]|0x20 == 'x' {
		digits, base, most = digits[1:], 16, 6
	}
	for _, c := range digits {
		digit := rune(hexDigit(c)) //nolint:gosec // a digit
		if digit < 0 || digit >= base {
			return 0, 0
		}
		r = r*base + digit
	}
	if len(digits) == 0 || len(digits) > most {
		return 0, 0
	}
	return r, end + 1
}

var entities = map[string]rune{
	"amp": '&', "commat": '@', "period": '.', "colon": ':', "comma": ',', "plus": '+', "nbsp": '\u00a0', "deg": '°',
}

// fullWidth is how far the full-width characters are from the plain ones.
const fullWidth = 'Ａ' - 'A'

func isFullWidth(r rune) bool { return r >= '！' && r <= '～' }

// isFiller reports whether r is one of the letters that show nothing.
func isFiller(r rune) bool { return r == 0x115f || r == 0x1160 || r == 0x3164 || r == 0xffa0 }

// likenesses maps characters to the ASCII sign that they are taken for.
var likenesses = map[rune]byte{
	'﹫': '@',
	'。': '.', '｡': '.', '․': '.', '﹒': '.', '·': '.', '‧': '.', '・': '.', '･': '.', '٫': '.',
	'﹕': ':', '∶': ':', '꞉': ':', 'ː': ':',
	'、': ',', '､': ',', '﹐': ',', '،': ',',
	'﹢': '+', '⁺': '+',
	'⁻': '-', '˗': '-',
}

// look is what a character outside printable ASCII may be taken for.
type look uint8

const (
	lookItself look = iota
	lookWide
	lookWideDigit
	lookDash
	lookSpace
	lookFormat
	lookSign
	lookDigit
	lookNothing
	lookCount
)

// lookRange is an unbroken range of characters with the same look.
type lookRange struct {
	first, last rune
	look        look
}

// looks are the characters that are taken for others, in order.
var looks = func() (ranges []lookRange) {
	all := make(map[rune]look, 4096)
	add := func(l look, first, last, stride rune) {
		for r := first; r <= last; r += stride {
			if _, taken := all[r]; !taken {
				all[r] = l
			}
		}
	}
	for r := range likenesses {
		add(lookSign, r, r, 1)
	}
	add(lookWideDigit, '０', '９', 1)
	add(lookWide, '！', '～', 1)
	add(lookDash, '−', '−', 1)
	for _, r := range []rune{0x115f, 0x1160, 0x3164, 0xffa0} {
		add(lookNothing, r, r, 1)
	}
	for _, t := range []struct {
		look  look
		table *unicode.RangeTable
	}{
		{lookDash, unicode.Pd},
		{lookSpace, unicode.White_Space},
		{lookFormat, unicode.Cf},
		{lookDigit, unicode.Nd},
		{lookNothing, unicode.Cc},
		{lookNothing, unicode.Mn},
	} {
		for _, r := range t.table.R16 {
			add(t.look, rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
		for _, r := range t.table.R32 {
			add(t.look, rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
	}
	for _, r := range slices.Sorted(maps.Keys(all)) {
		if n := len(ranges); n > 0 && ranges[n-1].last == r-1 && ranges[n-1].look == all[r] {
			ranges[n-1].last = r
		} else if r >= 0x7f || r < ' ' {
			ranges = append(ranges, lookRange{r, r, all[r]})
		}
	}
	return ranges
}()

// near has the looks of the characters of at most three bytes, which are looked up
// at once.
var near = newNearLooks()

type nearLooks struct {
	looks [1 << 16]look
	// plain has the digits and signs that they are taken for.
	plain [1 << 16]byte
}

func newNearLooks() *nearLooks {
	n := new(nearLooks)
	for _, l := range looks {
		for r := l.first; r <= l.last && int(r) < len(n.looks); r++ {
			n.looks[r] = l.look
			if l.look == lookDigit {
				n.plain[r] = "0123456789"[(r-l.first)%10]
			}
		}
	}
	for r, sign := range likenesses {
		n.plain[r] = sign
	}
	return n
}

// lookOf finds what a character is taken for.
func lookOf(r rune) look {
	if int(r) < len(near.looks) {
		return near.looks[r]
	}
	if i := lookIndex(r); i >= 0 {
		return looks[i].look
	}
	return lookItself
}

// lookIndex finds the range of a character in looks; negative for none.
func lookIndex(r rune) int {
	low, high := 0, len(looks)
	for low < high {
		middle := (low + high) / 2
		switch {
		case r < looks[middle].first:
			high = middle
		case r > looks[middle].last:
			low = middle + 1
		default:
			return middle
		}
	}
	return -1
}

// hasDisguise reports whether any character outside ASCII may be taken for
// another, or is none.
func hasDisguise(text []byte) bool {
	for i := 0; i < len(text); {
		if text[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 || lookOf(r) != lookItself {
			return true
		}
		i += size
	}
	return false
}

// plainOf returns the sign or the plain digit that a sign or a decimal digit of any
// script stands for. Scripts have their digits in order, from 0 to 9.
func plainOf(r rune) rune {
	if int(r) < len(near.plain) {
		return rune(near.plain[r])
	}
	return '0' + (r-looks[lookIndex(r)].first)%10
}

// appendOpened appends a text with signs for signs and their words in brackets, or
// nothing when there are none.
func appendOpened(to, text []byte) []byte {
	done := 0
	for i := 0; i < len(text); i++ {
		if !isA(text[i], charOpening) {
			continue
		}
		sign, end := bracketed(text[i+1:])
		if sign == 0 {
			continue
		}
		start, stop := i, i+1+end
		for start > done && isBlank(text[start-1]) {
			start--
		}
		for stop < len(text) && isBlank(text[stop]) {
			stop++
		}
		to = append(append(to, text[done:start]...), sign)
		done, i = stop, stop-1
	}
	if done == 0 {
		return to
	}
	return append(to, text[done:]...)
}

func isClosing(c byte) bool { return c == ']' || c == ')' || c == '}' || c == '>' }

// bracketed reads a sign or the word for one, with blanks around, up to a
// closing bracket; 0 when there is none.
func bracketed(text []byte) (sign byte, end int) {
	rest := trimBlank(text)
	sign, length := signAt(rest)
	if sign == 0 && len(rest) > 0 && (rest[0] == '@' || rest[0] == '.' || rest[0] == ':') {
		sign, length = rest[0], 1
	}
	if sign == 0 {
		return 0, 0
	}
	rest = trimBlank(rest[length:])
	if len(rest) == 0 || !isClosing(rest[0]) {
		return 0, 0
	}
	return sign, len(text) - len(rest) + 1
}

// signAt reads the word for a sign, ignoring case.
func signAt(text []byte) (sign byte, length int) {
	switch {
	case len(text) >= 2 && text[0]|0x20 == 'a' && text[1]|0x20 == 't':
		return '@', len("at")
	case len(text) >= 3 && text[0]|0x20 == 'd' && text[1]|0x20 == 'o' && text[2]|0x20 == 't':
		return '.', len("dot")
	default:
		return 0, 0
	}
}

// spellsDot reports whether a text spells out a dot, between blanks. Only such
// a text spells out signs.
func spellsDot(text []byte) bool {
	for i := 1; i+3 < len(text); i++ {
		if text[i]|0x20 == 'd' && isBlank(text[i-1]) && isBlank(text[i+3]) {
			if sign, _ := signAt(text[i:]); sign == '.' {
				return true
			}
		}
	}
	return false
}

// appendSigns appends a text with signs for the words for them that stand between blanks.
func appendSigns(read, text []byte) []byte {
	for i := 0; i < len(text); {
		blanks := len(text[i:]) - len(trimBlank(text[i:]))
		word := text[i+blanks:]
		sign, length := signAt(word)
		if behind := word[length:]; blanks > 0 && sign != 0 && len(behind) > 0 && isBlank(behind[0]) {
			read = append(read, sign)
			i = len(text) - len(trimBlank(behind))
			continue
		}
		end := i + max(blanks, 1)
		read = append(read, text[i:end]...)
		i = end
	}
	return read
}
