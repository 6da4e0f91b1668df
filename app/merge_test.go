package app_test

import (
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
	// takes is how long a merge takes.
	takes time.Duration
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
	if s.fail == nil {
		return nil
	}
	return s.fail(ctx, day)
}

func (s *journalStore) lock(day time.Time, locked bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.locked[day]
	s.locked[day] = locked
	return !was
}

func (s *journalStore) Merge(ctx context.Context, day time.Time, maxEntries int, cutoffs domain.Cutoffs) (int, error) {
	if !s.lock(day, true) {
		return 0, nil
	}
	defer s.lock(day, false)
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

// bubbleClock is the clock of a synctest bubble.
type bubbleClock struct{ start time.Time }

func (bubbleClock) Now() time.Time           { return time.Now() }
func (c bubbleClock) Elapsed() time.Duration { return time.Since(c.start) }

func newMerge(s *journalStore, log *slog.Logger, config app.MergeConfig) *app.Merge {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
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
		want := []time.Duration{0, 1, 3, 7, 15, 30, 45, 60}
		for i := range want {
			want[i] *= time.Second
		}
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
