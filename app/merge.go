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

// Defaults of [MergeConfig].
const (
	// MergeInterval is a compromise: each merge writes all packed aggregates of
	// the day anew, and each reader decodes what is not merged.
	MergeInterval = 15 * time.Minute

	// A merge of a day costs as much for few entries as for many, so a worker that
	// empties a long queue needs many of them at a time to keep up with itself: with
	// a fourth of these it spends three times as long on merging.
	journalEntries = 80_000
	journalRows    = 500
	// Decoding a full journal takes a reader some 50 ms.
	fullEntries = 160_000
	fullRows    = 4_000
	// pieceEntries are all that a full journal has. A worker that merged as many, of
	// 200 versions and 250 countries, had 114 MB resident; it has 150 MB.
	pieceEntries = 160_000
)

const (
	// pastFactor is how many intervals a day waits that is over: what comes
	// late is little, and each merge of it writes the whole day anew.
	pastFactor = 6
	// lookTimeout bounds one look at the journal.
	lookTimeout = 30 * time.Second
	// overdueStalls is how many times StallAfter what is due may wait.
	overdueStalls = 10
)

// MergeConfig tunes a [Merge]. Zero values mean the defaults.
type MergeConfig struct {
	// Retention says what is due for deletion, and so not worth merging. Default
	// [domain.DefaultRetention].
	Retention domain.Retention
	// Interval is how long a row of the journal waits to be merged; six times
	// that, if its day is over. Default [MergeInterval].
	Interval time.Duration
	// MaxEntries and MaxRows make the journal long: it is then merged at once,
	// until it is half as long. Defaults 80,000 and 500.
	MaxEntries, MaxRows int
	// FullEntries and FullRows make it full: no more is stored until some of it is
	// merged. Defaults 160,000 and 4,000.
	FullEntries, FullRows int
	// PieceEntries is about how many entries one transaction merges. Default
	// 160,000.
	PieceEntries int
	// PollInterval is how often the journal is looked at. Default 5 s, or
	// Interval if that is less.
	PollInterval time.Duration
	// BackoffMin and BackoffMax bound the wait until a day is tried again that
	// could not be merged. Defaults 1 s and 15 s, or Interval if that is less.
	BackoffMin, BackoffMax time.Duration
	// Timeout bounds one merge of a day. After a failure the day gets longer,
	// up to four times that. Default 10 min: the day may have very many groups.
	Timeout time.Duration
	// StallAfter is for how long a journal may be full and none of it be merged
	// until that counts as bad health. What is due may wait ten times that.
	// Default [StallAfter].
	StallAfter time.Duration
}

func (c MergeConfig) withDefaults() MergeConfig {
	setDefault(&c.Retention, domain.DefaultRetention())
	setDefault(&c.Interval, MergeInterval)
	setDefault(&c.MaxEntries, journalEntries)
	setDefault(&c.MaxRows, journalRows)
	setDefault(&c.FullEntries, fullEntries)
	setDefault(&c.FullRows, fullRows)
	setDefault(&c.PieceEntries, pieceEntries)
	setDefault(&c.PollInterval, min(5*time.Second, c.Interval))
	setDefault(&c.BackoffMin, min(time.Second, c.Interval))
	setDefault(&c.BackoffMax, min(15*time.Second, c.Interval))
	setDefault(&c.Timeout, 10*time.Minute)
	setDefault(&c.StallAfter, StallAfter)
	return c
}

// length is how long a journal is.
type length struct{ rows, entries int }

func (l length) plus(o length) length  { return length{l.rows + o.rows, l.entries + o.entries} }
func (l length) minus(o length) length { return length{l.rows - o.rows, l.entries - o.entries} }

// reaches reports whether either number reaches that of o.
func (l length) reaches(o length) bool { return l.rows >= o.rows || l.entries >= o.entries }

func lengthOf(days []ports.JournalDay) length {
	var sum length
	for _, d := range days {
		sum = sum.plus(length{d.Rows, d.Entries})
	}
	return sum
}

// Merge decides when which part of a store's journal is merged. Any number of
// processes may run one for the same store. A nil one is that of a store without
// a journal.
//
// What is due is tried again within seconds, whatever became of the last try,
// for as long as [Merge.Run] runs: no state but the journal itself says what is
// left to do.
type Merge struct {
	merger     ports.Merger
	maintainer ports.Maintainer
	clock      ports.Clock
	log        *slog.Logger
	config     MergeConfig
	started    time.Duration // on the clock's Elapsed
	wake       chan struct{}

	mu     sync.Mutex
	stored length    // by this process, since it started
	seen   *snapshot // nil before the first look
	full   *snapshot // nil when the journal was not full at the last look
	merged chan struct{}

	// What follows belongs to Run.

	retries map[time.Time]*retry
	// present is since when each day has been there, by this process's clock. Ages
	// are by the store's, which may be set back.
	present   map[time.Time]time.Duration
	lookError string // why the journal could not be looked at, as logged last
}

// snapshot is the journal at one moment.
type snapshot struct {
	at     time.Duration // on the clock's Elapsed
	days   []ports.JournalDay
	stored length // by this process until then
}

// retry is a day that is left alone for a moment.
type retry struct {
	at       time.Duration
	failures int
	cause    string // of the last failure, as logged
}

var _ ports.HealthCheck = (*Merge)(nil)

// NewMerge returns the use case. The maintainer says as of when data is due for
// deletion.
func NewMerge(m ports.Merger, maintainer ports.Maintainer, c ports.Clock, log *slog.Logger, config MergeConfig) *Merge {
	return &Merge{
		merger: m, maintainer: maintainer, clock: c, log: log, config: config.withDefaults(),
		started: c.Elapsed(), wake: make(chan struct{}, 1), merged: make(chan struct{}),
		retries: make(map[time.Time]*retry), present: make(map[time.Time]time.Duration),
	}
}

func (u *Merge) long() length { return length{u.config.MaxRows, u.config.MaxEntries} }

func (u *Merge) fullAt() length {
	return length{u.config.FullRows, u.config.FullEntries}
}

// Note counts a transaction that appended so many entries to the journal. Run
// looks at once when these make it long.
func (u *Merge) Note(entries int) {
	if u == nil || entries == 0 {
		return
	}
	u.mu.Lock()
	u.stored = u.stored.plus(length{1, entries})
	long := u.unlooked().reaches(u.long())
	u.mu.Unlock()
	if long {
		u.lookNow()
	}
}

// unlooked is what this process stored since the last look.
func (u *Merge) unlooked() length {
	if u.seen == nil {
		return u.stored
	}
	return u.stored.minus(u.seen.stored)
}

func (u *Merge) lookNow() {
	select {
	case u.wake <- struct{}{}:
	default: // it is going to
	}
}

// look asks the store for its journal, and remembers what it says.
func (u *Merge) look(ctx context.Context) ([]ports.JournalDay, error) {
	u.mu.Lock()
	found := &snapshot{at: u.clock.Elapsed(), stored: u.stored}
	u.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	days, err := u.merger.Journal(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	found.days = days
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.seen != nil && u.seen.at > found.at {
		return days, nil // another look began later and was faster
	}
	u.seen = found
	switch {
	case !lengthOf(days).reaches(u.fullAt()):
		u.full = nil
	case u.full == nil || u.full.isMerged(found):
		u.full = found
	}
	return days, nil
}

// isMerged reports whether any day's oldest row is gone at the later moment.
// Ages are compared with a second to spare.
func (s *snapshot) isMerged(later *snapshot) bool {
	ages := make(map[time.Time]time.Duration)
	for _, d := range later.days {
		ages[d.Day.UTC()] = d.Age
	}
	for _, d := range s.days {
		age, ok := ages[d.Day.UTC()]
		if !ok || age < d.Age+later.at-s.at-time.Second {
			return true
		}
	}
	return false
}

// Run merges what is due until ctx ends. A merge that is in hand by then goes on
// until work ends. Errors are logged and tried again.
func (u *Merge) Run(ctx, work context.Context) {
	for ctx.Err() == nil {
		wait := u.mergeDue(ctx, work)
		select {
		case <-ctx.Done():
		case <-u.wake:
		case <-time.After(wait):
		}
	}
}

// mergeDue merges until nothing is due that can be merged now, and returns when
// to look again.
func (u *Merge) mergeDue(ctx, work context.Context) time.Duration {
	for shorten := false; ctx.Err() == nil; {
		days, err := u.look(work)
		u.logLook(work, err)
		if err != nil {
			return u.config.PollInterval
		}
		u.prune(days)
		available := u.available(days)
		if l := lengthOf(available); l.reaches(u.long()) {
			shorten = true
		} else if !l.reaches(length{u.config.MaxRows/2 + 1, u.config.MaxEntries/2 + 1}) {
			shorten = false
		}
		day, ok := u.overdue(available)
		if !ok && shorten {
			day, ok = u.largest(available)
		}
		if !ok {
			break
		}
		// Without a day that is left alone the journal may be short enough.
		shorten = u.mergeDay(work, day) && shorten
	}
	return u.pause()
}

// logLook logs why the journal cannot be looked at, once for each reason.
func (u *Merge) logLook(work context.Context, err error) {
	switch {
	case work.Err() != nil:
	case err == nil:
		u.lookError = ""
	case err.Error() != u.lookError:
		u.lookError = err.Error()
		u.log.Warn("the journal cannot be read for now", "code", domain.CodeOf(err), "error", err)
	}
}

// prune keeps in mind only days that are there.
func (u *Merge) prune(days []ports.JournalDay) {
	now := u.clock.Elapsed()
	retries, present := make(map[time.Time]*retry), make(map[time.Time]time.Duration)
	for _, d := range days {
		day := d.Day.UTC()
		present[day] = now
		if since, ok := u.present[day]; ok {
			present[day] = since
		}
		if r := u.retries[day]; r != nil {
			retries[day] = r
		}
	}
	u.retries, u.present = retries, present
}

// available leaves out the days whose next try is yet to come. They count for
// nothing: else one that cannot be merged would have the others merged all the
// time.
func (u *Merge) available(days []ports.JournalDay) []ports.JournalDay {
	now := u.clock.Elapsed()
	var available []ports.JournalDay
	for _, d := range days {
		if r := u.retries[d.Day.UTC()]; r == nil || r.at <= now {
			available = append(available, d)
		}
	}
	return available
}

// maxAge is how long rows of the day wait.
func (u *Merge) maxAge(day time.Time) time.Duration {
	if u.clock.Now().Before(day.Add(domain.Daily.Length())) {
		return u.config.Interval
	}
	return pastFactor * u.config.Interval
}

// overdue returns the day that has waited longest beyond its time.
func (u *Merge) overdue(days []ports.JournalDay) (day time.Time, ok bool) {
	var longest time.Duration
	for _, d := range days {
		age := max(d.Age, u.clock.Elapsed()-u.present[d.Day.UTC()])
		if late := age - u.maxAge(d.Day); late >= 0 && (!ok || late > longest) {
			day, longest, ok = d.Day.UTC(), late, true
		}
	}
	return day, ok
}

// largest returns the day that has the largest part of what may be kept.
func (u *Merge) largest(days []ports.JournalDay) (day time.Time, ok bool) {
	most := 0
	for _, d := range days {
		if part := max(d.Entries*u.config.MaxRows, d.Rows*u.config.MaxEntries); part > most {
			day, most, ok = d.Day.UTC(), part, true
		}
	}
	return day, ok
}

// mergeDay merges a piece of the day, and reports whether it did. When that fails,
// or another process has the day, it is left alone for a moment.
func (u *Merge) mergeDay(work context.Context, day time.Time) bool {
	start := u.clock.Elapsed()
	r := u.retries[day]
	if r == nil {
		r = new(retry)
	}
	entries, err := withoutPanic(func() (int, error) { return u.mergePiece(work, day, r.failures) })
	now := u.clock.Elapsed()
	date := day.Format(time.DateOnly)
	switch {
	case work.Err() != nil:
	case err != nil:
		if err.Error() != r.cause {
			u.log.Warn("the journal of a day cannot be merged for now", "day", date, "code", domain.CodeOf(err), "error", err)
		}
		wait := u.config.BackoffMin << min(r.failures, 20)
		u.retries[day] = &retry{at: now + min(wait, u.config.BackoffMax), failures: r.failures + 1, cause: err.Error()}
	case entries == 0: // another process has the day, or has merged it
		r.at = now + u.config.BackoffMin
		u.retries[day] = r
	default:
		if r.failures > 0 {
			u.log.Info("the journal of a day is merged again", "day", date, "failures", r.failures)
		}
		u.log.Debug("journal merged", "day", date, "entries", entries, "duration_ms", (now - start).Milliseconds())
		delete(u.retries, day)
		delete(u.present, day)
		u.broadcastMerged()
		return true
	}
	return false
}

// mergePiece merges within a time that grows with the failures before, so that a
// slow store is not given up on for ever.
func (u *Merge) mergePiece(ctx context.Context, day time.Time, failures int) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, u.config.Timeout*time.Duration(min(failures, 3)+1))
	defer cancel()
	last, err := u.maintainer.LastExpiry(ctx)
	if err != nil {
		return 0, fmt.Errorf("read when data was expired last: %w", err)
	}
	var cutoffs domain.Cutoffs
	if !last.IsZero() {
		cutoffs = u.config.Retention.Cutoffs(last)
	}
	return u.merger.Merge(ctx, day, u.config.PieceEntries, cutoffs)
}

// broadcastMerged has those that wait for room look again.
func (u *Merge) broadcastMerged() {
	u.mu.Lock()
	defer u.mu.Unlock()
	close(u.merged)
	u.merged = make(chan struct{})
}

// pause is until the next look: soon when a day is to be tried again.
func (u *Merge) pause() time.Duration {
	wait, now := u.config.PollInterval, u.clock.Elapsed()
	for _, r := range u.retries {
		if r.at > now { // else it need not be merged now
			wait = min(wait, r.at-now)
		}
	}
	return wait
}

// Room waits until the journal is not full, so that what a reader decodes is
// bounded. It returns domain.CodeUnavailable when the journal cannot be looked
// at, and when it is full and nothing of it was merged for StallAfter. It asks
// the store only when the journal may have become long since the last look.
func (u *Merge) Room(ctx context.Context) error {
	if u == nil {
		return nil
	}
	for u.mayBeFull() {
		u.mu.Lock()
		merged := u.merged // before the look, lest a merge between them is missed
		u.mu.Unlock()
		if _, err := u.look(ctx); err != nil {
			return err
		}
		u.mu.Lock()
		full, stuck := u.full != nil, u.checkFull()
		u.mu.Unlock()
		if !full {
			return nil
		}
		u.lookNow()
		if stuck != nil {
			return stuck
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for room in the journal: %w", ctx.Err())
		case <-merged:
		case <-time.After(u.config.BackoffMin): // others merge, too
		}
	}
	return nil
}

// hasRoom reports whether the journal has room for certain, and asks no store.
func (u *Merge) hasRoom() bool { return u == nil || !u.mayBeFull() }

// mayBeFull also holds when Run has not come to look for a while.
func (u *Merge) mayBeFull() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.seen == nil || u.full != nil || u.unlooked().reaches(u.long()) ||
		lengthOf(u.seen.days).plus(u.unlooked()).reaches(u.fullAt())
}

// checkFull fails while the journal is full and has been so for long with none
// of it merged.
func (u *Merge) checkFull() error {
	if u.full == nil || u.clock.Elapsed()-u.full.at < u.config.StallAfter {
		return nil
	}
	return domain.NewError(domain.CodeUnavailable,
		fmt.Errorf("%d entries wait and none was merged for %v: see what a worker logs",
			lengthOf(u.full.days).entries, (u.clock.Elapsed()-u.full.at).Truncate(time.Second)),
		"the journal of the aggregates is full and not merged")
}

// JournalBacklog is what waits to be merged.
type JournalBacklog struct {
	// Rows, Entries and Days are those of the journal. MaxEntries and MaxRows
	// make it full: then no more events are stored.
	Rows, Entries, Days, MaxRows, MaxEntries int
	// Oldest is how long its oldest row has been there.
	Oldest time.Duration
}

// Backlog measures the journal.
func (u *Merge) Backlog(ctx context.Context) (JournalBacklog, error) {
	if u == nil {
		return JournalBacklog{}, nil
	}
	days, err := u.look(ctx)
	if err != nil {
		return JournalBacklog{}, err
	}
	sum, most := lengthOf(days), u.fullAt()
	backlog := JournalBacklog{
		Rows: sum.rows, Entries: sum.entries, Days: len(days), MaxRows: most.rows, MaxEntries: most.entries,
	}
	for _, d := range days {
		backlog.Oldest = max(backlog.Oldest, d.Age)
	}
	return backlog, nil
}

// Name is "journal".
func (*Merge) Name() string { return "journal" }

// Check fails when merging has stalled: when something was due for ten times
// StallAfter, of which this process saw as much, or when the journal is full and
// nothing of it was merged for StallAfter.
func (u *Merge) Check(ctx context.Context) error {
	days, err := u.look(ctx)
	if err != nil {
		return err
	}
	for _, d := range days {
		late := min(d.Age-u.maxAge(d.Day), u.clock.Elapsed()-u.started)
		if late > overdueStalls*u.config.StallAfter {
			return domain.NewError(domain.CodeUnavailable,
				fmt.Errorf("what was stored about %s waits for %v: see whether a worker runs and what it logs",
					d.Day.UTC().Format(time.DateOnly), d.Age.Truncate(time.Second)),
				"what was stored is not merged into the aggregates")
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.checkFull()
}
