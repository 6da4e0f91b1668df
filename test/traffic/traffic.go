// Package traffic makes events such as the service gets, for measurements: the same
// ones for equal seeds.
package traffic

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// Shape says how many different values events have.
type Shape struct {
	// Name is what results call it.
	Name string
	// Versions are given newest first and Countries most frequent first.
	Versions, Countries []string
	// skew is how much more frequent the first values are: the k-th is 1/k^skew as
	// likely as the first.
	skew float64
}

// Real returns the shape of real traffic: 8 versions and 30 countries.
func Real() Shape {
	return Shape{
		Name: "real", skew: 0.6,
		Versions: []string{"1.23.0", "1.22.1", "1.22.0", "1.21.0", "1.20.4", "1.19.2", "1.18.0", "2.0.0-beta.1"},
		Countries: []string{
			"US", "GB", "DE", "CA", "IN", "AU", "FR", "NL", "BR", "JP", "IT", "ES", "SE", "PL", "CH",
			"MX", "KR", "SG", "NO", "DK", "FI", "BE", "AT", "IE", "NZ", "PT", "CZ", "ZA", "AR", "TR",
		},
	}
}

// Wide returns a shape with 200 versions and 250 countries, few of which stand out:
// what aggregates hold least well.
func Wide() Shape {
	s := Shape{Name: "wide", skew: 0.2}
	for i := range 200 {
		s.Versions = append(s.Versions, fmt.Sprintf("%d.%d.%d", 9-i/50, i/5%10, i%5))
	}
	for first := 'A'; first <= 'Z'; first++ {
		for second := 'A'; second <= 'Z'; second++ {
			code := string(first) + string(second)
			if _, ok := domain.CountryName(code); ok {
				s.Countries = append(s.Countries, code)
			}
		}
	}
	return s
}

// A tool is called as often as its place in the list has it, and says these things
// of itself.
type tool struct {
	name string
	// service is the one that answers most calls; a tool without one never names any.
	service string
	// median is the usual response time in milliseconds.
	median float64
	// cached says that answers are often taken from the client's cache.
	cached bool
}

// tools are the default catalogue's, most used first.
var tools = []tool{
	{"get_forecast", "noaa", 420, true},
	{"get_current_conditions", "noaa", 380, true},
	{"search_location", "openmeteo", 210, true},
	{"get_weather_summary", "openmeteo", 900, true},
	{"get_alerts", "noaa", 310, true},
	{"get_saved_location", "", 3, false},
	{"get_air_quality", "openmeteo", 260, true},
	{"get_historical_weather", "openmeteo", 640, true},
	{"list_saved_locations", "", 4, false},
	{"get_weather_imagery", "rainviewer", 1_100, true},
	{"get_marine_conditions", "openmeteo", 330, true},
	{"save_location", "", 6, false},
	{"get_river_conditions", "usgs", 720, true},
	{"check_service_status", "noaa", 850, false},
	{"get_lightning_activity", "blitzortung", 1_500, false},
	{"get_wildfire_info", "nifc", 980, true},
	{"remove_saved_location", "", 5, false},
}

// otherServices answer the calls that a tool's own service does not.
var otherServices = []string{"openmeteo", "noaa", "rainviewer", "usgs", "nifc", "blitzortung"}

// errorTypes are what failed calls say, most frequent first.
var errorTypes = []string{
	"timeout", "service_error", "rate_limited", "validation", "not_found",
	"network_error", "parse_error", "unsupported_region", "quota_exceeded", "internal",
}

// hourWeights are how busy each hour of a UTC day is.
var hourWeights = []float64{
	6, 5, 4, 3, 3, 3, 4, 5, 6, 7, 8, 8, 9, 10, 11, 11, 11, 10, 10, 9, 9, 9, 8, 7,
}

// Day returns n events of the UTC day, in the order in which they happened within
// an hour and sorted by hour. Days of one seed differ from one another.
func (s Shape) Day(seed uint64, day time.Time, n int) []domain.Event {
	g := newGenerator(s, rand.New(rand.NewPCG(seed, uint64(day.Unix()))))
	hours := make([][]domain.Event, 24)
	for left := n; left > 0; {
		left -= g.session(day, left, hours)
	}
	events := make([]domain.Event, 0, n)
	for _, h := range hours {
		events = append(events, h...)
	}
	return events
}

// generator makes sessions: what one run of a client sends.
type generator struct {
	r                                              *rand.Rand
	shape                                          Shape
	versions, countries, tools, errorTypes, starts chooser
}

func newGenerator(s Shape, r *rand.Rand) *generator {
	return &generator{
		r: r, shape: s,
		versions: zipf(len(s.Versions), s.skew), countries: zipf(len(s.Countries), s.skew),
		tools: zipf(len(tools), 0.7), errorTypes: zipf(len(errorTypes), 1), starts: newChooser(hourWeights),
	}
}

// session adds the events of a session, at most that many, and returns how many
// they are.
func (g *generator) session(day time.Time, most int, hours [][]domain.Event) int {
	r := g.r
	first := domain.Event{Version: g.shape.Versions[g.versions.choose(r)], Level: g.level()}
	// Many clients do not know their country, or do not send it.
	if first.Level != domain.LevelMinimal && r.Float64() < 0.9 {
		first.Country = g.shape.Countries[g.countries.choose(r)]
	}
	if first.Level == domain.LevelDetailed {
		first.SessionID = fmt.Sprintf("%016x", r.Uint64())
	}
	hour := g.starts.choose(r)
	n := min(1+int(math.Exp(1.3+0.9*r.NormFloat64())), most)
	for i := range n {
		e := first
		e.Hour = day.Add(time.Duration(hour) * time.Hour)
		g.call(&e, i+1)
		hours[hour] = append(hours[hour], e)
		if r.Float64() < 0.07 {
			hour = min(hour+1, 23)
		}
	}
	return n
}

func (g *generator) level() domain.Level {
	switch p := g.r.Float64(); {
	case p < 0.2:
		return domain.LevelMinimal
	case p < 0.62:
		return domain.LevelStandard
	default:
		return domain.LevelDetailed
	}
}

// call makes of e the call with that number in its session.
func (g *generator) call(e *domain.Event, number int) {
	r, t := g.r, tools[g.tools.choose(g.r)]
	e.Tool, e.Status = t.name, domain.StatusSuccess
	if r.Float64() < 0.03 {
		e.Status, e.ErrorType = domain.StatusError, errorTypes[g.errorTypes.choose(r)]
	}
	if e.Level == domain.LevelMinimal {
		return
	}
	hit := t.cached && e.Status == domain.StatusSuccess && r.Float64() < 0.35
	g.time(e, t, hit)
	if t.service != "" {
		e.Service, e.CacheHit = g.service(t), domain.Some(hit)
		if !hit && r.Float64() < 0.3 {
			e.RetryCount = domain.Some(g.retries(e.Status))
		}
	}
	if e.Level == domain.LevelDetailed {
		e.SequenceNumber = domain.Some(int32(number))
		if r.Float64() < 0.5 {
			e.Parameters = fmt.Sprintf(`{"units":%q,"days":%d}`, []string{"imperial", "metric"}[r.IntN(2)], 1+r.IntN(7))
		}
	}
}

// time gives the call a response time: log-normal, some milliseconds for what the
// cache answers, and as long as a client waits for what has timed out.
func (g *generator) time(e *domain.Event, t tool, hit bool) {
	median := t.median
	switch {
	case hit:
		median = 3
	case e.ErrorType == "timeout":
		median = 30_000
	}
	ms := median * math.Exp(0.6*g.r.NormFloat64())
	e.ResponseTimeMS = domain.Some(int32(min(math.Round(ms), domain.MaxResponseTimeMS)))
}

func (g *generator) service(t tool) string {
	if g.r.Float64() < 0.4 {
		return t.service
	}
	return otherServices[g.r.IntN(len(otherServices))]
}

func (g *generator) retries(s domain.Status) int32 {
	if s == domain.StatusSuccess && g.r.Float64() < 0.8 {
		return 0
	}
	return int32(1 + min(g.r.IntN(3), g.r.IntN(3)))
}

// chooser chooses numbers by weight.
type chooser []float64 // the sums of the weights so far, the last of which is 1

func newChooser(weights []float64) chooser {
	c, sum := make(chooser, len(weights)), 0.0
	for i, w := range weights {
		sum += w
		c[i] = sum
	}
	for i := range c {
		c[i] /= sum
	}
	return c
}

// zipf chooses among n, the k-th of them being 1/k^skew as likely as the first.
func zipf(n int, skew float64) chooser {
	weights := make([]float64, n)
	for i := range weights {
		weights[i] = math.Pow(float64(i+1), -skew)
	}
	return newChooser(weights)
}

func (c chooser) choose(r *rand.Rand) int {
	p := r.Float64()
	low, high := 0, len(c)-1
	for low < high {
		if middle := (low + high) / 2; c[middle] > p {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low
}
