package domain_test

import (
	"strings"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

func TestParseFilter(t *testing.T) {
	tests := []struct {
		name    string
		in      domain.Filter
		want    domain.Filter
		refused string // the dimension at the sentence's beginning
	}{
		{"nothing", domain.Filter{}, domain.Filter{}, ""},
		{
			"everything",
			domain.Filter{Tool: "get_forecast", Version: "1.2.3-rc.1+x_y", Country: "US", Service: "noaa"},
			domain.Filter{Tool: "get_forecast", Version: "1.2.3-rc.1+x_y", Country: "US", Service: "noaa"},
			"",
		},
		{"the country in lower case", domain.Filter{Country: "np"}, domain.Filter{Country: "NP"}, ""},
		{"tools that are not told apart", domain.Filter{Tool: "other"}, domain.Filter{Tool: "other"}, ""},
		{"a service out of use", domain.Filter{Service: "weather-api_2"}, domain.Filter{Service: "weather-api_2"}, ""},
		{"20 characters", domain.Filter{Version: strings.Repeat("1", 20)}, domain.Filter{Version: strings.Repeat("1", 20)}, ""},
		{"a tool out of use", domain.Filter{Tool: "get_fax"}, domain.Filter{Tool: "get_fax"}, ""},
		{"a tool in upper case", domain.Filter{Tool: "Get_Fax"}, domain.Filter{}, "tool"},
		{"a telephone for a tool", domain.Filter{Tool: "555-123-4567"}, domain.Filter{}, "tool"},
		{"a long tool", domain.Filter{Tool: strings.Repeat("a", 65)}, domain.Filter{}, "tool"},
		{"a long version", domain.Filter{Version: strings.Repeat("1", 21)}, domain.Filter{}, "version"},
		{"a version with a blank", domain.Filter{Version: "1 2"}, domain.Filter{}, "version"},
		{"a version with NUL", domain.Filter{Version: "1\x00"}, domain.Filter{}, "version"},
		{"a country that is none", domain.Filter{Country: "XX"}, domain.Filter{}, "country"},
		{"a country's long code", domain.Filter{Country: "USA"}, domain.Filter{}, "country"},
		{"small countries together", domain.Filter{Country: "other"}, domain.Filter{}, "country"},
		{"a service in upper case", domain.Filter{Service: "NOAA"}, domain.Filter{}, "service"},
		{"an address for a version", domain.Filter{Version: "203.0.113.7"}, domain.Filter{}, "version"},
		{"a telephone for a service", domain.Filter{Service: "555-123-4567"}, domain.Filter{}, "service"},
		{"a long service", domain.Filter{Service: strings.Repeat("a", 65)}, domain.Filter{}, "service"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := domain.ParseFilter(tt.in)
			if got != tt.want {
				t.Errorf("filter = %+v, want %+v", got, tt.want)
			}
			if tt.refused == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if domain.CodeOf(err) != domain.CodeInvalid || !strings.HasPrefix(domain.MessageOf(err), tt.refused+" ") {
				t.Errorf("error = %v, want one that begins with %s", err, tt.refused)
			}
		})
	}
}

func TestIsToolName(t *testing.T) {
	for name, want := range map[string]bool{
		"get_forecast": true, "other": true, "a-b_9": true, strings.Repeat("a", 64): true,
		"": false, "Get": false, "555-123-4567": false, "a b": false, "a\x00": false, "../x": false, strings.Repeat("a", 65): false,
	} {
		if got := domain.IsToolName(name); got != want {
			t.Errorf("%q is a tool's name: %t, want %t", name, got, want)
		}
	}
}
