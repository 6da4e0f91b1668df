package privacy_test

import (
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// canary is something about a person that was sent somewhere and may be found
// nowhere.
type canary struct {
	// sentAs tells the place it was sent in.
	sentAs string
	// text is how it was sent, core the part of it that nothing else holds.
	text, core string
	// address is set if it is one.
	address netip.Addr
}

// canaries makes canaries and remembers them.
type canaries struct {
	mu     sync.Mutex
	random *rand.Rand
	made   []canary
}

// newCanaries returns none yet, and tells the seed.
func newCanaries(t *testing.T) *canaries {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return &canaries{random: rand.New(rand.NewPCG(seed, 0))}
}

func (c *canaries) all() []canary {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.made)
}

// add makes a canary of what make draws.
func (c *canaries) add(sentAs string, draw func(*rand.Rand) (text, core string)) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text, core := draw(c.random)
	c.made = append(c.made, canary{sentAs: sentAs, text: text, core: core})
	return text
}

// word is one that nobody would take for personal data.
func (c *canaries) word(sentAs string) string {
	return c.add(sentAs, func(r *rand.Rand) (string, string) { w := draw(r, letters, 14); return w, w })
}

func (c *canaries) email(sentAs string) string {
	return c.add(sentAs, func(r *rand.Rand) (string, string) {
		core := draw(r, letters, 12)
		return "ada." + core + "@mail.example", core
	})
}

func (c *canaries) phone(sentAs string) string {
	return c.add(sentAs, func(r *rand.Rand) (string, string) {
		core := "4930" + draw(r, "23456789", 8)
		return "+" + core, core
	})
}

func (c *canaries) position(sentAs string) string {
	return c.add(sentAs, func(r *rand.Rand) (string, string) {
		core := "48." + draw(r, "23456789", 9)
		return core + ", 16.37208", core
	})
}

// source is an address of the loopback network, from which a client can speak.
func (c *canaries) source(sentAs string) string { return c.ipv4(sentAs, 127) }

// forged is an address that a client may claim to have.
func (c *canaries) forged(sentAs string) string { return c.ipv4(sentAs, 203) }

// ipv4 is an address whose numbers all have three digits, so that none is the
// beginning of another, and are no ASCII, so that no text looks like it in four
// bytes.
func (c *canaries) ipv4(sentAs string, first byte) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	octet := func() byte { return byte(129 + c.random.IntN(126)) }
	return c.addAddress(sentAs, netip.AddrFrom4([4]byte{first, octet(), octet(), octet()}))
}

func (c *canaries) ipv6(sentAs string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	bytes := [16]byte{0x20, 0x01, 0x0d, 0xb8}
	for i := 4; i < len(bytes); i++ {
		bytes[i] = byte(17 + c.random.IntN(238))
	}
	return c.addAddress(sentAs, netip.AddrFrom16(bytes))
}

func (c *canaries) addAddress(sentAs string, address netip.Addr) string {
	text := address.String()
	c.made = append(c.made, canary{sentAs: sentAs, text: text, core: text, address: address})
	return text
}

// kinds are canaries that are recognised as personal data, one of each kind.
func (c *canaries) kinds(sentAs string) []string {
	return []string{c.email(sentAs), c.forged(sentAs), c.ipv6(sentAs), c.position(sentAs), c.phone(sentAs)}
}

// cleaned are canaries in the forms that programs make of personal data when
// they clean it for a name or an error type: with other separators, ports and
// words around. They are recognised, and have the characters of a version and
// an error type.
func (c *canaries) cleaned(sentAs string) (texts []string) {
	underscores := strings.NewReplacer(".", "_", ":", "_", "@", "_", ", ", "_")
	for _, address := range []string{c.forged(sentAs + ", cleaned"), c.ipv6(sentAs + ", cleaned")} {
		texts = append(texts, "ECONNREFUSED_"+underscores.Replace(address)+"_8080", strings.NewReplacer(".", "-", ":", "-").Replace(address))
	}
	add := func(draw func(*rand.Rand) (text, core string)) {
		texts = append(texts, c.add(sentAs+", cleaned", draw))
	}
	add(func(r *rand.Rand) (string, string) {
		core := draw(r, "23456789", 9)
		return "points_48_" + core + "_16_37208", core
	})
	add(func(r *rand.Rand) (string, string) { core := draw(r, letters, 12); return core + "_gmail_com", core })
	add(func(r *rand.Rand) (string, string) {
		core := draw(r, letters, 12)
		return "a." + core + "@localhost", core
	})
	add(func(r *rand.Rand) (string, string) {
		core := "555_" + draw(r, "23456789", 3) + "_" + draw(r, "23456789", 4)
		return "call_" + core, core
	})
	return texts
}

const letters = "bcdfghjkmnpqrstvwxz"

func draw(r *rand.Rand, alphabet string, length int) string {
	text := make([]byte, length)
	for i := range text {
		text[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(text)
}

// spellings are the other ways to write an address: both orders of an IPv4
// address's numbers with whatever is between them, and the long form, the network
// (its /48, with which its /64 begins) and the second half of an IPv6 one, which
// may have other separators as well.
func (c *canary) spellings() []string {
	switch {
	case c.address.Is4():
		octets := c.address.As4()
		var all []string
		for _, separator := range []string{" ", "-", "_", ",", ", "} {
			all = append(all, join(octets[:], separator))
		}
		slices.Reverse(octets[:])
		return append(all, join(octets[:], "."))
	case c.address.Is6():
		long := c.address.StringExpanded()
		all := []string{long[:len("2001:0db8:0000:")], c.text[:len("2001:db8:0000:")], long[len("2001:0db8:0000:0000:"):]}
		for _, separator := range []string{"_", "-", "."} {
			all = append(all, strings.ReplaceAll(c.text, ":", separator), strings.ReplaceAll(long, ":", separator))
		}
		return all
	default:
		return nil
	}
}

func join(octets []byte, separator string) string {
	texts := make([]string, len(octets))
	for i, octet := range octets {
		texts[i] = strconv.Itoa(int(octet))
	}
	return strings.Join(texts, separator)
}

// hashed lists what a hash of the canary may have been made of.
func (c *canary) hashed() (all [][]byte) {
	texts := []string{c.text, strings.ToUpper(c.text)}
	if c.core != c.text {
		texts = append(texts, c.core)
	}
	if c.address.IsValid() {
		mapped := c.address.As16()
		all = append(all, c.address.AsSlice(), mapped[:])
		texts = append(texts, netip.PrefixFrom(c.address, c.address.BitLen()).String())
		if c.address.Is6() {
			network := netip.PrefixFrom(c.address, 64).Masked()
			all = append(all, mapped[:8])
			texts = append(texts, c.address.StringExpanded(), network.String(), network.Addr().String())
		} else {
			texts = append(texts, "::ffff:"+c.text, hex.EncodeToString(c.address.AsSlice()))
		}
	}
	for _, text := range texts {
		all = append(all, []byte(text), []byte(text+"\n"))
	}
	return all
}
