package httpapi

import (
	"cmp"
	"context"
	"hash/maphash"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// ConnectionsConfig bounds what clients hold of the server. Zero values mean
// the defaults.
type ConnectionsConfig struct {
	// Max is the most connections at once. Default 4096.
	Max int
	// MaxBytes is the most memory that connections, headers and bodies may
	// take, estimated. Default 128 MB.
	MaxBytes int64
}

const (
	defaultMaxConnections = 4096
	defaultMaxBytes       = 128 << 20
)

// What things take in memory, estimated rather too high. A header of many
// short lines takes many times what it has on the wire; until it is complete
// the worst is assumed.
const (
	connectionBytes = 16 << 10
	headerFactor    = 32
	fieldBytes      = 128
	valueBytes      = 32
	// bufferFactor is for the buffer of a body, which doubles when it is full.
	bufferFactor = 2
	gunzipBytes  = 48 << 10
)

// ordinaryBytes is what an ordinary request takes, of which net/http reads 4 KB at
// once. For that much a client may push others aside, or many who do nothing
// could keep out all who do something.
const ordinaryBytes = headerFactor * 4 << 10

// Connections keeps clients from locking out others. When there is no room for
// a connection or for what one sends, room is made: of those for whom the server
// does not work, the client that takes most loses its oldest connection. So who
// opens thousands competes with itself, and a client with few keeps them: who
// would take more than what others have is refused in their stead.
type Connections struct {
	max      int
	maxBytes int64
	log      *slog.Logger
	// seed makes a client's address unrecognisable; it is never kept longer
	// than the process lives.
	seed maphash.Seed

	mu     sync.Mutex
	all    []*connection
	bytes  int64
	groups map[uint64]int64 // bytes by client
	counts ConnectionCounts
	// short and malformed tell of room and of what is no request.
	short, malformed minutely
}

// ConnectionCounts tells how many connections there are and what befell those
// since the start.
type ConnectionCounts struct {
	Open int
	// Bytes is the memory that they take, estimated.
	Bytes int64
	// ClosedEarly had to make room, Refused found none, and Malformed sent
	// what is no HTTP request.
	ClosedEarly, Refused, Malformed int64
}

// NewConnections returns bounds for one or more servers together.
func NewConnections(log *slog.Logger, config ConnectionsConfig) *Connections {
	return &Connections{
		max:      cmp.Or(config.Max, defaultMaxConnections),
		maxBytes: cmp.Or(config.MaxBytes, defaultMaxBytes),
		log:      log,
		seed:     maphash.MakeSeed(),
		groups:   make(map[uint64]int64),
	}
}

// Serve has the server answer what the listener accepts, within the bounds. It
// returns as [http.Server.Serve] does.
func (t *Connections) Serve(server *http.Server, l net.Listener) error {
	handler := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if connectionOf(r.Context()).begin(r.Header) {
			handler.ServeHTTP(w, r)
		}
	})
	// net/http would answer OPTIONS * past the handler.
	server.DisableGeneralOptionsHandler = true
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connectionKey{}, c)
	}
	server.ConnState = func(c net.Conn, state http.ConnState) {
		if tracked, ok := c.(*connection); ok && state == http.StateIdle {
			tracked.rest()
		}
	}
	return server.Serve(boundedListener{l, t})
}

type connectionKey struct{}

// connectionOf returns what a request came by; nil, on which all methods are
// fine, when nothing is bounded.
func connectionOf(ctx context.Context) *connection {
	c, _ := ctx.Value(connectionKey{}).(*connection)
	return c
}

// Counts tells how things are.
func (t *Connections) Counts() ConnectionCounts {
	t.mu.Lock()
	defer t.mu.Unlock()
	counts := t.counts
	counts.Open, counts.Bytes = len(t.all), t.bytes
	return counts
}

type boundedListener struct {
	net.Listener

	connections *Connections
}

// Accept passes over those for whom there is no room.
func (l boundedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if tracked, ok := l.connections.admit(c); ok {
			return tracked, nil
		}
		l.connections.turnAway(c)
	}
}

// admit takes a connection in, if there is or can be made room.
func (t *Connections) admit(c net.Conn) (*connection, bool) {
	tracked := &connection{Conn: c, table: t, client: t.clientOf(c.RemoteAddr()), awaiting: true, since: time.Now()}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.all) >= t.max && !t.makeRoom(tracked, connectionBytes) || !t.grow(tracked, connectionBytes) {
		t.countRefused()
		return nil, false
	}
	tracked.place = len(t.all)
	t.all = append(t.all, tracked)
	return tracked, true
}

// clientOf tells clients apart as limits do: by address, and by network where
// one client has a whole network.
func (t *Connections) clientOf(address net.Addr) uint64 {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return 0
	}
	client := tcp.AddrPort().Addr().Unmap().WithZone("")
	if client.Is6() {
		client = netip.PrefixFrom(client, 64).Masked().Addr()
	}
	return maphash.Comparable(t.seed, client)
}

// add changes what c takes. The table is locked.
func (t *Connections) add(c *connection, bytes int64) {
	c.bytes += bytes
	t.bytes += bytes
	if t.groups[c.client] += bytes; t.groups[c.client] == 0 {
		delete(t.groups, c.client)
	}
}

// grow counts bytes more that c takes, if there is or can be made room. The
// table is locked.
func (t *Connections) grow(c *connection, bytes int64) bool {
	for t.bytes+bytes > t.maxBytes {
		if !t.makeRoom(c, bytes) {
			return false
		}
	}
	t.add(c, bytes)
	return true
}

// remove forgets a connection, once. The table is locked.
func (t *Connections) remove(c *connection) {
	if c.gone {
		return
	}
	c.gone = true
	last := t.all[len(t.all)-1]
	t.all[c.place], last.place = last, c.place
	t.all[len(t.all)-1] = nil
	t.all = t.all[:len(t.all)-1]
	t.add(c, -c.bytes)
}

// samples is how many connections are looked at to find one to close. Looking
// at all of thousands would be what the attacker wants; a client that holds a
// tenth of them escapes this many glances once in a thousand times.
const samples = 64

// makeRoom closes a connection of somebody who takes more than the one that asks
// for bytes more, if there is one to close. The table is locked.
func (t *Connections) makeRoom(asking *connection, bytes int64) bool {
	victim := t.greediest(asking)
	if victim == nil || victim.client != asking.client &&
		t.groups[victim.client] < t.groups[asking.client]+bytes-ordinaryBytes {
		return false
	}
	t.remove(victim)
	t.counts.ClosedEarly++
	t.tellShort()
	_ = victim.Conn.Close() // what it waits for ends with an error
	return true
}

// greediest looks for the connection to close; nil for none but the one that
// asks. The table is locked.
func (t *Connections) greediest(asking *connection) *connection {
	var victim *connection
	for i := range min(samples, len(t.all)) {
		if len(t.all) > samples {
			i = rand.IntN(len(t.all)) //nolint:gosec // nothing is secret here
		}
		c := t.all[i]
		if c != asking && (c.awaiting || !c.handling) && (victim == nil || t.rather(c, victim)) {
			victim = c
		}
	}
	return victim
}

// rather reports whether to close a rather than b.
func (t *Connections) rather(a, b *connection) bool {
	if heavy := cmp.Compare(t.groups[a.client], t.groups[b.client]); heavy != 0 {
		return heavy > 0
	}
	return a.since.Before(b.since)
}

// countRefused counts who found no room. The table is locked.
func (t *Connections) countRefused() {
	t.counts.Refused++
	t.tellShort()
}

// tellShort logs that room is short. The table is locked.
func (t *Connections) tellShort() {
	if t.short.due() {
		t.log.Warn("clients hold all connections or all memory that there is for requests",
			"connections", len(t.all), "closed_early", t.counts.ClosedEarly, "refused", t.counts.Refused)
	}
}

// countMalformed counts, and logs, what is no request. The table is locked.
func (t *Connections) countMalformed() {
	t.counts.Malformed++
	if t.malformed.due() {
		t.log.Info("clients send what is no request", "malformed", t.counts.Malformed)
	}
}

// minutely keeps clients from filling the log. It is safe for concurrent use.
type minutely struct {
	mu   sync.Mutex
	last time.Time
}

// due is true at most once a minute.
func (m *minutely) due() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if now.Sub(m.last) < time.Minute {
		return false
	}
	m.last = now
	return true
}
