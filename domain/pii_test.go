package domain_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// vectors is testdata/pii-vectors.json; docs/pii-policy.md describes it.
type vectors struct {
	Format int         `json:"format"`
	Names  []nameCase  `json:"names"`
	Values []valueCase `json:"values"`
	// Versions are judged as the version of a program.
	Versions []valueCase `json:"versions"`
}

type nameCase struct {
	Name string `json:"name"`
	// Listed is the name on the list that it equals; empty when it passes.
	Listed string `json:"listed"`
	Why    string `json:"why"`
}

type valueCase struct {
	Value string `json:"value"`
	// LooksLike is one of looks, or empty when it passes.
	LooksLike string `json:"looks_like"`
	Why       string `json:"why"`
}

// looks are the words of the vectors for what a value looks like.
var looks = map[string]domain.Personal{
	"":            "",
	"e-mail":      domain.PersonalEmail,
	"network":     domain.PersonalIP,
	"coordinates": domain.PersonalCoordinates,
	"telephone":   domain.PersonalPhone,
	"disguise":    domain.PersonalDisguise,
}

func readVectors(t *testing.T) vectors {
	t.Helper()
	data, err := os.ReadFile("testdata/pii-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestVectorsAreFit holds the file to what it says of itself: every case once
// and explained, of every kind enough, and no text too long for the fields.
func TestVectorsAreFit(t *testing.T) {
	v := readVectors(t)
	if v.Format != 1 {
		t.Errorf("format %d", v.Format)
	}
	count := make(map[string]int)
	seen := make(map[string]bool)
	for _, c := range v.Names {
		count["name "+strconv.FormatBool(c.Listed != "")]++
		if seen["name "+c.Name] || c.Why == "" {
			t.Errorf("%q stands there twice or is not explained", c.Name)
		}
		seen["name "+c.Name] = true
	}
	for _, c := range v.Values {
		if _, known := looks[c.LooksLike]; !known {
			t.Errorf("%q looks like %q, whatever that is", c.Value, c.LooksLike)
		}
		count[c.LooksLike]++
		if seen[c.Value] || c.Why == "" {
			t.Errorf("%q stands there twice or is not explained", c.Value)
		}
		seen[c.Value] = true
		if utf8.RuneCountInString(c.Value) > domain.MaxParameterLength {
			t.Errorf("%q fits into no parameter", c.Value)
		}
	}
	for kind, least := range map[string]int{
		"name true": 200, "name false": 80, "": 200, "e-mail": 40, "network": 40, "coordinates": 40, "telephone": 40, "disguise": 10,
	} {
		if count[kind] < least {
			t.Errorf("%d cases of %q, want %d at least", count[kind], kind, least)
		}
	}
}

func TestNameVectors(t *testing.T) {
	for _, c := range readVectors(t).Names {
		listed, personal := domain.PersonalName(c.Name)
		if listed != c.Listed || personal != (c.Listed != "") {
			t.Errorf("%q is %q, want %q: %s", c.Name, listed, c.Listed, c.Why)
		}
	}
}

func TestValueVectors(t *testing.T) {
	for _, c := range readVectors(t).Values {
		looksLike, personal := domain.PersonalValue(c.Value)
		if looksLike != looks[c.LooksLike] || personal != (c.LooksLike != "") {
			t.Errorf("%q looks like %q, want %q: %s", c.Value, looksLike, c.LooksLike, c.Why)
		}
	}
}

func TestVersionVectors(t *testing.T) {
	for _, c := range readVectors(t).Versions {
		looksLike, personal := domain.PersonalVersion(c.Value)
		if looksLike != looks[c.LooksLike] || personal != (c.LooksLike != "") {
			t.Errorf("the version %q looks like %q, want %q: %s", c.Value, looksLike, c.LooksLike, c.Why)
		}
	}
}

func TestListedNames(t *testing.T) {
	folded := make(map[string]string)
	for _, name := range domain.PersonalNames() {
		fold := domain.FoldName(name)
		if folded[fold] != "" {
			t.Errorf("%q is %q", name, folded[fold])
		}
		folded[fold] = name
		if len(fold) >= 32 {
			t.Errorf("%q is longer than what is looked at", name)
		}
		if _, personal := domain.PersonalName(strings.ToUpper(name)); !personal {
			t.Errorf("%q passes in upper case", name)
		}
	}
	if _, personal := domain.PersonalName(strings.Repeat("email", 100)); personal {
		t.Error("a name is personal by how it begins")
	}
	listed := make(map[string]bool)
	for _, c := range readVectors(t).Names {
		listed[c.Listed] = true
	}
	for name := range folded {
		if !listed[folded[name]] {
			t.Errorf("%q is in no vector", folded[name])
		}
	}
}

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

// quoted is the text as JSON, every character as an escape or none.
func quoted(text string, escaped bool) string {
	if !escaped {
		data, err := json.Marshal(text)
		if err != nil {
			panic(err)
		}
		return string(data)
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		if r > 0xffff {
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// detailedEvent is the JSON of an event with these members in place of its own.
func detailedEvent(members map[string]string) string {
	all := map[string]string{
		"version": `"1.23.0"`, "tool": `"get_alerts"`, "status": `"error"`, "timestamp_hour": `"2026-11-23T14:00:00Z"`,
		"analytics_level": `"detailed"`, "error_type": `"timeout"`,
	}
	maps.Copy(all, members)
	var parts []string
	for name, value := range all {
		parts = append(parts, quoted(name, false)+":"+value)
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// violationsOf is what the server says of a batch of one event. With none the
// event is accepted.
func violationsOf(t *testing.T, body string) []domain.Violation {
	t.Helper()
	judgement, err := domain.NewValidator(domain.ValidatorConfig{}).Batch([]byte(body), capturedAt)
	if err != nil {
		return []domain.Violation{{Code: domain.ViolationCode("refused as a whole"), Message: err.Error()}}
	}
	if len(judgement.Violations) == 0 && len(judgement.Events) != 1 {
		t.Fatalf("no violation, and %d events", len(judgement.Events))
	}
	return judgement.Violations
}

func isPersonal(violations []domain.Violation) bool {
	return slices.ContainsFunc(violations, func(v domain.Violation) bool { return v.Code == domain.ViolationPII })
}

// TestNameVectorsThroughTheValidator puts every name in every place that a
// member can have.
func TestNameVectorsThroughTheValidator(t *testing.T) {
	own := []string{"version", "tool", "session_id", "sequence_number", "country", "status"}
	for _, c := range readVectors(t).Names {
		for _, escaped := range []bool{false, true} {
			name := quoted(c.Name, escaped)
			member := name + ":1"
			events := map[string]string{
				"a parameter":      detailedEvent(map[string]string{"parameters": "{" + member + "}"}),
				"in an object":     detailedEvent(map[string]string{"more": `{"a":{"b":{` + member + `}}}`}),
				"in an array":      detailedEvent(map[string]string{"more": `[[1,{"a":[{` + member + `}]}]]`}),
				"in a parameter":   detailedEvent(map[string]string{"parameters": `{"a":{"b":[{` + member + `}]}}`}),
				"in another field": detailedEvent(map[string]string{"session_id": `{` + member + `}`}),
			}
			if !slices.Contains(own, c.Name) {
				events["a field"] = strings.Replace(detailedEvent(nil), "{", "{"+member+",", 1)
			}
			for place, event := range events {
				if got := isPersonal(violationsOf(t, batchOf(event))); got != (c.Listed != "") {
					t.Errorf("%q as %s is personal: %t, want %t: %s", c.Name, place, got, c.Listed != "", c.Why)
				}
			}
			beside := `{"events":[` + detailedEvent(nil) + `],` + member + `}`
			_, err := domain.NewValidator(domain.ValidatorConfig{}).Batch([]byte(beside), capturedAt)
			if refused := err != nil; refused != (c.Listed != "") {
				t.Errorf("%q beside the events is refused: %v, want %t: %s", c.Name, err, c.Listed != "", c.Why)
			}
		}
	}
}

// The characters that a version and an error type may have.
var (
	versionForm   = regexp.MustCompile(`^[0-9A-Za-z.+_-]{1,20}$`)
	errorTypeForm = regexp.MustCompile(`^[0-9A-Za-z_.:-]{1,100}$`)
)

// TestValueVectorsThroughTheValidator puts every value in every place that free
// text can have. What passes is refused for its form at most.
func TestValueVectorsThroughTheValidator(t *testing.T) {
	v := readVectors(t)
	for _, c := range append(v.Values, v.Versions...) {
		text := strings.TrimSpace(c.Value)
		_, personal := domain.PersonalValue(text)
		_, personalVersion := domain.PersonalVersion(text)
		for _, escaped := range []bool{false, true} {
			value := quoted(c.Value, escaped)
			places := map[string]struct {
				event string
				fits  bool
			}{
				"version":                {detailedEvent(map[string]string{"version": value}), versionForm.MatchString(text)},
				"error type":             {detailedEvent(map[string]string{"error_type": value}), errorTypeForm.MatchString(text)},
				"parameter":              {detailedEvent(map[string]string{"parameters": `{"note":` + value + `}`}), true},
				"one of many parameters": {detailedEvent(map[string]string{"parameters": `{"a":1,"b":"x","note":` + value + `,"c":true}`}), true},
			}
			if _, listed := domain.PersonalName(c.Value); !listed {
				name := detailedEvent(map[string]string{"parameters": `{` + value + `:1}`})
				places["parameter's name"] = struct {
					event string
					fits  bool
				}{name, true}
			}
			for place, p := range places {
				violations := violationsOf(t, batchOf(p.event))
				personal := personal
				if place == "version" {
					personal = personalVersion
				}
				if isPersonal(violations) != personal {
					t.Errorf("%q as %s: %v, want personal: %t: %s", c.Value, place, violations, personal, c.Why)
				}
				if !personal && p.fits != (len(violations) == 0) {
					t.Errorf("%q as %s: %v", c.Value, place, violations)
				}
			}
		}
	}
}

// TestNestedValuesAreNeverStored is why only the parameters themselves are
// scanned.
func TestNestedValuesAreNeverStored(t *testing.T) {
	for _, parameters := range []string{`{"a":{"b":"ada@example.com"}}`, `{"a":["ada@example.com"]}`, `["ada@example.com"]`, `"ada@example.com"`} {
		if len(violationsOf(t, batchOf(detailedEvent(map[string]string{"parameters": parameters})))) == 0 {
			t.Errorf("%s is accepted", parameters)
		}
	}
	for _, field := range []string{"tool", "status", "analytics_level", "service", "country", "session_id", "timestamp_hour", "cache_hit", "retry_count"} {
		if len(violationsOf(t, batchOf(detailedEvent(map[string]string{field: `"ada@example.com"`})))) == 0 {
			t.Errorf("%s takes an e-mail address", field)
		}
	}
}

// TestScanningTakesNoLongTime judges texts of the size of a body, made to keep
// the rules busy. With a rule that looks at all parts of a text they take
// hours; a minute is much on any machine.
func TestScanningTakesNoLongTime(t *testing.T) {
	for _, unit := range []string{":", "a::", "1:2:3:4:5:6:7 ", "1 ", "+1 ", "(1 ", "%41", "&#6", "1-", "1.1 ", "1d2 ", "N1°", " dot ", "a@a.", "tel1"} {
		text := strings.Repeat(unit, 90_000/len(unit))
		start := time.Now()
		domain.PersonalValue(text[:len(text)/5])
		for _, event := range []string{
			detailedEvent(map[string]string{"version": quoted(text, false)}),
			detailedEvent(map[string]string{"parameters": `{"a":` + quoted(text, false) + `}`}),
		} {
			if len(violationsOf(t, batchOf(event))) == 0 {
				t.Errorf("%d bytes of %q are accepted", len(text), unit)
			}
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("%d bytes of %q took %v", len(text), unit, took)
		}
	}
}

// TestThePolicyIsDocumented holds the page for those who write clients to the
// list and the patterns.
func TestThePolicyIsDocumented(t *testing.T) {
	data, err := os.ReadFile("../docs/pii-policy.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	for _, name := range domain.PersonalNames() {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("the page does not have the name %s", name)
		}
	}
	for _, word := range domain.PolicyWords() {
		if !strings.Contains(page, "`"+word+"`") {
			t.Errorf("the page does not have the word %s", word)
		}
	}
	for character := range domain.Likenesses() {
		if !strings.Contains(page, fmt.Sprintf("U+%04X", character)) {
			t.Errorf("the page does not have U+%04X", character)
		}
	}
}
