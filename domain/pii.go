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

// The policy on personal data: names of members that are refused wherever they
// stand, and what free text may not look like. docs/pii-policy.md says the same
// for those who write clients, and testdata/pii-vectors.json proves that both
// are meant.

// personalNames lists the member names that mean personal data, as people
// write them. Names are compared after [foldName], so case, spaces and
// punctuation make no difference.
var personalNames = []string{
	// Where somebody is.
	"latitude", "longitude", "lat", "lon", "lng", "lat_lon", "lat_lng", "lat_long",
	"coord", "coords", "coordinate", "coordinates", "geo", "geohash", "geojson", "geolocation", "geo_point",
	"gps", "gps_coordinates", "gps_location", "plus_code", "what3words",
	"location", "location_name", "current_location", "home_location", "user_location", "place", "place_name",
	"address", "address_line", "street", "street_address", "street_name", "house_number", "home_address", "postal_address",
	"geo_lat", "geo_lon", "geo_lng", "geo_latitude", "geo_longitude", "gps_lat", "gps_lon", "home_lat", "home_lon",
	"coords_latitude", "coords_longitude", "location_lat", "location_lon", "location_lng", "location_latitude", "location_longitude",
	"city", "city_name", "state", "zip", "zipcode", "postal_code", "postcode",
	// Who somebody is.
	"user", "user_id", "username", "account", "account_id", "account_name", "account_number", "customer_id", "login",
	"name", "first_name", "last_name", "full_name", "middle_name", "given_name", "family_name", "maiden_name",
	"display_name", "real_name", "screen_name", "nickname", "surname",
	"email", "mail", "email_address", "email_addr", "mail_address", "user_email",
	"work_email", "home_email", "contact_email", "customer_email",
	"phone", "phone_no", "phone_number", "telephone", "telephone_number", "tel", "mobile", "mobile_number", "mobile_phone",
	"cell_phone", "fax", "fax_number",
	"ssn", "social_security", "social_security_number", "national_id", "passport", "passport_number", "tax_id", "driving_licence",
	"birthday", "birthdate", "date_of_birth", "dob", "gender",
	"credit_card", "card_number", "iban", "bank_account",
	// Which machine somebody uses.
	"ip", "ip_address", "ip_addresses", "ip_addr", "ipv4", "ipv6", "ipv4_address", "ipv6_address", "client_ip", "user_ip", "remote_ip",
	"source_ip", "public_ip", "peer_ip", "net_peer_ip", "real_ip", "x_real_ip", "remote_addr", "remote_address", "client_addr",
	"client_address", "peer_address", "x_forwarded_for", "forwarded_for",
	"device_id", "device_name", "machine_id", "hardware_id", "mac_address", "mac_addr", "imei", "imsi", "iccid",
	"advertising_id", "android_id", "idfa", "gaid", "fingerprint", "device_fingerprint", "browser_fingerprint",
	// What somebody proves to be themselves with.
	"cookie", "cookies", "set_cookie", "token", "access_token", "auth_token", "bearer_token", "refresh_token", "session_token",
	"id_token", "jwt", "api_key", "x_api_key", "private_key", "authorization", "credentials", "secret", "client_secret",
	"password", "passwd", "passphrase", "pwd",
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

// foldName appends the letters and digits of name, in lower case. It stops
// when the result is longer than any listed name.
func foldName(dst, name []byte) []byte {
	const enough = 32
	for i := 0; i < len(name) && len(dst) < enough; {
		c := name[i]
		switch {
		case c >= 'A' && c <= 'Z':
			dst = append(dst, c|0x20)
		case c >= 'a' && c <= 'z' || isDigit(c):
			dst = append(dst, c)
		case c < utf8.RuneSelf:
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

// appendFolded folds a rune outside ASCII: full-width letters become plain
// ones, letters that only differ in case from an ASCII one (ſ, the Kelvin sign)
// become that, and what is no letter or digit vanishes, also what cannot be
// seen.
func appendFolded(dst []byte, r rune) []byte {
	if isFullWidth(r) {
		return foldName(dst, []byte{byte(r - fullWidth)}) //nolint:gosec // ASCII
	}
	if !unicode.IsLetter(r) && !unicode.IsNumber(r) || isFiller(r) {
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
// personal data: an e-mail address, a network address, a pair of coordinates or
// a telephone number. The text is judged as it is and, where characters may
// stand for others, as what they stand for. The rules, each with what it lets
// pass:
//
//   - E-mail: something@host.letters. A package@1.2.3 passes.
//   - IPv4: four numbers up to 255 between dots; or between dashes or
//     underscores, if one has three digits. Three or five pass, so that a
//     version such as 1.23.0 does; one of four such numbers is refused.
//   - IPv6: any text form of RFC 4291 of whole words, between characters that
//     are no letters or digits, with two words at least and a digit among
//     them, or with three. Foo::Bar, Error::404 and std::bad_alloc pass.
//   - Hardware addresses: six pairs of hexadecimal digits with a letter among
//     them, between colons or dashes. Twelve digits on end pass.
//   - Coordinates: two decimal fractions in range with a comma, semicolon or
//     space between them, with : / _ | when both have two decimals or more,
//     and with anything short when both have three; a fraction of three
//     decimals and a whole number with a comma; two values of degrees and
//     minutes with hemispheres; a full plus code. A single value passes, and
//     so do whole degrees.
//   - Telephone: + with 7 to 15 digits; 10 to 15 digits on end; the usual
//     groups of digits of several countries; groups that begin with a 0 and
//     have 9 to 12 digits. A date (2026-11-23), a time beside one, and 8 digits
//     pass.
func PersonalValue(text string) (looksLike Personal, personal bool) {
	return personalValue([]byte(text))
}

// maxDisguises is how many disguises of a kind may lie over each other.
const maxDisguises = 3

func personalValue(text []byte) (Personal, bool) {
	seen := countCharacters(text)
	looksLike, personal := judgePlain(text, seen)
	if personal || !seen.mayBeDisguised(text) {
		return looksLike, personal
	}
	for range maxDisguises {
		unwrapped := unwrap(text)
		if looksLike, personal = judgePlain(unwrapped, countCharacters(unwrapped)); personal {
			break
		}
		unveiled := unveil(unwrapped)
		if looksLike, personal = judgePlain(unveiled, countCharacters(unveiled)); personal || bytes.Equal(unveiled, text) {
			break
		}
		text = unveiled
	}
	return looksLike, personal
}

// judgePlain takes every character for what it is.
func judgePlain(text []byte, seen characters) (Personal, bool) {
	switch {
	case seen.at > 0 && emailPattern.Match(text):
		return PersonalEmail, true
	case seen.digits >= 4 && (seen.dots >= 3 || seen.joins >= 3) && holdsIPv4(text):
		return PersonalIP, true
	case seen.colons >= 2 && holdsIPv6(text):
		return PersonalIP, true
	case seen.colons+seen.joins >= 5 && holdsHardwareAddress(text):
		return PersonalIP, true
	case seen.digits >= 4 && (seen.dots >= 1 || seen.others) && holdsCoordinates(text):
		return PersonalCoordinates, true
	case seen.digits >= 8 && holdsDegrees(text), seen.pluses > 0 && holdsPlusCode(text):
		return PersonalCoordinates, true
	case seen.digits >= 7 && holdsPhone(text):
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
	// others says that there are commas or characters outside ASCII, which
	// stand in coordinates; disguises that some may stand for others.
	others, disguises bool
}

func countCharacters(text []byte) (c characters) {
	for _, b := range text {
		switch {
		case isDigit(b):
			c.digits++
		case b == '.':
			c.dots++
		case b == '@':
			c.at++
		case b == ':':
			c.colons++
		case b == '+':
			c.pluses++
		case b == ' ':
			c.spaces++
		case b == '-' || b == '_':
			c.joins++
		case b == ',':
			c.others = true
		case b == '%' || b == '&' || b == '\\' || b == '[' || b == '(' || b == '{' || b == '<' || b < ' ' || b == 0x7f:
			c.disguises = true
		case b >= utf8.RuneSelf:
			c.others, c.disguises = true, true
		}
	}
	return c
}

var emailPattern = regexp.MustCompile(`[^\s@<>"(),;:](?:@|\s@\s)(?:[\p{L}\p{N}_-]+\.)+\p{L}{2,}`)

var (
	dottedPattern = regexp.MustCompile(`[0-9]+(?:\.[0-9]+)+`)
	joinedPattern = regexp.MustCompile(`[0-9]+(?:-[0-9]+)+|[0-9]+(?:_[0-9]+)+`)
)

func holdsIPv4(text []byte) bool {
	for _, run := range dottedPattern.FindAll(text, -1) {
		if areOctets(bytes.Split(run, []byte{'.'})) {
			return true
		}
	}
	for _, at := range joinedPattern.FindAllIndex(text, -1) {
		octets := bytes.FieldsFunc(text[at[0]:at[1]], func(r rune) bool { return r == '-' || r == '_' })
		if at[0] > 0 && isWord(text[at[0]-1]) {
			octets = octets[1:] // it ends a word, such as ec2
		}
		long := slices.ContainsFunc(octets, func(octet []byte) bool { return len(octet) == 3 })
		fraction := at[0] > 0 && text[at[0]-1] == '.'
		if long && areOctets(octets) && !fraction && (at[1] == len(text) || !isWord(text[at[1]])) {
			return true
		}
	}
	return false
}

func areOctets(parts [][]byte) bool {
	for _, part := range parts {
		if n, err := strconv.Atoi(string(part)); err != nil || len(part) > 3 || n > 255 {
			return false
		}
	}
	return len(parts) == 4
}

var (
	colonPattern  = regexp.MustCompile(`[0-9A-Fa-f:]+:[0-9A-Fa-f:.]*`)
	colonsPattern = regexp.MustCompile(`:{3,}`)
)

// longestIPv6 is the length of the longest text form.
const longestIPv6 = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")

// holdsIPv6 tries every part of a run of hexadecimal words and colons that
// begins and ends with a whole word.
func holdsIPv6(text []byte) bool {
	if bytes.Contains(text, []byte(":::")) {
		text = colonsPattern.ReplaceAll(text, []byte("::|::")) // no address holds three
	}
	for _, at := range colonPattern.FindAllIndex(text, -1) {
		for start := at[0]; start < at[1]; start++ {
			if text[start] == ':' && !bytes.HasPrefix(text[start+1:], []byte{':'}) {
				continue
			}
			for end := min(at[1], start+longestIPv6); end-start > len("::"); end-- {
				if standsAlone(text, start, end) && isIPv6(text[start:end]) {
					return true
				}
			}
		}
	}
	return false
}

func isIPv6(text []byte) bool {
	// Most of what has colons is seen to be no address at once.
	if gaps := bytes.Count(text, []byte("::")); gaps > 1 || gaps == 0 && bytes.Count(text, []byte{':'}) < 6 {
		return false
	}
	words := bytes.FieldsFunc(text, func(r rune) bool { return r == ':' })
	if len(words) < 2 && string(text) != "::1" || len(words) < 3 && !bytes.ContainsAny(text, "0123456789") {
		return false
	}
	address, err := netip.ParseAddr(string(text))
	return err == nil && address.Is6()
}

var hardwarePattern = regexp.MustCompile(`(?:^|[^0-9A-Za-z:-])((?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{2}-){5}[0-9A-Fa-f]{2})(?:[^0-9A-Za-z:-]|$)`)

func holdsHardwareAddress(text []byte) bool {
	match := hardwarePattern.FindSubmatch(text)
	return match != nil && bytes.ContainsAny(match[1], "abcdefABCDEF")
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
	commaPattern   = regexp.MustCompile(`(?:^|[^0-9])([-+]?[0-9]{1,3},[0-9]{4,})(?:,\s|[\s;/])\s*([-+]?[0-9]{1,3},[0-9]{4,})`)
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
	case string(between) == "!4d": // what maps of Google write between them
		return true
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

var plusCodePattern = regexp.MustCompile(`(?:^|[^0-9A-Za-z])([23456789CFGHJMPQRVWX]{8})\+[23456789CFGHJMPQRVWX]{2,3}(?:[^0-9A-Za-z]|$)`)

// holdsPlusCode looks for a full plus code, which has a letter where a sum has
// none.
func holdsPlusCode(text []byte) bool {
	match := plusCodePattern.FindSubmatch(text)
	return match != nil && bytes.ContainsAny(match[1], "CFGHJMPQRVWX")
}

var (
	phonePattern     = regexp.MustCompile(`\+?[0-9(][0-9().\s/-]*[0-9]`)
	timesEndPattern  = regexp.MustCompile(`^[0-5][0-9](?:[^0-9(]+|$)`)
	wordPattern      = regexp.MustCompile(`[^\s]+`)
	callPattern      = regexp.MustCompile(`(?i)(?:tel|phone|mobile|cell|fax|call|sms|whatsapp)$`)
	extensionPattern = regexp.MustCompile(`(?i)^(?:x|ext)[0-9]`)
)

// longestPhone is how long a number with spaces may be.
const longestPhone = 40

// holdsPhone looks at runs of digits, brackets and separators: at a whole run,
// at each part of it between spaces, and from a part with + or ( on, up to any
// other.
func holdsPhone(text []byte) bool {
	if bytes.IndexByte(text, '_') >= 0 && holdsPhone(bytes.ReplaceAll(text, []byte{'_'}, []byte{'-'})) {
		return true
	}
	for _, run := range phonePattern.FindAllIndex(text, -1) {
		run[0] += timesEnd(text, run[0], run[1])
		if standsAsPhone(text, run[0], run[1]) {
			return true
		}
		parts := wordPattern.FindAllIndex(text[run[0]:run[1]], -1)
		for i, part := range parts {
			start := run[0] + part[0]
			opens := text[start] == '+' || text[start] == '('
			for j := i; j < len(parts) && (j == i || opens && parts[j][1]-part[0] <= longestPhone); j++ {
				if j > i && text[run[0]+parts[j][0]] == text[start] {
					break // another number opens
				}
				if standsAsPhone(text, start, run[0]+parts[j][1]) {
					return true
				}
			}
		}
	}
	return false
}

// timesEnd returns the length of the end of a time, minutes or seconds, with
// which text[start:end] begins, and of what parts it from the rest. Taken for
// the 00 before a country, it would make telephone numbers of dates.
func timesEnd(text []byte, start, end int) int {
	if start < 2 || text[start-1] != ':' || !isDigit(text[start-2]) {
		return 0
	}
	return len(timesEndPattern.Find(text[start:end]))
}

// longestCall is the length of the longest word that announces a number, in
// which a long s counts as s.
const longestCall = len("whatſapp")

// standsAsPhone reports whether text[start:end] is a telephone number and no
// part of a longer word, but for words that announce one and for extensions.
func standsAsPhone(text []byte, start, end int) bool {
	return (start == 0 || !isWord(text[start-1]) || callPattern.Match(text[max(0, start-longestCall):start])) &&
		(end == len(text) || !isWord(text[end]) || extensionPattern.Match(text[end:])) &&
		isPhone(text[start:end])
}

// isPhone judges a run of digits, brackets and separators. The lengths are
// those of ITU-T E.164: at most 15 digits.
func isPhone(run []byte) bool {
	groups := bytes.FieldsFunc(run, func(r rune) bool { return r < '0' || r > '9' })
	digits := 0
	for _, g := range groups {
		digits += len(g)
	}
	switch {
	case digits == 0:
		return false // a part of nothing but brackets and dashes
	case run[0] == '+':
		return digits >= 7 && digits <= 15
	case isDialled(groups, digits):
		return true
	}
	trunk := len(groups) > 1 && len(groups[0]) == 1 && bytes.ContainsAny(groups[0], "018")
	if trunk {
		groups = groups[1:]
	}
	if len(groups) == 1 {
		return digits >= 10 && digits <= 15
	}
	return isLocal(groups, run[0] == '(', trunk || run[0] == '(' || bytes.IndexByte(run, '-') >= 0)
}

// isDialled reports whether groups begin with what is dialled before an area or
// a country.
func isDialled(groups [][]byte, digits int) bool {
	first := string(groups[0])
	switch {
	case len(groups) < 2 || digits < 9:
		return false
	case first == "011", first == "00" && groups[1][0] != '0':
		return digits <= 18
	case len(first) > 2 && first[:2] == "00" && first[2] != '0' && digits > 12:
		zeros := func(g []byte) bool { return bytes.HasPrefix(g, []byte("00")) }
		return digits <= 17 && !slices.ContainsFunc(groups[1:], zeros)
	default:
		return len(first) >= 2 && first[0] == '0' && digits <= 12
	}
}

// isLocal reports whether groups are as in one of the countries that write them
// in a way of their own; some only count where brackets or dashes make clear
// that these are no numbers in a list.
func isLocal(groups [][]byte, bracket, isClear bool) bool {
	switch {
	case isGrouped(groups, 3, 3, 4), isGrouped(groups, 3, 7):
		return true
	case isGrouped(groups, 3, 3, 2, 2):
		return isClear
	case isGrouped(groups, 3, 4, 4):
		return groups[0][0] == '1' && groups[0][1] >= '3'
	default:
		return bracket && (isGrouped(groups, 2, 4, 4) || isGrouped(groups, 2, 5, 4))
	}
}

func isGrouped(groups [][]byte, lengths ...int) bool {
	return slices.EqualFunc(groups, lengths, func(g []byte, length int) bool { return len(g) == length })
}
