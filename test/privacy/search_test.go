package privacy_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/fnv"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// needle is one form of a canary.
type needle struct {
	canary *canary
	form   string
	bytes  []byte
	// short is how many of the first bytes are found too; 0 for all or nothing.
	short int
	// weak says that chance may write it, as four bytes are not many.
	weak bool
	// whole says that no further digit may stand beside it.
	whole bool
}

// finding is a needle in a place.
type finding struct {
	place string
	needle
	around []byte
}

// String tells what was found where.
func (f finding) String() string {
	return fmt.Sprintf("%s holds %q, sent as %s, in the form %q: …%q…", f.place, f.canary.text, f.canary.sentAs, f.form, f.around)
}

// search looks for canaries in all their forms.
type search struct {
	// folded is compared without regard to the case of letters.
	exact, folded *index
	found         []finding
	searched      map[string]int
}

func newSearch(of []canary) *search {
	s := &search{exact: newIndex(), folded: newIndex(), searched: make(map[string]int)}
	for i := range of {
		s.addTexts(&of[i])
		s.addHashes(&of[i])
		s.addNumbers(&of[i])
	}
	return s
}

func (s *search) add(c *canary, form string, needles ...[]byte) {
	for _, n := range needles {
		s.exact.add(needle{canary: c, form: form, bytes: n})
	}
}

func (s *search) addFolded(c *canary, form string, texts ...string) {
	for _, text := range texts {
		s.folded.add(needle{canary: c, form: form, bytes: []byte(strings.ToLower(text))})
	}
}

func (s *search) addTexts(c *canary) {
	s.addFolded(c, "plain", append(c.spellings(), c.core)...)
	s.addFolded(c, "reversed", reversed(c.core))
	s.addFolded(c, "URL-encoded", eachByte(c.core, "%%%02x"))
	if c.address.Is6() {
		s.addFolded(c, "URL-encoded", strings.ReplaceAll(c.core, ":", "%3a"))
		s.addFolded(c, "HTML", strings.ReplaceAll(c.core, ":", "&#58;"), strings.ReplaceAll(c.core, ":", "&#x3a;"))
	}
	s.addFolded(c, "JSON-escaped", eachByte(c.core, `\u%04x`))
	s.addFolded(c, "escaped", eachByte(c.core, `\x%02x`), eachByte(c.core, `\%03o`))
	s.addFolded(c, "HTML", eachByte(c.core, "&#%d;"), eachByte(c.core, "&#x%x;"))
	s.addFolded(c, "UTF-16", eachByte(c.core, "%c\x00"))
	s.addFolded(c, "list of numbers", strings.TrimSpace(eachByte(c.core, "%d ")), strings.TrimSuffix(eachByte(c.core, "%d,"), ","))
	for _, text := range []string{c.core, strings.ToUpper(c.core)} {
		s.addFolded(c, "spaced hex", spacedHex([]byte(text))...)
		s.addFolded(c, "base32", base32Forms([]byte(text))...)
	}
}

// spacedHex gives the pairs of digits with something between them.
func spacedHex(b []byte) (texts []string) {
	for _, separator := range []string{" ", ":", "-", ", ", ", 0x", ",0x"} {
		texts = append(texts, strings.ReplaceAll(fmt.Sprintf("% x", b), " ", separator))
	}
	return texts
}

// addHashes looks for the beginning and the end of each hash, so that one that
// was cut short is found too.
func (s *search) addHashes(c *canary) {
	for _, text := range c.hashed() {
		for _, h := range hashes {
			sum := h.of(text)
			s.exact.add(needle{canary: c, form: h.name, bytes: sum[:8], short: 6, weak: true})
			s.add(c, h.name, sum[len(sum)-8:])
		}
		for name, sum := range map[string]uint64{"FNV-1": sum64(fnv.New64(), text), "FNV-1a": sum64(fnv.New64a(), text)} {
			s.add(c, name, binary.BigEndian.AppendUint64(nil, sum), binary.LittleEndian.AppendUint64(nil, sum))
			s.addFolded(c, name+" as a number", strconv.FormatUint(sum, 10), strconv.FormatInt(int64(sum), 10))
		}
		if !c.address.IsValid() {
			continue // four bytes are for few
		}
		for name, sum := range map[string]uint32{
			"FNV-1": sum32(fnv.New32(), text), "FNV-1a": sum32(fnv.New32a(), text), "CRC-32": crc32.ChecksumIEEE(text),
		} {
			s.addWeak(c, name+" in hex", fmt.Sprintf("%08x", sum))
		}
	}
}

// hashes are those of sixteen bytes and more.
var hashes = []struct {
	name string
	of   func(text []byte) []byte
}{
	{"MD5", func(text []byte) []byte { sum := md5.Sum(text); return sum[:] }},
	{"SHA-1", func(text []byte) []byte { sum := sha1.Sum(text); return sum[:] }},
	{"SHA-256", func(text []byte) []byte { sum := sha256.Sum256(text); return sum[:] }},
	{"SHA-512", func(text []byte) []byte { sum := sha512.Sum512(text); return sum[:] }},
	{"FNV-1 of 128 bits", func(text []byte) []byte { return sumOf(fnv.New128(), text) }},
	{"FNV-1a of 128 bits", func(text []byte) []byte { return sumOf(fnv.New128a(), text) }},
}

func sumOf(h hash.Hash, text []byte) []byte {
	_, _ = h.Write(text) // a hash takes all
	return h.Sum(nil)
}

func sum64(h hash.Hash64, text []byte) uint64 { sumOf(h, text); return h.Sum64() }

func sum32(h hash.Hash32, text []byte) uint32 { sumOf(h, text); return h.Sum32() }

// addWeak looks for what stands alone.
func (s *search) addWeak(c *canary, form, text string) {
	s.folded.add(needle{canary: c, form: form, bytes: []byte(text), weak: true, whole: true})
}

func (s *search) addNumbers(c *canary) {
	switch {
	case c.address.Is4():
		packed := c.address.As4()
		for _, order := range []string{"", ", reversed"} {
			s.exact.add(needle{canary: c, form: "packed" + order, bytes: slices.Clone(packed[:]), weak: true})
			for _, text := range spacedHex(packed[:]) {
				s.addWeak(c, "packed in spaced hex"+order, text)
			}
			s.addWeak(c, "decimal"+order, strconv.FormatUint(uint64(binary.BigEndian.Uint32(packed[:])), 10))
			slices.Reverse(packed[:])
		}
	case c.address.Is6():
		packed := c.address.As16()
		const network = 6 // the prefix of all canaries and two bytes more
		s.add(c, "packed", slices.Clone(packed[:network]), slices.Clone(packed[8:]))
		s.addFolded(c, "packed in spaced hex", spacedHex(packed[:network])...)
		slices.Reverse(packed[:])
		s.add(c, "packed, reversed", packed[:8], packed[len(packed)-network:])
	}
}

func eachByte(text, format string) string {
	var all strings.Builder
	for i := range len(text) {
		_, _ = fmt.Fprintf(&all, format, text[i])
	}
	return all.String()
}

func reversed(text string) string {
	b := []byte(text)
	slices.Reverse(b)
	return string(b)
}

// base32Forms gives what base32 makes of text wherever it stands in what is
// encoded: the characters that depend on text alone.
func base32Forms(text []byte) (forms []string) {
	for offset := range 5 {
		padded := append(make([]byte, offset), text...)
		from, to := (offset*8+4)/5, len(padded)*8/5
		forms = append(forms, base32.StdEncoding.EncodeToString(padded)[from:to], base32.HexEncoding.EncodeToString(padded)[from:to])
	}
	return forms
}

// in searches data. Several data may be one place.
func (s *search) in(place string, data []byte) {
	const layers = 2
	s.searched[place] += len(data)
	s.look(place, data, "", layers)
}

// look searches data and, for each layer, what is wrapped in it.
func (s *search) look(place string, data []byte, wrapped string, layers int) {
	s.exact.find(data, func(n needle, at int) { s.note(place, n, wrapped, data, at) })
	lower := make([]byte, len(data))
	for i, b := range data {
		lower[i] = lowered[b]
	}
	s.folded.find(lower, func(n needle, at int) { s.note(place, n, wrapped, data, at) })
	if layers == 0 {
		return
	}
	for name, unwrap := range unwrappers {
		if inner := unwrap(data); len(inner) > 0 {
			s.look(place, inner, wrapped+" in "+name, layers-1)
		}
	}
}

// lowered leaves bytes that are no ASCII letters alone.
var lowered = func() (table [256]byte) {
	for i := range table {
		table[i] = byte(i)
		if i >= 'A' && i <= 'Z' {
			table[i] += 'a' - 'A'
		}
	}
	return table
}()

func (s *search) note(place string, n needle, wrapped string, data []byte, at int) {
	end := at + len(n.bytes)
	if n.whole && (at > 0 && isAlphanumeric(data[at-1]) || end < len(data) && isAlphanumeric(data[end])) {
		return
	}
	if n.short > 0 {
		n.weak = !bytes.HasPrefix(data[at:], n.bytes)
		if n.weak {
			end = at + n.short // what is behind a hash that was cut is no part of it
		}
	}
	n.form += wrapped
	if n.weak && wrapped != "" && (at > 0 && data[at-1] != '\n' || end < len(data) && data[end] != '\n') {
		n.form += amid
	}
	s.found = append(s.found, finding{place, n, bytes.Clone(data[max(0, at-60):min(len(data), end+60)])})
}

func isAlphanumeric(b byte) bool {
	return b >= '0' && b <= '9' || lowered[b] >= 'a' && lowered[b] <= 'z'
}

// at has files searched as what place says of their paths.
func (s *search) at(place func(path string) string) func(path string, data []byte) {
	return func(path string, data []byte) { s.in(place(path), data) }
}

// inFiles searches the names of all files below a folder, and has in search what
// they hold.
func (s *search) inFiles(t *testing.T, dir string, in func(path string, data []byte)) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			// Servers may delete files meanwhile.
			if os.IsNotExist(err) {
				return nil
			}
			return err
		}
		name, _ := filepath.Rel(dir, path)
		s.in("names of files", []byte(name))
		if !entry.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		in(name, data)
		files++
		return err
	})
	if err != nil || files == 0 {
		t.Fatalf("search %d files of %s: %v", files, dir, err)
	}
}

// amid says that more was in the same wrapping. Keyed hashes in hexadecimal digits
// have four bytes of any kind now and then.
const (
	amid       = ", amid others"
	enoughAmid = 5
)

// findings are what no chance explains. What chance may write
// counts if the same form of two canaries is found, or of some more amid others:
// whoever keeps an address keeps others, too.
func (s *search) findings() []finding {
	suspects := make(map[string]map[string]bool)
	for _, f := range s.found {
		if f.weak {
			if suspects[f.form] == nil {
				suspects[f.form] = make(map[string]bool)
			}
			suspects[f.form][f.canary.text] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(s.found), func(f finding) bool {
		enough := 2
		if strings.HasSuffix(f.form, amid) {
			enough = enoughAmid
		}
		return f.weak && len(suspects[f.form]) < enough
	})
}

// logSearched tells how much was searched in each place.
func (s *search) logSearched(t *testing.T) {
	t.Helper()
	total := 0
	for _, place := range slices.Sorted(maps.Keys(s.searched)) {
		total += s.searched[place]
		t.Logf("searched %9d bytes of %s", s.searched[place], place)
	}
	t.Logf("searched %d MB", total>>20)
}

// report tells of findings that should not be.
func report(t *testing.T, leaks []finding) {
	t.Helper()
	const enough = 20
	for _, leak := range leaks[:min(enough, len(leaks))] {
		t.Error(leak)
	}
	if len(leaks) > enough {
		t.Errorf("and %d findings more", len(leaks)-enough)
	}
}

// index finds many needles at once, by their first four bytes.
type index struct {
	// sieve has a bit for each hash of four bytes that a needle begins with.
	sieve   []uint64
	needles map[uint32][]needle
}

const sieveBits = 25

func newIndex() *index {
	return &index{sieve: make([]uint64, 1<<sieveBits/64), needles: make(map[uint32][]needle)}
}

func sieveBit(window uint32) uint32 { return window * 2654435761 >> (32 - sieveBits) }

func (x *index) add(n needle) {
	window := binary.LittleEndian.Uint32(n.bytes)
	bit := sieveBit(window)
	x.sieve[bit/64] |= 1 << (bit % 64)
	x.needles[window] = append(x.needles[window], n)
}

func (x *index) find(data []byte, found func(n needle, at int)) {
	for i := 0; i+4 <= len(data); i++ {
		window := binary.LittleEndian.Uint32(data[i:])
		bit := sieveBit(window)
		if x.sieve[bit/64]&(1<<(bit%64)) == 0 {
			continue
		}
		for _, n := range x.needles[window] {
			enough := n.bytes
			if n.short > 0 {
				enough = n.bytes[:n.short]
			}
			if bytes.HasPrefix(data[i:], enough) {
				found(n, i)
			}
		}
	}
}
