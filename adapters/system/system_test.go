package system_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/system"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

func TestClockTellsUTC(t *testing.T) {
	before := time.Now()
	now := system.Clock{}.Now()
	if now.Before(before) || now.After(time.Now()) {
		t.Errorf("clock says %v, which is not now", now)
	}
	if now.Location() != time.UTC {
		t.Errorf("location = %v, want UTC", now.Location())
	}
}

func TestBatchIDsAscend(t *testing.T) {
	const count = 10_000
	made := make([]domain.BatchID, count)
	for i := range made {
		made[i] = system.BatchIDs{}.NewBatchID()
	}
	if !slices.IsSorted(made) {
		t.Error("ids made later do not sort later")
	}
	id, err := uuid.Parse(string(made[0]))
	if err != nil || id.Version() != 7 {
		t.Errorf("id %q is no UUID of version 7: %v", made[0], err)
	}
}

func TestBatchIDsAreUnique(t *testing.T) {
	const makers, each = 8, 1000
	var group sync.WaitGroup
	made := make([][]domain.BatchID, makers)
	for m := range made {
		group.Go(func() {
			for range each {
				made[m] = append(made[m], system.BatchIDs{}.NewBatchID())
			}
		})
	}
	group.Wait()
	all := slices.Concat(made...)
	slices.Sort(all)
	if unique := len(slices.Compact(all)); unique != makers*each {
		t.Errorf("%d different ids of %d", unique, makers*each)
	}
}
