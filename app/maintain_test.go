package app_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang/mock/gomock"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/ports/mocks"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/logs"
)

// alone is a clock that is compared with no other.
func alone(own ports.Clock) *app.Clock {
	return app.NewClock(own, nil, slog.New(slog.DiscardHandler), app.ClockConfig{})
}

// installation is a store with years of data, and the true time.
type installation struct {
	store *memory.Store
	queue *memory.Queue
	truth *memory.Clock
	// own is the machine's clock, which may be wrong.
	own *memory.Clock
	// server says that the store is on a server, whose clock is right.
	server bool
	log    *logs.Buffer
}

// install stores data of two years, the newest now, of which nothing is due.
func install(t *testing.T, server bool) *installation {
	t.Helper()
	i := &installation{
		store: memory.NewStore(), queue: memory.NewQueue(memory.QueueConfig{}), log: new(logs.Buffer),
		truth: memory.NewClock(pipelineNow), own: memory.NewClock(pipelineNow), server: server,
	}
	for n, age := range []int{729, 400, 89, 60, 29, 2, 1, 0} {
		events := contract.Events(uint64(n), 5)
		for e := range events {
			events[e].Hour = domain.Hourly.Floor(pipelineNow.AddDate(0, 0, -age))
		}
		batch := domain.Batch{ID: domain.BatchID(strconv.Itoa(n)), ReceivedAt: pipelineNow.AddDate(0, 0, -age), Events: events}
		if _, err := i.store.Store(t.Context(), []domain.Batch{batch}); err != nil {
			t.Fatal(err)
		}
	}
	// What was due before is gone.
	if _, err := i.store.Expire(t.Context(), domain.DefaultRetention().Cutoffs(pipelineNow)); err != nil {
		t.Fatal(err)
	}
	return i
}

// process is one that maintains the installation.
type process struct {
	*installation

	clock    *app.Clock
	maintain *app.Maintain
}

func (i *installation) start() *process {
	stores := []ports.StoreClock{memory.NewNewestStored(i.queue, i.store)}
	if i.server {
		stores[0] = memory.NewServerClock("PostgreSQL", i.truth)
	}
	clock := app.NewClock(i.own, stores, i.log.Logger(), app.ClockConfig{})
	return &process{i, clock, app.NewMaintain(i.store, domain.DefaultRetention(), clock, i.log.Logger())}
}

func (i *installation) pass(d time.Duration) {
	i.truth.Advance(d)
	i.own.Advance(d)
}

func (p *process) expire(t *testing.T) app.Expiry {
	t.Helper()
	expiry, err := p.maintain.Expire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return expiry
}

// checkWithheld demands that nothing is deleted, and that everybody knows why.
func (p *process) checkWithheld(t *testing.T, what string, healthy bool) {
	t.Helper()
	expiry := p.expire(t)
	if expiry.Withheld == nil || expiry.Deleted != (ports.Expired{}) {
		t.Errorf("%s: %+v, want it withheld", what, expiry)
	}
	checkClockHealth(t, p.clock, healthy)
}

func (p *process) checkDeletes(t *testing.T, what string, atLeast int64) {
	t.Helper()
	expiry := p.expire(t)
	if expiry.Withheld != nil || expiry.Deleted.Total() < atLeast {
		t.Errorf("%s: %+v, want %d rows deleted", what, expiry, atLeast)
	}
	checkClockHealth(t, p.clock, true)
}

// rows counts what there is.
func (i *installation) rows(t *testing.T) int64 {
	t.Helper()
	all := domain.DefaultRetention().Cutoffs(pipelineNow.Add(100 * year))
	due, err := i.store.Due(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	return due.Total()
}

// A process starts with a clock that is wrong, once and again, whether or not
// data was expired before.
func TestAWrongClockDeletesNothing(t *testing.T) {
	for _, server := range []bool{true, false} {
		for _, noted := range []bool{true, false} {
			for _, d := range offsets() {
				name := fmt.Sprintf("server %t, noted %t, %v ahead", server, noted, d)
				i := install(t, server)
				if noted {
					i.start().checkDeletes(t, name, 0)
				}
				before := i.rows(t)
				i.own.Step(d)
				wrong := d.Abs() > 5*time.Minute
				if !server {
					// The newest batch proves that a clock is behind. One that is
					// less than a day ahead can do little harm.
					wrong = d < -5*time.Minute || d > 25*time.Hour
				}
				for range 4 {
					p := i.start()
					if wrong {
						// It may just have been off.
						p.checkWithheld(t, name, !server && d > 0 && d <= 30*24*time.Hour)
					} else {
						p.checkDeletes(t, name, 0)
					}
					i.pass(3 * time.Second)
				}
				if got := i.rows(t); wrong && got != before || got < before-20 {
					t.Errorf("%s: %d of %d rows are left", name, got, before)
				}
				if errors := strings.Count(i.log.String(), "level=ERROR"); (errors > 0) != wrong {
					t.Errorf("%s: logged\n%s", name, i.log)
				}
				i.own.Step(-d)
				i.start().checkDeletes(t, name+", set right", 0)
				if got := i.rows(t); wrong && got != before {
					t.Errorf("%s: %d of %d rows are left after it was set right", name, got, before)
				}
			}
		}
	}
}

// The clock is stepped while the process runs, whose time goes on.
func TestAClockThatIsSteppedDeletesNothing(t *testing.T) {
	for _, server := range []bool{true, false} {
		for _, d := range offsets() {
			if d.Abs() < 25*time.Hour {
				continue
			}
			name := fmt.Sprintf("server %t, stepped by %v", server, d)
			i := install(t, server)
			p := i.start()
			for range 3 {
				p.checkDeletes(t, name, 0)
				i.pass(time.Hour)
			}
			before := i.rows(t)
			i.own.Step(d)
			for range 59 {
				p.checkWithheld(t, name, false)
				i.pass(time.Minute)
			}
			if got := i.rows(t); got != before {
				t.Errorf("%s: %d of %d rows are left", name, got, before)
			}
			if logged := strings.Count(i.log.String(), "level=ERROR"); logged != 1 {
				t.Errorf("%s: told %d times\n%s", name, logged, i.log)
			}
			i.own.Step(-d)
			p.checkDeletes(t, name+", set right", 0)
		}
	}
}

// A server on the same machine agrees with any time.
func TestAStoreOnTheSameMachineDoesNotConfirm(t *testing.T) {
	i := install(t, true)
	i.start().checkDeletes(t, "before", 0)
	before := i.rows(t)
	i.own.Step(3 * year)
	i.truth.Step(3 * year)
	for range 3 {
		if expiry := i.start().expire(t); expiry.Withheld == nil {
			t.Errorf("%+v, want it withheld", expiry)
		}
	}
	i.own.Step(-3 * year)
	i.truth.Step(-3 * year)
	i.start().checkDeletes(t, "set right", 0)
	if got := i.rows(t); got != before {
		t.Errorf("%d of %d rows are left", got, before)
	}
}

// A second look is no look at a clock that was set again meanwhile.
func TestAJumpingClockIsNotBelieved(t *testing.T) {
	i := install(t, false)
	p := i.start()
	for range 10 {
		i.own.Step(31 * 24 * time.Hour)
		p.checkWithheld(t, "another jump", false)
		i.pass(50 * time.Minute)
		p.checkWithheld(t, "fifty minutes later", false)
	}
}

// A clock that was set right is watched anew, also when it jumps to the same
// wrong time again.
func TestTheSameJumpIsWaitedForAgain(t *testing.T) {
	i := install(t, false)
	p := i.start()
	for range 3 {
		p.checkDeletes(t, "right", 0)
		i.own.Step(3 * year)
		p.checkWithheld(t, "three years ahead", false)
		i.own.Step(-3 * year)
		for range 3 {
			p.checkDeletes(t, "set right", 0)
			i.pass(time.Hour)
		}
	}
}

// What another process has expired since counts, and not when this one did.
func TestTheLatestExpiryOfAnyProcessCounts(t *testing.T) {
	i := install(t, false)
	idle, busy := i.start(), i.start()
	idle.checkDeletes(t, "at first", 0)
	for range 100 {
		i.pass(time.Hour)
		busy.checkDeletes(t, "hourly", 0)
	}
	i.own.Step(48 * time.Hour)
	idle.checkWithheld(t, "two days ahead", false)
}

func TestAnAbsenceOfThirtyDaysIsHealthy(t *testing.T) {
	for _, beyond := range []time.Duration{0, time.Minute} {
		absence, healthy := 30*24*time.Hour+beyond, beyond == 0
		i := install(t, false)
		i.start().checkDeletes(t, "before", 0)
		i.pass(absence)
		i.start().checkWithheld(t, absence.String(), healthy)
	}
}

// dueMaintainer has so much due.
type dueMaintainer struct {
	*memory.Store

	due  ports.Expired
	last time.Time
}

func (d dueMaintainer) LastExpiry(context.Context) (time.Time, error) { return d.last, nil }

func (d dueMaintainer) Due(context.Context, domain.Cutoffs) (ports.Expired, error) {
	return d.due, nil
}

func TestLargeDeletionsAreAnnounced(t *testing.T) {
	tests := map[string]struct {
		due    int64
		behind time.Duration
		want   string
	}{
		"little":                {9_999, time.Hour, ""},
		"much":                  {10_000, time.Hour, "level=INFO"},
		"little after a day":    {1, 24 * time.Hour, ""},
		"little after a jump":   {1, 25 * time.Hour, "level=WARN"},
		"much after a jump":     {10_000, 25 * time.Hour, "level=WARN"},
		"nothing after a jump":  {0, 25 * time.Hour, ""},
		"nothing without a one": {0, time.Hour, ""},
	}
	for name, tt := range tests {
		own, log := memory.NewClock(pipelineNow), new(logs.Buffer)
		store := dueMaintainer{memory.NewStore(), ports.Expired{Events: tt.due}, pipelineNow.Add(-tt.behind)}
		m := app.NewMaintain(store, domain.DefaultRetention(), alone(own), log.Logger())
		for range 2 { // a jump is believed at the second look
			if _, err := m.Expire(t.Context()); err != nil {
				t.Fatal(err)
			}
			if tt.behind > 24*time.Hour {
				own.Advance(time.Hour)
			}
		}
		line := ""
		for text := range strings.Lines(log.String()) {
			if strings.Contains(text, "deleting much expired data") {
				line = text
			}
		}
		if (line == "") != (tt.want == "") || !strings.Contains(line, tt.want) {
			t.Errorf("%s: announced %q, want %q", name, line, tt.want)
		}
	}
}

func TestAServerThatWasDownForLongExpiresInTheEnd(t *testing.T) {
	for _, server := range []bool{true, false} {
		i := install(t, server)
		i.start().checkDeletes(t, "before", 0)
		i.pass(92 * 24 * time.Hour)
		p := i.start()
		for _, wait := range []time.Duration{0, 59 * time.Minute} {
			i.pass(wait)
			if expiry := p.expire(t); expiry.Withheld == nil || expiry.Deleted != (ports.Expired{}) {
				t.Errorf("server %t: %+v before the second look", server, expiry)
			}
			checkClockHealth(t, p.clock, server) // whose clock agrees
		}
		i.pass(time.Minute)
		p.checkDeletes(t, "in the end", 20)
		log := i.log.String()
		if strings.Contains(log, "level=ERROR") == server {
			t.Errorf("server %t: its clock agrees, and the log says\n%s", server, log)
		}
		for _, want := range []string{"deleting much expired data", "level=WARN", "events_before=2026-11-25T1", "tables.events=30", "tables.hourly_aggregations="} {
			if !strings.Contains(log, want) {
				t.Errorf("server %t: the log lacks %q:\n%s", server, want, log)
			}
		}
		i.pass(time.Hour)
		p.checkDeletes(t, "an hour later", 0)
	}
}

// Waiting for a long time is no jump, and neither is a shorter retention.
func TestTimeThatHasPassedIsNoJump(t *testing.T) {
	i := install(t, false)
	p := i.start()
	for range 20 {
		p.checkDeletes(t, "days later", 0)
		i.pass(50 * time.Hour)
	}
	short := domain.Retention{Events: 24 * time.Hour, Hourly: 24 * time.Hour, Daily: 24 * time.Hour, Errors: 24 * time.Hour}
	p.checkDeletes(t, "before", 0)
	p.maintain = app.NewMaintain(i.store, short, p.clock, i.log.Logger())
	p.checkDeletes(t, "another retention", 20)
}

// An empty store gives no reason for doubt, and is watched from then on.
func TestAnEmptyStoreIsExpiredAtAnyTime(t *testing.T) {
	i := install(t, false)
	i.store = memory.NewStore()
	i.start().checkDeletes(t, "empty", 0)
	i.own.Step(3 * year)
	i.start().checkWithheld(t, "three years later", false)
}

// brokenMaintainer fails in one of its calls.
type brokenMaintainer struct {
	*memory.Store

	broken string
	err    error
}

func (b brokenMaintainer) fail(call string) error {
	if call == b.broken {
		return b.err
	}
	return nil
}

func (b brokenMaintainer) LastExpiry(context.Context) (time.Time, error) {
	return pipelineNow, b.fail("LastExpiry")
}

func (b brokenMaintainer) Due(context.Context, domain.Cutoffs) (ports.Expired, error) {
	return ports.Expired{}, b.fail("Due")
}

func (b brokenMaintainer) NoteExpiry(context.Context, time.Time) error { return b.fail("NoteExpiry") }

func (b brokenMaintainer) Expire(context.Context, domain.Cutoffs) (ports.Expired, error) {
	if b.broken != "Expire" {
		return ports.Expired{}, errors.New("nothing may be deleted")
	}
	return ports.Expired{Events: 3}, b.err
}

func TestAnExpiryThatIsNotNotedDeletesNothing(t *testing.T) {
	for _, call := range []string{"LastExpiry", "Due", "NoteExpiry", "Expire"} {
		broken := errors.New("broken")
		m := app.NewMaintain(brokenMaintainer{memory.NewStore(), call, broken}, domain.DefaultRetention(),
			alone(memory.NewClock(pipelineNow)), slog.New(slog.DiscardHandler))
		if _, err := m.Expire(t.Context()); !errors.Is(err, broken) {
			t.Errorf("%s fails: %v", call, err)
		}
	}
}

// A rebuild leaves out nothing that is kept, whatever the clock says.
func TestAWrongClockRebuildsNothingAway(t *testing.T) {
	day := domain.Daily.Floor(pipelineNow.AddDate(0, 0, -20))
	r := app.RebuildRange{From: day, To: day.AddDate(0, 0, 1)}
	for _, server := range []bool{true, false} {
		for _, d := range offsets() {
			i := install(t, server)
			i.start().checkDeletes(t, "before", 0)
			p := i.start()
			i.own.Step(d)
			store := mocks.NewMockRebuilder(gomock.NewController(t))
			rebuild := app.NewRebuild(store, i.store, domain.DefaultRetention(), p.clock)
			if server && d.Abs() > 5*time.Minute || d < -5*time.Minute {
				if err := rebuild.Range(t.Context(), r, func(app.RebuiltDay) {}); domain.CodeOf(err) != domain.CodeUnavailable {
					t.Errorf("server %t, %v ahead: %v", server, d, err)
				}
				continue
			}
			store.EXPECT().DayCounts(gomock.Any(), day).Return(int64(5), int64(5), nil)
			store.EXPECT().RebuildDay(gomock.Any(), day, gomock.Any()).DoAndReturn(
				func(_ context.Context, _ time.Time, c domain.Cutoffs) (int64, error) {
					if latest := domain.DefaultRetention().Cutoffs(pipelineNow.Add(24 * time.Hour)); c.Hourly.After(latest.Hourly) || c.Daily.After(latest.Daily) {
						t.Errorf("server %t, %v ahead: cutoffs are %+v", server, d, c)
					}
					return 5, nil
				})
			if err := rebuild.Range(t.Context(), r, func(app.RebuiltDay) {}); err != nil {
				t.Errorf("server %t, %v ahead: %v", server, d, err)
			}
		}
	}
}
