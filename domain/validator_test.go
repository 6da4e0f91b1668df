package domain_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// detailed is a complete event; tests change one member of it at a time.
const detailed = `{"version":"1.23.0","tool":"get_forecast","status":"success","timestamp_hour":"2026-11-23T14:00:00.000Z",` +
	`"analytics_level":"detailed","response_time_ms":412,"service":"openmeteo","cache_hit":false,"retry_count":2,` +
	`"country":"US","parameters":{"days":7,"units":"metric"},"session_id":"147400d0b60e0c72","sequence_number":17}`

// with replaces or adds members of the complete event, given as JSON; a member
// set to the empty string is left out.
func with(tb testing.TB, pairs ...string) string {
	tb.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(detailed), &members); err != nil {
		tb.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			delete(members, pairs[i])
			continue
		}
		members[pairs[i]] = json.RawMessage(pairs[i+1])
	}
	parts := make([]string, 0, len(members))
	for name, value := range members {
		quoted, err := json.Marshal(name)
		if err != nil {
			tb.Fatal(err)
		}
		parts = append(parts, string(quoted)+":"+string(value))
	}
	slices.Sort(parts)
	return "{" + strings.Join(parts, ",") + "}"
}

func batchOf(events ...string) string { return `{"events":[` + strings.Join(events, ",") + `]}` }

func nested(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }

func str(s string) string { return `"` + s + `"` }

// verdictCases names an event and all that is wrong with it, as field:code.
func verdictCases(tb testing.TB) map[string]struct {
	event string
	want  []string
} {
	tb.Helper()
	long := strings.Repeat("x", 65)
	parameters := func(n int) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = fmt.Sprintf(`"p%d":%d`, i, i)
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	fat := func(n int) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = fmt.Sprintf(`"%s%d":"%s"`, strings.Repeat("k", 55), i, strings.Repeat("v", 60))
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	minimal := func(pairs ...string) string {
		return with(tb, append([]string{"analytics_level", `"minimal"`}, pairs...)...)
	}
	type c = struct {
		event string
		want  []string
	}
	return map[string]c{
		"complete":                    {detailed, nil},
		"optional fields null":        {with(tb, "response_time_ms", "null", "service", "null", "cache_hit", "null", "retry_count", "null", "country", "null", "parameters", "null", "session_id", "null", "sequence_number", "null", "error_type", "null"), nil},
		"required fields null":        {with(tb, "version", "null", "tool", "null", "status", "null", "timestamp_hour", "null", "analytics_level", "null"), []string{"version:required", "tool:required", "status:required", "timestamp_hour:required", "analytics_level:required"}},
		"no fields":                   {`{}`, []string{"version:required", "tool:required", "status:required", "timestamp_hour:required", "analytics_level:required"}},
		"ten fields of a wrong type":  {with(tb, "version", "1", "tool", "{}", "status", "[]", "timestamp_hour", "true", "error_type", "1", "response_time_ms", `"1"`, "service", "1", "cache_hit", "0", "retry_count", "true", "country", "false"), []string{"version:invalid_type", "tool:invalid_type", "status:invalid_type", "timestamp_hour:invalid_type", "error_type:invalid_type", "response_time_ms:invalid_type", "service:invalid_type", "cache_hit:invalid_type", "retry_count:invalid_type", "country:invalid_type"}},
		"event is null":               {`null`, []string{":invalid_type"}},
		"event is a number":           {`7`, []string{":invalid_type"}},
		"event is a list":             {`[1,{"a":2}]`, []string{":invalid_type"}},
		"event is a list with a name": {`[{"email":1}]`, []string{"email:pii_detected"}},

		"version empty":             {with(tb, "version", `"  "`), []string{"version:required"}},
		"version trimmed":           {with(tb, "version", `" 1.0 "`), nil},
		"version of 20":             {with(tb, "version", str(strings.Repeat("v", 20))), nil},
		"version of 21":             {with(tb, "version", str(strings.Repeat("v", 21))), []string{"version:too_long"}},
		"version with a slash":      {with(tb, "version", `"1.0/2"`), []string{"version:invalid_format"}},
		"version is an address":     {with(tb, "version", `"192.168.1.17"`), []string{"version:pii_detected"}},
		"version with NUL":          {with(tb, "version", `"1\u0000"`), []string{"version:invalid_text"}},
		"version half a surrogate":  {with(tb, "version", `"1\ud83d"`), []string{"version:invalid_text"}},
		"version spelt with escape": {with(tb, "version", `"\u0031.0"`), nil},

		"unknown tool":   {with(tb, "tool", `"get_secrets"`), []string{"tool:unknown_value"}},
		"tool other":     {with(tb, "tool", `"other"`), []string{"tool:unknown_value"}},
		"tool trimmed":   {with(tb, "tool", `" get_alerts\n"`), nil},
		"tool empty":     {with(tb, "tool", `""`), []string{"tool:required"}},
		"status unknown": {with(tb, "status", `"Success"`), []string{"status:unknown_value"}},
		"status trimmed": {with(tb, "status", `" success "`), nil},
		"level unknown":  {with(tb, "analytics_level", `"full"`, "response_time_ms", `"x"`), []string{"analytics_level:unknown_value"}},
		"level trimmed":  {with(tb, "analytics_level", `" detailed "`), nil},

		"half-hour zone as UTC":     {with(tb, "timestamp_hour", `"2026-11-23T13:30:00.000Z"`), nil},
		"quarter-hour zone":         {with(tb, "timestamp_hour", `"2026-11-23T13:15:00Z"`), nil},
		"three quarters":            {with(tb, "timestamp_hour", `"2026-11-23T13:45:00Z"`), nil},
		"offset":                    {with(tb, "timestamp_hour", `"2026-11-23T19:30:00+05:30"`), nil},
		"offset not on a quarter":   {with(tb, "timestamp_hour", `"2026-11-23T14:00:00+00:07"`), []string{"timestamp_hour:too_precise"}},
		"minute":                    {with(tb, "timestamp_hour", `"2026-11-23T14:23:00Z"`), []string{"timestamp_hour:too_precise"}},
		"14:23:45":                  {with(tb, "timestamp_hour", `"2026-11-23T14:23:45Z"`), []string{"timestamp_hour:too_precise"}},
		"millisecond":               {with(tb, "timestamp_hour", `"2026-11-23T14:00:00.001Z"`), []string{"timestamp_hour:too_precise"}},
		"less than a nanosecond":    {with(tb, "timestamp_hour", `"2026-11-23T14:00:00.0000000001Z"`), []string{"timestamp_hour:too_precise"}},
		"no zone":                   {with(tb, "timestamp_hour", `"2026-11-23T14:00:00"`), []string{"timestamp_hour:invalid_format"}},
		"a date":                    {with(tb, "timestamp_hour", `"2026-11-23"`), []string{"timestamp_hour:invalid_format"}},
		"30 February":               {with(tb, "timestamp_hour", `"2026-02-30T14:00:00Z"`), []string{"timestamp_hour:invalid_format"}},
		"year 0000":                 {with(tb, "timestamp_hour", `"0000-01-01T00:00:00Z"`), []string{"timestamp_hour:too_old"}},
		"year 9999":                 {with(tb, "timestamp_hour", `"9999-12-31T23:00:00Z"`), []string{"timestamp_hour:in_future"}},
		"two hours ahead":           {with(tb, "timestamp_hour", `"2026-11-23T16:15:00Z"`), nil},
		"more than two hours ahead": {with(tb, "timestamp_hour", `"2026-11-23T16:30:00Z"`), []string{"timestamp_hour:in_future"}},
		"7 days ago":                {with(tb, "timestamp_hour", `"2026-11-16T14:30:00Z"`), nil},
		"more than 7 days ago":      {with(tb, "timestamp_hour", `"2026-11-16T14:15:00Z"`), []string{"timestamp_hour:too_old"}},

		"125336 ms":                {with(tb, "response_time_ms", "125336"), nil},
		"ages":                     {with(tb, "response_time_ms", "1e300"), nil},
		"negative time":            {with(tb, "response_time_ms", "-1"), []string{"response_time_ms:out_of_range"}},
		"fraction":                 {with(tb, "response_time_ms", "184.5"), nil},
		"negative fraction":        {with(tb, "response_time_ms", "-0.1"), []string{"response_time_ms:out_of_range"}},
		"time as text":             {with(tb, "response_time_ms", `"184.5"`), []string{"response_time_ms:invalid_type"}},
		"retries and a half":       {with(tb, "retry_count", "1.5"), []string{"retry_count:invalid_type"}},
		"sequence and a half":      {with(tb, "sequence_number", "0.5"), []string{"sequence_number:invalid_type"}},
		"whole, written otherwise": {with(tb, "response_time_ms", "1.2e1"), nil},
		"zero":                     {with(tb, "response_time_ms", "0", "retry_count", "0", "sequence_number", "0"), nil},
		"beyond a double":          {with(tb, "response_time_ms", "1e400"), []string{":out_of_range"}},
		"beyond a double, unknown": {with(tb, "more", "[-1E999]"), []string{":out_of_range"}},
		"retries 10":               {with(tb, "retry_count", "10"), nil},
		"retries 11":               {with(tb, "retry_count", "11"), []string{"retry_count:out_of_range"}},
		"retries below":            {with(tb, "retry_count", "-1"), []string{"retry_count:out_of_range"}},
		"sequence at 2^31-1":       {with(tb, "sequence_number", "2147483647"), nil},
		"sequence at 2^31":         {with(tb, "sequence_number", "2147483648"), []string{"sequence_number:out_of_range"}},
		"sequence far beyond":      {with(tb, "sequence_number", "99999999999999999999"), []string{"sequence_number:out_of_range"}},
		"sequence below":           {with(tb, "sequence_number", "-99999999999999999999"), []string{"sequence_number:out_of_range"}},
		"service unknown":          {with(tb, "service", `"acme"`), []string{"service:unknown_value"}},
		"service other":            {with(tb, "service", `"other"`), []string{"service:unknown_value"}},
		"service empty":            {with(tb, "service", `""`), nil},
		"country in lower case":    {with(tb, "country", `"de"`), nil},
		"Kosovo":                   {with(tb, "country", `"XK"`), nil},
		"no country":               {with(tb, "country", `"XX"`), nil},
		"country of no code":       {with(tb, "country", `"XA"`), []string{"country:unknown_value"}},
		"country between two":      {with(tb, "country", `"X "`), []string{"country:unknown_value"}},
		"country with an escape":   {with(tb, "country", `"\u0058k"`), nil},
		"country of three":         {with(tb, "country", `"USA"`), []string{"country:unknown_value"}},
		"country of no letters":    {with(tb, "country", `"1!"`), []string{"country:unknown_value"}},
		"country empty":            {with(tb, "country", `""`), nil},
		"session in upper case":    {with(tb, "session_id", `"ABCDEF0123456789"`), nil},
		"session short":            {with(tb, "session_id", `"147400d0b60e0c7"`), []string{"session_id:invalid_format"}},
		"session no hex":           {with(tb, "session_id", `"147400d0b60e0c7g"`), []string{"session_id:invalid_format"}},
		"session empty":            {with(tb, "session_id", `""`), nil},

		"error without a type":              {with(tb, "status", `"error"`), []string{"error_type:required"}},
		"error with an empty type":          {with(tb, "status", `"error"`, "error_type", `" "`), []string{"error_type:required"}},
		"error with a type":                 {with(tb, "status", `"error"`, "error_type", `"not_found"`), nil},
		"error without a type, minimal":     {minimal("status", `"error"`), nil},
		"error with a type, minimal":        {minimal("status", `"error"`, "error_type", `"Http.404:gone-x"`), nil},
		"error with an empty type, minimal": {minimal("status", `"error"`, "error_type", `""`), nil},
		"bad error type, minimal":           {minimal("status", `"error"`, "error_type", `"no such place"`), []string{"error_type:invalid_format"}},
		"error type of 100":                 {with(tb, "error_type", str(strings.Repeat("e", 100))), nil},
		"error type of 101":                 {with(tb, "error_type", str(strings.Repeat("e", 101))), []string{"error_type:too_long"}},
		"e-mail in error type":              {with(tb, "error_type", `"who@example.com"`), []string{"error_type:pii_detected"}},
		"address in error type":             {with(tb, "error_type", `"fe80::1"`), []string{"error_type:pii_detected"}},

		"fields beyond the level": {minimal("response_time_ms", `"x"`, "country", "7", "parameters", "[]", "session_id", "1"), nil},
		"unknown fields":          {with(tb, "flavour", `{"deep":[1,2,{"er":null}]}`, "x", `"\ud800"`), nil},

		"Email":                    {with(tb, "Email", "1"), []string{"email:pii_detected"}},
		"LATITUDE":                 {with(tb, "LATITUDE", "1"), []string{"latitude:pii_detected"}},
		"e-mail, minimal":          {minimal("e-mail", "null"), []string{"email:pii_detected"}},
		"user.Name":                {with(tb, "user.Name", "1"), []string{"username:pii_detected"}},
		"escaped name":             {with(tb, "more", `{"\u0065mail":1}`), []string{"email:pii_detected"}},
		"name far down":            {with(tb, "more", strings.Repeat(`{"a":[`, 13)+`{"Zip Code":1}`+strings.Repeat(`]}`, 13)), []string{"zipcode:pii_detected"}},
		"name in parameters":       {with(tb, "parameters", `{"city":"x"}`), []string{"parameters.city:pii_detected"}},
		"name deep in parameters":  {with(tb, "parameters", `{"a":{"ip":1}}`), []string{"parameters.ip:pii_detected"}},
		"null name in parameters":  {with(tb, "parameters", `{"city":null}`), []string{"parameters.city:pii_detected"}},
		"name within a field":      {with(tb, "version", `{"password":1}`), []string{"version.password:pii_detected"}},
		"name before other faults": {with(tb, "name", "1", "version", "1", "more", "1e999"), []string{"name:pii_detected"}},

		"parameters empty":                {with(tb, "parameters", `{}`), nil},
		"parameters of every kind":        {with(tb, "parameters", `{"a":"x","b":1.5,"c":true,"d":null,"e":-0,"f":false}`), nil},
		"20 parameters":                   {with(tb, "parameters", parameters(20)), nil},
		"21 parameters":                   {with(tb, "parameters", parameters(21)), []string{"parameters:too_long"}},
		"parameters of 2 KB":              {with(tb, "parameters", fat(15)), nil},
		"parameters above 2 KB":           {with(tb, "parameters", fat(17)), []string{"parameters:too_long"}},
		"parameter of 64":                 {with(tb, "parameters", `{"a":"`+long[1:]+`"}`), nil},
		"parameter of 64 wide characters": {with(tb, "parameters", `{"a":"`+strings.Repeat("☃", 64)+`"}`), nil},
		"parameter of 65":                 {with(tb, "parameters", `{"a":"`+long+`"}`), []string{"parameters:too_long"}},
		"parameter's name of 65":          {with(tb, "parameters", `{"`+long+`":1}`), []string{"parameters:too_long"}},
		"parameter list":                  {with(tb, "parameters", `{"a":[1]}`), []string{"parameters:invalid_type"}},
		"parameter object":                {with(tb, "parameters", `{"a":{}}`), []string{"parameters:invalid_type"}},
		"address in a parameter":          {with(tb, "parameters", `{"a":"via 10.1.2.3 today"}`), []string{"parameters:pii_detected"}},
		"e-mail in a parameter's name":    {with(tb, "parameters", `{"me@example.org":1}`), []string{"parameters:pii_detected"}},
		"coordinates in a parameter":      {with(tb, "parameters", `{"a":"47.6,-122.3"}`), []string{"parameters:pii_detected"}},
		"telephone in a parameter":        {with(tb, "parameters", `{"a":"+1 555 123 4567"}`), []string{"parameters:pii_detected"}},
		"NUL in a parameter":              {with(tb, "parameters", `{"a":"\u0000"}`), []string{"parameters:invalid_text"}},
		"half a surrogate in a parameter": {with(tb, "parameters", `{"a":"\udc00"}`), []string{"parameters:invalid_text"}},
		"NUL in a parameter's name":       {with(tb, "parameters", `{"\u0000":1}`), []string{"parameters:invalid_text"}},
		"two faults in parameters":        {with(tb, "parameters", `{"a":[],"b":{}}`), []string{"parameters:invalid_type", "parameters:invalid_type"}},
	}
}

func TestVerdictOfEveryKindOfEvent(t *testing.T) {
	validator := domain.NewValidator(domain.ValidatorConfig{})
	now := time.Date(2026, 11, 23, 14, 20, 0, 0, time.UTC)
	for name, c := range verdictCases(t) {
		t.Run(name, func(t *testing.T) {
			body := []byte(batchOf(detailed, c.event, detailed))
			judgement, err := validator.Batch(body, now)
			if err != nil {
				t.Fatalf("the whole body was refused: %v", err)
			}
			var got []string
			for _, v := range judgement.Violations {
				if v.Index != 1 {
					t.Errorf("index %d, want 1", v.Index)
				}
				if v.Message == "" || !strings.Contains(v.Message, strings.Split(v.Field, ".")[0]) && v.Code != domain.ViolationPII {
					t.Errorf("message %q of field %q", v.Message, v.Field)
				}
				got = append(got, v.Field+":"+string(v.Code))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("violations %v, want %v", got, c.want)
			}
			accepted := []int{0, 1, 2}
			if len(c.want) > 0 {
				accepted = []int{0, 2}
			}
			if !slices.Equal(judgement.Indexes, accepted) || len(judgement.Events) != len(accepted) {
				t.Errorf("accepted %v (%d events), want %v", judgement.Indexes, len(judgement.Events), accepted)
			}
			if d := validator.Disagreement(body, now); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRefusalOfWholeBodies(t *testing.T) {
	many := batchOf(slices.Repeat([]string{detailed}, 101)...)
	deep := func(levels int) string { return batchOf(with(t, "more", nested(levels-3))) }
	cases := map[string]struct{ body, field, code, says string }{
		"empty":                          {"", "", "invalid_json", "empty"},
		"blank":                          {" \n", "", "invalid_json", "empty"},
		"no JSON":                        {"events", "", "invalid_json", "byte 0"},
		"cut off":                        {batchOf(detailed)[:200], "", "invalid_json", "ends too early"},
		"cut off at once":                {"{", "", "invalid_json", "ends too early"},
		"two byte order marks":           {"\ufeff\ufeff" + batchOf(detailed), "", "invalid_json", "byte 3"},
		"a byte order mark within":       {"{\ufeff" + batchOf(detailed)[1:], "", "invalid_json", "byte 1"},
		"half a byte order mark":         {"\xef\xbb" + batchOf(detailed), "", "invalid_json", "UTF-8"},
		"a byte order mark alone":        {"\ufeff", "", "invalid_json", "empty"},
		"trailing bytes":                 {batchOf(detailed) + "x", "", "invalid_json", "goes on"},
		"trailing value":                 {batchOf(detailed) + "{}", "", "invalid_json", "goes on"},
		"invalid UTF-8":                  {batchOf(with(t, "more", "\"\xff\"")), "", "invalid_json", "UTF-8"},
		"a number with a leading zero":   {batchOf(strings.Replace(detailed, "412", "0412", 1)), "", "invalid_json", "valid JSON"},
		"a comment":                      {"{/* */}", "", "invalid_json", "valid JSON"},
		"the same field twice":           {batchOf(`{"version":"1","version":"2"}`), "", "invalid_json", "twice"},
		"the same field null, then not":  {batchOf(`{"version":null,"version":"2"}`), "", "invalid_json", "twice"},
		"a field again with escapes":     {batchOf(`{"version":"1","\u0076ersion":"2"}`), "", "invalid_json", "twice"},
		"an unknown field twice":         {batchOf(with(t, "more", `1,"more":2`)), "", "invalid_json", "twice"},
		"a parameter twice":              {batchOf(with(t, "parameters", `{"a":1,"b":2,"a":3}`)), "", "invalid_json", "twice"},
		"a parameter again with escapes": {batchOf(with(t, "parameters", `{"a":1,"\u0061":3}`)), "", "invalid_json", "twice"},
		"a null parameter twice":         {batchOf(with(t, "parameters", `{"a":null,"a":null}`)), "", "invalid_json", "twice"},
		"twice within a parameter":       {batchOf(with(t, "parameters", `{"a":{"b":1,"b":2}}`)), "", "invalid_json", "twice"},
		"twice within a field":           {batchOf(with(t, "version", `{"b":1,"b":2}`)), "", "invalid_json", "twice"},
		"twice within a list":            {batchOf(`[{"b":1,"b":2}]`), "", "invalid_json", "twice"},
		"twice in an unknown field":      {batchOf(with(t, "more", `[{"b":1,"b":2}]`)), "", "invalid_json", "twice"},
		"events twice":                   {`{"events":[],"events":[]}`, "", "invalid_json", "twice"},
		"twice beside events":            {`{"events":[` + detailed + `],"a":{"b":1,"b":2}}`, "", "invalid_json", "twice"},
		"33 levels":                      {deep(33), "", "invalid_json", "32 levels"},
		"5000 levels":                    {deep(5000), "", "invalid_json", "32 levels"},
		"33 levels beside events":        {`{"a":` + nested(32) + `,"events":[]}`, "", "invalid_json", "32 levels"},
		"33 levels around no batch":      {nested(33), "", "invalid_json", "32 levels"},
		"a list":                         {"[" + detailed + "]", "", "invalid_batch", "member events"},
		"a string":                       {`"events"`, "", "invalid_batch", "member events"},
		"null":                           {`null`, "", "invalid_batch", "member events"},
		"no events":                      {`{}`, "events", "invalid_batch", "member events"},
		"events null":                    {`{"events":null}`, "events", "invalid_batch", "array"},
		"events an object":               {`{"events":{}}`, "events", "invalid_batch", "array"},
		"no event":                       {`{"events":[]}`, "events", "invalid_batch", "empty"},
		"101 events":                     {many, "events", "invalid_batch", "more than 100"},
		"personal data beside events":    {`{"events":[` + detailed + `],"user":"x"}`, "user", "pii_detected", "personal"},
		"personal data before events":    {`{"a":{"Phone":1},"events":[` + detailed + `]}`, "phone", "pii_detected", "personal"},
		"too large a number beside":      {`{"a":1e999,"events":[` + detailed + `]}`, "", "out_of_range", "too large"},
	}
	validator := domain.NewValidator(domain.ValidatorConfig{})
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			judgement, err := validator.Batch([]byte(c.body), capturedAt)
			refused, ok := err.(*domain.Error) //nolint:errorlint // the promise is this very type
			if !ok || refused.Code != domain.CodeInvalid || len(refused.Violations) != 1 {
				t.Fatalf("got %v, want one refusal", err)
			}
			v := refused.Violations[0]
			if v.Index != domain.WholeBody || v.Field != c.field || string(v.Code) != c.code {
				t.Errorf("violation %+v, want %s:%s", v, c.field, c.code)
			}
			if !strings.Contains(v.Message, c.says) || refused.Message != v.Message {
				t.Errorf("message %q does not say %q", v.Message, c.says)
			}
			if len(judgement.Events) != 0 || judgement.Submitted != 0 {
				t.Error("something was judged all the same")
			}
		})
	}
}

func TestBodiesThatPass(t *testing.T) {
	cases := map[string]string{
		"31 levels":              batchOf(with(t, "more", nested(28))),
		"32 levels":              batchOf(with(t, "more", nested(29))),
		"100 events":             batchOf(slices.Repeat([]string{detailed}, 100)...),
		"white space":            " \r\n\t" + strings.ReplaceAll(batchOf(detailed), ",", " ,\n") + "\n",
		"members beside events":  `{"client":"x","events":[` + detailed + `],"n":[1,{"a":2}]}`,
		"members in other order": `{"n":1,"events":[` + detailed + `]}`,
		"a byte order mark":      "\ufeff" + batchOf(detailed),
	}
	validator := domain.NewValidator(domain.ValidatorConfig{})
	for name, body := range cases {
		judgement, err := validator.Batch([]byte(body), capturedAt)
		if err != nil || judgement.Refused() != 0 {
			t.Errorf("%s: %d refused, %v", name, judgement.Refused(), err)
		}
	}
}

func TestEveryCapturedBatchIsAccepted(t *testing.T) {
	validator := domain.NewValidator(domain.ValidatorConfig{})
	for _, level := range domain.Levels() {
		body := captured(t, "real-client-"+string(level)+".json")
		judgement, err := validator.Batch(body, capturedAt)
		if err != nil || judgement.Submitted != 26 || judgement.Refused() != 0 {
			t.Errorf("%s: %d of %d refused, %v", level, judgement.Refused(), judgement.Submitted, err)
		}
		for _, e := range judgement.Events {
			if e.Level != level || !e.Hour.Equal(capturedAt.Truncate(time.Hour)) || (e.SessionID != "") != (level == domain.LevelDetailed) {
				t.Errorf("%s: %+v", level, e)
			}
		}
	}
}

func TestWhatIsStored(t *testing.T) {
	hour := time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)
	full := domain.Event{
		Version: "1.23.0", Tool: "get_forecast", Status: domain.StatusError, Hour: hour, Level: domain.LevelDetailed,
		ErrorType: "not_found", ResponseTimeMS: domain.Some[int32](120_000), Service: "noaa", CacheHit: domain.Some(true),
		RetryCount: domain.Some[int32](0), Country: "IN", Parameters: `{"a\"b":"ü x","n":1.50,"y":true}`,
		SessionID: "abcdef0123456789", SequenceNumber: domain.Some[int32](0),
	}
	standard := full
	standard.Level, standard.Parameters, standard.SessionID, standard.SequenceNumber = domain.LevelStandard, "", "", domain.Optional[int32]{}
	minimal := domain.Event{Version: full.Version, Tool: full.Tool, Status: full.Status, Hour: hour, Level: domain.LevelMinimal, ErrorType: full.ErrorType}
	validator := domain.NewValidator(domain.ValidatorConfig{})
	for _, want := range []domain.Event{full, standard, minimal} {
		event := with(t, "version", `" 1.23.0 "`, "status", `"error"`, "timestamp_hour", `"2026-11-23T19:15:00+05:30"`,
			"analytics_level", str(string(want.Level)), "error_type", `"not_found\t"`, "response_time_ms", "125336",
			"service", `"noaa"`, "cache_hit", "true", "retry_count", "0", "country", `"in"`,
			"parameters", `{ "a\"b" : " \u00fc x ", "gone": null, "n": 1.50, "y": true }`,
			"session_id", `"ABCDEF0123456789"`, "sequence_number", "0", "unknown", `"dropped"`)
		judgement, err := validator.Batch([]byte(batchOf(event)), capturedAt)
		if err != nil || len(judgement.Events) != 1 {
			t.Fatalf("%v %+v", err, judgement)
		}
		if got := judgement.Events[0]; got != want {
			t.Errorf("stored\n%+v, want\n%+v", got, want)
		}
	}
}

func TestResponseTimesAreRoundedHalfUp(t *testing.T) {
	validator := domain.NewValidator(domain.ValidatorConfig{})
	for sent, want := range map[string]int32{
		"0": 0, "-0": 0, "-0.0": 0, "0.49999999999999994": 0, "0.5": 1, "1.5": 2, "2.5": 3, "184.5": 185, "184.49": 184, "184.0": 184,
		"1.845e2": 185, "1e-300": 0, "119999.4": 119_999, "119999.5": 120_000, "120000": 120_000, "120000.1": 120_000, "125336": 120_000,
		"2147483648": 120_000, "99999999999999999999": 120_000, "1.7e308": 120_000,
	} {
		judgement, err := validator.Batch([]byte(batchOf(with(t, "response_time_ms", sent))), capturedAt)
		if err != nil || len(judgement.Events) != 1 || judgement.Events[0].ResponseTimeMS != domain.Some(want) {
			t.Errorf("%s is stored as %+v, %v", sent, judgement, err)
		}
	}
}

// Content delivery networks and databases of addresses have codes of their own.
func TestCodesOfNoCountryCountAsAbsent(t *testing.T) {
	validator := domain.NewValidator(domain.ValidatorConfig{})
	for sent, want := range map[string]string{
		"XX": "", "T1": "", "ZZ": "", "AP": "", "EU": "", "A1": "", "A2": "", "O1": "", "xx": "", "t1": "", "zZ": "", " eu ": "",
		"XK": "XK", "xk": "XK", " de ": "DE",
	} {
		body := []byte(batchOf(with(t, "country", str(sent))))
		judgement, err := validator.Batch(body, capturedAt)
		if err != nil || len(judgement.Events) != 1 || judgement.Events[0].Country != want {
			t.Errorf("%q is stored as %+v, %v", sent, judgement, err)
		}
		if d := validator.Disagreement(body, capturedAt); d != "" {
			t.Error(d)
		}
	}
	for _, sent := range []string{"XY", "UK", "AA", "QM", "QZ", "A3", "T2", "1T", "O0", "P ", " E", "X", "1 ", "T1 A"} {
		judgement, err := validator.Batch([]byte(batchOf(with(t, "country", str(sent)))), capturedAt)
		if refused := len(strings.TrimSpace(sent)) > 0; err != nil || refused != (len(judgement.Violations) == 1) {
			t.Errorf("%q: %+v, %v", sent, judgement, err)
		}
	}
}

func TestEveryTwoCharactersAreACountryOrNot(t *testing.T) {
	validator := domain.NewValidator(domain.ValidatorConfig{})
	for a := byte('!'); a <= '~'; a++ {
		for b := byte('!'); b <= '~'; b++ {
			code := string([]byte{a, b})
			if strings.ContainsAny(code, `"\\`) {
				continue
			}
			judgement, err := validator.Batch([]byte(batchOf(with(t, "country", str(code)))), capturedAt)
			if err != nil {
				t.Fatal(err)
			}
			_, listed := domain.CountryName(strings.ToUpper(code))
			absent := len(judgement.Events) == 1 && judgement.Events[0].Country == ""
			if accepted := len(judgement.Events) == 1 && !absent; accepted != listed {
				t.Errorf("%s is a country: %t, want %t", code, accepted, listed)
			}
		}
	}
}

func TestUnknownToolsCanBeCounted(t *testing.T) {
	validator := domain.NewValidator(domain.ValidatorConfig{CountUnknownTools: true})
	body := []byte(batchOf(with(t, "tool", `"get_secrets"`), with(t, "tool", `"other"`), with(t, "tool", "1"), with(t, "tool", `""`)))
	judgement, err := validator.Batch(body, capturedAt)
	if err != nil || !slices.Equal(judgement.Indexes, []int{0, 1}) || judgement.Events[0].Tool != domain.OtherName {
		t.Errorf("%+v, %v", judgement, err)
	}
	if d := validator.Disagreement(body, capturedAt); d != "" {
		t.Error(d)
	}
}

func TestLimitsCanBeChosen(t *testing.T) {
	catalogue, err := domain.ParseCatalogue([]byte(`{"tools":["mine"],"services":["acme"]}`))
	if err != nil {
		t.Fatal(err)
	}
	validator := domain.NewValidator(domain.ValidatorConfig{
		Catalogue: catalogue, MaxBatchSize: 2, MaxAge: time.Hour, MaxAhead: time.Hour,
	})
	mine := func(hour string) string {
		return with(t, "tool", `"mine"`, "service", `"acme"`, "timestamp_hour", str("2026-11-23T"+hour+":00Z"))
	}
	judgement, err := validator.Batch([]byte(batchOf(mine("13:15"), mine("15:30"))), capturedAt)
	if err != nil || len(judgement.Violations) != 2 {
		t.Fatalf("%+v, %v", judgement, err)
	}
	for i, says := range []string{"older than 1 hour", "more than 1 hour ahead"} {
		if m := judgement.Violations[i].Message; !strings.Contains(m, says) {
			t.Errorf("%q does not say %q", m, says)
		}
	}
	judgement, err = validator.Batch([]byte(batchOf(mine("13:30"), mine("15:15"))), capturedAt)
	if err != nil || judgement.Refused() != 0 {
		t.Errorf("%+v, %v", judgement, err)
	}
	if _, err = validator.Batch([]byte(batchOf(detailed, detailed, detailed)), capturedAt); domain.CodeOf(err) != domain.CodeInvalid {
		t.Errorf("three events of at most two: %v", err)
	}
}

func TestRefusalFollowsStrictness(t *testing.T) {
	validator := domain.NewValidator(domain.ValidatorConfig{})
	cases := map[string]struct {
		events         []string
		lenient, exact bool // refused
	}{
		"all good":  {[]string{detailed}, false, false},
		"some good": {[]string{detailed, `{}`}, false, true},
		"none good": {[]string{`{}`, `{}`}, true, true},
	}
	for name, c := range cases {
		judgement, err := validator.Batch([]byte(batchOf(c.events...)), capturedAt)
		if err != nil {
			t.Fatal(err)
		}
		for strict, want := range map[bool]bool{false: c.lenient, true: c.exact} {
			err := judgement.Refusal(strict)
			if (err != nil) != want {
				t.Errorf("%s, strict %t: %v", name, strict, err)
				continue
			}
			if refused, ok := err.(*domain.Error); want && (!ok || refused.Code != domain.CodeInvalid || len(refused.Violations) != len(judgement.Violations)) { //nolint:errorlint // the promise is this very type
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestViolationsBeyondTheLimitsAreCountedAndNotListed(t *testing.T) {
	// An event of 14 faults, and one of 1 + 41: as many as there can be of one.
	wrong := with(t, "version", "1", "tool", "{}", "status", "[]", "timestamp_hour", "true", "error_type", "1", "response_time_ms", `"1"`, "service", "1", "cache_hit", "0", "retry_count", "true", "country", "false", "parameters", "[]", "session_id", "1", "sequence_number", `""`)
	members := make([]string, domain.MaxParameters)
	for i := range members {
		members[i] = fmt.Sprintf(`"%s%02d":[]`, strings.Repeat("n", 100), i)
	}
	parameters := with(t, "version", "1", "parameters", "{"+strings.Join(members, ",")+"}")
	tests := map[string]struct {
		events          []string
		listed, omitted int
	}{
		"ten of an event":         {[]string{detailed, with(t, "version", "", "parameters", `{"a":[],"b":[],"c":[],"d":[],"e":[],"f":[],"g":[],"h":[],"i":[]}`)}, 10, 0},
		"thirteen of an event":    {[]string{detailed, wrong}, 10, 3},
		"parameters":              {[]string{detailed, parameters}, 10, 32},
		"100 of a batch":          {slices.Repeat([]string{`{"tool":1}`}, 20), 100, 0},
		"105 of a batch":          {slices.Repeat([]string{`{}`}, 21), 100, 5},
		"99 broken of 100 events": {append([]string{detailed}, slices.Repeat([]string{wrong}, 99)...), 100, 99*13 - 100},
		"in an event's midst":     {append(slices.Repeat([]string{`7`}, 95), wrong), 100, 8},
		"personal names":          {slices.Repeat([]string{`{"email":1,"version":1}`}, 100), 100, 0},
	}
	validator := domain.NewValidator(domain.ValidatorConfig{})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			body := []byte(batchOf(test.events...))
			judgement, err := validator.Batch(body, capturedAt)
			if err != nil || len(judgement.Violations) != test.listed || judgement.Omitted != test.omitted {
				t.Errorf("%d listed and %d omitted, %v; want %d and %d", len(judgement.Violations), judgement.Omitted, err, test.listed, test.omitted)
			}
			var refused *domain.Error
			if !errors.As(judgement.Refusal(true), &refused) || len(refused.Violations) != test.listed || refused.Omitted != test.omitted {
				t.Errorf("the refusal is %+v", refused)
			}
			if d := validator.Disagreement(body, capturedAt); d != "" {
				t.Error(d)
			}
		})
	}
}

// Of texts that are too long anyway, only so many are scanned for a better reason.
func TestLongTextsAreScannedWithinBounds(t *testing.T) {
	long := with(t, "error_type", str("192.0.2.1_"+strings.Repeat("x", 1014)))
	judgement, err := domain.NewValidator(domain.ValidatorConfig{}).Batch([]byte(batchOf(slices.Repeat([]string{long}, 10)...)), capturedAt)
	if err != nil || len(judgement.Violations) != 10 {
		t.Fatalf("%+v, %v", judgement, err)
	}
	for i, v := range judgement.Violations {
		want := domain.ViolationPII
		if i >= 8 {
			want = domain.ViolationLength
		}
		if v.Code != want {
			t.Errorf("event %d is refused for %s, want %s", i, v.Code, want)
		}
	}
}

// The limit of a batch does not hold for verdicts that are given one by one.
func TestEachGivesEveryEventItsVerdict(t *testing.T) {
	body := []byte(strings.ReplaceAll(batchOf(append(slices.Repeat([]string{`{}`}, 99), detailed)...), "},{", "} ,\n{"))
	validator := domain.NewValidator(domain.ValidatorConfig{})
	index := 0
	err := validator.Each(body, capturedAt, func(v domain.Verdict) {
		refused := index < 99
		if want := "{}"; refused && string(v.JSON) != want || !refused && string(v.JSON) != detailed {
			t.Errorf("event %d was sent as %s", index, v.JSON)
		}
		if v.Index != index || (v.Event == nil) != refused || (len(v.Violations) == 5) != refused || v.Omitted != 0 {
			t.Errorf("verdict %d: %+v", index, v)
		}
		index++
	})
	if err != nil || index != 100 {
		t.Errorf("%d verdicts, %v", index, err)
	}
	for _, body := range []string{`{"events":[]}`, `{"events":[{}]} x`} {
		if err := validator.Each([]byte(body), capturedAt, func(domain.Verdict) {}); domain.CodeOf(err) != domain.CodeInvalid {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestMessagesNeverRepeatWhatWasSent(t *testing.T) {
	const canary = "Zq7canary"
	validator := domain.NewValidator(domain.ValidatorConfig{})
	for _, field := range []string{"version", "tool", "status", "timestamp_hour", "analytics_level", "error_type", "service", "country", "session_id", "response_time_ms"} {
		body := batchOf(with(t, field, `"`+canary+` / @"`), with(t, canary, `{"`+canary+`":{"email":"`+canary+`"}}`), with(t, "parameters", `{"`+canary+`":["`+canary+`"]}`))
		judgement, err := validator.Batch([]byte(body), capturedAt)
		if err != nil || len(judgement.Violations) < 3 {
			t.Fatalf("%s: %+v, %v", field, judgement, err)
		}
		if shown := fmt.Sprintf("%+v", judgement.Violations); strings.Contains(shown, canary) {
			t.Errorf("%s: %s", field, shown)
		}
	}
	for _, body := range []string{`{"` + canary + `":1,"` + canary + `":2,"events":[]}`, `{"events":[` + canary, `{"` + canary + `":{"email":1},"events":[]}`} {
		if _, err := validator.Batch([]byte(body), capturedAt); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%v", err)
		}
	}
}

func TestIdempotencyKeys(t *testing.T) {
	for key, good := range map[string]bool{
		"": true, "a": true, strings.Repeat("k", 128): true, "~!": true,
		strings.Repeat("k", 129): false, "a b": false, "ä": false, "a\x7f": false, "\t": false,
	} {
		if err := domain.CheckIdempotencyKey(key); (err == nil) != good || err != nil && domain.CodeOf(err) != domain.CodeInvalid {
			t.Errorf("%q: %v", key, err)
		}
	}
}

// The whole judgement is one call: what a client runs on a body before it
// posts it is what the server runs.
func ExampleValidator_Batch() {
	validator := domain.NewValidator(domain.ValidatorConfig{})
	now := time.Date(2026, 11, 23, 14, 20, 0, 0, time.UTC)
	body := []byte(`{"events":[
		{"version":"1.23.0","tool":"get_alerts","status":"success","timestamp_hour":"2026-11-23T14:00:00Z","analytics_level":"minimal"},
		{"version":"1.23.0","tool":"get_alerts","status":"success","timestamp_hour":"2026-11-23T14:03:10Z","analytics_level":"minimal"}
	]}`)

	judgement, err := validator.Batch(body, now)
	if err != nil {
		fmt.Println("the body is refused:", err)
		return
	}
	fmt.Printf("%d accepted, %d refused\n", len(judgement.Events), judgement.Refused())
	for _, v := range judgement.Violations {
		fmt.Printf("event %d: %s: %s\n", v.Index, v.Code, v.Message)
	}
	// Output:
	// 1 accepted, 1 refused
	// event 1: too_precise: timestamp_hour must lie exactly on a quarter of an hour: round it down to the hour
}

// Each event has different texts of a kind that is dear to judge, none of them
// personal. A body may have so much of them; other events are not concerned.
func TestDearTextsOfABodyAreBounded(t *testing.T) {
	for name, tt := range map[string]struct {
		text        string
		least, most int
	}{
		"encoded characters":     {"wind%%20and rain%%20of%%20kind%%20%c%c%c", 10, 20},
		"numbers and separators": {"1x-1x-1x-1x-1x-1x-1x-1x-1x-1x-1x-1x-1x-1x-1x-1x-%c%c%c", 15, 25},
	} {
		events := make([]string, 0, 100)
		for i := range 99 {
			texts := make([]string, 20)
			for n := range texts {
				texts[n] = fmt.Sprintf(`"p%c":"`+tt.text+`"`, 'b'+n, 'b'+n, 'a'+i%26, 'a'+i/26)
			}
			events = append(events, with(t, "parameters", "{"+strings.Join(texts, ",")+"}"))
		}
		events = append(events, with(t, "parameters", `{"plain":"text of 2026-11-30"}`))
		validator := domain.NewValidator(domain.ValidatorConfig{})
		body := []byte(batchOf(events...))
		judgement, err := validator.Batch(body, capturedAt)
		if err != nil {
			t.Fatal(err)
		}
		if accepted := len(judgement.Events); accepted < tt.least || accepted > tt.most || judgement.Indexes[accepted-1] != 99 {
			t.Errorf("%s: events %v are accepted", name, judgement.Indexes)
		}
		for _, v := range judgement.Violations {
			if v.Code != domain.ViolationLength || !strings.Contains(v.Message, "send this event in another batch") {
				t.Fatalf("%s: violation %+v", name, v)
			}
		}
		if d := validator.Disagreement(body, capturedAt); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
