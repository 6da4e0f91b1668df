package app_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/app"
)

// mishap is something that happens to a fleet of mergers. It lasts for a while.
type mishap struct {
	kind    string
	at      time.Duration // since the start
	lasts   time.Duration
	day     int // back from today
	process int
	entries int
}

func (m mishap) String() string {
	return fmt.Sprintf("%v: %s for %v, day %d, process %d, %d entries", m.at, m.kind, m.lasts, m.day, m.process, m.entries)
}

// The kinds of mishaps. Most of a plan is storing.
const (
	isStore      = "store"
	isStoreAlone = "store by a process that dies before it merges"
	isOutage     = "the store is away"
	isBlind      = "the journal cannot be read"
	isDamage     = "the day cannot be merged"
	isTaken      = "another process has the day, such as to make partitions"
	isHang       = "merges of the day hang"
	isLostCommit = "connections are lost at commit"
	isCrash      = "the process is killed"
	isExpiry     = "the day is deleted"
	isClockBack  = "the store's clock is set back"
)

const (
	fleetProcesses = 2
	mergeTime      = time.Second
	// largestRow is what a transaction adds at most, and mostRows how many
	// transactions a process stores, one each second.
	largestRow = 60
	mostRows   = 20
)

// interval is that of a plan, and pastInterval that of days that are over.
const (
	interval     = 2 * time.Minute
	pastInterval = 6 * interval
)

// shortJournal lets the journal of a plan be long, and full.
func shortJournal() app.MergeConfig {
	return app.MergeConfig{Interval: interval, MaxEntries: 100, MaxRows: 12, FullEntries: 800, FullRows: 96, PieceEntries: 150}
}

func drawPlan(t *rapid.T) []mishap {
	kinds := []string{
		isStore, isStore, isStore, isStore, isStore, isStore, isStoreAlone,
		isOutage, isBlind, isDamage, isTaken, isHang, isLostCommit, isCrash, isCrash, isExpiry, isClockBack,
	}
	plan := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) mishap {
		return mishap{
			kind:    rapid.SampledFrom(kinds).Draw(t, "kind"),
			at:      time.Duration(rapid.IntRange(0, 900).Draw(t, "at")) * time.Second,
			lasts:   time.Duration(rapid.SampledFrom([]int{1, 3, 20, 100, 600}).Draw(t, "lasts")) * time.Second,
			day:     rapid.IntRange(-1, 2).Draw(t, "day"),
			process: rapid.IntRange(0, fleetProcesses-1).Draw(t, "process"),
			entries: rapid.IntRange(1, largestRow).Draw(t, "entries"),
		}
	}), 1, 60).Draw(t, "plan")
	slices.SortStableFunc(plan, func(a, b mishap) int { return int(a.at - b.at) })
	return plan
}

// mergerFleet are processes that merge the journal of one store.
type mergerFleet struct {
	store *journalStore
	start time.Time
	plan  []mishap

	mu     sync.Mutex
	merges [fleetProcesses]*app.Merge
	stop   [fleetProcesses]func()
}

// during returns a mishap of the kind that goes on, about any day if day is zero.
func (f *mergerFleet) during(kind string, day time.Time) (mishap, bool) {
	now := time.Since(f.start)
	for _, m := range f.plan {
		if m.kind == kind && m.at <= now && now < m.at+m.lasts && (day.IsZero() || day.Equal(daysBefore(m.day))) {
			return m, true
		}
	}
	return mishap{}, false
}

// fail fails the calls that a mishap lets fail.
func (f *mergerFleet) fail(ctx context.Context, day time.Time) error {
	if _, ok := f.during(isOutage, time.Time{}); ok {
		return errStoreAway
	}
	if day.IsZero() {
		if _, ok := f.during(isBlind, day); ok {
			return errStoreAway
		}
		return nil
	}
	if _, ok := f.during(isDamage, day); ok {
		return errStoreAway
	}
	if m, ok := f.during(isHang, day); ok {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(f.start.Add(m.at + m.lasts))):
			return errStoreAway
		}
	}
	return nil
}

// begin starts a process, if it does not run.
func (f *mergerFleet) begin(ctx context.Context, process int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stop[process] != nil {
		return
	}
	u := newMerge(f.store, nil, shortJournal())
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { u.Run(ctx, ctx) })
	f.merges[process], f.stop[process] = u, func() { cancel(); running.Wait() }
}

func (f *mergerFleet) kill(process int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stop[process] != nil {
		f.stop[process]()
		f.stop[process] = nil
	}
}

// happen brings a mishap about, and ends what a window of time does not.
func (f *mergerFleet) happen(ctx context.Context, m mishap) {
	time.Sleep(m.at)
	switch m.kind {
	case isStore:
		for range min(m.lasts/time.Second, mostRows) {
			f.mu.Lock()
			u := f.merges[m.process]
			f.mu.Unlock()
			if u.Room(ctx) == nil {
				f.store.add(daysBefore(m.day), m.entries)
				u.Note(m.entries)
			}
			time.Sleep(time.Second)
		}
	case isStoreAlone:
		f.store.add(daysBefore(m.day), m.entries)
	case isCrash:
		f.kill(m.process)
		time.Sleep(m.lasts)
		f.begin(ctx, m.process)
	case isExpiry:
		f.store.mu.Lock()
		delete(f.store.rows, daysBefore(m.day))
		f.store.mu.Unlock()
	case isClockBack:
		f.store.mu.Lock()
		f.store.behind += 24 * time.Hour
		f.store.mu.Unlock()
	}
}

// run lets the plan happen, and returns what is not as promised.
func (f *mergerFleet) run(t *testing.T) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	f.store, f.start = newJournalStore(), time.Now()
	f.store.takes, f.store.lingers, f.store.fail = mergeTime, 5*time.Second, f.fail
	f.store.busy = func(day time.Time) bool {
		_, ok := f.during(isTaken, day)
		return ok
	}
	f.store.late = func(time.Time) error {
		if _, ok := f.during(isLostCommit, time.Time{}); ok {
			return errStoreAway
		}
		return nil
	}
	for process := range fleetProcesses {
		f.begin(ctx, process)
	}
	var happening sync.WaitGroup
	var end time.Duration
	for _, m := range f.plan {
		end = max(end, m.at+m.lasts)
		happening.Go(func() { f.happen(ctx, m) })
	}
	happening.Wait()
	time.Sleep(time.Until(f.start.Add(end)))
	time.Sleep(pastInterval + slack)
	defer func() {
		for process := range fleetProcesses {
			f.kill(process)
		}
		stop()
	}()
	return f.problems(f.start.Add(end))
}

// slack is what comes on top of the interval, or of the end of the last mishap:
// the longest wait until a day is tried again, a look, a lock that lingers, and a
// merge of each day.
const slack = 15*time.Second + 5*time.Second + 5*time.Second + 4*2*mergeTime

// problems lists the rows that were merged too late, or not at all.
func (f *mergerFleet) problems(end time.Time) string {
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	// Where the store forgets the time, the interval begins when a process sees
	// what waits.
	forgets := slices.ContainsFunc(f.plan, func(m mishap) bool { return m.kind == isClockBack })
	var problems []string
	for day, rows := range f.store.rows {
		patience := interval
		if day.Before(daysBefore(0)) {
			patience = pastInterval
		}
		for _, r := range rows {
			due := r.at.Add(patience)
			if forgets {
				due = end.Add(patience)
			} else if due.Before(end) {
				due = end
			}
			if r.merged.IsZero() || r.merged.After(due.Add(slack)) {
				problems = append(problems, fmt.Sprintf("%d entries stored at %v about %s, due at %v, were merged at %v",
					r.entries, r.at.Sub(f.start), day.Format(time.DateOnly), due.Sub(f.start), r.merged))
			}
		}
	}
	// Each process may store what makes the journal long before it looks.
	most := shortJournal().FullEntries + fleetProcesses*(shortJournal().MaxEntries+largestRow)
	for _, m := range f.plan {
		if m.kind == isStoreAlone {
			most += m.entries
		}
	}
	if f.store.longest > most {
		problems = append(problems, fmt.Sprintf("the journal had %d entries, want at most %d", f.store.longest, most))
	}
	return strings.Join(problems, "\n")
}

// TestMergeIsLive is a model of a fleet that merges one store: whatever happens,
// every row is merged within its interval and some seconds, or within seconds
// after the last mishap, also when nothing is stored any more. And the journal
// never grows beyond its bound.
func TestMergeIsLive(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := &mergerFleet{plan: drawPlan(rt)}
		var problems string
		synctest.Test(t, func(t *testing.T) { problems = f.run(t) })
		if problems != "" {
			rt.Fatalf("%s\nafter %v", problems, f.plan)
		}
	})
}
