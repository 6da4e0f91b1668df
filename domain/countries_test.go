package domain_test

import (
	"strings"
	"testing"

	"github.com/asaskevich/govalidator"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

func TestEveryCountryHasAName(t *testing.T) {
	codes := make(map[string]string) // by name
	for _, entry := range govalidator.ISO3166List {
		name, ok := domain.CountryName(entry.Alpha2Code)
		switch {
		case !ok:
			t.Errorf("%s (%s) has no name", entry.Alpha2Code, entry.EnglishShortName)
		case name != strings.TrimSpace(name) || name == "":
			t.Errorf("%s is called %q", entry.Alpha2Code, name)
		case codes[name] != "":
			t.Errorf("%s and %s are both called %s", codes[name], entry.Alpha2Code, name)
		}
		codes[name] = entry.Alpha2Code
	}
	if kosovo, _ := domain.CountryName("XK"); kosovo != "Kosovo" || codes[kosovo] != "" || len(codes) != 249 {
		t.Errorf("%d names and %q, want 249 and Kosovo", len(codes), kosovo)
	}
}

func TestNothingElseIsACountry(t *testing.T) {
	listed := map[string]bool{"XK": true}
	for _, entry := range govalidator.ISO3166List {
		listed[entry.Alpha2Code] = true
	}
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			code := string(a) + string(b)
			if _, ok := domain.CountryName(code); ok != listed[code] {
				t.Errorf("%s is a country: %t, want %t", code, ok, listed[code])
			}
		}
	}
	for _, code := range []string{"", "U", "us", "USA", "U S", "other"} {
		if name, ok := domain.CountryName(code); ok {
			t.Errorf("%q is %s", code, name)
		}
	}
}

func TestCountryName(t *testing.T) {
	for code, want := range map[string]string{
		"US": "United States", "GB": "United Kingdom", "CI": "Côte d'Ivoire", "KR": "South Korea", "CZ": "Czechia",
	} {
		if got, _ := domain.CountryName(code); got != want {
			t.Errorf("%s is called %q, want %q", code, got, want)
		}
	}
}
