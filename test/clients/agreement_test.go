package clients_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf16"

	"pgregory.net/rapid"

	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// looks are the client's words for what a text looks like.
var looks = map[domain.Personal]string{
	domain.PersonalEmail:       "e-mail",
	domain.PersonalIP:          "network",
	domain.PersonalCoordinates: "coordinates",
	domain.PersonalPhone:       "telephone",
	domain.PersonalDisguise:    "disguise",
}

// TestTypeScriptClientAgrees holds the client's check for personal data to the
// server's, on names, texts and events that are like those of the vectors.
func TestTypeScriptClientAgrees(t *testing.T) {
	needNode(t)
	client := startCheck(t)
	names, values := readVectors(t)
	validator := domain.NewValidator(domain.ValidatorConfig{})
	found := make(map[string]int)
	rapid.Check(t, func(t *rapid.T) {
		for _, name := range rapid.SliceOfN(textLike(names), 20, 20).Draw(t, "names") {
			listed, _ := domain.PersonalName(name)
			agree(t, client, "name", name, listed)
		}
		for _, value := range rapid.SliceOfN(textLike(values), 60, 60).Draw(t, "values") {
			personal, _ := domain.PersonalValue(value)
			agree(t, client, "value", value, looks[personal])
			found[looks[personal]]++
			personal, _ = domain.PersonalVersion(value)
			agree(t, client, "version", value, looks[personal])
		}
		for _, event := range rapid.SliceOfN(eventWith(textLike(names), textLike(values)), 15, 15).Draw(t, "events") {
			said := findings(t, validator, event)
			agree(t, client, "event", event, said)
			found[fmt.Sprintf("an event is refused: %t", said != "")]++
		}
	})
	for _, kind := range []string{"", "e-mail", "network", "coordinates", "telephone", "disguise", "an event is refused: true", "an event is refused: false"} {
		if found[kind] == 0 {
			t.Errorf("nothing was of the kind %q: the property says nothing of it", kind)
		}
	}
}

func agree(t *rapid.T, client *clientCheck, kind, text, server string) {
	t.Helper()
	if said := client.ask(t, kind, text); said != server {
		t.Fatalf("of the %s %q the client says %q, and the server %q", kind, text, said, server)
	}
}

// findings are what the server says of personal data in an event, line by line.
func findings(t *rapid.T, validator *domain.Validator, event string) string {
	t.Helper()
	judgement, err := validator.Batch([]byte(`{"events":[`+event+`]}`), time.Now())
	if err != nil {
		t.Fatalf("%v: %s", err, event)
	}
	var said strings.Builder
	for _, v := range judgement.Violations {
		if v.Code == domain.ViolationPII {
			fmt.Fprintf(&said, "%s: %s\n", v.Field, v.Message)
		}
	}
	return said.String()
}

// checkProgram answers every line [kind, text] with what the client makes of the
// text.
const checkProgram = `import { createInterface } from "node:readline";
import { personalData, personalName, personalValue, personalVersion } from "./index.js";
const checks = {
  name: personalName,
  value: personalValue,
  version: personalVersion,
  event: (text) => personalData(JSON.parse(text)).map(({ field, message }) => field + ": " + message + "\n").join(""),
};
for await (const line of createInterface({ input: process.stdin })) {
  const [kind, text] = JSON.parse(line);
  console.log(JSON.stringify(checks[kind](text) ?? ""));
}`

// clientCheck is the client's check in a process of its own.
type clientCheck struct {
	questions *json.Encoder
	answers   *bufio.Scanner
}

func startCheck(t *testing.T) *clientCheck {
	t.Helper()
	dir := t.TempDir()
	compileClient(t, dir)
	write(t, dir, "package.json", `{"type":"module"}`)
	command := exec.CommandContext(t.Context(), "node", write(t, dir, "check.js", checkProgram))
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		_ = command.Wait()
	})
	return &clientCheck{json.NewEncoder(in), bufio.NewScanner(out)}
}

func (c *clientCheck) ask(t *rapid.T, kind, text string) string {
	t.Helper()
	if err := c.questions.Encode([]string{kind, text}); err != nil {
		t.Fatal(err)
	}
	if !c.answers.Scan() {
		t.Fatalf("the client says nothing of %q: %v", text, c.answers.Err())
	}
	var answer string
	if err := json.Unmarshal(c.answers.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

func readVectors(t *testing.T) (names, values []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "domain/testdata/pii-vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Names            []struct{ Name string }
		Values, Versions []struct{ Value string }
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, c := range vectors.Names {
		names = append(names, c.Name)
	}
	for _, c := range append(vectors.Values, vectors.Versions...) {
		values = append(values, c.Value)
	}
	return names, values
}

// pieces are what the rules look for, and what stands for it in disguise.
var pieces = []string{
	"@", ".", ":", "::", ":::", ",", ", ", ";", "+", "-", "_", "/", "|", "(", ")", "[", "]", "{", "<", ">", "'", "\"", "!4d",
	" ", "  ", "\t", "\n", "\v", "\r", "\u0085", "\u00a0", "\u1680", "\u2028", "\u3000", "\u200b", "\ufeff", "\u00ad", "\u0000", "\u007f",
	"0", "1", "00", "011", "12", "47", "90", "91", "180", "181", "255", "256", "123", "1234567", "٣", "१", "𝟗", "²", "½",
	"a", "A", "f", "x1", "ext9", "tel", "whatsapp", "N", "S", "e", "w", "d", "m", "ſ", "\u212a", "İ", "ß", "é", "e\u0301", "漢", "😀",
	"°", "º", "′", "’", "”", "″", "±", "−", "–", "⁻", "．", "＠", "１", "Ａ", "。", "·", "٫", "﹫", "、", "∶", "⁺", "\u3164", "\u115f",
	" at ", " dot ", "(at)", "[dot]", " { . } ", "<:>", "&#64;", "&#x2e;", "&commat;", "&period;", "&deg;", "&nbsp;", "&amp;", "&#65279;",
	"&#1114112;", "&#xD800;", `\u0040`, `\ud83d`, "%u002e", "%40", "%2E", "%25", "%C2%A0", "%C3", "%E2%82", "%ED%A0%80", "%f0%9f%98%80", "%F5", "%EF%BB%BF",
	"ada@example.com", "192.0.2.1", "2001:db8::1", "::1", "47.3769", "8.5417", "+41 44 668 18 00", "8FVC9G8F+5W", "fe-80-aa-01-02-03",
}

// characters are of scripts that every version of Unicode classes alike: the
// client's may be another than the server's.
var characters = rapid.RuneFrom(nil, unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Arabic, unicode.Devanagari,
	unicode.Han, unicode.Common, unicode.Inherited)

// textLike draws texts of which most are like one of the samples, or like two
// that follow each other, with pieces put in, cut out or put on.
func textLike(samples []string) *rapid.Generator[string] {
	piece := rapid.OneOf(rapid.SampledFrom(pieces), rapid.Map(characters, func(r rune) string { return string(r) }))
	random := rapid.Map(rapid.SliceOfN(piece, 1, 12), func(parts []string) string { return strings.Join(parts, "") })
	return rapid.Custom(func(t *rapid.T) string {
		text := rapid.OneOf(rapid.SampledFrom(samples), rapid.SampledFrom(samples), random).Draw(t, "sample")
		if rapid.IntRange(0, 4).Draw(t, "join") == 0 {
			text += piece.Draw(t, "between") + rapid.SampledFrom(samples).Draw(t, "second")
		}
		for range rapid.IntRange(0, 4).Draw(t, "changes") {
			text = change(t, []rune(text), piece)
		}
		return text
	}).Filter(isJudgedAtOnce)
}

// eventWith draws the JSON of an event with personal data in some places, or
// in none. It has no NUL, for which the server refuses a text unseen.
func eventWith(names, values *rapid.Generator[string]) *rapid.Generator[string] {
	storable := func(text string) bool { return !strings.ContainsRune(text, 0) }
	names = names.Filter(storable)
	scalar := rapid.OneOf(
		rapid.SampledFrom([]string{"null", "true", "1", `""`, `"x"`, "[]"}),
		rapid.Map(values.Filter(storable), quote))
	return rapid.Custom(func(t *rapid.T) string {
		level := rapid.SampledFrom([]string{`"detailed"`, `"\u3000detailed "`, `"standard"`, "1"}).Draw(t, "level")
		members := []string{
			`"tool":"get_alerts"`,
			`"analytics_level":` + level,
			`"version":` + scalar.Draw(t, "version"),
			`"error_type":` + scalar.Draw(t, "error type"),
			`"parameters":` + rapid.OneOf(objectOf(names, scalar), objectOf(names, scalar), scalar).Draw(t, "parameters"),
		}
		if rapid.Bool().Draw(t, "more") {
			nested := objectOf(names, objectOf(names, scalar))
			members = append(members, `"more":[1,`+nested.Draw(t, "nested")+`]`, `"session_id":`+nested.Draw(t, "session"))
		}
		return "{" + strings.Join(rapid.Permutation(members).Draw(t, "order"), ",") + "}"
	})
}

// objectOf draws objects of few members. None of their names is a number, which
// JavaScript would put first.
func objectOf(names, values *rapid.Generator[string]) *rapid.Generator[string] {
	some := rapid.OneOf(rapid.SampledFrom([]string{"a", "days", "unit"}), names.Filter(func(name string) bool {
		return strings.Trim(name, "0123456789") != ""
	}))
	return rapid.Custom(func(t *rapid.T) string {
		var members []string
		for _, name := range rapid.SliceOfNDistinct(some, 0, 3, rapid.ID).Draw(t, "names") {
			members = append(members, quote(name)+":"+values.Draw(t, "value"))
		}
		return "{" + strings.Join(members, ",") + "}"
	})
}

func quote(text string) string {
	data, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(data)
}

func change(t *rapid.T, text []rune, piece *rapid.Generator[string]) string {
	start := rapid.IntRange(0, len(text)).Draw(t, "start")
	end := min(len(text), start+rapid.IntRange(0, 2).Draw(t, "length"))
	before, changed, after := string(text[:start]), string(text[start:end]), string(text[end:])
	switch rapid.IntRange(0, 4).Draw(t, "change") {
	case 0:
		return before + after
	case 1:
		return before + encoded(changed) + after
	case 2:
		return before + widened(changed) + after
	default:
		return before + piece.Draw(t, "piece") + after
	}
}

func encoded(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		b.WriteString("%" + string("0123456789ABCDEF"[c>>4]) + string("0123456789abcdef"[c&15]))
	}
	return b.String()
}

// widened makes plain characters full-width.
func widened(text string) string {
	return strings.Map(func(r rune) rune {
		if r > ' ' && r <= '~' {
			return r + '！' - '!'
		}
		return r
	}, text)
}

// isJudgedAtOnce says whether the client judges the text as a whole.
func isJudgedAtOnce(text string) bool { return len(utf16.Encode([]rune(text))) <= 256 }
