package domain_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// TestCleanedDataIsCaught makes addresses, coordinates and telephone numbers,
// cleans them as programs do (other separators, ports, words around), and
// demands that each is caught.
func TestCleanedDataIsCaught(t *testing.T) {
	kinds := map[string]func(*rapid.T) string{
		"IPv4": cleanedIPv4, "IPv6": cleanedIPv6, "hardware": cleanedHardware, "e-mail": cleanedEmail,
		"coordinates": cleanedCoordinates, "telephone": cleanedTelephone,
	}
	for kind, draw := range kinds {
		t.Run(kind, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				for range 20 {
					text := draw(t)
					if _, personal := domain.PersonalValue(text); !personal {
						t.Fatalf("%q passes", text)
					}
				}
			})
		})
	}
}

// TestInnocentTextsPass makes what real programs send.
func TestInnocentTextsPass(t *testing.T) {
	kinds := map[string]func(*rapid.T) string{
		"version": innocentVersion, "time": innocentTime, "epoch": innocentEpoch, "hash": innocentHash, "UUID": innocentUUID,
		"error type": innocentErrorType, "model": innocentModel, "list": innocentList,
	}
	for kind, draw := range kinds {
		t.Run(kind, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				for range 20 {
					text := draw(t)
					if looks, personal := domain.PersonalValue(text); personal {
						t.Fatalf("%q looks like %s", text, looks)
					}
				}
			})
		})
	}
}

// TestFourNumbersInAVersion draws the border between versions and addresses.
func TestFourNumbersInAVersion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		octet := rapid.IntRange(0, 255)
		a, b, c, d := octet.Draw(t, "a"), octet.Draw(t, "b"), octet.Draw(t, "c"), octet.Draw(t, "d")
		version := fmt.Sprintf("%d.%d.%d.%d", a, b, c, d)
		_, personal := domain.PersonalVersion(version)
		if want := a >= 10 && (a == 10 || max(a, b, c, d) >= 100); personal != want {
			t.Errorf("the version %s is personal: %t", version, personal)
		}
	})
}

func pick(t *rapid.T, what string, from ...string) string {
	return rapid.SampledFrom(from).Draw(t, what)
}

// digits draws n of them, the first from first on.
func digits(t *rapid.T, n, first int) string {
	var b strings.Builder
	for i := range n {
		least := 0
		if i == 0 {
			least = first
		}
		fmt.Fprint(&b, rapid.IntRange(least, 9).Draw(t, "digit"))
	}
	return b.String()
}

// among puts words before and behind what programs clean.
func among(t *rapid.T, text string) string {
	before := pick(t, "before", "", "", "connect_", "error:", "ECONNREFUSED ", "lost.", "upstream-", "request to ", "(", "value=", "Timeout:")
	behind := pick(t, "behind", "", "", "_refused", ":closed", " not found", "-timeout", ")", "_lost", "/x")
	return before + text + behind
}

func cleanedIPv4(t *rapid.T) string {
	separator := pick(t, "separator", ".", "_", "-", ":")
	octet := rapid.IntRange(0, 255)
	octets := []int{octet.Draw(t, "a"), octet.Draw(t, "b"), octet.Draw(t, "c"), octet.Draw(t, "d")}
	isTime := octets[0] <= 23 && octets[1] <= 59 && octets[2] <= 59
	if separator != "." && (octets[0] == 0 || max(octets[0], octets[1], octets[2], octets[3]) < 100 || separator == ":" && isTime) {
		octets[0] = rapid.IntRange(100, 255).Draw(t, "long") // else it may be a list or a time
	}
	parts := strings.Split(strings.Trim(fmt.Sprint(octets), "[]"), " ")
	port := pick(t, "port", "", "", "22", "53", "80", "443", "5432", "8080", "65535")
	long := max(octets[0], octets[1], octets[2], octets[3]) >= 100
	if port != "" && (long || len(port) > 2) {
		parts = append(parts, port)
	}
	return among(t, strings.Join(parts, separator))
}

func cleanedIPv6(t *rapid.T) string {
	separator := pick(t, "separator", ":", "_", "-", ".")
	group := func() string { return fmt.Sprintf("%x", rapid.IntRange(0, 0xffff).Draw(t, "group")) }
	groups := []string{pick(t, "network", "2001", "2a02", "2606", "fd12", "fe80"), "db8", group(), group(), group(), group(), group(), group()}
	if rapid.Bool().Draw(t, "compressed") {
		groups = append(groups[:2:2], "", pick(t, "interface", "1", "a5", "8a2e"))
	}
	if len(groups) == 8 && rapid.Bool().Draw(t, "with a port") {
		groups = append(groups, pick(t, "port", "443", "8080", "65535"))
	}
	return among(t, strings.Join(groups, separator))
}

func cleanedHardware(t *rapid.T) string {
	pairs := make([]string, 6)
	for i := range pairs {
		pairs[i] = fmt.Sprintf("%02x", rapid.IntRange(0, 255).Draw(t, "pair"))
	}
	pairs[rapid.IntRange(0, 5).Draw(t, "letters")] = pick(t, "pair", "a0", "4e", "ff")
	text := strings.Join(pairs, pick(t, "separator", ":", "-", "_", "."))
	if rapid.Bool().Draw(t, "upper case") {
		text = strings.ToUpper(text)
	}
	return among(t, text)
}

func cleanedEmail(t *rapid.T) string {
	user := pick(t, "user", "ada", "ada.lovelace", "a_l", "ada+tag", "x1")
	switch rapid.IntRange(0, 3).Draw(t, "form") {
	case 0:
		return among(t, user+pick(t, "sign", "@", " @ ", "%40", "[at]")+pick(t, "host", "example.com", "mail.example.org", "web.de"))
	case 1:
		return among(t, user+"@localhost")
	case 2:
		return among(t, user+"@example"+pick(t, "dot", "_", "-", ":")+pick(t, "domain", "com", "org", "de"))
	default:
		separator := pick(t, "separator", "_", "-", ":", "_at_")
		return among(t, user+separator+pick(t, "provider", "gmail", "yahoo", "outlook")+pick(t, "dot", "_", "-", ":", ".")+"com")
	}
}

// degrees draws a signed number with so many decimals, the last of which is
// no zero and which are no year.
func degrees(t *rapid.T, highest, decimals int) (sign, whole, fraction string) {
	sign = pick(t, "sign", "", "-")
	whole = strconv.Itoa(rapid.IntRange(1, highest-1).Draw(t, "whole"))
	return sign, whole, digits(t, decimals, 3)
}

func cleanedCoordinates(t *rapid.T) string {
	decimals := rapid.SampledFrom([]int{2, 4, 5, 6}).Draw(t, "decimals")
	latitudeSign, latitude, a := degrees(t, 90, decimals)
	longitudeSign, longitude, b := degrees(t, 180, decimals)
	join := func(point, between string) string {
		return latitudeSign + latitude + point + a + between + longitudeSign + longitude + point + b
	}
	switch rapid.IntRange(0, 5).Draw(t, "form") {
	case 0:
		return among(t, join(".", pick(t, "between", ",", ", ", " ", ";", "_", "/", "|", ":")))
	case 1:
		return among(t, join(",", pick(t, "between", " ", "; ", ";", "_", "/", "|", ", ")))
	case 2:
		point := pick(t, "point", "_", "-", ":")
		longitudeSign = "-"
		return among(t, join(point, pick(t, "between", "_", ",", ", ", point)))
	case 3:
		words := rapid.SampledFrom([][2]string{{"lat", "lon"}, {"latitude", "longitude"}, {"lat", "lng"}, {"Lat", "Long"}}).Draw(t, "words")
		sign := pick(t, "sign", "=", "_", ":", " ")
		point := pick(t, "point", ".", ",", "_")
		if point == "," {
			point = "."
		}
		return words[0] + sign + latitudeSign + latitude + point + a + pick(t, "between", "&", "_", ",", " ") + words[1] + sign +
			longitudeSign + longitude + point + b
	case 4:
		place := pick(t, "place", "points", "geo", "location", "coords", "gps", "ll")
		return place + pick(t, "sign", "_", "=", ":", "-") + join("_", pick(t, "between", "_", ",", "_,"))
	default:
		return among(t, latitude+"."+a+"°"+pick(t, "north", "N", "S")+pick(t, "between", " ", ", ", "_")+longitude+"."+b+"°"+
			pick(t, "east", "E", "W"))
	}
}

func cleanedTelephone(t *rapid.T) string {
	separator := pick(t, "separator", " ", "-", ".", "_", ":")
	join := func(groups ...string) string { return strings.Join(groups, separator) }
	area := func() string { return digits(t, 3, 2) }
	local := separator
	if separator == ":" {
		local = "-" // between two groups, or in pairs, a colon is that of a time or a port
	}
	var text string
	switch rapid.IntRange(0, 8).Draw(t, "country") {
	case 0:
		text = join(area(), area(), digits(t, 4, 0))
	case 1:
		text = join("1", area(), area(), digits(t, 4, 0))
	case 2:
		text = "+" + join(digits(t, 2, 2), digits(t, 3, 1), digits(t, 4, 0))
	case 3:
		text = "0" + digits(t, 2, 1) + local + digits(t, 7, 1)
	case 4:
		text = strings.Join([]string{digits(t, 3, 6), digits(t, 2, 0), digits(t, 2, 0), digits(t, 2, 0)}, local)
	case 5:
		if local == "." {
			local = " " // else it is a number with a fraction
		}
		text = digits(t, 5, 6) + local + digits(t, 4, 0) + "7"
	case 6:
		text = join(digits(t, 2, 1), "9"+digits(t, 4, 0), digits(t, 4, 0))
	case 7:
		return pick(t, "word", "tel", "phone", "fax", "sms", "mobile") + pick(t, "sign", ":", "_", "=", ": ", "") + digits(t, 3, 4) + pick(t, "separator", "", "-", " ", "_", ".") + digits(t, 4, 0)
	default:
		text = "(" + area() + ")" + pick(t, "blank", "", " ", "_") + digits(t, 3, 2) + "-" + digits(t, 4, 0)
	}
	return among(t, text)
}

func innocentVersion(t *rapid.T) string {
	number := rapid.IntRange(0, 99)
	text := pick(t, "v", "", "v") + fmt.Sprintf("%d.%d.%d", number.Draw(t, "major"), number.Draw(t, "minor"), number.Draw(t, "patch"))
	switch rapid.IntRange(0, 4).Draw(t, "more") {
	case 0:
		text += pick(t, "prerelease", "-beta", "-rc", "-alpha", "-next") + fmt.Sprintf(".%d", rapid.IntRange(0, 300).Draw(t, "of it"))
	case 1:
		text += "+" + innocentHash(t)[:7]
	case 2:
		text += "-" + date(t, "")
	case 3:
		text += fmt.Sprintf(".%d", rapid.IntRange(256, 30000).Draw(t, "build")) // as browsers have
	}
	return text
}

// date draws a day with a separator.
func date(t *rapid.T, separator string) string {
	return fmt.Sprintf("%d%s%02d%s%02d", rapid.IntRange(1970, 2069).Draw(t, "year"), separator,
		rapid.IntRange(1, 12).Draw(t, "month"), separator, rapid.IntRange(1, 28).Draw(t, "day"))
}

func innocentTime(t *rapid.T) string {
	hour, minute, second := rapid.IntRange(0, 23).Draw(t, "hour"), rapid.IntRange(0, 59).Draw(t, "minute"), rapid.IntRange(0, 59).Draw(t, "second")
	millisecond := rapid.IntRange(0, 999).Draw(t, "millisecond")
	clock := fmt.Sprintf("%02d:%02d:%02d", hour, minute, second)
	day := date(t, pick(t, "separator", "-", "/", "."))
	switch rapid.IntRange(0, 7).Draw(t, "form") {
	case 0:
		return day
	case 1:
		return day + pick(t, "T", "T", " ") + clock + pick(t, "zone", "", "Z", "+02:00", "-05:30")
	case 2:
		return day + "T" + clock + fmt.Sprintf(".%03dZ", millisecond)
	case 3:
		return date(t, "-") + "T" + strings.ReplaceAll(clock, ":", "-") + fmt.Sprintf("-%03dZ", millisecond) // as in file names
	case 4:
		return date(t, "") + pick(t, "T", "T", "", "_") + strings.ReplaceAll(clock, ":", "")
	case 5:
		return clock + pick(t, "of a second", "", fmt.Sprintf(".%03d", millisecond), fmt.Sprintf(":%03d", millisecond))
	case 6:
		return date(t, "-") + pick(t, "to", "/", "..", "_", " - ", "T00:00/") + date(t, "-")
	default:
		return date(t, "_") + "_" + strings.ReplaceAll(clock, ":", "_")
	}
}

func innocentEpoch(t *rapid.T) string {
	text := "1" + digits(t, rapid.SampledFrom([]int{9, 12, 15, 18}).Draw(t, "length"), 0)
	return pick(t, "before", "", "err_", "ts=", "at ", "job-", "cache:", "retry_after_") + text
}

// innocentHash draws one with a letter among its digits.
func innocentHash(t *rapid.T) string {
	length := rapid.SampledFrom([]int{7, 8, 12, 16, 32, 40, 64}).Draw(t, "length")
	return rapid.StringOfN(rapid.RuneFrom([]rune("0123456789abcdef")), length-1, length-1, -1).Draw(t, "hash") + pick(t, "letter", "a", "c", "f")
}

func innocentUUID(t *rapid.T) string {
	hex := rapid.RuneFrom([]rune("0123456789abcdef0123456789"))
	part := func(n int) string { return rapid.StringOfN(hex, n, n, -1).Draw(t, "part") }
	return pick(t, "before", "", "id=", "request_") + strings.Join([]string{part(8), part(4), "4" + part(3), "8" + part(3), part(12)}, "-")
}

func innocentErrorType(t *rapid.T) string {
	word := func() string {
		return pick(t, "word", "timeout", "Error", "HTTP", "ECONNREFUSED", "NOAA", "rate_limit", "invalid", "location", "parse", "net", "java",
			"TypeError", "upstream", "ERR", "fetch", "status", "code", "Validation", "retry")
	}
	text := word()
	if rapid.Bool().Draw(t, "more words") {
		text += pick(t, "separator", "_", ".", ":", "-", "::") + word() + pick(t, "separator", "_", ".", ":", "-", "::") + word()
	}
	switch rapid.IntRange(0, 3).Draw(t, "number") {
	case 0:
		return text + pick(t, "separator", "_", ":", "-", "") + digits(t, rapid.IntRange(1, 5).Draw(t, "digits"), 1)
	case 1:
		return text + ":" + strconv.Itoa(rapid.IntRange(1, 120_000).Draw(t, "milliseconds")) + "ms"
	default:
		return text
	}
}

func innocentModel(t *rapid.T) string {
	text := pick(t, "name", "gpt", "claude", "gemini", "llama", "mistral-large", "command-r", "o", "qwen", "phi")
	text += "-" + pick(t, "number", "4", "4.1", "3-5", "2.5", "3.1-8b", "4o", "70b", "1") + pick(t, "kind", "", "-sonnet", "-pro", "-mini", "-instruct")
	switch rapid.IntRange(0, 3).Draw(t, "date") {
	case 0:
		return text + "-" + date(t, "-")
	case 1:
		return text + "-" + date(t, "")
	case 2:
		return text + "-" + date(t, "-")[5:]
	default:
		return text
	}
}

// innocentList draws few small numbers, as in lists of layers or hours.
func innocentList(t *rapid.T) string {
	numbers := rapid.SliceOfN(rapid.IntRange(0, 48), 2, 9).Draw(t, "numbers")
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(numbers), "[]"), " ", pick(t, "separator", ",", ", ", ";"))
}
