package chaos_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fault is something that goes wrong. strike begins it and returns what ends
// it.
type fault struct {
	name   string
	strike func() (end func())
}

// victim is what one fault at a time befalls.
type victim struct {
	faults []fault
	// longest is how long a fault lasts once in a while. Default 5 s, which is
	// longer than calls are waited for.
	longest time.Duration

	mu sync.Mutex
}

// accident is one fault of a schedule.
type accident struct {
	victim *victim
	fault  fault
	// before is the number of the batch before which it strikes.
	before int
	lasts  time.Duration
}

// drawSchedule draws accidents, in the order of the batches. Every class of
// victims has the same part of them, however many it has in it.
func drawSchedule(random *rand.Rand, classes [][]*victim, batches, count int) []accident {
	schedule := make([]accident, count)
	for i, before := range drawMoments(random, batches, count) {
		v := oneOf(random, oneOf(random, classes))
		schedule[i] = accident{victim: v, fault: oneOf(random, v.faults), before: before, lasts: v.drawDuration(random)}
	}
	return schedule
}

// drawDuration draws how long a fault lasts: mostly less than a second.
func (v *victim) drawDuration(random *rand.Rand) time.Duration {
	longest := time.Second
	if random.IntN(8) == 0 {
		longest = cmp.Or(v.longest, 5*time.Second)
	}
	return time.Duration(random.Int64N(int64(longest)))
}

// faultLog counts what befell whom, and waits for its end.
type faultLog struct {
	mu      sync.Mutex
	counts  map[string]int
	running sync.WaitGroup
}

// begin has an accident happen in its time, after another one of the same
// victim.
func (l *faultLog) begin(a accident) {
	l.running.Go(func() {
		a.victim.mu.Lock()
		defer a.victim.mu.Unlock()
		l.count(a.fault.name)
		end := a.fault.strike()
		time.Sleep(a.lasts) // the fault lasts, and nothing is waited for
		end()
	})
}

func (l *faultLog) count(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil {
		l.counts = make(map[string]int)
	}
	l.counts[name]++
}

// report prints the faults by kind. All must have ended.
func (l *faultLog) report(t *testing.T) {
	t.Helper()
	lines := make([]string, 0, len(l.counts))
	total := 0
	for _, name := range slices.Sorted(maps.Keys(l.counts)) {
		lines = append(lines, fmt.Sprintf("%d × %s", l.counts[name], name))
		total += l.counts[name]
	}
	t.Logf("%d faults: %s", total, strings.Join(lines, ", "))
}
