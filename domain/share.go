package domain

import "cmp"

// ServiceShare is one service's part of the calls.
type ServiceShare struct {
	Service string
	Calls   int64
	// Percentage is in percent, 0 to 100, of a whole that the holder names.
	Percentage float64
	// SuccessRate is a fraction, 0 to 1.
	SuccessRate float64
}

// ServiceReport tells which services answered.
type ServiceReport struct {
	// Services holds those with calls, the most called first. Percentages are
	// of the calls that named a service.
	Services []ServiceShare
	// Without counts the calls that named none.
	Without int64
}

func (r *Reading) services() ServiceReport {
	tallies := r.tallies(DimensionService)
	var named int64
	for _, t := range tallies {
		named += t.Calls
	}
	report := ServiceReport{Services: make([]ServiceShare, len(tallies)), Without: r.total.Calls - named}
	for i, t := range tallies {
		report.Services[i] = serviceShareOf(t, named)
	}
	return report
}

func serviceShareOf(t tally, whole int64) ServiceShare {
	return ServiceShare{
		Service:     t.Value,
		Calls:       t.Calls,
		Percentage:  percentage(t.Calls, whole),
		SuccessRate: ratio(t.Calls-t.errors, t.Calls),
	}
}

// The two services that the dashboard compares.
const (
	serviceNOAA      = "noaa"
	serviceOpenMeteo = "openmeteo"
)

// mainServices shares 100 percent between the two services.
func (r *Reading) mainServices() (noaa, openMeteo ServiceShare) {
	first := tally{GroupCount: GroupCount{Value: serviceNOAA}}
	second := tally{GroupCount: GroupCount{Value: serviceOpenMeteo}}
	for _, t := range r.tallies(DimensionService) {
		switch t.Value {
		case serviceNOAA:
			first = t
		case serviceOpenMeteo:
			second = t
		}
	}
	both := first.Calls + second.Calls
	noaa, openMeteo = serviceShareOf(first, both), serviceShareOf(second, both)
	if both > 0 {
		// Rounded apart, two halves of the last digit would make it more.
		openMeteo.Percentage = roundRate(100 - noaa.Percentage)
	}
	return noaa, openMeteo
}

// CountryShare is one country's part of the calls, or that of all small ones.
type CountryShare struct {
	// Code is an ISO 3166-1 alpha-2 code or [OtherName], and Name its English
	// name.
	Code, Name string
	Calls      int64
	// Percentage is of the calls in the list, in percent, 0 to 100.
	Percentage float64
}

// CountryReport tells where calls come from.
type CountryReport struct {
	// Countries holds the most called first and [OtherName] last; see
	// [FoldSmallGroups].
	Countries []CountryShare
	// Without counts all other calls: those that named no country, and those
	// of countries too small to be shown even together, in all or on their day.
	Without int64
}

func (r *Reading) countries() CountryReport {
	shown, calls := r.shown(DimensionCountry)
	report := CountryReport{Countries: make([]CountryShare, len(shown)), Without: r.total.Calls - calls}
	for i, g := range shown {
		report.Countries[i] = CountryShare{g.Value, countryTitle(g.Value), g.Calls, percentage(g.Calls, calls)}
	}
	return report
}

func countryTitle(code string) string {
	if code == OtherName {
		return "Other"
	}
	name, _ := CountryName(code)
	return cmp.Or(name, code)
}

// VersionShare is one client version's part of the calls, or that of all small
// ones.
type VersionShare struct {
	Version string
	Calls   int64
	// Percentage is of the calls in the list, in percent, 0 to 100.
	Percentage float64
}

// MaxListed bounds the lists that what clients send can make grow from day to
// day and that come in no pages: the versions and error types of a tool, and the
// versions of an error type.
const MaxListed = 100

// versions lists the most called first, at most [MaxListed], and then
// [OtherName], which stands for the rest as well.
func (r *Reading) versions() []VersionShare {
	shown, calls := r.shown(DimensionVersion)
	versions := make([]VersionShare, 0, min(len(shown), MaxListed+1))
	var rest int64
	for _, g := range shown {
		if g.Value == OtherName || len(versions) == MaxListed {
			rest += g.Calls
			continue
		}
		versions = append(versions, VersionShare{g.Value, g.Calls, percentage(g.Calls, calls)})
	}
	if rest > 0 {
		versions = append(versions, VersionShare{OtherName, rest, percentage(rest, calls)})
	}
	return versions
}
