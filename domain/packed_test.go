package domain_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

// packedStore keeps packed values and a journal as a store does.
type packedStore struct {
	values  map[domain.PackedKey]domain.Packed
	journal []packedRow
}

// packedRow is a row of a journal and how many steps of its merge were taken.
type packedRow struct {
	domain.JournalValue

	steps int
}

func newPackedStore() *packedStore {
	return &packedStore{values: make(map[domain.PackedKey]domain.Packed)}
}

func (s *packedStore) store(events []domain.Event) {
	for _, value := range domain.PackJournal(domain.Finest(events)) {
		s.journal = append(s.journal, packedRow{value, 0})
	}
}

// merge merges the first n rows of a day's journal.
func (s *packedStore) merge(day time.Time, n int, c domain.Cutoffs) error {
	return s.mergeUpTo(day, n, c, domain.MergeSteps)
}

// mergeUpTo is merge up to a step. What is merged in part comes first.
func (s *packedStore) mergeUpTo(day time.Time, n int, c domain.Cutoffs, end int) error {
	first := 0
	for _, row := range s.journal {
		if row.Day.Equal(day) {
			first = max(first, row.steps)
		}
	}
	if end = max(end, first); first > 0 {
		n = len(s.journal)
	}
	m := domain.NewMerge(day, c)
	m.Steps(first, end)
	kept := slices.Clone(s.journal[:0:0])
	for _, row := range s.journal {
		if n == 0 || !row.Day.Equal(day) || row.steps < first {
			kept = append(kept, row)
			continue
		}
		n--
		if err := m.Add(row.Payload); err != nil {
			return err
		}
		if row.steps = end; end < domain.MergeSteps {
			kept = append(kept, row)
		}
	}
	for _, b := range m.Buckets() {
		values, err := bucketOf(m, b, s.part)
		if err != nil {
			return err
		}
		for _, value := range values {
			s.values[value.PackedKey] = value
		}
	}
	s.journal = kept
	return nil
}

// part returns a stored value of a bucket.
func (s *packedStore) part(key domain.PackedKey) domain.Packed { return s.values[key] }

// bucketOf returns the values of a bucket that a merge writes.
func bucketOf(m *domain.Merge, b domain.PackedBucket, stored func(domain.PackedKey) domain.Packed) ([]domain.Packed, error) {
	var values []domain.Packed
	err := m.Bucket(b, partsOf(b, stored), func(p domain.Packed) error {
		values = append(values, p)
		return nil
	})
	return values, err
}

func nothingStored(domain.PackedKey) domain.Packed { return domain.Packed{} }

func (s *packedStore) read(selection domain.Selection) (domain.Selected, error) {
	c := domain.NewCollector(selection)
	for i, read := range selection.Reads() {
		for key, value := range s.values {
			if key.Resolution != read.Window.Resolution || key.Grain != read.Grain || read.Part != domain.AllParts && read.Part != key.Part {
				continue
			}
			if !read.Latency {
				value.Latency = nil
			}
			if !read.Sessions {
				value.Sessions = nil
			}
			if err := c.Add(i, value); err != nil {
				return domain.Selected{}, err
			}
		}
	}
	for _, row := range s.journal {
		if err := c.AddJournal(row.Day, row.Payload, row.steps); err != nil {
			return domain.Selected{}, err
		}
	}
	return c.Selected(), nil
}

func drawFor(t *rapid.T, start time.Time) domain.Selection {
	r := rapid.SampledFrom(domain.Resolutions()).Draw(t, "resolution")
	from := r.Floor(start.Add(time.Duration(rapid.IntRange(-2, 50).Draw(t, "from")) * time.Hour))
	value := func(label string, values ...string) string {
		return rapid.SampledFrom(append(values, "", "")).Draw(t, label)
	}
	return domain.Selection{
		Window: domain.Window{Start: from, End: from.Add(time.Duration(rapid.IntRange(1, 70).Draw(t, "buckets")) * r.Length()), Resolution: r},
		Filter: domain.Filter{
			Tool: value("tool", "get_forecast"), Version: value("version", "1.0.0"),
			Country: value("country", "US", "XX"), Service: value("service", "noaa"),
		},
		By:      rapid.SliceOfNDistinct(rapid.SampledFrom(append(domain.Dimensions(), domain.DimensionNone)), 0, 5, rapid.ID).Draw(t, "by"),
		Without: rapid.SliceOfN(rapid.SampledFrom(domain.Window{Start: domain.Daily.Floor(start), End: domain.Daily.Floor(start).AddDate(0, 0, 4), Resolution: domain.Daily}.Buckets()), 0, 2).Draw(t, "without"),
		Usage:   rapid.Bool().Draw(t, "usage"),
		Latency: rapid.Bool().Draw(t, "latency"), Sessions: rapid.Bool().Draw(t, "sessions"), Errors: rapid.Bool().Draw(t, "errors"),
	}
}

// Whatever is merged and however often, answers are those that the events give.
func TestPackedAggregatesAnswerAsTheEvents(t *testing.T) {
	start := domain.Hourly.Floor(contract.Now).Add(-60 * time.Hour)
	rapid.Check(t, func(t *rapid.T) {
		s := newPackedStore()
		var events []domain.Event
		event := rapid.Custom(func(t *rapid.T) domain.Event { return contract.DrawEvent(t, start, 60) })
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			batch := rapid.SliceOfN(event, 0, 12).Draw(t, "batch")
			events = append(events, batch...)
			s.store(batch)
			day := domain.Daily.Floor(start).AddDate(0, 0, rapid.IntRange(0, 3).Draw(t, "day"))
			steps := rapid.OneOf(rapid.Just(domain.MergeSteps), rapid.IntRange(0, domain.MergeSteps)).Draw(t, "steps")
			if err := s.mergeUpTo(day, rapid.IntRange(0, 3).Draw(t, "rows"), domain.Cutoffs{}, steps); err != nil {
				t.Fatal(err)
			}
			selection := drawFor(t, start)
			got, err := s.read(selection)
			if err != nil {
				t.Fatal(err)
			}
			if d := contract.Difference(got, contract.Expected(events, selection)); d != "" {
				t.Fatalf("select %+v:\n%s", selection, d)
			}
		}
	})
}

// Values are the same bytes whatever the order in which they were made.
func TestPackedValuesAreCanonical(t *testing.T) {
	day := domain.Daily.Floor(contract.Now)
	events := contract.EventsOver(1, 3000, 10)
	pack := func(cut, steps int, order ...int) map[domain.PackedKey]domain.Packed {
		s := newPackedStore()
		chunks := slices.Collect(slices.Chunk(events, cut))
		for i := range chunks {
			if order != nil {
				i = len(chunks) - 1 - i
			}
			s.store(chunks[i])
			for d := range 3 {
				for end := steps; end <= domain.MergeSteps; end += steps {
					if err := s.mergeUpTo(day.AddDate(0, 0, -d), 1, domain.Cutoffs{}, end); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		return s.values
	}
	want := pack(len(events), domain.MergeSteps)
	for _, steps := range []int{domain.MergeSteps, 5, 1} {
		got := pack(100, steps, 1)
		if len(want) < 50 || len(got) != len(want) {
			t.Fatalf("%d and %d values", len(want), len(got))
		}
		for key, value := range want {
			if fmt.Sprint(got[key]) != fmt.Sprint(value) {
				t.Errorf("%d steps at a time, %+v differs:\n%v\n%v", steps, key, got[key], value)
			}
		}
	}
}

// valuesOf packs the events of one day.
func valuesOf(t *testing.T, day time.Time, events []domain.Event, c domain.Cutoffs) []domain.Packed {
	t.Helper()
	m := domain.NewMerge(day, c)
	m.AddFinest(domain.Finest(events))
	var all []domain.Packed
	for _, b := range m.Buckets() {
		values, err := bucketOf(m, b, nothingStored)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, values...)
	}
	return all
}

func eventsOn(day time.Time, n int) []domain.Event {
	events := contract.Events(1, n)
	for i := range events {
		events[i].Hour = day.Add(time.Duration(i%24) * time.Hour)
	}
	return events
}

// seal gives a column the checksum of what it has become.
func seal(column []byte) []byte {
	end := len(column) - 4
	return binary.LittleEndian.AppendUint32(slices.Clone(column[:end]), crc32.Checksum(column[:end], crc32.MakeTable(crc32.Castagnoli)))
}

func TestDamagedValuesAreErrors(t *testing.T) {
	day := domain.Daily.Floor(contract.Now)
	everything := domain.Selection{
		Window: domain.Window{Start: day, End: day.AddDate(0, 0, 1), Resolution: domain.Daily},
		Filter: domain.Filter{Country: "US"}, By: append(domain.Dimensions(), domain.DimensionNone), Latency: true, Sessions: true, Errors: true,
	}
	add := func(p domain.Packed) error {
		for i, read := range everything.Reads() {
			if read.Grain == p.Grain {
				return domain.NewCollector(everything).Add(i, p)
			}
		}
		return nil
	}
	for _, value := range valuesOf(t, day, eventsOn(day, 100), domain.Cutoffs{}) {
		if value.Resolution == domain.Hourly || add(value) != nil {
			continue
		}
		for name, column := range map[string]*[]byte{"counts": &value.Counts, "latency": &value.Latency, "sessions": &value.Sessions} {
			sound := *column
			for i := range sound {
				damaged := slices.Clone(sound)
				damaged[i] ^= 0x15
				*column = damaged
				if err := mergeInto(day, value); isFinest(value) && err == nil {
					t.Fatalf("grain %d: byte %d of %s is another and is merged with", value.Grain, i, name)
				}
				if name == "counts" {
					if isRead(everything, value) && add(value) == nil {
						t.Fatalf("grain %d: byte %d of %s is another and is read", value.Grain, i, name)
					}
				}
				// Whoever damages a value and its checksum gets an error or other numbers.
				*column = seal(damaged)
				_ = add(value)
				_ = mergeInto(day, value)
			}
			for n := range sound {
				*column = sound[:n:n]
				if n > 0 && isFinest(value) && mergeInto(day, value) == nil {
					t.Fatalf("grain %d: the first %d bytes of %s are merged with", value.Grain, n, name)
				}
			}
			*column = sound
		}
	}
}

func TestAnEmptyValueIsDamaged(t *testing.T) {
	day := domain.Daily.Floor(contract.Now)
	s := domain.Selection{Window: domain.Window{Start: day, End: day.AddDate(0, 0, 1), Resolution: domain.Daily}, By: []domain.Dimension{domain.DimensionNone}}
	p := domain.Packed{PackedKey: domain.PackedKey{PackedBucket: domain.PackedBucket{Resolution: domain.Daily, Start: day}}}
	if err := domain.NewCollector(s).Add(0, p); err != nil {
		t.Errorf("no value: %v", err)
	}
	p.Counts = []byte{}
	if err := domain.NewCollector(s).Add(0, p); err == nil {
		t.Error("a value without bytes is read")
	}
}

func isFinest(p domain.Packed) bool { return slices.Contains(domain.FinestGrains(), p.Grain) }

func isRead(s domain.Selection, p domain.Packed) bool {
	return slices.ContainsFunc(s.Reads(), func(r domain.PackedRead) bool { return r.Grain == p.Grain })
}

// mergeInto adds an event to a stored value.
func mergeInto(day time.Time, stored domain.Packed) error {
	m := domain.NewMerge(day, domain.Cutoffs{})
	m.AddFinest(domain.Finest(eventsOn(day, 1)))
	_, err := bucketOf(m, domain.PackedBucket{Resolution: domain.Daily, Start: day}, func(key domain.PackedKey) domain.Packed {
		if key == stored.PackedKey {
			return stored
		}
		return domain.Packed{}
	})
	return err
}

func TestValuesOfNewerFormatsAreNamed(t *testing.T) {
	day := domain.Daily.Floor(contract.Now)
	for _, value := range valuesOf(t, day, eventsOn(day, 10), domain.Cutoffs{}) {
		if value.Resolution == domain.Daily && isFinest(value) {
			value.Counts[0]++
			value.Counts = seal(value.Counts)
			if err := mergeInto(day, value); err == nil || !strings.Contains(err.Error(), "format 2") || !strings.Contains(err.Error(), fmt.Sprint(value.Grain)) {
				t.Errorf("a value of a newer format gives %v", err)
			}
			return
		}
	}
	t.Fatal("no value")
}

func TestDamagedPayloadsAreErrors(t *testing.T) {
	day := domain.Daily.Floor(contract.Now)
	payload := domain.PackJournal(domain.Finest(eventsOn(day, 60)))[0].Payload
	selection := domain.Selection{
		Window: domain.Window{Start: day, End: day.AddDate(0, 0, 1), Resolution: domain.Hourly},
		By:     append(domain.Dimensions(), domain.DimensionNone), Latency: true, Sessions: true, Errors: true,
	}
	try := func(payload []byte) (add, read, count error) {
		_, count = domain.CountJournal(day, payload, 0)
		return domain.NewMerge(day, domain.Cutoffs{}).Add(payload), domain.NewCollector(selection).AddJournal(day, payload, 0), count
	}
	if a, b, c := try(payload); a != nil || b != nil || c != nil {
		t.Fatal(a, b, c)
	}
	for i := range payload {
		damaged := slices.Clone(payload)
		damaged[i] ^= 0x15
		if add, read, _ := try(damaged); add == nil || read == nil {
			t.Fatalf("byte %d is another: %v, %v", i, add, read)
		}
		if add, read, _ := try(payload[:i]); add == nil || read == nil {
			t.Fatalf("the first %d bytes: %v, %v", i, add, read)
		}
	}
}

func TestMergeLeavesOutWhatIsDue(t *testing.T) {
	day := domain.Daily.Floor(contract.Now)
	events := eventsOn(day, 4800)
	tests := []struct {
		cutoffs             domain.Cutoffs
		hours, days         int
		errorHours, errDays int
	}{
		{domain.Cutoffs{}, 24, 1, 24, 1},
		{domain.Cutoffs{Hourly: day.Add(6 * time.Hour)}, 18, 1, 24, 1},
		{domain.Cutoffs{Hourly: day.Add(24 * time.Hour), HourlyErrors: day.Add(20 * time.Hour)}, 0, 1, 4, 1},
		{domain.Cutoffs{Hourly: day.Add(24 * time.Hour), HourlyErrors: day.Add(24 * time.Hour), DailyErrors: day.Add(24 * time.Hour)}, 0, 1, 0, 0},
		{domain.Cutoffs{Hourly: day.AddDate(0, 0, 9), HourlyErrors: day.AddDate(0, 0, 9), Daily: day.AddDate(0, 0, 9), DailyErrors: day.AddDate(0, 0, 9)}, 0, 0, 0, 0},
	}
	for _, tt := range tests {
		buckets := make(map[string]map[domain.PackedBucket]bool)
		for _, value := range valuesOf(t, day, events, tt.cutoffs) {
			kind := string(value.Resolution)
			if value.Grain&domain.GrainErrors != 0 {
				kind += " errors"
			}
			if buckets[kind] == nil {
				buckets[kind] = make(map[domain.PackedBucket]bool)
			}
			buckets[kind][value.PackedBucket] = true
		}
		got := [4]int{len(buckets["hour"]), len(buckets["day"]), len(buckets["hour errors"]), len(buckets["day errors"])}
		if want := [4]int{tt.hours, tt.days, tt.errorHours, tt.errDays}; got != want {
			t.Errorf("cutoffs %+v leave %v buckets, want %v", tt.cutoffs, got, want)
		}
	}
}

func TestReadableValues(t *testing.T) {
	day := domain.Daily.Floor(contract.Now)
	ms, hit, retries := domain.Some[int32](120), domain.Some(true), domain.Some[int32](2)
	events := []domain.Event{
		{Hour: day.Add(3 * time.Hour), Tool: "get_alerts", Version: "1.0.0", Status: domain.StatusError, ErrorType: "timeout", Country: "US", ResponseTimeMS: ms, CacheHit: hit, RetryCount: retries},
		{Hour: day.Add(5 * time.Hour), Tool: "get_alerts", Version: "1.0.0", Status: domain.StatusError, ErrorType: "timeout"},
		{Hour: day.Add(5 * time.Hour), Tool: "get_forecast", Version: "1.1.0", Status: domain.StatusSuccess},
	}
	want := map[domain.PackedGrain]string{ //nolint:exhaustive // the grains that are read here
		0:                      `[["",3,2,1,0,2,1,1,1,120]]`,
		1:                      `[["get_alerts",2,2,1,0,2,1,1,1,120],["get_forecast",1,0,0,0,0,0,0,0,0]]`,
		4:                      `[["",2,1,0,0,0,0,0,0,0],["US",1,1,1,0,2,1,1,1,120]]`,
		3 | domain.GrainErrors: `[["get_alerts","timeout",2,3,5,["1.0.0"]]]`,
	}
	for _, value := range valuesOf(t, day, events, domain.Cutoffs{}) {
		if text, ok := want[value.Grain]; ok && value.Resolution == domain.Daily {
			delete(want, value.Grain)
			if value.Readable != text {
				t.Errorf("grain %d reads %s, want %s", value.Grain, value.Readable, text)
			}
		}
		if value.Grain == domain.PackedGrain(domain.GrainFull) && value.Readable != "" {
			t.Errorf("full grain reads %s", value.Readable)
		}
	}
	if len(want) > 0 {
		t.Errorf("not packed: %v", want)
	}
}

func TestCountsOfOpenValues(t *testing.T) {
	day := domain.Daily.Floor(contract.Now)
	events := eventsOn(day, 400)
	want := domain.TakeCensus(domain.Finest(events))
	successes := slices.DeleteFunc(slices.Clone(events), func(e domain.Event) bool { return e.Status == domain.StatusError })
	for dimensions, events := range map[int][]domain.Event{2: events, 1: successes} {
		want := domain.TakeCensus(domain.Finest(events))
		got, err := domain.CountJournal(day, domain.PackJournal(domain.Finest(events))[0].Payload, 0)
		if err != nil || len(want) != dimensions || !reflect.DeepEqual(got, want) {
			t.Errorf("journal of %d dimensions: %v, %v\nwant %v", dimensions, got, err, want)
		}
	}
	for _, value := range valuesOf(t, day, events, domain.Cutoffs{}) {
		if value.Resolution != domain.Daily || value.Grain != domain.PackedGrain(domain.DimensionVersion) && value.Grain&domain.GrainErrors == 0 {
			continue
		}
		counted, err := domain.CountPacked(value)
		if err != nil || !slices.ContainsFunc(want, func(o domain.OpenValues) bool { return reflect.DeepEqual(o, counted) }) {
			t.Errorf("grain %d: %v, %v", value.Grain, counted, err)
		}
	}
	if _, err := domain.CountPacked(domain.Packed{}); err == nil {
		t.Error("a value without counts has counts")
	}
}

// Whatever is merged of a day, its totals are those of its parts.
func TestCallsOfValues(t *testing.T) {
	day := domain.Daily.Floor(contract.Now)
	events := eventsOn(day, 500)
	calls := make(map[domain.PackedGrain]int64)
	for _, value := range valuesOf(t, day, events, domain.Cutoffs{}) {
		if value.Resolution == domain.Daily && value.Grain&domain.GrainErrors == 0 {
			calls[value.Grain] += value.Calls
		}
	}
	if len(calls) != len(domain.PackedGrains(domain.Daily)) {
		t.Errorf("%d grains", len(calls))
	}
	for grain, n := range calls {
		if n != 500 {
			t.Errorf("grain %d counts %d calls", grain, n)
		}
	}
}

func TestPackedFormatNeverChanges(t *testing.T) {
	// What is stored must stay readable: a change here needs a new format and
	// a rebuild of the aggregates.
	day := domain.Daily.Floor(contract.Now)
	var events []domain.Event
	for i, ms := range []int32{0, 1, 70, 5_000, 5_000} {
		events = append(events, domain.Event{
			Hour: day.Add(time.Duration(i) * time.Hour), Tool: "get_alerts", Version: "1.0." + strconv.Itoa(i%2), Status: domain.StatusError, ErrorType: "timeout",
			Country: "US", ResponseTimeMS: domain.Some(ms), CacheHit: domain.Some(true), RetryCount: domain.Some(int32(i)), SessionID: strconv.Itoa(i % 3),
		})
	}
	want := map[domain.PackedGrain]string{ //nolint:exhaustive // one with all columns, and errors
		domain.PackedGrain(domain.DimensionVersion): "0102020205312e302e3005312e302e310101040303010004030301000403030100" +
			"000403030100040303000004030304020403030100050c3a8f8903e608900e 01008827015bf99839 01034e361f1af9b0d895213d623a71015e9946cb",
		domain.CoarseErrors: "0113020205312e302e3005312e302e310101010a6765745f616c65727473010774696d656f757404030301000202000403030200e3a03d79  ",
	}
	for _, p := range valuesOf(t, day, events, domain.Cutoffs{}) {
		if hex, ok := want[p.Grain]; ok && p.Resolution == domain.Daily {
			if got := fmt.Sprintf("%x %x %x", p.Counts, p.Latency, p.Sessions); got != hex {
				t.Errorf("grain %d is %s, want %s", p.Grain, got, hex)
			}
		}
	}
}
