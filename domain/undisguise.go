package domain

import (
	"bytes"
	"regexp"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// mayBeDisguised reports whether a text can hold anything that unwrap or
// unveil change.
func (c *characters) mayBeDisguised(text []byte) bool {
	return c.disguises || c.spaces >= 2 && spelledPattern.Match(text)
}

// A text is undisguised in two steps, which are taken in turn and judged after
// each: what one step makes plain may look like nothing after the other.
//
// unwrap decodes percent-encoding and full-width characters, makes plain
// dashes and spaces of their likes, and drops what only formats.
func unwrap(text []byte) []byte {
	text = percentPattern.ReplaceAllFunc(text, func(escape []byte) []byte {
		return []byte{byte(codePoint(escape[1:], 16))} //nolint:gosec // two digits are one byte
	})
	return bytes.Map(func(r rune) rune {
		switch {
		case isFullWidth(r):
			return r - fullWidth
		case r == '−' || unicode.Is(unicode.Pd, r):
			return '-'
		case unicode.IsSpace(r):
			return ' '
		case unicode.Is(unicode.Cf, r):
			return -1
		default:
			return r
		}
	}, text)
}

// unveil decodes escapes of JavaScript and HTML, makes plain digits and signs of
// their likes, drops what cannot be seen, and makes signs of the words for them.
func unveil(text []byte) []byte {
	if bytes.ContainsAny(text, `&%\`) {
		text = escapePattern.ReplaceAllFunc(text, unescape)
	}
	text = bytes.Map(plainCharacter, text)
	if bytes.ContainsAny(text, "[({<") {
		text = bracketedPattern.ReplaceAllFunc(text, signOf)
	}
	if spelledPattern.Match(text) {
		text = wordSignPattern.ReplaceAllFunc(text, signOf)
	}
	return text
}

var (
	percentPattern = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	escapePattern  = regexp.MustCompile(`[%\\]u[0-9A-Fa-f]{4}|&#[0-9]{1,7};|&#[xX][0-9A-Fa-f]{1,6};|&(?:amp|commat|period|colon|comma|plus|nbsp|deg);`)
)

func unescape(escape []byte) []byte {
	if escape[0] != '&' {
		return utf8.AppendRune(nil, codePoint(escape[2:], 16))
	}
	switch name := escape[1 : len(escape)-1]; {
	case name[0] != '#':
		return []byte(entities[string(name)])
	case name[1]|0x20 == 'x':
		return utf8.AppendRune(nil, codePoint(name[2:], 16))
	default:
		return utf8.AppendRune(nil, codePoint(name[1:], 10))
	}
}

var entities = map[string]string{
	"amp": "&", "commat": "@", "period": ".", "colon": ":", "comma": ",", "plus": "+", "nbsp": " ", "deg": "°",
}

// codePoint reads digits of which there are few enough.
func codePoint(digits []byte, base int) rune {
	n, _ := strconv.ParseInt(string(digits), base, 32)
	return rune(n)
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

func plainCharacter(r rune) rune {
	if sign, ok := likenesses[r]; ok {
		return rune(sign)
	}
	switch {
	case r < utf8.RuneSelf && r >= ' ' && r != 0x7f:
		return r
	case unicode.Is(unicode.Nd, r):
		return digitOf(r)
	case unicode.IsSpace(r):
		return ' '
	case unicode.In(r, unicode.Cc, unicode.Mn) || isFiller(r):
		return -1
	default:
		return r
	}
}

// digitOf returns the plain digit that a decimal digit of any script stands
// for. Scripts have theirs in order, from 0 to 9.
func digitOf(r rune) rune {
	zero := r
	for unicode.Is(unicode.Nd, zero-1) {
		zero--
	}
	return '0' + (r-zero)%10
}

var (
	// A sign between brackets, and the words for one.
	bracketedPattern = regexp.MustCompile(`(?i)\s*[\[({<]\s*(?:at|dot|@|\.|:)\s*[\])}>]\s*`)
	// Only a text that spells out a dot spells out signs.
	spelledPattern  = regexp.MustCompile(`(?i)\sdot\s`)
	wordSignPattern = regexp.MustCompile(`(?i)\s+(?:at|dot)\s+`)
)

func signOf(match []byte) []byte {
	switch word := bytes.ToLower(bytes.Trim(match, " []{}()<>\t\n\v\f\r")); string(word) {
	case "at":
		return []byte{'@'}
	case "dot":
		return []byte{'.'}
	default:
		return word
	}
}
