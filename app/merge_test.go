package app_test

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
	"github.com/weather-mcp/weather-mcp-analytics/test/logs"
)

// errStoreAway is what a store says that cannot be reached.
var errStoreAway = domain.NewError(domain.CodeUnavailable, errors.New("connection refused"), "the store is away")

// journalRow is what one transaction stored about a day.
type journalRow struct {
	entries    int
	at, merged time.Time // merged is zero while it waits
}

// piece is one call of Merge that merged something.
type piece struct {
	day     time.Time
	entries int
	cutoffs domain.Cutoffs
}

// journalStore is a store of which only the journal matters. Several processes may
// share it.
type journalStore struct {
	*memory.Store

	// fail, if set, may fail a call before it does anything, or after it did it.
	// The day is zero for Journal.
	fail func(ctx context.Context, day time.Time) error
	late func(day time.Time) error
	// busy, if set, says that another process has the day.
	busy func(day time.Time) bool
	// takes is how long a merge takes, and lingers for how long the store holds
	// the lock of a process that has died.
	takes, lingers time.Duration
	// behind is by how much the store's clock has been set back.
	behind time.Duration

	mu      sync.Mutex
	rows    map[time.Time][]*journalRow
	locked  map[time.Time]bool
	looks   int
	pieces  []piece
	longest int // in entries
}

func newJournalStore() *journalStore {
	return &journalStore{Store: memory.NewStore(), rows: make(map[time.Time][]*journalRow), locked: make(map[time.Time]bool)}
}

func (s *journalStore) add(day time.Time, entries int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows[day] = append(s.rows[day], &journalRow{entries: entries, at: time.Now()})
	s.longest = max(s.longest, s.entries())
}

func (s *journalStore) entries() int {
	sum := 0
	for day := range s.rows {
		for _, r := range s.waiting(day) {
			sum += r.entries
		}
	}
	return sum
}

func (s *journalStore) waiting(day time.Time) []*journalRow {
	return slices.DeleteFunc(slices.Clone(s.rows[day]), func(r *journalRow) bool { return !r.merged.IsZero() })
}

func (s *journalStore) Journal(ctx context.Context) ([]ports.JournalDay, error) {
	s.mu.Lock()
	s.looks++
	s.mu.Unlock()
	if err := s.failure(ctx, time.Time{}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var days []ports.JournalDay
	for day := range s.rows {
		waiting := s.waiting(day)
		if len(waiting) == 0 {
			continue
		}
		d := ports.JournalDay{Day: day, Rows: len(waiting), Age: max(time.Since(waiting[0].at)-s.behind, 0)}
		for _, r := range waiting {
			d.Entries += r.entries
		}
		days = append(days, d)
	}
	slices.SortFunc(days, func(a, b ports.JournalDay) int { return a.Day.Compare(b.Day) })
	return days, nil
}

func (s *journalStore) failure(ctx context.Context, day time.Time) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.mu.Lock()
	fail := s.fail
	s.mu.Unlock()
	if fail == nil {
		return nil
	}
	return fail(ctx, day)
}

// goAway has every call fail from now on.
func (s *journalStore) goAway() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = func(context.Context, time.Time) error { return errStoreAway }
}

func (s *journalStore) lock(day time.Time, locked bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.locked[day]
	s.locked[day] = locked
	return !was
}

func (s *journalStore) Merge(ctx context.Context, day time.Time, maxEntries int, cutoffs domain.Cutoffs) (int, error) {
	if s.busy != nil && s.busy(day) || !s.lock(day, true) {
		return 0, nil
	}
	release := func() { s.lock(day, false) }
	defer func() {
		if ctx.Err() != nil && s.lingers > 0 {
			time.AfterFunc(s.lingers, release)
			return
		}
		release()
	}()
	if err := s.failure(ctx, day); err != nil {
		return 0, err
	}
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(s.takes):
	}
	s.mu.Lock()
	entries := 0
	for _, r := range s.waiting(day) {
		if entries >= maxEntries {
			break
		}
		entries += r.entries
		r.merged = time.Now()
	}
	if entries > 0 {
		s.pieces = append(s.pieces, piece{day, entries, cutoffs})
	}
	s.mu.Unlock()
	if s.late != nil {
		if err := s.late(day); err != nil {
			return 0, err
		}
	}
	return entries, nil
}

// merged lists the days that were merged, in order.
func (s *journalStore) merged() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	days := []string{}
	for _, p := range s.pieces {
		days = append(days, p.day.Format("02"))
	}
	return days
}

func (s *journalStore) looked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looks
}

// bubbleClock is the clock of a synctest bubble.
type bubbleClock struct{ start time.Time }

func (bubbleClock) Now() time.Time           { return time.Now() }
func (c bubbleClock) Elapsed() time.Duration { return time.Since(c.start) }

// newMerge merges a journal of 20,000 entries, and at most 40,000 at a time, unless
// config says otherwise.
func newMerge(s *journalStore, log *slog.Logger, config app.MergeConfig) *app.Merge {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	config.MaxEntries, config.PieceEntries = cmp.Or(config.MaxEntries, 20_000), cmp.Or(config.PieceEntries, 40_000)
	return app.NewMerge(s, s, bubbleClock{time.Now()}, log, config)
}

// startMerge runs a merge until the returned function is called, or the bubble
// ends.
func startMerge(t *testing.T, u *app.Merge) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { u.Run(ctx, t.Context()) })
	stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(stop)
	return stop
}

// daysBefore is a day, counted back from that at which bubbles begin.
func daysBefore(n int) time.Time { return domain.Daily.Floor(time.Now()).AddDate(0, 0, -n) }

func checkMerged(t *testing.T, s *journalStore, after string, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := s.merged(); !slices.Equal(got, want) {
		t.Errorf("after %s days %q were merged, want %q", after, got, want)
	}
}

// A bubble begins at midnight of 1 January 2000.
func TestMergeWaitsForTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newJournalStore()
		startMerge(t, newMerge(s, nil, app.MergeConfig{}))
		s.add(daysBefore(0), 10)
		s.add(daysBefore(1), 10)
		s.add(daysBefore(-1), 10)
		time.Sleep(15*time.Minute - time.Second)
		checkMerged(t, s, "14:59")
		time.Sleep(6 * time.Second)
		if got := s.merged(); len(got) != 2 || slices.Contains(got, "31") {
			t.Errorf("merged after 15:05: %q", got)
		}
		time.Sleep(74 * time.Minute)
		if got := s.merged(); len(got) != 2 {
			t.Errorf("merged after 89 min: %q", got)
		}
		time.Sleep(time.Minute)
		if got := s.merged(); len(got) != 3 || got[2] != "31" {
			t.Errorf("merged after 90 min: %q", got)
		}
	})
}

func TestMergeShortensALongJournal(t *testing.T) {
	for name, c := range map[string]struct {
		days []int // entries of each day, from the oldest on
		rows int   // of each day
		want []string
	}{
		"nearly long":                    {[]int{9_999, 10_000}, 1, nil},
		"the largest day is enough":      {[]int{4_000, 12_000, 4_000}, 1, []string{"31"}},
		"until half is left":             {[]int{5_000, 6_000, 4_000, 8_000}, 1, []string{"01", "30"}},
		"more than half is not enough":   {[]int{4_999, 10_001, 5_003}, 1, []string{"31", "01"}},
		"many rows":                      {[]int{500, 750, 250}, 250, []string{"30", "31"}},
		"more than a piece, but one row": {[]int{90_000}, 1, []string{"01"}},
		"in pieces":                      {[]int{90_000}, 9, []string{"01", "01"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newJournalStore()
				for i, entries := range c.days {
					for range c.rows {
						s.add(daysBefore(len(c.days)-1-i), entries/c.rows)
					}
				}
				startMerge(t, newMerge(s, nil, app.MergeConfig{}))
				checkMerged(t, s, "a look", c.want...)
			})
		})
	}
}

func TestMergeLeavesAJournalOfManyEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newJournalStore()
		startMerge(t, app.NewMerge(s, s, bubbleClock{time.Now()}, slog.New(slog.DiscardHandler), app.MergeConfig{}))
		s.add(daysBefore(0), 79_999)
		time.Sleep(6 * time.Second)
		checkMerged(t, s, "nearly long")
		s.add(daysBefore(0), 1)
		time.Sleep(6 * time.Second)
		checkMerged(t, s, "long", "01")
	})
}

// What was stored by this process is noticed at once, and what was by another at
// the next look.
func TestMergeLooksAtOnceWhenEnoughWasStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newJournalStore()
		u := newMerge(s, nil, app.MergeConfig{})
		startMerge(t, u)
		time.Sleep(time.Second)
		s.add(daysBefore(0), 19_999)
		u.Note(19_999)
		checkMerged(t, s, "too little")
		s.add(daysBefore(0), 1)
		u.Note(1)
		checkMerged(t, s, "enough", "01")
		for range 500 {
			s.add(daysBefore(1), 1)
			u.Note(1)
		}
		checkMerged(t, s, "many rows", "01", "31")
		s.add(daysBefore(2), 20_000)
		time.Sleep(4*time.Second - time.Millisecond)
		checkMerged(t, s, "another process", "01", "31")
		time.Sleep(2 * time.Second)
		checkMerged(t, s, "the next look", "01", "31", "30")
	})
}

// A day that cannot be merged keeps no other from it, is tried again ever more
// rarely, and is logged once.
func TestMergeTriesADamagedDayAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newJournalStore(), new(logs.Buffer)
		var mu sync.Mutex
		var tries []time.Duration
		mended := false
		start := time.Now()
		damage := domain.NewError(domain.CodeUnavailable, nil, "the hour 1999-12-31T07 is damaged")
		s.fail = func(_ context.Context, day time.Time) error {
			mu.Lock()
			defer mu.Unlock()
			if !day.Equal(daysBefore(1)) || mended {
				return nil
			}
			tries = append(tries, time.Since(start))
			return damage
		}
		s.add(daysBefore(1), 30_000)
		s.add(daysBefore(0), 10)
		startMerge(t, newMerge(s, log.Logger(), app.MergeConfig{}))
		time.Sleep(time.Minute + time.Second)
		checkMerged(t, s, "a minute")
		s.add(daysBefore(2), 19_990)
		time.Sleep(5 * time.Second)
		checkMerged(t, s, "a long journal", "30")
		s.add(daysBefore(2), 19_989)
		time.Sleep(15*time.Minute - time.Minute)
		checkMerged(t, s, "the interval", "30", "01")
		mu.Lock()
		const second = time.Second
		want := []time.Duration{0, second, 3 * second, 7 * second, 15 * second, 30 * second, 45 * second, 60 * second}
		if got := tries[:len(want)]; !slices.Equal(got, want) {
			t.Errorf("tried after %v, want %v", got, want)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), "day=1999-12-31") {
			t.Errorf("logged:\n%s", log)
		}
		damage = domain.NewError(domain.CodeUnavailable, nil, "the hour 1999-12-31T08 is damaged")
		mu.Unlock()
		time.Sleep(time.Minute)
		if n := strings.Count(log.String(), "level=WARN"); n != 2 {
			t.Errorf("logged:\n%s", log)
		}
		mu.Lock()
		mended = true
		mu.Unlock()
		time.Sleep(16 * time.Second)
		checkMerged(t, s, "mending", "30", "01", "31", "30")
		if !strings.Contains(log.String(), "merged again") {
			t.Errorf("logged:\n%s", log)
		}
	})
}

// A day that another process has is tried again within a second or so, in case
// that one gives it up.
func TestMergeTriesATakenDayAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newJournalStore()
		s.add(daysBefore(0), 15_000)
		s.add(daysBefore(1), 10_000)
		s.lock(daysBefore(0), true)
		startMerge(t, newMerge(s, nil, app.MergeConfig{}))
		time.Sleep(30 * time.Second)
		checkMerged(t, s, "30 s") // the other process shortens the journal
		s.lock(daysBefore(0), false)
		time.Sleep(time.Second)
		checkMerged(t, s, "a second", "01")
	})
}

// A store that cannot be reached is asked again every few seconds, and that is
// logged once.
func TestMergeOutlivesAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newJournalStore(), new(logs.Buffer)
		end := time.Now().Add(time.Hour)
		s.fail = func(context.Context, time.Time) error {
			if time.Now().Before(end) {
				return errStoreAway
			}
			return nil
		}
		s.add(daysBefore(0), 10)
		startMerge(t, newMerge(s, log.Logger(), app.MergeConfig{}))
		time.Sleep(time.Hour + 5*time.Second)
		checkMerged(t, s, "the outage", "01")
		if n := strings.Count(log.String(), "level=WARN"); n != 1 {
			t.Errorf("logged:\n%s", log)
		}
	})
}

// A connection that was lost at commit leaves open whether the piece was merged.
func TestMergeGoesOnAfterALostCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newJournalStore()
		for range 3 {
			s.add(daysBefore(0), 30_000)
		}
		lost := 0
		s.late = func(time.Time) error {
			if lost++; lost == 1 {
				return errStoreAway
			}
			return nil
		}
		startMerge(t, newMerge(s, nil, app.MergeConfig{}))
		time.Sleep(2 * time.Second)
		checkMerged(t, s, "the error", "01", "01")
	})
}

func TestMergeSurvivesAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newJournalStore(), new(logs.Buffer)
		s.add(daysBefore(0), 30_000)
		s.add(daysBefore(1), 40_000)
		s.fail = func(_ context.Context, day time.Time) error {
			if day.Equal(daysBefore(1)) {
				panic("canary")
			}
			return nil
		}
		startMerge(t, newMerge(s, log.Logger(), app.MergeConfig{}))
		checkMerged(t, s, "a panic", "01")
		if !strings.Contains(log.String(), "code=internal_error") || strings.Contains(log.String(), "canary") {
			t.Errorf("logged:\n%s", log)
		}
	})
}

// A merge that hangs is given up, and gets more time when it is tried again.
func TestMergeGivesUpWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newJournalStore()
		s.takes = 3 * time.Minute
		s.add(daysBefore(0), 30_000)
		startMerge(t, newMerge(s, nil, app.MergeConfig{Timeout: 2 * time.Minute}))
		time.Sleep(2*time.Minute + time.Second + 3*time.Minute)
		checkMerged(t, s, "a second try", "01")
	})
}

// Ages are those of the store's clock, which may be set back by years.
func TestMergeDoesNotRelyOnTheStoresClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newJournalStore()
		s.behind = 10_000 * time.Hour
		s.add(daysBefore(0), 10)
		startMerge(t, newMerge(s, nil, app.MergeConfig{}))
		time.Sleep(15 * time.Minute)
		checkMerged(t, s, "the interval", "01")
	})
}

// What is due goes by the last expiry that the store knows of: a process's clock
// may be wrong.
func TestMergeLeavesOutWhatWasDueAtTheLastExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newJournalStore()
		config := app.MergeConfig{Retention: domain.Retention{Events: time.Hour, Hourly: 2 * time.Hour, Daily: 48 * time.Hour, Errors: 3 * time.Hour}}
		u := newMerge(s, nil, config)
		startMerge(t, u)
		s.add(daysBefore(0), 20_000)
		time.Sleep(5 * time.Second)
		noted := time.Date(1990, 5, 6, 7, 8, 9, 0, time.UTC)
		if err := s.NoteExpiry(t.Context(), noted); err != nil {
			t.Fatal(err)
		}
		s.add(daysBefore(0), 20_000)
		time.Sleep(5 * time.Second)
		checkMerged(t, s, "two looks", "01", "01")
		if s.pieces[0].cutoffs != (domain.Cutoffs{}) || s.pieces[1].cutoffs != config.Retention.Cutoffs(noted) {
			t.Errorf("merged %+v", s.pieces)
		}
	})
}

func TestMergeStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newJournalStore(), new(logs.Buffer)
		s.takes = time.Second
		for n := range 5 {
			s.add(daysBefore(n), 20_000)
		}
		stop := startMerge(t, newMerge(s, log.Logger(), app.MergeConfig{}))
		time.Sleep(1500 * time.Millisecond)
		stop()
		time.Sleep(time.Hour)
		checkMerged(t, s, "stopping", "28", "29") // what was in hand, and no more

		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { newMerge(s, log.Logger(), app.MergeConfig{}).Run(ctx, ctx) })
		time.Sleep(500 * time.Millisecond)
		cancel()
		running.Wait()
		checkMerged(t, s, "the end of work", "28", "29")
		if log.String() != "" {
			t.Errorf("logged:\n%s", log)
		}
	})
}

func checkBacklog(t *testing.T, u *app.Merge, want app.JournalBacklog) {
	t.Helper()
	if got, err := u.Backlog(t.Context()); err != nil || got != want {
		t.Errorf("backlog is %+v, %v; want %+v", got, err, want)
	}
}

func TestMergeMeasuresItsBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newJournalStore()
		u := newMerge(s, nil, app.MergeConfig{})
		checkBacklog(t, u, app.JournalBacklog{MaxRows: 4000, MaxEntries: 160_000})
		s.add(daysBefore(0), 7)
		time.Sleep(time.Minute)
		s.add(daysBefore(0), 8)
		s.add(daysBefore(1), 9)
		checkBacklog(t, u, app.JournalBacklog{Rows: 3, Entries: 24, Days: 2, MaxRows: 4000, MaxEntries: 160_000, Oldest: time.Minute})
		s.goAway()
		if _, err := u.Backlog(t.Context()); domain.CodeOf(err) != domain.CodeUnavailable {
			t.Errorf("without a store: %v", err)
		}
		if got, err := (*app.Merge)(nil).Backlog(t.Context()); err != nil || got != (app.JournalBacklog{}) {
			t.Errorf("without a journal: %+v, %v", got, err)
		}
	})
}

func checkJournalHealth(t *testing.T, u *app.Merge, when string, healthy bool) {
	t.Helper()
	err := u.Check(t.Context())
	if healthy != (err == nil) || !healthy && domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("%s: the check says %v, want healthy %t", when, err, healthy)
	}
}

// Health fails five minutes after something was due, in a process that has run
// for as long, and at once when the store is away.
func TestStalledMergeIsUnhealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newJournalStore()
		s.add(daysBefore(1), 10)
		s.add(daysBefore(0), 10)
		u := newMerge(s, nil, app.MergeConfig{})
		time.Sleep(20 * time.Minute)
		checkJournalHealth(t, u, "5 minutes late", true)
		time.Sleep(time.Second)
		checkJournalHealth(t, u, "later", false)
		young := newMerge(s, nil, app.MergeConfig{})
		checkJournalHealth(t, young, "just started", true)
		time.Sleep(5*time.Minute + time.Second)
		checkJournalHealth(t, young, "5 minutes after the start", false)
		s.rows[daysBefore(0)] = nil
		checkJournalHealth(t, u, "merged", true)
		time.Sleep(70 * time.Minute)
		checkJournalHealth(t, u, "a day that is over, after 95 minutes", false)
		s.rows[daysBefore(1)] = nil
		checkJournalHealth(t, u, "nothing left", true)
		s.goAway()
		checkJournalHealth(t, u, "no store", false)
	})
}

// A full journal is bad health only while none of it is merged.
func TestFullJournalThatIsNotMergedIsUnhealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newJournalStore()
		for range 4 {
			s.add(daysBefore(0), 100_000)
		}
		u := newMerge(s, nil, app.MergeConfig{})
		checkJournalHealth(t, u, "full", true)
		time.Sleep(29 * time.Second)
		checkJournalHealth(t, u, "full for a moment", true)
		time.Sleep(time.Second)
		checkJournalHealth(t, u, "full for 30 s", false)
		s.rows[daysBefore(0)][0].merged = time.Now()
		s.add(daysBefore(0), 100_000)
		s.rows[daysBefore(0)][1].at = time.Now()
		checkJournalHealth(t, u, "full, but some was merged", true)
		time.Sleep(30 * time.Second)
		checkJournalHealth(t, u, "full for 30 s again", false)
		s.rows[daysBefore(0)] = s.rows[daysBefore(0)][:2]
		checkJournalHealth(t, u, "room", true)
	})
}

// roomIn returns how long it took until there was room.
func roomIn(t *testing.T, u *app.Merge) (time.Duration, error) {
	t.Helper()
	start := time.Now()
	err := u.Room(t.Context())
	return time.Since(start), err
}

func checkRoom(t *testing.T, u *app.Merge, when string, after time.Duration) {
	t.Helper()
	if took, err := roomIn(t, u); err != nil || took != after {
		t.Errorf("%s: room after %v, %v; want it after %v", when, took, err, after)
	}
}

func TestRoomWaitsUntilTheJournalIsNotFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newJournalStore()
		s.takes = 700 * time.Millisecond
		u := newMerge(s, nil, app.MergeConfig{})
		checkRoom(t, u, "empty", 0)
		for range 4 {
			s.add(daysBefore(0), 39_999)
			u.Note(39_999)
		}
		checkRoom(t, u, "nearly full", 0)
		s.add(daysBefore(0), 4)
		u.Note(4)
		startMerge(t, u)
		checkRoom(t, u, "full", 700*time.Millisecond)
		time.Sleep(time.Minute)
		checkMerged(t, s, "a minute", "01", "01")
		looks := s.looked()
		for range 19 {
			s.add(daysBefore(0), 1000)
			u.Note(1000)
			checkRoom(t, u, "short", 0)
		}
		if n := s.looked() - looks; n > 0 {
			t.Errorf("%d looks for nothing", n)
		}
	})
}

// Rows count as entries do.
func TestRoomCountsRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newJournalStore()
		s.takes = time.Second
		u := newMerge(s, nil, app.MergeConfig{})
		for range 4000 {
			s.add(daysBefore(0), 1)
			u.Note(1)
		}
		startMerge(t, u)
		checkRoom(t, u, "full", time.Second)
	})
}

func TestRoomIsRefusedWhenNothingIsMerged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newJournalStore()
		s.add(daysBefore(0), 160_000)
		u := newMerge(s, nil, app.MergeConfig{})
		s.lock(daysBefore(0), true)
		startMerge(t, u)
		if took, err := roomIn(t, u); domain.CodeOf(err) != domain.CodeUnavailable || took < 30*time.Second || took > 32*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		if took, err := roomIn(t, u); domain.CodeOf(err) != domain.CodeUnavailable || took != 0 {
			t.Errorf("once more, after %v: %v", took, err)
		}
		s.lock(daysBefore(0), false)
		time.Sleep(2 * time.Second)
		checkRoom(t, u, "merged", 0)

		s.add(daysBefore(0), 160_000)
		s.lock(daysBefore(0), true)
		u.Note(160_000)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := u.Room(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after the end: %v", err)
		}
		s.goAway()
		if _, err := roomIn(t, u); domain.CodeOf(err) != domain.CodeUnavailable {
			t.Errorf("without a store: %v", err)
		}
	})
	if err := (*app.Merge)(nil).Room(t.Context()); err != nil {
		t.Errorf("without a journal: %v", err)
	}
}

// A worker takes nothing from the queue while the journal is full.
func TestWorkerWaitsForRoomInTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newJournalStore()
		s.add(daysBefore(0), 160_000)
		s.lock(daysBefore(0), true)
		u := newMerge(s, nil, app.MergeConfig{})
		startMerge(t, u)
		queue := enqueued(t, 3)
		process := newProcess(queue, appending{s}, app.ProcessConfig{Merge: u})
		if err := process.Step(t.Context(), t.Context()); domain.CodeOf(err) != domain.CodeUnavailable {
			t.Errorf("with a full journal: %v", err)
		}
		if depth, err := queue.Depth(t.Context()); err != nil || depth.Events != 3 {
			t.Errorf("the queue holds %+v, %v", depth, err)
		}
		s.lock(daysBefore(0), false)
		time.Sleep(2 * time.Second)
		if err := process.Step(t.Context(), t.Context()); err != nil {
			t.Errorf("with room: %v", err)
		}
		checkMerged(t, s, "storing", "01", "01")
	})
}

// appending appends a long row for each transaction.
type appending struct{ *journalStore }

func (s appending) Store(ctx context.Context, batches []domain.Batch) (ports.Stored, error) {
	stored, err := s.journalStore.Store.Store(ctx, batches)
	stored.Entries = 20_000
	s.add(daysBefore(0), stored.Entries)
	return stored, err
}
