package domain

import (
	"bytes"
	"net/netip"
	"regexp"
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

// appendFolded folds a rune outside ASCII: other dashes, spaces and invisible
// characters vanish, full-width letters become plain ones, and letters that
// only differ in case from an ASCII one (ſ, the Kelvin sign) become that.
func appendFolded(dst []byte, r rune) []byte {
	const fullWidth = 'Ａ' - 'A'
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
// coordinates or a telephone number. The rules, each with what it lets pass:
//
//   - E-mail: something@host.letters, with the @ plain or written %40. A
//     package@1.2.3 passes.
//   - IPv4: four numbers up to 255 between dots. Three or five pass, so that a
//     version such as 1.23.0 does; one of four such numbers is refused.
//   - IPv6: any text form of RFC 4291 that stands alone and holds a digit or
//     three groups or more. std::bad_alloc passes.
//   - Coordinates: two decimal fractions in range with a comma, semicolon or
//     space between them (or : / _ | when both have two decimals or more), or
//     two values in degrees with hemispheres. A single fraction passes.
//   - Telephone: + with 7 to 15 digits; 10 to 15 digits on end; 3-3-4 digits,
//     with or without a leading 1 or brackets; groups that begin with a 0 and
//     have 9 to 12 digits. A date (2026-11-23) and 8 digits on end pass.
func PersonalValue(text string) (looksLike Personal, personal bool) {
	return personalValue([]byte(text))
}

func personalValue(text []byte) (Personal, bool) {
	seen := countCharacters(text)
	switch {
	case seen.at > 0 && emailPattern.Match(text):
		return PersonalEmail, true
	case seen.digits >= 4 && seen.dots >= 3 && holdsIPv4(text):
		return PersonalIP, true
	case seen.colons >= 2 && holdsIPv6(text):
		return PersonalIP, true
	case seen.digits >= 4 && seen.separators > 0 && holdsCoordinates(text):
		return PersonalCoordinates, true
	case seen.digits >= 7 && holdsPhone(text):
		return PersonalPhone, true
	default:
		return "", false
	}
}

// characters decides cheaply which rules are worth a look.
type characters struct{ at, digits, dots, colons, separators int }

func countCharacters(text []byte) (c characters) {
	for _, b := range text {
		switch {
		case b >= '0' && b <= '9':
			c.digits++
		case b == '.':
			c.dots++
		case b == '@' || b == '%':
			c.at++
		case b == ':':
			c.colons++
			c.separators++
		case b == ',' || b == ';' || b == ' ' || b == '/' || b == '_' || b == '|' || b == '\t' || b >= utf8.RuneSelf:
			c.separators++
		}
	}
	return c
}

var emailPattern = regexp.MustCompile(`[^\s@<>"(),;:]+(?:@|%40)(?:[\pL\pN-]+\.)+\pL{2,}`)

var dottedPattern = regexp.MustCompile(`[0-9]+(?:\.[0-9]+)+`)

func holdsIPv4(text []byte) bool {
	for _, run := range dottedPattern.FindAll(text, -1) {
		parts := bytes.Split(run, []byte{'.'})
		if len(parts) != 4 {
			continue
		}
		octets := 0
		for _, part := range parts {
			if n, err := strconv.Atoi(string(part)); err == nil && len(part) <= 3 && n <= 255 {
				octets++
			}
		}
		if octets == 4 {
			return true
		}
	}
	return false
}

var colonPattern = regexp.MustCompile(`[0-9A-Fa-f:][0-9A-Fa-f:.]+`)

func holdsIPv6(text []byte) bool {
	for _, at := range colonPattern.FindAllIndex(text, -1) {
		if !standsAlone(text, at[0], at[1]) {
			continue
		}
		run := strings.TrimRight(string(text[at[0]:at[1]]), ".")
		if !strings.HasSuffix(run, "::") {
			run = strings.TrimSuffix(run, ":")
		}
		groups := strings.FieldsFunc(run, func(r rune) bool { return r == ':' })
		if len(groups) < 3 && !strings.ContainsAny(run, "0123456789") {
			continue
		}
		if address, err := netip.ParseAddr(run); err == nil && address.Is6() {
			return true
		}
	}
	return false
}

// standsAlone reports whether text[start:end] is no part of a longer word.
func standsAlone(text []byte, start, end int) bool {
	return (start == 0 || !isWord(text[start-1])) && (end == len(text) || !isWord(text[end]))
}

func isWord(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b == '_' || b >= utf8.RuneSelf
}

var (
	coordinatesPattern = regexp.MustCompile(`([-+]?[0-9]{1,3}\.[0-9]+)[\s°º]*[NSEWnsew]?\s*[,;\s]\s*[NSEWnsew]?\s*([-+]?[0-9]{1,3}\.[0-9]+)`)
	tightPattern       = regexp.MustCompile(`([-+]?[0-9]{1,3}\.[0-9]{2,})[:/_|]([-+]?[0-9]{1,3}\.[0-9]{2,})`)
	degreesPattern     = regexp.MustCompile(`[0-9]\s*[°º][\s0-9.'′’"″]*[NSEWnsew]\b.*[0-9]\s*[°º][\s0-9.'′’"″]*[NSEWnsew]\b`)
)

func holdsCoordinates(text []byte) bool {
	if degreesPattern.Match(text) {
		return true
	}
	for _, pattern := range []*regexp.Regexp{coordinatesPattern, tightPattern} {
		for _, match := range pattern.FindAllSubmatch(text, -1) {
			a, b := magnitude(match[1]), magnitude(match[2])
			if min(a, b) <= 90 && max(a, b) <= 180 {
				return true
			}
		}
	}
	return false
}

func magnitude(number []byte) float64 {
	f, err := strconv.ParseFloat(strings.TrimLeft(string(number), "+-"), 64)
	if err != nil {
		return 1000 // no coordinate
	}
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
	switch {
	case run[0] == '+':
		return digits >= 7 && digits <= 15
	case len(groups) == 1:
		return digits >= 10 && digits <= 15
	case isGrouped(groups, 3, 3, 4), isGrouped(groups, 1, 3, 3, 4) && first[0] == '1':
		return true
	case first[0] == '0' && len(first) >= 2:
		return digits >= 9 && digits <= 12
	default:
		return false
	}
}

func isGrouped(groups [][]byte, lengths ...int) bool {
	if len(groups) != len(lengths) {
		return false
	}
	for i, g := range groups {
		if len(g) != lengths[i] {
			return false
		}
	}
	return true
}
