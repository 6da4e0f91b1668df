package app_test

import (
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

func packedOn(day, bytes int) domain.Packed {
	return domain.Packed{
		PackedKey: domain.PackedKey{PackedBucket: domain.PackedBucket{
			Resolution: domain.Daily, Start: time.Date(2026, 1, 1+day, 0, 0, 0, 0, time.UTC),
		}},
		Counts: make([]byte, bytes),
	}
}

func TestPackedCache(t *testing.T) {
	c := app.NewPackedCache(10_000)
	counts, all := domain.PackedRead{}, domain.PackedRead{Latency: true, Sessions: true}
	has := func(day int, generation int64, read domain.PackedRead) bool {
		p, ok := c.Get(packedOn(day, 0).PackedKey, generation, read)
		return ok && len(p.Counts) > 0
	}
	c.Put(packedOn(1, 100), 7, counts)
	if !has(1, 7, counts) || has(1, 8, counts) || has(1, 6, counts) || has(2, 7, counts) {
		t.Error("a value stands for its key and generation alone")
	}
	if has(1, 7, domain.PackedRead{Latency: true}) || has(1, 7, domain.PackedRead{Sessions: true}) {
		t.Error("a value without a column stands for one with it")
	}
	c.Put(packedOn(1, 100), 8, all)
	if has(1, 7, counts) || !has(1, 8, counts) || !has(1, 8, all) {
		t.Error("a value does not take the place of an earlier one")
	}
	// Columns that were put one after the other are there together.
	timed, counted := packedOn(2, 100), packedOn(2, 100)
	timed.Latency, counted.Sessions = []byte("latency"), []byte("sessions")
	c.Put(timed, 8, domain.PackedRead{Latency: true})
	c.Put(packedOn(2, 100), 8, counts)
	c.Put(counted, 8, domain.PackedRead{Sessions: true})
	if p, ok := c.Get(timed.PackedKey, 8, all); !ok || string(p.Latency) != "latency" || string(p.Sessions) != "sessions" {
		t.Errorf("of two reads %+v is kept, %t", p, ok)
	}
	c.Put(packedOn(2, 100), 9, counts)
	if has(2, 9, all) {
		t.Error("a column stands for another generation")
	}
	c.Put(packedOn(2, 0), 10, counts)
	// A value that is known to be absent is known.
	c.Put(packedOn(3, 0), 8, counts)
	if p, ok := c.Get(packedOn(3, 0).PackedKey, 8, counts); !ok || len(p.Counts) > 0 {
		t.Errorf("absent: %+v, %t", p, ok)
	}
	// What was used least lately goes first.
	for day := range 6 {
		c.Put(packedOn(10+day, 2_000), 1, counts)
		if !has(1, 8, counts) {
			t.Fatalf("the value in use was forgotten after %d others", day+1)
		}
	}
	if has(10, 1, counts) || !has(15, 1, counts) {
		t.Error("the oldest of six values of 2,000 bytes stays in 10,000, or the newest goes")
	}
	c.Put(packedOn(30, 20_000), 1, counts)
	if has(30, 1, counts) || !has(15, 1, counts) {
		t.Error("a value larger than the bound is held, or pushes others out")
	}
	var none *app.PackedCache
	none.Put(packedOn(1, 1), 1, counts)
	if _, ok := none.Get(packedOn(1, 1).PackedKey, 1, counts); ok {
		t.Error("a nil cache holds a value")
	}
}
