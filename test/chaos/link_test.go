package chaos_test

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// link is the way from one process to one server, which can be cut.
type link struct {
	proxy  *toxiproxy.Proxy
	random *rand.Rand
}

// newLink lays a link to the server at address.
func newLink(t *testing.T, name, address string, random *rand.Rand) *link {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	l := &link{proxy: toxiproxy.NewProxy(server, name, "127.0.0.1:0", address), random: random}
	if err := l.proxy.Start(); err != nil {
		t.Fatalf("link %s: %v", name, err)
	}
	t.Cleanup(l.proxy.Stop)
	return l
}

// address is the end that processes connect to.
func (l *link) address() string { return l.proxy.Listen }

// faults are the ways in which a link fails: closed and closed to new
// connections, silent in one direction, reset at the next byte, or cut in the
// middle of a message.
func (l *link) faults(t *testing.T) []fault {
	return []fault{
		{"close " + l.proxy.Name, func() func() {
			l.proxy.Stop()
			return func() {
				if err := l.proxy.Start(); err != nil {
					t.Errorf("link %s: %v", l.proxy.Name, err)
				}
			}
		}},
		{"silence requests " + l.proxy.Name, l.toxic(t, "timeout", "upstream", "timeout", func() int { return 0 })},
		{"silence answers " + l.proxy.Name, l.toxic(t, "timeout", "downstream", "timeout", func() int { return 0 })},
		{"reset " + l.proxy.Name, l.toxic(t, "reset_peer", "downstream", "timeout", func() int { return 0 })},
		{"truncate requests " + l.proxy.Name, l.toxic(t, "limit_data", "upstream", "bytes", func() int { return l.random.IntN(4096) })},
		{"truncate answers " + l.proxy.Name, l.toxic(t, "limit_data", "downstream", "bytes", func() int { return l.random.IntN(512) })},
	}
}

// toxic returns what puts a toxic on the link and takes it away again.
func (l *link) toxic(t *testing.T, kind, stream, attribute string, value func() int) func() func() {
	return func() func() {
		body, err := json.Marshal(map[string]any{
			"name": kind, "type": kind, "stream": stream, "attributes": map[string]int{attribute: value()},
		})
		if err != nil {
			panic(err) // strings and numbers always marshal
		}
		if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(string(body))); err != nil {
			t.Errorf("link %s: %v", l.proxy.Name, err)
		}
		return func() {
			if err := l.proxy.Toxics.RemoveToxic(t.Context(), kind); err != nil {
				t.Errorf("link %s: %v", l.proxy.Name, err)
			}
		}
	}
}
