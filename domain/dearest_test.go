package domain_test

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// How long to search for the dearest body, and from which seed.
var (
	searchFor  = flag.Duration("search", 0, "how long to search for the dearest body; 0 tries the known ones only")
	searchSeed = flag.Uint64("search-seed", 0, "seed of the search; 0 draws one")
)

const (
	// bodyLength is the default limit of a body, in bytes.
	bodyLength = 100 << 10
	// dearestRatio is how many times as much time as an ordinary body of that
	// length any body may take.
	dearestRatio = 3
)

// bodyRecipe describes a body of full length, all events of which are alike.
type bodyRecipe struct {
	events int
	level  string
	// parameters is their number, and length that of each value; fragments are
	// what values and unknown texts are made of, over and over.
	parameters, length int
	fragments          []string
	// escaped spells the fragments with escapes, named puts them into the
	// parameters' names too, and varied makes the values differ.
	escaped, named, varied bool
	// field is a field that is set to a value, such as a long number.
	field, value string
	// filler is what the rest of each event is made of.
	filler filler
}

// filler makes the i-th unknown member or element; text is made of the
// fragments.
type filler struct {
	name        string
	open, close string
	make        func(i int, text string) string
}

var fillers = []filler{
	{"nothing", ``, ``, nil},
	{"blanks", ``, ``, func(int, string) string { return " " }},
	{"short names", ``, ``, func(i int, _ string) string { return fmt.Sprintf(`,"%s":1`, shortName(i)) }},
	{"short names within", `,"more":{"x":0`, `}`, func(i int, _ string) string { return fmt.Sprintf(`,"%s":1`, shortName(i)) }},
	{"escaped names", `,"more":{"x":0`, `}`, func(i int, _ string) string { return fmt.Sprintf(`,"\u0071%s":1`, shortName(i)) }},
	{"names of fragments", `,"more":{"x":0`, `}`, func(i int, text string) string { return fmt.Sprintf(`,"%s%s":1`, text, shortName(i)) }},
	{"long names", `,"more":{"x":0`, `}`, func(i int, text string) string {
		return fmt.Sprintf(`,"%s%s":1`, strings.Repeat(text, 4), shortName(i))
	}},
	{"objects", `,"more":[0`, `]`, func(int, string) string { return `,{"a":1}` }},
	{"empty objects", `,"more":[0`, `]`, func(int, string) string { return `,{}` }},
	{"deep objects", `,"more":[0`, `]`, func(int, string) string { return `,` + strings.Repeat(`{"a":`, 26) + `1` + strings.Repeat(`}`, 26) }},
	{"deep lists", `,"more":[0`, `]`, func(int, string) string { return `,` + strings.Repeat(`[`, 26) + strings.Repeat(`]`, 26) }},
	{"lists in a field", `,"service":[0`, `]`, func(int, string) string { return `,[]` }},
	{"objects in a parameter", `,"parameters":{"a":[0`, `]}`, func(int, string) string { return `,{"a":1}` }},
	{"many parameters", `,"parameters":{"x":0`, `}`, func(i int, _ string) string { return fmt.Sprintf(`,"%s":1`, shortName(i)) }},
	{"texts", `,"more":[0`, `]`, func(_ int, text string) string { return `,"` + text + `"` }},
	{"empty texts", `,"more":[0`, `]`, func(int, string) string { return `,""` }},
	{"digits", `,"more":[0`, `]`, func(int, string) string { return `,1` }},
	{"numbers with exponents", `,"more":[0`, `]`, func(int, string) string { return `,1e9` }},
	{"large numbers", `,"more":[0`, `]`, func(int, string) string { return `,1.7976931348623157e308` }},
	{"numbers near a half", `,"more":[0`, `]`, func(int, string) string { return `,8.41302584216459210700e-299` }},
	{"long numbers", `,"more":[0`, `]`, func(int, string) string { return `,0.` + strings.Repeat("9", 790) + `e-290` }},
	{"words", `,"more":[0`, `]`, func(int, string) string { return `,null,true,false` }},
}

const nameCharacters = "bcdfghjkqvwxyzBCDFGHJKQVWXYZ"

// shortName gives names that are all different, and none of them personal.
func shortName(i int) string {
	name := []byte{nameCharacters[i%len(nameCharacters)]}
	for i /= len(nameCharacters); i > 0; i /= len(nameCharacters) {
		name = append(name, nameCharacters[i%len(nameCharacters)])
	}
	return string(name)
}

// text makes so many characters of the fragments.
func (r bodyRecipe) text(length, first int) string {
	var b strings.Builder
	for i := first; utf8.RuneCountInString(b.String()) < length && len(r.fragments) > 0; i++ {
		b.WriteString(r.fragments[i%len(r.fragments)])
	}
	text := []rune(b.String())
	text = text[:min(len(text), length)]
	if !r.escaped {
		return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(string(text))
	}
	var escaped strings.Builder
	for _, c := range text {
		_, _ = fmt.Fprintf(&escaped, `\u%04x`, min(c, 0xd7ff))
	}
	return escaped.String()
}

// body writes the recipe out, with blanks at its end up to the full length.
func (r bodyRecipe) body() []byte {
	fields := map[string]string{
		"version": `"1.23.0"`, "tool": `"get_forecast"`, "status": `"success"`,
		"timestamp_hour": `"2026-11-23T14:00:00Z"`, "analytics_level": `"` + r.level + `"`,
	}
	if r.field != "" {
		fields[r.field] = r.value
	}
	var event strings.Builder
	for _, name := range []string{"version", "tool", "status", "timestamp_hour", "analytics_level", "error_type", "response_time_ms", "sequence_number", "retry_count", "session_id"} {
		if fields[name] != "" {
			_, _ = fmt.Fprintf(&event, `,"%s":%s`, name, fields[name])
		}
	}
	text := r.text(r.length, 0)
	if r.parameters > 0 && !strings.Contains(r.filler.open, "parameters") {
		event.WriteString(`,"parameters":{`)
		for i := range r.parameters {
			name := shortName(i)
			if r.named {
				name += text
			}
			_, _ = fmt.Fprintf(&event, `%s"%s":"%s"`, strings.Repeat(",", min(i, 1)), name, text)
		}
		event.WriteString("}")
	}
	each := (bodyLength-len(`{"events":[]}`))/r.events - len(`{},`)
	if r.filler.make != nil {
		event.WriteString(r.filler.open)
		for i := 0; ; i++ {
			member := r.filler.make(i, text)
			if event.Len()-1+len(member)+len(r.filler.close) > each {
				break
			}
			event.WriteString(member)
		}
		event.WriteString(r.filler.close)
	}
	one := "{" + event.String()[1:] + "}"
	n := min(r.events, (bodyLength-len(`{"events":[]}`))/(len(one)+1))
	events := slices.Repeat([]string{one}, max(n, 1))
	if r.varied {
		for i := range events {
			events[i] = vary(one, i)
		}
	}
	body := batchOf(events...)
	return []byte(body + strings.Repeat(" ", max(0, bodyLength-len(body))))
}

// vary makes the texts of an event differ from those of others and from each
// other: two characters at their ends count.
func vary(event string, i int) string {
	start := strings.Index(event, `"parameters"`)
	if start < 0 {
		return event
	}
	varied := []byte(event)
	for n := start; n < len(varied)-1; n++ {
		if varied[n] == '"' && (varied[n+1] == ',' || varied[n+1] == '}') && isPlain(varied[n-2:n]) {
			i = (i*31 + n) % (len(nameCharacters) * len(nameCharacters))
			varied[n-2], varied[n-1] = nameCharacters[i%len(nameCharacters)], nameCharacters[i/len(nameCharacters)]
		}
	}
	return string(varied)
}

func isPlain(text []byte) bool {
	return !slices.ContainsFunc(text, func(c byte) bool { return c >= 0x80 || c == '"' || c == '\\' || c == ':' })
}

func (r bodyRecipe) String() string {
	return fmt.Sprintf("%d %s events of %d parameters of %d characters of %q (escaped %t, names too %t, varied %t), %s=%.40s, filled with %s",
		r.events, r.level, r.parameters, r.length, r.fragments, r.escaped, r.named, r.varied, r.field, r.value, r.filler.name)
}

// ordinaryBody is like bodies of real clients, of the full length: its events
// use every field, and have more parameters than real ones.
func ordinaryBody() []byte {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	var events []string
	for range 100 {
		var parameters []string
		for i, name := range []string{"days", "units", "granularity", "include_hourly", "format", "severity", "since", "query_kind", "source", "layer", "fallback", "detail", "language", "model", "timezone_kind"} {
			n := random.IntN(1000)
			value := pick(strconv.Itoa(n), `true`, `"metric"`, `"hourly"`, fmt.Sprintf(`"2026-11-%02d"`, 1+n%30), `"moderate or worse"`,
				fmt.Sprintf(`"imperial, with feet, rounded to %d"`, n), `"radar-composite"`, `"en-US"`, fmt.Sprintf(`"gfs_seamless_%d"`, n), fmt.Sprintf(`"%d.5"`, n),
				fmt.Sprintf(`"2026-11-%02dT%02d:00:00Z"`, 1+n%30, n%24), fmt.Sprintf(`"temperature_2m,precipitation,wind_speed_%dm"`, n), fmt.Sprintf(`"no station within range %d"`, n))
			parameters = append(parameters, fmt.Sprintf(`"%s":%s`, name, value))
			if i == 14 {
				parameters = append(parameters, `"note":"forecast for the coming week, by the hour"`)
			}
		}
		events = append(events, fmt.Sprintf(`{"version":%q,"tool":%q,"status":"error","timestamp_hour":"2026-11-23T14:00:00.000Z","analytics_level":"detailed",`+
			`"error_type":%q,"response_time_ms":%d,"service":"openmeteo","cache_hit":%s,"retry_count":%d,"country":"US","parameters":{%s},`+
			`"session_id":"%016x","sequence_number":%d}`, pick("1.23.0", "1.22.1"), pick("get_forecast", "get_alerts"), pick("timeout", "http_503", "rate_limited"),
			random.IntN(5000), pick("true", "false"), random.IntN(4), strings.Join(parameters, ","), random.Uint64(), random.IntN(1000)))
	}
	body := batchOf(events...)
	for len(body) > bodyLength {
		events = events[1:]
		body = batchOf(events...)
	}
	return []byte(body + strings.Repeat(" ", bodyLength-len(body)))
}

// knownDear are recipes that are dear, or were once.
func knownDear() []bodyRecipe {
	full := func(fragments ...string) bodyRecipe {
		return bodyRecipe{events: 60, level: "detailed", parameters: 20, length: 64, fragments: fragments, filler: fillers[0]}
	}
	recipes := []bodyRecipe{
		full("1."), full("1:"), full("1-"), full("1,"), full("1 "), full("1_"), full("12 ", "34."), full("1.1,"), full("11.1,", "-2.2 "), full("::"), full("f:"), full("fe80:", ":"),
		full("@"), full("a@"), full("a@a."), full("%2"), full("%25"), full("%40"), full("%C2%A0"), full("&#"), full("&#x3"), full("&amp;"), full(`\u00`), full(`\x4`),
		full(" at "), full("dot "), full("(at)"), full("[.]"), full("("), full("["), full("<:>"), full("１"), full("．"), full("٣"), full("°"), full("1°"), full("N1"), full("e"), full("+1 "),
		full("tel"), full("ext1"), full("8FVC9G8F+5W"), full("aGVsbG8gd29ybGQ"), full("2026-11-23T"), full("1732968000"), full("abcdef0123456789"), full("x "), full("z1"), full("9.9.9.9.9"), full("/24 1."),
		full("lat 1", " lon 2"), full("é"), full("\u0301"), full("漢"), full("😀"), full("\u200b"), full("\u3164"),
		full("１[N;", "1(&٣", "f_"), full("(1.1"), full("a@a."), full("1.1x"), full("a1-b"), full("1 1.1-"), full("a.b_"), full("1_9'N["),
		full("_٣9'N[%'1"), full("1_9'N[[&１°+{/"), full("_٣'", "-> 9", "&{F", "<\\"), full("１[N;", "-> 9", "&１+F", `0\`), full("%C2%A0", "F:11", "<xa ", "9{°．"),
	}
	for _, fragments := range [][]string{{"0-", "１F@", "é漢@a", "@x_F"}, {"٣.٣z", "漢fx>", `\%>#`, "@"}} {
		named := full(fragments...)
		named.named, named.length, named.events, named.parameters = true, 24, 80, 14
		recipes = append(recipes, named)
	}
	// One disguise or several, and what is dear without.
	for _, disguise := range []string{"１", "１٣", "%252531", "%25\\u0025٣", "%252525&amp;"} {
		for _, dear := range []string{"(1.1", "1.", "a@a.", "1 1.1-", "1.1.1-1-1-a(1.1x1@a_b-c-d fghijklmnopqrst", "é1.", "abcdefghij "} {
			recipes = append(recipes, full(append([]string{disguise}, slices.Repeat([]string{dear}, 32)...)...))
		}
	}
	for _, r := range slices.Clip(recipes) {
		r.varied = true
		recipes = append(recipes, r)
	}
	for _, fragments := range [][]string{{"1."}, {"%25"}, {"é"}, {"@"}} {
		escaped := full(fragments...)
		escaped.escaped, escaped.length = true, 16
		recipes = append(recipes, escaped)
		named := full(fragments...)
		named.named, named.length, named.events = true, 40, 45
		recipes = append(recipes, named)
		broken := full(fragments...)
		broken.field, broken.value = "version", "1"
		recipes = append(recipes, broken)
		long := full(fragments...)
		long.parameters, long.length, long.events = 19, 2000, 2
		recipes = append(recipes, long)
	}
	for _, f := range fillers[1:] {
		for _, events := range []int{1, 10, 100} {
			recipes = append(recipes, bodyRecipe{events: events, level: "detailed", length: 8, fragments: []string{"q1."}, filler: f})
		}
	}
	for _, value := range []string{
		"8.41302584216459210700e-299", "0." + strings.Repeat("9", 790) + "e-290", strings.Repeat("9", 800), "1" + strings.Repeat("0", 900),
		"0." + strings.Repeat("0", 900) + "1", "1e-999999999", "179769313486231580793" + strings.Repeat("0", 288),
	} {
		for _, field := range []string{"response_time_ms", "sequence_number"} {
			recipes = append(recipes, bodyRecipe{events: 100, level: "detailed", field: field, value: value, filler: fillers[0]})
		}
	}
	for _, value := range []string{`"` + strings.Repeat("1.", 50) + `"`, `"` + strings.Repeat("%25", 300) + `"`, `"` + strings.Repeat("a@", 450) + `"`, `"` + strings.Repeat(`\u0031.`, 100) + `"`} {
		recipes = append(recipes, bodyRecipe{events: 100, level: "detailed", field: "error_type", value: value, filler: fillers[2]})
	}
	return recipes
}

// stopwatch measures judging a body in turns with the ordinary one, so that both
// meet the same machine; the least of several times is that without disturbance.
type stopwatch struct {
	validator *domain.Validator
	ordinary  []byte
	least     time.Duration
}

func newStopwatch() *stopwatch {
	s := &stopwatch{validator: domain.NewValidator(domain.ValidatorConfig{}), ordinary: ordinaryBody(), least: time.Hour}
	for range 50 {
		s.least = min(s.least, s.once(s.ordinary))
	}
	return s
}

func (s *stopwatch) once(body []byte) time.Duration {
	start := time.Now()
	judgement, err := s.validator.Batch(body, capturedAt)
	if err == nil {
		_ = judgement.Refusal(false)
	}
	return time.Since(start)
}

// ratio is the time of a body in that of the ordinary one.
func (s *stopwatch) ratio(body []byte, turns int) float64 {
	least := time.Duration(1 << 62)
	for range turns {
		least = min(least, s.once(body))
		s.least = min(s.least, s.once(s.ordinary))
	}
	return float64(least) / float64(s.least)
}

func TestOrdinaryBodyIsOrdinary(t *testing.T) {
	body := ordinaryBody()
	judgement, err := domain.NewValidator(domain.ValidatorConfig{}).Batch(body, capturedAt)
	if err != nil || len(body) != bodyLength || judgement.Refused() != 0 || judgement.Submitted < 90 {
		t.Errorf("%d bytes, %d events, %d refused: %v, %v", len(body), judgement.Submitted, judgement.Refused(), judgement.Violations, err)
	}
}

// TestDearestBody holds the time of every body to a few times that of an
// ordinary one of the same length. It tries what is known to be dear; with
// -search it goes on from there, and takes time itself as the score.
func TestDearestBody(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes some code slower than other")
	}
	watch := newStopwatch()
	tried := make([]triedRecipe, 0, 200)
	for _, r := range knownDear() {
		tried = append(tried, triedRecipe{r, watch.ratio(r.body(), 5)})
	}
	if *searchFor > 0 {
		tried = searchDearest(t, watch, tried)
	}
	slices.SortFunc(tried, func(a, b triedRecipe) int { return cmp.Compare(b.ratio, a.ratio) })
	t.Logf("an ordinary body takes %v", watch.least)
	for _, c := range tried[:10] {
		// What is dear by accident is measured again.
		body := c.recipe.body()
		for turns := 10; c.ratio > dearestRatio && turns <= 1280; turns *= 2 {
			c.ratio = min(c.ratio, watch.ratio(body, turns))
		}
		t.Logf("%.2f × %v", c.ratio, c.recipe)
		if c.ratio > dearestRatio {
			t.Errorf("%.2f times as dear as an ordinary body: %v", c.ratio, c.recipe)
		}
	}
}

type triedRecipe struct {
	recipe bodyRecipe
	ratio  float64
}

// searchDearest changes the dearest recipes, over and over.
func searchDearest(t *testing.T, watch *stopwatch, tried []triedRecipe) []triedRecipe {
	t.Helper()
	seed := cmp.Or(*searchSeed, uint64(time.Now().UnixNano()))
	t.Logf("searching for %v from -search-seed=%d", *searchFor, seed)
	random := rand.New(rand.NewPCG(seed, seed))
	const population = 40
	count := 0
	for end := time.Now().Add(*searchFor); time.Now().Before(end); count++ {
		slices.SortFunc(tried, func(a, b triedRecipe) int { return cmp.Compare(b.ratio, a.ratio) })
		tried = tried[:min(len(tried), population)]
		changed := changedRecipe(random, tried[random.IntN(len(tried))].recipe)
		ratio := watch.ratio(changed.body(), 2)
		if ratio > tried[len(tried)-1].ratio { // measured again lest it is an accident
			ratio = min(ratio, watch.ratio(changed.body(), 5))
		}
		tried = append(tried, triedRecipe{changed, ratio})
	}
	t.Logf("%d bodies were tried", count)
	return tried
}

const fragmentCharacters = "0019a1fFzN.,:;-_+/@%&#x() []{}<>°'\"\\é１．٣漢\u200b\u3164"

func changedRecipe(random *rand.Rand, r bodyRecipe) bodyRecipe {
	r.fragments = slices.Clone(r.fragments)
	for range 1 + random.IntN(3) {
		switch random.IntN(10) {
		case 0:
			r.events = []int{1, 2, 10, 45, 60, 80, 100}[random.IntN(7)]
		case 1:
			r.level = []string{"minimal", "detailed", "detailed"}[random.IntN(3)]
		case 2:
			r.parameters = random.IntN(22)
		case 3:
			r.length = 1 + random.IntN(66)
		case 4:
			r.escaped = !r.escaped
		case 5:
			r.named = !r.named
		case 6:
			r.varied = !r.varied
		case 7:
			r.filler = fillers[random.IntN(len(fillers))]
		default:
			r.fragments = changedFragments(random, r.fragments)
		}
	}
	return r
}

func changedFragments(random *rand.Rand, fragments []string) []string {
	characters := []rune(fragmentCharacters)
	drawn := make([]rune, 1+random.IntN(4))
	for i := range drawn {
		drawn[i] = characters[random.IntN(len(characters))]
	}
	switch n := len(fragments); {
	case n == 0 || n < 4 && random.IntN(2) == 0:
		return append(fragments, string(drawn))
	case random.IntN(3) == 0:
		return slices.Delete(fragments, 0, 1)
	default:
		fragments[random.IntN(n)] = string(drawn)
		return fragments
	}
}
