package domain

import (
	"bytes"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// personalNames lists the member names that mean personal data, as people
// write them. Names are compared after [foldName], so case and the characters
// _ - . and space make no difference.
var personalNames = []string{
	// Where somebody is.
	"latitude", "longitude", "lat", "lon", "lng", "lat_lon", "lat_lng", "lat_long",
	"coord", "coords", "coordinate", "coordinates", "geo", "geolocation", "gps", "location", "place",
	"address", "street", "street_address", "home_address", "city", "state",
	"zip", "zipcode", "postal_code", "postcode",
	// Who somebody is.
	"user", "user_id", "username", "account", "account_id", "name", "first_name", "last_name",
	"full_name", "surname", "email", "mail", "email_address", "phone", "phone_number", "telephone",
	"mobile", "mobile_number", "ssn", "social_security", "social_security_number",
	"birthday", "birthdate", "date_of_birth",
	// Which machine somebody uses.
	"ip", "ip_address", "ip_addr", "ipv4", "ipv6", "client_ip", "user_ip", "remote_ip", "remote_addr",
	"remote_address", "device_id", "mac_address",
	// What somebody proves to be themselves with.
	"cookie", "cookies", "token", "access_token", "auth_token", "password", "passwd",
}

// foldedNames maps a folded name to the way it is listed.
var foldedNames = func() map[string]string {
	m := make(map[string]string, len(personalNames))
	for _, name := range personalNames {
		m[string(foldName(nil, []byte(name)))] = name
	}
	return m
}()

// PersonalNames lists the member names that make an event be refused, in their
// usual spelling.
func PersonalNames() []string { return append([]string(nil), personalNames...) }

// PersonalName reports whether a member of that name means personal data, and
// returns the listed name that it equals.
func PersonalName(name string) (listed string, personal bool) {
	listed, personal = foldedNames[string(foldName(nil, []byte(name)))]
	return listed, personal
}

// foldName appends name in lower case without the characters that people put
// between words. It stops when the result is longer than any listed name.
func foldName(dst, name []byte) []byte {
	const enough = 32
	for i := 0; i < len(name) && len(dst) < enough; {
		c := name[i]
		switch {
		case c >= 'A' && c <= 'Z':
			dst = append(dst, c|0x20)
		case c == '_' || c == '-' || c == '.' || c == ' ':
		case c < utf8.RuneSelf:
			dst = append(dst, c)
		default:
			r, size := utf8.DecodeRune(name[i:])
			dst = appendFolded(dst, r)
			i += size
			continue
		}
		i++
	}
	return dst
}

// fullWidth is how far the full-width characters are from the plain ones.
const fullWidth = 'Ａ' - 'A'

// appendFolded folds a rune outside ASCII: other dashes, spaces and invisible
// characters vanish, full-width letters become plain ones, and letters that
// only differ in case from an ASCII one (ſ, the Kelvin sign) become that.
func appendFolded(dst []byte, r rune) []byte {
	if r >= '！' && r <= '～' {
		return foldName(dst, []byte{byte(r - fullWidth)})
	}
	if unicode.Is(unicode.Pd, r) || unicode.Is(unicode.Pc, r) || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) {
		return dst
	}
	lowest := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		lowest = min(lowest, f)
	}
	return utf8.AppendRune(dst, unicode.ToLower(lowest))
}

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
// personal data: an e-mail address, an IPv4 or IPv6 address, a pair of
// coordinates or a telephone number. Full-width and percent-encoded characters
// count as what they stand for, and invisible ones not at all. The rules, each
// with what it lets pass:
//
//   - E-mail: something@host.letters. A package@1.2.3 passes.
//   - IPv4: four numbers up to 255 between dots. Three or five pass, so that a
//     version such as 1.23.0 does; one of four such numbers is refused.
//   - IPv6: any text form of RFC 4291 of whole words, between characters that
//     are no letters or digits, with two words at least and a digit among
//     them, or with three. Foo::Bar, Error::404 and std::bad_alloc pass.
//   - Coordinates: two decimal fractions in range with a comma, semicolon or
//     space between them, with : / _ | when both have two decimals or more,
//     and with anything short when both have three; a fraction of three
//     decimals and a whole number with a comma; two values in degrees with
//     hemispheres. A single value passes.
//   - Telephone: + with 7 to 15 digits; 10 to 15 digits on end; 3-3-4 or 3-7
//     digits, with or without a leading 1 or brackets; groups that begin with
//     a 0 and have 9 to 12 digits. A date (2026-11-23) and 8 digits pass.
func PersonalValue(text string) (looksLike Personal, personal bool) {
	return personalValue([]byte(text))
}

func personalValue(text []byte) (Personal, bool) {
	seen := countCharacters(text)
	if seen.disguises {
		text = undisguise(text)
		seen = countCharacters(text)
	}
	switch {
	case seen.at > 0 && emailPattern.Match(text):
		return PersonalEmail, true
	case seen.digits >= 4 && seen.dots >= 3 && holdsIPv4(text):
		return PersonalIP, true
	case seen.colons >= 2 && holdsIPv6(text):
		return PersonalIP, true
	case seen.digits >= 4 && (seen.dots >= 1 || seen.others) && holdsCoordinates(text):
		return PersonalCoordinates, true
	case seen.digits >= 7 && holdsPhone(text):
		return PersonalPhone, true
	default:
		return "", false
	}
}

// characters decides cheaply which rules are worth a look.
type characters struct {
	at, digits, dots, colons int
	// others says that there are commas or characters outside ASCII, which
	// stand in coordinates; disguises that some may stand for others.
	others, disguises bool
}

func countCharacters(text []byte) (c characters) {
	for _, b := range text {
		switch {
		case b >= '0' && b <= '9':
			c.digits++
		case b == '.':
			c.dots++
		case b == '@':
			c.at++
		case b == ':':
			c.colons++
		case b == ',':
			c.others = true
		case b == '%':
			c.disguises = true
		case b >= utf8.RuneSelf:
			c.others, c.disguises = true, true
		}
	}
	return c
}

// undisguise decodes percent-encoding and full-width characters, makes plain
// minus signs and spaces of their likes, and drops what cannot be seen.
func undisguise(text []byte) []byte {
	plain := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		if text[i] == '%' && i+2 < len(text) {
			if n, err := strconv.ParseUint(string(text[i+1:i+3]), 16, 8); err == nil {
				plain = append(plain, byte(n))
				i += 3
				continue
			}
		}
		r, size := utf8.DecodeRune(text[i:])
		i += size
		switch {
		case r >= '！' && r <= '～':
			plain = utf8.AppendRune(plain, r-fullWidth)
		case r == '−' || unicode.Is(unicode.Pd, r):
			plain = append(plain, '-')
		case unicode.IsSpace(r):
			plain = append(plain, ' ')
		case !unicode.Is(unicode.Cf, r):
			plain = utf8.AppendRune(plain, r)
		}
	}
	return plain
}

var emailPattern = regexp.MustCompile(`[^\s@<>"(),;:]+@(?:[\pL\pN-]+\.)+\pL{2,}`)

var dottedPattern = regexp.MustCompile(`[0-9]+(?:\.[0-9]+)+`)

func holdsIPv4(text []byte) bool {
	for _, run := range dottedPattern.FindAll(text, -1) {
		parts := bytes.Split(run, []byte{'.'})
		octets := 0
		for _, part := range parts {
			if n, err := strconv.Atoi(string(part)); err == nil && len(part) <= 3 && n <= 255 {
				octets++
			}
		}
		if len(parts) == 4 && octets == 4 {
			return true
		}
	}
	return false
}

var colonPattern = regexp.MustCompile(`[0-9A-Fa-f:]+:[0-9A-Fa-f:.]*`)

// holdsIPv6 tries every part of a run of hexadecimal words and colons that
// begins and ends with a whole word.
func holdsIPv6(text []byte) bool {
	for _, at := range colonPattern.FindAllIndex(text, -1) {
		for start := at[0]; start < at[1]; start++ {
			for end := at[1]; end-start > len("::"); end-- {
				if standsAlone(text, start, end) && isIPv6(string(text[start:end])) {
					return true
				}
			}
		}
	}
	return false
}

func isIPv6(text string) bool {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ':' })
	if len(words) < 2 && text != "::1" || len(words) < 3 && !strings.ContainsAny(text, "0123456789") {
		return false
	}
	address, err := netip.ParseAddr(text)
	return err == nil && address.Is6()
}

// standsAlone reports whether text[start:end] is no part of a longer word.
func standsAlone(text []byte, start, end int) bool {
	return (start == 0 || !isWord(text[start-1])) && (end == len(text) || !isWord(text[end]))
}

func isWord(b byte) bool { return isAlphanumeric(b) || b >= utf8.RuneSelf }

var (
	decimalPattern = regexp.MustCompile(`[-+]?[0-9]{1,3}\.[0-9]+`)
	nearPattern    = regexp.MustCompile(`^[\s°º]*[NSEWnsew]?\s*[,;\s]\s*[NSEWnsew]?\s*$`)
	tightPattern   = regexp.MustCompile(`^[:/_|]$`)
	wholePattern   = regexp.MustCompile(`(?:^|[^0-9.])([-+]?[0-9]{1,3}\.[0-9]{3,})\s*,\s*([-+]?[0-9]{1,3})(?:[^0-9.]|$)|(?:^|[^0-9.])([-+]?[0-9]{1,3})\s*,\s*([-+]?[0-9]{1,3}\.[0-9]{3,})(?:[^0-9.]|$)`)
	commaPattern   = regexp.MustCompile(`(?:^|[^0-9])([-+]?[0-9]{1,3},[0-9]{4,})[\s;/]+([-+]?[0-9]{1,3},[0-9]{4,})`)
	degreesPattern = regexp.MustCompile(`[NS]\s*[0-9.]+\s*[°º].*[EW]\s*[0-9.]+\s*[°º]|[0-9]\s*[°º][\s0-9.'′’"″]*[NSns]\b.*[0-9]\s*[°º][\s0-9.'′’"″]*[EWew]\b`)
)

func holdsCoordinates(text []byte) bool {
	if degreesPattern.Match(text) || holdsFractions(text) {
		return true
	}
	for _, pattern := range []*regexp.Regexp{wholePattern, commaPattern} {
		for _, match := range pattern.FindAllSubmatch(text, -1) {
			pair := slices.DeleteFunc(match[1:], func(b []byte) bool { return len(b) == 0 })
			if inRange(pair[0], pair[1]) {
				return true
			}
		}
	}
	return false
}

// holdsFractions looks at each two decimal fractions that follow each other.
func holdsFractions(text []byte) bool {
	places := decimalPattern.FindAllIndex(text, -1)
	for i := 1; i < len(places); i++ {
		a, b := text[places[i-1][0]:places[i-1][1]], text[places[i][0]:places[i][1]]
		between, after := text[places[i-1][1]:places[i][0]], text[places[i][1]:]
		if len(after) > 1 && after[0] == '.' && isDigit(after[1]) {
			continue // a number with more than one dot is no fraction
		}
		if areApart(between, min(decimals(a), decimals(b)), b) && inRange(a, b) {
			return true
		}
	}
	return false
}

// areApart judges what stands between two fractions, the second of which is b:
// the more decimals both have, the less it needs to look like a separator.
func areApart(between []byte, decimals int, b []byte) bool {
	const short = 16
	switch {
	case len(between) == 0:
		return decimals >= 3 && (b[0] == '-' || b[0] == '+')
	case between[0] == '.':
		return false
	case decimals >= 3 && len(between) <= short && !bytes.ContainsAny(between, "0123456789"):
		return true
	case decimals >= 2 && tightPattern.Match(between):
		return true
	default:
		return nearPattern.Match(between)
	}
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

func decimals(fraction []byte) int { return len(fraction) - bytes.IndexByte(fraction, '.') - 1 }

// inRange reports whether one of two is a latitude and the other a longitude.
func inRange(a, b []byte) bool {
	x, y := magnitude(a), magnitude(b)
	return min(x, y) <= 90 && max(x, y) <= 180
}

// magnitude reads up to three digits and a fraction, which no number fails to
// be.
func magnitude(number []byte) float64 {
	text := strings.ReplaceAll(strings.TrimLeft(string(number), "+-"), ",", ".")
	f, _ := strconv.ParseFloat(text, 64)
	return f
}

var phonePattern = regexp.MustCompile(`\+?[0-9(][0-9().\s/-]*[0-9]`)

func holdsPhone(text []byte) bool {
	for _, at := range phonePattern.FindAllIndex(text, -1) {
		if standsAlone(text, at[0], at[1]) && isPhone(text[at[0]:at[1]]) {
			return true
		}
	}
	return false
}

// isPhone judges a run of digits, brackets and separators. The lengths are
// those of ITU-T E.164: at most 15 digits.
func isPhone(run []byte) bool {
	groups := bytes.FieldsFunc(run, func(r rune) bool { return r < '0' || r > '9' })
	digits := 0
	for _, g := range groups {
		digits += len(g)
	}
	first := groups[0]
	if len(groups) > 1 && string(first) == "1" && run[0] != '+' {
		groups = groups[1:]
	}
	switch {
	case run[0] == '+':
		return digits >= 7 && digits <= 15
	case len(groups) == 1:
		return digits >= 10 && digits <= 15
	case isGrouped(groups, 3, 3, 4), isGrouped(groups, 3, 7):
		return true
	case first[0] == '0' && len(first) >= 2:
		return digits >= 9 && digits <= 12
	default:
		return false
	}
}

func isGrouped(groups [][]byte, lengths ...int) bool {
	return slices.EqualFunc(groups, lengths, func(g []byte, length int) bool { return len(g) == length })
}
