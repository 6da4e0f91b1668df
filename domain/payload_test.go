package domain_test

import (
	"encoding/binary"
	"hash/crc32"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

func TestPayloadsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		event := rapid.Custom(func(t *rapid.T) domain.Event { return contract.DrawEvent(t, contract.Now, 100_000) })
		events := rapid.SliceOfN(event, 0, 20).Draw(t, "events")
		got, err := domain.DecodeEvents(domain.EncodeEvents(events))
		if err != nil || len(got) != len(events) || len(events) > 0 && !reflect.DeepEqual(got, events) {
			t.Fatalf("decoded %+v, %v\nwant %+v", got, err, events)
		}
	})
}

// What no client can send survives too: the queue does not judge.
func TestPayloadsOfStrangeEventsRoundTrip(t *testing.T) {
	events := []domain.Event{
		{},
		{Version: strings.Repeat("\x00\xff", 70_000), Hour: time.Unix(-1<<40, 0).UTC()},
		{
			Status: "neither", Level: "none", Hour: time.Unix(1<<40, 0).UTC(),
			ResponseTimeMS: domain.Some[int32](-1 << 31), RetryCount: domain.Some[int32](1<<31 - 1),
			SequenceNumber: domain.Some[int32](-1), CacheHit: domain.Some(false),
		},
	}
	events[0].Hour = time.Unix(0, 0).UTC()
	got, err := domain.DecodeEvents(domain.EncodeEvents(events))
	if err != nil || !reflect.DeepEqual(got, events) {
		t.Errorf("decoded %+v, %v", got, err)
	}
}

func TestDamagedPayloadsAreNoticed(t *testing.T) {
	sound := domain.EncodeEvents(contract.Events(1, 20))
	for at := range sound {
		spoiled := append([]byte(nil), sound...)
		spoiled[at] ^= 0x10
		if _, err := domain.DecodeEvents(spoiled); err == nil {
			t.Errorf("byte %d changed: no error", at)
		}
		if _, err := domain.DecodeEvents(sound[:at]); err == nil {
			t.Errorf("cut to %d bytes: no error", at)
		}
	}
	if _, err := domain.DecodeEvents(append(sound, 0)); err == nil {
		t.Error("a byte too many: no error")
	}
}

// signed gives bytes the right checksum.
func signed(data []byte) []byte {
	return binary.BigEndian.AppendUint32(slices.Clone(data), crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
}

func TestPayloadsThatCannotBe(t *testing.T) {
	sound := domain.EncodeEvents(contract.Events(1, 1))
	sound = sound[:len(sound)-4]
	for name, data := range map[string][]byte{
		"nothing":            {},
		"more than is said":  append(slices.Clone(sound), 0),
		"less than is said":  sound[:len(sound)-1],
		"an unknown text":    []byte("\x01\x01\x05aaaaaaaaaaaaaaaaaaaa"),
		"a text too long":    []byte("\x01\x01\x00\x7faaaaaaaaaaaaaaaaaaaa"),
		"a number too large": []byte("\x01\x01\x00\x00\x01\x01\x01\x01\x01\x01\x01\x01\x00\x01\xff\xff\xff\xff\x7f"),
	} {
		if events, err := domain.DecodeEvents(signed(data)); err == nil {
			t.Errorf("%s: decoded %+v", name, events)
		}
	}
	if _, err := domain.DecodeEvents(signed(sound)); err != nil {
		t.Error(err)
	}
}

// The checksum is no defence against those who know it.
func FuzzDecodeEvents(f *testing.F) {
	sound := domain.EncodeEvents(contract.Events(1, 3))
	f.Add(sound[:len(sound)-4])
	f.Add([]byte{1, 0})
	f.Add([]byte{1, 1, 5})
	f.Add([]byte("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Add([]byte("\x01\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Add([]byte("\x01\x01\x00\x00\x01\x01\x01\x01\x01\x01\x01\x01\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		events, err := domain.DecodeEvents(signed(data))
		if err != nil {
			return
		}
		again, err := domain.DecodeEvents(domain.EncodeEvents(events))
		if err != nil || len(again) != len(events) || len(events) > 0 && !reflect.DeepEqual(again, events) {
			t.Fatalf("%+v became %+v, %v", events, again, err)
		}
	})
}

// BenchmarkPayload encodes and decodes 100 events.
func BenchmarkPayload(b *testing.B) {
	events := contract.Events(1, 100)
	data := domain.EncodeEvents(events)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			domain.EncodeEvents(events)
		}
		b.ReportMetric(float64(len(data)), "bytes")
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := domain.DecodeEvents(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
