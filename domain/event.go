package domain

import (
	"slices"
	"time"
)

// Level says how much a client has agreed to tell.
type Level string

// The levels, each including the fields of the one before.
const (
	LevelMinimal  Level = "minimal"
	LevelStandard Level = "standard"
	LevelDetailed Level = "detailed"
)

// Levels lists the levels, least telling first.
func Levels() []Level { return []Level{LevelMinimal, LevelStandard, LevelDetailed} }

// ParseLevel returns the level of that name, or false.
func ParseLevel(s string) (Level, bool) {
	l := Level(s)
	return l, slices.Contains(Levels(), l)
}

// includes reports whether an event of level l carries the fields of other.
func (l Level) includes(other Level) bool {
	return l.rank() >= other.rank()
}

func (l Level) rank() int {
	switch l {
	case LevelMinimal:
		return 1
	case LevelStandard:
		return 2
	case LevelDetailed:
		return 3
	default:
		return 0
	}
}

// Status is the outcome of a tool call.
type Status string

// The statuses.
const (
	StatusSuccess Status = "success"
	StatusError   Status = "error"
)

// Statuses lists the statuses.
func Statuses() []Status { return []Status{StatusSuccess, StatusError} }

// ParseStatus returns the status of that name, or false.
func ParseStatus(s string) (Status, bool) {
	st := Status(s)
	return st, slices.Contains(Statuses(), st)
}

// The limits of an event's fields. Lengths are in characters unless they say
// otherwise.
const (
	MaxVersionLength   = 20
	MaxErrorTypeLength = 100
	// MaxResponseTimeMS is the longest response time that is kept, in
	// milliseconds; a longer one is stored as this.
	MaxResponseTimeMS  = 120_000
	MaxRetryCount      = 10
	MaxSequenceNumber  = 1<<31 - 1
	SessionIDLength    = 16
	MaxParameters      = 20
	MaxParameterLength = 64
	// MaxParametersBytes bounds the parameters in JSON, names included.
	MaxParametersBytes = 2048
)

// OtherName stands for everything that is not told apart: tools outside the
// catalogue when those are counted, and groups too small to be shown.
const OtherName = "other"

// TimestampName is the name beside which a time series lists its tools, so none
// may have it.
const TimestampName = "timestamp"

// UnspecifiedError is the error type of a failed call that named none.
const UnspecifiedError = "unspecified"

// Optional is a value that may be absent. The zero Optional is absent.
type Optional[T any] struct {
	Value T
	Valid bool
}

// Some returns a present value.
func Some[T any](v T) Optional[T] { return Optional[T]{Value: v, Valid: true} }

// Event is one tool call as it is stored: accepted, normalised and with
// nothing in it that its level does not include. Strings that are optional
// are empty when absent.
type Event struct {
	Version string
	Tool    string
	Status  Status
	// Hour is the UTC hour in which the call happened.
	Hour      time.Time
	Level     Level
	ErrorType string

	// Standard and detailed levels.

	// ResponseTimeMS is in whole milliseconds, 0 to [MaxResponseTimeMS].
	ResponseTimeMS Optional[int32]
	Service        string
	CacheHit       Optional[bool]
	RetryCount     Optional[int32]
	// Country is an ISO 3166-1 alpha-2 code in upper case, or XK.
	Country string

	// Detailed level.

	// Parameters is a JSON object of strings, numbers and booleans without
	// white space; empty when absent.
	Parameters string
	// SessionID is the client's own salted hash, 16 hexadecimal characters
	// in lower case.
	SessionID      string
	SequenceNumber Optional[int32]
}

// BatchID names a batch for ever: a UUID of version 7, so that ids made later
// sort later (RFC 9562, section 5.7).
type BatchID string

// Batch is a set of events that were accepted together and are stored
// together, exactly once.
type Batch struct {
	ID BatchID
	// ReceivedAt is when the server accepted the batch.
	ReceivedAt time.Time
	Events     []Event
}

// BatchOverhead is what a queue takes for a batch beside its encoded events, in
// bytes: id, times, indexes.
const BatchOverhead = 256

// The defaults of what a queue holds.
const (
	DefaultMaxQueueEvents     = 100_000
	DefaultMaxQueueBytes      = 64 << 20
	DefaultMaxDeadLetters     = 1000
	DefaultMaxDeadLetterBytes = 16 << 20
)
