package worstday_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
	"github.com/weather-mcp/weather-mcp-analytics/test/traffic"
)

const (
	// eventsPerMinute is the default of RATE_LIMIT_EVENTS_PER_MINUTE.
	eventsPerMinute = 1_000
	batchSize       = 100
)

// address is the one that sends, and what its events must add up to.
type address struct {
	r         *rand.Rand
	day       time.Time
	minute    int
	batches   int
	countries []string
	tools     []string
	services  []string
	want      sums
}

// sums are what is exact however many groups there are.
type sums struct {
	total domain.Rollup
	calls map[domain.Dimension]map[string]int64
	// errors counts by error type, and folded are the calls whose version or error
	// type found no place.
	errors map[string]int64
	folded domain.Activity
}

func newAddress(day time.Time) *address {
	a := &address{
		r: rand.New(rand.NewPCG(1, 1)), day: day, countries: traffic.Wide().Countries,
		tools: domain.DefaultCatalogue().Tools(), services: append(domain.DefaultCatalogue().Services(), ""),
		want: sums{calls: make(map[domain.Dimension]map[string]int64), errors: make(map[string]int64)},
	}
	for _, d := range domain.Dimensions() {
		a.want.calls[d] = make(map[string]int64)
	}
	return a
}

// next are the batches of the next minute. All calls failed, as these are counted
// twice, and each has all that a call can.
func (a *address) next(now time.Time) []domain.Batch {
	events := make([]domain.Event, eventsPerMinute)
	for i := range events {
		events[i] = a.event(i)
		a.count(events[i])
	}
	batches := contract.Batches(a.batches, batchSize, events)
	a.batches += len(batches)
	for i := range batches {
		batches[i].ReceivedAt = now
	}
	a.minute++
	return batches
}

func (a *address) event(i int) domain.Event {
	version, errorType := a.r.IntN(domain.DefaultMaxVersionsPerDay+1), a.r.IntN(domain.DefaultMaxErrorTypesPerDay+1)
	if a.minute == 0 { // takes all places, so that each of them is used as often
		version, errorType = i%domain.DefaultMaxVersionsPerDay, i%domain.DefaultMaxErrorTypesPerDay
	}
	e := domain.Event{
		Hour:    a.day.Add(time.Duration(a.minute/60) * time.Hour),
		Version: "1.0." + strconv.Itoa(version), Tool: pick(a.r, a.tools), Country: pick(a.r, a.countries), Service: pick(a.r, a.services),
		Status: domain.StatusError, ErrorType: "error_" + strconv.Itoa(errorType), Level: domain.LevelDetailed,
		ResponseTimeMS: domain.Some(a.r.Int32N(domain.MaxResponseTimeMS + 1)), CacheHit: domain.Some(a.r.IntN(2) == 0),
		RetryCount: domain.Some(a.r.Int32N(domain.MaxRetryCount + 1)),
		SessionID:  fmt.Sprintf("%016x", a.r.Uint64()), SequenceNumber: domain.Some(int32(1)),
	}
	if version == domain.DefaultMaxVersionsPerDay { // invented anew each time
		e.Version = fmt.Sprintf("1.%d.%d", 1+a.minute, i)
	}
	if errorType == domain.DefaultMaxErrorTypesPerDay {
		e.ErrorType = fmt.Sprintf("error_%d_%d", a.minute, i)
	}
	return e
}

func (a *address) count(e domain.Event) {
	w := &a.want
	w.total.Add(&e)
	w.folded.Events++
	if _, known := w.calls[domain.DimensionVersion][e.Version]; !known && a.minute > 0 {
		e.Version = domain.OtherName
		w.folded.FoldedVersions++
	}
	if _, known := w.errors[e.ErrorType]; !known && a.minute > 0 {
		e.ErrorType = domain.OtherName
		w.folded.FoldedErrorTypes++
	}
	w.errors[e.ErrorType]++
	for d, value := range map[domain.Dimension]string{
		domain.DimensionTool: e.Tool, domain.DimensionVersion: e.Version, domain.DimensionCountry: e.Country, domain.DimensionService: e.Service,
	} {
		w.calls[d][value]++
	}
}

func pick(r *rand.Rand, values []string) string { return values[r.IntN(len(values))] }
