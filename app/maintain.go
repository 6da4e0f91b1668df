package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

const (
	// maxJump is how much further cutoffs may move than time has passed.
	maxJump = 24 * time.Hour
	// secondLook is how long the clock must have run steadily until a jump is
	// believed. A time server has corrected a wrong clock by then. A store's
	// clock that agrees is no substitute: the store may be on the same machine.
	secondLook = time.Hour
	// longAbsence is how long a server may have been off until the clock's
	// health check fails for it, where no store's clock confirms the time. After
	// less it deletes nothing for an hour and is healthy: it serves and counts,
	// and a supervisor that restarts what is unhealthy would begin the hour anew.
	longAbsence = 30 * 24 * time.Hour
	// manyRows is how many rows make a deletion that is announced.
	manyRows = 10_000
)

// Maintain keeps the store within its retention. It deletes nothing while the
// clock is not believed, so that a wrong one deletes no more than a day's data
// too early.
type Maintain struct {
	store     ports.Maintainer
	retention domain.Retention
	clock     *Clock
	log       *slog.Logger

	// What follows belongs to the one caller of Expire.

	// obeyed is when this process last expired data, nil for never.
	obeyed *instant
	// jump is when cutoffs were first seen to have jumped, nil when they have
	// not.
	jump *instant
}

// instant is a moment by the wall clock and by Elapsed.
type instant struct {
	wall    time.Time
	elapsed time.Duration
}

// NewMaintain returns the use case.
func NewMaintain(m ports.Maintainer, r domain.Retention, c *Clock, log *slog.Logger) *Maintain {
	return &Maintain{store: m, retention: r, clock: c, log: log}
}

// Expiry is the outcome of [Maintain.Expire].
type Expiry struct {
	// Deleted counts the rows that were deleted.
	Deleted ports.Expired
	// Withheld is why nothing was deleted although something may be due; nil
	// when the clock is believed. The log has it already.
	Withheld error
}

// Expire deletes what is due. It withholds that while the clock differs from a
// store's by more than is tolerated. It also does so when the cutoffs have
// moved more than a day further than time has passed since they were obeyed
// last, be it by another process, until the clock has run steadily for an hour.
// Meanwhile the health check of the clock fails, unless a store's clock agrees
// or the process may just have been off for up to 30 days.
// Calls must not overlap.
func (u *Maintain) Expire(ctx context.Context) (Expiry, error) {
	u.clock.Compare(ctx)
	if objection := u.clock.checkStores(); objection != nil {
		return Expiry{Withheld: objection}, nil //nolint:nilerr // it says why nothing is due
	}
	now := instant{u.clock.Now(), u.clock.Elapsed()}
	last, err := u.store.LastExpiry(ctx)
	if err != nil {
		return Expiry{}, fmt.Errorf("read when data was expired last: %w", err)
	}
	cutoffs := u.retention.Cutoffs(now.wall)
	due, err := u.store.Due(ctx, cutoffs)
	if err != nil {
		return Expiry{}, fmt.Errorf("count what is due: %w", err)
	}
	if last.IsZero() && due.Total() == 0 {
		u.trust() // a store without data
	} else if doubt := u.believe(ctx, now, last); doubt != nil {
		return Expiry{Withheld: doubt}, nil //nolint:nilerr // it says why nothing is due
	}
	u.announce(ctx, cutoffs, now.wall, last, due)
	if err := u.store.NoteExpiry(ctx, now.wall); err != nil {
		return Expiry{}, fmt.Errorf("note an expiry: %w", err)
	}
	u.obeyed = &now
	deleted, err := u.store.Expire(ctx, cutoffs)
	return Expiry{Deleted: deleted}, err
}

// believe returns why the time is not believed, given when data was expired
// last.
func (u *Maintain) believe(ctx context.Context, now instant, last time.Time) error {
	limit := last.Add(maxJump)
	if u.obeyed != nil && last.Sub(u.obeyed.wall).Abs() < time.Millisecond { // stores round
		limit = limit.Add(now.elapsed - u.obeyed.elapsed)
	}
	if !now.wall.After(limit) {
		u.trust()
		return nil
	}
	confirmed := u.clock.confirmed()
	if u.jump == nil || !u.clock.steady(*u.jump, now) {
		u.jump = &now
		level := slog.LevelError
		if confirmed {
			level = slog.LevelWarn
		}
		u.log.Log(ctx, level, "the clock is far ahead of when data was expired last, so nothing is deleted: "+
			"if it is right, deleting goes on in an hour, else set it right",
			"last_expiry", last, "now", now.wall, "ahead_seconds", now.wall.Sub(last).Seconds(), "store_agrees", confirmed)
	}
	if now.elapsed-u.jump.elapsed >= secondLook {
		u.log.Warn("the clock has run steadily for an hour and is believed: deleting goes on", "last_expiry", last, "now", now.wall)
		u.trust()
		return nil
	}
	err := domain.NewError(domain.CodeUnavailable, nil, fmt.Sprintf("the clock is %s ahead of when data was expired last: "+
		"set it right; if it is right, this ends by itself an hour after the start", roughly(now.wall.Sub(last))))
	absence := u.obeyed == nil && now.wall.Sub(last) <= longAbsence
	if confirmed || absence {
		u.clock.Suspect(nil)
	} else {
		u.clock.Suspect(err)
	}
	return err
}

func (u *Maintain) trust() {
	u.jump = nil
	u.clock.Suspect(nil)
}

// announce logs what a large deletion is going to delete.
func (u *Maintain) announce(ctx context.Context, cutoffs domain.Cutoffs, now, last time.Time, due ports.Expired) {
	level := slog.LevelInfo
	if now.Sub(last) > maxJump {
		level = slog.LevelWarn
	} else if due.Total() < manyRows {
		return
	}
	if due.Total() == 0 {
		return
	}
	u.log.Log(ctx, level, "deleting much expired data", "last_expiry", last,
		"events_before", cutoffs.Events, "hourly_before", cutoffs.Hourly, "daily_before", cutoffs.Daily,
		"errors_before", cutoffs.HourlyErrors, "batches_before", cutoffs.Batches, "rows", due.Total(), "tables", due)
}
