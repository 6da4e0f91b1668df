package postgres_test

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/logs"
	"github.com/weather-mcp/weather-mcp-analytics/test/servers"
)

func checkSame(t *testing.T, got, want domain.Selected) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("statistics are %+v\nwant %+v", got, want)
	}
}

// within waits until the condition holds.
func within(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", limit, what)
		}
	}
}

func TestPayloadKeepsEverything(t *testing.T) {
	event := rapid.Custom(func(t *rapid.T) domain.Event { return contract.DrawEvent(t, today, 24) })
	rapid.Check(t, func(t *rapid.T) {
		want := domain.Finest(rapid.SliceOfN(event, 0, 30).Draw(t, "events"))
		payload, err := postgres.EncodePayload(today, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := postgres.DecodePayload(today, payload)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Rollups) != len(want.Rollups) || len(got.Errors) != len(want.Errors) {
			t.Fatalf("%d rollups and %d errors, want %d and %d", len(got.Rollups), len(got.Errors), len(want.Rollups), len(want.Errors))
		}
		for i := range want.Rollups {
			if !reflect.DeepEqual(got.Rollups[i], want.Rollups[i]) {
				t.Fatalf("rollup %+v\nwant %+v", got.Rollups[i], want.Rollups[i])
			}
		}
		for i := range want.Errors {
			if !reflect.DeepEqual(got.Errors[i], want.Errors[i]) {
				t.Fatalf("error summary %+v\nwant %+v", got.Errors[i], want.Errors[i])
			}
		}
	})
}

func TestDamagedPayloadIsAnError(t *testing.T) {
	payload, err := postgres.EncodePayload(today, domain.Finest(dated(today, 40)))
	if err != nil {
		t.Fatal(err)
	}
	for name, damaged := range map[string][]byte{
		"nothing":          {},
		"an other format":  append([]byte{payload[0] + 1}, payload[1:]...),
		"an end too early": payload[:len(payload)-1],
		"more at the end":  append(slices.Clip(payload), 0),
		"names that lack":  append([]byte{payload[0], 0}, payload[2:]...),
	} {
		if a, err := postgres.DecodePayload(today, damaged); err == nil {
			t.Errorf("%s: %+v", name, a)
		}
	}
	rapid.Check(t, func(t *rapid.T) { // whatever is in it, it ends
		damaged := append([]byte(nil), payload...)
		for range rapid.IntRange(1, 5).Draw(t, "changes") {
			damaged[rapid.IntRange(0, len(damaged)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		_, _ = postgres.DecodePayload(today, damaged)
	})
}

func TestJournalIsMergedWhenItIsLong(t *testing.T) {
	db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t), JournalEntries: 200, JournalDelay: time.Hour})
	store := postgres.NewStore(db)
	var events []domain.Event
	for i := range 20 {
		stored := dated(today.Add(time.Duration(-i%2)*day), 48)
		mustStore(t, store, contract.NewBatch(i, stored...))
		events = append(events, stored...)
	}
	within(t, 20*time.Second, "the journal is short", func() bool {
		var entries int
		if err := db.Get(t.Context(), &entries, `SELECT coalesce(sum(entries), 0) FROM aggregation_journal`); err != nil {
			t.Fatal(err)
		}
		return entries <= 200
	})
	if got := count(t, db, "daily_aggregations"); got == 0 {
		t.Error("nothing was merged")
	}
	before := selected(t, store)
	if err := store.MergeJournal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := count(t, db, "aggregation_journal"); got != 0 {
		t.Errorf("%d rows are left in the journal", got)
	}
	checkSame(t, selected(t, store), before)
	var calls int
	if err := db.Get(t.Context(), &calls, `SELECT sum(calls) FROM daily_aggregations WHERE grain = 0`); err != nil || calls != len(events) {
		t.Errorf("the rows count %d calls, %v; want %d", calls, err, len(events))
	}
}

// TestLongJournalIsMergedInPieces finds a journal that others have let grow.
func TestLongJournalIsMergedInPieces(t *testing.T) {
	url := servers.SharedPostgres(t).NewDatabase(t)
	idle := postgres.NewStore(open(t, postgres.Config{URL: url, JournalDelay: time.Hour}))
	var events []domain.Event
	for i := range 30 {
		stored := dated(today, 48)
		mustStore(t, idle, contract.NewBatch(i, stored...))
		events = append(events, stored...)
	}
	log := new(logs.Buffer)
	db := open(t, postgres.Config{
		URL: url, JournalEntries: 100, SlowQuery: time.Nanosecond, Log: log.Logger(),
	})
	store := postgres.NewStore(db)
	before := selected(t, store)
	if err := store.MergeJournal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := count(t, db, "aggregation_journal"); got != 0 {
		t.Errorf("%d rows are left in the journal", got)
	}
	if pieces := strings.Count(log.String(), "query=store.merge"); pieces < 5 {
		t.Errorf("merged in %d transactions, want more", pieces)
	}
	checkSame(t, selected(t, store), before)
	checkCounted(t, db, contract.Batches(0, 48, events))
}

func TestJournalIsMergedWhenItIsOld(t *testing.T) {
	db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t), JournalDelay: time.Millisecond})
	mustStore(t, postgres.NewStore(db), contract.NewBatch(1, dated(today, 3)...), contract.NewBatch(2, dated(today.Add(-day), 3)...))
	within(t, 20*time.Second, "the journal is empty", func() bool { return count(t, db, "aggregation_journal") == 0 })
}

// TestDamageIsToldAndCured damages a row of each table by hand: reading and
// merging tell which one it is, nothing is lost, and a rebuild cures it.
func TestDamageIsToldAndCured(t *testing.T) {
	tests := map[string]struct {
		damage, want string
	}{
		"a sketch of an hour": {
			`UPDATE hourly_aggregations SET latency = '\x01ff' WHERE grain = 0`, "hourly_aggregations, bucket 2026-11-23T",
		},
		"a sketch of a day": {
			`UPDATE daily_aggregations SET sessions = '\x07' WHERE grain = 1`,
			"daily_aggregations, bucket 2026-11-23T00:00:00Z, group {Grain:tool Tool:",
		},
		"an error summary": {
			`UPDATE error_summary SET versions = '{}' WHERE grain = 0`, "error_summary, bucket 2026-11-23T",
		},
		"the journal": {
			`INSERT INTO aggregation_journal (day, events, entries, payload) VALUES ('2026-11-23 00:00:00+00', 1, 1, '\x09')`,
			"aggregation_journal, bucket 2026-11-23T00:00:00Z, row ",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			log := new(logs.Buffer)
			db := open(t, postgres.Config{
				URL: servers.SharedPostgres(t).NewDatabase(t), JournalEntries: 50, JournalDelay: time.Hour,
				Log: log.Logger(),
			})
			store := postgres.NewStore(db)
			events := dated(today, 200)
			mustStore(t, store, contract.NewBatch(1, events...))
			if err := store.MergeJournal(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := db.Exec(t.Context(), tt.damage); err != nil {
				t.Fatal(err)
			}
			checkDamage(t, tt.want, store)

			// What is stored meanwhile is kept in the journal, up to a bound.
			more := dated(today, 100)
			mustStore(t, store, contract.NewBatch(2, more...))
			events = append(events, more...)
			within(t, 20*time.Second, "the failed merge is logged", func() bool {
				return strings.Contains(log.String(), "journal not merged") && strings.Contains(log.String(), tt.want)
			})
			var err error
			number := 3
			for ; err == nil && number < 1_000; number++ {
				more := dated(today, 100)
				if _, err = store.Store(t.Context(), []domain.Batch{contract.NewBatch(number, more...)}); err == nil {
					events = append(events, more...)
				}
			}
			checkDamaged(t, err, tt.want)

			if n, err := store.RebuildDay(t.Context(), today, domain.Cutoffs{}); err != nil || n != int64(len(events)) {
				t.Fatalf("rebuilt from %d events, %v; want %d", n, err, len(events))
			}
			mustStore(t, store, contract.NewBatch(number, dated(today, 10)...))
			activity, err := store.Activity(t.Context())
			if err != nil || activity.Events != int64(len(events)+10) {
				t.Errorf("%+v, %v; want %d events", activity, err, len(events)+10)
			}
			selected(t, store)
		})
	}
}

func checkDamage(t *testing.T, want string, store *postgres.Store) {
	t.Helper()
	hours := domain.Window{Start: today, End: today.Add(day), Resolution: domain.Hourly}
	days := domain.Window{Start: today, End: today.Add(day), Resolution: domain.Daily}
	var told []error
	for _, w := range []domain.Window{hours, days} {
		_, err := store.Select(t.Context(), domain.Selection{Window: w, By: append(domain.Dimensions(), domain.DimensionNone), Errors: true})
		if err != nil {
			told = append(told, err)
		}
	}
	if len(told) == 0 {
		t.Fatal("no reader noticed")
	}
	for _, err := range told {
		checkDamaged(t, err, want)
	}
}

func checkDamaged(t *testing.T, err error, want string) {
	t.Helper()
	if domain.CodeOf(err) != domain.CodeUnavailable || domain.MessageOf(err) != "a stored aggregate is damaged" {
		t.Fatalf("code %q of %v", domain.CodeOf(err), err)
	}
	if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "analytics rebuild") {
		t.Errorf("%v\nwant %q", err, want)
	}
}

// TestReadingByHand runs the query that docs/postgresql.md gives, while some of
// the events are in the journal.
func TestReadingByHand(t *testing.T) {
	page, err := os.ReadFile("../../docs/postgresql.md")
	if err != nil {
		t.Fatal(err)
	}
	_, query, _ := strings.Cut(string(page), "```sql\nSELECT day")
	query, _, found := strings.Cut("SELECT day"+query, "```")
	if !found {
		t.Fatal("the page has no such query")
	}
	db := open(t, postgres.Config{URL: servers.SharedPostgres(t).NewDatabase(t), JournalDelay: time.Hour})
	store := postgres.NewStore(db)
	mustStore(t, store, contract.NewBatch(1, dated(today, 30)...))
	if err := store.MergeJournal(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustStore(t, store, contract.NewBatch(2, append(dated(today, 10), dated(today.Add(-day), 7)...)...))
	var calls []int64
	if err := db.List(t.Context(), &calls, `SELECT sum FROM (`+strings.TrimRight(query, ";\n")+`) AS page`); err != nil {
		t.Fatal(err)
	}
	if want := []int64{7, 40}; !slices.Equal(calls, want) {
		t.Errorf("calls by day %v, want %v", calls, want)
	}
}
