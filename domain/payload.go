package domain

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"
)

// PayloadFormat is the first byte of a payload, the form in which a queue holds the
// events of a batch. It grows when the meaning of the rest changes; a worker leaves
// payloads of a higher format to newer workers. It stays below 32, so that no text
// looks like a payload:
//
//	number of events
//	per event: version, tool, status, level, error type, service, country,
//	           parameters, session id; hour; flags; the numbers that the flags name
//	checksum of all this, 4 bytes
//
// Strings are interned: the first occurrence is written in full, later ones as its
// number. An hour is written as the distance in seconds to the event before.
const PayloadFormat = 1

// The flags of an event: which of its numbers follow.
const (
	hasResponseTime = 1 << iota
	hasCacheHit
	wasCacheHit
	hasRetryCount
	hasSequenceNumber
)

// minEventSize is the least number of bytes that an event takes.
const minEventSize = 11

var checksums = crc32.MakeTable(crc32.Castagnoli)

// EncodeEvents returns the payload of a batch with these events.
func EncodeEvents(events []Event) []byte {
	e := payloadEncoder{
		data: make([]byte, 0, 256+32*len(events)),
		seen: make(map[string]uint64, 32),
	}
	e.data = append(e.data, PayloadFormat)
	e.number(uint64(len(events)))
	for i := range events {
		e.event(&events[i])
	}
	return binary.BigEndian.AppendUint32(e.data, crc32.Checksum(e.data, checksums))
}

type payloadEncoder struct {
	data []byte
	seen map[string]uint64 // the numbers of texts, from 1 on
	// last holds the texts of the event before, which are often the same, and
	// their numbers.
	last [textFields]struct {
		text   string
		number uint64
	}
	hour int64
}

// textFields is how many texts an event has.
const textFields = 9

func (e *payloadEncoder) event(event *Event) {
	for i, s := range [textFields]string{
		event.Version, event.Tool, string(event.Status), string(event.Level), event.ErrorType,
		event.Service, event.Country, event.Parameters, event.SessionID,
	} {
		last := &e.last[i]
		if last.number > 0 && last.text == s {
			e.number(last.number)
			continue
		}
		last.text, last.number = s, e.text(s)
	}
	hour := event.Hour.Unix()
	e.data = binary.AppendVarint(e.data, hour-e.hour)
	e.hour = hour
	e.data = append(e.data, flagsOf(event))
	e.optional(event.ResponseTimeMS)
	e.optional(event.RetryCount)
	e.optional(event.SequenceNumber)
}

func flagsOf(event *Event) byte {
	var flags byte
	for _, f := range [...]struct {
		set  bool
		flag byte
	}{
		{event.ResponseTimeMS.Valid, hasResponseTime},
		{event.CacheHit.Valid, hasCacheHit},
		{event.CacheHit.Valid && event.CacheHit.Value, wasCacheHit},
		{event.RetryCount.Valid, hasRetryCount},
		{event.SequenceNumber.Valid, hasSequenceNumber},
	} {
		if f.set {
			flags |= f.flag
		}
	}
	return flags
}

func (e *payloadEncoder) number(n uint64) { e.data = binary.AppendUvarint(e.data, n) }

func (e *payloadEncoder) optional(n Optional[int32]) {
	if n.Valid {
		e.data = binary.AppendVarint(e.data, int64(n.Value))
	}
}

// text writes 0, the length and the text of a new one, else its number. It returns
// the number.
func (e *payloadEncoder) text(s string) uint64 {
	number, known := e.seen[s]
	e.number(number)
	if known {
		return number
	}
	number = uint64(len(e.seen) + 1)
	e.seen[s] = number
	e.number(uint64(len(s)))
	e.data = append(e.data, s...)
	return number
}

var errDamagedPayload = errors.New("the payload is damaged")

// DecodeEvents reverses [EncodeEvents]. What EncodeEvents did not write is an
// error.
func DecodeEvents(data []byte) ([]Event, error) {
	if len(data) == 0 {
		return nil, errDamagedPayload
	}
	if data[0] != PayloadFormat {
		return nil, fmt.Errorf("the payload's format %d is unknown", data[0])
	}
	end := len(data) - crc32.Size
	if end < 1 || crc32.Checksum(data[:end], checksums) != binary.BigEndian.Uint32(data[end:]) {
		return nil, errDamagedPayload
	}
	d := payloadDecoder{data: data[1:end], text: string(data[1:end])}
	count := d.number()
	if count > uint64(len(d.data)/minEventSize) {
		return nil, errDamagedPayload
	}
	events := make([]Event, count)
	for i := range events {
		d.event(&events[i])
	}
	if d.failed || d.at != len(d.data) {
		return nil, errDamagedPayload
	}
	return events, nil
}

// payloadDecoder reads on after a failure, to no effect, so that it need be asked
// only once.
type payloadDecoder struct {
	data   []byte
	text   string // the same bytes; every text of the events is a part of it
	at     int
	seen   []string
	hour   int64
	failed bool
}

func (d *payloadDecoder) event(event *Event) {
	event.Version = d.string()
	event.Tool = d.string()
	event.Status = Status(d.string())
	event.Level = Level(d.string())
	event.ErrorType = d.string()
	event.Service = d.string()
	event.Country = d.string()
	event.Parameters = d.string()
	event.SessionID = d.string()
	d.hour += d.signed()
	event.Hour = time.Unix(d.hour, 0).UTC()
	flags := d.byte()
	event.ResponseTimeMS = d.optional(flags & hasResponseTime)
	event.RetryCount = d.optional(flags & hasRetryCount)
	event.SequenceNumber = d.optional(flags & hasSequenceNumber)
	if flags&hasCacheHit != 0 {
		event.CacheHit = Some(flags&wasCacheHit != 0)
	}
}

func (d *payloadDecoder) byte() byte {
	if d.at == len(d.data) {
		d.failed = true
		return 0
	}
	d.at++
	return d.data[d.at-1]
}

func (d *payloadDecoder) number() uint64 {
	n, size := binary.Uvarint(d.data[d.at:])
	d.advance(size)
	return n
}

func (d *payloadDecoder) signed() int64 {
	n, size := binary.Varint(d.data[d.at:])
	d.advance(size)
	return n
}

func (d *payloadDecoder) advance(size int) {
	if size <= 0 {
		d.failed = true
		return
	}
	d.at += size
}

func (d *payloadDecoder) optional(present byte) Optional[int32] {
	if present == 0 {
		return Optional[int32]{}
	}
	n := d.signed()
	if n < math.MinInt32 || n > math.MaxInt32 {
		d.failed = true
		return Optional[int32]{}
	}
	return Some(int32(n))
}

func (d *payloadDecoder) string() string {
	number := d.number()
	if number > uint64(len(d.seen)) {
		d.failed = true
		return ""
	}
	if number > 0 {
		return d.seen[number-1]
	}
	size := d.number()
	if size > uint64(len(d.data)-d.at) { //nolint:gosec // never negative
		d.failed = true
		return ""
	}
	start := d.at
	d.at += int(size) //nolint:gosec // at most what is left
	s := d.text[start:d.at]
	d.seen = append(d.seen, s)
	return s
}
