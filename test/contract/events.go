package contract

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// Now is the time at which the generated events are received.
var Now = time.Date(2026, time.November, 23, 10, 42, 7, 123_456_000, time.UTC)

// NewBatch returns a batch of these events. Batches of different numbers have
// different ids, and higher numbers are received later.
func NewBatch(number int, events ...domain.Event) domain.Batch {
	return domain.Batch{
		ID:         domain.BatchID(fmt.Sprintf("019ab0c4-7e00-7000-8000-%012d", number)),
		ReceivedAt: Now.Add(time.Duration(number) * time.Millisecond),
		Events:     events,
	}
}

// Batches cuts events into batches of that size, numbered from first on.
func Batches(first, size int, events []domain.Event) []domain.Batch {
	var batches []domain.Batch
	for ; len(events) > 0; first++ {
		n := min(size, len(events))
		batches = append(batches, NewBatch(first, events[:n]...))
		events = events[n:]
	}
	return batches
}

// Events returns n events such as clients send before [Now]: nearly all of the
// last two hours, few tools and versions used much and most used little, the
// levels mixed, one call in eight failed. Equal seeds give equal events.
func Events(seed uint64, n int) []domain.Event {
	r := rand.New(rand.NewPCG(seed, 0))
	return generate(r, n, func() int {
		switch p := r.Float64(); {
		case p < 0.8:
			return 0
		case p < 0.97:
			return 1
		default:
			return 2 + r.IntN(46)
		}
	})
}

// EventsOver is [Events] spread evenly over that many hours, the last of them
// being the hour of [Now].
func EventsOver(seed uint64, n, hours int) []domain.Event {
	r := rand.New(rand.NewPCG(seed, 0))
	return generate(r, n, func() int { return r.IntN(hours) })
}

func generate(r *rand.Rand, n int, hoursAgo func() int) []domain.Event {
	catalogue := domain.DefaultCatalogue()
	tools, services := catalogue.Tools(), catalogue.Services()
	events := make([]domain.Event, n)
	for i := range events {
		e := &events[i]
		e.Version = pick(r, "1.23.0", "1.22.1", "1.22.0", "1.20.4", "2.0.0-beta.1")
		e.Tool = pick(r, tools...)
		e.Status = domain.StatusSuccess
		e.Hour = domain.Hourly.Floor(Now).Add(-time.Duration(hoursAgo()) * time.Hour)
		e.Level = pick(r, domain.LevelMinimal, domain.LevelStandard, domain.LevelDetailed)
		if r.IntN(8) == 0 {
			e.Status = domain.StatusError
			e.ErrorType = pick(r, "service_error", "timeout", "validation", "not_found", "")
		}
		if e.Level != domain.LevelMinimal {
			addStandard(r, e, services)
		}
		if e.Level == domain.LevelDetailed {
			addDetailed(r, e)
		}
	}
	return events
}

// pick favours the early values: the k-th is about 1/k as likely as the first.
func pick[T any](r *rand.Rand, values ...T) T {
	return values[int(math.Pow(float64(len(values)+1), r.Float64()))-1]
}

func addStandard(r *rand.Rand, e *domain.Event, services []string) {
	// Response times are roughly log-normal around 300 ms.
	ms := math.Exp(5.7 + 1.1*r.NormFloat64())
	e.ResponseTimeMS = domain.Some(int32(min(ms, domain.MaxResponseTimeMS)))
	if r.IntN(4) > 0 {
		e.Service = pick(r, services...)
		e.CacheHit = domain.Some(r.IntN(3) == 0)
	}
	if r.IntN(3) == 0 {
		e.RetryCount = domain.Some(int32(pick(r, 0, 0, 1, 2, 3)))
	}
	if r.IntN(4) == 0 {
		e.Country = pick(r, "US", "DE", "GB", "IN", "FR", "CA", "AU", "BR", "JP", "NL")
	}
}

func addDetailed(r *rand.Rand, e *domain.Event) {
	e.SessionID = fmt.Sprintf("%016x", uint64(r.IntN(5_000))*0x9e3779b97f4a7c15)
	e.SequenceNumber = domain.Some(int32(r.IntN(200)))
	if r.IntN(2) == 0 {
		e.Parameters = fmt.Sprintf(`{"units":%q,"days":%d,"detailed":%t}`, pick(r, "metric", "imperial"), 1+r.IntN(7), r.IntN(2) == 0)
	}
}

// DrawEvent draws any event that can be accepted, in one of that many hours
// from the first on. Values repeat often enough for events to meet in groups.
func DrawEvent(t *rapid.T, first time.Time, hours int) domain.Event {
	e := domain.Event{
		Version: drawText(t, "version", `[0-9A-Za-z.+_-]{1,20}`, "1.0.0", "1.1.0"),
		Tool:    rapid.SampledFrom([]string{"get_forecast", "get_alerts", "save_location", domain.OtherName}).Draw(t, "tool"),
		Status:  rapid.SampledFrom(domain.Statuses()).Draw(t, "status"),
		Level:   rapid.SampledFrom(domain.Levels()).Draw(t, "level"),
		Hour:    domain.Hourly.Floor(first).Add(time.Duration(rapid.IntRange(0, hours-1).Draw(t, "hour")) * time.Hour),
	}
	if e.Status == domain.StatusError {
		e.ErrorType = drawText(t, "error type", `[0-9A-Za-z_.:-]{1,100}`, "", "timeout", "validation")
	}
	if e.Level != domain.LevelMinimal {
		e.ResponseTimeMS = drawOptional(t, "response time", rapid.Int32Range(0, domain.MaxResponseTimeMS))
		e.Service = rapid.SampledFrom([]string{"", "noaa", "openmeteo"}).Draw(t, "service")
		e.CacheHit = drawOptional(t, "cache hit", rapid.Bool())
		e.RetryCount = drawOptional(t, "retries", rapid.Int32Range(0, domain.MaxRetryCount))
		// Packed values are cut by country: CA is in another part than the others.
		e.Country = rapid.SampledFrom([]string{"", "US", "NP", "CA"}).Draw(t, "country")
	}
	if e.Level == domain.LevelDetailed {
		e.Parameters = drawParameters(t)
		e.SessionID = drawText(t, "session", `[0-9a-f]{16}`, "", "00000000000000aa", "00000000000000bb")
		e.SequenceNumber = drawOptional(t, "sequence", rapid.Int32Range(0, domain.MaxSequenceNumber))
	}
	return e
}

func drawText(t *rapid.T, label, pattern string, common ...string) string {
	return rapid.OneOf(rapid.SampledFrom(common), rapid.StringMatching(pattern)).Draw(t, label)
}

func drawOptional[T any](t *rapid.T, label string, values *rapid.Generator[T]) domain.Optional[T] {
	if !rapid.Bool().Draw(t, label+" is told") {
		return domain.Optional[T]{}
	}
	return domain.Some(values.Draw(t, label))
}

// drawParameters draws a JSON object, or nothing.
func drawParameters(t *rapid.T) string {
	if !rapid.Bool().Draw(t, "has parameters") {
		return ""
	}
	text := rapid.StringOfN(rapid.Rune().Filter(func(r rune) bool { return r != 0 }), 0, domain.MaxParameterLength, -1)
	value := rapid.OneOf(text.AsAny(), rapid.Float64().AsAny(), rapid.Bool().AsAny())
	object, err := json.Marshal(rapid.MapOfN(text, value, 0, domain.MaxParameters).Draw(t, "parameters"))
	if err != nil {
		t.Fatal(err)
	}
	return string(object)
}
