package domain

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// holdsEmail looks at what is on both sides of each sign: a character of a
// mailbox, and a host with a dot and letters, or the host localhost.
func holdsEmail(text []byte) bool {
	for i, c := range text {
		if c != '@' || i == 0 {
			continue
		}
		user, host := i-1, i+1
		if isBlank(text[user]) && host < len(text) && isBlank(text[host]) {
			user, host = user-1, host+1
		}
		if user >= 0 && !isBlank(text[user]) && !strings.ContainsRune(`@<>"(),;:`, rune(text[user])) && isMailHost(text[host:]) {
			return true
		}
	}
	return false
}

func isBlank(b byte) bool { return b == ' ' || b == '\t' || b == '\n' || b == '\f' || b == '\r' }

// localHost is the one host that needs no dot.
var localHost = newWordSet("localhost")

// isMailHost reports whether a text begins with words, each with a dot behind,
// and two letters; or with localhost; or with words between other separators
// the last of which is a well-known domain.
func isMailHost(text []byte) bool {
	label, letters, dotted := 0, 0, false
	i := 0
	for i < len(text) {
		r, size := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(text[i:])
		}
		switch {
		case r == '.' && label == 0:
			return false
		case r == '.':
			label, letters, dotted = 0, 0, true
		case isLetterOf(r):
			label++
			letters++
			if dotted && letters == label && letters >= 2 {
				return true
			}
		case r == '_' || r == '-' || r >= '0' && r <= '9' || r >= utf8.RuneSelf && unicode.IsNumber(r):
			label++
		default:
			return isCleanedHost(text[:i]) || r == ':' && isCleanedHost(text)
		}
		i += size
	}
	return isCleanedHost(text)
}

func isLetterOf(r rune) bool {
	return r|0x20 >= 'a' && r|0x20 <= 'z' || r >= utf8.RuneSelf && unicode.IsLetter(r)
}

// isCleanedHost reports whether text begins with localhost, or with a word, one
// of _ - : and a well-known domain, both whole.
func isCleanedHost(text []byte) bool {
	word, rest := cutWord(text)
	if isOneOf(word, localHost) {
		return true
	}
	for len(word) > 0 && len(rest) > 0 && strings.IndexByte("_-:", rest[0]) >= 0 {
		word, rest = cutWord(rest[1:])
		if isOneOf(word, domains) {
			return true
		}
	}
	return false
}

// cutWord splits text behind its first run of letters and digits.
func cutWord(text []byte) (word, rest []byte) {
	for i, c := range text {
		if !isWord(c) {
			return text[:i], text[i:]
		}
	}
	return text, nil
}

// domains are the top-level domains that are seen when a dot was replaced.
var domains = newWordSet("com org net edu gov mil io dev app info biz eu de uk fr es it nl be ch at se no fi dk pl cz ru ua jp cn kr in br mx au nz ca us")

// providers are the hosts of most mailboxes.
var providers = newWordSet("gmail googlemail yahoo hotmail outlook icloud protonmail proton gmx aol msn fastmail yandex example")

// exampleHost is that of documentation, in which hosts have it as well.
var exampleHost = newWordSet("example")

// services are words before a provider's host that name no mailbox.
var services = newWordSet("smtp imap pop pop3 mail mx www api accounts login auth http https ftp docs help support")

// holdsMailbox looks for an address without its sign: a word, a provider of
// mailboxes and a domain, with one of . _ - : between each, as in
// ada_gmail_com.
func holdsMailbox(text []byte) bool {
	// The word before the one that begins at start, and the join between.
	var before []byte
	var join byte
	start := 0
	for i, c := range text {
		if isA(c, charWord) {
			continue
		}
		word := text[start:i]
		start = i + 1
		if !isA(c, charJoin) {
			before = nil
			continue
		}
		if len(before) > 0 && isOneOf(word, providers) {
			next, _ := cutWord(text[start:])
			isHost := join == '.' && isOneOf(word, exampleHost) || isOneOf(before, services)
			if !isHost && isOneOf(next, domains) {
				return true
			}
		}
		before, join = word, c
	}
	return false
}

func isJoin(b byte) bool { return isA(b, charJoin) }
