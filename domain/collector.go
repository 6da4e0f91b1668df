package domain

import "time"

// Reads lists what to read for the selection. The index in the list is what
// [Collector.Add] wants to know.
func (s Selection) Reads() []PackedRead { panic("not yet") }

// Collector makes the answer to a [Selection] of packed values and of the
// journal, given in any order.
type Collector struct{}

// NewCollector returns one for the selection.
func NewCollector(s Selection) *Collector { panic("not yet") }

// Add takes a packed value that the read, an index in [Selection.Reads], asks
// for. Of p, the key and what the read wants are set. The bytes are not kept.
func (c *Collector) Add(read int, p Packed) error { panic("not yet") }

// AddJournal takes what a transaction added to a day. Days outside the window
// add nothing.
func (c *Collector) AddJournal(day time.Time, payload []byte) error { panic("not yet") }

// Selected returns the answer.
func (c *Collector) Selected() Selected { panic("not yet") }
