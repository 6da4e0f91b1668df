package app

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

const (
	// measureEvery is how long a measurement of the disks is good for.
	measureEvery = time.Second
	// recoveryPart is the part of the reserve that must be free beyond it until
	// events are taken in again.
	recoveryPart = 8
)

// Reserve keeps room on the disks for what is accepted already: below it no
// event is taken in. It is a health check.
type Reserve struct {
	volumes []ports.Volume
	clock   ports.Clock
	bytes   int64

	mu       sync.Mutex
	measured *time.Duration // on the clock's Elapsed; nil for never
	found    []VolumeSpace
	low      map[string]bool
}

var _ ports.HealthCheck = (*Reserve)(nil)

// VolumeSpace is the room that was found for one volume.
type VolumeSpace struct {
	Name string
	ports.DiskSpace
	// Low reports that it is, or was until a moment ago, less than the reserve.
	Low bool
}

// NewReserve returns a reserve of so many bytes on each volume; 0 asks for none.
func NewReserve(volumes []ports.Volume, c ports.Clock, bytes int64) *Reserve {
	return &Reserve{volumes: volumes, clock: c, bytes: bytes, low: make(map[string]bool)}
}

// Bytes is the reserve.
func (u *Reserve) Bytes() int64 { return u.bytes }

// Name is "disk".
func (*Reserve) Name() string { return "disk" }

// Check returns domain.CodeDiskFull while a volume has less room than the
// reserve, and until it has an eighth more than that again. Disks are measured
// once a second at most.
func (u *Reserve) Check(ctx context.Context) error {
	for _, v := range u.Measure(ctx) {
		if v.Low {
			return domain.NewError(domain.CodeDiskFull,
				fmt.Errorf("%d MB are free on the disk of the %s, and DISK_RESERVE_MB is %d", v.Free>>20, v.Name, u.bytes>>20),
				"the disk of the "+v.Name+" has less room than its reserve")
		}
	}
	return nil
}

// Measure lists the volumes that can be measured.
func (u *Reserve) Measure(ctx context.Context) []VolumeSpace {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := u.clock.Elapsed()
	if u.measured != nil && now-*u.measured < measureEvery {
		return u.found
	}
	u.measured, u.found = &now, nil
	for _, v := range u.volumes {
		space, ok := v.Space(ctx)
		if !ok {
			continue
		}
		limit := u.bytes
		if u.low[v.VolumeName()] {
			limit += u.bytes / recoveryPart
		}
		low := space.Free < limit
		u.low[v.VolumeName()] = low
		u.found = append(u.found, VolumeSpace{Name: v.VolumeName(), DiskSpace: space, Low: low})
	}
	return u.found
}

// CheckSize returns domain.CodeInvalid when a disk is smaller than the reserve:
// nothing could ever be taken in.
func (u *Reserve) CheckSize(ctx context.Context) error {
	for _, v := range u.Measure(ctx) {
		if u.bytes >= v.Total {
			return domain.NewError(domain.CodeInvalid, nil, fmt.Sprintf(
				"is %d, and the disk of the %s has %d MB in all, so that no event would ever be taken in: give less, or a larger disk",
				u.bytes>>20, v.Name, v.Total>>20))
		}
	}
	return nil
}

// suspendFor is how long other processes refuse events after the last time that
// a worker found no room for them. It outlasts the longest wait between tries.
const suspendFor = 75 * time.Second

// Guard closes the queue's intake for every process while a worker finds no room
// for what is in the queue.
type Guard struct {
	intake    ports.Intake
	reserve   *Reserve
	log       *slog.Logger
	suspended bool
	unheard   bool // other processes could not be told
}

// NewGuard returns the guard of one worker.
func NewGuard(i ports.Intake, r *Reserve, log *slog.Logger) *Guard {
	return &Guard{intake: i, reserve: r, log: log}
}

// watch takes the outcome of a worker's step.
func (g *Guard) watch(ctx context.Context, outcome error) {
	if g == nil {
		return
	}
	cause := g.reserve.Check(ctx)
	if domain.CodeOf(outcome) == domain.CodeDiskFull {
		cause = outcome
	}
	switch {
	case cause != nil:
		if !g.suspended {
			g.log.Error("no events are taken in for want of disk", "error", cause)
		}
		g.suspended = true
		g.tell(g.intake.Suspend(ctx, suspendFor))
	case g.suspended && outcome == nil:
		g.log.Info("events are taken in again")
		g.suspended = false
		g.tell(g.intake.Resume(ctx))
	}
}

// tell logs, once, that other processes could not be told. That is tried again
// with the next step.
func (g *Guard) tell(err error) {
	if err != nil && !g.unheard {
		g.log.Warn("other processes cannot be told about the disk", "code", domain.CodeOf(err), "error", err)
	}
	g.unheard = err != nil
}
