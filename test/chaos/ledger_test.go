package chaos_test

import (
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/jmoiron/sqlx"
	_ "modernc.org/sqlite" // the driver

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// openFiles opens what the server has left behind, only to read it.
func openFiles(t *testing.T, dir string) *sqlx.DB {
	t.Helper()
	file := url.URL{Scheme: "file", Opaque: filepath.Join(dir, "analytics.db"), RawQuery: "mode=ro"}
	db, err := sqlx.Open("sqlite", file.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

// check holds what is stored against what the clients were told. counted is
// how many calls the API counts.
func check(t *testing.T, db *sqlx.DB, load []batch, outcomes []outcome, counted int64) {
	t.Helper()
	stored := readTallies(t, db, `
		SELECT version, COUNT(*) AS events, COUNT(*) FILTER (WHERE status = 'error') AS errors,
			COALESCE(SUM(response_time_ms), 0) AS milliseconds
		FROM events GROUP BY version`)
	for _, b := range load {
		if problem := judgeStored(outcomes[b.number], b.want, stored[b.version()]); problem != "" {
			t.Errorf("batch %d: %s", b.number, problem)
		}
	}
	checkAggregates(t, db, stored)
	if ids := read[int](t, db, `SELECT COUNT(*) FROM stored_batches`); ids != len(stored) {
		t.Errorf("%d batch ids are known as stored, want %d", ids, len(stored))
	}
	if whole := sum(stored); counted != whole.Events {
		t.Errorf("the API counts %d calls, want %d", counted, whole.Events)
	}
	report(t, outcomes, stored, counted)
}

// judgeStored says what is wrong with what is stored of a batch, if anything.
func judgeStored(o outcome, want, stored tally) string {
	whole, none := stored == want, stored == tally{}
	switch {
	case o == accepted && !whole:
		return fmt.Sprintf("accepted, and %+v stored instead of %+v", stored, want)
	case o == unknown && !whole && !none:
		return fmt.Sprintf("not answered, and %+v stored instead of %+v or nothing", stored, want)
	case o == refused && !none:
		return fmt.Sprintf("refused, and %+v stored", stored)
	default:
		return ""
	}
}

func TestJudgeStored(t *testing.T) {
	want := tally{Events: 3, Errors: 1, Milliseconds: 700}
	none, twice, part := tally{}, want.plus(want), tally{Events: 2, Milliseconds: 500}
	tests := []struct {
		outcome outcome
		stored  tally
		wrong   bool
	}{
		{accepted, want, false},
		{accepted, none, true},
		{accepted, twice, true},
		{accepted, part, true},
		{unknown, want, false},
		{unknown, none, false},
		{unknown, twice, true},
		{unknown, part, true},
		{refused, none, false},
		{refused, want, true},
		{refused, part, true},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %+v", tt.outcome, tt.stored), func(t *testing.T) {
			if got := judgeStored(tt.outcome, want, tt.stored); (got != "") != tt.wrong {
				t.Errorf("problem = %q, want one: %t", got, tt.wrong)
			}
		})
	}
}

// checkAggregates holds totals and breakdowns of both resolutions against the raw
// events, batch by batch where versions are told apart. Everything is merged.
func checkAggregates(t *testing.T, db *sqlx.DB, stored map[string]tally) {
	t.Helper()
	for _, view := range []string{"hourly_aggregations", "daily_aggregations"} {
		for _, dimension := range []string{"total", "tool", "version", "country", "service"} {
			got := readTallies(t, db, `
				SELECT value AS version, SUM(calls) AS events, SUM(errors) AS errors, SUM(response_time_sum_ms) AS milliseconds
				FROM `+view+` WHERE dimension = ? GROUP BY value`, dimension)
			switch {
			case sum(got) != sum(stored):
				t.Errorf("%s by %s add up to %+v, want %+v", view, dimension, sum(got), sum(stored))
			case dimension == "version" && !maps.Equal(got, stored):
				t.Errorf("%s by version differ from the raw events", view)
			}
		}
	}
	for _, resolution := range domain.Resolutions() {
		got := readTallies(t, db, `
			SELECT error_type AS version, 0 AS events, SUM(count) AS errors, 0 AS milliseconds
			FROM error_summary WHERE resolution = ? GROUP BY error_type`, resolution)
		if got, want := sum(got).Errors, sum(stored).Errors; got != want {
			t.Errorf("error summaries by the %s count %d failed calls, want %d", resolution, got, want)
		}
	}
}

func readTallies(t *testing.T, db *sqlx.DB, query string, args ...any) map[string]tally {
	t.Helper()
	var rows []struct {
		Version string `db:"version"`
		tally
	}
	if err := db.SelectContext(t.Context(), &rows, db.Rebind(query), args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	tallies := make(map[string]tally, len(rows))
	for _, row := range rows {
		tallies[row.Version] = row.tally
	}
	return tallies
}

// read returns the one value that the query gives.
func read[T any](t *testing.T, db *sqlx.DB, query string) T {
	t.Helper()
	var value T
	if err := db.GetContext(t.Context(), &value, query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

func sum(tallies map[string]tally) tally {
	var whole tally
	for _, one := range tallies {
		whole = whole.plus(one)
	}
	return whole
}

// report prints the account of the run.
func report(t *testing.T, outcomes []outcome, stored map[string]tally, counted int64) {
	t.Helper()
	t.Logf("batches: %d sent, %d accepted, %d refused, %d unknown; %d stored with %d events, %d counted",
		len(outcomes), number(outcomes, accepted), number(outcomes, refused), number(outcomes, unknown),
		len(stored), sum(stored).Events, counted)
}

// requireLoad fails a run in which hardly anything was accepted: it proves
// nothing.
func requireLoad(t *testing.T, outcomes []outcome) {
	t.Helper()
	if got := number(outcomes, accepted); got < len(outcomes)/4 {
		t.Errorf("only %d of %d batches were accepted", got, len(outcomes))
	}
}

func number(outcomes []outcome, wanted outcome) int {
	count := 0
	for _, o := range outcomes {
		if o == wanted {
			count++
		}
	}
	return count
}
