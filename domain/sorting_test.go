package domain_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

func tool(name string, calls int64, rate, average, p50, p95, p99 float64) domain.ToolSummary {
	return domain.ToolSummary{Name: name, CallSummary: domain.CallSummary{
		Calls: calls, SuccessRate: rate,
		ResponseTimes: domain.ResponseTimes{Average: average, P50: p50, P95: p95, P99: p99},
	}}
}

// sortedTools sorts four tools; b and c are equal in everything but name.
func sortedTools(t *testing.T, sort, order string) string {
	t.Helper()
	tools := []domain.ToolSummary{
		tool("c", 20, 0.5, 30, 20, 60, 70), tool("d", 10, 0.9, 40, 30, 50, 60),
		tool("b", 20, 0.5, 30, 20, 60, 70), tool("a", 30, 0.1, 20, 10, 90, 90),
	}
	sorting, err := domain.ToolColumns().Parse(sort, order)
	if err != nil {
		t.Fatal(err)
	}
	sorting.Sort(tools)
	var names strings.Builder
	for _, s := range tools {
		names.WriteString(s.Name)
	}
	return names.String() + " by " + sorting.String()
}

func TestSortTools(t *testing.T) {
	tests := []struct{ sort, order, want string }{
		{"", "", "abcd by calls desc"},
		{"", "asc", "dbca by calls asc"},
		{"calls", "", "abcd by calls desc"},
		{"calls", "desc", "abcd by calls desc"},
		{"calls", "asc", "dbca by calls asc"},
		{"name", "", "abcd by name asc"},
		{"name", "desc", "dcba by name desc"},
		{"success_rate", "", "dbca by success_rate desc"},
		{"avg_response_time_ms", "", "dbca by avg_response_time_ms desc"},
		{"avg_response_time_ms", "asc", "abcd by avg_response_time_ms asc"},
		{"p50", "", "dbca by p50 desc"},
		{"p95", "", "abcd by p95 desc"},
		{"p99", "asc", "dbca by p99 asc"},
	}
	for _, tt := range tests {
		if got := sortedTools(t, tt.sort, tt.order); got != tt.want {
			t.Errorf("%q %q: %s, want %s", tt.sort, tt.order, got, tt.want)
		}
	}
}

func TestSortErrors(t *testing.T) {
	hour := func(n int) time.Time { return time.Date(2026, 11, 23, n, 0, 0, 0, time.UTC) }
	list := []domain.ErrorTypeSummary{
		{Type: "b", Count: 2, FirstSeen: hour(1), LastSeen: hour(9)},
		{Type: "a", Count: 2, FirstSeen: hour(3), LastSeen: hour(4)},
		{Type: "c", Count: 7, FirstSeen: hour(2), LastSeen: hour(4)},
	}
	for _, tt := range []struct{ sort, order, want string }{
		{"", "", "cab by count desc"},
		{"count", "asc", "abc by count asc"},
		{"type", "", "abc by type asc"},
		{"type", "desc", "cba by type desc"},
		{"first_seen", "", "acb by first_seen desc"},
		{"first_seen", "asc", "bca by first_seen asc"},
		{"last_seen", "", "bac by last_seen desc"},
		{"last_seen", "asc", "acb by last_seen asc"},
	} {
		sorting, err := domain.ErrorColumns().Parse(tt.sort, tt.order)
		if err != nil {
			t.Fatal(err)
		}
		sorting.Sort(list)
		got := list[0].Type + list[1].Type + list[2].Type + " by " + sorting.String()
		if got != tt.want {
			t.Errorf("%q %q: %s, want %s", tt.sort, tt.order, got, tt.want)
		}
	}
}

func TestSortingRefuses(t *testing.T) {
	for _, tt := range []struct{ sort, order, says string }{
		{"Calls", "", "sort must be one of calls, name, success_rate, avg_response_time_ms, p50, p95, p99"},
		{"count", "", "sort must be one of"},
		{"calls ", "", "sort must be one of"},
		{"calls\x00", "", "sort must be one of"},
		{strings.Repeat("calls", 2048), "", "sort must be one of"},
		{"calls", "ASC", "order must be asc or desc"},
		{"calls", "up", "order must be asc or desc"},
		{"", "\x00", "order must be asc or desc"},
	} {
		_, err := domain.ToolColumns().Parse(tt.sort, tt.order)
		if domain.CodeOf(err) != domain.CodeInvalid || !strings.HasPrefix(domain.MessageOf(err), tt.says) {
			t.Errorf("%.20q %q: error = %v, want %q", tt.sort, tt.order, err, tt.says)
		}
	}
}

// Whatever order items come in, they leave in the same one.
func TestSortingIsTotal(t *testing.T) {
	columns := []string{"calls", "name", "success_rate", "avg_response_time_ms", "p50", "p95", "p99"}
	rapid.Check(t, func(t *rapid.T) {
		few := rapid.SampledFrom([]float64{0, 0.5, 1})
		var tools []domain.ToolSummary
		for i := range rapid.IntRange(0, 8).Draw(t, "tools") {
			name := string(rune('a' + i))
			value := func(what string) float64 { return few.Draw(t, name+" "+what) }
			tools = append(tools, tool(name, int64(2*value("calls")), value("rate"), value("average"), value("p50"), value("p95"), value("p99")))
		}
		shuffled := rapid.Permutation(tools).Draw(t, "order of arrival")
		sorting, err := domain.ToolColumns().Parse(
			rapid.SampledFrom(columns).Draw(t, "sort"), rapid.SampledFrom([]string{"", "asc", "desc"}).Draw(t, "order"))
		if err != nil {
			t.Fatal(err)
		}
		sorting.Sort(tools)
		sorting.Sort(shuffled)
		if !slices.Equal(tools, shuffled) {
			t.Fatalf("by %s: %v and %v", sorting, tools, shuffled)
		}
	})
}

func TestParseLimit(t *testing.T) {
	for text, want := range map[string]int{"": 100, "1": 1, "9": 9, "10": 10, "99": 99, "100": 100} {
		if got, err := domain.ParseLimit(text); got != want || err != nil {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"0", "-1", "101", "200", "999", "1000", "1000000000", "1e3", "1e1", " 5", "5 ", "+5", "05", "007", "5.0", "0x5", "٣", "\x00", "five",
		strings.Repeat("9", 10<<10),
	} {
		_, err := domain.ParseLimit(text)
		if domain.CodeOf(err) != domain.CodeInvalid || domain.MessageOf(err) != "limit must be a whole number from 1 to 100" {
			t.Errorf("%.20q: error = %v, want one that names limit", text, err)
		}
	}
}
