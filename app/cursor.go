package app

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// digest stands for a content; it is short, so that cursors are.
type digest [16]byte

func digestOf(content []byte) digest {
	sum := sha256.Sum256(content)
	return digest(sum[:])
}

// place is a place in a kept list.
type place struct {
	snapshot digest
	offset   int
}

// view is a sorted list as a query means it, whichever page of it is asked for.
type view struct{ list, sorting string }

// key is where a snapshot of the list is kept. It holds nothing that a client
// wrote, and no other list's snapshot can be had by it.
func (v view) key(snapshot digest) string {
	name := digestOf(fmt.Appendf(nil, "%q %x", v.list, snapshot))
	return "page:" + base64.RawURLEncoding.EncodeToString(name[:])
}

// A cursor is, in base64url, a snapshot's digest, an offset and a digest of
// both with the view.
const (
	cursorOffset = len(digest{})
	cursorSeal   = cursorOffset + 4
	cursorSize   = cursorSeal + len(digest{})
)

func (v view) cursor(p place) string {
	c := append(make([]byte, 0, cursorSize), p.snapshot[:]...)
	c = binary.BigEndian.AppendUint32(c, uint32(p.offset)) //nolint:gosec // an index of a list in memory
	seal := v.seal(c)
	return base64.RawURLEncoding.EncodeToString(append(c, seal[:]...))
}

// parse reads a cursor of this view; there is no telling a damaged one from
// another view's.
func (v view) parse(cursor string) (place, error) {
	if len(cursor) != base64.RawURLEncoding.EncodedLen(cursorSize) {
		return place{}, foreignCursor()
	}
	c, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(c) != cursorSize || v.seal(c[:cursorSeal]) != digest(c[cursorSeal:]) {
		return place{}, foreignCursor()
	}
	// Anyone can make a seal, so the offset may be anything.
	offset := min(binary.BigEndian.Uint32(c[cursorOffset:]), 1<<30)
	return place{digest(c[:cursorOffset]), int(offset)}, nil
}

func (v view) seal(place []byte) digest {
	return digestOf(fmt.Appendf(nil, "%q %q %x", v.list, v.sorting, place))
}

func foreignCursor() error {
	return domain.NewError(domain.CodeInvalid, nil,
		"cursor does not belong to this query: repeat it as it was answered, and change nothing else but limit")
}
