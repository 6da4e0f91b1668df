// Package system takes time and batch ids from the machine.
package system

import (
	"time"

	"github.com/google/uuid"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

var (
	_ ports.Clock    = Clock{}
	_ ports.BatchIDs = BatchIDs{}
)

// Clock is the machine's clock.
type Clock struct{}

// Now returns the current time in UTC.
func (Clock) Now() time.Time { return time.Now().UTC() }

// started holds a reading of the machine's monotonic clock.
var started = time.Now()

// Elapsed returns the time since the start of the process.
func (Clock) Elapsed() time.Duration { return time.Since(started) }

// BatchIDs makes UUIDs of version 7.
type BatchIDs struct{}

// NewBatchID returns a fresh id. Within one process ids ascend even when the
// clock is set back.
func (BatchIDs) NewBatchID() domain.BatchID {
	// Must cannot panic: since Go 1.24 the random source never fails.
	return domain.BatchID(uuid.Must(uuid.NewV7()).String())
}
