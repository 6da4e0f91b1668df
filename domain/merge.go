package domain

import "time"

// PackJournal packs what [Finest] gave, a value for each UTC day, in order.
func PackJournal(finest Aggregates) []JournalValue { panic("not yet") }

// Merge adds what is new of one UTC day to its packed aggregates.
type Merge struct{}

// NewMerge returns one for the day that begins at day. It leaves out what is due
// by cutoffs.
func NewMerge(day time.Time, c Cutoffs) *Merge { panic("not yet") }

// Add takes the payload of a [JournalValue] of the day. Damaged bytes are an
// error, and leave the merge as it was.
func (m *Merge) Add(payload []byte) error { panic("not yet") }

// AddFinest takes what [Finest] gave for events of the day.
func (m *Merge) AddFinest(finest Aggregates) { panic("not yet") }

// Entries is how many groups and error types of an hour were added.
func (m *Merge) Entries() int { panic("not yet") }

// Buckets lists the buckets that change: hours in order and then the day.
func (m *Merge) Buckets() []PackedBucket { panic("not yet") }

// Bucket returns every value of a bucket, given those of [FinestGrains] that are
// stored for it, with all three columns. They replace whatever stands there.
// Bytes of stored are not kept. Damaged ones are an error that names the grain.
func (m *Merge) Bucket(b PackedBucket, stored []Packed) ([]Packed, error) { panic("not yet") }

// CountJournal returns how many calls the payload of a [JournalValue] counts of
// each value of the open dimensions, as [TakeCensus] does.
func CountJournal(day time.Time, payload []byte) ([]OpenValues, error) { panic("not yet") }

// CountPacked is the same for a packed value of the grain of versions alone, or of
// [GrainErrors] with any grain.
func CountPacked(p Packed) (OpenValues, error) { panic("not yet") }
