package domain_test

import (
	"strings"
	"testing"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

func TestNamesThatMeanPersonalData(t *testing.T) {
	caught := map[string]string{
		"Email": "email", "e-mail": "email", "E_M.A I-L": "email", "userName": "username", "user_name": "username",
		"USER": "user", "LATITUDE": "latitude", "Lat": "lat", "ipAddr": "ip_addr", "postal-code": "postal_code",
		"first name": "first_name", "SSN": "ssn", "MAC.address": "mac_address", "Pass_Word": "password",
		"ｅｍａｉｌ": "email", "ＩＰ": "ip", "addreſſ": "address", "zip\u00a0code": "zipcode", "e\u2010mail": "email",
		"e\u200bmail": "email", "to\u212Aen": "token", "user＿id": "user_id",
	}
	for name, want := range caught {
		if listed, personal := domain.PersonalName(name); !personal || foldedEqual(listed, want) == false {
			t.Errorf("%q: %q, %t; want %q", name, listed, personal, want)
		}
	}
	for _, name := range domain.PersonalNames() {
		if _, personal := domain.PersonalName(strings.ToUpper(name)); !personal {
			t.Errorf("%q passes in upper case", name)
		}
		if len(domain.FoldName(name)) >= 32 {
			t.Errorf("%q is longer than what is looked at", name)
		}
	}
	for _, name := range []string{
		"", "latency", "platform", "filename", "tool", "version", "country", "session_id", "status", "statement",
		"locations_count", "emails_sent", "username_length", "ipv", "tokens", "hostname", "placeholder", "addresses",
		"nаme", // with a Cyrillic а
		strings.Repeat("email", 100),
	} {
		if listed, personal := domain.PersonalName(name); personal {
			t.Errorf("%q is taken for %q", name, listed)
		}
	}
}

func foldedEqual(a, b string) bool { return domain.FoldName(a) == domain.FoldName(b) }

func TestEveryNameOfTheSpecificationIsListed(t *testing.T) {
	const names = "latitude longitude lat lon lng coords coordinates geo location place address street city state zip zipcode " +
		"postal_code user user_id username account name first_name last_name full_name email mail phone mobile ip ip_address " +
		"ip_addr client_ip remote_addr ssn social_security device_id mac_address cookie token password"
	for name := range strings.FieldsSeq(names) {
		if _, personal := domain.PersonalName(name); !personal {
			t.Errorf("%q passes", name)
		}
	}
}

func TestValuesThatLookPersonal(t *testing.T) {
	cases := map[domain.Personal][]string{
		domain.PersonalEmail: {
			"who@example.com", "mail to who.else+tag@mail.example.co.uk, please", "who%40example.com", "who＠example.com", "wér@exämple.de",
			"<who@example.com>", "a@b.io",
		},
		domain.PersonalIP: {
			"192.168.1.17", "connect 10.0.0.1:5432 refused", "v1.2.3.4", "255.255.255.255", "010.001.002.003", "http://8.8.8.8/x",
			"fe80::1", "2001:db8::8a2e:370:7334", "[::1]:8080", "::ffff:10.0.0.1", "to 2001:db8:0:0:0:0:2:1.", "addr fe80::1: gone",
			"FE80::DEAD:BEEF", "a:b:c:d:e:f:a:b", "ECONNREFUSED:2001:db8::1", "ECONNREFUSED_2001:db8::1", "connect:2001:db8::1",
			"2001:db8::1.getaddrinfo", "2001:DB8::1_x", "user2001:db8::1", "::1", "１０.０.０.１", "10.0.\u200b0.1", "ip_192.168.1.1",
		},
		domain.PersonalCoordinates: {
			"47.6062,-122.3321", "47.6, -122.3", "-33.87;151.21", "47.6062 -122.3321", "(47.6062, -122.3321)", "122.3321,47.6062",
			"47.6062:-122.3321", "47.60_122.33", "47.60/122.33", "47.60|122.33", "47.6°N, 122.3°W", "N47.6 W122.3", `47°36'22"N 122°19'55"W`,
			"geo:47.6,-122.3", "at 47.6N, 122.3W today", "lat=47.6062&lon=-122.3321", "lat 47.6062 lon -122.3321", "47.6062%2C-122.3321",
			"47.6062,-122", "-122, 47.6062", "47,6062 -122,3321", "47.6062N122.3321W", "N 47° 36.372 W 122° 19.926", "47.6062-122.3321",
			"47.6062--122.3321", "lat47.6062lon-122.3321", "47.6062\u200b,-122.3321", "47.6062, −122.3321", "47.6062:122.3321",
		},
		domain.PersonalPhone: {
			"+15551234567", "+1 555 123 4567", "+44 20 7946 0958", "tel:+49-30-123456", "555-123-4567", "(555) 123-4567", "1-555-123-4567",
			"555.123.4567", "5551234567", "call 5551234567 now", "0171 1234567", "06 12 34 56 78", "0049 30 123456", "030/12345678",
			"(555)1234567", "1 (555) 1234567", "user_5551234567", "＋15551234567",
		},
	}
	for want, texts := range cases {
		for _, text := range texts {
			if got, personal := domain.PersonalValue(text); !personal || got != want {
				t.Errorf("%q: %q, %t; want %q", text, got, personal, want)
			}
		}
	}
}

func TestValuesThatPass(t *testing.T) {
	for _, text := range []string{
		"", "1.23.0", "1.2.3", "1.2.3.4.5", "1.2.3.456", "1.23.0-rc.1+build.20261123", "2.0.0+20261123142345", "2026.11.23", "20261123",
		"2026-11-23", "2026-11-23T14:00:00Z", "14:23:45", "01-02-2026", "npm@10", "weather-mcp@1.23.0", "@scope/package", "50%",
		"std::bad_alloc", "A::B", "Foo::Bar", "::", "key: value: more", "HTTP:404", "metric", "7 days", "47.6062", "temp 72.5°F",
		"10,20", "1.5", "rain 0.5 in", "95.5, 190.1", "abc5551234567", "8454000", "01646500", "12345678", "100-200", "1.0.0-20261123",
		"1234567.890", "0", "00", "x1.2", "192.168.1", "1e10", "147400d0b60e0c72", "-", "....", ",,,,", "::::", "@@@@", "((((((((((",
		"+1.23.0", "0x1234567890abcdef", "Error::404", "host::1", "1.234 s of 5.678.9", "1.10-2.20", "p50 412.5 p99 1650.25", "100%",
		"12,345 of 67,890", "0.123, 200", "%zz", "1.5, b", "40.7128", "1.23.0_1.24.0", "2.345", "99.123.456",
	} {
		if got, personal := domain.PersonalValue(text); personal {
			t.Errorf("%q is taken for %s", text, got)
		}
	}
}
