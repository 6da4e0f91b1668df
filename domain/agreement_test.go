package domain_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// interesting holds, for every field, values at and around its rules.
var interesting = map[string][]string{
	"version":          {`"1.23.0"`, `"1.2.3.4"`, `""`, `" 2 "`, `"+15551234567"`, `"\u0031"`, `"123456789012345678901"`, `"12345678901234567890"`, `"1/2"`},
	"tool":             {`"get_alerts"`, `"get_x"`, `" get_alerts"`, `"other"`, `""`, `"GET_ALERTS"`},
	"status":           {`"success"`, `"error"`, `" error"`, `"ERROR"`, `""`},
	"timestamp_hour":   {`"2026-11-23T14:00:00Z"`, `"2026-11-23T14:30:00.000z"`, `"2026-11-23t14:00:00+05:45"`, `"2026-11-23T14:00:01Z"`, `"2026-11-23T17:00:00Z"`, `"1999-01-01T00:00:00Z"`, `"yesterday"`},
	"analytics_level":  {`"minimal"`, `"standard"`, `"detailed"`, `"detailed "`, `"all"`},
	"error_type":       {`"timeout"`, `"a b"`, `"x@y.zz"`, `""`, `" "`},
	"response_time_ms": {`0`, `12`, `120001`, `-1`, `1.5`, `0.4999999`, `-0.5`, `1e-9`, `1e3`, `9e999`, `123456789012345678901234567890`, `-0`, `0.0`},
	"service":          {`"noaa"`, `"NOAA"`, `""`, `"other"`, `" usgs "`},
	"cache_hit":        {`true`, `false`},
	"retry_count":      {`0`, `10`, `11`, `-1`, `1.0`, `2.5`},
	"country":          {`"US"`, `"us"`, `"uS"`, `"XX"`, `"xk"`, `"t1"`, `"XA"`, `"U"`, `""`, `"{["`},
	"parameters":       {`{}`, `{"a":1}`, `{"a":"x","b":true,"c":null}`, `{"city":1}`, `{"a":[]}`, `{"a":"1.2.3.4"}`, `{"\ud800":1}`, `{"a":1,"a":2}`, `{"a":null,"a":1}`},
	"session_id":       {`"147400d0b60e0c72"`, `"147400D0B60E0C72"`, `"x"`, `""`, `"147400d0b60e0c7Z"`},
	"sequence_number":  {`0`, `2147483647`, `2147483648`, `-5`, `1e2`},
	"more":             {`1`, `{"email":1}`, `[[[]]]`, `{"a":1,"a":2}`, `1e999`},
	"E-Mail":           {`1`},
}

var anywhere = []string{`null`, `true`, `7`, `"\u0000"`, `"\ud800"`, `"\\"`, `[]`, `{}`, `"x"`, `{"user":1}`}

// drawEvent draws the JSON of an event that is mostly good.
func drawEvent(t *rapid.T) string {
	members := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(interesting)) {
		values := interesting[name]
		present := 9
		if name == "more" || name == "E-Mail" {
			present = 1
		}
		switch n := rapid.IntRange(0, 99).Draw(t, name); {
		case n >= 10*present:
		case n%10 == 7:
			members[name] = rapid.SampledFrom(anywhere).Draw(t, name+" is")
		case n%10 > 7:
			members[name] = rapid.SampledFrom(values).Draw(t, name+" is")
		default:
			members[name] = values[0]
		}
	}
	parts := make([]string, 0, len(members))
	for name, value := range members {
		parts = append(parts, strconv.Quote(name)+":"+value)
	}
	slices.Sort(parts)
	return "{" + strings.Join(rapid.Permutation(parts).Draw(t, "order"), ",") + "}"
}

func TestHandAndOzzoAgree(t *testing.T) {
	strict := domain.NewValidator(domain.ValidatorConfig{})
	counting := domain.NewValidator(domain.ValidatorConfig{CountUnknownTools: true})
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		body := []byte(batchOf(drawEvent(t), drawEvent(t), drawEvent(t)))
		for _, validator := range []*domain.Validator{strict, counting} {
			if d := validator.Disagreement(body, capturedAt); d != "" {
				t.Fatalf("%s\n%s", d, body)
			}
			judgement, err := validator.Batch(body, capturedAt)
			if err == nil {
				checkJudgement(t, body, judgement)
				accepted += len(judgement.Events)
			}
		}
	})
	if accepted == 0 {
		t.Error("no event was ever accepted: the property says nothing")
	}
}

// TestScannerAndDecoderAgree cuts and changes bodies at a byte, so that they leave the
// common form anywhere.
func TestScannerAndDecoderAgree(t *testing.T) {
	whole := 0
	rapid.Check(t, func(t *rapid.T) {
		body := []byte(batchOf(detailed, rapid.SampledFrom([]string{detailed, drawEvent(t)}).Draw(t, "event"), detailed))
		switch at := rapid.IntRange(0, len(body)-1).Draw(t, "at"); rapid.IntRange(0, 4).Draw(t, "change") {
		case 0:
			body = body[:at]
		case 1:
			body[at] = rapid.SampledFrom([]byte(`{}[]",:\ 0-.eEn`+"\n\x00\x1f\x7f\xff")).Draw(t, "byte")
		case 2:
			body = slices.Insert(body, at, rapid.SampledFrom([]byte(`{}[]",:\ 0-.eEn`+"\n\x00")).Draw(t, "byte"))
		}
		for _, most := range []int{2, 3} {
			scanned, decoded, all := domain.ReadBoth(body, most)
			if scanned != decoded {
				t.Fatalf("the scanner reads\n%s\nand the decoder\n%s\nof %s", scanned, decoded, body)
			}
			if all {
				whole++
			}
		}
	})
	if whole == 0 {
		t.Error("the scanner never read a whole body: the property says nothing")
	}
}

// TestScannerAndDecoderAgreeOnMembers adds a member to an event of the common form,
// which may have it already.
func TestScannerAndDecoderAgreeOnMembers(t *testing.T) {
	values := []string{
		`0`, `-0`, `01`, `-`, `1.`, `1.50`, `.5`, `1e2`, `1E2`, `1.5e1`, `1e999`, `1x`, strings.Repeat("9", 400), `true`, `tru`, `nulll`, `null`,
		`""`, `"a"`, `"\u0061"`, `"a\"`, "\"\x1f\"", "\"\x7f\"", `"é"`, `[]`, `{}`, `{"a":1}`, `{"a":1,"a":2}`, `{"a":null,"a":2}`, `{"a":1,}`,
		`{"email":1}`, `{ "a" : null , "b" : "x" }`, `{"a":{}}`, `{"a":[]}`, `{"\u0061":1}`, `{"a" 1}`, `{"a":}`, `{"a":tru}`, ``,
	}
	whole, events := 0, 0
	for _, member := range []string{"status", "version", "retry_count", "parameters", "more", `stat\u0075s`} {
		for _, value := range values {
			for _, space := range []string{"", " ", "\t\n\r ", "\v"} {
				body := batchOf(detailed, `{"`+member+`"`+space+":"+space+value+space+`,"status":"success"`+space+"}", detailed)
				scanned, decoded, all := domain.ReadBoth([]byte(body), 3)
				if scanned != decoded {
					t.Fatalf("the scanner reads\n%s\nand the decoder\n%s\nof %s", scanned, decoded, body)
				}
				if events++; all {
					whole++
				}
			}
		}
	}
	if whole < 50 || whole > events/3 {
		t.Errorf("%d of %d bodies have the common form", whole, events)
	}
}

// What real clients send has the common form.
func TestCapturedBodiesHaveTheCommonForm(t *testing.T) {
	captures, err := filepath.Glob("../test/fixtures/real-client-*.json")
	if err != nil || len(captures) == 0 {
		t.Fatalf("no captured batches: %v", err)
	}
	for _, path := range captures {
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if scanned, decoded, whole := domain.ReadBoth(body, 1000); !whole || scanned != decoded {
			t.Errorf("%s: whole %t; the scanner reads\n%s\nand the decoder\n%s", path, whole, scanned, decoded)
		}
	}
}

type reporter interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checkJudgement holds a judgement to promises that need no knowledge of how
// it came about.
func checkJudgement(t reporter, body []byte, j domain.Judgement) {
	t.Helper()
	var batch struct {
		Events []any `json:"events"`
	}
	decoder := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\ufeff"))))
	decoder.UseNumber()
	if err := decoder.Decode(&batch); err != nil {
		t.Fatalf("encoding/json does not read what was judged: %v\n%s", err, body)
	}
	if len(batch.Events) != j.Submitted || len(j.Events) != len(j.Indexes) || !slices.IsSorted(j.Indexes) {
		t.Fatalf("%d events, judged %d, accepted %d at %v", len(batch.Events), j.Submitted, len(j.Events), j.Indexes)
	}
	refused := make(map[int]bool)
	for _, v := range j.Violations {
		refused[v.Index] = true
	}
	for index := range batch.Events {
		if refused[index] == slices.Contains(j.Indexes, index) {
			t.Fatalf("event %d is both or neither accepted and refused\n%s", index, body)
		}
	}
	for i, e := range j.Events {
		if name := personalMember(batch.Events[j.Indexes[i]]); name != "" {
			t.Fatalf("accepted with the name %q\n%s", name, body)
		}
		checkStorable(t, e)
	}
}

// personalMember looks for a listed name at any depth, its own way. It knows
// no relatives.
func personalMember(value any) string {
	switch value := value.(type) {
	case map[string]any:
		for name, inner := range value {
			plain := strings.NewReplacer("_", "", "-", "", ".", "", " ", "").Replace(strings.ToLower(name))
			for _, listed := range domain.PersonalNames() {
				if plain == strings.ReplaceAll(listed, "_", "") {
					return name
				}
			}
			if found := personalMember(inner); found != "" {
				return found
			}
		}
	case []any:
		for _, inner := range value {
			if found := personalMember(inner); found != "" {
				return found
			}
		}
	}
	return ""
}

func checkStorable(t reporter, e domain.Event) {
	t.Helper()
	detailedOnly := e.SessionID != "" || e.Parameters != "" || e.SequenceNumber.Valid
	standardOnly := e.ResponseTimeMS.Valid || e.Service != "" || e.CacheHit.Valid || e.RetryCount.Valid || e.Country != ""
	switch {
	case strings.ContainsRune(e.Version+e.ErrorType+e.Parameters, 0) || strings.ToValidUTF8(e.Parameters, "") != e.Parameters:
		t.Fatalf("text that no store holds: %+v", e)
	case e.Parameters != "" && !json.Valid([]byte(e.Parameters)):
		t.Fatalf("parameters are no JSON: %q", e.Parameters)
	case !e.Hour.Equal(e.Hour.Truncate(time.Hour)) || e.Hour.Location() != time.UTC:
		t.Fatalf("no UTC hour: %v", e.Hour)
	case e.Level != domain.LevelDetailed && detailedOnly, e.Level == domain.LevelMinimal && standardOnly:
		t.Fatalf("more than the level includes: %+v", e)
	case e.Version == "" || e.Tool == "" || e.Status == "":
		t.Fatalf("less than an event has: %+v", e)
	case e.ResponseTimeMS.Value < 0 || e.ResponseTimeMS.Value > domain.MaxResponseTimeMS:
		t.Fatalf("response time: %+v", e)
	}
	if looks, personal := domain.PersonalVersion(e.Version); personal {
		t.Fatalf("the version %q looks like %s", e.Version, looks)
	}
	if looks, personal := domain.PersonalValue(e.ErrorType); personal {
		t.Fatalf("%q looks like %s", e.ErrorType, looks)
	}
}

// FuzzBatch looks for a body that makes the judgement panic, accept a personal
// name, accept what no other JSON reader reads, or differ between hand and
// ozzo. Its corpus stands in testdata.
func FuzzBatch(f *testing.F) {
	for _, c := range verdictCases(f) {
		f.Add([]byte(batchOf(c.event)))
	}
	f.Add([]byte("\ufeff" + batchOf(detailed)))
	captures, err := filepath.Glob("../test/fixtures/real-client-*.json")
	if err != nil || len(captures) == 0 {
		f.Fatalf("no captured batches: %v", err)
	}
	for _, path := range captures {
		body, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	validator := domain.NewValidator(domain.ValidatorConfig{})
	f.Fuzz(func(t *testing.T, body []byte) {
		if d := validator.Disagreement(body, capturedAt); d != "" {
			t.Fatal(d)
		}
		if scanned, decoded, _ := domain.ReadBoth(body, 100); scanned != decoded {
			t.Fatalf("the scanner reads\n%s\nand the decoder\n%s", scanned, decoded)
		}
		judgement, err := validator.Batch(body, capturedAt)
		if err == nil {
			checkJudgement(t, body, judgement)
			return
		}
		if domain.CodeOf(err) != domain.CodeInvalid {
			t.Fatalf("refused without a reason: %v", err)
		}
	})
}

func TestTimestampsReadAsTheStandardLibraryReadsThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")).UTC()
		zone := time.FixedZone("", 60*rapid.IntRange(-1439, 1439).Draw(t, "offset"))
		text := at.In(zone).Format(time.RFC3339Nano)
		want, err := time.Parse(time.RFC3339Nano, text)
		if err != nil { // years beyond 9999 in that zone
			t.Skip(err)
		}
		if got, ok := domain.ParseTimestamp([]byte(text)); !ok || !got.Equal(want) {
			t.Fatalf("%s: %v, %t", text, got, ok)
		}
	})
	for _, text := range []string{
		"", "2026", "2026-11-23 14:00:00Z", "2026-11-23T14:00Z", "2026-11-23T4:00:00Z", "2026-11-23T14:00:00,0Z", "2026-11-23T14:00:00.Z",
		"2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-04-31T00:00:00Z", "2026-01-01T24:00:00Z",
		"2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z", "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+01:60", "2026-01-01T00:00:00+0100",
		"2026-01-01T00:00:00ZZ", "2026-01-01T00:00:00", "20x6-01-01T00:00:00Z", "2026-01-01T00:00:00*01:00", "+026-01-01T00:00:00Z",
	} {
		if got, ok := domain.ParseTimestamp([]byte(text)); ok {
			t.Errorf("%q reads as %v", text, got)
		}
	}
}
