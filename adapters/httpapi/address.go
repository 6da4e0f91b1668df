package httpapi

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// addresses finds out whose a request is. What a request says of its way is
// believed as far as trusted proxies say it.
type addresses struct{ trusted []netip.Prefix }

// unknownClient is everybody whose address nobody knows.
const unknownClient = "unknown"

// ipv6Network is how much of an IPv6 address tells clients apart: the rest is
// the client's own to choose.
const ipv6Network = 64

// client names who sent the request, by network address.
func (a addresses) client(r *http.Request) string {
	address, ok := a.address(r)
	if !ok {
		return unknownClient
	}
	bits := address.BitLen()
	if address.Is6() {
		bits = ipv6Network
	}
	return netip.PrefixFrom(address, bits).Masked().String()
}

// address is the peer's or, when that is a trusted proxy, the nearest that is
// none. When the headers cannot be read, or contradict each other, somebody may
// be lying: then it is the peer's.
func (a addresses) address(r *http.Request) (netip.Addr, bool) {
	peer, ok := parseAddress(r.RemoteAddr)
	if !ok || !a.trusts(peer) {
		return peer, ok
	}
	client, told := peer, false
	for _, way := range [][]string{wayOfXForwardedFor(r.Header), wayOfForwarded(r.Header)} {
		if len(way) == 0 {
			continue
		}
		address, ok := a.nearest(way)
		if !ok || told && address != client {
			return peer, true
		}
		client, told = address, true
	}
	return client, true
}

// nearest returns the last address of the way that is no trusted proxy's, or
// the first of all when every one is.
func (a addresses) nearest(way []string) (nearest netip.Addr, ok bool) {
	for _, hop := range slices.Backward(way) {
		if nearest, ok = parseAddress(hop); !ok || !a.trusts(nearest) {
			return nearest, ok
		}
	}
	return nearest, ok
}

func (a addresses) trusts(address netip.Addr) bool {
	return slices.ContainsFunc(a.trusted, func(p netip.Prefix) bool { return p.Contains(address) })
}

// wayOfXForwardedFor returns what X-Forwarded-For lists, nearest hop last.
func wayOfXForwardedFor(h http.Header) []string {
	var way []string
	for _, line := range h.Values("X-Forwarded-For") {
		for hop := range strings.SplitSeq(line, ",") {
			if hop = trim(hop); hop != "" {
				way = append(way, hop)
			}
		}
	}
	return way
}

// wayOfForwarded returns what Forwarded (RFC 7239) lists, nearest hop last. A
// hop that does not say for whom it forwards, or more than once, is unknown.
func wayOfForwarded(h http.Header) []string {
	var way []string
	for _, line := range h.Values("Forwarded") {
		for _, element := range splitUnquoted(line, ',') {
			if element = trim(element); element != "" {
				way = append(way, forwardedFor(element))
			}
		}
	}
	return way
}

func forwardedFor(element string) string {
	found := ""
	for _, pair := range splitUnquoted(element, ';') {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.EqualFold(trim(name), "for") {
			continue
		}
		if found != "" {
			return unknownClient
		}
		found = unquote(trim(value))
	}
	if found == "" {
		return unknownClient
	}
	return found
}

// trim removes the white space that headers may have around a value.
func trim(s string) string { return strings.Trim(s, " \t") }

// parseAddress reads an address, with or without a port. An IPv6 address may
// stand in brackets, and with a port it has to. An IPv4 address in the clothes
// of IPv6 is an IPv4 address, and the zone of an address does not count.
func parseAddress(text string) (netip.Addr, bool) {
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
		text = strings.TrimSuffix(inner, "]")
		if !strings.Contains(text, ":") {
			return netip.Addr{}, false
		}
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		var withPort netip.AddrPort
		withPort, err = netip.ParseAddrPort(text)
		address = withPort.Addr()
	}
	return address.WithZone("").Unmap(), err == nil && !address.IsUnspecified()
}
