package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// appConfigKeeping keeps answers as a service does by default.
func appConfigKeeping() (app.StatisticsConfig, app.AnswersConfig) {
	return app.StatisticsConfig{}, app.AnswersConfig{Fresh: 5 * time.Minute, Stale: time.Hour}
}

// failures are failed calls with error types of their own, the first of which
// failed most often.
func failures(n int) []domain.Event {
	var events []domain.Event
	for i := range n {
		e := domain.Event{
			Tool: "get_alerts", Version: "1.0", Status: domain.StatusError, ErrorType: fmt.Sprintf("e%03d", i),
			Level: domain.LevelMinimal, Hour: domain.Hourly.Floor(contract.Now),
		}
		events = append(events, slices.Repeat([]domain.Event{e}, n-i)...)
	}
	return events
}

// links returns the targets of a Link header by their relation.
func links(t *testing.T, answer *httptest.ResponseRecorder) map[string]string {
	t.Helper()
	found := make(map[string]string)
	header := answer.Header().Get("Link")
	for _, match := range regexp.MustCompile(`<([^>]*)>; rel="(\w+)"`).FindAllStringSubmatch(header, -1) {
		found[match[2]] = match[1]
	}
	if found["first"] == "" {
		t.Fatalf("Link: %q has no first page", header)
	}
	return found
}

// types returns the error types of a page, which must be good.
func types(t *testing.T, answer *httptest.ResponseRecorder) (types []string, next string) {
	t.Helper()
	checkStatus(t, answer, http.StatusOK)
	var page struct {
		Errors []struct{ Type string }
		Next   string
	}
	decode(t, answer.Body.Bytes(), &page)
	for _, e := range page.Errors {
		types = append(types, e.Type)
	}
	return types, page.Next
}

func TestFollowingLinks(t *testing.T) {
	keeping := func(s *statsService) { s.serveWith(appConfigKeeping()) }
	for name, prepare := range map[string]func(*statsService){"computed": func(*statsService) {}, "kept": keeping} {
		t.Run(name, func(t *testing.T) {
			const start = "/v1/stats/errors?limit=3&sort=type&order=desc&version=1.0"
			s := newStatsService(t, 0, failures(8)...)
			prepare(&s)
			s.get(t, start) // kept from now on
			var walked []string
			number := 2
			for target := start; target != ""; number++ {
				answer := s.get(t, target)
				page, next := types(t, answer)
				walked = append(walked, page...)
				found := links(t, answer)
				if (next == "") != (found["next"] == "") || !strings.Contains(found["next"], next) {
					t.Errorf("next is %q and the link %q", next, found["next"])
				}
				if first, _ := types(t, s.get(t, found["first"])); len(first) == 0 || first[0] != "e007" {
					t.Errorf("the first page begins with %v", first)
				}
				target = found["next"]
				s.add(t, number, failures(7)...)
			}
			want := []string{"e007", "e006", "e005", "e004", "e003", "e002", "e001", "e000"}
			if !slices.Equal(walked, want) {
				t.Errorf("walked %v, want %v", walked, want)
			}
		})
	}
}

func TestTheLastPageHasNoNext(t *testing.T) {
	s := newStatsService(t, 0, failures(3)...)
	for _, query := range []string{"", "?limit=3", "?limit=100"} {
		answer := s.get(t, "/v1/stats/errors"+query)
		if found := links(t, answer); found["next"] != "" || strings.Contains(answer.Body.String(), `"next"`) {
			t.Errorf("%q: Link: %v, %s", query, found, answer.Body)
		}
	}
}

func TestListsEndAtTheirLimit(t *testing.T) {
	s := newStatsService(t, 0, failures(120)...)
	for query, want := range map[string]int{"": 100, "?limit=100": 100, "?limit=99": 99, "?limit=1": 1} {
		page, next := types(t, s.get(t, "/v1/stats/errors"+query))
		if len(page) != want || next == "" {
			t.Errorf("%q: %d items, next %q; want %d", query, len(page), next, want)
		}
	}
}

func TestStatsAreSorted(t *testing.T) {
	s := newStatsService(t, 0, sampleCalls()...)
	for query, want := range map[string]string{
		"":                                     "get_forecast get_alerts search_location",
		"?order=asc":                           "search_location get_alerts get_forecast",
		"?sort=name":                           "get_alerts get_forecast search_location",
		"?sort=success_rate":                   "get_forecast get_alerts search_location",
		"?sort=avg_response_time_ms&order=asc": "search_location get_alerts get_forecast",
		"?sort=p99&limit=1":                    "get_forecast",
		"?sort=calls&country=US":               "get_forecast",
	} {
		body := s.getObject(t, "/v1/stats/tools"+query)
		var names []string
		tools, _ := body["tools"].([]any)
		for _, tool := range tools {
			name, _ := tool.(map[string]any)["name"].(string)
			names = append(names, name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}
}

// A page may be asked for again, and by HEAD.
func TestCursorsOverHTTP(t *testing.T) {
	s := newStatsService(t, 0, failures(5)...)
	_, next := types(t, s.get(t, "/v1/stats/errors?limit=2"))
	again := "/v1/stats/errors?limit=2&cursor=" + next
	first, second := s.get(t, again), s.get(t, again)
	if page, _ := types(t, first); !slices.Equal(page, []string{"e002", "e003"}) || first.Body.String() != second.Body.String() {
		t.Errorf("%s\nand then %s", first.Body, second.Body)
	}
	checkHeader(t, second.Header(), "ETag", first.Header().Get("ETag"))
	for _, query := range []string{
		"limit=2&sort=type", "limit=2&order=asc", "limit=2&period=7d", "limit=2&start=2026-11-23", "limit=2&country=US", "limit=2&tool=get_alerts",
	} {
		checkInvalid(t, s.get(t, "/v1/stats/errors?"+query+"&cursor="+next), "cursor does not belong to this query")
	}
	checkInvalid(t, s.get(t, "/v1/stats/tools?limit=2&cursor="+next), "cursor does not belong to this query")
	checkInvalid(t, s.get(t, again+"A"), "cursor does not belong to this query")
	s.clock.Advance(time.Hour)
	checkInvalid(t, s.get(t, again), "cursor has expired: start again without it")
}

// The contract holds for every page, and each tells the same about the whole.
func TestPagesKeepTheWebsitesContract(t *testing.T) {
	s := newStatsService(t, 0, failures(5)...)
	schema := compileSchema(t, "#/$defs/errorSummary")
	target, pages := "/v1/stats/errors?limit=2&period=24h", 0
	for ; target != ""; pages++ {
		body := s.getObject(t, target)
		checkCommon(t, body, "24h")
		checkAgainst(t, schema, member(t, body, "errors"), target)
		if got, ok := body["total_errors"].(json.Number); !ok || got.String() != "15" {
			t.Errorf("%s: %v errors in all, want 15", target, body["total_errors"])
		}
		target = links(t, s.get(t, target))["next"]
	}
	if pages != 3 {
		t.Errorf("%d pages, want 3", pages)
	}
}
