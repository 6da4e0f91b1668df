package domain

import (
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// The names of members that mean personal data: a list, and its relatives. A
// relative is made of known words alone: a listed name, what may stand before
// and behind it, numbers, and the plural.

// plainNames mean personal data with any of their relatives.
const plainNames = `
latitude longitude lat lon lng lat_lon lat_lng lat_long lon_lat lng_lat long_lat lat_min lat_max min_lat max_lat lon_min lon_max min_lon max_lon
lng_min lng_max min_lng max_lng coord coords coordinate coordinates geo geohash geojson geolocation geo_point gps gps_coordinates
gps_location plus_code what3words location location_name current_location home_location user_location user_loc home_loc current_loc
place place_name address addr address_line street street_address street_name house_number home_address postal_address geo_lat geo_lon
geo_lng geo_latitude geo_longitude gps_lat gps_lon home_lat home_lon coords_latitude coords_longitude location_lat location_lon
location_lng location_latitude location_longitude city cities city_name zipcode postal_code postcode
user_id username user_info user_data account_id account_name account_number customer_id first_name last_name full_name middle_name
given_name family_name maiden_name display_name real_name screen_name nickname surname email email_address email_addr mail_address
user_email work_email home_email contact_email customer_email phone phone_no phone_number telephone telephone_number mobile_number
mobile_phone cell_phone fax_number ssn social_security social_security_number national_id passport passport_number tax_id
driving_licence birthday birthdate date_of_birth dob credit_card card_number iban bank_account
ip ip_address ip_addresses ip_addr ipv4 ipv6 ipv4_address ipv6_address client_ip user_ip remote_ip source_ip public_ip peer_ip
net_peer_ip real_ip x_real_ip remote_addr remote_address client_addr client_address peer_address x_forwarded_for forwarded_for
hostname remote_host client_host peer_host computer_name machine_name user_agent
device_id device_name machine_id hardware_id mac_address mac_addr imei imsi iccid advertising_id android_id idfa gaid
device_fingerprint browser_fingerprint
set_cookie access_token auth_token bearer_token refresh_token session_token id_token api_key x_api_key private_key client_secret
password passwd passphrase pwd
phone_num house_no mobile_no mobile_num tel_no tel_num tel_number cell_no cell_number fax_no postal mac_id server_ip coord_x coord_y
coords_x coords_y session_cookie cookie_value workplace_address`

// ambiguousNames often mean something else beside other words, as tool_name
// does. Their relatives are those of a person: user_account, name2, token_hash.
const ambiguousNames = `
zip user account login name mail tel mobile fax gender token cookie cookies jwt authorization credentials secret fingerprint`

// loneNames mean personal data by themselves or numbered, and with a listed
// name: more often than not, their relatives are those of machines.
const loneNames = `state state_code state_name home_state billing_state shipping_state`

// The words that may stand beside a listed name.
const (
	// ownerWords say whose it is. They stand before every name.
	ownerWords = `user usr my home customer cust person personal contact owner author sender recipient receiver reporter subscriber
guest visitor patient employee staff student passenger driver work office billing shipping delivery mailing birth residential
residence emergency admin private`
	// whichWords say which of several it is. They stand before plain names.
	whichWords = `current cur last latest first second third previous prev next primary secondary main alternate alternative default
saved favorite favourite known selected chosen requested resolved geocoded reverse start end begin from to origin orig destination
dest departure arrival src source target pickup dropoff center centre north south east west northeast northwest southeast southwest
ne nw se sw map marker point pin waypoint stop local remote client peer caller device exact precise approximate approx full raw old
new actual true given entered real public internal external station nearest
search query input position pos x arg args param params browser reply cc bcc the`
	// machineWords stand before what belongs to a machine, as net and node do.
	machineWords = `proxy forwarded lan wan wifi wlan ethernet eth machine computer node router gateway request requester http host net
vpn tunnel nat`
	// formWords say in what form it is. They stand behind plain names.
	formWords = `value values val vals text txt str string raw data info list array field input param parameter query arg encoded encrypted
masked plain e5 e6 e7 deg degs degree degrees dec decimal rad radians float double int start end from to origin orig destination dest
north south east west ne nw se sw center centre point pt pair no nr number code full short exact
line v4 v6`
	// idWords make an identifier of it. They stand behind every name.
	idWords = `id ids uid uuid guid hash hashed md5 sha sha1 sha256`
	// otherWords are made of known words and mean something else.
	otherWords = `users accounts tokens logins workplace workplaces`
	// unmistakable words mean personal data among whatever others, as in
	// pickup_point_latitude, unless these measure it.
	unmistakable = `latitude longitude latlon latlng lonlat lnglat geolocation geohash emailaddress ipaddress macaddress phonenumber
postalcode streetaddress homeaddress`
	// measuringBefore and measuringBehind make a measure of an unmistakable name.
	measuringBefore = `has is no num n count with without missing invalid valid requires needs uses`
	measuringBehind = `count counts total length len size type kind format precision accuracy resolution status valid validity enabled required
allowed present missing invalid verified error errors sent supported source provider version family units unit step range band
provided`
)

// personalNames lists the names as people write them.
var personalNames = slices.Concat(strings.Fields(plainNames), strings.Fields(ambiguousNames), strings.Fields(loneNames))

// role is what a known word is for in a name.
type role uint16

const (
	rolePlain role = 1 << iota
	roleAmbiguous
	roleLone
	roleOwner
	roleWhich
	roleMachine
	roleForm
	roleID
	roleOther
	// roleNetwork marks the listed names that machineWords may stand before.
	roleNetwork

	roleListed = rolePlain | roleAmbiguous | roleLone
)

// networkNames are those of the plain names that a machine has.
const networkNames = `ip ip_address ip_addresses ip_addr ipv4 ipv6 ipv4_address ipv6_address hostname mac_address mac_addr address addr user_agent`

// wordTree finds the longest known word at a place: a tree of the characters
// [a-z0-9], in which each node has its children's indexes.
type wordTree []wordNode

type wordNode struct {
	next   [36]uint16
	role   role
	listed uint16 // 1 + the index in personalNames
}

var (
	knownWords = growKnownWords()
	clearWords = growTree(map[string]role{}, strings.Fields(unmistakable)...)
)

func growKnownWords() wordTree {
	roles := make(map[string]role)
	for words, r := range map[string]role{
		plainNames: rolePlain, ambiguousNames: roleAmbiguous, loneNames: roleLone, ownerWords: roleOwner, whichWords: roleWhich,
		machineWords: roleMachine, formWords: roleForm, idWords: roleID, otherWords: roleOther, networkNames: roleNetwork,
	} {
		for word := range strings.FieldsSeq(words) {
			roles[strings.ReplaceAll(word, "_", "")] |= r
		}
	}
	return growTree(roles)
}

// growTree makes a tree of words with their roles, and of plain ones.
func growTree(roles map[string]role, plain ...string) wordTree {
	tree := make(wordTree, 1, 2048)
	for _, word := range plain {
		roles[word] |= rolePlain
	}
	for word, r := range roles {
		node := uint16(0)
		for _, c := range []byte(word) {
			i := letterIndex(c)
			if tree[node].next[i] == 0 {
				tree[node].next[i] = uint16(len(tree)) //nolint:gosec // a few thousand
				tree = append(tree, wordNode{})
			}
			node = tree[node].next[i]
		}
		tree[node].role = r
		for i, name := range personalNames {
			if strings.ReplaceAll(name, "_", "") == word {
				tree[node].listed = uint16(i + 1)
			}
		}
	}
	return tree
}

// letterIndex is -1 for what is in no known word.
func letterIndex(c byte) int {
	switch {
	case c >= 'a' && c <= 'z':
		return int(c - 'a')
	case isDigit(c):
		return int(c-'0') + 26
	default:
		return -1
	}
}

// longest returns the node of the longest word with which text begins, and its
// length; 0 when there is none.
func (tree wordTree) longest(text []byte) (found *wordNode, length int) {
	node := uint16(0)
	for i, c := range text {
		letter := letterIndex(c)
		if letter < 0 {
			break
		}
		if node = tree[node].next[letter]; node == 0 {
			break
		}
		if tree[node].role != 0 {
			found, length = &tree[node], i+1
		}
	}
	return found, length
}

// PersonalNames lists the member names that make an event be refused, in their
// usual spelling. Their relatives are refused as well: see [PersonalName].
func PersonalNames() []string { return append([]string(nil), personalNames...) }

// PersonalName reports whether a member of that name means personal data, and
// returns the listed name that it equals or is a relative of: in plural,
// numbered, or with known words before or behind it, as in emails, address1,
// userLat and latitudeE7.
func PersonalName(name string) (listed string, personal bool) {
	return personalName(foldName(nil, []byte(name)))
}

// longestName is how many letters and digits of a name are looked at. Longer
// names are no relatives of a listed one.
const longestName = 64

// personalName judges a folded name.
func personalName(folded []byte) (listed string, personal bool) {
	if len(folded) < len("ip") || len(folded) > longestName {
		return "", false
	}
	if listed, personal = relative(folded); personal {
		return listed, true
	}
	return unmistakableIn(folded)
}

// relative reads a folded name as a row of known words, each the longest that
// stands next.
func relative(folded []byte) (listed string, personal bool) {
	var seen nameWords
	for i := 0; i < len(folded); {
		word, length := knownWords.longest(folded[i:])
		switch {
		case word != nil:
			if !seen.add(word) {
				return "", false
			}
			i += length
			seen.mayBePlural = word.role&roleListed != 0
			continue
		case isDigit(folded[i]):
			i++
		case seen.mayBePlural && folded[i] == 's':
			i++
		case seen.mayBePlural && folded[i] == 'e' && i+1 < len(folded) && folded[i+1] == 's':
			i += 2
		default:
			return "", false
		}
		seen.mayBePlural = false
	}
	return seen.verdict()
}

// nameWords is what has been read of a name.
type nameWords struct {
	// first is the first listed name, owner that of an owner who is listed
	// too, such as user.
	first, owner uint16
	words        int
	roles        role
	// limits are the roles of words that not every listed name has beside it.
	limits role
	// mayBePlural says that the last word was a listed name, open that it was
	// one that another listed name must follow.
	mayBePlural, open bool
}

// add takes the next word, and reports whether the name can still be personal.
func (n *nameWords) add(word *wordNode) bool {
	n.words++
	r := word.role
	switch {
	case r&roleOther != 0:
		return false
	case r&roleListed != 0 && (r&roleOwner == 0 || n.first != 0):
		if n.first == 0 {
			n.first = word.listed
		}
		n.roles |= r & (roleListed | roleNetwork)
		n.open = false
	case n.first != 0 && r&(roleForm|roleID) != 0:
		n.limits |= r & roleForm
	case n.first != 0:
		n.open = true
	case r&roleOwner != 0:
		if r&roleListed != 0 {
			n.owner = word.listed
		}
	case r&(roleWhich|roleMachine) != 0:
		n.limits |= r & (roleWhich | roleMachine)
	case r&roleID != 0 && n.owner != 0:
	default:
		return false
	}
	return true
}

func (n *nameWords) verdict() (listed string, personal bool) {
	if n.first == 0 && n.owner != 0 {
		n.first, n.roles = n.owner, roleAmbiguous
	}
	if n.first == 0 || n.open {
		return "", false
	}
	listed = personalNames[n.first-1]
	switch {
	case n.limits&roleMachine != 0 && n.roles&roleNetwork == 0:
		return "", false
	case n.roles&rolePlain != 0:
		return listed, true
	case n.roles&roleLone != 0:
		return listed, n.words == 1
	default:
		return listed, n.limits == 0
	}
}

// unmistakableIn looks for an unmistakable name among unknown words.
func unmistakableIn(folded []byte) (listed string, personal bool) {
	for i := range folded {
		word, length := clearWords.longest(folded[i:])
		if word == nil {
			continue
		}
		if measures(folded[:i], folded[i+length:]) {
			return "", false
		}
		return personalNames[word.listed-1], true
	}
	return "", false
}

var (
	wordsBefore = strings.Fields(measuringBefore)
	wordsBehind = strings.Fields(measuringBehind)
)

// measures reports whether a name begins or ends with a word that makes a
// measure of what is between.
func measures(before, behind []byte) bool {
	return slices.Contains(wordsBefore, string(before)) ||
		slices.ContainsFunc(wordsBehind, func(word string) bool { return strings.HasSuffix(string(behind), word) })
}

// foldName appends the letters and digits of name, in lower case. It stops
// when the result is longer than what is looked at.
func foldName(dst, name []byte) []byte {
	for i := 0; i < len(name) && len(dst) <= longestName; {
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
	near := nearFolded()
	if int(r) >= len(near) {
		r = foldRune(r)
	} else {
		r = rune(near[r])
	}
	if r == 0 {
		return dst
	}
	return utf8.AppendRune(dst, r)
}

// nearFolded has what foldRune gives for the characters of at most three bytes,
// which are looked up at once.
var nearFolded = sync.OnceValue(func() *[1 << 16]uint16 {
	near := new([1 << 16]uint16)
	for r := range near {
		near[r] = uint16(foldRune(rune(r)))
	}
	return near
})

// foldRune gives the lower case of the lowest character that differs from r in case
// alone, and 0 for any sign that is neither letter nor number.
func foldRune(r rune) rune {
	if !unicode.IsLetter(r) && !unicode.IsNumber(r) || isFiller(r) {
		return 0
	}
	lowest := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		lowest = min(lowest, f)
	}
	return unicode.ToLower(lowest)
}
