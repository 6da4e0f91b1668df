package domain

import "bytes"

// isOctet reports whether a number may be one of the four of an IPv4 address.
func (n *figure) isOctet() bool { return n.length() <= 3 && n.value <= 255 }

// isPort reports whether a number behind four octets is that of a port and can
// be no octet, or is one of the ports that services have most.
func (n *figure) isPort() bool {
	if n.length() > 5 || n.value > 65535 {
		return false
	}
	switch n.value {
	case 21, 22, 25, 53, 80:
		return true
	default:
		return n.value > 255
	}
}

// holdsIPv4 looks at each chain of numbers with the same sign between: a dot,
// dash, underscore or colon.
func (s *scan) holdsIPv4(version bool) bool {
	for i := 0; i < len(s.numbers); {
		j, separator := i+1, s.numbers[i].gap
		for j+1 < len(s.numbers) && s.numbers[j].gap == separator {
			j++
		}
		if j == len(s.numbers) || !isJoin(separator) {
			i++
			continue
		}
		if j-i >= 3 && (s.chainHoldsIPv4(i, j, separator, version) || s.areHardware(i, j, separator)) {
			return true
		}
		i = j
	}
	return false
}

// holdsSpacedIPv4 reports whether the four numbers of a text have a comma or a
// space between each, and begin as private, loopback and link-local addresses do.
// Such a list is an address more often.
func (s *scan) holdsSpacedIPv4() bool {
	separator := s.numbers[0].gap
	if separator != ' ' && separator != ',' {
		return false
	}
	for i := range s.numbers {
		if n := &s.numbers[i]; !n.isOctet() || i < 3 && n.gap != separator {
			return false
		}
	}
	switch a, b, c := s.numbers[0].value, s.numbers[1].value, s.numbers[2].value; a {
	case 192:
		return b == 168
	case 172:
		return b >= 16 && b <= 31
	case 169:
		return b == 254
	default:
		return a == 127 && b == 0 && c == 0
	}
}

// areHardware reports whether the numbers from i to j, which colons join, are six
// pairs that stand alone and are no date and time.
func (s *scan) areHardware(i, j int, separator byte) bool {
	if separator != ':' || j-i != 5 {
		return false
	}
	pairs := s.numbers[i : j+1]
	for k := range pairs {
		if pairs[k].length() != 2 {
			return false
		}
	}
	before, behind := s.at(pairs[0].start-1), s.at(pairs[5].end)
	if isWord(before) || before == ':' || isWord(behind) || behind == ':' {
		return false
	}
	return !isDate(2000+pairs[0].value, pairs[1].value, pairs[2].value) || pairs[3].value > 23 || pairs[4].value > 59 || pairs[5].value > 59
}

// chainHoldsIPv4 looks at each row of octets in a chain, from number i to j.
func (s *scan) chainHoldsIPv4(i, j int, separator byte, version bool) bool {
	if start := s.numbers[i].start; separator != '.' && s.at(start-1) == '.' && isDigit(s.at(start-2)) {
		i++ // a fraction, or the end of a version
	}
	if separator != '.' && s.endsWord(i) {
		i++ // such as that of ec2
	}
	for first := i; first+3 <= j; {
		if !s.numbers[first].isOctet() {
			first++
			continue
		}
		last := first
		for last < j && s.numbers[last+1].isOctet() {
			last++
		}
		if last-first >= 3 && s.areIPv4(octets{first, last, first > i, last < j, separator}, version) {
			return true
		}
		first = last + 1
	}
	return false
}

// endsWord reports whether number i ends a word, and is neither as long as
// numbers are in addresses alone nor behind a word that announces an address.
func (s *scan) endsWord(i int) bool {
	n := &s.numbers[i]
	return n.start > 0 && isWord(s.text[n.start-1]) && n.length() < 3 &&
		!isOneOf(s.wordBefore(n.start, 0, ""), addressWords)
}

// octets is a row of four octets or more: the numbers from first to last.
type octets struct {
	first, last int
	// behind and before say that the chain has a number before and behind the
	// row, which is no octet.
	behind, before bool
	separator      byte
}

func (s *scan) areIPv4(row octets, version bool) bool {
	count := row.last - row.first + 1
	port := row.before && s.numbers[row.last+1].isPort()
	if count == 5 && !row.before && s.numbers[row.last].isPort() {
		count, port = 4, true
	}
	switch {
	case count > 4:
		return s.holdsKnownNetwork(row)
	case row.separator != '.':
		return s.isJoinedIPv4(row, port)
	case version && s.isVersion(row.first), !row.before && s.isBuild(row):
		return false
	case !row.behind && (!row.before || port):
		return count == row.last-row.first+1 || s.longOctets(row.first) > 0
	default:
		return s.longOctets(row.first) > 0
	}
}

// buildWords stand behind the version of a kernel or another build.
var buildWords = newWordSet("microsoft standard generic lowlatency azure aws gcp gke oracle cloud kvm raspi amd64 arm64 lts alpha beta rc release final snapshot build")

// isBuild reports whether four numbers are a version that begins below 10 and
// has a word of a build behind it.
func (s *scan) isBuild(row octets) bool {
	end := s.numbers[row.last].end
	if s.numbers[row.first].value >= 10 || s.at(end) != '-' && s.at(end) != '_' {
		return false
	}
	word, _ := cutWord(s.text[end+1:])
	return isOneOf(word, buildWords)
}

// isVersion is the border between versions and addresses: see PersonalVersion.
func (s *scan) isVersion(first int) bool {
	if s.numbers[first].value < 10 {
		return true
	}
	for _, n := range s.numbers[first : first+4] {
		if n.value >= 100 {
			return false
		}
	}
	return s.numbers[first].value != 10
}

// isJoinedIPv4 judges four octets between dashes, underscores or colons, which
// lists, dates and times have as well.
func (s *scan) isJoinedIPv4(row octets, port bool) bool {
	four := s.numbers[row.first : row.first+4]
	if behind := s.numbers[row.last]; !row.before && isWord(s.at(behind.end)) {
		return false
	}
	if isOneOf(s.wordBefore(four[0].start, 2, "_-:.= "), addressWords) {
		return true
	}
	switch {
	case four[0].value == 0: // an address begins with 0 in no network
		return false
	case row.behind && isDate(s.numbers[row.first-1].value, four[0].value, four[1].value):
		return false
	case four[0].value == 10 && port && row.before, four[0].value == 10 && !row.before && isInternal(s.text[four[3].end:]):
		return true
	case s.longOctets(row.first) == 0:
		return false
	default:
		return !s.isTime(row, four)
	}
}

// isInternal reports whether text begins with a dot and goes on as the name of a
// host in the domain internal does, which clouds give to their machines.
func isInternal(text []byte) bool {
	const longest, domain = 48, ".internal"
	text = text[:min(len(text), longest)]
	end := 0
	for end < len(text) && (text[end] == '.' || text[end] == '-' || isAlphanumeric(text[end])) {
		end++
	}
	return end >= len(domain) && text[0] == '.' && bytes.EqualFold(text[end-len(domain):end], []byte(domain))
}

// isTime reports whether four octets may be hours, minutes, seconds and
// milliseconds: between colons, or behind a date.
func (s *scan) isTime(row octets, four []figure) bool {
	if four[0].value > 23 || four[1].value > 59 || four[2].value > 59 ||
		four[0].length() > 2 || four[1].length() > 2 || four[2].length() > 2 {
		return false
	}
	if row.separator == ':' {
		return true
	}
	if row.first < 3 {
		return false
	}
	year, month, day := s.numbers[row.first-3], s.numbers[row.first-2], s.numbers[row.first-1]
	return isDate(year.value, month.value, day.value) && len(s.gap(row.first-1)) == 1
}

// isDate reports whether the numbers are a day of the years 1900 to 2099.
func isDate(year, month, day int) bool {
	return year >= 1900 && year <= 2099 && month >= 1 && month <= 12 && day >= 1 && day <= 31
}

// longOctets counts those of four octets that have three digits.
func (s *scan) longOctets(first int) (long int) {
	for _, n := range s.numbers[first : first+4] {
		if n.length() == 3 {
			long++
		}
	}
	return long
}

// holdsKnownNetwork looks in a longer row for four octets of a network that
// has its numbers for itself: private, link-local or for documentation.
func (s *scan) holdsKnownNetwork(row octets) bool {
	for i := row.first; i+3 <= row.last; i++ {
		a, b, c := s.numbers[i].value, s.numbers[i+1].value, s.numbers[i+2].value
		switch {
		case a == 192 && b == 168, a == 169 && b == 254, a == 172 && b >= 16 && b <= 31,
			a == 192 && b == 0 && c == 2, a == 198 && b == 51 && c == 100, a == 203 && b == 0 && c == 113:
			return true
		}
	}
	return false
}

// addressWords announce a network address.
var addressWords = newWordSet(`ip ips ipv4 ipv addr address host hostname inet peer connect dial tcp udp dns gateway
econnrefused econnreset etimedout ehostunreach enetunreach econnaborted eaddrinuse eaddrnotavail ehostdown`)

// group is a word that may be one of an IPv6 or a hardware address.
type group struct {
	start, end int
	// hexadecimal says that it has at most four digits and no other letters;
	// letters and digits that there are such.
	hexadecimal, letters, digits bool
	// join is what joins it to the group before, once or, if double, twice; 0
	// when something else does.
	join   byte
	double bool
	// before and behind count the colons right before and right behind it.
	before, behind int
}

// hexadecimals looks for IPv6 and hardware addresses, group by group.
type hexadecimals struct {
	text   []byte
	groups []group
}

// mayBeHexadecimal decides in one pass whether holdsHexadecimal is worth a look:
// when two colons stand together, or one sign joins what may be an address.
func mayBeHexadecimal(text []byte) bool {
	var row joinedGroups
	for i := 0; i < len(text); {
		start, kinds, others := i, character(0), false
		for ; i < len(text); i++ {
			kind := kindsOf[text[i]]
			if kind&charWord == 0 {
				break
			}
			kinds |= kind
			others = others || kind&(charDigit|charHexadecimal) == 0
		}
		switch {
		case others || i-start > 4:
			if row.groups > 1 && row.mayBeAddress() {
				return true
			}
			if row.groups > 0 {
				row = joinedGroups{}
			}
		case i > start:
			row.add(text[start:i], kinds)
		}
		start = i
		for ; i < len(text) && !isA(text[i], charWord); i++ {
			if i > start && text[i] == ':' && text[i-1] == ':' {
				return true
			}
		}
		if row.groups == 0 {
			continue
		}
		sign, double := joinOf(text[start:i])
		if sign == 0 || sign != row.sign && row.groups > 1 {
			if row.groups > 1 && row.mayBeAddress() {
				return true
			}
			row = row.fromLast(sign)
		} else {
			row.sign = sign
		}
		if double {
			row.part()
		}
	}
	return row.mayBeAddress()
}

// joinedGroups is a row of groups that one sign joins.
type joinedGroups struct {
	sign   byte
	groups int
	// kinds has those of all characters, and long says that a group has more than
	// two.
	kinds character
	long  bool
	// pairs counts those at the end that are pairs, and letters says that these
	// have letters; hardware that there were six.
	pairs             int
	letters, hardware bool
	// enough is how many groups make an address of one of them, 0 for none.
	enough int
	double bool
	last   []byte
}

func (r *joinedGroups) add(group []byte, kinds character) {
	r.groups++
	r.kinds |= kinds
	r.long = r.long || len(group) > 2
	if len(group) == 2 {
		r.pairs++
		r.letters = r.letters || kinds&charHexadecimal != 0
		r.hardware = r.hardware || r.pairs >= 6 && r.letters
	} else {
		r.pairs, r.letters = 0, false
	}
	if least := leastBegun(group); least > 0 && (r.enough == 0 || r.groups+least-1 < r.enough) {
		r.enough = r.groups + least - 1
	}
	r.last = group
}

// part notes that two signs stand behind the last group.
func (r *joinedGroups) part() {
	r.pairs, r.letters = 0, false
	r.double = r.double || r.enough > 0
}

// fromLast is the row that begins with the last group of another, if a sign joins
// it to the next.
func (r *joinedGroups) fromLast(sign byte) (begun joinedGroups) {
	if sign != 0 && r.groups > 0 {
		kinds := character(0)
		for _, c := range r.last {
			kinds |= kindsOf[c]
		}
		begun.add(r.last, kinds)
		begun.sign = sign
	}
	return begun
}

// mayBeAddress reports whether a row, which ends here, may be or hold one.
func (r *joinedGroups) mayBeAddress() bool {
	switch {
	case r.hardware, r.sign == ':' && r.groups >= 8:
		return true
	case r.kinds&charHexadecimal == 0 || r.kinds&charDigit == 0:
		return false
	default:
		return r.groups == 8 && r.long || r.double || r.enough > 0 && r.groups >= r.enough
	}
}

// leastBegun is how many groups an address has at least that begins with one; 0
// when none does.
func leastBegun(group []byte) int {
	if len(group) != 4 {
		return 0
	}
	switch first := group[0] | 0x20; {
	case string(group) == "2001":
		return 3
	case group[0] == '2', group[0] == '3':
		return 5
	case first != 'f':
		return 0
	}
	switch group[1] | 0x20 {
	case 'e':
		return 3
	case 'c', 'd':
		return 5
	default:
		return 0
	}
}

// holdsHexadecimal looks for IPv6 and hardware addresses.
func (c *scanner) holdsHexadecimal(text []byte) bool {
	c.groups = readGroups(c.groups[:0], text)
	h := hexadecimals{text, c.groups}
	return h.holdsHardware() || h.holdsColons() || h.holdsJoined()
}

// readGroups appends the groups of a text.
func readGroups(to []group, text []byte) []group {
	previous := 0 // the end of the last group
	for i := 0; i < len(text); {
		if !isWord(text[i]) {
			i++
			continue
		}
		g := readGroup(text, i)
		i = g.end
		if n := len(to); n > 0 {
			to[n-1].behind = leading(text[previous:g.start])
			g.join, g.double = joinOf(text[previous:g.start])
		}
		for g.before < g.start-previous && text[g.start-1-g.before] == ':' {
			g.before++
		}
		to = append(to, g)
		previous = i
	}
	if n := len(to); n > 0 {
		to[n-1].behind = leading(text[previous:])
	}
	return to
}

func readGroup(text []byte, start int) group {
	g := group{start: start, end: start, hexadecimal: true}
	for ; g.end < len(text); g.end++ {
		switch kinds := kindsOf[text[g.end]]; {
		case kinds&charDigit != 0:
			g.digits = true
		case kinds&charHexadecimal != 0:
			g.letters = true
		case kinds&charWord != 0:
			g.hexadecimal = false
		default:
			g.hexadecimal = g.hexadecimal && g.end-start <= 4
			return g
		}
	}
	g.hexadecimal = g.hexadecimal && g.end-start <= 4
	return g
}

// joinOf reads what joins two groups: the sign, and whether it stands there
// twice; 0 for anything else.
func joinOf(gap []byte) (join byte, double bool) {
	switch {
	case len(gap) == 1 && isJoin(gap[0]):
		return gap[0], false
	case len(gap) == 2 && gap[0] == gap[1] && isJoin(gap[0]):
		return gap[0], true
	default:
		return 0, false
	}
}

// leading counts the colons with which a text begins.
func leading(text []byte) (colons int) {
	for colons < len(text) && text[colons] == ':' {
		colons++
	}
	return colons
}

// holdsHardware looks for six pairs with the same sign between and a letter
// among them, and no seventh.
func (h *hexadecimals) holdsHardware() bool {
	pairs, letters := 0, false
	for i := range h.groups {
		g := &h.groups[i]
		if !g.hexadecimal || g.end-g.start != 2 {
			pairs, letters = 0, false
			continue
		}
		if pairs == 0 || g.join == 0 || g.double || pairs > 1 && g.join != h.groups[i-1].join {
			pairs, letters = 0, false
		}
		pairs++
		letters = letters || g.letters
		if pairs == 6 && letters && !h.pairFollows(i) {
			return true
		}
	}
	return false
}

func (h *hexadecimals) pairFollows(i int) bool {
	if i+1 >= len(h.groups) {
		return false
	}
	g := h.groups[i+1]
	return g.hexadecimal && g.end-g.start == 2 && g.join == h.groups[i].join && !g.double
}

// holdsColons looks for the text forms of RFC 4291: eight groups, or fewer
// around two colons: three, or two with a digit among them, or ::1.
func (h *hexadecimals) holdsColons() bool {
	var row, before row
	for i := range h.groups {
		g := &h.groups[i]
		before = row
		row = row.with(g, i > 0 && g.join == ':' && !g.double)
		if row.length >= 8 || g.before >= 2 && h.isCompressed(before, i) || g.behind >= 2 && row.isTold() && !h.isJoined(i+1) {
			return true
		}
	}
	return false
}

// row is what is known of a row of groups with single colons between.
type row struct {
	length int
	digits bool
}

func (r row) with(g *group, joined bool) row {
	switch {
	case !g.hexadecimal:
		return row{}
	case joined:
		return row{r.length + 1, r.digits || g.digits}
	default:
		return row{1, g.digits}
	}
}

// isTold reports whether a row is enough beside two colons.
func (r row) isTold() bool { return r.length > 2 || r.length == 2 && r.digits }

// isJoined reports whether two colons and nothing else stand before group i.
func (h *hexadecimals) isJoined(i int) bool {
	return i < len(h.groups) && h.groups[i].join == ':' && h.groups[i].double
}

// isCompressed judges the groups around two colons or more before group i,
// behind a row.
func (h *hexadecimals) isCompressed(before row, i int) bool {
	behind := row{}
	for j := i; j < len(h.groups) && j < i+3 && (j == i || h.groups[j].join == ':' && !h.groups[j].double) && h.groups[j].hexadecimal; j++ {
		behind = behind.with(&h.groups[j], j > i)
	}
	if !h.isJoined(i) {
		return behind.isTold() || string(h.text[h.groups[i].start:h.groups[i].end]) == "1"
	}
	both := row{before.length + behind.length, before.digits || behind.digits}
	return before.length > 0 && behind.length > 0 && both.isTold()
}

// holdsJoined looks for IPv6 addresses with dots, dashes or underscores for
// colons.
func (h *hexadecimals) holdsJoined() bool {
	for i := 0; i < len(h.groups); {
		j := i + 1
		for j < len(h.groups) && h.groups[i].hexadecimal && h.groups[j].hexadecimal && h.groups[j].join != 0 && h.groups[j].join != ':' &&
			h.groups[j].join == h.groups[i+1].join {
			j++
		}
		if j-i >= 2 && !h.areOfUUID(i, j) && h.areIPv6(h.groups[i:j]) {
			return true
		}
		i = max(j-1, i+1)
	}
	return false
}

// areOfUUID reports whether groups i to j-1 are the three in a UUID's middle.
func (h *hexadecimals) areOfUUID(i, j int) bool {
	if j-i != 3 || i == 0 || j == len(h.groups) || h.groups[i].join == 0 || h.groups[j].join == 0 {
		return false
	}
	before, behind := h.groups[i-1], h.groups[j]
	return before.end-before.start == 8 && behind.end-behind.start == 12
}

// areIPv6 judges hexadecimal groups with the same sign between, in one place
// perhaps twice: eight with letters and digits among them, or fewer that begin
// as addresses do.
func (h *hexadecimals) areIPv6(groups []group) bool {
	gap, letters, digits, long := 0, -1, false, false
	for i, g := range groups {
		if i > 0 && g.double {
			if gap > 0 {
				return false
			}
			gap = i
		}
		if g.letters {
			letters = i
		}
		digits, long = digits || g.digits, long || g.end-g.start > 2
	}
	if letters < 0 || !digits {
		return false
	}
	if len(groups) == 8 && gap == 0 && long {
		return true
	}
	for i := range groups {
		rest := len(groups) - i
		if rest < 2 || letters < i {
			return false
		}
		if least := h.leastGroups(groups[i:]); least > 0 && (rest >= least || gap > i && rest >= min(least, 3)) {
			return true
		}
	}
	return false
}

// leastGroups is how many groups make an IPv6 address of one that begins with
// these; 0 when none does.
func (h *hexadecimals) leastGroups(groups []group) int {
	first := h.text[groups[0].start:groups[0].end]
	least := leastBegun(first)
	if least != 3 {
		return least
	}
	if first[0] != '2' {
		switch {
		case !equalsLower(first, "fe80"):
			return 0
		case groups[1].double:
			return 2
		default:
			return 3
		}
	}
	second := bytes.TrimLeft(h.text[groups[1].start:groups[1].end], "0")
	if len(second) == len("db8") && equalsLower(second, "db8") {
		return 3
	}
	return 5
}
