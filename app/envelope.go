package app

import (
	"encoding/binary"
	"errors"
	"time"
)

// entry is a cached answer. Content is shared and never changed.
type entry struct {
	*Content

	// at is when the computation began.
	at time.Time
	// until is when the cache may forget the answer, on the clock's Elapsed.
	until time.Duration
}

// An entry is stored in the shared cache as one envelope: a format byte, the Unix
// time of at in nanoseconds (8 bytes, big endian), a byte that names the encoding
// of the body, tag and next, each after its length as a varint, and the body.
const envelopeFormat = 1

const (
	encodingIdentity = iota
	encodingGzip
)

const envelopeFixed = 1 + 8 + 1

// encodeEnvelope writes the entry's content in its shortest encoding.
func encodeEnvelope(e entry) []byte {
	encoding, body := byte(encodingIdentity), e.Plain
	if e.Gzip != nil {
		encoding, body = encodingGzip, e.Gzip
	}
	b := make([]byte, 0, envelopeFixed+2*binary.MaxVarintLen32+len(e.Tag)+len(e.Next)+len(body))
	b = append(b, envelopeFormat)
	b = binary.BigEndian.AppendUint64(b, uint64(e.at.UnixNano()))
	b = append(b, encoding)
	for _, text := range []string{e.Tag, e.Next} {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	return append(b, body...)
}

var errEnvelope = errors.New("the bytes are no cached answer")

// decodeEnvelope reads what encodeEnvelope wrote. Where known is the same answer
// its content is taken, so that nothing is decompressed twice.
func decodeEnvelope(b []byte, known entry) (entry, error) {
	if len(b) < envelopeFixed || b[0] != envelopeFormat {
		return entry{}, errEnvelope
	}
	e := entry{at: time.Unix(0, int64(binary.BigEndian.Uint64(b[1:])))} //nolint:gosec // written by encodeEnvelope
	encoding, rest := b[envelopeFixed-1], b[envelopeFixed:]
	tag, rest, ok := cutText(rest)
	next, body, ok2 := cutText(rest)
	if !ok || !ok2 || encoding > encodingGzip {
		return entry{}, errEnvelope
	}
	if known.Content != nil && known.Tag == tag && known.Next == next {
		e.Content = known.Content
		return e, nil
	}
	e.Content = &Content{Tag: tag, Next: next}
	if encoding == encodingIdentity {
		e.Plain = body
	} else {
		e.Gzip = body
		var err error
		if e.Plain, err = e.Expand(); err != nil {
			return entry{}, err
		}
	}
	if TagOf(e.Plain) != tag {
		return entry{}, errEnvelope
	}
	return e, nil
}

// cutText cuts a text and its length off b.
func cutText(b []byte) (text string, rest []byte, ok bool) {
	length, n := binary.Uvarint(b)
	if n <= 0 || length > uint64(len(b)-n) { //nolint:gosec // n is at most len(b)
		return "", nil, false
	}
	end := n + int(length) //nolint:gosec // at most len(b)
	return string(b[n:end]), b[end:], true
}
