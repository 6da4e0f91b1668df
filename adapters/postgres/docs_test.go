package postgres_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/postgres"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// docs/postgresql.md lists the columns of the views, and its query is as exact as it
// says: it counts what is merged and what is not.
func TestDocumentedSQL(t *testing.T) {
	text, err := os.ReadFile("../../docs/postgresql.md")
	if err != nil {
		t.Fatal(err)
	}
	db := open(t, postgres.Config{URL: newMigrated(t)})
	views := regexp.MustCompile("(?m)^\\| (`.*aggregations`|`error_summary`) \\| (.*) \\|$").FindAllStringSubmatch(string(text), -1)
	if len(views) != 2 {
		t.Fatalf("the document has %d rows of views", len(views))
	}
	for _, row := range views {
		listed := quoted(regexp.MustCompile(`\([^)]*\)`).ReplaceAllString(row[2], ""))
		for _, view := range quoted(row[1]) {
			var columns []string
			if err := db.List(t.Context(), &columns, `
				SELECT column_name FROM information_schema.columns WHERE table_name = $1 ORDER BY ordinal_position`, view); err != nil {
				t.Fatal(err)
			}
			if len(columns) == 0 || !slices.Equal(columns, listed) {
				t.Errorf("%s has the columns %v, and the document lists %v", view, columns, listed)
			}
		}
	}

	s := postgres.NewStore(db)
	events := contract.EventsOver(5, 200, 60)
	for i, b := range contract.Batches(1, 50, events) {
		if _, err := s.Store(t.Context(), []domain.Batch{b}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Merge(t.Context(), domain.Daily.Floor(events[i].Hour), 1000, domain.Cutoffs{}); err != nil {
			t.Fatal(err)
		}
	}
	want := make(map[time.Time]int64)
	for i := range events {
		want[domain.Daily.Floor(events[i].Hour)]++
	}
	queries := regexp.MustCompile("(?s)```sql\n(SELECT .*?)```").FindAllStringSubmatch(string(text), -1)
	if len(queries) != 1 {
		t.Fatalf("the document has %d queries", len(queries))
	}
	var counted []struct {
		Day time.Time
		Sum int64
	}
	if err := db.List(t.Context(), &counted, strings.TrimSuffix(strings.TrimSpace(queries[0][1]), ";")); err != nil {
		t.Fatal(err)
	}
	for _, row := range counted {
		if want[row.Day.UTC()] != row.Sum {
			t.Errorf("%v has %d calls, want %d", row.Day, row.Sum, want[row.Day.UTC()])
		}
		delete(want, row.Day.UTC())
	}
	if len(want) > 0 {
		t.Errorf("days are missing: %v", want)
	}
}

// quoted lists what is quoted as code.
func quoted(text string) []string {
	var words []string
	for _, match := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(text, -1) {
		words = append(words, match[1])
	}
	return words
}
