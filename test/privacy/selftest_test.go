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
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
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
	"base64 in JSON": func(s string) []byte { text, _ := json.Marshal([]byte("key=" + s)); return text },
	"URL-encoded":    func(s string) []byte { return []byte(url.QueryEscape(s)) },
	"JSON":           func(s string) []byte { text, _ := json.Marshal(s); return text },
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
	"MD5":              func(s string) []byte { return fmt.Appendf(nil, "%x", md5.Sum([]byte(s))) },
	"SHA-1":            func(s string) []byte { return fmt.Appendf(nil, "%X", sha1.Sum([]byte(s))) },
	"SHA-256":          func(s string) []byte { return fmt.Appendf(nil, "%x", sha256.Sum256([]byte(s))) },
	"SHA-256 cut":      func(s string) []byte { return fmt.Appendf(nil, "%.16x", sha256.Sum256([]byte(s))) },
	"SHA-256 as bytes": func(s string) []byte { sum := sha256.Sum256([]byte(s)); return sum[:] },
	"SHA-512 in base64": func(s string) []byte {
		sum := sha512.Sum512([]byte(s))
		return []byte(base64.RawURLEncoding.EncodeToString(sum[:]))
	},
}

// numbers are how an address may be written down, too.
var numbers = map[string]func(netip.Addr) []byte{
	"packed":       func(a netip.Addr) []byte { return a.AsSlice() },
	"packed, hex":  func(a netip.Addr) []byte { return []byte(hex.EncodeToString(a.AsSlice())) },
	"mapped":       func(a netip.Addr) []byte { b := a.As16(); return b[:] },
	"mapped text":  func(a netip.Addr) []byte { return []byte(netip.AddrFrom16(a.As16()).String()) },
	"with a port":  func(a netip.Addr) []byte { return []byte(netip.AddrPortFrom(a, 8080).String()) },
	"long":         func(a netip.Addr) []byte { return []byte(a.StringExpanded()) },
	"hash of bits": func(a netip.Addr) []byte { return fmt.Appendf(nil, "%x", sha256.Sum256(a.AsSlice())) },
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
	"its network": func(a netip.Addr) []byte { return []byte(netip.PrefixFrom(a, 64).Masked().String()) },
	"hash of its network": func(a netip.Addr) []byte {
		return fmt.Appendf(nil, "%x", sha256.Sum256([]byte(netip.PrefixFrom(a, 64).Masked().String())))
	},
}

// TestSearchFindsEveryEncoding plants canaries of each kind in each form in a
// file full of noise. Each is found, and nothing in noise alone.
func TestSearchFindsEveryEncoding(t *testing.T) {
	c := newCanaries(t)
	noise := noise(c.random)
	for range 2 { // chance alone might write one packed address
		c.word("word")
		c.kinds("kind")
		c.source("source")
	}
	s := newSearch(c.all())
	s.in("noise", noise)
	s.check(t)
	for name, pair := range pairs(c.all()) {
		t.Run(name, func(t *testing.T) {
			for form, encode := range disguises {
				checkFound(t, form, noise, s, encode(pair[0].text), encode(pair[1].text))
			}
			forms := []map[string]func(netip.Addr) []byte{numbers, ipv6Numbers}
			if pair[0].address.Is4() {
				forms[1] = ipv4Numbers
			}
			for _, some := range forms {
				for form, encode := range some {
					if pair[0].address.IsValid() {
						checkFound(t, form, noise, s, encode(pair[0].address), encode(pair[1].address))
					}
				}
			}
		})
	}
}

// pairs are two canaries of each kind.
func pairs(all []canary) map[string][2]canary {
	pairs, half := make(map[string][2]canary), len(all)/2
	for i := range half {
		pairs[fmt.Sprint(all[i].sentAs, " ", all[i].text)] = [2]canary{all[i], all[half+i]}
	}
	return pairs
}

// checkFound plants two texts in a file that s searches anew.
func checkFound(t *testing.T, form string, noise []byte, s *search, planted ...[]byte) {
	t.Helper()
	dir := t.TempDir()
	content := append(noise[:len(noise)/2:len(noise)/2], bytes.Join(planted, []byte(" "))...)
	if err := os.WriteFile(filepath.Join(dir, "file"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	s.found = nil
	s.inFiles(t, dir, func(path string) string { return path })
	if len(s.findings()) < len(planted) {
		t.Errorf("the search finds %d of %q, written as %s", len(s.findings()), planted, form)
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
