package domain_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

func TestParseSpan(t *testing.T) {
	tests := []struct {
		name, period, start, end string
		want                     string // the span, or the name that the refusal begins with
	}{
		{"a period", "24h", "", "", "24h"},
		{"bounds", "", "2026-11-01", "2026-11-02", "2026-11-01T00:00:00Z/2026-11-02T00:00:00Z within 168h0m0s"},
		{"up to now", "", "2026-11-01", "", "2026-11-01T00:00:00Z/.."},
		{"instants", "", "2026-11-01T06:00:00Z", "2026-11-01T06:30:00.5Z", "2026-11-01T06:00:00Z/2026-11-01T07:00:00Z within 168h0m0s"},
		{"another zone", "", "2026-11-01T00:00:00+05:30", "2026-11-01", "2026-10-31T18:00:00Z/2026-11-01T00:00:00Z within 168h0m0s"},
		{"a leap day", "", "2028-02-29", "2028-03-01", "2028-02-29T00:00:00Z/2028-03-01T00:00:00Z within 168h0m0s"},
		{"the first of all years", "", "0000-01-01", "0001-01-01", "0000-01-01T00:00:00Z/0001-01-01T00:00:00Z within 8784h0m0s"},
		{"nothing", "", "", "", "period"},
		{"a period that is none", "1w", "", "", "period"},
		{"a period beside bounds", "24h", "2026-11-01", "2026-11-02", "period"},
		{"a period beside a start", "24h", "2026-11-01", "", "period"},
		{"a period beside an end", "24h", "", "2026-11-02", "period"},
		{"an end alone", "", "", "2026-11-02", "start"},
		{"an end alone that is none", "", "", "x", "start"},
		{"a start that is none", "", "yesterday", "2026-11-02", "start"},
		{"an end that is none", "", "2026-11-01", "tomorrow", "end"},
		{"a day that is none", "", "2026-02-29", "", "start"},
		{"a month alone", "", "2026-11", "", "start"},
		{"no zone", "", "2026-11-01T00:00:00", "", "start"},
		{"a blank for the plus", "", "2026-11-01T00:00:00 05:30", "", "start"},
		{"seconds since 1970", "", "1793491200", "", "start"},
		{"year 10000", "", "10000-01-01", "", "start"},
		{"NUL", "", "2026-11-01\x00", "", "start"},
		{"a blank before", "", " 2026-11-01", "", "start"},
		{"10 kB", "", strings.Repeat("2", 10<<10), "", "start"},
		{"no time between", "", "2026-11-01", "2026-11-01T00:00:00Z", "start"},
		{"the wrong way round", "", "2026-11-02", "2026-11-01", "start"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			span, err := domain.ParseSpan(tt.period, tt.start, tt.end, "")
			if err == nil {
				if span.String() != tt.want {
					t.Errorf("span = %s, want %s", span, tt.want)
				}
				return
			}
			if domain.CodeOf(err) != domain.CodeInvalid || !strings.HasPrefix(domain.MessageOf(err), tt.want+" ") {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
}

// spanWindow is the window of a span that must be there, with everything kept.
func spanWindow(t *testing.T, period, start, end string, now time.Time) domain.Window {
	t.Helper()
	span, err := domain.ParseSpan(period, start, end, "")
	if err != nil {
		t.Fatal(err)
	}
	window, err := span.Window(now, domain.Cutoffs{})
	if err != nil {
		t.Fatal(err)
	}
	return window
}

func TestSpanWindow(t *testing.T) {
	const now = "2026-11-23T10:42:07Z"
	tests := []struct {
		name, start, end   string
		wantStart, wantEnd string
		resolution         domain.Resolution
	}{
		{
			"exact hours stay", "2026-11-23T08:00:00Z", "2026-11-23T10:00:00Z",
			"2026-11-23T08:00:00Z", "2026-11-23T10:00:00Z", domain.Hourly,
		},
		{
			"start goes down and end goes up", "2026-11-23T08:59:59Z", "2026-11-23T09:00:01Z",
			"2026-11-23T08:00:00Z", "2026-11-23T10:00:00Z", domain.Hourly,
		},
		{
			"the longest of hours", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z",
			"2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z", domain.Hourly,
		},
		{
			"days", "2026-11-14T12:00:00Z", "2026-11-21T12:00:01Z",
			"2026-11-14T00:00:00Z", "2026-11-22T00:00:00Z", domain.Daily,
		},
		{
			"dates", "2026-10-01", "2026-11-01",
			"2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z", domain.Daily,
		},
		{
			"a year", "2025-11-01", "2026-11-01",
			"2025-11-01T00:00:00Z", "2026-11-01T00:00:00Z", domain.Daily,
		},
		{
			"other zones", "2026-11-23T00:30:00+05:30", "2026-11-23T02:30:00+05:30",
			"2026-11-22T19:00:00Z", "2026-11-22T21:00:00Z", domain.Hourly,
		},
		{
			"up to now, with the hour of now", "2026-11-23", "",
			"2026-11-23T00:00:00Z", "2026-11-23T11:00:00Z", domain.Hourly,
		},
		{
			"up to now, with the day of now", "2026-11-01", "",
			"2026-11-01T00:00:00Z", "2026-11-24T00:00:00Z", domain.Daily,
		},
		{
			"an end later this hour", "2026-11-23", "2026-11-23T10:50:00Z",
			"2026-11-23T00:00:00Z", "2026-11-23T11:00:00Z", domain.Hourly,
		},
		{
			"an end beyond now", "2026-11-23", "2027-11-23",
			"2026-11-23T00:00:00Z", "2026-11-23T11:00:00Z", domain.Hourly,
		},
		{
			"tonight, in days", "2026-11-01", "2026-11-24",
			"2026-11-01T00:00:00Z", "2026-11-24T00:00:00Z", domain.Daily,
		},
		{
			"an end of now", "2026-11-23", now,
			"2026-11-23T00:00:00Z", "2026-11-23T11:00:00Z", domain.Hourly,
		},
		{
			"the second before", "2026-11-23T10:42:06Z", "",
			"2026-11-23T10:00:00Z", "2026-11-23T11:00:00Z", domain.Hourly,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := spanWindow(t, "", tt.start, tt.end, at(t, now).In(time.FixedZone("", 3600)))
			want := domain.Window{Start: at(t, tt.wantStart), End: at(t, tt.wantEnd), Resolution: tt.resolution}
			if got != want {
				t.Errorf("window = %+v\nwant %+v", got, want)
			}
		})
	}
}

// A bucket that begins now is not in what ends now.
func TestSpanWindowOfExactBounds(t *testing.T) {
	ten := at(t, "2026-11-23T10:00:00Z")
	if got := spanWindow(t, "", "2026-11-23T09:00:00Z", "2026-11-23T10:00:00Z", ten); !got.End.Equal(ten) {
		t.Errorf("up to ten: %+v", got)
	}
	if got := spanWindow(t, "", "2026-11-23T09:00:00Z", "", ten); !got.End.Equal(ten.Add(time.Hour)) {
		t.Errorf("up to now: %+v", got)
	}
}

func TestSpanWindowRefuses(t *testing.T) {
	now := at(t, "2026-11-23T10:42:07Z")
	cutoffs := domain.DefaultRetention().Cutoffs(now)
	tests := []struct {
		name, start, end string
		kept             domain.Cutoffs
		says             string // empty takes it
	}{
		{"this hour, later", "2026-11-23T10:59:59Z", "", cutoffs, ""},
		{"the next hour", "2026-11-23T11:00:00Z", "", cutoffs, "start must lie in the past"},
		{"the next hour to later", "2026-11-23T11:00:00Z", "2026-11-23T11:01:00Z", cutoffs, "start must lie in the past"},
		{"the future", "2026-12-01", "2026-12-02", cutoffs, "start must lie in the past"},
		{"the last of all years", "9999-12-31", "", cutoffs, "start must lie in the past"},
		{"a leap year", "2025-11-21", "2026-11-22", cutoffs, ""},
		{"a leap year and a second", "2025-11-21", "2026-11-22T00:00:01Z", cutoffs, "start lies too early: there can be 366 days"},
		{"a year and more up to now", "2025-11-21", "", cutoffs, "start lies too early"},
		{"a year that is not over", "2026-01-01", "2028-01-01", cutoffs, ""},
		{"all years", "0000-01-01", "", cutoffs, "start lies too early"},
		{"days that are gone", "2024-11-01", "2024-11-23", cutoffs, "start and end lie before everything that is kept: days reach back to 2024-11-23T00:00:00Z"},
		{"the oldest day", "2024-11-01", "2024-11-23T00:00:01Z", cutoffs, ""},
		{"years ago", "0001-01-01", "0001-02-01", cutoffs, "start and end lie before"},
		{
			"hours that are gone", "2026-10-24", "2026-10-24T10:00:00Z", cutoffs,
			"start and end lie before everything that is kept: hours, in which windows of up to 168 hours are counted, reach back to 2026-10-24T10:00:00Z",
		},
		{"the oldest hour", "2026-10-24", "2026-10-24T10:00:01Z", cutoffs, ""},
		{"days whose hours are gone", "2026-09-01", "2026-09-09", cutoffs, ""},
		{"errors that are gone", "2026-08-01", "2026-08-25", cutoffs.ForErrors(), "start and end lie before everything that is kept: days reach back to 2026-08-25"},
		{"the oldest errors", "2026-08-01", "2026-08-25T00:00:01Z", cutoffs.ForErrors(), ""},
		{"errors longer than hours", "2026-10-24", "2026-10-24T10:00:00Z", cutoffs.ForErrors(), "start and end lie before"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			span, err := domain.ParseSpan("", tt.start, tt.end, "")
			if err != nil {
				t.Fatal(err)
			}
			_, err = span.Window(now, tt.kept)
			if tt.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if domain.CodeOf(err) != domain.CodeInvalid || !strings.HasPrefix(domain.MessageOf(err), tt.says) {
				t.Errorf("error = %v, want %q", err, tt.says)
			}
		})
	}
}

// timeText draws what a client might write for a bound.
func timeText() *rapid.Generator[string] {
	near := rapid.Custom(func(t *rapid.T) string {
		seconds := rapid.Int64Range(-900*24*3600, 30*24*3600).Draw(t, "seconds from now")
		instant := time.Date(2026, 11, 23, 10, 42, 7, 0, time.UTC).Add(time.Duration(seconds) * time.Second)
		zone := time.FixedZone("", 900*rapid.IntRange(-50, 50).Draw(t, "quarters of an hour"))
		layout := rapid.SampledFrom([]string{time.DateOnly, time.RFC3339, time.RFC3339Nano, "2006-01-02T15:00:00Z07:00", time.RFC1123})
		return instant.In(zone).Format(layout.Draw(t, "layout"))
	})
	digits := rapid.StringMatching(`[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,12})?(Z|[+-][0-9]{2}:[0-9]{2}))?`)
	return rapid.OneOf(near, near, near, digits, rapid.String(), rapid.Just(""))
}

func TestAnySpanIsAWindowOrRefused(t *testing.T) {
	now := at(t, "2026-11-23T10:42:07Z")
	cutoffs := domain.DefaultRetention().Cutoffs(now)
	rapid.Check(t, func(t *rapid.T) {
		period := rapid.OneOf(rapid.Just(""), rapid.Just(""), rapid.StringMatching(`[0-9]{1,3}[hd]`), rapid.String()).Draw(t, "period")
		start, end := timeText().Draw(t, "start"), timeText().Draw(t, "end")
		resolution := rapid.SampledFrom([]string{"", "", "hour", "day", "week"}).Draw(t, "resolution")
		span, err := domain.ParseSpan(period, start, end, resolution)
		var window domain.Window
		if err == nil {
			window, err = span.Window(now, cutoffs)
		}
		if err != nil {
			first, _, _ := strings.Cut(domain.MessageOf(err), " ")
			first, _, _ = strings.Cut(first, "=") // resolution=hour is for short windows
			if domain.CodeOf(err) != domain.CodeInvalid || !slices.Contains([]string{"period", "start", "end", "resolution"}, first) {
				t.Fatalf("error = %v, want one that names what to change", err)
			}
			return
		}
		checkWindow(t, window, now, cutoffs)
		if start != "" {
			checkBounds(t, window, now, start, end, resolution)
		}
		if resolution != "" && string(window.Resolution) != resolution {
			t.Fatalf("%+v, want one by %s", window, resolution)
		}
		if resolution == "hour" && (window.Start.Before(cutoffs.Hourly) || len(window.Buckets()) > 362) {
			t.Fatalf("%+v is longer than 15 days or begins before hours are kept", window)
		}
	})
}

// checkWindow sees what holds for every window.
func checkWindow(t *rapid.T, w domain.Window, now time.Time, kept domain.Cutoffs) {
	t.Helper()
	if w.Start.Location() != time.UTC || w.End.Location() != time.UTC {
		t.Fatalf("%+v is not in UTC", w)
	}
	next := w.Start
	for _, bucket := range w.Buckets() {
		if !bucket.Equal(next) || !w.Resolution.Floor(bucket).Equal(bucket) {
			t.Fatalf("bucket %v, want %v", bucket, next)
		}
		next = next.Add(w.Resolution.Length())
	}
	if !next.Equal(w.End) || !w.Start.Before(w.End) {
		t.Fatalf("the last bucket ends at %v, the window %+v", next, w)
	}
	if w.Contains(w.End) || !w.Contains(w.Start) {
		t.Fatalf("%+v is not half-open", w)
	}
	oldest := kept.Hourly
	if w.Resolution == domain.Daily {
		oldest = kept.Daily
	}
	if w.End.After(w.Resolution.Floor(now).Add(w.Resolution.Length())) || !w.End.After(oldest) {
		t.Fatalf("%+v ends after now or before everything", w)
	}
}

// checkBounds reads the bounds once more, in another way.
func checkBounds(t *rapid.T, w domain.Window, now time.Time, start, end, resolution string) {
	t.Helper()
	from, to := bound(t, start), now
	if end != "" && bound(t, end).Before(now) {
		to = bound(t, end)
	}
	length, over := to.Sub(from), time.Duration(0)
	if end == "" || bound(t, end).After(now.Truncate(time.Hour)) {
		over = time.Hour // up to now, whole hours are counted
	}
	hourly := w.Resolution == domain.Hourly
	longest := 168 * time.Hour
	if resolution != "" {
		longest, hourly = 360*time.Hour, hourly || length <= 360*time.Hour
	}
	if length > 366*24*time.Hour+over || length <= longest && !hourly || resolution != "day" && length > longest+over && hourly {
		t.Fatalf("%+v of %v to %v, which is %v", w, from, to, length)
	}
	bucket := w.Resolution.Length()
	if from.After(now) {
		from, to = domain.Hourly.Floor(now), now // later this hour
	}
	if w.Start.After(from) || from.Sub(w.Start) >= bucket || w.End.Before(to) || w.End.Sub(to) > bucket || w.Period != "" {
		t.Fatalf("%+v, want no more than %v to %v", w, from, to)
	}
}

func bound(t *rapid.T, text string) time.Time {
	t.Helper()
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if instant, err := time.Parse(layout, strings.ToUpper(text)); err == nil {
			return instant
		}
	}
	instant, ok := domain.ParseTimestamp([]byte(text)) // a leap second
	if !ok {
		t.Fatalf("%q is no bound", text)
	}
	return instant
}

// Spans with the same text are answered alike at any time: they can share an
// answer.
func TestSpansOfOneTextAreAlike(t *testing.T) {
	base := at(t, "2026-11-23T10:00:00Z")
	within := []time.Duration{0, 1, 30 * time.Minute, time.Hour - 1}
	answers := make(map[string]string)
	checkOne := func(start, end, resolution string, now time.Time) {
		span, err := domain.ParseSpan("", start, end, resolution)
		if err != nil {
			return // the wrong way round
		}
		window, err := span.Window(now, domain.Cutoffs{})
		question, answer := span.String()+" at "+now.String(), fmt.Sprint(window, err)
		if other, ok := answers[question]; ok && other != answer {
			t.Errorf("%s, asked as %s to %s: %s\nand elsewhere %s", question, start, end, answer, other)
		}
		answers[question] = answer
	}
	check := func(start, end string, now time.Time) {
		for _, resolution := range []string{"", "hour", "day"} {
			checkOne(start, end, resolution, now)
		}
	}
	for _, hours := range []int{0, 1, 167, 168, 169, 359, 360, 361, 8783, 8784, 8785} {
		for _, later := range within {
			start := base.Add(later).Format(time.RFC3339Nano)
			for _, now := range []int{-1, 0, hours - 1, hours, hours + 1} {
				for _, minutes := range within {
					instant := base.Add(time.Duration(now)*time.Hour + minutes)
					check(start, "", instant)
					for _, after := range within {
						check(start, base.Add(time.Duration(hours)*time.Hour+after).Format(time.RFC3339Nano), instant)
					}
				}
			}
		}
	}
}

// A week is read in hours and a year can be asked for, on the hour or not.
func TestSpanWindowOfBoundsWithinTheHour(t *testing.T) {
	now := at(t, "2026-11-23T10:42:07Z")
	week := spanWindow(t, "", "2026-11-15T10:30:00Z", "2026-11-22T10:30:00Z", now)
	if week.Resolution != domain.Hourly {
		t.Errorf("a week is read as %+v", week)
	}
	if open := spanWindow(t, "", "2026-11-16T10:50:00Z", "", now); open.Resolution != domain.Hourly {
		t.Errorf("less than a week up to now is read as %+v", open)
	}
	spanWindow(t, "", "2025-11-21T10:30:00Z", "2026-11-22T10:30:00Z", now)
	span, err := domain.ParseSpan("", "2025-11-21T10:30:00Z", "2026-11-22T10:30:01Z", "")
	if err != nil {
		t.Fatal(err)
	}
	if window, err := span.Window(now, domain.Cutoffs{}); err == nil {
		t.Errorf("a year and a second is %+v", window)
	}
}

func TestPeriodIsASpan(t *testing.T) {
	now := at(t, "2026-11-23T10:42:07Z")
	for _, text := range []string{"1h", "168h", "30d", "366d"} {
		period, err := domain.ParsePeriod(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := spanWindow(t, text, "", "", now); got != period.Window(now) {
			t.Errorf("%s: window = %+v, want %+v", text, got, period.Window(now))
		}
	}
}

func TestSpanWindowByResolution(t *testing.T) {
	const now = "2026-11-23T10:42:07Z"
	tests := []struct {
		name, period, start, end, resolution string
		wantStart, wantEnd                   string // or the refusal in place of wantStart
	}{
		{"a week in days", "7d", "", "", "day", "2026-11-16T00:00:00Z", "2026-11-24T00:00:00Z"},
		{"an hour in days", "1h", "", "", "day", "2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z"},
		{"an hour before that begins the day before", "11h", "", "", "day", "2026-11-22T00:00:00Z", "2026-11-24T00:00:00Z"},
		{"a day in hours, as without", "24h", "", "", "hour", "2026-11-22T10:00:00Z", "2026-11-23T11:00:00Z"},
		{"eight days in hours", "8d", "", "", "hour", "2026-11-15T10:00:00Z", "2026-11-23T11:00:00Z"},
		{"as many hours as can be", "15d", "", "", "hour", "2026-11-08T10:00:00Z", "2026-11-23T11:00:00Z"},
		{"an hour more", "361h", "", "", "hour", "resolution=hour is for windows of up to 360 hours: ask for a shorter one", ""},
		{"a year in days, as without", "366d", "", "", "day", "2025-11-22T00:00:00Z", "2026-11-24T00:00:00Z"},
		{"bounds in days", "", "2026-11-20T06:00:00Z", "2026-11-21T06:00:00Z", "day", "2026-11-20T00:00:00Z", "2026-11-22T00:00:00Z"},
		{"bounds of today in days", "", "2026-11-23T06:00:00Z", "2026-11-23T07:00:00Z", "day", "2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z"},
		{"up to now in days", "", "2026-11-20T06:00:00Z", "", "day", "2026-11-20T00:00:00Z", "2026-11-24T00:00:00Z"},
		{"bounds in hours", "", "2026-11-01", "2026-11-12", "hour", "2026-11-01T00:00:00Z", "2026-11-12T00:00:00Z"},
		{"up to now in hours", "", "2026-11-08T10:59:59Z", "", "hour", "2026-11-08T10:00:00Z", "2026-11-23T11:00:00Z"},
		{"an hour more up to now", "", "2026-11-08T09:59:59Z", "", "hour", "resolution=hour is for windows of up to 360 hours", ""},
		{"360 hours", "", "2026-11-07T10:30:00Z", "2026-11-22T10:30:00Z", "hour", "2026-11-07T10:00:00Z", "2026-11-22T11:00:00Z"},
		{
			"bounds of more hours", "", "2026-11-01", "2026-11-16T00:00:01Z", "hour",
			"resolution=hour is for windows of up to 360 hours: ask for a shorter one, or for resolution=day", "",
		},
		{"the oldest hours", "", "2026-10-24T10:59:59Z", "2026-10-30", "hour", "2026-10-24T10:00:00Z", "2026-10-30T00:00:00Z"},
		{
			"an hour that is not kept", "", "2026-10-24T09:59:59Z", "2026-10-30", "hour",
			"resolution=hour is kept from 2026-10-24T10:00:00Z on: begin there, or ask for resolution=day", "",
		},
		{"hours of which none is kept", "", "2026-09-01", "2026-09-02", "hour", "resolution=hour is kept from 2026-10-24T10:00:00Z on", ""},
		{"the same in days", "", "2026-09-01", "2026-09-02", "day", "2026-09-01T00:00:00Z", "2026-09-02T00:00:00Z"},
		{"days of which none is kept", "", "2024-11-01", "2024-11-03", "day", "start and end lie before everything that is kept: days", ""},
		{"another length", "7d", "", "", "week", "resolution must be hour or day", ""},
		{"upper case", "7d", "", "", "Day", "resolution must be hour or day", ""},
		{"the next hour", "", "2026-11-23T11:00:00Z", "", "day", "start must lie in the past", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kept := domain.DefaultRetention().Cutoffs(at(t, now))
			var window domain.Window
			span, err := domain.ParseSpan(tt.period, tt.start, tt.end, tt.resolution)
			if err == nil {
				window, err = span.Window(at(t, now), kept)
			}
			if tt.wantEnd == "" {
				if domain.CodeOf(err) != domain.CodeInvalid || !strings.HasPrefix(domain.MessageOf(err), tt.wantStart) {
					t.Errorf("window = %+v, error = %v, want %q", window, err, tt.wantStart)
				}
				return
			}
			want := domain.Window{Start: at(t, tt.wantStart), End: at(t, tt.wantEnd), Resolution: domain.Resolution(tt.resolution), Period: tt.period}
			if err != nil || window != want {
				t.Errorf("window = %+v, %v\nwant %+v", window, err, want)
			}
		})
	}
}

// Answers are shared between spans of one text.
func TestSpanNamesItsResolution(t *testing.T) {
	seen := make(map[string]string)
	for _, bounds := range [][3]string{{"24h"}, {"", "2026-11-01"}, {"", "2026-11-01", "2026-11-02"}} {
		for _, resolution := range []string{"", "hour", "day"} {
			span, err := domain.ParseSpan(bounds[0], bounds[1], bounds[2], resolution)
			if err != nil {
				t.Fatal(err)
			}
			asked := fmt.Sprint(bounds, resolution)
			if other, ok := seen[span.String()]; ok {
				t.Errorf("%s and %s are both %s", asked, other, span)
			}
			seen[span.String()] = asked
		}
	}
}
