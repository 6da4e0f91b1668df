package sqlite_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

func TestRebuild(t *testing.T) { contract.Rebuild(t, openStore) }

// everything of the day and its neighbours, in both resolutions.
func everything(t *testing.T, store *sqlite.Store, day time.Time) []domain.Selected {
	t.Helper()
	var all []domain.Selected
	for _, r := range domain.Resolutions() {
		selected, err := store.Select(t.Context(), domain.Selection{
			Window: domain.Window{Start: day.AddDate(0, 0, -1), End: day.AddDate(0, 0, 2), Resolution: r},
			By:     append(domain.Dimensions(), domain.DimensionNone), Latency: true, Sessions: true, Errors: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, selected)
	}
	return all
}

// TestRebuildHealsADay of more events, and more groups, than are in memory at a time.
func TestRebuildHealsADay(t *testing.T) {
	const count = 5_200
	db := open(t, sqlite.Config{Dir: t.TempDir()})
	db.SetRebuildGroups(100)
	store := sqlite.NewStore(db)
	events := contract.EventsOver(1, count, 1)
	day := domain.Daily.Floor(contract.Now)
	before, after := events[0], events[0]
	before.Hour, after.Hour = day.Add(-time.Hour), day.AddDate(0, 0, 1)
	batches := append(contract.Batches(1, 2_600, events), contract.NewBatch(100, before, after))
	if _, err := store.Store(t.Context(), batches); err != nil {
		t.Fatal(err)
	}
	want := everything(t, store, day)
	merge(t, store, domain.Cutoffs{})

	from, to := day.Unix(), day.AddDate(0, 0, 1).Unix()
	for _, damage := range []string{
		`UPDATE packed_aggregates SET latency = x'ff' WHERE bucket >= ? AND bucket < ?`,
		`UPDATE packed_aggregates SET counts = x'00' WHERE grain > 15 AND bucket >= ? AND bucket < ?`,
		`DELETE FROM packed_aggregates WHERE bucket >= ? AND bucket < ? AND grain IN (0, 3, 15)`,
		`DELETE FROM aggregate_buckets WHERE bucket >= ? AND bucket < ? AND resolution = 'hour'`,
	} {
		exec1(t, db.StoreFile(), damage, from, to)
	}
	n, err := store.RebuildDay(t.Context(), day, domain.Cutoffs{})
	if err != nil || n != count {
		t.Errorf("%d events, want %d: %v", n, count, err)
	}
	if got := everything(t, store, day); !reflect.DeepEqual(got, want) {
		t.Error("the rebuilt day is another one")
	}
}

func TestRebuildLeavesOutWhatIsDue(t *testing.T) {
	db := open(t, sqlite.Config{Dir: t.TempDir()})
	store := sqlite.NewStore(db)
	if _, err := store.Store(t.Context(), []domain.Batch{contract.NewBatch(1, contract.EventsOver(1, 60, 10)...)}); err != nil {
		t.Fatal(err)
	}
	day := domain.Daily.Floor(contract.Now)
	for name, cutoffs := range map[string]domain.Cutoffs{
		"hours":       {Hourly: day.Add(5 * time.Hour), HourlyErrors: day.Add(7 * time.Hour)},
		"other hours": {Hourly: day.Add(7 * time.Hour), HourlyErrors: day.Add(5 * time.Hour)},
		"days":        {Daily: day.Add(time.Hour), DailyErrors: day},
		"other days":  {Daily: day, DailyErrors: day.Add(time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			if n, err := store.RebuildDay(t.Context(), day, cutoffs); n != 60 || err != nil {
				t.Fatalf("%d events, %v", n, err)
			}
			got := everything(t, store, day)
			if n, err := store.Expire(t.Context(), cutoffs); n.Total() != 0 || err != nil {
				t.Errorf("%+v were due, %v", n, err)
			}
			if _, err := store.RebuildDay(t.Context(), day, domain.Cutoffs{}); err != nil {
				t.Fatal(err)
			}
			if _, err := store.Expire(t.Context(), cutoffs); err != nil {
				t.Fatal(err)
			}
			if want := everything(t, store, day); !reflect.DeepEqual(got, want) {
				t.Error("more or less is left out than expires")
			}
		})
	}
}
