package privacy_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
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
	// weak says that chance may write it, as four bytes are not many.
	weak bool
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
	}
	s.addFolded(c, "JSON-escaped", eachByte(c.core, `\u%04x`))
	s.addFolded(c, "UTF-16", eachByte(c.core, "%c\x00"))
	s.addFolded(c, "list of numbers", strings.TrimSpace(eachByte(c.core, "%d ")), strings.TrimSuffix(eachByte(c.core, "%d,"), ","))
	for _, text := range []string{c.core, strings.ToUpper(c.core)} {
		s.addFolded(c, "hex", hex.EncodeToString([]byte(text)))
		s.add(c, "base64", base64Forms([]byte(text))...)
	}
}

// addHashes looks for the beginning of each hash, so that one that was cut short
// is found too.
func (s *search) addHashes(c *canary) {
	for _, text := range c.hashed() {
		md, sha, sha2, sha5 := md5.Sum(text), sha1.Sum(text), sha256.Sum256(text), sha512.Sum512(text)
		for name, sum := range map[string][]byte{"MD5": md[:], "SHA-1": sha[:], "SHA-256": sha2[:], "SHA-512": sha5[:]} {
			s.add(c, name, sum[:8])
			s.addFolded(c, name+" in hex", hex.EncodeToString(sum[:8]))
			s.add(c, name+" in base64", base64Forms(sum[:9])...)
		}
	}
}

func (s *search) addNumbers(c *canary) {
	switch {
	case c.address.Is4():
		packed := c.address.As4()
		for _, order := range []string{"", ", reversed"} {
			s.exact.add(needle{c, "packed" + order, slices.Clone(packed[:]), true})
			s.folded.add(needle{c, "packed in hex" + order, []byte(hex.EncodeToString(packed[:])), true})
			decimal := strconv.FormatUint(uint64(binary.BigEndian.Uint32(packed[:])), 10)
			s.folded.add(needle{c, "decimal" + order, []byte(decimal), true})
			s.exact.add(needle{c, "packed in base64" + order, []byte(base64.RawStdEncoding.EncodeToString(packed[:])), true})
			slices.Reverse(packed[:])
		}
	case c.address.Is6():
		packed := c.address.As16()
		s.add(c, "packed", slices.Clone(packed[:8]))
		s.addFolded(c, "packed in hex", hex.EncodeToString(packed[:8]))
		s.add(c, "packed in base64", base64Forms(packed[:9])...)
		slices.Reverse(packed[:])
		s.add(c, "packed, reversed", packed[8:])
		s.addFolded(c, "packed in hex, reversed", hex.EncodeToString(packed[8:]))
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

// base64Forms gives what base64 makes of text wherever it stands in what is
// encoded, in both alphabets: the characters that depend on text alone.
func base64Forms(text []byte) (forms [][]byte) {
	for offset := range 3 {
		padded := append(make([]byte, offset), text...)
		from, to := (offset*8+5)/6, len(padded)*8/6
		standard := base64.StdEncoding.EncodeToString(padded)[from:to]
		forms = append(forms, []byte(standard))
		if url := base64.URLEncoding.EncodeToString(padded)[from:to]; url != standard {
			forms = append(forms, []byte(url))
		}
	}
	return forms
}

// in searches data. Several data may be one place.
func (s *search) in(place string, data []byte) {
	s.searched[place] += len(data)
	s.exact.find(data, func(n needle, at int) { s.note(place, n, data, at) })
	lower := make([]byte, len(data))
	for i, b := range data {
		lower[i] = lowered[b]
	}
	s.folded.find(lower, func(n needle, at int) { s.note(place, n, data, at) })
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

func (s *search) note(place string, n needle, data []byte, at int) {
	around := data[max(0, at-60):min(len(data), at+len(n.bytes)+60)]
	s.found = append(s.found, finding{place, n, bytes.Clone(around)})
}

// inFiles searches every file below a folder, its name included. place tells
// what a path is.
func (s *search) inFiles(t *testing.T, dir string, place func(path string) string) {
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
		s.in(place(name), data)
		files++
		return err
	})
	if err != nil || files == 0 {
		t.Fatalf("search %d files of %s: %v", files, dir, err)
	}
}

// findings are what no chance explains. What it may write counts if the same
// form of two canaries is found: whoever keeps an address keeps others, too.
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
	return slices.DeleteFunc(slices.Clone(s.found), func(f finding) bool { return f.weak && len(suspects[f.form]) < 2 })
}

// places lists where canaries were found.
func (s *search) places() map[string]int {
	places := make(map[string]int)
	for _, f := range s.findings() {
		places[f.place]++
	}
	return places
}

// check wants no findings.
func (s *search) check(t *testing.T) {
	t.Helper()
	const enough = 20
	for i, f := range s.findings() {
		if i == enough {
			t.Errorf("and %d findings more", len(s.findings())-enough)
			break
		}
		t.Error(f)
	}
}

// index finds many needles at once, by their first four bytes.
type index struct {
	// sieve has a bit for each hash of four bytes that a needle begins with.
	sieve   []uint64
	needles map[uint32][]needle
}

const sieveBits = 22

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
			if bytes.HasPrefix(data[i:], n.bytes) {
				found(n, i)
			}
		}
	}
}
