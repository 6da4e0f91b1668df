package worstday_test

import (
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// TestReplayWritesNothingThatHasExpired stores batches that span 90 days, after an
// expiry was noted. What is past its retention by that is not written, and all else
// is counted.
func TestReplayWritesNothingThatHasExpired(t *testing.T) {
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			const days = 90
			clock := memory.NewClock(contract.Now)
			e := open(t, clock)
			if err := e.store.NoteExpiry(t.Context(), contract.Now); err != nil {
				t.Fatal(err)
			}
			events := contract.EventsOver(1, 2_000, days*24)
			m := startMerging(t, e, clock)
			for _, batch := range contract.Batches(0, 500, events) {
				stored, err := e.store.Store(t.Context(), []domain.Batch{batch})
				if err != nil {
					t.Fatal(err)
				}
				m.merge.Note(stored.Entries)
			}
			m.finish(t)

			retention := domain.DefaultRetention()
			due, err := e.store.Due(t.Context(), retention.Cutoffs(contract.Now))
			if err != nil || due.Hourly+due.Daily+due.Errors != 0 {
				t.Errorf("%+v have been written past their retention, %v", due, err)
			}
			for r, cutoff := range map[domain.Resolution]time.Time{
				domain.Hourly: retention.Cutoffs(contract.Now).Hourly, domain.Daily: retention.Cutoffs(contract.Now).Daily,
			} {
				var want, got int64
				for i := range events {
					if !r.Floor(events[i].Hour).Before(cutoff) {
						want++
					}
				}
				end := domain.Daily.Floor(contract.Now).Add(domain.Daily.Length())
				selected, err := e.store.Select(t.Context(), domain.Selection{
					Window: domain.Window{Start: end.Add(-(days + 2) * domain.Daily.Length()), End: end, Resolution: r},
					By:     []domain.Dimension{domain.DimensionNone},
				})
				if err != nil {
					t.Fatal(err)
				}
				for _, row := range selected.Rollups[domain.DimensionNone] {
					got += row.Rollup.Calls
				}
				if want == 0 || r == domain.Hourly && want == int64(len(events)) || got != want {
					t.Errorf("by the %s %d calls are counted, want %d of %d", r, got, want, len(events))
				}
			}
		})
	}
}
