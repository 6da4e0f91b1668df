package domain_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/test/contract"
)

var openVersions = domain.OpenDay{Day: domain.Daily.Floor(contract.Now), Dimension: domain.OpenVersion}

func counts(values string) []domain.GroupCount {
	var list []domain.GroupCount
	for value := range strings.FieldsSeq(values) {
		list = append(list, domain.GroupCount{Value: value[1:], Calls: int64(value[0] - '0')})
	}
	return list
}

func TestAdmit(t *testing.T) {
	tests := map[string]struct {
		limit     int
		undecided string // calls and name, as a census has them
		known     int
		week      string // days are separated by commas
		values    string
		overflows bool
	}{
		"room for all":                     {4, "9a 1b", 2, "", "a b", false},
		"room for some":                    {4, "9a 5b 1c", 2, "", "a b", true},
		"no room":                          {4, "9a", 4, "", "", true},
		"more known than the limit allows": {4, "9a", 7, "", "", true},
		"a first day":                      {4, "9a", 0, "", "a", false},
		"half is kept for those of the week before":   {4, "9x 9y 9z", 0, "1c 7a 3b 2d", "a b x y", true},
		"they may be among the new":                   {4, "9x 8b 7a 6c", 0, "7a 3b", "a b x c", false},
		"who was used on more days comes first":       {4, "9x", 0, "1a, 1a, 9c 1b, 1b 9d, 1b", "b a x", false},
		"then who had more calls in all":              {4, "9x", 0, "1a 3b, 5c, 2b 1c 4a", "c a x", false},
		"equal ones come by name":                     {6, "1x", 0, "2d 2c 2b 2a", "a b c x", false},
		"a reserved one that nobody used is no more":  {4, "1x", 0, "0a 2b, 0a 0b", "b x", false},
		"an odd limit leaves the larger half":         {5, "9v 9w 9x 9y", 0, "3a 2b 1c", "a b v w x", true},
		"a limit of one keeps nothing":                {1, "1x", 0, "9a", "x", false},
		"the week before counts on a first call only": {4, "1x", 1, "9a", "x", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			undecided := domain.OpenValues{OpenDay: openVersions, Values: counts(tt.undecided)}
			var week []domain.OpenValues
			for values := range strings.SplitSeq(tt.week, ",") {
				week = append(week, domain.OpenValues{Values: counts(values)})
			}
			got := domain.Cardinality{Versions: tt.limit}.Admit(undecided, tt.known, week)
			if got.OpenDay != openVersions || strings.Join(got.Values, " ") != tt.values || got.Overflows != tt.overflows {
				t.Errorf("got %+v, want %q and overflow %t", got, tt.values, tt.overflows)
			}
		})
	}
}

func TestCardinalityDefaults(t *testing.T) {
	for _, tt := range []struct {
		limits               domain.Cardinality
		versions, errorTypes int
	}{{domain.Cardinality{}, 200, 500}, {domain.Cardinality{Versions: 7, ErrorTypes: 8}, 7, 8}} {
		if got := tt.limits.Limit(domain.OpenVersion); got != tt.versions {
			t.Errorf("%d versions, want %d", got, tt.versions)
		}
		if got := tt.limits.Limit(domain.OpenErrorType); got != tt.errorTypes {
			t.Errorf("%d error types, want %d", got, tt.errorTypes)
		}
	}
}

func TestCensusCountsWhatTakesAPlace(t *testing.T) {
	today, yesterday := contract.Now.Truncate(time.Hour), contract.Now.Truncate(time.Hour).Add(-24*time.Hour)
	said := func(hour time.Time, version, errorType string, status domain.Status) domain.Event {
		return domain.Event{Hour: hour, Version: version, ErrorType: errorType, Tool: "t", Status: status, Level: domain.LevelMinimal}
	}
	census := domain.TakeCensus(domain.Finest([]domain.Event{
		said(today, "b", "", domain.StatusSuccess), said(today, "a", "", domain.StatusSuccess),
		said(today.Add(-2*time.Hour), "c", "z", domain.StatusError), said(today, "c", "z", domain.StatusError),
		said(today, domain.OtherName, domain.OtherName, domain.StatusError),
		said(yesterday, "a", "", domain.StatusError), said(yesterday, "a", domain.UnspecifiedError, domain.StatusError),
		said(yesterday, domain.UnspecifiedError, "of a success", domain.StatusSuccess),
	}))
	open := func(t time.Time, d domain.OpenDimension) domain.OpenDay {
		return domain.OpenDay{Day: domain.Daily.Floor(t), Dimension: d}
	}
	want := []domain.OpenValues{
		{OpenDay: open(yesterday, domain.OpenVersion), Values: counts("2a 1unspecified")},
		{OpenDay: open(today, domain.OpenErrorType), Values: counts("2z")},
		{OpenDay: open(today, domain.OpenVersion), Values: counts("2c 1a 1b")},
	}
	if !reflect.DeepEqual(census, want) {
		t.Errorf("got %+v\nwant %+v", census, want)
	}
}

func TestDaysBeforeADay(t *testing.T) {
	week := openVersions.Week()
	if len(week) != domain.SeedDays {
		t.Fatalf("%d days", len(week))
	}
	for i, day := range week {
		if want := openVersions.Day.AddDate(0, 0, i-7); !day.Day.Equal(want) || day.Dimension != domain.OpenVersion {
			t.Errorf("day %d is %v, want %v", i, day, want)
		}
	}
	for hours, over := range map[int]bool{-1: false, 0: false, 23: false, 24: true, 240: true} {
		if got := openVersions.IsOver(openVersions.Day.Add(time.Duration(hours) * time.Hour)); got != over {
			t.Errorf("over after %d hours is %t", hours, got)
		}
	}
}

func TestFirstReceived(t *testing.T) {
	at := func(hours int) domain.Batch {
		return domain.Batch{ReceivedAt: contract.Now.Add(time.Duration(hours) * time.Hour)}
	}
	if got := domain.FirstReceived([]domain.Batch{at(2), at(1), at(3)}); !got.Equal(at(1).ReceivedAt) {
		t.Errorf("first received at %v", got)
	}
	if got := domain.FirstReceived(nil); !got.IsZero() {
		t.Errorf("nothing received at %v", got)
	}
}

func TestWhatIsDecidedStaysDecided(t *testing.T) {
	yesterday := domain.OpenDay{Day: openVersions.Day.AddDate(0, 0, -1), Dimension: domain.OpenVersion}
	census := []domain.OpenValues{
		{OpenDay: openVersions, Values: counts("3a 2b 1c")},
		{OpenDay: yesterday, Values: counts("1a")},
	}
	v := domain.NewVocabulary()
	if got := v.Undecided(census); !reflect.DeepEqual(got, census) {
		t.Errorf("nothing is decided, and undecided is %+v", got)
	}
	v.Know(openVersions, "b")
	v.Know(yesterday, "a")
	if got, want := v.Undecided(census), []domain.OpenValues{{OpenDay: openVersions, Values: counts("3a 1c")}}; !reflect.DeepEqual(got, want) {
		t.Errorf("undecided is %+v, want %+v", got, want)
	}
	v.Learn(domain.Admission{OpenDay: openVersions, Values: []string{"a"}})
	if got := v.Undecided(census); len(got) != 1 || !slices.Equal(got[0].Names(), []string{"c"}) {
		t.Errorf("undecided is %+v, want c alone", got)
	}
	v.Learn(domain.Admission{OpenDay: openVersions, Overflows: true})
	if got := v.Undecided(census); len(got) != 0 {
		t.Errorf("the day is closed, and undecided is %+v", got)
	}
}

// TestFoldIsAsIfTheEventsHadSaidOther holds folded aggregates to those of
// events that said other themselves, in any number of parts, folded any number
// of times.
func TestFoldIsAsIfTheEventsHadSaidOther(t *testing.T) {
	folds := 0
	rapid.Check(t, func(t *rapid.T) {
		event := rapid.Custom(func(t *rapid.T) domain.Event { return contract.DrawEvent(t, contract.Now, 30) })
		batches := rapid.SliceOfN(rapid.SliceOfN(event, 0, 12), 0, 4).Draw(t, "batches")
		vocabulary, as := drawVocabulary(t)
		said := make([][]domain.Event, len(batches))
		parts := make([]domain.Aggregates, len(batches))
		want := make(domain.Folded)
		for i, batch := range batches {
			parts[i] = domain.Finest(batch)
			for _, e := range batch {
				said[i] = append(said[i], as(e, want))
			}
		}
		got, folded := vocabulary.Fold(parts...)
		if aggregate := domain.Finest(said...); !reflect.DeepEqual(got, aggregate) {
			t.Fatalf("got %+v\nwant %+v", got, aggregate)
		}
		if !reflect.DeepEqual(folded, want) {
			t.Fatalf("folded %v, want %v", folded, want)
		}
		again, more := vocabulary.Fold(got)
		if len(more) != 0 || !reflect.DeepEqual(again, got) {
			t.Fatalf("folding again folds %v", more)
		}
		folds += len(folded)
	})
	if folds == 0 {
		t.Error("nothing was ever folded: the property says nothing")
	}
}

// drawVocabulary draws one of the days of the events, and the function that
// says of an event what it would have said for that.
func drawVocabulary(t *rapid.T) (*domain.Vocabulary, func(domain.Event, domain.Folded) domain.Event) {
	v := domain.NewVocabulary()
	closed, known := make(map[domain.OpenDay]bool), make(map[domain.OpenDay][]string)
	for day := range 3 {
		for _, d := range domain.OpenDimensions() {
			o := domain.OpenDay{Day: openVersions.Day.AddDate(0, 0, day), Dimension: d}
			known[o] = rapid.SliceOfDistinct(rapid.SampledFrom([]string{"1.0.0", "1.1.0", "timeout", "validation"}), rapid.ID).Draw(t, "known")
			v.Know(o, known[o]...)
			if closed[o] = rapid.Bool().Draw(t, "closed"); closed[o] {
				v.Close(o)
			}
		}
	}
	folds := func(o domain.OpenDay, value string) bool {
		return closed[o] && value != domain.OtherName && !slices.Contains(known[o], value)
	}
	return v, func(e domain.Event, folded domain.Folded) domain.Event {
		day := domain.Daily.Floor(e.Hour)
		if o := (domain.OpenDay{Day: day, Dimension: domain.OpenVersion}); folds(o, e.Version) {
			e.Version = domain.OtherName
			folded[o]++
		}
		o := domain.OpenDay{Day: day, Dimension: domain.OpenErrorType}
		if e.Status == domain.StatusError && e.ErrorType != "" && e.ErrorType != domain.UnspecifiedError && folds(o, e.ErrorType) {
			e.ErrorType = domain.OtherName
			folded[o]++
		}
		return e
	}
}

func TestDaysOfWhichAnythingIsKept(t *testing.T) {
	day := openVersions.Day
	later := day.AddDate(0, 0, 9)
	all := domain.Cutoffs{Events: later, Hourly: later, Daily: later, HourlyErrors: later, DailyErrors: later}
	if got := all.Days(); !got.Equal(later) {
		t.Errorf("nothing is kept, and days begin at %v", got)
	}
	for name, set := range map[string]func(*domain.Cutoffs){
		"events":        func(c *domain.Cutoffs) { c.Events = day.Add(7 * time.Hour) },
		"hours":         func(c *domain.Cutoffs) { c.Hourly = day.Add(7 * time.Hour) },
		"days":          func(c *domain.Cutoffs) { c.Daily = day },
		"hourly errors": func(c *domain.Cutoffs) { c.HourlyErrors = day.Add(7 * time.Hour) },
		"daily errors":  func(c *domain.Cutoffs) { c.DailyErrors = day },
	} {
		c := all
		set(&c)
		if got := c.Days(); !got.Equal(day) {
			t.Errorf("%s are kept from %v on, and days from %v", name, day, got)
		}
	}
}

func TestFoldedCountsCalls(t *testing.T) {
	failed := domain.Event{Hour: openVersions.Day, Version: "1", Tool: "t", Status: domain.StatusError, ErrorType: "e", Level: domain.LevelMinimal}
	errorTypes := domain.OpenDay{Day: openVersions.Day, Dimension: domain.OpenErrorType}
	v := domain.NewVocabulary()
	v.Close(openVersions)
	v.Close(errorTypes)
	finest := domain.Finest([]domain.Event{failed, failed, failed})
	_, folded := v.Fold(finest)
	_, more := v.Fold(domain.Finest([]domain.Event{failed}))
	more.Add(folded)
	if want := (domain.Folded{openVersions: 4, errorTypes: 4}); !reflect.DeepEqual(more, want) {
		t.Errorf("folded %v in two parts, want %v", more, want)
	}
	if want := (domain.Folded{openVersions: 3, errorTypes: 3}); !reflect.DeepEqual(folded, want) {
		t.Errorf("folded %v, want %v", folded, want)
	}
}
