package domain_test

import (
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	instant, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return instant
}

func TestParsePeriod(t *testing.T) {
	tests := []struct {
		text string
		want time.Duration // 0 refuses
	}{
		{"1h", time.Hour},
		{"24h", 24 * time.Hour},
		{"168h", 168 * time.Hour},
		{"169h", 169 * time.Hour},
		{"720h", 720 * time.Hour},
		{"1d", 24 * time.Hour},
		{"7d", 168 * time.Hour},
		{"365d", 8760 * time.Hour},
		{"366d", 8784 * time.Hour},
		{"", 0},
		{"h", 0},
		{"d", 0},
		{"0h", 0},
		{"0d", 0},
		{"01h", 0},
		{"-1h", 0},
		{"+1h", 0},
		{"721h", 0},
		{"999h", 0},
		{"1000h", 0},
		{"367d", 0},
		{"1.5h", 0},
		{"1e2h", 0},
		{"24", 0},
		{"24H", 0},
		{"24 h", 0},
		{" 24h", 0},
		{"24h ", 0},
		{"24m", 0},
		{"1w", 0},
		{"1h1", 0},
		{"1hh", 0},
		{"٣h", 0},
		{"1\x00h", 0},
		{strings.Repeat("9", 100) + "h", 0},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			period, err := domain.ParsePeriod(tt.text)
			if tt.want == 0 {
				if domain.CodeOf(err) != domain.CodeInvalid || !strings.HasPrefix(domain.MessageOf(err), "period ") {
					t.Fatalf("error = %v, want one that begins with the parameter's name", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if period.Length() != tt.want || period.String() != tt.text {
				t.Errorf("period = %s of %v, want %s of %v", period, period.Length(), tt.text, tt.want)
			}
		})
	}
}

func TestPeriodWindow(t *testing.T) {
	tests := []struct {
		name, period, now, start, end string
		resolution                    domain.Resolution
		buckets                       int
	}{
		{
			"the start is floored and the hour of now is counted", "1h", "2026-11-23T10:02:00Z",
			"2026-11-23T09:00:00Z", "2026-11-23T11:00:00Z", domain.Hourly, 2,
		},
		{
			"an exact hour is the start of its own bucket", "1h", "2026-11-23T10:00:00Z",
			"2026-11-23T09:00:00Z", "2026-11-23T11:00:00Z", domain.Hourly, 2,
		},
		{
			"one nanosecond before the hour", "1h", "2026-11-23T09:59:59.999999999Z",
			"2026-11-23T08:00:00Z", "2026-11-23T10:00:00Z", domain.Hourly, 2,
		},
		{
			"a day in hours", "24h", "2026-11-23T10:42:00Z",
			"2026-11-22T10:00:00Z", "2026-11-23T11:00:00Z", domain.Hourly, 25,
		},
		{
			"one day is the same as its hours", "1d", "2026-11-23T10:42:00Z",
			"2026-11-22T10:00:00Z", "2026-11-23T11:00:00Z", domain.Hourly, 25,
		},
		{
			"the minute before midnight, at the end of a year", "1h", "2026-12-31T23:59:00Z",
			"2026-12-31T22:00:00Z", "2027-01-01T00:00:00Z", domain.Hourly, 2,
		},
		{
			"midnight", "1h", "2027-01-01T00:00:00Z",
			"2026-12-31T23:00:00Z", "2027-01-01T01:00:00Z", domain.Hourly, 2,
		},
		{
			"the longest window of hours", "168h", "2026-11-23T10:42:00Z",
			"2026-11-16T10:00:00Z", "2026-11-23T11:00:00Z", domain.Hourly, 169,
		},
		{
			"seven days are as long", "7d", "2026-11-23T10:42:00Z",
			"2026-11-16T10:00:00Z", "2026-11-23T11:00:00Z", domain.Hourly, 169,
		},
		{
			"an hour more is read in days", "169h", "2026-11-23T10:42:00Z",
			"2026-11-16T00:00:00Z", "2026-11-24T00:00:00Z", domain.Daily, 8,
		},
		{
			"days at midnight", "30d", "2026-11-23T00:00:00Z",
			"2026-10-24T00:00:00Z", "2026-11-24T00:00:00Z", domain.Daily, 31,
		},
		{
			"the longest window, over a leap day", "366d", "2028-03-01T12:00:00Z",
			"2027-03-01T00:00:00Z", "2028-03-02T00:00:00Z", domain.Daily, 367,
		},
		{
			"another zone's time is taken to UTC", "24h", "2026-11-23T16:12:00+05:30",
			"2026-11-22T10:00:00Z", "2026-11-23T11:00:00Z", domain.Hourly, 25,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			period, err := domain.ParsePeriod(tt.period)
			if err != nil {
				t.Fatal(err)
			}
			window := period.Window(at(t, tt.now))
			want := domain.Window{Start: at(t, tt.start), End: at(t, tt.end), Resolution: tt.resolution, Period: tt.period}
			if window != want {
				t.Errorf("window = %+v\nwant %+v", window, want)
			}
			if got := len(window.Buckets()); got != tt.buckets {
				t.Errorf("%d buckets, want %d", got, tt.buckets)
			}
		})
	}
}

func TestWindowIsHalfOpen(t *testing.T) {
	window := spanWindow(t, "", "2026-11-23T09:00:00Z", "2026-11-23T11:00:00Z", at(t, statisticsNow))
	tests := map[string]bool{
		"2026-11-23T08:59:59Z": false,
		"2026-11-23T09:00:00Z": true,
		"2026-11-23T10:59:59Z": true,
		"2026-11-23T11:00:00Z": false,
	}
	for text, want := range tests {
		if got := window.Contains(at(t, text)); got != want {
			t.Errorf("contains %s = %t, want %t", text, got, want)
		}
	}
}
