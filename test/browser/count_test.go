package browser_test

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// counted is what the dashboard has to show, by name, computed from the calls
// themselves, in no way like the service does: no aggregates, no sketches, and
// nothing of package domain.
type counted map[string]string

// countOf counts the calls of the period that ends at now.
func countOf(calls []call, period string, now time.Time) counted {
	start, end, length := windowOf(period, now)
	var within []call
	for _, c := range calls {
		if !c.within.Before(start) && c.within.Before(end) {
			within = append(within, c)
		}
	}
	counts := counted{"title": fmt.Sprintf("%s: %s to %s", period, start.Format(time.RFC3339), end.Format(time.RFC3339))}
	counts.summary(within)
	counts.tools(within)
	counts.errors(within)
	counts.services(within)
	counts.countries(within)
	for bucket := start; bucket.Before(end); bucket = bucket.Add(length) {
		counts.bucket(within, bucket, length)
	}
	return counts
}

// windowOf knows the four periods of the dashboard.
func windowOf(period string, now time.Time) (start, end time.Time, length time.Duration) {
	const day = 24 * time.Hour
	now = now.UTC()
	back := map[string]time.Duration{"1h": time.Hour, "24h": day, "7d": 7 * day, "30d": 30 * day}[period]
	length = time.Hour
	if period == "30d" {
		length = day
	}
	return now.Add(-back).Truncate(length), now.Truncate(length).Add(length), length
}

func (n counted) set(value string, name ...string) { n[strings.Join(name, " ")] = value }

func (n counted) summary(calls []call) {
	versions, installs := distinct(calls, func(c call) string { return c.Version }), distinct(calls, func(c call) string { return c.Session })
	hits, misses := cached(calls)
	n.set(strconv.Itoa(len(calls)), "summary", "calls", "value")
	n.set(strconv.Itoa(len(installs)), "summary", "installs", "value")
	n.set(strconv.Itoa(len(versions)), "summary", "versions", "value")
	n.set(success(calls), "summary", "success", "value")
	n.set(number(mean(times(calls)), 1), "summary", "ms", "value")
	n.set(share(hits, hits+misses), "summary", "cache", "value")
	n.set(strconv.Itoa(hits), "summary", "saved", "value")
}

func (n counted) tools(calls []call) {
	for _, tool := range distinct(calls, func(c call) string { return c.Tool }) {
		of := where(calls, func(c call) bool { return c.Tool == tool })
		n.set(strconv.Itoa(len(of)), "tools", tool, "calls")
		n.set(success(of), "tools", tool, "success")
		n.set(number(mean(times(of)), 1), "tools", tool, "ms")
		n.latency(times(of), "tools", tool)
		hits, misses := cached(of)
		n.set("–", "tools", tool, "cache")
		if hits+misses > 0 {
			n.set(share(hits, hits+misses), "tools", tool, "cache")
		}
	}
}

// latency wants percentiles by nearest rank.
func (n counted) latency(sorted []int, name ...string) {
	for key, part := range map[string]float64{"p50": 0.5, "p95": 0.95, "p99": 0.99} {
		value := "–"
		if len(sorted) > 0 {
			value = strconv.Itoa(sorted[int(math.Ceil(part*float64(len(sorted))))-1])
		}
		n.set(value, append(slices.Clone(name), key)...)
	}
}

func (n counted) errors(calls []call) {
	for _, kind := range distinct(calls, func(c call) string { return c.ErrorType }) {
		of := where(calls, func(c call) bool { return c.ErrorType == kind })
		n.set(strconv.Itoa(len(of)), "errors", kind, "count")
		n.set(share(len(of), len(calls)), "errors", kind, "share")
		n.set(strings.Join(distinct(of, func(c call) string { return c.Tool }), " "), "errors", kind, "tools")
	}
}

func (n counted) services(calls []call) {
	noaa := where(calls, func(c call) bool { return c.Service == "noaa" })
	openMeteo := where(calls, func(c call) bool { return c.Service == "openmeteo" })
	for key, of := range map[string][]call{"noaa": noaa, "openMeteo": openMeteo} {
		n.set(strconv.Itoa(len(of)), "services", key, "calls")
		n.set(success(of), "services", key, "success")
	}
	// Of a tie only one may be rounded up, as the shares add up to 100.
	both := len(noaa) + len(openMeteo)
	n.set(share(len(noaa), both), "services", "noaa", "share")
	n.set("0%", "services", "openMeteo", "share")
	if both > 0 {
		n.set(number(100-rounded(100*float64(len(noaa))/float64(both), 4), 4)+"%", "services", "openMeteo", "share")
	}
}

func (n counted) countries(calls []call) {
	names := map[string]string{"US": "United States", "CH": "Switzerland", "IN": "India", "NP": "Nepal"}
	told := where(calls, func(c call) bool { return c.Country != "" })
	for _, code := range distinct(told, func(c call) string { return c.Country }) {
		of := where(told, func(c call) bool { return c.Country == code })
		n.set(names[code], "countries", code, "name")
		n.set(strconv.Itoa(len(of)), "countries", code, "calls")
		n.set(share(len(of), len(told)), "countries", code, "share")
	}
}

// bucket wants every tool of the window in every bucket of it, and response
// times where there are any.
func (n counted) bucket(calls []call, start time.Time, length time.Duration) {
	within := where(calls, func(c call) bool { return c.within.Truncate(length).Equal(start) })
	at := start.Format(time.RFC3339)
	for _, tool := range distinct(calls, func(c call) string { return c.Tool }) {
		n.set(strconv.Itoa(len(where(within, func(c call) bool { return c.Tool == tool }))), "usage", at, tool)
	}
	if took := times(within); len(took) > 0 {
		n.latency(took, "latency", at)
	}
}

func where(calls []call, holds func(call) bool) []call {
	return slices.DeleteFunc(slices.Clone(calls), func(c call) bool { return !holds(c) })
}

// distinct lists the values that there are, ascending.
func distinct(calls []call, of func(call) string) []string {
	values := make(map[string]bool)
	for _, c := range calls {
		values[of(c)] = true
	}
	delete(values, "")
	return slices.Sorted(maps.Keys(values))
}

// times lists the response times that were told, ascending.
func times(calls []call) []int {
	var told []int
	for _, c := range calls {
		if c.ResponseTime != nil {
			told = append(told, *c.ResponseTime)
		}
	}
	slices.Sort(told)
	return told
}

func mean(values []int) float64 {
	sum := 0
	for _, v := range values {
		sum += v
	}
	return float64(sum) / max(1, float64(len(values)))
}

func cached(calls []call) (hits, misses int) {
	for _, c := range calls {
		switch {
		case c.CacheHit == nil:
		case *c.CacheHit:
			hits++
		default:
			misses++
		}
	}
	return hits, misses
}

// success is a fraction to 4 decimals, shown in percent.
func success(calls []call) string {
	good := len(where(calls, func(c call) bool { return c.Status == "success" }))
	return fmt.Sprintf("%.2f%%", 100*math.Round(1e4*float64(good)/max(1, float64(len(calls))))/1e4)
}

// share is in percent to 4 decimals.
func share(part, whole int) string {
	return number(100*float64(part)/max(1, float64(whole)), 4) + "%"
}

// number rounds and writes as JavaScript does.
func number(x float64, decimals int) string {
	return strconv.FormatFloat(rounded(x, decimals), 'f', -1, 64)
}

func rounded(x float64, decimals int) float64 {
	unit := math.Pow10(decimals)
	return math.Round(x*unit) / unit
}

// differences lists what is shown otherwise than counted. Percentiles may be
// 1 % off.
func (n counted) differences(shown map[string]string) []string {
	var list []string
	for name, want := range n {
		if got, ok := shown[name]; !ok || got != want && !isClose(name, got, want) {
			list = append(list, fmt.Sprintf("%s is %s, want %s", name, cmp.Or(got, "missing"), want))
		}
	}
	for name, got := range shown {
		if _, ok := n[name]; !ok {
			list = append(list, fmt.Sprintf("%s is %s and should not be there", name, got))
		}
	}
	slices.Sort(list)
	return list
}

func isClose(name, got, want string) bool {
	if !slices.ContainsFunc([]string{" p50", " p95", " p99"}, func(end string) bool { return strings.HasSuffix(name, end) }) {
		return false
	}
	g, err := strconv.ParseFloat(got, 64)
	w, wrong := strconv.ParseFloat(want, 64)
	return err == nil && wrong == nil && math.Abs(g-w) <= w/100
}
