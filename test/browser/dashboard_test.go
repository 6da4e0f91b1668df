package browser_test

import (
	"bytes"
	_ "embed"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/memory"
	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
	"github.com/weather-mcp/weather-mcp-analytics/test/browser"
	"github.com/weather-mcp/weather-mcp-analytics/test/service"
)

//go:embed dashboard.html
var dashboard []byte

// periods are those of the public dashboard.
func periods() []string { return []string{"1h", "24h", "7d", "30d"} }

// serve is an origin of its own, at which every path has this page.
func serve(t *testing.T, page []byte) string {
	t.Helper()
	website := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	}))
	t.Cleanup(website.Close)
	return website.URL
}

// The page of another origin polls a month of data and shows, all the time,
// what counting the calls one by one gives.
func TestDashboard(t *testing.T) {
	draw := usage{rand.New(rand.NewPCG(1, 2))}
	clock := memory.NewClock(time.Now())
	website := serve(t, dashboard)
	root := service.StartWith(t, bootstrap.Options{Clock: clock}, "CORS_ORIGIN="+website, "EVENT_MAX_AGE_DAYS=60", "CACHE_TTL_SECONDS=0", "PRIVACY_MIN_COUNT=0")
	calls := draw.aMonth(clock.Now())
	post(t, root, calls)

	page := browser.Open(t, website+"?every=1000&api="+url.QueryEscape(root), browser.Light)
	waitUntilShown(t, page, calls, clock.Now())
	page.Screenshot("month")

	more := []call{draw.call(clock.Now()), draw.call(clock.Now().Add(-24 * time.Hour)), draw.call(clock.Now().Add(-30 * 24 * time.Hour))}
	calls = append(calls, more...)
	post(t, root, more)
	waitUntilShown(t, page, calls, clock.Now())

	clock.Advance(time.Hour)
	waitUntilShown(t, page, calls, clock.Now())
	keepsShowing(t, page, calls, clock.Now())

	for _, period := range periods() {
		checkWebsiteContract(t, fetch(page, root+"/v1/stats/all?period="+period, nil))
	}
	if faults := page.Faults(); len(faults) > 0 {
		t.Errorf("went wrong:\n%s", strings.Join(faults, "\n"))
	}
	if hosts, want := page.Hosts(), []string{hostOf(t, website), hostOf(t, root)}; !slices.Equal(hosts, want) {
		t.Errorf("asked %q, want %q", hosts, want)
	}
}

func hostOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// shownNow reads what the page shows of every period.
func shownNow(page *browser.Page) map[string]map[string]string {
	return browser.Evaluate[map[string]map[string]string](page, `
		Object.fromEntries([...document.querySelectorAll("section")].map((section) => [section.id.replace("of-", ""),
			Object.fromEntries([["title", section.querySelector("h2")?.textContent ?? ""],
				...[...section.querySelectorAll("[data-name]")].map((e) => [e.dataset.name, e.textContent])])]))`)
}

// wrongNow lists what the page shows otherwise than counted.
func wrongNow(page *browser.Page, want map[string]counted) []string {
	shown := shownNow(page)
	var wrong []string
	for _, period := range periods() {
		for _, difference := range want[period].differences(shown[period]) {
			wrong = append(wrong, "of "+period+", "+difference)
		}
	}
	return wrong
}

func countAll(calls []call, now time.Time) map[string]counted {
	counts := make(map[string]counted)
	for _, period := range periods() {
		counts[period] = countOf(calls, period, now)
	}
	return counts
}

// waitUntilShown waits for the next polls to show all the calls.
func waitUntilShown(t *testing.T, page *browser.Page, calls []call, now time.Time) {
	t.Helper()
	want := countAll(calls, now)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		wrong := wrongNow(page, want)
		if len(wrong) == 0 {
			return
		}
		if time.Now().After(deadline) {
			page.Screenshot("wrong")
			t.Fatalf("%d of the shown figures are wrong:\n%s", len(wrong), strings.Join(wrong[:min(20, len(wrong))], "\n"))
		}
	}
}

// keepsShowing looks again after each of the next polls of every period.
func keepsShowing(t *testing.T, page *browser.Page, calls []call, now time.Time) {
	t.Helper()
	want := countAll(calls, now)
	polls := func() int {
		return browser.Evaluate[int](page, `Math.min(...[...document.querySelectorAll("section")].map((s) => Number(s.dataset.polls ?? 0)))`)
	}
	deadline := time.Now().Add(30 * time.Second)
	for first := polls(); polls() < first+2; time.Sleep(200 * time.Millisecond) {
		if wrong := wrongNow(page, want); len(wrong) > 0 {
			t.Fatalf("the figures change:\n%s", strings.Join(wrong[:min(20, len(wrong))], "\n"))
		}
		if time.Now().After(deadline) {
			t.Fatal("the page does not poll any more")
		}
	}
}

// checkWebsiteContract holds an answer of /v1/stats/all against what the
// public dashboard demands.
func checkWebsiteContract(t *testing.T, a answer) {
	t.Helper()
	text, err := os.ReadFile("../fixtures/website-all.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("urn:website", document); err != nil {
		t.Fatal(err)
	}
	body, err := jsonschema.UnmarshalJSON(strings.NewReader(a.Body))
	if err != nil {
		t.Fatalf("%v in %s", err, a)
	}
	if err := compiler.MustCompile("urn:website").Validate(body); err != nil {
		t.Errorf("%v in %s", err, a)
	}
}

// String is for messages.
func (a answer) String() string {
	return fmt.Sprintf("%s %d %v %.2000s", a.Failed, a.Status, a.Header, a.Body)
}
