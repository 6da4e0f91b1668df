package privacy_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// disguises are how a text may be written down.
var disguises = map[string]func(text string) []byte{
	"plain":      func(s string) []byte { return []byte(s) },
	"upper case": func(s string) []byte { return []byte(strings.ToUpper(s)) },
	"title case": func(s string) []byte { return []byte(strings.ToUpper(s[:1]) + s[1:]) },
	"hex":        func(s string) []byte { return fmt.Appendf(nil, "%x", s) },
	"upper hex":  func(s string) []byte { return fmt.Appendf(nil, "%X", s) },
	"base64":     func(s string) []byte { return []byte(base64.StdEncoding.EncodeToString([]byte(s))) },
	"base64 after one byte": func(s string) []byte {
		return []byte(base64.StdEncoding.EncodeToString([]byte("\xfe" + s + "\xfe\xff")))
	},
	"base64 after two bytes": func(s string) []byte {
		return []byte(base64.RawURLEncoding.EncodeToString([]byte("\xfe\xff" + s + "\xfe")))
	},
	"base64 in JSON":              func(s string) []byte { text, _ := json.Marshal([]byte("key=" + s)); return text },
	"base64 behind a letter":      func(s string) []byte { return []byte("t" + base64.StdEncoding.EncodeToString([]byte(s))) },
	"base64 behind two letters":   func(s string) []byte { return []byte("to" + base64.StdEncoding.EncodeToString([]byte(s))) },
	"base64 behind three letters": func(s string) []byte { return []byte("tok" + base64.StdEncoding.EncodeToString([]byte(s))) },
	"hex behind a digit":          func(s string) []byte { return fmt.Appendf(nil, "0%x", s) },
	"URL-encoded":                 func(s string) []byte { return []byte(url.QueryEscape(s)) },
	"JSON":                        func(s string) []byte { text, _ := json.Marshal(s); return text },
	"JSON-escaped": func(s string) []byte {
		var text []byte
		for _, r := range s {
			text = fmt.Appendf(text, `\u%04X`, r)
		}
		return text
	},
	"UTF-16": func(s string) (text []byte) {
		for _, unit := range utf16.Encode([]rune(s)) {
			text = binary.LittleEndian.AppendUint16(text, unit)
		}
		return text
	},
	"bytes as Go prints them": func(s string) []byte { return fmt.Append(nil, []byte(s)) },
	"reversed": func(s string) (text []byte) {
		for _, r := range s {
			text = append([]byte(string(r)), text...)
		}
		return text
	},
	"MD5":                      func(s string) []byte { return fmt.Appendf(nil, "%x", md5.Sum([]byte(s))) },
	"SHA-1":                    func(s string) []byte { return fmt.Appendf(nil, "%X", sha1.Sum([]byte(s))) },
	"SHA-256":                  func(s string) []byte { return fmt.Appendf(nil, "%x", sha256.Sum256([]byte(s))) },
	"SHA-256 cut":              func(s string) []byte { return fmt.Appendf(nil, "%.16x", sha256.Sum256([]byte(s))) },
	"SHA-256 cut more":         func(s string) []byte { return fmt.Appendf(nil, "%.6x", sha256.Sum256([]byte(s))) },
	"SHA-256's end":            func(s string) []byte { sum := sha256.Sum256([]byte(s)); return sum[24:] },
	"SHA-256 of a line":        func(s string) []byte { return fmt.Appendf(nil, "%x", sha256.Sum256([]byte(s+"\n"))) },
	"FNV-1":                    func(s string) []byte { return fmt.Append(nil, sum64(fnv.New64(), []byte(s))) },
	"FNV-1a":                   func(s string) []byte { return fmt.Appendf(nil, "%016x", sum64(fnv.New64a(), []byte(s))) },
	"FNV-1a, signed":           func(s string) []byte { return fmt.Append(nil, int64(sum64(fnv.New64a(), []byte(s)))) },
	"FNV-1a as bytes":          func(s string) []byte { return binary.LittleEndian.AppendUint64(nil, sum64(fnv.New64a(), []byte(s))) },
	"FNV-1 of 128 bits":        func(s string) []byte { return sumOf(fnv.New128(), []byte(s)) },
	"FNV-1a of 128 bits":       func(s string) []byte { return sumOf(fnv.New128a(), []byte(s)) },
	"base32":                   func(s string) []byte { return []byte(base32.StdEncoding.EncodeToString([]byte(s))) },
	"base32 after three bytes": func(s string) []byte { return []byte(base32.HexEncoding.EncodeToString([]byte("\xfe\xff\xfe" + s))) },
	"base64 in lines": func(s string) []byte {
		text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\xfe", 40) + s))
		return []byte(text[:64] + "\r\n" + text[64:])
	},
	"spaced hex":              func(s string) []byte { return fmt.Appendf(nil, "% x", s) },
	"hex with colons":         func(s string) []byte { return []byte(strings.ReplaceAll(fmt.Sprintf("% X", s), " ", ":")) },
	"bytes as Go writes them": func(s string) []byte { return fmt.Appendf(nil, "%#v", []byte(s)) },
	"hex escapes":             func(s string) []byte { return []byte(eachByte(s, `\x%02x`)) },
	"octal escapes":           func(s string) []byte { return []byte(eachByte(s, `\%03o`)) },
	"HTML":                    func(s string) []byte { return []byte(strings.ReplaceAll(s, ":", "&#58;")) },
	"HTML in hex":             func(s string) []byte { return []byte(eachByte(s, "&#x%X;")) },
	"HTML in decimal":         func(s string) []byte { return []byte(eachByte(s, "&#%d;")) },
	"gzip":                    func(s string) []byte { return gzipped(s) },
	"gzip, cut off": func(s string) []byte {
		packed := gzipped(s + strings.Repeat(" and more", 99))
		return packed[:len(packed)-9]
	},
	"zlib": func(s string) []byte {
		var b bytes.Buffer
		w := zlib.NewWriter(&b)
		_, _ = io.WriteString(w, s) // a buffer takes all
		_ = w.Close()
		return b.Bytes()
	},
	"gzip in base64":   func(s string) []byte { return []byte(base64.StdEncoding.EncodeToString(gzipped(s))) },
	"base64 in hex":    func(s string) []byte { return fmt.Appendf(nil, "%x", base64.StdEncoding.EncodeToString([]byte(s))) },
	"SHA-256 as bytes": func(s string) []byte { sum := sha256.Sum256([]byte(s)); return sum[:] },
	"SHA-512 in base64": func(s string) []byte {
		sum := sha512.Sum512([]byte(s))
		return []byte(base64.RawURLEncoding.EncodeToString(sum[:]))
	},
}

func gzipped(s string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, s) // a buffer takes all
	_ = w.Close()
	return b.Bytes()
}

// numbers are how an address may be written down, too.
var numbers = map[string]func(netip.Addr) []byte{
	"packed":             func(a netip.Addr) []byte { return a.AsSlice() },
	"packed, hex":        func(a netip.Addr) []byte { return []byte(hex.EncodeToString(a.AsSlice())) },
	"packed, spaced hex": func(a netip.Addr) []byte { return fmt.Appendf(nil, "% x", a.AsSlice()) },
	"packed, base64":     func(a netip.Addr) []byte { return []byte(base64.StdEncoding.EncodeToString(a.AsSlice())) },
	"packed, base64 after one byte": func(a netip.Addr) []byte {
		return []byte(base64.RawURLEncoding.EncodeToString(append([]byte{4}, a.AsSlice()...)))
	},
	"packed, base64 after two bytes": func(a netip.Addr) []byte {
		return []byte(base64.StdEncoding.EncodeToString(append([]byte{4, 4}, a.AsSlice()...)))
	},
	"CRC-32":            func(a netip.Addr) []byte { return fmt.Appendf(nil, "%08X", crc32.ChecksumIEEE([]byte(a.String()))) },
	"FNV-1 of 32 bits":  func(a netip.Addr) []byte { return fmt.Appendf(nil, "%08x", sum32(fnv.New32(), a.AsSlice())) },
	"FNV-1a of 32 bits": func(a netip.Addr) []byte { return fmt.Appendf(nil, "%08x", sum32(fnv.New32a(), []byte(a.String()))) },
	"mapped":            func(a netip.Addr) []byte { b := a.As16(); return b[:] },
	"mapped text":       func(a netip.Addr) []byte { return []byte(netip.AddrFrom16(a.As16()).String()) },
	"with a port":       func(a netip.Addr) []byte { return []byte(netip.AddrPortFrom(a, 8080).String()) },
	"long":              func(a netip.Addr) []byte { return []byte(a.StringExpanded()) },
	"hash of bits":      func(a netip.Addr) []byte { return fmt.Appendf(nil, "%x", sha256.Sum256(a.AsSlice())) },
	"hash of itself as a network": func(a netip.Addr) []byte {
		return fmt.Appendf(nil, "%x", sha256.Sum256([]byte(netip.PrefixFrom(a, a.BitLen()).String())))
	},
	"little-endian": func(a netip.Addr) (b []byte) {
		for _, octet := range a.AsSlice() {
			b = append([]byte{octet}, b...)
		}
		return b
	},
}

// ipv4Numbers are for addresses of four bytes.
var ipv4Numbers = map[string]func(netip.Addr) []byte{
	"decimal": func(a netip.Addr) []byte { return fmt.Append(nil, binary.BigEndian.Uint32(a.AsSlice())) },
	"little-endian decimal": func(a netip.Addr) []byte {
		return fmt.Append(nil, binary.LittleEndian.Uint32(a.AsSlice()))
	},
	"name in DNS": func(a netip.Addr) []byte {
		o := a.As4()
		return fmt.Appendf(nil, "%d.%d.%d.%d.in-addr.arpa", o[3], o[2], o[1], o[0])
	},
}

// ipv6Numbers are for addresses of sixteen.
var ipv6Numbers = map[string]func(netip.Addr) []byte{
	"its network":           func(a netip.Addr) []byte { return []byte(netip.PrefixFrom(a, 64).Masked().String()) },
	"its site":              func(a netip.Addr) []byte { return []byte(netip.PrefixFrom(a, 48).Masked().String()) },
	"its site, packed":      func(a netip.Addr) []byte { return a.AsSlice()[:6] },
	"its interface":         func(a netip.Addr) []byte { return []byte(a.StringExpanded()[20:]) },
	"its interface, packed": func(a netip.Addr) []byte { return a.AsSlice()[8:] },
	"hash of its network": func(a netip.Addr) []byte {
		return fmt.Appendf(nil, "%x", sha256.Sum256([]byte(netip.PrefixFrom(a, 64).Masked().String())))
	},
}

// TestSearchFindsEveryEncoding plants canaries of each kind in each form in a
// file full of noise. Each is found, and nothing in noise alone.
func TestSearchFindsEveryEncoding(t *testing.T) {
	t.Parallel()
	c := newCanaries(t)
	noise := noise(c.random)
	for range enoughAmid { // chance alone might write one packed address
		c.word("word")
		c.kinds("kind")
		c.source("source")
	}
	s := newSearch(c.all())
	s.in("noise", noise)
	report(t, s.findings())
	for name, group := range groups(c.all()) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSearch(c.all())
			for form, encode := range disguises {
				checkSeen(t, form, noise, s, group, func(c canary) []byte { return encode(c.text) })
			}
			forms := []map[string]func(netip.Addr) []byte{numbers, ipv6Numbers}
			if group[0].address.Is4() {
				forms[1] = ipv4Numbers
			}
			for _, some := range forms {
				for form, encode := range some {
					if group[0].address.IsValid() {
						checkSeen(t, form, noise, s, group, func(c canary) []byte { return encode(c.address) })
					}
				}
			}
		})
	}
}

// groups are canaries of one kind each.
func groups(all []canary) map[string][]canary {
	groups, kinds := make(map[string][]canary), len(all)/enoughAmid
	for i := range kinds {
		var group []canary
		for j := i; j < len(all); j += kinds {
			group = append(group, all[j])
		}
		groups[fmt.Sprint(all[i].sentAs, " ", all[i].text)] = group
	}
	return groups
}

// checkSeen plants the canaries in a file that s searches anew. Each must be
// found.
func checkSeen(t *testing.T, form string, noise []byte, s *search, group []canary, encode func(canary) []byte) {
	t.Helper()
	content := slices.Clone(noise[:len(noise)/2])
	for _, c := range group {
		content = append(append(content, ' '), encode(c)...)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), append(content, ' '), 0o600); err != nil {
		t.Fatal(err)
	}
	s.found = nil
	s.inFiles(t, dir, s.at(func(path string) string { return path }))
	found := make(map[string]bool)
	for _, f := range s.findings() {
		found[f.canary.text] = true
	}
	for _, c := range group {
		if !found[c.text] {
			t.Errorf("the search does not find %q, written as %s: %q", c.text, form, encode(c))
		}
	}
}

// noise is made of what servers write: random bytes, digits, hexadecimal digits
// and zeros.
func noise(r *rand.Rand) []byte {
	var all []byte
	for _, alphabet := range []string{"0123456789", "0123456789abcdef", "\x00", letters} {
		all = append(all, draw(r, alphabet, 5_000)...)
	}
	for range 2_000 {
		all = binary.LittleEndian.AppendUint64(all, r.Uint64())
	}
	return all
}

// TestCutHashesAreFoundAlone finds the first six bytes of the hashes of two
// canaries, each alone in its wrapping, whatever stands behind it.
func TestCutHashesAreFoundAlone(t *testing.T) {
	t.Parallel()
	c := newCanaries(t)
	first, second := c.word("word"), c.word("word")
	s := newSearch(c.all())
	for _, word := range []string{first, second} {
		s.in("file", fmt.Appendf(nil, " %.6x ", sha256.Sum256([]byte(word))))
	}
	if got := s.findings(); len(got) < 2 {
		t.Errorf("%d of two hashes are found: %v", len(got), got)
	}
}

// TestFourBytesMayBeChance finds one address in four bytes and takes it for
// chance, but not two of them.
func TestFourBytesMayBeChance(t *testing.T) {
	t.Parallel()
	c := newCanaries(t)
	first, second := netip.MustParseAddr(c.source("source")), netip.MustParseAddr(c.source("source"))
	s := newSearch(c.all())
	s.in("one", first.AsSlice())
	if got := s.findings(); len(got) != 0 {
		t.Errorf("four bytes of one address are taken for it: %v", got)
	}
	s.in("other", second.AsSlice())
	if got := s.findings(); len(got) != 2 {
		t.Errorf("%d of two addresses are found: %v", len(got), got)
	}
}
