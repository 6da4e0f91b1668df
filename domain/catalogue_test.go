package domain_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

func TestDefaultCatalogueHoldsTheClientsNames(t *testing.T) {
	c := domain.DefaultCatalogue()
	if len(c.Tools()) != 17 || len(c.Services()) != 6 {
		t.Errorf("%d tools and %d services", len(c.Tools()), len(c.Services()))
	}
	for _, tool := range []string{"get_forecast", "get_wildfire_info", "remove_saved_location"} {
		if !c.HasTool(tool) || c.HasService(tool) {
			t.Errorf("%s is no tool, or a service", tool)
		}
	}
	if !c.HasService("openmeteo") || c.HasTool("openmeteo") || c.HasTool("") || c.HasTool(domain.OtherName) {
		t.Error("names are taken for what they are not")
	}
	c.Tools()[0], c.Services()[0] = "x", "x"
	if !slices.Contains(c.Tools(), "get_weather_summary") || c.Services()[0] != "noaa" {
		t.Error("a caller could change the catalogue")
	}
}

func TestCatalogueRevisionFollowsContent(t *testing.T) {
	parse := func(text string) string {
		c, err := domain.ParseCatalogue([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return c.Revision()
	}
	a := parse(`{"tools":["a","b"],"services":["s"]}`)
	if a == "" || a != parse(` {"services":["s"], "tools":["a","b"]} `) {
		t.Error("the same content has two revisions")
	}
	if a == parse(`{"tools":["b","a"],"services":["s"]}`) || a == parse(`{"tools":["a"],"services":["b","s"]}`) {
		t.Error("other content has the same revision")
	}
}

func TestCatalogueProblemsAreReportedTogether(t *testing.T) {
	_, err := domain.ParseCatalogue([]byte(`{"tools":["ok","Not ok","ok","other","","timestamp"],"services":[]}`))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, says := range []string{`tools[1]`, `"ok" stands there twice`, `"other" is reserved`, `"timestamp" is reserved`, "tools[4]", "services is empty"} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%q does not say %q", err, says)
		}
	}
	if _, err := domain.ParseCatalogue([]byte(`{"tools":"a"}`)); err == nil || !strings.Contains(err.Error(), "not a JSON object") {
		t.Errorf("no list: %v", err)
	}
	for _, text := range []string{``, `[]`, `{"tools":"a"}`, `{"tools":["` + strings.Repeat("x", 65) + `"],"services":["s"]}`, `{"tools":["a{"],"services":["s"]}`} {
		if _, err := domain.ParseCatalogue([]byte(text)); err == nil || !strings.Contains(err.Error(), "catalogue") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
