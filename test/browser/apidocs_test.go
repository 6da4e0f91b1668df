package browser_test

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/weather-mcp/weather-mcp-analytics/test/browser"
	"github.com/weather-mcp/weather-mcp-analytics/test/service"
	"github.com/weather-mcp/weather-mcp-analytics/test/web"
)

// backgrounds are what Swagger UI has for each scheme.
var backgrounds = map[browser.Scheme]string{
	browser.Light: "rgba(0, 0, 0, 0)",
	browser.Dark:  "rgb(28, 32, 34)",
}

func TestAPIDocs(t *testing.T) {
	root := service.Start(t, "CACHE_TTL_SECONDS=0")
	count(t, root)
	for scheme, background := range backgrounds {
		t.Run(string(scheme), func(t *testing.T) {
			page := browser.Open(t, root+"/api-docs", scheme)
			const operation, another = "#operations-statistics-getOverview", "#operations-events-postEvents"
			page.Do(chromedp.WaitVisible(chromedp.CSS(operation)))
			page.Screenshot("page")
			page.Do(chromedp.Click(chromedp.CSS(another+" .opblock-summary-control")), chromedp.WaitVisible(chromedp.CSS(another+" .opblock-body .examples-select")))
			page.Screenshot("description")
			for _, button := range []string{" .opblock-summary-control", " .try-out__btn", " .execute"} {
				page.Do(chromedp.Click(chromedp.CSS(operation + button)))
			}
			const response = operation + " .live-responses-table .response"
			status, answer := page.Text(response+" .response-col_status"), page.Text(response+" .response-col_description")
			page.Do(chromedp.ScrollIntoView(chromedp.CSS(operation + " .responses-wrapper")))
			page.Screenshot("answer")
			painted := browser.Evaluate[string](page, `getComputedStyle(document.documentElement).backgroundColor`)
			if painted != background {
				t.Errorf("the page is painted on %s, want %s", painted, background)
			}
			if !strings.Contains(status, "200") || !strings.Contains(answer, `"total_calls": 1,`) {
				t.Errorf("the operation shows %s: %s", status, answer)
			}
			if faults := page.Faults(); len(faults) > 0 {
				t.Errorf("went wrong:\n%s", strings.Join(faults, "\n"))
			}
			if hosts := page.Hosts(); !slices.Equal(hosts, []string{strings.TrimPrefix(root, "http://")}) {
				t.Errorf("asked %q", hosts)
			}
		})
	}
}

// The operations are what people come for.
func TestAPIDocsBeginWithOperations(t *testing.T) {
	root := service.Start(t)
	for _, size := range []struct{ width, height int }{{1280, 800}, {390, 844}} {
		for scheme := range backgrounds {
			t.Run(fmt.Sprintf("%d by %d, %s", size.width, size.height, scheme), func(t *testing.T) {
				page := browser.OpenWith(t, root+"/api-docs", browser.Options{Scheme: scheme, Width: size.width, Height: size.height})
				page.Do(chromedp.WaitVisible(chromedp.CSS(".opblock")))
				page.Screenshot("first screen")
				bottom := browser.Evaluate[float64](page, `document.querySelector(".opblock").getBoundingClientRect().bottom + scrollY`)
				if bottom > float64(size.height) {
					t.Errorf("the first operation ends at %v px, below the first screen", bottom)
				}
				if width := browser.Evaluate[int](page, `document.documentElement.scrollWidth`); width > size.width {
					t.Errorf("the page is %d px wide", width)
				}
				const prose = ".info details"
				if browser.Evaluate[bool](page, fmt.Sprintf(`document.querySelector(%q).open`, prose)) {
					t.Error("the prose is not folded")
				}
				page.Do(chromedp.Click(chromedp.CSS(prose + " summary")))
				page.Screenshot("prose")
				if text := page.Text(prose); !strings.Contains(text, "Every statistic counts a window of time") || !strings.Contains(text, "Refusals are JSON in one form") {
					t.Errorf("the prose is %.200q", text)
				}
				if faults := page.Faults(); len(faults) > 0 {
					t.Errorf("went wrong:\n%s", strings.Join(faults, "\n"))
				}
			})
		}
	}
}

// What is posted on a public server counts, and is not tried by mistake.
func TestAPIDocsOfOthersTryNothingThatCounts(t *testing.T) {
	root := service.Start(t)
	address, port, err := net.SplitHostPort(strings.TrimPrefix(root, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	const name = "stats.example"
	const post, explain = "#operations-events-postEvents", "#operations-events-explainEvents"
	for host, buttons := range map[string]int{address: 1, name: 0} {
		t.Run(host, func(t *testing.T) {
			page := browser.OpenWith(t, "http://"+net.JoinHostPort(host, port)+"/api-docs", browser.Options{Resolve: map[string]string{name: address}})
			for _, operation := range []string{post, explain} {
				page.Do(chromedp.Click(chromedp.CSS(operation+" .opblock-summary-control")), chromedp.WaitVisible(chromedp.CSS(operation+" .opblock-body .examples-select")))
			}
			page.Screenshot("operations")
			if bold := page.Text(post + " .opblock-description strong"); bold != "What is posted counts" {
				t.Errorf("said in bold: %q", bold)
			}
			if got := browser.Evaluate[int](page, fmt.Sprintf(`document.querySelectorAll(%q).length`, post+" .try-out__btn")); got != buttons {
				t.Errorf("posting can be tried by %d buttons, want %d", got, buttons)
			}
			for _, button := range []string{" .try-out__btn", " .execute"} {
				page.Do(chromedp.Click(chromedp.CSS(explain + button)))
			}
			if host == name {
				return // which is not listed
			}
			// The example is of this hour, else it would be too old one day.
			answer := page.Text(explain + " .live-responses-table .response .response-col_description")
			if !strings.Contains(answer, `"accepted": true`) {
				t.Errorf("the example is answered %s", answer)
			}
		})
	}
	waitForEvents(t, root, 0)
}

// count posts one call of this hour and waits until it counts.
func count(t *testing.T, root string) {
	t.Helper()
	body := fmt.Sprintf(`{"events":[{"version":"1.23.0","tool":"get_forecast","status":"success","timestamp_hour":%q,"analytics_level":"minimal"}]}`,
		time.Now().UTC().Truncate(time.Hour).Format(time.RFC3339))
	if _, answer := web.Ask(t, http.MethodPost, root+"/v1/events", body); !strings.Contains(answer, `"count":1`) {
		t.Fatalf("the event is answered %s", answer)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, answer := web.Ask(t, http.MethodGet, root+"/v1/stats/overview", "")
		if strings.Contains(answer, `"total_calls":1,`) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the event does not count: %s", answer)
		}
	}
}
