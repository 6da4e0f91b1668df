package sqlite_test

import (
	"strings"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
)

// TestNoStatementTouchesValuesItDoesNotWant: each seeks by the whole key.
func TestNoStatementTouchesValuesItDoesNotWant(t *testing.T) {
	plans, err := open(t, sqlite.Config{Dir: t.TempDir()}).Plans(t.Context())
	if err != nil || len(plans) < 7 {
		t.Fatalf("%v, %v", plans, err)
	}
	for name, plan := range plans {
		for _, step := range plan {
			if !strings.HasPrefix(step, "SEARCH packed_aggregates USING ") || !strings.Contains(step, "(resolution=? AND grain=? AND part=? AND bucket") {
				t.Errorf("%s: %s", name, step)
			}
		}
	}
}

// Whoever enqueues under a key waits for these, so none may read all receipts.
func TestReceiptsAreFoundByIndexes(t *testing.T) {
	plans, err := open(t, sqlite.Config{Dir: t.TempDir()}).ReceiptPlans(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, plan := range plans {
		t.Logf("%s: %q", name, plan)
		for _, step := range plan {
			if strings.HasPrefix(step, "SCAN receipts") && step != "SCAN receipts_size" {
				t.Errorf("%s: %s", name, step)
			}
		}
	}
}
