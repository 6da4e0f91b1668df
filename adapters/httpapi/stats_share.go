package httpapi

import "github.com/weather-mcp/weather-mcp-analytics/domain"

type countryJSON struct {
	Code       string  `json:"code"`
	Name       string  `json:"name"`
	Calls      int64   `json:"calls"`
	Percentage float64 `json:"percentage"`
}

type geoJSON struct {
	Countries           []countryJSON `json:"countries"`
	CallsWithoutCountry int64         `json:"calls_without_country"`
}

func newGeoJSON(r *domain.CountryReport) geoJSON {
	return geoJSON{
		Countries: each(r.Countries, func(s *domain.CountryShare) countryJSON {
			return countryJSON{Code: s.Code, Name: s.Name, Calls: s.Calls, Percentage: s.Percentage}
		}),
		CallsWithoutCountry: r.Without,
	}
}

type versionJSON struct {
	Version    string  `json:"version"`
	Calls      int64   `json:"calls"`
	Percentage float64 `json:"percentage"`
}

type serviceJSON struct {
	Service     string  `json:"service"`
	Calls       int64   `json:"calls"`
	Percentage  float64 `json:"percentage"`
	SuccessRate float64 `json:"success_rate"`
}

func newServiceJSON(s *domain.ServiceShare) serviceJSON {
	return serviceJSON{Service: s.Service, Calls: s.Calls, Percentage: s.Percentage, SuccessRate: s.SuccessRate}
}
