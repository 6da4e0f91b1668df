package clients_test

import (
	"os"
	"strings"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/test/service"
)

// The captured batches carry the hour of their capture, so the README moves
// them to the current one; its command must work on any day.
func TestReadmePostsACapturedBatch(t *testing.T) {
	page, err := os.ReadFile(root + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "`test/fixtures` holds")
	_, rest, _ = strings.Cut(rest, "```sh\n")
	code, _, found := strings.Cut(rest, "```")
	if !found || !strings.Contains(code, "real-client-detailed.json") {
		t.Fatalf("the README posts no captured batch: %s", code)
	}
	code = strings.ReplaceAll(code, "localhost:3000", strings.TrimPrefix(service.Start(t), "http://"))
	answer := run(t, root, nil, "sh", "-euc", code)
	if !strings.Contains(answer, `"count":26`) || strings.Contains(answer, "rejected") {
		t.Errorf("answered %s", answer)
	}
}
