package browser_test

import (
	"fmt"
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
